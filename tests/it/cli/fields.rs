//! Fields of later releases, from the config to AWS and back: pools of addresses, public subnets, roles
//! for hosted zones, roles of subnets.

use std::fs;

use aws_sdk_route53::types::{HostedZoneConfig, Vpc, VpcRegion};
use serde_json::json;

use super::{Desk, Ran};
use crate::support::cloud::Cloud;

const POOL: &str = "ipv4pool-ec2-0123456789abcdef0";

impl Desk {
    /// Replaces parts of the install-config.
    fn edit(&self, edits: &[(&str, &str)]) {
        let file = self.path("install-config.yaml");
        let mut text = fs::read_to_string(&file).unwrap();
        for (old, new) in edits {
            assert!(text.contains(old), "{old}");
            text = text.replace(old, new);
        }
        fs::write(file, text).unwrap();
    }

    /// Publishes the cluster, with the public hosted zone that this needs.
    async fn publish(&self) {
        let dns = aws_sdk_route53::Client::new(&self.cloud.sdk_config());
        let zone = dns.create_hosted_zone().name("example.com").caller_reference("public");
        zone.send().await.expect("a zone");
        self.edit(&[("publish: Internal", "publish: External")]);
    }

    /// Creates a VPC with two subnets without a route to the internet. Returns their IDs.
    async fn network(&self) -> (String, [String; 2]) {
        let ec2 = self.ec2();
        let vpc = ec2.create_vpc().cidr_block("10.0.0.0/16").send().await.expect("a VPC");
        let vpc = vpc.vpc().and_then(|vpc| vpc.vpc_id()).unwrap().to_owned();
        let mut subnets = Vec::new();
        for range in ["10.0.0.0/20", "10.0.16.0/20"] {
            let make = ec2.create_subnet().vpc_id(&vpc).cidr_block(range);
            let made = make.availability_zone("us-west-2a").send().await.expect("a subnet");
            subnets.push(made.subnet().and_then(|one| one.subnet_id()).unwrap().to_owned());
        }
        (vpc, subnets.try_into().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_a_pool_are_taken_and_given_back() {
    let desk = Desk::new();
    desk.publish().await;
    desk.edit(&[("region: us-west-2", &format!("region: us-west-2\n    publicIpv4Pool: {POOL}"))]);
    let apply = ["apply", "--auto-approve", "--release", "4.20"];
    let refused = desk.expect(3, &apply);
    assert!(refused.err.contains("platform.aws.publicIpv4Pool: the pool of"), "{}", refused.err);
    desk.cloud.pools(&json!({ POOL: 1 }));
    let refused = desk.expect(3, &apply);
    assert!(refused.err.contains("has 1 free, but the cluster needs 2"), "{}", refused.err);
    desk.cloud.pools(&json!({ POOL: 2 }));
    let before = desk.cloud.inventory();
    let applied = desk.expect(0, &apply);
    assert!(applied.out.contains(&format!("of {POOL}")), "{}", applied.out);
    // The pool is empty now, and a finished cluster needs none of it.
    desk.expect(0, &["plan", "--detailed-exitcode", "--release", "4.20"]);
    let addresses = desk.ec2().describe_addresses().send().await.unwrap();
    let pools = addresses.addresses().iter().filter_map(|one| one.public_ipv4_pool());
    assert_eq!(pools.collect::<Vec<_>>(), [POOL, POOL]);
    desk.expect(0, &["destroy", "--auto-approve", "--release", "4.20"]);
    assert_eq!(desk.cloud.inventory(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_public_subnets_only_keeps_them_without_the_variable() {
    let desk = Desk::new();
    let with_variable = |arguments: &[&str]| {
        let mut command = desk.command(arguments);
        command.env("OPENSHIFT_INSTALL_AWS_PUBLIC_ONLY", "yes");
        Ran::from(command.output().unwrap())
    };
    let apply = ["apply", "--auto-approve", "--release", "4.20"];
    let refused = with_variable(&apply);
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    assert!(refused.err.contains("`publish` is `Internal`"), "{}", refused.err);
    desk.publish().await;
    let before = desk.cloud.inventory();
    let applied = with_variable(&apply);
    assert_eq!(applied.code, Some(0), "{}", applied.err);
    let nats = desk.ec2().describe_nat_gateways().send().await.unwrap();
    assert_eq!(nats.nat_gateways().len(), 0);
    let master = desk.machine("master-0").await;
    let described = desk.ec2().describe_instances().instance_ids(master).send().await.unwrap();
    let master = &described.reservations()[0].instances()[0];
    assert!(master.public_ip_address().is_some(), "{master:?}");
    desk.expect(0, &["plan", "--detailed-exitcode"]);
    desk.expect(0, &["plan", "--detailed-exitcode", "--machine-subnets", "private"]);
    desk.expect(0, &["destroy", "--auto-approve"]);
    assert_eq!(desk.cloud.inventory(), before);
}

#[test]
fn a_cluster_with_private_subnets_keeps_them_and_says_so() {
    let desk = Desk::new();
    desk.apply();
    fs::write(desk.path("groundplan.toml"), "machine-subnets = 'public'\n").unwrap();
    let planned = desk.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(planned.err.contains("keep their private subnets"), "{}", planned.err);
    fs::write(desk.path("groundplan.toml"), "machine-subnets = 'open'\n").unwrap();
    let refused = desk.expect(64, &["plan"]);
    assert!(refused.err.contains("groundplan.toml:1"), "{}", refused.err);
}

/// Creates a private hosted zone in another account, and a role for it that an account trusts. Returns
/// the ID of the zone and the ARN of the role.
async fn zone_of_another_account(owner: &Cloud, vpc: &str, trusted: &str) -> (String, String) {
    let region = VpcRegion::from("us-west-2");
    let own = aws_sdk_ec2::Client::new(&owner.sdk_config());
    let own = own.create_vpc().cidr_block("10.1.0.0/16").send().await.expect("a VPC");
    let own = own.vpc().and_then(|vpc| vpc.vpc_id()).unwrap().to_owned();
    let dns = aws_sdk_route53::Client::new(&owner.sdk_config());
    let zone = dns
        .create_hosted_zone()
        .name("demo.example.com")
        .caller_reference("private")
        .vpc(Vpc::builder().vpc_region(region).vpc_id(own).build())
        .hosted_zone_config(HostedZoneConfig::builder().private_zone(true).build());
    let zone = zone.send().await.expect("a zone");
    let zone = zone.hosted_zone().unwrap().id().rsplit('/').next().unwrap().to_owned();
    owner.associate(&zone, vpc);
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{trusted}:root")}, "Action": "sts:AssumeRole"}]});
    let iam = aws_sdk_iam::Client::new(&owner.sdk_config());
    let role = iam.create_role().role_name("dns").assume_role_policy_document(trust.to_string());
    let role = role.send().await.expect("a role");
    (zone, role.role().unwrap().arn().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_in_a_zone_of_another_account_live_and_go_through_its_role() {
    let desk = Desk::new();
    let owner = desk.cloud.another_account();
    let (vpc, [subnet, _]) = desk.network().await;
    let (zone, role) = zone_of_another_account(&owner, &vpc, desk.cloud.account()).await;
    let fields = format!(
        "region: us-west-2\n    subnets: [{subnet}]\n    hostedZone: {zone}\n    \
         hostedZoneRole: {role}"
    );
    desk.edit(&[("region: us-west-2", &fields), ("publish:", "credentialsMode: Manual\npublish:")]);
    let (before, before_there) = (desk.cloud.inventory(), owner.inventory());
    desk.expect(0, &["apply", "--auto-approve"]);
    let dns = aws_sdk_route53::Client::new(&owner.sdk_config());
    let records = dns.list_resource_record_sets().hosted_zone_id(&zone).send().await.unwrap();
    let names =
        records.resource_record_sets().iter().map(aws_sdk_route53::types::ResourceRecordSet::name);
    let names: Vec<&str> = names.filter(|name| name.starts_with("api")).collect();
    assert_eq!(names, ["api-int.demo.example.com.", "api.demo.example.com."]);
    desk.expect(0, &["plan", "--detailed-exitcode"]);
    // Without the config, the state has the role.
    fs::remove_file(desk.path("install-config.yaml")).unwrap();
    desk.expect(0, &["destroy", "--auto-approve", "--cluster", "demo"]);
    assert_eq!(desk.cloud.inventory(), before);
    assert_eq!(owner.inventory(), before_there);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_does_not_trust_the_caller_is_refused_before_the_first_change() {
    let desk = Desk::new();
    let owner = desk.cloud.another_account();
    let (vpc, [subnet, _]) = desk.network().await;
    let (zone, role) = zone_of_another_account(&owner, &vpc, "111122223333").await;
    let fields = format!(
        "region: us-west-2\n    subnets: [{subnet}]\n    hostedZone: {zone}\n    \
         hostedZoneRole: {role}"
    );
    desk.edit(&[("region: us-west-2", &fields), ("publish:", "credentialsMode: Manual\npublish:")]);
    let calls = desk.cloud.mutating_calls();
    let refused = desk.run(&["apply", "--auto-approve"]);
    assert_ne!(refused.code, Some(0), "{}", refused.out);
    assert!(refused.err.contains(&role) && refused.err.contains("AssumeRole"), "{}", refused.err);
    assert_eq!(desk.cloud.mutating_calls(), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn subnets_with_roles_are_used_as_their_roles_say() {
    let desk = Desk::new();
    let (_, [machines, balancers]) = desk.network().await;
    let roles = format!(
        "region: us-west-2\n    vpc: {{subnets: [{{id: {machines}, roles: [{{type: ClusterNode}}, \
         {{type: BootstrapNode}}]}}, {{id: {balancers}, roles: [{{type: ControlPlaneInternalLB}}, \
         {{type: IngressControllerLB}}]}}]}}"
    );
    desk.edit(&[("region: us-west-2", &roles)]);
    let before = desk.cloud.inventory();
    desk.expect(0, &["apply", "--auto-approve", "--release", "4.20"]);
    let elb = aws_sdk_elasticloadbalancingv2::Client::new(&desk.cloud.sdk_config());
    let found = elb.describe_load_balancers().send().await.unwrap();
    let zones = found
        .load_balancers()
        .iter()
        .flat_map(aws_sdk_elasticloadbalancingv2::types::LoadBalancer::availability_zones);
    let subnets: Vec<_> = zones.filter_map(|zone| zone.subnet_id()).collect();
    assert_eq!(subnets, [&balancers]);
    let described = desk.ec2().describe_instances().send().await.unwrap();
    let instances =
        described.reservations().iter().flat_map(aws_sdk_ec2::types::Reservation::instances);
    for instance in instances {
        assert_eq!(instance.subnet_id(), Some(machines.as_str()));
    }
    desk.expect(0, &["plan", "--detailed-exitcode", "--release", "4.20"]);
    desk.expect(0, &["destroy", "--auto-approve", "--release", "4.20"]);
    assert_eq!(desk.cloud.inventory(), before);
}
