//! Signal handling: the first signal requests shutdown, the second ends the program.

use std::io;

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
        any(&mut interrupt, &mut terminate, hangup.as_mut()).await;
        stop.stop();
        any(&mut interrupt, &mut terminate, hangup.as_mut()).await;
        std::process::exit(Exit::Stopped.code().into());
    });
    Ok(())
}

/// Runs work that changes nothing, until the work is done or shutdown is requested.
pub(crate) async fn unless_stopped<T>(
    stop: &Shutdown,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = stop.stopped() => Err(CommandError::interrupted()),
        done = work => done,
    }
}

async fn any(interrupt: &mut Signal, terminate: &mut Signal, hangup: Option<&mut Signal>) {
    let hung_up = async {
        match hangup {
            Some(hangup) => drop(hangup.recv().await),
            None => std::future::pending().await,
        }
    };
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {}, () = hung_up => {} }
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
