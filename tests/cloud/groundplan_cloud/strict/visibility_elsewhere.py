"""Eventual consistency beside EC2 (delay `visible`): what was just created is not found by name, by
ARN or in a list, though its name is taken and calls that refer to it go through. Not in S3, whose
reads and lists show every write, and not by a zone's id, which Route 53 answers at once."""

from moto.elbv2.exceptions import (
    ListenerNotFoundError,
    LoadBalancerNotFoundError,
    TargetGroupNotFoundError,
)
from moto.elbv2.responses import ELBV2Response
from moto.iam.exceptions import NotFoundException
from moto.iam.responses import IamResponse
from moto.route53.responses import Route53

from ..world import world_of
from .mend import mend, replace
from .visibility import hidden_in, hide

# IAM: creating method, what it makes, the method that unmakes it, and who reads it.
OF_ROLES = (
    "get_role",
    "list_attached_role_policies",
    "list_instance_profiles_for_role",
    "list_role_policies",
    "list_role_tags",
)
NAMED = [
    ("create_role", ("RoleName",), "delete_role", OF_ROLES),
    (
        "create_instance_profile",
        ("InstanceProfileName",),
        "delete_instance_profile",
        ("get_instance_profile",),
    ),
    ("put_role_policy", ("RoleName", "PolicyName"), "delete_role_policy", ("get_role_policy",)),
]


def key(self, parameters):
    return (parameters, *(self._get_param(name) for name in parameters))


def naming(parameters):
    def method(self, moto):
        new = not is_there(self, parameters)
        answer = moto()
        if new:
            hide(world_of(self), [key(self, parameters)])
        return answer

    return method


def is_there(self, parameters):
    """Whether a policy is put over another one, which stays to be seen."""
    if "PolicyName" not in parameters:
        return False
    role = self.backend.get_role(self._get_param("RoleName"))
    return self._get_param("PolicyName") in role.policies


def unnaming(parameters):
    def method(self, moto):
        answer = moto()
        world_of(self).hidden.pop(key(self, parameters), None)
        return answer

    return method


def reading(parameters):
    def method(self, moto):
        if key(self, parameters) in hidden_in(world_of(self)):
            name = self._get_param(parameters[-1])
            raise NotFoundException(f"The {parameters[-1]} {name} cannot be found.")
        return moto()

    return method


for create, parameters, delete, reads in NAMED:
    replace(IamResponse, create, naming(parameters))
    replace(IamResponse, delete, unnaming(parameters))
    for read in reads:
        replace(IamResponse, read, reading(parameters))


@mend(IamResponse)
def list_roles(self, moto):
    return without_hidden(self, moto(), "Roles", lambda role: (("RoleName",), role.name))


@mend(IamResponse)
def list_instance_profiles(self, moto):
    name = ("InstanceProfileName",)
    return without_hidden(self, moto(), "InstanceProfiles", lambda profile: (name, profile.name))


def without_hidden(self, answer, field, key_of):
    hidden = hidden_in(world_of(self))
    if hidden:
        answer._result[field] = [
            one for one in answer._result[field] if key_of(one) not in hidden
        ]
    return answer


# Load balancing: creating method, its field, and the reading method with its error.
LISTED = [
    (
        "create_load_balancer",
        "LoadBalancers",
        "describe_load_balancers",
        ("LoadBalancerArns", "Names"),
        LoadBalancerNotFoundError,
    ),
    (
        "create_target_group",
        "TargetGroups",
        "describe_target_groups",
        ("TargetGroupArns", "Names"),
        TargetGroupNotFoundError,
    ),
    (
        "create_listener",
        "Listeners",
        "describe_listeners",
        ("ListenerArns",),
        ListenerNotFoundError,
    ),
]
# Reading methods that take one ARN, and the error for an unknown one.
OF_ONE = [
    ("describe_listeners", "LoadBalancerArn", LoadBalancerNotFoundError),
    ("describe_load_balancer_attributes", "LoadBalancerArn", LoadBalancerNotFoundError),
    ("describe_target_group_attributes", "TargetGroupArn", TargetGroupNotFoundError),
    ("describe_target_health", "TargetGroupArn", TargetGroupNotFoundError),
]


def making(field):
    def method(self, moto):
        answer = moto()
        made = answer._result[field]
        # A balancer and a target group may have the same name.
        names = [(field, one.name) for one in made if hasattr(one, "name")]
        hide(world_of(self), [*(one.arn for one in made), *names])
        return answer

    return method


def listing(field, parameters, error):
    def method(self, moto):
        hidden = hidden_in(world_of(self))
        wanted = {one for name in parameters for one in self._get_param(name) or []}
        if hidden & (wanted | {(field, one) for one in wanted}):
            raise error()
        return without_hidden(self, moto(), field, lambda one: one.arn)

    return method


def knowing(parameter, error):
    def method(self, moto):
        if self._get_param(parameter) in hidden_in(world_of(self)):
            raise error()
        return moto()

    return method


for create, field, describe, parameters, error in LISTED:
    replace(ELBV2Response, create, making(field))
    replace(ELBV2Response, describe, listing(field, parameters, error))
for describe, parameter, error in OF_ONE:
    replace(ELBV2Response, describe, knowing(parameter, error))


@mend(ELBV2Response)
def describe_tags(self, moto):
    for arn in hidden_in(world_of(self)) & set(self._get_param("ResourceArns") or []):
        raise TargetGroupNotFoundError() if ":targetgroup/" in arn else LoadBalancerNotFoundError()
    return moto()


@mend(Route53)
def create_hosted_zone(self, moto):
    answer = moto()
    hide(world_of(self), [answer._result["HostedZone"].id])
    return answer


@mend(Route53)
def list_hosted_zones(self, moto):
    return without_hidden(self, moto(), "HostedZones", lambda zone: zone.id)


@mend(Route53)
def list_hosted_zones_by_name(self, moto):
    return without_hidden(self, moto(), "HostedZones", lambda zone: zone.id)
