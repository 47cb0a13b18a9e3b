//! The arguments of what is about machines in a cluster: their manifests, the machines themselves, and the
//! handler on them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Applying, Guards, Part, Planning, WRITING, cluster, codes};
use crate::cli::exit::Exit;

/// Runs on a machine and tells its cluster before the machine is taken away.
///
/// Asks the metadata service, by IMDSv2 alone, whether an interruption is announced: of a spot
/// instance AWS gives two minutes' notice. The Node then gets the condition Terminating, and an Event
/// says why; a MachineHealthCheck that looks for the condition does the rest. Runs until SIGTERM or
/// SIGINT, whatever is in trouble; once the Node is marked it idles.
///
/// The cluster is found as by kubectl: KUBECONFIG, ~/.kube/config, or the ServiceAccount of the pod.
/// AWS_EC2_METADATA_SERVICE_ENDPOINT and AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE name another metadata
/// service. docs/termination.md has the metrics and what follows from what.
///
/// Example:
///   groundplan termination-handler --node-name "$NODE_NAME" --instance-action --listen 127.0.0.1:8080
#[cfg(feature = "kubernetes")]
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&[Exit::Done, Exit::Failed, Exit::Usage]))]
pub struct TerminationHandler {
    /// Options of the handler.
    #[command(flatten)]
    pub options: groundplan_node::command::Options,
}

/// Writes the Machine API manifests of the cluster's machines, as openshift-install renders them.
///
/// Machines, the control plane machine set and the machine sets of the workers, with the metadata
/// options that the install-config asks for; with --assets the user-data Secrets, too. DIR may be the
/// folder of `openshift-install create manifests`: then the infra ID is the one in there, and the files
/// go into its folder `openshift`, over those of the same names. Otherwise the infra ID is that of the
/// state or of the assets. Asks AWS only what the state does not know yet, and records nothing.
///
/// A file that says something else is not written over without --force.
///
/// Examples:
///   groundplan manifests --out machines
///   groundplan manifests --out assets --force   # over openshift-install's
///   groundplan manifests check machines
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Stopped, Exit::Refused, Exit::Usage]))]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Manifests {
    /// What else to do.
    #[command(subcommand)]
    pub command: Option<ManifestsCommand>,
    /// Where to write them.
    #[arg(long, value_name = "DIR", required = true)]
    pub out: Option<PathBuf>,
    /// Writes over files that say something else.
    #[arg(long)]
    pub force: bool,
}

/// What else to do with manifests.
#[expect(missing_docs, reason = "what is said of a variant's arguments is its help")]
#[derive(Debug, Subcommand)]
pub enum ManifestsCommand {
    Check(ManifestsCheck),
}

/// Checks Machines, MachineSets and ControlPlaneMachineSets as the cluster's webhook does.
///
/// Every finding is reported at once, with file, line and column. What the webhook fills in is taken
/// as filled in. What a cluster would take and nobody could launch, and a field that is misspelt, are
/// errors, too. A file may have several documents, or a list as `oc get -o yaml` prints it; objects of
/// other kinds are passed over. Asks nobody.
///
/// Examples:
///   groundplan manifests check assets/openshift
///   groundplan manifests check workers.yaml infra.yaml
///   oc get machinesets -n openshift-machine-api -o yaml | groundplan manifests check -
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Usage]))]
pub struct ManifestsCheck {
    /// Files, folders whose files in YAML or JSON are read, or `-` for standard input.
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
}

/// Launches the machines of manifests, without a cluster that looks after them.
///
/// Machines and MachineSets in files become what the cluster's own controller would make of them, planned
/// and applied as everything here: a preview first, in-place changes where AWS allows them, a state that a
/// crash does not harm. A MachineSet of three replicas is three machines whose names end in -0, -1 and -2;
/// scaled down, the highest numbers go.
///
/// The user-data Secrets must be among the files. The state is one of its own beside the cluster's, called
/// <infra ID>-machines. docs/machines.md has the rest.
///
/// Examples:
///   groundplan manifests --out machines --assets assets
///   groundplan machines plan --manifests machines
///   groundplan machines apply --manifests machines
///   groundplan machines destroy --cluster demo-x7k2p
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&Exit::ALL))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Machines {
    /// What to do with them.
    #[command(subcommand)]
    pub command: MachinesCommand,
}

/// What to do with machines.
#[expect(missing_docs, reason = "what is said of a variant's arguments is its help")]
#[derive(Debug, Subcommand)]
pub enum MachinesCommand {
    Plan(MachinesPlan),
    Apply(MachinesApply),
    Destroy(MachinesDestroy),
    Recover(MachinesRecover),
}

/// Shows what an apply would do to machines, and why.
///
/// The manifests are first checked as `manifests check` does it. Asks AWS, changes nothing there.
///
/// Examples:
///   groundplan machines plan --manifests assets/openshift
///   groundplan machines plan --manifests workers.yaml --manifests user-data.yaml --full
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&[Exit::Done, Exit::Failed, Exit::Changes, Exit::ConfigInvalid, Exit::Locked, Exit::Stopped, Exit::Refused, Exit::Usage]))]
pub struct MachinesPlan {
    /// The manifests: a file, or a folder whose files in YAML or JSON are read. May be given several
    /// times.
    #[arg(long, value_name = "PATH", required = true)]
    pub manifests: Vec<PathBuf>,
    /// How it is planned.
    #[command(flatten)]
    pub how: Planning,
}

/// Makes AWS have the machines that the manifests say.
///
/// Shows the plan and asks; only `yes` goes ahead. With a saved plan it does exactly that, and needs the
/// same manifests again: user data is in no plan.
///
/// Examples:
///   groundplan machines apply --manifests machines
///   groundplan machines apply --manifests machines --auto-approve --max-destroy 0
///   groundplan machines plan --manifests machines --out machines.plan &&
///     groundplan machines apply --manifests machines machines.plan
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&Exit::ALL))]
pub struct MachinesApply {
    /// A plan saved with `machines plan --out`.
    #[arg(value_name = "PLAN", conflicts_with_all = ["full", "replace", "target", "exclude"])]
    pub plan: Option<PathBuf>,
    /// The manifests: a file, or a folder whose files in YAML or JSON are read. May be given several
    /// times.
    #[arg(long, value_name = "PATH", required = true)]
    pub manifests: Vec<PathBuf>,
    /// How it is applied.
    #[command(flatten)]
    pub how: Applying,
}

/// Terminates all machines that are recorded, and waits until they are gone.
///
/// Machines that a cluster has made for itself are not recorded here, and are left alone.
///
/// Examples:
///   groundplan machines destroy --cluster demo-x7k2p
///   groundplan machines destroy --manifests machines --target 'machine.*-worker-us-west-2a-*'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(WRITING))]
pub struct MachinesDestroy {
    /// The infra ID of their cluster, instead of manifests.
    #[arg(long, value_name = "INFRA-ID", value_parser = cluster, required_unless_present = "manifests")]
    pub cluster: Option<String>,
    /// The manifests, which say whose machines are meant. Those that they do not have go, too.
    #[arg(long, value_name = "PATH", conflicts_with = "cluster")]
    pub manifests: Vec<PathBuf>,
    /// Which part of it.
    #[command(flatten)]
    pub part: Part,
    /// What is expected of it.
    #[command(flatten)]
    pub guards: Guards,
}

/// Finds the state of machines again that was lost: from the manifests and what AWS has.
///
/// Each machine carries a token, so it is looked for, and what is found is recorded. Nothing in AWS is
/// changed. Give the manifests of the last apply, with as many replicas. Machines of which anything is
/// recorded are refused. Says what was not found, and which instances of the cluster are not recorded here:
/// those that the cluster looks after, as a rule. Look at `groundplan machines plan` before anything else.
///
/// Example:
///   groundplan machines recover --manifests machines
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(WRITING))]
pub struct MachinesRecover {
    /// The manifests: a file, or a folder whose files in YAML or JSON are read. May be given several
    /// times.
    #[arg(long, value_name = "PATH", required = true)]
    pub manifests: Vec<PathBuf>,
}

/// Runs in a cluster and makes its Machines what they are to be: the provider of its Machine API.
///
/// Watches Machines, MachineSets and Nodes. Every instance that it launches has the metadata options of
/// its providerSpec, by the same mapping as plan and apply; a Machine launches with one token, so that
/// a crash, a lost answer or a second controller never launches it twice. What a MachineSet's template
/// or a Machine's providerSpec says later is for new machines: running instances are left alone, and
/// a condition on the Machine says where they differ.
///
/// Of several that run, one acts: the holder of a Lease. The region, the infra ID, tags and endpoints
/// are those of the Infrastructure `cluster`; AWS is reached with the credentials that every AWS tool
/// would use. The cluster is found as by kubectl. It ends with exit code 1, to be started again, when the
/// API server or AWS does not answer at its start, and when the Lease is lost; otherwise it runs until
/// SIGTERM or SIGINT, whatever is in trouble.
/// docs/machine-controller.md has what it takes the place of, its rights, metrics and limits.
///
/// Example:
///   groundplan machine-controller --listen 0.0.0.0:8080
#[cfg(feature = "kubernetes")]
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&[Exit::Done, Exit::Failed, Exit::Usage]))]
pub struct MachineController {
    /// Where the Machines are.
    #[arg(long, value_name = "NAME", default_value = crate::machine_api::types::NAMESPACE,
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub namespace: String,
    /// Answers /metrics (Prometheus), /healthz and /readyz here, over plain HTTP.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<std::net::SocketAddr>,
    /// Acts without holding the Lease: for one that runs alone.
    #[arg(long)]
    pub no_leader_election: bool,
}
