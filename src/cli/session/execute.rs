//! Execution of a plan, with confirmation, journal and terminal output.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use groundplan_engine::apply::{self, ApplySettings, Gate, Observer, Shutdown, apply};
use groundplan_engine::event::{Event, Operation, Summary};
use groundplan_engine::graph::Address;
use groundplan_engine::plan::Plan;
use groundplan_engine::plan::decide::id;
use groundplan_engine::provider::Provider;
use groundplan_engine::secret::Secrets;
use groundplan_engine::state::backend::DurableWrite;
use groundplan_engine::state::error::StateError;
use groundplan_engine::state::{Cluster, Entry, State};

use crate::cli::args::{CommonArgs, WaitArgs};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::prompt::{Answer, confirm};
use crate::cli::output::ui::{ProgressForm, Ui};
use crate::cli::session::locked_state::LockedState;
use crate::cli::session::sole_owner::SoleOwnerGate;
use crate::render::progress::Failures;
use crate::render::state::rows;
use crate::render::{Code, Diagnostic, remedies};

/// Returns an error if the user cannot confirm: no terminal or `--json`, and no `--auto-approve`.
pub(crate) fn must_be_confirmable(common: &CommonArgs, ui: &Ui) -> Result<()> {
    if common.auto_approve || ui.can_ask() {
        return Ok(());
    }
    Err(cannot_ask())
}

/// Returns the error for a confirmation without a terminal.
pub(super) fn cannot_ask() -> CommandError {
    let diagnostic = Diagnostic::error(
        Code::ConfirmationImpossible,
        "cannot ask for confirmation without a terminal; nothing \
         was changed",
    )
    .with_hint("run the command in a terminal without --json, or pass --auto-approve");
    CommandError::new(Exit::Refused, diagnostic)
}

/// Prompts for confirmation unless `--auto-approve` is given. A signal rejects.
pub(crate) async fn confirmed(
    common: &CommonArgs,
    question: &'static str,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<()> {
    match common.auto_approve {
        true => Ok(()),
        false => answered(question.to_owned(), Answer::Yes, ui, stop).await,
    }
}

/// Prompts for this answer. A signal rejects.
pub(super) async fn answered(
    question: String,
    expected: Answer,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<()> {
    ui.talk("")?;
    let answer = tokio::task::spawn_blocking(move || {
        confirm(&mut io::stdin().lock(), &mut io::stderr(), &question, &expected)
    });
    let yes = tokio::select! {
        biased;
        () = stop.stopped() => return Err(CommandError::interrupted()),
        answer = answer => answer,
    };
    match yes {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => {
            let diagnostic =
                Diagnostic::error(Code::NotConfirmed, "not confirmed; nothing was changed");
            Err(CommandError::new(Exit::Refused, diagnostic))
        }
        Ok(Err(error)) => {
            Err(CommandError::could_not(Code::HostError, "read the confirmation", &error))
        }
        Err(panicked) => {
            Err(CommandError::could_not(Code::InternalError, "read the confirmation", &panicked))
        }
    }
}

/// Settings of an execution, and the gate after its first creation.
pub(super) struct ExecutionSettings {
    pub(super) apply: ApplySettings,
    pub(super) gate: Option<Arc<SoleOwnerGate>>,
}

/// Returns the settings of an execution, without its fence.
pub(super) fn settings(common: &CommonArgs, waits: WaitArgs) -> ApplySettings {
    let settings = ApplySettings::default();
    ApplySettings {
        parallelism: common.parallelism.into(),
        patience_to_delete: waits.wait_timeout.unwrap_or(settings.patience_to_delete),
        wait: waits.wait_timeout,
        ..settings
    }
}

/// Executes the plan and prints the result.
pub(super) async fn run_steps(
    plan: &Plan,
    mut held: LockedState,
    provider: Arc<dyn Provider>,
    secrets: Arc<Secrets>,
    settings: ExecutionSettings,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let progress = ui.progress(plan, &*provider);
    let (failures, cluster) = (Failures::default(), plan.cluster.as_ref());
    let mut recorder = RunObserver { held: &mut held, ui, progress, failures, cluster };
    let ExecutionSettings { apply: settings, gate } = settings;
    let settings = ApplySettings {
        fence: recorder.held.backend.fence(),
        gate: gate.clone().map(|gate| gate as Arc<dyn Gate>),
        ..settings
    };
    let state = std::mem::take(&mut recorder.held.state);
    let outcome = apply(plan, state, provider, secrets, &settings, stop, &mut recorder).await;
    let RunObserver { failures, progress, .. } = recorder;
    drop(progress); // the live region, if any, makes room
    held.state = outcome.state.clone();
    for diagnostic in failures.diagnostics() {
        ui.diagnostic(&diagnostic)?;
    }
    if let Some(refusal) = gate.and_then(|gate| gate.refusal()) {
        ui.diagnostic(&refusal)?;
    }
    if let Some(error) = &outcome.journal_error {
        ui.diagnostic(&unwritten(error))?;
    } else {
        held.close().await?;
    }
    conclude(plan, &outcome, ui)
}

/// Returns the error for a run that ended because its journal could not be written.
fn unwritten(error: &StateError) -> Diagnostic {
    let hint = error.hint().unwrap_or_else(|| {
        let first = match error {
            StateError::Unwritable { .. } => "free some space on the disk of the state",
            _ => "wait until the state backend responds again",
        };
        format!(
            "{first}, and run the same command again; no call was sent without its journal entry"
        )
    });
    Diagnostic::could_not(Code::of_state(error), "write the journal", error).with_hint(hint)
}

fn conclude(plan: &Plan, outcome: &apply::ApplyOutcome, ui: &mut Ui) -> Result<Exit> {
    let (operation, summary) = (plan.operation, &outcome.summary);
    // A signal after the last step does not change the result.
    if outcome.journal_error.is_none() && summary.complete() {
        ui.print_line(&format!("\n{}", complete(operation, summary)))?;
        return Ok(Exit::Done);
    }
    ui.print_line("")?;
    let text = incomplete(operation, summary);
    // After a closed gate, the same command would be rejected.
    let lines = if outcome.closed { 1 } else { usize::MAX };
    for line in text.lines().take(lines) {
        ui.print_line(line)?;
    }
    if operation == Operation::Destroy {
        left(&outcome.state, plan).iter().try_for_each(|line| ui.print_line(line))?;
    }
    Ok(match &outcome.journal_error {
        Some(StateError::Fenced { .. }) => Exit::Locked,
        Some(_) => Exit::Failed,
        None if outcome.stopped => Exit::Stopped,
        None if outcome.closed => Exit::Refused,
        None => Exit::Failed,
    })
}

fn complete(operation: Operation, summary: &Summary) -> String {
    let Summary { added, changed, destroyed, .. } = summary;
    match operation {
        Operation::Apply => format!(
            "Apply complete! Resources: {added} added, {changed} changed, {destroyed} destroyed."
        ),
        Operation::Destroy => format!("Destroy complete! Resources: {destroyed} destroyed."),
    }
}

fn incomplete(operation: Operation, summary: &Summary) -> String {
    let word = match operation {
        Operation::Apply => "Apply",
        Operation::Destroy => "Destroy",
    };
    let Summary { added, changed, destroyed, failed, skipped, abandoned } = summary;
    format!(
        "{word} incomplete. Resources: {added} added, {changed} changed, {destroyed} destroyed; \
         {failed} failed, {skipped} not started because of that, {abandoned} \
         left for the next run.\n\
         Completed steps are recorded: run the same command again to continue."
    )
}

/// Returns a line for each resource that a destroy did not delete, at most [`LISTED`].
fn left(state: &State, plan: &Plan) -> Vec<String> {
    let teardown: BTreeSet<&Address> = plan.steps.iter().map(|step| step.op.address()).collect();
    let still = rows(state).filter(|(address, ..)| teardown.contains(address));
    let mut lines: Vec<String> = still
        .map(|(address, record, _)| {
            let id = id(&record.outputs).unwrap_or_else(|| "no ID recorded".to_owned());
            format!("  {address} ({id})")
        })
        .collect();
    let more = lines.len().saturating_sub(LISTED);
    lines.truncate(LISTED);
    if more > 0 {
        lines.push(format!("  and {more} more: `groundplan state list`"));
    }
    if !lines.is_empty() {
        lines.insert(0, "Remaining resources:".to_owned());
    }
    lines
}

/// Maximum number of remaining resources that are listed.
const LISTED: usize = 20;

/// Observer that writes the journal and shows the events, in their order.
struct RunObserver<'a> {
    held: &'a mut LockedState,
    ui: &'a mut Ui,
    progress: ProgressForm,
    failures: Failures,
    /// The cluster of the plan, named by hints.
    cluster: Option<&'a Cluster>,
}

impl Observer for RunObserver<'_> {
    fn journal(&mut self, entries: Vec<Entry>) -> DurableWrite {
        self.held.backend.append(&entries)
    }

    fn event(&mut self, event: &Event) {
        let mut event = event.clone();
        remedies::in_event(&mut event, self.cluster);
        self.failures.event(&event);
        // A closed output does not stop a run half way.
        let _ = self.ui.event(&mut self.progress, &event);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn summary_lines_are_as_terraforms() {
        let summary = Summary { added: 3, changed: 1, destroyed: 2, ..Summary::default() };
        assert_eq!(
            complete(Operation::Apply, &summary),
            "Apply complete! Resources: 3 added, 1 changed, 2 destroyed."
        );
        assert_eq!(
            complete(Operation::Destroy, &summary),
            "Destroy complete! Resources: 2 destroyed."
        );
    }

    #[test]
    fn a_destroy_that_is_incomplete_lists_what_is_left() {
        let mut state = State::new("l".into());
        for index in 0..25 {
            let (address, inputs) = (Address::new("vpc", &format!("v{index:02}")), Value::Null);
            let entry = Entry::CreateStarted { address, generation: 1, inputs, after: vec![] };
            state.record(&entry).unwrap();
        }
        let observed = groundplan_engine::plan::LiveState::new();
        let options = groundplan_engine::plan::PlanOptions::default();
        let plan = groundplan_engine::plan::plan_destroy(
            &state,
            &observed,
            &groundplan_aws::schemas(),
            &options,
        );
        let lines = left(&state, &plan);
        assert_eq!(lines[..2], ["Remaining resources:", "  vpc.v00 (no ID recorded)"]);
        assert_eq!(lines.last().unwrap(), "  and 5 more: `groundplan state list`");
        assert_eq!(lines.len(), 22);
        assert!(left(&State::new("l".into()), &plan).is_empty());
    }

    #[test]
    fn what_is_incomplete_says_what_is_missing_and_how_to_go_on() {
        let summary = Summary { added: 3, failed: 1, skipped: 4, ..Summary::default() };
        let text = incomplete(Operation::Apply, &summary);
        assert!(
            text.contains("1 failed, 4 not started because of that, 0 left for the next run"),
            "{text}"
        );
        assert!(text.contains("run the same command again"), "{text}");
    }
}
