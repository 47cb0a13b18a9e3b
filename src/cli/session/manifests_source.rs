//! Desired state from manifests of machines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use groundplan_aws::kinds::machine::Machine;
use groundplan_aws::lookups::lookup::InstancesNamed;
use groundplan_aws::model::cluster_tag_key;
use groundplan_aws::{Aws, AwsSettings, schemas};
use groundplan_engine::graph::{Address, Graph, Resource};
use groundplan_engine::plan::Plan;
use groundplan_engine::plan::saved::{Digests, digest};
use groundplan_engine::provider::ProviderError;
use groundplan_engine::state::{Cluster, Entry, State};
use groundplan_openshift::diagnostics::Severity;
use groundplan_openshift::machine_api::from_manifests::{
    self, CompileFailure, Findings, MachineSpecs, ManifestFile, ReadResult, ReferencedResources,
};
use groundplan_openshift::topology::{
    CertificateValidity, Compiled, IgnitionFile, Lookup, Workers,
};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::args::quoted;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session;
use crate::cli::session::desired_state::{CompileInputs, CompiledSource, DesiredState};
use crate::cli::session::manifest_files;
use crate::render::{Code, Diagnostic};

/// Valid manifests.
pub(crate) struct ManifestsSource {
    /// Paths as the user named them.
    paths: Vec<PathBuf>,
    files: Vec<ManifestFile>,
    fleet: MachineSpecs,
    /// Name of the state.
    state: String,
    digests: Digests,
}

/// Returns the name of the state for a cluster's machines. The cluster itself has a separate state.
pub(crate) fn state_of(infra_id: &str) -> String {
    format!("{infra_id}-machines")
}

impl ManifestsSource {
    /// Reads all named manifests. Reports all findings at once.
    pub(crate) fn read(paths: &[PathBuf], ui: &mut Ui) -> Result<Self> {
        let named = manifest_files::read(paths)?;
        let files: Vec<ManifestFile> = named.into_iter().flat_map(|named| named.files).collect();
        let ReadResult { fleet, findings, notes } = from_manifests::read(&files);
        print_findings(&files, &findings, ui)?;
        let Some(fleet) = fleet else { return Err(no_fleet(paths, &findings)) };
        for note in notes {
            ui.talk(&format!("note: {note}"))?;
        }
        let state = state_of(&fleet.infra_id);
        let digests = digests(&files);
        Ok(Self { paths: paths.to_owned(), files, fleet, state, digests })
    }

    /// Returns the lookup of existing instances with the names of new machines; `None` if all
    /// machines are recorded.
    fn namesakes(&self, state: &State) -> Option<Lookup> {
        let is_recorded = |name: &&str| {
            let address = Address::new(Machine::SCHEMA.kind, name);
            state.resources.contains_key(&address) || state.deposed.contains_key(&address)
        };
        let new = self.fleet.names().filter(|name| !is_recorded(name));
        let mut names: Vec<String> = new.map(str::to_owned).collect();
        if names.is_empty() {
            return None;
        }
        names.sort();
        let MachineSpecs { infra_id, region, .. } = &self.fleet;
        let cluster_tag = cluster_tag_key(infra_id);
        let lookup = Lookup::InstancesNamed { region: region.clone(), cluster_tag, names };
        Some(lookup)
    }

    /// Returns the AWS resources that machines to be created reference. If compilation fails, all
    /// machines without a record count as new; the caller reports the compile errors.
    fn named(&self, known: &BTreeMap<String, Value>, state: &State) -> ReferencedResources<'_> {
        let compiled = self.fleet.compile(known, &InstancesNamed::new(), &self.files);
        let graph = compiled.ok().map(|compiled| compiled.graph);
        self.fleet.named(&|address| match &graph {
            Some(graph) => from_manifests::is_made(graph, state, &schemas(), address),
            None => !state.resources.contains_key(address),
        })
    }

    /// Prints the findings and returns the failed lookups for the caller to print.
    fn refused(
        &self,
        trouble: &CompileFailure,
        missing: &[(Lookup, ProviderError)],
        ui: &mut Ui,
    ) -> Result<CommandError> {
        print_findings(&self.files, &trouble.findings, ui)?;
        let diagnostics = aws_session::failed_lookups("look up", missing);
        let is_flawed = trouble.findings.iter().any(|findings| !findings.is_empty());
        let exit = if is_flawed { Exit::ConfigInvalid } else { Exit::Failed };
        Ok(CommandError { exit, diagnostics })
    }

    /// Compiles with new lookup results and returns both. Instances with the names of the machines
    /// are no conflict, because recovery searches for them.
    pub(crate) async fn compile_existing(
        &self,
        aws: &Aws,
        ui: &mut Ui,
    ) -> Result<(Compiled, BTreeMap<String, Value>)> {
        let answers = aws_session::answers(aws, self.fleet.lookups()).await?;
        match self.fleet.compile(&answers.given, &InstancesNamed::new(), &self.files) {
            Ok(compiled) => Ok((compiled, answers.given)),
            Err(trouble) => Err(self.refused(&trouble, &answers.missing, ui)?),
        }
    }

    /// Returns the untracked instances that have the names of unrecorded machines.
    pub(crate) async fn others(&self, aws: &Aws, state: &State) -> Result<InstancesNamed> {
        let Some(lookup) = self.namesakes(state) else { return Ok(InstancesNamed::new()) };
        let key = lookup.key();
        let answers = aws_session::answers(aws, vec![lookup]).await?;
        others(answers.given.get(&key))
    }
}

impl DesiredState for ManifestsSource {
    fn name(&self) -> &str {
        &self.state
    }

    fn command(&self) -> String {
        let named = self.paths.iter().map(|path| format!(" --manifests {}", quoted(path)));
        format!("groundplan machines apply{}", named.collect::<String>())
    }

    fn digests(&self) -> &Digests {
        &self.digests
    }

    fn bootstrap(&self) -> bool {
        false
    }

    fn moved(&self, then: &Digests) -> Option<&'static str> {
        let because = "the manifests have changed since the plan was made";
        (*then != self.digests).then_some(because)
    }

    fn cluster(&self, fixed: Option<&Cluster>, _: Option<&Cluster>) -> Result<Cluster> {
        let MachineSpecs { infra_id, region, .. } = &self.fleet;
        match fixed {
            Some(known) if !known.is_of_machines() => Err(of_a_cluster(known)),
            Some(known) if known.region != *region => Err(elsewhere(known, region)),
            Some(known) => Ok(known.clone()),
            None => Ok(Cluster {
                name: self.state.clone(),
                infra_id: infra_id.clone(),
                cluster_id: String::new(), // in no manifest of machines
                region: region.clone(),
            }),
        }
    }

    fn has_identity(&self) -> bool {
        true
    }

    fn sole_domain(&self) -> Option<String> {
        None
    }

    fn settings(&self, cluster: &Cluster) -> AwsSettings {
        aws_session::settings_without_config(cluster)
    }

    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    fn decisions(&self) -> BTreeMap<String, Value> {
        BTreeMap::new()
    }

    fn release(&self) -> Option<String> {
        None
    }

    fn set_release(&mut self, _: Option<&str>) {}

    fn bootstrap_entry(&self, _: &Plan, _: &Graph, _: &State) -> Option<Entry> {
        None
    }

    fn remember(&mut self, _: &State) -> Result<()> {
        Ok(())
    }

    fn has_assets(&self) -> bool {
        false
    }

    fn ignition_file(&self, _: &Address) -> Option<IgnitionFile> {
        None
    }

    fn validity(&self, _: IgnitionFile, _: Timestamp) -> Option<CertificateValidity> {
        None
    }

    fn modified(&self, _: IgnitionFile) -> Option<SystemTime> {
        None
    }

    fn lookups(&self, recorded: &BTreeMap<String, Value>) -> Vec<Lookup> {
        let mut lookups = self.fleet.lookups();
        lookups.retain(|lookup| !recorded.contains_key(&lookup.key()));
        lookups
    }

    fn checks(&self, known: &BTreeMap<String, Value>, state: &State) -> Vec<Lookup> {
        let named = self.named(known, state).lookups();
        let unanswered = named.into_iter().filter(|lookup| !known.contains_key(&lookup.key()));
        self.namesakes(state).into_iter().chain(unanswered).collect()
    }

    fn compile(&self, learnt: &CompileInputs<'_>, ui: &mut Ui) -> Result<CompiledSource> {
        let mut known = learnt.recorded.clone();
        known.extend(learnt.answers.given.clone());
        let others = match self.namesakes(learnt.state) {
            Some(lookup) => others(learnt.checked.get(&lookup.key()))?,
            None => InstancesNamed::new(),
        };
        let mut said = known.clone();
        said.extend(learnt.checked.clone());
        let absent = self.named(&known, learnt.state).absent(&said, &others, &self.files);
        let trouble = match self.fleet.compile(&known, &others, &self.files) {
            Ok(compiled) if absent.iter().all(Vec::is_empty) => return Ok(compiled.into()),
            Ok(_) => CompileFailure::default(),
            Err(trouble) => trouble,
        };
        Err(self.refused(&trouble.with(absent), &learnt.answers.missing, ui)?)
    }

    fn workers(&self, _: &BTreeMap<String, Value>) -> Vec<Workers> {
        Vec::new()
    }
}

/// Parses the lookup of existing instances. Returns an error without a result, because two machines
/// with the same name are one machine to their cluster.
fn others(answer: Option<&Value>) -> Result<InstancesNamed> {
    answer.and_then(|answer| InstancesNamed::deserialize(answer).ok()).ok_or_else(|| {
        let summary = "could not check whether machines with these names already exist";
        CommandError::new(
            Exit::Failed,
            Diagnostic::error(Code::CallFailed, summary).with_hint(
                "correct the error in the warning above, and run the same command again",
            ),
        )
    })
}

/// Returns digests that are independent of the names and the order of the files.
fn digests(files: &[ManifestFile]) -> Digests {
    let mut texts: Vec<&[u8]> =
        files.iter().map(|file| file.text.expose_secret().as_bytes()).collect();
    texts.sort_unstable();
    let none = || "none".to_owned();
    Digests { config: digest(texts), assets: none(), stream: none() }
}

fn print_findings(files: &[ManifestFile], findings: &Findings, ui: &mut Ui) -> Result<()> {
    for (file, findings) in files.iter().zip(findings) {
        ui.findings(findings, &file.name, file.text.expose_secret())?;
    }
    Ok(())
}

/// Returns the failure for manifests without machines. Findings are already printed.
fn no_fleet(paths: &[PathBuf], findings: &Findings) -> CommandError {
    let is_error = |severity| severity == Severity::Error;
    if findings.iter().flatten().any(|finding| is_error(finding.severity())) {
        return CommandError::already_printed(Exit::ConfigInvalid);
    }
    let named: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    let summary = format!("no Machine or MachineSet found in {}", named.join(", "));
    let inside = paths.iter().map(|path| path.join("openshift")).find(|path| path.is_dir());
    let hint = inside.as_deref().map_or_else(
        || "create manifests with `groundplan manifests --out DIR`".to_owned(),
        |inside: &Path| format!("pass the folder that contains them: {}", inside.display()),
    );
    CommandError::new(
        Exit::ConfigInvalid,
        Diagnostic::error(Code::MachinesNotFound, summary).with_hint(hint),
    )
}

/// Returns the error that the state contains a cluster. A plan of machines with that state would
/// delete the cluster.
pub(crate) fn of_a_cluster(cluster: &Cluster) -> CommandError {
    let Cluster { name, infra_id, .. } = cluster;
    let summary = format!("`{name}` is the state of the cluster {infra_id}, not of machines");
    let hint = "use another --state; the state of machines is named <infra ID>-machines";
    CommandError::new(Exit::Refused, Diagnostic::error(Code::StateForeign, summary).with_hint(hint))
}

fn elsewhere(known: &Cluster, region: &str) -> CommandError {
    let summary = format!(
        "the machines of {} are in {}, but the manifests place them in {region}",
        known.infra_id, known.region
    );
    let infra_id = &known.infra_id;
    let hint = format!(
        "run `groundplan machines destroy --cluster {infra_id}` first, or use another --state"
    );
    CommandError::new(
        Exit::Failed,
        Diagnostic::error(Code::MachinesElsewhere, summary).with_hint(hint),
    )
}
