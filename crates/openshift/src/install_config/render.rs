//! Findings for the user: the line of the file, the problem, and the text to type instead.
//!
//! Never prints; returns text. Source lines are shown without possible secrets.

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::redact::Redacted;
use crate::diagnostics::finding::{Finding, Position, Severity};

/// Renders findings one after another, in the format of rustc.
pub fn render(findings: &[Finding], file_name: &str, text: &str, color: bool) -> String {
    let file_name = &unbroken(file_name);
    let redacted = Redacted::of(text);
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let reports = findings.iter().map(|finding| {
        let group = group(finding, file_name, &redacted);
        format!("{}\n", renderer.render(&[group]))
    });
    reports.collect::<Vec<_>>().join("\n")
}

fn group<'a>(finding: &'a Finding, file_name: &'a str, redacted: &'a Redacted) -> Group<'a> {
    let level = match finding.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let colon = if finding.path.is_empty() { "" } else { ": " };
    let title = unbroken(&format!("{}{colon}{}", finding.path, finding.message));
    let title = level.primary_title(title).id(finding.rule.id());
    let group = title.element(source(finding, file_name, redacted));
    // A finding without a position has no label for the expected value.
    let expected = finding.expected.as_ref().filter(|_| finding.place.is_none());
    let notes = expected.map(|expected| Level::NOTE.message(format!("expected {expected}")));
    let hints = finding.hint.as_ref().map(|hint| Level::HELP.message(hint));
    group.elements(notes).elements(hints)
}

/// Returns a title or name on one line: a key of the file may contain a line break.
fn unbroken(line: &str) -> String {
    line.replace('\n', "\\n")
}

fn source<'a>(finding: &'a Finding, file_name: &'a str, redacted: &'a Redacted) -> Element<'a> {
    let Some(Position { start, end, .. }) = finding.place else {
        return Origin::path(file_name).into();
    };
    let label = finding.expected.as_ref().map(|expected| format!("expected {expected}"));
    let annotation = AnnotationKind::Primary.span(redacted.span(start..end)).label(label);
    Snippet::source(&redacted.text).path(file_name).annotation(annotation).into()
}
