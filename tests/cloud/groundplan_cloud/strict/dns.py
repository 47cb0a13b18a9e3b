"""Route 53: zones are made once, and a change says what is there or is refused whole."""

import copy

from moto.route53.exceptions import Route53ClientError
from moto.route53.models import ChangeList
from moto.route53.responses import Route53

from .mend import mend

ESCAPED_STAR = "\\052"


@mend(Route53)
def create_hosted_zone(self, moto):
    name = self._get_param("Name").rstrip(".") + "."
    reference, vpc = self._get_param("CallerReference"), self.params.get("VPC")
    zones = self.backend.zones.values()
    if any(zone.caller_reference == reference for zone in zones):
        raise Route53ClientError(
            "HostedZoneAlreadyExists",
            f"A hosted zone has already been created with the specified caller reference: {reference}",
        )
    if vpc:
        # A zone with a VPC is private, whatever the flag says.
        self.params.setdefault("HostedZoneConfig", {})["PrivateZone"] = True
        check_vpc(self, vpc)
        if any(zone.name == name and in_vpc(zone, vpc) for zone in zones):
            raise Route53ClientError(
                "ConflictingDomainExists",
                f"The VPC {vpc['VPCId']} in region {vpc['VPCRegion']} has already been associated with a "
                f"hosted zone for the same domain name {name}",
            )
    return moto()


def in_vpc(zone, vpc):
    return vpc["VPCId"] in [known.get("vpc_id") for known in zone.vpcs]


@mend(Route53)
def associate_vpc_with_hosted_zone(self, moto):
    check_vpc(self, self.params["VPC"])
    return moto()


def check_vpc(self, vpc):
    from moto.ec2.models import ec2_backends

    regions = ec2_backends[self.current_account]
    if vpc["VPCId"] not in regions[vpc["VPCRegion"]].vpcs:
        raise Route53ClientError(
            "InvalidVPCId",
            f"The VPC: {vpc['VPCId']} you provided is not authorized to make the association.",
        )


@mend(Route53)
def change_resource_record_sets(self, moto):
    zone = self.backend.get_hosted_zone(self._get_param("HostedZoneId"))
    wrong = []
    for change in self._get_param("ChangeBatch.Changes"):
        record = change["ResourceRecordSet"]
        there = existing(zone, record)
        what = f"[name='{record['Name']}', type='{record['Type']}']"
        if change["Action"] == "CREATE" and there:
            wrong.append(f"Tried to create resource record set {what} but it already exists")
        elif change["Action"] == "DELETE" and not there:
            wrong.append(f"Tried to delete resource record set {what} but it was not found")
        elif change["Action"] == "DELETE" and values(there) != wanted(record):
            wrong.append(
                f"Tried to delete resource record set {what} but the values provided do not match the current values"
            )
    if wrong:
        raise Route53ClientError("InvalidChangeBatch", f"[{', '.join(wrong)}]")
    return moto()


# moto guesses from the changes it remembers whether a record exists; we have looked.
ChangeList.__contains__ = lambda self, change: False
ChangeList.has_insert_or_update = lambda self, record: True


@mend(Route53)
def list_resource_record_sets(self, moto):
    """A `*` comes back as its octal escape ("DNS domain name format", Route 53 developer guide)."""
    start = self.params.get("StartRecordName")
    if start:
        self.params["StartRecordName"] = start.replace(ESCAPED_STAR, "*")
    answer = moto()
    answer._result["ResourceRecordSets"] = [
        escaped(r) for r in answer._result["ResourceRecordSets"]
    ]
    following = answer._result["NextRecordName"]
    answer._result["NextRecordName"] = following and following.replace("*", ESCAPED_STAR)
    return answer


def escaped(record):
    if "*" not in record.name:
        return record
    record = copy.copy(record)
    record.name = record.name.replace("*", ESCAPED_STAR)
    return record


def existing(zone, record):
    record["Name"] = record["Name"].replace(ESCAPED_STAR, "*").lower()
    for known in zone.rrsets:
        if (
            known.name.rstrip(".") == record["Name"].rstrip(".")
            and known.type == record["Type"]
            and known.set_identifier == record.get("SetIdentifier")
        ):
            return known
    return None


def values(known):
    target = known.alias_target
    return alias(target) if target else (known.ttl and int(known.ttl), sorted(known.records))


def wanted(record):
    target = record.get("AliasTarget")
    if target:
        return alias(target)
    records = [one["Value"] for one in record.get("ResourceRecords", [])]
    ttl = record.get("TTL")
    return ttl and int(ttl), sorted(records)


def alias(target):
    return (
        target["HostedZoneId"],
        target["DNSName"].rstrip(".").lower(),
        target.get("EvaluateTargetHealth"),
    )
