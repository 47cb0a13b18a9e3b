//! AWS clients and lookups of commands.

use std::collections::BTreeMap;
use std::sync::Arc;

use groundplan_aws::kinds::shared_tags::SharedTags;
use groundplan_aws::lookups::queries;
use groundplan_aws::model::cluster_tag_key;
use groundplan_aws::{Aws, AwsSettings, Caller, HostedZoneRole, fails_every_call};
use groundplan_engine::graph::Resource;
use groundplan_engine::provider::{ProviderError, all, retry_reads};
use groundplan_engine::state::fence::Fence;
use groundplan_engine::state::{Cluster, State};
use groundplan_openshift::install_config::InstallConfig;
use groundplan_openshift::topology::Lookup;
use serde_json::Value;

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::stages::Approval;
use crate::render::plan::Identity;
use crate::render::{Code, Diagnostic};

/// AWS clients and the identity of their credentials. The clients are read-only.
pub(crate) struct AwsSession {
    aws: Arc<Aws>,
    caller: Caller,
}

impl AwsSession {
    pub(crate) fn aws(&self) -> &Aws {
        &self.aws
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Returns the account and the user of the credentials, for readers.
    pub(crate) fn identity(&self) -> Identity<'_> {
        Identity { account: &self.caller.account, arn: &self.caller.arn }
    }

    /// Returns the clients, which from now on send the mutating calls that the fence passes.
    pub(super) fn enable_changes(self, _: Approval, fence: Fence) -> Arc<Aws> {
        self.aws.guard(fence);
        self.aws
    }
}

/// Connects with the settings of the install-config.
pub(crate) async fn connect(
    config: &InstallConfig,
    cluster: &Cluster,
    recorded_account: Option<&str>,
    ui: &mut Ui,
) -> Result<AwsSession> {
    reach(settings(config, cluster), recorded_account, ui).await
}

/// Returns the AWS settings of the install-config.
pub(crate) fn settings(config: &InstallConfig, cluster: &Cluster) -> AwsSettings {
    let endpoints = config.aws.service_endpoints.iter();
    AwsSettings {
        region: config.aws.region.clone(),
        endpoints: endpoints.map(|one| (one.name.clone(), one.url.to_string())).collect(),
        cluster_tag: cluster_tag_key(&cluster.infra_id),
        hosted_zone_role: hosted_zone_role(config),
    }
}

/// Returns the role for the hosted zone that the install-config names.
fn hosted_zone_role(config: &InstallConfig) -> Option<HostedZoneRole> {
    let (arn, zone) = config.aws.hosted_zone_role.clone().zip(config.aws.hosted_zone.clone())?;
    Some(HostedZoneRole { arn, zone: zone.0 })
}

/// Returns the recorded role for the hosted zone, for commands without an install-config.
pub(crate) fn recorded_hosted_zone_role(state: &State) -> Option<HostedZoneRole> {
    let tags = state.resources.iter().filter(|(one, _)| one.kind() == SharedTags::SCHEMA.kind);
    let mut roles = tags.filter_map(|(_, record)| {
        let text = |name: &str| record.inputs[name].as_str().map(str::to_owned);
        Some(HostedZoneRole { arn: text("hosted_zone_role")?, zone: text("hosted_zone")? })
    });
    roles.next()
}

/// Returns the AWS settings of a recorded cluster, for commands without an install-config.
pub(crate) fn settings_without_config(cluster: &Cluster) -> AwsSettings {
    AwsSettings {
        region: cluster.region.clone(),
        cluster_tag: cluster_tag_key(&cluster.infra_id),
        ..AwsSettings::default()
    }
}

/// Connects to AWS, read-only, and verifies the credentials.
///
/// Returns an error if the credentials belong to another account than the cluster. In another
/// account, a refresh would report all resources as deleted.
pub(crate) async fn reach(
    settings: AwsSettings,
    recorded_account: Option<&str>,
    ui: &mut Ui,
) -> Result<AwsSession> {
    let aws = Arc::new(Aws::connect(settings).await);
    ui.count_calls_of(&aws);
    let caller = aws.check().await.map_err(|error| unreachable_aws(&error))?;
    match recorded_account {
        Some(known) if known != caller.account => Err(another_account(known, &caller.account)),
        _ => Ok(AwsSession { aws, caller }),
    }
}

fn another_account(known: &str, account: &str) -> CommandError {
    let diagnostic = Diagnostic::error(
        Code::AccountMismatch,
        format!(
            "the credentials belong to account {account}, but the cluster is in account {known}"
        ),
    )
    .with_hint("use credentials of the cluster's account (AWS_PROFILE), or another --state");
    CommandError::new(Exit::Failed, diagnostic)
}

pub(super) fn unreachable_aws(error: &ProviderError) -> CommandError {
    CommandError::new(Exit::Failed, Diagnostic::call_failed("reach AWS", error))
}

/// Results of lookups by key, and the lookups that failed.
#[derive(Debug, Default)]
pub(crate) struct LookupResults {
    pub(crate) given: BTreeMap<String, Value>,
    pub(crate) missing: Vec<(Lookup, ProviderError)>,
}

/// Runs all lookups concurrently. The failure of one lookup does not affect the others.
///
/// # Errors
/// If a lookup fails with an error that every call fails with, such as expired credentials.
pub(crate) async fn answers(aws: &Aws, lookups: Vec<Lookup>) -> Result<LookupResults> {
    let ask = |lookup| retry_reads(move || queries::answer(aws, lookup));
    let asked = all(lookups.iter().map(ask).collect()).await;
    let mut answers = LookupResults::default();
    for (lookup, answer) in lookups.into_iter().zip(asked) {
        match answer {
            Ok(answer) => {
                answers.given.insert(lookup.key(), answer);
            }
            Err(error) if fails_every_call(&error) => return Err(unreachable_aws(&error)),
            Err(error) => answers.missing.push((lookup, error)),
        }
    }
    Ok(answers)
}

/// Returns one error for each failure of lookups. Lookups that failed in the same call with the same
/// code and message are one failure.
pub(crate) fn failed_lookups<'a>(
    attempt: &str,
    missing: impl IntoIterator<Item = &'a (Lookup, ProviderError)>,
) -> Vec<Diagnostic> {
    let mut failures: Vec<(Vec<String>, &ProviderError)> = Vec::new();
    for (lookup, error) in missing {
        match failures.iter_mut().find(|(_, known)| is_same(known, error)) {
            Some((lookups, _)) => lookups.push(lookup.to_string()),
            None => failures.push((vec![lookup.to_string()], error)),
        }
    }
    let told = failures.into_iter().map(|(lookups, error)| {
        Diagnostic::call_failed(&format!("{attempt} {}", lookups.join("; ")), error)
    });
    told.collect()
}

/// Returns true if two errors are of the same call, with the same code and message.
pub(crate) fn is_same(one: &ProviderError, other: &ProviderError) -> bool {
    let said =
        |error: &ProviderError| (error.call.clone(), error.code.clone(), error.message.clone());
    said(one) == said(other)
}

#[cfg(test)]
mod tests {
    use groundplan_engine::provider::ErrorClass;

    use super::*;

    fn denied(call: &str, request_id: &str) -> ProviderError {
        let error = ProviderError::new(ErrorClass::Permanent, call, "not authorized")
            .with_code("UnauthorizedOperation");
        ProviderError { request_id: Some(request_id.to_owned()), ..error }
    }

    #[test]
    fn one_denied_call_is_one_error_and_others_stay_apart() {
        let region = "us-west-2".to_owned();
        let offerings = |name: &str| Lookup::InstanceTypeOfferings {
            region: region.clone(),
            types: vec![name.to_owned()],
        };
        let missing = [
            (offerings("m5.xlarge"), denied("DescribeInstanceTypeOfferings", "r-1")),
            (Lookup::KeyPairs { region: region.clone() }, denied("DescribeKeyPairs", "r-2")),
            (offerings("r5.xlarge"), denied("DescribeInstanceTypeOfferings", "r-3")),
        ];
        let told = failed_lookups("look up", &missing);
        let summaries: Vec<&str> = told.iter().map(|one| one.summary.as_str()).collect();
        assert_eq!(
            summaries,
            [
                "could not look up the zones that have the instance types m5.xlarge; the zones that \
                 have the instance types r5.xlarge",
                "could not look up the key pairs of us-west-2"
            ]
        );
    }
}
