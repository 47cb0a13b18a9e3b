//! State location, as the user writes it: a folder or `s3://bucket/prefix`. Parses only, and does
//! not check that the location exists.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

const S3: &str = "s3://";

/// Location that contains the states of several clusters, or the state of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateLocation {
    /// Local folder.
    Folder(PathBuf),
    /// Keys with a common prefix in an S3 bucket.
    Bucket {
        /// Name of the bucket.
        bucket: String,
        /// Prefix without slashes at its ends; empty for the whole bucket.
        prefix: String,
    },
}

impl StateLocation {
    /// Returns the location of a cluster's state within this location.
    #[must_use]
    pub fn of(&self, cluster: &str) -> Self {
        match self {
            StateLocation::Folder(folder) => StateLocation::Folder(folder.join(cluster)),
            StateLocation::Bucket { bucket, prefix } => {
                let between = if prefix.is_empty() { "" } else { "/" };
                StateLocation::Bucket {
                    bucket: bucket.clone(),
                    prefix: format!("{prefix}{between}{cluster}"),
                }
            }
        }
    }
}

impl fmt::Display for StateLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateLocation::Folder(folder) => folder.display().fmt(f),
            StateLocation::Bucket { bucket, prefix } if prefix.is_empty() => {
                write!(f, "{S3}{bucket}")
            }
            StateLocation::Bucket { bucket, prefix } => write!(f, "{S3}{bucket}/{prefix}"),
        }
    }
}

/// Error of a text that is no location.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidLocation(String);

impl FromStr for StateLocation {
    type Err = InvalidLocation;

    fn from_str(text: &str) -> Result<Self, InvalidLocation> {
        if let Some(rest) = text.strip_prefix(S3) {
            return in_bucket(rest);
        }
        let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme))
        else {
            return match text {
                "" => Err(InvalidLocation(format!(
                    "the value is empty; expected a folder or \
                     {EXAMPLE}"
                ))),
                folder => Ok(StateLocation::Folder(folder.into())),
            };
        };
        let path = rest.trim_start_matches('/');
        if scheme.eq_ignore_ascii_case("s3") {
            return Err(InvalidLocation(format!("expected {EXAMPLE}; did you mean {S3}{path}?")));
        }
        match rest.strip_prefix("//") {
            Some(folder) if scheme.eq_ignore_ascii_case("file") => {
                Err(InvalidLocation(format!("write a folder as a path without a scheme: {folder}")))
            }
            Some(_) => Err(InvalidLocation(format!(
                "unknown scheme {scheme}://; expected a folder or {EXAMPLE}"
            ))),
            None => Ok(StateLocation::Folder(text.into())), // a name with a colon in it
        }
    }
}

const EXAMPLE: &str = "s3://bucket/prefix";

/// Returns true if `text` can precede `://` (RFC 3986, section 3.1).
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|one| one.is_ascii_alphanumeric() || "+-.".contains(one))
}

fn in_bucket(text: &str) -> Result<StateLocation, InvalidLocation> {
    let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
    if bucket.is_empty() {
        return Err(InvalidLocation(format!("the bucket is missing; expected {EXAMPLE}")));
    }
    if let Some(rule) = broken_rule(bucket) {
        return Err(InvalidLocation(format!("`{bucket}` is not a valid bucket name: {rule}")));
    }
    if prefix.starts_with('/') || prefix.contains("//") {
        return Err(InvalidLocation(format!(
            "the prefix `{prefix}` has an empty part; separate names with one slash"
        )));
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    Ok(StateLocation::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

/// Returns the first of S3's naming rules that the name breaks (S3 user guide, "General purpose
/// bucket naming rules").
fn broken_rule(bucket: &str) -> Option<&'static str> {
    let is_edge = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit();
    if bucket.chars().any(|one| one.is_ascii_uppercase()) {
        return Some("it has upper-case letters");
    }
    if !bucket.chars().all(|one| is_edge(one) || one == '.' || one == '-') {
        return Some("only lower-case letters, digits, dots and hyphens are allowed");
    }
    if !(3..=63).contains(&bucket.len()) {
        return Some("it must have 3 to 63 characters");
    }
    if !bucket.starts_with(is_edge) || !bucket.ends_with(is_edge) {
        return Some("it must begin and end with a letter or a digit");
    }
    if bucket.contains("..") {
        return Some("two dots follow each other");
    }
    if bucket.parse::<std::net::Ipv4Addr>().is_ok() {
        return Some("it is an IP address");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(bucket: &str, prefix: &str) -> StateLocation {
        StateLocation::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() }
    }

    #[track_caller]
    fn refused(text: &str) -> String {
        text.parse::<StateLocation>().expect_err("it is taken for a place").to_string()
    }

    #[test]
    fn what_is_not_s3_is_a_folder() {
        for text in
            ["state", ".", "../states", "/var/lib/states", "my states", "s3", "a:b", "./s3:/x"]
        {
            assert_eq!(text.parse(), Ok(StateLocation::Folder(text.into())));
        }
    }

    #[test]
    fn a_bucket_has_a_prefix_without_slashes_around_it_or_none() {
        assert_eq!("s3://states".parse(), Ok(bucket("states", "")));
        assert_eq!("s3://states/".parse(), Ok(bucket("states", "")));
        assert_eq!("s3://states/prod".parse(), Ok(bucket("states", "prod")));
        assert_eq!("s3://my.states-1/a/b c/".parse(), Ok(bucket("my.states-1", "a/b c")));
    }

    #[test]
    fn a_place_is_written_as_it_is_typed() {
        for text in ["state", "s3://states", "s3://states/prod/eu"] {
            assert_eq!(text.parse::<StateLocation>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_clusters_state_is_a_folder_or_a_prefix_among_the_others() {
        let place = |text: &str| text.parse::<StateLocation>().unwrap().of("demo").to_string();
        assert_eq!(place("state"), "state/demo");
        assert_eq!(place("s3://states"), "s3://states/demo");
        assert_eq!(place("s3://states/prod"), "s3://states/prod/demo");
    }

    #[test]
    fn what_almost_is_a_bucket_is_told_what_to_type() {
        assert_eq!(refused("s3:/x"), "expected s3://bucket/prefix; did you mean s3://x?");
        assert_eq!(
            refused("s3:states/prod"),
            "expected s3://bucket/prefix; did you mean s3://states/prod?"
        );
        assert_eq!(
            refused("S3://states"),
            "expected s3://bucket/prefix; did you mean s3://states?"
        );
        assert_eq!(refused("s3://"), "the bucket is missing; expected s3://bucket/prefix");
        assert_eq!(refused("s3:///prod"), "the bucket is missing; expected s3://bucket/prefix");
    }

    #[test]
    fn other_schemes_and_nothing_at_all_are_told_what_is_known() {
        let message = refused("gs://states/prod");
        assert_eq!(message, "unknown scheme gs://; expected a folder or s3://bucket/prefix");
        assert_eq!(refused("file:///var/x"), "write a folder as a path without a scheme: /var/x");
        assert_eq!(refused(""), "the value is empty; expected a folder or s3://bucket/prefix");
    }

    #[test]
    fn a_name_that_no_bucket_has_is_told_why() {
        for (name, why) in [
            ("ab", "it must have 3 to 63 characters"),
            (&*"a".repeat(64), "it must have 3 to 63 characters"),
            ("States", "it has upper-case letters"),
            ("my_states", "only lower-case letters, digits, dots and hyphens are allowed"),
            ("-states", "it must begin and end with a letter or a digit"),
            ("states.", "it must begin and end with a letter or a digit"),
            ("my..states", "two dots follow each other"),
            ("192.168.5.4", "it is an IP address"),
        ] {
            let expected = format!("`{name}` is not a valid bucket name: {why}");
            assert_eq!(refused(&format!("s3://{name}/prod")), expected);
        }
        assert!(refused("s3://states/a//b").contains("has an empty part"));
        assert!(refused("s3://states//").contains("has an empty part"));
    }
}
