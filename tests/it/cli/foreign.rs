//! Objects without proof that they are the cluster's, and objects without a tag in its network.

use std::fs;

use aws_sdk_ec2::types::{IpPermission, Tag, UserIdGroupPair};
use serde_json::Value;

use super::{Desk, Ran};

impl Desk {
    /// Creates a security group without tags in a network. Returns its ID.
    async fn bare_group(&self, vpc: &str, name: &str) -> String {
        let make = self.ec2().create_security_group().group_name(name).description("left");
        let made = make.vpc_id(vpc).send().await.expect("a group");
        made.group_id().unwrap().to_owned()
    }

    /// Adds a rule to a group that references another group.
    async fn reference(&self, group: &str, other: &str) {
        let pair = UserIdGroupPair::builder().group_id(other).build();
        let rule = IpPermission::builder().ip_protocol("-1").user_id_group_pairs(pair).build();
        let allow = self.ec2().authorize_security_group_ingress().group_id(group);
        allow.ip_permissions(rule).send().await.expect("a rule");
    }

    /// Leaves two groups that reference each other and a free interface in the network of the
    /// cluster, all without tags. The default group references one of them.
    async fn leave_in_network(&self) {
        let vpc = self.id_of("vpc.main");
        let one = self.bare_group(&vpc, "left-1").await;
        let other = self.bare_group(&vpc, "left-2").await;
        self.reference(&one, &other).await;
        self.reference(&other, &one).await;
        let groups = self.ec2().describe_security_groups().send().await.expect("groups");
        let mut groups = groups.security_groups().iter();
        let default = groups
            .find(|group| group.vpc_id() == Some(&vpc) && group.group_name() == Some("default"));
        self.reference(default.unwrap().group_id().unwrap(), &other).await;
        let subnet = self.id_of("subnet.private-us-west-2a");
        let make = self.ec2().create_network_interface().subnet_id(subnet).groups(one);
        make.send().await.expect("an interface");
    }
}

/// Asserts that a destroy showed what it deleted with the network.
fn showed_all(ran: &Ran) {
    for line in ["- swept.security-group:left-1", "- swept.security-group:left-2"] {
        assert!(ran.out.contains(line), "{line}\n{}", ran.out);
    }
    let warning = ", a network of the cluster: 1 network interface, 2 security groups; they are \
                   deleted with the network";
    assert!(ran.out.contains(warning), "{}", ran.out);
    assert!(ran.out.contains("No resources with the tag"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_tags_in_the_network_of_the_cluster_goes_with_it() {
    let desk = Desk::new();
    desk.apply();
    desk.leave_in_network().await;
    showed_all(&desk.expect(0, &["destroy", "--auto-approve"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_state_it_goes_with_the_network_too() {
    let desk = Desk::new();
    desk.apply();
    desk.leave_in_network().await;
    let shown: Value = serde_json::from_str(&desk.expect(0, &["show", "--json"]).out).unwrap();
    let infra_id = shown["cluster"]["infra_id"].as_str().expect("an ID").to_owned();
    fs::remove_dir_all(desk.path("state")).unwrap();
    showed_all(&desk.expect(0, &["destroy", "--auto-approve", "--infra-id", &infra_id]));
}

/// Interrupted after it has recorded what it found, a destroy finds the same again.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_destroy_goes_on_with_what_nobody_tags() {
    let desk = Desk::new();
    desk.apply();
    desk.leave_in_network().await;
    desk.cloud.fault(&serde_json::json!({
        "action": "RevokeSecurityGroupIngress", "kind": "error", "times": null, "status": 403,
        "code": "UnauthorizedOperation", "message": "not now",
    }));
    desk.expect(1, &["destroy", "--auto-approve"]);
    desk.cloud.clear_faults();
    let again = desk.expect(0, &["destroy", "--auto-approve"]);
    assert!(again.out.contains("swept.security-group:left-1"), "{}", again.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_of_others_in_the_network_stops_a_destroy_before_its_first_call() {
    let desk = Desk::new();
    desk.apply();
    let subnet = desk.id_of("subnet.private-us-west-2a");
    let launch = desk.ec2().run_instances().image_id("ami-0abcdef1234567890");
    let launch = launch.min_count(1).max_count(1).instance_type("m5.large".into());
    let launched = launch.subnet_id(subnet).send().await.expect("a machine");
    let id = launched.instances()[0].instance_id().unwrap().to_owned();
    let name = Tag::builder().key("Name").value("bastion").build();
    desk.ec2().create_tags().resources(&id).tags(name).send().await.expect("a name");
    desk.cloud.clear_requests();
    let refused = desk.expect(7, &["destroy", "--auto-approve"]);
    let summary =
        "error[machines-in-network]: machines of others run in a network that the plan deletes";
    for text in [summary, &format!("instance {id} (bastion) in vpc-"), "--exclude ADDRESS"] {
        assert!(refused.err.contains(text), "{text}: {}", refused.err);
    }
    assert_eq!(desk.cloud.mutating_calls(), 0);
    let part = desk.expect(0, &["destroy", "--auto-approve", "--exclude", "vpc.main"]);
    assert!(part.out.contains("machines of others run in a network that stays"), "{}", part.out);
    let listed = desk.expect(0, &["state", "list"]).out;
    for kept in ["vpc.main", "internet_gateway.", "nat_gateway.", "route_table.", "subnet."] {
        assert!(listed.contains(kept), "{kept}: {listed}");
    }
    assert!(!listed.contains("instance.master-0"), "{listed}");
    desk.ec2().terminate_instances().instance_ids(&id).send().await.expect("terminated");
    desk.cloud.settle("");
    desk.expect(0, &["destroy", "--auto-approve"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_subnets_and_route_tables_go_with_the_network_unless_their_owner_has_tagged_them() {
    let desk = Desk::new();
    desk.apply();
    let vpc = desk.id_of("vpc.main");
    let make = |cidr: &str| desk.ec2().create_subnet().vpc_id(&vpc).cidr_block(cidr);
    let bare = make("10.0.250.0/24").send().await.expect("a subnet");
    let bare = bare.subnet().unwrap().subnet_id().unwrap().to_owned();
    let table = desk.ec2().create_route_table().vpc_id(&vpc).send().await.expect("a table");
    let table = table.route_table().unwrap().route_table_id().unwrap().to_owned();
    let associate = desk.ec2().associate_route_table().subnet_id(&bare).route_table_id(&table);
    associate.send().await.expect("an association");
    let tagged = make("10.0.251.0/24").send().await.expect("a subnet");
    let tagged = tagged.subnet().unwrap().subnet_id().unwrap().to_owned();
    let name = Tag::builder().key("Name").value("theirs").build();
    desk.ec2().create_tags().resources(&tagged).tags(name).send().await.expect("a name");
    let shown = desk.expect(7, &["destroy", "--auto-approve", "--max-destroy", "0"]).out;
    for line in [
        format!("- swept.subnet:{bare}"),
        format!("- swept.route-table:{table}"),
        format!("warning: subnet {tagged} (theirs) stays and blocks the deletion of {vpc}"),
    ] {
        assert!(shown.contains(&line), "{line}\n{shown}");
    }
    desk.ec2().delete_subnet().subnet_id(&tagged).send().await.expect("deleted");
    desk.expect(0, &["destroy", "--auto-approve"]);
}

/// An empty answer of one search hides nothing that a destroy deletes.
#[tokio::test(flavor = "multi_thread")]
async fn one_empty_answer_hides_nothing_from_a_destroy() {
    let desk = Desk::new();
    desk.apply();
    desk.leave_in_network().await;
    for action in
        ["DescribeTags", "DescribeSecurityGroups", "DescribeRouteTables", "DescribeTargetGroups"]
    {
        for skip in 0..3 {
            desk.cloud.fault(&serde_json::json!({
                "action": action, "kind": "empty", "times": 1, "skip": skip,
            }));
            let ran = desk.run(&["destroy", "--auto-approve", "--max-destroy", "0"]);
            desk.cloud.clear_faults();
            let lines = ["- swept.security-group:left-1", "- swept.security-group:left-2"];
            let is_shown = lines.iter().all(|line| ran.out.contains(line));
            assert!(is_shown || ran.code == Some(1), "{action} {skip}: {}{}", ran.out, ran.err);
        }
    }
}

/// Asserts that a run was refused before its first change, and named all of these.
fn refused(desk: &Desk, ran: &Ran, named: &[&str]) {
    let summary = "objects that do not carry the tag of this cluster";
    assert!(ran.err.contains(summary), "{}", ran.err);
    for text in named {
        assert!(ran.err.contains(text), "{text}: {}", ran.err);
    }
    assert_eq!(desk.cloud.mutating_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_names_an_object_of_others_deletes_and_changes_nothing() {
    let desk = Desk::new();
    desk.apply();
    let theirs = desk.ec2().create_vpc().cidr_block("10.0.0.0/16").send().await.expect("a VPC");
    let theirs = theirs.vpc().unwrap().vpc_id().unwrap().to_owned();
    let prod = Tag::builder().key("Name").value("production").build();
    let tag = desk.ec2().create_tags().resources(&theirs).tags(prod).send();
    tag.await.expect("a tag");
    forge(&desk, |state| state.replace(&desk.id_of("vpc.main"), &theirs));
    let row = format!("vpc.main ({theirs}): found Name=production");
    let named = [row.as_str(), "kubernetes.io/cluster/demo-", "--force-foreign vpc.main"];
    for command in [&["destroy", "--auto-approve"][..], &["apply", "--auto-approve"], &["plan"]] {
        refused(&desk, &desk.expect(7, command), &named);
    }
    let vpcs = desk.ec2().describe_vpcs().vpc_ids(&theirs).send().await.expect("it stays");
    assert_eq!(vpcs.vpcs()[0].tags().len(), 1, "it is not tagged either");
}

/// Replaces the recorded state by an edited one.
fn forge(desk: &Desk, edit: impl Fn(&str) -> String) {
    let forged = edit(&desk.expect(0, &["state", "pull"]).out);
    // The first line has the checksum.
    let (_, forged) = forged.split_once('\n').unwrap();
    fs::write(desk.path("forged.json"), format!("{{\n{forged}")).unwrap();
    desk.expect(0, &["state", "push", "forged.json", "--force", "--cluster", "demo"]);
    desk.cloud.clear_requests();
}

/// Returns the state with a text replaced in the record of one address.
fn in_record(state: &str, address: &str, from: &str, to: &str) -> String {
    let start = state.find(&format!("\"{address}\":")).expect("a record");
    let end = state[start..].find('\n').map_or(state.len(), |length| start + length);
    let record = &state[start..end];
    assert!(record.contains(from), "{from}: {record}");
    [&state[..start], &record.replace(from, to), &state[end..]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_names_an_object_of_others_changes_nothing() {
    let desk = Desk::new();
    desk.apply();
    let networks = desk.ec2().describe_vpcs().send().await.expect("VPCs");
    let network = networks.vpcs().iter().find(|vpc| !vpc.is_default.unwrap_or_default());
    let network = network.and_then(|vpc| vpc.vpc_id()).expect("the network");
    let group = desk.ec2().create_security_group().vpc_id(network).group_name("payroll");
    let group = group.description("payroll").send().await.expect("a group");
    let theirs = group.group_id().unwrap();
    let ours = desk.id_of("security_group.worker");
    let address = "security_group_rules.worker";
    forge(&desk, |state| in_record(state, address, &ours, theirs));
    let row = format!("{address} ({theirs}): no security_group of this state is {theirs}");
    let hint = format!("groundplan state rm {address}");
    for command in [&["destroy", "--target", address, "--auto-approve"][..], &["plan"]] {
        refused(&desk, &desk.expect(7, command), &[&row, &hint]);
    }
    let read = desk.ec2().describe_security_groups().group_ids(theirs).send().await.expect("it");
    assert_eq!(read.security_groups()[0].ip_permissions_egress().len(), 1, "its rules stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_of_others_in_a_record_is_not_deleted() {
    let desk = Desk::new();
    desk.apply();
    let subnets = desk.ec2().describe_subnets().send().await.expect("subnets");
    let subnet = subnets.subnets()[0].subnet_id().unwrap();
    let elb = aws_sdk_elasticloadbalancingv2::Client::new(&desk.cloud.sdk_config());
    let network = aws_sdk_elasticloadbalancingv2::types::LoadBalancerTypeEnum::Network;
    let theirs = elb.create_load_balancer().name("theirs").r#type(network).subnets(subnet);
    let theirs = theirs.send().await.expect("a balancer");
    let theirs = theirs.load_balancers()[0].load_balancer_arn().unwrap().to_owned();
    let ours = desk.id_of("load_balancer.int");
    forge(&desk, |state| in_record(state, "load_balancer.int", &ours, &theirs));
    let ran = desk.run(&["destroy", "--auto-approve"]);
    assert!(matches!(ran.code, Some(1 | 7)), "{}", ran.err);
    let there = elb.describe_load_balancers().load_balancer_arns(&theirs).send().await;
    assert_eq!(there.expect("it stays").load_balancers().len(), 1, "{}{}", ran.out, ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_lost_its_tags_is_deleted_where_that_is_forced() {
    let desk = Desk::new();
    desk.apply();
    let iam = aws_sdk_iam::Client::new(&desk.cloud.sdk_config());
    let role = desk.id_of("iam_role.master").rsplit('/').next().unwrap().to_owned();
    let read = iam.get_role().role_name(&role).send().await.expect("a role");
    let keys = read.role().unwrap().tags().iter().map(|tag| tag.key().to_owned()).collect();
    let untag = iam.untag_role().role_name(&role).set_tag_keys(Some(keys));
    untag.send().await.expect("no tags");
    desk.cloud.clear_requests();
    let row = "iam_role.master (".to_owned();
    let part = "a part of iam_role.master";
    let ran = desk.expect(7, &["destroy", "--auto-approve"]);
    refused(&desk, &ran, &[&row, ": found no tags", part]);
    let force = ["--force-foreign", "iam_role.master"];
    desk.expect(0, &[&["destroy", "--auto-approve"], &force[..]].concat());
}
