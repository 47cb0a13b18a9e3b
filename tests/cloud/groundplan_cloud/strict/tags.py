"""DescribeTags names some types otherwise than moto does (EC2 API reference, TagSpecification); no key
may be set twice by one call."""

from moto.ec2 import utils
from moto.ec2.responses import EC2Response

from .mend import mend, refuse

utils.EC2_PREFIX_TO_RESOURCE.update({"eipalloc": "elastic-ip", "nat": "natgateway", "h": "dedicated-host"})


@mend(utils)
def is_filter_matching(found, moto, name, values):
    """Several values of a filter are alternatives (EC2 API reference, Filter). moto requires a list such
    as that of `tag-key` to contain all of them."""
    if isinstance(values, list) and len(values) > 1:
        return any(moto(name, [value]) for value in values)
    return moto(name, values)


@mend(EC2Response)
def create_tags(self, moto):
    no_key_twice(self.params.get("Tags", []))
    return moto()


def no_key_twice(tags):
    keys = [tag.get("Key") for tag in tags]
    for key in keys:
        if keys.count(key) > 1:
            refuse("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
