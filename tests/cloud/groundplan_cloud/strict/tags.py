"""Tags of EC2: DescribeTags names types as EC2 does (ResourceType of the API reference)."""

from moto.ec2.models import tags

tags.EC2_PREFIX_TO_RESOURCE = {
    **tags.EC2_PREFIX_TO_RESOURCE,
    "nat": "natgateway",
    "eipalloc": "elastic-ip",
}
