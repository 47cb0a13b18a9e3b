"""The control endpoint: JSON over HTTP under /_groundplan/, per account (`?account=`)."""

import json
import random
from datetime import timedelta
from urllib.parse import parse_qs

from . import faults
from .calls import DEFAULT_ACCOUNT
from .connections import CONNECTIONS
from .inventory import inventory
from .world import DELAYS, LOCK, all_worlds, world

PREFIX = "/_groundplan/"


def answer(environ, body):
    method = environ["REQUEST_METHOD"]
    path = environ["PATH_INFO"].removeprefix(PREFIX).strip("/")
    account = parse_qs(environ.get("QUERY_STRING", "")).get("account", [None])[0]
    verb = VERBS.get((method, path))
    if verb is None:
        known = ", ".join(f"{m} {PREFIX}{p}" for m, p in sorted(VERBS))
        return reply(404, {"error": f"no {method} {PREFIX}{path}; there is {known}"})
    try:
        wanted = json.loads(body) if body else {}
        return reply(200, verb(account or DEFAULT_ACCOUNT, wanted, everywhere=account is None))
    except (KeyError, TypeError, ValueError) as wrong:
        return reply(400, {"error": f"{type(wrong).__name__}: {wrong}"})


def reply(status, value):
    return status, [("Content-Type", "application/json")], json.dumps(value, default=str).encode()


def reset(account, _, everywhere):
    """Everything in the account gone, settings and log too; without an account, in all of them."""
    from moto import backends

    with LOCK:
        for here in all_worlds() if everywhere else [world(account)]:
            here.reset()
        for service in ("ec2", "elb", "elbv2", "iam", "route53", "s3", "sts"):
            accounts = backends.get_backend(service)
            for number in list(accounts) if everywhere else [account]:
                if number in accounts:
                    del accounts[number]
        buckets = backends.get_backend("s3").bucket_accounts
        for name, (_, owner) in list(buckets.items()):
            if everywhere or owner == account:
                del buckets[name]
    return {}


def requests(account, _, everywhere):
    del everywhere
    here = world(account)
    with here.lock:
        log = [dict(entry) for entry in here.log]
    counts = {}
    for entry in log:
        counts[entry["action"]] = counts.get(entry["action"], 0) + 1
    return {
        "total": len(log),
        "mutating": sum(entry["mutating"] for entry in log),
        "counts": counts,
        "requests": log,
    }


def clear_requests(account, _, everywhere):
    del everywhere
    here = world(account)
    with here.lock:
        here.log = []
    return {}


def set_delays(account, wanted, everywhere):
    del everywhere
    unknown = wanted.keys() - DELAYS.keys()
    if unknown:
        raise ValueError(f"no such delay: {sorted(unknown)}; there is {sorted(DELAYS)}")
    here = world(account)
    here.delays.update({name: float(seconds) for name, seconds in wanted.items()})
    return here.delays


def advance(account, wanted, everywhere):
    """Time passes in this account: everything due by then has happened."""
    del everywhere
    here = world(account)
    seconds = float(wanted["seconds"])
    with LOCK:
        here.ahead += seconds
        here.catch_up()
        age_objects(account, seconds)
    return {"ahead": here.ahead}


def age_objects(account, seconds):
    """Objects in S3 are older by so much."""
    from moto import backends

    accounts = backends.get_backend("s3")
    if account not in accounts:
        return
    for bucket in accounts[account]["aws"].buckets.values():
        for key in bucket.keys.values():
            key.last_modified -= timedelta(seconds=seconds)


def set_latency(account, wanted, everywhere):
    del everywhere
    here = world(account)
    here.latency = {action: float(seconds) for action, seconds in wanted.items()}
    return here.latency


def add_fault(account, wanted, everywhere):
    del everywhere
    here = world(account)
    fault = faults.new_fault(wanted)
    faults.add(here, fault)
    return fault


def clear_faults(account, _, everywhere):
    del everywhere
    here = world(account)
    here.release()
    with here.lock:
        here.faults, here.kill = [], None
    return {}


def release(account, wanted, everywhere):
    """Held calls go on, of one action or all of them; or only the next ones are not held."""
    del everywhere
    here = world(account)
    if wanted.get("held", True):
        here.release(wanted.get("action"))
    else:
        with here.lock:
            here.faults = [fault for fault in here.faults if fault["kind"] != "hold"]
    return {}


def wait_for_calls(account, wanted, everywhere):
    """Waits until so many calls have come so far: `asked`, `held` or `ended`."""
    del everywhere
    stage, number = STAGES[wanted.get("stage", "asked")], int(wanted.get("calls", 1))
    actions, mutating = wanted.get("actions"), wanted.get("mutating")
    here = world(account)

    def found():
        return [
            entry
            for entry in here.log
            if stage(entry)
            and (actions is None or entry["action"] in actions)
            and mutating in (None, entry["mutating"])
            and entry["params"].get("DryRun") != "true"
        ]

    with here.changed:
        reached = here.changed.wait_for(lambda: len(found()) >= number, patience(wanted))
        return {"reached": reached, "calls": len(found())}


STAGES = {
    "asked": lambda entry: True,
    "held": lambda entry: entry["held"],
    "ended": lambda entry: entry["ended"] is not None,
}


def settle(account, wanted, everywhere):
    """Waits until every call of the account that was sent before this one is over, but for those of
    one action; also of clients that are dead."""
    del everywhere
    return {"settled": CONNECTIONS.settle(account, wanted.get("but"), patience(wanted))}


def patience(wanted):
    return min(float(wanted.get("seconds", 60)), 600.0)


def deny(account, wanted, everywhere):
    """The account may not take these actions any more, and no others are denied."""
    del everywhere
    here = world(account)
    here.denied = {str(action) for action in wanted["actions"]}
    return {"denied": sorted(here.denied)}


def set_policy(account, wanted, everywhere):
    """The account has this one policy document; null means all actions again."""
    del everywhere
    here = world(account)
    here.policy = wanted["policy"]
    return {"statements": len(here.policy["Statement"]) if here.policy else None}


def require_boundary(account, wanted, everywhere):
    """New roles of the account have this permissions boundary; null means any or none again."""
    del everywhere
    here = world(account)
    here.boundary = wanted["arn"]
    return {"arn": here.boundary}


def set_quotas(account, wanted, everywhere):
    """Limits by the codes of Service Quotas; null takes one away, as if AWS knew none."""
    del everywhere
    here = world(account)
    limits = {code: None if limit is None else float(limit) for code, limit in wanted.items()}
    here.quotas.update(limits)
    return here.quotas


def set_pools(account, wanted, everywhere):
    """The pools of public IPv4 addresses that the account brought, with the number of their addresses."""
    del everywhere
    here = world(account)
    here.pools = {str(pool): int(addresses) for pool, addresses in wanted.items()}
    return here.pools


def associate(_, wanted, everywhere):
    """A VPC of another account is associated with a hosted zone, whose account has authorised it."""
    del everywhere
    from moto import backends

    with LOCK:
        for account in backends.get_backend("route53").values():
            zone = account["aws"].zones.get(wanted["zone"])
            if zone is not None:
                zone.add_vpc(wanted["vpc"], wanted.get("region", "us-west-2"))
                return {"vpcs": zone.vpcs}
    raise ValueError(f"no such zone: {wanted['zone']}")


def throw_dice(account, wanted, everywhere):
    """Other dice: which calls meet a fault of some probability."""
    del everywhere
    here = world(account)
    with here.lock:
        here.dice = random.Random(int(wanted["seed"]))
    return {}


def kill_at(account, wanted, everywhere):
    del everywhere
    kill = {"when": "before", "action": None, **wanted}
    if int(kill["pid"]) <= 1 or int(kill["call"]) < 1 or kill["when"] not in ("before", "after"):
        raise ValueError(f"not a kill: {wanted}")
    here = world(account)
    with here.lock:
        here.kill = kill
    return kill


def list_inventory(account, _, everywhere):
    del everywhere
    with LOCK:
        world(account).catch_up()
        return inventory(account)


def back_up(account, wanted, everywhere):
    """AWS Backup backs up an instance. Returns the IDs of what it made."""
    del everywhere
    from moto import backends

    from .strict import backups

    with LOCK:
        backend = backends.get_backend("ec2")[account][wanted.get("region", "us-west-2")]
        return {"made": backups.back_up(backend, wanted["instance"])}


def set_metrics(account, wanted, everywhere):
    """Requests without a token: `{"i-1": {"MetadataNoToken": {"1": 9}}}` are 9 requests a day ago; null for an
    instance leaves it without values."""
    del everywhere
    here = world(account)
    for instance, counts in wanted.items():
        if counts is None:
            here.unmeasured.add(instance)
            continue
        for metric, days in counts.items():
            for ago, count in days.items():
                here.metrics[instance, metric, int(ago)] = float(count)
    return {}


def set_account_settings(account, wanted, everywhere):
    """What an administrator or a declarative policy of the organisation sets for a region."""
    del everywhere
    here = world(account)
    unknown = wanted.keys() - {"region", "metadata_defaults", "block_public_access"}
    if unknown:
        raise ValueError(f"no such setting: {sorted(unknown)}")
    with LOCK:
        if "metadata_defaults" in wanted:
            here.metadata_defaults[wanted["region"]] = dict(wanted["metadata_defaults"])
        here.block_public_access = dict(wanted.get("block_public_access", here.block_public_access))
    return {}


def add_tagged(account, wanted, everywhere):
    """A resource that the tagging API reports, of a service that is not here; without tags, it is
    deleted."""
    del everywhere
    from . import tagging

    with LOCK:
        region = wanted.get("region", "us-west-2")
        tagging.add(world(account), wanted["arn"], wanted.get("tags"), region)
    return {}


VERBS = {
    ("POST", "reset"): reset,
    ("GET", "requests"): requests,
    ("POST", "requests/clear"): clear_requests,
    ("POST", "delays"): set_delays,
    ("POST", "advance"): advance,
    ("POST", "latency"): set_latency,
    ("POST", "faults"): add_fault,
    ("POST", "faults/clear"): clear_faults,
    ("POST", "release"): release,
    ("POST", "wait"): wait_for_calls,
    ("POST", "settle"): settle,
    ("POST", "denied"): deny,
    ("POST", "policy"): set_policy,
    ("POST", "boundary"): require_boundary,
    ("POST", "quotas"): set_quotas,
    ("POST", "account_settings"): set_account_settings,
    ("POST", "metrics"): set_metrics,
    ("POST", "pools"): set_pools,
    ("POST", "associations"): associate,
    ("POST", "dice"): throw_dice,
    ("POST", "kill_at"): kill_at,
    ("POST", "backups"): back_up,
    ("POST", "tagged"): add_tagged,
    ("GET", "inventory"): list_inventory,
}
