"""Eventual consistency in EC2: what was just created is not described yet (delay `visible`), though
calls that refer to it go through."""

from moto.ec2.responses import EC2Response

from ..world import world_of
from .mend import mend, refuse, replace

# Creating method: where its answer has what was made.
CREATIONS = {
    "allocate_address": lambda r: [r["AllocationId"]],
    "create_dhcp_options": lambda r: [r["DhcpOptions"].id],
    "create_carrier_gateway": lambda r: [r["CarrierGateway"].id],
    "create_egress_only_internet_gateway": lambda r: [r["EgressOnlyInternetGateway"].id],
    "create_internet_gateway": lambda r: [r["InternetGateway"].id],
    "create_nat_gateway": lambda r: [r["NatGateway"].id],
    "create_network_interface": lambda r: [r["NetworkInterface"].id],
    "create_route_table": lambda r: [r["RouteTable"].id],
    "create_security_group": lambda r: [r["GroupId"]],
    "create_subnet": lambda r: [r["Subnet"].id],
    "create_vpc": lambda r: [r["Vpc"].id],
    "create_vpc_endpoint": lambda r: [r["VpcEndpoint"].id],
    "run_instances": lambda r: [instance.id for instance in r.instances],
}
# Describing method: its list, its parameter of ids, and the error for an id it does not know.
DESCRIPTIONS = {
    "describe_addresses": ("Addresses", "AllocationIds", "InvalidAllocationID.NotFound"),
    "describe_dhcp_options": ("DhcpOptions", "DhcpOptionsIds", "InvalidDhcpOptionID.NotFound"),
    "describe_internet_gateways": (
        "InternetGateways",
        "InternetGatewayIds",
        "InvalidInternetGatewayID.NotFound",
    ),
    "describe_carrier_gateways": (
        "CarrierGateways",
        "CarrierGatewayIds",
        "InvalidCarrierGatewayID.NotFound",
    ),
    "describe_egress_only_internet_gateways": (
        "EgressOnlyInternetGateways",
        "EgressOnlyInternetGatewayIds",
        "InvalidGatewayID.NotFound",
    ),
    "describe_nat_gateways": ("NatGateways", "NatGatewayIds", "NatGatewayNotFound"),
    "describe_network_interfaces": (
        "NetworkInterfaces",
        "NetworkInterfaceIds",
        "InvalidNetworkInterfaceID.NotFound",
    ),
    "describe_route_tables": ("RouteTables", "RouteTableIds", "InvalidRouteTableID.NotFound"),
    "describe_security_groups": ("SecurityGroups", "GroupIds", "InvalidGroup.NotFound"),
    "describe_subnets": ("Subnets", "SubnetIds", "InvalidSubnetID.NotFound"),
    "describe_vpcs": ("Vpcs", "VpcIds", "InvalidVpcID.NotFound"),
    "describe_vpc_endpoints": ("VpcEndpoints", "VpcEndpointIds", "InvalidVpcEndpointId.NotFound"),
    "describe_instances": ("Reservations", "InstanceIds", "InvalidInstanceID.NotFound"),
}


def hide(here, keys):
    """Hides what is new; what was answered once more is not."""
    if here.delays["visible"] > 0:
        until = here.now() + here.delays["visible"]
        here.hidden.update({key: here.hidden.get(key, until) for key in keys})


def hidden_in(here):
    now = here.now()
    return {key for key, until in here.hidden.items() if until > now}


def hiding(made):
    def method(self, moto):
        answer = moto()
        hide(world_of(self), made(answer._result))
        return answer

    return method


def looking(field, ids, code):
    def method(self, moto):
        hidden = hidden_in(world_of(self))
        for wanted in self._get_param(ids) or []:
            if wanted in hidden:
                refuse(code, f"The ID '{wanted}' does not exist")
        answer = moto()
        if hidden:
            answer._result[field] = [
                one for one in answer._result[field] if not is_hidden(one, hidden)
            ]
        return answer

    return method


@mend(EC2Response)
def describe_tags(self, moto):
    hidden = hidden_in(world_of(self))
    answer = moto()
    answer._result["Tags"] = [
        tag for tag in answer._result["Tags"] if tag["resource_id"] not in hidden
    ]
    return answer


def is_hidden(one, hidden):
    if hasattr(one, "instances"):
        return any(instance.id in hidden for instance in one.instances)
    return one.id in hidden


for name, made in CREATIONS.items():
    replace(EC2Response, name, hiding(made))
for name, (field, ids, code) in DESCRIPTIONS.items():
    replace(EC2Response, name, looking(field, ids, code))
