//! The text of a file as the objects in it, each of which knows where it is.
//!
//! Knows documents and lists, and nothing of what is in them. Its messages never
//! quote the text.

use std::cell::OnceCell;

use serde_json::Value;
use serde_saphyr::options::NonFiniteFloatPolicy;

use super::Flaw;
use super::kind::Kind;
use crate::config::{Finding, Place, Places, unreadable_manifest};

/// One document of a file.
pub(in crate::machine_api) struct Document<'text> {
    text: &'text str,
    /// How many bytes of the file come before it.
    offset: usize,
    /// How many lines.
    lines: usize,
    /// Found out once, if anything is to be found in it.
    places: OnceCell<Places<'text>>,
}

/// An object of whatever kind.
pub(in crate::machine_api) struct Object {
    pub(in crate::machine_api) value: Value,
    /// Where it is in its document: nothing, or an item of a list.
    pub(in crate::machine_api) path: String,
}

/// The documents of a file; those with nothing in them are none.
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

    /// The objects, also those in a list; or why it cannot be read.
    pub(in crate::machine_api) fn objects(&self) -> Result<Vec<Object>, Vec<Finding>> {
        let options = serde_saphyr::options! {
            strict_booleans: true,
            with_snippet: false, // it would quote secrets
            // A number that there is not is one of another type, which is said where it stands.
            non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        };
        let mut root: Value = serde_saphyr::from_str_with_options(self.text, options)
            .map_err(|error| self.unreadable(&error))?;
        let is_list = root["items"].is_array() && Kind::of(&root).is_none();
        let Value::Array(items) = (if is_list { root["items"].take() } else { Value::Null }) else {
            return Ok(vec![Object { value: root, path: String::new() }]);
        };
        let at = |(index, value)| Object { value, path: format!("items[{index}]") };
        Ok(items.into_iter().enumerate().map(at).collect())
    }

    /// A flaw of the object that is at a path, with its place.
    pub(in crate::machine_api) fn finding(&self, object: &str, flaw: Flaw) -> Finding {
        let Flaw { rule, path, message, expected, hint } = flaw.within(object);
        let places = self.places.get_or_init(|| Places::of_manifest(self.text));
        let place = places.locate(&path).place.map(|place| self.in_file(place));
        Finding { rule, path, place, message, expected, hint }
    }

    fn unreadable(&self, error: &serde_saphyr::Error) -> Vec<Finding> {
        let found = unreadable_manifest(self.text, self.lines, error).into_iter();
        found.map(|finding| self.without_secrets(self.moved(finding))).collect()
    }

    fn moved(&self, finding: Finding) -> Finding {
        Finding { place: finding.place.map(|place| self.in_file(place)), ..finding }
    }

    /// The line of a Secret is named and not shown.
    fn without_secrets(&self, finding: Finding) -> Finding {
        let Some(place) = finding.place.filter(|_| may_be_a_secret(self.text)) else {
            return finding;
        };
        let message = format!("{} (line {}, column {})", finding.message, place.line, place.column);
        Finding { message, place: None, ..finding }
    }

    /// A place in the document as one in the file.
    fn in_file(&self, place: Place) -> Place {
        Place {
            line: place.line + self.lines,
            start: place.start + self.offset,
            end: place.end + self.offset,
            ..place
        }
    }
}

/// Whether there is, or was meant to be, a Secret in a text, by its kind or its fields. A machine names
/// one as its `userDataSecret` and has none.
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
