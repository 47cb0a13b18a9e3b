"""The Resource Groups Tagging API: what has tags, of any service, as late as AWS has it.

moto's own lacks half of the types. Here the answer is made of what the account has: EC2, load
balancers and buckets of the region; zones and instance profiles in the region of global services (AWS
has neither roles nor users here). A test adds resources of other services. What is deleted is
remembered for a time (`tags_remembered`), what is new is not known for a time (`tags_listed`), and a
page may have fewer resources than there are.
"""

import json

from moto import backends
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

from . import faults
from .world import LOCK

HEADERS = [("Content-Type", "application/x-amz-json-1.1")]
# Page sizes, and the default (Resource Groups Tagging API reference, GetResources).
SIZES, SIZE = range(1, 101), 50
# The region that has the tags of global services (AWS General Reference, Route 53 endpoints).
GLOBAL = {"cn-": "cn-northwest-1", "us-gov-": "us-gov-west-1"}
# What unmakes something, so that what there is must be remembered before.
UNMAKING = ("Delete", "Terminate", "Release", "Deregister")


def before(here, call):
    """Remembers what has tags, before a call that may delete it."""
    if call.mutating and call.action.startswith(UNMAKING):
        with LOCK:
            for region in sorted({call.region, global_region(call.region)}):
                remember(here, call.account, region)


def answer(here, call, body):
    """The answer to a call of this API, or None."""
    if call.service != "tagging":
        return None
    if call.action != "GetResources":
        return faults.error(call, 501, "NotImplemented", call.action)
    wanted = json.loads(body or b"{}")
    size = wanted.get("ResourcesPerPage", SIZE)
    if size not in SIZES:
        return invalid(call, f"ResourcesPerPage {size} is not from 1 to 100")
    start = wanted.get("PaginationToken") or "0"
    if not start.isdigit():
        return invalid(call, "The pagination token is invalid")
    with LOCK:
        remember(here, call.account, call.region)
        found = [
            {"ResourceARN": arn, "Tags": [{"Key": k, "Value": v} for k, v in sorted(tags.items())]}
            for arn, tags in sorted(listed(here, call.region).items())
            if matches(tags, wanted.get("TagFilters", []))
        ]
    # Half a page is a page, too.
    first, last = int(start), int(start) + max(1, size // 2)
    page = {
        "ResourceTagMappingList": found[first:last],
        "PaginationToken": str(last) if last < len(found) else "",
    }
    return 200, HEADERS, json.dumps(page).encode()


def invalid(call, message):
    return faults.error(call, 400, "InvalidParameterException", message)


def matches(tags, filters):
    """All filters must fit; a filter without values fits any value."""
    return all(
        one["Key"] in tags and (not one.get("Values") or tags[one["Key"]] in one["Values"])
        for one in filters
    )


def add(here, arn, tags, region):
    """A resource of a service that the test cloud does not have. Without tags, it is deleted."""
    others = here.tagged_elsewhere.setdefault(region, {})
    if tags:
        others[arn] = tags
    else:
        others.pop(arn, None)


def remember(here, account, region):
    now, index = here.now(), here.tagged.setdefault(region, {})
    for arn, tags in existing(here, account, region):
        if tags:
            known = index.get(arn)
            since = known["since"] if known and lasts(here, known) else now
            index[arn] = {"since": since, "seen": now, "tags": dict(tags)}
        else:
            index.pop(arn, None)  # its tags were removed


def listed(here, region):
    known_since = here.now() - here.delays["tags_listed"]
    index = here.tagged.get(region, {}).items()
    return {
        arn: one["tags"]
        for arn, one in index
        if one["since"] <= known_since and lasts(here, one)
    }


def lasts(here, one):
    return here.now() - one["seen"] <= here.delays["tags_remembered"]


def existing(here, account, region):
    yield from here.tagged_elsewhere.get(region, {}).items()
    yield from in_ec2(account, region)
    elb = backend("elbv2", account, region)
    for one in [*elb.load_balancers.values(), *elb.target_groups.values()] if elb else []:
        yield one.arn, elb.tagging_service.get_tag_dict_for_resource(one.arn)
    classic = backend("elb", account, region)
    for one in classic.load_balancers.values() if classic else []:
        place = f"arn:aws:elasticloadbalancing:{region}:{account}:loadbalancer/{one.name}"
        yield place, dict(one.tags)
    s3 = backend("s3", account, "aws")
    for one in s3.buckets.values() if s3 else []:
        if one.region_name == region:
            yield one.arn, s3.tagger.get_tag_dict_for_resource(one.arn)
    if region == global_region(region):
        yield from in_global_services(account)


def in_ec2(account, region):
    ec2 = backend("ec2", account, region)
    if not ec2:
        return
    unlisted = gone_from(ec2)
    for identity, tags in list(ec2.tags.items()):
        kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(identity))
        if kind and identity not in unlisted:
            yield f"arn:aws:ec2:{region}:{account}:{kind}/{identity}", tags


def gone_from(ec2):
    """moto keeps the tags of some of what is deleted, for ever."""
    there = set(ec2.vpcs)
    there |= {one.id for one in ec2.describe_subnets()}
    there |= {group.id for groups in ec2.groups.values() for group in groups.values()}
    there |= {address.allocation_id for address in ec2.addresses}
    for held in (ec2.route_tables, ec2.internet_gateways, ec2.vpc_end_points, ec2.volumes):
        there |= set(held)
    for held in (ec2.snapshots, ec2.amis, ec2.enis, ec2.dhcp_options_sets):
        there |= set(held)
    there |= {nat.id for nat in ec2.nat_gateways.values() if nat.state != "deleted"}
    there |= {
        instance.id
        for reservation in ec2.reservations.values()
        for instance in reservation.instances
        if instance.state != "terminated"
    }
    judged = ("vpc-", "subnet-", "sg-", "eipalloc-", "rtb-", "igw-", "vpce-", "vol-", "snap-")
    judged += ("ami-", "eni-", "dopt-", "nat-", "i-")
    return {one for one in ec2.tags if one.startswith(judged) and one not in there}


def in_global_services(account):
    route53 = backend("route53", account, "aws")
    for zone in route53.zones.values() if route53 else []:
        identity = zone.resource_id
        yield f"arn:aws:route53:::hostedzone/{identity}", route53.resource_tags.get(identity, {})
    iam = backend("iam", account, "aws")
    for profile in iam.instance_profiles.values() if iam else []:
        yield profile.arn, {tag["Key"]: tag["Value"] for tag in profile.tags}


def global_region(region):
    return next((home for begin, home in GLOBAL.items() if region.startswith(begin)), "us-east-1")


def backend(service, account, region):
    accounts = backends.get_backend(service)
    return accounts[account].get(region) if account in accounts else None
