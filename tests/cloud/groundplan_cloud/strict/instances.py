"""RunInstances and TerminateInstances: what is checked, what is kept, and states that take time."""

from contextlib import contextmanager

from moto.ec2 import utils as ec2_utils
from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_block_store import VolumeAttachment
from moto.ec2.models.iam_instance_profile import IamInstanceProfileAssociation
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES
from moto.ec2.models.instances import Instance, InstanceState
from moto.ec2.responses import EC2Response
from moto.iam.exceptions import NotFoundException

from ..world import world, world_of
from . import metadata_options
from .images import usable
from .mend import mend, refuse
from .tags import no_key_twice

# gp3 without figures has these (EBS volume types, AWS documentation).
GP3_IOPS, GP3_THROUGHPUT = 3000, 125
# Request fields that moto drops and DescribeInstances shows, under the same names.
KEPT_AS_SENT = {
    "CpuOptions": "cpu_options",
    "CapacityReservationSpecification": "capacity_reservation_specification",
    "EnclaveOptions": "enclave_options",
    "PrivateDnsNameOptions": "private_dns_name_options",
}
ec2_utils.filter_dict_attribute_mapping.update(
    {
        "client-token": "client_token",
        "instance-lifecycle": "lifecycle",
        "metadata-options.http-endpoint": "metadata_options.http_endpoint",
        "metadata-options.http-tokens": "metadata_options.http_tokens",
        "root-device-name": "root_device_name",
    }
)


def goes_with_its_instance(attachment):
    """DescribeVolumes tells it of each attachment, where moto knows it of the instance's device."""
    device = attachment.instance.block_device_mapping.get(attachment.device)
    return bool(device and device.delete_on_termination)


VolumeAttachment.delete_on_termination = property(goes_with_its_instance)


def show_profile_of(association):
    """DescribeInstances has the ID of the profile, where moto has the one of the association."""
    profile = association.iam_instance_profile
    association.ec2_backend.modify_instance_attribute(
        association.instance_id,
        "iam_instance_profile",
        {"Arn": profile.arn, "Id": profile.id},
    )


@mend(IamInstanceProfileAssociation)
def __init__(self, moto, *arguments, **named):
    moto(*arguments, **named)
    show_profile_of(self)


@mend(EC2Backend)
def replace_iam_instance_profile_association(self, moto, *arguments, **named):
    association = moto(*arguments, **named)
    show_profile_of(association)
    return association


# Device name to its mapping in the request being served; one call at a time reaches moto.
_devices = {}


@mend(EC2Response)
def run_instances(self, moto):
    params, here = self.params, world_of(self)
    ami = usable(self.ec2_backend, params.get("ImageId"))
    check_type(self, ami, params.get("InstanceType"))
    check_profile(self, params.get("IamInstanceProfile"))
    check_key(self, params.get("KeyName"))
    metadata_options.check(params.get("MetadataOptions", {}))
    for specification in params.get("TagSpecifications", []):
        no_key_twice(specification.get("Tags", []))
    params["MetadataOptions"] = metadata_options.inherited(self, ami, params.get("MetadataOptions"))
    metadata_options.enforce(self, params["MetadataOptions"])
    keys = [
        tag["Key"]
        for specification in params.get("TagSpecifications", [])
        if specification.get("ResourceType") == "instance"
        for tag in specification.get("Tags", [])
    ]
    metadata_options.refuse_tag_keys(params["MetadataOptions"], keys)
    for mapping in params.get("BlockDeviceMappings", []):
        ebs = mapping.get("Ebs")
        if ebs is not None and not ebs.get("SnapshotId"):
            ebs.setdefault("VolumeSize", 16)
    params.setdefault("ClientToken", "")
    try:
        with devices(params):
            answer = moto()
    except StopIteration:
        refuse(
            "InsufficientFreeAddressesInSubnet",
            f"There are not enough free addresses in subnet '{params.get('SubnetId')}'.",
        )
    for instance in answer._result.instances:
        keep_as_sent(self, instance)
        settle(here, instance)
    return answer


@contextmanager
def devices(params):
    _devices.update(
        {m.get("DeviceName"): m.get("Ebs", {}) for m in params.get("BlockDeviceMappings", [])}
    )
    try:
        yield
    finally:
        _devices.clear()


def check_key(self, wanted):
    if wanted and wanted not in self.ec2_backend.key_pairs:
        refuse("InvalidKeyPair.NotFound", f"The key pair '{wanted}' does not exist")


def check_type(self, ami, wanted):
    """A type must exist, be offered in the region, and run the image's instructions."""
    offered = INSTANCE_TYPE_OFFERINGS["region"].get(self.region)
    if wanted is None or offered is None:
        return
    if wanted not in {one["InstanceType"] for one in offered} or wanted not in INSTANCE_TYPES:
        refuse("InvalidParameterValue", f"Invalid value '{wanted}' for InstanceType.")
    runs = INSTANCE_TYPES[wanted]["ProcessorInfo"]["SupportedArchitectures"]
    if ami.architecture not in runs:
        refuse(
            "InvalidParameterValue",
            f"The architecture '{','.join(runs)}' of the specified instance type does not match the "
            f"architecture '{ami.architecture}' of the specified AMI.",
        )


def check_profile(self, profile):
    """EC2 says what IAM would not: a profile it cannot use is an invalid parameter."""
    if not profile:
        return
    which, value = next((w, profile[w]) for w in ("Name", "Arn") if w in profile)
    parameter = f"Value ({value}) for parameter iamInstanceProfile.{which.lower()} is invalid."
    try:
        found = ec2_utils.filter_iam_instance_profiles(
            self.current_account, self.partition, profile.get("Arn"), profile.get("Name")
        )
    except NotFoundException:
        refuse("InvalidParameterValue", f"{parameter} Invalid IAM Instance Profile name")
    here = world_of(self)
    if (
        here.now()
        < here.profiles_since.get(found.name, float("-inf"))
        + here.delays["instance_profile_visible"]
    ):
        refuse("InvalidParameterValue", f"{parameter} Invalid IAM Instance Profile name")
    if not found.roles:
        refuse(
            "InvalidParameterValue",
            f'{parameter} IAM Instance Profile "{found.arn}" has no associated IAM Roles',
        )


def keep_as_sent(self, instance):
    params = self.params
    for sent, attribute in KEPT_AS_SENT.items():
        if sent in params:
            setattr(instance, attribute, params[sent])
    placement = params.get("Placement", {})
    instance.placement.tenancy = placement.get("Tenancy", "default")
    instance.placement.group_name = placement.get("GroupName", "")
    instance.disable_api_termination = params.get("DisableApiTermination", False)
    if params.get("InstanceMarketOptions", {}).get("MarketType") == "spot":
        instance.spot_instance_request_id = f"sir-{instance.id[-8:]}"
    tags = self._parse_tag_specification().get("network-interface", {})
    brought = {
        n["NetworkInterfaceId"]
        for n in params.get("NetworkInterfaces", [])
        if "NetworkInterfaceId" in n
    }
    asked_to_stay = {
        int(n["DeviceIndex"])
        for n in params.get("NetworkInterfaces", [])
        if n.get("DeleteOnTermination") is False
    }
    for index, interface in instance.nics.items():
        if interface.id not in brought:
            interface.add_tags(tags)
            interface.delete_on_termination = index not in asked_to_stay


def settle(here, instance):
    options = instance.metadata_options
    options.state = "pending"
    here.after("metadata_options_pending", lambda: setattr(options, "state", "applied"))
    delay = here.delays["instance_pending"]
    if delay > 0:
        instance._state = InstanceState("pending", 0)

        def running():
            if instance.state == "pending":
                instance._state = InstanceState("running", 16)

        here.after("instance_pending", running)


@mend(Instance)
def add_block_device(
    self, _moto, size, device_path, snapshot_id, encrypted, _delete, kms_key_id, volume_type
):
    """As moto does, with the root volume's IOPS and throughput, and gone with the instance."""
    wanted = _devices.get(device_path, {})
    iops, throughput = wanted.get("Iops"), wanted.get("Throughput")
    if volume_type == "gp3":
        iops, throughput = iops or GP3_IOPS, throughput or GP3_THROUGHPUT
    elif throughput is not None:
        refuse(
            "InvalidParameterCombination",
            f"The parameter throughput is not supported for {volume_type} volumes.",
        )
    volume = self.ec2_backend.create_volume(
        size=size,
        zone_name=self.placement.zone,
        snapshot_id=snapshot_id,
        encrypted=encrypted,
        kms_key_id=kms_key_id,
        volume_type=volume_type,
        iops=iops,
        throughput=throughput,
    )
    stays = wanted.get("DeleteOnTermination", True) is False
    self.ec2_backend.attach_volume(volume.id, self.id, device_path, not stays)


@mend(Instance)
def setup_defaults(self, _moto):
    """The root volume is at the image's root device, wherever that is."""
    volume = self.ec2_backend.create_volume(size=16, zone_name=self.placement.zone)
    self.ec2_backend.attach_volume(volume.id, self.id, self.root_device_name, True)


@mend(Instance)
def terminate(self, moto):
    """An instance that is shutting down still holds its interfaces, addresses and groups."""
    before = InstanceState(self._state.name, self._state.code)
    if before.name in ("shutting-down", "terminated"):
        return before
    here = world(self.ec2_backend.account_id)
    self._state = InstanceState("shutting-down", 32)

    def gone():
        for address in self.ec2_backend.addresses:
            if address.instance is self:
                self.ec2_backend.disassociate_address(address=address.public_ip)
        for interface in list(self.nics.values()):
            if not interface.delete_on_termination:
                release(interface)
        moto()

    here.after("instance_shutting_down", gone)
    return before


def release(interface):
    interface.instance = None
    interface.attachment_id = None
    interface.attach_time = None
    interface.status = "available"


@mend(EC2Response)
def terminate_instances(self, moto):
    answer = moto()
    for row in answer._result["TerminatingInstances"]:
        if row["PreviousState"].name == "terminated":
            row["CurrentState"] = {"Code": 48, "Name": "terminated"}
    return answer


@mend(EC2Response)
def describe_instances(self, moto):
    # Without MaxResults AWS answers with up to 1,000, moto with 100.
    self.params.setdefault("MaxResults", 1000)
    return moto()
