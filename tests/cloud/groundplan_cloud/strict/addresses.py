"""Elastic addresses: one in use stays, and one of a pool comes from it and goes back."""

from moto.core.responses import ActionResult
from moto.ec2.models.elastic_ip_addresses import ElasticAddress
from moto.ec2.responses import EC2Response

from ..world import world_of
from .mend import mend, refuse

# What DescribeAddresses says of an address of Amazon.
ElasticAddress.public_ipv4_pool = "amazon"


@mend(EC2Response)
def allocate_address(self, moto):
    wanted = self._get_param("PublicIpv4Pool")
    if wanted is None:
        return moto()
    if free_in(self, wanted) == 0:
        refuse("AddressLimitExceeded", f"The pool {wanted} has no more addresses.")
    answer = moto()
    allocation = answer._result["AllocationId"]
    for address in self.ec2_backend.addresses:
        if address.allocation_id == allocation:
            address.public_ipv4_pool = wanted
    return answer


def free_in(self, pool):
    """How many addresses of a pool nobody has allocated."""
    pools = world_of(self).pools
    if pool not in pools:
        refuse("InvalidPublicIpv4PoolID.NotFound", f"The pool ID '{pool}' does not exist")
    taken = [a for a in self.ec2_backend.addresses if a.public_ipv4_pool == pool]
    return pools[pool] - len(taken)


def describe_public_ipv4_pools(self):
    """moto has no such call."""
    pools = world_of(self).pools
    wanted = self._get_param("PoolIds", []) or list(pools)
    described = [
        {
            "PoolId": pool,
            "TotalAvailableAddressCount": free_in(self, pool),
            "TotalAddressCount": pools[pool],
        }
        for pool in wanted
    ]
    return ActionResult({"PublicIpv4Pools": described})


EC2Response.describe_public_ipv4_pools = describe_public_ipv4_pools


@mend(EC2Response)
def release_address(self, moto):
    allocation = self._get_param("AllocationId")
    for address in self.ec2_backend.addresses:
        if address.allocation_id == allocation and address.association_id:
            refuse("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")
    return moto()


@mend(EC2Response)
def disassociate_address(self, moto):
    """A NAT gateway's address goes with the gateway."""
    wanted = self._get_param("AssociationId")
    for address in self.ec2_backend.addresses:
        if address.association_id == wanted and address.eni and address.eni.requester_managed:
            refuse("AuthFailure", "You do not have permission to access the specified resource.")
    return moto()
