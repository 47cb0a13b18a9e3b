//! Deletions that resources of others block: the holder is named, and only what goes away is waited
//! for.

use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{IpPermission, Tag, UserIdGroupPair};
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, LoadBalancerTypeEnum, ProtocolEnum,
};
use serde_json::{Value, json};

use super::{Desk, Ran};

impl Desk {
    /// Returns the ID of the recorded resource at an address.
    pub(super) fn id_of(&self, address: &str) -> String {
        let shown: Value = serde_json::from_str(&self.expect(0, &["show", "--json"]).out).unwrap();
        let resources = shown["resources"].as_array().expect("resources");
        let found = resources.iter().find(|one| one["address"] == address);
        found.expect(address)["id"].as_str().expect("an ID").to_owned()
    }

    /// Returns the name of the masters' role.
    fn role(&self) -> String {
        self.id_of("iam_role.master").rsplit('/').next().expect("a name").to_owned()
    }

    fn elb(&self) -> aws_sdk_elasticloadbalancingv2::Client {
        aws_sdk_elasticloadbalancingv2::Client::new(&self.cloud.sdk_config())
    }
}

/// Runs a destroy that a lasting resource blocks. Returns its output.
fn blocked(desk: &Desk, within: Duration, more: &[&str]) -> Ran {
    let began = Instant::now();
    let ran = desk.expect(1, &[&["destroy", "--auto-approve"], more].concat());
    assert!(began.elapsed() < within, "{:?}", began.elapsed());
    assert!(ran.err.contains("does not go away by itself"), "{}", ran.err);
    ran
}

/// Longer than the runs, and shorter than the default of 15 minutes.
const SOON: Duration = Duration::from_secs(300);

/// Asserts that the progress and the final error name the holder.
fn named(ran: &Ran, call: &str, holder: &str) {
    let blocked_by = format!("blocked by {holder}");
    let mut retries = ran.out.lines().filter(|line| line.contains("; retrying in"));
    let is_named = retries.any(|line| line.contains(call) && line.contains(&blocked_by));
    assert!(is_named, "{}", ran.out);
    assert!(ran.err.contains(&blocked_by), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_a_foreign_group_is_named_and_not_waited_for() {
    let desk = Desk::new();
    desk.apply();
    let ours = desk.id_of("security_group.master");
    let make = desk.ec2().create_security_group().group_name("bastion").description("theirs");
    let made = make.vpc_id(desk.id_of("vpc.main")).send().await.expect("a group");
    let theirs = made.group_id().unwrap().to_owned();
    let pair = UserIdGroupPair::builder().group_id(&ours).build();
    let rule = IpPermission::builder().ip_protocol("-1").user_id_group_pairs(pair).build();
    let allow = desk.ec2().authorize_security_group_ingress().group_id(&theirs);
    allow.ip_permissions(rule.clone()).send().await.expect("a rule");
    let ran = blocked(&desk, SOON, &["--wait-timeout", "10s"]);
    named(&ran, "DeleteSecurityGroup", &format!("{theirs} (a rule in it references the group)"));
    let calls = desk.cloud.requests().into_iter();
    let revoked = calls.filter(|call| {
        call["action"] == "RevokeSecurityGroupIngress" && call["params"]["GroupId"] == *theirs
    });
    assert_eq!(revoked.count(), 0, "the rule is theirs");
    let revoke = desk.ec2().revoke_security_group_ingress().group_id(&theirs);
    revoke.ip_permissions(rule).send().await.expect("no rule");
    desk.ec2().delete_security_group().group_id(&theirs).send().await.expect("no group");
    desk.expect(0, &["destroy", "--auto-approve"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_of_a_foreign_balancer_is_named_and_not_waited_for() {
    let desk = Desk::new();
    desk.apply();
    let group = desk.id_of("target_group.aint");
    let theirs = desk.ec2().create_vpc().cidr_block("10.9.0.0/16").send().await.expect("a VPC");
    let theirs = theirs.vpc().unwrap().vpc_id().unwrap().to_owned();
    let make = desk.ec2().create_subnet().vpc_id(theirs).cidr_block("10.9.0.0/24");
    let subnet = make.send().await.expect("a subnet");
    let subnet = subnet.subnet().unwrap().subnet_id().unwrap().to_owned();
    let make = desk.elb().create_load_balancer().name("foreign").subnets(subnet);
    let made = make.r#type(LoadBalancerTypeEnum::Network).send().await.expect("a balancer");
    let balancer = made.load_balancers()[0].load_balancer_arn().unwrap().to_owned();
    let action = Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(group);
    let make = desk.elb().create_listener().load_balancer_arn(&balancer).port(1234);
    let make = make.protocol(ProtocolEnum::Tcp).default_actions(action.build());
    make.send().await.expect("a listener");
    let ran = blocked(&desk, SOON, &["--wait-timeout", "10s"]);
    let holder = format!("{balancer} (a listener on port 1234 forwards to the group)");
    named(&ran, "DeleteTargetGroup", &holder);
    desk.elb().delete_load_balancer().load_balancer_arn(balancer).send().await.expect("deleted");
    desk.expect(0, &["destroy", "--auto-approve"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_network_is_named_by_its_type() {
    let desk = Desk::new();
    desk.apply();
    let vpc = desk.id_of("vpc.main");
    let make = desk.ec2().create_subnet().vpc_id(&vpc).cidr_block("10.0.255.0/24");
    let subnet = make.send().await.expect("a subnet");
    let subnet = subnet.subnet().unwrap().subnet_id().unwrap().to_owned();
    let table = desk.ec2().create_route_table().vpc_id(&vpc).send().await.expect("a table");
    let table = table.route_table().unwrap().route_table_id().unwrap().to_owned();
    // Without tags, a destroy deletes both with the network.
    let name = Tag::builder().key("Name").value("theirs").build();
    let tag = desk.ec2().create_tags().resources(&subnet).resources(table).tags(name);
    tag.send().await.expect("tags");
    let other = desk.ec2().create_vpc().cidr_block("10.9.0.0/16").send().await.expect("a VPC");
    let other = other.vpc().unwrap().vpc_id().unwrap().to_owned();
    let peer = desk.ec2().create_vpc_peering_connection().vpc_id(&vpc).peer_vpc_id(other);
    peer.send().await.expect("a peering");
    let ran = blocked(&desk, SOON, &["--wait-timeout", "10s"]);
    // One of the two tables is the main one, which is deleted with the network.
    for what in ["(route table)", "(VPC peering connection)"] {
        assert!(ran.err.contains(what), "{what}: {}", ran.err);
    }
    assert!(ran.err.contains(&format!("{subnet} (subnet)")), "{}", ran.err);
    desk.ec2().delete_subnet().subnet_id(subnet).send().await.expect("deleted");
    let tables = desk.ec2().describe_route_tables().send().await.expect("tables");
    for one in tables.route_tables().iter().filter(|one| one.vpc_id() == Some(&vpc)) {
        let is_main = one.associations().iter().any(|a| a.main() == Some(true));
        if let Some(id) = one.route_table_id().filter(|_| !is_main) {
            desk.ec2().delete_route_table().route_table_id(id).send().await.expect("deleted");
        }
    }
    desk.expect(0, &["destroy", "--auto-approve"]);
}

/// Attaches a managed policy, an inline policy and an instance profile of others to a role. Returns
/// the ARN of the managed policy.
async fn attach_to(desk: &Desk, role: &str) -> String {
    let iam = aws_sdk_iam::Client::new(&desk.cloud.sdk_config());
    let anything = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"}
    ]});
    let make = iam.create_policy().policy_name("security-team");
    let made = make.policy_document(anything.to_string()).send().await.expect("a policy");
    let arn = made.policy().unwrap().arn().unwrap().to_owned();
    iam.attach_role_policy().role_name(role).policy_arn(&arn).send().await.expect("attached");
    let put = iam.put_role_policy().role_name(role).policy_name("by-hand");
    put.policy_document(anything.to_string()).send().await.expect("a policy");
    let make = iam.create_instance_profile().instance_profile_name("theirs");
    make.send().await.expect("a profile");
    let add = iam.add_role_to_instance_profile().instance_profile_name("theirs");
    add.role_name(role).send().await.expect("added");
    arn
}

/// Asserts that the profile of others stays, without the role.
async fn profile_stays(desk: &Desk) {
    let iam = aws_sdk_iam::Client::new(&desk.cloud.sdk_config());
    let read = iam.get_instance_profile().instance_profile_name("theirs");
    let profile = read.send().await.expect("theirs stays");
    assert!(profile.instance_profile().unwrap().roles().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_attached_to_a_role_is_shown_in_the_plan_and_ended() {
    let desk = Desk::new();
    desk.apply();
    let arn = attach_to(&desk, &desk.role()).await;
    let destroyed = desk.expect(0, &["destroy", "--auto-approve"]);
    let lines = |text: &str| {
        let about = text.lines().filter(|line| line.contains("iam_role.") && line.contains(" is "));
        let about = about.map(|line| line.trim_start_matches("warning: ").trim().to_owned());
        // A long plan repeats its warnings at its end.
        about.fold(Vec::new(), |mut lines, line| {
            if !lines.contains(&line) {
                lines.push(line);
            }
            lines
        })
    };
    assert_eq!(
        lines(&destroyed.out),
        [
            "iam_role.master: inline policy by-hand is deleted".to_owned(),
            format!("iam_role.master: managed policy {arn} is detached and stays"),
            "iam_role.master: the role is removed from instance profile theirs, which stays"
                .to_owned(),
        ]
    );
    profile_stays(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_state_a_role_is_destroyed_in_the_same_way() {
    let desk = Desk::new();
    desk.apply();
    let role = desk.role();
    let arn = attach_to(&desk, &role).await;
    let infra_id = role.trim_end_matches("-master-role").to_owned();
    std::fs::remove_dir_all(desk.path("state")).unwrap();
    let destroyed = desk.expect(0, &["destroy", "--auto-approve", "--infra-id", &infra_id]);
    let line = format!("swept.role:{role}: managed policy {arn} is detached and stays");
    assert!(destroyed.out.contains(&line), "{}", destroyed.out);
    profile_stays(&desk).await;
}
