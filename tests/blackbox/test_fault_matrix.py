"""Rows of the fault matrix (docs/RELIABILITY.md) that have no place among the other tests.

For each: once the faults stop, the store holds what the tenant holds, no id is there twice, and
the CSV is that of a run without faults.
"""

import contextlib
import datetime
import gzip
import json
import os
import pathlib
import sqlite3
import time

import faults
import pytest
from conftest import check_fails, check_one_line
from faults import page, to_interactions
from faulty import is_instrumented
from test_run import check_is, conversation, raw


def stored(place):
    """The ids in the store, each once."""
    with contextlib.closing(sqlite3.connect(place.dir / "tamis.db")) as db:
        ids = [row[0].decode() for row in db.execute("select id from interaction")]
    assert len(ids) == len(set(ids))
    return sorted(ids)


def held(place):
    return sorted(r.id for r in place.tenant.holdings.query())


def check_converged(place, expected):
    place.tenant.heal()
    place.run("run", status=0)
    assert stored(place) == held(place)
    check_is(place, expected([r.raw for r in place.tenant.holdings.query()]))


def said(id, timestamp, **more):
    return raw(conversation(id, timestamp=timestamp, said="A wish of %s" % id, **more))


# Rows that come late, that change, that are of another time

@pytest.mark.matrix(4)
def test_a_row_late_within_the_lookback(make_place, few, expected):
    place = make_place(few).configure(source={"lookback": "10d"})
    place.run("run", status=0)
    place.tenant.holdings.put(said("int_late", "2026-04-25T00:00:00Z"))
    check_converged(place, expected)
    assert len(place.tenant.requests()) == 2, "the look-back is one page"


@pytest.mark.matrix(6)
def test_a_message_and_a_rating_changed_at_the_same_timestamp(make_place, few, expected):
    place = make_place(few).configure(source={"lookback": "365d"})
    place.run("run", status=0)
    rated = [i for i in map(json.loads, few) if i.get("rating") == 5 and i["messages"]]
    place.tenant.holdings.change(rated[0]["id"], rating=1)
    place.tenant.holdings.change(rated[1]["id"], messages=[
        {"from": "user", "text": "Something else"}, {"from": "bot", "text": "Indeed"}])
    summary = place.json("run")
    assert summary["interactions"]["updated"] == 2
    check_converged(place, expected)


@pytest.mark.matrix(7)
def test_a_timestamp_years_ahead_moves_no_cursor(make_place, few, expected):
    """Rows of the present come after it; it takes no look-back to find them."""
    place = make_place([*few, said("int_far", "2071-01-01T00:00:00Z")])
    place.configure(source={"lookback": "1s"}).run("run", status=0)
    now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=5)
    place.tenant.holdings.put(said("int_now", now.strftime("%Y-%m-%dT%H:%M:%SZ")))
    check_converged(place, expected)


FORMS = ["2026-05-05T12:00:00+02:00", "2026-05-05T10:00:00Z", "2026-05-05 10:00:00.000000001Z",
         "2026-05-05T10:00:00.999999999Z", "2026-05-05T05:30:01.5-0430", "2026-06-30T23:59:60Z",
         "2026-07-01T00:00:00Z", "2026-07-01T00:00:00.1", "2026-05-05T10:00Z",
         "2026-05-05T15:45:00.25+05:45"]


@pytest.mark.matrix(8)
def test_timestamps_of_all_forms_are_instants(make_place, expected):
    """Offsets, no and nine digits, a leap second: one order, one cursor, page by page."""
    rows = [said("int_%02d" % k, form) for k, form in enumerate(FORMS)]
    place = make_place(rows[::2]).configure(source={"page_size": 2, "lookback": "60d"})
    place.run("run", status=0)
    place.tenant.holdings.put_all(rows[1::2])
    check_converged(place, expected)


# What the server says and does not keep to

def drifting(totals):
    """Another total with each page, again and again."""
    count = [0]

    def act(request, answer):
        reply = answer(request)
        reply.total = totals[count[0] % len(totals)]
        count[0] += 1
        return reply
    return act


@pytest.mark.matrix(9)
@pytest.mark.parametrize("totals", [[60, 59], [59, 61], [10, 1000], [0, 60], [60, None], ["x", 60],
                                    [2 ** 53, 1], [-1, 60]])
def test_totals_that_drift(make_place, few, expected, totals):
    """Bounded work, and never an early stop that passes for the end."""
    place = make_place(few).configure(source={"page_size": 10})
    place.tenant.fault(to_interactions(), drifting(totals))
    result = place.run("run", "--quiet", timeout=60)
    assert result.status in (0, 3) and len(place.tenant.log) < 120, result
    if result.status:
        check_one_line(result, "the server's pages do not agree with its count")
    else:
        check_is(place, expected(few))
    check_converged(place, expected)


def inventing(request, answer):
    """Ever new rows, whatever page is asked for."""
    reply = answer(request)
    reply.raws = [said("int_p%d_%d" % (request.number, k), "2026-05-05T00:00:00Z")
                  for k in range(request.page_size)]
    return reply


@pytest.mark.matrix(10)
def test_an_endless_server(make_place, few, expected):
    """It counts 60 and gives thousands: left with a sentence."""
    place = make_place(few).configure(source={"page_size": 1000})
    place.tenant.fault(to_interactions(), inventing)
    result = place.run("sync", "--quiet", status=3, timeout=60)
    check_one_line(result, "ever more records than it counts")
    assert len(place.tenant.log) < 40
    place.tenant.heal()
    place.run("sync", status=0)
    assert set(held(place)) <= set(stored(place))


@pytest.mark.matrix(13)
def test_all_rows_are_left_out_and_the_cursor_moves(make_place, few, expected):
    """Nothing passes the rating, nothing is exported; the next sync asks for the look-back only."""
    low = [raw({**json.loads(r), "rating": 1}) for r in few]
    place = make_place(low).configure(source={"page_size": 10})
    place.run("run", status=0)
    assert [s["state"] for s in place.json("status")["slices"]] == ["done"]
    asked = len(place.tenant.requests())
    place.run("run", status=0)
    later = place.tenant.requests()[asked:]
    assert len(later) < asked and all("timestamp gt '2026-04-2" in r.query["filter"] for r in later)
    place.tenant.holdings.put_all(few)
    place.configure(source={"lookback": "365d"})
    check_converged(place, expected)


# Throttling

@pytest.mark.matrix(14)
@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("asked, status", [
    ("1", 0), ("0.2", 0), ("past", 0), ("-3", 0), ("soon", 0), ("0x10", 0), ("9", 3), ("8.5", 3),
    ("far", 3), ("99999999999", 3)])
def test_what_a_server_asks_to_wait(make_place, few, expected, asked, status, code):
    """At least what it asks for, up to max_wait; then the run ends and can be taken up."""
    dates = {"past": -9999, "far": 9999}
    if asked in dates:
        at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(
            seconds=dates[asked])
        asked = at.strftime("%a, %d %b %Y %H:%M:%S GMT")
    place = make_place(few).configure(source={"page_size": 20, "max_wait": "8s"})
    place.tenant.fault(page(2), faults.status(code, headers={"Retry-After": asked}), times=1)
    summary = place.run("--json", "--quiet", "run", status=status).json()
    waited = summary["seconds"]["waited"]
    assert waited < 1 if status else waited >= {"1": 1, "0.2": 0.2}.get(asked, 0)
    if status:
        assert "max_wait" in summary["reason"] and summary["interactions"]["stored"] == 20
    check_converged(place, expected)


@pytest.mark.matrix(15)
@pytest.mark.parametrize("target", [to_interactions(), faults.to_token()],
                         ids=["pages", "token"])
def test_a_budget_of_waiting(make_place, few, expected, target):
    """Each wait is short; all together are more than the run may take."""
    place = make_place(few).configure(source={
        "page_size": 10, "wait_budget": "2.5s", "max_attempts": 100})
    place.tenant.fault(target, faults.throttle(1))
    summary = place.run("--json", "--quiet", "run", status=3, timeout=60).json()
    assert "source.wait_budget (2.5 s)" in summary["reason"]
    assert 2 <= summary["seconds"]["waited"] <= 2.5
    assert "2.0 s waiting" in place.run("status", status=0).text
    assert place.json("status")["runs"][0]["waited"] == summary["seconds"]["waited"]
    check_converged(place, expected)


@pytest.mark.matrix(16)
@pytest.mark.parametrize("code", [408, 500, 502, 503, 504])
def test_each_status_that_is_tried_again(make_place, few, expected, code):
    place = make_place(few).configure(source={"page_size": 20})
    place.tenant.fault(page(2), faults.status(code, headers={"Retry-After": "0"}), times=3)
    place.run("run", status=0)
    assert place.tenant.statuses().count(code) == 3
    check_converged(place, expected)


@pytest.mark.matrix(17)
@pytest.mark.parametrize("code, status, words", [(400, 1, "rejects"), (403, 4, "scope"),
                                                 (404, 1, "base_url")])
def test_each_status_that_is_not(make_place, few, expected, code, status, words):
    """One request, one line that says what to do; later all is well."""
    place = make_place(few).configure(source={"page_size": 20})
    place.tenant.fault(page(2), faults.status(code))
    check_fails(place.run("run", "--quiet"), status, words, str(code))
    assert place.tenant.statuses().count(code) == 1
    check_converged(place, expected)


@pytest.mark.matrix(18)
def test_401_for_ever(make_place, few, expected):
    """One new token, then it is said; no third try."""
    place = make_place(few)
    place.tenant.fault(to_interactions(), faults.status(401))
    check_fails(place.run("run", "--quiet"), 4, "token", "scope")
    assert len(place.tenant.requests()) == 2 and len(place.tenant.requests("token")) == 2
    check_converged(place, expected)


# Clocks

FAKETIME = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def fake_clock(place, offset):
    """The environment of a run whose wall clock is off by what stands in the file."""
    if is_instrumented():
        pytest.skip("SKIPPED: another clock needs the plain program")
    assert FAKETIME, "libfaketime is not there: apt-get install faketime"
    path = place.dir / "clock"
    path.write_text(offset + "\n")
    return {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1"}


def recent(k):
    at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1 + k)
    return said("int_recent_%d" % k, at.strftime("%Y-%m-%dT%H:%M:%SZ"))


@pytest.mark.matrix(19)
@pytest.mark.parametrize("offset", ["-1d", "+1d", "-400d", "+400d"])
def test_the_clock_is_wrong(make_place, few, expected, offset):
    """By a day or a year: what is there at the end is the same, and no row is passed over."""
    place = make_place([*few, recent(3)])
    env = fake_clock(place, offset)
    place.run("run", status=0, env=env)
    place.tenant.holdings.put(recent(1))
    place.run("run", status=0, env=env)
    place.tenant.holdings.put(recent(0))
    check_converged(place, expected)


@pytest.mark.matrix(19)
@pytest.mark.parametrize("jumps", [["-1d", "+1d"], ["+1d", "-1d"], ["+30d", "+0d"]])
def test_the_clock_jumps(make_place, few, expected, jumps):
    """While pages are read, and while a wait goes on."""
    place = make_place([*few, recent(2)]).configure(source={"page_size": 10})
    env = fake_clock(place, jumps[0])

    def jump(tenant):
        (place.dir / "clock").write_text(jumps[1] + "\n")
    place.tenant.fault(page(3), faults.mutate(jump), faults.throttle(1), times=1)
    began = time.monotonic()
    summary = place.run("--json", "run", status=0, env=env).json()
    assert 0.9 < summary["seconds"]["waited"] < 30 and time.monotonic() - began < 30
    assert 0 <= summary["seconds"]["total"] < 30
    place.tenant.holdings.put(recent(0))
    check_converged(place, expected)


# The store

@pytest.mark.matrix(32)
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_a_store_cut_short_is_refused(make_place, demo, expected, keep):
    """Never begun anew in silence: the message says what to do."""
    place = make_place(demo.first[:150])
    place.run("run", status=0)
    csv, path = place.read(), place.dir / "tamis.db"
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * keep)])
    for command in ("run", "status"):
        result = place.run(command, "--quiet")
        assert result.status == 1, (command, result)
        check_one_line(result, "tamis.db", "damaged")
    assert place.read() == csv and path.stat().st_size <= len(data)
    path.write_bytes(data)
    check_converged(place, expected)


@pytest.mark.matrix(33)
def test_a_store_of_the_first_schema(make_place, demo, expected):
    """Made by version 0.1.0: 20 rows of a finished slice, 5 of one that was broken off."""
    place = make_place(demo.first[:40]).configure(source={"page_size": 5})
    packed = pathlib.Path(__file__).parent / "stores" / "schema-1.db.gz"
    path = place.dir / "tamis.db"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    os.chmod(path, 0o600)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("update slice set source = ?", (place.tenant.url.encode(),))
    check_fails(place.run("status"), 1, "older version", "tamis sync")
    place.run("sync", status=0)
    assert place.tenant.requests()[0].page == 2, "the open slice is taken up where it was"
    place.configure(source={"lookback": "365d"})
    check_converged(place, expected)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma user_version").fetchone()[0] > 1


# Odd answers

ODD_BODIES = {
    "html": b"<!DOCTYPE html><title>Sign in</title>", "empty": b"", "nul": b"\x00" * 50,
    "trailing": b'{"interactions": [], "totalCount": 0} trailing', "huge number":
    b'{"interactions": [{"id": "a", "timestamp": 1e999}', "deep": b"[" * 1000000,
    "half": b'{"interactions": [{"id": "int_1", "timestamp": "2026-01-01T00:00:00Z"}'}


@pytest.mark.matrix(23)
@pytest.mark.parametrize("name", ODD_BODIES)
def test_a_page_that_is_none_for_once(make_place, few, expected, name):
    """Tried again; never taken for an empty page."""
    place = make_place(few).configure(source={"page_size": 10})
    place.tenant.fault(page(2), faults.body(ODD_BODIES[name]), times=1)
    place.run("run", status=0)
    check_converged(place, expected)


@pytest.mark.matrix(23)
def test_texts_that_are_mended(make_place, few, expected):
    """A mark of byte order, keys twice, NUL, lone surrogates, ill-formed UTF-8."""
    odd = [
        said("int_nul", "2026-05-01T00:00:00Z").replace(b"A wish", b"A\\u0000 wish"),
        said("int_sur", "2026-05-02T00:00:00Z").replace(b"A wish", b"A \\ud83d wish"),
        said("int_utf", "2026-05-03T00:00:00Z").replace(b"A wish", b"A \xff\xc3 wish"),
        said("int_key", "2026-05-05T00:00:00Z").replace(b'"rating":', b'"a\\u0000": 0, "rating":'),
        said("int_two", "2026-05-04T00:00:00Z").replace(b'"rating":', b'"rating": 1, "rating":')]
    place = make_place([*few, *odd]).configure(source={"page_size": 10})

    def marked(request, answer):
        reply = answer(request)
        return faults.Reply(reply.status, reply.headers, b"\xef\xbb\xbf" + reply.render())
    place.tenant.fault(to_interactions(), marked)
    place.run("run", status=0)
    check_is(place, expected([*few, *odd]))
    check_converged(place, expected)


def bomb(request, answer):
    """A thousand times its size in blanks."""
    return faults.Reply(200, {"Content-Type": "application/json", "Content-Encoding": "gzip"},
                        gzip.compress(b" " * (100 << 20), 1))


@pytest.mark.matrix(24)
def test_a_bomb(make_place, few, expected):
    """Cut at the limit of decoded bytes: no memory beyond it, what arrived is kept."""
    place = make_place(few).configure(source={"page_size": 20})
    place.tenant.fault(page(2), bomb)
    check_fails(place.run("run", "--quiet"), 1, "larger than 64 MiB", "page_size")
    assert place.json("status")["interactions"] == 20
    check_converged(place, expected)
