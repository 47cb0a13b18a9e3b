//! Text form of one input: unknown, secret and long values.

use groundplan_engine::graph::as_ref;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::painted;
use super::palette::{CREATE, DELETE, FAINT};
use super::screen::{self, for_json, one_line};

/// Text instead of a secret.
pub(super) const SENSITIVE: &str = "(sensitive)";

/// Returns true if the value, or a part of it, is known only after the apply.
pub(super) fn is_unknown(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(is_unknown),
        Value::Object(fields) => as_ref(value).is_some() || fields.values().any(is_unknown),
        _ => false,
    }
}

/// Returns true if the value is the digest of a secret.
pub(super) fn is_secret(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| fields.contains_key("$secret"))
}

/// Returns true if the value, or a part of it, is the digest of a secret.
pub(super) fn is_sensitive(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(is_sensitive),
        Value::Object(fields) => {
            fields.contains_key("$secret") || fields.values().any(is_sensitive)
        }
        _ => false,
    }
}

/// Returns a new value behind an arrow: a reference is the address of its target, without another
/// arrow.
pub(super) fn target(value: &Value) -> String {
    match as_ref(value) {
        Some(reference) => one_line(&reference.to_string()).into_owned(),
        None => inline(value),
    }
}

/// Returns a value on one line. A reference is an arrow and the address of its target, because the
/// value is known only after the apply.
pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::Object(_) if as_ref(value).is_some() => format!("-> {}", target(value)),
        Value::Object(fields) if fields.contains_key("$secret") => SENSITIVE.to_owned(),
        Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(k, v)| format!("{}: {}", one_line(k), inline(v))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        plain => for_json(&plain.to_string()).into_owned(),
    }
}

/// Returns a long text as lines; `None` if the value fits on one line.
pub(super) fn lines(value: &Value) -> Option<String> {
    let text = &*screen::lines(value.as_str()?);
    if let Some(pretty) = document(text) {
        return Some(pretty);
    }
    text.trim_end().contains('\n').then(|| text.trim_end().to_owned())
}

/// Returns a JSON document kept as text (a policy) with line breaks; `None` for other text.
fn document(text: &str) -> Option<String> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let document: Value = serde_json::from_str(text).ok()?;
    serde_json::to_string_pretty(&document).ok()
}

/// Returns the lines in which two long texts differ, with two lines of context each.
pub(super) fn line_diff(before: &str, after: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(before, after);
    let mut lines = Vec::new();
    for (index, group) in diff.grouped_ops(2).iter().enumerate() {
        if index > 0 {
            lines.push(painted(FAINT, "…"));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let text = change.value().trim_end_matches('\n');
            lines.push(match change.tag() {
                ChangeTag::Equal => format!("  {text}"),
                ChangeTag::Delete => painted(DELETE, format!("- {text}")),
                ChangeTag::Insert => painted(CREATE, format!("+ {text}")),
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_and_what_is_secret_say_so_wherever_they_are() {
        let reference = json!({"$ref": "vpc.main", "output": "id"});
        let secret = json!({"$secret": "sha256:00"});
        assert_eq!(inline(&reference), "-> vpc.main");
        assert_eq!(inline(&secret), "(sensitive)");
        let nested = json!({"group": reference, "data": [secret]});
        assert_eq!(inline(&nested), "{data: [(sensitive)], group: -> vpc.main}");
        assert!(is_unknown(&nested) && is_sensitive(&nested));
        assert!(!is_unknown(&json!({"a": ["b"]})) && !is_sensitive(&json!({"a": ["b"]})));
    }

    #[test]
    fn a_policy_is_read_line_by_line() {
        assert_eq!(lines(&json!("{\"a\":[1]}")).unwrap(), "{\n  \"a\": [\n    1\n  ]\n}");
        assert_eq!(lines(&json!("one\ntwo\n")).unwrap(), "one\ntwo");
        assert_eq!(lines(&json!("one")), None);
        assert_eq!(lines(&json!("{not json")), None);
    }

    #[test]
    fn long_texts_show_only_the_lines_that_differ() {
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n";
        let after = before.replace("2\n3", "2\nthree").replace("11\n", "");
        let lines: Vec<_> = line_diff(before, &after).into_iter().map(plain).collect();
        assert_eq!(
            lines,
            ["  1", "  2", "- 3", "+ three", "  4", "  5", "…", "  9", "  10", "- 11", "  12"]
        );
    }
}
