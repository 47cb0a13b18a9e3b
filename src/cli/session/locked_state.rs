//! State of a cluster: locked, while this run can change it, or read without the lock.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use groundplan_aws::{BucketProblem, schemas};
use groundplan_engine::apply::Shutdown;
use groundplan_engine::provider::Schemas;
use groundplan_engine::state::backend::StateBackend;
use groundplan_engine::state::error::StateError;
use groundplan_engine::state::lock::LockError;
use groundplan_engine::state::{Entry, FORMAT, Format, LookupCache, RunRecord, State};
use jiff::Timestamp;

use crate::cli::args::CommonArgs;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::input_files::cluster_name;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::state_backend::{self, OpenedState};
use crate::cli::session::state_errors::nothing_recorded;
use crate::render::{Code, Diagnostic, remedies};

/// Locked state, which no other run can change.
#[derive(Debug)]
pub(crate) struct LockedState {
    pub(crate) state: State,
    pub(crate) backend: StateBackend,
    /// Operation and user of this run, for its first entry.
    operation: String,
    by: String,
    begun: bool,
    /// Older format of the files, which the first write migrates. `None` if the format is current.
    older: Option<Format>,
}

impl LockedState {
    /// Takes the state lock of a cluster, then reads the state. Creates a missing location.
    pub(crate) async fn take(
        common: &CommonArgs,
        cluster: &str,
        operation: &str,
        ui: &mut Ui,
    ) -> Result<Self> {
        let place = common.state.of(cluster);
        let locked = state_backend::open_home(&place, operation, common, ui).await?;
        let OpenedState { backend, state, warnings, older, by } = locked;
        print_warnings(warnings, ui)?;
        known_kinds(&state)?;
        Ok(Self { state, backend, operation: operation.to_owned(), by, begun: false, older })
    }

    /// Takes the state lock of the selected cluster, whose state must exist. Only the wait for the
    /// lock can be interrupted, because the work of its callers is short and atomic.
    pub(crate) async fn take_existing(
        cluster: Option<&str>,
        common: &CommonArgs,
        operation: &str,
        ui: &mut Ui,
        stop: &Shutdown,
    ) -> Result<Self> {
        let name = cluster_name(cluster, common, ui)?;
        let place = common.state.of(&name);
        if !state_backend::is_there(&place, common).await? {
            return Err(nothing_recorded(&name, &common.state));
        }
        unless_stopped(stop, Self::take(common, &name, operation, ui)).await
    }

    /// Records the start of the run, once and before any other entry. A run without entries records
    /// nothing, so that saved plans of other runs stay valid.
    pub(crate) async fn begin(&mut self, ui: &mut Ui) -> Result<()> {
        self.begin_as(&[], ui).await
    }

    /// Records the start of the run, for the cluster of these entries or else the recorded one.
    async fn begin_as(&mut self, entries: &[Entry], ui: &mut Ui) -> Result<()> {
        if self.begun {
            return Ok(());
        }
        self.announce_migration(ui)?;
        let identified = entries.iter().find_map(|entry| match entry {
            Entry::ClusterIdentified { cluster } => Some(cluster.infra_id.clone()),
            _ => None,
        });
        let run = self.run();
        let run = RunRecord { infra_id: identified.or(run.infra_id), ..run };
        self.write(&[Entry::RunStarted { run }]).await?;
        self.begun = true;
        Ok(())
    }

    /// Records entries that no call to the cloud produced: in memory first, then in the state
    /// backend.
    ///
    /// Another identity is written as a new snapshot. In a journal, older programs reject a second
    /// identity.
    pub(crate) async fn record(&mut self, entries: &[Entry], ui: &mut Ui) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        if self.state.is_identified_anew(entries) {
            let projected = self.state.projected(entries);
            let state = projected.map_err(|error| {
                CommandError::could_not(Code::InternalError, "write the state", &error)
            })?;
            return self.install(state, ui).await;
        }
        self.begin_as(entries, ui).await?;
        self.write(entries).await
    }

    async fn write(&mut self, entries: &[Entry]) -> Result<()> {
        for entry in entries {
            self.state.record(entry).map_err(|error| {
                CommandError::could_not(Code::InternalError, "write the state", &error)
            })?;
        }
        self.backend.append(entries).await.map_err(|error| unusable(&error))
    }

    fn run(&self) -> RunRecord {
        RunRecord {
            epoch: self.backend.epoch(&self.state),
            operation: self.operation.clone(),
            at: now(),
            by: self.by.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            after: self.state.serial,
            infra_id: self.state.cluster.as_ref().map(|cluster| cluster.infra_id.clone()),
            unknown: BTreeMap::new(),
        }
    }

    /// Replaces the state with another one. The next entry is the start of this run.
    ///
    /// Serial, epoch and generation continue from the higher of both values. Earlier saved plans,
    /// runs and creation tokens therefore never match the new state.
    pub(crate) async fn replace(mut self, state: State, ui: &mut Ui) -> Result<State> {
        self.install(state, ui).await?;
        Ok(self.state)
    }

    async fn install(&mut self, state: State, ui: &mut Ui) -> Result<()> {
        self.announce_migration(ui)?;
        if self.state.serial > 0 && self.state.lineage != state.lineage {
            self.backend.accept_new_lineage().map_err(|error| unusable(&error))?;
        }
        let (serial, epoch) = (self.state.serial, self.state.epoch());
        let generation = self.state.generation;
        self.state = State {
            serial: state.serial.max(serial),
            generation: state.generation.max(generation),
            ..state
        };
        let run = RunRecord { epoch: self.backend.epoch(&self.state).max(epoch + 1), ..self.run() };
        let started = Entry::RunStarted { run };
        self.state.record(&started).map_err(|error| {
            CommandError::could_not(Code::InternalError, "write the state", &error)
        })?;
        self.backend.install(&self.state).await.map_err(|error| unusable(&error))?;
        self.begun = false; // the next entries begin a run in the new journal
        Ok(())
    }

    /// Prints a warning, once, that older programs cannot read the migrated state.
    fn announce_migration(&mut self, ui: &mut Ui) -> Result<()> {
        let Some(older) = self.older.take().filter(|older| older.major < FORMAT.major) else {
            return Ok(());
        };
        let notice = Diagnostic::warning(
            Code::StateConverted,
            format!(
                "the state is converted from format {older} to {FORMAT}; the program that wrote it \
             cannot read the new format"
            ),
        )
        .with_hint(format!(
            "to go back to that program, restore the original files: *.v{}.backup",
            older.major
        ));
        Ok(ui.diagnostic(&notice)?)
    }

    /// Compacts the state if that is worth the effort, and releases the lock.
    pub(crate) async fn close(mut self) -> Result<()> {
        self.backend.close(&self.state).await.map_err(|error| unusable(&error))?;
        let _ = self.backend.leave().await; // others wait a minute, and nothing is wrong
        Ok(())
    }
}

/// State as a session opens it.
pub(crate) trait OpenState: Sized {
    /// Opens the state of a cluster. Without a recorded state, the state is empty.
    async fn open(common: &CommonArgs, cluster: &str, operation: &str, ui: &mut Ui)
    -> Result<Self>;

    /// Returns the recorded state.
    fn state(&self) -> &State;
}

impl OpenState for LockedState {
    async fn open(
        common: &CommonArgs,
        cluster: &str,
        operation: &str,
        ui: &mut Ui,
    ) -> Result<Self> {
        Self::take(common, cluster, operation, ui).await
    }

    fn state(&self) -> &State {
        &self.state
    }
}

/// State that was read without the lock. It has no backend, so that nothing can be recorded.
#[derive(Debug)]
pub(crate) struct UnlockedState {
    state: State,
    /// Name of the cluster.
    name: String,
}

impl OpenState for UnlockedState {
    /// Reads the state. While another run has the lock, waits up to `--lock-timeout`, and then prints
    /// a warning.
    async fn open(common: &CommonArgs, cluster: &str, _: &str, ui: &mut Ui) -> Result<Self> {
        let place = common.state.of(cluster);
        if let Some(holder) = state_backend::holder_after_wait(&place, common, ui).await? {
            let warning = Diagnostic::warning(Code::RunInProgress, format!(
                "{} is running {} with this state since {}; the plan may be stale when that run ends",
                holder.who(),
                holder.operation,
                holder.since
            ))
            .with_detail(format!("process {}, lock {}", holder.pid, holder.id))
            .with_hint("to plan after that run, wait for its end with `--lock-timeout 30m`");
            ui.diagnostic(&warning)?;
        }
        let state = read_unlocked(common, cluster, ui).await?.unwrap_or_default();
        known_kinds(&state)?;
        Ok(Self { state, name: cluster.to_owned() })
    }

    fn state(&self) -> &State {
        &self.state
    }
}

impl UnlockedState {
    /// Prints a warning if another run has recorded entries since the state was read.
    pub(crate) async fn close(self, common: &CommonArgs, ui: &mut Ui) -> Result<()> {
        let place = common.state.of(&self.name);
        let now = state_backend::read_unlocked(&place, common).await?;
        let now = now.map_or(0, |(state, _)| state.serial);
        if now == self.state.serial {
            return Ok(());
        }
        let warning = Diagnostic::warning(
            Code::StateChanged,
            "another run has changed the state while this plan was made; the plan is stale",
        )
        .with_hint("plan again");
        Ok(ui.diagnostic(&warning)?)
    }
}

/// Returns the current time (RFC 3339).
pub(super) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Returns an error if the state contains a kind that this version does not know. A newer version
/// may have recorded such a kind.
pub(crate) fn known_kinds(state: &State) -> Result<()> {
    let (schemas, recorded) = (schemas(), state.resources.keys().chain(state.deposed.keys()));
    let Some(strange) = recorded.into_iter().find(|one| schemas.schema(one.kind()).is_none())
    else {
        return Ok(());
    };
    let diagnostic = Diagnostic::error(
        Code::StateNewer,
        format!(
            "the state has {strange}, whose kind this version \
         does not know"
        ),
    )
    .with_hint("use the version of groundplan that created the resource, or a newer one");
    Err(CommandError::new(Exit::Failed, diagnostic))
}

/// Reads the state of a cluster without the lock; `None` if there is no state.
pub(crate) async fn read_unlocked(
    common: &CommonArgs,
    cluster: &str,
    ui: &mut Ui,
) -> Result<Option<State>> {
    let Some((state, warnings)) =
        state_backend::read_unlocked(&common.state.of(cluster), common).await?
    else {
        return Ok(None);
    };
    print_warnings(warnings, ui)?;
    Ok(Some(state))
}

fn print_warnings(warnings: Vec<String>, ui: &mut Ui) -> Result<()> {
    for warning in warnings {
        ui.diagnostic(&Diagnostic::warning(Code::StateRepaired, warning))?;
    }
    Ok(())
}

/// Returns the lookup results that apply. Until a resource is recorded, lookups run again, because
/// AWS may have changed, and the account and the assets are not fixed.
pub(crate) fn binding(state: &State) -> LookupCache {
    if state.has_nothing() { LookupCache::default() } else { state.lookup_cache.clone() }
}

pub(crate) fn locked(error: &LockError) -> CommandError {
    if let LockError::Backend(error) = error
        && let Some(diagnostic) = bucket_problem(error)
    {
        return CommandError::new(Exit::Failed, diagnostic);
    }
    let exit = if error.is_held() { Exit::Locked } else { Exit::Failed };
    let mut diagnostic = Diagnostic::could_not(Code::of_lock(error), "lock the state", error);
    diagnostic.hint = remedies::of_lock(error);
    CommandError::new(exit, diagnostic)
}

pub(crate) fn unusable(error: &StateError) -> CommandError {
    if let Some(file) = file_in_place_of_folder(error) {
        let summary = format!("the state location {} is a file", file.display());
        let diagnostic = Diagnostic::error(Code::of_state(error), summary)
            .with_detail("expected a folder of states, or s3://bucket/prefix")
            .with_hint(
                "pass a folder with --state, or set GROUNDPLAN_STATE; without either, the states are \
                 in the folder `state`",
            );
        return CommandError::new(Exit::Failed, diagnostic);
    }
    if let Some(diagnostic) = bucket_problem(error) {
        return CommandError::new(Exit::Failed, diagnostic);
    }
    let mut diagnostic = Diagnostic::could_not(Code::of_state(error), "use the state", error);
    diagnostic.hint = error.hint();
    CommandError::new(Exit::Failed, diagnostic)
}

/// Returns the error for a bucket that is missing, elsewhere or not allowed; `None` for another error.
fn bucket_problem(error: &StateError) -> Option<Diagnostic> {
    let StateError::Bucket { action, path, source } = error else { return None };
    let is = match BucketProblem::of(source.code.as_deref()?)? {
        BucketProblem::Missing => "does not exist",
        BucketProblem::Elsewhere => "is in another region",
        BucketProblem::Denied => "cannot be used with these credentials",
    };
    let path = path.display().to_string();
    let location = path.trim_start_matches("s3://");
    let bucket = location.split('/').next().unwrap_or(location);
    let summary = format!("the bucket `{bucket}` of the state {is}");
    let mut diagnostic = Diagnostic::error(Code::of_state(error), summary)
        .with_detail(format!("could not {action} {path}"))
        .with_detail(source.to_string());
    diagnostic.hint = error.hint();
    Some(diagnostic)
}

/// Returns the file that the user named as a folder; `None` for another error.
fn file_in_place_of_folder(error: &StateError) -> Option<&Path> {
    let (path, source) = match error {
        StateError::Unreadable { path, source } | StateError::Unwritable { path, source, .. } => {
            (path, source)
        }
        _ => return None,
    };
    let is_about_folders =
        matches!(source.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists);
    path.ancestors().find(|part| is_about_folders && part.is_file())
}

#[cfg(test)]
mod tests {
    use groundplan_engine::provider::{ErrorClass, ProviderError};
    use groundplan_engine::state::location::StateLocation;

    use super::*;
    use crate::cli::args::CliArguments;

    /// Returns a folder for states, with the arguments and the terminal output that use it.
    fn place() -> (tempfile::TempDir, CommonArgs, Ui) {
        let dir = tempfile::tempdir().unwrap();
        let backend = dir.path().to_str().unwrap();
        let line = ["groundplan", "plan", "--state", backend];
        let common = CliArguments::parse_line(line).unwrap().common;
        let ui = Ui::new(&common);
        (dir, common, ui)
    }

    fn learnt(answer: u8) -> Entry {
        Entry::LookupRecorded { lookup: "zones".to_owned(), answer: answer.into() }
    }

    #[tokio::test]
    async fn a_file_in_place_of_the_folder_is_named() {
        let (dir, mut common, mut ui) = place();
        let file = dir.path().join("install-config.yaml");
        std::fs::write(&file, "x").unwrap();
        common.state = StateLocation::Folder(file.clone());
        let error = read_unlocked(&common, "demo", &mut ui).await.unwrap_err();
        let diagnostic = &error.diagnostics[0];
        assert_eq!(diagnostic.code, Code::StateUnreadable);
        assert_eq!(diagnostic.summary, format!("the state location {} is a file", file.display()));
        assert!(diagnostic.hint.as_ref().unwrap().contains("--state"), "{diagnostic:?}");
    }

    #[test]
    fn a_bucket_that_cannot_be_used_is_named_with_its_problem() {
        for (code, is) in [
            (
                "NoSuchBucket",
                "error[state-bucket-missing]: the bucket `acme` of the state does not exist\n",
            ),
            (
                "PermanentRedirect",
                "error[state-bucket-elsewhere]: the bucket `acme` of the state is in another region\n",
            ),
            (
                "AccessDenied",
                "error[state-bucket-denied]: the bucket `acme` of the state cannot be used with these \
                 credentials\n",
            ),
            ("InternalError", "error[call-failed]: could not "),
        ] {
            let source =
                ProviderError::new(ErrorClass::Permanent, "GetObject", "no").with_code(code);
            let path = "s3://acme/prod/demo/lock.json".into();
            let error = StateError::Bucket { action: "lock", path, source };
            let read = unusable(&error);
            for failed in [read, locked(&LockError::Backend(error))] {
                let mut written = Vec::new();
                failed.diagnostics[0].write(&mut anstream::StripStream::new(&mut written)).unwrap();
                let text = String::from_utf8(written).unwrap();
                assert!(text.starts_with(is), "{text}");
                assert!(text.contains("lock s3://acme/prod/demo/lock.json\n"), "{text}");
                assert!(text.contains(&format!("  GetObject: {code}: no\n")), "{text}");
            }
        }
    }

    #[tokio::test]
    async fn the_first_entry_of_a_run_says_whose_run_it_is() {
        let (_dir, common, mut ui) = place();
        let mut held = LockedState::take(&common, "demo", "plan", &mut ui).await.unwrap();
        held.record(&[learnt(1)], &mut ui).await.unwrap();
        held.record(&[learnt(2)], &mut ui).await.unwrap();
        held.close().await.unwrap();
        let mut held = LockedState::take(&common, "demo", "apply", &mut ui).await.unwrap();
        held.begin(&mut ui).await.unwrap();
        held.begin(&mut ui).await.unwrap();
        held.close().await.unwrap();

        let state = read_unlocked(&common, "demo", &mut ui).await.unwrap().unwrap();
        let runs = state.runs.iter().map(|run| (run.epoch, &*run.operation, run.after));
        assert_eq!(runs.collect::<Vec<_>>(), [(1, "plan", 0), (2, "apply", 3)]);
        assert_eq!(state.serial, 4);
        assert!(state.runs[0].by.contains('@'), "{:?}", state.runs[0]);
        assert!(state.runs[0].at.parse::<Timestamp>().is_ok(), "{:?}", state.runs[0]);
    }

    #[tokio::test]
    async fn a_run_that_records_nothing_leaves_no_trace() {
        let (_dir, common, mut ui) = place();
        let mut held = LockedState::take(&common, "demo", "plan", &mut ui).await.unwrap();
        held.record(&[], &mut ui).await.unwrap();
        held.close().await.unwrap();
        let state = read_unlocked(&common, "demo", &mut ui).await.unwrap().unwrap();
        assert_eq!((state.serial, state.runs.len()), (0, 0));
    }

    #[tokio::test]
    async fn whoever_waits_long_enough_gets_the_lock_and_others_are_told_who_has_it() {
        let (_dir, mut common, mut ui) = place();
        let first = LockedState::take(&common, "demo", "apply", &mut ui).await.unwrap();
        let failure = LockedState::take(&common, "demo", "plan", &mut ui).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Locked);
        assert!(failure.diagnostics[0].detail[0].contains(" for apply"));

        common.lock_timeout = std::time::Duration::from_secs(120);
        let waiter = tokio::spawn(async move {
            let mut ui = Ui::new(&common);
            LockedState::take(&common, "demo", "plan", &mut ui).await.map(drop)
        });
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        drop(first);
        waiter.await.unwrap().unwrap();
    }
}
