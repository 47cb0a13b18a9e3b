"""Roles of other accounts: they exist, they trust the caller, and their keys are keys of their account."""

from datetime import timedelta

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.iam.models import iam_backends
from moto.sts.exceptions import STSClientError
from moto.sts.responses import TokenResponse

from .mend import mend


@mend(TokenResponse)
def assume_role(self, _moto):
    """The account of a key is in its last digits, as for every key of this cloud."""
    arn = self._get_param("RoleArn")
    account, name = arn.split(":")[4], arn.rpartition("/")[2]
    roles = iam_backends[account]["aws"].roles.values() if account in iam_backends else []
    role = next((one for one in roles if one.name == name), None)
    trust = str(role.assume_role_policy_document) if role else ""
    if f"arn:aws:iam::{self.current_account}:" not in trust:
        raise STSClientError(
            "AccessDenied",
            f"User: arn:aws:iam::{self.current_account}:root is not authorized to perform: "
            f"sts:AssumeRole on resource: {arn}",
        )
    session = self._get_param("RoleSessionName")
    return ActionResult(
        {
            "Credentials": {
                "AccessKeyId": f"ASIA{account}",
                "SecretAccessKey": "secret",
                "SessionToken": "token",
                "Expiration": utcnow() + timedelta(hours=1),
            },
            "AssumedRoleUser": {
                "AssumedRoleId": f"AROA{account}:{session}",
                "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
            },
        }
    )
