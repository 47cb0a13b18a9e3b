//! Operations that the state backend requires of a bucket. Knows no states.

use std::fmt;
use std::time::Duration;

use crate::provider::ProviderFuture;

/// Bucket with whole objects, conditional writes and strong consistency (as in S3).
///
/// The class of an error shows if a write took effect. [`Permanent`](crate::provider::ErrorClass::Permanent)
/// and [`Retryable`](crate::provider::ErrorClass::Retryable): no. [`Ambiguous`](crate::provider::ErrorClass::Ambiguous):
/// possibly, now or later. Errors never quote a content.
pub trait ObjectStore: fmt::Debug + Send + Sync {
    /// Returns the object of this key; `None` if there is none.
    fn get(&self, key: &str) -> ProviderFuture<'_, Option<StoredObject>>;

    /// Writes the object of this key, whole or not at all, if the condition holds.
    fn put(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Precondition,
    ) -> ProviderFuture<'_, PutOutcome>;

    /// Returns all keys that begin with `prefix` and follow `after`, in byte order.
    fn list(&self, prefix: &str, after: &str) -> ProviderFuture<'_, Vec<String>>;

    /// Deletes the objects. A missing object counts as deleted. After an error some objects may be
    /// left.
    fn delete(&self, keys: Vec<String>) -> ProviderFuture<'_, ()>;

    /// Returns the name of the store, such as its endpoint. Buckets of one store honour the same
    /// conditions of writes.
    fn store(&self) -> String;

    /// Returns true if overwritten or deleted objects can be restored; `None` without the
    /// permission to read the setting.
    fn keeps_versions(&self) -> ProviderFuture<'_, Option<bool>>;
}

/// Identifier of one content of an object, different from those of all its other contents.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Etag(pub String);

/// Object as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Content of the object.
    pub bytes: Vec<u8>,
    /// Identifier of the content.
    pub etag: Etag,
    /// Age of the content by the server's clock; `None` if the server does not report it.
    pub age: Option<Duration>,
}

impl fmt::Debug for StoredObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} bytes, {}, {:?})", self.bytes.len(), self.etag.0, self.age)
    }
}

/// Condition of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// No object exists.
    Absent,
    /// The object has this content.
    Matches(Etag),
}

impl Precondition {
    /// Returns the condition that the object has not changed since `found` was read.
    pub fn unchanged(found: Option<&Etag>) -> Self {
        found.map_or(Precondition::Absent, |etag| Precondition::Matches(etag.clone()))
    }
}

/// Result of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object is durable.
    Done(Etag),
    /// The condition did not hold.
    Refused,
}
