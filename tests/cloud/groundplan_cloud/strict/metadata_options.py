"""Instance metadata options: values checked, omitted fields kept, `pending` before `applied`, and what
the account enforces."""

import copy
import re

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
# Settings of the account that are no defaults of an option.
ENFORCED = "HttpTokensEnforced"
TAG_KEY = re.compile(r"[0-9a-zA-Z\-_+=,.@:]{1,255}")


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
    defaults = {field: value for field, value in account.items() if field in ATTRIBUTES}
    return {**image, **defaults, **(wanted or {})}


def enforce(self, options):
    """Enforcement is evaluated after the order of precedence. The text is that of EC2
    (aws-games/cloud-game-development-toolkit issue 918)."""
    account = world_of(self).metadata_defaults.get(self.region, {})
    if account.get(ENFORCED) == "enabled" and options.get("HttpTokens") != "required":
        refuse(
            "UnsupportedOperation",
            "You can't launch instances with IMDSv1 because httpTokensEnforced is enabled for this account. Either "
            "launch the instance with httpTokens=required or contact your account owner to disable "
            "httpTokensEnforced using the ModifyInstanceMetadataDefaults API or the account settings in the EC2 "
            "console.",
        )


def refuse_tag_keys(options, keys):
    """Tags in the metadata service have keys without `/` (text: kubernetes/cloud-provider-aws issue 762)."""
    if options.get("InstanceMetadataTags") != "enabled":
        return
    for key in keys:
        if not TAG_KEY.fullmatch(key) or key in (".", "..", "_index"):
            refuse(
                "InvalidParameterValue",
                f"'{key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{{1,255}}), and "
                "must not be a reserved name ('.', '..', '_index')",
            )


@mend(EC2Response)
def modify_instance_metadata_options(self, _moto):
    params = {field: self.params[field] for field in ATTRIBUTES if field in self.params}
    instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
    check(params)
    if not params:
        refuse("MissingParameter", "The request must contain at least one metadata option.")
    if params.get("HttpTokens") == "optional":
        enforce(self, params)
    refuse_tag_keys(params, [tag["key"] for tag in instance.get_tags()])
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
    if defaults.get("ManagedBy") == "declarative-policy":
        text = defaults.get("ManagedExceptionMessage", "")
        refuse("DeclarativePolicyViolation", f"This functionality is restricted by a declarative policy. {text}")
    given = {field: self.params[field] for field in [*fields, *([ENFORCED] if ENFORCED in self.params else [])]}
    kept = {f: v for f, v in given.items() if v not in (NO_PREFERENCE, -1)}
    check(kept)
    if kept.get(ENFORCED) not in (None, "enabled", "disabled"):
        refuse("InvalidParameterValue", f"Value ({kept[ENFORCED]}) for parameter {ENFORCED} is invalid.")
    self.error_on_dryrun()
    for field in given:
        defaults.pop(field, None)
    defaults.update(kept)
    return ActionResult({"Return": True})


def get_instance_metadata_defaults(self):
    self.error_on_dryrun()
    defaults = world_of(self).metadata_defaults.get(self.region, {})
    return ActionResult({"AccountLevel": {"ManagedBy": "account", **defaults} if defaults else {}})


def describe_vpc_block_public_access_options(self):
    here = world_of(self).block_public_access
    options = {
        "AwsAccountId": self.current_account,
        "AwsRegion": self.region,
        "State": "update-complete" if here else "default-state",
        "InternetGatewayBlockMode": here.get("mode", "off"),
        "ManagedBy": here.get("managed_by", "account"),
        "ExclusionsAllowed": "allowed",
    }
    return ActionResult({"VpcBlockPublicAccessOptions": options})


EC2Response.describe_vpc_block_public_access_options = describe_vpc_block_public_access_options
EC2Response.modify_instance_metadata_defaults = modify_instance_metadata_defaults
EC2Response.get_instance_metadata_defaults = get_instance_metadata_defaults
