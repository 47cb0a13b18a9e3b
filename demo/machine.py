"""What a machine in a cluster has around it, on loopback: a metadata service that speaks IMDSv2 and
nothing else, and an API server that knows the machine's Node.
"""

import http.client
import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN, TTL = "X-aws-ec2-metadata-token", "X-aws-ec2-metadata-token-ttl-seconds"


class Server:
    """Serves on a free port of loopback for as long as it is held."""

    def __init__(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                status, body, headers = server.answer(self, self.rfile.read(length))
                body = body.encode()
                self.send_response(status)
                for name, value in {"Content-Length": len(body), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_PATCH = answer

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.http.shutdown()
        self.http.server_close()


class MetadataService(Server):
    """IMDSv2 alone, as with HttpTokens=required: who has no token of ours is answered 401."""

    def __init__(self):
        self.tokens, self.notice = set(), None
        self.refused = self.answered = 0
        super().__init__()

    def answer(self, request, body):
        if request.command == "PUT" and request.path == "/latest/api/token":
            return self.grant(request)
        if request.headers.get(TOKEN) not in self.tokens:
            self.refused += 1
            return 401, "", {}
        self.answered += 1
        if request.path == "/latest/meta-data/spot/termination-time" and self.notice:
            return 200, self.notice, {"Content-Type": "text/plain"}
        return 404, "", {}

    def get_without_token(self):
        """What a client that speaks IMDSv1 is told."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http.server_port, timeout=5)
        connection.request("GET", "/latest/meta-data/instance-id")
        return connection.getresponse().status

    def grant(self, request):
        asked = request.headers.get(TTL, "")
        if not asked.isdigit() or not 1 <= int(asked) <= 21600:
            return 400, "", {}
        token = secrets.token_urlsafe(40)
        self.tokens.add(token)
        return 200, token, {TTL: asked}


class Cluster(Server):
    """An API server with one Node and the Events about it."""

    def __init__(self, node):
        self.version, self.events = 1, []
        self.node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node, "uid": "5d2f8f8e-0000-4000-8000-000000000001", "resourceVersion": "1"},
            "spec": {},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]},
        }
        super().__init__()

    def kubeconfig(self):
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "demo", "cluster": {"server": self.endpoint}}],
                "users": [{"name": "demo", "user": {}}],
                "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "demo"}}],
                "current-context": "demo",
            }
        )

    def condition(self, kind):
        found = (one for one in self.node["status"]["conditions"] if one["type"] == kind)
        return next(found, None)

    def answer(self, request, body):
        path = request.path.partition("?")[0]
        node = f"/api/v1/nodes/{self.node['metadata']['name']}"
        if request.command == "GET" and path == node:
            return self.reply(200, self.node)
        if request.command == "PATCH" and path == f"{node}/status":
            return self.patch(json.loads(body))
        if request.command == "POST" and path == "/api/v1/namespaces/default/events":
            self.events.append(json.loads(body))
            return self.reply(201, self.events[-1])
        return self.reply(404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})

    def patch(self, change):
        """A strategic merge patch of a status: conditions are merged by their type."""
        asked = change.get("metadata", {}).get("resourceVersion")
        if asked not in (None, self.node["metadata"]["resourceVersion"]):
            return self.reply(409, {"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409})
        for condition in change["status"]["conditions"]:
            known = self.condition(condition["type"])
            if known is None:
                self.node["status"]["conditions"].append(condition)
            else:
                known.update(condition)
        self.version += 1
        self.node["metadata"]["resourceVersion"] = str(self.version)
        return self.reply(200, self.node)

    def reply(self, status, body):
        return status, json.dumps(body), {"Content-Type": "application/json"}
