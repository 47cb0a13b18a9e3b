//! Options that several commands share, and the parsers of their values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use groundplan_engine::state::location::StateLocation;
use groundplan_engine::state::remote::SHORTEST_LEASE;
use groundplan_openshift::release::Release;

use super::SettingSource;
use crate::cli::exit_code::Exit;
use crate::prices::Prices;

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
    /// OpenShift release of the cluster, such as 4.20.
    ///
    /// Selects the resources of a new cluster, which are those of that openshift-install; default: the
    /// release of the assets, or else 4.22. A cluster keeps its resources. Selects the rules of the
    /// install-config, too: without it, a setting that any supported release accepts is accepted, and a
    /// warning names those that reject it. The environment variable is GROUNDPLAN_RELEASE.
    #[arg(
        long,
        global = true,
        value_name = "RELEASE",
        hide_short_help = true,
        env = "GROUNDPLAN_RELEASE",
        hide_env = true
    )]
    pub release: Option<Release>,
    /// Subnets of the machines of a new cluster.
    ///
    /// With `public`, the cluster has no private subnets and no NAT gateways, and all machines have public
    /// addresses. For tests: openshift-install does not support such clusters. A cluster keeps its subnets.
    /// Default: `private`, or `public` if OPENSHIFT_INSTALL_AWS_PUBLIC_ONLY is not empty, which
    /// openshift-install reads. The environment variable is GROUNDPLAN_MACHINE_SUBNETS.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "KIND",
        hide_short_help = true,
        env = "GROUNDPLAN_MACHINE_SUBNETS",
        hide_env = true
    )]
    pub machine_subnets: Option<MachineSubnets>,
    /// Prices for an estimate at the end of a plan: a TOML file.
    ///
    /// A plan counts what is billed after it. With prices, it adds the estimate for a month of 730 hours
    /// and names the items without a price. docs/prices.md has the keys. The environment variable is
    /// GROUNDPLAN_PRICES.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        hide_short_help = true,
        env = "GROUNDPLAN_PRICES",
        hide_env = true
    )]
    pub prices: Option<PathBuf>,
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
    /// Content of the file of `prices`, for commands that show plans.
    #[arg(skip)]
    pub price_list: Option<Prices>,
    /// Origins of the settings, by name.
    #[arg(skip)]
    pub sources: BTreeMap<&'static str, SettingSource>,
}

/// Variable of openshift-install. Any value but an empty one means public subnets.
const PUBLIC_ONLY: &str = "OPENSHIFT_INSTALL_AWS_PUBLIC_ONLY";

/// Subnets of the machines of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MachineSubnets {
    /// Subnets whose route to the internet is a NAT gateway
    Private,
    /// Subnets with a route to the internet gateway
    Public,
}

impl CommonArgs {
    /// Returns true if the machines of a new cluster have public subnets.
    pub fn has_public_machines(&self) -> bool {
        match self.machine_subnets {
            Some(subnets) => subnets == MachineSubnets::Public,
            None => std::env::var_os(PUBLIC_ONLY).is_some_and(|value| !value.is_empty()),
        }
    }

    /// Returns the options that select the input files and the state, as the user must repeat them
    /// in the next command: ` --state elsewhere --assets assets`. Defaults, and values of the environment
    /// or of a project file, are left out.
    pub fn repeated(&self) -> String {
        let state = PathBuf::from(self.state.to_string());
        let release = self.release.map(|release| PathBuf::from(release.to_string()));
        let subnets = self.machine_subnets.and_then(|subnets| subnets.to_possible_value());
        let subnets = subnets.map(|subnets| PathBuf::from(subnets.get_name()));
        let selecting = [
            ("config", Some(&self.config)),
            ("assets", self.assets.as_ref()),
            ("rhcos-stream", self.rhcos_stream.as_ref()),
            ("release", release.as_ref()),
            ("machine-subnets", subnets.as_ref()),
            ("prices", self.prices.as_ref()),
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

/// Exit codes of a command that reads a state.
pub(super) const READING: &[Exit] = &[Exit::Done, Exit::Failed, Exit::ConfigInvalid, Exit::Usage];

/// Exit codes of a command that changes a state.
pub(super) const WRITING: &[Exit] = &[
    Exit::Done,
    Exit::Failed,
    Exit::ConfigInvalid,
    Exit::Locked,
    Exit::Stopped,
    Exit::Refused,
    Exit::Usage,
];

/// Exit codes of a command that applies a plan, a saved one too.
pub(super) const APPLYING: &[Exit] = &[
    Exit::Done,
    Exit::Failed,
    Exit::ConfigInvalid,
    Exit::Locked,
    Exit::Stale,
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

/// Parses an infra ID: a name and five characters.
pub(in crate::cli) fn infra_id(text: &str) -> Result<String, String> {
    match groundplan_openshift::topology::name_in(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("expected an infra ID such as `demo-x7k2p`, as in metadata.json and in the \
             cluster tag"
            .to_owned()),
    }
}

/// Parses the name of a cluster (`metadata.name`), which is also the name of its folder.
pub(in crate::cli) fn cluster(text: &str) -> Result<String, String> {
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
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("expected the name of a file, or `-` for standard output".to_owned()),
        name => Ok(name.into()),
    }
}

/// Parses a duration such as `90s`, `5m` or `1h30m`; `0` needs no unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
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
