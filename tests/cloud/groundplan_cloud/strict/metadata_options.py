"""Instance metadata options: values checked, omitted fields kept, `pending` before `applied`."""

import copy

from moto.core.responses import ActionResult
from moto.ec2.responses import EC2Response

from ..world import world_of
from .mend import mend, refuse

CHOICES = {
    "HttpTokens": ("optional", "required"),
    "HttpEndpoint": ("enabled", "disabled"),
    "HttpProtocolIpv6": ("enabled", "disabled"),
    "InstanceMetadataTags": ("enabled", "disabled"),
}
ATTRIBUTES = {
    "HttpTokens": "http_tokens",
    "HttpPutResponseHopLimit": "http_put_response_hop_limit",
    "HttpEndpoint": "http_endpoint",
    "HttpProtocolIpv6": "http_protocol_ipv6",
    "InstanceMetadataTags": "instance_metadata_tags",
}
HOPS = range(1, 65)
NO_PREFERENCE = "no-preference"


def check(options):
    for field, choices in CHOICES.items():
        if field in options and options[field] not in choices:
            refuse(
                "InvalidParameterValue",
                f"Value ({options[field]}) for parameter {field} is invalid. Valid values are {', '.join(choices)}.",
            )
    hops = options.get("HttpPutResponseHopLimit")
    if hops is not None and int(hops) not in HOPS:
        refuse(
            "InvalidParameterValue",
            f"Value ({hops}) for parameter HttpPutResponseHopLimit is invalid. It must be between 1 and 64.",
        )


def inherited(self, ami, wanted):
    """What a launch gets: its own options, else the account's defaults, else the image's
    ("Order of precedence for instance metadata options", EC2 user guide)."""
    image = (
        {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
        if ami.imds_support == "v2.0"
        else {}
    )
    account = world_of(self).metadata_defaults.get(self.region, {})
    return {**image, **account, **(wanted or {})}


@mend(EC2Response)
def modify_instance_metadata_options(self, _moto):
    params = {field: self.params[field] for field in ATTRIBUTES if field in self.params}
    instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
    check(params)
    if not params:
        refuse("MissingParameter", "The request must contain at least one metadata option.")
    self.error_on_dryrun()
    if instance.state not in ("running", "stopped"):
        refuse(
            "IncorrectInstanceState",
            f"The instance '{instance.id}' is not in a state from which its metadata options can be modified.",
        )
    options = copy.copy(instance.metadata_options)
    for field, value in params.items():
        setattr(
            options, ATTRIBUTES[field], int(value) if field == "HttpPutResponseHopLimit" else value
        )
    options.state = "pending"
    instance.metadata_options = options
    said = copy.copy(options)
    world_of(self).after(
        "metadata_options_pending",
        lambda: setattr(options, "state", "applied"),
    )
    return ActionResult({"InstanceId": instance.id, "InstanceMetadataOptions": said})


def modify_instance_metadata_defaults(self):
    """-1 and `no-preference` take the account's opinion back."""
    fields = [field for field in ATTRIBUTES if field in self.params and field != "HttpProtocolIpv6"]
    defaults = world_of(self).metadata_defaults.setdefault(self.region, {})
    given = {field: self.params[field] for field in fields}
    kept = {f: v for f, v in given.items() if v not in (NO_PREFERENCE, -1)}
    check(kept)
    self.error_on_dryrun()
    for field in fields:
        defaults.pop(field, None)
    defaults.update(kept)
    return ActionResult({"Return": True})


def get_instance_metadata_defaults(self):
    defaults = world_of(self).metadata_defaults.get(self.region, {})
    return ActionResult({"AccountLevel": {**defaults, "ManagedBy": "account"} if defaults else {}})


EC2Response.modify_instance_metadata_defaults = modify_instance_metadata_defaults
EC2Response.get_instance_metadata_defaults = get_instance_metadata_defaults
