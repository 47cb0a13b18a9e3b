//! Machines in Local and Wavelength Zones: subnets and routes (release-4.15 `data/data/aws/cluster/vpc`,
//! installer `pkg/asset/manifests/aws/zones.go` and cluster-api-provider-aws
//! `pkg/cloud/services/network`), zones and types.

use serde_json::json;

use super::*;
use crate::install_config::Publish;
use crate::test_support::example_cluster::{ExampleCluster, LOCAL_ZONE, WAVELENGTH_ZONE};
use crate::topology::{CompileError, Layout, PlacedConfig, Workers};

fn of_release(mut world: ExampleCluster, release: &str) -> ExampleCluster {
    world.options.layout = Layout::of(release.parse().unwrap());
    world
}

fn subnets(graph: &Graph, table: &str) -> Vec<String> {
    let subnets = inputs(graph, &format!("route_table.{table}"))["subnets"].clone();
    let name = |one: &Value| one["$ref"].as_str().unwrap().trim_start_matches("subnet.").to_owned();
    subnets.as_array().unwrap().iter().map(name).collect()
}

fn via(graph: &Graph, table: &str) -> String {
    inputs(graph, &format!("route_table.{table}"))["routes"][0]["via"].to_string()
}

#[test]
fn release_4_15_routes_edge_subnets_through_the_tables_of_the_parent_zones() {
    let graph = ExampleCluster::edge().graph();
    assert_eq!(
        subnets(&graph, "public"),
        ["public-us-west-2a", "public-us-west-2b", "public-us-west-2c", "public-us-west-2-lax-1a"]
    );
    assert_eq!(subnets(&graph, "carrier"), ["public-us-west-2-wl1-las-wlz-1"]);
    assert!(via(&graph, "carrier").contains("carrier_gateway.main"));
    let carrier = inputs(&graph, "route_table.carrier");
    assert_eq!(
        (&carrier["main"], &carrier["tags"]["Name"]),
        (&json!(false), &json!("demo-x7k2p-public-carrier"))
    );
    assert_eq!(inputs(&graph, "carrier_gateway.main")["tags"]["Name"], "demo-x7k2p-cagw");
    assert_eq!(
        subnets(&graph, "private-us-west-2a"),
        ["private-us-west-2a", "private-us-west-2-wl1-las-wlz-1"]
    );
    assert_eq!(
        subnets(&graph, "private-us-west-2b"),
        ["private-us-west-2b", "private-us-west-2-lax-1a"]
    );
    let edge = inputs(&graph, "subnet.private-us-west-2-lax-1a");
    assert_eq!(edge["cidr"], "10.0.192.0/20");
    assert_eq!(edge["zone"], LOCAL_ZONE);
    assert_eq!(edge["tags"]["Name"], "demo-x7k2p-private-us-west-2-lax-1a");
    assert_eq!(edge["tags"].get("kubernetes.io/role/internal-elb"), None);
    assert_eq!(inputs(&graph, "subnet.public-us-west-2b")["cidr"], "10.0.144.0/20");
    let tables = inputs(&graph, "vpc_endpoint.s3")["route_tables"].as_array().unwrap().len();
    assert_eq!(tables, 5, "public, carrier, and one for each availability zone");
    assert_eq!(named(&graph, "nat_gateway").len(), 3, "no edge zone has a NAT gateway");
    for balancer in ["load_balancer.int", "load_balancer.ext"] {
        assert_eq!(inputs(&graph, balancer)["subnets"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn the_cluster_api_gives_each_edge_subnet_a_route_table() {
    let graph = of_release(ExampleCluster::edge(), "4.20").graph();
    for (table, name, target) in [
        ("public-us-west-2-lax-1a", "rt-public-us-west-2-lax-1a", "internet_gateway.main"),
        (
            "public-us-west-2-wl1-las-wlz-1",
            "rt-public-us-west-2-wl1-las-wlz-1",
            "carrier_gateway.main",
        ),
        ("private-us-west-2-lax-1a", "rt-private-us-west-2-lax-1a", "nat_gateway.us-west-2b"),
        (
            "private-us-west-2-wl1-las-wlz-1",
            "rt-private-us-west-2-wl1-las-wlz-1",
            "nat_gateway.us-west-2a",
        ),
    ] {
        assert_eq!(subnets(&graph, table), [table]);
        assert!(via(&graph, table).contains(target), "{table}: {}", via(&graph, table));
        let tags = &inputs(&graph, &format!("route_table.{table}"))["tags"];
        assert_eq!(tags["Name"], format!("demo-x7k2p-{name}"));
    }
    assert_eq!(inputs(&graph, "carrier_gateway.main")["tags"]["Name"], "demo-x7k2p-igw");
    for (subnet, cidr) in [
        ("private-us-west-2-lax-1a", "10.0.128.0/22"),
        ("private-us-west-2-wl1-las-wlz-1", "10.0.132.0/22"),
        ("public-us-west-2-lax-1a", "10.0.136.0/22"),
        ("public-us-west-2-wl1-las-wlz-1", "10.0.140.0/22"),
    ] {
        let inputs = inputs(&graph, &format!("subnet.{subnet}"));
        assert_eq!(inputs["cidr"], cidr, "{subnet}");
        let tags = inputs["tags"].as_object().unwrap();
        assert!(!tags.keys().any(|key| key.ends_with("elb")), "{tags:?}");
    }
    let tables = inputs(&graph, "vpc_endpoint.s3")["route_tables"].as_array().unwrap().len();
    assert_eq!(tables, 10);
}

#[test]
fn an_internal_cluster_of_the_cluster_api_has_no_public_edge_subnets() {
    let mut world = of_release(ExampleCluster::edge(), "4.20");
    world.config.publish = Publish::Internal;
    let graph = world.graph();
    let edge: Vec<&str> = named(&graph, "subnet");
    let edge: Vec<&&str> = edge.iter().filter(|name| name.matches('-').count() > 3).collect();
    assert_eq!(edge, [&"private-us-west-2-lax-1a", &"private-us-west-2-wl1-las-wlz-1"]);
    assert_eq!(named(&graph, "carrier_gateway"), <[&str; 0]>::default());
    let mut world = ExampleCluster::edge();
    world.config.publish = Publish::Internal;
    assert_eq!(named(&world.graph(), "carrier_gateway"), ["main"], "Terraform has both");
}

#[test]
fn the_first_zone_serves_edge_zones_whose_parent_has_no_subnet() {
    let mut world = ExampleCluster::edge();
    for pool in [&mut world.config.control_plane, &mut world.config.compute[0]] {
        pool.aws.zones = vec!["us-west-2c".into()];
    }
    let graph = world.graph();
    assert_eq!(subnets(&graph, "private-us-west-2c").len(), 3);
}

#[test]
fn each_edge_zone_has_the_first_type_that_it_offers() {
    let mut world = ExampleCluster::edge();
    world.cloud.not_offered.insert("m6i.xlarge".into(), [LOCAL_ZONE.to_owned()].into());
    let lookup_cache = world.lookup_cache();
    let of = |workers: Vec<Workers>| -> Vec<(String, String, u32)> {
        workers.into_iter().map(|one| (one.pool, one.instance_type, one.replicas)).collect()
    };
    let one = |pool: &str, name: &str, replicas| (pool.to_owned(), name.to_owned(), replicas);
    let workers = PlacedConfig::of(&world.config, &lookup_cache).workers();
    assert_eq!(
        of(workers),
        [one("worker", "m6i.xlarge", 3), one("edge", "m5.xlarge", 1), one("edge", "m6i.xlarge", 1)]
    );
    world.config.compute[1].aws.instance_type = Some("r5.2xlarge".into());
    let lookup_cache = world.lookup_cache();
    let workers = PlacedConfig::of(&world.config, &lookup_cache).workers();
    assert_eq!(of(workers), [one("worker", "m6i.xlarge", 3), one("edge", "r5.2xlarge", 2)]);
}

fn refused(change: impl FnOnce(&mut ExampleCluster)) -> CompileError {
    let mut world = ExampleCluster::edge();
    change(&mut world);
    world.refusal()
}

#[test]
fn a_zone_that_the_account_cannot_use_is_an_error_with_the_command_that_enables_it() {
    let error = refused(|world| {
        world.cloud.edge_zones.get_mut(LOCAL_ZONE).unwrap().enabled = false;
    });
    assert_eq!(error.field().unwrap(), "compute[1].platform.aws.zones[0]");
    assert_eq!(
        error.to_string(),
        "the zone group us-west-2-lax-1 of us-west-2-lax-1a is not enabled in this account"
    );
    assert_eq!(
        error.hint().unwrap(),
        "enable the group: aws ec2 modify-availability-zone-group --region us-west-2 --group-name \
         us-west-2-lax-1 --opt-in-status opted-in"
    );
}

#[test]
fn a_zone_of_another_type_and_an_unknown_one_are_errors() {
    let error = refused(|world| world.config.compute[1].aws.zones[1] = "us-west-2a".into());
    assert_eq!(error.to_string(), "us-west-2a is of the type availability-zone");
    let error = refused(|world| world.config.compute[1].aws.zones[1] = "us-west-2-nyc-1a".into());
    assert_eq!(error.to_string(), "us-west-2 has no zone us-west-2-nyc-1a");
}

#[test]
fn zones_without_any_of_the_types_are_found_before_the_first_change() {
    let mut world = ExampleCluster::edge();
    for name in ["m6i", "m5", "r5"].map(|family| format!("{family}.xlarge")) {
        world.cloud.not_offered.insert(name, [WAVELENGTH_ZONE.to_owned()].into());
    }
    for name in ["c5", "m5", "c5d", "r5"].map(|family| format!("{family}.2xlarge")) {
        world.cloud.not_offered.insert(name, [WAVELENGTH_ZONE.to_owned()].into());
    }
    let warning = &world.compile().unwrap().warnings[0];
    assert!(warning.contains("us-west-2-wl1-las-wlz-1 offers none of m6i.xlarge"), "{warning}");
    let errors = world.findings(&groundplan_engine::state::State::default());
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["us-west-2-wl1-las-wlz-1 does not offer m6i.xlarge"]);
}

#[test]
fn existing_subnets_in_edge_zones_have_machines_without_a_pool() {
    let world = ExampleCluster::existing_edge();
    let lookup_cache = world.lookup_cache();
    let workers = PlacedConfig::of(&world.config, &lookup_cache).workers();
    assert_eq!(workers.iter().map(|one| one.replicas).collect::<Vec<_>>(), [3, 1, 1]);
    let shared = |graph: &Graph| inputs(graph, "shared_tags.existing")["subnets"].to_string();
    assert!(!shared(&world.graph()).contains("edge"), "{}", shared(&world.graph()));
    let graph = of_release(world, "4.20").graph();
    assert!(shared(&graph).contains("subnet-edge-lax-1a"), "{}", shared(&graph));
    let balancer = inputs(&graph, "load_balancer.ext")["subnets"].to_string();
    assert!(!balancer.contains("edge"), "{balancer}");
}

#[test]
fn an_edge_pool_needs_an_existing_subnet_in_each_of_its_zones() {
    let mut world = ExampleCluster::existing_edge();
    let mut pool = world.config.implied_edge.take().unwrap();
    world.config.compute.push(pool.clone());
    assert!(world.compile().is_ok(), "the zones are those of the subnets");
    pool.aws.zones = vec![LOCAL_ZONE.into(), "us-west-2-phx-2a".into()];
    world.config.compute[1] = pool;
    let error = world.refusal();
    assert_eq!(error.field().unwrap(), "compute[1].platform.aws.zones[1]");
    assert_eq!(error.to_string(), "no edge subnet is in us-west-2-phx-2a");
    let mut world = ExampleCluster::existing_network();
    let mut pool = world.config.compute[0].clone();
    pool.name = "edge".into();
    world.config.compute.push(pool);
    assert!(matches!(world.refusal(), CompileError::NoEdgeZone { .. }));
}
