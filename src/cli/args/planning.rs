//! Arguments of `plan` and `apply`, and options of all plans.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use groundplan_engine::plan::guard::Expectation;

use super::{APPLYING, DestroyedArgs, ImdsGateArgs, duration, file, help};
use crate::cli::exit_code::Exit;

/// Show the changes that an apply would make.
///
/// Prints one line for each change, with Terraform's symbols (+ ~ - -/+ +/-) and the reason. Changes
/// that were made outside groundplan (drift) are listed apart.
///
/// Reads from AWS and from the state, and changes nothing in either: it needs no permission to write
/// and no lock. During another run it prints a warning, because the plan may then be stale. The infra
/// ID of a new cluster comes from --assets; without them, each plan chooses one, and the first apply
/// records it.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan plan
groundplan plan --out cluster.plan && groundplan apply cluster.plan
groundplan plan --detailed-exitcode    # exit code 2 for changes or drift
groundplan plan --refresh-only         # drift only
groundplan plan --destroy --out destroy.plan && groundplan apply destroy.plan
groundplan plan --target instance.master-0 --expect '+0 ~1 -0'",
    &[Exit::Done, Exit::Failed, Exit::Changes, Exit::ConfigInvalid, Exit::Locked, Exit::Stopped,
      Exit::Refused, Exit::Usage],
))]
pub struct PlanArgs {
    /// Show what `destroy` would delete.
    ///
    /// With --out, `apply` destroys exactly that. --cluster, --infra-id, --region and --metadata select
    /// the cluster as for `destroy`.
    #[arg(long, conflicts_with_all = ["no_bootstrap", "bootstrap", "refresh", "refresh_only", "replace", "revert_drift", "full"])]
    pub destroy: bool,
    /// Cluster of --destroy.
    #[command(flatten)]
    pub cluster: DestroyedArgs,
    /// Desired state.
    #[command(flatten)]
    pub wanted: DesiredStateArgs,
    /// Options of planning.
    #[command(flatten)]
    pub how: PlanningArgs,
}

/// Options of planning, for every source of the desired state.
#[derive(Debug, Args)]
pub struct PlanningArgs {
    /// Save the plan to a file, for `apply`.
    ///
    /// The file has no secrets. `-` is standard output; other output then goes to standard error.
    /// A file that groundplan did not write is not overwritten.
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub out: Option<PathBuf>,
    /// Exit with 2 if there are changes or drift.
    ///
    /// With --refresh-only: exit with 2 if there is drift.
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Show every attribute and every alike change.
    ///
    /// Without it, created resources have one line each, and many alike changes share one.
    #[arg(long)]
    pub full: bool,
    /// Format of the plan.
    ///
    /// `markdown` is a comment for a pull request, of at most 65,536 bytes. `json` is --json.
    #[arg(long, value_enum, default_value_t, conflicts_with = "json")]
    pub format: PlanFormat,
    /// Refresh the state from AWS before planning.
    ///
    /// With `false`, the recorded state is used as it is.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, conflicts_with = "revert_drift")]
    pub refresh: bool,
    /// Show drift only, and plan no changes.
    ///
    /// Every plan and every apply refreshes, so drift is shown and not recorded.
    #[arg(long, conflicts_with_all = ["out", "full", "refresh", "replace", "revert_drift", "target", "exclude", "max_destroy", "expect", "policy", "force_foreign"])]
    pub refresh_only: bool,
    /// Check permissions and quotas for the plan's calls.
    #[arg(long, conflicts_with = "refresh_only")]
    pub preflight: bool,
    /// Forced replacements.
    #[command(flatten)]
    pub renewal: Renewal,
    /// Condition of tokens that become required.
    #[command(flatten)]
    pub gate: ImdsGateArgs,
    /// Selected part of the plan.
    #[command(flatten)]
    pub part: TargetingArgs,
    /// Conditions that a plan must meet.
    #[command(flatten)]
    pub guards: GuardArgs,
}

/// Create or change the infrastructure.
///
/// Shows the plan and asks for approval; only `yes` continues. With a saved plan, `apply` executes
/// exactly that plan without asking, or ends with exit code 5 if the inputs or the state have changed
/// since. A plan of `plan --destroy` or `destroy --out` destroys the cluster. If a step fails, only the
/// steps that depend on it are skipped.
///
/// After a failure, a signal or a crash, run the same command again: it continues where it stopped.
///
/// The first Ctrl-C starts no new calls and waits a few seconds for running calls. The second Ctrl-C
/// ends the program at once. The next run continues from either.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan apply --assets assets
groundplan apply --assets assets --auto-approve
groundplan apply --assets assets --wait    # until the cluster is installed
groundplan apply cluster.plan
groundplan apply --bootstrap --assets assets   # after `bootstrap destroy`",
    APPLYING,
))]
pub struct ApplyArgs {
    /// Plan saved with `plan --out` or `destroy --out`; `-` is standard input.
    #[arg(value_name = "PLAN", conflicts_with_all = ["full", "no_bootstrap", "bootstrap", "replace", "revert_drift", "target", "exclude"])]
    pub plan: Option<PathBuf>,
    /// Desired state.
    #[command(flatten)]
    pub wanted: DesiredStateArgs,
    /// Wait until the cluster is installed.
    ///
    /// Runs `wait-for bootstrap-complete`, `bootstrap destroy` and `wait-for
    /// install-complete` with the kubeconfig in the folder of --assets. The approval of the plan includes
    /// the removal of the bootstrap. After an interruption, run the same command again: it continues where
    /// state and cluster are.
    #[cfg(feature = "kubernetes")]
    #[arg(long, conflicts_with_all = ["plan", "no_bootstrap", "target", "exclude"])]
    pub wait: bool,
    /// Options of applying.
    #[command(flatten)]
    pub how: ApplyingArgs,
}

/// Options of applying, for every source of the desired state.
#[derive(Debug, Args)]
pub struct ApplyingArgs {
    /// Show every attribute and every alike change.
    ///
    /// Without it, created resources have one line each, and many alike changes share one.
    #[arg(long)]
    pub full: bool,
    /// Check permissions and quotas before the first change.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub preflight: bool,
    /// Forced replacements.
    #[command(flatten)]
    pub renewal: Renewal,
    /// Condition of tokens that become required.
    #[command(flatten)]
    pub gate: ImdsGateArgs,
    /// Selected part of the plan.
    #[command(flatten)]
    pub part: TargetingArgs,
    /// Waits for AWS.
    #[command(flatten)]
    pub waits: WaitArgs,
    /// Conditions that a plan must meet.
    #[command(flatten)]
    pub guards: GuardArgs,
}

/// Changes that the desired state does not require.
#[derive(Clone, Debug, Default, Args)]
pub struct Renewal {
    /// Replace this resource (repeatable).
    ///
    /// ADDRESS is an address, a kind, or either with `*`.
    /// For example with a new image or new user data, which alone never replace a running machine.
    #[arg(long, value_name = "ADDRESS")]
    pub replace: Vec<String>,
    /// Also revert drift outside the configuration.
    ///
    /// Revokes rules, detaches policies and deletes routes that others added, and starts stopped
    /// machines. Without this option, a plan only reports such drift.
    #[arg(long)]
    pub revert_drift: bool,
}

/// Selected part of a plan.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Targeting")]
pub struct TargetingArgs {
    /// Plan only these resources and their dependencies (repeatable).
    ///
    /// ADDRESS is an address, a kind, or either with `*`. The plan lists what is included and what is
    /// left out.
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// Leave out these resources (repeatable).
    ///
    /// Resources that need a change of an excluded resource are left out, too.
    #[arg(long, value_name = "ADDRESS")]
    pub exclude: Vec<String>,
}

/// Conditions that reject a plan before the first change.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Guards")]
pub struct GuardArgs {
    /// Exit with 7 if more than N resources are destroyed.
    ///
    /// Replaced resources count.
    #[arg(long, value_name = "N")]
    pub max_destroy: Option<usize>,
    /// Exit with 7 if the counts differ, such as '+12 ~0 -0'.
    ///
    /// Each of +N, ~N and -N is optional. A count that is left out is not checked.
    #[arg(long, value_name = "COUNTS", allow_hyphen_values = true)]
    pub expect: Option<Expectation>,
    /// Exit with 7 if the plan violates a policy (repeatable).
    ///
    /// PATH is a file, or a folder of .yaml files. A policy has CEL expressions on the plan and its resources, also on unchanged ones. See
    /// docs/policies.md.
    #[arg(long, value_name = "PATH")]
    pub policy: Vec<PathBuf>,
    /// Delete or change this resource although its object lacks the tags of the cluster (repeatable).
    ///
    /// Without it, a plan ends with exit code 7 if it deletes or changes an object that carries neither
    /// the cluster tag nor the creation token: the state may be damaged, and the object another user's.
    #[arg(long, value_name = "ADDRESS", hide_short_help = true)]
    pub force_foreign: Vec<String>,
}

/// Waits for AWS.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct WaitArgs {
    /// Maximum wait of each resource for AWS, such as 90s or 30m.
    ///
    /// Limits the wait until a resource is ready or deleted [default: up to 20m, depending on the kind],
    /// and the wait for a resource that blocks a deletion and is going away [default: 15m]. A deletion
    /// that a lasting resource blocks ends after 1m at most.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait_timeout: Option<Duration>,
}

/// Settings of the desired state that the install-config does not have.
#[derive(Clone, Copy, Debug, Args)]
pub struct DesiredStateArgs {
    /// Remove the bootstrap resources.
    ///
    /// For the time after the installation. A new cluster is created without them.
    /// An apply records the removal, and later runs leave them out without this option. `groundplan
    /// bootstrap destroy` removes them and changes nothing else.
    #[arg(long)]
    pub no_bootstrap: bool,
    /// Add the bootstrap resources again after their removal.
    #[arg(long, conflicts_with = "no_bootstrap")]
    pub bootstrap: bool,
}

impl DesiredStateArgs {
    /// Returns the choice of the user; `None` leaves it to the state.
    pub fn bootstrap_choice(self) -> Option<bool> {
        (self.bootstrap || self.no_bootstrap).then_some(self.bootstrap)
    }
}

/// Format of a printed plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// Text for people.
    #[default]
    Text,
    /// JSON, as with `--json`.
    Json,
    /// GitHub's Markdown.
    Markdown,
}
