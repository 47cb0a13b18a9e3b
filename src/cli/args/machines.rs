//! The arguments of what is about machines in a cluster: their manifests, and the handler on them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{codes, poll_interval};
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
    /// The name of this machine's Node.
    #[arg(long, value_name = "NAME", env = "NODE_NAME",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub node_name: String,
    /// How often the metadata service is asked, at least.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = poll_interval)]
    pub poll_interval: Duration,
    /// Reads spot/instance-action, too: a spot instance that is stopped or hibernated has no
    /// termination time.
    #[arg(long)]
    pub instance_action: bool,
    /// Reads rebalance recommendations, too. They are told in an Event; the Node is left alone.
    #[arg(long)]
    pub rebalance: bool,
    /// Reads scheduled maintenance, too. Retirement and stops mark the Node, reboots are told in an
    /// Event.
    #[arg(long)]
    pub maintenance: bool,
    /// Reads where the auto-scaling group wants the machine, too: `Terminated` marks the Node.
    #[arg(long)]
    pub lifecycle: bool,
    /// Lets no more pods onto a Node that is marked.
    #[arg(long)]
    pub cordon: bool,
    /// Gives a Node that is marked the taint groundplan.dev/terminating:NoSchedule. A kubelet's
    /// credentials do not allow it.
    #[arg(long)]
    pub taint: bool,
    /// Answers /metrics (Prometheus), /healthz and /readyz here, over plain HTTP.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<std::net::SocketAddr>,
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
///   groundplan manifests check machines/*.yaml
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
/// as filled in. A file may have several documents, or a list as `oc get -o yaml` prints it; objects
/// of other kinds are passed over. Asks nobody.
///
/// Example:
///   groundplan manifests check machines/*.yaml
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Usage]))]
pub struct ManifestsCheck {
    /// The files.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}
