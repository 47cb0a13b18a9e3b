"""Local and Wavelength Zones of us-west-2. An account enables them by group; moto has availability zones
only."""

from moto.core.responses import ActionResult
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend, Zone
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS
from moto.ec2.responses import EC2Response
from moto.utilities.utils import filter_resources

from .mend import mend, refuse

REGION = "us-west-2"
# Name, type, group, parent, status, instance types.
EDGE = [
    ("us-west-2-lax-1a", "local-zone", "us-west-2-lax-1", "us-west-2b", "opted-in", ["c5.2xlarge", "r5.2xlarge"]),
    ("us-west-2-phx-2a", "local-zone", "us-west-2-phx-2", "us-west-2a", "not-opted-in", ["m6i.xlarge"]),
    ("us-west-2-wl1-las-wlz-1", "wavelength-zone", "us-west-2-wl1", "us-west-2a", "opted-in", ["r5.2xlarge"]),
]
FILTERS = (
    ("group-name", "group_name"),
    ("opt-in-status", "opt_in_status"),
    ("parent-zone-name", "parent_zone_name"),
    ("region-name", "region_name"),
    ("state", "state"),
    ("zone-id", "zone_id"),
    ("zone-name", "name"),
    ("zone-type", "zone_type"),
)


def edge_zone(index, name, kind, group, parent, status):
    zone = Zone(name, REGION, f"usw2-{name.split('-')[3]}-edge{index}", kind)
    zone.group_name, zone.parent_zone_name, zone.opt_in_status = group, parent, status
    return zone


for zones in RegionsAndZonesBackend.zones.values():
    for ordinary in zones:
        ordinary.group_name = f"{ordinary.region_name}-zg-1"
        ordinary.parent_zone_name = None
        ordinary.opt_in_status = "opt-in-not-required"
EDGE_ZONES = [edge_zone(index, *facts[:5]) for index, facts in enumerate(EDGE, 1)]
# Beside the regions: subnets can be in these zones, and a default VPC has none there.
RegionsAndZonesBackend.zones[f"{REGION} edge"] = EDGE_ZONES
for name, _, _, _, _, types in EDGE:
    INSTANCE_TYPE_OFFERINGS["availability-zone"][REGION].extend(
        {"InstanceType": kind, "LocationType": "availability-zone", "Location": name} for kind in types
    )


@mend(EC2Response)
def describe_availability_zones(self, _moto):
    """Zones of groups that are not enabled are returned only on request."""
    zones = list(RegionsAndZonesBackend.zones.get(self.region, []))
    zones += EDGE_ZONES if self.region == REGION else []
    if str(self._get_param("AllAvailabilityZones")).lower() != "true":
        zones = [zone for zone in zones if zone.opt_in_status != "not-opted-in"]
    names, ids = self._get_param("ZoneNames") or [], self._get_param("ZoneIds") or []
    zones = [zone for zone in zones if not names or zone.name in names]
    zones = [zone for zone in zones if not ids or zone.zone_id in ids]
    found = filter_resources(zones, self._filters_from_querystring(), FILTERS)
    return ActionResult({"AvailabilityZones": found})


@mend(EC2Response)
def create_subnet(self, moto):
    wanted = self._get_param("AvailabilityZone")
    for zone in EDGE_ZONES:
        if zone.name == wanted and (zone.opt_in_status == "not-opted-in" or self.region != REGION):
            refuse(
                "InvalidParameterValue",
                f"Value ({wanted}) for parameter availabilityZone is invalid. The zone group is not enabled.",
            )
    return moto()
