"""DryRun changes nothing, also where moto does not know the parameter; a look may be rehearsed, too."""

from moto.core.utils import method_names_from_class
from moto.ec2.responses import EC2Response

from .. import faults
from ..world import world_of
from .mend import mend, replace

CHANGING = (
    "allocate_",
    "associate_",
    "attach_",
    "authorize_",
    "copy_",
    "create_",
    "delete_",
    "deregister_",
    "detach_",
    "disassociate_",
    "modify_",
    "release_",
    "replace_",
    "revoke_",
    "terminate_",
    "describe_vpcs",
)
# This one checks its parameters before it rehearses; run_instances does too.
CHECKING = {"modify_instance_metadata_options"}


@mend(EC2Response)
def error_on_dryrun(self, moto):
    """A fault makes the cloud an emulator that ignores DryRun for changes."""
    changes = not self._get_action().startswith("Describe")
    if not (changes and faults.executes_dry_runs(world_of(self))):
        moto()


def rehearsed(self, moto):
    self.error_on_dryrun()
    return moto()


for name in method_names_from_class(EC2Response):
    if name.startswith(CHANGING) and name not in CHECKING:
        replace(EC2Response, name, rehearsed)
