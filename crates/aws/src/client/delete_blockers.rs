//! Finds delete blockers: an error such as `DependencyViolation` does not name them. Changes nothing.
//!
//! A blocker that is going away is worth a wait: a network interface of a deleted load balancer, an
//! instance that is shutting down. Any other blocker stays until its owner removes it, so the
//! retries of the deletion end after [`STAYING_FOR`].

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_ec2::types::{
    AttachmentStatus, CarrierGateway, CarrierGatewayState, EgressOnlyInternetGateway, Instance,
    InternetGateway, NatGateway, NatGatewayState, NetworkInterface, NetworkInterfaceStatus,
    RouteTable, SecurityGroup, Subnet, Volume, VolumeAttachmentState, Vpc, VpcEndpoint,
};
use aws_sdk_elasticloadbalancingv2::types::TargetGroup;
use groundplan_engine::provider::ProviderError;

use super::ec2::{self, Ec2Object, filter, pages};
use super::elb::{self, BalancerKey};
use super::errors::is_in_use;
use crate::Aws;
use crate::client::resource_type::Result;

/// The maximum number of delete blockers in a message.
const NAMED: usize = 5;
/// Maximum time of retries while only lasting resources block a deletion. Other deletions of the
/// same run may still remove a blocker.
pub(crate) const STAYING_FOR: Duration = Duration::from_secs(60);

/// The resource that a deletion is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Doomed<'a> {
    /// Elastic IP address, by its allocation ID.
    Address(&'a str),
    /// Set of DHCP options.
    DhcpOptions(&'a str),
    /// Attachment of an internet gateway to this VPC.
    GatewayAttachment(&'a str),
    /// Network interface.
    NetworkInterface(&'a str),
    /// Security group.
    SecurityGroup(&'a str),
    /// Subnet.
    Subnet(&'a str),
    /// Target group, by its ARN.
    TargetGroup(&'a str),
    /// Volume.
    Volume(&'a str),
    /// VPC.
    Vpc(&'a str),
}

/// A resource that blocks a deletion.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Blocker {
    /// ID, and what is known about the resource: `eni-1 (on i-1)`.
    text: String,
    /// True if the resource is going away.
    leaves: bool,
}

impl Blocker {
    fn staying(text: String) -> Self {
        Self { text, leaves: false }
    }
}

/// Adds the delete blockers to an error of a delete that means that the resource is in use. While
/// a blocker is going away, the error has no limit of its own; otherwise its retries end after
/// [`STAYING_FOR`].
pub(crate) async fn name_blockers<T>(
    aws: &Aws,
    doomed: Doomed<'_>,
    deleted: Result<T>,
) -> Result<T> {
    match deleted {
        Err(error) if is_in_use(&error) => {
            // Without permission for the search, AWS's error stays as it is.
            let found = Box::pin(blockers(aws, doomed)).await.unwrap_or_default();
            Err(add_blockers(error, &found))
        }
        deleted => deleted,
    }
}

/// The futures of the searches are large, so each is on the heap.
async fn blockers(aws: &Aws, doomed: Doomed<'_>) -> Result<Vec<Blocker>> {
    let mut found = match doomed {
        Doomed::Address(id) => Box::pin(of_address(aws, id)).await?,
        Doomed::DhcpOptions(id) => {
            let vpcs = Vpc::describe(aws, vec![filter("dhcp-options-id", &[id])]).await?;
            vpcs.iter().filter_map(|one| staying(one.vpc_id(), "VPC")).collect()
        }
        Doomed::GatewayAttachment(vpc) => {
            let public = |one: &NetworkInterface| {
                one.association().is_some_and(|association| association.public_ip().is_some())
            };
            Box::pin(interfaces(aws, "vpc-id", vpc, public)).await?
        }
        Doomed::NetworkInterface(id) => {
            Box::pin(interfaces(aws, "network-interface-id", id, any)).await?
        }
        Doomed::SecurityGroup(id) => {
            let mut found = Box::pin(interfaces(aws, "group-id", id, any)).await?;
            for group in Box::pin(referencing(aws, id)).await? {
                let other = group.group_id().filter(|other| *other != id);
                found.extend(other.map(|other| {
                    Blocker::staying(format!("{other} (a rule in it references the group)"))
                }));
            }
            found
        }
        Doomed::Subnet(id) => Box::pin(interfaces(aws, "subnet-id", id, any)).await?,
        Doomed::TargetGroup(arn) => Box::pin(of_target_group(aws, arn)).await?,
        Doomed::Volume(id) => Box::pin(of_volume(aws, id)).await?,
        Doomed::Vpc(id) => Box::pin(in_vpc(aws, id)).await,
    };
    found.sort();
    found.dedup();
    Ok(found)
}

fn any(_: &NetworkInterface) -> bool {
    true
}

fn staying(id: Option<&str>, what: &str) -> Option<Blocker> {
    Some(Blocker::staying(format!("{} ({what})", id?)))
}

/// Returns the groups with a rule, of either direction, that references this group.
pub(crate) async fn referencing(aws: &Aws, group: &str) -> Result<Vec<SecurityGroup>> {
    let mut found = Vec::new();
    for direction in ["ip-permission.group-id", "egress.ip-permission.group-id"] {
        found.extend(SecurityGroup::describe(aws, vec![filter(direction, &[group])]).await?);
    }
    Ok(found)
}

/// Returns the resources in a VPC. A list that the credentials do not allow is left out.
async fn in_vpc(aws: &Aws, id: &str) -> Vec<Blocker> {
    let inside = || vec![filter("vpc-id", &[id])];
    let attached = || vec![filter("attachment.vpc-id", &[id])];
    let mut found = Box::pin(interfaces(aws, "vpc-id", id, any)).await.unwrap_or_default();
    let groups = SecurityGroup::describe(aws, inside()).await.unwrap_or_default();
    let others = groups.iter().filter(|group| group.group_name() != Some("default"));
    found.extend(others.filter_map(|one| {
        staying(one.group_id(), &format!("security group {}", one.group_name()?))
    }));
    let subnets = Subnet::describe(aws, inside()).await.unwrap_or_default();
    found.extend(subnets.iter().filter_map(|one| staying(one.subnet_id(), "subnet")));
    let tables = RouteTable::describe(aws, inside()).await.unwrap_or_default();
    let is_main = |one: &&RouteTable| one.associations().iter().any(|a| a.main() == Some(true));
    let others = tables.iter().filter(|one| !is_main(one));
    found.extend(others.filter_map(|one| staying(one.route_table_id(), "route table")));
    let gateways = InternetGateway::describe(aws, attached()).await.unwrap_or_default();
    found.extend(
        gateways.iter().filter_map(|one| staying(one.internet_gateway_id(), "internet gateway")),
    );
    let egress_only =
        EgressOnlyInternetGateway::describe(aws, Vec::new()).await.unwrap_or_default();
    found.extend(
        egress_only
            .iter()
            .filter(|one| ec2::egress_only_network(one) == Some(id))
            .filter_map(|one| staying(one.id(), "egress-only internet gateway")),
    );
    let carrier = CarrierGateway::describe(aws, inside()).await.unwrap_or_default();
    found.extend(carrier.iter().filter(|one| one.exists()).filter_map(|one| {
        let text = format!("{} (carrier gateway)", one.id()?);
        Some(Blocker { text, leaves: one.state() == Some(&CarrierGatewayState::Deleting) })
    }));
    for one in VpcEndpoint::describe(aws, inside()).await.unwrap_or_default() {
        let state = one.state().map(|state| state.as_str().to_ascii_lowercase());
        let leaves = state.as_deref() == Some("deleting");
        if let Some(id) = one.vpc_endpoint_id().filter(|_| state.as_deref() != Some("deleted")) {
            found.push(Blocker { text: format!("{id} (VPC endpoint)"), leaves });
        }
    }
    found.extend(Box::pin(acls(aws, id)).await.unwrap_or_default());
    found.extend(Box::pin(vpn_gateways(aws, id)).await.unwrap_or_default());
    found.extend(Box::pin(peerings(aws, id)).await.unwrap_or_default());
    found
}

async fn acls(aws: &Aws, vpc: &str) -> Result<Vec<Blocker>> {
    let request = aws.ec2.describe_network_acls().filters(filter("vpc-id", &[vpc]));
    let acls = pages!(aws, "DescribeNetworkAcls", request, network_acls);
    let others = acls.iter().filter(|acl| acl.is_default() == Some(false));
    Ok(others.filter_map(|acl| staying(acl.network_acl_id(), "network ACL")).collect())
}

async fn vpn_gateways(aws: &Aws, vpc: &str) -> Result<Vec<Blocker>> {
    let call = aws.ec2.describe_vpn_gateways().filters(filter("attachment.vpc-id", &[vpc]));
    let answer = aws.call("ec2", "DescribeVpnGateways", call.send()).await?;
    let found = answer.vpn_gateways().iter().filter_map(|gateway| {
        let mut attachments = gateway.vpc_attachments().iter();
        let state = attachments.find(|one| one.vpc_id() == Some(vpc))?.state()?;
        let text = format!("{} (VPN gateway)", gateway.vpn_gateway_id()?);
        (state != &AttachmentStatus::Detached)
            .then(|| Blocker { text, leaves: state == &AttachmentStatus::Detaching })
    });
    Ok(found.collect())
}

async fn peerings(aws: &Aws, vpc: &str) -> Result<Vec<Blocker>> {
    let mut found = Vec::new();
    for side in ["requester-vpc-info.vpc-id", "accepter-vpc-info.vpc-id"] {
        let request = aws.ec2.describe_vpc_peering_connections().filters(filter(side, &[vpc]));
        let connections =
            pages!(aws, "DescribeVpcPeeringConnections", request, vpc_peering_connections);
        found.extend(connections.iter().filter_map(|one| {
            let code = one
                .status()
                .and_then(|status| status.code())
                .map(aws_sdk_ec2::types::VpcPeeringConnectionStateReasonCode::as_str);
            let is_over = code
                .is_some_and(|code| ["deleted", "rejected", "expired", "failed"].contains(&code));
            let text = format!("{} (VPC peering connection)", one.vpc_peering_connection_id()?);
            (!is_over).then(|| Blocker { text, leaves: code == Some("deleting") })
        }));
    }
    Ok(found)
}

async fn of_address(aws: &Aws, allocation: &str) -> Result<Vec<Blocker>> {
    let call = aws.ec2.describe_addresses().allocation_ids(allocation);
    let answer = aws.call("ec2", "DescribeAddresses", call.send()).await?;
    let mut found = Vec::new();
    for address in answer.addresses() {
        if let Some(interface) = address.network_interface_id() {
            found.extend(Box::pin(interfaces(aws, "network-interface-id", interface, any)).await?);
        } else {
            found.extend(staying(address.instance_id(), "instance"));
        }
    }
    Ok(found)
}

async fn of_volume(aws: &Aws, id: &str) -> Result<Vec<Blocker>> {
    let found = ec2::by_ids::<Volume>(aws, [id]).await?;
    let attachments = found.values().flat_map(Volume::attachments);
    let on: Vec<_> =
        attachments.filter_map(|one| Some((one.instance_id()?, one.state()))).collect();
    let leaving = leaving_instances(aws, on.iter().map(|(instance, _)| *instance)).await?;
    let blocker = |(instance, state): (&str, Option<&VolumeAttachmentState>)| Blocker {
        text: format!("{instance} (instance)"),
        leaves: state == Some(&VolumeAttachmentState::Detaching) || leaving.contains(instance),
    };
    Ok(on.into_iter().map(blocker).collect())
}

/// Returns the load balancers that forward to a target group, with the ports of the listeners. AWS
/// may name a load balancer for some seconds after its deletion.
async fn of_target_group(aws: &Aws, arn: &str) -> Result<Vec<Blocker>> {
    let call = aws.elb.describe_target_groups().target_group_arns(arn);
    let answer = aws.call("elasticloadbalancing", "DescribeTargetGroups", call.send()).await?;
    let groups = answer.target_groups().iter();
    let named: Vec<String> = groups.flat_map(TargetGroup::load_balancer_arns).cloned().collect();
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let there = elb::load_balancers(aws, BalancerKey::Arn, &named).await?;
    let mut found = Vec::new();
    for balancer in named {
        let exists = there.iter().any(|one| one.load_balancer_arn() == Some(&balancer));
        let text = match exists {
            true => format!("{balancer} ({})", listeners_to(aws, &balancer, arn).await?),
            false => format!("{balancer} (deleted load balancer)"),
        };
        found.push(Blocker { text, leaves: !exists });
    }
    Ok(found)
}

/// Returns `a listener on port 443 forwards to the group`.
async fn listeners_to(aws: &Aws, balancer: &str, group: &str) -> Result<String> {
    let listeners = elb::listeners(aws, balancer).await?;
    let ports = listeners.iter().filter(|one| {
        let mut actions = one.default_actions().iter();
        actions.any(|action| action.target_group_arn() == Some(group))
    });
    let ports: Vec<String> = ports.filter_map(|one| Some(one.port()?.to_string())).collect();
    Ok(match ports.as_slice() {
        [] => "load balancer".to_owned(),
        ports => format!("a listener on port {} forwards to the group", ports.join(", ")),
    })
}

/// Returns the network interfaces that match a filter and `wanted`.
async fn interfaces(
    aws: &Aws,
    name: &str,
    value: &str,
    wanted: fn(&NetworkInterface) -> bool,
) -> Result<Vec<Blocker>> {
    let mut found = NetworkInterface::describe(aws, vec![filter(name, &[value])]).await?;
    found.retain(wanted);
    let owners = Box::pin(Owners::of(aws, &found)).await?;
    let blocker = |one: &NetworkInterface| {
        Some(Blocker { text: interface(one)?, leaves: owners.let_go_of(one) })
    };
    Ok(found.iter().filter_map(blocker).collect())
}

/// The owners of network interfaces that exist and stay.
#[derive(Debug, Default)]
struct Owners {
    /// Instances that are shutting down or terminated.
    leaving_instances: BTreeSet<String>,
    /// Descriptions of interfaces of existing load balancers.
    balancers: BTreeSet<String>,
    /// IDs of NAT gateways and VPC endpoints that are not being deleted.
    gateways: BTreeSet<String>,
}

impl Owners {
    /// Reads the owners of these interfaces. Makes no call for a type of owner that none of them
    /// has.
    async fn of(aws: &Aws, interfaces: &[NetworkInterface]) -> Result<Self> {
        let on = interfaces.iter().filter_map(|one| one.attachment()?.instance_id());
        let said = interfaces.iter().filter_map(NetworkInterface::description);
        let said: Vec<&str> = said.collect();
        let words = |prefix: &'static str| -> BTreeSet<&str> {
            let all = said.iter().flat_map(|text| text.split_whitespace());
            all.filter(|word| word.starts_with(prefix)).collect()
        };
        let mut owners =
            Self { leaving_instances: leaving_instances(aws, on).await?, ..Self::default() };
        owners.balancers.extend(Box::pin(balancers_of(aws, &said)).await?);
        let (nats, endpoints) = (words("nat-"), words("vpce-"));
        if !nats.is_empty() {
            let there = ec2::by_ids::<NatGateway>(aws, nats).await?;
            let stays = |one: &NatGateway| {
                let leaving = [Some(&NatGatewayState::Deleting), Some(&NatGatewayState::Deleted)];
                !leaving.contains(&one.state())
            };
            owners
                .gateways
                .extend(there.into_iter().filter(|(_, one)| stays(one)).map(|(id, _)| id));
        }
        if !endpoints.is_empty() {
            let there = ec2::by_ids::<VpcEndpoint>(aws, endpoints).await?;
            let stays = |one: &VpcEndpoint| {
                let state = one.state().map(|state| state.as_str().to_ascii_lowercase());
                !state.is_some_and(|state| state.starts_with("delet"))
            };
            owners
                .gateways
                .extend(there.into_iter().filter(|(_, one)| stays(one)).map(|(id, _)| id));
        }
        Ok(owners)
    }

    /// Returns true if an interface is going away: it is being detached, its instance is shutting
    /// down, or an AWS service deletes it. A service deletes the interfaces of a resource that no
    /// longer exists, and those of a function within the hour.
    fn let_go_of(&self, one: &NetworkInterface) -> bool {
        let attachment = one.attachment();
        let is_detaching = one.status() == Some(&NetworkInterfaceStatus::Detaching)
            || attachment.and_then(|it| it.status()) == Some(&AttachmentStatus::Detaching);
        let instance = attachment.and_then(|it| it.instance_id());
        if is_detaching || instance.is_some_and(|id| self.leaving_instances.contains(id)) {
            return true;
        }
        let said = one.description().unwrap_or_default();
        let has_owner = self.balancers.contains(said)
            || said.split_whitespace().any(|word| self.gateways.contains(word));
        let is_of_service = one.requester_managed() == Some(true) || said.starts_with("ELB ");
        instance.is_none() && is_of_service && !has_owner
    }
}

/// Returns the ones of these instances that are shutting down or terminated.
async fn leaving_instances(aws: &Aws, ids: impl Iterator<Item = &str>) -> Result<BTreeSet<String>> {
    let ids: BTreeSet<&str> = ids.collect();
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let there = ec2::by_ids::<Instance>(aws, ids).await?;
    Ok(there.into_iter().filter(|(_, one)| !one.exists()).map(|(id, _)| id).collect())
}

/// Returns the descriptions, of these, that belong to existing load balancers: `ELB net/demo/0a1b`,
/// and `ELB demo` for classic ones.
async fn balancers_of(aws: &Aws, descriptions: &[&str]) -> Result<Vec<String>> {
    let places = descriptions.iter().filter_map(|text| text.strip_prefix("ELB "));
    let (newer, classic): (Vec<&str>, Vec<&str>) = places.partition(|place| place.contains('/'));
    let names: BTreeSet<&str> = newer.iter().filter_map(|place| place.split('/').nth(1)).collect();
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let mut found = Vec::new();
    if !names.is_empty() {
        let there = elb::load_balancers(aws, BalancerKey::Name, &names).await?;
        let arns = there.iter().filter_map(|one| one.load_balancer_arn());
        found.extend(arns.map(elb::interface_description));
    }
    if !classic.is_empty() {
        let wanted: Vec<String> = classic.iter().map(|&name| name.to_owned()).collect();
        let there = elb::classic_load_balancers(aws, &wanted).await?;
        found.extend(there.iter().map(|name| format!("ELB {name}")));
    }
    Ok(found)
}

/// Returns `eni-1 (ELB app/theirs/1, of amazon-elb)`: the interface with its instance, description
/// and requester.
fn interface(one: &NetworkInterface) -> Option<String> {
    let id = one.network_interface_id()?;
    let on = one.attachment().and_then(|attachment| attachment.instance_id());
    let says = one.description().filter(|text| !text.is_empty());
    let by = one.requester_id().filter(|_| one.requester_managed() == Some(true));
    let words: Vec<String> = [
        on.map(|instance| format!("on {instance}")),
        says.map(str::to_owned),
        by.map(|requester| format!("of {requester}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    Some(match words.is_empty() {
        true => format!("{id} (network interface)"),
        false => format!("{id} ({})", words.join(", ")),
    })
}

fn add_blockers(mut error: ProviderError, blockers: &[Blocker]) -> ProviderError {
    if blockers.is_empty() {
        return error;
    }
    let more = blockers.len().saturating_sub(NAMED);
    let named: Vec<&str> =
        blockers[..blockers.len() - more].iter().map(|one| one.text.as_str()).collect();
    let mut named = named.join(", ");
    if more > 0 {
        named = format!("{named} and {more} more");
    }
    let said = error.message.trim_end_matches('.');
    error.message = format!("{said}; blocked by {named}");
    if blockers.iter().any(|one| one.leaves) {
        error.within = None;
        return error.with_hint(
            "run the same command again, or pass a longer --wait-timeout: the blocking resource is \
             going away",
        );
    }
    error.within = Some(STAYING_FOR);
    error.with_hint(
        "delete or detach the blocking resource if it is unused, and run the same command again; it \
         does not go away by itself",
    )
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::NetworkInterfaceAttachment;
    use groundplan_engine::provider::ErrorClass;

    use super::*;

    fn on(instance: &str, status: AttachmentStatus) -> NetworkInterfaceAttachment {
        NetworkInterfaceAttachment::builder().instance_id(instance).status(status).build()
    }

    #[test]
    fn an_interface_is_known_by_whom_it_is_for() {
        let one = NetworkInterface::builder().network_interface_id("eni-1");
        assert_eq!(interface(&one.clone().build()).unwrap(), "eni-1 (network interface)");
        let on = NetworkInterfaceAttachment::builder().instance_id("i-1").build();
        assert_eq!(interface(&one.clone().attachment(on).build()).unwrap(), "eni-1 (on i-1)");
        let balancer = one.description("ELB app/theirs/1").requester_id("amazon-elb");
        let balancer = balancer.requester_managed(true).build();
        assert_eq!(interface(&balancer).unwrap(), "eni-1 (ELB app/theirs/1, of amazon-elb)");
    }

    #[test]
    fn an_interface_leaves_with_its_owner() {
        let owners = Owners {
            leaving_instances: ["i-leaving".to_owned()].into(),
            balancers: ["ELB net/theirs/1".to_owned()].into(),
            gateways: ["nat-stays".to_owned()].into(),
        };
        let interface = NetworkInterface::builder;
        let of_service = |said: &str| interface().description(said).requester_managed(true).build();
        let attached = AttachmentStatus::Attached;
        for (one, leaves) in [
            (interface().build(), false),
            (interface().status(NetworkInterfaceStatus::Detaching).build(), true),
            (interface().attachment(on("i-stays", attached.clone())).build(), false),
            (interface().attachment(on("i-stays", AttachmentStatus::Detaching)).build(), true),
            (interface().attachment(on("i-leaving", attached)).build(), true),
            (of_service("ELB net/theirs/1"), false),
            (of_service("ELB net/deleted/2"), true),
            (of_service("Interface for NAT Gateway nat-stays"), false),
            (of_service("Interface for NAT Gateway nat-deleted"), true),
            (of_service("AWS Lambda VPC ENI-f-1"), true),
        ] {
            assert_eq!(owners.let_go_of(&one), leaves, "{one:?}");
        }
    }

    fn error() -> ProviderError {
        ProviderError::new(ErrorClass::Retryable, "DeleteSubnet", "It has dependencies.")
    }

    #[test]
    fn a_few_are_named_and_the_rest_is_counted() {
        let all: Vec<Blocker> =
            (0..7).map(|index| Blocker::staying(format!("eni-{index}"))).collect();
        let message = add_blockers(error(), &all).message;
        assert_eq!(
            message,
            "It has dependencies; blocked by eni-0, eni-1, eni-2, eni-3, eni-4 and 2 more"
        );
        assert_eq!(add_blockers(error(), &[]), error());
    }

    #[test]
    fn only_what_is_going_away_is_waited_for() {
        let blockers = |leaves: &[bool]| -> Vec<Blocker> {
            let one = |&leaves| Blocker { text: "eni-1".to_owned(), leaves };
            leaves.iter().map(one).collect()
        };
        let within = |leaves: &[bool]| {
            let limited = error().with_limit(Duration::from_secs(180));
            add_blockers(limited, &blockers(leaves)).within
        };
        assert_eq!(within(&[false, false]), Some(STAYING_FOR));
        assert_eq!(within(&[false, true]), None);
        assert_eq!(within(&[]), Some(Duration::from_secs(180)));
    }
}
