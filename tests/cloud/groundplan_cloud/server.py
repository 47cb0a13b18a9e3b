"""The HTTP server: each request is named, logged, perhaps hindered, and answered by moto.

The way of a request: latency, faults "before", moto (one at a time), faults "after", log. The
control endpoint under /_groundplan/ goes past all of it and is never counted.
"""

import io
import select
import socket
import time
import traceback

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import ThreadedWSGIServer

from . import cached, control, faults, metrics, permissions, places, strict, tagging
from .calls import has_expired, identify
from .connections import CONNECTIONS
from .world import LOCK, world


def listen(port):
    """A server that answers on loopback as soon as this returns."""
    strict.install()
    cached.install()
    moto = DomainDispatcherApplication(create_backend_app)
    return Server("127.0.0.1", port, Front(moto), Handler)


class Server(ThreadedWSGIServer):
    """Notes each connection as soon as it is accepted, before a thread handles it."""

    def process_request(self, request, client_address):
        CONNECTIONS.opened(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        CONNECTIONS.closed(request)
        super().shutdown_request(request)


class Front:
    def __init__(self, moto):
        self.moto = moto

    def __call__(self, environ, start_response):
        body = read_body(environ)
        if environ.get("PATH_INFO", "").startswith(control.PREFIX):
            CONNECTIONS.closed(environ["werkzeug.socket"])
            status, headers, answer = control.answer(environ, body)
        else:
            try:
                status, headers, answer = self.aws(environ, body)
            except faults.Dropped as dropped:
                if isinstance(dropped, faults.Hung):
                    wait_for_client_to_leave(environ["werkzeug.socket"], *dropped.args)
                # Whatever is written after this goes nowhere; the client sees a closed connection.
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
                status, headers, answer = 500, [], b""
        if environ["REQUEST_METHOD"] != "HEAD":
            headers = [(k, v) for k, v in headers if k.lower() != "content-length"]
            headers.append(("Content-Length", str(len(answer))))
        start_response(f"{status} Status", headers)
        return [answer]

    def aws(self, environ, body):
        call = identify(environ, body)
        CONNECTIONS.carries(environ["werkzeug.socket"], call)
        here = world(call.account)
        log(here, call)
        time.sleep(here.latency_of(call))
        status = 0
        try:
            answer = self.hindered(here, call, environ, body)
            status = answer[0]
        finally:
            end(here, call, status)
        return answer

    def hindered(self, here, call, environ, body):
        kill = faults.count_for_kill(here, call)
        if kill and kill["when"] == "before":
            faults.end(kill)
        instead = faults.meet(here, call, "before")
        if instead:
            return instead
        tagging.before(here, call)
        answer = (
            forbidden(here, call, environ)
            or permissions.answer(here, call, body)
            or metrics.answer(here, call, body)
            or places.answer(here, call)
            or tagging.answer(here, call, body)
            or self.ask_moto(call, environ, body)
        )
        if kill:
            faults.end(kill)
        return faults.meet(here, call, "after", answer) or answer

    def ask_moto(self, call, environ, body):
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = call.account
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("wsgi.input_terminated", None)
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        seen = {}

        def start_response(status, headers, _=None):
            seen["status"], seen["headers"] = int(status.split()[0]), list(headers)

        with LOCK:
            world(call.account).catch_up()
            try:
                chunks = self.moto(environ, start_response)
                answer = b"".join(chunks)
            except NotImplementedError as missing:
                return faults.error(call, 501, "NotImplemented", str(missing))
            except Exception as bug:
                traceback.print_exc()
                return faults.error(call, 500, "InternalFailure", f"the test cloud: {bug!r}")
        return seen["status"], seen["headers"], answer


def wait_for_client_to_leave(connection, seconds):
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([connection], [], [], left)
        if readable and not connection.recv(4096):
            return


def forbidden(here, call, environ):
    """moto checks no signatures; nor do we, but there must be one, and a presigned one must last."""
    if not call.signed:
        return faults.error(call, 403, "AccessDenied", "Access Denied")
    if has_expired(environ, here.ahead):
        return faults.error(call, 403, "AccessDenied", "Request has expired")
    return None


def log(here, call):
    call.entry = {
        "service": call.service,
        "action": call.action,
        "region": call.region,
        "mutating": call.mutating,
        "status": None,
        "at": time.time(),
        "ended": None,
        "held": False,
        "params": call.params,
    }
    with here.changed:
        here.log.append(call.entry)
        here.changed.notify_all()


def end(here, call, status):
    """Of a call without an answer the status is 0."""
    with here.changed:
        call.entry["status"] = status
        call.entry["ended"] = time.time()
        here.changed.notify_all()


def read_body(environ):
    if environ.get("wsgi.input_terminated"):
        return environ["wsgi.input"].read()
    return environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))


class Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are written apart; without this each answer waits for a delayed ACK.
    disable_nagle_algorithm = True

    def log_request(self, *_):
        pass
