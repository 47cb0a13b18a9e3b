//! Problems in an install-config, with their positions.
//!
//! A finding has the path of the field, the value found, the expected value, and a hint with the
//! text to type instead. A finding never quotes a value that may be a secret: see [`shown`].

use std::ops::Range;

use serde::Serialize;

use super::rules::Rule;
use crate::release::{Release, ReleaseRange};

/// A problem in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The violated rule.
    pub rule: Rule,
    /// Severity: that of the rule, or a warning if only some living releases have the rule.
    pub severity: Severity,
    /// Path of the field, such as `controlPlane.platform.aws.metadataService.authentication`. Empty
    /// for the file as a whole.
    pub path: String,
    /// Position in the file. `None` for the file as a whole.
    pub place: Option<Position>,
    /// The value found, or the problem in words.
    pub message: String,
    /// The value that would be accepted.
    pub expected: Option<String>,
    /// The change that the user can make.
    pub hint: Option<String>,
}

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The config cannot be used.
    Error,
    /// The config can be used, and a part of it has no effect or an unexpected one.
    Warning,
}

/// A position in the text, on one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// Column after the last character. Always greater than `column`, so that there is something to
    /// underline.
    pub end_column: usize,
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte, on the same line.
    pub end: usize,
}

impl Position {
    /// Returns the position of these bytes, or of their first line if they span several.
    pub(crate) fn of(text: &str, span: &Range<usize>) -> Self {
        let start = floor(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |length| start + length);
        let end = floor(text, span.end).min(line_end).max(start);
        let end = start + text[start..end].trim_end().len();
        let before = text[line_start..start].trim_start_matches('\u{feff}');
        let line = text[..start].bytes().filter(|&byte| byte == b'\n').count() + 1;
        let column = before.chars().count() + 1;
        let end_column = column + text[start..end].chars().count().max(1);
        Self { line, column, end_column, start, end }
    }
}

/// Returns the nearest character boundary at or before `offset`.
fn floor(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// A field: its path, and the bytes to underline.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct FieldSpan {
    pub(crate) path: String,
    pub(crate) span: Option<Range<usize>>,
}

impl FieldSpan {
    /// The file as a whole.
    pub(crate) fn file() -> Self {
        Self { path: String::new(), span: None }
    }

    /// A field of this section that the file does not have, with the bytes of the section.
    pub(crate) fn child(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { path: format!("{}{dot}{name}", self.path), span: self.span.clone() }
    }

    /// A field of this section.
    pub(crate) fn field(&self, name: &str, span: Range<usize>) -> Self {
        Self { span: Some(span), ..self.child(name) }
    }

    /// An item of this list, or an entry of this mapping.
    pub(crate) fn item(&self, index: impl std::fmt::Display, span: Range<usize>) -> Self {
        Self { path: format!("{}[{index}]", self.path), span: Some(span) }
    }
}

/// Collector of the findings of one text.
pub(crate) struct FindingCollector<'text> {
    text: &'text str,
    /// Number of lines before the text in its file.
    lines_before: usize,
    /// Release of openshift-install that the text is for, if known.
    release: Option<Release>,
    findings: Vec<Finding>,
    /// The last finding of a rule that the release does not have.
    discarded: Option<Finding>,
}

impl<'text> FindingCollector<'text> {
    pub(crate) fn new(text: &'text str) -> Self {
        Self::of_document(text, 0)
    }

    /// A collector for a document that follows `lines_before` lines of its file. Positions in
    /// findings are relative to the document.
    pub(crate) fn of_document(text: &'text str, lines_before: usize) -> Self {
        Self { text, lines_before, release: None, findings: Vec::new(), discarded: None }
    }

    /// Sets the release that the text is for. `None` means any living release.
    pub(crate) fn for_release(self, release: Option<Release>) -> Self {
        Self { release, ..self }
    }

    /// Returns the release that the text is for.
    pub(crate) fn release(&self) -> Option<Release> {
        self.release
    }

    /// Adds a finding. The caller can add the expected value and the hint to the returned finding.
    pub(crate) fn breach(
        &mut self,
        rule: Rule,
        spot: &FieldSpan,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.breach_in(rule.releases(), rule, spot, message)
    }

    /// Adds a finding of a rule that only these releases have. Without a given release, the finding
    /// is a warning if some living releases have the rule, and nothing if none has.
    pub(crate) fn breach_in(
        &mut self,
        releases: ReleaseRange,
        rule: Rule,
        spot: &FieldSpan,
        message: impl Into<String>,
    ) -> &mut Finding {
        let place = spot.span.as_ref().map(|span| Position::of(self.text, span));
        let (path, message, severity) = (spot.path.clone(), message.into(), rule.severity());
        let mut finding =
            Finding { rule, severity, path, place, message, expected: None, hint: None };
        match reach(releases, self.release) {
            Reach::None => return self.discarded.insert(finding),
            Reach::Some if severity == Severity::Error => {
                finding.severity = Severity::Warning;
                let message = &mut finding.message;
                message.push_str(&format!("; rejected by openshift-install {releases}"));
            }
            Reach::Some | Reach::All => (),
        }
        self.findings.push(finding);
        self.findings.last_mut().expect("BUG: it was pushed just now")
    }

    /// Returns the text between these bytes as written.
    pub(crate) fn written(&self, span: &Range<usize>) -> &'text str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// Returns the line of a byte in the file, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        Position::of(self.text, &(offset..offset)).line + self.lines_before
    }

    /// Returns true if no finding is an error.
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity() == Severity::Warning)
    }

    /// Returns the findings in the order of the text. Findings about the file as a whole come
    /// first.
    pub(crate) fn finish(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|finding| finding.place.map(|place| place.start));
        self.findings
    }
}

/// Part of the releases in question that has a rule.
enum Reach {
    None,
    Some,
    All,
}

/// Returns the reach of a rule of these releases: in the given release, or in the living ones.
fn reach(releases: ReleaseRange, given: Option<Release>) -> Reach {
    let asked = given.as_ref().map_or(Release::LIVING, std::slice::from_ref);
    match asked.iter().filter(|release| releases.contains(**release)).count() {
        0 => Reach::None,
        count if count == asked.len() => Reach::All,
        _ => Reach::Some,
    }
}

impl Finding {
    /// Returns the severity.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Sets the value that would be accepted.
    pub(crate) fn expected(&mut self, expected: impl Into<String>) -> &mut Self {
        self.expected = Some(expected.into());
        self
    }

    /// Sets the hint.
    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the hint if there is one; otherwise keeps the current hint.
    pub(crate) fn hint_if(&mut self, hint: Option<String>) -> &mut Self {
        self.hint = hint.or(self.hint.take());
        self
    }
}

/// Returns a value in backticks. A value that is long or may be a secret is replaced by a
/// description.
pub(crate) fn shown(value: &str) -> String {
    const LONGEST: usize = 80;
    if value.is_empty() {
        return "an empty string".into();
    }
    if value.contains('{') || may_be_secret(value) {
        return "a value that is not shown here".into();
    }
    if value.chars().count() > LONGEST || value.contains(['\n', '\r']) {
        return "a long value".into();
    }
    format!("`{}`", value.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"))
}

/// Returns true if a value is certainly a credential, in any field.
pub(crate) fn is_credential(value: &str) -> bool {
    value.contains("PRIVATE KEY") || value.contains("\"auth") && value.contains('{')
}

/// Returns true if a line or value may contain a secret. Prefers false positives.
pub(crate) fn may_be_secret(text: &str) -> bool {
    // Parts of a pull secret, of a private key, and of a URL with a password.
    const TELLING: [&str; 6] = ["auth\"", "auths", "'auth'", "\":", "PRIVATE KEY", "@"];
    let text = after_harmless_key(text);
    TELLING.iter().any(|part| text.contains(part))
        || text.split(|c| !is_base64(c)).any(|run| run.len() >= LONG_TOKEN)
}

/// Returns a line without the quoted field name at its beginning, as in `"team": core`. YAML allows
/// quotes around any name. A name that may be that of a credential stays.
fn after_harmless_key(line: &str) -> &str {
    const CREDENTIALS: [&str; 7] = ["auth", "cred", "key", "pass", "secret", "token", "user"];
    let Some((name, rest)) =
        line.trim_start().strip_prefix('"').and_then(|it| it.split_once("\":"))
    else {
        return line;
    };
    let lower = name.to_lowercase();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ' ');
    let is_harmless =
        name.chars().all(is_plain) && !CREDENTIALS.iter().any(|it| lower.contains(it));
    if is_harmless && name.len() < LONG_TOKEN { rest } else { line }
}

/// Length of a possible credential. Longer than any name in an install-config, and shorter than the
/// credentials of a registry, which are base64 of `user:token`.
const LONG_TOKEN: usize = 40;

fn is_base64(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')
}

/// Returns the candidate that the user probably meant. `None` if none is close.
pub fn nearest<'a>(found: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let found = found.to_lowercase();
    let distance = |candidate: &&str| edits(&found, &candidate.to_lowercase());
    let best = candidates.iter().copied().min_by_key(distance)?;
    (distance(&best) <= (best.chars().count() / 3).max(1)).then_some(best)
}

/// Returns `did you mean ...?` with the candidate that the user probably meant.
pub(crate) fn did_you_mean(found: &str, candidates: &[&str]) -> Option<String> {
    nearest(found, candidates).map(|meant| format!("did you mean `{meant}`?"))
}

/// Returns the number of letters to insert, delete or replace. Two swapped neighbours count as one.
fn edits(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) =
        (from.chars().take(64).collect(), to.chars().collect());
    let mut rows = vec![(0..=to.len()).collect::<Vec<_>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
            if swapped {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

/// Returns the candidates as `a`, `b` or `c`, each in backticks.
pub fn one_of(candidates: &[&str]) -> String {
    let quoted: Vec<String> = candidates.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_ignores_case_and_survives_typos() {
        let names = ["Required", "Optional"];
        for typo in ["required", "REQUIRED", "Requierd", "Requird"] {
            assert_eq!(nearest(typo, &names), Some("Required"), "{typo}");
        }
        assert_eq!(nearest("none", &names), None);
        assert_eq!(nearest("", &names), None);
    }

    #[test]
    fn a_place_counts_characters_and_stays_on_its_line() {
        let text = "a: é\nbé: |\n  x\n  y\n";
        let start = text.find('|').unwrap();
        let place = Position::of(text, &(start..text.len()));
        assert_eq!((place.line, place.column), (2, 5));
        assert_eq!(&text[place.start..place.end], "|");
        let beyond = Position::of(text, &(500..600));
        assert_eq!(beyond.line, 5);
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for secret in [
            r#"{"auths":{}}"#,
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "http://user:password@proxy",
            &"Y2FuYXJ5".repeat(5),
        ] {
            assert!(!shown(secret).contains(secret), "{secret}");
        }
        assert_eq!(shown("required"), "`required`");
        assert_eq!(shown("a\tb"), "`a\\tb`");
    }

    #[test]
    fn a_rule_of_some_releases_is_an_error_there_and_a_warning_without_a_release() {
        let found = |releases, release: Option<&str>| {
            let release = release.map(|release| release.parse().unwrap());
            let mut report = FindingCollector::new("").for_release(release);
            let spot = FieldSpan::file();
            report.breach_in(releases, Rule::Replicas, &spot, "found `1`").expected("`2`");
            let found = report.finish().into_iter().next();
            found.map(|finding| (finding.severity(), finding.message))
        };
        let error = Some((Severity::Error, "found `1`".to_owned()));
        let since = ReleaseRange::since(4, 19);
        assert_eq!(found(since, Some("4.19")), error);
        assert_eq!(found(since, Some("4.18")), None);
        let (severity, message) = found(since, None).unwrap();
        assert_eq!(severity, Severity::Warning);
        assert_eq!(message, "found `1`; rejected by openshift-install 4.19 and later");
        assert_eq!(found(ReleaseRange::since(4, 16), None), error, "all living releases");
        assert_eq!(found(ReleaseRange::until(4, 15), None), None, "no living release");
        assert_eq!(found(ReleaseRange::ALL, None), error);
    }

    #[test]
    fn alternatives_are_listed_as_people_do() {
        assert_eq!(one_of(&["a"]), "`a`");
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
