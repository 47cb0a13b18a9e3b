//! Command line of the commands for a state: read, edit, protect, recover, unlock.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use groundplan_engine::state::location::StateLocation;

use super::{ClusterArg, DesiredStateArgs, READING, WRITING, help};
use crate::cli::exit_code::Exit;

/// Read and edit the state of a cluster (no AWS calls).
///
/// The subcommands correspond to those of `terraform state`. A subcommand that edits the state takes the
/// state lock, and the history of the state names it.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan state list
groundplan state show instance.master-0
groundplan state history --cluster demo",
    WRITING,
))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct StateArgs {
    /// Subcommand to run.
    #[command(subcommand)]
    pub command: StateCommand,
}

/// Subcommand of `state`.
#[expect(missing_docs, reason = "the documentation of a variant's arguments is its help")]
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    List(StateList),
    Show(StateShow),
    History(StateHistory),
    Mv(StateMv),
    Rm(StateRm),
    Pull(StatePull),
    Push(StatePush),
    Migrate(StateMigrate),
}

/// List the addresses of recorded resources.
///
/// Prints one address per line and marks deposed resources. With --json, each line is an object with
/// address, status and ID. An address or kind that matches nothing is an error; a pattern with `*` that
/// matches nothing is not.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan state list
groundplan state list instance            # all of a kind
groundplan state list 'subnet.private-*'",
    READING,
))]
pub struct StateList {
    /// Address, kind, or either with `*`.
    #[arg(value_name = "PATTERN")]
    pub pattern: Option<String>,
    /// Cluster.
    #[command(flatten)]
    pub of: ClusterArg,
}

/// Show the record of one resource.
///
/// Prints status, ID, inputs, outputs and dependencies. Secrets are recorded as digests.
#[derive(Debug, Args)]
#[command(after_long_help = help::after("groundplan state show instance.master-0", READING))]
pub struct StateShow {
    /// Address of the resource.
    #[arg(value_name = "ADDRESS")]
    pub address: String,
    /// Cluster.
    #[command(flatten)]
    pub of: ClusterArg,
}

/// List the runs that changed the state.
///
/// Prints time, user, command and number of journal entries of the last 100 runs, newest last.
#[derive(Debug, Args)]
#[command(after_long_help = help::after("groundplan state history", READING))]
pub struct StateHistory {
    /// Cluster.
    #[command(flatten)]
    pub of: ClusterArg,
}

/// Rename the address of a resource, within its kind.
///
/// Use this command if the install-config has another name for the same resource. References of other
/// resources are renamed, too. Nothing changes in AWS.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan state mv subnet.private-a subnet.private-us-west-2a",
    WRITING,
))]
pub struct StateMv {
    /// Current address.
    #[arg(value_name = "FROM")]
    pub from: String,
    /// New address.
    #[arg(value_name = "TO")]
    pub to: String,
    /// Cluster.
    #[command(flatten)]
    pub of: ClusterArg,
}

/// Remove resources from the state and keep them in AWS.
///
/// Removes all named resources or none. Lists the resources that stay in AWS and asks for approval; only
/// `yes` continues. The next apply creates a removed resource again if the install-config requires it.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan state rm s3_object.bootstrap s3_bucket.bootstrap",
    WRITING,
))]
pub struct StateRm {
    /// Addresses of the resources. Their deposed objects are removed, too.
    #[arg(value_name = "ADDRESS", required = true)]
    pub addresses: Vec<String>,
    /// Cluster.
    #[command(flatten)]
    pub of: ClusterArg,
}

/// Print the state to standard output.
///
/// The output has a checksum and no secrets.
#[derive(Debug, Args)]
#[command(after_long_help = help::after("groundplan state pull > backup.json", READING))]
pub struct StatePull {
    /// Cluster.
    #[command(flatten)]
    pub of: ClusterArg,
}

/// Replace the state by a file and keep the old state as a backup.
///
/// The file must have the same cluster, the same lineage and at least the serial of the recorded state.
/// An empty state location accepts any state of the cluster. A wrong checksum is rejected; to push a file
/// that was edited by hand, remove its first line, so that the file begins with `{`. Saved plans become
/// stale.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan state push backup.json
groundplan state pull --state elsewhere | groundplan state push -",
    WRITING,
))]
pub struct StatePush {
    /// File from `state pull`, or `-` for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Accept a file that is older than the recorded state.
    #[arg(long)]
    pub force: bool,
    /// Cluster.
    #[command(flatten)]
    pub of: ClusterArg,
}

/// Move the state to another location.
///
/// Copies the state from --state to --to, reads the copy back, compares both, and marks the old state as
/// moved. Later commands on the old location name the new one. If the command is interrupted, run it
/// again.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan state migrate --state state --to /mnt/shared/states
groundplan state migrate --to s3://my-bucket/clusters",
    WRITING,
))]
pub struct StateMigrate {
    /// New state location: a folder, or s3://bucket/prefix.
    #[arg(long, value_name = "LOCATION")]
    pub to: StateLocation,
    /// Cluster.
    #[command(flatten)]
    pub of: ClusterArg,
}

/// Protect resources from deletion and replacement.
///
/// The state records the protection. A plan that would delete or replace a protected resource ends with
/// exit code 7 before the first change. Changes in place are still made. Nothing changes in AWS.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan protect hosted_zone.int
groundplan protect 'instance.master-*' --cluster demo",
    WRITING,
))]
pub struct ProtectArgs {
    /// Address, kind, or either with `*`.
    #[arg(value_name = "ADDRESS", required = true)]
    pub addresses: Vec<String>,
    /// Cluster.
    #[command(flatten)]
    pub of: ClusterArg,
}

/// Remove the protection of resources.
#[derive(Debug, Args)]
#[command(after_long_help = help::after("groundplan unprotect hosted_zone.int", WRITING))]
pub struct UnprotectArgs {
    /// Address, kind, or either with `*`.
    #[arg(value_name = "ADDRESS", required = true)]
    pub addresses: Vec<String>,
    /// Cluster.
    #[command(flatten)]
    pub of: ClusterArg,
}

/// Rebuild a lost state from the install-config and AWS.
///
/// Searches AWS for the resources of the install-config by creation token, tag and name, and records
/// what it finds. Nothing changes in AWS. Pass the install-config and assets of the last apply. A cluster
/// that has a state is rejected.
///
/// Lists resources that were not found, and resources that carry the cluster tag and were not recorded.
/// Run `groundplan plan` afterwards.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan recover --assets assets
groundplan recover --infra-id demo-x7k2p --no-bootstrap",
    WRITING,
))]
pub struct RecoverArgs {
    /// Infra ID of the cluster: its name and five characters.
    ///
    /// Default: the infra ID of the assets, or of the only cluster of that name in AWS.
    #[arg(long, value_name = "INFRA-ID")]
    pub infra_id: Option<String>,
    /// Desired state.
    #[command(flatten)]
    pub wanted: DesiredStateArgs,
}

/// Force-unlock the state of a run that cannot be ended.
///
/// Use this command only for a run on an unreachable host, with a state in S3 or on a shared file system.
/// The lock of a run that died on this host is taken over without it, and a live run on this host can be
/// ended. The error message of the blocked command has the ID.
///
/// If the other run is still alive, it ends before its next change: at once with a state in a folder,
/// within a quarter of its lease with a state in S3. The next run continues where it stopped.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan unlock 1f0c7a52-9d3b-4c61-8a55-3f6f3f1f2a01",
    &[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Refused, Exit::Usage],
))]
pub struct UnlockArgs {
    /// ID of the lock, from the error message of the blocked command.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Cluster.
    #[command(flatten)]
    pub of: ClusterArg,
    /// Unlock even if the run is alive on this host.
    #[arg(long)]
    pub force: bool,
}
