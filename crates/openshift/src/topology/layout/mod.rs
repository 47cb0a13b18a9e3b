//! Layouts: names, address ranges, rules and roles of the AWS resources, for each family of OpenShift
//! releases. The graph and the manifests take them from here.
//!
//! [`release_4_15`] is the layout of Terraform, [`cluster_api`] that of the Cluster API provider.
//! Another family has another constant. The addresses of load balancers, target groups, security
//! groups and roles in the state are their names in the layout; other addresses do not depend on it.

use serde_json::Value;

use crate::release::Release;

mod cluster_api;
mod release_4_15;

pub(crate) use cluster_api::{RELEASE_4_16, RELEASE_5_0};
pub(crate) use release_4_15::RELEASE_4_15;

/// Layout of a cluster, for which openshift-install of the same release writes the manifests.
#[derive(Clone, Copy, Debug)]
pub struct Layout(pub(crate) &'static ReleaseLayout);

impl Layout {
    /// All layouts, from the oldest to the newest.
    pub const ALL: [Self; 3] = [Self(RELEASE_4_15), Self(RELEASE_4_16), Self(RELEASE_5_0)];

    /// Returns the layout of a release.
    pub fn of(release: Release) -> Self {
        let fits = |layout: &&Self| layout.0.since <= release;
        *Self::ALL.iter().rev().find(fits).unwrap_or(&Self::ALL[0])
    }

    /// Returns the releases with this layout, in words: `4.16 to 4.22`.
    pub fn releases(self) -> &'static str {
        self.0.releases
    }

    /// Returns the newest known release with this layout.
    pub fn newest_release(self) -> Release {
        let mut known = Release::KNOWN.iter().rev();
        let newest = known.find(|release| Self::of(**release) == self);
        *newest.expect("BUG: every layout has a known release")
    }
}

impl PartialEq for Layout {
    fn eq(&self, other: &Self) -> bool {
        self.0.since == other.0.since
    }
}

impl Eq for Layout {}

impl Default for Layout {
    /// Returns the layout of release 4.15, which older versions of groundplan created.
    fn default() -> Self {
        Self(RELEASE_4_15)
    }
}

/// Names and properties of the resources that openshift-install creates in a family of releases. A
/// name is the part after `<infraID>-`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReleaseLayout {
    /// The first release with this layout.
    pub(crate) since: Release,
    /// The releases with this layout, in words.
    pub(crate) releases: &'static str,
    /// Tags that mark the resources of the cluster.
    pub(crate) tags: ClusterTags,
    /// The VPC.
    pub(crate) vpc: &'static str,
    /// True if the VPC has DHCP options of its own.
    pub(crate) has_dhcp_options: bool,
    /// Division of the VPC into subnets.
    pub(crate) split: CidrSplit,
    /// The internet gateway.
    pub(crate) internet_gateway: &'static str,
    /// The carrier gateway, for Wavelength Zones.
    pub(crate) carrier_gateway: &'static str,
    /// The route tables of the public subnets.
    pub(crate) public_routes: PublicRoutes,
    /// The route table of the private subnet in a zone.
    pub(crate) private_routes: Prefix,
    /// The subnet with a route to the internet in a zone.
    pub(crate) public_subnet: SubnetLayout,
    /// The subnet for machines in a zone.
    pub(crate) private_subnet: SubnetLayout,
    /// The address of the NAT gateway in a zone.
    pub(crate) elastic_ip: ZoneName,
    /// The NAT gateway in a zone.
    pub(crate) nat_gateway: ZoneName,
    /// The private hosted zone.
    pub(crate) hosted_zone: &'static str,
    /// The load balancer for clients inside the VPC.
    pub(crate) internal: BalancerLayout,
    /// The load balancer for clients on the internet.
    pub(crate) external: BalancerLayout,
    /// The security groups.
    pub(crate) groups: &'static [GroupLayout],
    /// The masters.
    pub(crate) master: RoleLayout,
    /// The workers.
    pub(crate) worker: RoleLayout,
    /// The bootstrap.
    pub(crate) bootstrap: BootstrapLayout,
    /// The root volume of a machine, after the name of the machine.
    pub(crate) volume: &'static str,
    /// The copy of an image.
    pub(crate) image_copy: &'static str,
    /// `Name` tag of the copy of an image in a region.
    pub(crate) image_copy_tag: Prefix,
    /// Details of the manifests.
    pub(crate) manifests: ManifestLayout,
}

/// Tags that mark the resources of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClusterTags {
    /// The cluster tag (`kubernetes.io/cluster/<infraID>`).
    Kubernetes,
    /// The cluster tag, and the tags of Cluster API: cluster and role.
    ClusterApi,
}

/// Division of a VPC into subnets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CidrSplit {
    /// Private subnets in the lower half, public ones in the upper half.
    Halves,
    /// Blocks: one for each private subnet, one for all public subnets, and at least one free block.
    Blocks,
}

/// Route tables of the public subnets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PublicRoutes {
    /// The main route table of the VPC serves all of them, and another table those in Wavelength Zones.
    Main {
        /// The main route table.
        main: &'static str,
        /// The route table with a route to the carrier gateway.
        carrier: &'static str,
    },
    /// Each subnet has a route table.
    PerZone(Prefix),
}

/// A subnet in a zone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubnetLayout {
    /// The name.
    pub(crate) name: Prefix,
    /// Tag with which the cloud provider finds subnets for the load balancers of Services: key and
    /// value.
    pub(crate) tag: Option<(&'static str, &'static str)>,
}

/// Name that ends with a zone or a region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix(pub(crate) &'static str);

impl Prefix {
    /// Returns the name that ends with this zone or region.
    pub(crate) fn with(self, end: &str) -> String {
        format!("{}{end}", self.0)
    }
}

/// Name of a resource of which each zone has one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ZoneName {
    /// The name ends with the zone.
    EndingWithZone(Prefix),
    /// The names are alike.
    Alike(&'static str),
}

impl ZoneName {
    /// Returns the name of the resource in this zone.
    pub(crate) fn of(self, zone: &str) -> String {
        match self {
            Self::EndingWithZone(prefix) => prefix.with(zone),
            Self::Alike(name) => name.to_owned(),
        }
    }
}

/// Groups, role and profile of the machines of a role.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoleLayout {
    /// Name of the role, with which the names of its machines begin.
    pub(crate) role: &'static str,
    /// The security groups of the machines, by [`GroupLayout::role`].
    pub(crate) groups: &'static [&'static str],
    /// The IAM resources.
    pub(crate) iam: IamLayout,
}

/// IAM resources of a role.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IamLayout {
    /// The instance profile.
    pub(crate) profile: &'static str,
    /// The IAM role.
    pub(crate) role: &'static str,
    /// The policy of the IAM role.
    pub(crate) policy: &'static str,
    /// Returns the document of the policy.
    pub(crate) document: fn() -> Value,
}

/// The bootstrap machine and its bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BootstrapLayout {
    /// Name of the role and of the machine.
    pub(crate) role: &'static str,
    /// The security groups of the machine, by [`GroupLayout::role`].
    pub(crate) groups: &'static [&'static str],
    /// True if the additional security groups of the masters apply.
    pub(crate) has_additional_groups: bool,
    /// The IAM resources. `None`: the profile of the masters.
    pub(crate) iam: Option<IamLayout>,
    /// Type and size (GiB) of the root volume. `None`: the volume of the masters.
    pub(crate) volume: Option<(&'static str, i32)>,
    /// The bucket with the Ignition config.
    pub(crate) bucket: BucketName,
    /// Key of the object with the Ignition config.
    pub(crate) key: ObjectKey,
}

/// Name of a bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BucketName {
    /// The infra ID is the beginning: `<infraID>-<name>`.
    AfterInfraId(&'static str),
    /// The infra ID is the end: `<name>-<infraID>`.
    BeforeInfraId(&'static str),
}

/// Key of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ObjectKey {
    /// The same key in every cluster.
    Fixed(&'static str),
    /// A folder, and the full name of the machine.
    Machine(&'static str),
}

/// A security group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupLayout {
    /// Name of the group in addresses and in rules. In Cluster API, its role.
    pub(crate) role: &'static str,
    /// The name.
    pub(crate) name: &'static str,
    /// True if the group has the cluster tag. The cloud provider of Kubernetes rejects machines with
    /// several groups that have it (cloud-provider-aws, `findSecurityGroupForInstance`).
    pub(crate) has_cluster_tag: bool,
    /// Lifetime of the group.
    pub(crate) lifetime: Lifetime,
    /// The ingress rules, in parts.
    pub(crate) ingress: &'static [&'static [RuleLayout]],
    /// Description of the rule that allows all egress. `None`: the group allows none.
    pub(crate) egress: Option<&'static str>,
}

/// Lifetime of a group or a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Lifetime of the cluster.
    Cluster,
    /// Until the bootstrap is removed.
    Bootstrap,
}

/// Ingress rules with the same ports, one for each source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleLayout {
    /// Description of the rules.
    pub(crate) description: &'static str,
    /// Protocol: `tcp`, `udp`, `icmp`, or a number.
    pub(crate) protocol: &'static str,
    /// First and last port, or type and code of ICMP. `None` for protocols without ports.
    pub(crate) ports: Option<(i32, i32)>,
    /// Sources of the traffic.
    pub(crate) sources: &'static [TrafficSource],
    /// Lifetime of the rules.
    pub(crate) lifetime: Lifetime,
}

/// Source of the traffic that a rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrafficSource {
    /// Addresses in the machine networks.
    MachineNetworks,
    /// All addresses.
    Anywhere,
    /// All addresses for a published cluster, or else the machine networks.
    Published,
    /// Members of the group with this [`GroupLayout::role`].
    Group(&'static str),
}

/// A load balancer and its target groups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BalancerLayout {
    /// Name of the load balancer.
    pub(crate) name: &'static str,
    /// The security groups of the load balancer, by [`GroupLayout::role`].
    pub(crate) groups: &'static [&'static str],
    /// The target groups, each with a listener on the same port.
    pub(crate) target_groups: &'static [TargetGroupLayout],
}

/// A target group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TargetGroupLayout {
    /// Name of the target group.
    pub(crate) name: &'static str,
    /// Port of the listener, of the targets and of the health check.
    pub(crate) port: i32,
    /// Path of the health check.
    pub(crate) health_path: &'static str,
}

/// Details of the manifests of the Machine API that have no effect on AWS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ManifestLayout {
    /// True if objects without a creation time have `creationTimestamp: null`.
    pub(crate) has_null_timestamps: bool,
    /// True if provider configs without a capacity reservation have an empty ID.
    pub(crate) has_capacity_reservation: bool,
    /// Stream of the machines' operating system if the install-config names none (label
    /// `machineconfiguration.openshift.io/osstream`). `None`: the release has no such label.
    pub(crate) default_os_stream: Option<&'static str>,
}

/// Port of the Kubernetes API.
const API: i32 = 6443;
/// Port of the machine config server, for machines of the cluster only.
const CONFIG: i32 = 22623;

/// Target groups of the internal load balancer.
const INTERNAL_TARGETS: &[TargetGroupLayout] = &[
    TargetGroupLayout { name: "aint", port: API, health_path: "/readyz" },
    TargetGroupLayout { name: "sint", port: CONFIG, health_path: "/healthz" },
];
/// Target groups of the external load balancer.
const EXTERNAL_TARGETS: &[TargetGroupLayout] =
    &[TargetGroupLayout { name: "aext", port: API, health_path: "/readyz" }];

impl ReleaseLayout {
    /// Returns the security group with this role.
    pub(crate) fn group(&self, role: &str) -> &'static GroupLayout {
        let mut groups = self.groups.iter();
        groups.find(|group| group.role == role).expect("BUG: a layout names its own groups")
    }
}

/// Returns rules of one port range.
const fn rule(
    description: &'static str,
    protocol: &'static str,
    ports: (i32, i32),
    sources: &'static [TrafficSource],
) -> RuleLayout {
    let (ports, lifetime) = (Some(ports), Lifetime::Cluster);
    RuleLayout { description, protocol, ports, sources, lifetime }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_release_has_the_layout_of_its_family() {
        for (major, minor, releases) in [
            (4, 12, "4.15 and earlier"),
            (4, 15, "4.15 and earlier"),
            (4, 16, "4.16 to 4.22"),
            (4, 22, "4.16 to 4.22"),
            (5, 0, "5.0"),
            (5, 1, "5.0"),
        ] {
            let layout = Layout::of(Release::new(major, minor));
            assert_eq!(layout.releases(), releases, "{major}.{minor}");
            assert_eq!(Layout::of(layout.newest_release()), layout);
        }
    }

    #[test]
    fn roles_and_rules_name_groups_of_the_layout() {
        for Layout(layout) in Layout::ALL {
            let roles: BTreeSet<&str> = layout.groups.iter().map(|group| group.role).collect();
            let machines = [layout.master.groups, layout.worker.groups, layout.bootstrap.groups];
            let balancers = [layout.internal.groups, layout.external.groups];
            let rules = layout.groups.iter().flat_map(|group| group.ingress.iter());
            let sources = rules.flat_map(|part| part.iter()).flat_map(|rule| rule.sources);
            let sources = sources.filter_map(|source| match source {
                TrafficSource::Group(role) => Some(role),
                _ => None,
            });
            let named = machines.into_iter().chain(balancers).flatten().chain(sources);
            for role in named {
                assert!(roles.contains(role), "{}: {role}", layout.releases);
            }
        }
    }

    /// The cloud provider of Kubernetes rejects machines with several groups that have the tag.
    #[test]
    fn each_node_has_one_group_with_the_cluster_tag() {
        for Layout(layout) in Layout::ALL {
            for role in [layout.master, layout.worker] {
                let tagged = role.groups.iter().filter(|role| layout.group(role).has_cluster_tag);
                assert_eq!(tagged.count(), 1, "{} {}", layout.releases, role.role);
            }
        }
    }
}
