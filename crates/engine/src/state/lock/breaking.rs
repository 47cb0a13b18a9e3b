//! Force-unlock: takes the lock from a holder that the user cannot end.

use std::fs;
use std::path::Path;

use super::{HOLDER, Holder, LOCK, LockError, UNNAMED, held, try_lock};
use crate::state::durable_files::replace_for_good;
use crate::state::error::HomeError;

/// Takes the lock from the holder with this ID, which is then fenced off. Returns `None` without a
/// change if the lock is free. A holder that runs on this host is rejected unless `even_alive` is
/// true, because the user can end it.
///
/// # Errors
/// Returns an error if another holder has the lock, if the holder runs on this host, or if the
/// folder rejects the change. The lock is unchanged then.
pub fn break_open(dir: &Path, id: &str, even_alive: bool) -> Result<Option<Broken>, BreakError> {
    if try_lock(dir)?.is_some() {
        return Ok(None);
    }
    let holder = match held(dir) {
        LockError::Held(holder) => Some(holder),
        LockError::HeldUnnamed(_) => None,
        LockError::Home(error) => return Err(error.into()),
    };
    if holder.as_ref().map_or(UNNAMED, |holder| &holder.id) != id {
        return Err(BreakError::Another { given: id.to_owned(), holder });
    }
    if let Some(holder) = holder.clone().filter(|holder| holder.is_alive() == Some(true))
        && !even_alive
    {
        return Err(BreakError::Alive(holder));
    }
    let path = dir.join(LOCK);
    replace_for_good(dir, &path).map_err(|source| {
        let path = path.clone();
        HomeError::Unwritable { action: "replace", path, source }
    })?;
    let _ = fs::remove_file(dir.join(HOLDER)); // the next holder overwrites what stays
    Ok(Some(Broken { holder }))
}

/// Lock that was taken from its holder.
#[derive(Debug)]
pub struct Broken {
    /// Former holder, if known.
    pub holder: Option<Box<Holder>>,
}

/// Error of a force-unlock.
#[derive(Debug, thiserror::Error)]
pub enum BreakError {
    /// Another holder has the lock.
    #[error("the lock is not {given}: {}", described(.holder.as_deref()))]
    Another {
        /// ID that the caller passed.
        given: String,
        /// Actual holder, if known.
        holder: Option<Box<Holder>>,
    },
    /// The holder runs on this host.
    #[error("its holder runs on this host: {0}")]
    Alive(Box<Holder>),
    /// The folder rejects the change.
    #[error(transparent)]
    Home(#[from] HomeError),
}

fn described(holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) => holder.to_string(),
        None => format!("another process has it who has not said who it is (lock {UNNAMED})"),
    }
}
