//! Deletion of untracked resources. A resource that does not exist counts as deleted. The error for
//! a resource that is still in use is retryable.

use aws_sdk_ec2::types;
use groundplan_engine::provider::{ErrorClass, ProviderError, ProviderFuture};

use super::UntrackedKind;
use crate::client::delete_blockers::{Doomed, name_blockers};
use crate::client::ec2::{self, fine_when, retry_when};
use crate::client::elb::NO_LOAD_BALANCER;
use crate::client::iam::{delete_role, delete_user, end_attachments};
use crate::client::instances::terminate;
use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;
use crate::client::route53;
use crate::kinds::ami_copy::delete_image;
use crate::kinds::dhcp_options::delete_options;
use crate::kinds::elastic_ip::release_address;
use crate::kinds::hosted_zone::delete_zone;
use crate::kinds::iam_instance_profile::delete_profile;
use crate::kinds::internet_gateway::delete_gateway;
use crate::kinds::load_balancer::delete_balancer;
use crate::kinds::nat_gateway::delete_nat_gateway;
use crate::kinds::network_interface::delete_interface;
use crate::kinds::record::delete_live;
use crate::kinds::route_table::delete_table;
use crate::kinds::s3_bucket::delete_bucket;
use crate::kinds::security_group::{
    delete_security_group, revoke_own_references, revoke_references,
};
use crate::kinds::subnet::delete_subnet;
use crate::kinds::target_group::delete_target_group;
use crate::kinds::vpc::delete_vpc;
use crate::kinds::vpc_endpoint::delete_endpoint;
use crate::sweep::cut;
use crate::{Aws, Tags};

const ELB: &str = "elasticloadbalancing";

/// Deletes one untracked resource, with the parts that AWS does not delete together with it. `id`
/// is an ID, an ARN or a name, depending on the kind. Types that a kind records are deleted by the
/// function of that kind. The futures are large, so each is on the heap.
pub(super) fn delete<'a>(aws: &'a Aws, what: UntrackedKind, id: &'a str) -> ProviderFuture<'a, ()> {
    match what {
        UntrackedKind::Instance => Box::pin(instance(aws, id)),
        UntrackedKind::Volume => Box::pin(volume(aws, id)),
        UntrackedKind::Snapshot => Box::pin(snapshot(aws, id)),
        UntrackedKind::NetworkInterface => Box::pin(delete_interface(aws, id)),
        UntrackedKind::ElasticIp => Box::pin(release_address(aws, id)),
        UntrackedKind::NatGateway => Box::pin(delete_nat_gateway(aws, id)),
        UntrackedKind::Subnet => Box::pin(delete_subnet(aws, id)),
        UntrackedKind::Vpc => Box::pin(delete_vpc(aws, id)),
        UntrackedKind::DhcpOptions => Box::pin(delete_options(aws, id)),
        UntrackedKind::Image => Box::pin(delete_image(aws, id)),
        UntrackedKind::VpcEndpoint => Box::pin(delete_endpoint(aws, id)),
        UntrackedKind::SecurityGroup => Box::pin(security_group(aws, id)),
        UntrackedKind::InternetGateway => Box::pin(delete_gateway(aws, id, None)),
        UntrackedKind::RouteTable => Box::pin(route_table(aws, id)),
        UntrackedKind::LoadBalancer => Box::pin(delete_balancer(aws, id)),
        UntrackedKind::ClassicLoadBalancer => Box::pin(classic_load_balancer(aws, id)),
        UntrackedKind::TargetGroup => Box::pin(delete_target_group(aws, id)),
        UntrackedKind::HostedZone => Box::pin(delete_zone(aws, id)),
        UntrackedKind::Record => Box::pin(record(aws, id)),
        UntrackedKind::Bucket => Box::pin(bucket(aws, id)),
        UntrackedKind::User => Box::pin(delete_user(aws, id)),
        UntrackedKind::InstanceProfile => Box::pin(delete_profile(aws, id, None)),
        UntrackedKind::Role => Box::pin(role(aws, id)),
        UntrackedKind::SharedTag => Box::pin(shared_tag(aws, id)),
    }
}

async fn instance(aws: &Aws, id: &str) -> Result<()> {
    terminate(aws, &id.into()).await
}

async fn bucket(aws: &Aws, name: &str) -> Result<()> {
    delete_bucket(aws, &name.into()).await
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

/// Deletes a security group after revoking the rules of the cluster that reference it, as the groups
/// of load balancers have them, and its own rules that reference another group. Of two groups that
/// reference each other, each can then be deleted.
async fn security_group(aws: &Aws, id: &str) -> Result<()> {
    revoke_references(aws, id).await?;
    revoke_own_references(aws, id).await?;
    delete_security_group(aws, id).await
}

/// Deletes a role after ending its attachments. Roles without a record have inline policies.
async fn role(aws: &Aws, name: &str) -> Result<()> {
    end_attachments(aws, name).await?;
    delete_role(aws, name).await
}

async fn snapshot(aws: &Aws, id: &str) -> Result<()> {
    let call = aws.ec2.delete_snapshot().snapshot_id(id);
    let deleted = aws.call("ec2", "DeleteSnapshot", call.send()).await;
    fine_when(deleted, &["InvalidSnapshot.NotFound"])
}

async fn volume(aws: &Aws, id: &str) -> Result<()> {
    let call = aws.ec2.delete_volume().volume_id(id);
    let deleted = aws.call("ec2", "DeleteVolume", call.send()).await;
    let deleted = name_blockers(aws, Doomed::Volume(id), deleted).await;
    fine_when(retry_when(deleted, &["IncorrectState"]), &["InvalidVolume.NotFound"])
}

/// Deletes a route table. If it is the main table, another table of the VPC becomes main first.
async fn route_table(aws: &Aws, id: &str) -> Result<()> {
    let found = ec2::by_ids::<types::RouteTable>(aws, [id]).await?;
    match found.get(id).and_then(types::RouteTable::vpc_id) {
        Some(vpc) => delete_table(aws, &vpc.into(), id).await,
        None => Ok(()),
    }
}

async fn classic_load_balancer(aws: &Aws, name: &str) -> Result<()> {
    let call = aws.elb_classic.delete_load_balancer().load_balancer_name(name);
    none_if(aws.call(ELB, "DeleteLoadBalancer", call.send()).await, NO_LOAD_BALANCER).map(drop)
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
    delete_live(aws, zone, live).await
}
