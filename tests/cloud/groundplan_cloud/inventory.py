"""Everything an account has, in a form two runs can be compared by: AWS's random ids are replaced by
what things are called, and what AWS makes by itself (default VPC, main route tables, default groups,
listed images) is left out. `ids` has the real ones, by type, and `tags` what each is tagged."""

import json

from moto import backends
from moto.ec2.models.instances import MetadataOptions

from .calls import digest

GONE = ("terminated", "shutting-down")


def inventory(account):
    found = []
    for region, ec2 in regions("ec2", account):
        found += [(region, *one) for one in in_ec2(ec2)]
    for region, elb in regions("elbv2", account):
        found += [(region, *one) for one in in_elb(elb)]
    for region, classic in regions("elb", account):
        found += [(region, *one) for one in in_classic_elb(classic)]
    for service, reader in (("iam", in_iam), ("route53", in_route53), ("s3", in_s3)):
        for _, backend in regions(service, account):
            found += [("global", *one) for one in reader(backend)]
    return normalised(account, found)


def regions(service, account):
    accounts = backends.get_backend(service)
    return sorted(accounts[account].items()) if account in accounts else []


def normalised(account, found):
    """Ids become labels (`type:name`); the rest of each row is compared as it is."""
    labels = {**unlisted(account), **{row[2]: label(row) for row in found}}
    objects, ids = {}, {}
    for region, kind, identity, _, tags, attributes in found:
        row = {"label": labels[identity], "region": region, "tags": tags, **attributes}
        objects.setdefault(kind, []).append(relabelled(row, labels))
        ids.setdefault(kind, []).append(identity)
    return {
        "total": len(found),
        "objects": {kind: sorted(rows, key=text) for kind, rows in sorted(objects.items())},
        "ids": {kind: sorted(known) for kind, known in sorted(ids.items())},
        "tags": {row[2]: row[4] for row in sorted(found, key=lambda row: row[2])},
    }


def unlisted(account):
    """What is left out of the list can still be referred to."""
    labels = {}
    for _, ec2 in regions("ec2", account):
        for groups in ec2.groups.values():
            labels.update(
                {
                    group.id: "security_group:default"
                    for group in groups.values()
                    if group.is_default
                }
            )
        for vpc in ec2.vpcs.values():
            if vpc.is_default:
                labels[vpc.id] = "vpc:default"
        for subnet in ec2.describe_subnets():
            labels[subnet.id] = f"subnet:default:{subnet.availability_zone}"
        for table in ec2.route_tables.values():
            if table.main_association_id is not None:
                labels[table.id] = "route_table:main"
    return labels


def label(row):
    _, kind, _, name, tags, _ = row
    return f"{kind}:{tags.get('Name') or name or '?'}"


def text(row):
    return json.dumps(row, sort_keys=True, default=str)


def relabelled(value, labels):
    if isinstance(value, dict):
        return {key: relabelled(one, labels) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        rows = [relabelled(one, labels) for one in value]
        return sorted(rows, key=text)
    if isinstance(value, str):
        return labels.get(value, value)
    return value


def tags_of(thing):
    return {tag["key"]: tag["value"] for tag in thing.get_tags()}


def in_ec2(ec2):
    ours = {vpc.id for vpc in ec2.vpcs.values() if not vpc.is_default}
    for vpc in ec2.vpcs.values():
        if vpc.id in ours:
            yield "vpc", vpc.id, vpc.cidr_block, tags_of(vpc), {
                "cidr": vpc.cidr_block,
                "dns_support": truth(vpc.enable_dns_support),
                "dns_hostnames": truth(vpc.enable_dns_hostnames),
                "dhcp_options": vpc.dhcp_options.id if vpc.dhcp_options else None,
            }
    for subnet in ec2.describe_subnets():
        if subnet.vpc_id in ours:
            yield "subnet", subnet.id, subnet.cidr_block, tags_of(subnet), {
                "vpc": subnet.vpc_id,
                "cidr": subnet.cidr_block,
                "zone": subnet.availability_zone,
                "public": truth(subnet.map_public_ip_on_launch),
            }
    for gateway in ec2.internet_gateways.values():
        yield "internet_gateway", gateway.id, None, tags_of(gateway), {
            "vpc": gateway.vpc.id if gateway.vpc else None
        }
    for gateway in ec2.egress_only_internet_gateways.values():
        yield "egress_only_internet_gateway", gateway.id, None, tags_of(gateway), {
            "vpc": gateway.vpc_id
        }
    for gateway in ec2.carrier_gateways.values():
        if gateway.state != "deleted":
            yield "carrier_gateway", gateway.id, None, tags_of(gateway), {
                "vpc": gateway.vpc_id,
                "state": gateway.state,
            }
    for table in ec2.route_tables.values():
        if table.vpc_id in ours and table.main_association_id is None:
            yield "route_table", table.id, None, tags_of(table), {
                "vpc": table.vpc_id,
                "subnets": list(table._associations.values()),
                "routes": [route(r) for r in table.routes if not r.local],
            }
    for group in (g for groups in ec2.groups.values() for g in groups.values()):
        if group.vpc_id in ours and not group.is_default:
            yield "security_group", group.id, group.name, tags_of(group), {
                "vpc": group.vpc_id,
                "name": group.name,
                "description": group.description,
                "ingress": [rule(ec2, r) for r in group.ingress_rules],
                "egress": [rule(ec2, r) for r in group.egress_rules],
            }
    for options in ec2.dhcp_options_sets.values():
        yield "dhcp_options", options.id, None, tags_of(options), {"options": options._options}
    for address in ec2.addresses:
        yield "elastic_ip", address.allocation_id, None, tags_of(address), {
            "used_by": user_of(ec2, address),
        }
    for nat in ec2.nat_gateways.values():
        if nat.state != "deleted":
            yield "nat_gateway", nat.id, None, tags_of(nat), {
                "subnet": nat.subnet_id,
                "state": nat.state,
                "address": [a.get("allocationId") for a in nat.address_set],
            }
    for endpoint in ec2.vpc_end_points.values():
        yield "vpc_endpoint", endpoint.id, endpoint.service_name, tags_of(endpoint), {
            "vpc": endpoint.vpc_id,
            "service": endpoint.service_name,
            "state": endpoint.state,
            "route_tables": endpoint.route_table_ids,
            "policy": endpoint.policy_document,
        }
    yield from compute(ec2)


def user_of(ec2, address):
    for nat in ec2.nat_gateways.values():
        if address.eni and address.eni is nat._eni:
            return nat.id
    if address.eni:
        return address.eni.instance.id if address.eni.instance else address.eni.id
    return None


def compute(ec2):
    for reservation in ec2.reservations.values():
        for instance in reservation.instances:
            if instance.state not in GONE:
                yield "instance", instance.id, None, tags_of(instance), {
                    "state": instance.state,
                    "image": instance.image_id,
                    "type": instance.instance_type,
                    "subnet": instance.subnet_id,
                    "groups": sorted({g.id for i in instance.nics.values() for g in i.group_set}),
                    "profile": (instance.iam_instance_profile or {}).get("Arn"),
                    "metadata_options": options(instance.metadata_options),
                    "user_data": (
                        digest(str(instance.user_data).encode()) if instance.user_data else None
                    ),
                    "volumes": sorted(v.volume_id for v in instance.block_device_mapping.values()),
                }
    for volume in ec2.volumes.values():
        yield "volume", volume.id, volume.attachment.device if volume.attachment else None, tags_of(
            volume
        ), {
            "size": volume.size,
            "type": volume.volume_type,
            "iops": volume.iops,
            "throughput": volume.throughput,
            "encrypted": truth(volume.encrypted),
            "instance": volume.attachment.instance.id if volume.attachment else None,
        }
    for interface in ec2.enis.values():
        if interface.interface_type != "nat_gateway":
            described = strip_ids(interface.description)
            yield "network_interface", interface.id, described, tags_of(interface), {
                "subnet": interface.subnet.id,
                "description": described,
                "groups": sorted({g.id for g in interface.group_set}),
                "instance": interface.instance.id if interface.instance else None,
            }
    for image in ec2.amis.values():
        if not getattr(image, "built_in", False):
            yield "image", image.id, image.name, tags_of(image), {
                "name": image.name,
                "copied_from": getattr(image, "copied_from", None),
                "encrypted": truth(getattr(image, "encrypted", False)),
            }
            snapshot = image.ebs_snapshot
            yield "snapshot", snapshot.id, image.name, tags_of(snapshot), {"image": image.id}
    of_images = {image.ebs_snapshot.id for image in ec2.amis.values() if image.ebs_snapshot}
    for snapshot in ec2.snapshots.values():
        if snapshot.id not in of_images and tags_of(snapshot):
            yield "snapshot", snapshot.id, None, tags_of(snapshot), {"image": None}
    for name in ec2.key_pairs:
        yield "key_pair", name, name, {}, {}


def truth(value):
    return str(value).lower() == "true"


def strip_ids(description):
    """An interface of a balancer names it with the random part of its ARN."""
    return description.rpartition("/")[0] if description.startswith("ELB ") else description


def options(metadata: MetadataOptions):
    return {name: value for name, value in vars(metadata).items() if not name.startswith("_")}


def route(one):
    target = (
        one.gateway
        or one.nat_gateway
        or one.instance
        or one.interface
        or one.egress_only_igw
        or one.carrier_gateway
    )
    where = one.destination_cidr_block or one.destination_ipv6_cidr_block
    return {
        "to": where
        or (one.destination_prefix_list and one.destination_prefix_list.prefix_list_name),
        "by": target.id if target else None,
    }


def rule(ec2, one):
    return {
        "protocol": one.ip_protocol,
        "from": one.from_port,
        "to": one.to_port,
        "source": one.cidr_ipv4
        or one.cidr_ipv6
        or one.source_group.get("GroupId")
        or one.prefix_list_id,
        "description": one.description,
        "tags": dict(ec2.tags.get(one.id, {})),
    }


def in_classic_elb(elb):
    for balancer in elb.load_balancers.values():
        yield "classic_load_balancer", balancer.name, balancer.name, dict(balancer.tags), {
            "instances": sorted(balancer.instance_ids),
        }


def in_elb(elb):
    tags = elb.tagging_service.get_tag_dict_for_resource
    for balancer in elb.load_balancers.values():
        yield "load_balancer", balancer.arn, balancer.name, tags(balancer.arn), {
            "type": balancer.type,
            "scheme": balancer.scheme,
            "subnets": [subnet.id for subnet in balancer.subnets],
            "groups": balancer.security_groups,
            "attributes": balancer.attrs,
        }
        for listener in balancer.listeners.values():
            yield "listener", listener.arn, f"{balancer.name}:{listener.port}", tags(
                listener.arn
            ), {
                "balancer": balancer.arn,
                "protocol": listener.protocol,
                "port": listener.port,
                "forwards_to": sorted(
                    arn
                    for action in listener.default_actions
                    for arn in elb._get_target_group_arns_from(action.data)
                ),
            }
    for group in elb.target_groups.values():
        yield "target_group", group.arn, group.name, tags(group.arn), {
            "protocol": group.protocol,
            "port": group.port,
            "vpc": group.vpc_id,
            "target_type": group.target_type,
            "health": {
                "protocol": group.health_check_protocol,
                "port": group.health_check_port,
                "path": group.health_check_path,
                "interval": group.health_check_interval_seconds,
                "healthy": group.healthy_threshold_count,
                "unhealthy": group.unhealthy_threshold_count,
            },
            "attributes": group.attributes,
            "targets": targets(elb, group),
        }


def targets(elb, group):
    """An address target is an instance's or a balancer's; its number is random."""
    by_address = {i.private_ip_address: i for i in elb.ec2_backend.enis.values()}
    named = []
    for target in group.targets.values():
        interface = by_address.get(target["Id"])
        instance = interface.instance if interface else None
        named.append({"port": target["Port"], "target": instance.id if instance else target["Id"]})
    return named


def in_iam(iam):
    for role in iam.roles.values():
        if not role.path.startswith("/aws-service-role/"):
            yield "role", role.arn, role.name, tag_list(role.tags), {
                "name": role.name,
                "trust": role.assume_role_policy_document,
                "policies": dict(role.policies),
                "attached": sorted(role.managed_policies),
                "boundary": role.permissions_boundary_arn,
            }
    for profile in iam.instance_profiles.values():
        yield "instance_profile", profile.arn, profile.name, tag_list(profile.tags), {
            "name": profile.name,
            "roles": [role.name for role in profile.roles],
        }
    for user in iam.users.values():
        yield "user", user.arn, user.name, tag_list(user.tags), {"name": user.name}


def tag_list(tags):
    if isinstance(tags, dict):
        return {k: v if isinstance(v, str) else v.get("Value") for k, v in tags.items()}
    return {tag["Key"]: tag["Value"] for tag in tags or []}


def in_route53(route53):
    for zone in route53.zones.values():
        yield "hosted_zone", zone.resource_id, zone.name, dict(
            route53.resource_tags.get(zone.resource_id, {})
        ), {
            "name": zone.name,
            "private": truth(zone.private_zone),
            "vpcs": [vpc.get("vpc_id") for vpc in zone.vpcs],
        }
        for record in zone.rrsets:
            if record.type not in ("NS", "SOA"):
                yield "record", f"{zone.resource_id}/{record.name}/{record.type}", record.name, {}, {
                    "zone": zone.resource_id,
                    "type": record.type,
                    "ttl": record.ttl and int(record.ttl),
                    "values": list(record.records),
                    "alias": (record.alias_target or {}).get("DNSName"),
                }


def in_s3(s3):
    for bucket in s3.buckets.values():
        yield "bucket", bucket.arn, bucket.name, s3.tagger.get_tag_dict_for_resource(bucket.arn), {
            "name": bucket.name
        }
        for key in bucket.keys.values():
            if not hasattr(key, "size"):  # a delete marker
                continue
            yield "object", f"{bucket.name}/{key.name}", f"{bucket.name}/{key.name}", {}, {
                "bucket": bucket.name,
                "key": key.name,
                "size": key.size,
            }
