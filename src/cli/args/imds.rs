//! Arguments of `imds`: metadata options (IMDSv2) of running machines.

use clap::{Args, Subcommand};

use super::{cluster, help, infra_id};
use crate::cli::exit_code::Exit;

/// Check the metadata options (IMDSv2) of running machines.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan imds audit --all-clusters --region us-west-2",
    AUDITING,
))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct ImdsArgs {
    /// Check to make.
    #[command(subcommand)]
    pub command: ImdsCommand,
}

const AUDITING: &[Exit] =
    &[Exit::Done, Exit::Failed, Exit::Changes, Exit::ConfigInvalid, Exit::Usage];

/// Condition of a plan that makes session tokens required.
#[derive(Clone, Debug, Default, Args)]
pub struct ImdsGateArgs {
    /// Make session tokens required although this machine still uses IMDSv1 (repeatable).
    ///
    /// Without it, a plan that changes `authentication` to `Required` ends with exit code 7 if CloudWatch
    /// counts requests without a token on one of its machines. ADDRESS is an address, or one with `*`.
    #[arg(long, value_name = "ADDRESS", hide_short_help = true)]
    pub accept_imdsv1_use: Vec<String>,
    /// Days for which the use of IMDSv1 counts.
    #[arg(long, value_name = "DAYS", default_value_t = 7, hide_short_help = true, value_parser = clap::value_parser!(u32).range(1..=90))]
    pub imdsv1_days: u32,
}

/// Check to make.
#[expect(missing_docs, reason = "the documentation of a variant's arguments is its help")]
#[derive(Debug, Subcommand)]
pub enum ImdsCommand {
    Audit(ImdsAudit),
}

/// List machines and launch templates that allow IMDSv1, and the use of IMDSv1.
///
/// Reads only, and needs no state: the machines are found by their cluster tag, for clusters of any installer.
/// For each machine, the list has the options as EC2 has them, and the layer that explains them: the
/// account default, the image or the default of EC2 if a launch without an opinion would get the same
/// value now, or the machine itself.
///
/// The use of IMDSv1 is the sum of the CloudWatch metrics MetadataNoToken and MetadataNoTokenRejected. A
/// machine without a value for every day is `unknown`, which is never the same as no use.
///
/// Exit code 2 means that a machine or a launch template allows IMDSv1, that requests were rejected, or
/// that something could not be read.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan imds audit
groundplan imds audit --infra-id demo-x7k2p --region us-west-2
groundplan imds audit --all-clusters --region us-west-2 --json",
    AUDITING,
))]
pub struct ImdsAudit {
    /// Name of a recorded cluster, instead of an install-config.
    #[arg(long, value_name = "NAME", value_parser = cluster)]
    pub cluster: Option<String>,
    /// Infra ID of a cluster, recorded or not.
    #[arg(long, value_name = "INFRA-ID", value_parser = infra_id, conflicts_with = "cluster")]
    pub infra_id: Option<String>,
    /// All clusters with machines in the regions.
    #[arg(long, conflicts_with_all = ["cluster", "infra_id"])]
    pub all_clusters: bool,
    /// Region to read (repeatable). Default: that of the recorded cluster, or else AWS_REGION, AWS_DEFAULT_REGION or the region of the profile.
    #[arg(long, value_name = "REGION")]
    pub region: Vec<String>,
    /// Days of metrics before today.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=90))]
    pub days: u32,
}
