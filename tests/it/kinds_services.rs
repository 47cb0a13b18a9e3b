//! Roles, load balancers, DNS and buckets against the test cloud: created, found, configured,
//! refreshed, updated and deleted, each of them twice.

mod world;

use std::sync::Arc;

use groundplan_aws::kinds::elastic_ip::{ElasticIp, ElasticIpOutputs};
use groundplan_aws::kinds::hosted_zone::{HostedZone, HostedZoneOutputs};
use groundplan_aws::kinds::iam_instance_profile::{IamInstanceProfile, IamInstanceProfileOutputs};
use groundplan_aws::kinds::iam_role::{IamRole, IamRoleOutputs};
use groundplan_aws::kinds::iam_role_policy::IamRolePolicy;
use groundplan_aws::kinds::listener::Listener;
use groundplan_aws::kinds::load_balancer::{LoadBalancer, LoadBalancerOutputs};
use groundplan_aws::kinds::record::{DnsRecord, DnsRecordData};
use groundplan_aws::kinds::s3_bucket::{S3Bucket, S3BucketOutputs};
use groundplan_aws::kinds::s3_object::S3Object;
use groundplan_aws::kinds::shared_tags::SharedTags;
use groundplan_aws::kinds::target::Target;
use groundplan_aws::kinds::target_group::{TargetGroup, TargetGroupOutputs};
use groundplan_aws::lookups::lookup::Lookup;
use groundplan_aws::lookups::queries;
use groundplan_aws::model::ids::{
    BucketName, PolicyArn, PublicIpv4PoolId, SubnetId, TargetGroupArn,
};
use groundplan_aws::{HostedZoneRole, Tags};
use groundplan_engine::provider::{
    ErrorClass, Observed, Poll, Provider, RecordedResource, Request,
};
use groundplan_engine::secret::Secrets;
use serde_json::json;
use world::{
    Bench, CLUSTER, Network, alias, balancer, bucket, cname, group, listener, managed_policy,
    policy, profile, role, standard_cluster, tags, target, trust, zone,
};

use crate::support::kinds::{Contract, contract, kind_contract};

kind_contract! {
    async fn a_role_lives_through_it_all(bench = Bench::new()) -> IamRole {
        let wanted = role("demo-role");
        let mut changed = wanted.clone();
        changed.trust = trust("ec2.amazonaws.com.cn");
        changed.tags = tags(&[("Name", "demo-role"), ("team", "b"), ("new", "1")]);
        let changes = [changed];
        (wanted, changes)
    }
}

#[tokio::test]
async fn a_permissions_boundary_is_set_changed_and_removed_in_place() {
    let bench = Bench::new();
    let first = managed_policy(&bench, "first").await;
    let second = managed_policy(&bench, "second").await;
    let bounded =
        |arn: &PolicyArn| IamRole { permissions_boundary: Some(arn.clone()), ..role("demo-role") };
    bench.live_through("iam_role.changed", &bounded(&first), &bounded(&second)).await;
    bench.live_through("iam_role.set", &role("demo-role"), &bounded(&first)).await;
    bench.live_through("iam_role.removed", &bounded(&first), &role("demo-role")).await;
}

#[tokio::test]
async fn a_boundary_of_others_is_no_difference_and_a_changed_one_of_ours_is() {
    let bench = Bench::new();
    let [ours, theirs] =
        [managed_policy(&bench, "ours").await, managed_policy(&bench, "theirs").await];
    let iam = aws_sdk_iam::Client::new(&bench.cloud.sdk_config());
    let put = || {
        let call = iam.put_role_permissions_boundary().role_name("demo-role");
        call.permissions_boundary(theirs.as_str()).send()
    };
    let plain = bench.make_known("plain", &role("demo-role")).await;
    put().await.unwrap();
    assert_eq!(bench.observed(&plain).await, plain.inputs, "no opinion");
    bench.aws.delete(plain).await.unwrap();

    let wanted = IamRole { permissions_boundary: Some(ours.clone()), ..role("demo-role") };
    let known = bench.make_known("bounded", &wanted).await;
    put().await.unwrap();
    let inputs = bench.observed(&known).await;
    assert_eq!(inputs["permissions_boundary"], theirs.as_str());
    let before = RecordedResource { inputs, ..known.clone() };
    bench.aws.update(bench.request("bounded", &wanted), before).await.unwrap();
    assert_eq!(bench.observed(&known).await, known.inputs);

    iam.delete_role_permissions_boundary().role_name("demo-role").send().await.unwrap();
    assert_eq!(bench.observed(&known).await.get("permissions_boundary"), None);
}

#[tokio::test]
async fn a_role_that_the_account_demands_a_boundary_for_is_denied_without_it() {
    let bench = Bench::new();
    let arn = managed_policy(&bench, "boundary").await;
    bench.cloud.require_boundary(Some(arn.as_str()));
    let error = bench.aws.create(bench.request("demo", &role("demo-role"))).await.unwrap_err();
    assert!(error.message.contains("permissions boundary"), "{error}");
    let hint = error.hint.unwrap();
    assert!(hint.starts_with("set `platform.aws.permissionsBoundary`"), "{hint}");

    let bounded = IamRole { permissions_boundary: Some(arn), ..role("demo-role") };
    let known = bench.make_known("demo", &bounded).await;
    let removal = bench.request("demo", &role("demo-role"));
    let error = bench.aws.update(removal, known).await.unwrap_err();
    assert_eq!(error.call, "DeleteRolePermissionsBoundary");
    assert!(error.hint.unwrap().contains("`platform.aws.permissionsBoundary`"));
}

#[tokio::test]
async fn a_boundary_that_does_not_exist_is_named_with_its_field() {
    let bench = Bench::new();
    let arn = PolicyArn(format!("arn:aws:iam::{}:policy/gone", bench.cloud.account()));
    let bounded = IamRole { permissions_boundary: Some(arn), ..role("demo-role") };
    let error = bench.aws.create(bench.request("demo", &bounded)).await.unwrap_err();
    // A policy that was created a moment ago is not visible to every IAM server.
    assert_eq!(error.class, ErrorClass::Retryable);
    let hint = error.hint.unwrap();
    assert!(hint.contains("policy/gone") && hint.contains("permissionsBoundary"), "{hint}");
}

kind_contract! {
    async fn an_inline_policy_lives_through_it_all(bench = Bench::new()) -> IamRolePolicy {
        let role = bench.make("demo", &role("demo-role")).await;
        let wanted = policy(&role, &["ec2:DescribeInstances", "ec2:DescribeRegions"]);
        let changes = [policy(&role, &["ec2:Describe*"])];
        (wanted, changes)
    }
}

kind_contract! {
    async fn an_instance_profile_lives_through_it_all(bench = Bench::new()) -> IamInstanceProfile {
        let first = bench.make("first", &role("demo-first")).await;
        let second = bench.make("second", &role("demo-second")).await;
        let wanted = profile("demo-profile", &first);
        let mut changed = profile("demo-profile", &second);
        changed.tags.insert("new".to_owned(), "1".to_owned());
        let changes = [changed];
        (wanted, changes)
    }
}

kind_contract! {
    async fn a_load_balancer_lives_through_it_all(bench = Bench::new()) -> LoadBalancer {
        let network = Network::make(&bench.cloud).await;
        let wanted = balancer("demo-int", &network.subnets[..1]);
        let mut changed = balancer("demo-int", &network.subnets);
        changed.cross_zone = false;
        changed.tags.remove("team");
        let changes = [changed];
        (wanted, changes)
    }
}

#[tokio::test]
async fn a_load_balancer_has_the_addresses_of_a_pool() {
    let bench = Bench::new();
    let pool = PublicIpv4PoolId::from("ipv4pool-ec2-0123456789abcdef0");
    bench.cloud.pools(&json!({ pool.as_str(): 2 }));
    let lookup = Lookup::PublicIpv4Pool { region: bench.region.clone(), id: pool.clone() };
    assert_eq!(queries::answer(&bench.aws, &lookup).await.unwrap(), json!(2));
    let network = Network::make(&bench.cloud).await;
    let mut wanted = balancer("demo-ext", &network.subnets);
    wanted.internal = false;
    for name in ["a", "b"] {
        let address = ElasticIp {
            pool: Some(pool.clone()),
            tags: tags(&[("Name", name), (CLUSTER, "owned")]),
        };
        let known = bench.make_known(name, &address).await;
        bench.kinds().is_as_recorded(&known).await;
        let known: ElasticIpOutputs = serde_json::from_value(known.outputs).unwrap();
        wanted.addresses.push(known.allocation.into());
    }
    assert_eq!(network.subnets.len(), wanted.addresses.len());
    assert_eq!(queries::answer(&bench.aws, &lookup).await.unwrap(), json!(0));
    let unknown = Lookup::PublicIpv4Pool {
        region: bench.region.clone(),
        id: "ipv4pool-ec2-0fedcba9876543210".into(),
    };
    assert_eq!(queries::answer(&bench.aws, &unknown).await.unwrap(), json!(null));
    let mut changed = wanted.clone();
    changed.tags.remove("team");
    contract::<LoadBalancer>(&bench, &wanted, &[changed]).await;
}

#[tokio::test]
async fn calls_about_a_zone_of_another_account_assume_its_role() {
    let owner = Bench::new();
    let network = Network::make(&owner.cloud).await;
    let known: HostedZoneOutputs =
        owner.make("int", &zone(&owner, &network, "demo.example.com")).await;
    let cloud = owner.cloud.another_account();
    let user = format!("arn:aws:iam::{}:root", cloud.account());
    let mut trusting = role("dns");
    trusting.trust = trust("ec2.amazonaws.com");
    trusting.trust["Statement"][0]["Principal"] = json!({ "AWS": user });
    let _: IamRoleOutputs = owner.make("dns", &trusting).await;
    let arn = format!("arn:aws:iam::{}:role/dns", owner.cloud.account());
    let of_role = HostedZoneRole { arn: arn.clone(), zone: known.id.0.clone() };

    let without = Bench::of(cloud.clone(), "us-west-2");
    let lookup = Lookup::HostedZone { id: known.id.clone() };
    assert_eq!(queries::answer(&without.aws, &lookup).await.unwrap(), json!(null));
    let with = Bench::with_role(cloud, "us-west-2", of_role);
    let zone = queries::answer(&with.aws, &lookup).await.unwrap();
    assert_eq!(zone["name"], "demo.example.com.");

    let tags = SharedTags {
        key: CLUSTER.to_owned(),
        subnets: Vec::new(),
        hosted_zone: Some(known.id.clone()),
        hosted_zone_role: Some(arn.clone()),
    };
    let recorded = with.make_known("existing", &tags).await;
    with.kinds().is_as_recorded(&recorded).await;
    let record = cname(&known, "api.demo.example.com", "balancer.example.com");
    let record = with.make_known("api", &record).await;
    with.kinds().is_as_recorded(&record).await;
    with.kinds().unmake(&record).await;
    with.kinds().unmake(&recorded).await;

    let assumed = Lookup::AssumedRole { arn };
    assert_eq!(queries::answer(&with.aws, &assumed).await.unwrap(), json!(true));
    let stranger = Bench::of(owner.cloud.another_account(), "us-west-2");
    assert_eq!(queries::answer(&stranger.aws, &assumed).await.unwrap(), json!(false));
}

kind_contract! {
    async fn a_target_group_lives_through_it_all(bench = Bench::new()) -> TargetGroup {
        let network = Network::make(&bench.cloud).await;
        let wanted = group("demo-aint", &network, 6443);
        let mut changed = wanted.clone();
        changed.health_check.path = "/healthz".to_owned();
        changed.health_check.unhealthy_threshold = 3;
        changed.tags.insert("new".to_owned(), "1".to_owned());
        let changes = [changed];
        (wanted, changes)
    }
}

kind_contract! {
    async fn a_listener_lives_through_it_all(bench = Bench::new()) -> Listener {
        let network = Network::make(&bench.cloud).await;
        let balancer: LoadBalancerOutputs =
            bench.make("demo", &balancer("demo-int", &network.subnets)).await;
        let first: TargetGroupOutputs = bench.make("a", &group("demo-a", &network, 6443)).await;
        let second: TargetGroupOutputs = bench.make("b", &group("demo-b", &network, 6443)).await;
        let wanted = listener(&balancer, 6443, &first);
        let changes = [listener(&balancer, 6443, &second)];
        (wanted, changes)
    }
}

kind_contract! {
    async fn a_target_lives_through_it_all(bench = Bench::new()) -> Target {
        let network = Network::make(&bench.cloud).await;
        let group: TargetGroupOutputs = bench.make("a", &group("demo-a", &network, 6443)).await;
        let wanted = target(&group, "10.0.0.10");
        let changes: [Target; 0] = [];
        (wanted, changes)
    }
}

kind_contract! {
    async fn a_hosted_zone_lives_through_it_all(bench = Bench::new()) -> HostedZone {
        let network = Network::make(&bench.cloud).await;
        let wanted = zone(&bench, &network, "demo.example.com");
        let mut changed = wanted.clone();
        // More than one call takes.
        changed.tags.extend((0..15).map(|number| (format!("tag-{number}"), "x".to_owned())));
        changed.tags.remove("team");
        let changes = [changed];
        (wanted, changes)
    }
}

kind_contract! {
    async fn an_alias_record_lives_through_it_all(bench = Bench::new()) -> DnsRecord {
        let network = Network::make(&bench.cloud).await;
        let zone: HostedZoneOutputs =
            bench.make("demo", &zone(&bench, &network, "demo.example.com")).await;
        let old = balancer("demo-old", &network.subnets);
        let new = balancer("demo-new", &network.subnets);
        let old: LoadBalancerOutputs = bench.make("old", &old).await;
        let new: LoadBalancerOutputs = bench.make("new", &new).await;
        let wanted = alias(&zone, "api.demo.example.com", &old);
        let changes = [alias(&zone, "api.demo.example.com", &new)];
        (wanted, changes)
    }
}

#[tokio::test]
async fn a_cname_lives_through_it_all() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let zone: HostedZoneOutputs =
        bench.make("demo", &zone(&bench, &network, "demo.example.com")).await;
    let wanted = cname(&zone, "api.demo.example.com", "int.elb.example.net");
    let mut changed = cname(&zone, "api.demo.example.com", "ext.elb.example.net");
    changed.data = match changed.data {
        DnsRecordData::Cname { dns_name, .. } => DnsRecordData::Cname { dns_name, ttl_seconds: 60 },
        alias @ DnsRecordData::Alias { .. } => alias,
    };
    bench.live_through("record.demo", &wanted, &changed).await;
}

#[tokio::test]
async fn a_cname_becomes_an_alias_in_one_change() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let zone: HostedZoneOutputs =
        bench.make("demo", &zone(&bench, &network, "demo.example.com")).await;
    let balancer: LoadBalancerOutputs =
        bench.make("demo", &balancer("demo-int", &network.subnets)).await;
    let wanted = cname(&zone, "api.demo.example.com", "int.elb.example.net");
    let changed = alias(&zone, "api.demo.example.com", &balancer);
    bench.live_through("record.demo", &wanted, &changed).await;
}

kind_contract! {
    async fn a_bucket_lives_through_it_all(bench = Bench::new()) -> S3Bucket {
        let wanted = bucket(&bench, "life");
        let mut changed = wanted.clone();
        changed.tags.remove("team");
        changed.tags.insert("new".to_owned(), "1".to_owned());
        let changes = [changed];
        (wanted, changes)
    }
}

#[tokio::test]
async fn a_bucket_in_the_default_region_lives_through_it_all() {
    let bench = Bench::in_region("us-east-1");
    let wanted = bucket(&bench, "default");
    bench.live_through("s3_bucket.demo", &wanted, &wanted.clone()).await;
}

impl Contract for S3Object {}

#[tokio::test]
async fn an_object_lives_through_it_all() {
    let mut secrets = Secrets::default();
    let (old, new) = (secrets.keep(b"{\"old\": 1}".to_vec()), secrets.keep(b"{}".to_vec()));
    let bench = Bench { secrets: Arc::new(secrets), ..Bench::new() };
    let bucket: S3BucketOutputs = bench.make("demo", &bucket(&bench, "object")).await;
    let object = |content| S3Object {
        bucket: bucket.name.clone().into(),
        key: "bootstrap.ign".to_owned(),
        content,
        tags: tags(&[("Name", "demo x"), (CLUSTER, "owned")]),
    };
    contract::<S3Object>(&bench, &object(old.clone()), &[object(new)]).await;
    let mut tagged = object(old.clone());
    tagged.tags.insert("new".to_owned(), "1".to_owned());
    bench.live_through("s3_object.tags", &object(old), &tagged).await;
}

impl Contract for SharedTags {}

#[tokio::test]
async fn shared_tags_live_through_it_all() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let zone: HostedZoneOutputs =
        bench.make("demo", &zone(&bench, &network, "demo.example.com")).await;
    let shared = |subnets: &[SubnetId], hosted_zone| SharedTags {
        hosted_zone_role: None,
        key: "kubernetes.io/cluster/other-abcde".to_owned(),
        subnets: subnets.to_vec(),
        hosted_zone,
    };
    let both = shared(&network.subnets, Some(zone.id.clone()));
    let one = shared(&network.subnets[..1], Some(zone.id.clone()));
    contract::<SharedTags>(&bench, &one, std::slice::from_ref(&both)).await;
    bench.live_through("shared_tags.subnets", &both, &shared(&network.subnets[1..], None)).await;
    bench.live_through("shared_tags.zone", &shared(&[], Some(zone.id)), &both).await;
}

#[tokio::test]
async fn a_name_that_another_creation_took_is_refused_and_left_alone() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let role_of = role("demo-role");
    bench.make("theirs", &role_of).await;
    bench.refuses("ours", &role_of).await;

    let role_outputs: IamRoleOutputs = bench.make("theirs", &role_of).await;
    let profile = profile("demo-profile", &role_outputs);
    let _: IamInstanceProfileOutputs = bench.make("theirs", &profile).await;
    bench.refuses("ours", &profile).await;

    let balancer = balancer("demo-int", &network.subnets);
    bench.make("theirs", &balancer).await;
    bench.refuses("ours", &balancer).await;

    let group = group("demo-aint", &network, 6443);
    bench.make("theirs", &group).await;
    bench.refuses("ours", &group).await;
}

#[tokio::test]
async fn a_bucket_of_another_cluster_is_refused() {
    let bench = Bench::new();
    let mut theirs = bucket(&bench, "taken");
    theirs.tags = tags(&[("kubernetes.io/cluster/prod-abcde", "owned")]);
    bench.make("theirs", &theirs).await;
    let error = bench.refuses("ours", &bucket(&bench, "taken")).await;
    assert!(error.message.contains("prod-abcde"), "{error}");
}

#[tokio::test]
async fn a_bucket_with_somebodys_objects_in_it_is_refused() {
    let bench = Bench::new();
    let wanted = bucket(&bench, "untagged");
    let s3 = bench.s3();
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(bench.cloud.region().into())
        .build();
    let name = wanted.name.as_str();
    s3.create_bucket().bucket(name).create_bucket_configuration(place).send().await.unwrap();
    assert!(bench.find("ours", &wanted).await.unwrap().is_some(), "empty and untagged");
    s3.put_object().bucket(name).key("theirs").send().await.unwrap();
    bench.refuses("ours", &wanted).await;
}

#[tokio::test]
async fn a_record_that_points_elsewhere_is_neither_overwritten_nor_deleted() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let zone: HostedZoneOutputs =
        bench.make("demo", &zone(&bench, &network, "demo.example.com")).await;
    let theirs = cname(&zone, "api.demo.example.com", "prod.elb.example.net");
    let made = bench.make_known("theirs", &theirs).await;
    let ours = cname(&zone, "api.demo.example.com", "demo.elb.example.net");
    let error = bench.refuses("ours", &ours).await;
    assert!(error.message.contains("prod.elb.example.net"), "{error}");

    let mut known = made.clone();
    known.inputs = serde_json::to_value(&ours).unwrap();
    let error = bench.aws.delete(known).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(bench.is_there(&made).await);
}

#[tokio::test]
async fn an_object_without_its_content_is_refused_with_what_to_pass() {
    let bench = Bench::new();
    let object = S3Object {
        bucket: BucketName::from("demo").into(),
        key: "bootstrap.ign".to_owned(),
        content: groundplan_engine::secret::Secret::of(b"elsewhere"),
        tags: Tags::new(),
    };
    let error = bench.aws.create(bench.request("demo", &object)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(error.hint.is_some_and(|hint| hint.contains("--assets")));
}

#[tokio::test]
async fn a_bucket_goes_with_every_version_of_what_is_in_it() {
    let bench = Bench::new();
    let known = bench.make_known("demo", &bucket(&bench, "versions")).await;
    let name = known.outputs["name"].as_str().unwrap();
    let s3 = bench.s3();
    let versioning = aws_sdk_s3::types::VersioningConfiguration::builder()
        .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
        .build();
    s3.put_bucket_versioning()
        .bucket(name)
        .versioning_configuration(versioning)
        .send()
        .await
        .unwrap();
    for _ in 0..3 {
        s3.put_object().bucket(name).key("bootstrap.ign").send().await.unwrap();
    }
    s3.delete_object().bucket(name).key("bootstrap.ign").send().await.unwrap();
    bench.aws.delete(known.clone()).await.unwrap();
    assert!(!bench.is_there(&known).await);
}

#[tokio::test]
async fn a_zone_goes_with_what_the_operators_wrote_into_it() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let known = bench.make_known("demo", &zone(&bench, &network, "demo.example.com")).await;
    let outputs: HostedZoneOutputs = serde_json::from_value(known.outputs.clone()).unwrap();
    bench.make("apps", &cname(&outputs, "*.apps.demo.example.com", "apps.elb.example.net")).await;
    bench.aws.delete(known.clone()).await.unwrap();
    assert!(!bench.is_there(&known).await);
}

#[tokio::test]
async fn a_profile_goes_whatever_role_somebody_put_into_it() {
    let bench = Bench::new();
    let ours: IamRoleOutputs = bench.make("ours", &role("demo-ours")).await;
    let theirs: IamRoleOutputs = bench.make("theirs", &role("demo-theirs")).await;
    let known = bench.make_known("demo", &profile("demo-profile", &ours)).await;
    let request = bench.request("demo", &profile("demo-profile", &theirs));
    bench.aws.update(request, known.clone()).await.unwrap();
    bench.aws.delete(known.clone()).await.unwrap();
    assert!(!bench.is_there(&known).await);
}

/// AWS rejects a role that the profile has already, for example after a lost response. An older answer
/// that shows no role is read again.
#[tokio::test]
async fn a_profile_that_does_not_show_its_role_yet_is_asked_again() {
    let bench = Bench::new();
    let ours: IamRoleOutputs = bench.make("ours", &role("demo-ours")).await;
    let wanted = profile("demo-profile", &ours);
    let known = bench.make_known("demo", &wanted).await;
    let configure = || bench.aws.configure(bench.request("demo", &wanted), known.outputs.clone());
    bench.cloud.fault(
        &serde_json::json!({"action": "GetInstanceProfile", "kind": "empty", "times": null}),
    );
    let error = configure().await.unwrap_err();
    assert_eq!(
        (error.call.as_str(), error.class),
        ("AddRoleToInstanceProfile", ErrorClass::Retryable)
    );
    bench.cloud.clear_faults();
    configure().await.unwrap();
}

#[tokio::test]
async fn a_balancer_is_gone_when_its_interfaces_are() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    bench.cloud.delay("load_balancer_interfaces", 600.0);
    let known = bench.make_known("demo", &balancer("demo-int", &network.subnets)).await;
    bench.aws.delete(known.clone()).await.unwrap();
    let looks = bench.aws.gone(known.address.kind().to_owned(), vec![known.clone()]).await;
    assert!(matches!(&looks.unwrap()[..], [Poll::Pending(word)] if word.contains("interfaces")));
    bench.cloud.advance(600.0);
    bench.kinds().unmake(&known).await;
    let subnet = network.subnets[0].as_str();
    network.ec2.delete_subnet().subnet_id(subnet).send().await.expect("nothing holds the subnet");
}

#[tokio::test]
async fn what_refers_to_something_not_visible_yet_is_asked_again() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let role = IamRoleOutputs { name: "demo-unseen".into(), arn: String::new() };
    let zone = HostedZoneOutputs { id: "Z0UNSEEN".into() };
    let balancer: LoadBalancerOutputs =
        bench.make("demo", &balancer("demo-int", &network.subnets)).await;
    let arn = format!("arn:aws:elasticloadbalancing:us-west-2:{}:", bench.cloud.account());
    let group = TargetGroupOutputs { arn: TargetGroupArn(arn + "targetgroup/demo-unseen/0a1b2c") };
    let mut unseen = Network::make(&bench.cloud).await;
    unseen.vpc = "vpc-0a1b2c3d4e5f60718".into();
    for request in [
        bench.request("demo", &world::group("demo-a", &unseen, 6443)),
        bench.request("demo", &policy(&role, &["ec2:Describe*"])),
        bench.request("demo", &listener(&balancer, 6443, &group)),
        bench.request("demo", &target(&group, "10.0.0.10")),
        bench.request("demo", &cname(&zone, "api.demo.example.com", "int.elb.example.net")),
    ] {
        let address = request.address.clone();
        let error = bench.aws.create(request).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Retryable, "{address}: {error}");
    }
}

#[tokio::test]
async fn a_balancer_is_ready_when_it_is_active() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    bench.cloud.delay("load_balancer_provisioning", 600.0);
    let request = bench.request("demo", &balancer("demo-int", &network.subnets));
    let outputs = bench.aws.create(request.clone()).await.unwrap();
    let Request { address, token, inputs, .. } = request;
    let known = RecordedResource { address, token, inputs, outputs: outputs.clone() };
    let look = || bench.aws.ready("load_balancer".to_owned(), vec![known.clone()]);
    assert_eq!(look().await.unwrap(), [Poll::Pending("provisioning".to_owned())]);
    bench.cloud.advance(600.0);
    assert_eq!(look().await.unwrap(), [Poll::Ready(outputs)]);
}

#[tokio::test]
async fn what_stands_is_seen_beside_what_is_missing() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let stays = bench.make_known("a", &balancer("demo-a", &network.subnets)).await;
    let goes = bench.make_known("b", &balancer("demo-b", &network.subnets)).await;
    bench.aws.delete(goes.clone()).await.unwrap();
    let seen = bench.aws.refresh("load_balancer".to_owned(), vec![goes, stays]).await.unwrap();
    assert!(matches!(seen[..], [Observed::Missing, Observed::Present { .. }]), "{seen:?}");
}

#[tokio::test]
async fn a_drifted_trust_is_seen_and_mended() {
    let bench = Bench::new();
    let wanted = role("demo-role");
    let known = bench.make_known("demo", &wanted).await;
    let iam = aws_sdk_iam::Client::new(&bench.cloud.sdk_config());
    let theirs = trust("lambda.amazonaws.com");
    iam.update_assume_role_policy()
        .role_name("demo-role")
        .policy_document(theirs.to_string())
        .send()
        .await
        .unwrap();
    let inputs = bench.observed(&known).await;
    assert_eq!(inputs["trust"], theirs);
    let before = RecordedResource { inputs, ..known.clone() };
    bench.aws.update(bench.request("demo", &wanted), before).await.unwrap();
    assert_eq!(bench.observed(&known).await, known.inputs);
}

/// Limits the refresh of a standard cluster to 31 calls: 15 of IAM, 10 of ELB, 4 of Route 53 and 2
/// of S3. IAM has no call that lists the policies of several roles, apart from one that reads the
/// whole account. The figure is groundplan's own, so that the cost of a plan does not grow unnoticed.
#[tokio::test]
async fn observing_a_clusters_services_takes_at_most_31_calls() {
    let bench = standard_cluster().await;
    bench.0.cloud.clear_requests();
    for (kind, known) in &bench.1 {
        let seen = bench.0.aws.refresh((*kind).to_owned(), known.clone()).await.unwrap();
        for (seen, known) in seen.iter().zip(known) {
            let Observed::Present { inputs, .. } = seen else { panic!("{known:?} is missing") };
            assert_eq!(*inputs, known.inputs, "{}", known.address);
        }
    }
    let calls = bench.0.cloud.requests();
    let names: Vec<_> = calls.iter().map(|call| &call["action"]).collect();
    assert!(calls.len() <= 31, "{}: {names:?}", calls.len());
}
