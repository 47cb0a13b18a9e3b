//! Rules of machine pools.

use super::*;

#[test]
fn authentication_is_required_or_optional_in_exactly_this_spelling() {
    for wrong in ["required", "REQUIRED", "optional", "Enabled", "true", "1"] {
        let value = format!("authentication: {wrong}");
        one_error(
            &with(&[("authentication: Required", &value)]),
            &format!(
                "controlPlane.platform.aws.metadataService.authentication: found `{wrong}` -> `Required` or `Optional`"
            ),
        );
        one_error(
            &with(&[("authentication: Optional", &value)]),
            &format!("compute[0].platform.aws.metadataService.authentication: found `{wrong}`"),
        );
        one_error(
            &with_aws(&format!("defaultMachinePlatform: {{metadataService: {{{value}}}}}")),
            &format!(
                "platform.aws.defaultMachinePlatform.metadataService.authentication: found `{wrong}`"
            ),
        );
    }
}

#[test]
fn a_misspelt_authentication_is_underlined_and_corrected() {
    let text = with(&[("authentication: Required", "authentication: required")]);
    assert_eq!(hint(&text), "did you mean `Required`?");
    assert_eq!(underlined(&text), "required");
    let place = read(&text).findings[0].place.unwrap();
    let line = text.lines().position(|line| line.contains(": required")).unwrap() + 1;
    assert_eq!((place.line, place.column), (line, 25));
}

#[test]
fn a_misplaced_metadata_service_is_an_error_that_says_where_it_belongs() {
    let service = "metadataService: {authentication: Required}";
    let in_pool = format!("  hyperthreading: Enabled\n  {service}\n");
    for text in [with(&[("  hyperthreading: Enabled\n", &in_pool)]), with_aws(service)] {
        assert_eq!(findings(&text, Severity::Error).len(), 1);
        let hint = hint(&text);
        assert!(
            hint.starts_with("`metadataService` belongs in controlPlane.platform.aws"),
            "{hint}"
        );
    }
    let bare = with_masters("authentication: Required");
    one_error(&bare, "controlPlane.platform.aws.authentication: is not a field of the schema");
}

#[test]
fn a_misspelt_metadata_service_is_an_error_and_not_a_machine_without_it() {
    let text = with(&[("metadataService:", "metadataservice:")]);
    one_error(&text, "controlPlane.platform.aws.metadataservice: is not a field of the schema");
    assert_eq!(hint(&text), "did you mean `metadataService`?");
    let text = with(&[("authentication: Required", "authentification: Required")]);
    one_error(&text, "controlPlane.platform.aws.metadataService.authentification: is not a field");
    assert_eq!(hint(&text), "did you mean `authentication`?");
}

#[test]
fn a_misspelt_parent_of_a_metadata_service_is_an_error_too() {
    let text = with(&[("controlPlane:", "controlplane:")]);
    let findings = read(&text).findings;
    let lost = findings.iter().find(|one| one.path == "controlplane").expect("a finding");
    assert_eq!(lost.severity, Severity::Error, "{lost:?}");
    assert!(lost.message.contains("metadataService"), "{lost:?}");
}

#[test]
fn the_control_plane_is_called_master() {
    one_error(
        &with(&[("  name: master", "  name: masters")]),
        "controlPlane.name: found `masters` -> `master`",
    );
    fine(&with(&[("  name: master\n", "")]));
}

#[test]
fn a_compute_pool_is_called_worker_once() {
    one_error(
        &with(&[("  name: worker", "  name: workers")]),
        "compute[0].name: found `workers` -> `worker`",
    );
    one_error(&with(&[("  name: worker\n", "")]), "compute[0].name: is missing");
    let twice = with(&[("metadata:\n", "- name: worker\nmetadata:\n")]);
    one_error(&twice, "compute[1].name: found `worker` a second time");
}

#[test]
fn an_edge_pool_is_checked_and_not_supported() {
    let edge = "- name: edge\n  platform: {aws: {zones: [us-west-2-lax-1a]}}\nmetadata:\n";
    one_error(
        &with(&[("metadata:\n", edge)]),
        "compute[1].name: edge pools are not supported by this version",
    );
    let wrong = edge.replace("us-west-2-lax-1a", "us-east-1-bos-1a");
    assert_eq!(findings(&with(&[("metadata:\n", &wrong)]), Severity::Error).len(), 2);
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
fn hyperthreading_and_architecture_are_words_of_their_own() {
    one_error(
        &with(&[("hyperthreading: Enabled", "hyperthreading: enabled")]),
        "controlPlane.hyperthreading: found `enabled` -> `Enabled` or `Disabled`",
    );
    one_error(
        &with(&[("  replicas: 3", "  architecture: x86\n  replicas: 3")]),
        "controlPlane.architecture: found `x86` -> `amd64` or `arm64`",
    );
    one_error(
        &with(&[("  replicas: 3\nmetadata", "  architecture: arm64\n  replicas: 3\nmetadata")]),
        "compute[0].architecture: found `arm64` -> the architecture of the control plane",
    );
}

#[test]
fn the_workers_take_the_control_planes_architecture_if_they_name_none() {
    let text = with(&[("  replicas: 3", "  architecture: arm64\n  replicas: 3")]);
    assert_eq!(config(&text).compute[0].architecture, Architecture::Arm64);
}

#[test]
fn zones_belong_to_the_region() {
    one_error(
        &with(&[("- us-west-2a", "- us-east-1a")]),
        "controlPlane.platform.aws.zones[0]: found `us-east-1a` -> a zone of the region `us-west-2`",
    );
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
fn a_volume_has_a_positive_size() {
    for size in ["0", "-1", "99999999999"] {
        one_error(
            &with(&[("size: 500", &format!("size: {size}"))]),
            &format!("controlPlane.platform.aws.rootVolume.size: found `{size}`"),
        );
    }
    one_warning(
        &with(&[("        size: 500\n", "")]),
        "controlPlane.platform.aws.rootVolume: has a type and no size",
    );
}

#[test]
fn provisioned_volumes_need_iops_and_old_ones_take_none() {
    one_error(
        &with(&[("iops: 4000", "iops: 0")]),
        "controlPlane.platform.aws.rootVolume.iops: found `0`",
    );
    one_error(
        &with(&[("        iops: 4000\n", "")]),
        "controlPlane.platform.aws.rootVolume.iops: is missing",
    );
    for old in ["gp2", "st1", "sc1", "standard"] {
        one_error(
            &with(&[("type: io1", &format!("type: {old}"))]),
            "controlPlane.platform.aws.rootVolume.iops: found `4000` for a",
        );
    }
    one_error(
        &with(&[("type: io1", "type: gp3"), ("iops: 4000", "iops: -1")]),
        "controlPlane.platform.aws.rootVolume.iops: found `-1`",
    );
    fine(&with(&[("type: io1", "type: gp3")]));
    fine(&with(&[("type: io1", "type: gp3"), ("        iops: 4000\n", "")]));
}

#[test]
fn iops_are_checked_against_the_type_of_the_default_platform_too() {
    let text = with_aws("defaultMachinePlatform: {rootVolume: {type: gp2, size: 100}}");
    let text = text.replacen("        type: io1\n", "", 1);
    one_error(&text, "controlPlane.platform.aws.rootVolume.iops: found `4000` for a gp2 volume");
}

#[test]
fn security_groups_need_subnets_and_are_few() {
    let group = "additionalSecurityGroupIDs: [sg-0a]";
    one_error(
        &with_masters(group),
        "controlPlane.platform.aws.additionalSecurityGroupIDs: is set, and the cluster gets a VPC of its own",
    );
    let in_vpc = |groups: &str| {
        let groups = indent(groups, 6);
        with_aws("subnets: [subnet-0a]").replacen(
            "      type: m5.xlarge\n",
            &format!("      type: m5.xlarge\n{groups}"),
            1,
        )
    };
    fine(&in_vpc(group));
    let many = (0..16).map(|n| format!("sg-0{n}")).collect::<Vec<_>>().join(", ");
    one_error(
        &in_vpc(&format!("additionalSecurityGroupIDs: [{many}]")),
        "controlPlane.platform.aws.additionalSecurityGroupIDs: found 16 groups",
    );
    one_error(
        &in_vpc("additionalSecurityGroupIDs: [web]"),
        "controlPlane.platform.aws.additionalSecurityGroupIDs[0]: found `web`",
    );
}

#[test]
fn a_role_and_a_profile_exclude_each_other() {
    one_error(
        &with_masters("iamRole: r\niamProfile: p"),
        "controlPlane.platform.aws.iamProfile: is set together with `iamRole`",
    );
    fine(&with_masters("iamRole: r"));
}

#[test]
fn what_this_version_cannot_do_is_refused_and_not_ignored() {
    one_error(
        &with_masters("cpuOptions: {confidentialCompute: AMDEncryptedVirtualizationNestedPaging}"),
        "controlPlane.platform.aws.cpuOptions.confidentialCompute: `confidentialCompute` is not supported",
    );
    one_error(
        &with_masters("hostPlacement: {affinity: DedicatedHost, dedicatedHost: [{id: h-0}]}"),
        "controlPlane.platform.aws.hostPlacement.affinity: `hostPlacement` is not supported",
    );
    one_error(
        &with(&[("iops: 4000", "iops: 4000\n        throughput: 200")]),
        "controlPlane.platform.aws.rootVolume.throughput: `throughput` is not supported",
    );
    one_error(
        &with(&[("  replicas: 3", "  fencing: {}\n  replicas: 3")]),
        "controlPlane.fencing: `fencing` is not supported",
    );
    one_error(&with_top("arbiter: {name: arbiter}"), "arbiter: `arbiter` is not supported");
    fine(&with_masters(
        "cpuOptions: {confidentialCompute: Disabled}\nhostPlacement: {affinity: AnyAvailable}",
    ));
}

#[test]
fn pools_are_of_the_clusters_platform() {
    one_error(
        &with(&[(
            "  platform:\n    aws:\n      zones",
            "  platform:\n    gcp: {}\n    aws:\n      zones",
        )]),
        "controlPlane.platform.gcp: found `gcp`",
    );
}

#[test]
fn an_image_has_the_id_of_an_image() {
    one_error(&with_masters("amiID: emi-1"), "controlPlane.platform.aws.amiID: found `emi-1`");
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
