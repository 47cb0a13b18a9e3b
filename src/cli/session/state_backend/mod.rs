//! State backends of commands. Only this module and its submodule distinguish backends; all callers
//! use a [`StateBackend`].

pub(crate) mod listing;
mod s3;

use std::path::Path;
use std::time::{Duration, Instant};

use groundplan_engine::state::backend::StateBackend;
use groundplan_engine::state::error::StateError;
use groundplan_engine::state::local::{LocalBackend, OpenedLocal};
use groundplan_engine::state::location::StateLocation;
use groundplan_engine::state::lock::{self, BrokenLock, LockError, LockHolder, UnlockError};
use groundplan_engine::state::{Cluster, Format, State};

use crate::cli::args::CommonArgs;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::locked_state::{locked, unusable};
use crate::cli::session::state_backend::s3::S3Location;
use crate::render::{Code, Diagnostic, brief, remedies};

/// Interval between attempts to take a lock.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// Interval between two reads of the lock while a plan waits for the end of another run.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// State with its lock, which `backend` keeps.
pub(crate) struct OpenedState {
    pub(crate) backend: StateBackend,
    pub(crate) state: State,
    pub(crate) warnings: Vec<String>,
    /// Format of the files if it is older than the current format.
    pub(crate) older: Option<Format>,
    /// Holder of the lock: `user@host`.
    pub(crate) by: String,
}

/// Returns true if the location has ever stored a state of this cluster. The state is not read.
pub(crate) async fn is_there(place: &StateLocation, common: &CommonArgs) -> Result<bool> {
    match place {
        StateLocation::Folder(dir) => folder_is_there(dir),
        StateLocation::Bucket { bucket, prefix } => {
            S3Location::reach(bucket, prefix, common).await.is_there().await
        }
    }
}

/// Returns true if the folder exists. A folder that cannot be checked is an error.
fn folder_is_there(dir: &Path) -> Result<bool> {
    dir.try_exists().map_err(|source| {
        let path = dir.to_owned();
        unusable(&StateError::Unreadable { path, source })
    })
}

/// Cluster that a folder of states records.
#[derive(Debug)]
pub(crate) struct RecordedCluster {
    pub(crate) cluster: Cluster,
    /// Number of recorded resources, at least one.
    pub(crate) resources: usize,
}

/// Returns the clusters in a folder of states that record resources, by name. Skips states that
/// cannot be read. Empty for a bucket.
pub(crate) fn recorded_clusters(states: &StateLocation) -> Result<Vec<RecordedCluster>> {
    let StateLocation::Folder(root) = states else { return Ok(Vec::new()) };
    if !folder_is_there(root)? {
        return Ok(Vec::new());
    }
    let unreadable = |source| {
        let path = root.clone();
        unusable(&StateError::Unreadable { path, source })
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(opened) = path.is_dir().then(|| LocalBackend::open(&path)) else { continue };
        let Ok(OpenedLocal { state, .. }) = opened else { continue };
        let resources = state.resources.len();
        found.extend(
            state
                .cluster
                .filter(|_| resources > 0)
                .map(|cluster| RecordedCluster { cluster, resources }),
        );
    }
    found.sort_by(|one, other| one.cluster.name.cmp(&other.cluster.name));
    Ok(found)
}

/// Reads a state and its warnings without the lock; `None` if there is no state.
pub(crate) async fn read_unlocked(
    place: &StateLocation,
    common: &CommonArgs,
) -> Result<Option<(State, Vec<String>)>> {
    match place {
        StateLocation::Folder(dir) if !folder_is_there(dir)? => Ok(None),
        StateLocation::Folder(dir) => {
            let opened = LocalBackend::open(dir).map_err(|error| unusable(&error))?;
            Ok(Some((opened.state, opened.warnings)))
        }
        StateLocation::Bucket { bucket, prefix } => {
            S3Location::reach(bucket, prefix, common).await.read_unlocked().await
        }
    }
}

/// Takes the state lock of a cluster and reads the state. Waits for another holder up to
/// `--lock-timeout`. Creates a missing location.
pub(crate) async fn open_home(
    place: &StateLocation,
    operation: &str,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<OpenedState> {
    match place {
        StateLocation::Folder(dir) => {
            let guard = lock_folder(dir, operation, common.lock_timeout, ui).await?;
            let by = guard.holder().who();
            let opened = LocalBackend::open(dir).map_err(|error| unusable(&error))?;
            let OpenedLocal { mut backend, state, warnings, older } = opened;
            backend.hold(guard);
            Ok(OpenedState { backend: StateBackend::Local(backend), state, warnings, older, by })
        }
        StateLocation::Bucket { bucket, prefix } => {
            S3Location::reach(bucket, prefix, common).await.open(operation, common, ui).await
        }
    }
}

/// Returns the process that has the state lock; `None` if the lock is free. Takes no lock.
async fn holder(place: &StateLocation, common: &CommonArgs) -> Result<Option<LockHolder>> {
    match place {
        StateLocation::Folder(dir) => Ok(lock::holder(dir)),
        StateLocation::Bucket { bucket, prefix } => {
            S3Location::reach(bucket, prefix, common).await.holder().await
        }
    }
}

/// Waits up to `--lock-timeout` until no other process has the state lock. Returns the process that
/// still has the lock then. Takes no lock.
pub(crate) async fn holder_after_wait(
    place: &StateLocation,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<Option<LockHolder>> {
    let deadline = Instant::now() + common.lock_timeout;
    let mut told = false;
    loop {
        let Some(holder) = holder(place, common).await? else { return Ok(None) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Some(holder));
        }
        if !told {
            tell_of_the_wait(common.lock_timeout, &LockError::Held(Box::new(holder)), ui)?;
            told = true;
        }
        tokio::time::sleep(left.min(LOOK_EVERY)).await;
    }
}

/// Locked source or destination of `state migrate`.
pub(crate) struct MigrationEnd {
    pub(crate) backend: StateBackend,
    pub(crate) state: State,
    /// New location of the state if this backend is marked as moved; `None` without a mark.
    pub(crate) moved_to: Option<String>,
}

/// Takes the state lock of a cluster and reads the state, even if it is marked as moved.
pub(crate) async fn open_to_move(
    place: &StateLocation,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<MigrationEnd> {
    match place {
        StateLocation::Folder(dir) => {
            let wait = common.lock_timeout;
            let guard = lock_folder(dir, "state migrate", wait, ui).await?;
            let moved_to = LocalBackend::moved_to(dir).map_err(|error| unusable(&error))?;
            let opened = LocalBackend::open_even_if_moved(dir).map_err(|error| unusable(&error))?;
            let OpenedLocal { mut backend, state, .. } = opened;
            backend.hold(guard);
            Ok(MigrationEnd { backend: StateBackend::Local(backend), state, moved_to })
        }
        StateLocation::Bucket { bucket, prefix } => {
            S3Location::reach(bucket, prefix, common).await.open_to_move(common, ui).await
        }
    }
}

/// Reads a state without the lock, even if it is marked as moved; `None` if there is no state.
pub(crate) async fn read_back(place: &StateLocation, common: &CommonArgs) -> Result<Option<State>> {
    match place {
        StateLocation::Folder(dir) => {
            let opened = LocalBackend::open_even_if_moved(dir).map_err(|error| unusable(&error))?;
            Ok(Some(opened.state))
        }
        StateLocation::Bucket { bucket, prefix } => {
            S3Location::reach(bucket, prefix, common).await.read_back().await
        }
    }
}

/// Returns the location in a form that is valid in every working directory.
pub(crate) fn from_anywhere(backend: &StateLocation) -> Result<StateLocation> {
    match backend {
        StateLocation::Folder(dir) => {
            let path = std::path::absolute(dir);
            let attempt = format!("resolve {backend}");
            Ok(StateLocation::Folder(
                path.map_err(|error| CommandError::could_not(Code::HostError, &attempt, &error))?,
            ))
        }
        StateLocation::Bucket { .. } => Ok(backend.clone()),
    }
}

/// Force-unlocks the state if the holder has this ID; `None` if the state is not locked.
pub(crate) async fn break_open(
    place: &StateLocation,
    id: &str,
    force: bool,
    common: &CommonArgs,
) -> Result<Option<BrokenLock>> {
    match place {
        StateLocation::Folder(dir) => {
            lock::break_open(dir, id, force).map_err(|error| unbroken(&error))
        }
        StateLocation::Bucket { bucket, prefix } => {
            S3Location::reach(bucket, prefix, common).await.break_open(id, force).await
        }
    }
}

fn unbroken(error: &UnlockError) -> CommandError {
    let exit = match error {
        UnlockError::Another { .. } | UnlockError::Alive(_) => Exit::Refused,
        UnlockError::Backend(_) => Exit::Failed,
    };
    let mut diagnostic =
        Diagnostic::could_not(Code::of_unlock(error), "force-release the lock", error);
    diagnostic.hint = remedies::of_break(error);
    CommandError::new(exit, diagnostic)
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
    ui: &mut Ui,
) -> Result<lock::LocalLockGuard> {
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
            tell_of_the_wait(wait, &error, ui)?;
            told = true;
        }
        tokio::time::sleep(left.min(TRY_EVERY)).await;
    }
}

/// Prints the holder of the lock and the maximum wait.
fn tell_of_the_wait(wait: Duration, error: &LockError, ui: &mut Ui) -> Result<()> {
    let notice = format!("waiting up to {} for the lock", brief(wait));
    Ok(ui.diagnostic(
        &Diagnostic::warning(Code::StateLocked, notice).with_detail(error.to_string()),
    )?)
}
