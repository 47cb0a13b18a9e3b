//! Read-only lookups: the questions and the types of their results, and with the feature `sdk` the
//! calls that answer them and the index of tags.

pub mod lookup;
#[cfg(feature = "sdk")]
pub mod queries;
#[cfg(feature = "sdk")]
pub mod tag_index;

use groundplan_engine::provider::{Provider, ProviderFuture};
use serde_json::Value;

use self::lookup::Lookup;

/// EC2 as the machine controller needs it: the provider interface of the engine, and lookups.
pub trait Ec2: Provider {
    /// Returns the result of a lookup, in the type that the lookup names.
    fn answer(&self, lookup: Lookup) -> ProviderFuture<'_, Value>;
}
