"""Test clouds and the accounts in them, as a trial sees them: starts, asks, plants, ends."""

import json
import os
import subprocess
import urllib.request
from pathlib import Path

import boto3

RUN = Path(__file__).resolve().parent.parent / "run"
REGION = "us-west-2"
ANSWER_WITHIN = 60


class Cloud:
    """A test cloud of our own; it ends when its stdin closes, so also when we are killed."""

    def __init__(self):
        self.child = subprocess.Popen([RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.child.stdout.readline()
        if not line:
            raise SystemExit("error: the test cloud did not start; its own message is above")
        self.endpoint = json.loads(line)["endpoint"]

    def end(self):
        self.child.stdin.close()
        try:
            self.child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Account:
    """One account: nothing but the access key keeps it apart from the others."""

    def __init__(self, endpoint, number):
        self.endpoint, self.number = endpoint, number
        self.session = boto3.Session(
            aws_access_key_id=f"AKIATEST{number}",
            aws_secret_access_key="not-a-secret",
            region_name=REGION,
        )

    def environment(self):
        """What sends a child process here and nowhere else, and the layout that the caller asks for."""
        layout = {name: os.environ[name] for name in ["GROUNDPLAN_RELEASE"] if name in os.environ}
        return layout | {
            "AWS_ACCESS_KEY_ID": f"AKIATEST{self.number}",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def client(self, service):
        return self.session.client(service, endpoint_url=self.endpoint)

    def get(self, what):
        return self.control(what, "GET", None)

    def post(self, what, **wanted):
        return self.control(what, "POST", json.dumps(wanted).encode())

    def control(self, what, method, body):
        url = f"{self.endpoint}/_groundplan/{what}?account={self.number}"
        request = urllib.request.Request(url, data=body, method=method)
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN) as answer:
            return json.load(answer)

    def inventory(self):
        return self.get("inventory")

    def reset(self):
        self.post("reset")
