//! Rules for the placement of a machine: region, tenancy, host, placement group.

use super::ObjectFinding;
use super::provider::{Purpose, word};
use crate::diagnostics::{Rule, one_of, shown};
use crate::machine_api::types::{
    AwsMachineProviderConfig, DedicatedHost, HostPlacement, Placement,
};

/// Returns the flaws in the placement of a machine.
pub(super) fn findings(placement: &Placement, purpose: Purpose) -> Vec<ObjectFinding> {
    let mut findings = Vec::new();
    if placement.region.is_empty() {
        findings.push(ObjectFinding::new(Rule::MachineRegion, "region", "is missing"));
    }
    let tenancies = ["default", "dedicated", "host"];
    findings.extend(word(Rule::MachineTenancy, "tenancy", &placement.tenancy, &tenancies));
    findings.extend(host(placement, purpose));
    findings.into_iter().map(|finding| finding.within("placement")).collect()
}

/// Checks the host. A master cannot have a host of its own; its other host settings are then not
/// checked.
fn host(placement: &Placement, purpose: Purpose) -> Vec<ObjectFinding> {
    let forbidden =
        |path: &str, message: &str| vec![ObjectFinding::new(Rule::MachineHost, path, message)];
    match (placement.tenancy.as_str(), &placement.host) {
        ("host", _) if purpose == Purpose::ControlPlane => {
            forbidden("tenancy", "a master cannot have the tenancy `host`")
        }
        ("host", Some(host)) => {
            affinity(host).into_iter().map(|finding| finding.within("host")).collect()
        }
        (_, Some(_)) => forbidden("host", "is set without the tenancy `host`"),
        (_, None) => Vec::new(),
    }
}

fn affinity(host: &HostPlacement) -> Vec<ObjectFinding> {
    const WORDS: [&str; 2] = ["AnyAvailable", "DedicatedHost"];
    let affinity = host.affinity.as_deref().unwrap_or_default();
    let mut findings = Vec::new();
    if !WORDS.contains(&affinity) {
        let found = format!("found {}", shown(affinity));
        findings.push(
            ObjectFinding::new(Rule::MachineHost, "affinity", found).expected(one_of(&WORDS)),
        );
    }
    let dedicated = host.dedicated_host.as_ref().map(|host| dedicated(host, affinity));
    let dedicated = dedicated.unwrap_or_default().into_iter();
    findings.extend(dedicated.map(|finding| finding.within("dedicatedHost")));
    findings
}

fn dedicated(host: &DedicatedHost, affinity: &str) -> Vec<ObjectFinding> {
    let broken = |path: &str, message: String| ObjectFinding::new(Rule::MachineHost, path, message);
    let mut findings = Vec::new();
    match host.allocation_strategy.as_deref().unwrap_or_default() {
        "" | "UserProvided" => {
            if !is_host(&host.id) {
                let finding = broken("id", format!("found {}", shown(&host.id)));
                findings
                    .push(finding.expected("`h-` and 8 or 17 hexadecimal digits in lower case"));
            }
            if host.dynamic_host_allocation.is_some() {
                let message = "is set, but requires the strategy `Dynamic`".to_owned();
                findings.push(broken("dynamicHostAllocation", message));
            }
        }
        "Dynamic" => findings.extend(dynamic(host, affinity)),
        other => {
            let finding = broken("allocationStrategy", format!("found {}", shown(other)));
            findings.push(finding.expected(one_of(&["UserProvided", "Dynamic"])));
        }
    }
    findings
}

fn dynamic(host: &DedicatedHost, affinity: &str) -> Vec<ObjectFinding> {
    let broken = |path: &str, message: String| ObjectFinding::new(Rule::MachineHost, path, message);
    let mut findings = Vec::new();
    if affinity != "DedicatedHost" {
        let finding = broken("allocationStrategy", "found `Dynamic`".into());
        findings.push(finding.expected("the affinity `DedicatedHost`"));
    }
    if !host.id.is_empty() {
        findings.push(broken("id", "is set, but the strategy is `Dynamic`".into()));
    }
    if let Some(allocation) = &host.dynamic_host_allocation {
        let tags = allocation.tags.as_ref().map_or(0, Vec::len);
        if !(1..=50).contains(&tags) {
            let finding = broken("dynamicHostAllocation.tags", format!("found {tags} tags"));
            findings.push(finding.expected("1 to 50"));
        }
    }
    findings
}

/// Returns true if `id` has the form of a dedicated host ID.
pub(crate) fn is_host(id: &str) -> bool {
    let digits = id.strip_prefix("h-").unwrap_or_default();
    matches!(digits.len(), 8 | 17) && super::market::is_lower_hex(digits)
}

/// Checks the partition of a placement group: a group has at most seven.
pub(super) fn partition(config: &AwsMachineProviderConfig) -> Vec<ObjectFinding> {
    let Some(partition) = config.placement_group_partition else { return Vec::new() };
    let broken = |message: String| {
        ObjectFinding::new(Rule::MachinePartition, "placementGroupPartition", message)
    };
    let outside = broken(format!("found `{partition}`")).expected("from 1 to 7");
    let alone = broken("is set without `placementGroupName`".into());
    let outside = (!(1..=7).contains(&partition)).then_some(outside);
    let alone = config.placement_group_name.is_empty().then_some(alone);
    outside.into_iter().chain(alone).collect()
}
