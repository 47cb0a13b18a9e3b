//! Comparison of recorded assets with example clusters, in both directions.
//!
//! - `values`: each value that a machine needs.
//! - `reading`: versions, malformed manifests and secrets.

mod reading;
mod values;

use groundplan_aws::model::ids::SubnetId;
use groundplan_aws::model::metadata_options::Authentication;
use ipnet::Ipv4Net;

use super::*;
use crate::release::Release;
use crate::test_support::example_cluster::ExampleCluster;
use crate::test_support::installer_assets::InstallerAssets;
use crate::topology::Layout;
use crate::topology::lookups::{SubnetFact, SubnetReach};

/// Returns the cluster of a recorded config: in five zones of us-east-1, with the image of 4.15.
fn world(config: &str) -> ExampleCluster {
    let mut world =
        if config == "sno" { ExampleCluster::single_node() } else { ExampleCluster::standard() };
    world.move_to("us-east-1");
    world.cloud.zones = ["a", "b", "c", "d", "f"].map(|zone| format!("us-east-1{zone}")).into();
    world.config.name = config.into();
    world.cluster.name = config.into();
    world.cluster.infra_id = format!("{config}-abcde");
    let image = "ami-0d653d86d4113326a";
    let fact = world.cloud.images.remove(&"ami-0demo".into()).unwrap();
    world.cloud.images.insert(image.into(), fact);
    for pool in [&mut world.config.control_plane, &mut world.config.compute[0]] {
        pool.aws.ami_id = Some(image.into());
        pool.aws.metadata_service = None.into();
    }
    if config == "subnets" {
        add_subnets(&mut world);
    }
    world
}

fn add_subnets(world: &mut ExampleCluster) {
    let ids = [
        ("fcc77c754e4ba08cc", "a", SubnetReach::Private),
        ("14e3441bb0bdf934b", "b", SubnetReach::Private),
        ("852d13769000e7192", "c", SubnetReach::Private),
        ("db52bc13f5b390ac0", "a", SubnetReach::Public),
        ("463befdf5282bf785", "b", SubnetReach::Public),
        ("6ed49596d6c8006bd", "c", SubnetReach::Public),
    ];
    for (index, (id, zone, reach)) in ids.into_iter().enumerate() {
        let cidr: Ipv4Net = format!("10.0.{}.0/20", index * 16).parse().unwrap();
        let (id, zone) = (SubnetId(format!("subnet-{id}")), format!("us-east-1{zone}"));
        world.config.aws.subnets.push(id.clone());
        world.cloud.subnets.push(SubnetFact {
            edge: None,
            id,
            vpc: "vpc-existing".into(),
            zone,
            cidr,
            reach,
            owners: BTreeSet::new(),
            vpc_owners: BTreeSet::new(),
        });
    }
    let groups = ["sg-fc1d743dfbefba749", "sg-db1d8988cc4cbe5fa"].map(Into::into);
    world.config.control_plane.aws.additional_security_groups = groups.to_vec();
    world.config.compute[0].aws.additional_security_groups = groups[..1].to_vec();
    world.config.compute[0].aws.metadata_service = Some(Authentication::Required).into();
}

/// Returns the comparison of assets with the plan of a cluster.
fn fit(world: &ExampleCluster, assets: &InstallerAssets) -> Result<AssetFit, AssetManifestError> {
    let folder = tempfile::tempdir().unwrap();
    fit_in(folder.path(), world, assets)
}

fn fit_in(
    folder: &std::path::Path,
    world: &ExampleCluster,
    assets: &InstallerAssets,
) -> Result<AssetFit, AssetManifestError> {
    assets.write(folder, &world.cluster);
    compare(&Assets::read(folder).unwrap(), &world.spec(), &world.graph())
}

/// Returns the differences as text.
fn said(world: &ExampleCluster, assets: &InstallerAssets) -> Vec<String> {
    let fit = fit(world, assets).unwrap();
    fit.differences.iter().map(Difference::to_string).collect()
}

#[test]
fn c81_assets_of_release_4_15_fit_its_layout() {
    for config in ["plain", "subnets", "sno"] {
        let fit = fit(&world(config), &InstallerAssets::recorded("4.15", config)).unwrap();
        assert_eq!(fit.differences, [], "{config}");
        assert_eq!(fit.warnings, Vec::<String>::new(), "{config}");
        assert_eq!(fit.release, None, "{config}");
    }
}

#[test]
fn c81_assets_of_main_do_not_fit_the_layout_of_4_15_and_each_topic_is_one_line() {
    let assets = InstallerAssets::recorded("main", "plain");
    let fit = fit(&world("plain"), &assets).unwrap();
    let lines: Vec<String> = fit.differences.iter().map(Difference::to_string).collect();
    assert_eq!(
        lines,
        [
            "subnets: the assets name `plain-abcde-subnet-private-us-east-1a`, \
             `plain-abcde-subnet-private-us-east-1b`, `plain-abcde-subnet-private-us-east-1c` and \
             2 more, the plan has `plain-abcde-private-us-east-1a`, \
             `plain-abcde-private-us-east-1b`, `plain-abcde-private-us-east-1c` and 7 more (in \
             ControlPlaneMachineSet cluster, Machine plain-abcde-master-0, Machine \
             plain-abcde-master-1 and 6 more)",
            "security groups: the assets name `plain-abcde-controlplane`, `plain-abcde-lb`, \
             `plain-abcde-node`, the plan has `plain-abcde-bootstrap-sg`, \
             `plain-abcde-master-sg`, `plain-abcde-worker-sg` (in ControlPlaneMachineSet cluster, \
             Machine plain-abcde-master-0, Machine plain-abcde-master-1 and 6 more)",
        ]
    );
    assert_eq!(fit.release.as_deref(), Some("openshift-install 4.16 or later"));
    let image = "bootstrap.ign: images: the assets name `ami-0fbc8be8796dc1df5`, the plan has \
                 `ami-0d653d86d4113326a` (in ";
    assert!(fit.warnings.len() == 1 && fit.warnings[0].starts_with(image), "{:?}", fit.warnings);
}

#[test]
fn c81_assets_of_each_release_fit_its_own_layout_alone() {
    for (release, folder) in [((4, 15), "4.15"), ((4, 20), "main"), ((5, 0), "main")] {
        for config in ["plain", "subnets", "sno"] {
            let mut world = world(config);
            world.options.layout = Layout::of(Release::new(release.0, release.1));
            let own = fit(&world, &InstallerAssets::recorded(folder, config)).unwrap();
            assert_eq!(own.differences, [], "{release:?} {config}");
            let other = if folder == "main" { "4.15" } else { "main" };
            let other = fit(&world, &InstallerAssets::recorded(other, config)).unwrap();
            assert_ne!(other.differences, [], "{release:?} {config}");
        }
    }
}

#[test]
fn only_what_differs_is_a_difference_in_a_network_of_the_user() {
    for config in ["subnets", "sno"] {
        let fit = fit(&world(config), &InstallerAssets::recorded("main", config)).unwrap();
        let topics: Vec<_> = fit.differences.iter().map(|one| one.topic).collect();
        let groups = DifferenceTopic::SecurityGroup;
        let expected =
            if config == "sno" { vec![DifferenceTopic::Subnet, groups] } else { vec![groups] };
        assert_eq!(topics, expected, "{config}");
    }
}

#[test]
fn assets_without_machines_fit_every_plan() {
    let mut assets = InstallerAssets::without_machines();
    assets.is_cluster_api = true;
    let assets = assets.with("99_other.yaml", "kind: Other\nmetadata: {name: cluster.x-k8s.io}\n");
    let fit = fit(&world("plain"), &assets).unwrap();
    assert_eq!((fit.differences, fit.warnings), (vec![], vec![]));
    let world = world("plain");
    let fit = compare(&Assets::none(), &world.spec(), &world.graph()).unwrap();
    assert_eq!(fit.differences, []);
}
