"""Plays the whole life of two clusters in the test cloud, and shows what AWS says of them; then that of a
cluster's workers, through the manifests of its Machine API, and the last minutes of one of them.

Everything that is shown of machines is read back with boto3, not taken from groundplan.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3

from machine import Cluster, MetadataService

HERE = Path(__file__).resolve().parent
REGION = "us-west-2"
DOMAIN = "example.com"
ACCOUNT = "424242424242"  # the test cloud takes the account from the last digits of the access key
CREDENTIALS = {"AWS_ACCESS_KEY_ID": f"AKIADEMO{ACCOUNT}", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}
USER_DATA = """apiVersion: v1
kind: Secret
metadata:
  name: ROLE-user-data
  namespace: openshift-machine-api
data:
  userData: e30=
"""
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
        self.headline("Validate the install-config")
        self.groundplan("validate", required)
        self.headline("Plan the cluster (metadataService.authentication: Required)")
        self.groundplan("plan", required, "--out", str(self.scratch / "required.plan"))
        self.headline("Apply the saved plan")
        self.groundplan("apply", required, str(self.scratch / "required.plan"), "--auto-approve", brief=True)
        self.headline("The metadata options of every instance, as AWS reports them")
        self.tell_instances("required", {"required"})
        self.headline("Plan again: no changes, and no mutating call")
        calls = self.mutating_calls()
        said = self.groundplan("plan", required, "--detailed-exitcode")
        check("No changes." in said, "the second plan has no changes")
        check(self.mutating_calls() == calls, "the second plan made no mutating call")

        optional = self.config("optional")
        self.headline("A second cluster, with authentication: Optional")
        self.groundplan("apply", optional, "--auto-approve", brief=True)
        self.tell_instances("optional", {"optional"})
        self.headline("Change Optional to Required in place: no machine is replaced")
        machines = self.instance_ids("optional")
        optional.write_text(optional.read_text().replace("Optional", "Required"))
        said = self.groundplan("apply", optional, "--auto-approve")
        check(said.count(IN_PLACE) == len(machines), "every machine is changed in place")
        check(", 0 destroyed" in said, "nothing was destroyed")
        self.tell_instances("optional", {"required"})
        check(self.instance_ids("optional") == machines, "the machines are the same ones")

        self.workers_of_manifests(required)
        self.headline("Destroy both clusters")
        self.groundplan("destroy", required, "--auto-approve", brief=True)
        self.groundplan("destroy", optional, "--auto-approve", brief=True)
        self.headline("The account after")
        after = self.inventory()
        self.tell_inventory(after)
        check(after == before, "the account has the same resources as before the demo")
        print(f"\nThe demo took {time.monotonic() - began:.0f} seconds.")

    def workers_of_manifests(self, required):
        """The second act: the Machine API's manifests, workers made from them, and a spot notice."""
        manifests = self.scratch / "manifests"
        self.headline("Render the Machine API manifests of the first cluster")
        self.groundplan("manifests", required, "--out", str(manifests))
        workers = manifests / "99_openshift-cluster-api_worker-machineset-0.yaml"
        self.tell_lines(workers, "metadataServiceOptions")
        # openshift-install writes them, with Ignition; here there is none.
        secrets = [USER_DATA.replace("ROLE", role) for role in ("master", "worker")]
        (manifests / "user-data.yaml").write_text("---\n".join(secrets))
        masters = self.instance_ids("required")

        self.headline("Plan the workers: the masters exist already, and stay")
        self.machines("plan", manifests)
        self.headline("Launch three workers")
        self.machines("apply", manifests, "--auto-approve", brief=True)
        self.tell_workers(3, masters)
        for wanted in (6, 2):
            self.headline(f"Scale the MachineSet to {wanted} replicas")
            text = workers.read_text()
            workers.write_text(re.sub(r"(?m)^  replicas: \d+$", f"  replicas: {wanted}", text))
            self.machines("apply", manifests, "--auto-approve", brief=True)
            self.tell_workers(wanted, masters)

        self.headline("A spot notice: the termination handler reads it over IMDSv2 and marks the Node")
        self.notice()
        self.headline("Destroy the workers; the masters stay")
        infra = re.match(r"required-[a-z0-9]{5}", name(self.instances("required")[0])).group()
        self.machines("destroy", None, "--cluster", infra, "--auto-approve", brief=True)
        check(self.instance_ids("required") == masters, "the masters are the same ones")

    def machines(self, command, manifests, *more, brief=False):
        given = ["--manifests", str(manifests)] if manifests else []
        return self.run(["machines", command, *given, *self.state(), *more], brief)

    def tell_workers(self, expected, masters):
        self.tell_instances("required", {"required"})
        workers = [one for one in self.instance_ids("required") if one not in masters]
        check(len(workers) == expected, f"there are {expected} workers")

    def tell_lines(self, path, key):
        """The line of a manifest that starts like this, and the one below it."""
        lines = path.read_text().splitlines()
        at = next(number for number, line in enumerate(lines) if line.strip().startswith(key))
        print(f"{path.name} has:\n" + "\n".join(lines[at : at + 2]), flush=True)

    def notice(self):
        with MetadataService() as service, Cluster("worker-0") as cluster:
            kubeconfig = self.scratch / "kubeconfig"
            kubeconfig.write_text(cluster.kubeconfig())
            environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
            environment.pop("AWS_EC2_METADATA_DISABLED", None)
            environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = service.endpoint
            check(service.get_without_token() == 401, "the metadata service rejects IMDSv1 with 401")
            service.refused = 0
            arguments = ["termination-handler", "--node-name", "worker-0", "--poll-interval", "1s"]
            print(f"$ groundplan {' '.join(arguments)}", flush=True)
            handler = subprocess.Popen([self.program, *arguments], env=environment)
            try:
                check(until(lambda: service.answered > 1), "the handler polls, and there is no notice")
                service.notice = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 120))
                until(lambda: cluster.events and cluster.condition("Terminating"))
            finally:
                handler.terminate()
                ended = handler.wait(timeout=10)
            condition = cluster.condition("Terminating") or {}
            print("\nThe Node has: " + json.dumps(condition, indent=2), flush=True)
            check(condition.get("status") == "True", "the Node is marked as Terminating")
            check(bool(cluster.events), "an Event has the reason")
            check(service.refused == 0, "every request had a session token")
            check(ended == 0, "the handler ends with exit code 0 after SIGTERM")

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
        return self.run([command, "--config", str(config), *self.state(), *more], brief)

    def state(self):
        return ["--state", str(self.scratch / "state")]

    def run(self, arguments, brief):
        shown = " ".join(a.replace(f"{self.scratch}/", "") for a in arguments)
        print(f"$ groundplan {shown}", flush=True)
        done = subprocess.run(
            [self.program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        lines = done.stdout.splitlines()
        if brief and len(lines) > 24:
            lines = lines[:8] + [f"    ... {len(lines) - 16} lines ..."] + lines[-8:]
        print("\n".join(lines), flush=True)
        check(done.returncode == 0, f"groundplan {arguments[0]} exits with 0", quietly=True)
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
        print(f"{'Name':<35} {'InstanceId':<20} {'State':<8} {'HttpTokens':<11} HttpEndpoint")
        for one in instances:
            options = one["MetadataOptions"]
            print(
                f"{name(one):<35} {one['InstanceId']:<20} {one['State']['Name']:<8} "
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


def until(holds, seconds=20):
    """Whether that comes to be so in time."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(holds())


def name(instance):
    return next((tag["Value"] for tag in instance.get("Tags", []) if tag["Key"] == "Name"), "")


def check(holds, what, quietly=False):
    if not holds:
        sys.exit(f"error: this does not hold: {what}")
    if not quietly:
        print(f"ok: {what}", flush=True)


if __name__ == "__main__":
    Demo(*sys.argv[1:]).play()
