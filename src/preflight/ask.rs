//! Runs all checks against AWS concurrently and passes the results to [`super::judge`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use groundplan_aws::imds_audit::{Window, uses};
use groundplan_aws::model::ids::PolicyArn;
use groundplan_aws::model::quota::Quota;
use groundplan_aws::preflight::account_settings as settings;
use groundplan_aws::preflight::dry_run::{self, DryRunResult, DryRunTarget};
use groundplan_aws::preflight::policy_simulator::{self, SimulatedAction, SimulationResult};
use groundplan_aws::preflight::quotas;
use groundplan_aws::{Aws, Caller};
use groundplan_engine::provider::{ProviderError, all};
use groundplan_openshift::topology::Workers;
use jiff::Timestamp;
use tokio::time::timeout;

use super::PreflightReport;
use super::account::{self, AccountLayers};
use super::demands::{self, PreflightInputs, QuotaRequirement};
use super::imds_gate;
use super::judge::{self, DeniedAction, QuotaUse, SimulatedDenial};
use crate::render::{Code, Diagnostic, DiagnosticSeverity};

/// Maximum time of each part of the preflight, because its results are optional. Each part takes a
/// second or two. An unreachable endpoint must not delay the other parts.
const WITHIN: Duration = Duration::from_secs(30);

/// Checks permissions and quotas for this plan. An empty plan makes no calls.
pub async fn preflight(
    aws: &Aws,
    caller: &Caller,
    partition: &str,
    site: &PreflightInputs<'_>,
    workers: &[Workers],
) -> PreflightReport {
    if site.plan.is_empty() {
        return PreflightReport::default();
    }
    let mut wanted = demands::permissions(site, &caller.account, partition);
    if let Some(role) = &aws.settings().hosted_zone_role {
        demands::leave_to_role(&mut wanted, &role.zone);
    }
    let (rehearsed, denials, counted, settings) = tokio::join!(
        timeout(WITHIN, dry_runs(aws, demands::rehearsals(site))),
        timeout(WITHIN, simulate(aws, caller, &wanted, demands::boundary(site))),
        timeout(WITHIN, count(aws, site, workers)),
        timeout(WITHIN, account_settings(aws, site, workers)),
    );
    let mut report = counted.unwrap_or_else(|_| not_checked_note("quotas").into());
    let settings = settings.unwrap_or_else(|_| not_checked_note("settings of the account").into());
    report.findings.extend(settings.findings);
    report.notes.extend(settings.notes);
    report.decided = settings.decided;
    let rehearsed = rehearsed.unwrap_or_else(|_| not_checked_note("dry runs").into());
    let denials = denials.unwrap_or_else(|_| Err(not_checked_note("the policy simulation")));
    let DryRunReport { allowed, mut denied, executed, note } = rehearsed;
    report.notes.extend(note);
    report.findings.extend(executed);
    match denials {
        Ok(denials) => denied.extend(judge::simulated(denials, &allowed, &denied)),
        Err(note) => report.notes.push(note),
    }
    let findings = denied.iter().map(|denied| denied.finding(&caller.arn));
    report.findings.splice(0..0, findings);
    report
}

/// Checks the use of IMDSv1 on the machines whose tokens the plan makes required. Other plans make no
/// calls.
pub async fn gate(
    aws: &Aws,
    site: &PreflightInputs<'_>,
    accepted: &[String],
    days: u32,
) -> PreflightReport {
    let flips = imds_gate::flips(site.plan, site.state);
    if flips.is_empty() {
        return PreflightReport::default();
    }
    let ids: Vec<String> = flips.iter().map(|flip| flip.id.clone()).collect();
    let window = Window::of_days(days, Timestamp::now().as_second());
    match timeout(WITHIN, uses(aws, &ids, window)).await {
        Ok(uses) => imds_gate::judge(&flips, &uses, accepted, days),
        Err(_) => not_checked_note("the use of IMDSv1").into(),
    }
}

fn not_checked_note(what: &str) -> Diagnostic {
    let seconds = WITHIN.as_secs();
    Diagnostic::warning(
        Code::PreflightIncomplete,
        format!("no result of {what} within {seconds} seconds"),
    )
    .with_hint("pass --preflight=false to skip this check")
}

impl From<Diagnostic> for PreflightReport {
    fn from(note: Diagnostic) -> Self {
        Self { notes: vec![note], ..Self::default() }
    }
}

impl From<Diagnostic> for DryRunReport {
    fn from(note: Diagnostic) -> Self {
        Self { note: Some(note), ..Self::default() }
    }
}

#[derive(Default)]
struct DryRunReport {
    allowed: BTreeSet<String>,
    denied: Vec<DeniedAction>,
    /// Findings about calls that the endpoint executed.
    executed: Vec<Diagnostic>,
    note: Option<Diagnostic>,
}

async fn dry_runs(aws: &Aws, calls: BTreeMap<&'static str, DryRunTarget>) -> DryRunReport {
    let mut rehearsed = DryRunReport::default();
    if calls.is_empty() {
        return rehearsed;
    }
    if !dry_run::supports_dry_run(aws).await {
        let note = "no dry runs were made: this endpoint does not support DryRun";
        rehearsed.note = Some(Diagnostic::warning(Code::PreflightIncomplete, note));
        return rehearsed;
    }
    // Calls go one by one until one proves that the endpoint obeys `DryRun`. Another endpoint then
    // executes one call only.
    let calls = in_order(&calls);
    let mut verdicts = Vec::with_capacity(calls.len());
    for (action, about) in &calls {
        verdicts.push(dry_run::dry_run(aws, action, about).await);
        if verdicts.last() != Some(&DryRunResult::Unclear) || verdicts.len() == FREE.len() {
            break;
        }
    }
    if verdicts.last() != Some(&DryRunResult::Executed) {
        let rest = calls.iter().skip(verdicts.len());
        let asked = rest.map(|(action, about)| dry_run::dry_run(aws, action, about));
        verdicts.extend(all(asked.collect()).await);
    }
    for ((action, subject), verdict) in calls.iter().zip(verdicts) {
        match verdict {
            DryRunResult::Allowed => {
                rehearsed.allowed.insert((*action).to_owned());
            }
            DryRunResult::Denied(error) => {
                rehearsed.denied.push(DeniedAction::rehearsed(action, &subject.address, &error));
            }
            DryRunResult::Unclear => {}
            DryRunResult::Executed => {
                let made = dry_run::created_by_dry_runs(aws, &subject.address).await;
                rehearsed.executed.push(judge::executed(action, &subject.address, &made));
            }
        }
    }
    rehearsed
}

/// Dry run of an action about a resource.
type DryRun<'a> = (&'static str, &'a DryRunTarget);

/// Creations that cost nothing and whose objects can be deleted at once.
const FREE: [&str; 3] = ["ec2:CreateVpc", "ec2:CreateDhcpOptions", "ec2:CreateSecurityGroup"];

/// Returns the dry runs, those of free creations first.
fn in_order<'a>(calls: &'a BTreeMap<&'static str, DryRunTarget>) -> Vec<DryRun<'a>> {
    let mut all: Vec<DryRun<'a>> = calls.iter().map(|(action, about)| (*action, about)).collect();
    all.sort_by_key(|(action, _)| FREE.iter().position(|one| one == action).unwrap_or(FREE.len()));
    all
}

/// Returns the actions that IAM denies, with their resources and reasons.
async fn simulate(
    aws: &Aws,
    caller: &Caller,
    wanted: &BTreeMap<String, BTreeSet<String>>,
    boundary: Option<PolicyArn>,
) -> Result<BTreeMap<String, SimulatedDenial>, Diagnostic> {
    let unasked = |error: &ProviderError| {
        unknown("simulate the caller's policies", error, "allow iam:SimulatePrincipalPolicy")
    };
    let principal =
        policy_simulator::principal(aws, caller).await.map_err(|error| unasked(&error))?;
    // `None`: for example the account root user, who has no policies and may do everything.
    let Some(principal) = principal else { return Ok(BTreeMap::new()) };
    // One simulation call for all actions on the same resources.
    let mut together: BTreeMap<&BTreeSet<String>, BTreeSet<String>> = BTreeMap::new();
    for (action, resources) in wanted {
        together.entry(resources).or_default().insert(action.clone());
    }
    let asked = together.iter().map(|(resources, actions)| {
        policy_simulator::simulate(aws, &principal, actions, resources, boundary.as_ref())
    });
    let mut denials: BTreeMap<String, SimulatedDenial> = BTreeMap::new();
    for judgements in all(asked.collect()).await {
        for judgement in judgements.map_err(|error| unasked(&error))? {
            let Some(why) = refusal(&judgement) else { continue };
            let denial = denials.entry(judgement.action).or_default();
            denial.on.insert(judgement.resource);
            denial.why.insert(why);
        }
    }
    Ok(denials)
}

/// Returns the reason of a denial; `None` if IAM allows the action or the result is conditional.
fn refusal(judgement: &SimulatedAction) -> Option<&'static str> {
    match judgement.decision {
        SimulationResult::Allowed | SimulationResult::Depends => None,
        _ if judgement.by_organization => Some("the organization's policies do not allow it"),
        SimulationResult::Forbidden => Some("a policy of the caller's forbids it"),
        SimulationResult::NotAllowed => Some("no policy of the caller's allows it"),
    }
}

async fn count(aws: &Aws, site: &PreflightInputs<'_>, workers: &[Workers]) -> PreflightReport {
    let mut report = PreflightReport::default();
    let types = demands::instance_types(site, workers);
    let vcpus = match quotas::vcpus(aws, &types).await {
        Ok(vcpus) => vcpus,
        Err(error) => {
            let allow = "allow ec2:DescribeInstanceTypes";
            report.notes.push(unknown("look up instance types", &error, allow));
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
            Ok(room) => report.findings.extend(check_quota(need, room)),
            Err(error) => unasked.push((need.quota, error)),
        }
    }
    // One note for all quotas, because IAM usually denies all of these queries.
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

/// Checks the settings of the account for the machines of the plan.
async fn account_settings(
    aws: &Aws,
    site: &PreflightInputs<'_>,
    workers: &[Workers],
) -> PreflightReport {
    let mut report = PreflightReport::default();
    let region = site.state.cluster.as_ref().map_or("the region", |cluster| &cluster.region);
    let launches = demands::launches(site, workers);
    let access = demands::internet_access(site);
    if launches.is_empty() && access.is_none() {
        return report;
    }
    let judged = launches.iter().filter(|launch| launch.depends_on_account());
    let silent = launches.iter().filter(|launch| launch.depends_on_image());
    let images: BTreeSet<String> = silent.filter_map(|launch| launch.image.clone()).collect();
    let (defaults, images, block) = tokio::join!(
        asked(judged.count() > 0, settings::metadata_defaults(aws)),
        asked(!images.is_empty(), settings::imds_support(aws, &images)),
        asked(access.is_some(), settings::public_access_block(aws)),
    );
    let mut keep = |attempt: &str, error: &ProviderError, action: &str| {
        report.notes.push(unknown(attempt, error, &format!("allow {action}")));
    };
    // Without the image, its opinion is unknown, and unknown refuses nothing.
    let images = images.unwrap_or_else(|error| {
        keep("read the image", &error, "ec2:DescribeImages");
        None
    });
    let defaults = defaults.unwrap_or_else(|error| {
        let what = "read the account's defaults for the metadata service";
        keep(what, &error, "ec2:GetInstanceMetadataDefaults");
        None
    });
    let block = block.unwrap_or_else(|error| {
        let what = "read VPC Block Public Access";
        keep(what, &error, "ec2:DescribeVpcBlockPublicAccessOptions");
        None
    });
    if let Some(defaults) = &defaults {
        let images = &images.unwrap_or_default();
        let layers = AccountLayers { defaults, images };
        report.findings.extend(account::metadata(&launches, layers, region));
        report.decided = account::decided(&launches, layers);
    }
    let blocked = access.zip(block.flatten());
    let blocked = blocked.and_then(|(access, block)| account::internet(access, block, region));
    match blocked {
        Some(finding) if finding.severity == DiagnosticSeverity::Error => {
            report.findings.push(finding);
        }
        note => report.notes.extend(note),
    }
    report
}

/// Returns the result of a query; `None` if the plan does not need it.
async fn asked<T>(
    is_needed: bool,
    query: impl Future<Output = Result<T, ProviderError>>,
) -> Result<Option<T>, ProviderError> {
    if is_needed { query.await.map(Some) } else { Ok(None) }
}

/// Limit of a quota, if AWS reports one, and the amount in use by zone.
struct QuotaCounts {
    limit: Option<u64>,
    in_use: BTreeMap<String, u64>,
}

async fn room(aws: &Aws, quota: Quota) -> Result<QuotaCounts, ProviderError> {
    let (limit, in_use) = tokio::join!(quotas::limit(aws, quota), quotas::in_use(aws, quota));
    Ok(QuotaCounts { limit: limit?, in_use: in_use? })
}

fn check_quota(need: &QuotaRequirement, counted: &QuotaCounts) -> Option<Diagnostic> {
    let in_use = counted.in_use.get(&need.zone).copied().unwrap_or_default();
    judge::quota(need, QuotaUse { in_use, limit: counted.limit? })
}

/// Returns a warning about a check that could not be completed. The run continues.
fn unknown(attempt: &str, error: &ProviderError, allow: &str) -> Diagnostic {
    let mut note = Diagnostic::call_failed(attempt, error);
    note.severity = DiagnosticSeverity::Warning;
    note.code = Code::PreflightIncomplete;
    note.hint = Some(format!("{allow} to enable this check"));
    note
}
