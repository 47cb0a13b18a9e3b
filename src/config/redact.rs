//! A copy of a text that can be shown: the same lines, with what may be secret taken out.
//!
//! Works line by line on the text alone, because the text that most needs showing is the one that
//! could not be read. Rather takes out too much than too little.

use std::ops::Range;

use super::document;
use super::finding::may_be_secret;

/// What stands for a secret.
const PLACEHOLDER: &str = "<not shown>";

/// A text without secrets, and where its pieces come from.
pub(super) struct Redacted {
    pub(super) text: String,
    /// What was taken out: bytes of the original, and where its placeholder is.
    gaps: Vec<(Range<usize>, Range<usize>)>,
}

impl Redacted {
    /// Takes the secrets out of a text.
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

    /// Where bytes of the original are now. What was taken out is where its placeholder is.
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

/// From which byte on a line is secret. `inside` is the indentation of the secret field whose
/// value may still go on.
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

/// Whether a line is beyond the value of a field that is indented so much. At the left edge only
/// a field of the schema ends a value: a secret pasted without indentation looks like anything.
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

/// Fields whose values are never shown, also if somebody writes them a little differently.
const SECRET_FIELDS: [&str; 6] =
    ["pullsecret", "sshkey", "httpproxy", "httpsproxy", "additionaltrustbundle", "auth"];

/// The byte after the colon of a secret field's name.
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
