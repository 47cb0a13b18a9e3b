//! What has been recorded and is not durable yet, and what waits for it: calls that it announces,
//! events that tell of it. Plain bookkeeping; knows no cloud and starts nothing.
//!
//! Everything that waits carries the serial that must be durable before it may go. One group of
//! entries is written at a time; what is recorded meanwhile makes the next group, so a slow home
//! costs a walk its latency once and not for every entry.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use super::step_run::Call;
use crate::event::Event;
use crate::state::Entry;
use crate::state::backend::Written;
use crate::state::error::HomeError;

/// What is recorded, and who waits for it to be durable.
pub(super) struct Ledger {
    /// The serial of the last entry recorded.
    recorded: u64,
    /// The serial of the last entry that is durable.
    durable: u64,
    unwritten: Vec<Entry>,
    /// The group under way, and the serial it ends with.
    writing: Option<(u64, Written)>,
    calls: VecDeque<(u64, usize, Call)>,
    events: VecDeque<(u64, Event)>,
}

impl Ledger {
    /// A ledger of a state that is durable up to this serial.
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

    /// Something that the state has accepted.
    pub(super) fn record(&mut self, entry: Entry) {
        self.recorded += 1;
        self.unwritten.push(entry);
    }

    /// A call that leaves when everything recorded so far is durable.
    pub(super) fn announce(&mut self, step: usize, call: Call) {
        self.calls.push_back((self.recorded, step, call));
    }

    /// Something that is said when everything recorded so far is durable.
    pub(super) fn say(&mut self, event: Event) {
        self.events.push_back((self.recorded, event));
    }

    /// How many calls wait.
    pub(super) fn waiting_calls(&self) -> usize {
        self.calls.len()
    }

    /// Whether everything recorded is durable.
    pub(super) fn is_settled(&self) -> bool {
        self.durable == self.recorded
    }

    /// The entries to be written next, unless a group is under way or there are none.
    pub(super) fn next_group(&mut self) -> Option<Vec<Entry>> {
        (self.writing.is_none() && !self.unwritten.is_empty())
            .then(|| std::mem::take(&mut self.unwritten))
    }

    /// The group that was handed out last is being written. Whether it is done already.
    pub(super) fn begun(&mut self, mut written: Written) -> Result<bool, HomeError> {
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

    /// Whether a group is being written.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Until the group under way is durable. May be dropped and asked again.
    pub(super) async fn written(&mut self) -> Result<(), HomeError> {
        if let Some((serial, written)) = &mut self.writing {
            let (serial, done) = (*serial, written.await);
            self.writing = None;
            done?;
            self.durable = serial;
        }
        Ok(())
    }

    /// The next call that may leave.
    pub(super) fn next_call(&mut self) -> Option<(usize, Call)> {
        let (_, step, call) = self.calls.pop_front_if(|(serial, ..)| *serial <= self.durable)?;
        Some((step, call))
    }

    /// The next event that may be told.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front_if(|(serial, _)| *serial <= self.durable).map(|(_, event)| event)
    }

    /// The steps whose calls will not leave any more.
    pub(super) fn recall(&mut self) -> Vec<usize> {
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
        })
    }

    fn event() -> Event {
        Event::Finished { operation: Operation::Apply, summary: Summary::default() }
    }

    #[test]
    fn a_call_leaves_when_what_announces_it_is_durable() {
        let mut ledger = Ledger::new(7);
        ledger.announce(0, call());
        assert_eq!(ledger.next_call().map(|(step, _)| step), Some(0), "nothing announces it");
        ledger.record(entry());
        ledger.announce(1, call());
        ledger.say(event());
        assert!(ledger.next_call().is_none() && ledger.next_event().is_none());
        assert_eq!(ledger.next_group().map(|group| group.len()), Some(1));
        assert!(ledger.begun(Box::pin(ready(Ok(())))).unwrap());
        assert_eq!(ledger.next_call().map(|(step, _)| step), Some(1));
        assert!(ledger.next_event().is_some() && ledger.is_settled());
    }

    #[tokio::test]
    async fn what_is_recorded_during_a_write_makes_the_next_group() {
        let mut ledger = Ledger::new(0);
        ledger.record(entry());
        let (done, wait) = tokio::sync::oneshot::channel::<()>();
        ledger.next_group().unwrap();
        let slow = Box::pin(async move {
            let _ = wait.await;
            Ok(())
        });
        assert!(!ledger.begun(slow).unwrap());
        ledger.announce(0, call());
        ledger.record(entry());
        ledger.record(entry());
        ledger.announce(1, call());
        assert!(ledger.next_group().is_none(), "one at a time");
        done.send(()).unwrap();
        ledger.written().await.unwrap();
        assert_eq!(ledger.next_call().map(|(step, _)| step), Some(0));
        assert!(ledger.next_call().is_none(), "its own announcement is not durable yet");
        assert_eq!(ledger.next_group().map(|group| group.len()), Some(2));
    }

    #[test]
    fn what_could_not_be_written_releases_nothing() {
        let mut ledger = Ledger::new(0);
        ledger.record(entry());
        ledger.announce(0, call());
        ledger.next_group().unwrap();
        let lost = HomeError::Fenced { place: "here".into(), why: "somebody came".into() };
        assert!(ledger.begun(Box::pin(ready(Err(lost)))).is_err());
        assert!(ledger.next_call().is_none() && !ledger.is_settled());
        assert_eq!(ledger.recall(), [0]);
    }

    #[test]
    fn a_write_that_never_ends_is_waited_for_in_vain_and_nothing_else() {
        let mut ledger = Ledger::new(0);
        ledger.record(entry());
        ledger.next_group().unwrap();
        assert!(!ledger.begun(Box::pin(pending())).unwrap());
        assert!(ledger.is_writing() && !ledger.is_settled());
    }
}
