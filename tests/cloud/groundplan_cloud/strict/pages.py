"""MaxResults and NextToken where moto answers with everything."""

import base64
import binascii

from moto.ec2.responses import EC2Response

from .mend import refuse, replace

# EC2 takes 5 to 1000 here, as its API reference says.
SIZES = range(5, 1001)
SMALLER = {"describe_egress_only_internet_gateways": range(5, 256)}
LISTS = {
    "describe_carrier_gateways": "CarrierGateways",
    "describe_dhcp_options": "DhcpOptions",
    "describe_egress_only_internet_gateways": "EgressOnlyInternetGateways",
    "describe_images": "Images",
    "describe_internet_gateways": "InternetGateways",
    "describe_nat_gateways": "NatGateways",
    "describe_network_interfaces": "NetworkInterfaces",
    "describe_route_tables": "RouteTables",
    "describe_security_group_rules": "SecurityGroupRules",
    "describe_security_groups": "SecurityGroups",
    "describe_subnets": "Subnets",
    "describe_volumes": "Volumes",
    "describe_vpc_endpoints": "VpcEndpoints",
    "describe_vpcs": "Vpcs",
}


def paged(name, field):
    sizes = SMALLER.get(name, SIZES)

    def method(self, moto):
        size, token = self.params.get("MaxResults"), self.params.get("NextToken")
        if size is not None and int(size) not in sizes:
            refuse(
                "InvalidParameterValue", f"Value ( {size} ) for parameter maxResults is invalid."
            )
        answer = moto()
        result = answer._result
        everything = list(result.get(field) or [])
        start = decode(token) if token else 0
        end = start + int(size or sizes[-1])
        result[field] = everything[start:end]
        result["NextToken"] = encode(end) if end < len(everything) else None
        return answer

    return method


def encode(offset):
    return base64.urlsafe_b64encode(f"page:{offset}".encode()).decode()


def decode(token):
    try:
        kind, _, offset = base64.urlsafe_b64decode(token).decode().partition(":")
        if kind == "page":
            return int(offset)
    except (ValueError, binascii.Error):
        pass
    refuse("InvalidNextToken", "The token is invalid.")


for name, field in LISTS.items():
    replace(EC2Response, name, paged(name, field))
