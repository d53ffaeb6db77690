"""What the simulated tenant holds, and the one question it can be asked.

Records are kept as the bytes that were given, so that odd ones (no id, not JSON, lone
surrogates, bad UTF-8) can be served as they are.  Instants are whole nanoseconds since 1970:
every ISO 8601 text with 0 to 9 fractional digits and any offset has an exact place.
Nothing here knows of HTTP.
"""

import datetime
import gzip
import json
import re
import threading

_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{0,9}))?)?"
    r"(Z|[+-]\d{2}(?::?\d{2})?)?\Z")
_EPOCH = datetime.date(1970, 1, 1).toordinal()


def instant(text):
    """Nanoseconds since 1970 of an ISO 8601 text (UTC when it names no offset), or None."""
    m = _ISO.match(text) if isinstance(text, str) else None
    if not m:
        return None
    year, month, day, hour, minute = (int(m.group(k)) for k in range(1, 6))
    second = int(m.group(6) or 0)
    try:
        days = datetime.date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None
    if hour > 23 or minute > 59 or second > 60:  # 60: a leap second, the one after 59
        return None
    shift, zone = 0, m.group(8)
    if zone and zone != "Z":
        shift = int(zone[1:3]) * 60 + int(zone[3:].lstrip(":") or 0)
        shift = -shift if zone[0] == "-" else shift
    seconds = ((days * 24 + hour) * 60 + minute - shift) * 60 + second
    return seconds * 10**9 + int((m.group(7) or "").ljust(9, "0"))


class Record:
    """One interaction: `raw` bytes, and the id and instant it is found by."""

    def __init__(self, raw, id=None, timestamp=None):
        """`id` and `timestamp` are read from the record; give them where it has none that can be
        read but should stand at a certain place all the same."""
        self.raw = raw
        value = self._read()
        self.id = id if id is not None else value.get("id")
        self.at = instant(timestamp if timestamp is not None else value.get("timestamp"))

    def _read(self):
        try:
            value = json.loads(self.raw.decode("utf-8", "replace"))
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def order(self):
        """Newest first, equal instants by the bytes of the id; what has no instant comes last."""
        sort_id = str(self.id or "").encode("utf-8", "surrogatepass")
        return (self.at is None, -(self.at or 0), sort_id)


def with_rating(raw, rating):
    """The same record with this rating, unless it has a rating key (null counts) or is odd."""
    try:
        value = json.loads(raw.decode("utf-8", "replace"))
    except ValueError:
        return raw
    if not isinstance(value, dict) or "rating" in value:
        return raw
    comma = b"," if value else b""
    return raw.replace(b"{", b'{"rating":' + json.dumps(rating).encode() + comma, 1)


def read_lines(path):
    """The lines of a JSON Lines file (.gz or not) as bytes, blank ones left out."""
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rb") as f:
        return [line for line in (x.strip(b"\r\n") for x in f) if line.strip()]


class BadFilter(ValueError):
    pass


_BOUND = r"timestamp (%s) '([^']*)'"
_AFTER = re.compile(_BOUND % "gt" + r"\Z")
_RANGE = re.compile(_BOUND % "ge|gt" + " and " + _BOUND % "lt|le" + r"\Z")


def parse_filter(text, ranges=False):
    """A predicate over instants for `timestamp gt 'A'` or, when the tenant takes ranges, for
    `timestamp ge 'A' and timestamp lt 'B'` too.  BadFilter says what is wrong with any other."""
    if not text:
        return lambda at: True
    m = _AFTER.match(text) or (ranges and _RANGE.match(text))
    if not m:
        raise BadFilter("Unsupported filter expression: " + text)
    words = m.groups()
    bounds = [(op, instant(value)) for op, value in zip(words[::2], words[1::2])]
    if any(at is None for _, at in bounds):
        raise BadFilter("Not an ISO 8601 timestamp in filter: " + text)
    tests = {"gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
             "lt": lambda a, b: a < b, "le": lambda a, b: a <= b}
    return lambda at: all(tests[op](at, bound) for op, bound in bounds)


class Holdings:
    """The interactions a tenant holds.  Safe to change from any thread between requests."""

    def __init__(self):
        self._records = []
        self._sorted = None
        self._lock = threading.RLock()

    def __len__(self):
        return len(self._records)

    def add(self, raw, id=None, timestamp=None):
        """Adds a record, beside any with the same id.  `raw`: bytes, or an object to dump."""
        if not isinstance(raw, bytes):
            raw = json.dumps(raw, ensure_ascii=False).encode("utf-8", "surrogatepass")
        with self._lock:
            self._records.append(Record(raw, id, timestamp))
            self._sorted = None

    def put_all(self, raws):
        """Adds records; each replaces an earlier one of its id."""
        with self._lock:
            place = {r.id: k for k, r in enumerate(self._records) if r.id is not None}
            for raw in raws:
                if not isinstance(raw, bytes):
                    raw = json.dumps(raw, ensure_ascii=False).encode("utf-8", "surrogatepass")
                record = Record(raw)
                if record.id is not None and record.id in place:
                    self._records[place[record.id]] = record
                else:
                    place[record.id] = len(self._records)
                    self._records.append(record)
            self._sorted = None

    def put(self, raw):
        self.put_all([raw])

    def remove(self, id):
        with self._lock:
            self._records = [r for r in self._records if r.id != id]
            self._sorted = None

    def change(self, id, **keys):
        """Sets keys of the record with this id (rating=5 ...)."""
        with self._lock:
            for record in [r for r in self._records if r.id == id]:
                self.put({**json.loads(record.raw), **keys})

    def clear(self):
        with self._lock:
            self._records, self._sorted = [], None

    def query(self, accept=lambda at: True):
        """All records whose instant is accepted, newest first.  A record without an instant is
        always among them: a server that hid it could not show what the client does with it."""
        with self._lock:
            if self._sorted is None:
                self._sorted = sorted(self._records, key=Record.order)
            return [r for r in self._sorted if r.at is None or accept(r.at)]
