//! Signal handling: the first signal requests shutdown, the second ends the program. So does a
//! shutdown that a blocked system call holds up.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use groundplan_engine::apply::Shutdown;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};

/// Starts handling SIGINT, SIGTERM and SIGHUP (the terminal was closed).
///
/// The first signal requests shutdown, and the second ends the program at once. Both leave a state
/// that the next run can continue, because intents are on disk. A process started with `nohup`
/// keeps ignoring SIGHUP.
pub(crate) fn watch(stop: &Shutdown) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = match ignores_hangup() {
        true => None, // listening would undo that
        false => Some(signal(SignalKind::hangup())?),
    };
    let stop = stop.clone();
    tokio::spawn(async move {
        let name = any(&mut interrupt, &mut terminate, hangup.as_mut()).await;
        let _ = RECEIVED.set(name);
        stop.stop();
        thread::spawn(end_what_is_blocked);
        any(&mut interrupt, &mut terminate, hangup.as_mut()).await;
        std::process::exit(Exit::Stopped.code().into());
    });
    Ok(())
}

/// Time after the first signal in which work that changes nothing ends, unless the operating system
/// blocks it: a file on a network file system without a server, a pipe without a reader.
const TO_READ: Duration = Duration::from_secs(2);
/// Time after the first signal in which all work ends, unless it is blocked. Longer than the wait
/// for calls in flight with the writes after it, and as long as Kubernetes gives the machine
/// controller (`terminationGracePeriodSeconds`).
const TO_END: Duration = Duration::from_secs(60);

/// First signal that requested shutdown.
static RECEIVED: OnceLock<&str> = OnceLock::new();

/// Returns the name of the signal that requested shutdown.
pub(crate) fn received() -> Option<&'static str> {
    RECEIVED.get().copied()
}

/// Number of running [`unless_stopped`], which changes nothing.
static READING: AtomicUsize = AtomicUsize::new(0);

/// Ends the program if the shutdown does not: a blocked system call cannot be told to stop. The next
/// run continues, as after every other end. Runs in a thread of its own, because all threads of the
/// runtime may be blocked.
fn end_what_is_blocked() {
    thread::sleep(TO_READ);
    if READING.load(Ordering::Relaxed) == 0 {
        thread::sleep(TO_END.saturating_sub(TO_READ));
    }
    // Standard error may be what is blocked.
    thread::spawn(|| {
        let message = "error[stopped]: stopped by a signal while a file or pipe was blocked";
        let _ = writeln!(io::stderr(), "{message}");
    });
    thread::sleep(Duration::from_millis(200));
    std::process::exit(Exit::Stopped.code().into());
}

/// Runs work that changes nothing, until the work is done or shutdown is requested.
pub(crate) async fn unless_stopped<T>(
    stop: &Shutdown,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let _reading = Reading::begin();
    tokio::select! {
        biased;
        () = stop.stopped() => Err(CommandError::interrupted()),
        done = work => done,
    }
}

/// Counter of work that changes nothing.
struct Reading;

impl Reading {
    fn begin() -> Self {
        READING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        READING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits for a signal, and returns its name.
async fn any(
    interrupt: &mut Signal,
    terminate: &mut Signal,
    hangup: Option<&mut Signal>,
) -> &'static str {
    let hung_up = async {
        match hangup {
            Some(hangup) => drop(hangup.recv().await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        () = hung_up => "SIGHUP",
    }
}

/// Returns true if the parent started this process with SIGHUP ignored: the first bit of `SigIgn`
/// (proc_pid_status(5)).
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_ends_what_changes_nothing() {
        let stop = Shutdown::default();
        let stopper = stop.clone();
        let never = std::future::pending::<Result<()>>();
        tokio::spawn(async move { stopper.stop() });
        let failure = unless_stopped(&stop, never).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Stopped);
        let done = unless_stopped(&Shutdown::default(), async { Ok(7) }).await.unwrap();
        assert_eq!(done, 7);
    }
}
