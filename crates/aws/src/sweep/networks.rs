//! Search for resources without the cluster tag in networks that the cluster owns: security groups,
//! VPC endpoints, and network interfaces that are not in use.
//!
//! They block the deletion of the network and are left from CI jobs, load balancer controllers or
//! threat detection. A network that the user provides has the cluster tag `shared` and is not
//! searched. openshift-install deletes such resources with the network, too (Bug 1747519).

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_ec2::types::{
    IpPermission, NetworkInterface, NetworkInterfaceStatus, SecurityGroup, Tag, VpcEndpoint,
};

use super::RemainingResource;
use super::ec2::name_tag;
use crate::Aws;
use crate::client::ec2::{Ec2Object, filter};
use crate::client::resource_type::Result;
use crate::model::untracked::UntrackedKind;

/// Pause before the second read. It outlasts a response from a cache.
const PAUSE: Duration = Duration::from_secs(3);

/// Returns the resources without the cluster tag in the owned networks among `tagged`. Makes three
/// calls if there is a network, and none otherwise. What is found is read again after a pause, and
/// only what both reads find counts: a list that lacks a group of the cluster makes a foreign group
/// look unrelated.
///
/// # Errors
/// If a list cannot be read.
pub(super) async fn untagged(
    aws: &Aws,
    tagged: &[RemainingResource],
) -> Result<Vec<RemainingResource>> {
    let vpcs = tagged.iter().filter(|one| one.kind == UntrackedKind::Vpc.as_str());
    let vpcs: Vec<&str> = vpcs.map(|one| one.id.as_str()).collect();
    if vpcs.is_empty() {
        return Ok(Vec::new());
    }
    let mut left = read(aws, &vpcs).await?;
    if !left.is_empty() {
        tokio::time::sleep(PAUSE).await;
        let again: BTreeSet<RemainingResource> = read(aws, &vpcs).await?.into_iter().collect();
        left.retain(|one| again.contains(one));
    }
    Ok(left)
}

async fn read(aws: &Aws, vpcs: &[&str]) -> Result<Vec<RemainingResource>> {
    let inside = || vec![filter("vpc-id", vpcs)];
    let (groups, endpoints, interfaces) = tokio::try_join!(
        Box::pin(SecurityGroup::describe(aws, inside())),
        Box::pin(VpcEndpoint::describe(aws, inside())),
        Box::pin(NetworkInterface::describe(aws, inside())),
    )?;
    let is_tagged =
        |tags: &[Tag]| tags.iter().any(|tag| tag.key() == Some(aws.settings.cluster_tag.as_str()));
    let is_inside = |vpc: Option<&str>| vpc.is_some_and(|vpc| vpcs.contains(&vpc));
    let found = |kind: UntrackedKind, id: Option<&str>, name: Option<&str>, vpc: Option<&str>| {
        let network = vpc.map(str::to_owned);
        Some(RemainingResource { network, ..RemainingResource::new(kind.as_str(), id?, name) })
    };
    let mut left = Vec::new();
    for one in unrelated(&groups, |group| is_tagged(group.tags())) {
        if is_inside(one.vpc_id()) {
            let name = name_tag(one.tags()).or(one.group_name());
            left.extend(found(UntrackedKind::SecurityGroup, one.group_id(), name, one.vpc_id()));
        }
    }
    for one in endpoints.iter().filter(|one| one.exists() && !is_tagged(one.tags())) {
        if is_inside(one.vpc_id()) {
            let (id, name) = (one.vpc_endpoint_id(), name_tag(one.tags()));
            left.extend(found(UntrackedKind::VpcEndpoint, id, name, one.vpc_id()));
        }
    }
    let is_free =
        |one: &&NetworkInterface| one.status() == Some(&NetworkInterfaceStatus::Available);
    for one in interfaces.iter().filter(is_free).filter(|one| !is_tagged(one.tag_set())) {
        if is_inside(one.vpc_id()) {
            let (id, name) = (one.network_interface_id(), name_tag(one.tag_set()));
            left.extend(found(UntrackedKind::NetworkInterface, id, name, one.vpc_id()));
        }
    }
    Ok(left)
}

/// Returns the groups that are not the cluster's and have no relation to its groups.
///
/// A group with a rule that references a group of the cluster is in use by its owner, who knows the
/// cluster: it stays, and so do the groups in relation to it. Their owner is named when they block a
/// deletion. The default group of a network is deleted with it.
fn unrelated(
    groups: &[SecurityGroup],
    is_ours: impl Fn(&SecurityGroup) -> bool,
) -> Vec<&SecurityGroup> {
    let (ours, mut others): (Vec<_>, Vec<_>) = groups.iter().partition(|group| is_ours(group));
    others.retain(|group| group.group_name() != Some("default"));
    let ours: BTreeSet<&str> = ours.iter().filter_map(|group| group.group_id()).collect();
    let mut staying: BTreeSet<&str> = BTreeSet::new();
    loop {
        let before = staying.len();
        for group in &others {
            let Some(id) = group.group_id() else { continue };
            let named = references(group);
            if named.iter().any(|other| ours.contains(other) || staying.contains(other)) {
                staying.insert(id);
            }
            if staying.contains(id) {
                staying.extend(named.iter().filter(|other| !ours.contains(*other)));
            }
        }
        if staying.len() == before {
            break;
        }
    }
    others.retain(|group| group.group_id().is_some_and(|id| !staying.contains(id)));
    others
}

/// Returns the groups that the rules of a group reference.
fn references(group: &SecurityGroup) -> BTreeSet<&str> {
    let rules = group.ip_permissions().iter().chain(group.ip_permissions_egress());
    rules.flat_map(IpPermission::user_id_group_pairs).filter_map(|pair| pair.group_id()).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::UserIdGroupPair;

    use super::*;
    use crate::client::tests::scripted;

    fn group(id: &str, names: &[&str], egress: &[&str]) -> SecurityGroup {
        let rules = |names: &[&str]| -> Vec<IpPermission> {
            let pair = |id: &&str| UserIdGroupPair::builder().group_id(*id).build();
            let rule = |id| IpPermission::builder().user_id_group_pairs(pair(id)).build();
            names.iter().map(rule).collect()
        };
        SecurityGroup::builder()
            .group_id(id)
            .group_name(id)
            .set_ip_permissions(Some(rules(names)))
            .set_ip_permissions_egress(Some(rules(egress)))
            .build()
    }

    #[tokio::test]
    async fn a_network_that_the_user_provides_is_not_searched() {
        let (aws, sent) = scripted([]);
        let provided = RemainingResource::new("vpc", "vpc-1", None).tagged(Some("shared"));
        let left = untagged(&aws, &[provided]).await.unwrap();
        assert_eq!((left, sent.bodies()), (Vec::new(), Vec::new()));
    }

    #[test]
    fn groups_without_a_relation_to_those_of_the_cluster_go_with_the_network() {
        let groups = [
            group("ours-a", &["ours-b"], &[]),
            group("ours-b", &[], &[]),
            group("default", &["twin-a"], &[]),
            // Two groups that reference each other.
            group("twin-a", &["twin-b"], &[]),
            group("twin-b", &["twin-a"], &[]),
            group("alone", &[], &[]),
            // A bastion that the nodes may be reached from, and what its owner has beside it.
            group("bastion", &["database"], &["ours-a"]),
            group("database", &[], &[]),
            group("monitor", &[], &["bastion"]),
        ];
        let left = unrelated(&groups, |group| group.group_id().unwrap().starts_with("ours"));
        let ids: Vec<&str> = left.iter().filter_map(|group| group.group_id()).collect();
        assert_eq!(ids, ["twin-a", "twin-b", "alone"]);
    }
}
