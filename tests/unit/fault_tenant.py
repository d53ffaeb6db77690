#!/usr/bin/env python3
"""Simulated tenants with one named fault each, one after the other, for test_source.c.

It reads commands, one a line, and answers each with one line:

    start SCENARIO   "listening URL", for TLS "listening URL CA_FILE", or "unavailable"
    report           JSON: the requests so far and the tokens that were given
    stop             "stopped"

It ends when standard input does.
"""

import gzip
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from email.utils import formatdate

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "sim"))

import faults  # noqa: E402
from tenant import Tenant  # noqa: E402

RECORDS = [{"id": "int_%02d" % n, "timestamp": "2026-01-01T00:00:%02d.000Z" % n, "botId": "b",
            "rating": 5, "messages": []} for n in range(25)]
ERROR = faults.error_reply
API, TOKEN = faults.to_interactions(), faults.to_token()
SECRET = "s3cr&t /+"


def answer(*reply):
    return lambda request, plain: ERROR(*reply)


def token_answer(**keys):
    return lambda request, plain: faults.json_reply(200, keys)


def gzipped(size, code=200):
    content = gzip.compress(b"x" * size, 1)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return lambda request, plain: faults.Reply(code, headers, content)


def packed(request, plain):
    reply = plain(request)
    return faults.Reply(200, {"Content-Encoding": "gzip"}, gzip.compress(reply.render()))


def echo_authorization(request, plain):
    return ERROR(403, "no", "denied for " + request.headers["authorization"])


def date_in(seconds):
    """A Retry-After date by the tenant's clock."""
    return lambda request, plain: faults.throttle(
        formatdate(request.tenant.clock() + seconds, usegmt=True))(request, plain)


# name: [(condition, times, act ...)]
FAULTS = {
    "plain": [],
    "gzip": [(API, None, packed)],
    "mid_run_401": [(faults.page(2), 1, faults.revoke())],
    "later_503": [(faults.page(2), 1, faults.status(503))],
    "later_cut": [(faults.page(2), 1, faults.truncate(100))],
    "later_silent": [(faults.page(2), None, faults.delay(30))],
    "always_401": [(API, None, faults.status(401))],
    "echo_403": [(API, None, echo_authorization)],
    "throttle_once": [(faults.page(1), 1, faults.throttle("1"))],
    "throttle_long": [(API, None, faults.throttle("86400"))],
    "throttle_wait": [(API, None, faults.throttle(15))],
    "throttle_always": [(API, None, faults.throttle())],
    "throttle_date": [(API, 1, date_in(1))],
    "throttle_far_date": [(API, 1, date_in(3600))],
    "throttle_past": [(API, 1, date_in(-3600))],
    "throttle_token": [(TOKEN, 1, faults.throttle("0"))],
    "status_503_twice": [(API, 2, faults.status(503))],
    "status_501": [(API, None, faults.status(501))],
    "truncate_once": [(API, 1, faults.truncate(100))],
    "truncate_always": [(API, None, faults.truncate(100))],
    "stall_once": [(API, 1, faults.truncate(100, stall=30))],
    "silent": [(API, None, faults.delay(30))],
    "redirect": [(API, None, faults.redirect("https://elsewhere.example/login?state=1"))],
    "redirect_token": [(TOKEN, None, faults.redirect("https://elsewhere.example/", 308))],
    "reset_once": [(API, 1, faults.reset())],
    "reset_always": [(API, None, faults.reset())],
    "reset_token_once": [(TOKEN, 1, faults.reset())],
    "html_once": [(API, 1, faults.html())],
    "html_always": [(API, None, faults.html())],
    "empty_body": [(API, 1, faults.body(b""))],
    "no_content": [(API, None, faults.body(b"", 204))],
    "bomb": [(API, None, gzipped(200 << 20))],
    "token_bomb": [(TOKEN, None, gzipped(2 << 20))],
    "bad_filter": [(API, None, answer(400, "invalid_filter", "Unsupported filter: \x1b[2Jgt"))],
    "bad_request": [(API, None, answer(400, "bad", "pageSize is too large"))],
    "not_there": [(API, None, faults.status(404))],
    "token_not_there": [(TOKEN, None, faults.status(404))],
    "token_html": [(TOKEN, None, faults.html())],
    "token_echo": [(TOKEN, None, answer(400, "invalid_request", "no: client_secret=" + SECRET))],
    "token_scope": [(TOKEN, None, answer(400, "invalid_scope", "unknown scope"))],
    "token_newline": [(TOKEN, None, token_answer(access_token="a\r\nX: y"))],
    "total_text": [(API, None, faults.total("25"))],
    "total_nonsense": [(API, None, faults.total(-4))],
}

TENANTS = {
    "wrong_secret": dict(client_id="me", client_secret="other"),
    "right_secret": dict(client_id="me", client_secret=SECRET),
    "forbidden": dict(scopes="analytics:read"),
    "short_lived": dict(expires_in=1),
    "life_missing": dict(told_expires_in=None),
    "life_text": dict(told_expires_in="3600"),
    "life_zero": dict(told_expires_in=0),
    "clock_behind": {},
}


class Raw:
    """A server that says what no decent HTTP server would."""

    page = b'{"interactions":[{"id":"a"}],"totalCount":1}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

    def __init__(self, scenario):
        self.speak = getattr(self, scenario)
        self.pages = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def stop(self):
        self.socket.close()

    def serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        text = peer.recv(65536)
        try:
            if text.startswith(b"POST"):
                body = b'{"access_token":"raw","expires_in":3600}'
                peer.sendall(self.head + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s"
                             % (len(body), body))
            else:
                self.pages += 1
                self.speak(peer)
        except OSError:
            pass
        peer.close()

    def raw_close_cut(self, peer):  # no length: the end of the connection is the end of the body
        whole = self.pages > 1
        peer.sendall(self.head + b"Connection: close\r\n\r\n" + self.page[:None if whole else 30])

    def raw_chunk_cut(self, peer):
        end = b"0\r\n\r\n" if self.pages > 1 else b""
        peer.sendall(self.head + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                     + b"%x\r\n%s\r\n" % (len(self.page), self.page) + end)

    def raw_dribble(self, peer):
        peer.sendall(self.head + b"Content-Length: 100000\r\n\r\n")
        while True:
            peer.sendall(b" ")
            time.sleep(0.3)

    def raw_header_flood(self, peer):
        peer.sendall(self.head)
        while True:
            peer.sendall(b"X-Filler: %s\r\n" % (b"x" * 1000) * 50)

    def raw_endless(self, peer):
        peer.sendall(self.head + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            peer.sendall(b"100000\r\n" + b" " * 0x100000 + b"\r\n")

    def raw_garbage(self, peer):
        peer.sendall(b"\x00\x01\x02 hello\r\n\r\n")

    def raw_bad_gzip(self, peer):
        peer.sendall(self.head + b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!")

    def raw_two_answers(self, peer):  # an informational one first, whose fields do not count
        peer.sendall(b"HTTP/1.1 103 Early Hints\r\nRetry-After: 86400\r\n\r\n"
                     b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                     if self.pages == 1 else
                     self.head + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s"
                     % (len(self.page), self.page))


def self_signed(directory):
    """A certificate for 127.0.0.1, not for localhost; None where it cannot be made."""
    if not shutil.which("openssl"):
        return None
    cert, key = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", cert], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (cert, key) if made.returncode == 0 else None


def speak_tls(tenant, pair, old):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if old:
        warnings.simplefilter("ignore", DeprecationWarning)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.load_cert_chain(*pair)
    tenant._server.socket = context.wrap_socket(tenant._server.socket, server_side=True,
                                                do_handshake_on_connect=False)
    tenant._server.handle_error = lambda request, address: None  # handshakes are to fail


def report(tenant):
    if isinstance(tenant, Raw):
        return {"pages": tenant.pages}
    return {"tokens": len(tenant.requests("token")), "pages": len(tenant.requests()),
            "issued": tenant.issued,
            "headers": tenant.requests()[-1].headers if tenant.requests() else {},
            "form": tenant.requests("token")[-1].form if tenant.requests("token") else {}}


def start(scenario, directory):
    """The tenant and what to say of it."""
    if scenario.startswith("raw_"):
        tenant = Raw(scenario)
        return tenant, "listening " + tenant.url
    tenant = Tenant(RECORDS, **TENANTS.get(scenario, {}))
    for condition, times, *acts in FAULTS.get(scenario, []):
        tenant.fault(condition, *acts, times=times)
    if scenario == "clock_behind":  # Retry-After counts from the Date of the answer
        tenant.clock = lambda: time.time() - 86400
        tenant.fault(API, date_in(1), times=1)
    said = "listening " + tenant.url
    if scenario.startswith("tls"):
        pair = self_signed(directory)
        if not pair:
            return None, "unavailable"
        speak_tls(tenant, pair, scenario == "tls_old")
        said = "%s %s" % (said.replace("http:", "https:"), pair[0])
    tenant.start()
    return tenant, said


def main():
    tenant = None
    with tempfile.TemporaryDirectory() as directory:
        for line in sys.stdin:
            command, *words = line.split()
            if command == "start":
                tenant, said = start(words[0], directory)
            elif command == "report":
                said = json.dumps(report(tenant))
            elif command == "stop":
                tenant.stop()
                said = "stopped"
            print(said, flush=True)


if __name__ == "__main__":
    main()
