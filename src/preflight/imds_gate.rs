//! The gate before session tokens become required: machines that still use IMDSv1 would lose access.

use std::collections::BTreeMap;

use groundplan_aws::imds_audit::Judged;
use groundplan_engine::graph::Address;
use groundplan_engine::graph::pattern::fits;
use groundplan_engine::plan::{Op, Plan};
use groundplan_engine::provider::ProviderError;
use groundplan_engine::state::State;
use serde_json::Value;

use super::PreflightReport;
use super::demands::machine_kinds;
use crate::render::imds::day;
use crate::render::{Code, Diagnostic};

/// Machine that answers requests without a token now, and rejects them after the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flip {
    /// Address.
    pub address: Address,
    /// Instance ID.
    pub id: String,
}

/// Returns the machines whose tokens the plan makes required in place.
pub fn flips(plan: &Plan, state: &State) -> Vec<Flip> {
    let kinds: Vec<&str> = machine_kinds().collect();
    let tokens = |inputs: &Value| inputs["metadata_options"]["http_tokens"].clone();
    let flip = |op: &Op| {
        let Op::Update { address, before, inputs, .. } = op else { return None };
        let becomes = tokens(inputs) == "required" && tokens(before) != "required";
        if !becomes || !kinds.contains(&address.kind()) {
            return None;
        }
        let id = state.resources.get(address)?.outputs.get("id")?.as_str()?.to_owned();
        Some(Flip { address: address.clone(), id })
    };
    plan.steps.iter().filter_map(|step| flip(&step.op)).collect()
}

/// Returns an error about machines that used IMDSv1 in the last `days` days, and a warning about those
/// of which the use is unknown. `accepted` are patterns of addresses.
pub fn judge(
    flips: &[Flip],
    uses: &Result<BTreeMap<String, Judged>, ProviderError>,
    accepted: &[String],
    days: u32,
) -> PreflightReport {
    let is_accepted = |flip: &&Flip| accepted.iter().any(|one| fits(one, &flip.address));
    let (mut used, mut unknown) = (Vec::new(), Vec::new());
    for flip in flips.iter().filter(|flip| !is_accepted(flip)) {
        let found = uses.as_ref().ok().and_then(|uses| uses.get(&flip.id));
        match found.copied().unwrap_or(Judged::Unknown) {
            Judged::None => {}
            Judged::Used { requests, last_day } => used.push((flip, requests, last_day)),
            Judged::Unknown => unknown.push(flip),
        }
    }
    let mut report = PreflightReport::default();
    if !used.is_empty() {
        let mut finding = Diagnostic::error(
            Code::ImdsV1Used,
            format!(
                "{} without a session token in the last {days} days, which fail after this plan",
                match used.len() {
                    1 => "a machine answered requests".to_owned(),
                    several => format!("{several} machines answered requests"),
                }
            ),
        );
        for (flip, requests, last_day) in &used {
            finding = finding.with_detail(format!(
                "{} ({}): {requests} requests, last on {}",
                flip.address,
                flip.id,
                day(*last_day)
            ));
        }
        let (first, ..) = used[0];
        report.findings.push(finding.with_hint(format!(
            "update the programs on these machines, or accept that their requests fail: \
             --accept-imdsv1-use {}",
            first.address
        )));
    }
    if !unknown.is_empty() {
        let names: Vec<&str> = unknown.iter().map(|flip| flip.address.as_str()).collect();
        let mut note = Diagnostic::warning(
            Code::ImdsV1UseUnknown,
            "it is unknown if these machines still use IMDSv1, which fails after this plan",
        )
        .with_detail(names.join(", "));
        note.detail.extend(uses.as_ref().err().map(ToString::to_string));
        report.notes.push(note.with_hint(match uses {
            Err(_) => "allow cloudwatch:GetMetricData",
            Ok(_) => {
                "read the metric MetadataNoToken of these machines: some days have no value \
                 (or wait until the machines have run for the whole period)"
            }
        }));
    }
    report
}

#[cfg(test)]
mod tests {
    use groundplan_engine::provider::ErrorClass;

    use super::*;

    const DAY: i64 = 1_796_083_200; // 2026-12-01

    fn flip(name: &str) -> Flip {
        Flip { address: format!("instance.{name}").as_str().into(), id: format!("i-{name}") }
    }

    fn used(requests: u64) -> Judged {
        Judged::Used { requests, last_day: DAY }
    }

    #[test]
    fn a_machine_that_uses_v1_stops_the_plan_until_its_user_accepts_it() {
        let flips = [flip("master-0"), flip("master-1")];
        let uses = BTreeMap::from([
            ("i-master-0".to_owned(), Judged::None),
            ("i-master-1".to_owned(), used(12)),
        ]);
        let report = judge(&flips, &Ok(uses.clone()), &[], 7);
        let details: Vec<_> = report.findings.iter().flat_map(|one| &one.detail).collect();
        assert_eq!(details, ["instance.master-1 (i-master-1): 12 requests, last on 2026-12-01"]);
        assert_eq!(report.notes, []);
        for accepted in ["instance.master-1", "instance.master-*", "*.master-1"] {
            let report = judge(&flips, &Ok(uses.clone()), &[accepted.to_owned()], 7);
            assert_eq!(report, PreflightReport::default(), "{accepted}");
        }
        let other = judge(&flips, &Ok(uses), &["instance.master-0".to_owned()], 7);
        assert_eq!(other.findings.len(), 1, "only what is accepted");
    }

    #[test]
    fn what_is_unknown_is_said_and_not_clean() {
        let flips = [flip("master-0"), flip("master-1")];
        let some = BTreeMap::from([("i-master-0".to_owned(), Judged::Unknown)]);
        let report = judge(&flips, &Ok(some), &[], 7);
        assert_eq!(report.findings, []);
        assert_eq!(report.notes[0].detail, ["instance.master-0, instance.master-1"]);
        let denied = ProviderError::new(ErrorClass::Permanent, "GetMetricData", "not authorized");
        let report = judge(&flips, &Err(denied), &[], 7);
        assert_eq!(report.notes.len(), 1);
        assert!(report.notes[0].detail[1].contains("not authorized"), "{:?}", report.notes);
    }
}
