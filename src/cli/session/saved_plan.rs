//! Saved plan in a file. `apply` executes exactly this plan or rejects the plan as stale.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

use groundplan_engine::apply::Shutdown;
use groundplan_engine::event::Operation;
use groundplan_engine::graph::Address;
use groundplan_engine::plan::saved::{Digests, FORMAT, SavedPlan, SavedPlanError};
use groundplan_engine::plan::{Change, Plan, PlanOptions};
use groundplan_engine::state::{Cluster, State};

use crate::cli::args::TargetingArgs;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::output_file::{Destination, OutputKind};
use crate::cli::session::desired_state::DesiredState;
use crate::cli::session::input_files::NONE;
use crate::cli::session::signals::unless_stopped;
use crate::render::{Code, Diagnostic};

/// Returns the plan with the digests of its inputs.
pub(crate) fn of(
    source: &dyn DesiredState,
    options: PlanOptions,
    warnings: Vec<String>,
    plan: Plan,
) -> SavedPlan {
    SavedPlan {
        format: FORMAT,
        digests: source.digests().clone(),
        bootstrap: source.bootstrap(),
        release: source.release(),
        options,
        warnings,
        plan,
    }
}

/// Returns the plan of a destroy, which has no input files.
pub(crate) fn of_destroy(options: PlanOptions, warnings: Vec<String>, plan: Plan) -> SavedPlan {
    let none = || NONE.to_owned();
    let digests = Digests { config: none(), assets: none(), stream: none() };
    SavedPlan { format: FORMAT, digests, bootstrap: false, release: None, options, warnings, plan }
}

/// Returns the selected part of a saved plan, as arguments.
pub(crate) fn part(options: &PlanOptions) -> TargetingArgs {
    let names = |all: &BTreeSet<Address>| all.iter().map(Address::to_string).collect();
    TargetingArgs { target: names(&options.targets), exclude: names(&options.excludes) }
}

/// The saved plan as a file.
const PLAN: OutputKind = OutputKind {
    noun: "a saved plan",
    attempt: "save the plan to",
    option: "--out",
    begins: SavedPlan::begins,
};

/// Returns an error if a plan cannot be saved to this path, such as a directory or the file of
/// another program.
pub(crate) fn must_be_writable(path: &Path) -> Result<()> {
    PLAN.destination(path).map(|_| ())
}

/// Writes a plan to a file that only its owner can read. Returns true if the path is a file, which
/// `apply` can read. Other tasks go on while a pipe has no reader.
pub(crate) async fn write(saved: &SavedPlan, path: &Path) -> Result<bool> {
    let (content, path) = (saved.bytes(), path.to_owned());
    let written = tokio::task::spawn_blocking(move || PLAN.write(&path, &content)).await;
    let destination = written.unwrap_or_else(|ended| {
        Err(CommandError::could_not(Code::InternalError, "save the plan", &ended)) // the task panicked
    })?;
    Ok(matches!(destination, Destination::File(_)))
}

/// Reads a plan, once: the path may be a pipe. `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<SavedPlan> {
    let attempt = format!("read the plan {}", path.display());
    let mut text = Vec::new();
    let read = match path == Path::new("-") {
        true => stdin().lock().read_to_end(&mut text),
        false => File::open(path).and_then(|mut file| file.read_to_end(&mut text)),
    };
    read.map_err(|error| {
        let diagnostic =
            Diagnostic::could_not(Code::FileUnreadable, &attempt, &error).with_hint(HINT);
        CommandError::new(Exit::ConfigInvalid, diagnostic)
    })?;
    SavedPlan::parse(&text).map_err(|error| unusable(&attempt, &error))
}

impl ReadPlan {
    /// Returns true if the plan destroys a cluster.
    pub(crate) fn is_destroy(&self) -> bool {
        self.plan.plan.operation == Operation::Destroy
    }
}

/// Saved plan that was read, with the path for messages.
#[derive(Debug)]
pub(crate) struct ReadPlan {
    pub(crate) plan: SavedPlan,
    pub(crate) path: PathBuf,
}

/// Reads the plan of an argument. Returns an error if another command applies the plan: that of a
/// cluster, or that of machines. A signal ends the wait for a pipe without a writer.
pub(crate) async fn read_argument(
    path: Option<&Path>,
    of_machines: bool,
    stop: &Shutdown,
) -> Result<Option<ReadPlan>> {
    let Some(path) = path.map(Path::to_owned) else { return Ok(None) };
    let named = path.clone();
    let reading = async {
        let read = tokio::task::spawn_blocking(move || read(&named)).await;
        read.unwrap_or_else(|ended| {
            Err(CommandError::could_not(Code::InternalError, "read the plan", &ended))
        })
    };
    let plan = unless_stopped(stop, reading).await?;
    must_be(of_machines, &plan, &path)?;
    Ok(Some(ReadPlan { plan, path }))
}

fn must_be(of_machines: bool, saved: &SavedPlan, path: &Path) -> Result<()> {
    let cluster = saved.plan.cluster.as_ref();
    let is_of_machines = cluster.is_some_and(Cluster::is_of_machines);
    if is_of_machines == of_machines {
        return Ok(());
    }
    let path = path.display();
    let (what, command) = match is_of_machines {
        true => ("machines", format!("groundplan machines apply --manifests PATH {path}")),
        false => ("a cluster", format!("groundplan apply {path}")),
    };
    let diagnostic = Diagnostic::error(Code::PlanInvalid, format!("{path} is a plan of {what}"))
        .with_hint(format!("apply it with `{command}`"));
    Err(CommandError::new(Exit::Usage, diagnostic))
}

const HINT: &str = "pass an unchanged file from `groundplan plan --out FILE`";

fn unusable(attempt: &str, error: &SavedPlanError) -> CommandError {
    match error {
        SavedPlanError::Format(_) => stale(&format!("could not {attempt}"), &error.to_string()),
        SavedPlanError::Other(_) | SavedPlanError::Damaged(_) => {
            let diagnostic =
                Diagnostic::could_not(Code::PlanInvalid, attempt, error).with_hint(HINT);
            CommandError::new(Exit::ConfigInvalid, diagnostic)
        }
    }
}

/// Returns the error for a stale plan.
fn stale(summary: &str, because: &str) -> CommandError {
    let diagnostic = Diagnostic::error(Code::PlanStale, summary)
        .with_detail(because)
        .with_hint("run the same `plan --out` again and review the new plan");
    CommandError::new(Exit::Stale, diagnostic)
}

/// Returns an error if the desired state or the recorded state has changed since the plan.
pub(crate) fn ensure_same_inputs(
    saved: &SavedPlan,
    source: &dyn DesiredState,
    state: Option<&State>,
    name: &str,
) -> Result<()> {
    let moved = source.moved(&saved.digests).map(str::to_owned);
    match moved.or_else(|| moved_state(&saved.plan, state)) {
        Some(because) => Err(stale(&format!("the plan {name} is stale"), &because)),
        None => Ok(()),
    }
}

/// Returns an error if the recorded state has changed since the plan of a destroy.
pub(crate) fn ensure_same_state(saved: &ReadPlan, state: Option<&State>) -> Result<()> {
    match moved_state(&saved.plan.plan, state) {
        Some(because) => {
            Err(stale(&format!("the plan {} is stale", saved.path.display()), &because))
        }
        None => Ok(()),
    }
}

/// Returns the error for a plan of a destroy that names no cluster, which groundplan does not write.
pub(crate) fn without_cluster(saved: &ReadPlan) -> CommandError {
    let path = saved.path.display();
    let diagnostic =
        Diagnostic::error(Code::PlanInvalid, format!("the plan {path} names no cluster"))
            .with_hint(HINT);
    CommandError::new(Exit::Failed, diagnostic)
}

/// Returns the difference between the recorded state and the one that the plan was made from. `None`
/// if they are equal.
fn moved_state(plan: &Plan, state: Option<&State>) -> Option<String> {
    let infra_id = |cluster: Option<&Cluster>| cluster.map(|cluster| cluster.infra_id.clone());
    let fixed = infra_id(state.and_then(State::fixed_cluster));
    if let (Some(fixed), Some(planned)) = (fixed, infra_id(plan.cluster.as_ref()))
        && fixed != planned
    {
        return Some(format!(
            "the plan is for cluster {planned}, but the state now records {fixed}"
        ));
    }
    // Before its first entry, a state has no lineage that a plan could name.
    let serial = state.map_or(0, |state| state.serial);
    let lineage = state.filter(|state| state.serial > 0).map_or("", |state| &*state.lineage);
    let planned = if plan.serial == 0 { "" } else { &*plan.lineage };
    let because = match serial == plan.serial {
        _ if plan.serial == 0 && serial > 0 => "the state has changed since the plan was made",
        _ if lineage != planned => "the plan was made from another state",
        false => "the state has changed since the plan was made",
        true => return None,
    };
    Some(because.to_owned())
}

/// Returns an error if a new plan differs from the saved plan in a resource that the saved plan
/// touches.
pub(crate) fn ensure_same_changes(saved: &Plan, now: &Plan, name: &str) -> Result<()> {
    let (then, now) = (by_address(saved), by_address(now));
    let touched = saved.steps.iter().map(|step| step.op.address());
    for address in touched {
        if then.get(address) != now.get(address) {
            let because = format!(
                "{address} was changed outside groundplan since the plan was \
                 made"
            );
            return Err(stale(&format!("the plan {name} is stale"), &because));
        }
    }
    Ok(())
}

/// Returns the changes of a plan by address. An address with a deposed object has two changes.
///
/// The values before and after the plan are left out: they contain live values that the plan does not
/// change.
fn by_address(plan: &Plan) -> HashMap<&Address, Vec<Change>> {
    let mut changes: HashMap<_, Vec<_>> = HashMap::new();
    for change in &plan.changes {
        let planned = Change { before: None, after: None, ..change.clone() };
        changes.entry(&change.address).or_default().push(planned);
    }
    changes
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn saved() -> SavedPlan {
        let none = || "none".to_owned();
        SavedPlan {
            format: FORMAT,
            digests: Digests { config: none(), assets: none(), stream: none() },
            bootstrap: true,
            release: None,
            options: PlanOptions::default(),
            warnings: vec![],
            plan: Plan {
                operation: Operation::Apply,
                lineage: "l".into(),
                serial: 3,
                cluster: None,
                generation: 1,
                selection: None,
                changes: vec![],
                steps: vec![],
                dependency_updates: vec![],
            },
        }
    }

    #[tokio::test]
    async fn a_plan_comes_back_as_it_was_saved_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.plan");
        for _ in 0..2 {
            write(&saved(), &path).await.unwrap(); // over the first one, too
        }
        assert_eq!(read(&path).unwrap(), saved());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_state_or_an_install_config_is_no_place_for_a_plan() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let state = groundplan_engine::state::snapshot::write(&State::new("l".into()));
        for content in [&state[..], b"apiVersion: v1\n", b"{\"ignition\": {}}", b"{\"seal\":\"sha"]
        {
            fs::write(&path, content).unwrap();
            assert_eq!(must_be_writable(&path).unwrap_err().exit, Exit::Usage);
            assert_eq!(write(&saved(), &path).await.unwrap_err().exit, Exit::Usage);
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_plan_of_another_format_is_stale_and_what_is_none_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.plan");
        fs::write(&path, br#"{"format": 1, "something": "else"}"#).unwrap();
        assert_eq!(read(&path).unwrap_err().exit, Exit::Stale);
        fs::write(&path, br#"{"apiVersion": "v1"}"#).unwrap();
        assert_eq!(read(&path).unwrap_err().exit, Exit::ConfigInvalid);
    }
}
