//! One writer at a time, and a name for who it is.
//!
//! The lock is the kernel's, on a file that stays: whoever dies, however, has let go. Beside it
//! `lock.json` says who holds it, for people; it decides nothing, so what a killed holder leaves
//! there is harmless and simply overwritten.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use uuid::Uuid;

use super::error::HomeError;
use super::folder::{NEW, make_folder, tidy};

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
    let path = dir.join(LOCK);
    let refused = |source| HomeError::Unwritable { action: "lock", path: path.clone(), source };
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(refused)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Guard::introduce(dir, file, operation),
            Err(TryLockError::Error(source)) => return Err(refused(source).into()),
            Err(TryLockError::WouldBlock) => (),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(held(dir));
        }
        thread::sleep(left.min(TRY_EVERY));
    }
}

/// The lock, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct Guard {
    /// Closing it lets go.
    _file: File,
    holder: Holder,
    path: PathBuf,
}

impl Guard {
    fn introduce(dir: &Path, file: File, operation: &str) -> Result<Self, LockError> {
        let (path, holder) = (dir.join(HOLDER), Holder::here(operation));
        tidy(dir);
        write_holder(dir, &path, &holder).map_err(|source| {
            let path = path.clone();
            HomeError::Unwritable { action: "write", path, source }
        })?;
        Ok(Self { _file: file, holder, path })
    }

    /// Who holds it: this process.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // the next holder overwrites what stays
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
    /// It was to be broken, and is not that of the holder that was named.
    #[error("break the lock of {given}: {holder}, with the id {}", holder.id)]
    OtherHolder {
        /// The id that was given.
        given: String,
        /// Who has it.
        holder: Box<Holder>,
    },
    /// It was to be broken, and nobody has it.
    #[error("break the lock {}: nobody has it", .0.display())]
    Free(PathBuf),
    /// It cannot be taken.
    #[error(transparent)]
    Home(#[from] HomeError),
}

impl LockError {
    /// Whether somebody else has it, rather than nobody being able to.
    pub fn is_held(&self) -> bool {
        matches!(self, LockError::Held(_) | LockError::HeldUnnamed(_))
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            LockError::Held(holder) => Some(format!(
                "wait for it to end, or end process {} on {}: the lock goes with it",
                holder.pid, holder.host
            )),
            LockError::HeldUnnamed(_) => Some("wait for it to end".to_owned()),
            LockError::OtherHolder { .. } => {
                Some("make sure that this holder is gone, then break it by this id".to_owned())
            }
            LockError::Free(_) => None,
            LockError::Home(error) => error.hint(),
        }
    }
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// This holding of it.
    pub id: String,
    /// What it is held for: `apply`, `destroy`.
    pub operation: String,
    /// The process.
    pub pid: u32,
    /// When that process started, in the kernel's ticks; tells it from a later one with its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// Which boot of the host that was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// The host.
    pub host: String,
    /// The user.
    pub user: String,
    /// Since when.
    pub since: String,
    /// The version of the program.
    pub version: String,
}

impl Holder {
    /// This process, as the holder of a lock from now on.
    pub fn here(operation: &str) -> Self {
        let pid = std::process::id();
        Self {
            id: Uuid::new_v4().to_string(),
            operation: operation.to_owned(),
            pid,
            started: started(pid),
            boot: boot(),
            host: host(),
            user: user(),
            since: Timestamp::now().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Whether the process still runs, where that can be known: on the same boot of the same host.
    pub fn is_alive(&self) -> Option<bool> {
        let same_boot = self.boot.is_some() && self.boot == boot();
        (same_boot && self.host == host())
            .then(|| self.started.is_some() && self.started == started(self.pid))
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, user, host, pid, since, .. } = self;
        write!(f, "{user}@{host} has it for {operation} since {since} (process {pid})")
    }
}

/// Who has it. Somebody who has just taken it is given the time to say so: until then the file is
/// missing or names one that is dead.
fn held(dir: &Path) -> LockError {
    let path = dir.join(HOLDER);
    let deadline = Instant::now() + INTRODUCTION;
    loop {
        let text = fs::read(&path).ok();
        let holder = text.and_then(|text| serde_json::from_slice::<Holder>(&text).ok());
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

/// When a process started (field 22 of `/proc/PID/stat`, proc_pid_stat(5)).
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?; // the name may hold spaces and brackets
    after_name.split_whitespace().nth(19)?.parse().ok()
}

fn boot() -> Option<String> {
    first_line("/proc/sys/kernel/random/boot_id")
}

fn host() -> String {
    first_line("/proc/sys/kernel/hostname")
        .or_else(|| first_line("/etc/hostname"))
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_else(|| "unknown".to_owned())
}

fn user() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

fn first_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;

    #[test]
    fn the_second_is_told_who_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("not there yet");
        let first = acquire(&dir, "apply").unwrap();
        let error = acquire(&dir, "destroy").unwrap_err();
        assert!(error.is_held());
        let LockError::Held(holder) = &error else { panic!("{error}") };
        assert_eq!(**holder, *first.holder());
        assert_eq!(holder.is_alive(), Some(true));
        let message = error.to_string();
        for part in [&holder.user, &holder.host, "apply", &holder.since] {
            assert!(message.contains(part), "{message} lacks {part}");
        }
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        assert!(error.hint().unwrap().contains(&std::process::id().to_string()));
    }

    #[test]
    fn what_is_let_go_can_be_taken() {
        let dir = tempfile::tempdir().unwrap();
        let first = acquire(dir.path(), "apply").unwrap();
        let id = first.holder().id.clone();
        drop(first);
        assert!(!dir.path().join(HOLDER).exists());
        assert_ne!(acquire(dir.path(), "apply").unwrap().holder().id, id);
    }

    #[test]
    fn whoever_waits_gets_it_when_it_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let first = acquire(dir.path(), "apply").unwrap();
        let waiter = {
            let dir = dir.path().to_owned();
            thread::spawn(move || acquire_within(&dir, "plan", Duration::from_secs(20)).map(drop))
        };
        thread::sleep(Duration::from_millis(50));
        drop(first);
        waiter.join().unwrap().unwrap();
    }

    #[test]
    fn waiting_ends() {
        let dir = tempfile::tempdir().unwrap();
        let _first = acquire(dir.path(), "apply").unwrap();
        let began = Instant::now();
        let wait = Duration::from_millis(250);
        assert!(acquire_within(dir.path(), "plan", wait).unwrap_err().is_held());
        assert!(began.elapsed() >= wait);
    }

    #[test]
    fn a_holder_that_has_not_said_who_it_is_is_a_holder() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join(LOCK)).unwrap();
        file.lock().unwrap();
        let error = acquire(dir.path(), "plan").unwrap_err();
        assert!(matches!(error, LockError::HeldUnnamed(_)), "{error}");
        assert!(error.is_held());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a file");
        fs::write(&file, "").unwrap();
        let error = acquire(&file.join("prod"), "plan").unwrap_err();
        assert!(!error.is_held());
        assert!(error.to_string().contains("a file/prod"), "{error}");
    }

    #[test]
    fn what_a_killed_writer_left_is_tidied_up() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".new-abc"), "half").unwrap();
        fs::write(dir.path().join(".old-abc"), "half").unwrap();
        fs::write(dir.path().join("notes"), "mine").unwrap();
        drop(acquire(dir.path(), "plan").unwrap());
        let left = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["lock", "notes"]);
    }

    #[test]
    fn the_lock_of_a_killed_holder_is_taken_over_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = child_that_holds(dir.path());
        let LockError::Held(holder) = acquire(dir.path(), "plan").unwrap_err() else {
            panic!("somebody unknown has it")
        };
        assert_eq!(holder.pid, child.id());
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        assert_eq!(holder.is_alive(), Some(false));
        assert!(dir.path().join(HOLDER).exists(), "it should have had no time to tidy up");
        let guard = acquire(dir.path(), "plan").unwrap();
        let written: Holder =
            serde_json::from_slice(&fs::read(dir.path().join(HOLDER)).unwrap()).unwrap();
        assert_eq!(written, *guard.holder());
    }

    const CHILD: &str = "GROUNDPLAN_TEST_LOCK_DIR";

    /// This test program, running nothing but [`holds_until_it_is_killed`].
    fn child_that_holds(dir: &Path) -> Child {
        let test = "state::lock::tests::holds_until_it_is_killed";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--include-ignored"])
            .env(CHILD, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let holds = said.lines().any(|line| line.unwrap().contains("it holds the lock"));
        assert!(holds, "the child ended early");
        child
    }

    #[test]
    #[ignore = "the other half of the_lock_of_a_killed_holder_is_taken_over_at_once"]
    #[expect(clippy::print_stdout, reason = "how the child tells its parent")]
    fn holds_until_it_is_killed() {
        let Ok(dir) = std::env::var(CHILD) else { return };
        let _guard = acquire(Path::new(&dir), "apply").unwrap();
        println!("it holds the lock");
        let _ = io::stdin().read_line(&mut String::new()); // ends with its parent at the latest
    }
}
