//! Arguments of `destroy` and `bootstrap`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{GuardArgs, TargetingArgs, WRITING, WaitArgs, cluster, file, help, infra_id};
use crate::cli::exit_code::Exit;

/// Delete the infrastructure of a cluster.
///
/// Deletes all recorded resources and everything that the cluster created for itself: workers, load
/// balancers of Services, volumes of claims with their data, the bucket of the registry, users and
/// records of operators. These are found by the cluster tag, and the plan lists them with addresses that
/// begin with `swept.`; `--exclude swept` keeps them. At the end, a search by tag proves that nothing is
/// left.
///
/// Resources that carry the tag of another cluster, too, and protected resources (see `protect`) end the
/// command with exit code 7 before the first change.
///
/// The install-config is not needed if the state knows the cluster: pass --cluster. The state is not
/// needed, either: with --metadata or --infra-id, everything with the cluster tag is deleted.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan destroy
groundplan destroy --cluster demo --auto-approve
groundplan destroy --target swept
groundplan destroy --out destroy.plan && groundplan apply destroy.plan
groundplan destroy --exclude 'swept.volume:*'
groundplan destroy --metadata cluster/metadata.json
groundplan destroy --infra-id demo-x7k2p --region us-west-2",
    WRITING,
))]
pub struct DestroyArgs {
    /// Cluster.
    #[command(flatten)]
    pub cluster: DestroyedArgs,
    /// Save the plan to a file for `apply`, and destroy nothing.
    ///
    /// `-` is standard output; other output then goes to standard error. A file that groundplan did not
    /// write is not overwritten.
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub out: Option<PathBuf>,
    /// Check permissions before the first change.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub preflight: bool,
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

/// Cluster to destroy.
#[derive(Clone, Debug, Default, Args)]
pub struct DestroyedArgs {
    /// Name of the cluster, instead of an install-config.
    #[arg(long, value_name = "NAME", value_parser = cluster)]
    pub cluster: Option<String>,
    /// Infra ID of a cluster that has no state.
    #[arg(long, value_name = "INFRA-ID", value_parser = infra_id, conflicts_with = "cluster")]
    pub infra_id: Option<String>,
    /// Region of the cluster that --infra-id names. Default: AWS_REGION, AWS_DEFAULT_REGION or the region of the profile.
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// metadata.json of a cluster that has no state.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cluster", "infra_id"])]
    pub metadata: Option<PathBuf>,
}

impl DestroyedArgs {
    /// Returns the first of these options that is given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let options = [
            ("--cluster", self.cluster.is_some()),
            ("--infra-id", self.infra_id.is_some()),
            ("--metadata", self.metadata.is_some()),
            ("--region", self.region.is_some()),
        ];
        options.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
    }
}

/// Remove the bootstrap machine of an installed cluster.
#[derive(Debug, Args)]
#[command(after_long_help = help::after("groundplan bootstrap destroy", &[Exit::Done, Exit::Usage]))]
pub struct BootstrapArgs {
    /// Command for the bootstrap.
    #[command(subcommand)]
    pub command: BootstrapCommand,
}

/// Command for the bootstrap.
#[expect(missing_docs, reason = "the documentation of a variant's arguments is its help")]
#[derive(Debug, Subcommand)]
pub enum BootstrapCommand {
    Destroy(BootstrapDestroyArgs),
}

/// Delete the bootstrap machine and everything that only it needs.
///
/// Run this after `openshift-install wait-for bootstrap-complete`. Shows the plan and asks for approval.
/// Other pending changes are left out. The bucket with the bootstrap Ignition stays if the install-config
/// preserves it.
///
/// The state records the removal before the first deletion. Later plans leave out the bootstrap and say
/// so; --bootstrap of `plan` and `apply` adds it again. After an interruption, run the same command or
/// `groundplan apply`.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan bootstrap destroy
groundplan bootstrap destroy --auto-approve",
    WRITING,
))]
pub struct BootstrapDestroyArgs {
    /// Check permissions before the first change.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub preflight: bool,
    /// Waits for AWS.
    #[command(flatten)]
    pub waits: WaitArgs,
    /// Conditions that a plan must meet.
    #[command(flatten)]
    pub guards: GuardArgs,
}
