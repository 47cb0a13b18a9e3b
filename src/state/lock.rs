//! One writer at a time, and a name for who it is.
//!
//! The lock is the kernel's, on a file that stays: whoever dies, however, has let go. Beside it
//! `lock.json` says who holds it, for people; what a killed holder leaves there is harmless and
//! simply overwritten.
//!
//! A holder that nobody can end, since its host is out of reach and the file system is shared, has
//! the lock taken away by another file in the place of the one it has locked ([`break_open`]). It
//! finds out at its [`Fence`], before the next thing that only a holder may do.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use uuid::Uuid;

use super::error::HomeError;
use super::fence::Fence;
use super::folder::{NEW, make_folder, replace_for_good, tidy};

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

    fn pass(&self) -> Result<(), HomeError> {
        let why = match self.is_whole() {
            Ok(true) => return Ok(()),
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

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            LockError::Held(holder) if holder.is_alive() == Some(true) => Some(format!(
                "wait for it to end (--lock-timeout), or end process {}: the lock goes with it",
                holder.pid
            )),
            LockError::Held(holder) => Some(format!(
                "wait for it to end (--lock-timeout), or end process {} on {}: the lock goes with \
                 it; where that cannot be reached: groundplan unlock {}",
                holder.pid, holder.host, holder.id
            )),
            LockError::HeldUnnamed(_) => Some(format!(
                "wait for it to end (--lock-timeout); where it cannot be reached: groundplan \
                 unlock {UNNAMED}"
            )),
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

    /// Who it is, without which of their processes: `user@host`.
    pub fn who(&self) -> String {
        format!("{}@{}", self.user, self.host)
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
        let Self { id, operation, pid, since, .. } = self;
        write!(f, "{} has it for {operation} since {since} (process {pid}, lock {id})", self.who())
    }
}

/// What stands for the id of a holder that has not said who it is.
pub const UNNAMED: &str = "unnamed";

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

impl BreakError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            BreakError::Another { holder, .. } => {
                let id = holder.as_ref().map_or(UNNAMED, |holder| &holder.id);
                Some(format!("if that is the one you mean: groundplan unlock {id}"))
            }
            BreakError::Alive(holder) => Some(format!(
                "end process {} instead: the lock goes with it, and what it was doing is saved",
                holder.pid
            )),
            BreakError::Home(error) => error.hint(),
        }
    }
}

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
        assert!(message.contains(&holder.id), "{message}");
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

    /// Somebody on another host, by what the lock says of them; the lock is really held here.
    fn elsewhere(dir: &Path) -> (Guard, Holder) {
        let guard = acquire(dir, "apply").unwrap();
        let boot = Some("another boot".to_owned());
        let holder = Holder { host: "far-away".to_owned(), boot, ..guard.holder().clone() };
        write_holder(dir, &dir.join(HOLDER), &holder).unwrap();
        (guard, holder)
    }

    #[test]
    fn a_holder_out_of_reach_loses_the_lock_and_finds_itself_fenced_off() {
        let dir = tempfile::tempdir().unwrap();
        let (theirs, holder) = elsewhere(dir.path());
        let fence = theirs.fence();
        fence.pass().unwrap();
        let error = acquire(dir.path(), "plan").unwrap_err();
        let command = format!("groundplan unlock {}", holder.id);
        assert!(error.hint().unwrap().contains(&command), "{:?}", error.hint());

        let broken = break_open(dir.path(), &holder.id, false).unwrap().unwrap();
        assert_eq!(broken.holder.as_deref(), Some(&holder));
        assert!(matches!(fence.pass(), Err(HomeError::Fenced { .. })), "no one has it yet");
        let ours = acquire(dir.path(), "plan").unwrap();
        assert!(matches!(fence.pass(), Err(HomeError::Fenced { .. })), "we have it");
        ours.fence().pass().unwrap();
        drop(theirs);
        ours.fence().pass().unwrap();
        assert_eq!(read_holder(&dir.path().join(HOLDER)).as_ref(), Some(ours.holder()));
    }

    /// L4 of the list of cases that a reviewer checks.
    #[test]
    fn l4_a_lock_is_not_taken_away_by_a_wrong_id() {
        let dir = tempfile::tempdir().unwrap();
        let (theirs, holder) = elsewhere(dir.path());
        for wrong in ["", "another", UNNAMED, &holder.id[1..]] {
            for even_alive in [false, true] {
                let error = break_open(dir.path(), wrong, even_alive).unwrap_err();
                assert!(matches!(error, BreakError::Another { .. }), "{error}");
                assert!(error.to_string().contains(&holder.id), "{error}");
            }
        }
        theirs.fence().pass().unwrap();
        assert!(acquire(dir.path(), "plan").unwrap_err().is_held());
    }

    #[test]
    fn a_holder_that_runs_here_is_spared_unless_it_is_meant() {
        let dir = tempfile::tempdir().unwrap();
        let guard = acquire(dir.path(), "apply").unwrap();
        let id = guard.holder().id.clone();
        let error = break_open(dir.path(), &id, false).unwrap_err();
        assert!(matches!(error, BreakError::Alive(_)), "{error}");
        assert!(error.hint().unwrap().contains(&std::process::id().to_string()));
        guard.fence().pass().unwrap();
        assert!(break_open(dir.path(), &id, true).unwrap().is_some());
        assert!(guard.fence().pass().is_err());
    }

    #[test]
    fn a_holder_without_a_name_is_meant_by_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join(LOCK)).unwrap();
        file.lock().unwrap();
        let error = break_open(dir.path(), "7b0c", false).unwrap_err();
        assert!(error.hint().unwrap().ends_with("groundplan unlock unnamed"));
        assert!(break_open(dir.path(), UNNAMED, false).unwrap().unwrap().holder.is_none());
        acquire(dir.path(), "plan").unwrap();
    }

    #[test]
    fn a_lock_that_nobody_holds_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let id = acquire(dir.path(), "apply").unwrap().holder().id.clone();
        assert!(break_open(dir.path(), &id, false).unwrap().is_none());
        acquire(dir.path(), "plan").unwrap();
    }

    #[test]
    fn a_lock_that_is_removed_by_hand_fences_its_holder_off() {
        let dir = tempfile::tempdir().unwrap();
        let guard = acquire(dir.path(), "apply").unwrap();
        fs::remove_file(dir.path().join(LOCK)).unwrap();
        let error = guard.fence().pass().unwrap_err();
        assert!(error.to_string().ends_with("the lock was taken away from this run"), "{error}");
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
