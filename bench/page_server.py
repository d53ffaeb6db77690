#!/usr/bin/env python3
"""Serves interactions as fast as Python can: for measuring who fetches them.

usage: page_server.py COUNT     that many, generated
       page_server.py FILE      those of a JSON Lines file

The simulated tenant (sim/tenant.py) sorts, filters and forgets nothing, at a price that would be
most of what is measured.  This one knows the two requests of a sync and no other: a token, and a
page of `timestamp gt 'A'` or of everything, newest first; ranges it takes none.  Answers are made
from bytes laid out beforehand.  GET /count says how many pages were asked for.
"""

import bisect
import datetime
import json
import random
import socketserver
import sys
import urllib.parse

WORDS = ("order status refund invoice account password reset delivery late cancel subscription "
         "upgrade plan error payment card address change phone number agent help today please "
         "cannot find where when why how my the a is it not working still again").split()
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def sentence(rng):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(4, 16)))


def make(count):
    """([timestamps, oldest first], [records, newest first])"""
    rng = random.Random(count)
    stamps, raws = [], []
    for k in range(count):
        at = (START + datetime.timedelta(seconds=97 * k)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        messages = [{"from": sender, "text": sentence(rng), "timestamp": at}
                    for _ in range(rng.randint(1, 3)) for sender in ("user", "bot")]
        stamps.append(at)
        raws.append(json.dumps({"id": "int_%08d" % k, "timestamp": at, "botId": "bot_%d" % (k % 5),
                                "rating": rng.choice([None, 1, 2, 3, 4, 5]),
                                "messages": messages}).encode())
    return stamps, raws[::-1]


def read(path):
    """As make: the interactions of a file, in any order."""
    with open(path, "rb") as f:
        found = sorted((json.loads(raw)["timestamp"], raw.rstrip(b"\n")) for raw in f)
    return [at for at, _ in found], [raw for _, raw in reversed(found)]


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, stamps, raws):
        super().__init__(("127.0.0.1", 0), Handler)
        self.stamps, self.raws = stamps, raws
        self.pages = 0

    def page(self, query):
        self.pages += 1
        found = len(self.raws)
        if "filter" in query:
            after = query["filter"][0].split("'")[1]
            found -= bisect.bisect_right(self.stamps, after)
        size, number = int(query["pageSize"][0]), int(query["page"][0])
        some = self.raws[(number - 1) * size:min(number * size, found)]
        return b'{"interactions":[%s],"totalCount":%d}' % (b",".join(some), found)


class Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    wbufsize = 0

    def handle(self):
        while True:
            line, length = self.rfile.readline(), 0
            if not line:
                return
            while True:
                field = self.rfile.readline()
                if field in (b"\r\n", b""):
                    break
                if field[:15].lower() == b"content-length:":
                    length = int(field[15:])
            self.rfile.read(length)
            self.answer(line.split()[1].decode())

    def answer(self, target):
        status = b"200 OK"
        path, _, text = target.partition("?")
        if path == "/oauth/token":
            body = b'{"access_token":"bench","token_type":"Bearer","expires_in":3600}'
        elif path == "/count":
            body = b"%d" % self.server.pages
        else:
            query = urllib.parse.parse_qs(text)
            if " ge " in query.get("filter", [""])[0]:
                status, body = b"400 Bad Request", b'{"error":"invalid_filter"}'
            else:
                body = self.server.page(query)
        self.wfile.write(b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                         b"Content-Length: %d\r\n\r\n%s" % (status, len(body), body))


def main():
    what = sys.argv[1]
    with Server(*(make(int(what)) if what.isdigit() else read(what))) as server:
        print("listening http://127.0.0.1:%d" % server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
