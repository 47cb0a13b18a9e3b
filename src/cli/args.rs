//! The arguments as they are typed: what all commands share, and those that look at a config or a plan.
//! What is about the state alone is in `state`, what is about machines in a cluster in `machines`.

mod machines;
mod state;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::machines::*;
pub use self::state::*;
use super::exit::Exit;
use crate::plan::guard::Expectation;
use crate::state::location::Place;
use crate::state::remote::SHORTEST_LEASE;

const ABOUT: &str = "\
Turns an OpenShift install-config.yaml into AWS infrastructure whose machines carry the metadata \
options (IMDSv2) that the config asks for.

`plan` shows what would be done and why, `apply` does it, `destroy` takes it all down again. What \
exists is recorded in a state, in a folder beside you unless `--state` names another home, so a run \
that was cut off goes on where it was.

Credentials, profiles, regions and endpoints work as in every AWS tool: AWS_PROFILE, \
AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and the rest.";

const EXAMPLES: &str = "\
Examples:
  groundplan validate
  groundplan plan
  groundplan apply
  groundplan destroy";

/// Plans, applies and destroys the AWS infrastructure of an OpenShift cluster.
#[derive(Debug, Parser)]
#[command(name = "groundplan", version, about, long_about = ABOUT)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", Exit::table()))]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What all commands share.
    #[command(flatten)]
    pub common: Common,
}

/// What all commands share.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Common {
    /// The install-config.
    #[arg(long, global = true, value_name = "FILE", default_value = "install-config.yaml")]
    pub config: PathBuf,
    /// The home of the states of clusters: a folder, with a folder for each of them, or
    /// `s3://bucket/prefix`.
    #[arg(
        long,
        alias = "state-dir",
        global = true,
        value_name = "HOME",
        default_value = "state",
        env = "GROUNDPLAN_STATE"
    )]
    pub state: Place,
    /// How long to wait for another run that works on the same cluster: `90s`, `5m`. Without it the
    /// command ends at once, saying who that is.
    #[arg(long, global = true, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = duration)]
    pub lock_timeout: Duration,
    /// How long a run that works on a state in S3 may be silent before others take its lock over.
    #[arg(long, global = true, value_name = "DURATION", default_value = "60s", value_parser = lease)]
    pub lease: Duration,
    /// The key of AWS KMS that encrypts a state in S3: its ARN, id or alias. Without it S3's own
    /// keys do.
    #[arg(
        long,
        global = true,
        value_name = "KEY",
        env = "GROUNDPLAN_STATE_KMS_KEY",
        hide_env = true
    )]
    pub state_kms_key: Option<String>,
    /// What `openshift-install create ignition-configs` wrote: bootstrap.ign, master.ign,
    /// worker.ign and metadata.json. Without it machines boot, but no cluster forms.
    #[arg(long, global = true, value_name = "DIR")]
    pub assets: Option<PathBuf>,
    /// The RHCOS stream (`openshift-install coreos print-stream-json`) that says which image to
    /// boot when the install-config names none.
    #[arg(long, global = true, value_name = "FILE")]
    pub rhcos_stream: Option<PathBuf>,
    /// How many calls may be in flight at once. Waiting for something to become ready is none.
    #[arg(long, global = true, value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub parallelism: u16,
    /// Goes ahead without asking.
    #[arg(long, global = true)]
    pub auto_approve: bool,
    /// Writes one JSON object per line to standard output instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// Writes the lines of --json into a file besides, whatever is shown. What the file had is
    /// forgotten; only its owner reads it.
    #[arg(long, global = true, value_name = "FILE", value_parser = file)]
    pub json_into: Option<PathBuf>,
    /// No colours. NO_COLOR does the same, and so does a pipe.
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Ends with the number of AWS calls by action, on standard error.
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// What to do.
#[expect(missing_docs, reason = "what is said of a variant's arguments is its help")]
#[derive(Debug, Subcommand)]
pub enum Command {
    Validate(Validate),
    Plan(Plan),
    Apply(Apply),
    Destroy(Destroy),
    Show(Show),
    Graph(Graph),
    Schema(Schema),
    Manifests(Manifests),
    Machines(Machines),
    State(State),
    Protect(Protect),
    Unprotect(Unprotect),
    Recover(Recover),
    Unlock(Unlock),
    #[cfg(feature = "kubernetes")]
    TerminationHandler(TerminationHandler),
    #[cfg(feature = "kubernetes")]
    MachineController(MachineController),
}

impl Command {
    /// Whether standard output is for one document.
    pub(super) fn prints_a_document(&self) -> bool {
        use StateCommand::{Pull, Show};
        match self {
            Command::Show(_) | Command::Graph(_) | Command::Schema(_) => true,
            Command::State(state) => matches!(state.command, Show(_) | Pull(_)),
            _ => false,
        }
    }
}

/// Checks the install-config, and asks nobody.
///
/// Every finding is reported at once, with file, line and column, what was expected, and what to
/// type instead. Assets and the RHCOS stream are read too where they are given. No call is made
/// and nothing is written.
///
/// Example:
///   groundplan validate --config clusters/prod/install-config.yaml
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Usage]))]
pub struct Validate {}

/// Shows what an apply would do, and why.
///
/// One line per change with Terraform's symbols, its reason, and for changes in place what changes.
/// What somebody else changed since the last run is shown apart. Asks AWS, changes nothing there.
/// The first plan chooses the cluster's infra ID and keeps it in the state.
///
/// Examples:
///   groundplan plan
///   groundplan plan --out cluster.plan && groundplan apply cluster.plan
///   groundplan plan --detailed-exitcode   # in a pipeline: 2 means that there are changes
///   groundplan plan --refresh-only        # what did somebody else change?
///   groundplan plan --target instance.master-0 --expect '+0 ~1 -0'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&[Exit::Done, Exit::Failed, Exit::Changes, Exit::ConfigInvalid, Exit::Locked, Exit::Stopped, Exit::Refused, Exit::Usage]))]
pub struct Plan {
    /// What is wanted.
    #[command(flatten)]
    pub wanted: Wanted,
    /// How it is planned.
    #[command(flatten)]
    pub how: Planning,
}

/// How something is planned, whatever says what is wanted.
#[derive(Debug, Args)]
pub struct Planning {
    /// Saves the plan, for `apply` to do exactly this. It holds no secret.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exits with 2 when there are changes; with --refresh-only, when somebody else changed
    /// something.
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Shows every attribute of what is created.
    #[arg(long)]
    pub full: bool,
    /// Whether to look at AWS first; without, what is recorded is taken to be true.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub refresh: bool,
    /// Shows only what somebody else changed since the last run, and what it matters. Every plan and
    /// every apply looks, so nothing has to be written down for it.
    #[arg(long, conflicts_with_all = ["out", "full", "refresh", "replace", "target", "exclude", "max_destroy", "expect"])]
    pub refresh_only: bool,
    /// Finds out, too, whether every call of the plan is allowed and the quotas suffice.
    #[arg(long, conflicts_with = "refresh_only")]
    pub preflight: bool,
    /// What is to be made anew.
    #[command(flatten)]
    pub renewal: Renewal,
    /// Which part of it.
    #[command(flatten)]
    pub part: Part,
    /// What is expected of it.
    #[command(flatten)]
    pub guards: Guards,
}

/// Makes AWS what the install-config says.
///
/// Shows the plan and asks; only `yes` goes ahead. With a saved plan it does exactly that, or
/// refuses because something has moved on since. A failure skips only what needed what failed.
/// After a failure, a signal or a crash, run it again: it goes on where it was.
///
/// The first Ctrl-C starts nothing new and waits a few seconds for the calls in flight; the second
/// ends at once. Both leave a state from which the next run goes on.
///
/// Examples:
///   groundplan apply
///   groundplan apply --assets assets --auto-approve
///   groundplan apply cluster.plan
///   groundplan apply --no-bootstrap   # after the installation
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&Exit::ALL))]
pub struct Apply {
    /// A plan saved with `plan --out`.
    #[arg(value_name = "PLAN", conflicts_with_all = ["full", "no_bootstrap", "replace", "target", "exclude"])]
    pub plan: Option<PathBuf>,
    /// What is wanted.
    #[command(flatten)]
    pub wanted: Wanted,
    /// How it is applied.
    #[command(flatten)]
    pub how: Applying,
}

/// How something is applied, whatever says what is wanted.
#[derive(Debug, Args)]
pub struct Applying {
    /// Shows every attribute of what is created.
    #[arg(long)]
    pub full: bool,
    /// Whether to find out first that every call of the plan is allowed and the quotas suffice.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub preflight: bool,
    /// What is to be made anew.
    #[command(flatten)]
    pub renewal: Renewal,
    /// Which part of it.
    #[command(flatten)]
    pub part: Part,
    /// What is expected of it.
    #[command(flatten)]
    pub guards: Guards,
}

/// What is to be made anew although nothing demands it.
#[derive(Clone, Debug, Default, Args)]
pub struct Renewal {
    /// Makes this resource anew: with a new image or user data, for one, which by themselves replace
    /// nothing that runs. May be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub replace: Vec<String>,
}

/// Which part of all that differs is meant.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "A part of the plan")]
pub struct Part {
    /// Only this and what it cannot go without: an address, a kind, or either with `*`. May be given
    /// several times. The plan says what came along and what was left out.
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// Not this, and nothing that needs a change of it. May be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub exclude: Vec<String>,
}

/// What is expected of a plan; another one is refused before anything is done.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Guards")]
pub struct Guards {
    /// Ends with 7 when more resources would be destroyed, replaced ones included.
    #[arg(long, value_name = "N")]
    pub max_destroy: Option<usize>,
    /// Ends with 7 when other numbers of resources would be touched: `+12 ~0 -0`. What is not said may
    /// be any.
    #[arg(long, value_name = "COUNTS", allow_hyphen_values = true)]
    pub expect: Option<Expectation>,
}

/// What is wanted besides what the install-config says.
#[derive(Clone, Copy, Debug, Args)]
pub struct Wanted {
    /// Leaves out the bootstrap machine and what only it needs: for after the installation.
    #[arg(long)]
    pub no_bootstrap: bool,
}

/// Deletes everything that is recorded and everything that the cluster made for itself, and shows that
/// nothing is left.
///
/// What is not recorded is found by the cluster's tag: workers, load balancers of its Services, volumes of
/// its claims (with what is stored in them), the registry's bucket, operators' users and records. The
/// plan has it as `swept.…`; `--exclude swept` leaves it. What carries another cluster's tag, too, is
/// refused. What is protected stands in its way: see `protect`.
///
/// Needs no install-config when the state knows the cluster: name it. Needs no state, either: with
/// --metadata or --infra-id everything that carries the tag goes, whoever made the cluster.
///
/// Examples:
///   groundplan destroy
///   groundplan destroy --cluster demo --auto-approve
///   groundplan destroy --target instance.bootstrap
///   groundplan destroy --exclude 'swept.volume:*'
///   groundplan destroy --metadata cluster/metadata.json
///   groundplan destroy --infra-id demo-x7k2p --region us-west-2
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(WRITING))]
pub struct Destroy {
    /// The cluster's name, instead of an install-config.
    #[arg(long, value_name = "NAME", value_parser = cluster)]
    pub cluster: Option<String>,
    /// The infra ID of a cluster of which nothing is recorded.
    #[arg(long, value_name = "INFRA-ID", value_parser = infra_id, conflicts_with = "cluster")]
    pub infra_id: Option<String>,
    /// The region of the cluster that --infra-id names.
    #[arg(long, value_name = "REGION", env = "AWS_REGION", hide_env_values = true)]
    pub region: Option<String>,
    /// The metadata.json of a cluster of which nothing is recorded.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cluster", "infra_id"])]
    pub metadata: Option<PathBuf>,
    /// Whether to find out first that every call of the plan is allowed.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub preflight: bool,
    /// Which part of it.
    #[command(flatten)]
    pub part: Part,
    /// What is expected of it.
    #[command(flatten)]
    pub guards: Guards,
}

/// Shows what is recorded of a cluster, or a saved plan. Asks nobody.
///
/// Examples:
///   groundplan show
///   groundplan show --cluster demo --json
///   groundplan show cluster.plan --full
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Usage]))]
pub struct Show {
    /// A plan saved with `plan --out`.
    #[arg(value_name = "PLAN", conflicts_with = "cluster")]
    pub plan: Option<PathBuf>,
    /// The cluster's name, instead of an install-config.
    #[arg(long, value_name = "NAME", value_parser = cluster)]
    pub cluster: Option<String>,
    /// Shows every attribute of what the plan creates.
    #[arg(long)]
    pub full: bool,
}

/// How a command that reads a state ends.
const READING: &[Exit] = &[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Usage];

/// How a command that changes a state ends.
const WRITING: &[Exit] = &[
    Exit::Done,
    Exit::Failed,
    Exit::ConfigInvalid,
    Exit::Locked,
    Exit::Stopped,
    Exit::Refused,
    Exit::Usage,
];

/// Which cluster is meant.
#[derive(Clone, Debug, Args)]
pub struct Of {
    /// The cluster's name, instead of an install-config.
    #[arg(long, value_name = "NAME", value_parser = cluster)]
    pub cluster: Option<String>,
}

/// Prints the JSON Schema of the install-config, with which editors complete and check it.
///
/// It has the fields and the words that are read here, so write it again after an upgrade. With --of
/// it is that of a manifest of the Machine API, as machines on AWS have it, or (`-crd`) the
/// CustomResourceDefinition of one, for a cluster that has none.
///
/// Examples:
///   groundplan schema > install-config.schema.json
/// and as the first line of install-config.yaml:
///   # yaml-language-server: $schema=install-config.schema.json
///   groundplan schema --of machine-set > machine-set.schema.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&[Exit::Done, Exit::Failed, Exit::Usage]))]
pub struct Schema {
    /// What is described.
    #[arg(long, value_enum, ignore_case = true, value_name = "KIND",
          default_value_t = Described::InstallConfig)]
    pub of: Described,
}

/// What has a JSON Schema. Kinds may be spelt as in their manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Described {
    /// install-config.yaml
    #[value(alias = "InstallConfig")]
    InstallConfig,
    /// A Machine.
    Machine,
    /// A MachineSet.
    #[value(alias = "MachineSet")]
    MachineSet,
    /// A ControlPlaneMachineSet.
    #[value(alias = "ControlPlaneMachineSet")]
    ControlPlaneMachineSet,
    /// What a cluster is told of Machines, as YAML for `kubectl apply`.
    #[value(alias = "MachineCRD")]
    MachineCrd,
    /// What a cluster is told of MachineSets, as YAML for `kubectl apply`.
    #[value(alias = "MachineSetCRD")]
    MachineSetCrd,
}

/// Draws what the install-config asks for: each resource, and what it needs.
///
/// Asks AWS only what the state does not know yet, and writes nothing.
///
/// Example:
///   groundplan graph --format dot | dot -Tsvg > cluster.svg
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = codes(&[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Stopped, Exit::Usage]))]
pub struct Graph {
    /// In which language.
    #[arg(long, value_enum, default_value_t = Format::Dot)]
    pub format: Format,
    /// What is wanted.
    #[command(flatten)]
    pub wanted: Wanted,
}

/// A language of drawings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Graphviz.
    Dot,
    /// Mermaid, as Markdown pages draw it.
    Mermaid,
}

/// An infra ID: a name and five characters.
pub(super) fn infra_id(text: &str) -> Result<String, String> {
    match crate::topology::name_in(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("expected an infra ID, a name with a hyphen and five letters or digits, as \
                     metadata.json and the cluster's tags have it"
            .to_owned()),
    }
}

/// The name of a cluster (`metadata.name`), which is also that of its folder.
pub(super) fn cluster(text: &str) -> Result<String, String> {
    let fits = |one: char| one.is_ascii_alphanumeric() || one == '-' || one == '.';
    let edge = |one: char| one.is_ascii_alphanumeric();
    if text.starts_with(edge) && text.ends_with(edge) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("expected the name of a cluster, as `metadata.name` of its install-config has it; --state \
         names the folder or bucket that it is in"
        .to_owned())
}

/// A file that is written; standard output has a flag of its own.
fn file(text: &str) -> Result<PathBuf, String> {
    match text {
        "" | "-" => Err("expected the name of a file; --json writes to standard output".to_owned()),
        name => Ok(name.into()),
    }
}

/// `90s`, `5m`, `1h30m`; nothing is `0`.
fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| "expected a number with its unit, as in `90s` or `5m`".to_owned())
}

/// As [`duration`]; below [`SHORTEST_LEASE`] a slow answer would be taken for a death.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = duration(text)?;
    if (SHORTEST_LEASE..=LONGEST_LEASE).contains(&lease) {
        return Ok(lease);
    }
    let (shortest, longest) = (SHORTEST_LEASE.as_secs(), LONGEST_LEASE.as_secs());
    Err(format!("expected between {shortest}s and {longest}s"))
}

/// Whoever dies is waited for so long.
const LONGEST_LEASE: Duration = Duration::from_secs(3600);

fn codes(exits: &[Exit]) -> String {
    let lines = exits.iter().map(|exit| format!("  {:>2}  {}", exit.code(), exit.meaning()));
    format!("Exit codes:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_of_every_command_may_stand_before_and_after_it() {
        for line in ["groundplan --json plan", "groundplan plan --json"] {
            let parsed = Arguments::try_parse_from(line.split(' ')).unwrap();
            assert!(parsed.common.json);
        }
    }

    #[test]
    fn defaults_are_as_documented() {
        let parsed = Arguments::try_parse_from(["groundplan", "plan"]).unwrap();
        let Command::Plan(plan) = parsed.command else { panic!("not a plan") };
        assert!(plan.how.refresh && !plan.how.full && !plan.how.detailed_exitcode);
        assert_eq!(parsed.common.config, PathBuf::from("install-config.yaml"));
        assert_eq!(parsed.common.state, Place::Folder("state".into()));
        assert_eq!(parsed.common.lock_timeout, Duration::ZERO);
        assert_eq!(parsed.common.parallelism, 32);
    }

    #[test]
    fn a_home_is_named_by_its_old_name_too() {
        for flag in ["--state", "--state-dir"] {
            let line = ["groundplan", "plan", flag, "elsewhere"];
            let parsed = Arguments::try_parse_from(line).unwrap();
            assert_eq!(parsed.common.state, Place::Folder("elsewhere".into()));
        }
        let wrong = ["groundplan", "plan", "--state", "gs://bucket"];
        let message = Arguments::try_parse_from(wrong).unwrap_err().to_string();
        assert!(message.contains("nothing is known of gs://"), "{message}");
    }

    #[test]
    fn the_stream_goes_into_a_file_that_has_a_name() {
        for wrong in ["-", ""] {
            let line = ["groundplan", "plan", "--json-into", wrong];
            let message = Arguments::try_parse_from(line).unwrap_err().to_string();
            assert!(message.contains("--json writes to standard output"), "{message}");
        }
    }

    #[test]
    fn a_cluster_is_named_and_no_path() {
        for wrong in ["", ".", "..", "../x", "a/b", "-a", "a.", "a b", "a\nb"] {
            let line = ["groundplan", "show", "--cluster", wrong];
            let message = Arguments::try_parse_from(line).unwrap_err().to_string();
            assert!(message.contains("`metadata.name`") || wrong == "-a", "{message}");
        }
        let line = ["groundplan", "state", "list", "--cluster", "prod-2.eu"];
        assert!(Arguments::try_parse_from(line).is_ok());
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
    fn every_command_has_an_example_and_its_exit_codes() {
        let mut command = Arguments::command();
        command.build();
        assert_explained(&mut command);
    }

    fn assert_explained(command: &mut clap::Command) {
        for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
            let help = sub.render_long_help().to_string();
            assert!(help.contains("Example"), "{help}");
            assert!(help.contains("Exit codes:\n   0  done"), "{help}");
            assert_explained(sub);
        }
    }
}
