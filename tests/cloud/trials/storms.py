"""Applies and destroys a cluster in bad weather, and counts the calls.

    make storms
    tests/cloud/play tests/cloud/trials/storms.py PROGRAM --storms throttled,resets

Each storm is an account in which calls are refused, lost, left without an answer, or not yet seen.
An apply in it must end with what an undisturbed one builds, the plan afterwards must be empty, a
destroy must leave only the strangers; and where there is one cause, both together must not need
more than BAR times the calls. (Throttles at 30 % take 1.43: a call is made until it goes through.)
"""

import argparse
import concurrent.futures
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from clouds import Account
from crash_matrix import differences, names, said
from desks import HOMES, Desk, end_running, end_when_told

BAR = 1.5
# Until they are cleared.
RANDOMLY = {"times": None}
UNAVAILABLE = {"kind": "error", "status": 503, "code": "Unavailable", "message": "try again"}
BROKEN = {"kind": "error", "status": 500, "code": "InternalError", "message": "sorry"}
STORMS = {
    "calm": {},
    "throttled": {"faults": [{"kind": "throttle", "probability": 0.3}]},
    "errors": {
        "faults": [
            {**RANDOMLY, **UNAVAILABLE, "probability": 0.05},
            {**RANDOMLY, **BROKEN, "probability": 0.05},
            {**RANDOMLY, **BROKEN, "probability": 0.05, "when": "after"},
        ]
    },
    "resets": {
        "faults": [
            {**RANDOMLY, "kind": "drop", "probability": 0.05},
            {**RANDOMLY, "kind": "drop", "probability": 0.05, "when": "after"},
        ]
    },
    "silence": {
        "faults": [
            {**RANDOMLY, "kind": "hang", "probability": 0.02},
            {**RANDOMLY, "kind": "hang", "probability": 0.02, "when": "after"},
        ]
    },
    "haze": {"delays": {"visible": 10.0}},
    "everything": {
        "faults": [
            {"kind": "throttle", "probability": 0.1},
            {**RANDOMLY, **UNAVAILABLE, "probability": 0.03},
            {**RANDOMLY, **BROKEN, "probability": 0.03, "when": "after"},
            {**RANDOMLY, "kind": "drop", "probability": 0.03, "when": "after"},
        ],
        "delays": {"visible": 5.0},
        "bar": None,
    },
}


@dataclass
class Run:
    calls: int
    calm: int
    seconds: float
    findings: list

    def __add__(self, other):
        seconds = self.seconds + other.seconds
        return Run(self.calls + other.calls, self.calm + other.calm, seconds, [])


@dataclass
class Row:
    """All runs of an operation in one kind of storm, each with other dice."""

    storm: str
    operation: str
    runs: list

    def ratio(self):
        """Of all calls together: single runs make few enough for the dice to matter."""
        return sum(run.calls for run in self.runs) / sum(run.calm for run in self.runs)

    def worst(self):
        return max(run.calls / run.calm for run in self.runs)

    def findings(self):
        return [finding for run in self.runs for finding in run.findings]

    def verdict(self):
        if self.findings():
            return "FAILED"
        bar = STORMS[self.storm].get("bar", BAR) if self.operation == "both" else None
        return f"OVER {bar}" if bar and self.ratio() > bar else "ok"


class Sky:
    """One account: once without a storm, for comparison, and once in it."""

    def __init__(self, desk, storm, seed):
        self.desk, self.storm, self.seed = desk, storm, seed
        self.bare = desk.clear()
        self.calm = {"apply": desk.run("apply").total}
        self.built = desk.inventory()
        self.calm["destroy"] = desk.run("destroy").total

    def weather(self):
        self.desk.clear(**STORMS[self.storm].get("delays", {}))
        self.desk.account.post("dice", seed=self.seed)
        return {"apply": self.run("apply", self.built), "destroy": self.run("destroy", self.bare)}

    def run(self, operation, wanted):
        began = time.monotonic()
        for fault in STORMS[self.storm].get("faults", []):
            self.desk.account.post("faults", **fault)
        ran = self.desk.run(operation)
        seconds = time.monotonic() - began
        findings = list(differences(wanted, self.desk.inventory()))
        if ran.code != 0:
            findings.append(said(ran))
        findings += [f"orphan: {one}" for one in self.desk.orphans()]
        if operation == "apply":
            planned = self.desk.run("plan", "--detailed-exitcode")
            if planned.code != 0:
                findings.append(f"the plan is not empty: {said(planned)}")
        return Run(ran.total, self.calm[operation], seconds, findings)


def tell(rows):
    columns = ("storm", "operation", "runs", "calls", "calm", "ratio", "worst", "seconds")
    print("".join(f"{column:>12}" for column in columns))
    for row in rows:
        calls, calm = (sum(getattr(run, name) for run in row.runs) for name in ("calls", "calm"))
        print(
            f"{row.storm:>12}{row.operation:>12}{len(row.runs):>12}{calls:>12}{calm:>12}"
            f"{row.ratio():>12.2f}{row.worst():>12.2f}"
            f"{max(run.seconds for run in row.runs):>12.1f}  {row.verdict()}"
        )
    for row in rows:
        if row.findings():
            print("\n  ".join((f"\nFAILED {row.operation}, {row.storm}", *row.findings())))


def main():
    parser = argparse.ArgumentParser(prog="storms.py", description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("endpoint", help="a test cloud that serves already")
    parser.add_argument("scratch", help="an empty folder")
    parser.add_argument("--storms", type=names(STORMS), default=list(STORMS))
    parser.add_argument("--times", type=int, default=4, metavar="N", help="runs in each storm")
    parser.add_argument("--jobs", type=int, default=8, metavar="J", help="runs at a time")
    options = parser.parse_args()
    program, scratch = str(Path(options.program).resolve()), Path(options.scratch)
    end_when_told()
    began = time.monotonic()

    def weather(number, storm):
        account = Account(options.endpoint, f"{330_000_000_000 + number}")
        desk = Desk(program, account, scratch / str(number), HOMES["local"]())
        return Sky(desk, storm, seed=number).weather()

    # The longest first, so that nobody is left waiting for one of them.
    storms = sorted(options.storms * options.times, key=lambda storm: storm != "silence")
    at_once = concurrent.futures.ThreadPoolExecutor(options.jobs)
    try:
        came = list(zip(storms, at_once.map(weather, range(len(storms)), storms)))
    finally:
        at_once.shutdown(wait=False, cancel_futures=True)
        end_running()
    rows = []
    for storm in options.storms:
        here = [runs for where, runs in came if where == storm]
        applies, destroys = ([runs[name] for runs in here] for name in ("apply", "destroy"))
        rows += [Row(storm, "apply", applies), Row(storm, "destroy", destroys)]
        rows.append(Row(storm, "both", [one + other for one, other in zip(applies, destroys)]))
    tell(rows)
    print(f"\nThat took {time.monotonic() - began:.0f} seconds.")
    sys.exit(0 if all(row.verdict() == "ok" for row in rows) else 1)


if __name__ == "__main__":
    main()
