"""What a test can set and see of its account, beside what AWS itself would show: delays, faults,
the clock, the log. One World per account; the cloud as a whole has one lock."""

import heapq
import itertools
import random
import threading
import time

# One call at a time reaches moto: it is not thread-safe, and what AWS promises about tokens and
# names must hold under concurrency. Latency and faults wait outside.
LOCK = threading.RLock()

# Seconds. Zero is "at once": the next look sees the end of it. The reply to the creating call says
# what AWS's would (`pending`, `provisioning`) even then.
DELAYS = {
    "carrier_gateway_deleting": 0.0,
    "carrier_gateway_pending": 0.0,
    "image_pending": 0.0,
    "instance_pending": 0.0,
    "instance_shutting_down": 0.0,
    "instance_profile_visible": 0.0,
    "load_balancer_interfaces": 1.0,
    "load_balancer_provisioning": 0.0,
    "metadata_options_pending": 0.0,
    "nat_gateway_deleting": 0.0,
    "nat_gateway_pending": 0.0,
    "tags_listed": 0.0,
    "tags_remembered": 3600.0,
    "visible": 0.0,
    "vpc_endpoint_deleting": 0.0,
    "vpc_endpoint_pending": 0.0,
}

# Of two changes due at the same moment the one asked for first comes first.
ORDER = itertools.count()


class World:
    def __init__(self):
        self.lock = threading.Lock()
        # Notified when the log grows, when a call ends, is held or is released.
        self.changed = threading.Condition(self.lock)
        self.holds = []
        self.reset()

    def reset(self):
        self.release()
        self.delays = dict(DELAYS)
        self.latency = {}
        self.faults = []
        # The first answers to reads, while a fault of the kind `keep` is set.
        self.kept = {}
        self.kill = None
        self.denied = set()
        self.policy = None
        self.boundary = None
        self.quotas = {}
        # Pools of public addresses: how many each has.
        self.pools = {}
        self.placement_groups = {}
        self.reservations = {}
        # By region and ARN: what the tagging API knows, and what services have that are not here.
        self.tagged = {}
        self.tagged_elsewhere = {}
        self.log = []
        self.tokens = {}
        self.hidden = {}
        self.profiles_since = {}
        # Of a region, as an organisation's policy may set them, too.
        self.metadata_defaults = {}
        self.block_public_access = {}
        # Requests without a token by instance, metric and day; see metrics.py.
        self.metrics = {}
        self.unmeasured = set()
        self.dice = random.Random(0)
        self.ahead = 0.0
        self.due = []

    def release(self, action=None):
        """Lets the held calls go on, of this action or all, and holds none of them any more."""
        with self.changed:
            for hold in self.holds:
                hold["released"] = hold["released"] or action in (None, hold["action"])
            self.holds = [hold for hold in self.holds if not hold["released"]]
            self.changed.notify_all()

    def now(self):
        """The account's own clock, which a test may put forward."""
        return time.monotonic() + self.ahead

    def after(self, delay, change):
        """Makes the change when the delay is over, by whoever looks first then. With none, there is
        no moment in between: it happens now."""
        if self.delays[delay] <= 0:
            change()
        else:
            moment = self.now() + self.delays[delay]
            heapq.heappush(self.due, (moment, next(ORDER), change))

    def catch_up(self):
        while self.due and self.due[0][0] <= self.now():
            heapq.heappop(self.due)[2]()

    def latency_of(self, call):
        """What is only rehearsed is as quick as any question."""
        everything = self.latency.get("*", 0.0)
        return everything if call.rehearsed else self.latency.get(call.action, everything)


_worlds = {}


def world(account):
    with LOCK:
        if account not in _worlds:
            _worlds[account] = World()
        return _worlds[account]


def all_worlds():
    return list(_worlds.values())


def world_of(responder):
    """The world a moto response object answers for."""
    return world(responder.current_account)
