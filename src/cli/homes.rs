//! The homes of states, as commands reach for them. The one place that tells kinds of homes apart:
//! whoever comes from here holds a [`Home`] and does not ask.

use std::path::Path;
use std::time::{Duration, Instant};

use super::exit::Exit;
use super::failure::{Failure, Result};
use super::held::{locked, unusable};
use super::screen::Screen;
use crate::render::{Diagnostic, brief};
use crate::state::home::Home;
use crate::state::local::{LocalHome, Opened};
use crate::state::lock::{self, BreakError, Broken, Guard};
use crate::state::place::Place;
use crate::state::{Format, State};

/// How often a lock that is waited for is tried.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// A state that is ours to write to, as long as its home is not dropped.
pub(super) struct Locked {
    pub(super) home: Home,
    pub(super) state: State,
    pub(super) warnings: Vec<String>,
    /// The format of what was read, where it is older than ours.
    pub(super) older: Option<Format>,
    /// Who holds it: `user@host`.
    pub(super) by: String,
}

/// Whether anything was ever kept of this cluster; says nothing of what.
pub(super) async fn is_there(place: &Place) -> Result<bool> {
    match place {
        Place::Folder(dir) => Ok(dir.exists()),
        Place::Bucket { .. } => Err(no_such_home(place)),
    }
}

/// Reads a state without holding it; `None` where there is none.
pub(super) async fn look(place: &Place) -> Result<Option<(State, Vec<String>)>> {
    match place {
        Place::Folder(dir) if !dir.exists() => Ok(None),
        Place::Folder(dir) => {
            let opened = LocalHome::open(dir).map_err(|error| unusable(&error))?;
            Ok(Some((opened.state, opened.warnings)))
        }
        Place::Bucket { .. } => Err(no_such_home(place)),
    }
}

/// Takes the lock of a cluster's state, waiting so long for whoever has it, and reads the state.
/// Makes the place where it is missing.
pub(super) async fn open_home(
    place: &Place,
    operation: &str,
    wait: Duration,
    screen: &mut Screen,
) -> Result<Locked> {
    match place {
        Place::Folder(dir) => {
            let guard = lock_folder(dir, operation, wait, screen).await?;
            let by = guard.holder().who();
            let opened = LocalHome::open(dir).map_err(|error| unusable(&error))?;
            let Opened { mut home, state, warnings, older } = opened;
            home.hold(guard);
            Ok(Locked { home: Home::Local(home), state, warnings, older, by })
        }
        Place::Bucket { .. } => Err(no_such_home(place)),
    }
}

/// Takes the lock of a cluster's state away from the holder with this id; `None` where nobody has it.
pub(super) async fn break_open(place: &Place, id: &str, force: bool) -> Result<Option<Broken>> {
    match place {
        Place::Folder(dir) => lock::break_open(dir, id, force).map_err(|error| unbroken(&error)),
        Place::Bucket { .. } => Err(no_such_home(place)),
    }
}

fn unbroken(error: &BreakError) -> Failure {
    let exit = match error {
        BreakError::Another { .. } | BreakError::Alive(_) => Exit::Refused,
        BreakError::Home(_) => Exit::Failed,
    };
    let mut diagnostic = Diagnostic::could_not("take the lock away", error);
    diagnostic.hint = error.hint();
    Failure::new(exit, diagnostic)
}

async fn lock_folder(
    dir: &Path,
    operation: &str,
    wait: Duration,
    screen: &mut Screen,
) -> Result<Guard> {
    let deadline = Instant::now() + wait;
    let mut told = false;
    loop {
        let error = match lock::acquire(dir, operation) {
            Ok(guard) => return Ok(guard),
            Err(error) => error,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if !error.is_held() || left.is_zero() {
            return Err(locked(&error));
        }
        if !told {
            let notice = format!("waiting up to {} for the lock", brief(wait));
            screen.diagnostic(&Diagnostic::warning(notice).with_detail(error.to_string()))?;
            told = true;
        }
        tokio::time::sleep(left.min(TRY_EVERY)).await;
    }
}

fn no_such_home(place: &Place) -> Failure {
    let diagnostic = Diagnostic::error(format!("{place} cannot be used: only folders can"))
        .with_hint("name a folder with --state");
    Failure::new(Exit::Failed, diagnostic)
}
