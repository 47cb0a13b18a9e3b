//! Deletion of untracked resources. A resource that does not exist counts as deleted. The error for
//! a resource that is still in use is retryable.

use aws_sdk_ec2::types;
use groundplan_engine::provider::{ErrorClass, ProviderError, ProviderFuture};

use super::UntrackedKind;
use crate::client::delete_blockers::{Doomed, name_blockers};
use crate::client::ec2::{self, fine_when, retry_when};
use crate::client::elb::{NO_LOAD_BALANCER, NO_TARGET_GROUP};
use crate::client::iam::{ABSENT, delete_role, delete_user, end_attachments};
use crate::client::instances::terminate;
use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;
use crate::client::route53;
use crate::kinds::ami_copy::delete_image;
use crate::kinds::carrier_gateway::delete_carrier_gateway;
use crate::kinds::dhcp_options::delete_options;
use crate::kinds::egress_only_internet_gateway::delete_egress_only_gateway;
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
        UntrackedKind::EgressOnlyInternetGateway => Box::pin(delete_egress_only_gateway(aws, id)),
        UntrackedKind::CarrierGateway => Box::pin(delete_carrier_gateway(aws, id)),
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

/// Removes only the tags of the cluster. The form of the ID shows the service: ARNs are of load
/// balancers, target groups, roles and instance profiles; EC2 IDs contain a hyphen, those of hosted
/// zones do not.
async fn shared_tag(aws: &Aws, id: &str) -> Result<()> {
    let keys = aws.settings.cluster_tags();
    if let Some((service, entity)) = arn_parts(id) {
        return match service {
            "iam" => untag_iam(aws, entity, keys).await,
            _ => {
                let call = aws.elb.remove_tags().resource_arns(id).set_tag_keys(Some(keys.into()));
                let absent = [NO_LOAD_BALANCER, NO_TARGET_GROUP].concat();
                none_if(aws.call(ELB, "RemoveTags", call.send()).await, &absent).map(drop)
            }
        };
    }
    if !id.contains('-') {
        let before = Tags::from(keys.map(|key| (key, "shared".to_owned())));
        let untagged = route53::change_tags(aws, id, &before, &Tags::new()).await;
        return none_if(untagged, route53::NO_ZONE).map(drop);
    }
    let tags = keys.map(|key| types::Tag::builder().key(key).build());
    let call = aws.ec2.delete_tags().resources(id).set_tags(Some(tags.into()));
    aws.call("ec2", "DeleteTags", call.send()).await.map(drop)
}

/// Returns the service and the resource of an ARN. `None` for other IDs.
fn arn_parts(id: &str) -> Option<(&str, &str)> {
    let mut parts = id.strip_prefix("arn:")?.splitn(5, ':').skip(1);
    Some((parts.next()?, parts.nth(2)?))
}

/// Removes tags from a role or an instance profile: `role/path/name`.
async fn untag_iam(aws: &Aws, entity: &str, keys: [String; 2]) -> Result<()> {
    let name = entity.rsplit_once('/').map_or(entity, |(_, name)| name);
    if entity.starts_with("role/") {
        let call = aws.iam.untag_role().role_name(name).set_tag_keys(Some(keys.into()));
        return none_if(aws.call("iam", "UntagRole", call.send()).await, ABSENT).map(drop);
    }
    let call = aws.iam.untag_instance_profile().instance_profile_name(name);
    let call = call.set_tag_keys(Some(keys.into())).send();
    none_if(aws.call("iam", "UntagInstanceProfile", call).await, ABSENT).map(drop)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::AwsSettings;
    use crate::client::tests::{Script, scripted_with};

    #[test]
    fn an_arn_has_service_and_resource() {
        let role = arn_parts("arn:aws:iam::1:role/team/nodes");
        assert_eq!(role, Some(("iam", "role/team/nodes")));
        let group = arn_parts("arn:aws-cn:elasticloadbalancing:cn-north-1:1:targetgroup/a/1");
        assert_eq!(group, Some(("elasticloadbalancing", "targetgroup/a/1")));
        for other in ["subnet-1", "Z1", "arn:aws:iam"] {
            assert_eq!(arn_parts(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn both_tags_of_the_cluster_leave_a_shared_resource() {
        for (id, call) in [
            ("arn:aws:iam::1:role/team/nodes", "Action=UntagRole"),
            ("arn:aws:iam::1:instance-profile/nodes", "Action=UntagInstanceProfile"),
            ("arn:aws:elasticloadbalancing:us-west-2:1:targetgroup/a/1", "Action=RemoveTags"),
            ("subnet-1", "Action=DeleteTags"),
        ] {
            let cluster_tag = "kubernetes.io/cluster/demo-x7k2p".to_owned();
            let settings = AwsSettings { cluster_tag, ..AwsSettings::default() };
            let (aws, sent) = scripted_with([Script::Answer(200, String::new())], settings);
            let _unreadable = shared_tag(&aws, id).await;
            let bodies = sent.bodies();
            assert!(bodies[0].contains(call), "{id}: {bodies:?}");
            let tags =
                ["kubernetes.io%2Fcluster%2Fdemo", "cluster-api-provider-aws%2Fcluster%2Fdemo"];
            assert!(tags.iter().all(|tag| bodies[0].contains(tag)), "{id}: {bodies:?}");
        }
    }
}
