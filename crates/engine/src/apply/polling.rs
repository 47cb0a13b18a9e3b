//! Shared polls: steps of one kind that wait for the same condition are polled in one call.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::error::StepError;
use super::executor::{Completion, Executor, Task};
use super::step_machine::{Input, WaitFor};
use crate::provider::{Poll, RecordedResource};

/// Kind and condition that steps wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PollKey {
    kind: &'static str,
    wait: WaitFor,
}

/// Steps of one kind that wait for the same condition.
#[derive(Debug)]
pub(super) struct PollGroup {
    /// Steps for the next poll. A poll in flight has its own steps.
    steps: Vec<usize>,
    next_poll: Instant,
    is_in_flight: bool,
}

impl PollGroup {
    /// Returns the time of the next poll; `None` during a poll.
    pub(super) fn next_poll(&self) -> Option<Instant> {
        (!self.is_in_flight).then_some(self.next_poll)
    }
}

impl Executor<'_> {
    /// Adds a step to the polls of its kind, and advances the next poll to `after` from now if it
    /// is later.
    pub(super) fn join_poll(&mut self, step: usize, wait: WaitFor, after: Duration) {
        let address = self.plan.steps[step].op.address();
        let Some(schema) = self.cloud.provider.schema(address.kind()) else {
            unreachable!("BUG: {address} waits and is of an unknown kind");
        };
        let due = Instant::now() + after;
        let key = PollKey { kind: schema.kind, wait };
        let group = self.polls.entry(key).or_insert_with(|| PollGroup {
            steps: Vec::new(),
            next_poll: due,
            is_in_flight: false,
        });
        group.steps.push(step);
        group.next_poll = group.next_poll.min(due);
    }

    /// Sends the polls that are due.
    pub(super) fn spawn_polls(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        let now = Instant::now();
        let is_due = |group: &PollGroup| group.next_poll().is_some_and(|at| at <= now);
        let due = self.polls.iter().filter(|(_, group)| is_due(group));
        let due: Vec<PollKey> = due.map(|(key, _)| *key).collect();
        for key in due {
            self.spawn_poll(key);
        }
    }

    /// Starts one poll for all steps of a group. Steps that join later wait for the next poll.
    fn spawn_poll(&mut self, key: PollKey) {
        let Some(group) = self.polls.get_mut(&key) else { return };
        group.is_in_flight = true;
        let steps = std::mem::take(&mut group.steps);
        let waiting = steps.iter().map(|step| self.machines[step].recorded_resource(&self.state));
        let waiting: Vec<RecordedResource> = waiting.collect();
        let provider = Arc::clone(&self.cloud.provider);
        self.spawn(Task::Poll { key, steps: steps.clone() }, async move {
            let kind = key.kind.to_owned();
            let results = match key.wait {
                WaitFor::Ready => provider.ready(kind, waiting).await,
                WaitFor::Deleted => provider.gone(kind, waiting).await,
            };
            Completion::Poll { key, steps, results: results.map_err(StepError::from) }
        });
    }

    /// Passes the results of a poll to its steps.
    pub(super) fn polled(
        &mut self,
        key: PollKey,
        steps: &[usize],
        results: Result<Vec<Poll>, StepError>,
    ) {
        let interval = key.wait.interval(self.cloud.provider.schema(key.kind));
        if let Some(group) = self.polls.get_mut(&key) {
            group.is_in_flight = false;
            group.next_poll = Instant::now() + interval;
        }
        if self.stopping.is_some() {
            return;
        }
        match results {
            Ok(results) => {
                for (&step, result) in steps.iter().zip(results) {
                    self.feed(step, Input::Polled(result));
                }
            }
            Err(error) => {
                for &step in steps {
                    self.feed(step, Input::PollFailed(error.clone()));
                }
            }
        }
        if self.polls.get(&key).is_some_and(|group| group.steps.is_empty()) {
            self.polls.remove(&key);
        }
    }
}
