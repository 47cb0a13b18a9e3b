//! Differences from the reference cluster for other configs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::*;
use crate::test_support::example_cluster::ExampleCluster;
use crate::topology::{CompileError, Layout, Lookup, infra_id, needed_lookups};

#[test]
fn an_internal_cluster_lacks_exactly_what_faces_the_internet() {
    let external = ExampleCluster::standard().graph();
    let internal = ExampleCluster::internal().graph();
    assert_eq!(
        missing(&external, &internal),
        [
            "listener.aext",
            "load_balancer.ext",
            "record.api-public",
            "target.bootstrap-aext",
            "target.master-0-aext",
            "target.master-1-aext",
            "target.master-2-aext",
            "target_group.aext",
        ]
    );
    assert_eq!(missing(&internal, &external), Vec::<&str>::new());
    let network = &inputs(&internal, "instance.bootstrap")["network"]["subnet"];
    assert_eq!(network["public_ip"], false);
    assert_eq!(network["subnet"], reference("subnet.private-us-west-2a", "id"));
    let rules = inputs(&internal, "security_group_rules.bootstrap");
    assert_eq!(rules["ingress"][1]["peer"], json!({"cidrs": ["10.0.0.0/16"]}));
    let rules = inputs(&external, "security_group_rules.bootstrap");
    assert_eq!(rules["ingress"][1]["peer"], json!({"cidrs": ["0.0.0.0/0"]}));
    assert_eq!(rules["ingress"][1]["ports"], json!({"from": 19531, "to": 19531}));
}

#[test]
fn the_addresses_of_a_pool_are_those_of_nat_gateways_and_the_external_balancer() {
    let standard = ExampleCluster::standard().graph();
    let mut world = ExampleCluster::standard();
    world.config.aws.public_ipv4_pool = Some("ipv4pool-ec2-0a".into());
    world.options.layout = Layout::ALL[1];
    let graph = world.graph();
    let added = ["a", "b", "c"].map(|zone| format!("elastic_ip.ext-us-west-2{zone}"));
    let of_balancer = &inputs(&graph, "load_balancer.ext")["addresses"];
    let expected: Vec<_> = added.iter().map(|one| reference(one, "allocation")).collect();
    assert_eq!(*of_balancer, json!(expected));
    assert!(inputs(&graph, "load_balancer.int").get("addresses").is_none());
    assert!(inputs(&standard, "load_balancer.ext").get("addresses").is_none());
    for address in named(&graph, "elastic_ip") {
        let address = inputs(&graph, &format!("elastic_ip.{address}"));
        assert_eq!(address["pool"], "ipv4pool-ec2-0a");
        let name = &address["tags"]["Name"];
        assert!(*name == "demo-x7k2p-eip-common" || *name == "demo-x7k2p-eip-lb-apiserver");
    }
    assert_eq!(named(&graph, "elastic_ip").len(), 6);
    assert!(inputs(&standard, "elastic_ip.us-west-2a").get("pool").is_none());

    let mut world = ExampleCluster::existing_network();
    world.config.aws.public_ipv4_pool = Some("ipv4pool-ec2-0a".into());
    let graph = world.graph();
    let found: Vec<_> =
        named(&graph, "elastic_ip").iter().map(|one| format!("elastic_ip.{one}")).collect();
    assert_eq!(found, added);
}

#[test]
fn with_public_subnets_only_the_machines_have_public_addresses_and_nothing_is_private() {
    let public = |mut world: ExampleCluster| {
        world.options.layout = Layout::ALL[1];
        world.public_only = true;
        world
    };
    let world = public(ExampleCluster::standard());
    let graph = world.graph();
    assert_eq!(
        named(&graph, "subnet"),
        ["us-west-2a", "us-west-2b", "us-west-2c"].map(|zone| format!("public-{zone}"))
    );
    for kind in ["nat_gateway", "elastic_ip", "network_interface"] {
        assert_eq!(named(&graph, kind), Vec::<&str>::new(), "{kind}");
    }
    assert_eq!(named(&graph, "route_table").len(), 3);
    assert_eq!(inputs(&graph, "vpc_endpoint.s3")["route_tables"].as_array().unwrap().len(), 3);
    let subnet = reference("subnet.public-us-west-2b", "id");
    let master = &inputs(&graph, "instance.master-1")["network"]["subnet"];
    assert_eq!((&master["subnet"], &master["public_ip"]), (&subnet, &json!(true)));
    let target = &inputs(&graph, "target.master-1-aint")["ip"];
    assert_eq!(*target, reference("instance.master-1", "private_ip"));
    assert_eq!(inputs(&graph, "load_balancer.int")["subnets"][1], subnet);
    let pools = world.spec();
    let manifests =
        crate::machine_api::manifests::manifests(&pools.machine_pools().unwrap(), &world.assets);
    for manifest in manifests {
        let text = manifest.content.text();
        assert!(text.contains("publicIp: true"), "{text}");
        assert!(!text.contains("subnet-private"), "{text}");
    }

    let mut internal = public(ExampleCluster::internal());
    let error = internal.refusal();
    assert_eq!(
        (error.field().unwrap().as_str(), error),
        ("publish", CompileError::PublicOnlyInternal)
    );
    internal = public(ExampleCluster::existing_network());
    internal.config.aws.subnets.retain(|id| !id.as_str().contains("public"));
    assert_eq!(internal.refusal(), CompileError::NoPublicSubnets);

    let mut existing = public(ExampleCluster::existing_network());
    existing.config.aws.subnets.retain(|id| id.as_str().contains("public"));
    let graph = existing.graph();
    let master = &inputs(&graph, "instance.master-0")["network"]["subnet"];
    assert_eq!(master["subnet"], "subnet-public-a");
    assert_eq!(
        inputs(&graph, "load_balancer.int")["subnets"],
        inputs(&graph, "load_balancer.ext")["subnets"]
    );
}

#[test]
fn any_number_of_zones_and_masters_compiles() {
    for zones in 1..=6 {
        for masters in 1..=7 {
            let mut world = ExampleCluster::standard();
            world.cloud.zones =
                ('a'..='f').take(zones).map(|letter| format!("us-west-2{letter}")).collect();
            world.config.control_plane.replicas = masters;
            let graph = world.graph();
            let count = |kind| named(&graph, kind).len();
            let masters = masters as usize;
            assert_eq!((count("subnet"), count("nat_gateway")), (2 * zones, zones));
            assert_eq!(count("route_table"), zones + 1);
            assert_eq!((count("instance"), count("target")), (masters + 1, 3 * (masters + 1)));
        }
    }
}

#[test]
fn zones_nobody_uses_get_no_network() {
    let mut world = ExampleCluster::standard();
    world.config.control_plane.replicas = 1;
    world.config.control_plane.aws.zones = vec!["us-west-2b".into(), "us-west-2a".into()];
    world.config.compute[0].aws.zones = vec!["us-west-2c".into()];
    let graph = world.graph();
    assert_eq!(named(&graph, "nat_gateway"), ["us-west-2b", "us-west-2c"]);
}

#[test]
fn the_order_of_zones_is_nothing_but_the_order_of_the_masters() {
    let zones = |letters: [&str; 3]| letters.map(|letter| format!("us-west-2{letter}")).to_vec();
    let mut world = ExampleCluster::standard();
    let graph = world.graph();
    world.cloud.zones = zones(["c", "a", "b"]);
    assert_eq!(world.graph().nodes(), graph.nodes(), "the order in which AWS answers");
    world.config.compute[0].aws.zones = zones(["b", "c", "a"]);
    assert_eq!(world.graph().nodes(), graph.nodes(), "the order of the workers' zones");
    world.config.control_plane.aws.zones = zones(["a", "b", "c"]);
    assert_eq!(world.graph().nodes(), graph.nodes(), "saying what would be chosen anyway");

    // Like the Machine manifests, groundplan places master i in the i-th zone as listed.
    world.config.control_plane.aws.zones = zones(["b", "c", "a"]);
    let other = world.graph();
    let changed = other.nodes().iter().zip(graph.nodes()).filter(|(one, other)| one != other);
    let changed: Vec<&str> = changed.map(|(one, _)| one.address.as_str()).collect();
    assert_eq!(
        changed,
        ["network_interface.master-0", "network_interface.master-1", "network_interface.master-2"]
    );
}

#[test]
fn the_same_world_compiles_to_the_same_graph() {
    assert_eq!(
        ExampleCluster::standard().graph().nodes(),
        ExampleCluster::standard().graph().nodes()
    );
}

#[test]
fn a_single_node_is_larger_and_alone() {
    let graph = ExampleCluster::single_node().graph();
    assert_eq!(named(&graph, "instance"), ["master-0", "bootstrap"]);
    assert_eq!(inputs(&graph, "instance.master-0")["instance_type"], "m6i.2xlarge");
    assert_eq!(named(&graph, "target").len(), 6);
}

#[test]
fn without_the_bootstrap_nothing_of_it_is_left() {
    let mut world = ExampleCluster::standard();
    let whole = world.graph();
    world.options.bootstrap = false;
    let rest = world.graph();
    assert_eq!(
        missing(&whole, &rest),
        [
            "iam_instance_profile.bootstrap",
            "iam_role.bootstrap",
            "iam_role_policy.bootstrap",
            "instance.bootstrap",
            "s3_bucket.bootstrap",
            "s3_object.bootstrap",
            "security_group.bootstrap",
            "security_group_rules.bootstrap",
            "target.bootstrap-aext",
            "target.bootstrap-aint",
            "target.bootstrap-sint",
        ]
    );
    let kept: Vec<_> =
        whole.nodes().iter().filter(|node| rest.get(&node.address).is_some()).collect();
    assert_eq!(kept, rest.nodes().iter().collect::<Vec<_>>(), "and nothing else has changed");
    let retired: Vec<_> = rest.retired().map(ToString::to_string).collect();
    assert_eq!(retired, missing(&whole, &rest));
    assert_eq!(whole.retired().count(), 0);
    let machine = Address::from("instance.bootstrap");
    assert_eq!(rest.retirement(&machine), Some("bootstrap removal requested"));
    world.options.bootstrap_removed_at = Some("2026-11-30T21:00:00Z".into());
    let reason = world.graph().retirement(&machine).map(str::to_owned);
    assert_eq!(reason.as_deref(), Some("bootstrap removal requested on 2026-11-30"));
    world.config.aws.preserve_bootstrap_ignition = true;
    let preserved = world.graph();
    assert_eq!(missing(&preserved, &rest), ["s3_bucket.bootstrap", "s3_object.bootstrap"]);
    assert_eq!(preserved.retirement(&Address::from("s3_bucket.bootstrap")), None);
}

#[test]
fn a_role_that_exists_is_carried_in_profiles_of_ours() {
    let mut world = ExampleCluster::standard();
    let standard = world.graph();
    world.config.control_plane.aws.iam_role = Some("their-role".into());
    let graph = world.graph();
    assert_eq!(
        missing(&standard, &graph),
        [
            "iam_role.bootstrap",
            "iam_role.master",
            "iam_role_policy.bootstrap",
            "iam_role_policy.master",
        ]
    );
    for profile in ["master", "bootstrap"] {
        let profile = inputs(&graph, &format!("iam_instance_profile.{profile}"));
        assert_eq!(profile["role"], "their-role");
    }
    let worker = inputs(&graph, "iam_instance_profile.worker");
    assert_eq!(worker["role"], reference("iam_role.worker", "name"));
}

#[test]
fn every_role_has_the_permissions_boundary_and_nothing_else_changes() {
    let mut world = ExampleCluster::standard();
    let standard = world.graph();
    let arn = "arn:aws:iam::123456789012:policy/boundary";
    world.config.aws.permissions_boundary = Some(arn.into());
    let graph = world.graph();
    for node in graph.nodes() {
        let mut inputs = node.inputs.clone();
        if node.kind() == "iam_role" {
            let boundary = inputs.as_object_mut().unwrap().remove("permissions_boundary");
            assert_eq!(boundary, Some(json!(arn)), "{}", node.address);
        }
        assert_eq!(standard.get(&node.address).unwrap().inputs, inputs, "{}", node.address);
    }
    assert_eq!(named(&graph, "iam_role").len(), 3);
}

#[test]
fn a_permissions_boundary_without_a_role_of_ours_is_a_warning() {
    let mut world = ExampleCluster::standard();
    world.config.aws.permissions_boundary = Some("arn:aws:iam::123456789012:policy/b".into());
    let warned = |world: &ExampleCluster| {
        let warnings = world.compile().unwrap().warnings;
        warnings.iter().filter(|text| text.contains("permissionsBoundary")).count()
    };
    world.config.control_plane.aws.iam_role = Some("masters".into());
    assert_eq!(warned(&world), 0, "the role of the workers has it");
    world.config.compute[0].aws.iam_profile = Some("workers".into());
    assert_eq!(warned(&world), 1);
    world.config.aws.permissions_boundary = None;
    assert_eq!(warned(&world), 0);
}

#[test]
fn a_profile_that_exists_needs_neither_role_nor_profile() {
    let mut world = ExampleCluster::standard();
    world.config.control_plane.aws.iam_profile = Some("their-profile".into());
    world.config.compute[0].aws.iam_profile = Some("worker-profile".into());
    let graph = world.graph();
    for kind in ["iam_role", "iam_role_policy", "iam_instance_profile"] {
        assert_eq!(named(&graph, kind), Vec::<&str>::new(), "{kind}");
    }
    for machine in ["instance.master-0", "instance.bootstrap"] {
        assert_eq!(inputs(&graph, machine)["profile"], "their-profile");
    }
}

#[test]
fn govcloud_has_cnames_and_every_region_its_own_domain() {
    let mut world = ExampleCluster::standard();
    world.move_to("us-gov-west-1");
    let graph = world.graph();
    for (record, balancer) in [("api", "int"), ("api-int", "int"), ("api-public", "ext")] {
        assert_eq!(
            inputs(&graph, &format!("record.{record}"))["data"],
            json!({"cname": {
                "dns_name": reference(&format!("load_balancer.{balancer}"), "dns_name"),
                "ttl_seconds": 10,
            }})
        );
    }
    let aliases = |world: &ExampleCluster| {
        inputs(&world.graph(), "record.api")["data"].get("alias").is_some()
    };
    for (region, has_aliases) in [
        ("us-gov-east-1", false),
        ("us-west-2", true),
        ("cn-north-1", true),
        ("eusc-de-east-1", true),
        ("us-iso-east-1", true),
    ] {
        world.move_to(region);
        assert_eq!(aliases(&world), has_aliases, "{region}");
    }
    world.move_to("us-east-1");
    let graph = world.graph();
    assert_eq!(inputs(&graph, "dhcp_options.main")["domain_name"], "ec2.internal");
    world.move_to("cn-north-1");
    let graph = world.graph();
    assert_eq!(inputs(&graph, "vpc_endpoint.s3")["service"], "com.amazonaws.cn-north-1.s3");
    let trust = inputs(&graph, "iam_role.worker")["trust"].to_string();
    assert!(trust.contains("ec2.amazonaws.com.cn"), "{trust}");
}

/// Returns the inputs of each resource, without the name of the region.
fn without_region(world: &ExampleCluster) -> BTreeMap<String, String> {
    let region = &world.config.aws.region;
    let graph = world.graph();
    let of = |text: String| text.replace(region.as_str(), "REGION");
    let nodes = graph.nodes().iter();
    nodes.map(|node| (of(node.address.to_string()), of(node.inputs.to_string()))).collect()
}

#[test]
fn a_cluster_in_another_partition_differs_in_principals_and_records_only() {
    let standard = without_region(&ExampleCluster::standard());
    let roles = ["iam_role.bootstrap", "iam_role.master", "iam_role.worker"];
    let records = ["record.api", "record.api-int", "record.api-public"];
    for (region, differences) in [
        ("cn-north-1", &roles[..]),
        ("us-gov-west-1", &records),
        ("us-iso-east-1", &roles),
        ("us-isob-east-1", &roles),
        ("eu-isoe-west-1", &roles),
        ("us-isof-south-1", &roles),
        ("eusc-de-east-1", &[]),
    ] {
        let mut world = ExampleCluster::standard();
        world.move_to(region);
        let moved = without_region(&world);
        let different = |address: &&String| standard.get(*address) != moved.get(*address);
        let addresses: BTreeSet<_> = standard.keys().chain(moved.keys()).collect();
        let found: Vec<_> = addresses.into_iter().filter(different).collect();
        assert_eq!(found, differences, "{region}");
        world.options.layout = Layout::of("4.20".parse().unwrap());
        assert!(world.compile().is_ok(), "{region}");
    }
}

#[test]
fn only_the_first_user_tags_reach_the_object_and_a_warning_says_so() {
    let mut world = ExampleCluster::standard();
    world.config.aws.user_tags =
        (0..9).map(|index| (format!("key-{index}"), "value".into())).collect();
    let compiled = world.compile().unwrap();
    let tags = |address| inputs(&compiled.graph, address)["tags"].as_object().unwrap().len();
    assert_eq!((tags("s3_object.bootstrap"), tags("s3_bucket.bootstrap")), (10, 11));
    assert!(compiled.warnings.iter().any(|text| text.contains("userTags")));
}

#[test]
fn the_longest_name_fits_every_balancer_and_group() {
    let mut world = ExampleCluster::standard();
    world.cluster.infra_id =
        infra_id("qwertyuiopasdfghjklzxcvbnm", &mut fastrand::Rng::with_seed(5));
    let graph = world.graph();
    for kind in ["load_balancer", "target_group"] {
        for name in named(&graph, kind) {
            let name = inputs(&graph, &format!("{kind}.{name}"))["name"].as_str().unwrap();
            assert!(name.len() <= 32, "{name}");
        }
    }
}

#[test]
fn only_what_the_config_leaves_open_is_asked_and_in_one_round() {
    let asked = |world: &ExampleCluster, lookup_cache: &BTreeMap<_, _>| -> Vec<String> {
        needed_lookups(&world.config, lookup_cache, &world.options)
            .iter()
            .map(Lookup::key)
            .collect()
    };
    let none = BTreeMap::new();
    let mut world = ExampleCluster::standard();
    let masters = "m6i.xlarge,m5.xlarge,r5.xlarge,c5.2xlarge,m5.2xlarge,c5d.2xlarge,r5.2xlarge";
    assert_eq!(
        asked(&world, &none),
        [
            "availability_zones/us-west-2".to_owned(),
            format!("instance_type_offerings/us-west-2/{masters}"),
            "image/us-west-2/ami-0demo".to_owned(),
            "public_zone/example.com".to_owned(),
        ]
    );
    assert_eq!(asked(&world, &world.lookup_cache()), Vec::<String>::new());
    for pool in [&mut world.config.control_plane, &mut world.config.compute[0]] {
        pool.aws.zones = vec!["us-west-2a".into()];
        pool.aws.instance_type = Some("m5.xlarge".into());
    }
    assert_eq!(asked(&world, &none), ["image/us-west-2/ami-0demo", "public_zone/example.com"]);
    world.config.publish = crate::install_config::Publish::Internal;
    assert_eq!(asked(&world, &none), ["image/us-west-2/ami-0demo"]);
}
