//! Description of a lock holder: process, user and host. Knows no locks.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Holder of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// ID of this acquisition of the lock.
    pub id: String,
    /// Operation of the holder: `apply`, `destroy`.
    pub operation: String,
    /// Process ID.
    pub pid: u32,
    /// Start time of the process in kernel ticks. Distinguishes the process from a later one with
    /// the same ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// ID of the host's boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// Name of the host.
    pub host: String,
    /// Name of the user.
    pub user: String,
    /// Time of the acquisition (RFC 3339, UTC, to the second).
    pub since: String,
    /// Version of the program.
    pub version: String,
}

impl LockHolder {
    /// Returns this process as the holder of a lock from now on.
    pub fn this_process(operation: &str) -> Self {
        let pid = std::process::id();
        Self {
            id: Uuid::new_v4().to_string(),
            operation: operation.to_owned(),
            pid,
            started: started(pid),
            boot: boot(),
            host: host(),
            user: user(),
            since: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Returns the holder without its process, as `user@host`.
    pub fn who(&self) -> String {
        format!("{}@{}", self.user, self.host)
    }

    /// Returns true if the process still runs; `None` on another host or another boot.
    pub fn is_alive(&self) -> Option<bool> {
        let same_boot = self.boot.is_some() && self.boot == boot();
        (same_boot && self.host == host())
            .then(|| self.started.is_some() && self.started == started(self.pid))
    }
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, operation, pid, since, .. } = self;
        write!(f, "{} for {operation} since {since} (process {pid}, lock {id})", self.who())
    }
}
/// Returns the start time of a process (field 22 of `/proc/PID/stat`, proc_pid_stat(5)).
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
    named.filter(|name| !name.is_empty()).or_else(account).unwrap_or_else(|| "unknown".to_owned())
}

/// Returns the owner of this process, for environments without a user variable (containers, cron
/// jobs). Uses the name from passwd(5), or else the number.
fn account() -> Option<String> {
    let uid = fs::metadata("/proc/self").ok()?.uid().to_string();
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let named =
        fields.find(|fields| fields.get(2) == Some(&&*uid)).map(|fields| fields[0].to_owned());
    Some(named.unwrap_or_else(|| format!("uid-{uid}")))
}

fn first_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_acquisition_is_exact_to_the_second() {
        let since = LockHolder::this_process("apply").since;
        assert!(since.parse::<Timestamp>().is_ok(), "{since}");
        assert_eq!(since.len(), "2026-12-01T12:00:00Z".len(), "{since}");
    }

    #[test]
    fn a_process_is_somebodys_though_no_environment_says_whose() {
        let account = account().unwrap();
        assert!(!account.is_empty() && account != "unknown" && !account.contains(':'), "{account}");
    }
}
