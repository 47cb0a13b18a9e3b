"""Measures groundplan against the test cloud: API calls by action, CPU seconds and peak memory, per phase.

The test cloud counts the calls. Calls, CPU and memory are figures of groundplan. Wall time is mostly
that of the test cloud, a single Python process. Prints a table, then one JSON line per figure.

    plan-empty, apply, plan-noop, flip (Optional to Required), destroy     3 masters
    plan-noop with 20 times the machines                                   60 masters
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3

REGION = "us-west-2"
DOMAIN = "example.com"
ACCOUNT = "434343434343"  # the test cloud takes the account from the last digits of the access key
SETTINGS = {
    "AWS_ACCESS_KEY_ID": f"AKIABENCH{ACCOUNT}",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
# Maximum numbers of API calls in the standard case (3 masters), by phase.
BARS = {"plan-noop": 45, "apply": 200, "flip": 54, "destroy": 230}


class Bench:
    def __init__(self, program, endpoint, scratch):
        self.program, self.endpoint, self.scratch = program, endpoint, Path(scratch)
        self.figures = []
        os.environ.pop("AWS_PROFILE", None)
        os.environ.update(SETTINGS, AWS_ENDPOINT_URL=endpoint)

    def run(self):
        boto3.client("route53").create_hosted_zone(Name=DOMAIN, CallerReference="bench")
        config = self.config("bench", 3, "Optional")
        self.phase("plan-empty", 3, "plan", config)
        self.phase("apply", 3, "apply", config, "--auto-approve")
        self.phase("plan-noop", 3, "plan", config, "--detailed-exitcode")
        config = self.config("bench", 3, "Required")
        self.phase("flip", 3, "apply", config, "--auto-approve")
        self.phase("destroy", 3, "destroy", config, "--auto-approve")
        many = self.config("many", 60, "Required")
        self.phase("apply", 60, "apply", many, "--auto-approve")
        self.phase("plan-noop", 60, "plan", many, "--detailed-exitcode")
        self.phase("destroy", 60, "destroy", many, "--auto-approve")
        self.tell()

    def config(self, name, masters, authentication):
        path = self.scratch / f"{name}.yaml"
        path.write_text(CONFIG.format(name=name, masters=masters, authentication=authentication))
        return path

    def phase(self, phase, masters, *words):
        self.control("requests/clear", "POST")
        command, config, *more = words
        arguments = [self.program, command, "--config", str(config)]
        arguments += ["--state-dir", str(self.scratch / "state"), *more]
        began = time.monotonic()
        with open(self.scratch / "output", "w+b") as output:
            child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            said = output.read().decode(errors="replace")
        wall = time.monotonic() - began
        if child.returncode != 0:
            sys.exit(f"error: groundplan {command} exits with {child.returncode}\n{said}")
        log = self.control("requests")
        actions = {}
        for call in log["requests"]:
            name = f"{call['service']}:{call['action']}"
            actions[name] = actions.get(name, 0) + 1
        self.figures.append({
            "phase": phase,
            "masters": masters,
            "calls": sum(actions.values()),
            "mutating": log["mutating"],
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
            "wall_s": round(wall, 3),
            "peak_rss_mb": round(usage.ru_maxrss / 1024, 1),
            "actions": dict(sorted(actions.items(), key=lambda item: (-item[1], item[0]))),
        })

    def control(self, what, method="GET"):
        url = f"{self.endpoint}/_groundplan/{what}?account={ACCOUNT}"
        data = b"{}" if method == "POST" else None
        with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method)) as answer:
            return json.load(answer)

    def tell(self):
        columns = ("phase", "masters", "calls", "mutating", "cpu_s", "peak_rss_mb", "wall_s")
        print("".join(f"{column:>12}" for column in columns) + "   bar")
        for figure in self.figures:
            bar = BARS.get(figure["phase"]) if figure["masters"] == 3 else None
            verdict = "" if bar is None else f"   <= {bar}: {'ok' if figure['calls'] <= bar else 'OVER'}"
            print("".join(f"{figure[column]:>12}" for column in columns) + verdict)
        print()
        for figure in self.figures:
            print(json.dumps(figure))


CONFIG = """\
apiVersion: v1
metadata:
  name: {name}
baseDomain: example.com
controlPlane:
  name: master
  replicas: {masters}
  platform:
    aws:
      zones: [us-west-2a, us-west-2b, us-west-2c]
      type: m5.xlarge
      metadataService:
        authentication: {authentication}
compute:
  - name: worker
    replicas: 3
    platform:
      aws:
        zones: [us-west-2a, us-west-2b, us-west-2c]
        type: m5.large
platform:
  aws:
    region: us-west-2
    amiID: ami-0abcdef1234567890
pullSecret: '{{"auths": {{"registry.example.com": {{"auth": "YmVuY2g6bm90LWEtc2VjcmV0"}}}}}}'
sshKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKpRZWsi/BMcSfF3zpnLXKzlbTHC1C5QCzHMN3nhjW4x bench
"""

if __name__ == "__main__":
    Bench(*sys.argv[1:]).run()
