//! A copy of a text without secrets, line by line the same.
//!
//! Works on lines of text and not on YAML, because findings also show files that cannot be parsed.
//! Prefers to remove too much.

use std::ops::Range;

use super::document;
use crate::diagnostics::finding::may_be_secret;

/// Replacement of a secret.
const PLACEHOLDER: &str = "<not shown>";

/// A text without secrets, with a map of the removed parts.
pub(super) struct Redacted {
    pub(super) text: String,
    /// Removed parts: bytes in the original, and bytes of the placeholder.
    gaps: Vec<(Range<usize>, Range<usize>)>,
}

impl Redacted {
    /// Removes the secrets from a text.
    pub(super) fn of(text: &str) -> Self {
        let mut redacted = Self { text: String::with_capacity(text.len()), gaps: Vec::new() };
        let mut inside: Option<usize> = None;
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            let secret = secret_part(line, &mut inside);
            redacted.add(line, secret, offset);
            offset += line.len();
        }
        redacted
    }

    fn add(&mut self, line: &str, secret: Option<usize>, offset: usize) {
        let content = line.trim_end().len();
        let Some(from) = secret.filter(|&from| from < content) else {
            self.text.push_str(line);
            return;
        };
        self.text.push_str(&line[..from]);
        let start = self.text.len();
        self.text.push_str(PLACEHOLDER);
        self.gaps.push((offset + from..offset + content, start..self.text.len()));
        self.text.push_str(&line[content..]);
    }

    /// Maps bytes of the original to bytes of this text. Removed bytes map to their placeholder.
    pub(super) fn span(&self, original: Range<usize>) -> Range<usize> {
        let start = self.moved(original.start, |gap| gap.start);
        let end = self.moved(original.end, |gap| gap.end);
        start..end.max(start)
    }

    fn moved(&self, offset: usize, edge: fn(&Range<usize>) -> usize) -> usize {
        let before = self.gaps.iter().take_while(|(gap, _)| gap.start <= offset).last();
        let moved = match before {
            None => offset,
            Some((gap, now)) if offset == gap.start => now.start,
            Some((gap, now)) if offset < gap.end => edge(now),
            Some((gap, now)) => now.end + (offset - gap.end),
        };
        moved.min(self.text.len())
    }
}

/// Returns the first secret byte of a line. `inside` is the indentation of the secret field whose
/// value may continue on this line.
fn secret_part(line: &str, inside: &mut Option<usize>) -> Option<usize> {
    let indent = line.len() - line.trim_start().len();
    if inside.is_some_and(|parent| ends(line, indent, parent)) {
        *inside = None;
    }
    if let Some(from) = after_secret_key(line) {
        *inside = Some(inside.unwrap_or(indent).min(indent));
        return Some(from);
    }
    if inside.is_some() || may_be_secret(line) {
        return Some(indent);
    }
    None
}

/// Returns true if a line is after the value of a field with this indentation. Without indentation,
/// only a field of the schema ends a value, because a secret pasted there can have any form.
fn ends(line: &str, indent: usize, parent: usize) -> bool {
    let trimmed = line.trim();
    if trimmed.is_empty() || indent > parent {
        return false;
    }
    if matches!(trimmed, "---" | "...") {
        return true; // the end of a document
    }
    let name = trimmed.trim_start_matches("- ").split(':').next().unwrap_or_default();
    let name = name.trim_matches(['"', '\'', ' ']);
    if indent == 0 { document::Document::FIELDS.contains(&name) } else { !name.is_empty() }
}

/// Fields whose values are never shown, in lower case. Other spellings and a plural also match.
const SECRET_FIELDS: [&str; 6] =
    ["pullsecret", "sshkey", "httpproxy", "httpsproxy", "additionaltrustbundle", "auth"];

/// Returns the first byte of the value after the name of a secret field and its colon.
fn after_secret_key(line: &str) -> Option<usize> {
    let colons = line.match_indices(':').map(|(at, _)| at);
    colons.into_iter().find(|&colon| is_secret_key(&line[..colon])).map(|colon| {
        let rest = &line[colon + 1..];
        colon + 1 + (rest.len() - rest.trim_start().len())
    })
}

fn is_secret_key(before_colon: &str) -> bool {
    let key = before_colon.rsplit(['{', ',', '?']).next().unwrap_or_default();
    let key: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
    let key = key.to_lowercase();
    SECRET_FIELDS.iter().any(|field| key == *field || key == format!("{field}s"))
}
