"""Security groups: rules arrive all or none, and a group in use or referred to stays."""

from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses import EC2Response

from .mend import mend, refuse, replace, violates


def what_it_allows(rule):
    """Two rules are the same one if they allow the same; a description allows nothing."""
    return (
        rule.ip_protocol,
        rule.from_port,
        rule.to_port,
        rule.cidr_ipv4,
        rule.cidr_ipv6,
        rule.source_group.get("GroupId"),
        rule.prefix_list_id,
    )


SecurityGroupRule.__eq__ = lambda self, other: what_it_allows(self) == what_it_allows(other)
SecurityGroupRule.__hash__ = lambda self: hash(self.id)
SecurityGroupRule.description = property(
    lambda self: self.ip_range.get("Description") or self.source_group.get("Description")
)


def atomic(direction):
    def method(self, moto):
        name = self._get_param("GroupId") or self._get_param("GroupName")
        group = self.ec2_backend.get_security_group_by_name_or_id(name)
        if group is None:
            return moto()
        before = list(getattr(group, direction))
        try:
            answer = moto()
        except Exception:
            setattr(group, direction, before)
            raise
        known = {rule.id for rule in before}
        answer._result["SecurityGroupRules"] = [
            r for r in getattr(group, direction) if r.id not in known
        ]
        return answer

    return method


replace(EC2Response, "authorize_security_group_ingress", atomic("ingress_rules"))
replace(EC2Response, "authorize_security_group_egress", atomic("egress_rules"))


@mend(EC2Response)
def create_security_group(self, moto):
    vpc_id = self._get_param("VpcId")
    if vpc_id:
        self.ec2_backend.get_vpc(vpc_id)
    return moto()


@mend(EC2Response)
def delete_security_group(self, moto):
    backend = self.ec2_backend
    group = backend.get_security_group_by_name_or_id(
        self._get_param("GroupId") or self._get_param("GroupName")
    )
    if group is not None:
        if group.is_default:
            refuse(
                "CannotDelete",
                f'the specified group: "{group.id}" name: "default" cannot be deleted by a user',
            )
        for holder in holders_of(backend, group):
            violates(f"resource {group.id}", holder)
    return moto()


def holders_of(backend, group):
    for interface in backend.enis.values():
        if group in interface.group_set:
            yield interface.id
    for endpoint in backend.vpc_end_points.values():
        if group.id in endpoint.security_group_ids:
            yield endpoint.id
    for others in backend.groups.values():
        for other in others.values():
            if other is not group and any(
                rule.source_group.get("GroupId") == group.id
                for rule in other.ingress_rules + other.egress_rules
            ):
                yield f"a rule of {other.id}"
