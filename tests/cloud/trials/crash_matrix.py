"""Kills groundplan at every call that changes something, runs it again, and looks at what there is.

    make crash-matrix
    tests/cloud/play tests/cloud/trials/crash_matrix.py PROGRAM --every 10 --operations destroy
    tests/cloud/play tests/cloud/trials/crash_matrix.py PROGRAM --every 5 --then destroy

For `apply` and `destroy` of a small but complete cluster, and for each k: SIGKILL at the k-th
mutating call, before it takes effect or after, when its answer is lost. Then the same command
again, which must end well. With two kills, the second run dies as well, at a call chosen by a seed.
The cluster has a network of its own, or one that was brought, among what strangers have there.

With `--then destroy` nobody wants the cluster any more after its apply was killed: a destroy follows
(and dies as well where there are two kills), and only the strangers may be left.

Afterwards the account must be as after a run that nobody disturbed (for `apply` also: the next plan
is empty; for `destroy`: only the strangers are left, untouched). Counted besides: orphans, which
carry the cluster's tag and are not on record, right after each kill and at the end; and duplicates,
two of what there should be one of.
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
from dataclasses import dataclass, field
from pathlib import Path

from clouds import Account, Cloud
from desks import HOMES, SHAPES, Desk, end_running, end_when_told, play_all

OPERATIONS = ("apply", "destroy")
WHENS = ("before", "after")
# Long enough that kills also meet what is still pending, short enough to be many.
DELAYS = {
    "instance_pending": 0.2,
    "instance_shutting_down": 0.2,
    "load_balancer_interfaces": 0.3,
    "load_balancer_provisioning": 0.2,
    "nat_gateway_deleting": 0.2,
    "nat_gateway_pending": 0.2,
    "vpc_endpoint_deleting": 0.2,
}
COUNTS = ("ok", "orphans", "duplicates", "plan not empty", "rerun failed", "differs", "not reached")


@dataclass(frozen=True)
class Kill:
    call: int
    when: str

    def __str__(self):
        return f"{self.when} call {self.call}"


@dataclass
class Trial:
    home: str
    shape: str
    operation: str
    kills: tuple
    # What is run after the first kill.
    then: str
    # What came of it.
    counts: Counter = field(default_factory=Counter)
    calls: list = field(default_factory=list)
    findings: list = field(default_factory=list)

    def row(self):
        when = self.kills[0].when if len(self.kills) == 1 else "two kills"
        return self.home, self.shape, self.story(), when

    def story(self):
        if self.then == self.operation:
            return self.operation
        return f"{self.operation}, {self.then}"

    def find(self, what, said, times=1):
        self.counts[what] += times
        self.findings.append(f"{what}: {said}")

    def conclude(self):
        if not self.findings:
            self.counts["ok"] += 1
        return not self.findings

    def __str__(self):
        died = itertools.zip_longest(self.kills, self.calls, fillvalue="not reached")
        places = [f"{kill} ({call})" for kill, call in died]
        return f"{self.story()}, {self.home}, {self.shape}: killed {', then '.join(places)}"


class Worker(threading.Thread):
    """One account, in which one trial follows the other."""

    def __init__(self, desk, trials, report, delays):
        super().__init__(daemon=True)
        self.desk, self.trials, self.report, self.delays = desk, trials, report, delays
        self.bare = self.built = None
        self.changing = {}
        # Whether the cluster stands, as it should, for the next destroy.
        self.standing = False

    def measure(self):
        """Runs both once, undisturbed: what there should be, and how many calls it takes."""
        self.bare = self.desk.clear(**self.delays)
        applied = self.desk.run("apply")
        self.built = self.desk.inventory()
        destroyed = self.desk.run("destroy")
        self.changing = {"apply": applied.changing, "destroy": destroyed.changing}
        if (applied.code, destroyed.code) != (0, 0) or self.desk.inventory() != self.bare:
            raise SystemExit(f"error: undisturbed runs fail\n{applied.err}\n{destroyed.err}")

    def run(self):
        play_all(self.trials, self.play_round, self.report)

    def play_round(self, trials):
        if not self.bare:
            self.measure()
        for trial in trials:
            self.play(trial)
            self.report(trial)

    def play(self, trial):
        if trial.operation == "apply":
            self.desk.clear(**self.delays)
        elif not self.standing:
            self.desk.clear(**self.delays)
            ran = self.desk.run("apply")
            if ran.code != 0:
                raise SystemExit(f"error: an undisturbed apply fails\n{ran.err}")
        self.standing = False
        self.crash(trial)
        self.finish(trial)
        good = trial.conclude()
        self.standing = good and trial.then == "apply"

    def crash(self, trial):
        for number, kill in enumerate(trial.kills):
            ran = self.desk.run(trial.then if number else trial.operation, kill=kill)
            if not ran.was_killed():
                if ran.code != 0 and not self.never_began(trial, ran):
                    trial.find("rerun failed", said(ran))
                trial.counts["not reached"] += 1
                return
            trial.calls.append(ran.killed_at())
            orphans = self.desk.orphans()
            if orphans:
                trial.find("orphans", f"after the kill: {', '.join(orphans)}", len(orphans))

    def never_began(self, trial, ran):
        """Whether an apply died before it had recorded anything, so that there is nothing to destroy."""
        forsaken = trial.then != trial.operation
        return forsaken and ran.code == 1 and "no state of a cluster" in ran.err

    def finish(self, trial):
        ran = self.desk.run(trial.then)
        if ran.code != 0 and not self.never_began(trial, ran):
            trial.find("rerun failed", said(ran))
        if trial.then == "apply":
            planned = self.desk.run("plan", "--detailed-exitcode")
            if planned.code != 0:
                trial.find("plan not empty", said(planned))
        self.compare(trial, self.built if trial.then == "apply" else self.bare)

    def compare(self, trial, wanted):
        there = self.desk.inventory()
        if there != wanted:
            trial.find("differs", "; ".join(differences(wanted, there)))
        orphans = self.desk.orphans()
        if orphans:
            trial.find("orphans", f"at the end: {', '.join(orphans)}", len(orphans))
        doubled = labels(there) - labels(wanted)
        doubled = {label: n for label, n in doubled.items() if label in labels(wanted)}
        if doubled:
            trial.find("duplicates", ", ".join(doubled), sum(doubled.values()))


def said(ran):
    """The end of what a run said, and its exit code."""
    lines = (ran.err.strip() or ran.out.strip()).splitlines()
    return f"exit code {ran.code}: {' / '.join(line.strip() for line in lines[-12:])}"


def labels(objects):
    return Counter(row["label"] for rows in objects.values() for row in rows)


def differences(wanted, there):
    """What is missing, what is too much, and which fields are otherwise."""
    for kind in sorted(wanted.keys() | there.keys()):
        before, after = without(wanted, there, kind), without(there, wanted, kind)
        for row in before:
            other = next((one for one in after if one["label"] == row["label"]), None)
            if other is None:
                yield f"{row['label']} is missing"
                continue
            after.remove(other)
            for name in sorted(row.keys() | other.keys()):
                if row.get(name) != other.get(name):
                    yield f"{row['label']} {name}: {other.get(name)}, not {row.get(name)}"
        yield from (f"{row['label']} is there" for row in after)


def without(some, others, kind):
    """The rows of one that the other has not, or has less often."""
    left = list(some.get(kind, []))
    for row in others.get(kind, []):
        if row in left:
            left.remove(row)
    return left


def all_trials(home, shape, changing, options):
    """Every k, before and after; and every k once more with a second kill somewhere after it."""
    dice = random.Random(options.seed)
    for operation in ["apply"] if options.then else options.operations:
        length, then = changing[operation].total(), options.then or operation
        calls = range(1, length + 1, options.every)
        for call, when in itertools.product(calls, WHENS):
            yield Trial(home, shape, operation, (Kill(call, when),), then)
        for call in calls:
            # The second run begins where the first one died, more or less; a destroy of what there is
            # by then takes as many calls, more or less.
            second = dice.randint(1, max(1, call if options.then else length - call))
            kills = (Kill(call, dice.choice(WHENS)), Kill(second, dice.choice(WHENS)))
            yield Trial(home, shape, operation, kills, then)


def in_rounds(trials):
    """A destroy follows an apply: its cluster is then there already."""
    by_operation = {o: [t for t in trials if t.operation == o] for o in OPERATIONS}
    pairs = itertools.zip_longest(by_operation["apply"], by_operation["destroy"])
    return [[trial for trial in pair if trial] for pair in pairs]


class Progress:
    """One line, over and over on a terminal and now and then elsewhere."""

    EVERY = 10.0

    def __init__(self, total):
        self.total, self.done, self.failed = total, 0, 0
        self.began = self.told = time.monotonic()
        self.over_and_over = sys.stderr.isatty()

    def step(self, good):
        self.done += 1
        self.failed += not good
        now = time.monotonic()
        if self.over_and_over or now - self.told > self.EVERY or self.done == self.total:
            self.told = now
            end = "\r" if self.over_and_over and self.done < self.total else "\n"
            took = f"{now - self.began:.0f} s"
            line = f"{self.done} of {self.total} trials, {self.failed} failed, {took}"
            print(line, end=end, file=sys.stderr, flush=True)


def matrix(desks, options):
    """All trials of one home and shape, shared among the desks; the first says how many."""
    answers, rounds = queue.Queue(), queue.Queue()
    delays = {**DELAYS, "visible": options.haze}
    workers = [Worker(desk, rounds, answers.put, delays) for desk in desks]
    workers[0].measure()
    first = desks[0]
    trials = list(all_trials(first.home.name, first.shape, workers[0].changing, options))
    for one in in_rounds(trials):
        rounds.put(one)
    progress = Progress(len(trials))
    for worker in workers:
        worker.start()
    for _ in trials:
        answer = answers.get()
        if isinstance(answer, BaseException):
            raise answer
        progress.step(not answer.findings)
    return trials, workers[0].changing


def tell(trials, changing):
    columns = ("home", "shape", "operation", "killed", "trials", *COUNTS)
    widths = [max(len(column), 9) for column in columns]
    print("  ".join(f"{column:>{width}}" for column, width in zip(columns, widths)))
    for row in dict.fromkeys(trial.row() for trial in trials):
        of_row = [trial for trial in trials if trial.row() == row]
        counts = sum((trial.counts for trial in of_row), Counter())
        cells = [*row, len(of_row), *(counts[name] for name in COUNTS)]
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths)))
    print()
    for (home, shape), by_operation in changing.items():
        for operation, actions in by_operation.items():
            here = (home, shape, operation)
            if not any((t.home, t.shape, t.operation) == here for t in trials):
                continue
            of_here = [t for t in trials if (t.home, t.shape, t.operation) == here]
            died = {call for trial in of_here for call in trial.calls}
            what = f"{', '.join(here)}: {actions.total()} calls change something"
            missed = ", ".join(sorted(actions.keys() - died)) or "none"
            print(f"{what}; died at {len(died)} different ones; at these never: {missed}")
    for trial in trials:
        if trial.findings:
            print("\n  ".join((f"\nFAILED {trial}", *trial.findings)))


def arguments():
    parser = argparse.ArgumentParser(prog="crash_matrix.py", description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("endpoint", help="a test cloud that serves already")
    parser.add_argument("scratch", help="an empty folder")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each N-th call only")
    parser.add_argument("--operations", type=names(OPERATIONS), default=list(OPERATIONS))
    parser.add_argument(
        "--then", choices=["destroy"], help="after the kill of an apply, instead of it again"
    )
    parser.add_argument("--homes", type=names(HOMES), default=list(HOMES))
    parser.add_argument("--shapes", type=names(SHAPES), default=list(SHAPES))
    parser.add_argument("--jobs", type=int, default=12, metavar="J", help="trials at a time")
    parser.add_argument(
        "--clouds", type=int, default=os.cpu_count() or 1, metavar="C", help="one for each CPU"
    )
    parser.add_argument(
        "--haze", type=float, default=0.0, metavar="S", help="seconds until what was made is seen"
    )
    parser.add_argument("--seed", type=int, default=0, help="chooses where the second kill is")
    return parser.parse_args()


def names(known):
    def parse(text):
        wanted = text.split(",")
        if set(wanted) - set(known):
            raise argparse.ArgumentTypeError(f"there is {', '.join(known)}")
        return wanted

    return parse


def main():
    options = arguments()
    end_when_told()
    began = time.monotonic()
    program = str(Path(options.program).resolve())
    more = [Cloud() for _ in range(options.clouds - 1)]
    try:
        endpoints = [options.endpoint, *(cloud.endpoint for cloud in more)]
        numbers = itertools.count(310_000_000_000)
        trials, changing = [], {}
        for home, shape in itertools.product(options.homes, options.shapes):
            desks = []
            for job in range(options.jobs):
                account = Account(endpoints[job % len(endpoints)], str(next(numbers)))
                folder = Path(options.scratch) / home / shape / str(job)
                desks.append(Desk(program, account, folder, HOMES[home](), shape))
            print(f"{home}, {shape}:", file=sys.stderr)
            some, changing[home, shape] = matrix(desks, options)
            trials += some
    finally:
        end_running()
        for cloud in more:
            cloud.end()
    tell(trials, changing)
    print(f"\nThat took {time.monotonic() - began:.0f} seconds.")
    sys.exit(1 if any(trial.findings for trial in trials) else 0)


if __name__ == "__main__":
    main()
