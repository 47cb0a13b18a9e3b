//! Waits: steps of one kind that wait for the same condition share one poll.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::executor::{Executor, Task, TaskOutput, TaskResult, millis};
use super::step_run::{Phase, StepRun};
use crate::event::Event;
use crate::provider::{ErrorClass, Poll, ProviderError, RecordedResource};
use crate::state::Entry;

/// Delay of the first poll: short, and long enough to include other resources of the kind.
const FIRST_LOOK: Duration = Duration::from_millis(250);
/// Interval at which an unchanged wait is reported again.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Steps of one kind that wait for the same condition.
#[derive(Debug)]
pub(super) struct PollGroup {
    /// Steps for the next poll. A poll in flight has its own steps.
    pub(super) steps: Vec<usize>,
    pub(super) next_look: Instant,
    pub(super) looking: bool,
}

impl Executor<'_> {
    /// Moves a step to its next phase. A wait joins the poll of its kind.
    pub(super) fn enter(&mut self, step: usize, phase: Phase) {
        let now = Instant::now();
        let patience = self.patience(step);
        let run = self.run(step);
        (run.phase, run.failures) = (phase, 0);
        if run.ambiguous_creates == 0 {
            run.deadline = now + patience;
        }
        let address = run.address.clone();
        if !phase.waits() {
            return self.proceed(step);
        }
        let schema = self.schema(&address);
        let wait = if phase == Phase::Gone { schema.gone } else { schema.ready };
        let Some(wait) = wait else { return self.settled(step, None) };
        self.run(step).deadline = now + Duration::from_secs(wait.within_seconds.into());
        let key = (address.kind().to_owned(), phase == Phase::Gone);
        let first = now + FIRST_LOOK;
        let watch = self.watches.entry(key).or_insert_with(|| PollGroup {
            steps: Vec::new(),
            next_look: first,
            looking: false,
        });
        watch.steps.push(step);
        watch.next_look = watch.next_look.min(first);
    }

    pub(super) fn spawn_looks(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        let now = Instant::now();
        let due = self.watches.iter().filter(|(_, watch)| !watch.looking && watch.next_look <= now);
        let due: Vec<_> = due.map(|(key, _)| key.clone()).collect();
        for key in due {
            self.spawn_look(key);
        }
    }

    pub(super) fn spawn_look(&mut self, key: (String, bool)) {
        let Some(watch) = self.watches.get_mut(&key) else { return };
        watch.looking = true;
        let steps = std::mem::take(&mut watch.steps);
        let waiting: Vec<RecordedResource> =
            steps.iter().map(|step| self.recorded_resource(&self.runs[step])).collect();
        let provider = Arc::clone(&self.cloud.provider);
        let (kind, gone) = key.clone();
        let task = Task::Poll { watch: key, steps };
        let about = task.clone();
        let handle = self.tasks.spawn(async move {
            let looks = if gone {
                provider.gone(kind, waiting).await
            } else {
                provider.ready(kind, waiting).await
            };
            TaskResult { task, reply: TaskOutput::Poll(looks) }
        });
        self.about.insert(handle.id(), about);
    }

    pub(super) fn poll_finished(
        &mut self,
        key: &(String, bool),
        steps: &[usize],
        looks: Result<Vec<Poll>, ProviderError>,
    ) {
        let now = Instant::now();
        let every = self.interval(key);
        if let Some(watch) = self.watches.get_mut(key) {
            watch.looking = false;
            watch.next_look = now + every;
        }
        if self.stopping.is_some() {
            return;
        }
        match looks {
            Ok(looks) => {
                for (&step, look) in steps.iter().zip(looks) {
                    self.poll_result(key, step, look);
                }
            }
            Err(error) if error.class == ErrorClass::Permanent => {
                steps.iter().for_each(|&step| self.failed(step, &error));
            }
            Err(error) => {
                let word = format!("could not look: {error}");
                steps.iter().for_each(|&step| self.still_waits(key, step, &word));
            }
        }
        if self.watches.get(key).is_some_and(|watch| watch.steps.is_empty()) {
            self.watches.remove(key);
        }
    }

    pub(super) fn poll_result(&mut self, key: &(String, bool), step: usize, look: Poll) {
        match look {
            Poll::Pending(word) => self.still_waits(key, step, &word),
            Poll::Failed(error) => self.failed(step, &error),
            Poll::Ready(_) if key.1 => {
                let run = &self.runs[&step];
                let (address, generation) = (run.address.clone(), run.generation);
                self.record(Entry::Deleted { address, generation });
                self.done(step);
            }
            Poll::Ready(outputs) => {
                let known = &self.state.resources[&self.runs[&step].address].outputs;
                let changed = *known != outputs;
                self.settled(step, changed.then_some(outputs));
            }
        }
    }

    pub(super) fn still_waits(&mut self, key: &(String, bool), step: usize, word: &str) {
        let now = Instant::now();
        let run = self.run(step);
        if now >= run.deadline {
            let error = too_long(run, word);
            return self.failed(step, &error);
        }
        let said = run.last_progress.as_ref();
        if said.is_none_or(|(last, at)| last != word || now - *at >= HEARTBEAT) {
            run.last_progress = Some((word.to_owned(), now));
            let elapsed_ms = millis(run.started);
            let (step, word) = (self.plan.steps[step].op.name(), word.to_owned());
            self.commits.say(Event::StepWaiting { step, word, elapsed_ms });
        }
        let next_look = now + self.interval(key);
        let watch = self.watches.entry(key.clone()).or_insert_with(|| PollGroup {
            steps: Vec::new(),
            next_look,
            looking: false,
        });
        watch.steps.push(step);
    }

    pub(super) fn interval(&self, (kind, gone): &(String, bool)) -> Duration {
        let schema = self.cloud.provider.schema(kind);
        let wait = schema.and_then(|schema| if *gone { schema.gone } else { schema.ready });
        Duration::from_secs(wait.map_or(5, |wait| wait.every_seconds).into())
    }
}

fn too_long(run: &StepRun, word: &str) -> ProviderError {
    let seconds = (run.deadline - run.started).as_secs();
    let message = format!("still {word} after {seconds} s");
    ProviderError::new(ErrorClass::Permanent, "wait", message)
        .with_hint("what was made is recorded: run the same command again to go on waiting")
}
