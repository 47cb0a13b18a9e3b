//! Tests of the network kinds against the test cloud.

mod bench;
mod groups;
mod routes;
mod trouble;

use bench::{Account, id, inputs, other_tags, subnet, tags, vpc};
use groundplan_aws::kinds::carrier_gateway::CarrierGateway;
use groundplan_aws::kinds::dhcp_options::DhcpOptions;
use groundplan_aws::kinds::egress_only_internet_gateway::EgressOnlyInternetGateway;
use groundplan_aws::kinds::elastic_ip::ElasticIp;
use groundplan_aws::kinds::internet_gateway::InternetGateway;
use groundplan_aws::kinds::route_table::RouteTable;
use groundplan_aws::kinds::subnet::Subnet;
use groundplan_aws::kinds::vpc::Vpc;
use groundplan_aws::kinds::vpc_endpoint::VpcEndpoint;
use groundplan_aws::model::ids::{DhcpOptionsId, RouteTableId};
use groundplan_engine::provider::{Observed, RecordedResource};

use crate::support::kinds::{Contract, contract, kind_contract};

kind_contract! {
    async fn a_vpc_keeps_its_promises(account = Account::new()) -> Vpc {
        let renamed = Vpc { tags: other_tags("vpc"), ..vpc() };
        let deaf = Vpc { dns_hostnames: false, dns_support: false, ..vpc() };
        let changes = vec![renamed, deaf, vpc()];
        (vpc(), changes)
    }
}

fn dhcp_options() -> DhcpOptions {
    DhcpOptions {
        domain_name: "us-west-2.compute.internal".to_owned(),
        domain_name_servers: vec!["AmazonProvidedDNS".to_owned()],
        tags: tags("dhcp"),
    }
}

kind_contract! {
    async fn dhcp_options_keep_their_promises(account = Account::new()) -> DhcpOptions {
        let changes = vec![DhcpOptions { tags: other_tags("dhcp"), ..dhcp_options() }];
        (dhcp_options(), changes)
    }
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
    let Observed::Present { inputs: left, .. } = account.bench().refresh(&known).await else {
        panic!("the VPC is there")
    };
    assert_ne!(left["dhcp_options"], known.inputs["dhcp_options"]);
    let before = RecordedResource { inputs: left, ..known };
    let known = account.bench().change(before, &inputs(&wanted)).await;
    account.bench().is_as_recorded(&known).await;
    account.bench().unmake(&known).await;
    account.bench().unmake(&options).await;
}

kind_contract! {
    async fn a_subnet_keeps_its_promises(account = Account::new()) -> Subnet {
        let wanted = subnet(&account.vpc().await, "10.0.0.0/20", "a");
        let changes = vec![Subnet { tags: other_tags("a"), ..wanted.clone() }];
        (wanted, changes)
    }
}

kind_contract! {
    async fn an_internet_gateway_keeps_its_promises(account = Account::new()) -> InternetGateway {
        let wanted = InternetGateway { vpc: account.vpc().await.into(), tags: tags("igw") };
        let changes = vec![InternetGateway { tags: other_tags("igw"), ..wanted.clone() }];
        (wanted, changes)
    }
}

kind_contract! {
    async fn an_egress_only_gateway_keeps_its_promises(account = Account::new()) -> EgressOnlyInternetGateway {
        let vpc = account.vpc().await;
        let wanted = EgressOnlyInternetGateway { vpc: vpc.into(), tags: tags("eigw") };
        let changes = vec![EgressOnlyInternetGateway { tags: other_tags("eigw"), ..wanted.clone() }];
        (wanted, changes)
    }
}

kind_contract! {
    async fn a_carrier_gateway_keeps_its_promises(account = Account::new()) -> CarrierGateway {
        account.cloud.delay("carrier_gateway_pending", 0.2);
        account.cloud.delay("carrier_gateway_deleting", 0.2);
        let wanted = CarrierGateway { vpc: account.vpc().await.into(), tags: tags("cagw") };
        let changes = vec![CarrierGateway { tags: other_tags("cagw"), ..wanted.clone() }];
        (wanted, changes)
    }
}

kind_contract! {
    async fn an_address_keeps_its_promises(account = Account::new()) -> ElasticIp {
        let address = |tags| ElasticIp { pool: None, tags };
        (address(tags("eip")), vec![address(other_tags("eip"))])
    }
}

impl Contract for VpcEndpoint {}

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
    contract::<VpcEndpoint>(&account, &wanted, &changes).await;
}
