//! Manifests of machines as what says what is wanted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;

use crate::aws::machine::Machine;
use crate::aws::questions::InstancesNamed;
use crate::aws::{Aws, Settings, schemas};
use crate::cli::cloud;
use crate::cli::exit::Exit;
use crate::cli::failure::{Failure, Result};
use crate::cli::manifest_files;
use crate::cli::screen::Screen;
use crate::cli::source::{Learnt, Source};
use crate::config::Severity;
use crate::graph::{Address, Resource};
use crate::machine_api::offline::{self, File, Findings, Fleet, Named, Reading, Trouble};
use crate::plan::saved::{Digests, digest};
use crate::provider::ProviderError;
use crate::render::Diagnostic;
use crate::state::{Cluster, State};
use crate::topology::{Compiled, Question, Workers};

/// Manifests, valid.
pub(super) struct Manifests {
    /// As they were named.
    paths: Vec<PathBuf>,
    files: Vec<File>,
    fleet: Fleet,
    /// What their state is called.
    state: String,
    digests: Digests,
}

/// What the state of the machines of a cluster is called; beside it may be the cluster's own.
pub(in crate::cli) fn state_of(infra_id: &str) -> String {
    format!("{infra_id}-machines")
}

impl Manifests {
    /// Reads everything that is named; what is wrong with it is told all at once.
    pub(super) fn read(paths: &[PathBuf], screen: &mut Screen) -> Result<Self> {
        let named = manifest_files::read(paths)?;
        let files: Vec<File> = named.into_iter().flat_map(|named| named.files).collect();
        let Reading { fleet, findings, notes } = offline::read(&files);
        tell(&files, &findings, screen)?;
        let Some(fleet) = fleet else { return Err(no_fleet(paths, &findings)) };
        for note in notes {
            screen.talk(&format!("note: {note}"))?;
        }
        let state = state_of(&fleet.infra_id);
        let digests = digests(&files);
        Ok(Self { paths: paths.to_owned(), files, fleet, state, digests })
    }

    /// Whether machines that are to be made are there already, though nobody recorded them here.
    fn namesakes(&self, state: &State) -> Option<Question> {
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
        let Fleet { infra_id, region, .. } = &self.fleet;
        let cluster_tag = format!("kubernetes.io/cluster/{infra_id}");
        let question = Question::InstancesNamed { region: region.clone(), cluster_tag, names };
        Some(question)
    }

    /// What is named by the machines that are to be made, and that AWS must have. What cannot be compiled
    /// is told in other places: then only those that are not recorded are known to be new.
    fn named(&self, known: &BTreeMap<String, Value>, state: &State) -> Named<'_> {
        let compiled = self.fleet.compile(known, &InstancesNamed::new(), &self.files);
        let graph = compiled.ok().map(|compiled| compiled.graph);
        self.fleet.named(&|address| match &graph {
            Some(graph) => offline::is_made(graph, state, &schemas(), address),
            None => !state.resources.contains_key(address),
        })
    }

    /// Shows what AWS does not have where it is asked for; the rest is left to be said.
    fn refused(
        &self,
        trouble: &Trouble,
        missing: &[(Question, ProviderError)],
        screen: &mut Screen,
    ) -> Result<Failure> {
        tell(&self.files, &trouble.findings, screen)?;
        let diagnostics = missing
            .iter()
            .map(|(one, error)| Diagnostic::call_failed(&format!("find out {one}"), error))
            .collect();
        let is_flawed = trouble.findings.iter().any(|findings| !findings.is_empty());
        let exit = if is_flawed { Exit::ConfigInvalid } else { Exit::Failed };
        Ok(Failure { exit, diagnostics })
    }

    /// The graph, and the answers it is compiled from, with AWS asked for everything anew. Who has the
    /// machines' names is not asked: they are looked for.
    pub(super) async fn look_again(
        &self,
        aws: &Aws,
        screen: &mut Screen,
    ) -> Result<(Compiled, BTreeMap<String, Value>)> {
        let answers = cloud::answers(aws, self.fleet.questions()).await;
        match self.fleet.compile(&answers.given, &InstancesNamed::new(), &self.files) {
            Ok(compiled) => Ok((compiled, answers.given)),
            Err(trouble) => Err(self.refused(&trouble, &answers.missing, screen)?),
        }
    }

    /// The machines of others that have the names of those that are not recorded.
    pub(super) async fn others(&self, aws: &Aws, state: &State) -> Result<InstancesNamed> {
        let Some(question) = self.namesakes(state) else { return Ok(InstancesNamed::new()) };
        let key = question.key();
        let answers = cloud::answers(aws, vec![question]).await;
        others(answers.given.get(&key))
    }
}

impl Source for Manifests {
    fn name(&self) -> &str {
        &self.state
    }

    fn command(&self) -> String {
        let named = self.paths.iter().map(|path| format!(" --manifests {}", path.display()));
        format!("groundplan machines apply{}", named.collect::<String>())
    }

    fn digests(&self) -> &Digests {
        &self.digests
    }

    fn bootstrap(&self) -> bool {
        false
    }

    fn moved(&self, then: &Digests) -> Option<&'static str> {
        let because = "the manifests are not the ones it was made from";
        (*then != self.digests).then_some(because)
    }

    fn cluster(&self, known: Option<Cluster>) -> Result<Cluster> {
        let Fleet { infra_id, region, .. } = &self.fleet;
        match known {
            Some(known) if !known.is_of_machines() => Err(of_a_cluster(&known)),
            Some(known) if known.region != *region => Err(elsewhere(&known, region)),
            Some(known) => Ok(known),
            None => Ok(Cluster {
                name: self.state.clone(),
                infra_id: infra_id.clone(),
                cluster_id: String::new(), // in no manifest of machines
                region: region.clone(),
            }),
        }
    }

    fn settings(&self, cluster: &Cluster) -> Settings {
        cloud::settings_without_config(cluster)
    }

    fn remember(&self, _: &BTreeMap<String, Value>) -> Result<Option<(String, Value)>> {
        Ok(None)
    }

    fn questions(&self, facts: &BTreeMap<String, Value>) -> Vec<Question> {
        let mut questions = self.fleet.questions();
        questions.retain(|question| !facts.contains_key(&question.key()));
        questions
    }

    fn checks(&self, known: &BTreeMap<String, Value>, state: &State) -> Vec<Question> {
        let named = self.named(known, state).questions();
        let unanswered = named.into_iter().filter(|question| !known.contains_key(&question.key()));
        self.namesakes(state).into_iter().chain(unanswered).collect()
    }

    fn compile(&self, learnt: &Learnt<'_>, screen: &mut Screen) -> Result<Compiled> {
        let mut known = learnt.facts.clone();
        known.extend(learnt.answers.given.clone());
        let others = match self.namesakes(learnt.state) {
            Some(question) => others(learnt.checked.get(&question.key()))?,
            None => InstancesNamed::new(),
        };
        let mut said = known.clone();
        said.extend(learnt.checked.clone());
        let absent = self.named(&known, learnt.state).absent(&said, &others, &self.files);
        let trouble = match self.fleet.compile(&known, &others, &self.files) {
            Ok(compiled) if absent.iter().all(Vec::is_empty) => return Ok(compiled),
            Ok(_) => Trouble::default(),
            Err(trouble) => trouble,
        };
        Err(self.refused(&trouble.with(absent), &learnt.answers.missing, screen)?)
    }

    fn workers(&self, _: &BTreeMap<String, Value>) -> Vec<Workers> {
        Vec::new()
    }
}

/// Who is there under the names of machines that are to be made. Without an answer nothing is made:
/// two machines of one name are one to their cluster.
fn others(answer: Option<&Value>) -> Result<InstancesNamed> {
    answer.and_then(|answer| InstancesNamed::deserialize(answer).ok()).ok_or_else(|| {
        let summary = "it is not known whether machines of these names are there already";
        Failure::new(Exit::Failed, Diagnostic::error(summary).with_hint("see the warning above"))
    })
}

/// The order of the files matters as little as their names.
fn digests(files: &[File]) -> Digests {
    let mut texts: Vec<&[u8]> =
        files.iter().map(|file| file.text.expose_secret().as_bytes()).collect();
    texts.sort_unstable();
    let none = || "none".to_owned();
    Digests { config: digest(texts), assets: none(), stream: none() }
}

fn tell(files: &[File], findings: &Findings, screen: &mut Screen) -> Result<()> {
    for (file, findings) in files.iter().zip(findings) {
        screen.findings(findings, &file.name, file.text.expose_secret())?;
    }
    Ok(())
}

/// What was found has been told; where nothing was found, there is nothing.
fn no_fleet(paths: &[PathBuf], findings: &Findings) -> Failure {
    let is_error = |severity| severity == Severity::Error;
    if findings.iter().flatten().any(|finding| is_error(finding.severity())) {
        return Failure::said(Exit::ConfigInvalid);
    }
    let named: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    let summary = format!("there is no Machine and no MachineSet in {}", named.join(", "));
    let inside = paths.iter().map(|path| path.join("openshift")).find(|path| path.is_dir());
    let hint = inside.as_deref().map_or_else(
        || "`groundplan manifests --out DIR` writes some".to_owned(),
        |inside: &Path| format!("name the folder that they are in: {}", inside.display()),
    );
    Failure::new(Exit::ConfigInvalid, Diagnostic::error(summary).with_hint(hint))
}

/// What is recorded under this name is a whole cluster: to plan machines upon it would be to delete it.
pub(in crate::cli) fn of_a_cluster(cluster: &Cluster) -> Failure {
    let Cluster { name, infra_id, .. } = cluster;
    let summary = format!("`{name}` is the state of the cluster {infra_id}, and of no machines");
    let hint = "give another --state: what machines are recorded in is called <infra ID>-machines";
    Failure::new(Exit::Refused, Diagnostic::error(summary).with_hint(hint))
}

fn elsewhere(known: &Cluster, region: &str) -> Failure {
    let summary = format!(
        "the machines of {} are in {}, and the manifests want them in {region}",
        known.infra_id, known.region
    );
    let hint = "destroy them there first, or use another --state";
    Failure::new(Exit::Failed, Diagnostic::error(summary).with_hint(hint))
}
