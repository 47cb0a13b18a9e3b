//! Arguments of commands that only print: `validate`, `show`, `schema` and `graph`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{DesiredStateArgs, PlanFormat, READING, cluster, help};
use crate::cli::exit_code::Exit;

/// Validate the install-config offline (no AWS calls).
///
/// Reports all findings at once: file, line, column, expected value and correction. Also reads the
/// assets and the RHCOS stream, if given. Writes nothing.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan validate --config clusters/prod/install-config.yaml",
    &[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Usage],
))]
pub struct ValidateArgs {}

/// Show the recorded resources of a cluster, or a saved plan.
///
/// Makes no AWS calls.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan show
groundplan show --cluster demo --json
groundplan show cluster.plan --full",
    READING,
))]
pub struct ShowArgs {
    /// Plan saved with `plan --out`; `-` is standard input.
    #[arg(value_name = "PLAN", conflicts_with = "cluster")]
    pub plan: Option<PathBuf>,
    /// Name of the cluster, instead of an install-config.
    #[arg(long, value_name = "NAME", value_parser = cluster)]
    pub cluster: Option<String>,
    /// Show every attribute of resources that the plan creates, and each of many alike changes.
    #[arg(long)]
    pub full: bool,
    /// Format of the plan.
    ///
    /// `markdown` is a comment for a pull request, of at most 65,536 bytes. `json` is --json.
    #[arg(long, value_enum, default_value_t, requires = "plan", conflicts_with = "json")]
    pub format: PlanFormat,
}

/// Print a JSON Schema or a CustomResourceDefinition.
///
/// By default the JSON Schema of install-config.yaml, for editors: the fields and values that this
/// version of groundplan reads. With --of, the schema of a Machine API manifest on AWS. The
/// values that end in -crd are CustomResourceDefinitions for a cluster without the Machine API.
///
/// Editors with yaml-language-server use the schema if the first line of install-config.yaml is
/// `# yaml-language-server: $schema=install-config.schema.json`.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan schema > install-config.schema.json
groundplan schema --of machine-set > machine-set.schema.json
groundplan schema --of machine-crd | kubectl apply -f -",
    &[Exit::Done, Exit::Failed, Exit::Usage],
))]
pub struct SchemaArgs {
    /// Kind of document.
    #[arg(long, value_enum, ignore_case = true, value_name = "KIND",
          default_value_t = DocumentKind::InstallConfig)]
    pub of: DocumentKind,
}

/// Document with a schema. Kinds may be spelt as in their manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DocumentKind {
    /// install-config.yaml
    #[value(alias = "InstallConfig")]
    InstallConfig,
    /// Manifest of a Machine
    Machine,
    /// Manifest of a MachineSet
    #[value(alias = "MachineSet")]
    MachineSet,
    /// Manifest of a ControlPlaneMachineSet
    #[value(alias = "ControlPlaneMachineSet")]
    ControlPlaneMachineSet,
    /// CustomResourceDefinition of Machines
    #[value(alias = "MachineCRD")]
    MachineCrd,
    /// CustomResourceDefinition of MachineSets
    #[value(alias = "MachineSetCRD")]
    MachineSetCrd,
}

/// Print the resource graph of the install-config.
///
/// Makes AWS calls only for lookups that the state does not have yet. Writes nothing.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan graph --format dot | dot -Tsvg > cluster.svg",
    &[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Stopped, Exit::Usage],
))]
pub struct GraphArgs {
    /// Output format.
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
    pub format: GraphFormat,
    /// Desired state.
    #[command(flatten)]
    pub wanted: DesiredStateArgs,
}

/// Format of a printed graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Graphviz
    Dot,
    /// Mermaid, which Markdown viewers draw
    Mermaid,
}
