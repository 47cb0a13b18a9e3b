//! `platform.aws.vpc.subnets[].roles`: the purposes of existing subnets.
//!
//! Rules: openshift/installer `pkg/types/aws/validation/platform.go`, `validateSubnets`, since 4.19.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::model::ids::SubnetId;

use super::choices::{Choices, choose_word};
use super::document::{self, Document};
use crate::diagnostics::finding::{FieldSpan, FindingCollector, shown};
use crate::diagnostics::rules::Rule;
use crate::install_config::resolved::SubnetRole;

use SubnetRole::{
    BootstrapNode, ClusterNode, ControlPlaneExternalLb, ControlPlaneInternalLb, EdgeNode,
    IngressControllerLb,
};

pub(super) const ROLES: &Choices<SubnetRole> = &[
    (ClusterNode.name(), ClusterNode),
    (EdgeNode.name(), EdgeNode),
    (BootstrapNode.name(), BootstrapNode),
    (IngressControllerLb.name(), IngressControllerLb),
    (ControlPlaneExternalLb.name(), ControlPlaneExternalLb),
    (ControlPlaneInternalLb.name(), ControlPlaneInternalLb),
];

/// Maximum number of subnets of an ingress controller (openshift/api
/// `operator/v1/types_ingress.go`).
const MOST_OF_INGRESS: usize = 10;

type SubnetRoles = BTreeMap<SubnetId, BTreeSet<SubnetRole>>;

/// Returns the roles of each subnet. Empty if no subnet has roles.
pub(super) fn resolve(
    document: &Document,
    given: &document::AwsPlatform,
    report: &mut FindingCollector,
) -> SubnetRoles {
    let Some(list) = given.vpc.get().and_then(|vpc| vpc.subnets.get()) else {
        return SubnetRoles::new();
    };
    let mut all = SubnetRoles::new();
    let mut without = 0;
    for subnet in &list.value {
        if subnet.roles.items().is_empty() {
            without += 1;
            continue;
        }
        let roles = of_subnet(subnet, report);
        if let Some(id) = subnet.id.text() {
            all.entry(id.into()).or_default().extend(roles);
        }
    }
    if all.is_empty() {
        return all;
    }
    if without > 0 {
        report
            .breach(Rule::SubnetRoles, &list.spot, "has subnets with roles and subnets without")
            .expected("roles for all subnets, or for none");
    }
    check_all(document, &all, &list.spot, report);
    all
}

/// Returns the roles of a subnet. Reports unknown, repeated and contradicting ones.
fn of_subnet(subnet: &document::VpcSubnet, report: &mut FindingCollector) -> BTreeSet<SubnetRole> {
    let mut roles = BTreeSet::new();
    for role in subnet.roles.items() {
        let Some(at) = role.role_type.require(&role.spot, "type", report) else { continue };
        let Some(known) = choose_word(Rule::SubnetRole, at, ROLES, report) else { continue };
        if !roles.insert(known) {
            let found = format!("found {} a second time", shown(&at.value));
            report.breach(Rule::SubnetRole, &at.spot, found).expected("each role once");
        }
    }
    let Some(at) = subnet.roles.get() else { return roles };
    if roles.contains(&ControlPlaneExternalLb) && roles.contains(&ControlPlaneInternalLb) {
        report
            .breach(
                Rule::SubnetRole,
                &at.spot,
                "has `ControlPlaneExternalLB` and `ControlPlaneInternalLB`",
            )
            .expected(
                "one of the two, because one needs a public subnet and the other a private one",
            );
    }
    if roles.contains(&EdgeNode) && roles.len() > 1 {
        report
            .breach(Rule::SubnetRole, &at.spot, "has `EdgeNode` and other roles")
            .expected("`EdgeNode` alone");
    }
    roles
}

/// Reports roles that no subnet has, and roles of too many subnets.
fn check_all(
    document: &Document,
    all: &SubnetRoles,
    at: &FieldSpan,
    report: &mut FindingCollector,
) {
    let with = |role| all.values().filter(|roles| roles.contains(&role)).count();
    let is_internal = document.publish.text() == Some("Internal");
    let is_optional = |role| role == EdgeNode || role == ControlPlaneExternalLb && is_internal;
    let missing =
        SubnetRole::ALL.into_iter().filter(|role| with(*role) == 0 && !is_optional(*role));
    let missing: Vec<String> = missing.map(|role| format!("`{}`", role.name())).collect();
    if !missing.is_empty() {
        report
            .breach(Rule::SubnetRoles, at, "has no subnet for each role")
            .expected(format!("a subnet for {}", missing.join(", ")));
    }
    if is_internal && with(ControlPlaneExternalLb) > 0 {
        report
            .breach(
                Rule::SubnetRoles,
                at,
                "has `ControlPlaneExternalLB`, but `publish` is `Internal`",
            )
            .expected(
                "no subnet with this role, because an internal cluster has no such load balancer",
            );
    }
    let of_ingress = with(IngressControllerLb);
    if of_ingress > MOST_OF_INGRESS {
        report
            .breach(Rule::SubnetRoles, at, format!("has `IngressControllerLB` {of_ingress} times"))
            .expected(format!("at most {MOST_OF_INGRESS} subnets with this role"));
    }
}
