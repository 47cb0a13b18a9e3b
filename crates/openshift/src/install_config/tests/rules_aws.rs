//! Rules for `platform.aws`.

use super::*;

#[test]
fn a_role_for_the_hosted_zone_needs_the_zone_and_a_mode_that_allows_it() {
    let role = "hostedZoneRole: arn:aws:iam::123456789012:role/dns";
    let text = with_aws(role).replacen("credentialsMode: Mint", "credentialsMode: Manual", 1);
    one_error(&text, "platform.aws.hostedZoneRole: is set without `hostedZone`");
    let zone = format!("{role}\nhostedZone: Z123\nsubnets: [subnet-0a]");
    one_error(
        &with_aws(&zone),
        "platform.aws.hostedZoneRole: is set, but `credentialsMode` does not allow it",
    );
    for mode in ["Manual", "Passthrough"] {
        let read = config(&with_aws(&zone).replacen("Mint", mode, 1));
        let arn = "arn:aws:iam::123456789012:role/dns";
        assert_eq!(read.aws.hosted_zone_role.as_deref(), Some(arn));
    }
    let name = zone.replace("arn:aws:iam::123456789012:role/dns", "dns");
    one_error(
        &with_aws(&name).replacen("Mint", "Manual", 1),
        "platform.aws.hostedZoneRole: found `dns` -> the ARN of a role",
    );
}

fn endpoint(url: &str) -> String {
    with(&[("https://vpce-0123456789abcdef0.ec2.us-west-2.vpce.amazonaws.com", url)])
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

fn tag(tag: &str) -> String {
    with(&[("      adminContact: jdoe\n", &format!("      adminContact: jdoe\n      {tag}\n"))])
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
    one_warning(&with_aws("lbType: nlb"), "platform.aws.lbType: found `nlb` -> `Classic` or `NLB`");
}

#[test]
fn an_empty_list_of_subnets_is_none() {
    one_error(
        &with_aws("hostedZone: Z123\nsubnets: []"),
        "platform.aws.hostedZone: is set without `subnets`",
    );
}

#[test]
fn empty_values_of_the_platform_are_omitted_fields() {
    let vpc = "vpc: {subnets: [{id: subnet-0a, roles: []}]}\nsubnets: []";
    fine(&with_aws(vpc));
    fine(&with_aws("vpc: {}\nhostedZone: ''\nhostedZoneRole: ''\npublicIpv4Pool: ''"));
    let role = "subnets: [subnet-0a]\nhostedZone: ''\n\
                hostedZoneRole: 'arn:aws:iam::123456789012:role/dns'";
    let text = with_aws(role).replacen("credentialsMode: Mint", "credentialsMode: Manual", 1);
    one_error(&text, "platform.aws.hostedZoneRole: is set without `hostedZone`");
}

#[test]
fn a_misspelt_region_is_one_finding_with_the_region_that_was_meant() {
    for (wrong, meant) in [
        ("us-wset-2", Some("us-west-2")),
        ("eu-cenral-1", Some("eu-central-1")),
        ("uswest2", Some("us-west-2")),
        ("us-west-2a", Some("us-west-2")),
        ("Frankfurt", None),
    ] {
        let text = with(&[("    region: us-west-2\n", &format!("    region: {wrong}\n"))]);
        one_error(&text, &format!("platform.aws.region: found `{wrong}`, and AWS has no such"));
        assert_eq!(underlined(&text), wrong);
        assert_eq!(
            hint(&text),
            meant.map_or(String::new(), |one| format!("did you mean `{one}`?"))
        );
    }
}

#[test]
fn a_region_that_is_not_in_the_list_is_a_warning() {
    let of = |region: &str| {
        let text = TWO_POOLS.replace("us-west-2", region);
        assert_ne!(text, TWO_POOLS);
        text
    };
    one_warning(&of("us-west-3"), "platform.aws.region: found `us-west-3`, which this version");
    assert_eq!(hint(&of("us-west-3")), "did you mean `us-west-1`?");
    for fine_one in ["us-gov-west-1", "us-isob-east-1", "il-central-1"] {
        fine(&of(fine_one));
    }
    let gates =
        "featureSet: CustomNoUpgrade\nfeatureGates: [AWSEuropeanSovereignCloudInstall=true]\n";
    fine(&format!("{}{gates}", of("eusc-de-east-1")));
}
