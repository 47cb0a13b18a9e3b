"""A folder to work in, an account to work on, and the program: what every trial is made of."""

import hashlib
import json
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import strangers

CLUSTER = "demo"
DOMAIN = f"{CLUSTER}.example.com"
# Longer than any run takes: readiness, and looking for what nobody answered about, are minutes.
RUN_WITHIN = 300
TOKEN = re.compile("gp-[0-9a-f]{8}-[0-9a-f]{32}")

CONFIG = """\
apiVersion: v1
metadata:
  name: demo
baseDomain: example.com
publish: Internal
controlPlane:
  name: master
  replicas: 1
  platform:
    aws:
      zones: [us-west-2a]
      type: m5.2xlarge
      metadataService:
        authentication: Required
compute:
  - name: worker
    replicas: 0
    platform:
      aws:
        zones: [us-west-2a]
        type: m5.xlarge
platform:
  aws:
    region: us-west-2
    amiID: ami-0abcdef1234567890
@subnets@
pullSecret: '{"auths": {"registry.example.com": {"auth": "dHJpYWw6bm90LWEtc2VjcmV0"}}}'
sshKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKpRZWsi/BMcSfF3zpnLXKzlbTHC1C5QCzHMN3nhjW4x trial
"""


class LocalHome:
    """A state in a folder.

    Every home says how it is named on the command line, what it needs in the account, and which
    objects there are the home itself and no part of any cluster. Its own calls to the cloud, if
    any, are calls like all others: a trial may kill the program at each of them.
    """

    name = "local"

    def arguments(self, desk):
        return ["--state-dir", str(desk.folder / "state")]

    def prepare(self, desk):
        shutil.rmtree(desk.folder / "state", ignore_errors=True)

    def is_home(self, identity):
        del identity
        return False


class BucketHome:
    """A state in a bucket of the same account, so that its writes can be died at like all others.

    What a killed run held is taken over at once: it died on this very machine.
    """

    name = "s3"

    def __init__(self):
        self.bucket = None

    def arguments(self, desk):
        return ["--state", f"s3://{self.named(desk)}/states"]

    def prepare(self, desk):
        self.bucket = self.named(desk)
        s3 = desk.account.client("s3")
        place = {"LocationConstraint": "us-west-2"}
        s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration=place)
        enabled = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration=enabled)

    def is_home(self, identity):
        return self.bucket in identity

    @staticmethod
    def named(desk):
        return f"states-{desk.account.number}"


HOMES = {home.name: home for home in [LocalHome, BucketHome]}
# The cluster makes its own network, or stands in the strangers' among their things.
SHAPES = ("own", "brought")


# Whom to end when a trial is told to end: its threads end with it, and end nobody.
RUNNING = set()
ENDING = threading.Event()


def end_when_told():
    """A SIGTERM is an exit like any other, with all that is to be done at one."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def end_running():
    ENDING.set()
    for child in list(RUNNING):
        child.kill()


class Desk:
    def __init__(self, program, account, folder, home, shape="own"):
        self.program, self.account, self.home, self.shape = program, account, home, shape
        self.folder = Path(folder)
        # Buckets are named after it, and bucket names belong to the whole cloud.
        self.infra_id = f"{CLUSTER}-{account.number[-5:]}"
        self.folder.mkdir(parents=True)
        self.write_assets(self.folder / "assets")

    def write_assets(self, folder):
        folder.mkdir()
        for role in ("bootstrap", "master", "worker"):
            ignition = {"ignition": {"version": "3.2.0"}, "passwd": {"users": [{"name": role}]}}
            (folder / f"{role}.ign").write_text(json.dumps(ignition))
        metadata = {
            "clusterName": CLUSTER,
            "clusterID": "7a5bb1c5-2c46-4a5e-9d4b-2f8f2a0f9f10",
            "infraID": self.infra_id,
            "aws": {"region": "us-west-2"},
        }
        (folder / "metadata.json").write_text(json.dumps(metadata))

    def clear(self, **delays):
        """An account with nothing in it but strangers, and no state. Answers with the inventory."""
        self.account.reset()
        self.home.prepare(self)
        self.account.post("delays", **delays)
        # A network has one zone of a name; in a network of its own the cluster's is like theirs.
        domain = DOMAIN if self.shape == "own" else f"theirs.{DOMAIN}"
        subnet = strangers.plant(self.account, self.infra_id, domain)
        subnets = "" if self.shape == "own" else f"    subnets: [{subnet}]\n"
        config = self.folder / "install-config.yaml"
        config.write_text(CONFIG.replace("@subnets@\n", subnets))
        self.account.post("advance", seconds=max(delays.values(), default=0.0))
        return self.inventory()

    def inventory(self):
        """What there is, in a form two runs can be compared by, but for the home of the state."""
        objects = self.account.inventory()["objects"]
        stripped = {
            kind: [row for row in rows if not self.home.is_home(row["label"].partition(":")[2])]
            for kind, rows in objects.items()
        }
        return {kind: comparable(rows) for kind, rows in stripped.items() if rows}

    def command(self, *words):
        words = list(words)
        if words[0] in ("apply", "destroy"):
            words.append("--auto-approve")
        if words[0] == "apply":
            words += ["--accept-danger", "demo"]  # edits may replace the only master
        if words[0] in ("apply", "plan"):
            words += ["--assets", "assets"]
        return [self.program, *words, *self.home.arguments(self)]

    def run(self, *words, kill=None):
        """Runs it to its end, or to its k-th mutating call."""
        if ENDING.is_set():
            raise SystemExit("told to end")
        # The shell waits until the kill knows its pid, and is then replaced by the program.
        child = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh", *self.command(*words)],
            cwd=self.folder,
            env=self.account.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        RUNNING.add(child)
        try:
            self.account.post("requests/clear")
            if kill:
                self.account.post("kill_at", pid=child.pid, call=kill.call, when=kill.when)
            out, err = child.communicate("go\n", timeout=RUN_WITHIN)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            err += f"\nstill running after {RUN_WITHIN} s"
        finally:
            child.kill()  # whatever happened to us in between
            child.wait()
            RUNNING.discard(child)
        self.account.post("faults/clear")
        return Ran(child.returncode, out, err, self.account.get("requests"))

    def state(self):
        """What is recorded; a run that was killed early has recorded nothing."""
        ran = self.run("show", "--json")
        return json.loads(ran.out) if ran.code == 0 else {"resources": []}

    def token_salt(self):
        """The salt of the creation tokens; a run that was killed early has recorded none."""
        ran = self.run("state", "pull")
        return json.loads(ran.out)["facts"].get("token_salt") if ran.code == 0 else None

    def orphans(self):
        """What carries the cluster's tag and is neither on record nor announced."""
        state = self.state()
        on_record = json.dumps(state)
        announced = set()
        salt = self.token_salt()
        for life in state["resources"]:
            announced.add(token(salt, self.infra_id, life["address"], life["generation"]))
        found = []
        for identity, tags in self.account.inventory()["tags"].items():
            ours = tags.get(f"kubernetes.io/cluster/{self.infra_id}") == "owned"
            # A volume is its instance's: made with it, gone with it.
            if not ours or identity.startswith("vol-") or self.home.is_home(identity):
                continue
            name = identity.removeprefix("arn:aws:s3:::")
            if name not in on_record and tags.get("groundplan.io/token") not in announced:
                found.append(identity)
        return found


class Ran:
    def __init__(self, code, out, err, log):
        self.code, self.out, self.err, self.log = code, out, err, log
        self.total = log["total"]
        # How often each action was called that is to change something.
        self.changing = Counter(call["action"] for call in log["requests"] if call["mutating"])

    def was_killed(self):
        return self.code == -9

    def killed_at(self):
        """The call that got no answer."""
        lost = [call["action"] for call in self.log["requests"] if call["status"] == 0]
        return lost[0] if lost else "?"


def comparable(rows):
    """Another attempt has another token, and where the bootstrap machine finds its Ignition is a
    presigned address, which says when it was signed."""
    rows = json.loads(TOKEN.sub("gp-some", json.dumps(rows, default=str)))
    for row in rows:
        if row["label"].endswith("-bootstrap") and row.get("user_data"):
            row["user_data"] = "some"
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def token(salt, infra_id, address, generation):
    """As the program makes it (`crates/engine/src/state/mod.rs`): known before the call, on the object after."""
    digest = hashlib.sha256(f"{salt}\n{infra_id}\n{address}\n{generation}".encode()).digest()
    return f"gp-{salt}-{digest[:16].hex()}"


def play_all(waiting, play, report):
    """Plays what waits, one after the other. Reports what ended that, unless nothing waits any more."""
    try:
        while True:
            play(waiting.get_nowait())
    except queue.Empty:
        pass
    except BaseException as error:  # a thread's end must not look like success
        report(error)
