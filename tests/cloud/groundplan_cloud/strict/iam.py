"""IAM: moto keeps most of its rules; what EC2 sees of a profile is in instances.py."""

from moto.iam.exceptions import NotFoundException
from moto.iam.responses import IamResponse

from ..world import world_of
from .mend import mend


@mend(IamResponse)
def remove_role_from_instance_profile(self, moto):
    profile = self.backend.get_instance_profile(self._get_param("InstanceProfileName"))
    name = self._get_param("RoleName")
    if name not in [role.name for role in profile.roles]:
        raise NotFoundException(
            f"The role with name {name} cannot be found in the instance profile."
        )
    return moto()


def attachable(self):
    """A permissions boundary is an existing policy of the account, or one of AWS."""
    arn = self._get_param("PermissionsBoundary")
    if arn and ":iam::aws:" not in arn and arn not in self.backend.managed_policies:
        raise NotFoundException(f"Scope ARN: {arn} does not exist or is not attachable.")


@mend(IamResponse)
def create_role(self, moto):
    attachable(self)
    return moto()


@mend(IamResponse)
def put_role_permissions_boundary(self, moto):
    attachable(self)
    return moto()


@mend(IamResponse)
def delete_role_permissions_boundary(self, moto):
    role = self.backend.get_role(self._get_param("RoleName"))
    if not role.permissions_boundary_arn:
        raise NotFoundException(f"Role {role.name} does not have a permissions boundary.")
    return moto()


@mend(IamResponse)
def add_role_to_instance_profile(self, moto):
    """EC2 learns of a profile some time after IAM does (delay `instance_profile_visible`)."""
    answer = moto()
    world_of(self).profiles_since[self._get_param("InstanceProfileName")] = world_of(self).now()
    return answer
