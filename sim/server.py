"""A server of the loopback that keeps a log of its requests and answers with faults on demand.

Sub-classes say what they serve:

    kinds           {path: kind of request}
    plain(request)  the reply without faults

What is shared by all: life, faults, the log, HTTP.
"""

import http.server
import json
import socket
import struct
import sys
import threading
import time
import urllib.parse

from faults import Request, Rule, error_reply


class Server:
    """One server on a port of its own.  Attributes to read and to change at any time:

    log         one (Request, status) for each request; status 0: the connection was reset
    clock       gives the seconds since 1970 of the Date header
    """

    kinds = {}
    other = "other"  # kind of a request to any other path

    def __init__(self, port=0):
        self.clock = time.time
        self.log = []
        self._rules = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = None
        self._server = _Listener(("127.0.0.1", port), _Handler)
        self._server.tenant = self

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

    def requests(self, kind="interactions"):
        return [request for request, _ in self.log if request.kind == kind]

    def statuses(self, kind="interactions"):
        return [status for request, status in self.log if request.kind == kind]

    # Answers

    def plain(self, request):
        return error_reply(404, "not_found", "No such resource: " + request.path)

    def kind_of(self, path):
        return self.kinds.get(path, self.other)

    def pause(self, seconds):
        self._stopping.wait(seconds)

    def answer(self, method, target, headers, form):
        """The reply to a request, faults included."""
        parts = urllib.parse.urlsplit(target)
        query = first_values(parts.query)
        with self._lock:
            request = Request(len(self.log) + 1, self.kind_of(parts.path), method, parts.path,
                              query, headers, form, self, whole(query.get("page"), 1),
                              whole(query.get("pageSize"), 50))
            place = len(self.log)
            self.log.append((request, 0))
        answer = self.plain
        for rule in list(self._rules):
            if rule.takes(request):
                answer = rule.wrap(answer)
                break
        reply = answer(request)
        if not reply.reset:
            self.log[place] = (request, reply.status)
        return reply


def first_values(text):
    pairs = urllib.parse.parse_qs(text, keep_blank_values=True, errors="replace")
    return {name: values[0] for name, values in pairs.items()}


def whole(text, default):
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdigit() else 0


class _Listener(http.server.ThreadingHTTPServer):
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
        length = whole(self.headers.get("Content-Length"), 0)
        text = self.rfile.read(length).decode("utf-8", "replace")
        is_json = self.headers.get("Content-Type") == "application/json"
        self._serve(json.loads(text) if is_json else first_values(text))

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
