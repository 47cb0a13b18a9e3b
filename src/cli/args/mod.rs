//! Command line: [`CliArguments`] and [`Command`]. The arguments of the commands are in the modules; doc
//! comments of commands and options are their help texts.

mod common;
mod completions;
mod config;
mod destroying;
mod documents;
mod explain;
mod help;
mod imds;
mod installation;
mod machines;
mod planning;
mod policy;
mod project;
mod state;
mod tips;

use std::ffi::OsString;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use self::common::*;
pub use self::completions::*;
pub use self::config::*;
pub use self::destroying::*;
pub use self::documents::*;
pub use self::explain::*;
pub(crate) use self::help::command as definition;
pub use self::imds::*;
pub use self::installation::*;
pub use self::machines::*;
pub use self::planning::*;
pub use self::policy::*;
pub use self::project::{ProjectFile, SettingSource};
pub use self::state::*;
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
            parsed.ensure_plan_of_destroy()?;
            Ok(parsed.with_format())
        });
        parsed.map_err(|error| tips::with_place(tips::without_misleading_ones(error, line), line))
    }

    /// Rejects the options that select the cluster of a destroy, for a plan of changes.
    fn ensure_plan_of_destroy(&self) -> Result<(), clap::Error> {
        let Command::Plan(plan) = &self.command else { return Ok(()) };
        let Some(option) = plan.cluster.given().filter(|_| !plan.destroy) else { return Ok(()) };
        let message = format!(
            "{option} of `plan` requires --destroy\n\n  tip: a plan of changes has the cluster of the \
             install-config; pass its path with --config\n"
        );
        Err(clap::Error::raw(ErrorKind::MissingRequiredArgument, message))
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
    Imds(ImdsArgs),
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
    /// Returns true if the command shows plans.
    pub(super) fn shows_plans(&self) -> bool {
        let is_saved = matches!(self, Command::Show(ShowArgs { plan: Some(_), .. }));
        is_saved || self.guards().is_some()
    }

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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use groundplan_engine::state::location::StateLocation;

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
    fn a_plan_of_a_destroy_selects_its_cluster_as_a_destroy_does() {
        let options =
            ["--cluster demo", "--infra-id demo-x7k2p --region us-west-2", "--metadata m.json"];
        for options in options {
            let destroy = format!("groundplan destroy {options}");
            let plan = format!("groundplan plan --destroy {options}");
            for line in [destroy, plan] {
                assert!(CliArguments::parse_line(line.split(' ')).is_ok(), "{line}");
            }
            let line = format!("groundplan plan {options}");
            let error = CliArguments::parse_line(line.split(' ')).unwrap_err();
            let option = options.split(' ').next().unwrap();
            let expected = format!("error: {option} of `plan` requires --destroy");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
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
