#!/usr/bin/env python3
"""A simulated CXone tenant: the API of the reference, real paging, faults on demand.

As a library:

    with Tenant(read_lines("demo.jsonl")) as tenant:
        tenant.fault(page(2), throttle(1), times=1)
        ... tenant.url, tenant.holdings, tenant.log ...

As a command it serves JSON Lines files until SIGTERM; see --help.

    POST /oauth/token          client_credentials, answers a bearer token; grants.py has more
    GET  /api/v2/interactions  pageSize, page, sort=timestamp desc, returnCount=true,
                               filter=timestamp gt '2026-01-01T00:00:00.000Z'

records.py says what is held and found, faults.py what can go wrong, grants.py who is let in,
server.py speaks HTTP; here is what they are joined by.  Only the loopback is served.
"""

import argparse
import os
import signal
import sys

import faults
import grants
from faults import Reply, error_reply
from records import BadFilter, Holdings, parse_filter, read_lines, with_rating
from server import Server

INTERACTIONS_PATH = "/api/v2/interactions"
SCOPES = "interactions:read analytics:read"
MAX_PAGE_SIZE = 1000


class Tenant(grants.Doors, Server):
    """One tenant on a port of its own.  Beside the attributes of Server and Doors:

    holdings    what it holds (records.Holdings)
    ranges      also takes `timestamp ge 'A' and timestamp lt 'B'`
    """

    kinds = {**grants.KINDS, INTERACTIONS_PATH: "interactions"}

    def __init__(self, raws=(), client_id=None, client_secret=None, scopes=SCOPES,
                 expires_in=3600, told_expires_in=grants.SAME, ranges=False, port=0):
        Server.__init__(self, port)
        self.open_doors(client_id, client_secret, scopes, expires_in, told_expires_in)
        self.holdings = Holdings()
        self.holdings.put_all(raws)
        self.ranges = ranges

    def plain(self, request):
        if request.kind in ("token", "discovery"):
            return self.let_in(request)
        if request.kind == "interactions":
            return self._interactions(request)
        return super().plain(request)

    def _interactions(self, request):
        if request.method != "GET":
            return error_reply(405, "method_not_allowed", "GET only")
        granted = self.granted(request)
        if granted is None:
            return self.not_good()
        if "interactions:read" not in granted:
            return error_reply(403, "insufficient_scope", "Requires scope interactions:read")
        if request.query.get("sort", "timestamp desc") != "timestamp desc":
            return error_reply(400, "bad_request", "Unsupported sort: " + request.query["sort"])
        if request.page < 1 or not 1 <= request.page_size <= MAX_PAGE_SIZE:
            return error_reply(400, "bad_request",
                               "page must be at least 1, pageSize 1 to %d" % MAX_PAGE_SIZE)
        try:
            accept = parse_filter(request.query.get("filter"), self.ranges)
        except BadFilter as e:
            return error_reply(400, "invalid_filter", str(e))
        found = self.holdings.query(accept)
        first = (request.page - 1) * request.page_size
        counted = request.query.get("returnCount") == "true"
        return Reply(200, {"Content-Type": "application/json"},
                     raws=[r.raw for r in found[first:first + request.page_size]],
                     total=len(found) if counted else None)


def command_line():
    p = argparse.ArgumentParser(
        prog="tenant.py", description="Serve JSON Lines files as a simulated CXone tenant.",
        epilog="A later version of an interaction replaces an earlier one of the same id.")
    p.add_argument("files", nargs="+", metavar="FILE", help="interactions, one a line; .gz too")
    p.add_argument("--port", type=int, default=0, help="0: any that is free")
    p.add_argument("--rating-all", type=int, metavar="N",
                   help="rate each interaction that has no rating key with N")
    p.add_argument("--client-id", help="the one client it knows (default: any is let in)")
    p.add_argument("--client-secret-env", metavar="NAME",
                   help="the variable that holds the secret of --client-id")
    p.add_argument("--later", metavar="FILE", action="append", default=[],
                   help="interactions that arrive, or change, on SIGHUP")
    p.add_argument("--throttle", type=int, metavar="N",
                   help="answer 429, Retry-After: 1, to more than N page requests a second")
    return p


def load(paths, rating_all):
    raws = [raw for path in paths for raw in read_lines(path)]
    return raws if rating_all is None else [with_rating(raw, rating_all) for raw in raws]


def main():
    parser = command_line()
    args = parser.parse_args()
    if (args.client_id is None) != (args.client_secret_env is None):
        parser.error("--client-id and --client-secret-env go together")
    secret = os.environ.get(args.client_secret_env or "", "")
    if args.client_secret_env and not secret:
        parser.error("the variable %s is not set" % args.client_secret_env)
    tenant = Tenant(load(args.files, args.rating_all), args.client_id, secret, port=args.port)
    if args.throttle:
        tenant.fault(faults.faster_than(args.throttle), faults.throttle(1))
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before any thread: all inherit it
    with tenant:
        print("listening " + tenant.url, flush=True)
        while signal.sigwait(signals) == signal.SIGHUP:
            tenant.holdings.put_all(load(args.later, args.rating_all))
    return 0


if __name__ == "__main__":
    sys.exit(main())
