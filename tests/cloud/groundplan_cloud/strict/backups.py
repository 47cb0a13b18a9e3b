"""Snapshots and images of AWS Backup: they have its tag, and EC2 does not delete them."""

from moto.ec2.models import EC2Backend
from moto.ec2.responses import EC2Response

from .mend import mend, refuse

TAG = "aws:backup:source-resource"


def back_up(backend, instance_id):
    """AWS Backup makes an image of the instance and a snapshot of each of its volumes. Both have the
    tags of what they were made of."""
    instance = backend.get_instance(instance_id)
    image = backend.create_image(instance_id, f"AwsBackup_{instance_id}", "AWS Backup", tag_specifications=[])
    source = f"arn:aws:ec2:{backend.region_name}:{backend.account_id}:instance/{instance_id}"
    made = [image.id, image.ebs_snapshot.id]
    for device in instance.block_device_mapping.values():
        made.append(backend.create_snapshot(device.volume_id, "AWS Backup").id)
    for id in made:
        # A service may set tags that users may not.
        backend.tags[id].update(backend.tags[instance_id] | {TAG: source})
    return made


@mend(EC2Response)
def delete_snapshot(self, moto):
    if TAG in self.ec2_backend.tags.get(self._get_param("SnapshotId"), {}):
        refuse(
            "InvalidParameterValue",
            "This snapshot is managed by the AWS Backup service and cannot be deleted via EC2 APIs. If "
            "you wish to delete this snapshot, please do so via the Backup console.",
        )
    return moto()


@mend(EC2Backend)
def deregister_image(self, moto, ami_id):
    if TAG in self.tags.get(ami_id, {}):
        refuse(
            "AuthFailure",
            "This image is managed by AWS Backup and cannot be deleted via EC2 APIs. To delete this "
            "image, please use the AWS Backup APIs, CLI, or console.",
        )
    return moto(ami_id)
