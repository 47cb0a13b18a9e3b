//! State backends of commands. Only this module and its submodule distinguish backends; all callers
//! use a [`Home`].

mod s3;

use std::path::Path;
use std::time::{Duration, Instant};

use groundplan_engine::state::backend::Home;
use groundplan_engine::state::error::HomeError;
use groundplan_engine::state::local::{LocalHome, Opened};
use groundplan_engine::state::location::Place;
use groundplan_engine::state::lock::{self, BreakError, Broken, LockError};
use groundplan_engine::state::{Format, State};

use crate::cli::args::Common;
use crate::cli::output::command_error::{Failure, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::cli::session::locked_state::{locked, unusable};
use crate::cli::session::state_backend::s3::There;
use crate::render::{Diagnostic, brief, remedies};

/// Interval between attempts to take a lock.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// State with its lock, which `home` keeps.
pub(crate) struct Locked {
    pub(crate) home: Home,
    pub(crate) state: State,
    pub(crate) warnings: Vec<String>,
    /// Format of the files if it is older than the current format.
    pub(crate) older: Option<Format>,
    /// Holder of the lock: `user@host`.
    pub(crate) by: String,
}

/// Returns true if the location has ever stored a state of this cluster. The state is not read.
pub(crate) async fn is_there(place: &Place, common: &Common) -> Result<bool> {
    match place {
        Place::Folder(dir) => folder_is_there(dir),
        Place::Bucket { bucket, prefix } => {
            There::reach(bucket, prefix, common).await.is_there().await
        }
    }
}

/// Returns true if the folder exists. A folder that cannot be checked is an error.
fn folder_is_there(dir: &Path) -> Result<bool> {
    dir.try_exists().map_err(|source| {
        let path = dir.to_owned();
        unusable(&HomeError::Unreadable { path, source })
    })
}

/// Reads a state and its warnings without the lock; `None` if there is no state.
pub(crate) async fn look(place: &Place, common: &Common) -> Result<Option<(State, Vec<String>)>> {
    match place {
        Place::Folder(dir) if !folder_is_there(dir)? => Ok(None),
        Place::Folder(dir) => {
            let opened = LocalHome::open(dir).map_err(|error| unusable(&error))?;
            Ok(Some((opened.state, opened.warnings)))
        }
        Place::Bucket { bucket, prefix } => There::reach(bucket, prefix, common).await.look().await,
    }
}

/// Takes the state lock of a cluster and reads the state. Waits for another holder up to
/// `--lock-timeout`. Creates a missing location.
pub(crate) async fn open_home(
    place: &Place,
    operation: &str,
    common: &Common,
    screen: &mut Screen,
) -> Result<Locked> {
    match place {
        Place::Folder(dir) => {
            let guard = lock_folder(dir, operation, common.lock_timeout, screen).await?;
            let by = guard.holder().who();
            let opened = LocalHome::open(dir).map_err(|error| unusable(&error))?;
            let Opened { mut home, state, warnings, older } = opened;
            home.hold(guard);
            Ok(Locked { home: Home::Local(home), state, warnings, older, by })
        }
        Place::Bucket { bucket, prefix } => {
            There::reach(bucket, prefix, common).await.open(operation, common, screen).await
        }
    }
}

/// Locked source or destination of `state migrate`.
pub(crate) struct Movable {
    pub(crate) home: Home,
    pub(crate) state: State,
    /// New location of the state if this backend is marked as moved; `None` without a mark.
    pub(crate) moved_to: Option<String>,
}

/// Takes the state lock of a cluster and reads the state, even if it is marked as moved.
pub(crate) async fn open_to_move(
    place: &Place,
    common: &Common,
    screen: &mut Screen,
) -> Result<Movable> {
    match place {
        Place::Folder(dir) => {
            let wait = common.lock_timeout;
            let guard = lock_folder(dir, "state migrate", wait, screen).await?;
            let moved_to = LocalHome::moved_to(dir).map_err(|error| unusable(&error))?;
            let opened = LocalHome::open_even_if_moved(dir).map_err(|error| unusable(&error))?;
            let Opened { mut home, state, .. } = opened;
            home.hold(guard);
            Ok(Movable { home: Home::Local(home), state, moved_to })
        }
        Place::Bucket { bucket, prefix } => {
            There::reach(bucket, prefix, common).await.open_to_move(common, screen).await
        }
    }
}

/// Reads a state without the lock, even if it is marked as moved; `None` if there is no state.
pub(crate) async fn read_back(place: &Place, common: &Common) -> Result<Option<State>> {
    match place {
        Place::Folder(dir) => {
            let opened = LocalHome::open_even_if_moved(dir).map_err(|error| unusable(&error))?;
            Ok(Some(opened.state))
        }
        Place::Bucket { bucket, prefix } => {
            There::reach(bucket, prefix, common).await.read_back().await
        }
    }
}

/// Returns the location in a form that is valid in every working directory.
pub(crate) fn from_anywhere(home: &Place) -> Result<Place> {
    match home {
        Place::Folder(dir) => {
            let path = std::path::absolute(dir);
            let attempt = format!("find out where {home} is");
            Ok(Place::Folder(path.map_err(|error| Failure::could_not(&attempt, &error))?))
        }
        Place::Bucket { .. } => Ok(home.clone()),
    }
}

/// Force-unlocks the state if the holder has this ID; `None` if the state is not locked.
pub(crate) async fn break_open(
    place: &Place,
    id: &str,
    force: bool,
    common: &Common,
) -> Result<Option<Broken>> {
    match place {
        Place::Folder(dir) => lock::break_open(dir, id, force).map_err(|error| unbroken(&error)),
        Place::Bucket { bucket, prefix } => {
            There::reach(bucket, prefix, common).await.break_open(id, force).await
        }
    }
}

fn unbroken(error: &BreakError) -> Failure {
    let exit = match error {
        BreakError::Another { .. } | BreakError::Alive(_) => Exit::Refused,
        BreakError::Home(_) => Exit::Failed,
    };
    let mut diagnostic = Diagnostic::could_not("take the lock away", error);
    diagnostic.hint = remedies::of_break(error);
    Failure::new(exit, diagnostic)
}

/// Releases the S3 locks of this process at the end of a command, also of a failed one. Without the
/// release, other runs would wait for the end of the lease. The kernel releases locks on folders.
pub(crate) async fn leave() {
    s3::leave().await;
}

async fn lock_folder(
    dir: &Path,
    operation: &str,
    wait: Duration,
    screen: &mut Screen,
) -> Result<lock::Guard> {
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
            tell_of_the_wait(wait, &error, screen)?;
            told = true;
        }
        tokio::time::sleep(left.min(TRY_EVERY)).await;
    }
}

/// Prints the holder of the lock and the maximum wait.
fn tell_of_the_wait(wait: Duration, error: &LockError, screen: &mut Screen) -> Result<()> {
    let notice = format!("waiting up to {} for the lock", brief(wait));
    Ok(screen.diagnostic(&Diagnostic::warning(notice).with_detail(error.to_string()))?)
}
