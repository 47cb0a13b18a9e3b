"""Kills groundplan at a random call, edits the configuration, runs it again, and compares.

    make edit-trials
    tests/cloud/play tests/cloud/trials/edits.py PROGRAM --trials 20 --seed 7

Each trial begins with nothing or with a cluster that stands. An `apply` is killed at a random
mutating call, before it takes effect or after, when its answer is lost. Then the configuration is
edited at random, and an `apply` of the edited configuration must end well. With two kills, the
second apply is killed as well, and a third one of another edit must end well.

Afterwards the account must be as after an undisturbed run of the last configuration alone, with the
same starting point, and the next plan must be empty. Counted besides: orphans, which carry the
cluster's tag and are not on record; duplicates, two of what there should be one of; and wrong
settings, all other differences.
"""

import argparse
import itertools
import json
import os
import queue
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from clouds import Account, Cloud
from crash_matrix import DELAYS, Kill, Progress, differences, labels, said
from desks import HOMES, Desk, end_running, end_when_told, play_all

# Each edit replaces a text of the configuration by another one. None of them drops an opinion: what
# remains then depends on the way, which is right and cannot be compared.
EDITS = {
    "authentication": ("authentication: Required", "authentication: Optional"),
    "type": ("type: m5.2xlarge", "type: m5.4xlarge"),
    "tags": ("    region: us-west-2\n", "    region: us-west-2\n    userTags:\n      team: red\n"),
    "masters": ("  replicas: 1\n", "  replicas: 3\n"),
    "zone": ("zones: [us-west-2a]\n      type: m5.2", "zones: [us-west-2b]\n      type: m5.2"),
    "volume": ("      type: m5.2", "      rootVolume:\n        size: 130\n      type: m5.2"),
}
STARTS = ("nothing", "a cluster")
COUNTS = ("orphans", "duplicates", "wrong settings", "failed runs", "plans not empty")


class Trial:
    def __init__(self, number, dice):
        self.number = number
        self.start = dice.choice(STARTS)
        # The configurations of all runs; the first of a standing cluster is the one it has.
        runs = 2 + (dice.random() < 0.4)
        self.edits = [random_edits(dice) for _ in range(runs)]
        self.fractions = [(dice.random(), dice.choice(("before", "after"))) for _ in range(runs - 1)]
        self.told = []
        self.counts = Counter()
        self.findings = []

    def find(self, what, text, times=1):
        self.counts[what] += times
        self.findings.append(f"{what}: {text}")

    def __str__(self):
        edits = " -> ".join(" and ".join(sorted(one)) or "no edit" for one in self.edits)
        return f"trial {self.number} from {self.start}: {edits}; killed {', '.join(self.told)}"


def random_edits(dice):
    return frozenset(dice.sample(sorted(EDITS), dice.randint(0, 3)))


class Worker(threading.Thread):
    """One account, in which one trial follows the other."""

    def __init__(self, desk, trials, references, report):
        super().__init__(daemon=True)
        self.desk, self.trials, self.references, self.report = desk, trials, references, report
        self.plain = (desk.folder / "install-config.yaml", None)

    def run(self):
        play_all(self.trials, self.play, self.report)

    def begin(self, start):
        self.desk.clear(**DELAYS)
        path = self.desk.folder / "install-config.yaml"
        self.plain = (path, path.read_text())
        if start == "a cluster":
            self.must(self.desk.run("apply"))

    def edit(self, edits):
        path, text = self.plain
        for name in sorted(edits):
            old, new = EDITS[name]
            if old in text:
                text = text.replace(old, new, 1)
        path.write_text(text)

    def must(self, ran):
        if ran.code != 0:
            raise SystemExit(f"error: an undisturbed apply fails\n{ran.err}")
        return ran

    def undisturbed(self, start, edits):
        """What an undisturbed run makes, and the number of its calls."""
        key = (start, edits)
        known = self.references.get(key)
        if known is None:
            self.begin(start)
            self.edit(edits)
            ran = self.must(self.desk.run("apply"))
            known = self.neutral(self.desk.inventory()), ran.changing.total()
            self.references[key] = known
        return known

    def neutral(self, inventory):
        """The inventory without the names that differ between accounts."""
        text = json.dumps(inventory, default=str)
        text = text.replace(self.desk.infra_id, "INFRA").replace(self.desk.account.number, "ACCOUNT")
        return {kind: sorted(rows, key=str) for kind, rows in json.loads(text).items()}

    def play(self, trial):
        wanted, _ = self.undisturbed(trial.start, trial.edits[-1])
        _, calls = self.undisturbed(trial.start, trial.edits[0])
        self.begin(trial.start)
        for edits, (fraction, when) in zip(trial.edits, trial.fractions):
            self.edit(edits)
            kill = Kill(1 + int(fraction * max(calls - 1, 0)), when)
            ran = self.desk.run("apply", kill=kill)
            if ran.was_killed():
                trial.told.append(f"{kill} ({ran.killed_at()})")
            else:
                trial.told.append(f"{kill} (not reached)")
                if ran.code != 0:
                    trial.find("failed runs", said(ran))
        self.edit(trial.edits[-1])
        ran = self.desk.run("apply")
        if ran.code != 0:
            trial.find("failed runs", said(ran))
        self.compare(trial, wanted)
        planned = self.desk.run("plan", "--detailed-exitcode")
        if planned.code != 0:
            trial.find("plans not empty", said(planned))
        self.report(trial)

    def compare(self, trial, wanted):
        there = self.neutral(self.desk.inventory())
        orphans = self.desk.orphans()
        if orphans:
            trial.find("orphans", ", ".join(orphans), len(orphans))
        doubled = labels(there) - labels(wanted)
        if doubled:
            trial.find("duplicates", ", ".join(doubled), sum(doubled.values()))
        if there != wanted:
            trial.find("wrong settings", "; ".join(list(differences(wanted, there))[:12]))


def arguments():
    parser = argparse.ArgumentParser(prog="edits.py", description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("endpoint", help="a test cloud that serves already")
    parser.add_argument("scratch", help="an empty folder")
    parser.add_argument("--trials", type=int, default=80, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--home", choices=list(HOMES), default="local")
    parser.add_argument("--jobs", type=int, default=6, metavar="J", help="trials at a time")
    parser.add_argument("--clouds", type=int, default=os.cpu_count() or 1, metavar="C")
    return parser.parse_args()


def main():
    options = arguments()
    end_when_told()
    began = time.monotonic()
    program = str(Path(options.program).resolve())
    dice = random.Random(options.seed)
    trials = [Trial(number, dice) for number in range(options.trials)]
    waiting, answers, references = queue.Queue(), queue.Queue(), {}
    for trial in trials:
        waiting.put(trial)
    more = [Cloud() for _ in range(options.clouds - 1)]
    try:
        endpoints = [options.endpoint, *(cloud.endpoint for cloud in more)]
        numbers = itertools.count(320_000_000_000)
        for job in range(options.jobs):
            account = Account(endpoints[job % len(endpoints)], str(next(numbers)))
            folder = Path(options.scratch) / str(job)
            desk = Desk(program, account, folder, HOMES[options.home]())
            Worker(desk, waiting, references, answers.put).start()
        progress = Progress(len(trials))
        for _ in trials:
            answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            progress.step(not answer.findings)
    finally:
        end_running()
        for cloud in more:
            cloud.end()
    counts = sum((trial.counts for trial in trials), Counter())
    failed = [trial for trial in trials if trial.findings]
    print(f"{len(trials)} trials, {len(failed)} failed")
    print(", ".join(f"{counts[name]} {name}" for name in COUNTS))
    places = {place.split("(")[-1].rstrip(")") for trial in trials for place in trial.told}
    print(f"killed at {len(places - {'not reached'})} different calls")
    for trial in failed:
        print("\n  ".join((f"\nFAILED {trial}", *trial.findings)))
    print(f"\nThat took {time.monotonic() - began:.0f} seconds.")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
