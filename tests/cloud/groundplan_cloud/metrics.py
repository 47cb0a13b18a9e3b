"""CloudWatch: the metrics of the metadata service, by day. moto does not speak CloudWatch's protocol (RPC v2
with CBOR), so this module does: requests, answers and errors.

Every instance has the value zero for each day since its launch, except where a test says otherwise.
"""

import struct
import time
from datetime import datetime, timezone

NAMESPACE = "AWS/EC2"
METRICS = ("MetadataNoToken", "MetadataNoTokenRejected")
QUERIES = 500
DAY = 86400
EPOCH_SECONDS = 1  # tag of a time in CBOR


def answer(here, call, body):
    """The answer to GetMetricData, or None for another service."""
    if call.service != "cloudwatch":
        return None
    if call.action != "GetMetricData":
        return error(400, "InvalidAction", f"no action {call.action}")
    wanted = decode(body)
    queries = wanted.get("MetricDataQueries", [])
    if not 1 <= len(queries) <= QUERIES:
        return error(400, "ValidationError", f"{len(queries)} queries: there are 1 to {QUERIES}")
    if len({query["Id"] for query in queries}) != len(queries):
        return error(400, "ValidationError", "two queries have the same ID")
    launched = launches(call)
    results = [
        result(here, query, launched, wanted["StartTime"], wanted["EndTime"]) for query in queries
    ]
    return reply(200, {"MetricDataResults": results, "Messages": []})


def result(here, query, launched, start, end):
    stat = query["MetricStat"]
    metric = stat["Metric"]
    instance = next(d["Value"] for d in metric["Dimensions"] if d["Name"] == "InstanceId")
    name, period = metric["MetricName"], stat["Period"]
    at, values = [], []
    known = metric["Namespace"] == NAMESPACE and name in METRICS and instance in launched
    if known and instance not in here.unmeasured and stat["Stat"] == "Sum":
        today = int(time.time()) // DAY * DAY
        first = int(start) // period * period
        for moment in range(first, int(end), period):
            count = here.metrics.get((instance, name, (today - moment) // DAY))
            if count is not None or moment + period > launched[instance]:
                at.append(moment)
                values.append(count or 0.0)
    newest_first = [[Time(moment) for moment in reversed(at)], list(reversed(values))]
    return {
        "Id": query["Id"],
        "Label": name,
        "StatusCode": "Complete",
        "Timestamps": newest_first[0],
        "Values": newest_first[1],
    }


def launches(call):
    """The time of the launch of each instance of the account in the region."""
    from moto.ec2.models import ec2_backends

    reservations = ec2_backends[call.account][call.region].reservations.values()
    return {
        instance.id: seconds(instance.launch_time)
        for reservation in reservations
        for instance in reservation.instances
    }


def seconds(text):
    moment = text if isinstance(text, datetime) else datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()


def error(status, code, message):
    return reply(status, {"__type": code, "message": message})


def reply(status, value):
    headers = [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
    return status, headers, encode(value)


class Time(int):
    """Seconds since 1970."""


def encode(value):
    if isinstance(value, Time):
        return head(6, EPOCH_SECONDS) + encode(int(value))
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return head(3, len(text)) + text
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(encode(one) for one in value)
    pairs = (encode(key) + encode(one) for key, one in value.items())
    return head(5, len(value)) + b"".join(pairs)


def head(major, number):
    for size, (mark, form) in enumerate(((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q"))):
        if number < 24 and size == 0:
            return bytes([major << 5 | number])
        if number < 1 << 8 * struct.calcsize(form):
            return bytes([major << 5 | mark]) + struct.pack(form, number)
    raise ValueError(number)


def decode(data):
    value, end = item(data, 0)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes after the value")
    return value


FLOATS = {25: ">e", 26: ">f", 27: ">d"}
SIMPLE = {20: False, 21: True, 22: None, 23: None}
BREAK = object()


def item(data, at):
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        if info == 31:
            return BREAK, at
        if info in FLOATS:
            size = struct.calcsize(FLOATS[info])
            return struct.unpack(FLOATS[info], data[at : at + size])[0], at + size
        return SIMPLE[info], at
    number, at = argument(data, at, info)
    if major in (0, 1):
        return number if major == 0 else -1 - number, at
    if major in (2, 3):
        text = data[at : at + number]
        return text.decode() if major == 3 else text, at + number
    if major == 6:
        return item(data, at)
    return several(data, at, number, of_pairs=major == 5)


def argument(data, at, info):
    """The number in a head; None for an indefinite length."""
    if info < 24:
        return info, at
    if info == 31:
        return None, at
    size = 1 << (info - 24)
    return int.from_bytes(data[at : at + size], "big"), at + size


def several(data, at, count, of_pairs):
    values = []
    while count is None or len(values) < count * (2 if of_pairs else 1):
        value, at = item(data, at)
        if value is BREAK:
            break
        values.append(value)
    if of_pairs:
        return dict(zip(values[::2], values[1::2])), at
    return values, at
