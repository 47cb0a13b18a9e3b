//! Parser of a manifest file: the documents of the file, the objects in each document and their
//! positions.
//!
//! Knows documents and lists, and nothing about their content. Messages of this module never quote
//! the text.

use std::cell::OnceCell;

use serde_json::Value;
use serde_saphyr::options::NonFiniteFloatPolicy;

use super::ObjectFinding;
use super::kind::ManifestKind;
use crate::diagnostics::{Finding, Position};
use crate::install_config::{FieldLocator, unreadable_manifest};

/// Document of a file.
pub(in crate::machine_api) struct Document<'text> {
    text: &'text str,
    /// Offset of the document in the file, in bytes.
    offset: usize,
    /// Number of lines of the file before the document.
    lines: usize,
    /// Positions of the fields. Computed once, and only if the document has a finding.
    places: OnceCell<FieldLocator<'text>>,
}

/// Object of any kind.
pub(in crate::machine_api) struct ManifestObject {
    pub(in crate::machine_api) value: Value,
    /// Path of the object in its document: empty, or an item of a list.
    pub(in crate::machine_api) path: String,
}

/// Splits the text of a file into its documents. Documents without content are omitted.
pub(in crate::machine_api) fn split(text: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let (mut offset, mut lines) = (0, 0);
    let (mut end, mut line_count) = (0, 0);
    for line in text.split_inclusive('\n') {
        let is_marker = line.trim_end() == "---" || line.starts_with("--- ");
        if is_marker {
            documents.push(Document::new(&text[offset..end], offset, lines));
        }
        (end, line_count) = (end + line.len(), line_count + 1);
        if is_marker {
            (offset, lines) = (end, line_count);
        }
    }
    documents.push(Document::new(&text[offset..], offset, lines));
    documents.retain(|document| says_something(document.text));
    documents
}

fn says_something(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'))
}

impl<'text> Document<'text> {
    fn new(text: &'text str, offset: usize, lines: usize) -> Self {
        Self { text, offset, lines, places: OnceCell::new() }
    }

    /// Returns the number of the first line of the document in its file.
    pub(in crate::machine_api) fn first_line(&self) -> usize {
        self.lines + 1
    }

    /// Returns the objects of the document, including those in a list.
    ///
    /// # Errors
    /// Returns findings if the document cannot be parsed.
    pub(in crate::machine_api) fn objects(&self) -> Result<Vec<ManifestObject>, Vec<Finding>> {
        let options = serde_saphyr::options! {
            strict_booleans: true,
            with_snippet: false, // it would quote secrets
            // A non-finite number parses as a string, so the type check reports it at its position.
            non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        };
        let mut root: Value = serde_saphyr::from_str_with_options(self.text, options)
            .map_err(|error| self.unreadable(&error))?;
        let is_list = root["items"].is_array() && ManifestKind::of(&root).is_none();
        let Value::Array(items) = (if is_list { root["items"].take() } else { Value::Null }) else {
            return Ok(vec![ManifestObject { value: root, path: String::new() }]);
        };
        let at = |(index, value)| ManifestObject { value, path: format!("items[{index}]") };
        Ok(items.into_iter().enumerate().map(at).collect())
    }

    /// Returns the finding for a flaw of the object at the path `object`, with its position.
    pub(in crate::machine_api) fn finding(&self, object: &str, finding: ObjectFinding) -> Finding {
        let ObjectFinding { rule, path, message, expected, hint } = finding.within(object);
        let places = self.places.get_or_init(|| FieldLocator::of_manifest(self.text));
        let place = places.locate(&path).place.map(|place| self.in_file(place));
        Finding { rule, severity: rule.severity(), path, place, message, expected, hint }
    }

    fn unreadable(&self, error: &serde_saphyr::Error) -> Vec<Finding> {
        let found = unreadable_manifest(self.text, self.lines, error).into_iter();
        found.map(|finding| self.without_secrets(self.moved(finding))).collect()
    }

    fn moved(&self, finding: Finding) -> Finding {
        Finding { place: finding.place.map(|place| self.in_file(place)), ..finding }
    }

    /// Replaces the excerpt of a finding by its line and column, if the text may contain a Secret.
    fn without_secrets(&self, finding: Finding) -> Finding {
        let Some(place) = finding.place.filter(|_| may_be_a_secret(self.text)) else {
            return finding;
        };
        let message = format!("{} (line {}, column {})", finding.message, place.line, place.column);
        Finding { message, place: None, ..finding }
    }

    /// Converts a position in the document into a position in the file.
    fn in_file(&self, place: Position) -> Position {
        Position {
            line: place.line + self.lines,
            start: place.start + self.offset,
            end: place.end + self.offset,
            ..place
        }
    }
}

/// Returns true if a text contains, or was meant to contain, a Secret. The kind or the fields show
/// a Secret. The `userDataSecret` of a machine only names a Secret and does not match.
fn may_be_a_secret(text: &str) -> bool {
    const FIELDS: [&str; 3] = ["stringdata:", "userdata:", "kind:secret"];
    let plain = |c: &char| !matches!(c, ' ' | '"' | '\'' | '\t');
    let text: String = text.chars().filter(plain).flat_map(char::to_lowercase).collect();
    let is_data = |(at, _): (usize, &str)| !text[..at].ends_with(|c: char| c.is_alphanumeric());
    FIELDS.iter().any(|field| text.contains(field)) || text.match_indices("data:").any(is_data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_kind_and_by_its_fields_and_a_machine_is_none() {
        for secret in [
            "kind: Secret\n",
            "{\"kind\": \"Secret\"}",
            "data:\n  x: y\n",
            "- stringData: {a: b}\n",
            "x:\n  userData: 'abc'\n",
            "{a: 1, data: {x: y}}",
            "\tdata : x",
        ] {
            assert!(may_be_a_secret(secret), "{secret}");
        }
        for other in
            ["userDataSecret:\n  name: worker-user-data\n", "metadata: {}\nkind: Machine\n"]
        {
            assert!(!may_be_a_secret(other), "{other}");
        }
    }
}
