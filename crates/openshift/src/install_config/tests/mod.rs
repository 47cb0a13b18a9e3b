//! Tests of the install-config. `cases` compares the exact findings of every rule. The other
//! modules test resolved configs, several findings together, raw files and secrets.

mod agreement;
mod cases;
mod defaults;
mod editors;
mod files;
mod rules_aws;
mod rules_general;
mod rules_pools;
mod secrets;

use super::*;
use crate::diagnostics::{Severity, for_programs};

/// A full-size config: two pools, io1 and io2 volumes, tags, an image, an endpoint.
const TWO_POOLS: &str = include_str!("two_pools.yaml");

/// Returns the config with pieces replaced. Panics if the config does not contain a piece.
fn with(exchanges: &[(&str, &str)]) -> String {
    exchanges.iter().fold(TWO_POOLS.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in the config");
        text.replacen(from, to, 1)
    })
}

/// Returns the config with a piece added under `platform.aws`.
fn with_aws(piece: &str) -> String {
    with(&[("    region: us-west-2\n", &format!("    region: us-west-2\n{}", indent(piece, 4)))])
}

/// Returns the config with a piece appended.
fn with_top(piece: &str) -> String {
    format!("{TWO_POOLS}{piece}\n")
}

fn indent(piece: &str, spaces: usize) -> String {
    piece.lines().map(|line| format!("{}{line}\n", " ".repeat(spaces))).collect()
}

/// The smallest config.
fn minimal() -> String {
    let pull_secret = TWO_POOLS.lines().last().unwrap();
    format!(
        "apiVersion: v1\nbaseDomain: example.com\nmetadata: {{name: test}}\nplatform: {{aws: {{region: us-west-2}}}}\n{pull_secret}\n"
    )
}

#[track_caller]
fn config(text: &str) -> InstallConfig {
    let outcome = read(text);
    let found = outcome.findings.iter().find(|finding| finding.severity() == Severity::Error);
    outcome.config.unwrap_or_else(|| panic!("{found:?}"))
}

/// Returns the findings as `path: message`, followed by an arrow and the expected value.
fn findings(text: &str, severity: Severity) -> Vec<String> {
    let found = read(text).findings.into_iter().filter(|finding| finding.severity() == severity);
    found
        .map(|finding| {
            let expected = finding.expected.map(|expected| format!(" -> {expected}"));
            format!("{}: {}{}", finding.path, finding.message, expected.unwrap_or_default())
        })
        .collect()
}

/// Returns the findings for programs, one per line.
fn lines_for_programs(findings: &[Finding], file: &str) -> String {
    let line = |finding| serde_json::to_string(&for_programs(finding, file)).unwrap() + "\n";
    findings.iter().map(line).collect()
}

/// Asserts that a text has exactly one error, which starts with `expected`.
#[track_caller]
fn one_error(text: &str, expected: &str) {
    let found = findings(text, Severity::Error);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with(expected), "found    {}\nexpected {expected}", found[0]);
    assert!(read(text).config.is_none(), "a config in spite of {found:?}");
}

/// Asserts that a text has one warning, which starts with `expected`, and no error.
#[track_caller]
fn one_warning(text: &str, expected: &str) {
    let found = findings(text, Severity::Warning);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with(expected), "found    {}\nexpected {expected}", found[0]);
    config(text);
}

/// Asserts that a text has no findings.
#[track_caller]
fn fine(text: &str) {
    assert_eq!(read(text).findings, []);
    config(text);
}

/// Returns the hint of the only finding.
#[track_caller]
fn hint(text: &str) -> String {
    let findings = read(text).findings;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    findings[0].hint.clone().unwrap_or_default()
}

/// Returns the text that the only finding underlines.
#[track_caller]
fn underlined(text: &str) -> &str {
    let findings = read(text).findings;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let place = findings[0].place.unwrap();
    &text[place.start..place.end]
}
