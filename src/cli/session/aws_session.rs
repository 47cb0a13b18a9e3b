//! AWS clients and lookups of commands.

use std::collections::BTreeMap;
use std::sync::Arc;

use groundplan_aws::lookups::queries;
use groundplan_aws::{Aws, Caller, Settings};
use groundplan_engine::provider::{ProviderError, all, patiently};
use groundplan_engine::state::Cluster;
use groundplan_openshift::install_config::InstallConfig;
use groundplan_openshift::topology::{self, Question};
use serde_json::Value;

use crate::cli::output::command_error::{Failure, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::render::Diagnostic;

/// Key of the cluster's AWS account in the lookup cache.
pub(crate) const ACCOUNT: &str = "account";

/// AWS client and the identity of its credentials.
pub(crate) struct Reached {
    pub(crate) aws: Arc<Aws>,
    pub(crate) caller: Caller,
}

/// Connects with the settings of the install-config.
pub(crate) async fn connect(
    config: &InstallConfig,
    cluster: &Cluster,
    facts: &BTreeMap<String, Value>,
    screen: &mut Screen,
) -> Result<Reached> {
    reach(settings(config, cluster), facts, screen).await
}

/// Returns the AWS settings of the install-config.
pub(crate) fn settings(config: &InstallConfig, cluster: &Cluster) -> Settings {
    let endpoints = config.aws.service_endpoints.iter();
    Settings {
        region: config.aws.region.clone(),
        endpoints: endpoints.map(|one| (one.name.clone(), one.url.to_string())).collect(),
        cluster_tag: topology::cluster_tag_key(&cluster.infra_id),
        hosted_zone_role: config.aws.hosted_zone_role.clone(),
    }
}

/// Returns the AWS settings of a recorded cluster, for commands without an install-config.
pub(crate) fn settings_without_config(cluster: &Cluster) -> Settings {
    Settings {
        region: cluster.region.clone(),
        cluster_tag: topology::cluster_tag_key(&cluster.infra_id),
        ..Settings::default()
    }
}

/// Connects to AWS and verifies the credentials.
///
/// Returns an error if the credentials belong to another account than the cluster. In another
/// account, a refresh would report all resources as deleted.
pub(crate) async fn reach(
    settings: Settings,
    facts: &BTreeMap<String, Value>,
    screen: &mut Screen,
) -> Result<Reached> {
    let aws = Arc::new(Aws::connect(settings).await);
    screen.count_calls_of(&aws);
    let caller = aws.check().await.map_err(|error| unreachable_aws(&error))?;
    match facts.get(ACCOUNT).and_then(Value::as_str) {
        Some(known) if known != caller.account => Err(another_account(known, &caller.account)),
        _ => Ok(Reached { aws, caller }),
    }
}

fn another_account(known: &str, account: &str) -> Failure {
    let diagnostic = Diagnostic::error(format!(
        "the credentials are of account {account}, and the cluster is in account {known}"
    ))
    .with_hint("choose the cluster's credentials (AWS_PROFILE), or another --state");
    Failure::new(Exit::Failed, diagnostic)
}

fn unreachable_aws(error: &ProviderError) -> Failure {
    Failure::new(Exit::Failed, Diagnostic::call_failed("reach AWS", error))
}

/// Results of lookups by key, and the lookups that failed.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) given: BTreeMap<String, Value>,
    pub(crate) missing: Vec<(Question, ProviderError)>,
}

/// Runs all lookups concurrently. The failure of one lookup does not affect the others.
pub(crate) async fn answers(aws: &Aws, questions: Vec<Question>) -> Answers {
    let ask = |question| patiently(move || queries::answer(aws, question));
    let asked = all(questions.iter().map(ask).collect()).await;
    let mut answers = Answers::default();
    for (question, answer) in questions.into_iter().zip(asked) {
        match answer {
            Ok(answer) => {
                answers.given.insert(question.key(), answer);
            }
            Err(error) => answers.missing.push((question, error)),
        }
    }
    answers
}
