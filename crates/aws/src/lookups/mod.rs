//! Read-only lookups: the questions and the types of their results, and with the feature `sdk` the
//! calls that answer them and the index of tags.

pub mod lookup;
#[cfg(feature = "sdk")]
pub mod queries;
#[cfg(feature = "sdk")]
pub mod tag_index;
