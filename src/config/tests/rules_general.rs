//! Rules of the top level.

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
fn the_version_is_v1() {
    one_error(&with(&[("apiVersion: v1", "apiVersion: v2")]), "apiVersion: found `v2` -> `v1`");
    one_error(&with(&[("apiVersion: v1\n", "")]), "apiVersion: is missing");
    one_error(&with(&[("apiVersion: v1", "apiVersion:")]), "apiVersion: is missing");
    one_warning(
        &with(&[("apiVersion: v1", "apiVersion: v1beta4")]),
        "apiVersion: found `v1beta4`, which is old",
    );
}

#[test]
fn a_wrong_version_hides_what_cannot_be_judged_without_it() {
    let text = with(&[("apiVersion: v1", "apiVersion: v2"), ("Required", "required")]);
    one_error(&text, "apiVersion: found `v2`");
}

#[test]
fn the_name_is_short_and_a_dns_name() {
    for wrong in ["Test", "-test", "test-", "te_st", "a..b", &"n".repeat(55)] {
        one_error(&with(&[("test-cluster", wrong)]), "metadata.name: found");
    }
    assert_eq!(hint(&with(&[("test-cluster", "Test")])), "did you mean `test`?");
    fine(&with(&[("test-cluster", &"n".repeat(54))]));
    fine(&with(&[("test-cluster", "a.b")]));
    one_error(&with(&[("  name: test-cluster", "  name:")]), "metadata.name: is missing");
    one_error(&with(&[("metadata:\n  name: test-cluster\n", "")]), "metadata: is missing");
}

#[test]
fn the_base_domain_is_a_dns_name() {
    for wrong in ["example..com", "Example.com", "exa mple.com", "example.com..", &"d".repeat(64)] {
        one_error(
            &with(&[("baseDomain: example.com", &format!("baseDomain: {wrong}"))]),
            "baseDomain: found",
        );
    }
    let long = format!("{}com", "domain.".repeat(35));
    one_error(
        &with(&[("baseDomain: example.com", &format!("baseDomain: {long}"))]),
        "baseDomain: found a long value, which is too long",
    );
    one_error(&with(&[("baseDomain: example.com\n", "")]), "baseDomain: is missing");
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
fn a_boolean_is_true_or_false() {
    let text = with(&[("fips: false", "fips: yes")]);
    one_error(&text, "fips: found `yes` -> `true` or `false`");
    assert_eq!(hint(&text), "write `true`, without quotes");
}

#[test]
fn an_unknown_field_is_a_warning_that_names_its_neighbour() {
    let text = with_top("pullSecrets: x");
    one_warning(&text, "pullSecrets: is not a field of the schema");
    assert_eq!(hint(&text), "did you mean `pullSecret`?");
    let text = with(&[("hyperthreading: Enabled", "hyperThreading: Disabled")]);
    one_warning(&text, "controlPlane.hyperThreading: is not a field");
    assert_eq!(underlined(&text), "hyperThreading");
    one_warning(&with_top("entirely: {different: [1]}"), "entirely: is not a field");
}

#[test]
fn a_field_is_given_once() {
    let text = with(&[(
        "baseDomain: example.com\n",
        "baseDomain: example.com\nbaseDomain: example.org\n",
    )]);
    one_error(&text, "baseDomain: is given twice, first on line 2");
    assert_eq!(read(&text).findings[0].place.unwrap().line, 3);
}

#[test]
fn wrong_types_name_what_was_found_and_what_was_expected() {
    for (piece, exchange, expected) in [
        (
            "metadata:\n  name: test-cluster\n",
            "metadata: test\n",
            "metadata: found `test` -> a mapping",
        ),
        (
            "baseDomain: example.com",
            "baseDomain: [example.com]",
            "baseDomain: found a list -> a string",
        ),
        (
            "  serviceNetwork:\n  - 172.30.0.0/16",
            "  serviceNetwork: 172.30.0.0/16",
            "networking.serviceNetwork: found `172.30.0.0/16` -> a list",
        ),
        ("  - us-west-2b", "  -", "controlPlane.platform.aws.zones[1]: is empty"),
        (
            "      - us-west-2a\n",
            "      - {a: b}\n",
            "controlPlane.platform.aws.zones[0]: found a mapping -> a string",
        ),
        ("fips: false", "fips: 0", "fips: found a number -> `true` or `false`"),
        (
            "size: 500",
            "size: 500GiB",
            "controlPlane.platform.aws.rootVolume.size: found `500GiB` -> a whole number",
        ),
    ] {
        one_error(&with(&[(piece, exchange)]), expected);
    }
}

#[test]
fn a_document_is_a_mapping() {
    one_error("- a\n- b\n", ": found a list -> a mapping");
    one_error("hello\n", ": found `hello` -> a mapping");
}

#[test]
fn capabilities_are_known_and_leave_the_cloud_its_credentials() {
    one_error(
        &with_top("capabilities: {baselineCapabilitySet: None}"),
        "capabilities: leaves out `CloudCredential`",
    );
    fine(&with_top(
        "capabilities: {baselineCapabilitySet: None, additionalEnabledCapabilities: [CloudCredential]}",
    ));
    fine(&with_top("capabilities: {baselineCapabilitySet: vCurrent}"));
    one_error(
        &with_top("capabilities: {baselineCapabilitySet: v4.10}"),
        "capabilities.baselineCapabilitySet: found `v4.10`",
    );
    one_error(
        &with_top("capabilities: {additionalEnabledCapabilities: [console]}"),
        "capabilities.additionalEnabledCapabilities[0]: found `console`",
    );
}

#[test]
fn feature_gates_need_their_feature_set() {
    one_error(
        &with_top("featureGates: [A=true]"),
        "featureGates: is set -> featureSet `CustomNoUpgrade`",
    );
    fine(&with_top("featureSet: CustomNoUpgrade\nfeatureGates: [A=true]"));
    one_error(
        &with_top("featureSet: CustomNoUpgrade\nfeatureGates: [A]"),
        "featureGates[0]: found `A`",
    );
    one_error(&with_top("featureSet: Custom"), "featureSet: found `Custom`");
}

#[test]
fn cpu_partitioning_is_none_or_all_nodes() {
    fine(&with_top("cpuPartitioningMode: AllNodes"));
    one_error(&with_top("cpuPartitioningMode: all"), "cpuPartitioningMode: found `all`");
}

#[test]
fn image_sources_are_repositories_in_one_of_two_lists() {
    let sources = |name: &str, repository: &str| {
        format!("{name}: [{{source: quay.io/a/b, mirrors: ['{repository}']}}]")
    };
    fine(&with_top(&sources("imageDigestSources", "registry.example.com:5000/a")));
    fine(&with_top(&sources("imageDigestSources", "registry.example.com:5000")));
    for wrong in [
        "https://registry.example.com/a",
        "registry.example.com/a:tag",
        "registry.example.com/a//b",
        "",
    ] {
        one_error(
            &with_top(&sources("imageDigestSources", wrong)),
            "imageDigestSources[0].mirrors[0]: found",
        );
    }
    one_warning(
        &with_top(&sources("imageContentSources", "registry.example.com/a")),
        "imageContentSources: is deprecated",
    );
    let both = format!(
        "{}\n{}",
        sources("imageContentSources", "a.b/c"),
        sources("imageDigestSources", "a.b/c")
    );
    one_error(&with_top(&both), "imageContentSources: is set together");
    one_error(
        &with_top("imageDigestSources: [{mirrors: []}]"),
        "imageDigestSources[0].source: is missing",
    );
}

#[test]
fn a_cluster_that_installs_itself_is_not_ours() {
    one_error(
        &with_top("bootstrapInPlace: {installationDisk: /dev/sda}"),
        "bootstrapInPlace: is set",
    );
}

#[test]
fn a_proxy_is_a_url_of_the_right_scheme_outside_the_cluster() {
    let proxy = |proxy: &str| with_top(&format!("proxy: {{{proxy}}}"));
    fine(&proxy(
        "httpProxy: 'http://user:word@proxy.example.com:3128', httpsProxy: 'https://proxy.example.com', noProxy: '.example.com,10.0.0.0/8,10.1.2.3,example.org.'",
    ));
    fine(&proxy("httpProxy: 'http://proxy.example.com', noProxy: '*'"));
    one_error(&proxy(""), "proxy: names no proxy");
    one_error(
        &proxy("httpProxy: 'https://proxy.example.com'"),
        "proxy.httpProxy: has a scheme that a proxy does not take here -> `http://`",
    );
    one_error(&proxy("httpsProxy: 'socks5://proxy.example.com'"), "proxy.httpsProxy: has a scheme");
    one_error(&proxy("httpProxy: proxy"), "proxy.httpProxy: is not a URL");
    for inside in ["172.30.0.10", "10.128.0.10"] {
        one_error(
            &proxy(&format!("httpProxy: 'http://{inside}:3128'")),
            "proxy.httpProxy: has an address inside",
        );
    }
    one_error(
        &proxy("httpProxy: 'http://p.example.com', noProxy: 'a.b, c.d'"),
        "proxy.noProxy: contains a space",
    );
    one_error(
        &proxy("httpProxy: 'http://p.example.com', noProxy: 'a.b,*.c.d'"),
        "proxy.noProxy: contains `*.c.d`",
    );
}
