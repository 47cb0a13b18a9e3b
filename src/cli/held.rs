//! A cluster's state while we hold its lock.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::exit::Exit;
use super::failure::{Failure, Result};
use super::screen::Screen;
use crate::aws::schemas;
use crate::provider::Schemas;
use crate::render::Diagnostic;
use crate::state::error::HomeError;
use crate::state::home::Home;
use crate::state::local::LocalHome;
use crate::state::lock::{self, Guard, LockError};
use crate::state::{Entry, FORMAT, Format, Run, State};

/// A state that nobody else writes to.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) state: State,
    pub(super) home: Home,
    /// What it is held for, and by whom; said in the first entry of the run.
    operation: String,
    by: String,
    begun: bool,
    /// The format of the files, where it is about to become ours.
    older: Option<Format>,
    _guard: Guard,
}

impl Held {
    /// Takes the lock, then reads the state. Makes the folder where it is missing.
    pub(super) async fn take(dir: &Path, operation: &str, screen: &mut Screen) -> Result<Self> {
        let guard = lock::acquire(dir, operation).map_err(|error| locked(&error))?;
        let opened = LocalHome::open(dir).map_err(|error| unusable(&error))?;
        for warning in opened.warnings {
            screen.diagnostic(&Diagnostic::warning(warning))?;
        }
        known_kinds(&opened.state)?;
        Ok(Self {
            state: opened.state,
            home: Home::Local(opened.home),
            operation: operation.to_owned(),
            by: guard.holder().who(),
            begun: false,
            older: opened.older,
            _guard: guard,
        })
    }

    /// Says whose run it is, before anything else of it is recorded. A run that records nothing
    /// says nothing, so that the plans that others have saved stay good.
    pub(super) async fn begin(&mut self, screen: &mut Screen) -> Result<()> {
        if self.begun {
            return Ok(());
        }
        self.announce_migration(screen)?;
        let run = self.run();
        self.write(&[Entry::RunStarted { run }]).await?;
        self.begun = true;
        Ok(())
    }

    /// Records what follows from nothing that was done in the cloud: it moves the state, then the
    /// home.
    pub(super) async fn record(&mut self, entries: &[Entry], screen: &mut Screen) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.begin(screen).await?;
        self.write(entries).await
    }

    async fn write(&mut self, entries: &[Entry]) -> Result<()> {
        for entry in entries {
            self.state.record(entry).map_err(|error| Failure::could_not("record it", &error))?;
        }
        self.home.append(entries).await.map_err(|error| unusable(&error))
    }

    fn run(&self) -> Run {
        Run {
            epoch: self.state.epoch() + 1,
            operation: self.operation.clone(),
            at: Timestamp::now().to_string(),
            by: self.by.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            after: self.state.serial,
            unknown: BTreeMap::new(),
        }
    }

    /// Tells, once, that older programs will not read the state any more.
    fn announce_migration(&mut self, screen: &mut Screen) -> Result<()> {
        let Some(older) = self.older.take().filter(|older| older.major < FORMAT.major) else {
            return Ok(());
        };
        let notice = Diagnostic::warning(format!(
            "the state is of format {older} and becomes one of format {FORMAT}, which the program \
             that wrote it does not read"
        ))
        .with_hint(format!("its files are kept as they were, as *.v{}.backup", older.major));
        Ok(screen.diagnostic(&notice)?)
    }

    /// Leaves the state as compact as it is worth.
    pub(super) async fn close(mut self) -> Result<()> {
        self.home.close(&self.state).await.map_err(|error| unusable(&error))
    }
}

/// A newer program may have recorded what this one cannot plan.
fn known_kinds(state: &State) -> Result<()> {
    let (schemas, recorded) = (schemas(), state.resources.keys().chain(state.deposed.keys()));
    let Some(strange) = recorded.into_iter().find(|one| schemas.schema(one.kind()).is_none())
    else {
        return Ok(());
    };
    let diagnostic = Diagnostic::error(format!("the state has {strange}, a kind not known here"))
        .with_hint("use the version of groundplan that made it, or a newer one");
    Err(Failure::new(Exit::Failed, diagnostic))
}

/// Reads a state without holding it; `None` where there is none.
pub(super) async fn glance(dir: &Path, screen: &mut Screen) -> Result<Option<State>> {
    if !dir.exists() {
        return Ok(None);
    }
    let opened = LocalHome::open(dir).map_err(|error| unusable(&error))?;
    for warning in opened.warnings {
        screen.diagnostic(&Diagnostic::warning(warning))?;
    }
    Ok(Some(opened.state))
}

/// An append that failed, as the walk hears of it.
pub(super) fn append_failed(error: HomeError) -> io::Error {
    io::Error::other(error)
}

fn locked(error: &LockError) -> Failure {
    let exit = if error.is_held() { Exit::Locked } else { Exit::Failed };
    let mut diagnostic = Diagnostic::could_not("begin", error);
    diagnostic.hint = error.hint();
    Failure::new(exit, diagnostic)
}

fn unusable(error: &HomeError) -> Failure {
    let mut diagnostic = Diagnostic::could_not("use the state", error);
    diagnostic.hint = error.hint();
    Failure::new(Exit::Failed, diagnostic)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::Arguments;

    fn screen() -> Screen {
        Screen::new(&Arguments::try_parse_from(["groundplan", "plan"]).unwrap().common)
    }

    fn learnt(answer: u8) -> Entry {
        Entry::Learnt { question: "zones".to_owned(), answer: answer.into() }
    }

    #[tokio::test]
    async fn the_first_entry_of_a_run_says_whose_run_it_is() {
        let (dir, mut screen) = (tempfile::tempdir().unwrap(), screen());
        let mut held = Held::take(dir.path(), "plan", &mut screen).await.unwrap();
        held.record(&[learnt(1)], &mut screen).await.unwrap();
        held.record(&[learnt(2)], &mut screen).await.unwrap();
        held.close().await.unwrap();
        let mut held = Held::take(dir.path(), "apply", &mut screen).await.unwrap();
        held.begin(&mut screen).await.unwrap();
        held.begin(&mut screen).await.unwrap();
        held.close().await.unwrap();

        let state = glance(dir.path(), &mut screen).await.unwrap().unwrap();
        let runs = state.runs.iter().map(|run| (run.epoch, &*run.operation, run.after));
        assert_eq!(runs.collect::<Vec<_>>(), [(1, "plan", 0), (2, "apply", 3)]);
        assert_eq!(state.serial, 4);
        assert!(state.runs[0].by.contains('@'), "{:?}", state.runs[0]);
        assert!(state.runs[0].at.parse::<Timestamp>().is_ok(), "{:?}", state.runs[0]);
    }

    #[tokio::test]
    async fn a_run_that_records_nothing_leaves_no_trace() {
        let (dir, mut screen) = (tempfile::tempdir().unwrap(), screen());
        let mut held = Held::take(dir.path(), "plan", &mut screen).await.unwrap();
        held.record(&[], &mut screen).await.unwrap();
        held.close().await.unwrap();
        let state = glance(dir.path(), &mut screen).await.unwrap().unwrap();
        assert_eq!((state.serial, state.runs.len()), (0, 0));
    }
}
