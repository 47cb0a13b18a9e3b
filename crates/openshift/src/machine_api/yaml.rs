//! YAML writer with the format of sigs.k8s.io/yaml, which openshift-install uses for its manifests.
//!
//! Keys are sorted, lists are indented like their keys, and words are quoted only if YAML would
//! read them as another type. Equal values give equal bytes, and reading the text returns the same
//! value.

use std::fmt::Write;

use serde_json::{Map, Value};

/// Returns the YAML text of a value.
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => mapping(&mut text, fields, 0, false),
        Value::Array(items) if !items.is_empty() => list(&mut text, items, 0),
        scalar => {
            text.push_str(&flow(scalar));
            text.push('\n');
        }
    }
    text
}

/// Writes the fields, one per line. If `begun`, the first field continues the current line.
fn mapping(text: &mut String, fields: &Map<String, Value>, depth: usize, begun: bool) {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        if index > 0 || !begun {
            indent(text, depth);
        }
        text.push_str(&word(name));
        text.push(':');
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                text.push('\n');
                mapping(text, fields, depth + 1, false);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                list(text, items, depth);
            }
            scalar => after(text, scalar, depth + 1),
        }
    }
}

fn list(text: &mut String, items: &[Value], depth: usize) {
    for item in items {
        indent(text, depth);
        text.push('-');
        match item {
            Value::Object(fields) if !fields.is_empty() => {
                text.push(' ');
                mapping(text, fields, depth + 1, true);
            }
            // A list in a list begins on the line of its dash.
            Value::Array(items) if !items.is_empty() => {
                let mut inner = String::new();
                list(&mut inner, items, depth + 1);
                text.push(' ');
                text.push_str(inner.trim_start());
            }
            scalar => after(text, scalar, depth + 1),
        }
    }
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// Writes a value after its key or dash, or as a block of lines.
fn after(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::String(lines) if is_block(lines) => block(text, lines, depth),
        scalar => {
            let _ = writeln!(text, " {}", flow(scalar)); // writing to a String cannot fail
        }
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        other => other.to_string(),
    }
}

/// Returns true if a text is written as a block, line by line.
fn is_block(text: &str) -> bool {
    let plain = |c: char| c == '\n' || is_printable(c);
    text.contains('\n')
        && text.chars().all(plain)
        && !text.starts_with([' ', '\n'])
        && !text.contains(" \n")
}

fn block(text: &mut String, lines: &str, depth: usize) {
    let chomp = match lines {
        _ if lines.ends_with("\n\n") => "+",
        _ if lines.ends_with('\n') => "",
        _ => "-",
    };
    let _ = writeln!(text, " |{chomp}"); // writing to a String cannot fail
    let lines = lines.strip_suffix('\n').unwrap_or(lines);
    for line in lines.split('\n') {
        if !line.is_empty() {
            indent(text, depth);
            text.push_str(line);
        }
        text.push('\n');
    }
}

/// Returns a text on one line, without quotes or in the quotes that it needs.
fn word(text: &str) -> String {
    if text.is_empty() || means_something_else(text) || !text.chars().all(is_printable) {
        return quoted(text);
    }
    if is_bare(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Returns a text in double quotes. The escapes of JSON are valid in YAML.
fn quoted(text: &str) -> String {
    let mut quoted = Value::from(text).to_string();
    for c in text.chars().filter(|c| !is_printable(*c) && !c.is_ascii()) {
        quoted = quoted.replace(c, &format!("\\u{:04x}", u32::from(c)));
    }
    quoted
}

/// Returns true if a YAML 1.1 or 1.2 reader could read the text as another type.
fn means_something_else(text: &str) -> bool {
    const WORDS: [&str; 12] =
        ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", "<<", "="];
    let lower = text.to_ascii_lowercase();
    WORDS.contains(&lower.as_str()) || is_number_or_time(&lower)
}

/// Returns true for numbers in any base, with signs, underscores, exponents or colons, for dates,
/// and for `.inf` and `.nan`. Unnecessary quotes are harmless, so doubtful texts count as numbers.
fn is_number_or_time(lower: &str) -> bool {
    let unsigned = lower.trim_start_matches(['+', '-']);
    if matches!(unsigned, ".inf" | ".nan") {
        return true;
    }
    if let Some(digits) = unsigned.strip_prefix("0x") {
        return digits.chars().all(|c| c.is_ascii_hexdigit() || c == '_');
    }
    let begins = unsigned.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit());
    let within = |c: char| {
        c.is_ascii_digit()
            || matches!(c, '.' | '_' | ':' | '+' | '-' | 'e' | 't' | 'z' | 'o' | 'b' | ' ')
    };
    begins && unsigned.chars().all(within)
}

/// Returns true if a text needs no quotes in a block (YAML 1.2, 7.3.3).
fn is_bare(text: &str) -> bool {
    const INDICATORS: &str = "-?:,[]{}#&*!|>'\"%@`";
    let first = text.chars().next().unwrap_or(' ');
    let second = text.chars().nth(1);
    let safe_start = match first {
        '-' | '?' | ':' => second.is_some_and(|c| c != ' '),
        _ => !INDICATORS.contains(first),
    };
    safe_start
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !text.starts_with(' ')
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn an_object_is_written_as_go_writes_it() {
        let value = json!({
            "b": [{"name": "x", "values": ["a", ["b"]]}, {}],
            "a": {"empty": {}, "none": [], "nothing": null, "text": ""},
            "c": 0,
        });
        let expected = "\
a:
  empty: {}
  none: []
  nothing: null
  text: \"\"
b:
- name: x
  values:
  - a
  - - b
- {}
c: 0
";
        assert_eq!(write(&value), expected);
        assert_eq!(read(expected), value);
    }

    #[test]
    fn only_what_would_be_something_else_is_in_quotes() {
        for (value, written) in [
            ("us-west-2a", "us-west-2a"),
            ("kubernetes.io/cluster/demo-x7k2p", "kubernetes.io/cluster/demo-x7k2p"),
            ("tag:Name", "tag:Name"),
            ("7536", "\"7536\""),
            ("1e3", "\"1e3\""),
            ("0x1F", "\"0x1F\""),
            ("12:30:45", "\"12:30:45\""),
            ("2026-01-31", "\"2026-01-31\""),
            ("true", "\"true\""),
            ("No", "\"No\""),
            ("~", "\"~\""),
            ("a: b", "'a: b'"),
            ("it's #1", "'it''s #1'"),
            ("a,b [c]", "a,b [c]"),
            ("@team", "'@team'"),
            ("-x", "-x"),
            ("- x", "'- x'"),
            ("tab\there", "\"tab\\there\""),
        ] {
            assert_eq!(word(value), written);
        }
    }

    #[test]
    fn lines_are_written_as_lines() {
        let value = json!({"a": "one\ntwo\n", "b": "one\n\n two", "c": "x\n\n"});
        let expected = "a: |\n  one\n  two\nb: |-\n  one\n\n   two\nc: |+\n  x\n\n";
        assert_eq!(write(&value), expected);
        assert_eq!(read(expected), value);
    }

    fn tricky() -> impl Strategy<Value = String> {
        let words = [
            "yes", "0o7", "1_000", "1:30", "=", "null", "- a", "a #b", "[x]", " x", "x ", "?",
            "!t", "'", "\"", "%a", "a:", "...", "a\nb\n",
        ];
        prop_oneof![
            proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
            "[ -~]{0,12}",
            "[\\PC\n\t]{0,12}",
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            tricky().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(tricky(), inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_what_it_was(value in value()) {
            let text = write(&json!({"value": value}));
            prop_assert_eq!(read(&text), json!({"value": value}), "{}", text);
        }
    }
}
