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
    let pulled = desk.expect(0, &["state", "pull"]).out;
    let forged = pulled.replace(&desk.id_of("vpc.main"), &theirs);
    // The first line has the checksum.
    let (_, forged) = forged.split_once('\n').unwrap();
    fs::write(desk.path("forged.json"), format!("{{\n{forged}")).unwrap();
    desk.expect(0, &["state", "push", "forged.json", "--force", "--cluster", "demo"]);
    desk.cloud.clear_requests();
    let row = format!("vpc.main ({theirs}): found Name=production");
    let named = [row.as_str(), "kubernetes.io/cluster/demo-", "--force-foreign vpc.main"];
    for command in [&["destroy", "--auto-approve"][..], &["apply", "--auto-approve"], &["plan"]] {
        refused(&desk, &desk.expect(7, command), &named);
    }
    let vpcs = desk.ec2().describe_vpcs().vpc_ids(&theirs).send().await.expect("it stays");
    assert_eq!(vpcs.vpcs()[0].tags().len(), 1, "it is not tagged either");
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
