#!/usr/bin/env python3
"""A simulated CXone Digital Engagement, DFO 3.0: contacts, and the messages of each.

    GET /dfo/3.0/contacts             25 a page: status[], date[from], date[to] (days),
                                      sorting=createdAt, sortingType, scrollToken
    GET /dfo/3.0/contacts/ID/messages {hits, data}
    GET /dfo/3.0/messages/ID          one message, whole

Tokens as grants.py gives them.  Contacts have no rating: it is a custom field.
"""

import json
import threading
import urllib.parse

import grants
from cognigy import text_of
from faults import Reply, error_reply
from records import instant
from server import Server

CONTACTS = "/dfo/3.0/contacts"
PAGE = 25
LONG = 200  # characters; longer messages come reduced


def rows_of(interactions, field="csat"):
    """(contacts, {contact: messages}) that say the same as interactions of the reference's API."""
    contacts, messages = [], {}
    for i in interactions:
        fields = [{"ident": "language", "value": "en"}]
        if i.get("rating") is not None:
            fields.append({"ident": field, "value": str(i["rating"])})
        contacts.append({"id": i["id"], "createdAt": i["timestamp"], "status": "closed",
                         "statusUpdatedAt": i["timestamp"], "customFields": fields})
        at, mine = instant(i["timestamp"]), []
        for n, m in enumerate(i["messages"]):
            at = max(at + 10**6, instant(m.get("timestamp")) or 0)
            mine.append(message("%s-%d" % (i["id"], n), m.get("from"), m.get("text"), at,
                                i.get("botId")))
        messages[i["id"]] = mine
    return contacts, messages


def message(id, sender, text, at, bot):
    user = sender == "user"
    author = None if user else {"id": bot, "isBotUser": sender == "bot",
                                "isSurveyUser": sender == "survey"}
    return {"id": id, "direction": "inbound" if user else "outbound",
            "createdAt": text_of(at)[:19] + "Z", "createdAtWithMilliseconds": text_of(at),
            "authorUser": author, "authorEndUserIdentity": {"id": "u"} if user else None,
            "messageContent": {"type": "TEXT", "payload": {"text": text}},
            "hasAdditionalMessageContent": False, "contentRemoved": None}


class Dfo(grants.Doors, Server):
    """One tenant.  Beside the attributes of Server and Doors:

    contacts, messages   what it holds
    bare                 messages come as a bare array
    knows_dates          takes date[from] and date[to]; "from": heeds the first alone; False:
                         ignores them; None: refuses them
    snapshot             a scroll goes on over what was there when it began; else by number, so that
                         what is deleted moves the rest
    """

    other = "other"

    def __init__(self, rows=((), {}), port=0):
        Server.__init__(self, port)
        self.open_doors(None, None, "openid", 3600, grants.SAME)
        self.contacts, self.messages = list(rows[0]), dict(rows[1])
        self.bare, self.knows_dates, self.snapshot = False, True, True
        self._scrolls = {}
        self.lock = threading.RLock()

    def kind_of(self, path):
        if path in grants.KINDS:
            return grants.KINDS[path]
        if path == CONTACTS:
            return "contacts"
        return "messages" if path.startswith("/dfo/3.0/") else self.other

    # For tests

    def add(self, rows):
        with self.lock:
            held = {c["id"]: c for c in self.contacts}
            held.update((c["id"], c) for c in rows[0])
            self.contacts = list(held.values())
            self.messages.update(rows[1])

    def delete(self, id):
        with self.lock:
            self.contacts = [c for c in self.contacts if c["id"] != id]
            self.messages.pop(id, None)

    def forget_scrolls(self):
        self._scrolls.clear()

    # Answers

    def plain(self, request):
        if request.kind in ("token", "discovery"):
            return self.let_in(request)
        if request.kind == "other":
            return super().plain(request)
        granted = self.granted(request)
        if granted is None:
            return self.not_good()
        if "openid" not in granted:
            return error_reply(403, "forbidden", "No access to Digital Engagement")
        if request.kind == "contacts":
            return self._contacts(request)
        parts = [urllib.parse.unquote(p) for p in request.path.split("/")[3:]]
        if parts[0] == "messages":
            return self._message(parts[1])
        return self._messages(parts[1])

    def _contacts(self, request):
        query = request.query
        if self.knows_dates is None and set(query) - {"status[]", "query", "channel[]",
                                                      "scrollToken"}:
            return error_reply(400, "bad_request", "Unknown parameter")
        with self.lock:
            if "scrollToken" in query:
                if query["scrollToken"] not in self._scrolls:
                    return error_reply(400, "bad_request", "Unknown scrollToken")
                found, first = self._scrolls[query["scrollToken"]]
                if not self.snapshot:
                    found = self._find(query)
            else:
                found, first = self._find(query), 0
            value = {"hits": len(found), "data": found[first:first + PAGE]}
            if first + PAGE < len(found):
                value["scrollToken"] = "scroll/%d+%d=" % (len(self.log), first + PAGE)
                self._scrolls[value["scrollToken"]] = (found, first + PAGE)
        return json_of(value)

    def _find(self, query):
        low, high = query.get("date[from]"), query.get("date[to]")
        found = [c for c in self.contacts if c["status"] == query.get("status[]", "closed")]
        if self.knows_dates:
            found = [c for c in found if (not low or text_of(instant(c["createdAt"])) >= low) and
                     (not high or self.knows_dates == "from" or
                      text_of(instant(c["createdAt"]))[:10] <= high)]
        return sorted(found, key=lambda c: instant(c["createdAt"]))

    def _messages(self, id):
        with self.lock:
            if id not in self.messages:
                return error_reply(404, "not_found", "No such contact")
            data = [self._reduced(m) for m in self.messages[id]]
        return json_of(data if self.bare else {"hits": len(data), "data": data})

    @staticmethod
    def _reduced(m):
        text = (m["messageContent"].get("payload") or {}).get("text") or ""
        if len(text) <= LONG:
            return m
        content = {**m["messageContent"], "payload": {"text": text[:LONG]}}
        return {**m, "messageContent": content, "hasAdditionalMessageContent": True}

    def _message(self, id):
        with self.lock:
            for m in (m for mine in self.messages.values() for m in mine if m["id"] == id):
                return json_of(m)
        return error_reply(404, "not_found", "No such message")


def json_of(value):
    return Reply(200, {"Content-Type": "application/json"}, json.dumps(value).encode())
