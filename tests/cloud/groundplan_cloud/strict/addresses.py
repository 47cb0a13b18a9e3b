"""Elastic addresses: one in use stays."""

from moto.ec2.responses import EC2Response

from .mend import mend, refuse


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
