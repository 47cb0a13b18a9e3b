//! AWS calls that belong to no kind.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{
    CapacityReservationInstancePlatform, PlacementStrategy, ResourceType, Tag, TagSpecification,
};
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType,
};
use groundplan_aws::lookups::queries::{answer, answers};
use groundplan_aws::model::ids::{
    BucketName, HostedZoneId, InstanceProfileName, RoleName, SecurityGroupId,
};
use groundplan_aws::sweep::{RemainingResource, Sweep, SweepNames, sweep};
use groundplan_aws::{Aws, AwsSettings};
use groundplan_engine::provider::ErrorClass;
use groundplan_openshift::topology::Lookup;
use serde_json::{Value, json};

use super::{CLUSTER_TAG, IMAGE, World};

const REGION: &str = "us-west-2";

#[tokio::test]
async fn zones_types_and_images_are_looked_up() {
    let world = World::new().await;
    let region = || REGION.to_owned();
    let lookups = [
        Lookup::AvailabilityZones { region: region() },
        Lookup::InstanceTypeOfferings {
            region: region(),
            types: vec!["m6i.xlarge".to_owned(), "m99.enormous".to_owned()],
        },
        Lookup::Image { region: region(), id: IMAGE.into() },
        Lookup::Image { region: region(), id: "ami-00000000000000000".into() },
    ];
    let found = answers(&world.aws, &lookups).await.expect("answers");
    let zones = &found[&lookups[0].key()];
    assert!(zones.as_array().is_some_and(|zones| zones.contains(&json!("us-west-2a"))), "{zones}");
    let offerings = &found[&lookups[1].key()];
    assert!(
        offerings["m6i.xlarge"].as_array().is_some_and(|in_zones| !in_zones.is_empty()),
        "{offerings}"
    );
    assert_eq!(offerings["m99.enormous"], json!([]));
    assert_eq!(
        found[&lookups[2].key()],
        json!({ "root_device": "/dev/xvda", "architecture": "x86_64", "state": "available" })
    );
    assert_eq!(found[&lookups[3].key()], Value::Null);
    let elsewhere = Lookup::AvailabilityZones { region: "eu-north-1".to_owned() };
    let error = answer(&world.aws, &elsewhere).await.expect_err("another region");
    assert!(error.message.contains("eu-north-1"), "{error}");
}

#[tokio::test]
async fn what_is_checked_is_looked_up() {
    let world = World::new().await;
    let dns = aws_sdk_route53::Client::new(&world.cloud.sdk_config());
    let zone = dns.create_hosted_zone().name("example.com").caller_reference("z");
    let zone = zone.send().await.expect("a zone").hosted_zone.expect("it").id;
    let zone = HostedZoneId::from(zone.rsplit('/').next().expect("an id"));
    for name in ["demo.example.com", "*.apps.demo.example.com", "api.demon.example.com"] {
        let value = ResourceRecord::builder().value("10.0.0.1").build().expect("a value");
        let record = ResourceRecordSet::builder().name(name).r#type(RrType::A).ttl(60);
        let record = record.resource_records(value).build().expect("a record");
        let change = Change::builder().action(ChangeAction::Create).resource_record_set(record);
        let batch = ChangeBatch::builder().changes(change.build().expect("a change"));
        let batch = batch.build().expect("a batch");
        let call = dns.change_resource_record_sets().hosted_zone_id(zone.as_str());
        call.change_batch(batch).send().await.expect("changed");
    }
    let group = world.ec2.create_security_group().group_name("theirs").description("theirs");
    let group = group.vpc_id(&world.vpc).send().await.expect("a group").group_id.expect("an id");
    let group = SecurityGroupId::from(&*group);
    let types = ["m5.xlarge", "g4dn.12xlarge", "m99.enormous"].map(str::to_owned).to_vec();
    let lookups = [
        Lookup::InstanceTypes { region: REGION.to_owned(), types },
        Lookup::SecurityGroups {
            region: REGION.to_owned(),
            ids: vec!["sg-00000000000000000".into(), group.clone()],
        },
        Lookup::Role { name: "nobody".into() },
        Lookup::InstanceProfile { name: "nobody".into() },
        Lookup::RecordsBelow { zone: zone.clone(), domain: "demo.example.com".to_owned() },
        Lookup::RecordsBelow { zone, domain: "other.example.com".to_owned() },
    ];
    let found = answers(&world.aws, &lookups).await.expect("answers");
    let answered: Vec<&Value> = lookups.iter().map(|one| &found[&one.key()]).collect();
    assert_eq!(
        answered[0],
        &json!({
            "m5.xlarge":
                {"vcpus": 4, "memory_mib": 16384, "architectures": ["x86_64"], "gpus": 0},
            "g4dn.12xlarge":
                {"vcpus": 48, "memory_mib": 196_608, "architectures": ["x86_64"], "gpus": 4},
        })
    );
    assert_eq!(answered[1], &json!({ group.as_str(): world.vpc }));
    assert_eq!((answered[2], answered[3]), (&json!(false), &json!(false)));
    assert_eq!(answered[4], &json!(["*.apps.demo.example.com"]));
    assert_eq!(answered[5], &json!([]));
}

#[tokio::test]
async fn what_machines_name_is_looked_up_with_what_else_there_is() {
    let world = World::new().await;
    world.ec2.create_key_pair().key_name("core").send().await.expect("a key pair");
    let group = world.ec2.create_placement_group().group_name("racks");
    let group = group.strategy(PlacementStrategy::Partition).partition_count(3);
    group.send().await.expect("a placement group");
    let elb = aws_sdk_elasticloadbalancingv2::Client::new(&world.cloud.sdk_config());
    for name in ["demo-int", "demo-ext"] {
        let balancer = elb.create_load_balancer().name(name).subnets(&world.subnet);
        balancer.send().await.expect("a balancer");
    }
    let old = aws_sdk_elasticloadbalancing::Client::new(&world.cloud.sdk_config());
    let listener = aws_sdk_elasticloadbalancing::types::Listener::builder().protocol("TCP");
    let listener = listener.load_balancer_port(80).instance_port(80).build().expect("a listener");
    let made = old.create_load_balancer().load_balancer_name("demo-old").subnets(&world.subnet);
    made.listeners(listener).send().await.expect("a classic balancer");
    let region = || REGION.to_owned();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let answers = async |lookup: Lookup| {
        let mut answer = answer(&world.aws, &lookup).await.expect("an answer");
        if let Some(names) = answer.as_array_mut() {
            names.sort_by_key(Value::to_string);
        }
        answer
    };
    assert_eq!(answers(Lookup::KeyPairs { region: region() }).await, json!(["core"]));
    let mut reserved = Vec::new();
    for _ in 0..2 {
        let made = world.ec2.create_capacity_reservation().instance_type("m6i.large");
        let made = made.instance_platform(CapacityReservationInstancePlatform::LinuxUnix);
        let made = made.instance_count(1).send().await.expect("a reservation");
        reserved.extend(made.capacity_reservation.and_then(|one| one.capacity_reservation_id));
    }
    let over = world.ec2.cancel_capacity_reservation().capacity_reservation_id(&reserved[1]);
    over.send().await.expect("cancelled");
    let reservations = answers(Lookup::CapacityReservations { region: region() }).await;
    assert_eq!(reservations, json!([reserved[0]]));
    let groups = json!({"racks": {"strategy": "partition", "partitions": 3}});
    assert_eq!(answers(Lookup::PlacementGroups { region: region() }).await, groups);
    let network = |asked: &[&str]| Lookup::LoadBalancers { region: region(), names: names(asked) };
    assert_eq!(answers(network(&["demo-int"])).await, json!(["demo-int"]));
    let all = json!(["demo-ext", "demo-int"]);
    assert_eq!(answers(network(&["demo-imt", "demo-int"])).await, all, "where one is not there");
    let classic =
        |asked: &[&str]| Lookup::ClassicLoadBalancers { region: region(), names: names(asked) };
    assert_eq!(answers(classic(&["demo-old"])).await, json!(["demo-old"]));
    assert_eq!(answers(classic(&["demo-odl"])).await, json!(["demo-old"]));
}

#[tokio::test]
async fn a_subnet_is_public_where_its_table_leads_out() {
    let world = World::new().await;
    let made = world.ec2.create_subnet().vpc_id(&world.vpc).cidr_block("10.0.16.0/20");
    let made = made.availability_zone("us-west-2b").send().await.expect("a subnet");
    let public = made.subnet.and_then(|subnet| subnet.subnet_id).expect("an id");
    let made = world.ec2.create_internet_gateway().send().await.expect("a gateway");
    let gateway = made.internet_gateway.and_then(|g| g.internet_gateway_id).expect("an id");
    let attach = world.ec2.attach_internet_gateway().vpc_id(&world.vpc);
    attach.internet_gateway_id(&gateway).send().await.expect("attached");
    let made = world.ec2.create_route_table().vpc_id(&world.vpc).send().await.expect("a table");
    let table = made.route_table.and_then(|table| table.route_table_id).expect("an id");
    let route = world.ec2.create_route().route_table_id(&table).gateway_id(&gateway);
    route.destination_cidr_block("0.0.0.0/0").send().await.expect("a route");
    let associate = world.ec2.associate_route_table().route_table_id(&table).subnet_id(&public);
    associate.send().await.expect("associated");

    let mut ids = vec![public.as_str().into(), world.subnet.as_str().into()];
    ids.push("subnet-00000000000000000".into());
    ids.sort();
    let lookup = Lookup::Subnets { region: REGION.to_owned(), ids };
    let found = answer(&world.aws, &lookup).await.expect("an answer");
    let facts: BTreeMap<&str, &Value> = found
        .as_array()
        .expect("a list")
        .iter()
        .map(|fact| (fact["id"].as_str().expect("an id"), fact))
        .collect();
    assert_eq!(facts.len(), 2, "{found:#}");
    assert_eq!(facts[public.as_str()]["reach"], "public");
    assert_eq!(facts[public.as_str()]["zone"], "us-west-2b");
    assert_eq!(facts[world.subnet.as_str()]["reach"], "private");
    assert_eq!(facts[world.subnet.as_str()]["cidr"], "10.0.0.0/20");
    assert_eq!(facts[world.subnet.as_str()]["vpc"], json!(world.vpc));
}

/// Creates a hosted zone, which is private if there is a VPC.
async fn zone(world: &World, name: &str, reference: &str, vpc: Option<&str>) -> String {
    use aws_sdk_route53::types::{Vpc, VpcRegion};
    let route53 = aws_sdk_route53::Client::new(&world.cloud.sdk_config());
    let vpc = vpc.map(|id| Vpc::builder().vpc_id(id).vpc_region(VpcRegion::UsWest2).build());
    let request = route53.create_hosted_zone().name(name).caller_reference(reference);
    let made = request.set_vpc(vpc).send().await.expect("a zone");
    let id = made.hosted_zone.expect("a zone").id;
    id.rsplit('/').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_public_zone_is_the_one_of_exactly_this_name() {
    let world = World::new().await;
    let lookup = Lookup::PublicZone { domain: "example.com".to_owned() };
    assert_eq!(answer(&world.aws, &lookup).await, Ok(Value::Null));
    zone(&world, "dev.example.com", "a", None).await;
    let private = zone(&world, "example.com", "b", Some(&world.vpc)).await;
    assert_eq!(answer(&world.aws, &lookup).await, Ok(Value::Null));
    let public = zone(&world, "example.com", "c", None).await;
    assert_eq!(answer(&world.aws, &lookup).await, Ok(json!(public)));

    let of = |id: &str| Lookup::HostedZone { id: id.into() };
    let fact = answer(&world.aws, &of(&private)).await.expect("an answer");
    assert_eq!(fact["private"], true);
    assert_eq!(fact["vpcs"], json!([world.vpc]));
    assert_eq!(answer(&world.aws, &of("Z00000000000000")).await, Ok(Value::Null));

    zone(&world, "example.com", "d", None).await;
    let error = answer(&world.aws, &lookup).await.expect_err("two");
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(error.message.contains(&public), "{error}");
    assert!(error.hint.is_some());
}

async fn tag(world: &World, id: &str, value: &str) {
    let tag = Tag::builder().key(CLUSTER_TAG).value(value).build();
    world.ec2.create_tags().resources(id).tags(tag).send().await.expect("tagged");
}

async fn tag_zone(world: &World, id: &str) {
    use aws_sdk_route53::types::{Tag, TagResourceType};
    let route53 = aws_sdk_route53::Client::new(&world.cloud.sdk_config());
    let tag = Tag::builder().key(CLUSTER_TAG).value("owned").build();
    let request = route53.change_tags_for_resource().resource_type(TagResourceType::Hostedzone);
    request.resource_id(id).add_tags(tag).send().await.expect("tagged");
}

/// Creates a load balancer and a target group of the cluster, and foreign ones. Returns the ARN of
/// the cluster's load balancer.
async fn balancer(world: &World) -> String {
    use aws_sdk_elasticloadbalancingv2::types::{
        LoadBalancerTypeEnum, ProtocolEnum, Tag, TargetTypeEnum,
    };
    let elb = aws_sdk_elasticloadbalancingv2::Client::new(&world.cloud.sdk_config());
    let mut arn = None;
    for (name, key) in [("theirs", "kubernetes.io/cluster/other"), ("ours", CLUSTER_TAG)] {
        let tag = Tag::builder().key(key).value("owned").build();
        let request = elb.create_load_balancer().name(name).r#type(LoadBalancerTypeEnum::Network);
        let made = request.subnets(&world.subnet).tags(tag.clone()).send().await.expect("made");
        arn = made.load_balancers()[0].load_balancer_arn.clone();
        let request = elb.create_target_group().name(name).protocol(ProtocolEnum::Tcp).port(6443);
        let request = request.target_type(TargetTypeEnum::Ip).vpc_id(&world.vpc).tags(tag);
        request.send().await.expect("a target group");
    }
    arn.expect("an ARN")
}

async fn everything(world: &World, names: &SweepNames) -> Vec<RemainingResource> {
    let swept = sweep(&world.aws, names).await.expect("a sweep");
    let Sweep { left, backups: _, kept, not_searched, blockers } = swept;
    assert_eq!((kept, not_searched, blockers), (Vec::new(), Vec::new(), Vec::new()));
    left
}

#[tokio::test]
async fn d6_what_carries_the_clusters_tag_or_name_is_left_over_until_it_is_gone() {
    let world = World::new().await;
    let names = SweepNames {
        domain: Some("demo.example.com".to_owned()),
        roles: vec![RoleName::from("demo-master"), RoleName::from("never-made")],
        profiles: vec![InstanceProfileName::from("demo-master")],
        buckets: vec![BucketName::from("demo-x7k2p-never-made")],
        ..SweepNames::default()
    };
    let nothing = everything(&world, &SweepNames::default()).await;
    assert_eq!(nothing, []);

    let bench = world.bench();
    let machine = bench.make("instance.bootstrap", &world.bootstrap()).await;
    tag(&world, &world.vpc, "owned").await;
    tag(&world, &world.subnet, "shared").await;
    let theirs = TagSpecification::builder().resource_type(ResourceType::Vpc);
    let theirs = theirs
        .tags(Tag::builder().key("kubernetes.io/cluster/other").value("owned").build())
        .build();
    let request = world.ec2.create_vpc().cidr_block("10.1.0.0/16").tag_specifications(theirs);
    request.send().await.expect("another cluster's VPC");
    zone(&world, "demo.example.com", "theirs", None).await;
    let ours = zone(&world, "demo.example.com", "ours", Some(&world.vpc)).await;
    tag_zone(&world, &ours).await;
    let balancer = balancer(&world).await;

    let found = everything(&world, &names).await;
    let kinds: Vec<&str> = found.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "hosted-zone",
            "instance",
            "instance-profile",
            "load-balancer",
            "role",
            // Without a tag, in the network of the cluster.
            "security-group",
            "security-group",
            "shared-tag",
            "target-group",
            "volume",
            "vpc"
        ],
        "{found:#?}"
    );
    assert_eq!((found[0].id.as_str(), found[3].id.as_str()), (ours.as_str(), balancer.as_str()));
    let instance = RemainingResource {
        kind: "instance".to_owned(),
        id: machine.outputs["id"].as_str().expect("an id").to_owned(),
        name: Some("demo-master-0".to_owned()),
        goes_with: None,
        is_backup: false,
        keeps_tag: false,
        reported: false,
        claims: Vec::new(),
        network: None,
    };
    assert!(found.contains(&instance), "{found:#?}");

    bench.unmake(&machine).await;
    let found = everything(&world, &SweepNames::default()).await;
    let kinds: Vec<&str> = found.iter().map(|one| one.kind.as_str()).collect();
    let rest = [
        "hosted-zone",
        "load-balancer",
        "security-group",
        "security-group",
        "shared-tag",
        "target-group",
        "vpc",
    ];
    assert_eq!(kinds, rest, "{found:#?}");
}

const PREFIXED: &str = "demo-x7k2p-extra";
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": []}"#;

/// Creates a role, an instance profile and a user of the cluster, which no state records.
async fn unrecorded(world: &World) {
    let iam = aws_sdk_iam::Client::new(&world.cloud.sdk_config());
    let tag = aws_sdk_iam::types::Tag::builder().key(CLUSTER_TAG).value("owned");
    let tag = tag.build().expect("a tag");
    let role = iam.create_role().role_name(PREFIXED).assume_role_policy_document(TRUST);
    role.tags(tag.clone()).send().await.expect("a role");
    let profile = iam.create_instance_profile().instance_profile_name(PREFIXED);
    profile.tags(tag.clone()).send().await.expect("a profile");
    iam.create_user().user_name(PREFIXED).tags(tag).send().await.expect("a user");
}

async fn refused(world: &World, names: &SweepNames) -> String {
    let error = sweep(&world.aws, names).await.expect_err("an incomplete list");
    assert_eq!(error.class, ErrorClass::Retryable, "{error}");
    format!("{}: {}", error.call, error.message)
}

#[tokio::test]
async fn a_list_that_is_empty_once_hides_nothing() {
    let world = World::new().await;
    unrecorded(&world).await;
    balancer(&world).await;
    let lists = [
        ("iam", "ListUsers"),
        ("iam", "ListRoles"),
        ("iam", "ListInstanceProfiles"),
        ("elbv2", "DescribeLoadBalancers"),
        ("elbv2", "DescribeTargetGroups"),
    ];
    for (service, action) in lists {
        world.cloud.fault(&json!({
            "service": service, "action": action, "kind": "empty", "times": 1,
        }));
    }
    let found = everything(&world, &SweepNames::default()).await;
    let kinds: Vec<&str> = found.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, ["instance-profile", "load-balancer", "role", "target-group", "user"]);
}

#[tokio::test]
async fn a_list_that_lacks_a_recorded_resource_is_an_error() {
    let world = World::new().await;
    let bench = world.bench();
    let trust: Value = serde_json::from_str(TRUST).expect("JSON");
    let inputs = json!({ "name": PREFIXED, "trust": trust, "tags": { CLUSTER_TAG: "owned" } });
    let role = bench.make("iam_role.worker", &inputs).await;
    bench.refresh(&role).await;
    let names = SweepNames { recorded: [PREFIXED.to_owned()].into(), ..SweepNames::default() };
    assert_eq!(everything(&world, &names).await, []);
    world.cloud.fault(&json!({ "action": "ListRoles", "kind": "empty", "times": 2 }));
    let error = refused(&world, &names).await;
    let expected = "ListRoles: demo-x7k2p-extra is missing in the answer";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn a_list_that_lost_all_resources_of_others_is_an_error() {
    let world = World::new().await;
    let names = SweepNames::default();
    everything(&world, &names).await;
    unrecorded(&world).await;
    world.cloud.fault(&json!({ "action": "ListInstanceProfiles", "kind": "empty", "times": 2 }));
    let error = refused(&world, &names).await;
    assert!(error.starts_with("ListInstanceProfiles: the answer lacks every resource"), "{error}");
}

#[tokio::test]
async fn roles_that_lack_the_role_of_a_profile_are_an_error() {
    let world = World::new().await;
    unrecorded(&world).await;
    let iam = aws_sdk_iam::Client::new(&world.cloud.sdk_config());
    let put = iam.add_role_to_instance_profile().instance_profile_name(PREFIXED);
    put.role_name(PREFIXED).send().await.expect("a role in the profile");
    world.cloud.fault(&json!({ "action": "ListRoles", "kind": "empty", "times": 3 }));
    let error = refused(&world, &SweepNames::default()).await;
    assert!(error.starts_with("ListRoles: demo-x7k2p-extra is missing"), "{error}");
}

#[tokio::test]
async fn a_tag_index_without_a_tagged_group_is_completed_by_the_tagging_api_or_an_error() {
    let world = World::new().await;
    tag(&world, &world.vpc, "owned").await;
    let group = world.ec2.create_security_group().group_name("ours").description("ours");
    let group = group.vpc_id(&world.vpc).send().await.expect("a group").group_id.expect("an id");
    tag(&world, &group, "owned").await;
    world.cloud.fault(&json!({ "action": "DescribeTags", "kind": "truncate", "times": null }));
    let found = everything(&world, &SweepNames::default()).await;
    let of_group = found.iter().find(|one| one.id == group).expect("the group");
    assert_eq!((of_group.kind.as_str(), &of_group.network), ("security-group", &None));
    world.cloud.delay("tags_listed", 3600.0); // the tagging API is late, too
    let error = refused(&world, &SweepNames::default()).await;
    assert!(error.starts_with(&format!("DescribeTags: {group} is missing")), "{error}");
}

#[tokio::test]
async fn a_sweep_without_a_tag_is_refused() {
    let world = World::new().await;
    let aws = Aws::new(&world.cloud.sdk_config(), AwsSettings::default());
    let error = sweep(&aws, &SweepNames::default()).await.expect_err("no tag");
    assert_eq!(error.class, ErrorClass::Permanent);
}

#[tokio::test]
async fn we_learn_who_we_are_and_what_it_cost() {
    let world = World::new().await;
    let caller = world.aws.check().await.expect("a caller");
    assert_eq!(caller.account, world.cloud.account());
    assert_eq!(world.aws.calls(), [(("sts", "GetCallerIdentity".to_owned()), 1)].into());
}

#[tokio::test]
async fn throttles_are_waited_out_and_counted() {
    let world = World::new().await;
    let fault = json!({ "action": "DescribeAvailabilityZones", "kind": "throttle", "times": 2 });
    world.cloud.fault(&fault);
    let lookup = Lookup::AvailabilityZones { region: REGION.to_owned() };
    answer(&world.aws, &lookup).await.expect("an answer in the end");
    assert_eq!(world.aws.calls()[&("ec2", "DescribeAvailabilityZones".to_owned())], 3);
}
