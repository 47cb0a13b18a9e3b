//! A bucket as a state needs it. Knows nothing of states.

use std::fmt;
use std::time::Duration;

use crate::provider::Reply;

/// Whole objects, conditional writes, and every answer true at the time it is given (as S3's are).
///
/// An error's class says whether a write happened: [`Refused`](crate::provider::Class::Refused) and
/// [`Again`](crate::provider::Class::Again) certainly not, [`Unknown`](crate::provider::Class::Unknown)
/// perhaps, or perhaps later. Errors never quote a content.
pub trait Bucket: fmt::Debug + Send + Sync {
    /// The object of this key, if there is one.
    fn get(&self, key: &str) -> Reply<'_, Option<Object>>;

    /// Writes the object of this key, whole or not at all, if the condition holds.
    fn put(&self, key: &str, bytes: Vec<u8>, condition: Condition) -> Reply<'_, Put>;

    /// The keys that begin with `prefix` and come after `after`, all of them, in the order of their
    /// bytes.
    fn list(&self, prefix: &str, after: &str) -> Reply<'_, Vec<String>>;

    /// Deletes these objects; what is gone already is deleted. After an error some may be left.
    fn delete(&self, keys: Vec<String>) -> Reply<'_, ()>;

    /// Whether what is overwritten or deleted can be brought back; `None` where one may not know.
    fn keeps_versions(&self) -> Reply<'_, Option<bool>>;
}

/// What tells one content of an object from every other it has had.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Etag(pub String);

/// An object as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Which content that is.
    pub etag: Etag,
    /// How long it has been what it is, both ends by the server's clock; `None` where the server does
    /// not say.
    pub age: Option<Duration>,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} bytes, {}, {:?})", self.bytes.len(), self.etag.0, self.age)
    }
}

/// When a write may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There is no such object.
    Absent,
    /// The object has this content.
    Matches(Etag),
}

impl Condition {
    /// Only if the object still is what was found.
    pub fn unchanged(found: Option<&Etag>) -> Self {
        found.map_or(Condition::Absent, |etag| Condition::Matches(etag.clone()))
    }
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there, durably.
    Done(Etag),
    /// The condition did not hold.
    Refused,
}
