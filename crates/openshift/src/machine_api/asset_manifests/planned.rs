//! Resources of a plan that machines reference: what the compiled graph and the resolved cluster
//! have, by value. Knows no layout of a release.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::Tags;
use groundplan_aws::kinds::ami_copy::AmiCopy;
use groundplan_aws::kinds::iam_instance_profile::IamInstanceProfile;
use groundplan_aws::kinds::instance::{Instance, InstanceNetwork};
use groundplan_aws::kinds::load_balancer::LoadBalancer;
use groundplan_aws::kinds::network_interface::NetworkInterface;
use groundplan_aws::kinds::security_group::SecurityGroup;
use groundplan_aws::kinds::subnet::Subnet;
use groundplan_aws::model::ids::SubnetId;
use groundplan_aws::model::metadata_options::MetadataService;
use groundplan_engine::graph::{Graph, Input, Resource};
use serde::de::DeserializeOwned;

use super::machines::AssetPlace;
use crate::machine_api::types::{Filter, ResourceReference};
use crate::topology::machine_pools::PoolSpec;
use crate::topology::spec::NetworkSpec;
use crate::topology::{ClusterSpec, is_control_plane};

/// Resources of a plan.
pub(super) struct PlannedCluster<'a> {
    spec: &'a ClusterSpec,
    subnets: Vec<Subnet>,
    /// Zones of the user's subnets by ID.
    existing: BTreeMap<SubnetId, String>,
    groups: Vec<Tags>,
    image_copies: Vec<Tags>,
    /// Names of all instance profiles: of the plan, and of the user.
    pub(super) profiles: BTreeSet<String>,
    /// Names of all load balancers.
    pub(super) balancers: BTreeSet<String>,
    /// Masters by their `Name` tag.
    pub(super) masters: BTreeMap<String, PlannedMaster>,
}

/// Master of a plan.
pub(super) struct PlannedMaster {
    /// Zone. `None` if the plan does not say it.
    pub(super) zone: Option<String>,
}

/// Result of the search for a referenced resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The plan has the resource.
    Found,
    /// The plan has no such resource.
    Missing,
    /// The plan does not know whether the resource exists.
    Unknown,
}

impl<'a> PlannedCluster<'a> {
    pub(super) fn of(spec: &'a ClusterSpec, graph: &Graph) -> Self {
        let tags = |groups: Vec<SecurityGroup>| {
            let with_name = |group: SecurityGroup| {
                let mut tags = group.tags;
                tags.insert(GROUP_NAME.to_owned(), group.name);
                tags
            };
            groups.into_iter().map(with_name).collect()
        };
        let own = all::<IamInstanceProfile>(graph).into_iter().map(|profile| profile.name.0);
        let pools = spec.workers.iter().chain([&spec.masters]);
        let theirs = pools.filter_map(|pool| pool.iam_profile.clone()).map(|profile| profile.0);
        let mut planned = Self {
            spec,
            subnets: all(graph),
            existing: existing(&spec.network),
            groups: tags(all(graph)),
            image_copies: all::<AmiCopy>(graph).into_iter().map(|copy| copy.tags).collect(),
            profiles: own.chain(theirs).collect(),
            balancers: all::<LoadBalancer>(graph).into_iter().map(|one| one.name).collect(),
            masters: BTreeMap::new(),
        };
        planned.masters = planned.masters(graph);
        planned
    }

    fn masters(&self, graph: &Graph) -> BTreeMap<String, PlannedMaster> {
        let masters = graph.nodes().iter().filter(|node| is_control_plane(&node.address));
        let master = |instance: Instance| {
            let zone = subnet_of(&instance, graph).and_then(|subnet| match subnet {
                Input::Ref(reference) => {
                    Some(input::<Subnet>(graph, reference.address.as_str())?.zone)
                }
                Input::Known(id) => self.existing.get(&id).cloned(),
                Input::Absent => None,
            });
            Some((instance.tags.get("Name")?.clone(), PlannedMaster { zone }))
        };
        masters.filter_map(|node| master(input(graph, node.address.as_str())?)).collect()
    }

    /// Infra ID of the cluster.
    pub(super) fn infra_id(&self) -> &str {
        self.spec.names.infra_id()
    }

    /// Region of the cluster.
    pub(super) fn region(&self) -> &str {
        &self.spec.region
    }

    /// Returns true if the plan creates the network, so that it knows all subnets and groups.
    pub(super) fn has_own_network(&self) -> bool {
        matches!(self.spec.network, NetworkSpec::Own { .. })
    }

    /// Returns the metadata settings of the machines with this role. `None` for an unknown role.
    pub(super) fn metadata_service(&self, role: &str) -> Option<MetadataService> {
        self.pool(role).map(|pool| pool.metadata_service)
    }

    /// Returns the image of the machines with this role. `None` if it is unknown, or a copy that
    /// the plan creates.
    pub(super) fn image(&self, role: &str) -> Option<String> {
        let pools = self.spec.machine_pools().ok()?;
        let mut pools = pools.workers.into_iter().chain([pools.masters]);
        let pool = pools.find(|pool| pool.spec.name == role)?;
        pool.image.map(|image| image.0.clone())
    }

    fn pool(&self, role: &str) -> Option<&PoolSpec> {
        let mut pools = self.spec.workers.iter().chain([&self.spec.masters]);
        pools.find(|pool| pool.name == role)
    }

    /// Searches the subnet of a machine in a zone. An empty zone is any zone.
    pub(super) fn subnet(&self, zone: &str, reference: &ResourceReference) -> Match {
        let is_there = |found: &str| zone.is_empty() || zone == found;
        if let Some(id) = &reference.id {
            let known = self.existing.get(&SubnetId(id.clone()));
            return match known {
                Some(found) if is_there(found) => Match::Found,
                Some(_) => Match::Missing,
                None if self.has_own_network() => Match::Missing,
                None => Match::Unknown,
            };
        }
        if reference.filters.is_empty() {
            return Match::Missing;
        }
        let candidates = self.subnets.iter().filter(|subnet| is_there(&subnet.zone));
        let found =
            candidates.map(|subnet| matches(&reference.filters, &subnet.tags, Some(&subnet.zone)));
        self.of_network(&reference.filters, found)
    }

    /// Searches the security groups of an entry.
    pub(super) fn group(&self, reference: &ResourceReference) -> Match {
        match &reference.id {
            Some(id) if self.is_additional_group(id) => Match::Found,
            // The plan has no group by ID. In a network of its own there can be no other group.
            Some(_) if self.has_own_network() => Match::Missing,
            Some(_) => Match::Unknown,
            None if reference.filters.is_empty() => Match::Missing,
            None => {
                let found = self.groups.iter().map(|tags| matches(&reference.filters, tags, None));
                self.of_network(&reference.filters, found)
            }
        }
    }

    /// Returns true if the install-config names the group for a pool.
    fn is_additional_group(&self, id: &str) -> bool {
        let mut pools = self.spec.workers.iter().chain([&self.spec.masters]);
        pools.any(|pool| pool.additional_security_groups.iter().any(|group| group.0 == id))
    }

    /// Searches an image by filters.
    pub(super) fn image_copy(&self, filters: &[Filter]) -> Match {
        let found = self.image_copies.iter().map(|tags| matches(filters, tags, None));
        joined(found, self.is_of_cluster(filters))
    }

    /// Joins the results of all candidates in the network. In the network of the user, only names
    /// of the cluster's own resources are known.
    fn of_network(&self, filters: &[Filter], found: impl Iterator<Item = Option<bool>>) -> Match {
        joined(found, self.has_own_network() || self.is_of_cluster(filters))
    }

    /// Returns true if a filter demands a name that only a resource of this cluster has.
    fn is_of_cluster(&self, filters: &[Filter]) -> bool {
        let is_own = |filter: &&Filter| {
            let all_own = filter.values.iter().all(|value| self.is_own_name(value));
            filter.name == "tag:Name" && !filter.values.is_empty() && all_own
        };
        filters.iter().any(|filter| is_own(&filter))
    }

    /// Returns true if only a resource of this cluster has such a name.
    pub(super) fn is_own_name(&self, name: &str) -> bool {
        name.strip_prefix(self.infra_id()).is_some_and(|rest| rest.starts_with('-'))
    }

    /// Returns the zone of machines: the named one, or that of the subnet. `None` if the plan does
    /// not know the subnet.
    pub(super) fn zone_of(&self, place: &AssetPlace) -> Option<String> {
        let named = Some(&place.zone).filter(|zone| !zone.is_empty());
        let of_subnet = || self.existing.get(&SubnetId(place.subnet.id.clone()?)).cloned();
        named.cloned().or_else(of_subnet)
    }

    /// Returns the names of the subnets in a zone; an empty zone is any zone. IDs in the network of
    /// the user.
    pub(super) fn subnet_names(&self, zone: &str) -> Vec<String> {
        let fits = |found: &str| zone.is_empty() || zone == found;
        let own = self.subnets.iter().filter(|subnet| fits(&subnet.zone));
        let own = own.filter_map(|subnet| subnet.tags.get("Name").cloned());
        let theirs = self.existing.iter().filter(|(_, found)| fits(found));
        own.chain(theirs.map(|(id, _)| id.0.clone())).collect()
    }

    /// Returns true if the plan has a subnet in this zone.
    pub(super) fn has_zone(&self, zone: &str) -> bool {
        !self.subnet_names(zone).is_empty()
    }

    /// Returns the `Name` tags of all security groups.
    pub(super) fn group_names(&self) -> Vec<String> {
        self.groups.iter().filter_map(|tags| tags.get("Name").cloned()).collect()
    }

    /// Returns the `Name` tags of all image copies.
    pub(super) fn image_copy_names(&self) -> Vec<String> {
        self.image_copies.iter().filter_map(|tags| tags.get("Name").cloned()).collect()
    }
}

/// Key under which the name of a security group is kept among its tags. No tag can have it.
const GROUP_NAME: &str = "aws:group-name";

/// Returns all resources of a kind.
fn all<R: Resource>(graph: &Graph) -> Vec<R> {
    let nodes = graph.nodes().iter().filter(|node| node.kind() == R::SCHEMA.kind);
    nodes.filter_map(|node| read(&node.inputs)).collect()
}

fn input<R: Resource>(graph: &Graph, address: &str) -> Option<R> {
    read(&graph.get(&address.into())?.inputs)
}

fn read<R: DeserializeOwned>(inputs: &serde_json::Value) -> Option<R> {
    R::deserialize(inputs).ok()
}

/// Returns the subnet of an instance.
fn subnet_of(instance: &Instance, graph: &Graph) -> Option<Input<SubnetId>> {
    match &instance.network {
        InstanceNetwork::Interface(Input::Ref(interface)) => {
            Some(input::<NetworkInterface>(graph, interface.address.as_str())?.subnet)
        }
        InstanceNetwork::Interface(_) => None,
        InstanceNetwork::Subnet { subnet, .. } => Some(subnet.clone()),
    }
}

fn existing(network: &NetworkSpec) -> BTreeMap<SubnetId, String> {
    let NetworkSpec::Existing { subnets, .. } = network else { return BTreeMap::new() };
    let by_zone = subnets.private.iter().chain(&subnets.public);
    let edge = subnets.edge.iter().map(|(zone, edge)| (zone, &edge.id));
    by_zone.chain(edge).map(|(zone, id)| (id.clone(), zone.clone())).collect()
}

/// Joins the results of all candidates. `is_known` is true if there are no other candidates.
fn joined(found: impl Iterator<Item = Option<bool>>, is_known: bool) -> Match {
    let found: Vec<_> = found.collect();
    match () {
        () if found.contains(&Some(true)) => Match::Found,
        () if found.contains(&None) || !is_known => Match::Unknown,
        () => Match::Missing,
    }
}

/// Returns true if a resource with these tags matches all filters. `None` if a filter compares
/// another attribute and no other filter decides.
fn matches(filters: &[Filter], tags: &Tags, zone: Option<&str>) -> Option<bool> {
    let results: Vec<_> = filters.iter().map(|filter| fits(filter, tags, zone)).collect();
    match () {
        () if results.contains(&Some(false)) => Some(false),
        () if results.contains(&None) => None,
        () => Some(true),
    }
}

fn fits(filter: &Filter, tags: &Tags, zone: Option<&str>) -> Option<bool> {
    let any = |found: &str| filter.values.iter().any(|pattern| is_like(pattern, found));
    match &*filter.name {
        "tag-key" => Some(tags.keys().any(|key| any(key))),
        "group-name" => tags.get(GROUP_NAME).map(|name| any(name)),
        "availability-zone" | "availabilityZone" => zone.map(any),
        name => {
            let key = name.strip_prefix("tag:")?;
            Some(tags.get(key).is_some_and(|value| any(value)))
        }
    }
}

/// Returns true if a text fits the pattern of a filter: `*` stands for any text, `?` for one
/// character (EC2 user guide, "List and filter your resources").
fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    // Positions to continue at when the text after the last `*` does not fit.
    let (mut at, mut from) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at, from));
                at += 1;
            }
            Some(one) if *one == '?' || *one == text[from] => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((star, begin)) = retry else { return false };
                retry = Some((star, begin + 1));
                (at, from) = (star + 1, begin + 1);
            }
        }
    }
    pattern[at..].iter().all(|one| *one == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_compared_as_ec2_does() {
        for (pattern, text, expected) in [
            ("demo-private-a", "demo-private-a", true),
            ("demo-private-a", "demo-private-ab", false),
            ("demo-*-a", "demo-private-a", true),
            ("*", "", true),
            ("*a*b", "xaxxab", true),
            ("*a*b", "xaxxabc", false),
            ("demo-?", "demo-a", true),
            ("demo-?", "demo-", false),
            ("", "a", false),
        ] {
            assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn an_attribute_without_a_value_decides_nothing() {
        let tags: Tags = [("Name".to_owned(), "demo-a".to_owned())].into();
        let filter =
            |name: &str, value: &str| Filter { name: name.into(), values: vec![value.into()] };
        let name = |value: &str| filter("tag:Name", value);
        let vpc = || filter("vpc-id", "vpc-1");
        let judge = |filters: &[Filter]| matches(filters, &tags, Some("a"));
        assert_eq!(judge(&[name("demo-a")]), Some(true));
        assert_eq!(judge(&[name("demo-a"), vpc()]), None);
        assert_eq!(judge(&[name("demo-b"), vpc()]), Some(false));
        assert_eq!(
            judge(&[filter("tag-key", "Na*"), filter("availability-zone", "a")]),
            Some(true)
        );
        assert_eq!(judge(&[filter("tag:team", "*")]), Some(false));
        let found = |all: &[Option<bool>], is_known| joined(all.iter().copied(), is_known);
        assert_eq!(found(&[Some(false), None], true), Match::Unknown);
        assert_eq!(found(&[None, Some(true)], true), Match::Found);
        assert_eq!((found(&[], true), found(&[], false)), (Match::Missing, Match::Unknown));
    }
}
