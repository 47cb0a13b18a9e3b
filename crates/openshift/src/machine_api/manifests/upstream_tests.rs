//! Every manifest of ten configs is that of openshift-install, byte for byte, in both families of
//! releases (`fixtures/openshift-install/whole`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use groundplan_aws::model::ids::SubnetId;
use groundplan_engine::state::Cluster;
use serde_json::json;

use super::manifests;
use crate::install_config::read_for;
use crate::test_support::example_cluster::{ExampleCluster, image};
use crate::topology::lookups::{SubnetFact, SubnetReach};
use crate::topology::{Layout, Stream};

const CONFIGS: [&str; 10] =
    ["arm", "defmp", "iamrole", "kms", "plain", "sno", "subnets", "tags", "zeroworkers", "zones"];

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/openshift-install/whole")
}

/// Returns the recorded manifests by file name.
fn recorded(branch: &str, config: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(fixtures().join(branch).join(format!("{config}.txt"))).unwrap();
    let files = text.split("=== ").skip(1).map(|file| file.split_once('\n').unwrap());
    files.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// Returns the images of us-east-1 at the time of the recording, for amd64 and arm64.
fn images(branch: &str) -> [&'static str; 2] {
    match branch {
        "4.15" => ["ami-0d653d86d4113326a", "ami-0bfb2269df7843538"],
        _ => ["ami-0fbc8be8796dc1df5", "ami-01fdfbdd638f16b5f"],
    }
}

fn stream([amd64, arm64]: [&str; 2]) -> Stream {
    let of = |id: &str| json!({"images": {"aws": {"regions": {"us-east-1": {"release": "1", "image": id}}}}});
    let stream =
        json!({"stream": "test", "architectures": {"x86_64": of(amd64), "aarch64": of(arm64)}});
    Stream::parse(stream.to_string().as_bytes()).unwrap()
}

/// Returns the subnets of the user: the first three are private, and the others public.
fn subnets(ids: &[SubnetId]) -> Vec<SubnetFact> {
    let fact = |(index, id): (usize, &SubnetId)| SubnetFact {
        edge: None,
        id: id.clone(),
        vpc: "vpc-existing".into(),
        zone: format!("us-east-1{}", ["a", "b", "c"][index % 3]),
        cidr: format!("10.0.{}.0/20", 16 * index).parse().unwrap(),
        reach: if index < 3 { SubnetReach::Private } else { SubnetReach::Public },
        owners: BTreeSet::new(),
        vpc_owners: BTreeSet::new(),
    };
    ids.iter().enumerate().map(fact).collect()
}

fn world(branch: &str, release: &str, name: &str) -> ExampleCluster {
    let release = release.parse().unwrap();
    let text = fs::read_to_string(fixtures().join(format!("{name}.yaml"))).unwrap();
    let mut world = ExampleCluster::standard();
    world.config = read_for(&text, Some(release)).config.unwrap();
    world.cluster = Cluster {
        name: name.into(),
        infra_id: format!("{name}-abcde"),
        cluster_id: String::new(),
        region: "us-east-1".into(),
    };
    world.options.layout = Layout::of(release);
    world.options.stream = Some(stream(images(branch)));
    world.cloud.zones = ["a", "b", "c", "d", "f"].map(|zone| format!("us-east-1{zone}")).into();
    world.cloud.images.extend(images(branch).map(|id| (id.into(), image())));
    world.cloud.subnets = subnets(&world.config.aws.subnets);
    let pools = [&world.config.control_plane].into_iter().chain(&world.config.compute);
    let groups: Vec<_> =
        pools.clone().flat_map(|pool| pool.aws.additional_security_groups.clone()).collect();
    let roles: Vec<String> =
        pools.filter_map(|pool| Some(pool.aws.iam_role.as_ref()?.0.clone())).collect();
    world.cloud.groups.extend(groups.into_iter().map(|id| (id, "vpc-existing".into())));
    world.cloud.iam.extend(roles);
    world
}

#[test]
fn manifests_are_those_of_openshift_install_to_the_byte() {
    let mut compared = 0;
    for (branch, release) in [("4.15", "4.15"), ("main", "5.0")] {
        for config in CONFIGS {
            let world = world(branch, release, config);
            let spec = world.spec();
            let rendered = manifests(&spec.machine_pools().unwrap(), &world.assets);
            let rendered: BTreeMap<String, String> =
                rendered.into_iter().map(|one| (one.name, one.content.text().to_owned())).collect();
            let recorded = recorded(branch, config);
            let names = |all: &BTreeMap<String, String>| all.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&rendered), names(&recorded), "{branch} {config}");
            for (name, text) in &recorded {
                assert_eq!(&rendered[name], text, "{branch} {config} {name}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 140, "{compared}");
}
