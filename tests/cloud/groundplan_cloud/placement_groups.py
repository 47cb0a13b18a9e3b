"""Placement groups, which moto has none of: made, described, and known to launches."""

from xml.sax.saxutils import escape

from . import faults

# What CreatePlacementGroup makes where nothing is said (EC2 API reference, CreatePlacementGroup).
STRATEGY, PARTITIONS = "cluster", 2


def answer(here, call):
    """The answer that moto cannot give, or None."""
    if call.service != "ec2" or call.rehearsed:
        return None
    groups, params = here.placement_groups.setdefault(call.region, {}), call.params
    if call.action == "CreatePlacementGroup":
        name, strategy = params["GroupName"], params.get("Strategy", STRATEGY)
        if name in groups:
            said = f"The placement group '{name}' already exists."
            return faults.error(call, 400, "InvalidPlacementGroup.Duplicate", said)
        has_some = strategy == "partition"
        count = int(params.get("PartitionCount", PARTITIONS)) if has_some else None
        groups[name] = {"strategy": strategy, "partitions": count}
        return reply(call, f"<placementGroup>{described(name, groups[name])}</placementGroup>")
    if call.action == "DescribePlacementGroups":
        items = "".join(f"<item>{described(*group)}</item>" for group in sorted(groups.items()))
        return reply(call, f"<placementGroupSet>{items}</placementGroupSet>")
    wanted = params.get("Placement.GroupName")
    if call.action == "RunInstances" and wanted and wanted not in groups:
        said = f"The Placement Group '{wanted}' is unknown."
        return faults.error(call, 400, "InvalidPlacementGroup.Unknown", said)
    return None


def described(name, group):
    count = group["partitions"]
    partitions = "" if count is None else f"<partitionCount>{count}</partitionCount>"
    return (
        f"<groupName>{escape(name)}</groupName><strategy>{escape(group['strategy'])}</strategy>"
        f"<state>available</state>{partitions}"
    )


def reply(call, inner):
    body = (
        f'<{call.action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
        f"<requestId>00000000-0000-0000-0000-000000006161</requestId>{inner}"
        f"</{call.action}Response>"
    )
    return 200, [("Content-Type", "text/xml")], body.encode()
