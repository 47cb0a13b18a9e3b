//! Arguments of the commands after an apply: `output`, `wait-for` and `gather`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{ClusterArg, READING, duration, help};
use crate::cli::exit_code::Exit;

/// Print the URLs, addresses and IDs of a cluster.
///
/// Reads the state only and makes no AWS calls. NAME prints one bare value for scripts: each item of a
/// list on its own line, and values by zone as `ZONE VALUE`. A name that does not exist, or a value that
/// the cluster does not have, is an error.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan output
groundplan output api_url
groundplan output master_ips --cluster demo
groundplan output --json",
    READING,
))]
pub struct OutputArgs {
    /// Name of one output, such as `api_url`.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Cluster.
    #[command(flatten)]
    pub cluster: ClusterArg,
}

/// Print the command that gathers logs for support.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan gather bootstrap --assets assets",
    &[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Usage],
))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct GatherArgs {
    /// Logs to gather.
    #[command(subcommand)]
    pub command: GatherCommand,
}

/// Logs to gather.
#[expect(missing_docs, reason = "the documentation of a variant's arguments is its help")]
#[derive(Debug, Subcommand)]
pub enum GatherCommand {
    Bootstrap(GatherBootstrap),
}

/// Print the `openshift-install gather bootstrap` command with the addresses of this cluster.
///
/// The command logs in to the bootstrap machine with SSH and downloads the logs of the bootstrap and of
/// the masters. The addresses come from the state. Those that are not recorded are read from EC2.
///
/// Without a bootstrap machine, the command fails and names the masters.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan gather bootstrap --assets assets
groundplan gather bootstrap --assets assets --key ~/.ssh/id_ed25519
groundplan gather bootstrap --assets assets | sh",
    &[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Stopped, Exit::Usage],
))]
pub struct GatherBootstrap {
    /// Private SSH key for the printed command (repeatable). Default: the keys of the SSH agent.
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,
    /// Cluster.
    #[command(flatten)]
    pub cluster: ClusterArg,
}

/// Wait for the installation of the cluster.
///
/// Reads the cluster every five seconds with the kubeconfig of openshift-install and prints each change.
/// Changes nothing. A run that was stopped continues at once from the state of the cluster.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan wait-for bootstrap-complete --assets assets
groundplan wait-for install-complete --assets assets --timeout 1h",
    WAITING,
))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct WaitForArgs {
    /// Stage to wait for.
    #[command(subcommand)]
    pub command: WaitForCommand,
}

/// Exit codes of a wait.
const WAITING: &[Exit] =
    &[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Stopped, Exit::Usage];

/// Stage to wait for.
#[derive(Debug, Subcommand)]
pub enum WaitForCommand {
    /// Wait until the control plane no longer needs the bootstrap machine.
    ///
    /// The API server answers, the ConfigMap kube-system/bootstrap has the status `complete`, and etcd has
    /// no member on the bootstrap machine.
    #[command(after_long_help = help::after(
        "groundplan wait-for bootstrap-complete --assets assets
groundplan wait-for bootstrap-complete --assets assets --console-output",
        WAITING,
    ))]
    BootstrapComplete(WaitForBootstrap),
    /// Wait until all of the release is installed.
    ///
    /// The ClusterVersion is available and neither failing nor progressing, no ClusterOperator has
    /// progressed for 30 seconds, and a router serves the console, if the cluster has one.
    #[command(after_long_help = help::after(
        "groundplan wait-for install-complete --assets assets
groundplan wait-for install-complete --assets assets --timeout 1h --json",
        WAITING,
    ))]
    InstallComplete(WaitForInstall),
}

/// Arguments of `wait-for bootstrap-complete`.
#[derive(Debug, Args)]
pub struct WaitForBootstrap {
    /// Options of a wait.
    #[command(flatten)]
    pub wait: WaitOptions,
    /// Print the last lines of the bootstrap machine's console at the beginning.
    ///
    /// Otherwise they are printed when the stage is late. Secrets are masked. Needs a state, and the
    /// permission ec2:GetConsoleOutput.
    #[arg(long)]
    pub console_output: bool,
}

/// Arguments of `wait-for install-complete`.
#[derive(Debug, Args)]
pub struct WaitForInstall {
    /// Options of a wait.
    #[command(flatten)]
    pub wait: WaitOptions,
}

/// Options of every wait.
#[derive(Clone, Debug, Args)]
pub struct WaitOptions {
    /// Kubeconfig of the cluster. Default: auth/kubeconfig in the folder of --assets.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Exit with 1 after this time, such as 45m [default: wait without end].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Report a stage as late after this time, such as 10m.
    ///
    /// Default: its usual time, 15m for the API server, 20m for the bootstrap, 30m for the release. A late
    /// stage does not fail. The report names its causes: DNS, load balancer targets and console with a
    /// state and credentials, and Nodes, operators and certificate signing requests of the cluster.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub late_after: Option<Duration>,
    /// Cluster.
    #[command(flatten)]
    pub cluster: ClusterArg,
}
