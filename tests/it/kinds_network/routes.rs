//! NAT gateways and route tables.

use aws_sdk_ec2::types::Filter;
use groundplan_aws::kinds::elastic_ip::{ElasticIp, ElasticIpOutputs};
use groundplan_aws::kinds::nat_gateway::NatGateway;
use groundplan_aws::kinds::route_table::{Route, RouteTable, Via};
use groundplan_aws::model::ids::{AllocationId, NatGatewayId, SubnetId, VpcId};
use groundplan_engine::provider::{Observed, Poll, Provider, RecordedResource};

use super::bench::{Account, id, inputs, other_tags, tags};
use crate::support::kinds::{Contract, Trial, contract};

/// Returns the inputs of a NAT gateway with a new Elastic IP.
async fn nat_gateway(account: &Account, subnet: &SubnetId) -> (RecordedResource, NatGateway) {
    let address = inputs(&ElasticIp { pool: None, tags: tags("eip") });
    let address = account.bench().make("elastic_ip.a", &address).await;
    let outputs: ElasticIpOutputs = serde_json::from_value(address.outputs.clone()).unwrap();
    let allocation: AllocationId = outputs.allocation;
    let subnet = subnet.clone().into();
    (address, NatGateway { subnet, allocation: allocation.into(), tags: tags("nat") })
}

impl Contract for NatGateway {}

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
    contract::<NatGateway>(&account, &wanted, &changes).await;
    // After the deletion of the gateway, the address has no delete blocker.
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
    account.cloud.delay("nat_gateway_deleting", 600.0);
    account.aws.delete(known.clone()).await.expect("deleting");
    let Observed::Present { inputs, .. } = account.bench().refresh(&known).await else {
        panic!("it is not gone yet")
    };
    assert_eq!(inputs["subnet"], serde_json::Value::Null);
    let kind = || "nat_gateway".to_owned();
    let looks = account.aws.gone(kind(), vec![known.clone()]).await.expect("a look");
    assert_eq!(looks, [Poll::Pending("deleting".to_owned())]);
    let looks = account.aws.ready(kind(), vec![known]).await.expect("a look");
    assert!(matches!(looks[..], [Poll::Failed(_)]), "{looks:?}");
}

impl Contract for RouteTable {}

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
    contract::<RouteTable>(&account, &wanted, &changes).await;
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
    };
    account.bench().keeps_its_promises(trial).await;
}
