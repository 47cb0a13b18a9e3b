"""VPCs and what is in them: nothing goes while something needs it, and gateways take their time."""

from moto.core.responses import ActionResult
from moto.ec2.models.vpcs import VPCEndPoint
from moto.ec2.responses import EC2Response
from moto.ec2.utils import generic_filter

from ..world import world_of
from .mend import mend, refuse, violates


@mend(EC2Response)
def delete_vpc(self, moto):
    backend, vpc_id = self.ec2_backend, self._get_param("VpcId")
    vpc = backend.get_vpc(vpc_id)
    for holder in holders_of(backend, vpc_id):
        violates(f"vpc '{vpc_id}'", holder)
    # moto would delete the options set; AWS lets go of it.
    backend.disassociate_dhcp_options(vpc)
    for acl in [a for a in backend.network_acls.values() if a.vpc_id == vpc_id]:
        del backend.network_acls[acl.id]
    return moto()


def holders_of(backend, vpc_id):
    for subnet in backend.describe_subnets():
        if subnet.vpc_id == vpc_id:
            yield f"subnet {subnet.id}"
    for gateway in backend.internet_gateways.values():
        if gateway.vpc and gateway.vpc.id == vpc_id:
            yield f"internet gateway {gateway.id}"
    for gateway in backend.egress_only_internet_gateways.values():
        if gateway.vpc_id == vpc_id:
            yield f"egress-only internet gateway {gateway.id}"
    for gateway in backend.carrier_gateways.values():
        if gateway.vpc_id == vpc_id and gateway.state != "deleted":
            yield f"carrier gateway {gateway.id}"
    for table in backend.route_tables.values():
        if table.vpc_id == vpc_id and table.main_association_id is None:
            yield f"route table {table.id}"
    for group in backend.groups.get(vpc_id, {}).values():
        if not group.is_default:
            yield f"security group {group.id}"
    for endpoint in backend.vpc_end_points.values():
        if endpoint.vpc_id == vpc_id:
            yield f"endpoint {endpoint.id}"
    for gateway in backend.nat_gateways.values():
        if gateway.vpc_id == vpc_id and gateway.state != "deleted":
            yield f"NAT gateway {gateway.id}"


@mend(EC2Response)
def delete_subnet(self, moto):
    backend, subnet_id = self.ec2_backend, self._get_param("SubnetId")
    for interface in backend.enis.values():
        if interface.subnet.id == subnet_id:
            violates(f"subnet '{subnet_id}'", f"{interface.id} ({interface.description})")
    answer = moto()
    for table in backend.route_tables.values():
        table._associations = {a: s for a, s in table._associations.items() if s != subnet_id}
    return answer


@mend(EC2Response)
def delete_route(self, moto):
    """A gateway endpoint's routes go with the endpoint, or with its association with the table."""
    prefix_list = self._get_param("DestinationPrefixListId")
    endpoints = self.ec2_backend.vpc_end_points.values()
    of_endpoint = [e.id for e in endpoints if prefix_list and e.destination_prefix_list_id == prefix_list]
    if of_endpoint and self._get_param("RouteTableId") in endpoint_tables(endpoints, of_endpoint):
        refuse("InvalidParameterValue", f"cannot remove VPC endpoint route {of_endpoint[0]}")
    return moto()


def endpoint_tables(endpoints, ids):
    return {table for endpoint in endpoints if endpoint.id in ids for table in endpoint.route_table_ids}


@mend(EC2Response)
def delete_route_table(self, moto):
    table = self.ec2_backend.get_route_table(self._get_param("RouteTableId"))
    if table.main_association_id is not None:
        violates(f"routeTable '{table.id}'", "it is the main route table of its VPC")
    return moto()


@mend(EC2Response)
def associate_route_table(self, moto):
    wanted = self._get_param("SubnetId")
    for table in self.ec2_backend.route_tables.values():
        if wanted and wanted in table._associations.values():
            refuse(
                "Resource.AlreadyAssociated",
                f"the specified association for route table {self._get_param('RouteTableId')} conflicts with "
                f"an existing association",
            )
    return moto()


@mend(EC2Response)
def create_route(self, moto):
    backend = self.ec2_backend
    nat = self._get_param("NatGatewayId")
    if nat and nat not in backend.nat_gateways:
        refuse("InvalidNatGatewayID.NotFound", f"The natGateway ID '{nat}' does not exist")
    gateway = self._get_param("GatewayId")
    if gateway and gateway.startswith("igw-"):
        table = backend.get_route_table(self._get_param("RouteTableId"))
        attached = backend.get_internet_gateway(gateway).vpc
        if not attached or attached.id != table.vpc_id:
            refuse(
                "InvalidParameterValue",
                f"route table {table.id} and network gateway {gateway} belong to different networks",
            )
    carrier_gateway_of(self)
    return moto()


def carrier_gateway_of(self):
    """Returns the carrier gateway of a request, which is in the network of the route table."""
    wanted = self._get_param("CarrierGatewayId")
    if not wanted:
        return None
    gateway = self.ec2_backend.carrier_gateways.get(wanted)
    if gateway is None or gateway.state in ("deleting", "deleted"):
        refuse("InvalidCarrierGatewayID.NotFound", f"The carrier gateway ID '{wanted}' does not exist")
    table = self.ec2_backend.get_route_table(self._get_param("RouteTableId"))
    if gateway.vpc_id != table.vpc_id:
        refuse(
            "InvalidParameterValue",
            f"route table {table.id} and carrier gateway {wanted} belong to different networks",
        )
    return gateway


@mend(EC2Response)
def replace_route(self, moto):
    """moto does not know carrier gateways here."""
    gateway = carrier_gateway_of(self)
    answer = moto()
    table = self.ec2_backend.get_route_table(self._get_param("RouteTableId"))
    wanted = self._get_param("DestinationCidrBlock")
    for route in table.routes:
        if wanted and route.destination_cidr_block == wanted:
            route.carrier_gateway = gateway
    return answer


@mend(EC2Response)
def attach_internet_gateway(self, moto):
    vpc_id = self._get_param("VpcId")
    self.ec2_backend.get_vpc(vpc_id)
    for gateway in self.ec2_backend.internet_gateways.values():
        if (
            gateway.vpc
            and gateway.vpc.id == vpc_id
            and gateway.id != self._get_param("InternetGatewayId")
        ):
            refuse(
                "InvalidParameterValue",
                f"Network {vpc_id} already has an internet gateway attached",
            )
    return moto()


@mend(EC2Response)
def detach_internet_gateway(self, moto):
    vpc_id = self._get_param("VpcId")
    if any(i.vpc_id == vpc_id and i.public_ip for i in self.ec2_backend.enis.values()):
        refuse(
            "DependencyViolation",
            f"Network {vpc_id} has some mapped public address(es). Please unmap those public address(es) "
            "before detaching the gateway.",
        )
    return moto()


@mend(EC2Response)
def create_carrier_gateway(self, moto):
    """A VPC has at most one carrier gateway, which takes a while."""
    vpc_id = self._get_param("VpcId")
    self.ec2_backend.get_vpc(vpc_id)
    for gateway in self.ec2_backend.carrier_gateways.values():
        if gateway.vpc_id == vpc_id and gateway.state != "deleted":
            refuse("InvalidParameterValue", f"{vpc_id} already has a carrier gateway")
    answer = moto()
    gateway = answer._result["CarrierGateway"]
    gateway.state = "pending"

    def available():
        if gateway.state == "pending":
            gateway.state = "available"

    world_of(self).after("carrier_gateway_pending", available)
    return answer


@mend(EC2Response)
def delete_carrier_gateway(self, _moto):
    """The gateway is described as deleting, then as deleted."""
    wanted = self._get_param("CarrierGatewayId")
    gateway = self.ec2_backend.carrier_gateways.get(wanted)
    if gateway is None or gateway.state == "deleted":
        refuse("InvalidCarrierGatewayID.NotFound", f"The carrier gateway ID '{wanted}' does not exist")
    gateway.state = "deleting"
    world_of(self).after("carrier_gateway_deleting", lambda: setattr(gateway, "state", "deleted"))
    return ActionResult({"CarrierGateway": gateway})


@mend(EC2Response)
def describe_carrier_gateways(self, moto):
    for wanted in self._get_param("CarrierGatewayIds") or []:
        if wanted not in self.ec2_backend.carrier_gateways:
            refuse("InvalidCarrierGatewayID.NotFound", f"The carrier gateway ID '{wanted}' does not exist")
    return with_tags(self, moto(), "CarrierGateways")


def with_tags(self, answer, field):
    """Applies the filters by tag, which moto ignores for these gateways."""
    filters = self._filters_from_querystring()
    by_tag = {name: values for name, values in filters.items() if name.startswith("tag")}
    answer._result[field] = generic_filter(by_tag, list(answer._result[field]))
    return answer


@mend(EC2Response)
def create_egress_only_internet_gateway(self, moto):
    self.ec2_backend.get_vpc(self._get_param("VpcId"))
    return moto()


@mend(EC2Response)
def describe_egress_only_internet_gateways(self, moto):
    """The filters are tag-key and tag:... only (EC2 API reference); moto ignores them."""
    for wanted in self._get_param("EgressOnlyInternetGatewayIds") or []:
        self.ec2_backend.get_egress_only_igw(wanted)
    for name in self._filters_from_querystring():
        if name != "tag-key" and not name.startswith("tag:"):
            refuse("InvalidParameterValue", f"The filter '{name}' is invalid")
    return with_tags(self, moto(), "EgressOnlyInternetGateways")


@mend(EC2Response)
def create_dhcp_options(self, moto):
    answer = moto()
    answer._result["DhcpOptions"].add_tags(self._parse_tag_specification().get("dhcp-options", {}))
    return answer


@mend(EC2Response)
def delete_dhcp_options(self, moto):
    wanted = self._get_param("DhcpOptionsId")
    for vpc in self.ec2_backend.vpcs.values():
        if vpc.dhcp_options and vpc.dhcp_options.id == wanted:
            refuse("DependencyViolation", f"The dhcpOptions '{wanted}' has dependencies: {vpc.id}.")
    return moto()


@mend(EC2Response)
def create_nat_gateway(self, moto):
    here = world_of(self)
    answer = moto()
    nat = answer._result["NatGateway"]
    interface = nat._eni
    interface.description = f"Interface for NAT Gateway {nat.id}"
    interface.interface_type = "nat_gateway"
    interface.requester_managed = True
    interface.status = "in-use"
    interface._group_set = []
    nat.private_ip = interface.private_ip_address
    nat.state = "pending"

    def available():
        if nat.state == "pending":
            nat.state = "available"

    here.after("nat_gateway_pending", available)
    return answer


@mend(EC2Response)
def delete_nat_gateway(self, _moto):
    backend = self.ec2_backend
    nat = existing_nat(backend, self._get_param("NatGatewayId"))
    if nat.state == "deleted":
        refuse("NatGatewayNotFound", f"NAT gateway {nat.id} was not found")
    if nat.state != "deleting":
        nat.state = "deleting"
        world_of(self).after("nat_gateway_deleting", lambda: nat_is_gone(backend, nat))
    return ActionResult({"NatGatewayId": nat.id})


def nat_is_gone(backend, nat):
    for address in backend.addresses:
        if address.eni is nat._eni:
            backend.disassociate_address(address=address.public_ip)
    backend.enis.pop(nat._eni.id, None)
    nat.state = "deleted"


@mend(EC2Response)
def describe_nat_gateways(self, moto):
    for wanted in self._get_param("NatGatewayIds", []):
        existing_nat(self.ec2_backend, wanted)
    return moto()


def existing_nat(backend, nat_id):
    if nat_id not in backend.nat_gateways:
        refuse("NatGatewayNotFound", f"NAT gateway {nat_id} was not found")
    return backend.nat_gateways[nat_id]


# What moto looks for when it is asked for the filter `vpc-endpoint-id`.
VPCEndPoint.vpc_endpoint_id = property(lambda self: self.id)


@mend(EC2Response)
def create_vpc_endpoint(self, moto):
    backend, here = self.ec2_backend, world_of(self)
    kind = self.params.setdefault("VpcEndpointType", "Gateway")
    service = self._get_param("ServiceName")
    tables = self._get_param("RouteTableIds", [])
    for table in tables:
        backend.get_route_table(table)
    if kind == "Gateway":
        refuse_second_route(backend, service, tables)
    answer = moto()
    endpoint = answer._result["VpcEndpoint"]
    for eni_id in endpoint.network_interface_ids:
        interface = backend.enis[eni_id]
        interface.description = f"VPC Endpoint Interface {endpoint.id}"
        interface.interface_type = "vpc_endpoint"
        interface.requester_managed = True
        interface.status = "in-use"
        interface._group_set = [
            backend.get_security_group_from_id(g) for g in endpoint.security_group_ids
        ]
    if kind != "Gateway" or here.delays["vpc_endpoint_pending"] > 0:
        endpoint.state = "pending"
        here.after("vpc_endpoint_pending", lambda: setattr(endpoint, "state", "available"))
    return answer


def refuse_second_route(backend, service, tables):
    """A route table has at most one route to a service."""
    for other in backend.vpc_end_points.values():
        taken = sorted(set(other.route_table_ids) & set(tables))
        if other.service_name == service and taken:
            refuse(
                "RouteAlreadyExists",
                f"route table {taken[0]} already has a route "
                f"with destination-prefix-list-id {other.destination_prefix_list_id}",
            )


@mend(EC2Response)
def modify_vpc_endpoint(self, moto):
    """Moto changes the list of route tables and leaves their routes."""
    backend = self.ec2_backend
    wanted = self._get_param("VpcEndpointId")
    endpoint = backend.vpc_end_points.get(wanted)
    if endpoint is None:
        refuse("InvalidVpcEndpointId.NotFound", f"The Vpc Endpoint Id '{wanted}' does not exist")
    prefix_list = endpoint.destination_prefix_list_id
    before = set(endpoint.route_table_ids)
    added = [t for t in self._get_param("AddRouteTableIds", []) if t not in before]
    for table in added:
        backend.get_route_table(table)
    refuse_second_route(backend, endpoint.service_name, added)
    answer = moto()
    for table in added if prefix_list else []:
        backend.create_route(
            table, None, gateway_id=endpoint.id, destination_prefix_list_id=prefix_list
        )
    for table_id in before - set(endpoint.route_table_ids):
        table = backend.get_route_table(table_id)
        table._routes = {i: r for i, r in table._routes.items() if r.gateway is not endpoint}
    return answer


@mend(EC2Response)
def delete_vpc_endpoints(self, _moto):
    backend, failed = self.ec2_backend, []
    for wanted in self._get_param("VpcEndpointIds", []):
        endpoint = backend.vpc_end_points.get(wanted)
        if endpoint is None:
            message = f"The Vpc Endpoint Id '{wanted}' does not exist"
            error = {"Code": "InvalidVpcEndpointId.NotFound", "Message": message}
            failed.append({"ResourceId": wanted, "Error": error})
        elif endpoint.state != "deleting":
            endpoint.state = "deleting"
            world_of(self).after(
                "vpc_endpoint_deleting",
                lambda endpoint=endpoint: endpoint_is_gone(backend, endpoint),
            )
    return ActionResult({"Unsuccessful": failed})


def endpoint_is_gone(backend, endpoint):
    for eni_id in endpoint.network_interface_ids:
        backend.enis.pop(eni_id, None)
    for table_id in endpoint.route_table_ids:
        table = backend.route_tables.get(table_id)
        if table:
            table._routes = {i: r for i, r in table._routes.items() if r.gateway is not endpoint}
    backend.vpc_end_points.pop(endpoint.id, None)


@mend(EC2Response)
def delete_network_interface(self, moto):
    wanted = self._get_param("NetworkInterfaceId")
    interface = self.ec2_backend.get_network_interface(wanted)
    if interface.status == "in-use":
        refuse(
            "InvalidNetworkInterface.InUse", f"Network interface '{wanted}' is currently in use."
        )
    return moto()


# What AWS answers to the call that starts something, even if it is over by the next look.
EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER = {
    **EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER,
    "CreateNatGatewayResult.NatGateway.State": lambda _: "pending",
    "RunInstances.Reservation.Instances.Instance.MetadataOptions.State": lambda _: "pending",
}
