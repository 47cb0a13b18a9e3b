//! Parsing: YAML text becomes a tree in which every key and value has its position.
//!
//! Knows YAML and its hazards (alias bombs, depth, several documents), and no install-config.
//! Messages never quote the text.

use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, Options, Spanned};

use super::rules::Rule;

/// A value and its position in the text, in bytes. Without `Debug`, because it may contain secrets.
pub(crate) struct YamlNode {
    pub(crate) span: Range<usize>,
    pub(crate) content: YamlContent,
}

/// Content of a node.
pub(crate) enum YamlContent {
    Null,
    Bool(bool),
    Integer(i128),
    Float,
    Text(String),
    List(Vec<YamlNode>),
    /// Entries in the order of the text. A key may occur twice.
    Mapping(Vec<(YamlKey, YamlNode)>),
}

/// Key of a mapping entry.
pub(crate) struct YamlKey {
    pub(crate) span: Range<usize>,
    pub(crate) name: String,
}

/// The reason why a text is not a single YAML document.
pub(crate) struct Malformed {
    /// The byte of the error. `None` without a single position.
    pub(crate) offset: Option<usize>,
    pub(crate) rule: Rule,
    pub(crate) message: String,
    pub(crate) hint: Option<&'static str>,
}

/// Maximum depth, twice that of the schema. Each level costs the parser about 30 KiB of stack
/// without optimisation, and threads have 2 MiB.
const DEEPEST: usize = 24;

/// Maximum number of values in an install-config.
const MOST_VALUES: usize = 20_000;
/// Maximum number of values in a list of machines. Enough for several thousand machines.
pub(crate) const MOST_VALUES_OF_MACHINES: usize = 250_000;

/// Parses one document of at most [`MOST_VALUES`] values.
pub(crate) fn parse(text: &str) -> Result<YamlNode, Malformed> {
    parse_up_to(text, MOST_VALUES)
}

/// Parses one document of at most `most` values.
pub(crate) fn parse_up_to(text: &str, most: usize) -> Result<YamlNode, Malformed> {
    let spanned = serde_saphyr::from_str_with_options::<Spanned<YamlContent>>(text, options(most))
        .map_err(|error| malformed(&error, text))?;
    match spanned.value {
        YamlContent::Null => Err(Malformed::whole(Rule::Empty, "the file is empty")),
        _ => Ok(place(spanned)),
    }
}

fn options(most: usize) -> Options {
    serde_saphyr::options! {
        strict_booleans: true, // `yes` is a string, as in the installer's reader
        duplicate_keys: DuplicateKeyPolicy::PassThrough, // `document` reports them
        with_snippet: false, // a snippet would quote secrets
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        budget: serde_saphyr::budget! { max_nodes: most, max_depth: DEEPEST, max_aliases: 200 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_VALUES },
    }
}

impl Malformed {
    fn whole(rule: Rule, message: impl Into<String>) -> Self {
        Self { offset: None, rule, message: message.into(), hint: None }
    }
}

/// Converts a parser error. The message is the parser's, without the position.
pub(crate) fn malformed(error: &Error, text: &str) -> Malformed {
    let location = error.location();
    let offset = location.map(|at| offset(text, at.line(), at.column()));
    let said = error.to_string();
    let (rule, message, hint) = match error {
        Error::MultipleDocuments { .. } => (
            Rule::Documents,
            "the file has several YAML documents".to_owned(),
            Some("keep one, and remove the others with the `---` before them"),
        ),
        // The parser wraps errors inside an alias and keeps only their text.
        _ if ["limit exceeded", "budget breached"].iter().any(|part| said.contains(part)) => {
            (Rule::FileSize, TOO_LARGE.to_owned(), None)
        }
        Error::NullIntoString { .. } | Error::Unexpected { .. } => {
            (Rule::WrongType, "the name of a field must be a string".to_owned(), None)
        }
        _ => (Rule::Yaml, without_place(&said), hint(&said)),
    };
    Malformed { offset, rule, message, hint }
}

const TOO_LARGE: &str = "the file is too large after the expansion of aliases";

/// Returns the parser's message for errors in YAML, and a message of this module for errors in the
/// parser's own terms.
fn without_place(said: &str) -> String {
    const OURS: [(&str, &str); 3] = [
        ("weak recursion", "an alias refers to a value that contains the alias"),
        ("string scalar", "the name of a field must be a string"),
        ("base64", "a value that is marked as `!!binary` is not base64"),
    ];
    let said = said.lines().next().unwrap_or_default();
    let ours = OURS.iter().find(|(part, _)| said.contains(part)).map(|(_, ours)| *ours);
    let places = [" at line ", " (defined"].into_iter().filter_map(|part| said.find(part));
    let end = places.min().unwrap_or(said.len());
    format!("not YAML: {}", ours.unwrap_or(&said[..end]))
}

fn hint(said: &str) -> Option<&'static str> {
    const HINTS: [(&str, &str); 9] = [
        ("tab", "indent with spaces"),
        ("unclosed quote", "close the quote that begins here"),
        ("unclosed bracket", "close the bracket that begins here"),
        ("mapping values are not allowed", "check the indentation, or put the value in quotes"),
        ("unexpected character", "put the value in quotes"),
        ("unknown anchor", "put the value in quotes, unless it refers to an `&anchor`"),
        ("expected key", "check the indentation: the fields of a mapping begin in one column"),
        ("trailing content", "check where the quotes end"),
        ("simple key", "put a `:` after the name of the field"),
    ];
    HINTS.iter().find(|(part, _)| said.contains(part)).map(|(_, hint)| *hint)
}

/// Returns the byte offset of a line and column, both counted from 1. The parser's own
/// errors have no offset.
fn offset(text: &str, line: u64, column: u64) -> usize {
    let number = usize::try_from(line).unwrap_or(1).saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(number).map(str::len).sum();
    let skipped = usize::try_from(column).unwrap_or(1).saturating_sub(1);
    text[start..]
        .chars()
        .take(skipped)
        .take_while(|&c| c != '\n')
        .map(char::len_utf8)
        .sum::<usize>()
        + start
}

fn place(spanned: Spanned<YamlContent>) -> YamlNode {
    YamlNode { span: bytes(spanned.defined), content: spanned.value }
}

/// Returns the bytes of a value. For an alias, returns the bytes of the anchor.
fn bytes(location: Location) -> Range<usize> {
    let start = usize_of(location.span().byte_offset());
    let length = usize_of(location.span().byte_len());
    start..start + length
}

fn usize_of(bytes: Option<u64>) -> usize {
    bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default()
}

impl<'de> Deserialize<'de> for YamlContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = YamlContent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<YamlContent, E> {
        Ok(YamlContent::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<YamlContent, E> {
        Ok(YamlContent::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<YamlContent, E> {
        Ok(YamlContent::Integer(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<YamlContent, E> {
        Ok(YamlContent::Integer(value.into()))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<YamlContent, E> {
        Ok(YamlContent::Float)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<YamlContent, E> {
        Ok(YamlContent::Text(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<YamlContent, E> {
        Ok(YamlContent::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<YamlContent, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<YamlContent>>()? {
            list.push(place(item));
        }
        Ok(YamlContent::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<YamlContent, A::Error> {
        let mut mapping = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let key = YamlKey { span: bytes(key.defined), name: key.value };
            mapping.push((key, place(entries.next_value::<Spanned<YamlContent>>()?)));
        }
        Ok(YamlContent::Mapping(mapping))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the value of `key` in a document as written.
    fn written<'t>(text: &'t str, key: &str) -> &'t str {
        let YamlContent::Mapping(entries) = parse(text).ok().unwrap().content else {
            panic!("not a mapping")
        };
        let (_, node) = entries.iter().find(|(entry, _)| entry.name == key).unwrap();
        &text[node.span.clone()]
    }

    fn message(text: &str) -> (String, Option<usize>) {
        let malformed = parse(text).err().unwrap_or_else(|| panic!("{text:?} was read"));
        (malformed.message, malformed.offset)
    }

    #[test]
    fn a_value_knows_its_bytes_also_after_a_byte_order_mark_and_with_windows_line_ends() {
        assert_eq!(written("\u{feff}a: é\r\nb: 'x y'\r\n", "b"), "'x y'");
        assert_eq!(written("x: &m 1.10\nb: *m\n", "b"), "1.10");
    }

    #[test]
    fn a_repeated_key_is_kept() {
        let YamlContent::Mapping(entries) = parse("a: 1\na: 2\n").ok().unwrap().content else {
            panic!("not a mapping")
        };
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn what_is_not_one_document_is_said_in_a_sentence_with_a_place() {
        for (text, expected, place) in [
            ("", "the file is empty", None),
            ("# nothing\n---\n", "the file is empty", None),
            ("a: 1\n---\nb: 2\n", "the file has several YAML documents", Some(9)),
            ("é: 1\na:\n\tb: 1\n", "not YAML: tabs disallowed", Some(10)),
            ("a: 'x\nb: 1\n", "not YAML: unclosed quote", Some(3)),
            ("a: 1\n  b: 2\n", "not YAML: mapping values", Some(8)),
            ("a: *nope\n", "not YAML: alias references unknown anchor", Some(3)),
            ("? [a]\n: b\n", "the name of a field must be a string", Some(2)),
        ] {
            let (found, offset) = message(text);
            assert!(found.starts_with(expected), "{text:?}: {found}");
            assert!(!found.contains('\n') && !found.contains(" line "), "{found}");
            assert_eq!(offset, place, "{text:?}");
        }
    }

    #[test]
    fn bombs_are_refused_quickly() {
        let mut aliases = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..9 {
            let uses = vec![format!("*a{}", level - 1); 10].join(",");
            aliases += &format!("a{level}: &a{level} [{uses}]\n");
        }
        let mut deep = String::from("a0: &a0 {k: x}\n");
        for level in 1..150 {
            deep += &format!("a{level}: &a{level} {{k: *a{}}}\n", level - 1);
        }
        let merged = deep.replace("k: *", "<<: *");
        let many = "- x\n".repeat(30_000);
        let nested = ["[", "- ", "? ", "{a: "].map(|opening| opening.repeat(20_000));
        let start = std::time::Instant::now();
        for bomb in nested.into_iter().chain([aliases, deep, merged, many]) {
            assert_eq!(message(&bomb).0, TOO_LARGE, "{}", &bomb[..40]);
        }
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }
}
