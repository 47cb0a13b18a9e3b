//! Releases of OpenShift: `4.20` and its order.
//!
//! A release keys rules, fields and layouts. Patch versions, such as the 3 of 4.20.3, change none of
//! these and are not kept. Knows nothing of what differs between releases.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A release of OpenShift, ordered by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    major: u16,
    minor: u16,
}

impl Release {
    /// Releases that this version of groundplan knows, from the oldest to the newest.
    pub const KNOWN: &[Self] = &[
        Self::new(4, 12),
        Self::new(4, 13),
        Self::new(4, 14),
        Self::new(4, 15),
        Self::new(4, 16),
        Self::new(4, 17),
        Self::new(4, 18),
        Self::new(4, 19),
        Self::new(4, 20),
        Self::new(4, 21),
        Self::new(4, 22),
        Self::new(5, 0),
    ];
    /// The oldest known release.
    pub const OLDEST: Self = Self::KNOWN[0];
    /// The newest known release.
    pub const NEWEST: Self = Self::KNOWN[Self::KNOWN.len() - 1];

    /// Releases that Red Hat supports, and the next one, on 2026-11-29. Rules without a given release
    /// compare these.
    pub const LIVING: &[Self] = &[
        Self::new(4, 16),
        Self::new(4, 18),
        Self::new(4, 19),
        Self::new(4, 20),
        Self::new(4, 21),
        Self::new(4, 22),
        Self::new(5, 0),
    ];

    /// Returns the release `major.minor`, known or not.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Returns true if this version of groundplan knows the release.
    pub fn is_known(self) -> bool {
        Self::KNOWN.contains(&self)
    }
}

/// Releases between two limits, both included. `None` means no limit on that side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleaseRange {
    /// The first release.
    pub since: Option<Release>,
    /// The last release.
    pub until: Option<Release>,
}

impl ReleaseRange {
    /// All releases.
    pub const ALL: Self = Self { since: None, until: None };

    /// Returns `major.minor` and all later releases.
    pub const fn since(major: u16, minor: u16) -> Self {
        Self { since: Some(Release::new(major, minor)), until: None }
    }

    /// Returns `major.minor` and all earlier releases.
    pub const fn until(major: u16, minor: u16) -> Self {
        Self { since: None, until: Some(Release::new(major, minor)) }
    }

    /// Returns true if the range has this release.
    pub fn contains(self, release: Release) -> bool {
        self.since.is_none_or(|since| since <= release)
            && self.until.is_none_or(|until| release <= until)
    }

    /// Returns the known releases outside a range with one limit. `None` if there are none.
    pub fn complement(self) -> Option<Self> {
        let known = Release::KNOWN;
        match (self.since, self.until) {
            (Some(since), None) => {
                let until = known.iter().rev().find(|release| **release < since)?;
                Some(Self { since: None, until: Some(*until) })
            }
            (None, Some(until)) => {
                let since = known.iter().find(|release| **release > until)?;
                Some(Self { since: Some(*since), until: None })
            }
            _ => None,
        }
    }
}

/// Releases of an entry in a table: `()` is all of them, `(since(4, 16))` and `(until(4, 15))` have a
/// limit.
macro_rules! releases {
    () => {
        $crate::release::ReleaseRange::ALL
    };
    ($limit:ident $release:tt) => {
        $crate::release::ReleaseRange::$limit $release
    };
}
pub(crate) use releases;

impl fmt::Display for ReleaseRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.since, self.until) {
            (None, None) => f.write_str("all releases"),
            (Some(since), None) if since == Release::NEWEST => write!(f, "{since}"),
            (Some(since), None) => write!(f, "{since} and later"),
            (None, Some(until)) => write!(f, "{until} and earlier"),
            (Some(since), Some(until)) => write!(f, "{since} to {until}"),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A text that is no release known to groundplan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// A text of another form.
    #[error("expected a release such as `{newest}`, found `{0}`", newest = Release::NEWEST)]
    Malformed(String),
    /// A release that this version of groundplan does not know.
    #[error(
        "expected a release from {oldest} to {newest}, found {0}",
        oldest = Release::OLDEST,
        newest = Release::NEWEST
    )]
    Unknown(Release),
}

impl FromStr for Release {
    type Err = ReleaseError;

    /// Parses `4.20`, or a version with a patch such as `4.20.3` or `4.20.0-rc.1`.
    ///
    /// # Errors
    /// Returns an error for another form and for a release that groundplan does not know.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let release = parse(text).ok_or_else(|| ReleaseError::Malformed(text.to_owned()))?;
        if release.is_known() { Ok(release) } else { Err(ReleaseError::Unknown(release)) }
    }
}

/// Returns the first two numbers of a version. `None` if the text is no version.
fn parse(text: &str) -> Option<Release> {
    let number = |part: &str| {
        let is_plain = part == "0" || !part.starts_with('0');
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        (digits && is_plain).then(|| part.parse().ok()).flatten()
    };
    let (major, rest) = text.split_once('.')?;
    let (minor, patch) = rest.split_once('.').map_or((rest, None), |(m, p)| (m, Some(p)));
    if let Some(patch) = patch {
        let end = patch.find(['-', '+']).unwrap_or(patch.len());
        number(&patch[..end])?;
    }
    Some(Release::new(number(major)?, number(minor)?))
}

impl Serialize for Release {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Release {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_as_it_is_written() {
        for release in Release::KNOWN {
            assert_eq!(release.to_string().parse(), Ok(*release));
        }
    }

    #[test]
    fn a_patch_version_belongs_to_its_release() {
        for version in ["4.20", "4.20.0", "4.20.13", "4.20.0-rc.1", "4.20.0-0.nightly+x86"] {
            assert_eq!(version.parse(), Ok(Release::new(4, 20)), "{version}");
        }
    }

    #[test]
    fn releases_are_ordered_by_number_and_not_by_text() {
        assert!(Release::KNOWN.is_sorted());
        assert!(Release::new(4, 9) < Release::new(4, 12));
        assert!(Release::new(4, 22) < Release::new(5, 0));
    }

    #[test]
    fn a_range_and_its_complement_divide_the_known_releases() {
        for range in [ReleaseRange::since(4, 16), ReleaseRange::until(4, 20)] {
            let others = range.complement().unwrap();
            for release in Release::KNOWN {
                assert_ne!(range.contains(*release), others.contains(*release), "{range}");
            }
        }
        assert_eq!(ReleaseRange::ALL.complement(), None);
        assert_eq!(ReleaseRange::since(4, 16).to_string(), "4.16 and later");
        assert_eq!(ReleaseRange::until(4, 20).to_string(), "4.20 and earlier");
        assert_eq!(ReleaseRange::since(5, 0).to_string(), "5.0");
    }

    #[test]
    fn an_error_names_the_releases_that_are_known() {
        for text in ["", "4", "4.", ".20", "v4.20", "4.020", "4.x", "4.20.", "4.20.x", "-4.20"] {
            let error = text.parse::<Release>().unwrap_err();
            assert_eq!(error, ReleaseError::Malformed(text.into()), "{text}");
        }
        let error = "4.11".parse::<Release>().unwrap_err();
        assert_eq!(error.to_string(), "expected a release from 4.12 to 5.0, found 4.11");
        assert!("4.23".parse::<Release>().is_err());
    }
}
