"""What can go wrong with a server, as small functions to combine.

A fault is a condition and one or more acts:

    tenant.fault(page(3), status(503), times=2)
    tenant.fault(to_token(), throttle("1"))
    tenant.fault(page(2), mutate(lambda t: t.holdings.remove("int_7")), times=1)

A condition is `condition(request) -> bool`.  An act is `act(request, answer) -> Reply`, where
`answer(request)` gives what would have been answered without it: an act may replace that,
alter it, ask something else of it, or do something first.
"""

import dataclasses
import json
import threading
import time


@dataclasses.dataclass(frozen=True)
class Request:
    number: int          # of all requests, from 1
    kind: str            # "token", "interactions", or "other"
    method: str
    path: str
    query: dict          # first value of each parameter
    headers: dict        # names in lower case
    form: dict           # of a POST
    tenant: object
    page: int = 1
    page_size: int = 0


@dataclasses.dataclass
class Reply:
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    raws: list = None        # the records of a page; the body is made of them when it is sent
    total: object = None     # its totalCount; None: it has none
    delay: float = 0.0       # seconds before the first byte
    cut: int = None          # the connection is closed after so many bytes of the body
    stall: float = 0.0       # seconds of silence where it is cut
    reset: bool = False      # the connection is reset in place of an answer

    def render(self):
        if self.raws is None:
            return self.body
        parts = [b'"interactions":[' + b",".join(self.raws) + b"]"]
        if self.total is not None:
            parts.append(b'"totalCount":' + json.dumps(self.total).encode())
        return b"{" + b",".join(parts) + b"}"


def json_reply(status, value, headers=None):
    return Reply(status, {"Content-Type": "application/json", **(headers or {})},
                 json.dumps(value).encode())


def error_reply(status, code, message, headers=None):
    return json_reply(status, {"error": code, "error_description": message}, headers)


class Rule:
    """A condition with its acts, good for `times` requests (None: for ever)."""

    def __init__(self, condition, acts, times):
        self.condition, self.acts, self.left = condition, acts, times
        self._lock = threading.Lock()

    def takes(self, request):
        with self._lock:
            if self.left == 0 or not self.condition(request):
                return False
            if self.left is not None:
                self.left -= 1
            return True

    def wrap(self, answer):
        for act in self.acts:
            answer = (lambda act, inner: lambda request: act(request, inner))(act, answer)
        return answer


# Conditions

def always():
    return lambda request: True


def to_token():
    return lambda request: request.kind == "token"


def to_interactions():
    return lambda request: request.kind == "interactions"


def page(*numbers):
    return lambda request: request.kind == "interactions" and request.page in numbers


def request_number(*numbers):
    return lambda request: request.number in numbers


def every(n, condition=to_interactions()):
    """Each n-th of the requests that meet the condition."""
    count = [0]

    def when(request):
        if not condition(request):
            return False
        count[0] += 1
        return count[0] % n == 0
    return when


def faster_than(per_second, condition=to_interactions()):
    """True for requests beyond so many within the last second."""
    taken = []

    def when(request):
        if not condition(request):
            return False
        now = time.monotonic()
        taken[:] = [t for t in taken if now - t < 1.0]
        if len(taken) >= per_second:
            return True
        taken.append(now)
        return False
    return when


# Acts: another answer

def status(code, message="injected", headers=None):
    return lambda request, answer: error_reply(code, "fault", message, headers)


def throttle(retry_after=None):
    """429; retry_after is sent as it stands: seconds, a fraction, a date, nonsense, or nothing."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return status(429, "Rate limit exceeded", headers)


def body(content, code=200, content_type="application/json"):
    return lambda request, answer: Reply(code, {"Content-Type": content_type}, content)


def html(code=200):
    return body(b"<!DOCTYPE html><html><body>Please sign in</body></html>", code, "text/html")


def redirect(url, code=302):
    return lambda request, answer: Reply(code, {"Location": url})


def reset():
    return lambda request, answer: Reply(reset=True)


# Acts: the same answer, altered

def _altered(**changes):
    def act(request, answer):
        return dataclasses.replace(answer(request), **changes)
    return act


def delay(seconds):
    return _altered(delay=seconds)


def truncate(after, stall=0.0):
    """The body ends after so many bytes though Content-Length says more."""
    return _altered(cut=after, stall=stall)


def total(value):
    """Any totalCount: wrong, negative, a text, None for none."""
    return _altered(total=value)


def empty_page():
    return _altered(raws=[])


def other_page(number):
    """The records of another page in place of the one asked for."""
    return lambda request, answer: answer(dataclasses.replace(request, page=number))


def cap(limit):
    """No record beyond the first `limit` is ever given, though the total counts them."""
    def act(request, answer):
        reply = answer(request)
        if reply.raws is not None:
            first = (request.page - 1) * request.page_size
            reply.raws = reply.raws[:max(0, limit - first)]
        return reply
    return act


# Acts: something happens first

def mutate(change):
    """change(tenant) runs before the answer is made: insert, delete, rate anew, revoke."""
    def act(request, answer):
        change(request.tenant)
        return answer(request)
    return act


def revoke():
    return mutate(lambda tenant: tenant.revoke())
