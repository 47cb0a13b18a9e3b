//! A cluster's state while we hold its lock.

use std::path::Path;

use super::exit::Exit;
use super::failure::{Failure, Result};
use super::screen::Screen;
use crate::aws::schemas;
use crate::provider::Schemas;
use crate::render::Diagnostic;
use crate::state::error::HomeError;
use crate::state::local::LocalHome;
use crate::state::lock::{self, Guard, LockError};
use crate::state::{Entry, State};

/// A state that nobody else writes to.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) state: State,
    pub(super) home: LocalHome,
    _guard: Guard,
}

impl Held {
    /// Takes the lock, then reads the state. Makes the folder where it is missing.
    pub(super) fn take(dir: &Path, operation: &str, screen: &mut Screen) -> Result<Self> {
        let guard = lock::acquire(dir, operation).map_err(|error| locked(&error))?;
        let opened = LocalHome::open(dir).map_err(|error| unusable(&error))?;
        for warning in opened.warnings {
            screen.diagnostic(&Diagnostic::warning(warning))?;
        }
        known_kinds(&opened.state)?;
        Ok(Self { state: opened.state, home: opened.home, _guard: guard })
    }

    /// Records what follows from nothing that was done: it moves the state, then the disk.
    pub(super) fn record(&mut self, entries: &[Entry]) -> Result<()> {
        for entry in entries {
            self.state.record(entry).map_err(|e| Failure::could_not("record an answer", &e))?;
        }
        self.home.append(entries).map_err(|error| unusable(&error))
    }

    /// Leaves the state as compact as it is worth.
    pub(super) fn close(mut self) -> Result<()> {
        self.home.close(&self.state).map_err(|error| unusable(&error))
    }
}

/// A newer program may have recorded what this one cannot plan.
fn known_kinds(state: &State) -> Result<()> {
    let (schemas, recorded) = (schemas(), state.resources.keys().chain(state.deposed.keys()));
    let Some(strange) = recorded.into_iter().find(|one| schemas.schema(one.kind()).is_none())
    else {
        return Ok(());
    };
    let diagnostic = Diagnostic::error(format!("the state has {strange}, a kind not known here"))
        .with_hint("use the version of groundplan that made it, or a newer one");
    Err(Failure::new(Exit::Failed, diagnostic))
}

/// Reads a state without holding it; `None` where there is none.
pub(super) fn glance(dir: &Path, screen: &mut Screen) -> Result<Option<State>> {
    if !dir.exists() {
        return Ok(None);
    }
    let opened = LocalHome::open(dir).map_err(|error| unusable(&error))?;
    for warning in opened.warnings {
        screen.diagnostic(&Diagnostic::warning(warning))?;
    }
    Ok(Some(opened.state))
}

fn locked(error: &LockError) -> Failure {
    let exit = if error.is_held() { Exit::Locked } else { Exit::Failed };
    let mut diagnostic = Diagnostic::could_not("begin", error);
    diagnostic.hint = error.hint();
    Failure::new(exit, diagnostic)
}

fn unusable(error: &HomeError) -> Failure {
    let mut diagnostic = Diagnostic::could_not("use the state", error);
    diagnostic.hint = error.hint();
    Failure::new(Exit::Failed, diagnostic)
}
