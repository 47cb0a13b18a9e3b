//! Results of calls: records entries, and continues or fails the step.

use std::cmp::Reverse;
use std::time::Duration;

use serde_json::Value;
use tokio::task::{Id, JoinError};
use tokio::time::Instant;

use super::executor::{Executor, Task, TaskOutput, TaskResult, millis};
use super::step_run::{Phase, pause};
use crate::event::{Event, ReportedError, StepAction};
use crate::plan::Op;
use crate::plan::decide::id;
use crate::provider::{ErrorClass, FENCED, NOT_OURS, ProviderError, STOPPED};
use crate::state::{Entry, RecordStatus};

/// Maximum number of attempts that end with an ambiguous error.
const LOST_ANSWERS: u32 = 6;

impl Executor<'_> {
    pub(super) fn joined(&mut self, joined: Result<(Id, TaskResult), JoinError>) {
        let (id, answer) = match joined {
            Ok((id, answer)) => (id, answer),
            Err(error) => {
                let Some(task) = self.about.get(&error.id()).cloned() else { return };
                (error.id(), TaskResult::panicked(task))
            }
        };
        self.about.remove(&id);
        match (answer.task, answer.reply) {
            (Task::Call(step), TaskOutput::Call(result)) => {
                self.calls_in_flight -= 1;
                match result {
                    Ok(outputs) => self.call_succeeded(step, outputs),
                    Err(error) => self.call_failed(step, &error),
                }
            }
            (Task::Poll { watch, steps }, TaskOutput::Poll(looks)) => {
                self.poll_finished(&watch, &steps, looks)
            }
            _ => unreachable!("BUG: a call was answered with a look"),
        }
    }

    /// Handles the success of a call.
    pub(super) fn call_succeeded(&mut self, step: usize, outputs: Value) {
        let run = self.run(step);
        run.failures = 0;
        let (phase, address, generation) = (run.phase, run.address.clone(), run.generation);
        match phase {
            Phase::Recheck if outputs.is_null() => self.recreate_or_skip(step),
            Phase::Recheck => self.still_there(step),
            Phase::Find if outputs.is_null() => self.not_found(step),
            Phase::Find => {
                // The found resource has the recorded inputs. Newer inputs are left to the next
                // plan.
                let inputs = self.recorded(&self.runs[&step]).inputs.clone();
                self.run(step).inputs = inputs;
                self.created(step, outputs);
            }
            Phase::Create => self.created(step, outputs),
            Phase::Configure => self.configured(step, outputs),
            Phase::Update => self.advanced(step, outputs),
            Phase::FindDoomed if outputs.is_null() => {
                if !self.search_again(step) {
                    self.finish_absent_delete(step);
                }
            }
            Phase::FindDoomed => {
                if self.recorded(&self.runs[&step]).status == RecordStatus::Creating {
                    let status = RecordStatus::Created;
                    self.record(Entry::Created { address: address.clone(), outputs, status });
                }
                self.record(Entry::DeleteStarted { address, generation });
                self.enter(step, Phase::Delete);
            }
            Phase::Delete if self.schema(&address).gone.is_some() => self.enter(step, Phase::Gone),
            Phase::Delete => {
                self.record(Entry::Deleted { address, generation });
                self.done(step);
            }
            Phase::Ready | Phase::Gone => unreachable!("BUG: a wait makes no call of its own"),
        }
    }

    /// Handles a resource that refresh missed and that is visible after all. With the planned
    /// inputs, its old generation continues. Otherwise the step fails, because the plan was made
    /// from incomplete live state.
    fn still_there(&mut self, step: usize) {
        let address = self.runs[&step].address.clone();
        let record = &self.state.resources[&address];
        let (generation, configured) = (record.generation, record.status != RecordStatus::Created);
        if record.inputs != self.runs[&step].inputs {
            let error = ProviderError::new(
                ErrorClass::Permanent,
                "plan",
                "the resource was not visible when the plan was made, exists, and differs from the \
                 plan",
            );
            return self.failed(step, &error.with_hint("run the same command again"));
        }
        self.run(step).generation = generation;
        self.frontier.created(step);
        if configured || !self.schema(&address).configures {
            self.settled(step, None);
        } else {
            self.enter(step, Phase::Configure);
        }
    }

    /// Handles a search that found no resource of a creation in doubt. The search continues for the
    /// settle time if a repeated call could create a second resource, or if the next call has
    /// another token.
    fn not_found(&mut self, step: usize) {
        let run = &self.runs[&step];
        let address = run.address.clone();
        let same = run.token_error.is_none() && self.recorded(run).inputs == run.inputs;
        if !(same && self.schema(&address).identity.is_idempotent()) && self.search_again(step) {
            return;
        }
        if !same {
            self.start_new_generation(step);
        } else {
            self.enter(step, Phase::Create);
        }
    }

    /// Starts a new generation with a new token. Other inputs must not use the old token, and a
    /// consumed token creates nothing.
    ///
    /// A creation that this run requested first already has this run's generation. Such a step
    /// fails, and the next run has another generation.
    fn start_new_generation(&mut self, step: usize) {
        let run = self.run(step);
        let (address, generation, spent) =
            (run.address.clone(), run.generation, run.token_error.take());
        self.record(Entry::Vanished { address });
        if let Some(error) = spent.clone().filter(|_| generation == self.plan.generation) {
            let hint = "run the same command again, which repeats the creation with a new token";
            return self.failed(step, &error.with_hint(hint));
        }
        let generation = self.plan.generation;
        let run = self.run(step);
        (run.generation, run.ambiguous_creates) = (generation, 0);
        self.announce_creation(step);
        self.enter(step, Phase::Create);
    }

    /// Handles a resource to delete that does not exist and that refresh did not find either.
    fn finish_absent_delete(&mut self, step: usize) {
        let address = self.runs[&step].address.clone();
        self.record(Entry::Vanished { address });
        self.done(step);
    }

    /// Handles a recorded resource that is not found. A replacement is created only after the
    /// settle time, because a call with another token could create a duplicate.
    fn recreate_or_skip(&mut self, step: usize) {
        if !self.search_again(step) {
            let address = self.runs[&step].address.clone();
            self.record(Entry::Vanished { address });
            self.announce_creation(step);
            self.enter(step, Phase::Create);
        }
    }

    /// Schedules another search after a pause. Returns false after the settle time, which begins
    /// with the ambiguous error; for creations of an earlier run, it begins with this run.
    fn search_again(&mut self, step: usize) -> bool {
        let (settle, began) = (self.settings.settle, self.began);
        let run = self.run(step);
        let since = *run.searching_since.get_or_insert(began);
        let again = since.elapsed() < settle;
        if again {
            let pause = (settle / 5).max(Duration::from_millis(200));
            self.paused.push(Reverse((Instant::now() + pause, step)));
        }
        again
    }

    pub(super) fn created(&mut self, step: usize, outputs: Value) {
        let address = self.runs[&step].address.clone();
        let schema = self.schema(&address);
        let status = match (schema.configures, schema.ready) {
            (true, _) => RecordStatus::Created,
            (false, Some(_)) => RecordStatus::Configured,
            (false, None) => RecordStatus::Ready,
        };
        self.record(Entry::Created { address, outputs, status });
        self.frontier.created(step);
        match status {
            RecordStatus::Created => self.enter(step, Phase::Configure),
            RecordStatus::Configured => self.enter(step, Phase::Ready),
            _ => self.done(step),
        }
    }

    pub(super) fn configured(&mut self, step: usize, outputs: Value) {
        let address = self.runs[&step].address.clone();
        let changed = self.state.resources[&address].outputs != outputs;
        if matches!(self.plan.steps[step].op, Op::Update { .. }) {
            return self.enter(step, Phase::Update);
        }
        if self.schema(&address).ready.is_some() {
            let outputs = changed.then_some(outputs);
            self.record(Entry::Advanced { address, status: RecordStatus::Configured, outputs });
            self.enter(step, Phase::Ready);
        } else {
            self.settled(step, changed.then_some(outputs));
        }
    }

    pub(super) fn advanced(&mut self, step: usize, outputs: Value) {
        let address = self.runs[&step].address.clone();
        let changed = self.state.resources[&address].outputs != outputs;
        if self.schema(&address).ready.is_none() {
            return self.settled(step, changed.then_some(outputs));
        }
        if changed {
            let (status, outputs) = (RecordStatus::Updating, Some(outputs));
            self.record(Entry::Advanced { address, status, outputs });
        }
        self.enter(step, Phase::Ready);
    }

    /// Records that the resource is ready, and ends the step.
    pub(super) fn settled(&mut self, step: usize, outputs: Option<Value>) {
        let address = self.runs[&step].address.clone();
        self.record(Entry::Advanced { address, status: RecordStatus::Ready, outputs });
        self.done(step);
    }

    pub(super) fn done(&mut self, step: usize) {
        let Some(run) = self.runs.remove(&step) else { return };
        let name = self.plan.steps[step].op.name();
        match name.action {
            StepAction::Create | StepAction::Finish => self.summary.added += 1,
            StepAction::Update => self.summary.changed += 1,
            StepAction::Delete => self.summary.destroyed += 1,
        }
        let record = self.state.record_of(&run.address, run.generation);
        let id = record.and_then(|record| id(&record.outputs));
        self.frontier.done(step);
        self.commits.say(Event::StepFinished { step: name, id, elapsed_ms: millis(run.started) });
    }

    // Failures.

    /// Handles the failure of a call: schedules a retry if one can help, and fails the step
    /// otherwise.
    pub(super) fn call_failed(&mut self, step: usize, error: &ProviderError) {
        let now = Instant::now();
        let run = self.run(step);
        match (run.phase, error.class) {
            // The next run continues the step from this phase.
            _ if error.is(&[STOPPED]) => return,
            (Phase::Create, ErrorClass::TokenConsumed) => return self.token_consumed(step, error),
            // Another resource has the name now, so the recorded resource is gone.
            (Phase::FindDoomed, _) if error.is(&[NOT_OURS]) => {
                return self.finish_absent_delete(step);
            }
            _ => (),
        }
        run.failures += 1;
        let lost = error.class == ErrorClass::Ambiguous;
        if lost && run.phase == Phase::Create {
            (run.phase, run.searching_since, run.ambiguous_creates) =
                (Phase::Find, Some(now), run.ambiguous_creates + 1);
        }
        let again = match error.class {
            ErrorClass::Permanent | ErrorClass::TokenConsumed => false,
            ErrorClass::Retryable => now < run.deadline,
            ErrorClass::Ambiguous => {
                run.failures.max(run.ambiguous_creates) < LOST_ANSWERS && now < run.deadline
            }
        };
        if !again || self.stopping.is_some() {
            return self.failed(step, error);
        }
        let run = &self.runs[&step];
        let after = error.after.unwrap_or_else(|| pause(&run.address, run.failures));
        self.paused.push(Reverse((now + after, step)));
        self.commits.say(Event::StepRetrying {
            step: self.plan.steps[step].op.name(),
            error: ReportedError::from(error),
            after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
        });
    }

    /// Handles a consumed token. Searches for the resource that the token created; if none is
    /// found, a new generation begins.
    fn token_consumed(&mut self, step: usize, error: &ProviderError) {
        if self.stopping.is_some() {
            return self.failed(step, error);
        }
        let run = self.run(step);
        (run.phase, run.searching_since) = (Phase::Find, Some(Instant::now()));
        run.token_error = Some(error.clone());
        self.commits.say(Event::StepRetrying {
            step: self.plan.steps[step].op.name(),
            error: ReportedError::from(error),
            after_ms: 0,
        });
        self.proceed(step);
    }

    pub(super) fn failed(&mut self, step: usize, error: &ProviderError) {
        let Some(run) = self.runs.remove(&step) else { return };
        // A withheld call may be the second call of a creation, and the first call may have taken
        // effect.
        let says_nothing = error.class == ErrorClass::TokenConsumed || error.is(&[FENCED]);
        if run.phase == Phase::Create && run.ambiguous_creates == 0 && !says_nothing {
            self.record(Entry::CreateRefused { address: run.address.clone() });
        }
        self.summary.failed += 1;
        self.commits.say(Event::StepFailed {
            step: self.plan.steps[step].op.name(),
            error: ReportedError::from(error),
            elapsed_ms: millis(run.started),
        });
        for skipped in self.frontier.failed(step) {
            self.summary.skipped += 1;
            let step = self.plan.steps[skipped].op.name();
            self.commits.say(Event::StepSkipped { step, because: run.address.clone() });
        }
    }
}
