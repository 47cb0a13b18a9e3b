//! The first signal stops, the second ends.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::Exit;
use super::failure::{Failure, Result};
use crate::apply::Stop;

/// Makes the first SIGINT or SIGTERM ask for a stop, and the second end the program at once. Both
/// leave a state from which the next run goes on: what is announced is on disk.
pub(super) fn watch(stop: &Stop) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = stop.clone();
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        stop.stop();
        either(&mut interrupt, &mut terminate).await;
        std::process::exit(Exit::Stopped.code().into());
    });
    Ok(())
}

/// Runs something that changes nothing, unless a stop is asked for first.
pub(super) async fn unless_stopped<T>(
    stop: &Stop,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = stop.stopped() => Err(Failure::interrupted()),
        done = work => done,
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! { _ = one.recv() => {}, _ = other.recv() => {} }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_ends_what_changes_nothing() {
        let stop = Stop::default();
        let stopper = stop.clone();
        let never = std::future::pending::<Result<()>>();
        tokio::spawn(async move { stopper.stop() });
        let failure = unless_stopped(&stop, never).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Stopped);
        let done = unless_stopped(&Stop::default(), async { Ok(7) }).await.unwrap();
        assert_eq!(done, 7);
    }
}
