//! What the answers of calls mean to the walk: what is recorded, what comes next, what has failed.

use std::cmp::Reverse;
use std::time::Duration;

use serde_json::Value;
use tokio::task::{Id, JoinError};
use tokio::time::Instant;

use super::run::{Phase, pause};
use super::walk::{Answer, Reply, Task, Walk, millis};
use crate::event::{Event, Fault, StepAction};
use crate::plan::Op;
use crate::plan::decide::id;
use crate::provider::{Class, ProviderError};
use crate::state::{Entry, Status};

/// How often a lost answer is asked for again.
const LOST_ANSWERS: u32 = 6;
impl Walk<'_> {
    pub(super) fn joined(&mut self, joined: Result<(Id, Answer), JoinError>) {
        let (id, answer) = match joined {
            Ok((id, answer)) => (id, answer),
            Err(error) => {
                let Some(task) = self.about.get(&error.id()).cloned() else { return };
                (error.id(), Answer::panicked(task))
            }
        };
        self.about.remove(&id);
        match (answer.task, answer.reply) {
            (Task::Call(step), Reply::Call(result)) => {
                self.calls_in_flight -= 1;
                match result {
                    Ok(outputs) => self.answered(step, outputs),
                    Err(error) => self.refused(step, &error),
                }
            }
            (Task::Look { watch, steps }, Reply::Look(looks)) => self.looked(&watch, &steps, looks),
            _ => unreachable!("BUG: a call was answered with a look"),
        }
    }

    /// A call went through.
    pub(super) fn answered(&mut self, step: usize, outputs: Value) {
        let run = self.run(step);
        run.failures = 0;
        let (phase, address, generation) = (run.phase, run.address.clone(), run.generation);
        match phase {
            Phase::Recheck if outputs.is_null() => {
                self.record(Entry::Vanished { address });
                self.announce_creation(step);
                self.enter(step, Phase::Create);
            }
            Phase::Recheck => self.still_there(step),
            Phase::Find if outputs.is_null() => self.not_found(step),
            Phase::Find | Phase::Create => self.created(step, outputs),
            Phase::Configure => self.configured(step, outputs),
            Phase::Update => self.advanced(step, outputs),
            Phase::FindDoomed if outputs.is_null() => {
                self.record(Entry::CreateRefused { address });
                self.done(step);
            }
            Phase::FindDoomed => {
                let status = Status::Created;
                self.record(Entry::Created { address: address.clone(), outputs, status });
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

    /// What seemed to have vanished was only not visible yet: its old life goes on.
    pub(super) fn still_there(&mut self, step: usize) {
        let address = self.runs[&step].address.clone();
        let record = &self.state.resources[&address];
        let (generation, inputs) = (record.generation, record.inputs.clone());
        let configured = record.status != Status::Created;
        let run = self.run(step);
        (run.generation, run.inputs) = (generation, inputs);
        self.frontier.created(step);
        if configured || !self.schema(&address).configures {
            self.settled(step, None);
        } else {
            self.enter(step, Phase::Configure);
        }
    }

    /// Nothing was found where a creation may have been made. Where asking twice makes two, it is
    /// looked for until the cloud must have made up its mind.
    pub(super) fn not_found(&mut self, step: usize) {
        let settle = self.settings.settle;
        let run = &self.runs[&step];
        let since = run.sought.unwrap_or_else(Instant::now);
        let patient = !self.schema(&run.address).repeatable && since.elapsed() < settle;
        self.run(step).sought = Some(since);
        if patient {
            let pause = (settle / 5).max(Duration::from_millis(200));
            self.paused.push(Reverse((Instant::now() + pause, step)));
        } else {
            self.enter(step, Phase::Create);
        }
    }

    pub(super) fn created(&mut self, step: usize, outputs: Value) {
        let address = self.runs[&step].address.clone();
        let schema = self.schema(&address);
        let status = match (schema.configures, schema.ready) {
            (true, _) => Status::Created,
            (false, Some(_)) => Status::Configured,
            (false, None) => Status::Ready,
        };
        self.record(Entry::Created { address, outputs, status });
        self.frontier.created(step);
        match status {
            Status::Created => self.enter(step, Phase::Configure),
            Status::Configured => self.enter(step, Phase::Ready),
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
            self.record(Entry::Advanced { address, status: Status::Configured, outputs });
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
            let (status, outputs) = (Status::Updating, Some(outputs));
            self.record(Entry::Advanced { address, status, outputs });
        }
        self.enter(step, Phase::Ready);
    }

    /// It is as it should be.
    pub(super) fn settled(&mut self, step: usize, outputs: Option<Value>) {
        let address = self.runs[&step].address.clone();
        self.record(Entry::Advanced { address, status: Status::Ready, outputs });
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
        self.events.push(Event::StepFinished { step: name, id, elapsed_ms: millis(run.started) });
    }

    // What fails.

    /// A call did not go through: again after a pause if that may help, else the step has failed.
    pub(super) fn refused(&mut self, step: usize, error: &ProviderError) {
        let now = Instant::now();
        let run = self.run(step);
        run.failures += 1;
        let lost = error.class == Class::Unknown;
        if lost && run.phase == Phase::Create {
            (run.phase, run.sought, run.lost) = (Phase::Find, Some(now), run.lost + 1);
        }
        let again = match error.class {
            Class::Refused => false,
            Class::Again => now < run.deadline,
            Class::Unknown => run.failures.max(run.lost) < LOST_ANSWERS && now < run.deadline,
        };
        if !again || self.stopping.is_some() {
            return self.failed(step, error);
        }
        let run = &self.runs[&step];
        let after = error.after.unwrap_or_else(|| pause(&run.address, run.failures));
        self.paused.push(Reverse((now + after, step)));
        self.events.push(Event::StepRetrying {
            step: self.plan.steps[step].op.name(),
            error: Fault::from(error),
            after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
        });
    }

    pub(super) fn failed(&mut self, step: usize, error: &ProviderError) {
        let Some(run) = self.runs.remove(&step) else { return };
        if run.phase == Phase::Create && run.lost == 0 {
            self.record(Entry::CreateRefused { address: run.address.clone() });
        }
        self.summary.failed += 1;
        self.events.push(Event::StepFailed {
            step: self.plan.steps[step].op.name(),
            error: Fault::from(error),
            elapsed_ms: millis(run.started),
        });
        for skipped in self.frontier.failed(step) {
            self.summary.skipped += 1;
            let step = self.plan.steps[skipped].op.name();
            self.events.push(Event::StepSkipped { step, because: run.address.clone() });
        }
    }
}
