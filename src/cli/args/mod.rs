//! Command line: shared options, and the commands for clusters. Commands for a state alone are in `state`,
//! commands for machines in `machines`. Doc comments of commands and options are their help texts.

mod completions;
mod config;
mod explain;
mod help;
mod installation;
mod machines;
mod policy;
mod project;
mod state;
mod tips;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub use self::completions::*;
pub use self::config::*;
pub use self::explain::*;
pub(crate) use self::help::command as definition;
pub use self::installation::*;
pub use self::machines::*;
pub use self::policy::*;
pub use self::project::{ProjectFile, SettingSource};
pub use self::state::*;
use groundplan_engine::plan::guard::Expectation;
use groundplan_engine::state::location::StateLocation;
use groundplan_engine::state::remote::SHORTEST_LEASE;
use groundplan_openshift::release::Release;

use crate::cli::exit_code::Exit;

const ABOUT: &str = "\
Provisions the AWS infrastructure of an OpenShift cluster from its install-config.yaml. Every machine \
gets the instance metadata options (IMDSv2) that the install-config sets.

`plan` previews the changes, `apply` makes them, `destroy` deletes the infrastructure. A state records \
every resource, so that an interrupted run continues where it stopped.

Credentials, profiles, regions and endpoints work as in the AWS CLI: AWS_PROFILE, AWS_ACCESS_KEY_ID, \
AWS_REGION, AWS_ENDPOINT_URL and others.";

const EXAMPLES: &str = "\
groundplan validate
groundplan plan
groundplan apply --assets assets
groundplan destroy";

/// Provision the AWS infrastructure of an OpenShift cluster.
#[derive(Debug, Parser)]
#[command(name = "groundplan", version, long_about = ABOUT)]
#[command(after_long_help = help::after(EXAMPLES, &Exit::ALL))]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
pub struct CliArguments {
    /// Command to run.
    #[command(subcommand)]
    pub command: Command,
    /// Options that several commands share.
    #[command(flatten)]
    pub common: CommonArgs,
}

impl CliArguments {
    /// Parses a command line; `line` begins with the name of the program.
    ///
    /// # Errors
    ///
    /// The command line is invalid, or requests help or the version. The error prints itself.
    pub fn parse_line<T: Into<OsString> + Clone>(
        line: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        let line: Vec<OsString> = line.into_iter().map(Into::into).collect();
        match ProjectFile::of_process() {
            Ok(file) => Self::parse_line_in(line, &file),
            Err(error) => Self::despite(error, &line),
        }
    }

    /// Parses a command line with the settings of a project file.
    fn parse_line_in<T: Into<OsString> + Clone>(
        line: impl IntoIterator<Item = T>,
        file: &ProjectFile,
    ) -> Result<Self, clap::Error> {
        let line: Vec<OsString> = line.into_iter().map(Into::into).collect();
        match file.add_defaults(CliArguments::command()) {
            Ok(command) => Self::parse_with(help::for_every_command(command), &line, file),
            Err(error) => Self::despite(error, &line),
        }
    }

    /// Parses a command line without a project file that has an error. The error matters only to
    /// commands with settings.
    fn despite(error: clap::Error, line: &[OsString]) -> Result<Self, clap::Error> {
        let parsed = Self::parse_with(help::command(), line, &ProjectFile::default())?;
        match parsed.command.has_settings() {
            true => Err(error),
            false => Ok(parsed),
        }
    }

    fn parse_with(
        command: clap::Command,
        line: &[OsString],
        file: &ProjectFile,
    ) -> Result<Self, clap::Error> {
        let parsed = command.try_get_matches_from(line).and_then(|mut matches| {
            let sources = file.sources(&matches);
            let mut parsed = Self::from_arg_matches_mut(&mut matches)?;
            parsed.common.sources = sources;
            Ok(parsed.with_format())
        });
        parsed.map_err(|error| tips::without_misleading_ones(error, line))
    }

    /// Returns the arguments with `--json` for the format `json`.
    fn with_format(mut self) -> Self {
        self.common.json |= self.command.format() == PlanFormat::Json;
        self
    }

    /// Returns the files that the command is to write, as given.
    pub(super) fn output_files(&self) -> impl Iterator<Item = &Path> {
        let events = self.common.json_into.as_deref();
        self.command.saved_plan().into_iter().chain(events)
    }

    /// Returns the number of inputs that are to come from standard input.
    pub(super) fn standard_inputs(&self) -> usize {
        let named: Vec<&Path> = match &self.command {
            Command::Apply(ApplyArgs { plan, .. }) => plan.as_deref().into_iter().collect(),
            Command::State(StateArgs { command: StateCommand::Push(push) }) => vec![&push.file],
            _ => Vec::new(),
        };
        let inputs = named.into_iter().chain([self.common.config.as_path()]);
        inputs.filter(|path| *path == Path::new("-")).count()
    }
}

impl CommonArgs {
    /// Returns the options that select the input files and the state, as the user must repeat them
    /// in the next command: ` --state elsewhere --assets assets`. Defaults, and values of the environment
    /// or of a project file, are left out.
    pub fn repeated(&self) -> String {
        let state = PathBuf::from(self.state.to_string());
        let release = self.release.map(|release| PathBuf::from(release.to_string()));
        let selecting = [
            ("config", Some(&self.config)),
            ("assets", self.assets.as_ref()),
            ("rhcos-stream", self.rhcos_stream.as_ref()),
            ("release", release.as_ref()),
            ("state", Some(&state)),
        ];
        let given = selecting
            .into_iter()
            .filter(|(name, _)| self.sources.get(name) == Some(&SettingSource::CommandLine));
        given.filter_map(|(name, path)| Some(format!(" --{name} {}", quoted(path?)))).collect()
    }
}

/// Returns a path as one word of a shell.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@+,".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Options that several commands share. The help of a command has those that it uses: see `help`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Shared options")]
pub struct CommonArgs {
    /// Path of the install-config; `-` is standard input.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "install-config.yaml",
        env = "GROUNDPLAN_CONFIG",
        hide_env = true
    )]
    pub config: PathBuf,
    /// State location: a folder, or s3://bucket/prefix.
    ///
    /// The folder or prefix has one folder for each cluster. The environment variable is
    /// GROUNDPLAN_STATE.
    #[arg(
        long,
        alias = "state-dir",
        global = true,
        value_name = "LOCATION",
        default_value = "state",
        env = "GROUNDPLAN_STATE",
        hide_env = true
    )]
    pub state: StateLocation,
    /// Maximum wait for the state lock, such as 90s or 5m [default: no wait].
    ///
    /// Without it a command ends with exit code 4 if another run has the lock. `plan` takes no lock: it
    /// waits this long for the end of another run, and then plans with a warning.
    #[arg(long, global = true, value_name = "DURATION", default_value = "0", hide_default_value = true,
          hide_short_help = true, env = "GROUNDPLAN_LOCK_TIMEOUT", hide_env = true, value_parser = duration)]
    pub lock_timeout: Duration,
    /// Lease of the lock of a state in S3, 4s to 1h.
    ///
    /// Another run may take the lock over after this time without renewal.
    #[arg(long, global = true, value_name = "DURATION", default_value = "60s", hide_short_help = true,
          env = "GROUNDPLAN_LEASE", hide_env = true, value_parser = lease)]
    pub lease: Duration,
    /// KMS key that encrypts a state in S3: ARN, ID or alias.
    ///
    /// Default: the keys of S3 (SSE-S3). The environment variable is GROUNDPLAN_STATE_KMS_KEY.
    #[arg(
        long,
        global = true,
        value_name = "KEY",
        env = "GROUNDPLAN_STATE_KMS_KEY",
        hide_env = true,
        hide_short_help = true
    )]
    pub state_kms_key: Option<String>,
    /// Folder with the Ignition files and metadata.json.
    ///
    /// `openshift-install create ignition-configs` writes bootstrap.ign, master.ign, worker.ign and
    /// metadata.json. A new cluster needs all of them: without this option machines boot, but they do
    /// not form a cluster. Later runs compare machines with recorded digests and need a file only to
    /// create a machine.
    #[arg(long, global = true, value_name = "DIR", env = "GROUNDPLAN_ASSETS", hide_env = true)]
    pub assets: Option<PathBuf>,
    /// RHCOS stream file that selects the boot image.
    ///
    /// `openshift-install coreos print-stream-json` prints it. Used if the install-config has no amiID.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        hide_short_help = true,
        env = "GROUNDPLAN_RHCOS_STREAM",
        hide_env = true
    )]
    pub rhcos_stream: Option<PathBuf>,
    /// OpenShift release of the cluster, such as 4.20 [default: any supported one].
    ///
    /// Selects the rules and fields of that openshift-install for the validation of the install-config.
    /// Without it, a setting that any supported release accepts is accepted, and a warning names those
    /// that reject it. The environment variable is GROUNDPLAN_RELEASE.
    #[arg(
        long,
        global = true,
        value_name = "RELEASE",
        hide_short_help = true,
        env = "GROUNDPLAN_RELEASE",
        hide_env = true
    )]
    pub release: Option<Release>,
    /// Maximum number of concurrent AWS calls, 1 to 1000.
    ///
    /// Waiting until a resource is ready does not count.
    #[arg(long, global = true, value_name = "N", default_value_t = 32, hide_short_help = true,
          env = "GROUNDPLAN_PARALLELISM", hide_env = true,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub parallelism: u16,
    /// Skip the interactive approval.
    #[arg(long, global = true)]
    pub auto_approve: bool,
    /// Accept a plan that the installed cluster NAME does not survive.
    ///
    /// Such a plan shows DANGER, and its prompt asks for the name of the cluster; --auto-approve alone
    /// ends with exit code 7. The name must be that of the plan's cluster. `destroy` needs this option
    /// neither with --auto-approve nor for a saved plan.
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub accept_danger: Option<String>,
    /// Print JSON, one object per line, instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// Write the lines of --json to a file as well.
    ///
    /// An earlier event file is replaced, and only its owner can read it. `-` is standard output; text
    /// then goes to standard error. A file that groundplan did not write is not overwritten.
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true, value_parser = file)]
    pub json_into: Option<PathBuf>,
    /// Print without colours.
    ///
    /// The environment variable NO_COLOR has the same effect. Output to a pipe has no colours.
    #[arg(long, global = true, hide_short_help = true)]
    pub no_color: bool,
    /// Print the number of AWS calls by action at the end.
    ///
    /// The table goes to standard error.
    #[arg(short, long, global = true, hide_short_help = true)]
    pub verbose: bool,
    /// Origins of the settings, by name.
    #[arg(skip)]
    pub sources: BTreeMap<&'static str, SettingSource>,
}

/// Command to run.
#[expect(missing_docs, reason = "the documentation of a variant's arguments is its help")]
#[derive(Debug, Subcommand)]
pub enum Command {
    Validate(ValidateArgs),
    Plan(PlanArgs),
    Apply(ApplyArgs),
    Destroy(DestroyArgs),
    Bootstrap(BootstrapArgs),
    Show(ShowArgs),
    Output(OutputArgs),
    #[cfg(feature = "kubernetes")]
    WaitFor(WaitForArgs),
    Gather(GatherArgs),
    Graph(GraphArgs),
    Schema(SchemaArgs),
    Policy(PolicyArgs),
    Clusters(ClustersArgs),
    Config(ConfigArgs),
    Explain(ExplainArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
    Manifests(ManifestsArgs),
    Machines(MachinesArgs),
    State(StateArgs),
    Protect(ProtectArgs),
    Unprotect(UnprotectArgs),
    Recover(RecoverArgs),
    Unlock(UnlockArgs),
    #[cfg(feature = "kubernetes")]
    TerminationHandler(TerminationHandlerArgs),
    #[cfg(feature = "kubernetes")]
    MachineController(MachineControllerArgs),
}

impl Command {
    /// Returns the conditions that the plans of the command must meet.
    pub(super) fn guards(&self) -> Option<&GuardArgs> {
        match self {
            Command::Plan(plan) => Some(&plan.how.guards),
            Command::Apply(apply) => Some(&apply.how.guards),
            Command::Destroy(destroy) => Some(&destroy.guards),
            Command::Bootstrap(BootstrapArgs { command: BootstrapCommand::Destroy(destroy) }) => {
                Some(&destroy.guards)
            }
            Command::Machines(machines) => match &machines.command {
                MachinesCommand::Plan(plan) => Some(&plan.how.guards),
                MachinesCommand::Apply(apply) => Some(&apply.how.guards),
                MachinesCommand::Destroy(destroy) => Some(&destroy.guards),
                MachinesCommand::Recover(_) => None,
            },
            _ => None,
        }
    }

    /// Returns true if the command uses options that a project file can set.
    fn has_settings(&self) -> bool {
        let is_general = matches!(
            self,
            Command::Schema(_) | Command::Completions(_) | Command::Man(_) | Command::Explain(_)
        );
        !is_general && !self.runs_in_a_cluster()
    }

    fn runs_in_a_cluster(&self) -> bool {
        match self {
            #[cfg(feature = "kubernetes")]
            Command::TerminationHandler(_) | Command::MachineController(_) => true,
            _ => false,
        }
    }

    /// Returns true if standard output is for one document.
    pub(super) fn prints_a_document(&self) -> bool {
        use StateCommand::{Pull, Show};
        match self {
            Command::Show(_)
            | Command::Output(_)
            | Command::Gather(_)
            | Command::Completions(_)
            | Command::Explain(_)
            | Command::Graph(_)
            | Command::Schema(_)
            | Command::Policy(_) => true,
            Command::State(state) => matches!(state.command, Show(_) | Pull(_)),
            _ => false,
        }
    }

    /// Returns the format of the plan that the command prints.
    pub(super) fn format(&self) -> PlanFormat {
        match self {
            Command::Plan(plan) => plan.how.format,
            Command::Show(show) => show.format,
            Command::Machines(machines) => match &machines.command {
                MachinesCommand::Plan(plan) => plan.how.format,
                _ => PlanFormat::Text,
            },
            _ => PlanFormat::Text,
        }
    }

    /// Returns the file to save a plan to, as given.
    fn saved_plan(&self) -> Option<&Path> {
        match self {
            Command::Plan(plan) => plan.how.out.as_deref(),
            Command::Destroy(destroy) => destroy.out.as_deref(),
            Command::Machines(machines) => match &machines.command {
                MachinesCommand::Plan(plan) => plan.how.out.as_deref(),
                _ => None,
            },
            _ => None,
        }
    }
}

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
groundplan plan --detailed-exitcode    # exit code 2 if there are changes or drift
groundplan plan --refresh-only         # drift only
groundplan plan --destroy --out destroy.plan && groundplan apply destroy.plan
groundplan plan --target instance.master-0 --expect '+0 ~1 -0'",
    &[Exit::Done, Exit::Failed, Exit::Changes, Exit::ConfigInvalid, Exit::Locked, Exit::Stopped,
      Exit::Refused, Exit::Usage],
))]
pub struct PlanArgs {
    /// Show what `destroy` would delete.
    ///
    /// With --out, `apply` destroys exactly that.
    #[arg(long, conflicts_with_all = ["no_bootstrap", "bootstrap", "refresh", "refresh_only", "replace", "revert_drift", "full"])]
    pub destroy: bool,
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
groundplan apply --bootstrap --assets assets       # add the bootstrap again after its removal",
    &Exit::ALL,
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

/// Exit codes of a command that reads a state.
const READING: &[Exit] = &[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Usage];

/// Exit codes of a command that changes a state.
const WRITING: &[Exit] = &[
    Exit::Done,
    Exit::Failed,
    Exit::ConfigInvalid,
    Exit::Locked,
    Exit::Stopped,
    Exit::Refused,
    Exit::Usage,
];

/// Cluster that a command is about.
#[derive(Clone, Debug, Args)]
pub struct ClusterArg {
    /// Name of the cluster, instead of an install-config.
    #[arg(long, value_name = "NAME", value_parser = cluster)]
    pub cluster: Option<String>,
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

/// Parses an infra ID: a name and five characters.
pub(super) fn infra_id(text: &str) -> Result<String, String> {
    match groundplan_openshift::topology::name_in(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("expected an infra ID such as `demo-x7k2p`, as in metadata.json and in the \
             cluster tag"
            .to_owned()),
    }
}

/// Parses the name of a cluster (`metadata.name`), which is also the name of its folder.
pub(super) fn cluster(text: &str) -> Result<String, String> {
    let fits = |one: char| one.is_ascii_alphanumeric() || one == '-' || one == '.';
    let edge = |one: char| one.is_ascii_alphanumeric();
    if text.starts_with(edge) && text.ends_with(edge) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("expected the name of a cluster (`metadata.name` of the install-config); pass the folder \
         or bucket with --state"
        .to_owned())
}

/// Parses the name of an output file.
fn file(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("expected the name of a file, or `-` for standard output".to_owned()),
        name => Ok(name.into()),
    }
}

/// Parses a duration such as `90s`, `5m` or `1h30m`; `0` needs no unit.
fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| "expected a number with a unit, such as `90s` or `5m`".to_owned())
}

/// Parses a lease. Below [`SHORTEST_LEASE`] a slow response of S3 would end a lease.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = duration(text)?;
    if (SHORTEST_LEASE..=LONGEST_LEASE).contains(&lease) {
        return Ok(lease);
    }
    let (shortest, longest) = (SHORTEST_LEASE.as_secs(), LONGEST_LEASE.as_secs());
    Err(format!("expected between {shortest}s and {longest}s"))
}

/// Longest lease: the longest wait for the lock of a run that died.
const LONGEST_LEASE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        help::command().debug_assert();
    }

    #[test]
    fn options_of_every_command_may_stand_before_and_after_it() {
        for line in ["groundplan --json plan", "groundplan plan --json"] {
            let parsed = CliArguments::parse_line(line.split(' ')).unwrap();
            assert!(parsed.common.json);
        }
    }

    #[test]
    fn the_format_json_is_the_flag_json_and_not_another_format_beside_it() {
        let parsed = |line: &str| CliArguments::parse_line(line.split(' '));
        for line in [
            "groundplan plan --format json",
            "groundplan show a.plan --format json",
            "groundplan machines plan --manifests m --format json",
        ] {
            assert!(parsed(line).unwrap().common.json, "{line}");
        }
        let comment = parsed("groundplan plan --format markdown").unwrap();
        assert_eq!((comment.command.format(), comment.common.json), (PlanFormat::Markdown, false));
        for line in
            ["groundplan plan --json --format markdown", "groundplan show --format markdown"]
        {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn defaults_are_as_documented() {
        let parsed = CliArguments::parse_line(["groundplan", "plan"]).unwrap();
        let Command::Plan(plan) = parsed.command else { panic!("not a plan") };
        assert!(plan.how.refresh && !plan.how.full && !plan.how.detailed_exitcode);
        assert_eq!((plan.how.format, parsed.common.json), (PlanFormat::Text, false));
        assert_eq!(parsed.common.config, PathBuf::from("install-config.yaml"));
        assert_eq!(parsed.common.state, StateLocation::Folder("state".into()));
        assert_eq!(parsed.common.lock_timeout, Duration::ZERO);
        assert_eq!(parsed.common.parallelism, 32);
    }

    #[test]
    fn a_home_is_named_by_its_old_name_too() {
        for flag in ["--state", "--state-dir"] {
            let line = ["groundplan", "plan", flag, "elsewhere"];
            let parsed = CliArguments::parse_line(line).unwrap();
            assert_eq!(parsed.common.state, StateLocation::Folder("elsewhere".into()));
        }
        let wrong = ["groundplan", "plan", "--state", "gs://bucket"];
        let message = CliArguments::parse_line(wrong).unwrap_err().to_string();
        assert!(message.contains("unknown scheme gs://"), "{message}");
    }

    #[test]
    fn an_output_goes_into_a_file_that_has_a_name() {
        for option in ["--json-into", "--out"] {
            let message = CliArguments::parse_line(["groundplan", "plan", option, ""]);
            let message = message.unwrap_err().to_string();
            assert!(message.contains("expected the name of a file"), "{message}");
            let line = CliArguments::parse_line(["groundplan", "plan", option, "-"]).unwrap();
            assert_eq!(line.output_files().collect::<Vec<_>>(), [Path::new("-")]);
        }
    }

    #[test]
    fn a_cluster_is_named_and_no_path() {
        for wrong in ["", ".", "..", "../x", "a/b", "-a", "a.", "a b", "a\nb"] {
            let line = ["groundplan", "show", "--cluster", wrong];
            let message = CliArguments::parse_line(line).unwrap_err().to_string();
            assert!(message.contains("`metadata.name`") || wrong == "-a", "{message}");
        }
        let line = ["groundplan", "state", "list", "--cluster", "prod-2.eu"];
        assert!(CliArguments::parse_line(line).is_ok());
    }

    #[test]
    fn inputs_from_standard_input_are_counted() {
        for (line, count) in [
            ("plan", 0),
            ("plan --config -", 1),
            ("apply -", 1),
            ("apply - --config -", 2),
            ("state push - --config -", 2),
            ("state push state.json --config -", 1),
        ] {
            let words = ["groundplan"].into_iter().chain(line.split(' '));
            assert_eq!(CliArguments::parse_line(words).unwrap().standard_inputs(), count, "{line}");
        }
    }

    #[test]
    fn every_command_that_changes_aws_takes_the_maximum_wait() {
        let destroy = "machines destroy --cluster demo-x7k2p";
        for command in ["apply", "destroy", "machines apply --manifests m.yaml", destroy] {
            let line = format!("groundplan {command} --wait-timeout 30m");
            assert!(CliArguments::parse_line(line.split(' ')).is_ok(), "{line}");
        }
        let line = ["groundplan", "apply", "--wait-timeout", "2h"];
        let Command::Apply(apply) = CliArguments::parse_line(line).unwrap().command else {
            panic!("not an apply")
        };
        assert_eq!(apply.how.waits.wait_timeout, Some(Duration::from_secs(7200)));
    }

    #[test]
    fn a_duration_has_a_unit() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs());
        assert_eq!(["0", "90s", "5m", "1h30m"].map(seconds), [Ok(0), Ok(90), Ok(300), Ok(5400)]);
        for wrong in ["", "30", "-5m", "soon", "5 parsecs"] {
            assert!(duration(wrong).unwrap_err().contains("`90s`"), "{wrong}");
        }
    }

    #[test]
    fn the_next_command_repeats_what_selects_files_and_state() {
        let line = ["groundplan", "plan", "--assets", "my assets", "--state", "s3://bucket/p"];
        let parsed = CliArguments::parse_line(line).unwrap();
        assert_eq!(parsed.common.repeated(), " --assets 'my assets' --state s3://bucket/p");
        let parsed = CliArguments::parse_line(["groundplan", "plan"]).unwrap();
        assert_eq!(parsed.common.repeated(), "");
    }
}
