//! Rules for the top level.

use super::*;

#[test]
fn everything_wrong_is_reported_in_one_run_in_the_order_of_the_text() {
    let text = with(&[
        ("baseDomain: example.com", "baseDomain: Example.com"),
        ("hyperthreading: Enabled", "hyperthreading: on"),
        ("authentication: Required", "authentication: required"),
        ("replicas: 3", "replicas: three"),
        ("authentication: Optional", "authentication: [Optional]"),
        ("  name: test-cluster", "  nmae: test-cluster"),
        ("cidr: 10.0.0.0/16", "cidr: 10.0.0.1/16"),
        ("region: us-west-2", "regoin: us-west-2"),
        ("fips: false", "fips: no"),
        ("publish: External", "publish: external"),
    ]);
    let paths: Vec<String> = read(&text).findings.into_iter().map(|finding| finding.path).collect();
    assert_eq!(
        paths,
        [
            "baseDomain",
            "controlPlane.hyperthreading",
            "controlPlane.platform.aws.metadataService.authentication",
            "controlPlane.replicas",
            "compute[0].platform.aws.metadataService.authentication",
            "metadata.name",
            "metadata.nmae",
            "networking.machineNetwork[0].cidr",
            "platform.aws.region",
            "platform.aws.regoin",
            "fips",
            "publish",
        ]
    );
}

#[test]
fn publishing_is_external_or_internal() {
    assert_eq!(config(&with(&[("External", "Internal")])).publish, Publish::Internal);
    one_error(
        &with(&[("publish: External", "publish: Mixed")]),
        "publish: found `Mixed` -> `External` or `Internal`",
    );
    one_error(
        &with_top("operatorPublishingStrategy: {ingress: Internal}"),
        "operatorPublishingStrategy: is set",
    );
}

#[test]
fn the_credentials_mode_is_one_of_three() {
    one_error(
        &with(&[("Mint", "mint")]),
        "credentialsMode: found `mint` -> `Mint`, `Passthrough` or `Manual`",
    );
    assert_eq!(config(&with(&[("credentialsMode: Mint\n", "")])).credentials_mode, None);
}

#[test]
fn cpu_partitioning_is_none_or_all_nodes() {
    fine(&with_top("cpuPartitioningMode: AllNodes"));
    one_warning(&with_top("cpuPartitioningMode: all"), "cpuPartitioningMode: found `all`");
}
