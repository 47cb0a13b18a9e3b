//! Deletion of untracked resources. A resource that does not exist counts as deleted. If another
//! resource still uses it, the error is retryable.

use aws_sdk_ec2::types::{self, IpPermission, UserIdGroupPair};
use aws_sdk_route53::types::ChangeAction;
use groundplan_engine::provider::{ErrorClass, ProviderError};

use super::UntrackedKind;
use crate::client::ec2::{self, Ec2Object, filter, fine_when, retry_when};
use crate::client::elb::{NO_LOAD_BALANCER, NO_TARGET_GROUP};
use crate::client::outcomes::{none_if, retry_on};
use crate::client::resource_type::Result;
use crate::client::route53::{self, step};
use crate::kinds::ami_copy::delete_image;
use crate::kinds::hosted_zone::delete_zone;
use crate::kinds::route_table::delete_table;
use crate::kinds::s3_bucket::delete_bucket;
use crate::kinds::security_group::delete_security_group;
use crate::kinds::subnet::delete_subnet;
use crate::kinds::vpc::delete_vpc;
use crate::kinds::vpc_endpoint::delete_endpoint;
use crate::sweep::cut;
use crate::{Aws, Tags};

const ELB: &str = "elasticloadbalancing";
const ABSENT: &[&str] = &["NoSuchEntity"];
const NO_GROUP: &[&str] = &["InvalidGroup.NotFound", "InvalidGroupId.NotFound"];

/// Makes one deleting EC2 call. Parameters: action, ID, error codes for an absent resource
/// (`gone`), and error codes for a resource in use (`held`), which are retryable.
macro_rules! delete {
    ($aws:ident, $call:ident($name:literal).$field:ident($id:ident), gone: $gone:expr, held: $held:expr) => {{
        let deleted = $aws.call("ec2", $name, $aws.ec2.$call().$field($id).send()).await;
        fine_when(retry_when(deleted, &$held), &$gone)
    }};
}

pub(super) async fn delete(aws: &Aws, what: UntrackedKind, id: &str) -> Result<()> {
    match what {
        UntrackedKind::Instance => {
            delete!(aws, terminate_instances("TerminateInstances").instance_ids(id),
                gone: ["InvalidInstanceID.NotFound"], held: [])
        }
        UntrackedKind::Volume => {
            delete!(aws, delete_volume("DeleteVolume").volume_id(id),
                gone: ["InvalidVolume.NotFound"], held: ["VolumeInUse", "IncorrectState"])
        }
        UntrackedKind::Snapshot => {
            delete!(aws, delete_snapshot("DeleteSnapshot").snapshot_id(id),
                gone: ["InvalidSnapshot.NotFound"], held: ["InvalidSnapshot.InUse"])
        }
        UntrackedKind::NetworkInterface => {
            delete!(aws, delete_network_interface("DeleteNetworkInterface").network_interface_id(id),
                gone: ["InvalidNetworkInterfaceID.NotFound"],
                held: ["InvalidNetworkInterface.InUse"])
        }
        UntrackedKind::ElasticIp => {
            delete!(aws, release_address("ReleaseAddress").allocation_id(id),
                gone: ["InvalidAllocationID.NotFound"], held: ["InvalidIPAddress.InUse"])
        }
        UntrackedKind::NatGateway => {
            delete!(aws, delete_nat_gateway("DeleteNatGateway").nat_gateway_id(id),
                gone: ["NatGatewayNotFound"], held: [])
        }
        UntrackedKind::Subnet => delete_subnet(aws, id).await,
        UntrackedKind::Vpc => delete_vpc(aws, id).await,
        UntrackedKind::DhcpOptions => {
            delete!(aws, delete_dhcp_options("DeleteDhcpOptions").dhcp_options_id(id),
                gone: ["InvalidDhcpOptionID.NotFound", "InvalidDhcpOptionsID.NotFound"], held: [])
        }
        UntrackedKind::Image => delete_image(aws, id).await,
        UntrackedKind::VpcEndpoint => delete_endpoint(aws, id).await,
        UntrackedKind::SecurityGroup => security_group(aws, id).await,
        UntrackedKind::InternetGateway => internet_gateway(aws, id).await,
        UntrackedKind::RouteTable => route_table(aws, id).await,
        UntrackedKind::LoadBalancer => load_balancer(aws, id).await,
        UntrackedKind::ClassicLoadBalancer => classic_load_balancer(aws, id).await,
        UntrackedKind::TargetGroup => target_group(aws, id).await,
        UntrackedKind::HostedZone => delete_zone(aws, id).await,
        UntrackedKind::Record => record(aws, id).await,
        UntrackedKind::Bucket => delete_bucket(aws, &id.into()).await,
        UntrackedKind::User => user(aws, id).await,
        UntrackedKind::InstanceProfile => instance_profile(aws, id).await,
        UntrackedKind::Role => role(aws, id).await,
        UntrackedKind::SharedTag => shared_tag(aws, id).await,
    }
}

/// Removes only the cluster tag. Hosted zones have a separate API; their IDs contain no hyphen, and
/// all EC2 IDs contain one.
async fn shared_tag(aws: &Aws, id: &str) -> Result<()> {
    let key = aws.settings.cluster_tag.clone();
    if !id.contains('-') {
        let before = Tags::from([(key, "shared".to_owned())]);
        let untagged = route53::change_tags(aws, id, &before, &Tags::new()).await;
        return none_if(untagged, route53::NO_ZONE).map(drop);
    }
    let call = aws.ec2.delete_tags().resources(id).tags(types::Tag::builder().key(key).build());
    aws.call("ec2", "DeleteTags", call.send()).await.map(drop)
}

/// Deletes a security group after revoking the rules that reference it. Kubernetes adds such rules
/// to the nodes' group for a load balancer's group. Rules in groups that the cluster does not own
/// stay: AWS then rejects the deletion, and the error names the owners.
async fn security_group(aws: &Aws, id: &str) -> Result<()> {
    let naming = vec![filter("ip-permission.group-id", &[id])];
    let others = types::SecurityGroup::describe(aws, naming).await?;
    let is_ours = |group: &types::SecurityGroup| {
        let key = aws.settings.cluster_tag.as_str();
        group.tags().iter().any(|tag| tag.key() == Some(key) && tag.value() == Some("owned"))
    };
    for other in others.into_iter().filter(is_ours) {
        let rules: Vec<_> =
            other.ip_permissions().iter().filter_map(|rule| of_group(rule, id)).collect();
        let Some(group) = other.group_id().filter(|group| *group != id && !rules.is_empty()) else {
            continue;
        };
        let call = aws.ec2.revoke_security_group_ingress().group_id(group);
        let call = call.set_ip_permissions(Some(rules));
        let revoked = aws.call("ec2", "RevokeSecurityGroupIngress", call.send()).await;
        fine_when(revoked, &["InvalidPermission.NotFound", NO_GROUP[0], NO_GROUP[1]])?;
    }
    delete_security_group(aws, id).await
}

/// Returns the part of a rule that references this group. `None` if no part does.
fn of_group(rule: &IpPermission, id: &str) -> Option<IpPermission> {
    let pairs = rule.user_id_group_pairs().iter().filter(|pair| pair.group_id() == Some(id));
    let pairs: Vec<_> = pairs
        .map(|pair| {
            UserIdGroupPair::builder().group_id(id).set_user_id(pair.user_id.clone()).build()
        })
        .collect();
    (!pairs.is_empty()).then(|| {
        IpPermission::builder()
            .set_ip_protocol(rule.ip_protocol.clone())
            .set_from_port(rule.from_port)
            .set_to_port(rule.to_port)
            .set_user_id_group_pairs(Some(pairs))
            .build()
    })
}

async fn internet_gateway(aws: &Aws, id: &str) -> Result<()> {
    let found = ec2::by_ids::<types::InternetGateway>(aws, [id]).await?;
    let attached = found.values().flat_map(types::InternetGateway::attachments);
    for vpc in attached.filter_map(|one| one.vpc_id()) {
        let call = aws.ec2.detach_internet_gateway().internet_gateway_id(id).vpc_id(vpc);
        let detached = aws.call("ec2", "DetachInternetGateway", call.send()).await;
        fine_when(detached, &["Gateway.NotAttached", "InvalidInternetGatewayID.NotFound"])?;
    }
    delete!(aws, delete_internet_gateway("DeleteInternetGateway").internet_gateway_id(id),
        gone: ["InvalidInternetGatewayID.NotFound"], held: [])
}

/// Deletes a route table. If it is the main table, another table of the VPC becomes main first.
async fn route_table(aws: &Aws, id: &str) -> Result<()> {
    let found = ec2::by_ids::<types::RouteTable>(aws, [id]).await?;
    match found.get(id).and_then(types::RouteTable::vpc_id) {
        Some(vpc) => delete_table(aws, &vpc.into(), id).await,
        None => Ok(()),
    }
}

async fn load_balancer(aws: &Aws, arn: &str) -> Result<()> {
    let call = aws.elb.delete_load_balancer().load_balancer_arn(arn);
    none_if(aws.call(ELB, "DeleteLoadBalancer", call.send()).await, NO_LOAD_BALANCER).map(drop)
}

async fn classic_load_balancer(aws: &Aws, name: &str) -> Result<()> {
    let call = aws.elb_classic.delete_load_balancer().load_balancer_name(name);
    none_if(aws.call(ELB, "DeleteLoadBalancer", call.send()).await, NO_LOAD_BALANCER).map(drop)
}

async fn target_group(aws: &Aws, arn: &str) -> Result<()> {
    let call = aws.elb.delete_target_group().target_group_arn(arn);
    let deleted = aws.call(ELB, "DeleteTargetGroup", call.send()).await;
    // AWS may not know yet that the load balancer that used the group is deleted.
    none_if(retry_on(deleted, &["ResourceInUse"]), NO_TARGET_GROUP).map(drop)
}

/// Deletes a record. Route 53 requires its present content, so the record is read first.
async fn record(aws: &Aws, id: &str) -> Result<()> {
    let Some((zone, kind, name)) = cut(id) else {
        let message = format!("`{id}` is not the zone, type and name of a record");
        return Err(ProviderError::new(ErrorClass::Permanent, "ChangeResourceRecordSets", message));
    };
    let page = route53::records_from(aws, zone, name, 10).await?.unwrap_or_default();
    let live = page
        .into_iter()
        .find(|one| one.r#type().as_str() == kind && route53::same_name(one.name(), name));
    let Some(live) = live else { return Ok(()) };
    let deleted = route53::change(aws, zone, vec![step(ChangeAction::Delete, live)]).await;
    // Another client changed the record after it was read. The retry reads it again.
    none_if(retry_on(deleted, &["InvalidChangeBatch"]), route53::NO_ZONE).map(drop)
}

/// Deletes a user with its access keys and inline policies.
async fn user(aws: &Aws, name: &str) -> Result<()> {
    let call = aws.iam.list_access_keys().user_name(name);
    let keys = none_if(aws.call("iam", "ListAccessKeys", call.send()).await, ABSENT)?;
    for key in keys.map(|one| one.access_key_metadata).unwrap_or_default() {
        let call = aws.iam.delete_access_key().user_name(name).set_access_key_id(key.access_key_id);
        none_if(aws.call("iam", "DeleteAccessKey", call.send()).await, ABSENT)?;
    }
    let call = aws.iam.list_user_policies().user_name(name);
    let inline = none_if(aws.call("iam", "ListUserPolicies", call.send()).await, ABSENT)?;
    for policy in inline.map(|one| one.policy_names).unwrap_or_default() {
        let call = aws.iam.delete_user_policy().user_name(name).policy_name(policy);
        none_if(aws.call("iam", "DeleteUserPolicy", call.send()).await, ABSENT)?;
    }
    let call = aws.iam.delete_user().user_name(name);
    // Another client added a key or a policy after they were listed. The retry lists them again.
    let deleted = aws.call("iam", "DeleteUser", call.send()).await;
    none_if(retry_on(deleted, &["DeleteConflict"]), ABSENT).map(drop)
}

async fn instance_profile(aws: &Aws, name: &str) -> Result<()> {
    let call = aws.iam.get_instance_profile().instance_profile_name(name);
    let profile = none_if(aws.call("iam", "GetInstanceProfile", call.send()).await, ABSENT)?;
    let roles = profile.and_then(|one| one.instance_profile).map(|one| one.roles);
    for role in roles.unwrap_or_default() {
        let call = aws.iam.remove_role_from_instance_profile().instance_profile_name(name);
        let call = call.role_name(role.role_name);
        none_if(aws.call("iam", "RemoveRoleFromInstanceProfile", call.send()).await, ABSENT)?;
    }
    let call = aws.iam.delete_instance_profile().instance_profile_name(name);
    let deleted = aws.call("iam", "DeleteInstanceProfile", call.send()).await;
    none_if(retry_on(deleted, &["DeleteConflict"]), ABSENT).map(drop)
}

/// Deletes a role with its inline policies. Attached policies are detached and stay.
async fn role(aws: &Aws, name: &str) -> Result<()> {
    let call = aws.iam.list_role_policies().role_name(name);
    let inline = none_if(aws.call("iam", "ListRolePolicies", call.send()).await, ABSENT)?;
    for policy in inline.map(|one| one.policy_names).unwrap_or_default() {
        let call = aws.iam.delete_role_policy().role_name(name).policy_name(policy);
        none_if(aws.call("iam", "DeleteRolePolicy", call.send()).await, ABSENT)?;
    }
    let call = aws.iam.list_attached_role_policies().role_name(name);
    let attached = none_if(aws.call("iam", "ListAttachedRolePolicies", call.send()).await, ABSENT)?;
    for policy in attached.and_then(|one| one.attached_policies).unwrap_or_default() {
        let call = aws.iam.detach_role_policy().role_name(name).set_policy_arn(policy.policy_arn);
        none_if(aws.call("iam", "DetachRolePolicy", call.send()).await, ABSENT)?;
    }
    let call = aws.iam.delete_role().role_name(name);
    let deleted = aws.call("iam", "DeleteRole", call.send()).await;
    none_if(retry_on(deleted, &["DeleteConflict"]), ABSENT).map(drop)
}
