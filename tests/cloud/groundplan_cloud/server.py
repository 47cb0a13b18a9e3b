"""The HTTP server: moto's WSGI app, with an account per access key.

An access key whose last twelve characters are digits belongs to the account of that number, so
that tests share a cloud without seeing each other.
"""

import re

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

ACCOUNT_IN_KEY = re.compile(r"Credential=[A-Z0-9]*?([0-9]{12})/")


def listen(port):
    """A server that answers on loopback as soon as this returns."""
    moto = DomainDispatcherApplication(create_backend_app)
    return make_server("127.0.0.1", port, Front(moto), threaded=True, request_handler=Handler)


class Front:
    def __init__(self, moto):
        self.moto = moto

    def __call__(self, environ, start_response):
        account = ACCOUNT_IN_KEY.search(environ.get("HTTP_AUTHORIZATION", ""))
        if account:
            environ["HTTP_X_MOTO_ACCOUNT_ID"] = account.group(1)
        return self.moto(environ, start_response)


class Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_):
        pass
