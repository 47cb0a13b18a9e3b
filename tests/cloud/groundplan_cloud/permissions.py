"""Who may do what, and how much of it: what a test denies or allows, IAM's simulation of it, and quotas.

A test names the actions that its account may not take, or gives the one policy document that the account
has. Of a document, actions and resources decide; conditions are not evaluated. The exception is a
permissions boundary that the account requires for new roles. Quotas are told and never
enforced: what they are for is to be asked about before anything is made.
"""

import fnmatch
import json
from xml.sax.saxutils import escape

from . import faults

# IAM's names for the services whose signatures have another one.
PREFIXES = {"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing", "tagging": "tag"}
# Calls whose permission is called otherwise.
RENAMED = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:DeleteObjects": "s3:DeleteObject",
}
# An account that is used, and was given more than AWS's defaults (five each of addresses, VPCs,
# gateways) so that several clusters fit.
QUOTAS = {
    "L-1216C47A": 1920.0,
    "L-DB2E81BA": 64.0,
    "L-7295265B": 128.0,
    "L-0263D0A3": 25.0,
    "L-F678F1CE": 25.0,
    "L-A4707A72": 25.0,
    "L-FE5A380F": 25.0,
    "L-69A177A2": 50.0,
    "L-E79EC296": 2500.0,
    "L-1B52E74A": 20.0,
}


# Calls that every identity may make.
FREE = {"sts:GetCallerIdentity"}


def answer(here, call, body):
    """The answer that moto cannot give, or None."""
    action = permission(call)
    for needed in [action, *besides(call, action, body or b"")]:
        if not allowed(here, needed, resource(call, needed)):
            return denied(call, needed)
    if not bounded(here, action, call.params.get("PermissionsBoundary")):
        return denied(call, action, "with an explicit deny in a permissions boundary")
    if call.service == "servicequotas":
        return quota(here, call, json.loads(body or b"{}"))
    if action == "iam:SimulatePrincipalPolicy":
        return simulation(here, call)
    return None


def permission(call):
    action = f"{PREFIXES.get(call.service, call.service)}:{call.action}"
    return RENAMED.get(action, action)


def besides(call, action, body):
    """The permissions that AWS checks besides the one of the call: tags in a creation, and the role that
    a call hands to a service."""
    keys = call.params
    tagged = any(key.startswith(("TagSpecification.", "Tags.member.")) for key in keys)
    if tagged and call.service == "ec2" and action != "ec2:CreateTags":
        yield "ec2:CreateTags"
    if tagged and call.service == "elbv2" and call.action.startswith("Create"):
        yield "elasticloadbalancing:AddTags"
    if tagged and action == "iam:CreateRole":
        yield "iam:TagRole"
    if tagged and action == "iam:CreateInstanceProfile":
        yield "iam:TagInstanceProfile"
    with_profile = any(key.startswith("IamInstanceProfile.") for key in keys)
    if action == "iam:AddRoleToInstanceProfile" or (call.service == "ec2" and with_profile):
        yield "iam:PassRole"
    if action == "s3:DeleteObject" and b"<VersionId>" in body:
        yield "s3:DeleteObjectVersion"


def resource(call, action):
    """The ARN that a policy can name for an action; "*" for actions that it cannot restrict here."""
    account, params = call.account, call.params
    if action.startswith("iam:"):
        entities = [("RoleName", "role"), ("UserName", "user"), ("InstanceProfileName", "instance-profile")]
        if action.endswith("InstanceProfile"):
            entities.reverse()
        for name, entity in entities:
            if name in params:
                return f"arn:aws:iam::{account}:{entity}/{params[name]}"
    if call.service == "s3" and "Bucket" in params:
        bucket = f"arn:aws:s3:::{params['Bucket']}"
        return f"{bucket}/{params.get('Key', '')}" if "Object" in action else bucket
    return "*"


def allowed(here, action, arn="*"):
    if action in FREE:
        return True
    if action in here.denied:
        return False
    return here.policy is None or any(
        statement["Effect"] == "Allow"
        and any(fnmatch.fnmatchcase(action, each) for each in listed(statement["Action"]))
        and (arn == "*" or any(fnmatch.fnmatchcase(arn, each) for each in listed(statement["Resource"])))
        for statement in here.policy["Statement"]
    )


# Calls that set or remove the permissions boundary of a role.
BOUNDED = {
    "iam:CreateRole",
    "iam:PutRolePermissionsBoundary",
    "iam:DeleteRolePermissionsBoundary",
}


def bounded(here, action, boundary):
    """False for a call that gives a role another boundary than the account requires: a Deny of these
    actions, unless `iam:PermissionsBoundary` equals it ("Permissions boundaries for IAM entities", IAM
    user guide)."""
    return here.boundary in (None, boundary) or action not in BOUNDED


def listed(value):
    return [value] if isinstance(value, str) else value


def denied(call, action, why="because no identity-based policy allows the action"):
    arn = f"arn:aws:iam::{call.account}:user/tester"
    said = f"User: {arn} is not authorized to perform: {action}"
    if call.service == "ec2":
        said = f"You are not authorized to perform this operation. {said} {why}. Encoded "
        said += "authorization failure message: " + "x" * 200
        return faults.error(call, 403, "UnauthorizedOperation", said)
    if call.service == "tagging":
        return faults.error(call, 400, "AccessDeniedException", f"{said} {why}")
    return faults.error(call, 403, "AccessDenied", f"{said} {why}")


def quota(here, call, wanted):
    code, service = wanted.get("QuotaCode"), wanted.get("ServiceCode")
    value = here.quotas.get(code, QUOTAS.get(code))
    if value is None:
        said = "The request failed because the specified quota does not exist."
        return faults.error(call, 400, "NoSuchResourceException", said)
    told = {"ServiceCode": service, "QuotaCode": code, "Value": value, "Adjustable": True}
    headers = [("Content-Type", "application/x-amz-json-1.1")]
    return 200, headers, json.dumps({"Quota": told}).encode()


def simulation(here, call):
    actions = members(call.params, "ActionNames")
    resources = members(call.params, "ResourceArns") or ["*"]
    boundary = context(call.params).get("iam:PermissionsBoundary")
    results = "".join(
        f"<member><EvalActionName>{escape(action)}</EvalActionName>"
        f"<EvalResourceName>{escape(resource)}</EvalResourceName>"
        f"<EvalDecision>{decision(here, action, resource, boundary)}</EvalDecision>"
        f"<MatchedStatements/>{missing(here, action, boundary)}</member>"
        for action in actions
        for resource in resources
    )
    body = (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>{results}"
        "</EvaluationResults></SimulatePrincipalPolicyResult><ResponseMetadata><RequestId>"
        "00000000-0000-0000-0000-000000005151</RequestId></ResponseMetadata>"
        "</SimulatePrincipalPolicyResponse>"
    )
    return 200, [("Content-Type", "text/xml")], body.encode()


def decision(here, action, resource, boundary):
    if not bounded(here, action, boundary):
        return "explicitDeny"
    return "allowed" if allowed(here, action, resource) else "implicitDeny"


def missing(here, action, boundary):
    """The condition keys that policies have and the request does not."""
    if here.boundary is None or boundary is not None or action not in BOUNDED:
        return "<MissingContextValues/>"
    return "<MissingContextValues><member>iam:PermissionsBoundary</member></MissingContextValues>"


def context(params):
    """The first value of each context key."""
    prefix = "ContextEntries.member."
    numbers = {key.removeprefix(prefix).split(".")[0] for key in params if key.startswith(prefix)}
    entries = [prefix + number for number in numbers]
    return {
        params[f"{one}.ContextKeyName"]: params[f"{one}.ContextKeyValues.member.1"] for one in entries
    }


def members(params, name):
    numbered = {
        int(key.rsplit(".", 1)[1]): value
        for key, value in params.items()
        if key.startswith(f"{name}.member.")
    }
    return [numbered[number] for number in sorted(numbered)]
