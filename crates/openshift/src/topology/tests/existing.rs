//! Clusters in an existing network, and with an existing hosted zone.

use groundplan_engine::state::State;
use serde_json::json;

use super::*;
use crate::install_config::{Publish, SubnetRole};
use crate::test_support::example_cluster::ExampleCluster;
use crate::topology::CompileError;
use crate::topology::lookups::{SubnetFact, SubnetReach};

#[test]
fn in_an_existing_network_nothing_of_the_network_is_ours() {
    let graph = ExampleCluster::existing_network().graph();
    for kind in [
        "vpc",
        "dhcp_options",
        "internet_gateway",
        "subnet",
        "route_table",
        "elastic_ip",
        "nat_gateway",
        "vpc_endpoint",
    ] {
        assert_eq!(named(&graph, kind), Vec::<&str>::new(), "{kind}");
    }
    assert_eq!(
        inputs(&graph, "shared_tags.existing"),
        &json!({
            "key": "kubernetes.io/cluster/demo-x7k2p",
            "subnets": ["subnet-private-a", "subnet-private-b", "subnet-private-c",
                        "subnet-public-a", "subnet-public-b", "subnet-public-c"],
            "hosted_zone": null,
        })
    );
    assert_eq!(inputs(&graph, "security_group.master")["vpc"], "vpc-existing");
    assert_eq!(inputs(&graph, "target_group.aint")["vpc"], "vpc-existing");
    assert_eq!(inputs(&graph, "hosted_zone.int")["vpc"], "vpc-existing");
    assert_eq!(inputs(&graph, "network_interface.master-1")["subnet"], "subnet-private-b");
    assert_eq!(
        inputs(&graph, "load_balancer.ext")["subnets"],
        json!(["subnet-public-a", "subnet-public-b", "subnet-public-c"])
    );
    assert_eq!(after(&graph, "load_balancer.int"), Vec::<&str>::new());
    let bootstrap = &inputs(&graph, "instance.bootstrap")["network"]["subnet"];
    assert_eq!(bootstrap["subnet"], "subnet-public-a");
}

#[test]
fn the_order_of_the_subnets_changes_nothing() {
    let mut world = ExampleCluster::existing_network();
    let graph = world.graph();
    world.config.aws.subnets.reverse();
    world.cloud.subnets.reverse();
    assert_eq!(world.graph().nodes(), graph.nodes());
}

#[test]
fn balancers_stand_in_all_subnets_even_where_no_machine_does() {
    let mut world = ExampleCluster::existing_network();
    for pool in [&mut world.config.control_plane, &mut world.config.compute[0]] {
        pool.aws.zones = vec!["us-west-2b".into()];
    }
    let graph = world.graph();
    assert_eq!(inputs(&graph, "load_balancer.int")["subnets"].as_array().unwrap().len(), 3);
    assert_eq!(inputs(&graph, "network_interface.master-2")["subnet"], "subnet-private-b");
}

#[test]
fn additional_groups_are_the_masters_and_not_the_bootstraps() {
    let mut world = ExampleCluster::existing_network();
    world.config.control_plane.aws.additional_security_groups = vec!["sg-2".into(), "sg-1".into()];
    let graph = world.graph();
    assert_eq!(
        inputs(&graph, "network_interface.master-0")["groups"],
        json!([reference("security_group.master", "id"), "sg-2", "sg-1"])
    );
    let bootstrap = &inputs(&graph, "instance.bootstrap")["network"]["subnet"]["groups"];
    assert_eq!(bootstrap.as_array().unwrap().len(), 2);
}

#[test]
fn an_existing_zone_is_used_and_marked() {
    let world = ExampleCluster::existing_zone();
    let graph = world.graph();
    assert_eq!(named(&graph, "hosted_zone"), Vec::<&str>::new());
    assert_eq!(inputs(&graph, "shared_tags.existing")["hosted_zone"], "Z0PRIVATE");
    assert_eq!(inputs(&graph, "record.api-int")["zone"], "Z0PRIVATE");
    assert_eq!(inputs(&graph, "record.api")["zone"], "Z0PRIVATE");
    assert_eq!(inputs(&graph, "record.api-public")["zone"], "Z0PUBLIC");
}

#[test]
fn a_zone_must_exist_be_seen_and_be_for_the_clusters_names() {
    let zone = |change: fn(&mut ExampleCluster)| {
        let mut world = ExampleCluster::existing_zone();
        change(&mut world);
        world.compile().map_err(|_| world.refusal()).map(|_| ())
    };
    assert!(zone(|_| ()).is_ok());
    let named = |name: &'static str| {
        let mut world = ExampleCluster::existing_zone();
        let zone = world.cloud.hosted_zones.values_mut().next().unwrap();
        zone.name = name.into();
        world.compile().map_err(|_| world.refusal()).map(|_| ())
    };
    assert!(named("example.com").is_ok(), "a parent will do");
    assert!(matches!(named("other.com."), Err(CompileError::ZoneName { .. })));
    assert!(matches!(named("mo.example.com."), Err(CompileError::ZoneName { .. })));
    assert!(matches!(
        zone(|world| world.cloud.hosted_zones.clear()),
        Err(CompileError::ZoneNotFound { .. })
    ));
    assert!(matches!(
        zone(|world| world.cloud.hosted_zones.values_mut().for_each(|zone| zone.vpcs.clear())),
        Err(CompileError::ZoneElsewhere { .. })
    ));
}

#[test]
fn an_internal_cluster_needs_no_public_subnets() {
    let mut world = ExampleCluster::existing_network();
    world.config.aws.subnets.retain(|id| id.as_str().contains("private"));
    let errors = world.compile().unwrap_err();
    assert_eq!(errors[0], CompileError::NoPublicSubnet { zone: "us-west-2a".into() });
    world.config.publish = Publish::Internal;
    let graph = world.graph();
    let bootstrap = &inputs(&graph, "instance.bootstrap")["network"]["subnet"];
    assert_eq!(bootstrap["subnet"], "subnet-private-a");
}

#[test]
fn subnets_that_cannot_be_the_network_are_refused_by_name() {
    let refused = |change: fn(&mut ExampleCluster)| {
        let mut world = ExampleCluster::existing_network();
        change(&mut world);
        world.refusal()
    };
    let error = refused(|world| world.config.aws.subnets.push("subnet-gone".into()));
    assert_eq!(error.field().unwrap(), "platform.aws.subnets[6]");
    assert!(error.to_string().contains("subnet-gone"), "{error}");

    let error = refused(|world| world.cloud.subnets[3].vpc = "vpc-other".into());
    assert!(matches!(error, CompileError::SeveralVpcs { .. }), "{error}");

    let error = refused(|world| world.cloud.subnets[2].zone = "us-west-2a".into());
    assert!(
        matches!(error, CompileError::SecondSubnet { sort: "private", index: 2, .. }),
        "{error}"
    );

    let error = refused(|world| world.cloud.subnets[1].cidr = "192.168.0.0/24".parse().unwrap());
    assert!(matches!(error, CompileError::SubnetOutside { index: 1, .. }), "{error}");

    let error = refused(|world| world.cloud.subnets[0].reach = SubnetReach::Edge);
    assert!(matches!(error, CompileError::EdgeUnknown { index: 0, .. }), "{error}");

    let error = refused(|world| {
        world.config.aws.subnets.retain(|id| id.as_str().contains("public"));
    });
    assert_eq!(error, CompileError::NoPrivateSubnet);

    let error = refused(|world| world.config.compute[0].aws.zones = vec!["us-west-2d".into()]);
    assert_eq!(error.field().unwrap(), "compute[0].platform.aws.zones[0]");
}

#[test]
fn all_that_is_wrong_with_the_subnets_is_said_at_once() {
    let mut world = ExampleCluster::existing_network();
    world.config.aws.subnets.push("subnet-gone".into());
    world.cloud.subnets[1].cidr = "192.168.0.0/24".parse().unwrap();
    world.cloud.subnets[2].zone = "us-west-2a".into();
    world.cloud.subnets[3].vpc = "vpc-other".into();
    world.cloud.public_zone = None;
    world.cloud.images.clear();
    let errors = world.compile().unwrap_err();
    let fields: Vec<_> = errors.iter().map(|error| error.field().unwrap()).collect();
    assert_eq!(
        fields,
        [
            "platform.aws.subnets[6]",
            "platform.aws.subnets[1]",
            "platform.aws.subnets[3]",
            "platform.aws.subnets[2]",
            "baseDomain",
            "controlPlane.platform.aws.amiID",
        ],
        "{errors:#?}"
    );
}

/// Returns a network with a private and a public subnet in each zone, and a second private and public
/// one in the first two zones, with roles.
fn with_roles() -> ExampleCluster {
    use SubnetRole::*;
    let mut world = ExampleCluster::existing_network();
    for (letter, base) in [("a", 64), ("b", 80)] {
        for (reach, name, base) in
            [(SubnetReach::Private, "lb", base), (SubnetReach::Public, "boot", base + 128)]
        {
            let id = format!("subnet-{name}-{letter}");
            let known = world.cloud.subnets[0].clone();
            world.config.aws.subnets.push(id.as_str().into());
            world.cloud.subnets.push(SubnetFact {
                id: id.as_str().into(),
                zone: format!("us-west-2{letter}"),
                cidr: format!("10.0.{base}.0/20").parse().unwrap(),
                reach,
                ..known
            });
        }
    }
    let mut give = |id: &str, roles: &[SubnetRole]| {
        let roles = roles.iter().copied().collect();
        world.config.aws.subnet_roles.insert(id.into(), roles);
    };
    for letter in ["a", "b", "c"] {
        give(&format!("subnet-private-{letter}"), &[ClusterNode]);
        give(&format!("subnet-public-{letter}"), &[ControlPlaneExternalLb, IngressControllerLb]);
    }
    give("subnet-private-c", &[ClusterNode, ControlPlaneInternalLb]);
    give("subnet-lb-a", &[ControlPlaneInternalLb]);
    give("subnet-lb-b", &[ControlPlaneInternalLb]);
    give("subnet-boot-b", &[BootstrapNode]);
    world.config.aws.subnets.retain(|id| id.as_str() != "subnet-boot-a");
    world
}

#[test]
fn roles_place_machines_bootstrap_and_load_balancers() {
    let graph = with_roles().graph();
    let subnet = |address: &str| inputs(&graph, address)["subnet"].clone();
    assert_eq!(subnet("network_interface.master-0"), "subnet-private-a");
    assert_eq!(subnet("network_interface.master-2"), "subnet-private-c");
    let network = &inputs(&graph, "instance.bootstrap")["network"]["subnet"];
    assert_eq!(network["subnet"], "subnet-boot-b");
    assert_eq!(network["public_ip"], true);
    let balancer = |name: &str| inputs(&graph, name)["subnets"].clone();
    let internal = json!(["subnet-lb-a", "subnet-lb-b", "subnet-private-c"]);
    assert_eq!(balancer("load_balancer.int"), internal);
    let external = json!(["subnet-public-a", "subnet-public-b", "subnet-public-c"]);
    assert_eq!(balancer("load_balancer.ext"), external);
    let shared = inputs(&graph, "shared_tags.existing")["subnets"].as_array().unwrap().len();
    assert_eq!(shared, 9, "all subnets have the tag");
}

#[test]
fn roles_that_do_not_fit_the_subnets_are_refused() {
    use SubnetRole::*;
    let refused = |change: &dyn Fn(&mut ExampleCluster)| {
        let mut world = with_roles();
        change(&mut world);
        let errors = world.compile().unwrap_err();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let give = |world: &mut ExampleCluster, id: &str, roles: &[SubnetRole]| {
        world.config.aws.subnet_roles.insert(id.into(), roles.iter().copied().collect());
    };
    assert_eq!(
        refused(&|world| give(world, "subnet-lb-a", &[BootstrapNode])),
        [
            "the subnet subnet-lb-a has the role BootstrapNode, but is private",
            "us-west-2a has a subnet with the role ClusterNode, but none with the role \
             ControlPlaneInternalLB",
        ]
    );
    assert_eq!(
        refused(&|world| give(world, "subnet-boot-b", &[BootstrapNode, ControlPlaneInternalLb])),
        [
            "subnet-lb-b and subnet-boot-b are both ControlPlaneInternalLB subnets in us-west-2b",
            "the subnet subnet-boot-b has the role ControlPlaneInternalLB, but is public",
        ]
    );
    let zones = refused(&|world| give(world, "subnet-private-a", &[EdgeNode]));
    assert_eq!(
        zones,
        [
            "the role is `EdgeNode`, and the subnet is in no edge zone",
            "us-west-2a has a subnet with the role ControlPlaneInternalLB, but none with the role \
             ClusterNode",
            "us-west-2a has a subnet with the role IngressControllerLB, but none with the role \
             ClusterNode",
            "us-west-2a has a subnet with the role ControlPlaneExternalLB, but none with the role \
             ClusterNode",
        ]
    );
}

#[test]
fn a_role_for_the_hosted_zone_is_recorded_and_can_be_assumed() {
    let arn = "arn:aws:iam::210987654321:role/dns";
    let mut world = ExampleCluster::existing_zone();
    world.config.aws.hosted_zone_role = Some(arn.into());
    let graph = world.graph();
    assert_eq!(inputs(&graph, "shared_tags.existing")["hosted_zone_role"], arn);
    let found = world.findings(&State::default());
    assert_eq!(found, [CompileError::RoleNotAssumed { arn: arn.into() }]);
    assert_eq!(found[0].field().unwrap(), "platform.aws.hostedZoneRole");
    world.cloud.assumable_roles.insert(arn.into());
    assert_eq!(world.findings(&State::default()), []);
    world.cloud.assumable_roles.clear();
    let state = machines::recorded(&graph, false, &[]);
    assert_eq!(world.findings(&state), [], "the refresh of recorded resources assumes the role");
}

#[test]
fn every_zone_without_a_public_subnet_is_named() {
    let mut world = ExampleCluster::existing_network();
    world
        .config
        .aws
        .subnets
        .retain(|id| !["subnet-public-a", "subnet-public-c"].contains(&id.as_str()));
    let errors = world.compile().unwrap_err();
    let lacking = |zone: &str| CompileError::NoPublicSubnet { zone: zone.into() };
    assert_eq!(errors, [lacking("us-west-2a"), lacking("us-west-2c")]);
}

#[test]
fn a_zone_for_everyone_is_no_private_one() {
    let mut world = ExampleCluster::existing_zone();
    world.cloud.hosted_zones.values_mut().for_each(|zone| zone.private = false);
    assert_eq!(world.refusal(), CompileError::ZonePublic { id: "Z0PRIVATE".into() });
}

#[test]
fn masters_in_a_zone_without_a_subnet_are_a_finding_and_not_the_end_of_the_program() {
    let mut world = ExampleCluster::existing_network();
    world.config.control_plane.aws.zones = vec!["us-west-2d".into()];
    let errors = world.compile().expect_err("there is no subnet");
    let field = "controlPlane.platform.aws.zones[0]".to_owned();
    assert!(errors.iter().any(|error| error.field() == Some(field.clone())), "{errors:?}");
}
