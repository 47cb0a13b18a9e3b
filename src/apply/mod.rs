//! Walks a plan. Never decides, never prints.

use crate::event::{Event, Summary};
use crate::state::{Entry, State};

/// Where the journal and the renderers plug in; called in one order, from one place.
pub trait Observer {
    /// Makes the entries durable before it returns: the calls they announce leave after it.
    ///
    /// # Errors
    /// When the disk refuses; nothing that was announced is then done.
    fn journal(&mut self, entries: &[Entry]) -> std::io::Result<()>;
    /// Tells whoever listens.
    fn event(&mut self, event: &Event);
}

/// How a walk ended; always with a state, even when things failed.
#[derive(Debug)]
pub struct Outcome {
    /// What exists now.
    pub state: State,
    /// How it went.
    pub summary: Summary,
    /// Whether it was stopped by a signal.
    pub stopped: bool,
    /// Why the journal could not be written, if that ended the walk.
    pub journal_error: Option<std::io::Error>,
}
