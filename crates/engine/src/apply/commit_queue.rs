//! Commit queue: recorded entries that are not durable yet, with the calls and events that wait for
//! them. Plain bookkeeping, without a cloud and without tasks.
//!
//! Every waiting call and event has the serial that must be durable first. One group of entries is
//! written at a time, and entries recorded meanwhile form the next group. A slow state backend
//! therefore costs its latency once per group, not once per entry.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use super::call::Call;
use crate::event::Event;
use crate::state::Entry;
use crate::state::backend::DurableWrite;
use crate::state::error::StateError;

/// Recorded entries, and the calls and events that wait until the entries are durable.
pub(super) struct CommitQueue {
    /// Serial of the last recorded entry.
    recorded: u64,
    /// Serial of the last durable entry.
    durable: u64,
    unwritten: Vec<Entry>,
    /// Group that is being written, and the serial of its last entry.
    writing: Option<(u64, DurableWrite)>,
    calls: VecDeque<(u64, usize, Call)>,
    events: VecDeque<(u64, Event)>,
}

impl CommitQueue {
    /// Returns the queue of a state that is durable up to `serial`.
    pub(super) fn new(serial: u64) -> Self {
        Self {
            recorded: serial,
            durable: serial,
            unwritten: Vec::new(),
            writing: None,
            calls: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Adds an entry that the state has accepted.
    pub(super) fn record(&mut self, entry: Entry) {
        self.recorded += 1;
        self.unwritten.push(entry);
    }

    /// Adds a call that is sent when all entries recorded so far are durable.
    pub(super) fn announce(&mut self, step: usize, call: Call) {
        self.calls.push_back((self.recorded, step, call));
    }

    /// Adds an event that is emitted when all entries recorded so far are durable.
    pub(super) fn emit(&mut self, event: Event) {
        self.events.push_back((self.recorded, event));
    }

    /// Returns the number of waiting calls.
    pub(super) fn waiting_calls(&self) -> usize {
        self.calls.len()
    }

    /// Returns true if all recorded entries are durable.
    pub(super) fn is_settled(&self) -> bool {
        self.durable == self.recorded
    }

    /// Takes the entries of the next group; `None` during a write, or without entries.
    pub(super) fn next_group(&mut self) -> Option<Vec<Entry>> {
        (self.writing.is_none() && !self.unwritten.is_empty())
            .then(|| std::mem::take(&mut self.unwritten))
    }

    /// Starts to track the write of the group taken last. Returns true if the write is already
    /// complete.
    pub(super) fn begun(&mut self, mut written: DurableWrite) -> Result<bool, StateError> {
        match written.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done.map(|()| {
                self.durable = self.recorded;
                true
            }),
            Poll::Pending => {
                self.writing = Some((self.recorded, written));
                Ok(false)
            }
        }
    }

    /// Returns true during the write of a group.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Waits until the group in progress is durable. Cancel-safe: a dropped wait can be repeated.
    pub(super) async fn written(&mut self) -> Result<(), StateError> {
        if let Some((serial, written)) = &mut self.writing {
            let (serial, done) = (*serial, written.await);
            self.writing = None;
            done?;
            self.durable = serial;
        }
        Ok(())
    }

    /// Takes the next call that can be sent.
    pub(super) fn next_call(&mut self) -> Option<(usize, Call)> {
        let (_, step, call) = self.calls.pop_front_if(|(serial, ..)| *serial <= self.durable)?;
        Some((step, call))
    }

    /// Takes the next event that can be emitted.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front_if(|(serial, _)| *serial <= self.durable).map(|(_, event)| event)
    }

    /// Removes all waiting calls and returns their steps.
    pub(super) fn withdraw_waiting(&mut self) -> Vec<usize> {
        self.calls.drain(..).map(|(_, step, _)| step).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::event::{Operation, Summary};
    use crate::graph::Address;
    use crate::provider::Request;

    fn entry() -> Entry {
        Entry::Vanished { address: Address::from("node.a") }
    }

    fn call() -> Call {
        Call::Create(Request {
            address: Address::from("node.a"),
            token: String::new(),
            inputs: serde_json::Value::Null,
            secrets: std::sync::Arc::default(),
            revert: Vec::new(),
        })
    }

    fn event() -> Event {
        Event::Finished { operation: Operation::Apply, summary: Summary::default() }
    }

    #[test]
    fn a_call_leaves_when_what_announces_it_is_durable() {
        let mut commits = CommitQueue::new(7);
        commits.announce(0, call());
        assert_eq!(commits.next_call().map(|(step, _)| step), Some(0), "nothing announces it");
        commits.record(entry());
        commits.announce(1, call());
        commits.emit(event());
        assert!(commits.next_call().is_none() && commits.next_event().is_none());
        assert_eq!(commits.next_group().map(|group| group.len()), Some(1));
        assert!(commits.begun(Box::pin(ready(Ok(())))).unwrap());
        assert_eq!(commits.next_call().map(|(step, _)| step), Some(1));
        assert!(commits.next_event().is_some() && commits.is_settled());
    }

    #[tokio::test]
    async fn what_is_recorded_during_a_write_makes_the_next_group() {
        let mut commits = CommitQueue::new(0);
        commits.record(entry());
        let (done, wait) = tokio::sync::oneshot::channel::<()>();
        commits.next_group().unwrap();
        let slow = Box::pin(async move {
            let _ = wait.await;
            Ok(())
        });
        assert!(!commits.begun(slow).unwrap());
        commits.announce(0, call());
        commits.record(entry());
        commits.record(entry());
        commits.announce(1, call());
        assert!(commits.next_group().is_none(), "one at a time");
        done.send(()).unwrap();
        commits.written().await.unwrap();
        assert_eq!(commits.next_call().map(|(step, _)| step), Some(0));
        assert!(commits.next_call().is_none(), "its own announcement is not durable yet");
        assert_eq!(commits.next_group().map(|group| group.len()), Some(2));
    }

    #[test]
    fn what_could_not_be_written_releases_nothing() {
        let mut commits = CommitQueue::new(0);
        commits.record(entry());
        commits.announce(0, call());
        commits.next_group().unwrap();
        let lost = StateError::Fenced { place: "here".into(), why: "somebody came".into() };
        assert!(commits.begun(Box::pin(ready(Err(lost)))).is_err());
        assert!(commits.next_call().is_none() && !commits.is_settled());
        assert_eq!(commits.withdraw_waiting(), [0]);
    }

    #[test]
    fn a_write_that_never_ends_is_waited_for_in_vain_and_nothing_else() {
        let mut commits = CommitQueue::new(0);
        commits.record(entry());
        commits.next_group().unwrap();
        assert!(!commits.begun(Box::pin(pending())).unwrap());
        assert!(commits.is_writing() && !commits.is_settled());
    }
}
