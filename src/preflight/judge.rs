//! Derives findings from AWS's results.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_engine::provider::ProviderError;

use super::demands::QuotaRequirement;
use crate::render::{Code, Diagnostic};

/// API action that IAM denies to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeniedAction {
    /// Action, such as `ec2:RunInstances`.
    pub action: String,
    /// Resource or plan that needs the action.
    pub what_for: String,
    /// Reasons that AWS reports.
    pub why: Vec<String>,
}

impl DeniedAction {
    /// Returns the denial of a dry run, with AWS's message as the reason.
    pub fn rehearsed(action: &str, address: &str, error: &ProviderError) -> Self {
        let why = plain(&error.message);
        Self { action: action.to_owned(), what_for: address.to_owned(), why: vec![why] }
    }

    /// Returns an error for people with the action, the caller and the permission to grant.
    pub fn finding(&self, caller: &str) -> Diagnostic {
        let Self { action, what_for, why } = self;
        let mut finding = Diagnostic::error(Code::CallDenied, format!("{action} is not allowed"))
            .with_detail(format!("needed for {what_for}"))
            .with_detail(format!("denied to {caller}"));
        finding.detail.extend(why.iter().filter(|line| !line.is_empty()).cloned());
        let allow = format!(
            "allow {action} for {caller}, or pass --preflight=false if the policy has conditions \
             that only the real call meets"
        );
        finding.with_hint(match action.as_str() {
            "iam:CreateRole" => format!(
                "{allow}; if the account demands a permissions boundary, set \
                 `platform.aws.permissionsBoundary`"
            ),
            _ => allow,
        })
    }
}

/// Returns an error about a dry run that the endpoint executed. `made` has the IDs of the objects that
/// carry the resource's address as their token.
pub fn executed(
    action: &str,
    address: &str,
    made: &Result<Vec<String>, ProviderError>,
) -> Diagnostic {
    let made = match made {
        Ok(ids) if ids.is_empty() => "no object with the tag of a dry run was found".to_owned(),
        Ok(ids) => format!("created by dry runs: {}", ids.join(", ")),
        Err(error) => format!("the objects of dry runs could not be listed: {error}"),
    };
    Diagnostic::error(
        Code::DryRunExecuted,
        format!("the endpoint executed a dry run of {action} for {address}"),
    )
    .with_detail("it ignores DryRun, which AWS does not; it is probably an emulator")
    .with_detail(made)
    .with_hint(
        "delete what the dry run created or changed, and pass --preflight=false for this \
             endpoint",
    )
}

/// Returns EC2's message without the encoded authorization failure, which has hundreds of
/// characters.
fn plain(message: &str) -> String {
    let (said, _) =
        message.split_once("Encoded authorization failure message").unwrap_or((message, ""));
    said.trim().to_owned()
}

/// Use and limit of a quota in the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaUse {
    /// Amount in use.
    pub in_use: u64,
    /// Limit of the account.
    pub limit: u64,
}

/// Returns an error with the sum if the need exceeds the quota; `None` if the need fits.
pub fn quota(need: &QuotaRequirement, room: QuotaUse) -> Option<Diagnostic> {
    let QuotaRequirement { quota, amount, what_for, zone } = need;
    let QuotaUse { in_use, limit } = room;
    let over = (amount + in_use).checked_sub(limit).filter(|over| *over > 0)?;
    let (unit, (service, code)) = (quota.unit(*amount), quota.code());
    let place = if zone.is_empty() { String::new() } else { format!(" in {zone}") };
    let summary = format!("{amount} {unit} needed{place}, {in_use} in use, limit {limit}");
    let finding = Diagnostic::error(Code::QuotaExceeded, summary)
        .with_detail(format!("quota: {quota} ({service}, {code})"))
        .with_detail(format!("needed for {what_for}"))
        .with_detail(format!("{over} over the limit"));
    Some(finding.with_hint(format!(
        "delete unused resources, or request a higher quota: aws service-quotas \
         request-service-quota-increase --service-code {service} --quota-code {code} \
         --desired-value {}",
        amount + in_use
    )))
}

/// Denial of an action by the IAM policy simulation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimulatedDenial {
    /// ARNs of the denied resources, or `*`.
    pub on: BTreeSet<String>,
    /// Reasons in words.
    pub why: BTreeSet<&'static str>,
}

/// Returns the actions that the simulation denies, without those that a dry run has decided.
///
/// A dry run is the real call, so its result overrides the simulation.
pub fn simulated(
    denials: BTreeMap<String, SimulatedDenial>,
    allowed: &BTreeSet<String>,
    found: &[DeniedAction],
) -> Vec<DeniedAction> {
    let known = |action: &String| {
        allowed.contains(action) || found.iter().any(|denied| denied.action == *action)
    };
    let open = denials.into_iter().filter(|(action, _)| !known(action));
    open.map(|(action, SimulatedDenial { on, why })| {
        let everything = on.iter().all(|resource| resource == "*");
        let resources: Vec<String> = on.into_iter().collect();
        let what_for = if everything { "this plan".to_owned() } else { resources.join(", ") };
        DeniedAction { action, what_for, why: why.into_iter().map(str::to_owned).collect() }
    })
    .collect()
}
