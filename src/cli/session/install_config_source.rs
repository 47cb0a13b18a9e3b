//! Desired state from an install-config, with and without recording lookup results.
//!
//! The module writes nothing and makes no mutating AWS calls.

use std::collections::BTreeMap;

use groundplan_aws::{Aws, Settings};
use groundplan_engine::plan::saved::Digests;
use groundplan_engine::provider::ProviderError;
use groundplan_engine::state::{Cluster, State};
use groundplan_openshift::diagnostics;
use groundplan_openshift::diagnostics::Finding;
use groundplan_openshift::install_config::{Located, locate};
use groundplan_openshift::topology::machine_pools::{Fleet, fleet};
use groundplan_openshift::topology::{
    self, Compiled, Question, Workers, compile, identify, questions, validation, workers,
};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::cli::args::Common;
use crate::cli::output::command_error::{Failure, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::cli::session::aws_session::{self, Answers};
use crate::cli::session::desired_state::{Learnt, Source};
use crate::cli::session::input_files::Inputs;
use crate::cli::session::locked_state::glance;
use crate::render::Diagnostic;

/// Install-config with the other input files.
pub(crate) struct Configured {
    inputs: Inputs,
    bootstrap: bool,
}

impl Configured {
    /// Reads the install-config. Reports all findings at once.
    pub(crate) fn read(common: &Common, bootstrap: bool, screen: &mut Screen) -> Result<Self> {
        Ok(Self { inputs: Inputs::read(common, screen)?, bootstrap })
    }

    fn view<'a>(&'a self, cluster: &'a Cluster, facts: &'a BTreeMap<String, Value>) -> View<'a> {
        View { inputs: &self.inputs, cluster, facts, bootstrap: self.bootstrap }
    }
}

impl Source for Configured {
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
        self.bootstrap
    }

    fn moved(&self, then: &Digests) -> Option<&'static str> {
        let now = &self.inputs.digests;
        let moved = [
            (then.config != now.config, "the install-config is not the one it was made from"),
            (then.assets != now.assets, "the assets are not the ones it was made from"),
            (then.stream != now.stream, "the RHCOS stream is not the one it was made from"),
        ];
        moved.into_iter().find(|(moved, _)| *moved).map(|(_, because)| because)
    }

    fn cluster(&self, known: Option<Cluster>) -> Result<Cluster> {
        cluster(&self.inputs, known)
    }

    fn settings(&self, cluster: &Cluster) -> Settings {
        aws_session::settings(&self.inputs.config, cluster)
    }

    fn remember(&self, facts: &BTreeMap<String, Value>) -> Result<Option<(String, Value)>> {
        remembered(&self.inputs, facts)?;
        let is_news = self.inputs.assets.cluster().is_some() && !facts.contains_key(ASSETS);
        Ok(is_news.then(|| (ASSETS.to_owned(), true.into())))
    }

    fn questions(&self, facts: &BTreeMap<String, Value>) -> Vec<Question> {
        questions(&self.inputs.config, facts, &self.inputs.options(self.bootstrap))
    }

    fn checks(&self, known: &BTreeMap<String, Value>, state: &State) -> Vec<Question> {
        validation::questions(&self.inputs.config, known, state)
    }

    fn compile(&self, learnt: &Learnt<'_>, screen: &mut Screen) -> Result<Compiled> {
        let Learnt { cluster, facts, answers, checked, state } = learnt;
        let view = self.view(cluster, facts);
        let flaws = validation::check(&self.inputs.config, &view.known(answers), checked, state);
        view.judge(answers, flaws, screen)
    }

    fn workers(&self, facts: &BTreeMap<String, Value>) -> Vec<Workers> {
        workers(&self.inputs.config, facts)
    }
}

/// Result of a compilation that records nothing.
pub(crate) struct Looked {
    pub(crate) inputs: Inputs,
    pub(crate) cluster: Cluster,
    /// Lookup results, recorded and new.
    pub(crate) facts: BTreeMap<String, Value>,
    pub(crate) compiled: Compiled,
}

/// Function that returns the identity of the cluster, given the recorded one if there is one.
pub(crate) type Identify<'a> = &'a dyn Fn(&Inputs, Option<Cluster>) -> Result<Cluster>;

/// Compiles without recording anything. Queries AWS only for lookups that the state lacks.
pub(crate) async fn look(
    common: &Common,
    bootstrap: bool,
    identify: Identify<'_>,
    screen: &mut Screen,
) -> Result<Looked> {
    let inputs = Inputs::read(common, screen)?;
    let state = glance(common, &inputs.config.name, screen).await?.unwrap_or_default();
    let cluster = identify(&inputs, state.cluster.clone())?;
    let view = View { inputs: &inputs, cluster: &cluster, facts: &state.facts, bootstrap };
    let unanswered = view.questions();
    let answers = if unanswered.is_empty() {
        Answers::default()
    } else {
        let reached = aws_session::connect(&inputs.config, &cluster, &state.facts, screen).await?;
        aws_session::answers(&reached.aws, unanswered).await
    };
    let compiled = view.judge(&answers, Vec::new(), screen)?;
    let facts = view.known(&answers);
    Ok(Looked { inputs, cluster, facts, compiled })
}

impl Looked {
    /// Returns the machine pools as the plan uses them.
    pub(crate) fn fleet(&self, screen: &mut Screen) -> Result<Fleet> {
        let options = self.inputs.options(true);
        match fleet(&self.inputs.config, &self.facts, &options) {
            Ok(fleet) => Ok(fleet),
            Err(errors) => Err(refused(&self.inputs, &errors, &[], screen)?),
        }
    }
}

/// Compiles for an existing cluster that has no recorded state, and returns the lookup results,
/// too. Checks for conflicts with existing resources are skipped.
pub(crate) async fn look_again(
    inputs: &Inputs,
    cluster: &Cluster,
    bootstrap: bool,
    aws: &Aws,
    screen: &mut Screen,
) -> Result<(Compiled, BTreeMap<String, Value>)> {
    let view = View { inputs, cluster, facts: &BTreeMap::new(), bootstrap };
    let learnt = aws_session::answers(aws, view.questions()).await;
    let compiled = view.judge(&learnt, Vec::new(), screen)?;
    Ok((compiled, learnt.given))
}

/// Key in the lookup cache that marks a cluster as created with assets.
pub(crate) const ASSETS: &str = "assets";

/// Rejects a run without assets if the cluster was created with assets. New machines would boot and
/// not find their cluster.
fn remembered(inputs: &Inputs, facts: &BTreeMap<String, Value>) -> Result<()> {
    if inputs.assets.cluster().is_some() || !facts.contains_key(ASSETS) {
        return Ok(());
    }
    let diagnostic =
        Diagnostic::error("this cluster was begun with assets, and none are given now")
            .with_hint("pass --assets with the folder that it was begun with");
    Err(Failure::new(Exit::Refused, diagnostic))
}

/// Returns the identity of the cluster: from the state, from the assets, or a new one.
pub(crate) fn cluster(inputs: &Inputs, known: Option<Cluster>) -> Result<Cluster> {
    Ok(known_cluster(inputs, known)?.unwrap_or_else(|| identify(&inputs.config)))
}

/// Returns the identity of the cluster from the state or the assets; `None` if both lack it.
pub(crate) fn known_cluster(inputs: &Inputs, known: Option<Cluster>) -> Result<Option<Cluster>> {
    if let Some(machines) = known.as_ref().filter(|known| known.is_of_machines()) {
        return Err(of_machines(machines));
    }
    let given = inputs.assets.cluster();
    if let (Some(known), Some(given)) = (&known, &given)
        && known != given
    {
        let diagnostic = Diagnostic::error("the assets are of another cluster than the state")
            .with_detail(format!("assets: {} ({})", given.infra_id, given.cluster_id))
            .with_detail(format!("state:  {} ({})", known.infra_id, known.cluster_id))
            .with_hint("give the assets that this cluster was begun with, or use another --state");
        return Err(Failure::new(Exit::Failed, diagnostic));
    }
    Ok(known.or(given))
}

/// Returns the error that the state contains machines of manifests. A plan of a cluster with that
/// state would delete the machines.
pub(crate) fn of_machines(machines: &Cluster) -> Failure {
    let Cluster { name, infra_id, .. } = machines;
    let summary = format!("`{name}` is the state of the machines of {infra_id}, and of no cluster");
    let diagnostic = Diagnostic::error(summary).with_hint(
        "give the cluster another metadata.name or another --state; `groundplan machines` plans and \
         destroys those machines",
    );
    Failure::new(Exit::Refused, diagnostic)
}

/// Inputs of a compilation.
struct View<'a> {
    inputs: &'a Inputs,
    cluster: &'a Cluster,
    /// Recorded lookup results.
    facts: &'a BTreeMap<String, Value>,
    bootstrap: bool,
}

impl View<'_> {
    /// Returns the lookups that are required and not recorded.
    fn questions(&self) -> Vec<Question> {
        let options = self.inputs.options(self.bootstrap);
        questions(&self.inputs.config, self.facts, &options)
    }

    fn known(&self, learnt: &Answers) -> BTreeMap<String, Value> {
        let mut known = self.facts.clone();
        known.extend(learnt.given.clone());
        known
    }

    /// Returns the graph. On failure, reports all causes: failed checks, compiler errors, failed
    /// lookups.
    fn judge(
        &self,
        learnt: &Answers,
        mut flaws: Vec<topology::Error>,
        screen: &mut Screen,
    ) -> Result<Compiled> {
        let (inputs, options) = (self.inputs, self.inputs.options(self.bootstrap));
        let known = self.known(learnt);
        let compiled = compile(&inputs.config, self.cluster, &known, &inputs.assets, &options);
        let compiled = match compiled {
            Ok(compiled) if flaws.is_empty() => return Ok(compiled),
            Ok(_) => Vec::new(),
            Err(errors) => errors,
        };
        let is_missing = |key: &String| learnt.missing.iter().any(|(one, _)| one.key() == *key);
        let told_below = |error: &topology::Error| matches!(error, topology::Error::Unanswered { question } if is_missing(question));
        flaws.extend(compiled.into_iter().filter(|error| !told_below(error)));
        Err(refused(inputs, &flaws, &learnt.missing, screen)?)
    }
}

/// Prints the errors that have a position in the install-config and returns the others for the
/// caller.
fn refused(
    inputs: &Inputs,
    flaws: &[topology::Error],
    missing: &[(Question, ProviderError)],
    screen: &mut Screen,
) -> Result<Failure> {
    let text = inputs.text.expose_secret();
    let mut findings: Vec<Finding> = flaws.iter().filter_map(|flaw| finding(flaw, text)).collect();
    findings.sort_by_key(|finding| finding.place.map(|place| place.start));
    screen.findings(&findings, &inputs.file, text)?;
    let nowhere = flaws.iter().filter(|flaw| flaw.field().is_none()).map(|flaw| {
        let summary = "could not compile the install-config";
        let diagnostic = Diagnostic::error(summary).with_detail(flaw.to_string());
        Diagnostic { hint: flaw.hint(), ..diagnostic }
    });
    let missing = missing
        .iter()
        .map(|(question, error)| Diagnostic::call_failed(&format!("find out {question}"), error));
    let diagnostics = nowhere.chain(missing).collect();
    let exit = if findings.is_empty() { Exit::Failed } else { Exit::ConfigInvalid };
    Ok(Failure { exit, diagnostics })
}

/// Returns an error as a finding at its field; `None` if the error has no field.
fn finding(flaw: &topology::Error, text: &str) -> Option<Finding> {
    let Located { path, place } = locate(text, &flaw.field()?);
    Some(Finding {
        rule: diagnostics::Rule::AtAws,
        path,
        place,
        message: flaw.to_string(),
        expected: flaw.expected(),
        hint: flaw.hint(),
    })
}
