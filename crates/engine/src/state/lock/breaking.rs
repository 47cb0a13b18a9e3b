//! Force-unlock: takes the lock from a holder that the user cannot end.

use std::fs;
use std::path::Path;

use super::{HOLDER, LOCK, LockError, LockHolder, UNNAMED, held, try_lock};
use crate::state::durable_files::replace_for_good;
use crate::state::error::StateError;

/// Takes the lock from the holder with this ID, which is then fenced off. Returns `None` without a
/// change if the lock is free. A holder that runs on this host is rejected unless `even_alive` is
/// true, because the user can end it.
///
/// # Errors
/// Returns an error if another holder has the lock, if the holder runs on this host, or if the
/// folder rejects the change. The lock is unchanged then.
pub fn break_open(
    dir: &Path,
    id: &str,
    even_alive: bool,
) -> Result<Option<BrokenLock>, UnlockError> {
    if try_lock(dir)?.is_some() {
        return Ok(None);
    }
    let holder = match held(dir) {
        LockError::Held(holder) => Some(holder),
        LockError::HeldUnnamed(_) => None,
        LockError::Backend(error) => return Err(error.into()),
    };
    if holder.as_ref().map_or(UNNAMED, |holder| &holder.id) != id {
        return Err(UnlockError::Another { given: id.to_owned(), holder });
    }
    if let Some(holder) = holder.clone().filter(|holder| holder.is_alive() == Some(true))
        && !even_alive
    {
        return Err(UnlockError::Alive(holder));
    }
    let path = dir.join(LOCK);
    replace_for_good(dir, &path).map_err(|source| {
        let path = path.clone();
        StateError::Unwritable { action: "replace", path, source }
    })?;
    let _ = fs::remove_file(dir.join(HOLDER)); // the next holder overwrites what stays
    Ok(Some(BrokenLock { holder }))
}

/// Lock that was taken from its holder.
#[derive(Debug)]
pub struct BrokenLock {
    /// Former holder, if known.
    pub holder: Option<Box<LockHolder>>,
}

/// Error of a force-unlock.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// Another holder has the lock.
    #[error("expected lock {given}; the state is locked by {}", described(.holder.as_deref()))]
    Another {
        /// ID that the caller passed.
        given: String,
        /// Actual holder, if known.
        holder: Option<Box<LockHolder>>,
    },
    /// The holder runs on this host.
    #[error("the lock holder runs on this host: {0}")]
    Alive(Box<LockHolder>),
    /// The folder rejects the change.
    #[error(transparent)]
    Backend(#[from] StateError),
}

fn described(holder: Option<&LockHolder>) -> String {
    match holder {
        Some(holder) => holder.to_string(),
        None => format!("an unidentified process (lock {UNNAMED})"),
    }
}
