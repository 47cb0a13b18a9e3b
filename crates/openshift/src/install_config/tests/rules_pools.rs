//! Rules for machine pools.

use super::*;
use crate::diagnostics::Severity;

const EDGE: &str = "- name: edge\n  platform: {aws: {zones: [us-west-2-lax-1a]}}\nmetadata:\n";

#[test]
fn an_edge_pool_has_a_machine_in_each_of_its_zones() {
    let read = config(&with(&[("metadata:\n", EDGE)]));
    let pool = &read.compute[1];
    assert!(pool.is_edge() && read.implied_edge.is_none());
    assert_eq!((pool.replicas, &*pool.aws.zones), (1, &["us-west-2-lax-1a".to_owned()][..]));
    assert_eq!(pool.aws.root_volume.volume_type, "gp2", "some Local Zones lack gp3");
    let asked = EDGE.replace("edge\n", "edge\n  replicas: 4\n");
    assert_eq!(config(&with(&[("metadata:\n", &asked)])).compute[1].replicas, 4);
    let typed = EDGE.replace("zones:", "rootVolume: {type: gp3, size: 120}, zones:");
    let read = config(&with(&[("metadata:\n", &typed)]));
    assert_eq!(read.compute[1].aws.root_volume.volume_type, "gp3");
}

#[test]
fn an_edge_pool_in_a_new_network_names_zones_of_the_region() {
    let wrong = EDGE.replace("us-west-2-lax-1a", "us-east-1-bos-1a");
    one_error(
        &with(&[("metadata:\n", &wrong)]),
        "compute[1].platform.aws.zones[0]: found `us-east-1-bos-1a`",
    );
    one_error(
        &with(&[("metadata:\n", "- name: edge\nmetadata:\n")]),
        "compute[1].name: the edge pool has no `platform.aws.zones`",
    );
}

#[test]
fn releases_differ_in_the_zones_of_an_edge_pool() {
    let errors = |text: &str, release: &str| {
        let read = read_for(text, Some(release.parse().unwrap()));
        let errors = read.findings.into_iter().filter(|one| one.severity == Severity::Error);
        errors.map(|one| one.rule.id()).collect::<Vec<_>>()
    };
    let local = with(&[("metadata:\n", EDGE)]);
    assert_eq!(errors(&local, "4.13"), ["edge-pool"]);
    assert_eq!(errors(&local, "4.14"), <[&str; 0]>::default());
    let edge = EDGE.replace("us-west-2-lax-1a", "us-west-2-wl1-las-wlz-1");
    let wavelength = with(&[("metadata:\n", &edge)]);
    assert_eq!(errors(&wavelength, "4.14"), ["wavelength-zone"]);
    assert_eq!(errors(&wavelength, "4.15"), <[&str; 0]>::default());
}

#[test]
fn replicas_are_a_sane_number() {
    one_error(&with(&[("replicas: 3", "replicas: -1")]), "controlPlane.replicas: found `-1`");
    one_error(&with(&[("replicas: 3", "replicas: 0")]), "controlPlane.replicas: found `0`");
    one_error(
        &with(&[("replicas: 3", "replicas: 30000000")]),
        "controlPlane.replicas: found `30000000`",
    );
    one_error(
        &with(&[("replicas: 3", "replicas: three")]),
        "controlPlane.replicas: found `three` -> a whole number",
    );
    one_error(
        &with(&[("replicas: 3", "replicas: 1.5")]),
        "controlPlane.replicas: found a number -> a whole number",
    );
    assert_eq!(hint(&with(&[("replicas: 3", "replicas: '3'")])), "remove the quotes");
    one_warning(&with(&[("replicas: 3", "replicas: 2")]), "controlPlane.replicas: found `2`");
    fine(&with(&[("replicas: 3", "replicas: 1")]));
    fine(&with(&[("replicas: 3\nmetadata", "replicas: 0\nmetadata")]));
}

#[test]
fn the_workers_take_the_control_planes_architecture_if_they_name_none() {
    let text = with(&[("  replicas: 3", "  architecture: arm64\n  replicas: 3")]);
    assert_eq!(config(&text).compute[0].architecture, Architecture::Arm64);
}

#[test]
fn a_volume_has_a_known_type() {
    one_error(
        &with(&[("type: io1", "type: gp4")]),
        "controlPlane.platform.aws.rootVolume.type: found `gp4`",
    );
    assert_eq!(
        config(&with(&[("type: io1", "type: IO1")])).control_plane.aws.root_volume.volume_type,
        "io1"
    );
}

#[test]
fn a_volume_is_no_larger_or_faster_than_ec2_makes_one_of_its_type() {
    let path = "controlPlane.platform.aws.rootVolume";
    for (from, to, found) in [
        ("iops: 4000", "iops: 64001", "iops: found `64001` -> from 100 to 64000 for the type io1"),
        ("iops: 4000", "iops: 25001", "iops: found 25001 IOPS for 500 GiB of io1 -> at most 50"),
        ("size: 500", "size: 3", "size: found `3` -> from 4 to 16384 for the type io1"),
    ] {
        one_error(&with(&[(from, to)]), &format!("{path}.{found}"));
    }
    fine(&with(&[("iops: 4000", "iops: 25000")]));
    fine(&with(&[
        ("iops: 4000", "iops: 64000"),
        ("size: 500\n        type: io1", "size: 1280\n        type: io1"),
    ]));
    let gp3 = |size: u32, iops: u32| {
        with(&[
            ("iops: 4000", &*format!("iops: {iops}")),
            ("size: 500", &*format!("size: {size}")),
            ("type: io1", "type: gp3"),
        ])
    };
    fine(&gp3(65_536, 80_000));
    one_error(&gp3(100, 2999), &format!("{path}.iops: found `2999` -> from 3000 to 80000"));
    one_error(&gp3(65_537, 3000), &format!("{path}.size: found `65537` -> from 1 to 65536"));
}

#[test]
fn an_instance_type_is_a_family_and_a_size() {
    for wrong in ["m5", "m5.", "M5.xlarge", "m5 xlarge", "m5.xlarge.big"] {
        one_error(
            &with(&[("type: m5.xlarge", &format!("type: {wrong}"))]),
            "controlPlane.platform.aws.type: found",
        );
    }
    fine(&with(&[("type: m5.xlarge", "type: u-6tb1.metal")]));
}

#[test]
fn a_fault_in_the_control_plane_is_not_repeated_for_the_workers() {
    let text = with(&[
        ("  replicas: 3", "  architecture: arm\n  replicas: 3"),
        ("  replicas: 3\nmetadata", "  architecture: arm64\n  replicas: 0\nmetadata"),
    ]);
    one_error(&text, "controlPlane.architecture: found `arm`");
}

#[test]
fn zero_values_of_go_give_the_same_pool_as_omitted_fields() {
    let volume = "      rootVolume:\n        iops: 4000\n        size: 500\n        type: io1\n";
    let zeros = "      rootVolume: {iops: 0, size: 0, type: '', kmsKeyARN: ''}\n      \
                 additionalSecurityGroupIDs: []\n      amiID: ''\n      iamRole: ''\n";
    assert!(TWO_POOLS.contains(volume), "{TWO_POOLS}");
    let without: Vec<&str> = TWO_POOLS.split(volume).collect();
    let omitted = config(&without.concat()).control_plane.aws;
    let zero = config(&with(&[(volume, zeros)])).control_plane.aws;
    assert_eq!(format!("{zero:?}"), format!("{omitted:?}"));
    assert_eq!((zero.root_volume.size, zero.root_volume.volume_type.as_str()), (120, "gp3"));
}

#[test]
fn zero_values_of_go_take_the_settings_of_the_default_machine_platform() {
    let default = "defaultMachinePlatform: {rootVolume: {size: 300, type: gp2}, type: r5.xlarge}";
    let text = with_aws(default)
        .replacen("iops: 4000", "iops: 0", 1)
        .replacen("size: 500", "size: 0", 1)
        .replacen("type: io1", "type: ''", 1)
        .replacen("type: m5.xlarge", "type: ''", 1);
    let pool = config(&text).control_plane.aws;
    assert_eq!((pool.root_volume.size, pool.root_volume.volume_type.as_str()), (300, "gp2"));
    assert_eq!(pool.instance_type.as_deref(), Some("r5.xlarge"));
}

#[test]
fn another_name_of_the_control_plane_gives_the_pool_master() {
    let text = with(&[("  name: master", "  name: control-plane")]);
    one_warning(&text, "controlPlane.name: found `control-plane`");
    assert_eq!(config(&text).control_plane.name, "master");
}
