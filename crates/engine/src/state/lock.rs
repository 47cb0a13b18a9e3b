//! State lock of a folder: one writer at a time, with a description of the holder.
//!
//! The lock is a kernel lock on the permanent file `lock`. The end of the holding process always
//! releases it. The file `lock.json` in the same folder describes the holder for users. A killed
//! holder leaves its `lock.json` behind, which locks nothing; the next holder overwrites it.
//!
//! On a shared file system, the holder may run on a host that is out of reach. [`break_open`] then
//! replaces the file `lock` by a new one. The former holder detects the new file at its [`Fence`],
//! before the next operation that requires the lock.

mod breaking;
mod holder;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

pub use self::breaking::{BrokenLock, UnlockError, break_open};
pub use self::holder::LockHolder;
use super::durable_files::{NEW, make_folder, tidy};
use super::error::StateError;
use super::fence::Fence;
use super::regular_file;

pub(super) const LOCK: &str = "lock";
const HOLDER: &str = "lock.json";
/// Interval between attempts while waiting for the lock.
const TRY_EVERY: Duration = Duration::from_millis(100);
/// Time within which a new holder writes its description.
const INTRODUCTION: Duration = Duration::from_millis(300);

/// Takes the lock of the folder `dir`, and describes this process as its holder in `lock.json`.
/// Creates the folder if it is missing. `operation` is the name of the command, for users who wait.
///
/// # Errors
/// Returns an error if another process has the lock, or if the lock cannot be taken.
pub fn acquire(dir: &Path, operation: &str) -> Result<LocalLockGuard, LockError> {
    acquire_within(dir, operation, Duration::ZERO)
}

/// Takes the lock as [`acquire`] does, and waits up to `wait` while another process has it.
///
/// # Errors
/// Returns an error if another process has the lock when the time is over, or if the lock cannot be
/// taken.
pub fn acquire_within(
    dir: &Path,
    operation: &str,
    wait: Duration,
) -> Result<LocalLockGuard, LockError> {
    let deadline = Instant::now() + wait;
    make_folder(dir)?;
    loop {
        if let Some((file, locked)) = try_lock(dir)? {
            return LocalLockGuard::introduce(dir, file, locked, operation);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(held(dir));
        }
        thread::sleep(left.min(TRY_EVERY));
    }
}

/// Tries to take the lock. Returns `None` if another process has it.
fn try_lock(dir: &Path) -> Result<Option<(File, LockedFile)>, StateError> {
    let path = dir.join(LOCK);
    let failed = |source| StateError::Unwritable { action: "lock", path: path.clone(), source };
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    loop {
        let file = regular_file::open_with(options, &path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let locked =
            LockedFile { file: identity(&file.metadata().map_err(failed)?), path: path.clone() };
        if locked.is_in_place().map_err(failed)? {
            return Ok(Some((file, locked)));
        } // else another process replaced the file between `open` and `try_lock`
    }
}

/// Path and identity of the locked file. If the path leads to another file, the lock is lost.
#[derive(Clone, Debug)]
struct LockedFile {
    path: PathBuf,
    /// Device and inode.
    file: (u64, u64),
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl LockedFile {
    /// Returns true if the path still leads to the locked file.
    fn is_in_place(&self) -> io::Result<bool> {
        match fs::metadata(&self.path) {
            Ok(metadata) => Ok(identity(&metadata) == self.file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns true if the folder still exists under its path.
    fn has_folder(&self) -> bool {
        self.path.parent().is_none_or(Path::exists)
    }

    /// Checks that the lock is not lost.
    fn check(&self) -> Result<(), StateError> {
        let why = match self.is_in_place() {
            Ok(true) => return Ok(()),
            Ok(false) if !self.has_folder() => {
                "the folder of the state was moved or deleted; restore it".to_owned()
            }
            Ok(false) => "the lock of this run was force-released".to_owned(),
            Err(error) => format!("the lock cannot be read: {error}"),
        };
        let dir = self.path.parent().unwrap_or(&self.path);
        Err(StateError::Fenced { place: dir.display().to_string(), why })
    }
}

/// State lock, held until the guard is dropped or the process ends.
#[derive(Debug)]
pub struct LocalLockGuard {
    /// Closing the file releases the lock.
    _file: File,
    locked: LockedFile,
    holder: LockHolder,
    path: PathBuf,
}

impl LocalLockGuard {
    /// Writes the description of this process, which has just taken the lock.
    fn introduce(
        dir: &Path,
        file: File,
        locked: LockedFile,
        operation: &str,
    ) -> Result<Self, LockError> {
        let (path, holder) = (dir.join(HOLDER), LockHolder::this_process(operation));
        tidy(dir);
        write_holder(dir, &path, &holder).map_err(|source| {
            let path = path.clone();
            StateError::Unwritable { action: "write", path, source }
        })?;
        Ok(Self { _file: file, locked, holder, path })
    }

    /// Returns the fence that rejects operations after the loss of the lock. Each check reads the
    /// metadata of one file, which takes microseconds.
    pub fn fence(&self) -> Fence {
        let locked = self.locked.clone();
        Fence::new(move || locked.check())
    }

    /// Returns the holder: this process.
    pub fn holder(&self) -> &LockHolder {
        &self.holder
    }
}

impl Drop for LocalLockGuard {
    fn drop(&mut self) {
        if read_holder(&self.path).is_some_and(|holder| holder.id == self.holder.id) {
            let _ = fs::remove_file(&self.path); // the next holder overwrites what stays
        }
    }
}

fn write_holder(dir: &Path, path: &Path, holder: &LockHolder) -> io::Result<()> {
    let mut file = NamedTempFile::with_prefix_in(NEW, dir)?;
    serde_json::to_writer_pretty(&mut file, holder)?;
    file.write_all(b"\n")?;
    file.persist(path)?;
    Ok(())
}

/// Error of taking the lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has the lock.
    #[error("the state is locked by {0}")]
    Held(Box<LockHolder>),
    /// Another process has the lock, and its description is missing.
    #[error("another process has the lock {}", .0.display())]
    HeldUnnamed(PathBuf),
    /// The lock cannot be taken.
    #[error(transparent)]
    Backend(#[from] StateError),
}

impl LockError {
    /// Returns true if another process has the lock, and false for all other failures.
    pub fn is_held(&self) -> bool {
        matches!(self, LockError::Held(_) | LockError::HeldUnnamed(_))
    }
}

/// Returns the process that has the lock of the folder `dir`, as far as its description shows. A holder
/// that has ended on this host is none. Takes no lock and changes no file.
pub fn holder(dir: &Path) -> Option<LockHolder> {
    read_holder(&dir.join(HOLDER)).filter(|holder| holder.is_alive() != Some(false))
}

/// Lock ID that stands for a holder without a description, for `groundplan unlock`.
pub const UNNAMED: &str = "unnamed";

fn read_holder(path: &Path) -> Option<LockHolder> {
    regular_file::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok())
}

/// Returns the error that names the holder. A new holder gets [`INTRODUCTION`] to write its
/// description. Until then, `lock.json` is missing or names a process that has ended.
fn held(dir: &Path) -> LockError {
    let path = dir.join(HOLDER);
    let deadline = Instant::now() + INTRODUCTION;
    loop {
        let holder = read_holder(&path);
        let waited = Instant::now() >= deadline;
        match holder {
            // A process that is not found on this host may run in another container, which numbers
            // processes differently.
            Some(holder) if waited || holder.is_alive() != Some(false) => {
                return LockError::Held(Box::new(holder));
            }
            None if waited => return LockError::HeldUnnamed(dir.join(LOCK)),
            _ => thread::sleep(Duration::from_millis(20)),
        }
    }
}
