//! Load balancers, IAM, DNS and buckets.

use std::time::Duration;

use aws_sdk_ec2::types::ResourceType;
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, LoadBalancer, LoadBalancerSchemeEnum, LoadBalancerTypeEnum,
    ProtocolEnum, TargetTypeEnum,
};
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType, Vpc, VpcRegion,
};

use super::{Account, filter, refused, tagged};

impl Account {
    pub(super) async fn balancer(&self, subnet: &str) -> LoadBalancer {
        let made = self.create_balancer(subnet, LoadBalancerSchemeEnum::Internal).await;
        made.expect("a load balancer").load_balancers()[0].clone()
    }

    fn create_balancer(
        &self,
        subnet: &str,
        scheme: LoadBalancerSchemeEnum,
    ) -> impl Future<
        Output = Result<
            aws_sdk_elasticloadbalancingv2::operation::create_load_balancer::CreateLoadBalancerOutput,
            aws_sdk_elasticloadbalancingv2::error::SdkError<
                aws_sdk_elasticloadbalancingv2::operation::create_load_balancer::CreateLoadBalancerError,
            >,
        >,
    >{
        let request = self.elb.create_load_balancer().name("balancer").subnets(subnet);
        request.r#type(LoadBalancerTypeEnum::Network).scheme(scheme).send()
    }

    pub(super) async fn target_group(&self, vpc: &str) -> String {
        let request = self.elb.create_target_group().name("group").vpc_id(vpc).port(6443);
        let request = request.protocol(ProtocolEnum::Tcp).target_type(TargetTypeEnum::Ip);
        let made = request.send().await.expect("a target group");
        made.target_groups()[0].target_group_arn.clone().expect("an ARN")
    }
}

#[tokio::test]
async fn a_balancer_may_be_asked_for_twice_and_is_a_network_one() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    account.cloud.delay("load_balancer_provisioning", 600.0);
    let made = account.balancer(&subnet).await;
    let arn = made.load_balancer_arn().expect("an ARN");
    assert!(arn.contains(":loadbalancer/net/balancer/"), "{arn}");
    assert_eq!(account.balancer(&subnet).await.load_balancer_arn(), Some(arn));
    let other = account.create_balancer(&subnet, LoadBalancerSchemeEnum::InternetFacing).await;
    assert_eq!(refused(other), "DuplicateLoadBalancerName");

    let state = async || {
        let seen = account.elb.describe_load_balancers().load_balancer_arns(arn).send().await;
        let state = seen.expect("balancers").load_balancers()[0].state.clone().expect("a state");
        state.code.expect("a code").as_str().to_owned()
    };
    assert_eq!(state().await, "provisioning");
    account.cloud.advance(600.0);
    assert_eq!(state().await, "active");
    let unknown = account.elb.describe_load_balancers().names("balancer").names("another");
    assert_eq!(refused(unknown.send().await), "LoadBalancerNotFound");
}

#[tokio::test]
async fn a_balancers_interfaces_outlive_it_for_a_while() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    account.cloud.delay("load_balancer_interfaces", 600.0);
    let made = account.balancer(&subnet).await;
    let interfaces = async || {
        let request = account.ec2.describe_network_interfaces();
        let seen = request.filters(filter("subnet-id", &subnet)).send().await.expect("interfaces");
        seen.network_interfaces().to_vec()
    };
    let seen = interfaces().await;
    assert_eq!(seen.len(), 1);
    assert!(seen[0].description().is_some_and(|words| words.starts_with("ELB net/balancer/")));

    let arn = made.load_balancer_arn().expect("an ARN");
    account.elb.delete_load_balancer().load_balancer_arn(arn).send().await.expect("deleted");
    let delete = || account.ec2.delete_subnet().subnet_id(&subnet).send();
    assert_eq!(refused(delete().await), "DependencyViolation");
    account.cloud.advance(600.0);
    assert_eq!(interfaces().await.len(), 0);
    delete().await.expect("the subnet is free");
}

#[tokio::test]
async fn a_port_has_one_listener_and_holds_its_target_group() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let balancer = account.balancer(&account.subnet(&vpc).await).await;
    let balancer = balancer.load_balancer_arn().expect("an ARN");
    let group = account.target_group(&vpc).await;
    assert_eq!(account.target_group(&vpc).await, group, "the same settings are the same group");

    let action = Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(&group).build();
    let create = |protocol| {
        let request = account.elb.create_listener().load_balancer_arn(balancer).port(6443);
        request.protocol(protocol).default_actions(action.clone()).send()
    };
    let made = create(ProtocolEnum::Tcp).await.expect("a listener").listeners()[0].clone();
    let listener = made.listener_arn().expect("an ARN");
    assert!(listener.contains(":listener/net/balancer/"), "{listener}");
    let again = create(ProtocolEnum::Tcp).await.expect("the same").listeners()[0].clone();
    assert_eq!(again.listener_arn(), Some(listener));
    assert_eq!(refused(create(ProtocolEnum::Udp).await), "DuplicateListener");

    let delete = || account.elb.delete_target_group().target_group_arn(&group).send();
    assert_eq!(refused(delete().await), "ResourceInUse");
    account.elb.delete_listener().listener_arn(listener).send().await.expect("deleted");
    delete().await.expect("no listener forwards to it");
}

#[tokio::test]
async fn tags_of_many_are_described_twenty_at_a_time() {
    let account = Account::new();
    let group = account.target_group(&account.vpc().await).await;
    let describe =
        |arns: Vec<String>| account.elb.describe_tags().set_resource_arns(Some(arns)).send();
    describe(vec![group.clone(); 20]).await.expect("tags");
    assert_eq!(refused(describe(vec![group.clone(); 21]).await), "ValidationError");
    let gone = group.replace("/group/", "/gone/");
    assert_eq!(refused(describe(vec![gone]).await), "TargetGroupNotFound");
}

#[tokio::test]
async fn a_role_waits_for_its_policies_and_profiles() {
    let account = Account::new();
    let iam = &account.iam;
    let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:*","Resource":"*"}]}"#;
    let request = iam.create_role().role_name("role").assume_role_policy_document(trust);
    request.send().await.expect("a role");
    let request = iam.put_role_policy().role_name("role").policy_name("policy");
    request.policy_document(policy).send().await.expect("a policy");
    iam.create_instance_profile().instance_profile_name("profile").send().await.expect("a profile");
    let request = iam.add_role_to_instance_profile().instance_profile_name("profile");
    request.role_name("role").send().await.expect("added");

    let delete_role = || iam.delete_role().role_name("role").send();
    let delete_profile = || iam.delete_instance_profile().instance_profile_name("profile").send();
    let remove = || {
        let request = iam.remove_role_from_instance_profile().role_name("role");
        request.instance_profile_name("profile").send()
    };
    assert_eq!(refused(delete_role().await), "DeleteConflict");
    assert_eq!(refused(delete_profile().await), "DeleteConflict");
    remove().await.expect("removed");
    assert_eq!(refused(remove().await), "NoSuchEntity");
    delete_profile().await.expect("deleted");
    assert_eq!(refused(delete_role().await), "DeleteConflict", "it has a policy");
    let request = iam.delete_role_policy().role_name("role").policy_name("policy");
    request.send().await.expect("deleted");
    delete_role().await.expect("deleted");
}

#[tokio::test]
async fn a_permissions_boundary_exists_and_is_the_one_that_the_account_demands() {
    let account = Account::new();
    let iam = &account.iam;
    let document =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let create = |name, boundary: Option<&str>| {
        let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
        let request = iam.create_role().role_name(name).assume_role_policy_document(trust);
        request.set_permissions_boundary(boundary.map(str::to_owned)).send()
    };
    let gone = format!("arn:aws:iam::{}:policy/gone", account.cloud.account());
    assert_eq!(refused(create("role", Some(&gone)).await), "NoSuchEntity");
    let policy = iam.create_policy().policy_name("boundary").policy_document(document);
    let policy = policy.send().await.expect("a policy").policy.expect("a policy");
    let arn = policy.arn.expect("an ARN");
    create("role", Some(&arn)).await.expect("a role");
    let remove = || iam.delete_role_permissions_boundary().role_name("role").send();
    remove().await.expect("removed");
    assert_eq!(refused(remove().await), "NoSuchEntity");

    account.cloud.require_boundary(Some(&arn));
    assert_eq!(refused(create("other", None).await), "AccessDenied");
    create("other", Some(&arn)).await.expect("a role");
    let put = || {
        let request = iam.put_role_permissions_boundary().role_name("role");
        request.permissions_boundary(&arn).send()
    };
    put().await.expect("the demanded one");
    assert_eq!(refused(remove().await), "AccessDenied");
}

#[tokio::test]
async fn a_profile_reaches_instances_some_time_after_it_was_made() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    account.cloud.delay("instance_profile_visible", 600.0);
    let iam = &account.iam;
    let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let request = iam.create_role().role_name("role").assume_role_policy_document(trust);
    request.send().await.expect("a role");
    iam.create_instance_profile().instance_profile_name("profile").send().await.expect("a profile");
    let request = iam.add_role_to_instance_profile().instance_profile_name("profile");
    request.role_name("role").send().await.expect("added");
    let profile = aws_sdk_ec2::types::IamInstanceProfileSpecification::builder().name("profile");
    let profile = profile.build();
    let run = || account.run(&subnet, "token").iam_instance_profile(profile.clone()).send();
    assert_eq!(refused(run().await), "InvalidParameterValue");
    account.cloud.advance(600.0);
    run().await.expect("now it is known");
}

fn change(action: ChangeAction, address: &str) -> ChangeBatch {
    let record = ResourceRecordSet::builder()
        .name("api.example.com")
        .r#type(RrType::A)
        .ttl(60)
        .resource_records(ResourceRecord::builder().value(address).build().expect("a record"))
        .build()
        .expect("a record set");
    let change = Change::builder().action(action).resource_record_set(record).build();
    ChangeBatch::builder().changes(change.expect("a change")).build().expect("a batch")
}

#[tokio::test]
async fn a_zone_is_made_once_is_private_with_a_vpc_and_goes_empty() {
    let account = Account::new();
    let vpc = Vpc::builder().vpc_id(account.vpc().await).vpc_region(VpcRegion::UsWest2).build();
    let create = |reference| {
        let request = account.route53.create_hosted_zone().name("example.com");
        request.caller_reference(reference).vpc(vpc.clone()).send()
    };
    let made = create("reference").await.expect("a zone").hosted_zone.expect("a zone");
    assert!(made.config().is_some_and(|config| config.private_zone));
    assert_eq!(refused(create("reference").await), "HostedZoneAlreadyExists");
    assert_eq!(refused(create("another").await), "ConflictingDomainExists");

    let change = |action, address| {
        let request = account.route53.change_resource_record_sets().hosted_zone_id(made.id());
        request.change_batch(change(action, address)).send()
    };
    change(ChangeAction::Create, "10.0.0.1").await.expect("a record");
    assert_eq!(refused(change(ChangeAction::Create, "10.0.0.2").await), "InvalidChangeBatch");
    assert_eq!(refused(change(ChangeAction::Delete, "10.0.0.2").await), "InvalidChangeBatch");
    change(ChangeAction::Upsert, "10.0.0.3").await.expect("a record");
    let delete = || account.route53.delete_hosted_zone().id(made.id()).send();
    assert_eq!(refused(delete().await), "HostedZoneNotEmpty");
    change(ChangeAction::Delete, "10.0.0.3").await.expect("deleted");
    assert_eq!(refused(change(ChangeAction::Delete, "10.0.0.3").await), "InvalidChangeBatch");
    delete().await.expect("deleted");
}

#[tokio::test]
async fn a_public_zone_can_be_planted() {
    let account = Account::new();
    let request = account.route53.create_hosted_zone().name("example.com");
    let made = request.caller_reference("planted").send().await.expect("a zone");
    let zone = made.hosted_zone.expect("a zone");
    assert!(!zone.config().is_some_and(|config| config.private_zone));
}

#[tokio::test]
async fn a_bucket_goes_empty() {
    let account = Account::new();
    let name = format!("bucket-{}", account.cloud.account());
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder();
    let place = place.location_constraint("us-west-2".into()).build();
    let request = account.s3.create_bucket().bucket(&name).create_bucket_configuration(place);
    request.send().await.expect("a bucket");
    let request = account.s3.put_object().bucket(&name).key("a/key");
    request.body(b"content".to_vec().into()).send().await.expect("an object");
    let delete = || account.s3.delete_bucket().bucket(&name).send();
    assert_eq!(refused(delete().await), "BucketNotEmpty");
    assert_eq!(account.cloud.inventory()["object"][0]["key"], "a/key");
    account.s3.delete_object().bucket(&name).key("a/key").send().await.expect("deleted");
    delete().await.expect("deleted");
}

#[tokio::test]
async fn tags_reach_everything_we_create_in_ec2() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    let run = account.run(&subnet, "token");
    let run = run.tag_specifications(tagged(ResourceType::NetworkInterface, "key", "value"));
    run.send().await.expect("an instance");
    let inventory = account.cloud.inventory();
    assert_eq!(inventory["network_interface"][0]["tags"]["key"], "value");
}

#[tokio::test]
async fn a_star_comes_back_escaped_and_may_be_deleted_either_way() {
    let account = Account::new();
    let request = account.route53.create_hosted_zone().name("example.com");
    let made = request.caller_reference("reference").send().await.expect("a zone");
    let zone = made.hosted_zone.expect("a zone");
    let change = |action, name: &str| {
        let address = ResourceRecord::builder().value("10.0.0.1").build().expect("a record");
        let record = ResourceRecordSet::builder().name(name).r#type(RrType::A).ttl(60);
        let record = record.resource_records(address).build().expect("a record set");
        let change = Change::builder().action(action).resource_record_set(record).build();
        let batch = ChangeBatch::builder().changes(change.expect("a change")).build();
        let request = account.route53.change_resource_record_sets().hosted_zone_id(zone.id());
        request.change_batch(batch.expect("a batch")).send()
    };
    for name in ["*.apps.example.com", "\\052.apps.example.com."] {
        change(ChangeAction::Create, "*.apps.example.com").await.expect("a record");
        let request = account.route53.list_resource_record_sets().hosted_zone_id(zone.id());
        let seen = request.send().await.expect("records");
        let names: Vec<_> =
            seen.resource_record_sets().iter().map(ResourceRecordSet::name).collect();
        assert!(names.contains(&"\\052.apps.example.com."), "{names:?}");
        change(ChangeAction::Delete, name).await.expect("deleted");
    }
}

#[tokio::test]
async fn an_object_is_for_those_with_a_signature_that_lasts() {
    let account = Account::new();
    let name = format!("signed-{}", account.cloud.account());
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder();
    let place = place.location_constraint("us-west-2".into()).build();
    let request = account.s3.create_bucket().bucket(&name).create_bucket_configuration(place);
    request.send().await.expect("a bucket");
    let request = account.s3.put_object().bucket(&name).key("key");
    request.body(b"content".to_vec().into()).send().await.expect("an object");
    let presigned = async |seconds| {
        let lasts = Duration::from_secs(seconds);
        let config = aws_sdk_s3::presigning::PresigningConfig::expires_in(lasts).expect("a time");
        let request = account.s3.get_object().bucket(&name).key("key").presigned(config).await;
        request.expect("a request").uri().to_owned()
    };
    let get = |uri: &str| {
        let path = uri.strip_prefix(account.cloud.endpoint()).expect("of this cloud");
        account.cloud.http("GET", path)
    };
    let long = presigned(600).await;
    assert_eq!(get(&long), ("200".to_owned(), "content".to_owned()));
    assert_eq!(get(long.split('?').next().unwrap_or_default()).0, "403", "no signature");
    account.cloud.advance(601.0);
    assert_eq!(get(&long).0, "403", "too late");
}

/// The tagging API gives short pages, remembers what is deleted, and learns late of what is new.
#[test]
fn the_tagging_api_is_late_and_its_pages_are_short() {
    let cloud = crate::support::cloud::shared();
    let named = |number: u32| format!("arn:aws:kms:us-west-2:1:key/{number}");
    for number in 0..3 {
        cloud.report(&named(number), &serde_json::json!({"one": "a", "other": number.to_string()}));
    }
    let get = |request: &serde_json::Value| -> serde_json::Value {
        serde_json::from_str(&cloud.tagging("GetResources", &request.to_string())).expect("JSON")
    };
    let arns = |answer: &serde_json::Value| -> Vec<String> {
        let listed = answer["ResourceTagMappingList"].as_array().expect("a list").iter();
        listed.map(|one| one["ResourceARN"].as_str().expect("an ARN").to_owned()).collect()
    };
    let one = serde_json::json!([{"Key": "one"}]);
    let first = get(&serde_json::json!({"TagFilters": one, "ResourcesPerPage": 4}));
    assert_eq!((arns(&first).len(), first["PaginationToken"].as_str()), (2, Some("2")));
    let request = serde_json::json!({"TagFilters": one, "PaginationToken": "2"});
    let last = get(&request);
    assert_eq!((arns(&last), last["PaginationToken"].as_str()), (vec![named(2)], Some("")));
    let both = serde_json::json!([{"Key": "one"}, {"Key": "other", "Values": ["1", "9"]}]);
    assert_eq!(arns(&get(&serde_json::json!({ "TagFilters": both }))), [named(1)]);

    cloud.report(&named(1), &serde_json::Value::Null);
    assert_eq!(arns(&get(&serde_json::json!({ "TagFilters": both }))), [named(1)]);
    cloud.advance(3601.0);
    assert_eq!(arns(&get(&serde_json::json!({ "TagFilters": both }))), [""; 0]);
    cloud.delay("tags_listed", 60.0);
    cloud.report(&named(1), &serde_json::json!({"one": "a", "other": "1"}));
    assert_eq!(arns(&get(&serde_json::json!({ "TagFilters": both }))), [""; 0]);
    cloud.advance(61.0);
    assert_eq!(arns(&get(&serde_json::json!({ "TagFilters": both }))), [named(1)]);
}
