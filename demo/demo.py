"""Plays the whole life of two clusters in the test cloud, and shows what AWS says of them.

Everything that is shown of machines is read back with boto3, not taken from groundplan.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3

HERE = Path(__file__).resolve().parent
REGION = "us-west-2"
DOMAIN = "example.com"
ACCOUNT = "424242424242"  # the test cloud takes the account from the last digits of the access key
CREDENTIALS = {"AWS_ACCESS_KEY_ID": f"AKIADEMO{ACCOUNT}", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}
IN_PLACE = 'metadata_options.http_tokens: "optional" -> "required"'


class Demo:
    def __init__(self, program, endpoint, scratch):
        self.program, self.endpoint, self.scratch = program, endpoint, Path(scratch)
        self.stage = 0
        os.environ.pop("AWS_PROFILE", None)
        os.environ.update(CREDENTIALS, AWS_ENDPOINT_URL=endpoint)
        os.environ.update(AWS_REGION=REGION, AWS_DEFAULT_REGION=REGION)
        os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)

    def play(self):
        began = time.monotonic()
        self.headline("The account before: a public hosted zone for " + DOMAIN)
        boto3.client("route53").create_hosted_zone(Name=DOMAIN, CallerReference="demo")
        before = self.inventory()
        self.tell_inventory(before)

        required = self.config("required")
        self.headline("Is the install-config valid?")
        self.groundplan("validate", required)
        self.headline("What would be done? (metadataService.authentication: Required)")
        self.groundplan("plan", required, "--out", str(self.scratch / "required.plan"))
        self.headline("Do exactly that")
        self.groundplan("apply", required, str(self.scratch / "required.plan"), "--auto-approve", brief=True)
        self.headline("The metadata options of every instance, as AWS reports them")
        self.tell_instances("required", {"required"})
        self.headline("Plan again: nothing is left to do, and nothing is called that changes anything")
        calls = self.mutating_calls()
        said = self.groundplan("plan", required, "--detailed-exitcode")
        check("No changes." in said, "the second plan has no changes")
        check(self.mutating_calls() == calls, "the second plan made no mutating call")

        optional = self.config("optional")
        self.headline("A second cluster, with authentication: Optional")
        self.groundplan("apply", optional, "--auto-approve", brief=True)
        self.tell_instances("optional", {"optional"})
        self.headline("Optional becomes Required: changed in place, no machine is replaced")
        machines = self.instance_ids("optional")
        optional.write_text(optional.read_text().replace("Optional", "Required"))
        said = self.groundplan("apply", optional, "--auto-approve")
        check(said.count(IN_PLACE) == len(machines), "every machine is changed in place")
        check(", 0 destroyed" in said, "nothing was destroyed")
        self.tell_instances("optional", {"required"})
        check(self.instance_ids("optional") == machines, "the machines are the same ones")

        self.headline("Destroy both")
        self.groundplan("destroy", required, "--auto-approve", brief=True)
        self.groundplan("destroy", optional, "--auto-approve", brief=True)
        self.headline("The account after")
        after = self.inventory()
        self.tell_inventory(after)
        check(after == before, "the account is as it was before, to the last record")
        print(f"\nThat took {time.monotonic() - began:.0f} seconds.")

    def headline(self, text):
        self.stage += 1
        line = f"{self.stage}. {text}"
        if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
            line = f"\033[1;36m{line}\033[0m"
        print(f"\n{line}\n", flush=True)

    def config(self, name):
        """The install-config of demo/, pointed at this cloud."""
        text = (HERE / f"{name}.yaml").read_text().replace("http://127.0.0.1:1", self.endpoint)
        path = self.scratch / f"{name}.yaml"
        path.write_text(text)
        return path

    def groundplan(self, command, config, *more, brief=False):
        """Runs it and shows what it says; `brief` keeps the first and last lines of a long walk."""
        arguments = [command, "--config", str(config), "--state-dir", str(self.scratch / "state"), *more]
        shown = " ".join(a.replace(f"{self.scratch}/", "") for a in arguments)
        print(f"$ groundplan {shown}", flush=True)
        done = subprocess.run(
            [self.program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        lines = done.stdout.splitlines()
        if brief and len(lines) > 24:
            lines = lines[:8] + [f"    ... {len(lines) - 16} lines ..."] + lines[-8:]
        print("\n".join(lines), flush=True)
        check(done.returncode == 0, f"groundplan {command} exits with 0", quietly=True)
        return done.stdout

    def instances(self, cluster):
        pages = boto3.client("ec2").get_paginator("describe_instances").paginate()
        found = [one for page in pages for group in page["Reservations"] for one in group["Instances"]]
        alive = [one for one in found if one["State"]["Name"] == "running"]
        return sorted((one for one in alive if name(one).startswith(f"{cluster}-")), key=name)

    def instance_ids(self, cluster):
        return [one["InstanceId"] for one in self.instances(cluster)]

    def tell_instances(self, cluster, expected):
        instances = self.instances(cluster)
        print(f"{'Name':<26} {'InstanceId':<20} {'State':<8} {'HttpTokens':<11} HttpEndpoint")
        for one in instances:
            options = one["MetadataOptions"]
            print(
                f"{name(one):<26} {one['InstanceId']:<20} {one['State']['Name']:<8} "
                f"{options['HttpTokens']:<11} {options['HttpEndpoint']}"
            )
        print(flush=True)
        check(bool(instances), "there are machines", quietly=True)
        seen = {one["MetadataOptions"]["HttpTokens"] for one in instances}
        check(seen == expected, f"every machine of {cluster} reports HttpTokens={'/'.join(expected)}")

    def control(self, what):
        with urllib.request.urlopen(f"{self.endpoint}/_groundplan/{what}?account={ACCOUNT}") as answer:
            return json.load(answer)

    def mutating_calls(self):
        return self.control("requests")["mutating"]

    def inventory(self):
        return self.control("inventory")["objects"]

    def tell_inventory(self, objects):
        for kind, rows in objects.items():
            print(f"  {kind}: {', '.join(row['label'] for row in rows)}")
        print(flush=True)


def name(instance):
    return next((tag["Value"] for tag in instance.get("Tags", []) if tag["Key"] == "Name"), "")


def check(holds, what, quietly=False):
    if not holds:
        sys.exit(f"error: this does not hold: {what}")
    if not quietly:
        print(f"ok: {what}", flush=True)


if __name__ == "__main__":
    Demo(*sys.argv[1:]).play()
