//! Taking a lock away from a holder that nobody can end.

use std::fs;
use std::path::Path;

use super::{HOLDER, Holder, LOCK, LockError, UNNAMED, held, try_lock};
use crate::state::durable_files::replace_for_good;
use crate::state::error::HomeError;

/// Takes the lock away from the holder with this id, which is then fenced off. Does nothing where
/// nobody holds it; `None` is the answer then. One that runs on this host is spared unless
/// `even_alive`, since it can be ended.
///
/// # Errors
/// When somebody else holds it, or one that runs here does, or the folder refuses. Nothing is
/// changed then.
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

/// A lock that was taken away.
#[derive(Debug)]
pub struct Broken {
    /// From whom, where that is known.
    pub holder: Option<Box<Holder>>,
}

/// Why a lock was not taken away.
#[derive(Debug, thiserror::Error)]
pub enum BreakError {
    /// Another one holds it than was meant.
    #[error("the lock is not {given}: {}", described(.holder.as_deref()))]
    Another {
        /// Who was meant.
        given: String,
        /// Who holds it, where that is known.
        holder: Option<Box<Holder>>,
    },
    /// Its holder runs on this host.
    #[error("its holder runs on this host: {0}")]
    Alive(Box<Holder>),
    /// The folder refuses.
    #[error(transparent)]
    Home(#[from] HomeError),
}

fn described(holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) => holder.to_string(),
        None => format!("another process has it who has not said who it is (lock {UNNAMED})"),
    }
}
