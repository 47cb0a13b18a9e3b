//! Resources that AWS lacks or that are unsuitable: every row of openshift-install's online checks.

use groundplan_aws::model::ids::PolicyArn;
use groundplan_engine::state::{Record, RecordStatus, State};
use serde_json::json;

use crate::install_config::Architecture;
use crate::test_support::example_cluster::{ExampleCluster, image};
use crate::topology::lookups::{ImageFact, InstanceTypeFact, Lookup, PolicyFact};
use crate::topology::validation::needed_lookups;
use crate::topology::{CompileError, Size};

/// Returns the findings of the checks for an empty state: field and message.
fn found(world: &ExampleCluster) -> Vec<(String, String)> {
    let errors = world.findings(&State::default());
    errors.iter().map(|error| (error.field().unwrap(), error.to_string())).collect()
}

/// Returns the only finding.
fn one(world: &ExampleCluster) -> (String, String) {
    <[_; 1]>::try_from(found(world)).map(|[one]| one).unwrap()
}

fn type_of(world: &mut ExampleCluster, name: &str, vcpus: u32, gib: u64, architecture: &str) {
    let architectures = [architecture.to_owned()].into();
    let fact = InstanceTypeFact { vcpus, memory_mib: gib * 1024, architectures, gpus: 0 };
    world.cloud.types.insert(name.into(), Some(fact));
}

#[test]
fn where_all_is_well_nothing_is_found() {
    for world in [
        ExampleCluster::standard(),
        ExampleCluster::internal(),
        ExampleCluster::existing_network(),
        ExampleCluster::existing_zone(),
        ExampleCluster::single_node(),
    ] {
        assert_eq!(found(&world), []);
    }
}

#[test]
fn a_pool_of_public_addresses_exists_and_has_enough_of_them() {
    let field = "platform.aws.publicIpv4Pool";
    for (mut world, needed) in
        [(ExampleCluster::standard(), 6), (ExampleCluster::existing_network(), 3)]
    {
        world.config.aws.public_ipv4_pool = Some("ipv4pool-ec2-0a".into());
        let (at, message) = one(&world);
        assert_eq!(at, field);
        assert_eq!(
            message,
            "the pool of public addresses ipv4pool-ec2-0a does not exist in us-west-2"
        );
        world.cloud.pools.insert("ipv4pool-ec2-0a".into(), needed - 1);
        let (at, message) = one(&world);
        assert_eq!(at, field);
        let expected = format!(
            "the pool of public addresses ipv4pool-ec2-0a has {} free, but the cluster needs {needed}",
            needed - 1
        );
        assert_eq!(message, expected);
        world.cloud.pools.insert("ipv4pool-ec2-0a".into(), needed);
        assert_eq!(found(&world), []);

        // Recorded addresses are in the cluster already.
        world.cloud.pools.insert("ipv4pool-ec2-0a".into(), 0);
        let state = super::machines::recorded(&world.graph(), false, &[]);
        assert_eq!(world.findings(&state), []);
    }
}

#[test]
fn a_zone_that_the_region_does_not_have_is_found_by_its_place_in_the_list() {
    let mut world = ExampleCluster::standard();
    world.config.compute[0].aws.zones = vec!["us-west-2a".into(), "us-west-2z".into()];
    let (field, message) = one(&world);
    assert_eq!(field, "compute[0].platform.aws.zones[1]");
    assert!(message.contains("us-west-2z is not an availability zone of us-west-2"), "{message}");
}

#[test]
fn a_type_that_the_region_does_not_have_is_found_once() {
    let mut world = ExampleCluster::standard();
    world.config.control_plane.aws.instance_type = Some("m9.xlarge".into());
    world.config.control_plane.aws.zones = world.cloud.zones.clone();
    world.cloud.types.insert("m9.xlarge".into(), None);
    world.cloud.not_offered.insert("m9.xlarge".into(), world.cloud.zones.iter().cloned().collect());
    let (field, message) = one(&world);
    assert_eq!(field, "controlPlane.platform.aws.type");
    assert_eq!(message, "us-west-2 has no instance type m9.xlarge");
}

#[test]
fn masters_need_four_vcpu_and_sixteen_gib_and_workers_half_of_that() {
    let small = |vcpus, gib| {
        let mut world = ExampleCluster::standard();
        for pool in [&mut world.config.control_plane, &mut world.config.compute[0]] {
            pool.aws.instance_type = Some("s.small".into());
        }
        type_of(&mut world, "s.small", vcpus, gib, "x86_64");
        found(&world).into_iter().map(|(field, _)| field).collect::<Vec<_>>()
    };
    let (masters, workers) = ("controlPlane.platform.aws.type", "compute[0].platform.aws.type");
    assert_eq!(small(4, 16), Vec::<String>::new());
    assert_eq!(small(2, 16), [masters]);
    assert_eq!(small(4, 8), [masters]);
    assert_eq!(small(1, 8), [masters, workers]);
    assert_eq!(small(2, 4), [masters, workers]);

    let mut world = ExampleCluster::standard();
    world.config.compute[0].aws.instance_type = Some("s.small".into());
    type_of(&mut world, "s.small", 1, 4, "x86_64");
    let errors = world.findings(&State::default());
    let least = Size { vcpus: 2, memory_mib: 8192 };
    assert!(matches!(&errors[..], [CompileError::TypeTooSmall { least: l, .. }] if *l == least));
    assert_eq!(errors[0].expected().unwrap(), "at least 2 vCPU and 8192 MiB of memory");
}

#[test]
fn a_type_of_another_architecture_is_found() {
    let mut world = ExampleCluster::standard();
    world.config.control_plane.aws.instance_type = Some("m6g.xlarge".into());
    type_of(&mut world, "m6g.xlarge", 4, 16, "arm64");
    let (field, message) = one(&world);
    assert_eq!(field, "controlPlane.platform.aws.type");
    assert_eq!(message, "m6g.xlarge is arm64, but the machines are x86_64");
    for pool in [&mut world.config.control_plane, &mut world.config.compute[0]] {
        pool.architecture = Architecture::Arm64;
    }
    assert_eq!(found(&world), []);
}

#[test]
fn a_named_zone_that_does_not_offer_the_type_is_found() {
    let mut world = ExampleCluster::standard();
    world.config.control_plane.aws.instance_type = Some("m6i.xlarge".into());
    world.config.control_plane.aws.zones = world.cloud.zones.clone();
    world.cloud.not_offered.insert("m6i.xlarge".into(), ["us-west-2b".into()].into());
    let (field, message) = one(&world);
    assert_eq!(field, "controlPlane.platform.aws.zones[1]");
    assert_eq!(message, "us-west-2b does not offer m6i.xlarge");
}

#[test]
fn a_zone_of_the_subnets_that_does_not_offer_the_type_is_found_at_the_type() {
    let mut world = ExampleCluster::existing_network();
    world.config.control_plane.aws.instance_type = Some("m7i.xlarge".into());
    world.cloud.not_offered.insert("m7i.xlarge".into(), ["us-west-2c".into()].into());
    let (field, message) = one(&world);
    assert_eq!(field, "controlPlane.platform.aws.type");
    assert_eq!(message, "us-west-2c does not offer m7i.xlarge");
}

#[test]
fn an_image_that_does_not_fit_the_masters_is_refused() {
    let refused = |fact: ImageFact| {
        let mut world = ExampleCluster::standard();
        world.cloud.images.insert("ami-0demo".into(), fact);
        world.refusal()
    };
    let arm = ImageFact { architecture: Some("arm64".into()), ..image() };
    let error = refused(arm);
    assert_eq!(error.to_string(), "the image ami-0demo is for arm64, but the machines are x86_64");
    assert_eq!(error.field().unwrap(), "controlPlane.platform.aws.amiID");
    let pending = ImageFact { state: Some("pending".into()), ..image() };
    assert_eq!(refused(pending).to_string(), "the image ami-0demo is pending");
}

#[test]
fn the_image_of_the_workers_is_checked_though_nobody_here_boots_it() {
    let mut world = ExampleCluster::standard();
    world.config.compute[0].aws.ami_id = Some("ami-0worker".into());
    let (field, message) = one(&world);
    assert_eq!(field, "compute[0].platform.aws.amiID");
    assert!(message.contains("ami-0worker does not exist in us-west-2"), "{message}");
    let arm = ImageFact { architecture: Some("arm64".into()), ..image() };
    world.cloud.images.insert("ami-0worker".into(), arm);
    assert!(one(&world).1.contains("is for arm64"));
    world.config.compute[0].replicas = 0;
    assert_eq!(found(&world), []);
}

#[test]
fn additional_groups_must_exist_and_be_in_the_vpc_of_the_subnets() {
    let mut world = ExampleCluster::existing_network();
    let groups = ["sg-here", "sg-gone", "sg-elsewhere"].map(Into::into);
    world.config.control_plane.aws.additional_security_groups = groups.into();
    world.cloud.groups.insert("sg-here".into(), "vpc-existing".into());
    world.cloud.groups.insert("sg-elsewhere".into(), "vpc-other".into());
    let field = |index| format!("controlPlane.platform.aws.additionalSecurityGroupIDs[{index}]");
    let elsewhere =
        "the security group sg-elsewhere is in vpc-other, the subnets are in vpc-existing";
    assert_eq!(
        found(&world),
        [
            (field(1), "the security group sg-gone does not exist in us-west-2".into()),
            (field(2), elsewhere.into()),
        ]
    );
}

#[test]
fn roles_and_profiles_that_the_user_brings_must_exist() {
    let mut world = ExampleCluster::standard();
    world.config.control_plane.aws.iam_role = Some("masters".into());
    world.config.compute[0].aws.iam_profile = Some("workers".into());
    assert_eq!(
        found(&world),
        [
            (
                "controlPlane.platform.aws.iamRole".into(),
                "the role masters does not exist in this account".into()
            ),
            (
                "compute[0].platform.aws.iamProfile".into(),
                "the instance profile workers does not exist in this account".into()
            ),
        ]
    );
    world.cloud.iam = ["masters".into(), "workers".into()].into();
    assert_eq!(found(&world), []);
}

#[test]
fn a_permissions_boundary_must_exist_in_the_account_of_the_credentials() {
    let mut world = ExampleCluster::standard();
    let arn = PolicyArn::from("arn:aws:iam::123456789012:policy/boundary");
    world.config.aws.permissions_boundary = Some(arn.clone());
    let mut known = |exists, account: &str| {
        let fact = PolicyFact { exists, account: account.to_owned() };
        world.cloud.policies.insert(arn.clone(), fact);
        found(&world)
    };
    let field = || "platform.aws.permissionsBoundary".to_owned();
    let missing = format!("the policy {arn} does not exist in this account");
    assert_eq!(known(Some(false), "123456789012"), [(field(), missing)]);
    let elsewhere =
        format!("the policy {arn} is in another account than the cluster, 200000000001");
    assert_eq!(known(None, "200000000001"), [(field(), elsewhere)]);
    assert_eq!(known(None, "123456789012"), [], "it cannot be read");
    assert_eq!(known(Some(true), "123456789012"), []);
}

#[test]
fn a_boundary_of_aws_belongs_to_every_account_and_a_recorded_one_is_not_asked_for() {
    let mut world = ExampleCluster::standard();
    let arn = PolicyArn::from("arn:aws:iam::aws:policy/PowerUserAccess");
    world.config.aws.permissions_boundary = Some(arn.clone());
    let fact = PolicyFact { exists: Some(true), account: "123456789012".to_owned() };
    world.cloud.policies.insert(arn.clone(), fact);
    assert_eq!(found(&world), []);
    let lookup = Lookup::Policy { arn: arn.clone() };
    let asked = |state: &State| needed_lookups(&world.config, &world.lookup_cache(), state);
    assert!(asked(&State::default()).contains(&lookup));
    let state = made(&[("iam_role.master", json!({"permissions_boundary": arn}))]);
    assert!(!asked(&state).contains(&lookup));
}

#[test]
fn a_cluster_of_the_same_name_is_noticed_in_the_public_and_in_the_private_zone() {
    for (mut world, zone) in
        [(ExampleCluster::standard(), "Z0PUBLIC"), (ExampleCluster::existing_zone(), "Z0PRIVATE")]
    {
        let other = |name: &str| vec![format!("api.{name}")];
        world.cloud.records.insert(zone.into(), other("demolition.example.com"));
        assert_eq!(found(&world), [], "another name that begins alike is no clash");
        world.cloud.records.insert(zone.into(), other("demo.example.com"));
        let (field, message) = one(&world);
        assert_eq!(field, "metadata.name");
        assert!(message.starts_with("demo.example.com is in use"), "{message}");
        assert!(message.contains(zone) && message.contains("api.demo.example.com"), "{message}");
    }
}

#[test]
fn everything_is_found_at_once() {
    let mut world = ExampleCluster::standard();
    world.config.control_plane.aws.iam_role = Some("masters".into());
    world.config.control_plane.aws.instance_type = Some("m6g.xlarge".into());
    type_of(&mut world, "m6g.xlarge", 2, 16, "arm64");
    world.config.compute[0].aws.zones = vec!["us-west-2z".into()];
    world.config.compute[0].aws.ami_id = Some("ami-0worker".into());
    world.cloud.records.insert("Z0PUBLIC".into(), vec!["api.demo.example.com".into()]);
    assert_eq!(found(&world).len(), 6, "{:#?}", found(&world));
    for error in world.findings(&State::default()) {
        assert!(error.hint().is_some(), "{error}");
    }
}

#[test]
fn what_a_check_could_not_be_answered_stops_nothing() {
    let world = ExampleCluster::standard();
    let answers = std::collections::BTreeMap::new();
    let state = State::default();
    let errors =
        crate::topology::validation::check(&world.config, &world.lookup_cache(), &answers, &state);
    assert_eq!(errors, []);
}

/// Returns a state with these resources recorded.
fn made(resources: &[(&str, serde_json::Value)]) -> State {
    let record = |inputs: &serde_json::Value| Record {
        generation: 1,
        status: RecordStatus::Ready,
        inputs: inputs.clone(),
        outputs: json!({}),
        after: Vec::new(),
        prior_inputs: Vec::new(),
        revert: Vec::new(),
        unknown: Default::default(),
    };
    let resources = resources.iter().map(|(address, inputs)| ((*address).into(), record(inputs)));
    State { resources: resources.collect(), ..State::default() }
}

#[test]
fn about_a_finished_cluster_nothing_is_asked() {
    let mut world = ExampleCluster::standard();
    world.config.control_plane.aws.iam_role = Some("masters".into());
    let asked = |state: &State| needed_lookups(&world.config, &world.lookup_cache(), state);
    assert!(!asked(&State::default()).is_empty());
    let master = json!({"instance_type": "m6i.xlarge"});
    let mut state = made(&[
        ("instance.master-0", master.clone()),
        ("instance.master-1", master.clone()),
        ("instance.master-2", master),
        ("iam_instance_profile.master", json!({"role": "masters"})),
        ("record.api-public", json!({"zone": "Z0PUBLIC"})),
    ]);
    assert_eq!(asked(&state), []);
    state.resources.remove("instance.master-1");
    assert!(!asked(&state).is_empty(), "a master is to be made yet");
}

#[test]
fn another_type_for_masters_that_run_is_checked() {
    let mut world = ExampleCluster::standard();
    let master = json!({"instance_type": "m6i.xlarge"});
    let names = ["instance.master-0", "instance.master-1", "instance.master-2"];
    let state = made(&names.map(|name| (name, master.clone())));
    world.config.control_plane.aws.instance_type = Some("m6g.xlarge".into());
    type_of(&mut world, "m6g.xlarge", 4, 16, "arm64");
    let errors = world.findings(&state);
    assert!(matches!(&errors[..], [CompileError::TypeArchitecture { .. }]), "{errors:?}");
}

#[test]
fn records_of_our_own_are_no_clash() {
    let mut world = ExampleCluster::standard();
    world.cloud.records.insert("Z0PUBLIC".into(), vec!["api.demo.example.com".into()]);
    let state = made(&[("record.api-public", json!({"zone": "Z0PUBLIC"}))]);
    assert_eq!(world.findings(&state), []);
    let elsewhere = made(&[("record.api", json!({"zone": "Z0PRIVATE"}))]);
    assert!(matches!(&world.findings(&elsewhere)[..], [CompileError::NameTaken { .. }]));
}

#[test]
fn a_network_of_another_cluster_is_refused_at_each_of_its_subnets() {
    let mut world = ExampleCluster::existing_network();
    world.cloud.subnets[1].owners.insert("other-abcde".into());
    for subnet in &mut world.cloud.subnets {
        subnet.vpc_owners.insert("other-abcde".into());
    }
    let (field, message) = one(&world);
    assert_eq!(field, "platform.aws.subnets[1]");
    assert!(message.starts_with("the subnet subnet-public-a belongs to the cluster other-abcde"));

    world.cloud.subnets[1].owners.clear();
    let (field, message) = one(&world);
    assert_eq!(field, "platform.aws.subnets[0]");
    assert!(message.starts_with("the VPC vpc-existing belongs to the cluster other-abcde"));
    let error = &world.findings(&State::default())[0];
    assert!(error.hint().unwrap().contains("destroying other-abcde would delete"), "{error:?}");

    let own = State { cluster: Some(world.cluster.clone()), ..State::default() };
    for subnet in &mut world.cloud.subnets {
        subnet.vpc_owners = [world.cluster.infra_id.clone()].into();
    }
    assert_eq!(world.findings(&own), [], "its own name is no other cluster's");
}

#[test]
fn an_internal_cluster_is_warned_of_public_subnets() {
    let mut world = ExampleCluster::existing_network();
    let warned = |world: &ExampleCluster| {
        let warnings = world.compile().unwrap().warnings;
        warnings.iter().filter(|one| one.starts_with("platform.aws.subnets")).count()
    };
    assert_eq!(warned(&world), 0);
    world.config.publish = crate::install_config::Publish::Internal;
    assert_eq!(warned(&world), 1);
    world.config.aws.subnets.retain(|id| !id.as_str().contains("public"));
    world.cloud.subnets.retain(|subnet| !subnet.id.as_str().contains("public"));
    assert_eq!(warned(&world), 0);
}
