//! Findings for programs, with the fields that an editor needs to underline text and explain it.
//!
//! Never prints. The field names are a stable contract: `docs/validation.md` lists them.

use serde::Serialize;

use super::finding::{Finding, Severity};
use super::rules::Rule;

/// A finding as `validate --json` prints it. Quotes no secret. The code is the name of the rule.
#[derive(Debug, Serialize)]
pub struct FindingLine<'a> {
    severity: Severity,
    code: Rule,
    rule: Rule,
    summary: &'a str,
    file: &'a str,
    path: &'a str,
    #[serde(flatten)]
    lines: Option<LineRange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// Lines and columns, counted from 1. The end is the cursor position after the text.
#[derive(Debug, Serialize)]
struct LineRange {
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

/// Converts a finding about the file `file`.
pub fn for_programs<'a>(finding: &'a Finding, file: &'a str) -> FindingLine<'a> {
    let lines = finding.place.map(|place| LineRange {
        line: place.line,
        column: place.column,
        end_line: place.line,
        end_column: place.end_column,
    });
    FindingLine {
        severity: finding.severity(),
        code: finding.rule,
        rule: finding.rule,
        summary: &finding.message,
        file,
        path: &finding.path,
        lines,
        expected: finding.expected.as_deref(),
        hint: finding.hint.as_deref(),
    }
}
