//! Read-only lookups: the questions and the types of their results, and with the feature `sdk` the
//! calls that answer them the index of tags, and
//! clusters that another state owns.

#[cfg(feature = "sdk")]
pub mod existing_clusters;
pub mod lookup;
#[cfg(feature = "sdk")]
pub mod queries;
#[cfg(feature = "sdk")]
pub mod tag_index;
