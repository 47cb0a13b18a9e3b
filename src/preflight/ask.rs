//! Asks AWS for all that [`super::judge`] judges, everything at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Report;
use super::demands::{self, Need, Site};
use super::judge::{self, Denied, Room};
use crate::aws::permissions::{self, Decision, Judgement};
use crate::aws::quotas::{self, Quota};
use crate::aws::rehearsal::{self, Subject, Verdict};
use crate::aws::{Aws, Caller};
use crate::provider::{ProviderError, all};
use crate::render::{Diagnostic, Severity};
use crate::topology::Workers;

/// After this nobody waits for what is only good to know. A standard cluster takes seconds.
const WITHIN: Duration = Duration::from_secs(60);

/// Finds out what would stop this plan. Nothing is asked about a plan that does nothing.
pub async fn preflight(
    aws: &Aws,
    caller: &Caller,
    partition: &str,
    site: &Site<'_>,
    workers: &[Workers],
) -> Report {
    if site.plan.is_empty() {
        return Report::default();
    }
    let looking = look(aws, caller, partition, site, workers);
    tokio::time::timeout(WITHIN, looking).await.unwrap_or_else(|_| {
        let note = format!("no preflight: AWS did not answer within {} seconds", WITHIN.as_secs());
        Report { notes: vec![Diagnostic::warning(note)], ..Report::default() }
    })
}

async fn look(
    aws: &Aws,
    caller: &Caller,
    partition: &str,
    site: &Site<'_>,
    workers: &[Workers],
) -> Report {
    let wanted = demands::permissions(site, &caller.account, partition);
    let (rehearsed, simulated, counted) = tokio::join!(
        rehearse(aws, demands::rehearsals(site)),
        simulate(aws, caller, &wanted),
        count(aws, site, workers),
    );
    let mut report = counted;
    let (mut denied, allowed) = (rehearsed.denied, rehearsed.allowed);
    report.notes.extend(rehearsed.note);
    match simulated {
        Ok(denials) => {
            let more = judge::simulated(&denials, &allowed, &denied);
            denied.extend(more);
        }
        Err(note) => report.notes.push(note),
    }
    let findings = denied.iter().map(|denied| denied.finding(&caller.arn));
    report.findings.splice(0..0, findings);
    report
}

#[derive(Default)]
struct Rehearsed {
    allowed: BTreeSet<String>,
    denied: Vec<Denied>,
    note: Option<Diagnostic>,
}

async fn rehearse(aws: &Aws, calls: BTreeMap<&'static str, Subject>) -> Rehearsed {
    let mut rehearsed = Rehearsed::default();
    if calls.is_empty() {
        return rehearsed;
    }
    if !rehearsal::honours(aws).await {
        let note = "nothing was rehearsed: this endpoint does not answer as EC2 does to DryRun";
        rehearsed.note = Some(Diagnostic::warning(note));
        return rehearsed;
    }
    let asked = calls.iter().map(|(action, subject)| rehearsal::rehearse(aws, action, subject));
    let verdicts = all(asked.collect()).await;
    for ((action, subject), verdict) in calls.iter().zip(verdicts) {
        match verdict {
            Verdict::Allowed => {
                rehearsed.allowed.insert((*action).to_owned());
            }
            Verdict::Denied(error) => {
                rehearsed.denied.push(Denied::rehearsed(action, &subject.address, &error));
            }
            Verdict::Unclear => {}
        }
    }
    rehearsed
}

/// The actions that IAM says no to, with what they are denied on.
async fn simulate(
    aws: &Aws,
    caller: &Caller,
    wanted: &BTreeMap<String, BTreeSet<String>>,
) -> Result<BTreeMap<String, BTreeSet<String>>, Diagnostic> {
    let unasked = |error: &ProviderError| {
        unknown("simulate the caller's policies", error, "allow iam:SimulatePrincipalPolicy")
    };
    let principal = permissions::principal(aws, caller).await.map_err(|error| unasked(&error))?;
    // The account's root, for one, has no policies, and may do everything.
    let Some(principal) = principal else { return Ok(BTreeMap::new()) };
    // One question for all actions that are taken on the same resources.
    let mut together: BTreeMap<&BTreeSet<String>, BTreeSet<String>> = BTreeMap::new();
    for (action, resources) in wanted {
        together.entry(resources).or_default().insert(action.clone());
    }
    let asked = together
        .iter()
        .map(|(resources, actions)| permissions::simulate(aws, &principal, actions, resources));
    let mut denials: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for judgements in all(asked.collect()).await {
        let judgements = judgements.map_err(|error| unasked(&error))?;
        let no =
            |one: &Judgement| matches!(one.decision, Decision::Forbidden | Decision::NotAllowed);
        for Judgement { action, resource, .. } in judgements.into_iter().filter(no) {
            denials.entry(action).or_default().insert(resource);
        }
    }
    Ok(denials)
}

async fn count(aws: &Aws, site: &Site<'_>, workers: &[Workers]) -> Report {
    let mut report = Report::default();
    let types = demands::instance_types(site, workers);
    let vcpus = match quotas::vcpus(aws, &types).await {
        Ok(vcpus) => vcpus,
        Err(error) => {
            let allow = "allow ec2:DescribeInstanceTypes";
            report.notes.push(unknown("find out the sizes of instance types", &error, allow));
            BTreeMap::new()
        }
    };
    let needs = demands::needs(site, workers, &vcpus);
    let asked: BTreeSet<Quota> = needs.iter().map(|need| need.quota).collect();
    let rooms = all(asked.iter().map(|quota| room(aws, *quota)).collect()).await;
    let rooms: BTreeMap<Quota, _> = asked.into_iter().zip(rooms).collect();
    let mut unasked = Vec::new();
    for need in &needs {
        match &rooms[&need.quota] {
            Ok(room) => report.findings.extend(judged(need, room)),
            Err(error) => unasked.push((need.quota, error)),
        }
    }
    // One note for all: they are denied together, as a rule.
    if let Some((_, error)) = unasked.first() {
        let allow = "allow servicequotas:GetServiceQuota and \
                     servicequotas:GetAWSDefaultServiceQuota";
        let names: BTreeSet<String> = unasked.iter().map(|(quota, _)| quota.to_string()).collect();
        let mut note = unknown("check quotas", error, allow);
        note.detail.extend(names.into_iter().map(|name| format!("not checked: {name}")));
        report.notes.push(note);
    }
    report
}

/// A limit, where AWS tells one, and what is in use of it, by zone.
struct Counted {
    limit: Option<u64>,
    in_use: BTreeMap<String, u64>,
}

async fn room(aws: &Aws, quota: Quota) -> Result<Counted, ProviderError> {
    let (limit, in_use) = tokio::join!(quotas::limit(aws, quota), quotas::in_use(aws, quota));
    Ok(Counted { limit: limit?, in_use: in_use? })
}

fn judged(need: &Need, counted: &Counted) -> Option<Diagnostic> {
    let in_use = counted.in_use.get(&need.zone).copied().unwrap_or_default();
    judge::quota(need, Room { in_use, limit: counted.limit? })
}

/// What could not be found out is a note, and nothing stops for it.
fn unknown(attempt: &str, error: &ProviderError, allow: &str) -> Diagnostic {
    let mut note = Diagnostic::call_failed(attempt, error);
    note.severity = Severity::Warning;
    note.hint = Some(format!("{allow}, and this is checked before anything is made"));
    note
}
