//! State of the local copies of objects: a decision needs copies that a complete list filled and
//! that an open watch keeps up to date.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tokio::sync::watch;

/// State of the local copy of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewState {
    /// No complete list, or the copy is older than the history of the API server.
    Unlisted,
    /// The copy is complete, and no watch is open.
    Unwatched,
    /// The copy is complete, and an open watch delivers the changes.
    Current,
}

/// State of one reflector, for its readers.
#[derive(Clone, Debug)]
pub struct View {
    plural: &'static str,
    state: watch::Receiver<ViewState>,
    /// True if a reader found the copy outdated. The reader gets an event once the copy is current.
    missed: Arc<AtomicBool>,
}

impl View {
    /// Returns true if the copy is current. After `false`, the reflector publishes
    /// [`FeedEvent::All`](super::FeedEvent::All) as soon as the copy is current.
    pub fn is_current(&self) -> bool {
        if *self.state.borrow() == ViewState::Current {
            return true;
        }
        self.missed.store(true, SeqCst);
        // The state may have changed before the store, without an event.
        *self.state.borrow() == ViewState::Current
    }

    /// Returns the state of the copy.
    pub fn state(&self) -> ViewState {
        *self.state.borrow()
    }

    /// Returns the plural name of the watched kind.
    pub fn plural(&self) -> &'static str {
        self.plural
    }
}

/// Returns true if all copies are current.
pub fn are_current(views: &[View]) -> bool {
    // All views are asked, so that each reflector that is late publishes an event later.
    views.iter().filter(|view| !view.is_current()).count() == 0
}

/// State of one reflector, for its writer.
pub(super) struct ViewWriter {
    view: View,
    state: watch::Sender<ViewState>,
}

impl ViewWriter {
    pub(super) fn new(plural: &'static str) -> Self {
        let (state, receiver) = watch::channel(ViewState::Unlisted);
        Self { view: View { plural, state: receiver, missed: Arc::default() }, state }
    }

    pub(super) fn view(&self) -> View {
        self.view.clone()
    }

    /// Records that readers need an event once the copy is current.
    pub(super) fn miss(&self) {
        self.view.missed.store(true, SeqCst);
    }

    /// Records a state. Returns true if readers that found the copy outdated wait for an event.
    pub(super) fn enter(&self, state: ViewState) -> bool {
        self.state.send_replace(state);
        state == ViewState::Current && self.view.missed.swap(false, SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_finds_an_outdated_copy_gets_an_event_once() {
        let writer = ViewWriter::new("machines");
        let view = writer.view();
        assert!(!view.is_current());
        assert!(!writer.enter(ViewState::Unwatched));
        assert!(!view.is_current());
        assert!(writer.enter(ViewState::Current));
        assert!(view.is_current());
        assert!(!writer.enter(ViewState::Unwatched));
        assert!(!writer.enter(ViewState::Current), "no reader noticed");
    }

    #[test]
    fn all_views_are_asked() {
        let [one, other] = ["machines", "nodes"].map(ViewWriter::new);
        assert!(!are_current(&[one.view(), other.view()]));
        assert!(one.enter(ViewState::Current));
        assert!(other.enter(ViewState::Current));
        assert!(are_current(&[one.view(), other.view()]));
    }
}
