//! Errors and warnings in one form: code, summary, detail, hint. The exit code is decided by the caller.

use std::error::Error;
use std::io::{self, Write};

use groundplan_engine::event::ReportedError;
use groundplan_engine::plan::guard::Violation;
use groundplan_engine::provider::ProviderError;
use groundplan_engine::state::Cluster;
use serde::Serialize;

use super::codes::Code;
use super::painted;
use super::palette::{ERROR, FAINT, HINT, STRONG, WARNING};
use super::screen::one_line;

/// Message for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Severity.
    pub severity: DiagnosticSeverity,
    /// Code, whose page `groundplan explain` prints.
    pub code: Code,
    /// Problem on one line, without a full stop.
    pub summary: String,
    /// Details, one line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<String>,
    /// Suggested action of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosticSeverity {
    /// Error: the command did not do all that the user requested.
    Error,
    /// Warning: the command did everything, but the result may not be what the user intended.
    Warning,
}

impl Diagnostic {
    /// Returns an error.
    pub fn error(code: Code, summary: impl Into<String>) -> Self {
        Self {
            severity: DiagnosticSeverity::Error,
            code,
            summary: summary.into(),
            detail: Vec::new(),
            hint: None,
        }
    }

    /// Returns a warning.
    pub fn warning(code: Code, summary: impl Into<String>) -> Self {
        Self { severity: DiagnosticSeverity::Warning, ..Self::error(code, summary) }
    }

    /// Appends a line of detail.
    #[must_use]
    pub fn with_detail(mut self, line: impl Into<String>) -> Self {
        self.detail.push(line.into());
        self
    }

    /// Sets the hint, an action of the user.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns summary and hint in one text, for lists of notes.
    pub fn sentence(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.summary),
            None => self.summary.clone(),
        }
    }

    /// Returns the error `could not <attempt>` with the whole chain of causes.
    pub fn could_not(code: Code, attempt: &str, error: &(dyn Error + 'static)) -> Self {
        let mut diagnostic = Self::error(code, format!("could not {attempt}"));
        let mut cause = Some(error);
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors repeat the text of their cause.
            if !diagnostic.detail.last().is_some_and(|outer| outer.contains(&text)) {
                diagnostic.detail.push(text);
            }
            cause = error.source();
        }
        diagnostic
    }

    /// Returns an error for the violation of a guard by a plan of this cluster.
    pub fn of_violation(violation: &Violation, cluster: Option<&Cluster>) -> Self {
        let hint = super::remedies::of_violation(violation, cluster);
        let mut diagnostic =
            Self::error(Code::of_violation(violation), violation.to_string()).with_hint(hint);
        diagnostic.detail = violation.addresses().iter().map(ToString::to_string).collect();
        diagnostic
    }

    /// Returns the error `could not <attempt>` for a failed call to the cloud.
    pub fn call_failed(attempt: &str, error: &ProviderError) -> Self {
        Self::fault(format!("could not {attempt}"), &ReportedError::from(error))
    }

    /// Returns an error for a failed call: call and error code, message of the cloud, request ID.
    pub fn fault(summary: impl Into<String>, fault: &ReportedError) -> Self {
        let mut diagnostic = Self::error(Code::of_fault(fault), summary);
        if fault.code.as_deref() != Some("NotOurs") {
            let code = fault.code.as_ref().map(|code| format!(": {code}")).unwrap_or_default();
            diagnostic.detail.push(format!("{}{code}", fault.call));
        }
        diagnostic.detail.extend(fault.message.lines().map(str::to_owned));
        if let Some(id) = &fault.request_id {
            diagnostic.detail.push(format!("request id: {id}"));
        }
        diagnostic.hint.clone_from(&fault.hint);
        diagnostic
    }

    /// Writes the diagnostic for people.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let (style, severity) = match self.severity {
            DiagnosticSeverity::Error => (ERROR, "error"),
            DiagnosticSeverity::Warning => (WARNING, "warning"),
        };
        let label = painted(style, format!("{severity}[{}]", self.code.name()));
        writeln!(out, "{label}: {}", painted(STRONG, one_line(&self.summary)))?;
        for line in &self.detail {
            writeln!(out, "{}", format!("  {}", one_line(line)).trim_end())?;
        }
        if let Some(hint) = &self.hint {
            let mut lines = hint.lines().map(one_line);
            writeln!(out, "{}: {}", painted(HINT, "hint"), lines.next().unwrap_or_default())?;
            for line in lines {
                writeln!(out, "{}", painted(FAINT, format!("      {line}")))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use groundplan_engine::provider::{Cause, ErrorClass};

    use super::*;

    fn plain(diagnostic: &Diagnostic) -> String {
        let mut written = Vec::new();
        diagnostic.write(&mut anstream::StripStream::new(&mut written)).unwrap();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn a_failed_call_says_what_was_called_and_what_to_quote() {
        let mut error =
            ProviderError::new(ErrorClass::Permanent, "RunInstances", "no more of these")
                .with_code("InsufficientInstanceCapacity")
                .with_hint("choose another zone");
        error.request_id = Some("r-1".into());
        assert_eq!(
            plain(&Diagnostic::call_failed("create instance.master-0", &error)),
            "error[capacity-missing]: could not create instance.master-0\n\
             \x20 RunInstances: InsufficientInstanceCapacity\n\
             \x20 no more of these\n\
             \x20 request id: r-1\n\
             hint: choose another zone\n"
        );
    }

    #[test]
    fn a_taken_name_has_its_owner_and_no_internal_code() {
        let error =
            ProviderError::new(ErrorClass::Permanent, "GetRole", "the role r is taken by x")
                .with_cause(Cause::NotOurs);
        assert_eq!(
            plain(&Diagnostic::call_failed("create iam_role.r", &error)),
            "error[name-taken]: could not create iam_role.r\n  the role r is taken by x\n"
        );
    }

    #[test]
    fn a_chain_of_causes_is_told_to_its_end() {
        #[derive(Debug, thiserror::Error)]
        #[error("read plan.json")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("no such disk"));
        assert_eq!(
            plain(&Diagnostic::could_not(Code::FileUnreadable, "show the plan", &error)),
            "error[file-unreadable]: could not show the plan\n  read plan.json\n  no such disk\n"
        );
    }

    #[test]
    fn a_warning_is_not_an_error() {
        let warning = Diagnostic::warning(Code::IgnitionAge, "mind the gap");
        assert_eq!(plain(&warning), "warning[ignition-age]: mind the gap\n");
    }
}
