"""Images come from a list per region, and copying one keeps what makes it bootable."""

import json
import os
from pathlib import Path

from moto.ec2.models.amis import AmiBackend, Ami
from moto.ec2.responses import EC2Response

from ..world import world_of
from .mend import mend, refuse

LISTS = [Path(__file__).parent.parent / "amis.json"]
if os.environ.get("GROUNDPLAN_CLOUD_AMIS"):
    LISTS.append(Path(os.environ["GROUNDPLAN_CLOUD_AMIS"]))


def listed():
    images = {}
    for path in LISTS:
        for region, more in json.loads(path.read_text()).items():
            images.setdefault(region, []).extend(more)
    return images


IMAGES = listed()


@mend(AmiBackend)
def _load_amis(self, _moto):
    for given in IMAGES.get(self.region_name, []):
        given = dict(given)
        imds_support = given.pop("imds_support", None)
        ami = Ami(self, owner_alias="amazon", public=True, **given)
        ami.imds_support = imds_support
        ami.built_in = True
        self.amis[ami.id] = ami


@mend(EC2Response)
def copy_image(self, moto):
    """Root device and IMDS support go along; tags are those of the request, for both kinds."""
    answer = moto()
    backend, here = self.ec2_backend, world_of(self)
    ami = backend.amis[answer._result["ImageId"]]
    source = source_of(self)
    for what in ("root_device_name", "root_device_type", "hypervisor", "boot_mode", "imds_support"):
        setattr(ami, what, getattr(source, what, None))
    ami.copied_from = source.id
    ami.encrypted = self._get_param("Encrypted", False)
    tags = self._parse_tag_specification()
    ami.add_tags(tags.get("image", {}))
    ami.ebs_snapshot.encrypted = bool(ami.encrypted)
    ami.ebs_snapshot.add_tags(tags.get("snapshot", {}))
    if here.delays["image_pending"] > 0:
        ami.state = "pending"
        here.after("image_pending", lambda: setattr(ami, "state", "available"))
    return answer


def source_of(self):
    from moto.ec2.models import ec2_backends

    region = self._get_param("SourceRegion")
    return ec2_backends[self.current_account][region].amis[self._get_param("SourceImageId")]


def usable(backend, image_id):
    """The image, or the error RunInstances gives."""
    if not str(image_id).startswith("ami-"):
        refuse("InvalidAMIID.Malformed", f'Invalid id: "{image_id}" (expecting "ami-...")')
    ami = backend.amis.get(image_id)
    if ami is None:
        refuse("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    if ami.state != "available":
        refuse("InvalidAMIID.Unavailable", f"The image id '[{image_id}]' is no longer available")
    return ami
