//! Desired state from an install-config, with and without recording lookup results.
//!
//! The module writes nothing and makes no mutating AWS calls.

use std::collections::BTreeMap;
use std::time::SystemTime;

use groundplan_aws::{Aws, AwsSettings};
use groundplan_engine::graph::{Address, Graph};
use groundplan_engine::plan::Plan;
use groundplan_engine::plan::saved::Digests;
use groundplan_engine::provider::ProviderError;
use groundplan_engine::state::{Cluster, Entry, State};
use groundplan_openshift::diagnostics;
use groundplan_openshift::diagnostics::Finding;
use groundplan_openshift::install_config::{Located, locate};
use groundplan_openshift::machine_api::asset_manifests;
use groundplan_openshift::release::Release;
use groundplan_openshift::topology::machine_pools::MachinePools;
use groundplan_openshift::topology::{
    self, CertificateValidity, ClusterSpec, CompileOptions, Compiled, IgnitionFile, Layout, Lookup,
    PUBLIC_ONLY, PlacedConfig, RecordedIgnition, RecordedImage, Workers, identify, ignition_file,
    needed_lookups, validation,
};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::cli::args::CommonArgs;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session::{self, LookupResults};
use crate::cli::session::bootstrap::BootstrapChoice;
use crate::cli::session::desired_state::{CompileInputs, CompiledSource, DesiredState};
use crate::cli::session::input_files::InputFiles;
use crate::cli::session::locked_state::{binding, read_unlocked};
use crate::cli::session::release_choice::ReleaseChoice;
use crate::render::{Code, Diagnostic};

/// Install-config with the other input files.
pub(crate) struct InstallConfigSource {
    inputs: InputFiles,
    bootstrap: BootstrapChoice,
    recorded_ignition: RecordedIgnition,
    recorded_image: Option<RecordedImage>,
    given_release: Option<Release>,
    release: ReleaseChoice,
    /// Note about a setting that does not change the subnets of a recorded cluster.
    subnets_note: Option<String>,
}

impl InstallConfigSource {
    /// Reads the install-config. Reports all findings at once. `bootstrap` is the choice of the user
    /// or of a saved plan.
    pub(crate) fn read(common: &CommonArgs, bootstrap: Option<bool>, ui: &mut Ui) -> Result<Self> {
        let inputs = InputFiles::read(common, ui)?;
        let bootstrap = BootstrapChoice::of(bootstrap);
        let recorded_ignition = RecordedIgnition::default();
        let given_release = common.release;
        let release = ReleaseChoice::of(given_release, &inputs.assets, &State::default())?;
        let recorded_image = None;
        let subnets_note = None;
        Ok(Self {
            inputs,
            bootstrap,
            recorded_ignition,
            recorded_image,
            given_release,
            release,
            subnets_note,
        })
    }

    fn view<'a>(
        &'a self,
        cluster: &'a Cluster,
        recorded: &'a BTreeMap<String, Value>,
    ) -> CompileView<'a> {
        let (bootstrap, ignition) = (&self.bootstrap, &self.recorded_ignition);
        let image = self.recorded_image.as_ref();
        let layout = self.release.layout();
        CompileView { inputs: &self.inputs, cluster, recorded, ignition, image, bootstrap, layout }
    }
}

impl DesiredState for InstallConfigSource {
    fn name(&self) -> &str {
        &self.inputs.config.name
    }

    fn command(&self) -> String {
        "groundplan apply".to_owned()
    }

    fn digests(&self) -> &Digests {
        &self.inputs.digests
    }

    fn bootstrap(&self) -> bool {
        self.bootstrap.wanted()
    }

    fn notes(&self) -> Vec<String> {
        let notes = self.bootstrap.note().into_iter().chain(self.release.note());
        notes.chain(self.subnets_note.clone()).collect()
    }

    fn decisions(&self) -> BTreeMap<String, Value> {
        self.inputs.decisions()
    }

    fn release(&self) -> Option<String> {
        self.release.to_record()
    }

    fn set_release(&mut self, planned: Option<&str>) {
        let planned = planned.and_then(|release| release.parse().ok());
        self.given_release = planned.or(self.given_release);
    }

    fn bootstrap_entry(&self, plan: &Plan, desired: &Graph, state: &State) -> Option<Entry> {
        self.bootstrap.entry(plan, desired, state)
    }

    fn moved(&self, then: &Digests) -> Option<&'static str> {
        let now = &self.inputs.digests;
        let moved = [
            (then.config != now.config, "the install-config has changed since the plan was made"),
            (then.assets != now.assets, "the assets have changed since the plan was made"),
            (then.stream != now.stream, "the RHCOS stream has changed since the plan was made"),
        ];
        moved.into_iter().find(|(moved, _)| *moved).map(|(_, because)| because)
    }

    fn cluster(&self, fixed: Option<&Cluster>, proposed: Option<&Cluster>) -> Result<Cluster> {
        identity(&self.inputs, fixed, proposed)
    }

    fn has_identity(&self) -> bool {
        self.inputs.assets.cluster().is_some()
    }

    fn sole_domain(&self) -> Option<String> {
        let config = &self.inputs.config;
        let is_own_zone = config.aws.hosted_zone.is_none();
        Some(if is_own_zone { config.cluster_domain() } else { String::new() })
    }

    fn settings(&self, cluster: &Cluster) -> AwsSettings {
        aws_session::settings(&self.inputs.config, cluster)
    }

    fn remember(&mut self, state: &State) -> Result<()> {
        self.bootstrap.remember(state);
        self.recorded_ignition = recorded_ignition(&self.inputs, state)?;
        self.recorded_image = RecordedImage::of(state);
        self.release = ReleaseChoice::of(self.given_release, &self.inputs.assets, state)?;
        let is_public = state.lookup_cache.results.contains_key(PUBLIC_ONLY);
        let is_kept = !state.has_nothing() && self.inputs.has_public_machines && !is_public;
        self.subnets_note = is_kept.then(|| {
            "note: the machines of the cluster keep their private subnets; `machine-subnets` and \
             OPENSHIFT_INSTALL_AWS_PUBLIC_ONLY are for new clusters"
                .to_owned()
        });
        Ok(())
    }

    fn has_assets(&self) -> bool {
        !(self.inputs.assets.is_none() && self.recorded_ignition.is_none())
    }

    fn ignition_file(&self, address: &Address) -> Option<IgnitionFile> {
        ignition_file(address)
    }

    fn validity(&self, file: IgnitionFile, now: Timestamp) -> Option<CertificateValidity> {
        self.inputs.assets.validity(file, now)
    }

    fn modified(&self, file: IgnitionFile) -> Option<SystemTime> {
        self.inputs.assets.modified(file)
    }

    fn lookups(&self, recorded: &BTreeMap<String, Value>) -> Vec<Lookup> {
        let (layout, image) = (self.release.layout(), self.recorded_image.as_ref());
        let options = self.inputs.options(&self.bootstrap, layout, image);
        needed_lookups(&self.inputs.config, recorded, &options)
    }

    fn checks(&self, known: &BTreeMap<String, Value>, state: &State) -> Vec<Lookup> {
        validation::needed_lookups(&self.inputs.config, known, state)
    }

    fn compile(&self, learnt: &CompileInputs<'_>, ui: &mut Ui) -> Result<CompiledSource> {
        let CompileInputs { cluster, recorded, answers, checked, state } = learnt;
        let view = self.view(cluster, recorded);
        let known = view.known(answers);
        let placed = PlacedConfig::of(&self.inputs.config, &known);
        let flaws = placed.check(checked, state);
        let (spec, mut compiled) = view.judge(&placed, answers, flaws, ui)?;
        let asset_fit = asset_manifests::compare(&self.inputs.assets, &spec, &compiled.graph);
        for warning in &mut compiled.warnings {
            *warning = positioned(warning, self.inputs.text.expose_secret(), &self.inputs.file);
        }
        Ok(CompiledSource { compiled, asset_fit })
    }

    fn workers(&self, recorded: &BTreeMap<String, Value>) -> Vec<Workers> {
        PlacedConfig::of(&self.inputs.config, recorded).workers()
    }
}

/// Result of a compilation that records nothing.
pub(crate) struct CompilePreview {
    pub(crate) inputs: InputFiles,
    pub(crate) cluster: Cluster,
    /// The cluster, from recorded and new lookup results.
    pub(crate) spec: ClusterSpec,
    pub(crate) compiled: Compiled,
}

/// Function that returns the identity of the cluster, given the recorded state.
pub(crate) type Identify<'a> = &'a dyn Fn(&InputFiles, &State) -> Result<Cluster>;

/// Compiles without recording anything. Queries AWS only for lookups that the state lacks. `bootstrap`
/// is the choice of the user.
pub(crate) async fn compile_preview(
    common: &CommonArgs,
    bootstrap: Option<bool>,
    identify: Identify<'_>,
    ui: &mut Ui,
) -> Result<CompilePreview> {
    let inputs = InputFiles::read(common, ui)?;
    let state = read_unlocked(common, &inputs.config.name, ui).await?.unwrap_or_default();
    let cluster = identify(&inputs, &state)?;
    let recorded = binding(&state);
    let ignition = recorded_ignition(&inputs, &state)?;
    let image = RecordedImage::of(&state);
    let mut bootstrap = BootstrapChoice::of(bootstrap);
    bootstrap.remember(&state);
    let release = ReleaseChoice::of(common.release, &inputs.assets, &state)?;
    let view = CompileView {
        inputs: &inputs,
        cluster: &cluster,
        recorded: &recorded.results,
        ignition: &ignition,
        image: image.as_ref(),
        bootstrap: &bootstrap,
        layout: release.layout(),
    };
    let unanswered = view.lookups();
    let answers = if unanswered.is_empty() {
        LookupResults::default()
    } else {
        let account = recorded.account.as_deref();
        let session = aws_session::connect(&inputs.config, &cluster, account, ui).await?;
        aws_session::answers(session.aws(), unanswered).await?
    };
    let mut answers = answers;
    if state.has_nothing() {
        answers.given.extend(inputs.decisions());
    }
    let known = view.known(&answers);
    let placed = PlacedConfig::of(&inputs.config, &known);
    let (spec, compiled) = view.judge(&placed, &answers, Vec::new(), ui)?;
    Ok(CompilePreview { inputs, cluster, spec, compiled })
}

impl CompilePreview {
    /// Returns the machine pools as the plan uses them.
    pub(crate) fn machine_pools(&self, ui: &mut Ui) -> Result<MachinePools<'_>> {
        match self.spec.machine_pools() {
            Ok(pools) => Ok(pools),
            Err(errors) => Err(print_refused(&self.inputs, &errors, &[], ui)?),
        }
    }
}

/// Compiles for an existing cluster that has no recorded state, and returns the lookup results,
/// too. Checks for conflicts with existing resources are skipped.
pub(crate) async fn compile_existing(
    inputs: &InputFiles,
    cluster: &Cluster,
    bootstrap: &BootstrapChoice,
    layout: Layout,
    aws: &Aws,
    ui: &mut Ui,
) -> Result<(Compiled, BTreeMap<String, Value>)> {
    let (recorded, ignition) = (&BTreeMap::new(), &RecordedIgnition::default());
    let view = CompileView { inputs, cluster, recorded, ignition, image: None, bootstrap, layout };
    let mut learnt = aws_session::answers(aws, view.lookups()).await?;
    learnt.given.extend(inputs.decisions());
    let placed = PlacedConfig::of(&inputs.config, &learnt.given);
    let (_, compiled) = view.judge(&placed, &learnt, Vec::new(), ui)?;
    Ok((compiled, learnt.given))
}

/// Returns the recorded digests of the Ignition configs. Returns an error if there are none and files
/// of the assets are missing.
fn recorded_ignition(inputs: &InputFiles, state: &State) -> Result<RecordedIgnition> {
    let recorded = RecordedIgnition::of(state);
    if recorded.is_none() {
        inputs.ensure_complete_assets()?;
    }
    Ok(recorded)
}

/// Returns the identity of the cluster: from the recorded state, from the assets, or a new one.
pub(crate) fn cluster(inputs: &InputFiles, state: &State) -> Result<Cluster> {
    identity(inputs, state.fixed_cluster(), state.cluster.as_ref())
}

/// Returns the identity of the cluster: `fixed`, or else that of the assets, or else `proposed` if it
/// fits the install-config, or else a new one.
fn identity(
    inputs: &InputFiles,
    fixed: Option<&Cluster>,
    proposed: Option<&Cluster>,
) -> Result<Cluster> {
    let known = known_cluster(inputs, fixed)?;
    let proposed = || proposed.filter(|one| fits(one, inputs)).cloned();
    Ok(known.or_else(proposed).unwrap_or_else(|| identify(&inputs.config)))
}

/// Returns true if the install-config can be that of this cluster.
pub(crate) fn fits(cluster: &Cluster, InputFiles { config, .. }: &InputFiles) -> bool {
    cluster.name == config.name && cluster.region == config.aws.region && !cluster.is_of_machines()
}

/// Returns the identity that the cluster must have: `fixed` by its recorded resources, or that of the
/// assets. `None` if both are missing.
pub(crate) fn known_cluster(
    inputs: &InputFiles,
    fixed: Option<&Cluster>,
) -> Result<Option<Cluster>> {
    if let Some(machines) = fixed.filter(|fixed| fixed.is_of_machines()) {
        return Err(of_machines(machines));
    }
    let given = inputs.assets.cluster();
    if let (Some(known), Some(given)) = (fixed, &given)
        && known != given
    {
        let diagnostic = Diagnostic::error(
            Code::AssetsForeign,
            "the assets belong to another cluster than the state",
        )
        .with_detail(format!("{}: {} ({})", inputs.metadata_file, given.infra_id, given.cluster_id))
        .with_detail(format!("the state: {} ({})", known.infra_id, known.cluster_id))
        .with_hint(
            "pass the assets that this cluster was created with, or use another --state; after a \
                 complete destroy, this state takes new assets",
        );
        return Err(CommandError::new(Exit::ConfigInvalid, diagnostic));
    }
    if let Some(given) = given.as_ref().filter(|given| !fits(given, inputs)) {
        return Err(of_another_config(given, inputs));
    }
    Ok(fixed.cloned().or(given))
}

/// Returns the error for assets that were not made from the install-config.
fn of_another_config(given: &Cluster, inputs: &InputFiles) -> CommandError {
    let InputFiles { file, metadata_file, config, .. } = inputs;
    let diagnostic = Diagnostic::error(
        Code::AssetsForeign,
        "the assets belong to another cluster than the install-config",
    )
    .with_detail(format!(
        "{metadata_file}: cluster {} ({}) in {}",
        given.name, given.infra_id, given.region
    ))
    .with_detail(format!("{file}: cluster {} in {}", config.name, config.aws.region))
    .with_hint(
        "pass the folder in which openshift-install made the assets from this install-config with \
             --assets, or the install-config of those assets with --config",
    );
    CommandError::new(Exit::ConfigInvalid, diagnostic)
}

/// Returns the error that the state contains machines of manifests. A plan of a cluster with that
/// state would delete the machines.
pub(crate) fn of_machines(machines: &Cluster) -> CommandError {
    let Cluster { name, infra_id, .. } = machines;
    let summary = format!("`{name}` is the state of the machines of {infra_id}, not of a cluster");
    let diagnostic = Diagnostic::error(Code::StateForeign, summary).with_hint(
        "use another metadata.name or another --state for the cluster; plan those machines with \
         `groundplan machines plan --manifests PATH`",
    );
    CommandError::new(Exit::Refused, diagnostic)
}

/// Inputs of a compilation.
struct CompileView<'a> {
    inputs: &'a InputFiles,
    cluster: &'a Cluster,
    /// Recorded lookup results.
    recorded: &'a BTreeMap<String, Value>,
    /// Recorded digests of the Ignition configs.
    ignition: &'a RecordedIgnition,
    /// Recorded image of the masters.
    image: Option<&'a RecordedImage>,
    bootstrap: &'a BootstrapChoice,
    layout: Layout,
}

impl CompileView<'_> {
    fn options(&self) -> CompileOptions {
        self.inputs.options(self.bootstrap, self.layout, self.image)
    }

    /// Returns the lookups that are required and not recorded.
    fn lookups(&self) -> Vec<Lookup> {
        let options = self.options();
        needed_lookups(&self.inputs.config, self.recorded, &options)
    }

    fn known(&self, learnt: &LookupResults) -> BTreeMap<String, Value> {
        let mut known = self.recorded.clone();
        known.extend(learnt.given.clone());
        known
    }

    /// Returns the cluster and its graph. On failure, reports all causes: failed checks, compiler
    /// errors, failed lookups.
    fn judge(
        &self,
        placed: &PlacedConfig<'_>,
        learnt: &LookupResults,
        mut flaws: Vec<topology::CompileError>,
        ui: &mut Ui,
    ) -> Result<(ClusterSpec, Compiled)> {
        let (inputs, options) = (self.inputs, self.options());
        let spec = placed.resolve(self.cluster, &inputs.assets, &options);
        let compiled = spec.and_then(|spec| {
            let compiled = spec.compile(&inputs.assets, self.ignition)?;
            Ok((spec, compiled))
        });
        let compiled = match compiled {
            Ok(compiled) if flaws.is_empty() => return Ok(compiled),
            Ok(_) => Vec::new(),
            Err(errors) => errors,
        };
        let is_missing = |key: &String| learnt.missing.iter().any(|(one, _)| one.key() == *key);
        let told_below = |error: &topology::CompileError| matches!(error, topology::CompileError::Unanswered { lookup } if is_missing(lookup));
        flaws.extend(compiled.into_iter().filter(|error| !told_below(error)));
        Err(print_refused(inputs, &flaws, &learnt.missing, ui)?)
    }
}

/// Prints the errors that have a position in the install-config and returns the others for the
/// caller.
fn print_refused(
    inputs: &InputFiles,
    flaws: &[topology::CompileError],
    missing: &[(Lookup, ProviderError)],
    ui: &mut Ui,
) -> Result<CommandError> {
    let text = inputs.text.expose_secret();
    let mut findings: Vec<Finding> = flaws.iter().filter_map(|flaw| finding(flaw, text)).collect();
    findings.sort_by_key(|finding| finding.place.map(|place| place.start));
    ui.findings(&findings, &inputs.file, text)?;
    let nowhere = flaws.iter().filter(|flaw| flaw.field().is_none()).map(|flaw| {
        let summary = "could not compile the install-config";
        let diagnostic =
            Diagnostic::error(Code::ConfigNotCompiled, summary).with_detail(flaw.to_string());
        Diagnostic { hint: flaw.hint(), ..diagnostic }
    });
    let missing = aws_session::failed_lookups("look up", missing);
    let mut diagnostics: Vec<Diagnostic> = nowhere.chain(missing).collect();
    // Without an image, the cause can be a stream file that was left out because it is missing.
    if flaws.contains(&topology::CompileError::NoImage)
        && let Err(error) = inputs.ensure_stream()
    {
        diagnostics.extend(error.diagnostics);
    }
    let exit = if findings.is_empty() { Exit::Failed } else { Exit::ConfigInvalid };
    Ok(CommandError { exit, diagnostics })
}

/// Returns a warning that begins with a field, after the position of the field. Returns other warnings
/// unchanged.
fn positioned(warning: &str, text: &str, file: &str) -> String {
    let field = warning.split_once(": ").map(|(field, _)| field);
    let is_field = |field: &&str| field.contains('.') && !field.contains(' ');
    let place = field.filter(is_field).and_then(|field| locate(text, field).place);
    match place {
        Some(place) => format!("{file}:{}: {warning}", place.line),
        None => warning.to_owned(),
    }
}

/// Returns an error as a finding at its field; `None` if the error has no field.
fn finding(flaw: &topology::CompileError, text: &str) -> Option<Finding> {
    let Located { path, place } = locate(text, &flaw.field()?);
    Some(Finding {
        rule: diagnostics::Rule::AtAws,
        severity: diagnostics::Rule::AtAws.severity(),
        path,
        place,
        message: flaw.to_string(),
        expected: flaw.expected(),
        hint: flaw.hint(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_about_a_field_has_its_position() {
        let text = "platform:\n  aws:\n    subnets:\n    - subnet-1\n";
        let warning = "platform.aws.subnets: found public subnets";
        let told = positioned(warning, text, "install-config.yaml");
        assert!(told.starts_with("install-config.yaml:") && told.ends_with(warning), "{told}");
        let line: usize = told.split(':').nth(1).unwrap().parse().unwrap();
        assert!((3..=4).contains(&line), "{told}");
        for other in ["no assets: machines do not boot", "a warning"] {
            assert_eq!(positioned(other, text, "install-config.yaml"), other);
        }
    }
}
