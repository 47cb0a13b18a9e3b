"""Says which AWS call an HTTP request is: service, action, region, account, and whether it changes
anything. Never touches the cloud's state."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, unquote

from moto.core.routing import get_service_router
from moto.core.request import Request

DEFAULT_ACCOUNT = "123456789012"
SCOPE = re.compile(r"Credential=([^/,&\s]+)/[^/]*/([^/]+)/([^/]+)/aws4_request")
ACCOUNT_IN_KEY = re.compile(r"([0-9]{12})$")

# Names as the SDKs and our own throttle use them, from the names in signatures.
SERVICES = {"elasticloadbalancing": "elbv2", "monitoring": "cloudwatch"}
REST = {"s3", "route53"}
# Classic load balancers answer at the same address, by another version of the API.
CLASSIC = b"Version=2012-06-01"
READING = re.compile(
    r"(Describe|Get|List|Head|Lookup|Search|Simulate|Select|Assume|Test|Decode|Check)"
)
# What must not be kept in a log, even in a test's.
SECRETS = {"UserData", "UserData.Value"}


@dataclass
class Call:
    service: str
    action: str
    region: str
    account: str
    mutating: bool
    params: dict = field(default_factory=dict)
    signed: bool = True
    # What was sent, which the same question has in common.
    request: tuple = ()
    # Its line in the log.
    entry: dict = field(default_factory=dict)

    @property
    def rehearsed(self):
        return self.params.get("DryRun") == "true"


def identify(environ, body):
    signature = SCOPE.search(environ.get("HTTP_AUTHORIZATION", "")) or SCOPE.search(
        unquote(environ.get("QUERY_STRING", ""))
    )
    key, region, service = signature.groups() if signature else ("", "us-east-1", "s3")
    account = ACCOUNT_IN_KEY.search(key)
    service = SERVICES.get(service, service)
    if service == "elbv2" and CLASSIC in body:
        service = "elb"
    action, params = rest(service, environ, body) if service in REST else query(environ, body)
    return Call(
        service=service,
        action=action,
        region=region,
        account=account.group(1) if account else DEFAULT_ACCOUNT,
        mutating=not READING.match(action) and params.get("DryRun") != "true",
        params=params,
        signed=signature is not None,
        request=(
            environ.get("REQUEST_METHOD"),
            environ.get("PATH_INFO"),
            environ.get("QUERY_STRING"),
            body,
        ),
    )


def has_expired(environ, ahead):
    """Whether this is a presigned address whose time is over, by a clock that is so many seconds
    ahead."""
    query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    if "X-Amz-Date" not in query or "X-Amz-Expires" not in query:
        return False
    signed_at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(
        tzinfo=timezone.utc
    )
    now = datetime.now(timezone.utc) + timedelta(seconds=ahead)
    return now > signed_at + timedelta(seconds=int(query["X-Amz-Expires"]))


def query(environ, body):
    """EC2, ELB, IAM and STS put everything into a form; the tagging API names its target, CloudWatch
    has a path."""
    if environ.get("HTTP_SMITHY_PROTOCOL"):
        return environ["PATH_INFO"].rpartition("/")[2], {}
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return target.rpartition(".")[2], {}
    params = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    action = params.pop("Action", "Unknown")
    params.pop("Version", None)
    for name in SECRETS & params.keys():
        params[name] = digest(params[name].encode())
    return action, params


def rest(service, environ, body):
    """S3 and Route 53 have methods and paths; the API's own model knows their names."""
    try:
        operation, uri = get_service_router(service).match(Request(dict(environ)))
        action = operation.name
    except Exception:  # an address that is no operation; moto will say so
        action, uri = "Unknown", {}
    params = {name: str(value) for name, value in uri.items()}
    if service == "route53":
        params["Body"] = body.decode("utf-8", "replace")
    elif body:
        params["Body"] = digest(body)
    return action, params


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
