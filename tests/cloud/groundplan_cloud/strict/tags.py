"""DescribeTags names some types otherwise than moto does (EC2 API reference, TagSpecification)."""

from moto.ec2 import utils

utils.EC2_PREFIX_TO_RESOURCE.update({"eipalloc": "elastic-ip", "nat": "natgateway", "h": "dedicated-host"})
