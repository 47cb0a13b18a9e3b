//! The kinds of the network keep their promises against the test cloud.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{Filter, IpPermission, IpRange, SecurityGroupRule, Tag};
use groundplan::aws::dhcp_options::DhcpOptions;
use groundplan::aws::elastic_ip::{ElasticIp, ElasticIpOutputs};
use groundplan::aws::ids::{
    AllocationId, DhcpOptionsId, InternetGatewayId, NatGatewayId, RouteTableId, SecurityGroupId,
    SubnetId, VpcId,
};
use groundplan::aws::internet_gateway::InternetGateway;
use groundplan::aws::nat_gateway::NatGateway;
use groundplan::aws::route_table::{Route, RouteTable, Via};
use groundplan::aws::security_group::SecurityGroup;
use groundplan::aws::security_group_rules::{Peer, Ports, Rule, SecurityGroupRules};
use groundplan::aws::subnet::Subnet;
use groundplan::aws::vpc::Vpc;
use groundplan::aws::vpc_endpoint::VpcEndpoint;
use groundplan::aws::{Aws, Settings, Tags};
use groundplan::graph::Resource;
use groundplan::provider::{Class, Known, Look, Observed, Provider, ProviderError, Request};
use serde_json::{Value, json};

use crate::support::cloud::{Cloud, shared};
use crate::support::kinds::{Bench, Trial};

const CLUSTER_TAG: &str = "kubernetes.io/cluster/demo-x7k2p";

/// An account of the test cloud, and AWS as a provider in it.
struct Account {
    cloud: Cloud,
    aws: Aws,
    ec2: aws_sdk_ec2::Client,
}

impl Account {
    fn new() -> Self {
        let cloud = shared();
        let settings = Settings {
            region: cloud.region().to_owned(),
            cluster_tag: CLUSTER_TAG.to_owned(),
            ..Settings::default()
        };
        let aws = Aws::new(&cloud.sdk_config(), settings);
        Self { aws, ec2: aws_sdk_ec2::Client::new(&cloud.sdk_config()), cloud }
    }

    fn bench(&self) -> Bench<'_, Aws> {
        Bench::new(&self.aws)
    }

    async fn vpc(&self) -> VpcId {
        VpcId(id(&self.bench().make("vpc.main", &inputs(&vpc())).await))
    }

    async fn subnet(&self, vpc: &VpcId, name: &str, cidr: &str) -> SubnetId {
        let address = format!("subnet.{name}");
        SubnetId(id(&self.bench().make(&address, &inputs(&subnet(vpc, cidr, name))).await))
    }

    async fn gateway(&self, vpc: &VpcId) -> (Known, InternetGatewayId) {
        let wanted = InternetGateway { vpc: vpc.clone().into(), tags: tags("igw") };
        let made = self.bench().make("internet_gateway.main", &inputs(&wanted)).await;
        let gateway = InternetGatewayId(id(&made));
        (made, gateway)
    }

    async fn group(&self, vpc: &VpcId, name: &str) -> (Known, SecurityGroupId) {
        let wanted = inputs(&security_group(vpc, name));
        let made = self.bench().make(&format!("security_group.{name}"), &wanted).await;
        let group = SecurityGroupId(id(&made));
        (made, group)
    }
}

fn inputs<R: Resource>(resource: &R) -> Value {
    serde_json::to_value(resource).expect("plain data")
}

fn id(known: &Known) -> String {
    known.outputs["id"].as_str().expect("an id").to_owned()
}

fn request<R: Resource>(address: &str, resource: &R) -> Request {
    Request {
        address: address.into(),
        token: "token".to_owned(),
        inputs: inputs(resource),
        secrets: std::sync::Arc::default(),
    }
}

fn tags(name: &str) -> Tags {
    [("Name", name), (CLUSTER_TAG, "owned"), ("team", "red")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Other tags: one changed, one gone, one new.
fn other_tags(name: &str) -> Tags {
    let mut tags = tags(name);
    tags.insert("Name".to_owned(), format!("{name}-renamed"));
    tags.remove("team");
    tags.insert("cost".to_owned(), "42".to_owned());
    tags
}

fn vpc() -> Vpc {
    Vpc {
        cidr: "10.0.0.0/16".parse().unwrap(),
        dhcp_options: None,
        dns_hostnames: true,
        dns_support: true,
        tags: tags("vpc"),
    }
}

fn subnet(vpc: &VpcId, cidr: &str, name: &str) -> Subnet {
    Subnet {
        vpc: vpc.clone().into(),
        cidr: cidr.parse().unwrap(),
        zone: "us-west-2a".to_owned(),
        tags: tags(name),
    }
}

fn security_group(vpc: &VpcId, name: &str) -> SecurityGroup {
    SecurityGroup {
        vpc: vpc.clone().into(),
        name: format!("demo-x7k2p-{name}"),
        description: "what it is for".to_owned(),
        tags: tags(name),
    }
}

fn rule(protocol: &str, ports: Option<(i32, i32)>, peer: Peer) -> Rule {
    let ports = ports.map(|(from, to)| Ports { from, to });
    Rule { protocol: protocol.to_owned(), ports, peer, description: "made by us".to_owned() }
}

fn from(ranges: &[&str]) -> Peer {
    Peer::Cidrs(ranges.iter().map(|range| range.parse().unwrap()).collect())
}

fn who(group: &SecurityGroupId) -> Peer {
    Peer::Group(group.clone().into())
}

#[tokio::test]
async fn a_vpc_keeps_its_promises() {
    let account = Account::new();
    let renamed = Vpc { tags: other_tags("vpc"), ..vpc() };
    let deaf = Vpc { dns_hostnames: false, dns_support: false, ..vpc() };
    let changes = vec![inputs(&renamed), inputs(&deaf), inputs(&vpc())];
    let trial = Trial { address: "vpc.main", inputs: inputs(&vpc()), changes, repeatable: false };
    account.bench().keeps_its_promises(trial).await;
}

fn dhcp_options() -> DhcpOptions {
    DhcpOptions {
        domain_name: "us-west-2.compute.internal".to_owned(),
        domain_name_servers: vec!["AmazonProvidedDNS".to_owned()],
        tags: tags("dhcp"),
    }
}

#[tokio::test]
async fn dhcp_options_keep_their_promises() {
    let account = Account::new();
    let changes = vec![inputs(&DhcpOptions { tags: other_tags("dhcp"), ..dhcp_options() })];
    let trial = Trial {
        address: "dhcp_options.main",
        inputs: inputs(&dhcp_options()),
        changes,
        repeatable: false,
    };
    account.bench().keeps_its_promises(trial).await;
}

#[tokio::test]
async fn a_vpc_that_was_given_other_dhcp_options_gets_its_own_back() {
    let account = Account::new();
    let options = account.bench().make("dhcp_options.main", &inputs(&dhcp_options())).await;
    let wanted = Vpc { dhcp_options: Some(DhcpOptionsId(id(&options)).into()), ..vpc() };
    let known = account.bench().make("vpc.main", &inputs(&wanted)).await;
    account.bench().is_as_recorded(&known).await;
    let other = account.ec2.associate_dhcp_options().vpc_id(id(&known)).dhcp_options_id("default");
    other.send().await.expect("associated");
    let Observed::Present { inputs: left, .. } = account.bench().observe(&known).await else {
        panic!("the VPC is there")
    };
    assert_ne!(left["dhcp_options"], known.inputs["dhcp_options"]);
    let before = Known { inputs: left, ..known };
    let known = account.bench().change(before, &inputs(&wanted)).await;
    account.bench().is_as_recorded(&known).await;
    account.bench().unmake(&known).await;
    account.bench().unmake(&options).await;
}

#[tokio::test]
async fn a_subnet_keeps_its_promises() {
    let account = Account::new();
    let wanted = subnet(&account.vpc().await, "10.0.0.0/20", "a");
    let changes = vec![inputs(&Subnet { tags: other_tags("a"), ..wanted.clone() })];
    let trial = Trial { address: "subnet.a", inputs: inputs(&wanted), changes, repeatable: false };
    account.bench().keeps_its_promises(trial).await;
}

#[tokio::test]
async fn an_internet_gateway_keeps_its_promises() {
    let account = Account::new();
    let wanted = InternetGateway { vpc: account.vpc().await.into(), tags: tags("igw") };
    let changes = vec![inputs(&InternetGateway { tags: other_tags("igw"), ..wanted.clone() })];
    let trial = Trial {
        address: "internet_gateway.main",
        inputs: inputs(&wanted),
        changes,
        repeatable: false,
    };
    account.bench().keeps_its_promises(trial).await;
}

#[tokio::test]
async fn an_address_keeps_its_promises() {
    let account = Account::new();
    let trial = Trial {
        address: "elastic_ip.a",
        inputs: inputs(&ElasticIp { tags: tags("eip") }),
        changes: vec![inputs(&ElasticIp { tags: other_tags("eip") })],
        repeatable: false,
    };
    account.bench().keeps_its_promises(trial).await;
}

/// A NAT gateway wanted in a subnet of its own, behind an address of its own.
async fn nat_gateway(account: &Account, subnet: &SubnetId) -> (Known, NatGateway) {
    let address = inputs(&ElasticIp { tags: tags("eip") });
    let address = account.bench().make("elastic_ip.a", &address).await;
    let outputs: ElasticIpOutputs = serde_json::from_value(address.outputs.clone()).unwrap();
    let allocation: AllocationId = outputs.allocation;
    let subnet = subnet.clone().into();
    (address, NatGateway { subnet, allocation: allocation.into(), tags: tags("nat") })
}

#[tokio::test]
async fn a_nat_gateway_keeps_its_promises() {
    let account = Account::new();
    account.cloud.delay("nat_gateway_pending", 0.3);
    account.cloud.delay("nat_gateway_deleting", 0.3);
    let vpc = account.vpc().await;
    account.gateway(&vpc).await;
    let subnet = account.subnet(&vpc, "public", "10.0.0.0/20").await;
    let (address, wanted) = nat_gateway(&account, &subnet).await;
    let changes = vec![inputs(&NatGateway { tags: other_tags("nat"), ..wanted.clone() })];
    let trial =
        Trial { address: "nat_gateway.a", inputs: inputs(&wanted), changes, repeatable: true };
    account.bench().keeps_its_promises(trial).await;
    // Once it is gone, nothing holds its address any more.
    account.bench().unmake(&address).await;
}

#[tokio::test]
async fn a_nat_gateway_that_goes_away_serves_nobody() {
    let account = Account::new();
    let vpc = account.vpc().await;
    account.gateway(&vpc).await;
    let subnet = account.subnet(&vpc, "public", "10.0.0.0/20").await;
    let (_, wanted) = nat_gateway(&account, &subnet).await;
    let known = account.bench().make("nat_gateway.a", &inputs(&wanted)).await;
    account.cloud.delay("nat_gateway_deleting", 30.0);
    account.aws.delete(known.clone()).await.expect("deleting");
    let Observed::Present { inputs, .. } = account.bench().observe(&known).await else {
        panic!("it is not gone yet")
    };
    assert_eq!(inputs["subnet"], "none");
    let kind = || "nat_gateway".to_owned();
    let looks = account.aws.gone(kind(), vec![known.clone()]).await.expect("a look");
    assert_eq!(looks, [Look::NotYet("deleting".to_owned())]);
    let looks = account.aws.ready(kind(), vec![known]).await.expect("a look");
    assert!(matches!(looks[..], [Look::Failed(_)]), "{looks:?}");
}

#[tokio::test]
async fn a_main_route_table_keeps_its_promises_and_leaves_the_vpc_as_it_was_born() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let (gateway_known, gateway) = account.gateway(&vpc).await;
    let a = account.subnet(&vpc, "a", "10.0.0.0/20").await;
    let b = account.subnet(&vpc, "b", "10.0.16.0/20").await;
    let to_internet = Route {
        destination: "0.0.0.0/0".parse().unwrap(),
        via: Via::InternetGateway(gateway.into()),
    };
    let wanted = RouteTable {
        vpc: vpc.clone().into(),
        main: true,
        routes: vec![to_internet.clone()],
        subnets: vec![b.clone().into(), a.clone().into()],
        tags: tags("public"),
    };
    let elsewhere = Route { destination: "192.0.2.0/24".parse().unwrap(), ..to_internet };
    let changes = vec![
        inputs(&RouteTable { routes: vec![elsewhere], ..wanted.clone() }),
        inputs(&RouteTable { subnets: vec![a.into()], main: false, ..wanted.clone() }),
        inputs(&RouteTable { tags: other_tags("public"), ..wanted.clone() }),
    ];
    let trial =
        Trial { address: "route_table.public", inputs: inputs(&wanted), changes, repeatable: true };
    account.bench().keeps_its_promises(trial).await;
    account.bench().unmake(&gateway_known).await;
    for subnet in account.ec2.describe_subnets().filters(of(&vpc)).send().await.unwrap().subnets() {
        let subnet = subnet.subnet_id().unwrap();
        account.ec2.delete_subnet().subnet_id(subnet).send().await.expect("nothing is in it");
    }
    account.ec2.delete_vpc().vpc_id(vpc.as_str()).send().await.expect("its own table remains");
}

fn of(vpc: &VpcId) -> Filter {
    Filter::builder().name("vpc-id").values(vpc.as_str()).build()
}

#[tokio::test]
async fn a_private_route_table_keeps_its_promises_and_takes_over_a_subnet() {
    let account = Account::new();
    let vpc = account.vpc().await;
    account.gateway(&vpc).await;
    let public = account.subnet(&vpc, "public", "10.0.0.0/20").await;
    let private = account.subnet(&vpc, "private", "10.0.16.0/20").await;
    let (_, nat) = nat_gateway(&account, &public).await;
    let nat = account.bench().make("nat_gateway.a", &inputs(&nat)).await;
    let via = Via::NatGateway(NatGatewayId(id(&nat)).into());
    let wanted = RouteTable {
        vpc: vpc.clone().into(),
        main: false,
        routes: vec![Route { destination: "0.0.0.0/0".parse().unwrap(), via }],
        subnets: vec![private.clone().into()],
        tags: tags("private"),
    };
    let theirs = account.ec2.create_route_table().vpc_id(vpc.as_str()).send().await.unwrap();
    let theirs = theirs.route_table.and_then(|table| table.route_table_id).unwrap();
    let request = account.ec2.associate_route_table().route_table_id(theirs);
    request.subnet_id(private.as_str()).send().await.expect("associated");
    let trial = Trial {
        address: "route_table.private",
        inputs: inputs(&wanted),
        changes: vec![inputs(&RouteTable { routes: vec![], ..wanted.clone() })],
        repeatable: true,
    };
    account.bench().keeps_its_promises(trial).await;
}

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

/// Repeats a step as the engine does after a lost answer; at no time may it be refused.
async fn until_it_goes_through<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<T, ProviderError>,
) -> T {
    for _ in 0..4 {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert_ne!(error.class, Class::Refused, "{what}: {error}"),
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
        // A token answers with what it made once, even when that is gone: each life has its own.
        let wanted = Request { token: call.to_owned(), ..request("route_table.public", &table) };
        let outputs = account.aws.create(wanted.clone()).await.expect("a table");
        account.cloud.fault(&json!({ "action": call, "when": "after", "kind": "drop" }));
        let outputs = until_it_goes_through(call, async || {
            account.aws.configure(wanted.clone(), outputs.clone()).await
        });
        let Request { address, token, inputs, .. } = wanted.clone();
        let known = Known { address, token, inputs, outputs: outputs.await };
        account.bench().is_as_recorded(&known).await;
        for call in ["ReplaceRouteTableAssociation", "DisassociateRouteTable", "DeleteRouteTable"] {
            account.cloud.fault(&json!({ "action": call, "when": "after", "kind": "drop" }));
        }
        until_it_goes_through("delete", async || account.aws.delete(known.clone()).await).await;
        account.cloud.clear_faults();
        assert_eq!(account.bench().observe(&known).await, Observed::Missing);
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
async fn an_endpoint_keeps_its_promises() {
    let account = Account::new();
    account.cloud.delay("vpc_endpoint_pending", 0.2);
    account.cloud.delay("vpc_endpoint_deleting", 0.2);
    let vpc = account.vpc().await;
    let mut tables = Vec::new();
    for name in ["a", "b"] {
        let table = RouteTable {
            vpc: vpc.clone().into(),
            main: false,
            routes: vec![],
            subnets: vec![],
            tags: tags(name),
        };
        let known = account.bench().make(&format!("route_table.{name}"), &inputs(&table)).await;
        tables.push(RouteTableId(id(&known)).into());
    }
    let wanted = VpcEndpoint {
        vpc: vpc.into(),
        service: "com.amazonaws.us-west-2.s3".to_owned(),
        route_tables: tables.clone(),
        tags: tags("s3"),
    };
    let changes = vec![
        inputs(&VpcEndpoint { route_tables: tables[..1].to_vec(), ..wanted.clone() }),
        inputs(&VpcEndpoint { tags: other_tags("s3"), ..wanted.clone() }),
    ];
    let trial =
        Trial { address: "vpc_endpoint.s3", inputs: inputs(&wanted), changes, repeatable: true };
    account.bench().keeps_its_promises(trial).await;
}

#[tokio::test]
async fn a_security_group_keeps_its_promises() {
    let account = Account::new();
    let wanted = security_group(&account.vpc().await, "master");
    let changes = vec![inputs(&SecurityGroup { tags: other_tags("master"), ..wanted.clone() })];
    let trial = Trial {
        address: "security_group.master",
        inputs: inputs(&wanted),
        changes,
        repeatable: true,
    };
    account.bench().keeps_its_promises(trial).await;
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
    assert_eq!(refused.class, Class::Refused);
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
        repeatable: true,
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
async fn groups_that_refer_to_each_other_go_once_their_rules_are_gone() {
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
    let held = account.aws.delete(master_known.clone()).await.expect_err("it is referred to");
    assert_eq!(held.code.as_deref(), Some("DependencyViolation"));
    for known in rules.iter().chain([&master_known, &worker_known]).chain(&rules) {
        account.bench().unmake(known).await;
    }
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
        let observed = account.aws.observe(kind.to_owned(), known.clone()).await.expect("observed");
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
    let Observed::Present { inputs: drifted, .. } = account.bench().observe(&known).await else {
        panic!("the VPC is there")
    };
    assert_eq!(drifted["tags"].get(CLUSTER_TAG), None);
    assert_eq!(drifted["tags"]["Name"], "vpc");
    let before = Known { inputs: drifted, ..known.clone() };
    let known = account.bench().change(before, &known.inputs).await;
    account.bench().is_as_recorded(&known).await;
}

#[tokio::test]
async fn what_is_not_visible_yet_is_waited_for() {
    let account = Account::new();
    account.cloud.delay("visible", 1.5);
    let known = account.bench().make("vpc.main", &inputs(&vpc())).await;
    account.bench().is_as_recorded(&known).await;
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
    assert_eq!(early.class, Class::Again, "{early}");
}

#[tokio::test]
async fn what_is_taken_by_nobody_one_can_see_was_just_made() {
    let account = Account::new();
    let vpc = account.vpc().await;
    account.cloud.delay("visible", 60.0);
    let request = request("subnet.a", &subnet(&vpc, "10.0.0.0/20", "a"));
    let made = account.aws.create(request.clone()).await.expect("a subnet");
    let again = account.aws.create(request.clone()).await.expect_err("its addresses are taken");
    assert_eq!(again.class, Class::Again, "{again}");
    account.cloud.advance(60.0);
    assert_eq!(account.aws.create(request).await.expect("the same one"), made);
}

#[tokio::test]
async fn addresses_that_somebody_else_has_taken_are_refused() {
    let account = Account::new();
    let vpc = account.vpc().await;
    account.bench().make("subnet.a", &inputs(&subnet(&vpc, "10.0.0.0/18", "a"))).await;
    let within = request("subnet.b", &subnet(&vpc, "10.0.16.0/20", "b"));
    let refused = account.aws.create(within).await.expect_err("its addresses are taken");
    assert_eq!(refused.code.as_deref(), Some("InvalidSubnet.Conflict"));
    assert_eq!(refused.class, Class::Refused, "{refused}");
}
