"""What goes wrong on purpose: injected errors, lost answers, delays, throttling, and the end of a
client at its k-th call. Decides; server.py does the waiting and hanging up."""

import json
import os
import re
import signal
import time
import uuid
from xml.sax.saxutils import escape

from . import metrics

FIELDS = {
    "action",
    "service",
    "times",
    "skip",
    "when",
    "kind",
    "status",
    "code",
    "message",
    "seconds",
    "probability",
    "dry_run",
    "mutating",
}
KINDS = {
    "error",
    "drop",
    "delay",
    "hang",
    "hold",
    "throttle",
    "empty",
    "truncate",
    "keep",
    "stale",
    "execute",
}
# Kinds that change or keep AWS's answer, so that there must be one.
ANSWERED = {"empty", "truncate", "keep", "stale"}
# What goes on until it is cleared, unless a test says how often.
LASTING = {"hold", "throttle", "keep", "execute"}
THROTTLED = {
    "ec2": (503, "RequestLimitExceeded", "Request limit exceeded."),
    "s3": (503, "SlowDown", "Please reduce your request rate."),
    "tagging": (400, "ThrottledException", "Rate exceeded"),
}
# Longer than any client waits, and an end all the same.
LONGEST_HANG = 600.0
LONGEST_HOLD = 600.0
THROTTLED_ELSEWHERE = (400, "Throttling", "Rate exceeded")


class Dropped(Exception):
    """The answer is lost: hang up without one."""


class Hung(Dropped):
    """The answer never comes: it is the client who hangs up, or we after so many seconds."""


def new_fault(wanted):
    unknown = wanted.keys() - FIELDS
    kind = wanted.get("kind", "error")
    if unknown or kind not in KINDS or wanted.get("when", "before") not in ("before", "after"):
        raise ValueError(f"not a fault: {wanted} (fields {sorted(FIELDS)}, kinds {sorted(KINDS)})")
    fault = {
        "action": "*",
        "service": None,
        "times": None if kind in LASTING else 1,
        "skip": 0,
        "when": "before",
        "kind": kind,
        "status": 500,
        "code": "InternalError",
        "message": "An internal error has occurred",
        "seconds": 0.0,
        "probability": 1.0,
        "dry_run": False,
        "mutating": None,
    }
    if kind in ANSWERED:
        fault["when"] = "after"
    if kind == "execute":
        fault["dry_run"] = True
    return {**fault, **wanted, "released": False}


def add(world, fault):
    with world.lock:
        world.faults.append(fault)
        if fault["kind"] == "hold":
            world.holds.append(fault)


# The elements of lists, and single objects, that an empty answer lacks.
CONTENT = re.compile(
    rb"<(item|member|ResourceRecordSet|HostedZone|PolicyDocument|Tag|Role|InstanceProfile)>.*</\1>",
    re.DOTALL,
)


def meet(world, call, when, given=None):
    """Lets the faults for this call happen. Returns an answer instead of AWS's, which is `given`
    after the call, or None."""
    answer = None
    for fault in struck(world, call, when):
        if fault["kind"] == "delay":
            time.sleep(fault["seconds"])
        elif fault["kind"] == "hold":
            hold(world, fault, call)
        elif fault["kind"] == "drop":
            raise Dropped
        elif fault["kind"] == "hang":
            raise Hung(fault["seconds"] or LONGEST_HANG)
        elif fault["kind"] == "empty":
            status, headers, body = given
            answer = answer or (status, headers, without_content(call, body))
        elif fault["kind"] == "truncate":
            status, headers, body = given
            answer = answer or (status, headers, without_last(call, body))
        elif fault["kind"] == "keep":
            if not call.mutating:
                world.kept.setdefault(call.request, given)
        elif fault["kind"] == "stale":
            answer = answer or world.kept.get(call.request)
        elif fault["kind"] == "execute":
            pass  # `executes_dry_runs` asks for it
        elif fault["kind"] == "throttle":
            answer = answer or error(call, *THROTTLED.get(call.service, THROTTLED_ELSEWHERE))
        else:
            answer = answer or error(call, fault["status"], fault["code"], fault["message"])
    return answer


# An opening, closing or empty element of a list.
LISTED = re.compile(rb"<(/?)(item|member|ResourceRecordSet|Tag)(/?)>")


def without_content(call, body):
    if call.service == "tagging":
        return json.dumps({"ResourceTagMappingList": [], "PaginationToken": ""}).encode()
    return CONTENT.sub(b"", body)


def without_last(call, body):
    """The answer without the last outermost element, as if there were no next page."""
    if call.service == "tagging":
        page = json.loads(body)
        kept = page["ResourceTagMappingList"][:-1]
        return json.dumps({"ResourceTagMappingList": kept, "PaginationToken": ""}).encode()
    depth, began, elements = 0, 0, []
    for found in LISTED.finditer(body):
        closing, empty = found.group(1), found.group(3)
        if not closing and depth == 0:
            began = found.start()
        depth += 0 if empty else (-1 if closing else 1)
        if depth == 0:
            elements.append((began, found.end()))
    if not elements:
        return body
    start, end = elements[-1]
    return body[:start] + body[end:]


def executes_dry_runs(world):
    with world.lock:
        return any(fault["kind"] == "execute" for fault in world.faults)


def hold(world, fault, call):
    """Keeps the call here until a test releases it."""
    with world.changed:
        call.entry["held"] = True
        world.changed.notify_all()
        released = world.changed.wait_for(lambda: fault["released"], LONGEST_HOLD)
        call.entry["held"] = False
    if not released:
        raise Dropped


def struck(world, call, when):
    with world.lock:
        chosen = [fault for fault in world.faults if strikes(world, fault, call, when)]
        faults = (fault for fault in world.faults if not fault["released"])
        world.faults = [fault for fault in faults if fault["times"] != 0]
    return chosen


def strikes(world, fault, call, when):
    if fault["when"] != when or fault["action"] not in ("*", call.action):
        return False
    if fault["service"] not in (None, call.service) or fault["times"] == 0:
        return False
    if fault["released"] or fault["mutating"] not in (None, call.mutating):
        return False
    if call.rehearsed and not fault["dry_run"]:
        return False
    if world.dice.random() >= fault["probability"]:
        return False
    if fault["skip"] > 0:
        fault["skip"] -= 1
        return False
    if fault["times"] is not None:
        fault["times"] -= 1
    return True


def count_for_kill(world, call):
    """Whether this is the call at which a client is to die, and when."""
    with world.lock:
        kill = world.kill
        if not kill or not call.mutating or kill.get("action") not in (None, call.action):
            return None
        kill["call"] -= 1
        if kill["call"] > 0:
            return None
        world.kill = None
        return kill


def end(kill):
    try:
        os.kill(kill["pid"], signal.SIGKILL)
    except ProcessLookupError:
        pass
    raise Dropped


def error(call, status, code, message):
    """An error as the service would write it, with a request ID of its own."""
    request_id = uuid.uuid4()
    code, message = escape(code), escape(message)
    inner = f"<Code>{code}</Code><Message>{message}</Message>"
    if call.service == "ec2":
        body = (
            f"<Response><Errors><Error>{inner}</Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
    elif call.service in ("servicequotas", "tagging"):
        told = json.dumps({"__type": code, "Message": message}).encode()
        return status, [("Content-Type", "application/x-amz-json-1.1")], told
    elif call.service == "cloudwatch":
        return metrics.error(status, code, message)
    elif call.service == "s3":
        body = f"<Error>{inner}<RequestId>{request_id.hex[:16].upper()}</RequestId></Error>"
    else:
        side = "Sender" if status < 500 else "Receiver"
        body = (
            f"<ErrorResponse><Error><Type>{side}</Type>{inner}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return status, [("Content-Type", "text/xml")], body.encode()
