//! Rules of `platform.aws`.

use super::*;

#[test]
fn the_platform_is_aws_and_no_other() {
    let platform = &TWO_POOLS
        [TWO_POOLS.find("platform:\n  aws:\n    region").unwrap()..TWO_POOLS.find("fips").unwrap()];
    one_error(&with(&[(platform, "")]), "platform: is missing");
    one_error(&with(&[(platform, "platform: {}\n")]), "platform.aws: is missing");
    one_error(
        &with(&[(platform, "platform: {gcp: {region: us-east1}}\n")]),
        "platform.gcp: found the platform `gcp` -> the platform `aws` and no other",
    );
    one_error(
        &with(&[("  aws:\n    region", "  none: {}\n  aws:\n    region")]),
        "platform.none: found the platform `none`",
    );
    assert_eq!(
        hint(&with(&[(platform, "platform: {aws: {region: us-west-2}, asw: {}}\n")])),
        "did you mean `aws`?"
    );
}

#[test]
fn the_region_is_required_and_looks_like_one() {
    one_error(&with(&[("    region: us-west-2\n", "")]), "platform.aws.region: is missing");
    for wrong in ["us west 2", "US-WEST-2", "oregon", "''"] {
        let zoneless = minimal().replace("us-west-2", wrong);
        one_error(&zoneless, "platform.aws.region: found");
    }
}

#[test]
fn a_hosted_zone_needs_subnets() {
    one_error(&with_aws("hostedZone: Z123"), "platform.aws.hostedZone: is set without `subnets`");
    fine(&with_aws("hostedZone: Z123\nsubnets: [subnet-0a]"));
}

#[test]
fn a_role_for_the_hosted_zone_needs_the_zone_and_a_mode_that_allows_it() {
    let role = "hostedZoneRole: arn:aws:iam::123456789012:role/dns";
    let text = with_aws(role).replacen("credentialsMode: Mint", "credentialsMode: Manual", 1);
    one_error(&text, "platform.aws.hostedZoneRole: is set without `hostedZone`");
    let zone = format!("{role}\nhostedZone: Z123\nsubnets: [subnet-0a]");
    one_error(
        &with_aws(&zone),
        "platform.aws.hostedZoneRole: is set, and `credentialsMode` does not allow it",
    );
    for mode in ["Manual", "Passthrough"] {
        fine(&with_aws(&zone).replacen("Mint", mode, 1));
    }
    let name = zone.replace("arn:aws:iam::123456789012:role/dns", "dns");
    one_error(
        &with_aws(&name).replacen("Mint", "Manual", 1),
        "platform.aws.hostedZoneRole: found `dns` -> the ARN of a role",
    );
}

#[test]
fn subnets_are_ids_and_each_is_given_once() {
    one_error(&with_aws("subnets: [net-1]"), "platform.aws.subnets[0]: found `net-1`");
    one_error(
        &with_aws("subnets: [subnet-0a, subnet-0a]"),
        "platform.aws.subnets[1]: found `subnet-0a` a second time",
    );
    one_error(&with_aws("subnets: subnet-0a"), "platform.aws.subnets: found `subnet-0a` -> a list");
}

fn endpoint(url: &str) -> String {
    with(&[("https://vpce-0123456789abcdef0.ec2.us-west-2.vpce.amazonaws.com", url)])
}

#[test]
fn an_endpoint_is_https_and_nothing_but_a_host() {
    const URL: &str = "platform.aws.serviceEndpoints[0].url";
    for (wrong, expected) in [
        ("http://ec2.example.com", "a URL that begins with `https://`"),
        ("ftp://ec2.example.com", "a URL that begins with `https://`"),
        ("https://ec2.example.com/path", "a URL with nothing but a host and a port"),
        ("https://ec2.example.com/?q=1", "a URL with nothing but a host and a port"),
        ("'https://'", "a URL such as"),
        ("''", "a URL such as"),
    ] {
        let found = findings(&endpoint(wrong), Severity::Error);
        assert_eq!(found.len(), 1, "{wrong}: {found:?}");
        assert!(found[0].starts_with(URL) && found[0].contains(expected), "{wrong}: {found:?}");
    }
}

#[test]
fn an_endpoint_without_a_scheme_is_https() {
    let text = endpoint("ec2.example.com:8443/");
    assert_eq!(
        config(&text).aws.service_endpoints[0].url.as_str(),
        "https://ec2.example.com:8443/"
    );
}

#[test]
fn plain_http_is_for_loopback_alone() {
    for url in
        ["http://127.0.0.1:5000", "http://localhost:5000", "http://[::1]:5000/", "http://127.8.8.8"]
    {
        fine(&endpoint(url));
    }
    for url in
        ["http://128.0.0.1", "http://localhost.example.com", "http://10.0.0.1", "http://[::2]"]
    {
        one_error(&endpoint(url), "platform.aws.serviceEndpoints[0].url: found");
    }
}

#[test]
fn a_service_has_one_endpoint() {
    let second = with(&[("fips", "    - name: ec2\n      url: https://example.com\nfips")]);
    one_error(&second, "platform.aws.serviceEndpoints[1].name: found `ec2` a second time");
    let nameless = with(&[("    - name: ec2\n      url", "    - url")]);
    one_error(&nameless, "platform.aws.serviceEndpoints[0].name: is missing");
    let typo = with(&[("- name: ec2", "- name: route-53")]);
    one_warning(&typo, "platform.aws.serviceEndpoints[0].name: found `route-53`");
    fine(&with(&[("- name: ec2", "- name: kms")]));
}

fn tag(tag: &str) -> String {
    with(&[("      adminContact: jdoe\n", &format!("      adminContact: jdoe\n      {tag}\n"))])
}

fn propagated(tag: &str) -> String {
    self::tag(tag).replacen("    userTags:", "    propagateUserTags: true\n    userTags:", 1)
}

#[test]
fn the_clusters_own_tags_are_refused() {
    for name in ["Name", "name", "NAME"] {
        one_error(
            &tag(&format!("{name}: x")),
            &format!("platform.aws.userTags[{name}]: is a tag that the cluster sets"),
        );
    }
    one_error(
        &tag("kubernetes.io/cluster/x: owned"),
        "platform.aws.userTags[kubernetes.io/cluster/x]: is a key of the cluster",
    );
    one_error(&tag("aws:x: y"), "platform.aws.userTags[aws:x]: begins with `aws:`");
    fine(&tag("kubernetes.io/x: y"));
}

#[test]
fn propagated_tags_obey_stricter_rules() {
    for key in ["kubernetes.io/x", "a.kubernetes.io/x", "openshift.io/x", "b.openshift.io/x"] {
        one_error(
            &propagated(&format!("{key}: y")),
            &format!("platform.aws.userTags[{key}]: is a key of the cluster"),
        );
    }
    one_error(
        &propagated("team: a b"),
        "platform.aws.userTags[team]: found `a b` -> letters, digits",
    );
    one_error(
        &propagated("team: ''"),
        "platform.aws.userTags[team]: has a value that is empty or too long",
    );
    fine(&propagated("'a;b,c<d?e': x"));
    fine(&tag("team: a b"));
}

#[test]
fn tags_have_the_lengths_of_aws() {
    one_error(
        &tag(&format!("{}: x", "k.".repeat(65))),
        "platform.aws.userTags[a long value]: has a key that is empty or too long",
    );
    one_error(
        &tag(&format!("k: {}", "v ".repeat(129) + "v")),
        "platform.aws.userTags[k]: has a value that is empty or too long",
    );
    one_error(&tag("'': x"), "platform.aws.userTags[an empty string]: has a key that is empty");
}

#[test]
fn tags_are_few() {
    let tags = |count: usize| {
        tag(&(0..count).map(|n| format!("k{n}: v")).collect::<Vec<_>>().join("\n      "))
    };
    one_warning(&tags(7), "platform.aws.userTags: found 9 tags, more than fit on an S3 object");
    one_error(&tags(24), "platform.aws.userTags: found 26 tags -> at most 25");
}

#[test]
fn a_tag_is_given_once() {
    one_error(
        &tag("costCenter: 1"),
        "platform.aws.userTags.costCenter: is given twice, first on line",
    );
}

#[test]
fn numbers_and_booleans_are_tags_as_they_are_written() {
    let text = tag("a: 007\n      b: 1.10\n      c: true\n      d: yes\n      e: 0x1F\n      f:");
    let tags = config(&text).aws.user_tags;
    let value = |key: &str| tags[key].as_str();
    assert_eq!(
        ["a", "b", "c", "d", "e", "f"].map(value),
        ["007", "1.10", "true", "yes", "0x1F", ""]
    );
}

#[test]
fn the_load_balancer_of_the_applications_is_classic_or_nlb() {
    assert_eq!(config(&with_aws("lbType: NLB")).aws.load_balancer_type, LoadBalancerType::Network);
    one_error(&with_aws("lbType: nlb"), "platform.aws.lbType: found `nlb` -> `Classic` or `NLB`");
}

#[test]
fn what_later_releases_added_is_refused_unless_it_changes_nothing() {
    fine(&with_aws("userProvisionedDNS: Disabled\nipFamily: IPv4\nbestEffortDeleteIgnition: true"));
    one_error(
        &with_aws("userProvisionedDNS: Enabled"),
        "platform.aws.userProvisionedDNS: `userProvisionedDNS` is not supported",
    );
    one_error(
        &with_aws("publicIpv4Pool: ipv4pool-ec2-0"),
        "platform.aws.publicIpv4Pool: `publicIpv4Pool` is not supported",
    );
    one_error(
        &with_aws("ipFamily: DualStack"),
        "platform.aws.ipFamily: `ipFamily` is not supported",
    );
}

#[test]
fn a_region_without_images_needs_one() {
    let china = minimal().replace("us-west-2", "cn-north-1");
    one_error(&china, "platform.aws.amiID: is missing, and `cn-north-1` has no image of its own");
    fine(&minimal().replace("us-west-2", "cn-north-1, amiID: ami-0a"));
    let pools = china
        + "controlPlane: {platform: {aws: {amiID: ami-0a}}}\ncompute: [{name: worker, platform: {aws: {amiID: ami-0b}}}]\n";
    fine(&pools);
}

#[test]
fn an_empty_list_of_subnets_is_none() {
    one_error(
        &with_aws("hostedZone: Z123\nsubnets: []"),
        "platform.aws.hostedZone: is set without `subnets`",
    );
}
