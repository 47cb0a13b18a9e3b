//! Command line of the commands for machines: manifests, machines, machine controller, termination handler.

#![allow(rustdoc::invalid_html_tags, reason = "doc comments are help texts, with <infra ID>")]

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    APPLYING, ApplyingArgs, GuardArgs, PlanningArgs, TargetingArgs, WRITING, WaitArgs, cluster,
    help,
};
use crate::cli::exit_code::Exit;

/// Mark this machine's Node before AWS ends the machine.
///
/// Polls the instance metadata service (IMDSv2 only) for interruption notices. AWS announces the
/// interruption of a spot instance two minutes before. The Node then gets the condition Terminating and an
/// Event with the reason, and a MachineHealthCheck replaces the machine. If the machine stays or comes
/// back, the handler clears what it set. It runs until SIGTERM or SIGINT, and it retries after every error.
///
/// The cluster is found as by kubectl: KUBECONFIG, ~/.kube/config, or the ServiceAccount of the pod.
/// AWS_EC2_METADATA_SERVICE_ENDPOINT and AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE select another metadata
/// service. docs/termination.md has the metrics and the conditions.
#[cfg(feature = "kubernetes")]
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan termination-handler --node-name \"$NODE_NAME\" --instance-action",
    &[Exit::Done, Exit::Failed, Exit::Usage],
))]
pub struct TerminationHandlerArgs {
    /// Options of the handler.
    #[command(flatten)]
    pub options: groundplan_node::command::HandlerOptions,
}

/// Write the Machine API manifests of the cluster's machines.
///
/// Writes Machines, the ControlPlaneMachineSet and the MachineSets of the workers as openshift-install
/// renders them, with the metadata options of the install-config. With --assets, also the user-data
/// Secrets.
///
/// DIR may be the folder of `openshift-install create manifests`. Then the infra ID is read from that
/// folder, and the files replace those of the same name in its subfolder `openshift`. Otherwise the infra
/// ID is that of the state or of the assets. A file with other content is replaced only with --force.
///
/// Makes AWS calls only for lookups that the state does not have yet. Does not change the state.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan manifests --out machines
groundplan manifests --out assets --force    # over those of openshift-install
groundplan manifests check machines",
    &[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Stopped, Exit::Refused, Exit::Usage],
))]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ManifestsArgs {
    /// Subcommand to run.
    #[command(subcommand)]
    pub command: Option<ManifestsCommand>,
    /// Output folder.
    #[arg(long, value_name = "DIR", required = true)]
    pub out: Option<PathBuf>,
    /// Replace files that have other content.
    #[arg(long)]
    pub force: bool,
}

/// Subcommand of `manifests`.
#[expect(missing_docs, reason = "the documentation of a variant's arguments is its help")]
#[derive(Debug, Subcommand)]
pub enum ManifestsCommand {
    Check(ManifestsCheck),
}

/// Validate Machine API manifests offline, as the webhook does.
///
/// Validates Machines, MachineSets and ControlPlaneMachineSets, with the defaults of the webhook filled
/// in. Reports all findings at once with file, line and column. Misspelt fields and values that EC2 rejects
/// at launch are errors, too.
///
/// A file may have several documents, or a list as `oc get -o yaml` prints it. Objects of other kinds are
/// skipped.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan manifests check assets/openshift
groundplan manifests check workers.yaml infra.yaml
oc get machinesets -A -o yaml | groundplan manifests check -",
    &[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Usage],
))]
pub struct ManifestsCheck {
    /// Files, folders with YAML or JSON files, or `-` for standard input.
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
}

/// Launch the machines of manifests, without a controller.
///
/// Plans and applies the instances of Machines and MachineSets in files, with the same preview, in-place
/// changes and crash safety as `plan` and `apply`. A MachineSet with three replicas is three machines whose
/// names end in -0, -1 and -2. Scaling down removes the highest numbers.
///
/// The files must include the user-data Secrets. The state is named <infra ID>-machines and is separate
/// from the state of the cluster. docs/machines.md has more.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan manifests --out machines --assets assets
groundplan machines plan --manifests machines
groundplan machines apply --manifests machines
groundplan machines destroy --cluster demo-x7k2p",
    &Exit::ALL,
))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct MachinesArgs {
    /// Subcommand to run.
    #[command(subcommand)]
    pub command: MachinesCommand,
}

/// Subcommand of `machines`.
#[expect(missing_docs, reason = "the documentation of a variant's arguments is its help")]
#[derive(Debug, Subcommand)]
pub enum MachinesCommand {
    Plan(MachinesPlan),
    Apply(MachinesApply),
    Destroy(MachinesDestroy),
    Recover(MachinesRecover),
}

/// Show the changes that an apply would make to machines.
///
/// Validates the manifests first, as `manifests check` does. Reads from AWS and changes nothing there.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan machines plan --manifests assets/openshift
groundplan machines plan --manifests w.yaml --manifests user-data.yaml --full",
    &[Exit::Done, Exit::Failed, Exit::Changes, Exit::ConfigInvalid, Exit::Locked, Exit::Stopped,
      Exit::Refused, Exit::Usage],
))]
pub struct MachinesPlan {
    /// Manifest file, or folder with YAML or JSON files (repeatable).
    #[arg(long, value_name = "PATH", required = true)]
    pub manifests: Vec<PathBuf>,
    /// Options of planning.
    #[command(flatten)]
    pub how: PlanningArgs,
}

/// Create or change the machines of manifests.
///
/// Shows the plan and asks for approval; only `yes` continues. With a saved plan, executes exactly that
/// plan. The same manifests are needed again, because a plan has no user data.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan machines apply --manifests machines
groundplan machines apply --manifests machines --auto-approve --max-destroy 0
groundplan machines apply --manifests machines machines.plan",
    APPLYING,
))]
pub struct MachinesApply {
    /// Plan saved with `machines plan --out`; `-` is standard input.
    #[arg(value_name = "PLAN", conflicts_with_all = ["full", "replace", "revert_drift", "target", "exclude"])]
    pub plan: Option<PathBuf>,
    /// Manifest file, or folder with YAML or JSON files (repeatable).
    #[arg(long, value_name = "PATH", required = true)]
    pub manifests: Vec<PathBuf>,
    /// Options of applying.
    #[command(flatten)]
    pub how: ApplyingArgs,
}

/// Terminate all recorded machines.
///
/// Waits until the instances are terminated. Machines that a controller in the cluster launched are not
/// recorded here, and stay.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan machines destroy --cluster demo-x7k2p
groundplan machines destroy --manifests machines --target 'machine.*-2a-*'",
    WRITING,
))]
pub struct MachinesDestroy {
    /// Infra ID of the cluster, instead of manifests.
    #[arg(long, value_name = "INFRA-ID", value_parser = cluster, required_unless_present = "manifests")]
    pub cluster: Option<String>,
    /// Manifests that name the cluster (repeatable).
    ///
    /// Recorded machines that are not in the manifests are terminated, too.
    #[arg(long, value_name = "PATH", conflicts_with = "cluster")]
    pub manifests: Vec<PathBuf>,
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

/// Rebuild a lost state of machines from the manifests and AWS.
///
/// Searches AWS for each machine by its creation token and records what it finds. Nothing changes in AWS.
/// Pass the manifests of the last apply, with the same number of replicas. Machines that have a state are
/// rejected.
///
/// Lists machines that were not found, and instances of the cluster that are not recorded: usually those
/// that a controller in the cluster launched. Run `groundplan machines plan` afterwards.
#[derive(Debug, Args)]
#[command(after_long_help = help::after("groundplan machines recover --manifests machines", WRITING))]
pub struct MachinesRecover {
    /// Manifest file, or folder with YAML or JSON files (repeatable).
    #[arg(long, value_name = "PATH", required = true)]
    pub manifests: Vec<PathBuf>,
}

/// Reconcile the Machines of a cluster.
///
/// Watches Machines, MachineSets and Nodes. Every launched instance has the metadata options of its
/// providerSpec, mapped as by plan and apply. Each Machine is launched with one client token, so that a
/// crash, a lost response or a second controller cannot launch it twice.
///
/// A changed template or providerSpec applies to new machines. Running instances are left as they are, and
/// a condition on the Machine reports the difference.
///
/// Only the holder of a Lease acts, and only while no process holds the Leases of OpenShift's own
/// controllers. Region, infra ID, tags and endpoints are those of the Infrastructure `cluster`. AWS
/// credentials are found as by the AWS CLI, the cluster as by kubectl. The controller runs until SIGTERM
/// or SIGINT. It ends with exit code 1, to be restarted, if AWS or the API server does not respond at the
/// start, and when it loses a Lease.
///
/// docs/machine-controller.md has permissions, metrics and limits.
#[cfg(feature = "kubernetes")]
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan machine-controller --listen 0.0.0.0:8080",
    &[Exit::Done, Exit::Failed, Exit::Usage],
))]
pub struct MachineControllerArgs {
    /// Namespace of the Machines.
    #[arg(long, value_name = "NAME", default_value = groundplan_openshift::machine_api::types::NAMESPACE,
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub namespace: String,
    /// Address for /metrics, /healthz and /readyz (plain HTTP).
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<std::net::SocketAddr>,
    /// Act without the Leases (for a single controller).
    #[arg(long)]
    pub no_leader_election: bool,
    /// Least severity of the log lines to print.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: MinimumLogLevel,
}

/// Least severity of the log lines of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum MinimumLogLevel {
    /// All lines, also conflicts with other clients.
    Debug,
    /// Expected events and all problems.
    Info,
    /// Problems that a user can solve, and errors.
    Warning,
    /// Errors only.
    Error,
}
