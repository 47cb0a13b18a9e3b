//! Eventual consistency, lost responses, and partial results of AWS.

use aws_sdk_ec2::types::Tag;
use groundplan_aws::kinds::route_table::{Route, RouteTable, Via};
use groundplan_aws::kinds::security_group_rules::SecurityGroupRules;
use groundplan_aws::model::ids::VpcId;
use groundplan_engine::provider::{
    ErrorClass, Observed, Provider, ProviderError, RecordedResource, Request,
};
use serde_json::json;

use super::bench::{Account, CLUSTER_TAG, from, id, inputs, request, rule, subnet, tags, vpc};

#[tokio::test]
async fn what_is_as_it_shall_be_is_not_touched() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let (_, gateway) = account.gateway(&vpc).await;
    let subnet = account.subnet(&vpc, "a", "10.0.0.0/20").await;
    let wanted = RouteTable {
        vpc: vpc.clone().into(),
        main: true,
        routes: vec![Route {
            destination: "0.0.0.0/0".parse().unwrap(),
            via: Via::InternetGateway(gateway.into()),
        }],
        subnets: vec![subnet.into()],
        tags: tags("public"),
    };
    let table = account.bench().make("route_table.public", &inputs(&wanted)).await;
    let (_, group) = account.group(&vpc, "master").await;
    let ssh = rule("tcp", Some((22, 22)), from(&["10.0.0.0/16"]));
    let rules = SecurityGroupRules { group: group.into(), ingress: vec![ssh], egress: vec![] };
    let rules = account.bench().make("security_group_rules.master", &inputs(&rules)).await;
    account.cloud.clear_requests();
    account.bench().change(table.clone(), &table.inputs).await;
    account.bench().change(rules.clone(), &rules.inputs).await;
    assert_eq!(account.cloud.mutating_calls(), 0, "{:#?}", account.cloud.requests());
}

/// Repeats a step as the engine does after a lost response. No attempt may fail permanently.
async fn until_it_goes_through<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<T, ProviderError>,
) -> T {
    for _ in 0..4 {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert_ne!(error.class, ErrorClass::Permanent, "{what}: {error}"),
        }
    }
    panic!("{what}: it never goes through")
}

#[tokio::test]
async fn an_answer_lost_on_the_way_changes_nothing_about_the_end() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let (_, gateway) = account.gateway(&vpc).await;
    let subnet = account.subnet(&vpc, "a", "10.0.0.0/20").await;
    let table = RouteTable {
        vpc: vpc.clone().into(),
        main: true,
        routes: vec![Route {
            destination: "0.0.0.0/0".parse().unwrap(),
            via: Via::InternetGateway(gateway.into()),
        }],
        subnets: vec![subnet.into()],
        tags: tags("public"),
    };
    for call in ["CreateRoute", "AssociateRouteTable", "ReplaceRouteTableAssociation"] {
        // Each creation has its own token, because a token returns its first result even after a
        // deletion.
        let wanted = Request { token: call.to_owned(), ..request("route_table.public", &table) };
        let outputs = account.aws.create(wanted.clone()).await.expect("a table");
        account.cloud.fault(&json!({ "action": call, "when": "after", "kind": "drop" }));
        let outputs = until_it_goes_through(call, async || {
            account.aws.configure(wanted.clone(), outputs.clone()).await
        });
        let Request { address, token, inputs, .. } = wanted.clone();
        let known = RecordedResource { address, token, inputs, outputs: outputs.await };
        account.bench().is_as_recorded(&known).await;
        for call in ["ReplaceRouteTableAssociation", "DisassociateRouteTable", "DeleteRouteTable"] {
            account.cloud.fault(&json!({ "action": call, "when": "after", "kind": "drop" }));
        }
        until_it_goes_through("delete", async || account.aws.delete(known.clone()).await).await;
        account.cloud.clear_faults();
        assert_eq!(account.bench().refresh(&known).await, Observed::Missing);
    }
    let (_, group) = account.group(&vpc, "master").await;
    let ssh = rule("tcp", Some((22, 22)), from(&["10.0.0.0/16", "10.1.0.0/16"]));
    let rules = SecurityGroupRules { group: group.into(), ingress: vec![ssh], egress: vec![] };
    let wanted = request("security_group_rules.master", &rules);
    for call in ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupEgress"] {
        account.cloud.fault(&json!({ "action": call, "when": "after", "kind": "drop" }));
    }
    let create = async || account.aws.create(wanted.clone()).await;
    let outputs = until_it_goes_through("rules", create).await;
    assert_eq!(account.aws.find(wanted).await.expect("a look"), Some(outputs));
}

#[tokio::test]
async fn r1_observing_costs_one_call_however_many_there_are() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let (mut subnets, mut rules) = (Vec::new(), Vec::new());
    for n in 0..4 {
        let (name, cidr) = (format!("s{n}"), format!("10.0.{}.0/20", n * 16));
        let wanted = inputs(&subnet(&vpc, &cidr, &name));
        subnets.push(account.bench().make(&format!("subnet.{name}"), &wanted).await);
        let (_, group) = account.group(&vpc, &name).await;
        let ssh = rule("tcp", Some((22, 22)), from(&["10.0.0.0/16"]));
        let wanted = SecurityGroupRules { group: group.into(), ingress: vec![ssh], egress: vec![] };
        let address = format!("security_group_rules.{name}");
        rules.push(account.bench().make(&address, &inputs(&wanted)).await);
    }
    account.cloud.clear_requests();
    for (kind, known) in [("subnet", subnets), ("security_group_rules", rules)] {
        let observed = account.aws.refresh(kind.to_owned(), known.clone()).await.expect("observed");
        for (known, observed) in known.iter().zip(&observed) {
            let Observed::Present { outputs, .. } = observed else { panic!("{observed:?}") };
            assert_eq!(outputs, &known.outputs, "in the order given");
        }
    }
    assert_eq!(account.cloud.calls("DescribeSubnets"), 1);
    assert_eq!(account.cloud.calls("DescribeSecurityGroupRules"), 1);
    assert_eq!(account.cloud.requests().len(), 2);
}

#[tokio::test]
async fn what_lost_the_clusters_tag_is_not_taken_for_gone() {
    let account = Account::new();
    let known = account.bench().make("vpc.main", &inputs(&vpc())).await;
    let request = account.ec2.delete_tags().resources(id(&known));
    request.tags(Tag::builder().key(CLUSTER_TAG).build()).send().await.expect("untagged");
    let Observed::Present { inputs: drifted, .. } = account.bench().refresh(&known).await else {
        panic!("the VPC is there")
    };
    assert_eq!(drifted["tags"].get(CLUSTER_TAG), None);
    assert_eq!(drifted["tags"]["Name"], "vpc");
    let before = RecordedResource { inputs: drifted, ..known.clone() };
    let known = account.bench().change(before, &known.inputs).await;
    account.bench().is_as_recorded(&known).await;
}

#[tokio::test]
async fn what_is_not_visible_yet_is_waited_for() {
    let account = Account::new();
    account.cloud.delay("visible", 1.5);
    let known = account.bench().make("vpc.main", &inputs(&vpc())).await;
    account.bench().is_as_recorded(&known).await;
    account.cloud.delay("visible", 600.0);
    let vpc = VpcId(id(&known));
    let table = RouteTable {
        vpc: vpc.into(),
        main: true,
        routes: vec![],
        subnets: vec![],
        tags: tags("public"),
    };
    let request = request("route_table.public", &table);
    let outputs = account.aws.create(request.clone()).await.expect("a table");
    let early = account.aws.configure(request, outputs).await.expect_err("it is too early");
    assert_eq!(early.class, ErrorClass::Retryable, "{early}");
}

#[tokio::test]
async fn what_is_taken_by_nobody_one_can_see_was_just_made() {
    let account = Account::new();
    let vpc = account.vpc().await;
    account.cloud.delay("visible", 600.0);
    let request = request("subnet.a", &subnet(&vpc, "10.0.0.0/20", "a"));
    let made = account.aws.create(request.clone()).await.expect("a subnet");
    let again = account.aws.create(request.clone()).await.expect_err("its addresses are taken");
    assert_eq!(again.class, ErrorClass::Retryable, "{again}");
    account.cloud.advance(600.0);
    assert_eq!(account.aws.create(request).await.expect("the same one"), made);
}

/// Case D4.
#[tokio::test]
async fn d4_who_holds_what_cannot_go_is_named_and_left_alone() {
    let account = Account::new();
    let bench = account.bench();
    let network = bench.make("vpc.main", &inputs(&vpc())).await;
    let wanted = inputs(&subnet(&VpcId(id(&network)), "10.0.0.0/20", "a"));
    let inside = bench.make("subnet.a", &wanted).await;
    let theirs = account.ec2.create_network_interface().subnet_id(id(&inside));
    let theirs = theirs.description("a proxy of theirs").send().await.expect("an interface");
    let theirs = theirs.network_interface().and_then(|one| one.network_interface_id()).unwrap();
    let named = format!("blocked by {theirs} (a proxy of theirs)");
    for known in [&inside, &network] {
        let refused = account.aws.delete(known.clone()).await.expect_err("blocked by");
        assert!(refused.is(&["DependencyViolation"]), "{refused}");
        assert!(refused.message.contains(&named), "{refused}");
        assert!(refused.hint.is_some_and(|hint| {
            hint.contains("delete or detach the blocking resource if it is unused")
        }));
    }
    let delete = account.ec2.delete_network_interface().network_interface_id(theirs);
    delete.send().await.expect("it was left alone");
    bench.unmake(&inside).await;
    bench.unmake(&network).await;
}

#[tokio::test]
async fn addresses_that_somebody_else_has_taken_are_refused() {
    let account = Account::new();
    let vpc = account.vpc().await;
    account.bench().make("subnet.a", &inputs(&subnet(&vpc, "10.0.0.0/18", "a"))).await;
    let within = request("subnet.b", &subnet(&vpc, "10.0.16.0/20", "b"));
    let refused = account.aws.create(within).await.expect_err("its addresses are taken");
    assert_eq!(refused.code.as_deref(), Some("InvalidSubnet.Conflict"));
    assert_eq!(refused.class, ErrorClass::Permanent, "{refused}");
}
