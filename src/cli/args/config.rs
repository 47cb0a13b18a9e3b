//! Arguments of `config` and `clusters`: settings in effect, and the clusters of a state location.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{file, help};
use crate::cli::exit_code::Exit;

const EXITS: &[Exit] = &[Exit::Done, Exit::Failed, Exit::Usage];

/// Show the settings in effect: options, environment and groundplan.toml.
///
/// A file groundplan.toml in the working directory sets options for all commands in that folder:
/// config, assets, rhcos-stream, release, machine-subnets, state, state-kms-key, parallelism, lock-timeout,
/// lease.
/// Relative paths are relative to the file. GROUNDPLAN_PROJECT selects another file; an empty value selects none.
///
/// Each setting has an environment variable, such as GROUNDPLAN_RHCOS_STREAM. The command line takes
/// precedence over the environment, and the environment over the file.
#[derive(Debug, Args)]
#[command(after_long_help = help::after("groundplan config show", EXITS))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct ConfigArgs {
    /// Command to run.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// Command to run.
#[expect(missing_docs, reason = "the documentation of a variant's arguments is its help")]
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    Show(ConfigShow),
    Export(ConfigExport),
}

/// Print the settings in effect, each with its origin (no AWS calls).
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan config show
groundplan config show --state s3://my-bucket/clusters --json",
    EXITS,
))]
pub struct ConfigShow {}

/// Write a copy of the install-config for another program.
///
/// The copy for openshift-install lacks the fields that only groundplan reads: permissionsBoundary of
/// platform.aws, and httpEndpoint, httpPutResponseHopLimit and instanceMetadataTags of
/// metadataService. openshift-install 5.0 rejects them as unknown. Comments and layout of the rest stay. The copy contains the pull secret.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan config export --for openshift-install --out copy.yaml
groundplan config export --for openshift-install > assets/install-config.yaml",
    &[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Usage],
))]
pub struct ConfigExport {
    /// Program that reads the copy.
    #[arg(long = "for", value_name = "PROGRAM")]
    pub program: ExportTarget,
    /// File to write; `-` is standard output.
    ///
    /// Only the owner can read the file. A file that groundplan did not write is not overwritten.
    #[arg(long, value_name = "FILE", default_value = "-", value_parser = file)]
    pub out: PathBuf,
}

/// Program that an install-config is exported for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportTarget {
    /// openshift-install, of any release
    OpenshiftInstall,
}

/// List the clusters of a state location.
///
/// The list has one line for each cluster: name, infra ID, region, number of recorded resources, last
/// run, and the run that has the lock. The command reads states only. It makes no AWS calls except for a
/// --state in S3.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan clusters
groundplan clusters --state s3://my-bucket/clusters --json",
    EXITS,
))]
pub struct ClustersArgs {}
