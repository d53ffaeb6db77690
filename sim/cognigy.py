#!/usr/bin/env python3
"""A simulated Cognigy.AI OData service: Sessions and Conversations, v2.4.

    GET /v2.4/Sessions       one row a session: sessionId, startedAt, rating ...
    GET /v2.4/Conversations  one row a message: sessionId, timestamp, source, inputText ...
        $filter   FIELD gt|ge|lt|le TIME [and ...], times quoted or not
        $orderby  FIELD asc|desc; rows of one time in no promised order
        $top, $skip, $count=true

    with Cognigy(rows_of(interactions)) as service: ...

The key is taken from the header `apikey` alone.  As the real one: beyond the last row it answers
HTTP 500 (at_end_500), and $skip above 10,000 times out.
"""

import datetime
import json
import re
import threading

import grants
from faults import Reply, error_reply
from records import instant
from server import Server

PATHS = {"/v2.4/Sessions": "Sessions", "/v2.4/Conversations": "Conversations"}
TIME = {"Sessions": "startedAt", "Conversations": "timestamp"}
KEY = {"Sessions": "sessionId", "Conversations": "id"}
_TERM = re.compile(r"(\w+) (gt|ge|lt|le) ('?)([^' ]+)\3\Z")
_TESTS = {"gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
          "lt": lambda a, b: a < b, "le": lambda a, b: a <= b}


class Refused(ValueError):
    pass


def rows_of(interactions, rating={5: 1, 4: 1, 3: -1, 2: -1, 1: -1}):
    """(sessions, messages) that say the same as interactions of the reference's API, rated 1 or
    -1.  A message without a time of its own happens a millisecond after the one before it."""
    sessions, messages = [], []
    for i in interactions:
        session = {"sessionId": i["id"], "startedAt": i["timestamp"], "projectId": i.get("botId"),
                   "rating": rating.get(i.get("rating")), "ratingComment": None}
        sessions.append({k: v for k, v in session.items() if v is not None})
        at = instant(i["timestamp"])
        for n, m in enumerate(i["messages"]):
            at = max(at + 10**6, instant(m.get("timestamp")) or 0)
            messages.append({"id": "%s-%d" % (i["id"], n), "sessionId": i["id"],
                             "projectId": i.get("botId"), "inputText": m.get("text"),
                             "type": "input" if m.get("from") == "user" else "output",
                             "source": m.get("from"), "timestamp": text_of(at), "rating": None})
    return sessions, messages


def text_of(ns):
    """ISO 8601 in milliseconds."""
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=ns // 10**6)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (at.microsecond // 1000)


class Cognigy(grants.Doors, Server):
    """One project's analytics.  Beside the attributes of Server and Doors:

    rows          {"Sessions": [...], "Conversations": [...]}
    at_end_500    HTTP 500 in place of an empty page
    quotes        True: only quoted times are taken; False: only bare ones; None: both
    counts        gives @odata.count where it is asked for
    top           most rows of an answer, whatever $top says
    shuffle       rows of one time come in another order each time
    """

    kinds = PATHS

    def __init__(self, rows=((), ()), api_key="cognigy-key", port=0):
        Server.__init__(self, port)
        self.open_doors(None, None, "odata", 3600, grants.SAME)
        self.api_key = ("apikey", api_key)
        self.rows = {"Sessions": list(rows[0]), "Conversations": list(rows[1])}
        self.at_end_500, self.quotes, self.counts, self.top = True, None, True, 10**9
        self.shuffle = False
        self.rows_lock = threading.RLock()

    # For tests

    def add(self, rows):
        """Sessions and messages that come; each replaces one of its id."""
        with self.rows_lock:
            for name, new in zip(("Sessions", "Conversations"), rows):
                held = {row[KEY[name]]: row for row in self.rows[name]}
                held.update((row[KEY[name]], row) for row in new)
                self.rows[name] = list(held.values())

    def rate(self, session, rating):
        with self.rows_lock:
            for row in self.rows["Sessions"]:
                if row["sessionId"] == session:
                    row["rating"] = rating

    def delete(self, session):
        with self.rows_lock:
            for name, rows in self.rows.items():
                self.rows[name] = [r for r in rows if r["sessionId"] != session]

    # Answers

    def plain(self, request):
        if request.kind not in TIME:
            return super().plain(request)
        if self.granted(request) is None:
            return error_reply(401, "unauthorized", "Invalid api key")
        if "odata" not in self.scopes:
            return error_reply(403, "forbidden", "Missing role odata")
        try:
            return self._rows(request)
        except Refused as e:
            return error_reply(400, "bad_request", str(e))

    def _accept(self, text, field):
        tests = []
        for term in text.split(" and ") if text else ():
            m = _TERM.match(term)
            if not m or m.group(1) != field:
                raise Refused("Invalid $filter: " + term)
            if self.quotes is not None and bool(m.group(3)) != self.quotes:
                raise Refused("Invalid $filter, times are %squoted: %s" % (
                    "" if self.quotes else "not ", term))
            tests.append((_TESTS[m.group(2)], instant(m.group(4))))
        if any(bound is None for _, bound in tests):
            raise Refused("Invalid $filter, not a time: " + text)
        return lambda at: all(test(at, bound) for test, bound in tests)

    def _rows(self, request):
        query = {k: v for k, v in request.query.items() if k.startswith("$")}
        if set(query) - {"$filter", "$orderby", "$top", "$skip", "$count"} or \
                len(query) != len(request.query):
            raise Refused("Unknown options: %s" % sorted(request.query))
        field = TIME[request.kind]
        accept = self._accept(query.get("$filter"), field)
        order, _, way = query.get("$orderby", field + " asc").partition(" ")
        if order != field or way not in ("asc", "desc"):
            raise Refused("Invalid $orderby")
        with self.rows_lock:
            rows = [(instant(row[field]), n, row) for n, row in
                    enumerate(self.rows[request.kind]) if accept(instant(row[field]))]
        turn = len(self.log) if self.shuffle else 0
        rows.sort(key=lambda r: (r[0], (r[1] * 7919 + turn * 104729) % 10007 if turn else r[1]),
                  reverse=way == "desc")
        skip, top = int(query.get("$skip", 0)), int(query.get("$top", 1000))
        if skip > 10000:
            return error_reply(504, "timeout", "Request timed out")
        found = rows[skip:skip + min(top, self.top)]
        if not found and self.at_end_500:
            return error_reply(500, "internal", "Cannot read properties of undefined")
        value = {"@odata.context": self.url + "/v2.4/$metadata#" + request.kind}
        if query.get("$count") == "true" and self.counts:
            value["@odata.count"] = len(rows)
        value["value"] = [row for _, _, row in found]
        return Reply(200, {"Content-Type": "application/json"}, json.dumps(value).encode())
