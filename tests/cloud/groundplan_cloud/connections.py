"""The connections that clients have open. Shows when everything that was sent before a moment has been
handled, also what was sent by a client that is dead. Never reads from a connection."""

import select
import threading

# How often a connection on which nothing was sent yet is looked at.
LOOK_EVERY = 0.05


class Connections:
    """Each connection carries one call: the server closes it after its answer."""

    def __init__(self):
        self.changed = threading.Condition()
        self.calls = {}  # by socket; None until the request is read

    def opened(self, connection):
        with self.changed:
            self.calls[connection] = None

    def carries(self, connection, call):
        with self.changed:
            self.calls[connection] = call
            self.changed.notify_all()

    def closed(self, connection):
        with self.changed:
            self.calls.pop(connection, None)
            self.changed.notify_all()

    def settle(self, account, but, seconds):
        """Returns True once each connection that is open now is closed, or carries a call of another
        account, or one of the action `but`, or nothing at all. Returns False after `seconds`."""
        with self.changed:
            # The kernel hands connections over in order: what a dead client opened is among these.
            earlier = list(self.calls)
            left = seconds
            while any(self.concerns(one, account, but) for one in earlier):
                if left <= 0:
                    return False
                self.changed.wait(LOOK_EVERY)
                left -= LOOK_EVERY
            return True

    def concerns(self, connection, account, but):
        if connection not in self.calls:
            return False
        call = self.calls[connection]
        if call is None:
            return bool(select.select([connection], [], [], 0)[0])
        return call.account == account and call.action != but


CONNECTIONS = Connections()
