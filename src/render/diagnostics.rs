//! The one edge that everything which goes wrong passes: what happened, what it is about, and what
//! a person can do. Never decides the exit code.

use std::error::Error;
use std::io::{self, Write};

use serde::Serialize;

use super::painted;
use super::palette::{ERROR, FAINT, HINT, STRONG, WARNING};
use crate::event::Fault;
use crate::plan::guard::Violation;
use crate::provider::ProviderError;
use crate::state::Cluster;

/// Something a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// What happened, on one line, without a full stop.
    pub summary: String,
    /// What it is about, line by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<String>,
    /// What a person can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How much a diagnostic matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something was not done.
    Error,
    /// Everything was done, and it may not be what was meant.
    Warning,
}

impl Diagnostic {
    /// An error.
    pub fn error(summary: impl Into<String>) -> Self {
        Self { severity: Severity::Error, summary: summary.into(), detail: Vec::new(), hint: None }
    }

    /// A warning.
    pub fn warning(summary: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(summary) }
    }

    /// The same with one more line of detail.
    #[must_use]
    pub fn with_detail(mut self, line: impl Into<String>) -> Self {
        self.detail.push(line.into());
        self
    }

    /// The same with something a person can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// `could not <attempt>`, with the whole chain of causes.
    pub fn could_not(attempt: &str, error: &(dyn Error + 'static)) -> Self {
        let mut diagnostic = Self::error(format!("could not {attempt}"));
        let mut cause = Some(error);
        while let Some(error) = cause {
            diagnostic.detail.push(error.to_string());
            cause = error.source();
        }
        diagnostic
    }

    /// What stands against a plan of this cluster.
    pub fn of_violation(violation: &Violation, cluster: Option<&Cluster>) -> Self {
        let hint = super::remedies::of_violation(violation, cluster);
        let mut diagnostic = Self::error(violation.to_string()).with_hint(hint);
        diagnostic.detail = violation.addresses().iter().map(ToString::to_string).collect();
        diagnostic
    }

    /// `could not <attempt>`, because a call to the cloud failed.
    pub fn call_failed(attempt: &str, error: &ProviderError) -> Self {
        Self::fault(format!("could not {attempt}"), &Fault::from(error))
    }

    /// A failed call: the call with its code, what the cloud said, and the request id.
    pub fn fault(summary: impl Into<String>, fault: &Fault) -> Self {
        let mut diagnostic = Self::error(summary);
        let code = fault.code.as_ref().map(|code| format!(": {code}")).unwrap_or_default();
        diagnostic.detail.push(format!("{}{code}", fault.call));
        diagnostic.detail.extend(fault.message.lines().map(str::to_owned));
        if let Some(id) = &fault.request_id {
            diagnostic.detail.push(format!("request id: {id}"));
        }
        diagnostic.hint.clone_from(&fault.hint);
        diagnostic
    }

    /// Writes it for people.
    ///
    /// # Errors
    /// When the writer refuses.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let label = match self.severity {
            Severity::Error => painted(ERROR, "error"),
            Severity::Warning => painted(WARNING, "warning"),
        };
        writeln!(out, "{label}: {}", painted(STRONG, &self.summary))?;
        for line in &self.detail {
            writeln!(out, "{}", format!("  {line}").trim_end())?;
        }
        if let Some(hint) = &self.hint {
            let mut lines = hint.lines();
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
    use super::*;
    use crate::provider::Class;

    fn plain(diagnostic: &Diagnostic) -> String {
        let mut written = Vec::new();
        diagnostic.write(&mut anstream::StripStream::new(&mut written)).unwrap();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn a_failed_call_says_what_was_called_and_what_to_quote() {
        let mut error = ProviderError::new(Class::Refused, "RunInstances", "no more of these")
            .with_code("InsufficientInstanceCapacity")
            .with_hint("choose another zone");
        error.request_id = Some("r-1".into());
        assert_eq!(
            plain(&Diagnostic::call_failed("create instance.master-0", &error)),
            "error: could not create instance.master-0\n\
             \x20 RunInstances: InsufficientInstanceCapacity\n\
             \x20 no more of these\n\
             \x20 request id: r-1\n\
             hint: choose another zone\n"
        );
    }

    #[test]
    fn a_chain_of_causes_is_told_to_its_end() {
        #[derive(Debug, thiserror::Error)]
        #[error("read plan.json")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("no such disk"));
        assert_eq!(
            plain(&Diagnostic::could_not("show the plan", &error)),
            "error: could not show the plan\n  read plan.json\n  no such disk\n"
        );
    }

    #[test]
    fn a_warning_is_not_an_error() {
        assert_eq!(plain(&Diagnostic::warning("mind the gap")), "warning: mind the gap\n");
    }
}
