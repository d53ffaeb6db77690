#!/usr/bin/env python3
"""A simulated CXone tenant: the API of the reference, real paging, faults on demand.

As a library:

    with Tenant(read_lines("demo.jsonl")) as tenant:
        tenant.fault(page(2), throttle(1), times=1)
        ... tenant.url, tenant.holdings, tenant.log ...

As a command it serves JSON Lines files until SIGTERM; see --help.

    POST /oauth/token          client_credentials, answers a bearer token
    GET  /api/v2/interactions  pageSize, page, sort=timestamp desc, returnCount=true,
                               filter=timestamp gt '2026-01-01T00:00:00.000Z'

records.py says what is held and found, faults.py what can go wrong; here is what they are
joined by: HTTP, tokens, the order of checks.  Only the loopback is served.
"""

import argparse
import hmac
import http.server
import os
import secrets
import signal
import socket
import struct
import sys
import threading
import time
import urllib.parse

import faults
from faults import Reply, Request, Rule, error_reply, json_reply
from records import BadFilter, Holdings, parse_filter, read_lines, with_rating

TOKEN_PATH = "/oauth/token"
INTERACTIONS_PATH = "/api/v2/interactions"
SCOPES = "interactions:read analytics:read"
MAX_PAGE_SIZE = 1000


class Tenant:
    """One tenant on a port of its own.  Attributes to read and to change at any time:

    holdings    what it holds (records.Holdings)
    log         one (Request, status) for each request; status 0: the connection was reset
    issued      every token it gave, to look for where none should be seen
    scopes      what its client may be granted
    expires_in  seconds a token lives
    told_expires_in   what the token answer says of that, where it is to be something else
    ranges      also takes `timestamp ge 'A' and timestamp lt 'B'`
    clock       gives the seconds since 1970 of the Date header
    """

    SAME = object()

    def __init__(self, raws=(), client_id=None, client_secret=None, scopes=SCOPES,
                 expires_in=3600, told_expires_in=SAME, ranges=False, port=0):
        self.holdings = Holdings()
        self.holdings.put_all(raws)
        self.client_id, self.client_secret = client_id, client_secret
        self.scopes = scopes
        self.expires_in, self.told_expires_in = expires_in, told_expires_in
        self.ranges = ranges
        self.clock = time.time
        self.log = []
        self.issued = []
        self._rules = []
        self._tokens = {}  # token -> (monotonic end of life, granted scopes)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = None
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.tenant = self

    # Life

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self._server.server_address[1]

    def start(self):
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,),
                                        daemon=True)
        self._thread.start()
        return self

    def stop(self):
        """Ends at once, stalled answers too.  Afterwards the port refuses connections."""
        self._stopping.set()
        if self._thread:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    # For tests

    def fault(self, condition, *acts, times=None):
        """From now on, and so many times; the latest fault comes first.  Several acts nest: the
        last is outermost."""
        self._rules.insert(0, Rule(condition, acts, times))

    def heal(self):
        self._rules.clear()

    def revoke(self):
        """No token given so far is good any more."""
        with self._lock:
            self._tokens.clear()

    def requests(self, kind="interactions"):
        return [request for request, _ in self.log if request.kind == kind]

    def statuses(self, kind="interactions"):
        return [status for request, status in self.log if request.kind == kind]

    # Answers

    def pause(self, seconds):
        self._stopping.wait(seconds)

    def answer(self, method, target, headers, form):
        """The reply to a request, faults included."""
        parts = urllib.parse.urlsplit(target)
        query = _first_values(parts.query)
        kind = {TOKEN_PATH: "token", INTERACTIONS_PATH: "interactions"}.get(parts.path, "other")
        with self._lock:
            request = Request(len(self.log) + 1, kind, method, parts.path, query, headers, form,
                              self, _whole(query.get("page"), 1), _whole(query.get("pageSize"), 50))
            place = len(self.log)
            self.log.append((request, 0))
        answer = self._answer_plainly
        for rule in list(self._rules):
            if rule.takes(request):
                answer = rule.wrap(answer)
                break
        reply = answer(request)
        if not reply.reset:
            self.log[place] = (request, reply.status)
        return reply

    def _answer_plainly(self, request):
        if request.kind == "token":
            return self._token(request)
        if request.kind == "interactions":
            return self._interactions(request)
        return error_reply(404, "not_found", "No such resource: " + request.path)

    def _token(self, request):
        form = request.form
        if request.method != "POST":
            return error_reply(405, "method_not_allowed", "POST only")
        if form.get("grant_type") != "client_credentials":
            return error_reply(400, "unsupported_grant_type", "client_credentials only")
        if not self._known(form.get("client_id", ""), form.get("client_secret", "")):
            return error_reply(401, "invalid_client", "Client authentication failed")
        asked = form.get("scope", self.scopes).split()
        granted = [scope for scope in asked if scope in self.scopes.split()]
        token = secrets.token_urlsafe(24)
        self.issued.append(token)
        with self._lock:
            self._tokens[token] = (time.monotonic() + self.expires_in, granted)
        value = {"access_token": token, "token_type": "Bearer", "scope": " ".join(granted)}
        told = self.expires_in if self.told_expires_in is Tenant.SAME else self.told_expires_in
        if told is not None:
            value["expires_in"] = told
        return json_reply(200, value, {"Cache-Control": "no-store"})

    def _known(self, client_id, client_secret):
        """Without a client of its own, the tenant takes any that names itself."""
        if self.client_id is None:
            return bool(client_id and client_secret)
        pairs = ((client_id, self.client_id), (client_secret, self.client_secret or ""))
        return all(hmac.compare_digest(a.encode(), b.encode()) for a, b in pairs)

    def _interactions(self, request):
        if request.method != "GET":
            return error_reply(405, "method_not_allowed", "GET only")
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        with self._lock:
            end, granted = self._tokens.get(token, (0.0, ()))
        if kind.lower() != "bearer" or time.monotonic() >= end:
            return error_reply(401, "invalid_token", "The access token is missing or expired",
                               {"WWW-Authenticate": 'Bearer error="invalid_token"'})
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


def _first_values(text):
    pairs = urllib.parse.parse_qs(text, keep_blank_values=True, errors="replace")
    return {name: values[0] for name, values in pairs.items()}


def _whole(text, default):
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdigit() else 0


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """A client that went away is its own business; anything else is a bug of ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "SimulatedTenant", ""
    disable_nagle_algorithm = True

    def do_GET(self):
        self._serve({})

    def do_POST(self):
        length = _whole(self.headers.get("Content-Length"), 0)
        self._serve(_first_values(self.rfile.read(length).decode("utf-8", "replace")))

    def date_time_string(self, timestamp=None):
        return super().date_time_string(self.server.tenant.clock())

    def log_message(self, format, *args):
        pass  # the tenant has its own log

    def _serve(self, form):
        tenant = self.server.tenant
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = tenant.answer(self.command, self.path, headers, form)
        if reply.delay:
            tenant.pause(reply.delay)
        if reply.reset:
            # lingering for 0 s makes the kernel send RST instead of FIN
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        content = reply.render()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if reply.cut is not None:
            content = content[:reply.cut]
            self.close_connection = True
        self.wfile.write(content)
        if reply.stall:
            tenant.pause(reply.stall)


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
