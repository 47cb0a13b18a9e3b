//! What is wrong, by the answers.

use std::collections::{BTreeMap, BTreeSet};

use super::demands::Need;
use crate::provider::ProviderError;
use crate::render::Diagnostic;

/// An action that the caller may not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// `ec2:RunInstances`
    pub action: String,
    /// What it is needed for.
    pub what_for: String,
    /// What AWS says about it.
    pub why: Vec<String>,
}

impl Denied {
    /// Of a call that was rehearsed, AWS says why.
    pub fn rehearsed(action: &str, address: &str, error: &ProviderError) -> Self {
        let why = plain(&error.message);
        Self { action: action.to_owned(), what_for: address.to_owned(), why: vec![why] }
    }

    /// As people read it: what is denied, to whom, and what to grant.
    pub fn finding(&self, caller: &str) -> Diagnostic {
        let Self { action, what_for, why } = self;
        let mut finding = Diagnostic::error(format!("{action} is not allowed"))
            .with_detail(format!("needed for {what_for}"))
            .with_detail(format!("denied to {caller}"));
        finding.detail.extend(why.iter().filter(|line| !line.is_empty()).cloned());
        finding.with_hint(format!(
            "allow {action} to {caller}; where a policy allows it on conditions that only the real \
             call meets, pass --preflight=false"
        ))
    }
}

/// What EC2 says, without the encoded message behind it, which is hundreds of letters long.
fn plain(message: &str) -> String {
    let (said, _) =
        message.split_once("Encoded authorization failure message").unwrap_or((message, ""));
    said.trim().to_owned()
}

/// What the account has of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What is in use.
    pub in_use: u64,
    /// The limit.
    pub limit: u64,
}

/// Whether a need fits; the sum, where it does not.
pub fn quota(need: &Need, room: Room) -> Option<Diagnostic> {
    let Need { quota, amount, what_for, zone } = need;
    let Room { in_use, limit } = room;
    let over = (amount + in_use).checked_sub(limit).filter(|over| *over > 0)?;
    let (unit, (service, code)) = (quota.unit(*amount), quota.code());
    let place = if zone.is_empty() { String::new() } else { format!(" in {zone}") };
    let summary = format!("{amount} {unit} needed{place}, {in_use} in use, limit {limit}");
    let finding = Diagnostic::error(summary)
        .with_detail(format!("quota: {quota} ({service}, {code})"))
        .with_detail(format!("needed: {what_for}"))
        .with_detail(format!("too many: {over}"));
    Some(finding.with_hint("ask for more in Service Quotas, or remove what nobody needs"))
}

/// What the simulation says no to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denial {
    /// The resources, as ARNs, or `*`.
    pub on: BTreeSet<String>,
    /// Why, in words.
    pub why: BTreeSet<&'static str>,
}

/// What the simulation denies, but for what a rehearsal was allowed: that was the call itself.
pub fn simulated(
    denials: BTreeMap<String, Denial>,
    allowed: &BTreeSet<String>,
    found: &[Denied],
) -> Vec<Denied> {
    let known = |action: &String| {
        allowed.contains(action) || found.iter().any(|denied| denied.action == *action)
    };
    let open = denials.into_iter().filter(|(action, _)| !known(action));
    open.map(|(action, Denial { on, why })| {
        let everything = on.iter().all(|resource| resource == "*");
        let resources: Vec<String> = on.into_iter().collect();
        let what_for = if everything { "this plan".to_owned() } else { resources.join(", ") };
        Denied { action, what_for, why: why.into_iter().map(str::to_owned).collect() }
    })
    .collect()
}
