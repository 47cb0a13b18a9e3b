//! AWS as commands reach for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::exit::Exit;
use super::failure::{Failure, Result};
use super::screen::Screen;
use crate::aws::{Aws, Caller, Settings, lookups};
use crate::config::InstallConfig;
use crate::provider::{ProviderError, all, patiently};
use crate::render::Diagnostic;
use crate::state::Cluster;
use crate::topology::{self, Question};

/// What the account that a cluster is in is recorded under.
pub(super) const ACCOUNT: &str = "account";

/// AWS, and whose it is.
pub(super) struct Reached {
    pub(super) aws: Arc<Aws>,
    pub(super) caller: Caller,
}

/// Connects as the config says.
pub(super) async fn connect(
    config: &InstallConfig,
    cluster: &Cluster,
    facts: &BTreeMap<String, Value>,
    screen: &mut Screen,
) -> Result<Reached> {
    reach(settings(config, cluster), facts, screen).await
}

/// How the config says that AWS is reached.
pub(super) fn settings(config: &InstallConfig, cluster: &Cluster) -> Settings {
    let endpoints = config.aws.service_endpoints.iter();
    Settings {
        region: config.aws.region.clone(),
        endpoints: endpoints.map(|one| (one.name.clone(), one.url.to_string())).collect(),
        cluster_tag: topology::cluster_tag_key(&cluster.infra_id),
        hosted_zone_role: config.aws.hosted_zone_role.clone(),
    }
}

/// How AWS is reached by what the state alone knows.
pub(super) fn settings_without_config(cluster: &Cluster) -> Settings {
    Settings {
        region: cluster.region.clone(),
        cluster_tag: topology::cluster_tag_key(&cluster.infra_id),
        ..Settings::default()
    }
}

/// Connects, and checks that AWS knows who we are and that the cluster is in this account: in another
/// one everything would seem to be gone.
pub(super) async fn reach(
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

/// What came of questions: answers by key, and why some have none.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) given: BTreeMap<String, Value>,
    pub(super) missing: Vec<(Question, ProviderError)>,
}

/// Asks all of them at once; that one has no answer keeps none from the others.
pub(super) async fn answers(aws: &Aws, questions: Vec<Question>) -> Answers {
    let ask = |question| patiently(move || lookups::answer(aws, question));
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
