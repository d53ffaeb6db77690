"""Whatever the server does, once it stops the CSV is that of a run without faults.

Each case is a tenant of 60 conversations, read in pages of ten, that misbehaves.  `runs` is
how each run must end; after the last the tenant is healed and a run must end well.
"""

import datetime
import email.utils
import json
import os
import time

import faults
import oracle
import pytest
from conftest import check_one_line
from faulty import is_instrumented
from faults import page, to_interactions, to_token
from test_run import check_is, conversation, raw


def in_seconds(seconds):
    """A date as Retry-After can have it."""
    return email.utils.format_datetime(
        datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds), True)


# name: (arm(tenant), exit status of the first run)
CASES = {
    "429 with seconds": (lambda t: t.fault(page(2), faults.throttle(1), times=1), 0),
    "429 with a fraction": (lambda t: t.fault(page(2), faults.throttle("0.3"), times=2), 0),
    "429 with a date": (lambda t: t.fault(page(2), faults.throttle(in_seconds(2)), times=1), 0),
    "429 with a past date": (lambda t: t.fault(page(2), faults.throttle(in_seconds(-9999)),
                                               times=1), 0),
    "429 with zero": (lambda t: t.fault(page(2), faults.throttle(0), times=2), 0),
    "429 with less than nothing": (lambda t: t.fault(page(2), faults.throttle(-5), times=1), 0),
    "429 with nonsense": (lambda t: t.fault(page(2), faults.throttle("soon"), times=1), 0),
    "429 with a huge number": (lambda t: t.fault(page(2), faults.throttle("99999999999")), 3),
    "429 with the largest number": (lambda t: t.fault(page(2), faults.throttle("1" * 400)), 3),
    "429 without a header": (lambda t: t.fault(page(3), faults.throttle(), times=2), 0),
    "429 for ever": (lambda t: t.fault(page(3), faults.throttle("0")), 3),
    "429 to the token": (lambda t: t.fault(to_token(), faults.throttle("0.1"), times=2), 0),
    "each second request throttled": (
        lambda t: t.fault(faults.every(2), faults.throttle("0.05")), 0),
    "500": (lambda t: t.fault(page(1), faults.status(500), times=1), 0),
    "502": (lambda t: t.fault(page(2), faults.status(502), times=1), 0),
    "503 twice": (lambda t: t.fault(page(2), faults.status(503), times=2), 0),
    "503 with Retry-After": (
        lambda t: t.fault(page(6), faults.status(503, headers={"Retry-After": "0"}), times=2), 0),
    "504": (lambda t: t.fault(page(6), faults.status(504), times=1), 0),
    "408": (lambda t: t.fault(page(2), faults.status(408), times=1), 0),
    "503 for ever": (
        lambda t: t.fault(page(4), faults.status(503, headers={"Retry-After": "0"})), 3),
    "503 to the token": (lambda t: t.fault(to_token(), faults.status(503), times=1), 0),
    "cut short": (lambda t: t.fault(page(2), faults.truncate(500), times=2), 0),
    "cut short at a record's end": (
        lambda t: t.fault(page(2), truncate_after_a_record, times=1), 0),
    "cut short for ever": (lambda t: t.fault(page(4), faults.truncate(100)), 3),
    "nothing but a header": (lambda t: t.fault(page(1), faults.truncate(0), times=1), 0),
    "reset": (lambda t: t.fault(page(3), faults.reset(), times=2), 0),
    "reset of the token": (lambda t: t.fault(to_token(), faults.reset(), times=1), 0),
    "stalled": (lambda t: t.fault(page(2), faults.truncate(300, stall=20), times=1), 0),
    "stalled before the first byte": (lambda t: t.fault(page(2), faults.delay(20), times=1), 0),
    "html for once": (lambda t: t.fault(page(2), faults.html(), times=1), 0),
    "401 for once": (lambda t: t.fault(page(3), faults.status(401), times=1), 0),
    "token revoked": (lambda t: t.fault(page(4), faults.revoke(), times=1), 0),
    "token that lives no time": (lambda t: setattr(t, "expires_in", 0.2), 0),
    "token said to live no time": (lambda t: setattr(t, "told_expires_in", 0), 0),
    "token said to live a text": (lambda t: setattr(t, "told_expires_in", "3600"), 0),
    "token said to live nonsense": (lambda t: setattr(t, "told_expires_in", [1]), 0),
    "token said to live less than nothing": (lambda t: setattr(t, "told_expires_in", -60), 0),
    "token that says nothing of it": (lambda t: setattr(t, "told_expires_in", None), 0),
    "empty page in the middle": (lambda t: t.fault(page(3), faults.empty_page(), times=1), 0),
    "total too small for once": (lambda t: t.fault(page(1), faults.total(20), times=1), 0),
    "total too large for once": (lambda t: t.fault(page(6), faults.total(70), times=1), 0),
    "total too small": (lambda t: t.fault(to_interactions(), faults.total(55)), None),
    "total too large": (lambda t: t.fault(to_interactions(), faults.total(61)), 3),
    "total zero": (lambda t: t.fault(to_interactions(), faults.total(0)), None),
    "total negative": (lambda t: t.fault(to_interactions(), faults.total(-1)), None),
    "total a text": (lambda t: t.fault(to_interactions(), faults.total("60")), None),
    "total nonsense": (lambda t: t.fault(to_interactions(), faults.total({"n": 60})), None),
    "total beyond all": (lambda t: t.fault(to_interactions(), faults.total(10 ** 30)), None),
    "no total": (lambda t: t.fault(to_interactions(), faults.total(None)), 0),
    "the same page again and again": (
        lambda t: t.fault(to_interactions(), faults.other_page(1)), 3),
    "a page given twice": (lambda t: t.fault(page(3), faults.other_page(2), times=1), 0),
    "nothing beyond a limit": (lambda t: t.fault(to_interactions(), faults.cap(30)), 3),
    "slow": (lambda t: t.fault(to_interactions(), faults.delay(0.1)), 0),
}

# Which row of the fault matrix each is a case of.
ROWS = {
    9: ["total too small for once", "total too large for once", "total too small",
        "total too large", "total zero", "total negative", "total a text", "total nonsense",
        "total beyond all", "no total"],
    10: ["the same page again and again", "a page given twice"],
    11: ["empty page in the middle"],
    12: ["nothing beyond a limit"],
    14: ["429 with seconds", "429 with a fraction", "429 with a date", "429 with a past date",
        "429 with zero", "429 with less than nothing", "429 with nonsense",
        "429 with a huge number", "429 with the largest number", "429 for ever"],
    15: ["429 without a header", "429 to the token", "each second request throttled"],
    16: ["500", "502", "503 twice", "503 with Retry-After", "504", "408", "503 for ever",
        "503 to the token"],
    18: ["401 for once", "token revoked", "token that lives no time",
        "token said to live no time", "token said to live a text", "token said to live nonsense",
        "token said to live less than nothing", "token that says nothing of it"],
    20: ["reset", "reset of the token"],
    21: ["stalled", "stalled before the first byte"],
    22: ["cut short", "cut short at a record's end", "cut short for ever",
        "nothing but a header"],
    23: ["html for once"],
}
ROW_OF = {name: row for row, names in ROWS.items() for name in names}


def marked(name):
    row = ROW_OF.get(name)
    return pytest.param(name, marks=[pytest.mark.matrix(row)] if row else [])


def truncate_after_a_record(request, answer):
    """The body ends where it looks like the end of a list."""
    reply = answer(request)
    whole = b'{"interactions":[' + b",".join(reply.raws[:3]) + b"]"
    reply.cut = len(whole) - 1
    return reply


@pytest.mark.parametrize("name", map(marked, CASES))
def test_one_fault(make_place, few, expected, name):
    arm, status = CASES[name]
    place = make_place(few).configure(source={"page_size": 10, "timeout": "1s", "max_wait": "5s",
                                              "max_attempts": 4})
    arm(place.tenant)
    result = place.run("run", "--quiet", timeout=60)
    assert result.status in ((0, 3) if status is None else (status,)), result
    if result.status:
        check_one_line(result)
        assert "out.csv" not in place.names(), "a file that is not the whole data set"
    else:
        assert result.lines == []
        check_is(place, expected(few))
    assert len(place.tenant.log) < 60, "work without bound"
    place.tenant.heal()
    place.run("run", status=0)
    check_is(place, expected(few))
    assert place.json("status")["interactions"] == 60


@pytest.mark.matrix(14)
@pytest.mark.parametrize("asked, least", [("1", 1.0), ("1.5", 1.5), ("date", 2.0)])
def test_retry_after_is_heeded(make_place, few, asked, least):
    """Never earlier than the server asks for.  A date has whole seconds, and what is left of them
    when the answer is read is less than when it was made."""
    place, times = make_place(few), []

    def noted(request, answer):
        times.append(time.monotonic())
        return answer(request)

    def throttled(request, answer):
        """A date is as far away as that when the answer is made, however long tamis took to ask."""
        return faults.throttle(in_seconds(3) if asked == "date" else asked)(request, answer)
    place.tenant.fault(page(1), noted)
    place.tenant.fault(page(1), throttled, noted, times=1)
    summary = place.json("run")
    assert len(times) == 2 and least - 0.02 <= times[1] - times[0] < 8, times
    least -= 1 if asked == "date" else 0.02
    assert summary["http"]["retries"] == 1 and summary["http"]["seconds_waited"] >= least


@pytest.mark.native
@pytest.mark.parametrize("threads, least, most", [(1, 1, 2), (4, 4, 5)])
def test_threads(make_place, demo, threads, least, most):
    """No more than --threads at work on records; one more may wait for a page."""
    place = make_place(demo.first[:300]).configure(source={"page_size": 100})
    place.tenant.fault(page(3), faults.delay(30), times=1)
    process = place.start("--threads", threads, "sync")
    while len(place.tenant.requests()) < 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    at_work = len(os.listdir("/proc/%d/task" % process.pid))
    process.kill()
    process.communicate()
    assert least <= at_work <= most


@pytest.mark.native
def test_a_page_of_nothing_but_odd_records(place, few, expected):
    """What is said of each takes little memory."""
    zeros = b'{"totalCount": 60, "interactions": [%s0]}' % (b"0," * 200000)
    place.tenant.fault(page(1), faults.body(zeros), times=1)
    summary = place.json("--quiet", "run")
    assert summary["interactions"]["rejected"] == 200001
    assert summary["peak_rss_mib"] < 200 or is_instrumented()
    check_is(place, expected(few))


def test_page_delay(make_place, few):
    place, times = make_place(few), []

    def noted(request, answer):
        times.append(time.monotonic())
        return answer(request)
    place.tenant.fault(to_interactions(), noted)
    place.configure(source={"page_size": 20, "page_delay": "300ms"}).run("run", status=0)
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert len(gaps) >= 2 and all(0.28 < gap < 1.5 for gap in gaps), gaps


def test_one_token_a_run(place):
    place.configure(source={"page_size": 5}).run("run", status=0)
    assert len(place.tenant.requests("token")) == 1


def test_token_is_renewed_before_it_ends(place):
    """60 s early, or after half its life where that is longer: never by way of a 401."""
    place.tenant.expires_in = 2
    place.configure(source={"page_size": 10, "page_delay": "400ms"}).run("run", status=0)
    assert 2 <= len(place.tenant.requests("token")) <= 4
    assert set(place.tenant.statuses()) == {200}


@pytest.mark.matrix(18)
def test_one_new_token_for_a_401(place, few, expected):
    place.tenant.fault(page(3), faults.revoke(), times=1)
    place.configure(source={"page_size": 10}).run("run", status=0)
    assert len(place.tenant.requests("token")) == 2
    assert place.tenant.statuses().count(401) == 1
    check_is(place, expected(few))


@pytest.mark.matrix(18)
def test_a_token_that_was_good_is_no_longer(place, few, expected):
    """It was taken (HTTP 503) and is not when the request is tried again."""
    tries = []

    def revoked_twice(request, answer):
        tries.append(0)
        if len(tries) == 1:
            place.tenant.revoke()
        reply = answer(request)
        if len(tries) == 2:
            place.tenant.revoke()
            return faults.error_reply(503, "busy", "Later")
        return reply
    place.tenant.fault(page(1), revoked_twice)
    place.configure(source={"max_wait": "5s"}).run("run", status=0)
    assert place.tenant.statuses()[:4] == [401, 503, 401, 200]
    check_is(place, expected(few))


def test_no_content_is_no_interaction(make_place, few, expected):
    """HTTP 204 is how some APIs of NICE say that there is nothing."""
    place, held = make_place([]), []
    nothing = faults.body(b"", 204)
    place.tenant.fault(to_interactions(),
                       lambda request, answer: (answer(request) if held else
                                                nothing(request, answer)))
    place.run("sync", status=0)
    assert place.json("status")["interactions"] == 0
    held.append(place.tenant.holdings.put_all(few))
    place.run("run", status=0)
    check_is(place, expected(few))


# The next page is asked for while one is kept

AHEAD = ["429 without a header", "503 twice", "cut short", "reset", "401 for once",
         "token revoked", "empty page in the middle", "total too small for once",
         "total too large for once", "total too small", "total zero", "no total",
         "the same page again and again", "a page given twice", "nothing beyond a limit"]


@pytest.mark.parametrize("name", [None, *AHEAD])
def test_asking_ahead_asks_for_nothing_else(make_place, few, name):
    """The same requests in the same order as with a delay, with which nothing is asked ahead."""
    asked = []
    for delay in "0", "30ms":
        place = make_place(few, name="delay " + delay).configure(
            source={"page_size": 10, "page_delay": delay, "max_wait": "5s", "max_attempts": 4})
        if name:
            CASES[name][0](place.tenant)
        place.run("sync", "--quiet")
        place.run("sync", "--quiet")
        asked.append([(r.path, r.page, r.query.get("filter")) for r, _ in place.tenant.log])
    assert asked[0] == asked[1] and len(asked[0]) > 4


# The tenant changes while it is read

def while_reading(make_place, few, change, number=3, **source):
    """A run during which change(tenant) happens as page `number` is asked for; then another."""
    place = make_place(few).configure(source={"page_size": 10, **source})
    place.tenant.fault(page(number), faults.mutate(change), times=1)
    first = place.run("run")
    assert first.status in (0, 3), first
    place.run("run", status=0)
    return place


def newest(k):
    return raw(conversation("int_new%d" % k, timestamp="2026-10-0%dT00:00:00Z" % (k + 1),
                            said="A new wish, number %d" % k))


def ids_of(raws):
    return [json.loads(r)["id"] for r in raws]


def in_order(raws):
    """As the tenant serves them: newest first."""
    place = {i["id"]: k for k, i in enumerate(oracle.parse(raws))}
    return sorted(raws, key=lambda r: place[json.loads(r)["id"]])


@pytest.mark.matrix(2)
@pytest.mark.parametrize("number", [2, 4, 6])
def test_rows_inserted_while_reading(make_place, few, expected, number):
    """They push others to the next page: none is lost, none is there twice."""
    new = [newest(k) for k in range(7)]
    place = while_reading(make_place, few, lambda t: t.holdings.put_all(new), number)
    check_is(place, expected([*few, *new]))


def test_rows_inserted_at_the_end_while_reading(make_place, few, expected):
    old = [raw(conversation("int_old%d" % k, timestamp="2026-01-01T00:00:0%dZ" % k,
                            said="An old wish, number %d" % k)) for k in range(3)]
    place = while_reading(make_place, few, lambda t: t.holdings.put_all(old), 3, lookback="365d")
    check_is(place, expected([*few, *old]))


@pytest.mark.matrix(3)
@pytest.mark.parametrize("number", [2, 4, 6])
def test_rows_deleted_while_reading(make_place, few, expected, number):
    """What was read stays; what moved up a page is found all the same."""
    gone = ids_of(in_order(few)[:5])  # on the first page, already read

    def delete(tenant):
        for id in gone:
            tenant.holdings.remove(id)
    place = while_reading(make_place, few, delete, number)
    check_is(place, expected(few))


@pytest.mark.matrix(3)
def test_rows_deleted_before_they_are_read(make_place, few, expected):
    gone = ids_of(in_order(few)[-15:])

    def delete(tenant):
        for id in gone:
            tenant.holdings.remove(id)
    place = while_reading(make_place, few, delete, 3)
    check_is(place, expected([r for r in few if json.loads(r)["id"] not in gone]))


@pytest.mark.matrix(6)
def test_a_row_rated_while_reading(make_place, few, expected):
    """On a page that was read before: found by the next run."""
    unrated = next(id for id, r in zip(ids_of(few), few)
                   if json.loads(r).get("rating") is None and json.loads(r)["messages"])
    place = while_reading(make_place, few,
                          lambda t: t.holdings.change(unrated, rating=5), 6, lookback="365d")
    now = [r.raw for r in place.tenant.holdings.query()]
    assert any(json.loads(r).get("rating") == 5 for r in now if json.loads(r)["id"] == unrated)
    check_is(place, expected(now))


def test_rows_over_several_pages(make_place, few, expected):
    """The same record again and again, as a server without a stable order gives."""
    place = make_place(few).configure(source={"page_size": 10})
    for r in few[::4]:
        place.tenant.holdings.add(r)
    result = place.run("run")
    assert result.status in (0, 3), result
    assert place.json("status")["interactions"] == 60
    place.tenant.holdings.clear()
    place.tenant.holdings.put_all(few)
    place.run("run", status=0)
    check_is(place, expected(few))


def test_two_versions_of_one_id(make_place, few, expected):
    """The server counts both; the one received later, which is the older here, wins."""
    place = make_place(few).configure(source={"page_size": 10})
    older = {**json.loads(few[7]), "timestamp": "2020-01-01T00:00:00Z", "rating": 5}
    place.tenant.holdings.add(older)
    for _ in range(2):
        place.run("run", status=0)
        assert place.json("status")["interactions"] == 60
        check_is(place, expected([*few[:7], *few[8:], raw(older)]))


def test_a_pass_by_bytes_is_taken_up(make_place, few):
    """Two records of one id make the third pass tell records apart by their bytes.  One that ends
    in the middle is taken up the same way: a row that came meanwhile is not made up for by one
    that is pushed to the next page."""
    few, count = in_order(few), [0]
    place = make_place(few).configure(
        source={"page_size": 10, "lookback": "1s", "max_attempts": 1})
    at = [json.loads(r)["timestamp"] for r in few]
    place.tenant.holdings.add({**json.loads(few[7]), "timestamp": at[8]})

    def in_third_pass(request):  # the first two read all pages and look at the head once more
        count[0] += request.page == 4
        return request.page == 4 and count[0] == 5
    place.tenant.fault(in_third_pass, faults.status(500), times=1)
    place.run("sync", status=3)
    assert count[0] == 5
    late = raw(conversation("int_late", timestamp=at[15]))
    place.tenant.holdings.put_all([late])
    place.run("sync", status=0)
    assert place.json("status")["interactions"] == 61


@pytest.mark.matrix(1)
@pytest.mark.parametrize("lookback", ["7d", "0s"])
def test_many_at_one_instant(make_place, expected, lookback):
    """All share the cursor's timestamp, and some come later."""
    def at_noon(k):
        return raw(conversation("int_%02d" % k, said="wish number %d of those at noon" % k,
                                timestamp="2026-05-05T12:00:00.000Z"))
    first, later = [at_noon(k) for k in range(0, 40, 2)], [at_noon(k) for k in range(1, 40, 2)]
    place = make_place(first).configure(source={"page_size": 7, "lookback": lookback})
    place.run("run", status=0)
    place.tenant.holdings.put_all(later)
    place.run("run", status=0)
    check_is(place, expected([*first, *later]))


@pytest.mark.matrix(7)
def test_a_row_from_the_future(make_place, few, expected):
    """A clock is wrong somewhere: it is kept, and does not keep others out."""
    far = raw(conversation("int_far", timestamp="2099-01-01T00:00:00Z", said="From the future"))
    place = make_place([*few[:40], far])
    place.run("run", status=0)
    place.tenant.holdings.put_all(few[40:])
    place.configure(source={"lookback": "365d"}).run("run", status=0)
    check_is(place, expected([*few, far]))


def test_unsettled_rows_are_left_to_the_next_sync(make_place, few, expected):
    """The newest minutes are not read before they have settled."""
    now = datetime.datetime.now(datetime.timezone.utc)
    fresh = raw(conversation("int_fresh", said="Just now",
                             timestamp=now.strftime("%Y-%m-%dT%H:%M:%S.000Z")))
    place = make_place([*few, fresh]).configure(source={"settle": "1h"})
    place.run("run", status=0)
    check_is(place, expected(few))
    place.configure(source={"settle": "0s"}).run("run", status=0)
    check_is(place, expected([*few, fresh]))


@pytest.mark.matrix(19)
def test_server_clock_is_behind(make_place, few, expected):
    """What has just come by the server's clock has not settled, however old it is by ours."""
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    fresh = raw(conversation("int_fresh", said="Just now", timestamp=(
        then - datetime.timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%S.000Z")))
    place = make_place([*few, fresh]).configure(source={"settle": "1h"})
    place.tenant.clock = then.timestamp
    place.run("run", status=0)
    check_is(place, expected(few))
    place.tenant.clock = time.time
    place.run("run", status=0)
    check_is(place, expected([*few, fresh]))


def test_an_unfinished_slice_is_taken_up(make_place, few, expected):
    """What was read is not read again, and the total is checked over both runs."""
    place = make_place(few).configure(source={"page_size": 10, "max_attempts": 1})
    place.tenant.fault(page(4), faults.status(503), times=1)
    place.run("run", status=3)
    assert [s["state"] for s in place.json("status")["slices"]] == ["open"]
    asked = len(place.tenant.requests())
    place.run("run", status=0)
    assert place.tenant.requests()[asked].page == 4
    check_is(place, expected(few))


def test_page_size_changed_between_runs(make_place, few, expected):
    """Page 4 of ten is not page 4 of seven."""
    place = make_place(few).configure(source={"page_size": 10, "max_attempts": 1})
    place.tenant.fault(page(4), faults.status(503), times=1)
    place.run("run", status=3)
    place.configure(source={"page_size": 7}).run("run", status=0)
    check_is(place, expected(few))


@pytest.mark.slow
def test_all_at_once(make_place, demo, expected):
    """Throttled, cut, reset, revoked and changed during one sync; several runs may be needed."""
    place = make_place(demo.first).configure(source={
        "page_size": 20, "timeout": "1s", "max_attempts": 6, "lookback": "365d"})
    t = place.tenant
    t.fault(faults.every(5), faults.throttle("0.05"))
    t.fault(faults.every(7), faults.truncate(700))
    t.fault(faults.every(11), faults.reset())
    t.fault(faults.every(13), faults.status(503, headers={"Retry-After": "0"}))
    t.fault(page(9), faults.revoke(), times=1)
    t.fault(page(12), faults.mutate(lambda t: t.holdings.put_all(demo.later)), times=1)
    for _ in range(6):
        result = place.run("run")
        if result.status == 0:
            break
        assert result.status == 3, result
    t.heal()
    place.run("run", status=0)
    check_is(place, expected([r.raw for r in t.holdings.query()]))
