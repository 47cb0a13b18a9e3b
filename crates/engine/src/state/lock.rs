//! One writer at a time, and a name for who it is.
//!
//! The lock is the kernel's, on a file that stays: whoever dies, however, has let go. Beside it
//! `lock.json` says who holds it, for people; what a killed holder leaves there is harmless and
//! simply overwritten.
//!
//! A holder that nobody can end, since its host is out of reach and the file system is shared, has
//! the lock taken away by another file in the place of the one it has locked ([`break_open`]). It
//! finds out at its [`Fence`], before the next thing that only a holder may do.

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

pub use self::breaking::{BreakError, Broken, break_open};
pub use self::holder::Holder;
use super::durable_files::{NEW, make_folder, tidy};
use super::error::HomeError;
use super::fence::Fence;

const LOCK: &str = "lock";
const HOLDER: &str = "lock.json";
/// How often a lock that is waited for is tried.
const TRY_EVERY: Duration = Duration::from_millis(100);
/// How long a new holder may take to write down who it is.
const INTRODUCTION: Duration = Duration::from_millis(300);

/// Takes the lock of this folder, making the folder where it is missing, or says who has it.
///
/// # Errors
/// When somebody has it or it cannot be taken.
pub fn acquire(dir: &Path, operation: &str) -> Result<Guard, LockError> {
    acquire_within(dir, operation, Duration::ZERO)
}

/// The same, waiting so long for whoever has it.
///
/// # Errors
/// When somebody still has it then, or it cannot be taken.
pub fn acquire_within(dir: &Path, operation: &str, wait: Duration) -> Result<Guard, LockError> {
    let deadline = Instant::now() + wait;
    make_folder(dir)?;
    loop {
        if let Some((file, seal)) = try_lock(dir)? {
            return Guard::introduce(dir, file, seal, operation);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(held(dir));
        }
        thread::sleep(left.min(TRY_EVERY));
    }
}

/// The lock, or nothing where somebody has it.
fn try_lock(dir: &Path) -> Result<Option<(File, Seal)>, HomeError> {
    let path = dir.join(LOCK);
    let refused = |source| HomeError::Unwritable { action: "lock", path: path.clone(), source };
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    loop {
        let file = options.open(&path).map_err(refused)?;
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(refused(source)),
        }
        let seal = Seal { file: identity(&file.metadata().map_err(refused)?), path: path.clone() };
        if seal.is_whole().map_err(refused)? {
            return Ok(Some((file, seal)));
        } // else another took its place between the two looks
    }
}

/// The very file that is locked. Once another has its name, the lock is somebody else's.
#[derive(Clone, Debug)]
struct Seal {
    path: PathBuf,
    /// Device and inode.
    file: (u64, u64),
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Seal {
    fn is_whole(&self) -> io::Result<bool> {
        match fs::metadata(&self.path) {
            Ok(metadata) => Ok(identity(&metadata) == self.file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the folder is still where it was.
    fn is_at_home(&self) -> bool {
        self.path.parent().is_none_or(Path::exists)
    }

    fn pass(&self) -> Result<(), HomeError> {
        let why = match self.is_whole() {
            Ok(true) => return Ok(()),
            Ok(false) if !self.is_at_home() => {
                "its folder is gone or has another name: bring it back".to_owned()
            }
            Ok(false) => "the lock was taken away from this run".to_owned(),
            Err(error) => format!("the lock cannot be seen any more: {error}"),
        };
        let dir = self.path.parent().unwrap_or(&self.path);
        Err(HomeError::Fenced { place: dir.display().to_string(), why })
    }
}

/// The lock, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct Guard {
    /// Closing it lets go.
    _file: File,
    seal: Seal,
    holder: Holder,
    path: PathBuf,
}

impl Guard {
    fn introduce(dir: &Path, file: File, seal: Seal, operation: &str) -> Result<Self, LockError> {
        let (path, holder) = (dir.join(HOLDER), Holder::here(operation));
        tidy(dir);
        write_holder(dir, &path, &holder).map_err(|source| {
            let path = path.clone();
            HomeError::Unwritable { action: "write", path, source }
        })?;
        Ok(Self { _file: file, seal, holder, path })
    }

    /// Stands between a holder that has lost the lock and what only the holder may do. Asks the
    /// folder, which takes microseconds.
    pub fn fence(&self) -> Fence {
        let seal = self.seal.clone();
        Fence::new(move || seal.pass())
    }

    /// Who holds it: this process.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if read_holder(&self.path).is_some_and(|holder| holder.id == self.holder.id) {
            let _ = fs::remove_file(&self.path); // the next holder overwrites what stays
        }
    }
}

fn write_holder(dir: &Path, path: &Path, holder: &Holder) -> io::Result<()> {
    let mut file = NamedTempFile::with_prefix_in(NEW, dir)?;
    serde_json::to_writer_pretty(&mut file, holder)?;
    file.write_all(b"\n")?;
    file.persist(path)?;
    Ok(())
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("take the lock: {0}")]
    Held(Box<Holder>),
    /// Somebody has it who has not said who it is.
    #[error("take the lock {}: another process has it", .0.display())]
    HeldUnnamed(PathBuf),
    /// It cannot be taken.
    #[error(transparent)]
    Home(#[from] HomeError),
}

impl LockError {
    /// Whether somebody else has it, rather than nobody being able to.
    pub fn is_held(&self) -> bool {
        matches!(self, LockError::Held(_) | LockError::HeldUnnamed(_))
    }
}

/// What stands for the id of a holder that has not said who it is.
pub const UNNAMED: &str = "unnamed";

fn read_holder(path: &Path) -> Option<Holder> {
    fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok())
}

/// Who has it. Somebody who has just taken it is given the time to say so: until then the file is
/// missing or names one that is dead.
fn held(dir: &Path) -> LockError {
    let path = dir.join(HOLDER);
    let deadline = Instant::now() + INTRODUCTION;
    loop {
        let holder = read_holder(&path);
        let waited = Instant::now() >= deadline;
        match holder {
            // One that looks dead may live in another container, where its number is another.
            Some(holder) if waited || holder.is_alive() != Some(false) => {
                return LockError::Held(Box::new(holder));
            }
            None if waited => return LockError::HeldUnnamed(dir.join(LOCK)),
            _ => thread::sleep(Duration::from_millis(20)),
        }
    }
}
