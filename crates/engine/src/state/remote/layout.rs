//! Objects of a state in a bucket: their keys, and their addresses for users.

use std::path::PathBuf;

const SCHEME: &str = "s3://";
const SNAPSHOT: &str = "state.json";
const BACKUP: &str = "state.json.backup";
const LOCK: &str = "lock.json";
const MOVED: &str = "moved-to";
const JOURNAL: &str = "journal/";
const PROBE: &str = "probe-";
/// Number of digits of the largest serial. Zero-padded names sort by serial.
const DIGITS: usize = 20;

/// Keys of one state's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    bucket: String,
    /// Common prefix of all keys; ends with a slash unless it is empty.
    folder: String,
}

impl Layout {
    /// Returns the keys with this prefix, which has no slash at its ends.
    pub fn new(bucket: &str, prefix: &str) -> Self {
        let slash = if prefix.is_empty() { "" } else { "/" };
        Self { bucket: bucket.to_owned(), folder: format!("{prefix}{slash}") }
    }

    /// Returns the name of the bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Returns the key of the snapshot.
    pub fn snapshot(&self) -> String {
        self.key(SNAPSHOT)
    }

    /// Returns the key of the previous snapshot.
    pub fn backup(&self) -> String {
        self.key(BACKUP)
    }

    /// Returns the key of the lock.
    pub fn lock(&self) -> String {
        self.key(LOCK)
    }

    /// Returns the key of the object that contains the new location of a moved state.
    pub fn moved(&self) -> String {
        self.key(MOVED)
    }

    /// Returns the key of an object that only tests the bucket.
    pub fn probe(&self, name: &str) -> String {
        self.key(&format!("{PROBE}{name}"))
    }

    /// Returns the common prefix of all journal keys.
    pub fn journal(&self) -> String {
        self.key(JOURNAL)
    }

    /// Returns the key of the journal object that begins with this serial.
    pub fn group(&self, first: u64) -> String {
        self.key(&format!("{JOURNAL}{first:0DIGITS$}"))
    }

    /// Returns the first serial of the journal object with this key; `None` for other objects.
    pub fn first_of(&self, key: &str) -> Option<u64> {
        let digits = key.strip_prefix(&self.folder)?.strip_prefix(JOURNAL)?;
        let ours = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        ours.then(|| digits.parse().ok())?
    }

    /// Returns the cluster that an object belongs to if this is a location of several clusters; `None`
    /// for objects that are no part of a state.
    pub fn cluster_of<'a>(&self, key: &'a str) -> Option<&'a str> {
        let (cluster, object) = key.strip_prefix(&self.folder)?.split_once('/')?;
        let is_state = [SNAPSHOT, MOVED].contains(&object) || object.starts_with(JOURNAL);
        (is_state && !cluster.is_empty()).then_some(cluster)
    }

    /// Returns the address of an object in the form of AWS's tools.
    pub fn address(&self, key: &str) -> PathBuf {
        PathBuf::from(format!("{SCHEME}{}/{key}", self.bucket))
    }

    /// Returns the common prefix of all keys.
    pub fn prefix(&self) -> &str {
        &self.folder
    }

    /// Returns the address of the folder.
    pub fn folder(&self) -> PathBuf {
        self.address(&self.folder)
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_of_clusters_has_one_folder_for_each() {
        let home = Layout::new("bucket", "clusters");
        let demo = Layout::new("bucket", "clusters/demo");
        for key in [demo.snapshot(), demo.group(7), demo.moved()] {
            assert_eq!(home.cluster_of(&key), Some("demo"), "{key}");
        }
        for other in ["other/demo/state.json", "clusters/state.json", "clusters/demo/notes.txt"] {
            assert_eq!(home.cluster_of(other), None, "{other}");
        }
        let whole = Layout::new("bucket", "");
        assert_eq!(whole.cluster_of("demo/state.json"), Some("demo"));
    }

    #[test]
    fn every_object_begins_with_the_prefix() {
        for (prefix, folder) in
            [("", "s3://acme/"), ("prod", "s3://acme/prod/"), ("a/prod", "s3://acme/a/prod/")]
        {
            let place = Layout::new("acme", prefix);
            assert_eq!(place.folder(), PathBuf::from(folder));
            let keys = [place.snapshot(), place.backup(), place.lock(), place.group(1)];
            assert!(keys.iter().all(|key| place.address(key).starts_with(folder)), "{keys:?}");
        }
    }

    #[test]
    fn the_order_of_journal_objects_is_that_of_their_records() {
        let place = Layout::new("acme", "a/prod");
        let mut keys = [9, 10, 1, u64::MAX, 99_999].map(|first| place.group(first)).to_vec();
        keys.sort();
        let firsts: Vec<_> = keys.iter().map(|key| place.first_of(key)).collect();
        assert_eq!(firsts, [1, 9, 10, 99_999, u64::MAX].map(Some));
        for strange in
            ["a/prod/journal/", "a/prod/journal/12", "b/prod/journal/00000000000000000001"]
        {
            assert_eq!(place.first_of(strange), None, "{strange}");
        }
        assert_eq!(place.first_of(&"9".repeat(20)), None);
        assert_eq!(
            place.first_of(&format!("a/prod/journal/{}", "9".repeat(20))),
            None,
            "too large"
        );
    }
}
