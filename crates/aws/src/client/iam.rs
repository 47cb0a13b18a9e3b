//! Shared code of the IAM kinds: tags, and the comparison of policy documents by meaning.

use aws_sdk_iam::types::Tag;
use serde_json::Value;

use crate::Tags;

/// Error code of IAM for a role, policy or profile that does not exist.
pub(crate) const ABSENT: &[&str] = &["NoSuchEntity"];

/// Converts tags to the IAM type.
pub(crate) fn tags(tags: &Tags) -> Vec<Tag> {
    let tag = |(key, value)| Tag::builder().key(key).value(value).build();
    tags.iter().map(|pair| tag(pair).expect("BUG: a tag has a key and a value")).collect()
}

/// Converts tags from the IAM type.
pub(crate) fn live_tags(tags: &[Tag]) -> Tags {
    tags.iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}

/// Returns the live policy document, or `recorded` if both mean the same.
///
/// IAM returns percent-encoded text (RFC 3986). A text that is not JSON becomes a string.
pub(crate) fn live_document(recorded: &Value, encoded: &str) -> Value {
    let text = percent_decode(encoded);
    match serde_json::from_slice(&text) {
        Ok(live) if canonical(&live) == canonical(recorded) => recorded.clone(),
        Ok(live) => live,
        Err(_) => Value::String(String::from_utf8_lossy(&text).into_owned()),
    }
}

/// Returns the normal form of a policy; equivalent policies have equal normal forms. IAM treats a
/// list of one like its element, ignores the order of lists, and reads `true` and `"true"` alike.
fn canonical(policy: &Value) -> Value {
    match policy {
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(canonical).collect();
            items.sort_by_cached_key(Value::to_string);
            items.dedup();
            if items.len() == 1 { items.remove(0) } else { Value::Array(items) }
        }
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), canonical(value))).collect()
        }
        Value::Bool(_) | Value::Number(_) => Value::String(policy.to_string()),
        Value::String(_) | Value::Null => policy.clone(),
    }
}

/// Decodes percent-encoded text to bytes. Text that is not a valid escape stays unchanged.
fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        decoded.push(escaped.map_or(*first, |(high, low)| high << 4 | low));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    decoded
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| value.try_into().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn percent_escapes_are_undone_and_nothing_else() {
        assert_eq!(percent_decode("%7B%22a%22%3A%20%22b+c%22%7d"), br#"{"a": "b+c"}"#);
        assert_eq!(percent_decode("100%"), b"100%");
        assert_eq!(percent_decode("%zz%4"), b"%zz%4");
        assert_eq!(percent_decode("%C3%A9"), "é".as_bytes());
    }

    #[test]
    fn a_document_that_means_the_same_is_as_recorded() {
        let recorded = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["ec2:DescribeRegions", "ec2:DescribeInstances"], "Resource": "*"},
        ]});
        let live = json!({"Statement": {
            "Resource": ["*"], "Action": ["ec2:DescribeInstances", "ec2:DescribeRegions"], "Effect": "Allow",
        }, "Version": "2012-10-17"});
        assert_eq!(live_document(&recorded, &live.to_string()), recorded);
    }

    #[test]
    fn a_document_that_allows_more_is_shown_as_it_is() {
        let recorded = json!({"Statement": [{"Effect": "Allow", "Action": "ec2:DescribeRegions"}]});
        let live = json!({"Statement": [{"Effect": "Allow", "Action": "ec2:*"}]});
        assert_eq!(live_document(&recorded, &live.to_string()), live);
        assert_eq!(live_document(&recorded, "not JSON"), json!("not JSON"));
    }
}
