//! Where in a bucket a state is: the keys of its objects, and their names for people.

use std::path::PathBuf;

const SCHEME: &str = "s3://";
const SNAPSHOT: &str = "state.json";
const BACKUP: &str = "state.json.backup";
const LOCK: &str = "lock.json";
const JOURNAL: &str = "journal/";
/// As many digits as the largest serial has, so that the order of names is that of serials.
const DIGITS: usize = 20;

/// A folder of a bucket, for one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    bucket: String,
    /// What all keys begin with, with a slash at its end.
    folder: String,
}

/// Why a text does not name a place in a bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use {text:?}: {why}")]
pub struct NotAPlace {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl NotAPlace {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        "write s3://BUCKET or s3://BUCKET/FOLDER, for example s3://acme-clusters/groundplan"
            .to_owned()
    }
}

impl Place {
    /// The place of a cluster's state at `s3://bucket/folder`.
    ///
    /// # Errors
    /// When it is not written like that, or no bucket can have that name.
    pub fn parse(text: &str, cluster: &str) -> Result<Self, NotAPlace> {
        let wrong = |why| NotAPlace { text: text.to_owned(), why };
        let rest =
            text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not begin with s3://"))?;
        let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
        if let Some(why) = unlike_a_bucket(bucket) {
            return Err(wrong(why));
        }
        let folder = folder.trim_end_matches('/');
        if folder.starts_with('/') || folder.contains("//") {
            return Err(wrong("one of its folders has no name"));
        }
        if folder.chars().any(char::is_control) {
            return Err(wrong("it has a character that cannot be seen"));
        }
        let parts = [folder, cluster].into_iter().filter(|part| !part.is_empty());
        let folder = parts.map(|part| format!("{part}/")).collect();
        Ok(Self { bucket: bucket.to_owned(), folder })
    }

    /// The name of the bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key of the snapshot.
    pub fn snapshot(&self) -> String {
        self.key(SNAPSHOT)
    }

    /// The key of the snapshot before.
    pub fn backup(&self) -> String {
        self.key(BACKUP)
    }

    /// The key of the lock.
    pub fn lock(&self) -> String {
        self.key(LOCK)
    }

    /// What the keys of all journal objects begin with.
    pub fn journal(&self) -> String {
        self.key(JOURNAL)
    }

    /// The key of the journal object that begins with this record.
    pub fn group(&self, first: u64) -> String {
        self.key(&format!("{JOURNAL}{first:0DIGITS$}"))
    }

    /// The record that the journal object of this key begins with; `None` is an object of others.
    pub fn first_of(&self, key: &str) -> Option<u64> {
        let digits = key.strip_prefix(&self.folder)?.strip_prefix(JOURNAL)?;
        let ours = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        ours.then(|| digits.parse().ok())?
    }

    /// The address of an object, as AWS's tools know it.
    pub fn address(&self, key: &str) -> PathBuf {
        PathBuf::from(format!("{SCHEME}{}/{key}", self.bucket))
    }

    /// The address of the folder.
    pub fn folder(&self) -> PathBuf {
        self.address(&self.folder)
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }
}

/// What keeps a name from being a bucket's (docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).
fn unlike_a_bucket(name: &str) -> Option<&'static str> {
    let known =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    if name.is_empty() {
        return Some("it names no bucket");
    }
    if !name.bytes().all(known) {
        return Some("a bucket's name has lower-case letters, digits, dots and hyphens only");
    }
    if !(3..=63).contains(&name.len()) {
        return Some("a bucket's name has 3 to 63 characters");
    }
    let ends = [name.as_bytes()[0], name.as_bytes()[name.len() - 1]];
    if !ends.iter().all(u8::is_ascii_alphanumeric) || name.contains("..") {
        return Some(
            "a bucket's name begins and ends with a letter or digit, each of its parts too",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_of_a_bucket_with_or_without_folders_above() {
        for (text, folder) in [
            ("s3://acme", "s3://acme/prod/"),
            ("s3://acme/", "s3://acme/prod/"),
            ("s3://acme/a/b/", "s3://acme/a/b/prod/"),
        ] {
            assert_eq!(Place::parse(text, "prod").unwrap().folder(), PathBuf::from(folder));
        }
    }

    #[test]
    fn what_is_no_place_is_said_with_what_would_be() {
        for (text, why) in [
            ("acme/a", "s3://"),
            ("s3://", "no bucket"),
            ("s3:///a", "no bucket"),
            ("s3://Acme", "lower-case"),
            ("s3://ac", "3 to 63"),
            ("s3://acme-", "begins and ends"),
            ("s3://ac..me", "begins and ends"),
            ("s3://acme//a", "no name"),
            ("s3://acme/a\n", "cannot be seen"),
        ] {
            let error = Place::parse(text, "prod").unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert!(error.hint().contains("s3://BUCKET"));
        }
    }

    #[test]
    fn the_order_of_journal_objects_is_that_of_their_records() {
        let place = Place::parse("s3://acme/a", "prod").unwrap();
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
