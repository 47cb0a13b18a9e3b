//! Search for resources without the cluster tag in networks that the cluster owns. They block the
//! deletion of the network and are left from CI jobs, load balancer controllers or threat detection.
//!
//! Security groups, VPC endpoints, network interfaces that are not in use, empty subnets, route tables,
//! and egress-only and carrier gateways hold no data and go with the network. Everything else stays and is named as a blocker:
//! machines, and what its owner has tagged or uses. A network that the user provides has the cluster
//! tag `shared` and is not searched. openshift-install deletes such resources with the network, too
//! (Bug 1747519).

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{
    CarrierGateway, EgressOnlyInternetGateway, Instance, IpPermission, NetworkInterface,
    NetworkInterfaceStatus, RouteTable, SecurityGroup, Subnet, Tag, VpcEndpoint,
};

use super::ec2::name_tag;
use groundplan_engine::provider::ProviderError;

use super::{NetworkBlocker, PAUSE, RemainingResource, claims, incomplete, permitted};
use crate::Aws;
use crate::client::AwsSettings;
use crate::client::ec2::{self, Ec2Object, filter, is_of_cluster};
use crate::client::resource_type::Result;
use crate::client::route_tables::{bare_table, is_main, live_associations};
use crate::model::untracked::UntrackedKind;

/// Resources without the cluster tag in the networks of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Untagged {
    /// Resources that go with their network.
    pub(super) left: Vec<RemainingResource>,
    /// Resources that stay, and block the deletion of their network.
    pub(super) blockers: Vec<NetworkBlocker>,
    /// Errors of lists that the credentials may not read. Most networks have none of the gateways in
    /// these lists.
    pub(super) denied: Vec<ProviderError>,
}

/// Returns the resources without the cluster tag in the owned networks among `tagged`. Makes seven
/// calls if there is a network, and none otherwise. What is found is read again after a pause, and
/// only what both reads find counts: a list that lacks a group of the cluster makes a foreign group
/// look unrelated.
///
/// # Errors
/// If a list cannot be read, or lacks the parts that each network has. Returns a retryable error if
/// both reads contain a resource with the cluster tag that `tagged` lacks: the tag index is then
/// incomplete, and may lack other resources, too.
pub(super) async fn untagged(aws: &Aws, tagged: &[RemainingResource]) -> Result<Untagged> {
    let of_kind = |kind: UntrackedKind| {
        let some = tagged.iter().filter(move |one| one.kind == kind.as_str());
        some.map(|one| one.id.as_str()).collect::<BTreeSet<_>>()
    };
    let vpcs: Vec<&str> = of_kind(UntrackedKind::Vpc).into_iter().collect();
    if vpcs.is_empty() {
        return Ok(Untagged::default());
    }
    let machines = of_kind(UntrackedKind::Instance);
    let first = Contents::of(aws, &vpcs).await?;
    let mut found = first.untagged(aws, &machines);
    let unlisted = first.unlisted(aws, tagged);
    let is_settled = unlisted.is_empty() && first.lacking(&vpcs).is_none();
    if found != Untagged::default() || !is_settled {
        tokio::time::sleep(PAUSE).await;
        let second = Contents::of(aws, &vpcs).await?;
        if let Some((call, vpc)) = second.lacking(&vpcs) {
            return Err(incomplete(call, vpc));
        }
        if let Some(id) = second.unlisted(aws, tagged).intersection(&unlisted).next() {
            return Err(incomplete("DescribeTags", id));
        }
        let again = second.untagged(aws, &machines);
        if first.lacking(&vpcs).is_some() {
            found = again;
        } else {
            found.left.retain(|one| again.left.contains(one));
            found.denied = again.denied;
            found.blockers.retain(|one| again.blockers.contains(one));
        }
    }
    with_names(aws, found).await
}

/// Adds the names of machines to the blockers. Leaves out machines that no longer exist, and those
/// whose tags show that they are the cluster's.
async fn with_names(aws: &Aws, mut found: Untagged) -> Result<Untagged> {
    let is_machine = |one: &NetworkBlocker| one.kind == UntrackedKind::Instance.as_str();
    let ids = found.blockers.iter().filter(|one| is_machine(one)).map(|one| one.id.clone());
    let ids: Vec<String> = ids.collect();
    if ids.is_empty() {
        return Ok(found);
    }
    let there = ec2::by_ids::<Instance>(aws, ids.iter().map(String::as_str)).await?;
    let is_ours = |one: &Instance| is_of_cluster(&aws.settings, one.tags());
    found.blockers.retain(|one| {
        !is_machine(one) || there.get(&one.id).is_some_and(|it| it.exists() && !is_ours(it))
    });
    for one in &mut found.blockers {
        if let Some(name) = there.get(&one.id).and_then(|it| name_tag(it.tags())) {
            one.name = Some(name.to_owned());
        }
    }
    Ok(found)
}

/// Contents of the networks of the cluster.
struct Contents {
    groups: Vec<SecurityGroup>,
    endpoints: Vec<VpcEndpoint>,
    interfaces: Vec<NetworkInterface>,
    subnets: Vec<Subnet>,
    tables: Vec<RouteTable>,
    egress_only_gateways: Vec<EgressOnlyInternetGateway>,
    carrier_gateways: Vec<CarrierGateway>,
    denied: Vec<ProviderError>,
}

impl Contents {
    async fn of(aws: &Aws, vpcs: &[&str]) -> Result<Self> {
        let inside = || vec![filter("vpc-id", vpcs)];
        let (
            mut groups,
            mut endpoints,
            mut interfaces,
            mut subnets,
            mut tables,
            (egress_only_gateways, egress_only_denied),
            (carrier_gateways, carrier_denied),
        ) = tokio::try_join!(
            Box::pin(SecurityGroup::describe(aws, inside())),
            Box::pin(VpcEndpoint::describe(aws, inside())),
            Box::pin(NetworkInterface::describe(aws, inside())),
            Box::pin(Subnet::describe(aws, inside())),
            Box::pin(RouteTable::describe(aws, inside())),
            Box::pin(async {
                permitted(EgressOnlyInternetGateway::describe(aws, Vec::new()).await)
            }),
            Box::pin(async { permitted(CarrierGateway::describe(aws, inside()).await) }),
        )?;
        let mut egress_only_gateways = egress_only_gateways.unwrap_or_default();
        let mut carrier_gateways = carrier_gateways.unwrap_or_default();
        let is_inside = |vpc: Option<&str>| vpc.is_some_and(|vpc| vpcs.contains(&vpc));
        groups.retain(|one| is_inside(one.vpc_id()));
        endpoints.retain(|one| is_inside(one.vpc_id()) && one.exists());
        interfaces.retain(|one| is_inside(one.vpc_id()));
        subnets.retain(|one| is_inside(one.vpc_id()));
        tables.retain(|one| is_inside(one.vpc_id()));
        egress_only_gateways.retain(|one| is_inside(ec2::egress_only_network(one)));
        carrier_gateways.retain(|one| is_inside(one.vpc_id()) && one.exists());
        let denied = egress_only_denied.into_iter().chain(carrier_denied).collect();
        Ok(Self {
            groups,
            endpoints,
            interfaces,
            subnets,
            tables,
            egress_only_gateways,
            carrier_gateways,
            denied,
        })
    }

    /// Returns a network whose default security group or main route table is missing, with the call
    /// whose answer lacks it. Every network has both.
    fn lacking<'a>(&self, vpcs: &[&'a str]) -> Option<(&'static str, &'a str)> {
        let has_group = |vpc: &str| {
            let mut groups = self.groups.iter();
            groups.any(|one| one.vpc_id() == Some(vpc) && one.group_name() == Some("default"))
        };
        let has_table =
            |vpc: &str| self.tables.iter().any(|one| one.vpc_id() == Some(vpc) && is_main(one));
        vpcs.iter().find_map(|vpc| {
            let call = match (has_group(vpc), has_table(vpc)) {
                (true, true) => return None,
                (false, _) => "DescribeSecurityGroups",
                (true, false) => "DescribeRouteTables",
            };
            Some((call, *vpc))
        })
    }

    /// Returns the IDs of the resources with the cluster tag that `tagged` lacks.
    fn unlisted(&self, aws: &Aws, tagged: &[RemainingResource]) -> BTreeSet<&str> {
        let listed: BTreeSet<&str> = tagged.iter().map(|one| one.id.as_str()).collect();
        let groups = self.groups.iter().map(|one| (one.group_id(), one.tags()));
        let endpoints = self.endpoints.iter().map(|one| (one.vpc_endpoint_id(), one.tags()));
        let interfaces =
            self.interfaces.iter().map(|one| (one.network_interface_id(), one.tag_set()));
        let subnets = self.subnets.iter().map(|one| (one.subnet_id(), one.tags()));
        let tables = self.tables.iter().map(|one| (one.route_table_id(), one.tags()));
        let gateways = self.gateways().map(|one| (one.id, one.tags));
        let all = groups.chain(endpoints).chain(interfaces).chain(subnets).chain(tables);
        let all = all.chain(gateways);
        let ours = all.filter(|(_, tags)| is_of_cluster(&aws.settings, tags));
        ours.filter_map(|(id, _)| id).filter(|id| !listed.contains(id)).collect()
    }

    fn untagged(&self, aws: &Aws, machines: &BTreeSet<&str>) -> Untagged {
        let settings = &aws.settings;
        let mut found = Untagged { denied: self.denied.clone(), ..Untagged::default() };
        self.find_groups(settings, machines, &mut found);
        self.find_endpoints_and_interfaces(settings, &mut found);
        self.find_subnets(settings, machines, &mut found);
        self.find_tables(settings, &mut found);
        self.find_gateways(settings, &mut found);
        self.find_machines(machines, &mut found);
        found
    }

    /// Finds the groups without the cluster tag. Those in relation to a group of the cluster, and
    /// those that machines or clusters of others use, stay.
    fn find_groups(&self, settings: &AwsSettings, machines: &BTreeSet<&str>, found: &mut Untagged) {
        let is_ours = |group: &SecurityGroup| is_of_cluster(settings, group.tags());
        let ours = self.groups.iter().filter(|group| is_ours(group));
        let ours: BTreeSet<&str> = ours.filter_map(SecurityGroup::group_id).collect();
        let unrelated: BTreeSet<Option<&str>> =
            unrelated(&self.groups, is_ours).into_iter().map(SecurityGroup::group_id).collect();
        for one in self.groups.iter().filter(|group| !is_ours(group) && !is_default(group)) {
            let (id, name) = (one.group_id(), name_tag(one.tags()).or(one.group_name()));
            let related = || match references(one).into_iter().find(|group| ours.contains(group)) {
                Some(group) => format!("a rule in it references {group}"),
                None => {
                    "it belongs to a security group that references one of the cluster".to_owned()
                }
            };
            let why = match unrelated.contains(&id) {
                true => other_cluster(one.tags())
                    .map(|other| format!("it has the tag of the cluster {other}"))
                    .or_else(|| self.user_of(id?, machines)),
                false => Some(related()),
            };
            match why {
                Some(why) => {
                    found.block(UntrackedKind::SecurityGroup, id, name, one.vpc_id(), why);
                }
                None => found.add(UntrackedKind::SecurityGroup, id, name, one.vpc_id()),
            }
        }
    }

    /// Returns the reason that a machine of others uses a group.
    fn user_of(&self, group: &str, machines: &BTreeSet<&str>) -> Option<String> {
        let uses = |one: &&NetworkInterface| {
            let mut groups = one.groups().iter();
            groups.any(|it| it.group_id() == Some(group))
        };
        let users = self.interfaces.iter().filter(uses).filter_map(instance);
        let user = users.into_iter().find(|id| !machines.contains(id))?;
        Some(format!("the instance {user} uses it"))
    }

    fn find_endpoints_and_interfaces(&self, settings: &AwsSettings, found: &mut Untagged) {
        for one in self.endpoints.iter().filter(|one| !is_of_cluster(settings, one.tags())) {
            let (id, name) = (one.vpc_endpoint_id(), name_tag(one.tags()));
            found.add(UntrackedKind::VpcEndpoint, id, name, one.vpc_id());
        }
        let is_free =
            |one: &&NetworkInterface| is_free(one) && !is_of_cluster(settings, one.tag_set());
        for one in self.interfaces.iter().filter(is_free) {
            let (id, name) = (one.network_interface_id(), name_tag(one.tag_set()));
            found.add(UntrackedKind::NetworkInterface, id, name, one.vpc_id());
        }
    }

    /// Finds the subnets without the cluster tag. A subnet with tags belongs to their author. A
    /// subnet with an interface in use is in use, unless the interface is of a machine of the
    /// cluster.
    fn find_subnets(
        &self,
        settings: &AwsSettings,
        machines: &BTreeSet<&str>,
        found: &mut Untagged,
    ) {
        let is_in_use = |one: &NetworkInterface| {
            !is_free(one) && instance(one).is_none_or(|id| !machines.contains(id))
        };
        for one in self.subnets.iter().filter(|one| !is_of_cluster(settings, one.tags())) {
            let mut inside = self.interfaces.iter().filter(|it| it.subnet_id() == one.subnet_id());
            let user = inside.find(|it| is_in_use(it));
            let why = tagged_by_others(one.tags()).or_else(|| {
                let interface = user?.network_interface_id().unwrap_or_default();
                Some(format!("the network interface {interface} in it is in use"))
            });
            let (id, name) = (one.subnet_id(), name_tag(one.tags()));
            match why {
                Some(why) => found.block(UntrackedKind::Subnet, id, name, one.vpc_id(), why),
                None => found.add(UntrackedKind::Subnet, id, name, one.vpc_id()),
            }
        }
    }

    /// Finds the route tables without the cluster tag. The main table goes with its network. If the
    /// main table is the cluster's, the table that AWS created with the network succeeds it.
    fn find_tables(&self, settings: &AwsSettings, found: &mut Untagged) {
        for one in
            self.tables.iter().filter(|one| !is_of_cluster(settings, one.tags()) && !is_main(one))
        {
            let of_vpc: Vec<RouteTable> =
                self.tables.iter().filter(|it| it.vpc_id() == one.vpc_id()).cloned().collect();
            let main = of_vpc.iter().find(|it| is_main(it) && is_of_cluster(settings, it.tags()));
            let succeeds = main.and_then(|main| bare_table(&of_vpc, main.route_table_id()?));
            if succeeds == one.route_table_id() {
                continue;
            }
            let (id, name) = (one.route_table_id(), name_tag(one.tags()));
            let why = tagged_by_others(one.tags()).or_else(|| {
                let mut served = live_associations(one).filter_map(|it| it.subnet_id());
                let user =
                    served.find(|subnet| found.blockers.iter().any(|it| it.id == *subnet))?;
                Some(format!("the subnet {user} uses it"))
            });
            match why {
                Some(why) => found.block(UntrackedKind::RouteTable, id, name, one.vpc_id(), why),
                None => found.add(UntrackedKind::RouteTable, id, name, one.vpc_id()),
            }
        }
    }

    fn gateways(&self) -> impl Iterator<Item = Gateway<'_>> {
        let egress_only = self.egress_only_gateways.iter().map(|one| Gateway {
            kind: UntrackedKind::EgressOnlyInternetGateway,
            id: one.id(),
            tags: one.tags(),
            network: ec2::egress_only_network(one),
        });
        let carrier = self.carrier_gateways.iter().map(|one| Gateway {
            kind: UntrackedKind::CarrierGateway,
            id: one.id(),
            tags: one.tags(),
            network: one.vpc_id(),
        });
        egress_only.chain(carrier)
    }

    /// Finds the egress-only and carrier gateways without the cluster tag. A gateway with tags belongs
    /// to their author.
    fn find_gateways(&self, settings: &AwsSettings, found: &mut Untagged) {
        for one in self.gateways().filter(|one| !is_of_cluster(settings, one.tags)) {
            let name = name_tag(one.tags);
            match tagged_by_others(one.tags) {
                Some(why) => found.block(one.kind, one.id, name, one.network, why),
                None => found.add(one.kind, one.id, name, one.network),
            }
        }
    }

    /// Finds the machines of others by their network interfaces.
    fn find_machines(&self, machines: &BTreeSet<&str>, found: &mut Untagged) {
        let mut seen = BTreeSet::new();
        for one in &self.interfaces {
            let Some(id) = instance(one).filter(|id| !machines.contains(id)) else { continue };
            if seen.insert(id) {
                let why = "it is not the cluster's".to_owned();
                found.block(UntrackedKind::Instance, Some(id), None, one.vpc_id(), why);
            }
        }
    }
}

/// An egress-only or carrier gateway.
struct Gateway<'a> {
    kind: UntrackedKind,
    id: Option<&'a str>,
    tags: &'a [Tag],
    network: Option<&'a str>,
}

impl Untagged {
    fn add(
        &mut self,
        kind: UntrackedKind,
        id: Option<&str>,
        name: Option<&str>,
        vpc: Option<&str>,
    ) {
        let Some(id) = id else { return };
        let network = vpc.map(str::to_owned);
        self.left
            .push(RemainingResource { network, ..RemainingResource::new(kind.as_str(), id, name) });
    }

    fn block(
        &mut self,
        kind: UntrackedKind,
        id: Option<&str>,
        name: Option<&str>,
        vpc: Option<&str>,
        reason: String,
    ) {
        let (Some(id), Some(vpc)) = (id, vpc) else { return };
        self.blockers.push(NetworkBlocker {
            kind: kind.as_str(),
            id: id.to_owned(),
            name: name.map(str::to_owned),
            network: vpc.to_owned(),
            reason,
        });
    }
}

fn is_free(interface: &NetworkInterface) -> bool {
    interface.status() == Some(&NetworkInterfaceStatus::Available)
}

/// Returns the instance that an interface is attached to.
fn instance(interface: &NetworkInterface) -> Option<&str> {
    interface.attachment().and_then(|attachment| attachment.instance_id())
}

fn is_default(group: &SecurityGroup) -> bool {
    group.group_name() == Some("default")
}

/// Returns the infra ID of another cluster in the tags.
fn other_cluster(tags: &[Tag]) -> Option<&str> {
    tags.iter().find_map(|tag| claims::other_cluster(tag.key()?))
}

/// Returns the reason why a resource with these tags belongs to others. `None` for one without tags;
/// tags of AWS itself do not count.
fn tagged_by_others(tags: &[Tag]) -> Option<String> {
    if let Some(other) = other_cluster(tags) {
        return Some(format!("it has the tag of the cluster {other}"));
    }
    let key = tags.iter().filter_map(Tag::key).find(|key| !key.starts_with("aws:"))?;
    Some(format!("its owner has tagged it ({key})"))
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
    others.retain(|group| !is_default(group));
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
    use aws_sdk_ec2::types::{InternetGatewayAttachment, UserIdGroupPair};

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
        assert_eq!((left, sent.bodies()), (Untagged::default(), Vec::new()));
    }

    fn contents() -> Contents {
        let tag = |key: &str| Tag::builder().key(key).value("owned").build();
        let main = aws_sdk_ec2::types::RouteTableAssociation::builder()
            .route_table_association_id("assoc-1")
            .main(true)
            .build();
        let serves = aws_sdk_ec2::types::RouteTableAssociation::builder()
            .route_table_association_id("assoc-2")
            .subnet_id("subnet-tagged")
            .build();
        let table = |id: &str| RouteTable::builder().vpc_id("vpc-1").route_table_id(id);
        let attached = |instance: &str| {
            let attachment = aws_sdk_ec2::types::NetworkInterfaceAttachment::builder();
            NetworkInterface::builder()
                .vpc_id("vpc-1")
                .network_interface_id(format!("eni-of-{instance}"))
                .subnet_id("subnet-used")
                .status(NetworkInterfaceStatus::InUse)
                .attachment(attachment.instance_id(instance).build())
                .build()
        };
        let subnet = |id: &str| Subnet::builder().vpc_id("vpc-1").subnet_id(id);
        let egress_only = |id: &str, keys: &[&str]| {
            EgressOnlyInternetGateway::builder()
                .egress_only_internet_gateway_id(id)
                .attachments(InternetGatewayAttachment::builder().vpc_id("vpc-1").build())
                .set_tags(Some(keys.iter().map(|key| tag(key)).collect()))
                .build()
        };
        Contents {
            groups: vec![
                SecurityGroup::builder()
                    .vpc_id("vpc-1")
                    .group_id("sg-0")
                    .group_name("default")
                    .build(),
                SecurityGroup::builder()
                    .vpc_id("vpc-1")
                    .group_id("sg-prod")
                    .tags(tag("kubernetes.io/cluster/prod-abcde"))
                    .build(),
            ],
            endpoints: Vec::new(),
            interfaces: vec![attached("i-ours"), attached("i-theirs")],
            subnets: vec![
                subnet("subnet-ours").tags(tag(OURS)).build(),
                subnet("subnet-empty").build(),
                subnet("subnet-used").build(),
                subnet("subnet-tagged").tags(tag("Name")).build(),
            ],
            tables: vec![
                table("rtb-main").tags(tag(OURS)).associations(main).build(),
                table("rtb-1-of-aws").build(),
                table("rtb-2-empty").build(),
                table("rtb-of-tagged").associations(serves).build(),
            ],
            egress_only_gateways: vec![
                egress_only("eigw-left", &[]),
                egress_only("eigw-ours", &[OURS]),
            ],
            carrier_gateways: vec![
                CarrierGateway::builder()
                    .vpc_id("vpc-1")
                    .carrier_gateway_id("cagw-tagged")
                    .tags(tag("Name"))
                    .build(),
            ],
            denied: Vec::new(),
        }
    }

    const OURS: &str = "kubernetes.io/cluster/demo-x7k2p";

    #[test]
    fn what_holds_no_data_goes_and_what_others_use_or_tag_blocks() {
        let settings = AwsSettings { cluster_tag: OURS.to_owned(), ..Default::default() };
        let (aws, _) = crate::client::tests::scripted_with([], settings);
        let found = contents().untagged(&aws, &["i-ours"].into());
        let ids: Vec<&str> = found.left.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["subnet-empty", "rtb-2-empty", "eigw-left"]);
        let blockers: Vec<(&str, &str)> =
            found.blockers.iter().map(|one| (one.id.as_str(), one.reason.as_str())).collect();
        assert_eq!(
            blockers,
            [
                ("sg-prod", "it has the tag of the cluster prod-abcde"),
                ("subnet-used", "the network interface eni-of-i-theirs in it is in use"),
                ("subnet-tagged", "its owner has tagged it (Name)"),
                ("rtb-of-tagged", "the subnet subnet-tagged uses it"),
                ("cagw-tagged", "its owner has tagged it (Name)"),
                ("i-theirs", "it is not the cluster's"),
            ]
        );
    }

    #[test]
    fn an_answer_without_the_parts_that_each_network_has_is_incomplete() {
        assert_eq!(contents().lacking(&["vpc-1"]), None);
        let without = Contents { groups: Vec::new(), ..contents() };
        assert_eq!(without.lacking(&["vpc-1"]), Some(("DescribeSecurityGroups", "vpc-1")));
        let without = Contents { tables: Vec::new(), ..contents() };
        assert_eq!(without.lacking(&["vpc-1"]), Some(("DescribeRouteTables", "vpc-1")));
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
