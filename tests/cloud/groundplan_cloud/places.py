"""Placement groups and capacity reservations, which moto has none of: made, described, and groups
known to launches."""

from xml.sax.saxutils import escape

from . import faults

# What CreatePlacementGroup makes where nothing is said (EC2 API reference, CreatePlacementGroup).
STRATEGY, PARTITIONS = "cluster", 2


def answer(here, call):
    """The answer that moto cannot give, or None."""
    if call.service != "ec2" or call.rehearsed:
        return None
    return group(here, call) or reservation(here, call)


def group(here, call):
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


def reservation(here, call):
    reserved = here.reservations.setdefault(call.region, {})
    if call.action == "CreateCapacityReservation":
        made = f"cr-{len(reserved) + 1:017x}"
        reserved[made] = "active"
        return reply(call, f"<capacityReservation>{state(made, 'active')}</capacityReservation>")
    if call.action == "CancelCapacityReservation":
        reserved[call.params["CapacityReservationId"]] = "cancelled"
        return reply(call, "<return>true</return>")
    if call.action == "DescribeCapacityReservations":
        items = "".join(f"<item>{state(*one)}</item>" for one in sorted(reserved.items()))
        return reply(call, f"<capacityReservationSet>{items}</capacityReservationSet>")
    return None


def state(made, state):
    return f"<capacityReservationId>{made}</capacityReservationId><state>{state}</state>"


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
