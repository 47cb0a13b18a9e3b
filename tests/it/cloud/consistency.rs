//! With the delay `visible`, a new resource exists and is not yet visible (eventual consistency).

use aws_sdk_ec2::types::ResourceType;
use aws_sdk_elasticloadbalancingv2::types::{Action, ActionTypeEnum, ProtocolEnum};
use aws_sdk_route53::types::{Vpc, VpcRegion};

use super::{Account, filter, refused, tagged};

/// Returns an account in which resources become visible after a delay.
fn hazy() -> Account {
    let account = Account::new();
    account.cloud.delay("visible", 600.0);
    account
}

const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;

const POLICY: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Resource": "*", "Action": "ec2:Describe*"}]}"#;

#[tokio::test]
async fn what_was_just_made_may_not_be_seen_yet() {
    let account = hazy();
    let vpc = account.vpc().await;
    let describe = || account.ec2.describe_vpcs().vpc_ids(&vpc).send();
    assert_eq!(refused(describe().await), "InvalidVpcID.NotFound");
    let listed = account.ec2.describe_vpcs().send().await.expect("VPCs");
    assert!(listed.vpcs().iter().all(|one| one.vpc_id() != Some(&vpc)));
    account.cloud.advance(600.0);
    describe().await.expect("now it is");
}

#[tokio::test]
async fn neither_may_its_tags() {
    let account = hazy();
    let tags = tagged(ResourceType::Vpc, "team", "a");
    let made = account.ec2.create_vpc().cidr_block("10.0.0.0/16").tag_specifications(tags);
    made.send().await.expect("a VPC");
    let seen = async || {
        let call = account.ec2.describe_tags().filters(filter("key", "team"));
        call.send().await.expect("tags").tags().len()
    };
    assert_eq!(seen().await, 0);
    account.cloud.advance(600.0);
    assert_eq!(seen().await, 1);
}

#[tokio::test]
async fn a_role_is_taken_before_it_is_found() {
    let account = hazy();
    let create = || {
        let call = account.iam.create_role().role_name("role");
        call.assume_role_policy_document(TRUST).send()
    };
    create().await.expect("a role");
    assert_eq!(refused(create().await), "EntityAlreadyExists");
    let put = || {
        let call = account.iam.put_role_policy().role_name("role").policy_name("policy");
        call.policy_document(POLICY).send()
    };
    put().await.expect("it can be referred to");
    let get = || account.iam.get_role().role_name("role").send();
    let policy = || account.iam.get_role_policy().role_name("role").policy_name("policy").send();
    let listed = async || account.iam.list_roles().send().await.expect("roles").roles().len();
    assert_eq!(refused(get().await), "NoSuchEntity");
    assert_eq!(refused(policy().await), "NoSuchEntity");
    assert_eq!(listed().await, 0);
    account.cloud.advance(600.0);
    get().await.expect("now it is");
    policy().await.expect("now it is");
    assert_eq!(listed().await, 1);

    put().await.expect("a policy in the place of another");
    policy().await.expect("what was seen stays seen");
}

#[tokio::test]
async fn so_is_an_instance_profile() {
    let account = hazy();
    let create = || account.iam.create_instance_profile().instance_profile_name("profile").send();
    create().await.expect("a profile");
    assert_eq!(refused(create().await), "EntityAlreadyExists");
    let get = || account.iam.get_instance_profile().instance_profile_name("profile").send();
    assert_eq!(refused(get().await), "NoSuchEntity");
    account.cloud.advance(600.0);
    get().await.expect("now it is");

    let delete = account.iam.delete_instance_profile().instance_profile_name("profile");
    delete.send().await.expect("deleted");
    create().await.expect("another profile of this name");
    assert_eq!(refused(get().await), "NoSuchEntity");
}

#[tokio::test]
async fn a_balancer_its_group_and_its_listener_are_found_later() {
    let account = hazy();
    let vpc = account.vpc().await;
    let subnet = account.subnet(&vpc).await;
    let made = account.balancer(&subnet).await;
    let arn = made.load_balancer_arn().expect("an ARN");
    let group = account.target_group(&vpc).await;
    let forward =
        Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(&group).build();
    let call = account.elb.create_listener().load_balancer_arn(arn).port(6443);
    let made = call.protocol(ProtocolEnum::Tcp).default_actions(forward).send().await;
    let listener = made.expect("a listener").listeners()[0].listener_arn.clone().expect("an ARN");
    assert_eq!(account.balancer(&subnet).await.load_balancer_arn(), Some(arn), "the same again");

    let by_name = || account.elb.describe_load_balancers().names("balancer").send();
    let by_arn = || account.elb.describe_load_balancers().load_balancer_arns(arn).send();
    let attributes =
        || account.elb.describe_load_balancer_attributes().load_balancer_arn(arn).send();
    let group_by_name = || account.elb.describe_target_groups().names("group").send();
    let health = || account.elb.describe_target_health().target_group_arn(&group).send();
    let listeners = || account.elb.describe_listeners().load_balancer_arn(arn).send();
    let one_listener = || account.elb.describe_listeners().listener_arns(&listener).send();
    let tags = |arn: &str| account.elb.describe_tags().resource_arns(arn).send();
    assert_eq!(refused(by_name().await), "LoadBalancerNotFound");
    assert_eq!(refused(by_arn().await), "LoadBalancerNotFound");
    assert_eq!(refused(attributes().await), "LoadBalancerNotFound");
    assert_eq!(refused(group_by_name().await), "TargetGroupNotFound");
    assert_eq!(refused(health().await), "TargetGroupNotFound");
    assert_eq!(refused(listeners().await), "LoadBalancerNotFound");
    assert_eq!(refused(one_listener().await), "ListenerNotFound");
    assert_eq!(refused(tags(arn).await), "LoadBalancerNotFound");
    assert_eq!(refused(tags(&group).await), "TargetGroupNotFound");
    let all = account.elb.describe_load_balancers().send().await.expect("balancers");
    assert_eq!(all.load_balancers().len(), 0);

    account.cloud.advance(600.0);
    by_name().await.expect("now it is");
    attributes().await.expect("now it is");
    group_by_name().await.expect("now it is");
    health().await.expect("now it is");
    one_listener().await.expect("now it is");
    tags(arn).await.expect("now they are");
    assert_eq!(listeners().await.expect("listeners").listeners().len(), 1);
}

#[tokio::test]
async fn a_zone_is_listed_later_than_it_answers() {
    let account = hazy();
    let vpc = account.vpc().await;
    let network = Vpc::builder().vpc_id(&vpc).vpc_region(VpcRegion::UsWest2).build();
    let call = account.route53.create_hosted_zone().name("example.com").caller_reference("once");
    let made = call.vpc(network).send().await.expect("a zone");
    let id = made.hosted_zone().expect("a zone").id();
    account.route53.get_hosted_zone().id(id).send().await.expect("it answers");
    let listed = async || {
        let all = account.route53.list_hosted_zones().send().await.expect("zones");
        let named = account.route53.list_hosted_zones_by_name().dns_name("example.com");
        let named = named.send().await.expect("zones");
        (all.hosted_zones().len(), named.hosted_zones().len())
    };
    assert_eq!(listed().await, (0, 0));
    account.cloud.advance(600.0);
    assert_eq!(listed().await, (1, 1));
}

#[tokio::test]
async fn a_bucket_and_its_objects_are_seen_at_once() {
    let account = hazy();
    let bucket = format!("seen-{}", account.cloud.account());
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint("us-west-2".into())
        .build();
    let create = account.s3.create_bucket().bucket(&bucket).create_bucket_configuration(place);
    create.send().await.expect("a bucket");
    account.s3.head_bucket().bucket(&bucket).send().await.expect("it is there");
    let put = account.s3.put_object().bucket(&bucket).key("key").body(b"text".to_vec().into());
    put.send().await.expect("an object");
    account.s3.get_object().bucket(&bucket).key("key").send().await.expect("it is there");
}
