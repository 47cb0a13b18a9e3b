//! Security groups and their rules.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{Filter, IpPermission, IpRange, SecurityGroupRule};
use groundplan_aws::kinds::security_group::SecurityGroup;
use groundplan_aws::kinds::security_group_rules::SecurityGroupRules;
use groundplan_engine::provider::{ErrorClass, Provider};

use super::bench::{Account, from, inputs, other_tags, request, rule, security_group, who};
use crate::support::kinds::{Trial, kind_contract};

kind_contract! {
    async fn a_security_group_keeps_its_promises(account = Account::new()) -> SecurityGroup {
        let wanted = security_group(&account.vpc().await, "master");
        let changes = vec![SecurityGroup { tags: other_tags("master"), ..wanted.clone() }];
        (wanted, changes)
    }
}

#[tokio::test]
async fn a_name_that_somebody_else_has_taken_is_refused_and_not_adopted() {
    let account = Account::new();
    let wanted = security_group(&account.vpc().await, "master");
    let theirs = account.ec2.create_security_group().group_name(&wanted.name).description("theirs");
    let vpc = wanted.vpc.get().as_str();
    theirs.vpc_id(vpc).send().await.expect("a group");
    let request = request("security_group.master", &wanted);
    assert_eq!(account.aws.find(request.clone()).await.expect("a look"), None);
    let refused = account.aws.create(request).await.expect_err("the name is taken");
    assert_eq!(refused.code.as_deref(), Some("InvalidGroup.Duplicate"));
    assert_eq!(refused.class, ErrorClass::Permanent);
}

kind_contract! {
    async fn rules_keep_their_promises(account = Account::new()) -> SecurityGroupRules {
        let vpc = account.vpc().await;
        let (_, master) = account.group(&vpc, "master").await;
        let wanted = SecurityGroupRules {
            group: master.clone().into(),
            ingress: vec![rule("udp", Some((4789, 4789)), who(&master))],
            egress: vec![rule("-1", None, from(&["0.0.0.0/0"]))],
        };
        let ingress = vec![rule("tcp", Some((22, 22)), from(&["10.1.0.0/16"]))];
        let changes = [SecurityGroupRules { ingress, ..wanted.clone() }];
        (wanted, changes)
    }
}

#[tokio::test]
async fn rules_keep_their_promises_in_a_handful_of_calls() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let (_, master) = account.group(&vpc, "master").await;
    let (_, worker) = account.group(&vpc, "worker").await;
    let machines = from(&["10.0.0.0/16", "10.1.0.0/16"]);
    let wanted = SecurityGroupRules {
        group: master.clone().into(),
        ingress: vec![
            rule("icmp", Some((-1, -1)), machines.clone()),
            rule("tcp", Some((22, 22)), machines.clone()),
            rule("tcp", Some((6443, 6443)), machines),
            rule("udp", Some((4789, 4789)), who(&master)),
            rule("udp", Some((4789, 4789)), who(&worker)),
            rule("50", None, who(&worker)),
        ],
        egress: vec![rule("-1", None, from(&["0.0.0.0/0"]))],
    };
    let fewer = SecurityGroupRules {
        ingress: vec![rule("tcp", Some((2379, 2380)), who(&master)), wanted.ingress[1].clone()],
        ..wanted.clone()
    };
    let narrower = SecurityGroupRules {
        ingress: vec![rule("tcp", Some((22, 22)), from(&["10.1.0.0/16"]))],
        egress: vec![rule("tcp", Some((443, 443)), from(&["0.0.0.0/0"]))],
        ..wanted.clone()
    };
    account.cloud.clear_requests();
    let trial = Trial {
        address: "security_group_rules.master",
        inputs: inputs(&wanted),
        changes: vec![inputs(&fewer), inputs(&narrower), inputs(&wanted)],
    };
    account.bench().keeps_its_promises(trial).await;
    assert!(account.cloud.mutating_calls() <= 12, "{:#?}", account.cloud.requests());
}

#[tokio::test]
async fn a_rule_that_somebody_added_is_theirs_and_stays() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let (_, group) = account.group(&vpc, "master").await;
    let ssh = rule("tcp", Some((22, 22)), from(&["10.0.0.0/16"]));
    let wanted =
        SecurityGroupRules { group: group.clone().into(), ingress: vec![ssh], egress: vec![] };
    let known = account.bench().make("security_group_rules.master", &inputs(&wanted)).await;
    let everybody = IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22);
    let everybody = everybody.ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build()).build();
    let request = account.ec2.authorize_security_group_ingress().group_id(group.as_str());
    request.ip_permissions(everybody).send().await.expect("authorised");
    account.bench().is_as_recorded(&known).await;
    let https = rule("tcp", Some((443, 443)), from(&["10.0.0.0/16"]));
    let more = SecurityGroupRules { ingress: vec![https], ..wanted };
    account.bench().change(known, &inputs(&more)).await;
    let filter = Filter::builder().name("group-id").values(group.as_str()).build();
    let live = account.ec2.describe_security_group_rules().filters(filter).send().await;
    let live = live.expect("rules");
    let ports: BTreeSet<_> =
        live.security_group_rules().iter().map(SecurityGroupRule::from_port).collect();
    assert_eq!(ports, [Some(22), Some(443)].into(), "theirs stayed, ours went, the new one came");
    let open = |one: &&SecurityGroupRule| one.cidr_ipv4() == Some("0.0.0.0/0");
    assert_eq!(live.security_group_rules().iter().filter(open).count(), 1);
}

#[tokio::test]
async fn groups_that_refer_to_each_other_go_with_their_rules() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let (master_known, master) = account.group(&vpc, "master").await;
    let (worker_known, worker) = account.group(&vpc, "worker").await;
    let mut rules = Vec::new();
    for (name, own, other) in [("master", &master, &worker), ("worker", &worker, &master)] {
        let wanted = SecurityGroupRules {
            group: own.clone().into(),
            ingress: vec![rule("tcp", Some((10250, 10250)), who(other))],
            egress: vec![rule("-1", None, from(&["0.0.0.0/0"]))],
        };
        let address = format!("security_group_rules.{name}");
        rules.push(account.bench().make(&address, &inputs(&wanted)).await);
    }
    // The rule of the cluster's other group is revoked.
    account.aws.delete(master_known.clone()).await.expect("deleted");
    for known in rules.iter().chain([&master_known, &worker_known]).chain(&rules) {
        account.bench().unmake(known).await;
    }
}
