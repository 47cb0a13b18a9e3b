"""Command line of the test cloud."""

import argparse
import json
import os

from . import lifetime


def main():
    parser = argparse.ArgumentParser(
        prog="tests/cloud/run", description="A strict AWS on loopback, for tests and demos."
    )
    parser.add_argument(
        "--port", type=int, default=0, help="port to serve on; a free one if not given"
    )
    parser.add_argument(
        "--amis", metavar="FILE", help="more images, in the form of groundplan_cloud/amis.json"
    )
    options = parser.parse_args()
    if options.amis:
        os.environ["GROUNDPLAN_CLOUD_AMIS"] = options.amis
    lifetime.end_with_whoever_started_us()
    from . import server  # slow to import, and the parent may be gone already

    listening = server.listen(options.port)
    host, port = listening.server_address[:2]
    print(json.dumps({"endpoint": f"http://{host}:{port}", "pid": os.getpid()}), flush=True)
    listening.serve_forever()


main()
