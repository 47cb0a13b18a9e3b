"""Network load balancers: their ARNs, their interfaces, and creations that may be repeated."""

import json

from moto.core.responses import ActionResult, EmptyResult
from moto.elbv2.exceptions import (
    DuplicateListenerError,
    DuplicateLoadBalancerName,
    DuplicateTargetGroupName,
    ELBClientError,
    LoadBalancerNotFoundError,
    TooManyTagsError,
)
from moto.elbv2.models import (
    AvailabilityZone,
    ELBv2Backend,
    FakeLoadBalancer,
    FakeTargetGroup,
)
from moto.elbv2.responses import ELBV2Response

from ..world import world, world_of
from .mend import mend

# Elastic Load Balancing API reference, DescribeTags; quotas of the user guide.
TAGGED_AT_ONCE, TAGS = 20, 50


def settings(self):
    return json.dumps(self.params, sort_keys=True, default=str)


@mend(ELBV2Response)
def create_load_balancer(self, moto):
    backend = self.elbv2_backend
    for other in backend.load_balancers.values():
        if other.name == self._get_param("Name"):
            if other.made_with != settings(self):
                raise DuplicateLoadBalancerName()
            return ActionResult({"LoadBalancers": [other]})
    refuse_addresses(backend, self._get_param("SubnetMappings", []))
    answer = moto()
    balancer = answer._result["LoadBalancers"][0]
    balancer.made_with = settings(self)
    balancer.account = self.current_account
    balancer.ready = world_of(self).delays["load_balancer_provisioning"] <= 0
    balancer.scheme = balancer.scheme or "internet-facing"
    if balancer.type == "network":
        rename(backend, balancer)
        balancer.interfaces = [
            interface_in(backend, balancer, subnet) for subnet in balancer.subnets
        ]
        give_addresses(backend, balancer, self._get_param("SubnetMappings", []))
    if not balancer.ready:
        world_of(self).after(
            "load_balancer_provisioning",
            lambda: setattr(balancer, "ready", True),
        )
    return answer


def refuse_addresses(backend, mappings):
    """An address is allocated, and nobody else's (API reference, CreateLoadBalancer)."""
    allocated = {address.allocation_id: address for address in backend.ec2_backend.addresses}
    for mapping in mappings:
        wanted = mapping.get("AllocationId")
        if wanted and wanted not in allocated:
            raise ELBClientError("AllocationIdNotFound", f"The allocation ID '{wanted}' does not exist")
        if wanted and allocated[wanted].association_id:
            raise ELBClientError("ResourceInUse", f"The allocation IDs are not available for use: {wanted}")


def give_addresses(backend, balancer, mappings):
    """The interfaces in these subnets have these addresses."""
    wanted = {one["SubnetId"]: one["AllocationId"] for one in mappings if "AllocationId" in one}
    balancer.addresses = wanted
    for interface in balancer.interfaces:
        if interface.subnet.id in wanted:
            backend.ec2_backend.associate_address(
                eni=interface, allocation_id=wanted[interface.subnet.id]
            )


@mend(AvailabilityZone)
def __init__(self, moto, subnet, addresses=()):
    moto(subnet)
    self.load_balancer_addresses = [{"AllocationId": one} for one in addresses]


def zones_with_addresses(self):
    addresses = getattr(self, "addresses", {})
    return [
        AvailabilityZone(subnet, [addresses[subnet.id]] if subnet.id in addresses else [])
        for subnet in self.subnets
    ]


FakeLoadBalancer.availability_zones = property(zones_with_addresses)


def interface_is_gone(backend, interface):
    """An address outlives the interface that had it."""
    for address in backend.addresses:
        if address.eni is interface:
            backend.disassociate_address(address=address.public_ip)
    backend.enis.pop(interface.id, None)


def rename(backend, balancer):
    """moto calls all of them `app`."""
    tags = backend.tagging_service.get_tag_dict_for_resource(balancer.arn)
    backend.tagging_service.delete_all_tags_for_resource(balancer.arn)
    del backend.load_balancers[balancer.arn]
    balancer.arn = balancer.arn.replace(":loadbalancer/app/", ":loadbalancer/net/")
    backend.load_balancers[balancer.arn] = balancer
    backend.tagging_service.tag_resource(
        balancer.arn, [{"Key": k, "Value": v} for k, v in tags.items()]
    )


def interface_in(backend, balancer, subnet):
    interface = backend.ec2_backend.create_network_interface(subnet, None)
    interface.description = f"ELB {balancer.arn.rpartition(':loadbalancer/')[2]}"
    interface.interface_type = "network_load_balancer"
    interface.requester_managed = True
    interface.requester_id = "amazon-elb"
    interface.status = "in-use"
    groups = balancer.security_groups or []
    interface._group_set = [
        backend.ec2_backend.get_security_group_from_id(group) for group in groups
    ]
    if balancer.scheme == "internet-facing":
        interface.public_ip = f"192.0.2.{len(backend.ec2_backend.enis) % 254 + 1}"
    return interface


@mend(ELBv2Backend)
def set_subnets(self, moto, arn, subnets, subnet_mappings):
    """moto has the rules of application load balancers. A network load balancer does with one zone,
    takes and gives up zones as it is told, with an interface in each, and does not move within a zone
    in one step (User guide for Network Load Balancers, "Update the Availability Zones")."""
    balancer = self.load_balancers.get(arn)
    if balancer is None or balancer.type != "network":
        return moto(arn, subnets, subnet_mappings)
    ids = list(subnets) + [mapping["SubnetId"] for mapping in subnet_mappings]
    wanted = {}
    for subnet in ids:
        found = self._get_subnet(wanted, subnet)
        wanted[found.availability_zone] = found
    if not wanted:
        raise ELBClientError("InvalidConfigurationRequest", "At least one subnet must be specified")
    for old in balancer.subnets:
        new = wanted.get(old.availability_zone)
        if new is not None and new.id != old.id:
            raise ELBClientError(
                "InvalidConfigurationRequest",
                f"The subnet in {old.availability_zone} cannot be changed in one step",
            )
    keep_interfaces(self, balancer, {subnet.id: subnet for subnet in wanted.values()})
    balancer.subnets = list(wanted.values())
    return [AvailabilityZone(subnet) for subnet in balancer.subnets]


def keep_interfaces(backend, balancer, wanted):
    """One in each subnet that is wanted; that of any other goes after a while."""
    there = {interface.subnet.id: interface for interface in balancer.interfaces}
    for subnet in [subnet for subnet in there if subnet not in wanted]:
        interface = there.pop(subnet)
        world(balancer.account).after(
            "load_balancer_interfaces",
            lambda interface=interface: interface_is_gone(backend.ec2_backend, interface),
        )
    for subnet in [subnet for subnet in wanted if subnet not in there]:
        there[subnet] = interface_in(backend, balancer, wanted[subnet])
    balancer.interfaces = list(there.values())


@mend(FakeLoadBalancer)
def activate(self, moto):
    if getattr(self, "ready", True):
        moto()


@mend(ELBV2Response)
def delete_load_balancer(self, moto):
    backend, arn = self.elbv2_backend, self._get_param("LoadBalancerArn")
    balancer = backend.load_balancers.get(arn)
    if balancer and balancer.attrs.get("deletion_protection.enabled") == "true":
        raise ELBClientError(
            "OperationNotPermitted",
            f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
        )
    answer = moto()
    if balancer:
        forget_balancer(backend, arn)
        for interface in getattr(balancer, "interfaces", []):
            world(self.current_account).after(
                "load_balancer_interfaces",
                lambda interface=interface: interface_is_gone(backend.ec2_backend, interface),
            )
    return answer


def forget_balancer(backend, arn):
    for group in backend.target_groups.values():
        group.load_balancer_arns = [a for a in group.load_balancer_arns if a != arn]


@mend(ELBV2Response)
def create_target_group(self, moto):
    for other in self.elbv2_backend.target_groups.values():
        if other.name == self._get_param("Name"):
            if getattr(other, "made_with", None) != settings(self):
                raise DuplicateTargetGroupName()
            return ActionResult({"TargetGroups": [other]})
    answer = moto()
    answer._result["TargetGroups"][0].made_with = settings(self)
    return answer


@mend(ELBV2Response)
def create_listener(self, moto):
    balancer = self.elbv2_backend.load_balancers.get(self._get_param("LoadBalancerArn"))
    for other in balancer.listeners.values() if balancer else []:
        if int(other.port) == int(self._get_param("Port")):
            if other.made_with != settings(self):
                raise DuplicateListenerError()
            return ActionResult({"Listeners": [other]})
    answer = moto()
    answer._result["Listeners"][0].made_with = settings(self)
    return answer


@mend(ELBV2Response)
def delete_listener(self, moto):
    """A target group no listener forwards to is not the balancer's any more."""
    backend, arn = self.elbv2_backend, self._get_param("ListenerArn")
    answer = moto()
    balancer_arn = arn.replace(":listener/", ":loadbalancer/").rpartition("/")[0]
    for group in backend.target_groups.values():
        if not backend._any_listener_using(group.arn):
            group.load_balancer_arns = [a for a in group.load_balancer_arns if a != balancer_arn]
    return answer


@mend(FakeTargetGroup)
def deregister(self, moto, targets):
    """Deregistering what is not registered succeeds."""
    moto([target for target in targets if target["Id"] in self.targets])


@mend(ELBV2Response)
def describe_load_balancers(self, moto):
    """One unknown among many is an error; moto repeats the one before it."""
    known = self.elbv2_backend.load_balancers
    names = {balancer.name for balancer in known.values()}
    if (
        set(self._get_param("LoadBalancerArns", [])) - known.keys()
        or set(self._get_param("Names", [])) - names
    ):
        raise LoadBalancerNotFoundError()
    return moto()


@mend(ELBV2Response)
def describe_tags(self, moto):
    arns = self._get_param("ResourceArns", [])
    if len(arns) > TAGGED_AT_ONCE:
        raise ELBClientError(
            "ValidationError", f"You can describe the tags of at most {TAGGED_AT_ONCE} resources"
        )
    for arn in arns:
        self.elbv2_backend._get_resource_by_arn(arn)
    return moto()


@mend(ELBV2Response)
def add_tags(self, _moto):
    """moto allows 10 tags, the limit of long ago."""
    backend = self.elbv2_backend
    for arn in self._get_param("ResourceArns", []):
        backend._get_resource_by_arn(arn)
        have = backend.tagging_service.get_tag_dict_for_resource(arn)
        if len(have.keys() | {tag["Key"] for tag in self._get_param("Tags", [])}) > TAGS:
            raise TooManyTagsError()
        backend.tagging_service.tag_resource(arn, self._get_param("Tags", []))
    return EmptyResult()
