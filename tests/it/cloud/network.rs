//! VPCs and their parts. A resource that another one depends on cannot be deleted.

use aws_sdk_ec2::types::{
    DomainType, Filter, IpPermission, IpRange, NatGatewayState, NewDhcpConfiguration, ResourceType,
    UserIdGroupPair,
};

use super::{Account, filter, refused, tagged};

fn port(number: i32) -> aws_sdk_ec2::types::builders::IpPermissionBuilder {
    IpPermission::builder().ip_protocol("tcp").from_port(number).to_port(number)
}

fn from_vpc(number: i32) -> IpPermission {
    port(number).ip_ranges(IpRange::builder().cidr_ip("10.0.0.0/16").build()).build()
}

#[tokio::test]
async fn a_subnet_waits_for_its_instances() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let subnet = account.subnet(&vpc).await;
    let instance = account.instance(&subnet, "token").await;
    let delete = || account.ec2.delete_subnet().subnet_id(&subnet).send();
    assert_eq!(refused(delete().await), "DependencyViolation");

    let request = account.ec2.describe_network_interfaces().filters(filter("subnet-id", &subnet));
    let interface = request.send().await.expect("interfaces").network_interfaces()[0].clone();
    let id = interface.network_interface_id().expect("an id");
    let attached = account.ec2.delete_network_interface().network_interface_id(id).send().await;
    assert_eq!(refused(attached), "InvalidNetworkInterface.InUse");

    account.ec2.terminate_instances().instance_ids(instance).send().await.expect("terminated");
    delete().await.expect("the subnet is free");
}

#[tokio::test]
async fn a_vpc_waits_for_everything_in_it() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let delete = || account.ec2.delete_vpc().vpc_id(&vpc).send();

    let group = account.group(&vpc, "group").await;
    assert_eq!(refused(delete().await), "DependencyViolation");
    account.ec2.delete_security_group().group_id(group).send().await.expect("deleted");

    let made = account.ec2.create_internet_gateway().send().await.expect("a gateway");
    let gateway = made.internet_gateway.and_then(|one| one.internet_gateway_id).expect("an id");
    let request = account.ec2.attach_internet_gateway().vpc_id(&vpc);
    request.internet_gateway_id(&gateway).send().await.expect("attached");
    assert_eq!(refused(delete().await), "DependencyViolation");
    let request = account.ec2.detach_internet_gateway().vpc_id(&vpc);
    request.internet_gateway_id(&gateway).send().await.expect("detached");

    let made = account.ec2.create_carrier_gateway().vpc_id(&vpc).send().await.expect("a gateway");
    let gateway = made.carrier_gateway.and_then(|one| one.carrier_gateway_id).expect("an id");
    assert_eq!(refused(delete().await), "DependencyViolation");
    let second = account.ec2.create_carrier_gateway().vpc_id(&vpc).send().await;
    assert_eq!(refused(second), "InvalidParameterValue");
    account.cloud.delay("carrier_gateway_deleting", 600.0);
    let request = account.ec2.delete_carrier_gateway().carrier_gateway_id(&gateway);
    request.send().await.expect("deleting");
    assert_eq!(refused(delete().await), "DependencyViolation");
    account.cloud.advance(600.0);
    let request = account.ec2.delete_carrier_gateway().carrier_gateway_id(&gateway);
    assert_eq!(refused(request.send().await), "InvalidCarrierGatewayID.NotFound");

    let request = account.ec2.create_egress_only_internet_gateway().vpc_id(&vpc);
    let made = request.send().await.expect("a gateway").egress_only_internet_gateway;
    let gateway = made.and_then(|one| one.egress_only_internet_gateway_id).expect("an id");
    assert_eq!(refused(delete().await), "DependencyViolation");
    let by_vpc = Filter::builder().name("vpc-id").values(&vpc).build();
    let request = account.ec2.describe_egress_only_internet_gateways().filters(by_vpc);
    assert_eq!(refused(request.send().await), "InvalidParameterValue");
    let request = account.ec2.delete_egress_only_internet_gateway();
    request.egress_only_internet_gateway_id(&gateway).send().await.expect("deleted");
    delete().await.expect("nothing is in it");
}

#[tokio::test]
async fn dhcp_options_are_tagged_and_outlive_no_vpc() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let configuration = NewDhcpConfiguration::builder().key("domain-name").values("example.com");
    let request = account.ec2.create_dhcp_options().dhcp_configurations(configuration.build());
    let made = request.tag_specifications(tagged(ResourceType::DhcpOptions, "key", "value")).send();
    let made = made.await.expect("options").dhcp_options.expect("options");
    assert_eq!(made.tags()[0].value(), Some("value"));
    let id = made.dhcp_options_id.expect("an id");
    let request = account.ec2.associate_dhcp_options().vpc_id(&vpc);
    request.dhcp_options_id(&id).send().await.expect("associated");
    let delete = || account.ec2.delete_dhcp_options().dhcp_options_id(&id).send();
    assert_eq!(refused(delete().await), "DependencyViolation");
    account.ec2.delete_vpc().vpc_id(&vpc).send().await.expect("deleted");
    delete().await.expect("the options were not the VPC's");
}

#[tokio::test]
async fn a_nat_gateway_holds_its_address_and_its_subnet() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let subnet = account.subnet(&vpc).await;
    let made = account.ec2.create_internet_gateway().send().await.expect("a gateway");
    let gateway = made.internet_gateway.and_then(|one| one.internet_gateway_id).expect("an id");
    let request = account.ec2.attach_internet_gateway().vpc_id(&vpc);
    request.internet_gateway_id(&gateway).send().await.expect("attached");
    let address = account.ec2.allocate_address().domain(DomainType::Vpc).send().await;
    let address = address.expect("an address").allocation_id.expect("an id");

    account.cloud.delay("nat_gateway_pending", 600.0);
    account.cloud.delay("nat_gateway_deleting", 600.0);
    let wait = || account.cloud.advance(600.0);
    let create = || {
        let request = account.ec2.create_nat_gateway().subnet_id(&subnet);
        request.allocation_id(&address).client_token("token")
    };
    let nat = create().send().await.expect("a NAT gateway").nat_gateway.expect("a NAT gateway");
    assert_eq!(nat.state(), Some(&NatGatewayState::Pending));
    let id = nat.nat_gateway_id.expect("an id");
    let again = create().send().await.expect("the same").nat_gateway.expect("the same");
    assert_eq!(again.nat_gateway_id(), Some(id.as_str()));
    let other = create().tag_specifications(tagged(ResourceType::Natgateway, "key", "value"));
    assert_eq!(refused(other.send().await), "IdempotentParameterMismatch");

    let state = async || {
        let request = account.ec2.describe_nat_gateways().nat_gateway_ids(&id);
        request.send().await.expect("NAT gateways").nat_gateways()[0]
            .state
            .clone()
            .expect("a state")
    };
    assert_eq!(state().await, NatGatewayState::Pending);
    wait();
    assert_eq!(state().await, NatGatewayState::Available);

    let release = || account.ec2.release_address().allocation_id(&address).send();
    let detach = || {
        let request = account.ec2.detach_internet_gateway().vpc_id(&vpc);
        request.internet_gateway_id(&gateway).send()
    };
    account.ec2.delete_nat_gateway().nat_gateway_id(&id).send().await.expect("deleted");
    assert_eq!(state().await, NatGatewayState::Deleting);
    assert_eq!(refused(release().await), "InvalidIPAddress.InUse");
    assert_eq!(refused(detach().await), "DependencyViolation");
    let early = account.ec2.delete_subnet().subnet_id(&subnet).send().await;
    assert_eq!(refused(early), "DependencyViolation");
    wait();
    assert_eq!(state().await, NatGatewayState::Deleted);
    release().await.expect("the address is free");
    detach().await.expect("no address is mapped");
    let unknown = account.ec2.describe_nat_gateways().nat_gateway_ids("nat-00000000000000000");
    assert_eq!(refused(unknown.send().await), "NatGatewayNotFound");
}

#[tokio::test]
async fn a_route_table_is_made_once_and_associated_once() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let subnet = account.subnet(&vpc).await;
    let table = async || {
        let made = account.ec2.create_route_table().vpc_id(&vpc).client_token("token").send();
        made.await.expect("a table").route_table.and_then(|one| one.route_table_id).expect("an id")
    };
    let id = table().await;
    assert_eq!(table().await, id);
    let associate = || account.ec2.associate_route_table().route_table_id(&id).subnet_id(&subnet);
    associate().send().await.expect("associated");
    assert_eq!(refused(associate().send().await), "Resource.AlreadyAssociated");
    let delete = || account.ec2.delete_route_table().route_table_id(&id).send();
    assert_eq!(refused(delete().await), "DependencyViolation");
    account.ec2.delete_subnet().subnet_id(&subnet).send().await.expect("deleted");
    delete().await.expect("the association went with the subnet");
}

#[tokio::test]
async fn a_table_has_one_endpoint_for_a_service() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let made = account.ec2.create_route_table().vpc_id(&vpc).send().await.expect("a table");
    let table = made.route_table.and_then(|one| one.route_table_id).expect("an id");
    let create = |token| {
        let request = account.ec2.create_vpc_endpoint().vpc_id(&vpc).route_table_ids(&table);
        request.service_name("com.amazonaws.us-west-2.s3").client_token(token).send()
    };
    let first = create("a").await.expect("an endpoint").vpc_endpoint.expect("an endpoint");
    let again = create("a").await.expect("the same").vpc_endpoint.expect("the same");
    assert_eq!(again.vpc_endpoint_id, first.vpc_endpoint_id);
    assert_eq!(refused(create("b").await), "RouteAlreadyExists");

    let tables = || account.ec2.describe_route_tables().route_table_ids(&table).send();
    let routes = tables().await.expect("tables").route_tables()[0].routes().to_vec();
    let list = routes.iter().find_map(|route| route.destination_prefix_list_id()).expect("a route");
    let call = account.ec2.delete_route().route_table_id(&table).destination_prefix_list_id(list);
    assert_eq!(refused(call.send().await), "InvalidParameterValue");

    let delete = || {
        let request = account.ec2.delete_vpc_endpoints();
        request.vpc_endpoint_ids(first.vpc_endpoint_id.clone().expect("an id")).send()
    };
    assert_eq!(delete().await.expect("deleted").unsuccessful().len(), 0);
    let failed = delete().await.expect("an answer");
    let error = failed.unsuccessful()[0].error().expect("an error");
    assert_eq!(error.code(), Some("InvalidVpcEndpointId.NotFound"));
    let left = tables().await.expect("tables").route_tables()[0].routes().len();
    assert_eq!(left, 1, "the endpoint's route went with it");
}

#[tokio::test]
async fn rules_are_authorized_all_or_none() {
    let account = Account::new();
    let group = account.group(&account.vpc().await, "group").await;
    let authorize = |permissions: Vec<IpPermission>| {
        let request = account.ec2.authorize_security_group_ingress().group_id(&group);
        request.set_ip_permissions(Some(permissions)).send()
    };
    let made = authorize(vec![from_vpc(22), from_vpc(80)]).await.expect("rules");
    assert_eq!(made.security_group_rules().len(), 2);
    let duplicate = authorize(vec![from_vpc(443), from_vpc(22)]).await;
    assert_eq!(refused(duplicate), "InvalidPermission.Duplicate");
    let request = account.ec2.describe_security_groups().group_ids(&group);
    let seen = request.send().await.expect("groups").security_groups()[0].clone();
    assert_eq!(seen.ip_permissions().len(), 2, "443 is not there");

    let everything = IpPermission::builder().ip_protocol("-1");
    let everywhere = IpRange::builder().cidr_ip("0.0.0.0/0").description("other words").build();
    let request = account.ec2.authorize_security_group_egress().group_id(&group);
    let duplicate = request.ip_permissions(everything.ip_ranges(everywhere).build()).send().await;
    assert_eq!(refused(duplicate), "InvalidPermission.Duplicate");
}

#[tokio::test]
async fn a_security_group_waits_for_who_uses_it_or_refers_to_it() {
    let account = Account::new();
    let vpc = account.vpc().await;
    let subnet = account.subnet(&vpc).await;
    let (used, referred) =
        (account.group(&vpc, "used").await, account.group(&vpc, "referred").await);
    let pair = UserIdGroupPair::builder().group_id(&referred).build();
    let request = account.ec2.authorize_security_group_ingress().group_id(&used);
    let permission = port(22).user_id_group_pairs(pair).build();
    request.ip_permissions(permission).send().await.expect("a rule");
    let delete = |id: &str| account.ec2.delete_security_group().group_id(id).send();
    assert_eq!(refused(delete(&referred).await), "DependencyViolation");

    let run = account.run(&subnet, "token").security_group_ids(&used).send().await;
    let instance = run.expect("an instance").instances()[0].instance_id.clone().expect("an id");
    assert_eq!(refused(delete(&used).await), "DependencyViolation");
    account.ec2.terminate_instances().instance_ids(instance).send().await.expect("terminated");
    delete(&used).await.expect("it is unused");
    delete(&referred).await.expect("it is not referenced");

    let request = account.ec2.describe_security_groups().filters(filter("vpc-id", &vpc));
    let default = request.send().await.expect("groups").security_groups()[0].group_id.clone();
    assert_eq!(refused(delete(&default.expect("an id")).await), "CannotDelete");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let account = Account::new();
    for _ in 0..8 {
        account.vpc().await;
    }
    let mut pages = account.ec2.describe_vpcs().into_paginator().page_size(5).send();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        sizes.push(page.expect("a page").vpcs().len());
    }
    assert_eq!(sizes, [5, 4], "eight and the default one");
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let account = Account::new();
    let create = account.ec2.create_vpc().cidr_block("10.0.0.0/16").dry_run(true).send().await;
    assert_eq!(refused(create), "DryRunOperation");
    assert_eq!(account.cloud.inventory()["vpc"], serde_json::Value::Null);
    assert_eq!(account.cloud.mutating_calls(), 0);
    let vpc = account.vpc().await;
    let delete = account.ec2.delete_vpc().vpc_id(&vpc).dry_run(true).send().await;
    assert_eq!(refused(delete), "DryRunOperation");
    account.ec2.delete_vpc().vpc_id(&vpc).send().await.expect("it was still there");
}

#[tokio::test]
async fn several_values_of_a_filter_are_alternatives() {
    let account = Account::new();
    let tags = tagged(ResourceType::Vpc, "one", "1");
    let create = account.ec2.create_vpc().cidr_block("10.0.0.0/16").tag_specifications(tags);
    let vpc = create.send().await.expect("a network").vpc.and_then(|vpc| vpc.vpc_id).unwrap();
    for (keys, found) in [(&["one", "other"][..], 1), (&["one"], 1), (&["other", "more"], 0)] {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        let filter = Filter::builder().name("tag-key").set_values(Some(keys)).build();
        let described = account.ec2.describe_vpcs().vpc_ids(&vpc).filters(filter).send().await;
        assert_eq!(described.expect("an answer").vpcs().len(), found);
    }
}
