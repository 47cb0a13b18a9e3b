//! Limits of tags. Install-configs and Machine API manifests share them.
//!
//! EC2 accepts any character in a tag. A user tag of a cluster also goes to IAM, S3, Route 53 and
//! Elastic Load Balancing, which accept less: the *portable* part of the limits.

/// Most characters of a key. Source: EC2 user guide, "Tag restrictions"; IAM API reference, `Tag`.
pub const LONGEST_KEY: usize = 128;
/// Most characters of a value. Source: as for [`LONGEST_KEY`].
pub const LONGEST_VALUE: usize = 256;
/// Most tags of one resource. Source: as for [`LONGEST_KEY`].
pub const MOST: usize = 50;

/// The portable characters, in words.
pub const PORTABLE: &str = "only letters, digits, spaces and `_.:/=+-@`";

/// Returns true if all services accept this character. Source: IAM API reference, `Tag`; Elastic
/// Load Balancing API reference, `Tag`; S3 user guide, "Categorizing your storage using tags". Of
/// the separators in their pattern only the space counts, because others look like a space.
pub fn is_portable(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c)
}

/// Returns true if the text begins or ends with a space. Source: Elastic Load Balancing user guides,
/// "Tag your load balancer": no leading or trailing spaces. In the XML of S3 such spaces may get
/// lost, so that a plan never becomes empty.
pub fn has_outer_space(text: &str) -> bool {
    text.trim() != text
}

/// Returns the form in which IAM compares keys: two keys that differ only in case are duplicates
/// (`InvalidInput`, "Duplicate tag keys found"). Source: kubernetes/kops#11727.
pub fn folded(key: &str) -> String {
    key.to_lowercase()
}

/// A tag that EC2 rejects at launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagFault {
    /// The key is empty or has more than [`LONGEST_KEY`] characters.
    KeyLength(usize),
    /// The key begins with `aws:`, in upper or lower case.
    Reserved,
    /// The value has more than [`LONGEST_VALUE`] characters.
    ValueLength(usize),
}

impl TagFault {
    /// Returns the first fault of a tag.
    pub fn of(key: &str, value: &str) -> Option<Self> {
        let (key_length, value_length) = (key.chars().count(), value.chars().count());
        if key_length == 0 || key_length > LONGEST_KEY {
            Some(Self::KeyLength(key_length))
        } else if is_reserved(key) {
            Some(Self::Reserved)
        } else {
            (value_length > LONGEST_VALUE).then_some(Self::ValueLength(value_length))
        }
    }

    /// Returns true if the fault is one of the value, not of the key.
    pub fn is_of_value(self) -> bool {
        matches!(self, Self::ValueLength(_))
    }

    /// Returns the state that was found, in words.
    pub fn found(self) -> String {
        match self {
            Self::KeyLength(0) => "is an empty key".to_owned(),
            Self::KeyLength(length) => format!("is a key of {length} characters"),
            Self::Reserved => "begins with `aws:`, which is reserved for AWS".to_owned(),
            Self::ValueLength(length) => format!("is a value of {length} characters"),
        }
    }

    /// Returns the accepted state, in words.
    pub fn expected(self) -> String {
        match self {
            Self::KeyLength(_) => format!("1 to {LONGEST_KEY} characters"),
            Self::Reserved => "another key".to_owned(),
            Self::ValueLength(_) => format!("at most {LONGEST_VALUE} characters"),
        }
    }
}

/// Returns true if AWS reserves the key for itself.
pub fn is_reserved(key: &str) -> bool {
    key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_are_letters_digits_spaces_and_few_signs() {
        assert!("Kostenstelle_1.2:/a=b+c-d@é ä".chars().all(is_portable));
        for c in "#&<>,;?\"'\\\n\t\u{7f}\u{a0}\u{202e}\u{2028}".chars() {
            assert!(!is_portable(c), "{c:?}");
        }
    }

    #[test]
    fn outer_spaces_are_found_at_both_ends() {
        assert!(has_outer_space(" a") && has_outer_space("a ") && has_outer_space(" "));
        assert!(!has_outer_space("a b") && !has_outer_space(""));
    }

    #[test]
    fn the_first_fault_of_a_tag_is_told() {
        let long = |length| "k".repeat(length);
        for (key, value, fault) in [
            ("a", long(256), None),
            ("a", long(257), Some(TagFault::ValueLength(257))),
            ("", long(1), Some(TagFault::KeyLength(0))),
            (&long(128), long(0), None),
            (&long(129), long(0), Some(TagFault::KeyLength(129))),
            (&"é".repeat(128), long(0), None),
            ("aws:x", long(1), Some(TagFault::Reserved)),
            ("AWS:x", long(1), Some(TagFault::Reserved)),
            ("aws", long(1), None),
            ("awé:", long(1), None),
        ] {
            assert_eq!(TagFault::of(key, &value), fault, "{key}");
        }
    }
}
