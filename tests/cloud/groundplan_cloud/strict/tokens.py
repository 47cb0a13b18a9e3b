"""ClientToken: same token and parameters, same object; other parameters, an error."""

import json

from moto.core.responses import ActionResult
from moto.ec2.responses import EC2Response

from ..world import world_of
from .mend import refuse, replace

# EC2's rule: up to 64 ASCII characters ("Ensuring idempotency in Amazon EC2 API requests").
LONGEST = 64


def replayable(action):
    def method(self, moto):
        token = self._get_param("ClientToken")
        if not token:
            return moto()
        if len(token) > LONGEST or not token.isascii():
            refuse("InvalidParameterValue", "Invalid ClientToken: at most 64 ASCII characters")
        known = world_of(self).tokens
        key = (self.region, action, token)
        wanted = fingerprint(self.params)
        if key not in known:
            answer = moto()
            known[key] = (wanted, answer._result)
            return answer
        before, result = known[key]
        if before != wanted:
            refuse(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in "
                "previous request(s).",
            )
        if action == "run_instances" and any(i.state == "terminated" for i in result.instances):
            refuse(
                "IdempotentInstanceTerminated",
                "The instance specified by the client token has been terminated.",
            )
        return ActionResult(result)

    return method


def fingerprint(params):
    rest = {k: v for k, v in params.items() if k not in ("ClientToken", "DryRun")}
    return json.dumps(rest, sort_keys=True, default=str)


for name in (
    "run_instances",
    "create_nat_gateway",
    "create_carrier_gateway",
    "create_egress_only_internet_gateway",
    "create_vpc_endpoint",
    "create_volume",
    "create_network_interface",
    "create_route_table",
    "copy_image",
):
    replace(EC2Response, name, replayable(name))
