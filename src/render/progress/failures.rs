//! Failures of a run, reported at its end: each failure with the steps that it prevented.

use std::collections::BTreeMap;

use groundplan_engine::event::{Event, ReportedError, StepAction, StepName};
use groundplan_engine::graph::Address;

use super::super::count;
use super::super::diagnostics::Diagnostic;

/// Maximum number of skipped steps that are named.
const NAMED: usize = 5;

/// Collector of failures from the events of a run.
#[derive(Debug, Default)]
pub struct Failures {
    failed: Vec<(StepName, ReportedError)>,
    skipped: BTreeMap<Address, Vec<Address>>,
}

impl Failures {
    /// Records an event. Events other than failures and skipped steps have no effect.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::StepFailed { step, error, .. } => {
                self.failed.push((step.clone(), error.clone()));
            }
            Event::StepSkipped { step, because } => {
                self.skipped.entry(because.clone()).or_default().push(step.address.clone());
            }
            _ => (),
        }
    }

    /// Returns one diagnostic per failure, in order of occurrence.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        self.failed.iter().map(|(step, fault)| self.diagnostic(step, fault)).collect()
    }

    fn diagnostic(&self, step: &StepName, fault: &ReportedError) -> Diagnostic {
        let verb = match step.action {
            StepAction::Create => "create",
            StepAction::Finish => "finish",
            StepAction::Update => "change",
            StepAction::Delete => "destroy",
        };
        let diagnostic = Diagnostic::fault(format!("could not {verb} {}", step.address), fault);
        match self.skipped.get(&step.address) {
            Some(skipped) => diagnostic.with_detail(not_started(skipped)),
            None => diagnostic,
        }
    }
}

fn not_started(skipped: &[Address]) -> String {
    let named: Vec<_> = skipped.iter().take(NAMED).map(Address::as_str).collect();
    let rest = match skipped.len().saturating_sub(NAMED) {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    let what = count(skipped.len(), "step");
    format!("not started because of this: {what} ({}{rest})", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_its_address_call_code_request_id_and_hint() {
        let step = |address: &str| StepName {
            address: address.into(),
            generation: 1,
            action: StepAction::Create,
        };
        let mut failures = Failures::default();
        let error = ReportedError {
            call: "CreateVpc".into(),
            code: Some("VpcLimitExceeded".into()),
            message: "the limit is reached".into(),
            request_id: Some("r-1".into()),
            hint: Some("ask for more".into()),
            ..ReportedError::default()
        };
        failures.event(&Event::StepFailed { step: step("vpc.main"), error, elapsed_ms: 1 });
        for i in 0..7 {
            let because = "vpc.main".into();
            failures.event(&Event::StepSkipped { step: step(&format!("subnet.{i}")), because });
        }
        let diagnostics = failures.diagnostics();
        assert_eq!(diagnostics.len(), 1);
        assert_eq!(diagnostics[0].summary, "could not create vpc.main");
        assert_eq!(
            diagnostics[0].detail,
            [
                "CreateVpc: VpcLimitExceeded",
                "the limit is reached",
                "request id: r-1",
                "not started because of this: 7 steps \
                 (subnet.0, subnet.1, subnet.2, subnet.3, subnet.4 and 2 more)",
            ]
        );
        assert_eq!(diagnostics[0].hint.as_deref(), Some("ask for more"));
    }
}
