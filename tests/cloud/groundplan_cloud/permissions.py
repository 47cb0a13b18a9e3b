"""Who may do what, and how much of it: what a test denies, IAM's simulation of it, and quotas.

Policies are not evaluated: a test names the actions that its account may not take. Quotas are told
and never enforced: what they are for is to be asked about before anything is made.
"""

import json
from xml.sax.saxutils import escape

from . import faults

# IAM's names for the services whose signatures have another one.
PREFIXES = {"elbv2": "elasticloadbalancing"}
# Calls whose permission is called otherwise.
RENAMED = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
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


def answer(here, call, body):
    """The answer that moto cannot give, or None."""
    action = permission(call)
    if action in here.denied:
        return denied(call, action)
    if call.service == "servicequotas":
        return quota(here, call, json.loads(body or b"{}"))
    if action == "iam:SimulatePrincipalPolicy":
        return simulation(here, call)
    return None


def permission(call):
    action = f"{PREFIXES.get(call.service, call.service)}:{call.action}"
    return RENAMED.get(action, action)


def denied(call, action):
    arn = f"arn:aws:iam::{call.account}:user/tester"
    said = f"User: {arn} is not authorized to perform: {action}"
    why = "because no identity-based policy allows the action"
    if call.service == "ec2":
        said = f"You are not authorized to perform this operation. {said} {why}. Encoded "
        said += "authorization failure message: " + "x" * 200
        return faults.error(call, 403, "UnauthorizedOperation", said)
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
    results = "".join(
        f"<member><EvalActionName>{escape(action)}</EvalActionName>"
        f"<EvalResourceName>{escape(resource)}</EvalResourceName>"
        f"<EvalDecision>{'implicitDeny' if action in here.denied else 'allowed'}</EvalDecision>"
        "<MatchedStatements/><MissingContextValues/></member>"
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


def members(params, name):
    numbered = {
        int(key.rsplit(".", 1)[1]): value
        for key, value in params.items()
        if key.startswith(f"{name}.member.")
    }
    return [numbered[number] for number in sorted(numbered)]
