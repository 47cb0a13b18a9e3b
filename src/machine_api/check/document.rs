//! The text of a file as the objects in it, each of which knows where it is.
//!
//! Knows documents and lists, and nothing of what is in them. Its messages never
//! quote the text.

use std::cell::OnceCell;

use serde_json::Value;

use super::Flaw;
use super::kind::Kind;
use crate::config::{Finding, Place, Places, Rule};

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
    pub(in crate::machine_api) fn objects(&self) -> Result<Vec<Object>, Finding> {
        let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
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
        let places = self.places.get_or_init(|| Places::of(self.text));
        let place = places.locate(&path).place.map(|place| self.in_file(place));
        Finding { rule, path, place, message, expected, hint }
    }

    fn unreadable(&self, error: &serde_saphyr::Error) -> Finding {
        let said = error.to_string();
        let first = said.lines().next().unwrap_or_default();
        let end = first.find(" at line ").unwrap_or(first.len());
        let place = error.location().filter(|_| !self.may_hold_a_secret());
        let place = place.map(|at| self.in_file(self.place(at.line(), at.column())));
        Finding {
            rule: Rule::Yaml,
            path: String::new(),
            place,
            message: format!("not YAML: {}", &first[..end]),
            expected: None,
            hint: None,
        }
    }

    /// Whether its lines had better not be shown: user data is in a Secret, and in what was meant to
    /// be one.
    fn may_hold_a_secret(&self) -> bool {
        ["Secret", "userData", "user-data"].iter().any(|word| self.text.contains(word))
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

    /// The place of a line and a column, both counted from 1.
    fn place(&self, line: u64, column: u64) -> Place {
        let number = |counted: u64| usize::try_from(counted).unwrap_or(1).saturating_sub(1);
        let start: usize = self.text.split_inclusive('\n').take(number(line)).map(str::len).sum();
        let before = self.text[start..].chars().take(number(column)).take_while(|&c| c != '\n');
        let offset = start + before.map(char::len_utf8).sum::<usize>();
        Place::of(self.text, &(offset..offset + 1))
    }
}
