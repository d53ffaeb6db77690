"""source.type = cognigy-odata: the same data set as from the reference's API, whatever happens."""

import dataclasses
import datetime
import json
import re
import signal
import time

import cognigy
import faults
import oracle
import pytest
from conftest import Place, check_fails, check_one_line
from records import instant
from test_run import check_is, conversation

ENV = {"TAMIS_CLIENT_SECRET": "cognigy-key"}


def plain(raws):
    """Conversations with the ratings that Cognigy knows, on the scale of the reference."""
    out = []
    for raw in raws:
        i = json.loads(raw)
        rating = i.pop("rating", None)
        if isinstance(rating, str) and rating.replace(".", "").isdigit():
            rating = float(rating)
        if isinstance(rating, (int, float)) and not isinstance(rating, bool):
            i["rating"] = 5 if rating >= 4 else 1
        out.append(i)
    return out


def raw(value):
    return json.dumps(value).encode()


@pytest.fixture
def talks(few):
    return plain(few[:40])


@pytest.fixture
def serve(tmp_path, small):
    """serve(interactions, **attributes of the service) -> Place."""
    services = []

    def make(interactions, **attributes):
        service = cognigy.Cognigy(cognigy.rows_of(interactions))
        for name, value in attributes.items():
            setattr(service, name, value)
        services.append(service.start())
        directory = tmp_path / ("cognigy%d" % len(services))
        directory.mkdir()
        place = Place(directory, service, small)
        del place.sections["source"]["client_id"]
        return place.configure(
            source={"type": "cognigy-odata", "auth": "api-key", "page_size": 37,
                    "since": "", "max_wait": "5s", "timeout": "2s"},
            filter={"rating_map": "-1=1,1=5"})

    yield make
    for service in services:
        service.stop()


def run(place, *args, **options):
    return place.run(*(args or ("run",)), env=ENV, timeout=60, **options)


def ids(place):
    return place.json("status", env=ENV)["interactions"]


def warnings(result):
    return [line for line in result.lines if "warning" in line]


# The data set

def test_the_same_data_set_as_from_interactions(serve, make_place, talks, expected):
    place, other = serve(talks), make_place(map(raw, talks))
    summary = place.json("run", env=ENV)
    check_is(place, expected(map(raw, talks)))
    other.run("run", status=0)
    assert place.read() == other.read() and place.ledger() == other.ledger()
    place.run("export", "--set", "export.columns=all", status=0, env=ENV)
    assert {row["source"] for row in oracle.rows_of(place.read())} == {"cognigy-odata"}
    assert summary["interactions"]["new"] == summary["interactions"]["stored"] == 40
    assert summary["interactions"]["updated"] == summary["interactions"]["rejected"] == 0
    messages = sum(len(t["messages"]) for t in talks)
    assert summary["interactions"]["received"] >= 40 + messages
    assert {row["rating"] for row in oracle.rows_of(place.read())} == {"5"}


@pytest.mark.parametrize("size", [3, 10000])
def test_any_page_size(serve, talks, expected, size):
    place = serve(talks).configure(source={"page_size": size})
    run(place, status=0)
    check_is(place, expected(map(raw, talks)))


@pytest.mark.parametrize("attributes", [{"quotes": True}, {"quotes": False}, {"counts": False},
                                        {"at_end_500": False}, {"shuffle": True}, {"top": 10},
                                        {"top": 10, "counts": False}], ids=str)
def test_services_differ(serve, talks, expected, attributes):
    place = serve(talks, **attributes)
    run(place, status=0)
    check_is(place, expected(map(raw, talks)))
    run(place, status=0)
    check_is(place, expected(map(raw, talks)))


def test_what_the_service_needs(serve, talks):
    place = serve(talks)
    run(place, status=0)
    for request in place.tenant.requests("Sessions") + place.tenant.requests("Conversations"):
        assert request.headers["apikey"] == "cognigy-key"
        assert "cognigy-key" not in str(request.query)
        assert set(request.query) <= {"$filter", "$orderby", "$top", "$skip", "$count"}
    check_fails(run(place, "run", "--set", "source.auth=client-credentials"), 2, "api-key")


def test_bot_field(serve, talks):
    place = serve(talks).configure(source={"bot_field": "endpointName"})
    for name, rows in place.tenant.rows.items():
        for row in rows:
            row["endpointName"] = "web"
    run(place, status=0)
    assert place.json("explain", talks[0]["id"], env=ENV)["bot_id"] == "web"


def test_a_bot_field_of_numbers(serve, talks):
    """A number counts as its text, as in botId."""
    place = serve(talks[:3]).configure(source={"bot_field": "botNumber"})
    for rows in place.tenant.rows.values():
        for row in rows:
            row["botNumber"] = 7
    run(place, status=0)
    assert place.json("explain", talks[0]["id"], env=ENV)["bot_id"] == "7"


def test_another_bot_field_later(serve, talks, expected):
    """What is stored is read by it too, also what the service has no more."""
    place = serve(talks)
    for rows in place.tenant.rows.values():
        for row in rows:
            row["endpointName"] = "web"
    run(place, status=0)
    check_is(place, expected(map(raw, talks)))
    for talk in talks[:30]:
        place.tenant.delete(talk["id"])
    place.configure(source={"bot_field": "endpointName"})
    run(place, status=0)
    check_is(place, expected([raw({**t, "botId": "web"}) for t in talks]))


# Ties

def at_noon(k):
    return conversation("s_%02d" % k, said="wish number %d of those at noon" % k, rating=5,
                        timestamp="2026-05-05T12:00:00.000Z")


@pytest.mark.matrix(1)
@pytest.mark.parametrize("attributes", [{}, {"counts": False}, {"shuffle": True},
                                        {"at_end_500": False, "counts": False}, {"top": 3},
                                        {"top": 3, "counts": False},
                                        {"top": 3, "counts": False, "at_end_500": False}], ids=str)
@pytest.mark.parametrize("n", [7, 22])
def test_many_rows_of_one_time(serve, expected, n, attributes):
    """More than a page of one millisecond, and an exact number of pages; also where the service
    gives fewer rows than it is asked for."""
    talks = [at_noon(k) for k in range(n)]
    place = serve(talks, **attributes).configure(source={"page_size": 7, "max_attempts": 2})
    run(place, status=0)
    check_is(place, expected(map(raw, talks)))
    later = [at_noon(k) for k in range(n, n + 9)]
    place.tenant.add(cognigy.rows_of(later))
    run(place, status=0)
    check_is(place, expected(map(raw, talks + later)))


@pytest.mark.matrix(16)
def test_only_a_real_end_is_one(serve):
    """HTTP 500 where rows are left is an outage: nothing is taken for complete."""
    talks = [at_noon(k) for k in range(21)]
    place = serve(talks).configure(source={"page_size": 7, "max_attempts": 2})
    place.tenant.fault(lambda r: r.query.get("$skip") == "7" and r.kind == "Conversations",
                       faults.status(500))
    result = run(place)
    assert result.status == 3 and "500" in result.err, result
    assert "out.csv" not in place.names()


# What changes

@pytest.mark.matrix(6)
def test_late_rating(serve, talks, expected):
    unrated = next(t for t in talks if "rating" not in t and t["messages"])
    place = serve(talks).configure(source={"lookback": "365d"})
    run(place, status=0)
    place.tenant.rate(unrated["sessionId"] if "sessionId" in unrated else unrated["id"], 1)
    summary = place.json("run", env=ENV)
    assert summary["interactions"]["updated"] == 1 and summary["interactions"]["new"] == 0
    now = [{**t, "rating": 5} if t is unrated else t for t in talks]
    check_is(place, expected(map(raw, now)))


def test_a_conversation_goes_on(serve, expected):
    """Messages of one session in two syncs make one interaction."""
    first = conversation("s_1", timestamp="2026-05-05T12:00:00Z")
    more = {**first, "messages": first["messages"] + [
        {"from": "user", "text": "And when will it be here?", "timestamp": "2026-05-05T12:01:00Z"},
        {"from": "bot", "text": "Tomorrow.", "timestamp": "2026-05-05T12:01:01Z"}]}
    place = serve([first])
    run(place, status=0)
    place.tenant.add(cognigy.rows_of([more]))
    run(place, status=0)
    check_is(place, expected([raw(more)]))
    assert ids(place) == 1


@pytest.mark.matrix(3)
@pytest.mark.parametrize("number, n", [(3, 1), (6, 4)])
def test_sessions_deleted_while_reading(serve, talks, expected, number, n):
    """What was read stays; the rest is found all the same."""
    place = serve(talks).configure(source={"page_size": 10})
    gone = sorted(talks, key=lambda t: instant(t["timestamp"]))[:n]
    count = [0]

    def nth(request):
        count[0] += request.kind == "Conversations"
        return request.kind == "Conversations" and count[0] == number + 1
    place.tenant.fault(nth, faults.mutate(
        lambda service: [service.delete(t["id"]) for t in gone]), times=1)
    first = run(place)
    assert first.status in (0, 3)
    run(place, status=0)
    check_is(place, expected(map(raw, talks)))


@pytest.mark.matrix(2)
def test_rows_come_while_reading(serve, talks, expected):
    place = serve(talks[15:]).configure(source={"page_size": 10, "lookback": "365d"})
    place.tenant.fault(lambda r: r.kind == "Conversations" and "ge" in r.query.get("$filter", ""),
                       faults.mutate(lambda s: s.add(cognigy.rows_of(talks[:15]))), times=1)
    assert run(place).status in (0, 3)
    run(place, status=0)
    check_is(place, expected(map(raw, talks)))


def test_what_is_forgotten_does_not_come_back(serve, talks, expected):
    place = serve(talks).configure(source={"lookback": "365d"})
    run(place, status=0)
    run(place, "forget", talks[0]["id"], status=0)
    run(place, status=0)
    check_is(place, expected(map(raw, talks[1:])))
    assert talks[0]["id"].encode() not in place.read("tamis.db")


def test_odd_rows_of_what_is_forgotten_do_not_come_back(serve):
    place = serve([conversation("s_1"), conversation("s_2", said="Another wish")])
    place.configure(source={"lookback": "3650d"})
    place.tenant.rows["Conversations"].append(
        {"id": "odd", "sessionId": "s_1", "timestamp": "2026-03-01T00:00:00.500Z",
         "inputText": "x" * (1 << 20) + "y", "source": "user"})
    run(place, status=0)
    assert place.json("status", env=ENV)["rejected"] == 1
    run(place, "forget", "s_1", status=0)
    again = place.json("run", env=ENV)["interactions"]
    assert (again["rejected"], again["forgotten"]) == (0, 1)
    assert not place.json("status", env=ENV)["rejected"]
    assert b"s_1" not in place.read("tamis.db")


# Masks, senders, odd rows

def test_masked_turns(serve):
    hidden = conversation("s_1", said="*****", answer="On its way.")
    starred = conversation("s_2", said="I rate it **** of five", answer="Thank you.")
    answer = conversation("s_3", said="What is my code?", answer="** ***")
    place = serve([hidden, starred, answer])
    run(place, status=0)
    assert [r["rule"] for r in place.ledger()] == ["masked", "masked"]
    assert [r["interaction_id"] for r in place.ledger()] == ["s_1", "s_3"]
    assert place.ledger()[0]["turn"] == 0
    assert b"I rate it ****" in place.read()
    shown = place.json("explain", "s_1", env=ENV)
    assert shown["turns"][0]["verdict"] == "masked"
    run(place, "export", status=0)
    assert [r["rule"] for r in place.ledger()] == ["masked", "masked"]


def test_only_bots_answer(serve):
    """People and suggestions are no bots."""
    talk = conversation("s_1", timestamp="2026-05-05T12:00:00Z")
    talk["messages"] = [{"from": "user", "text": "Is anybody there?"},
                        {"from": "suggestion", "text": "Say yes"},
                        {"from": "agent", "text": "I am a person"},
                        {"from": "bot", "text": "I am a bot"}]
    place = serve([talk])
    run(place, status=0)
    row = place.read().decode().split("\r\n")[1]
    assert "I am a bot" in row and len(place.read().split(b"\r\n")) == 3


def test_odd_rows(serve, talks, expected):
    """Each is rejected alone, named, and listed."""
    place = serve(talks)
    place.tenant.rows["Conversations"] += [
        {"id": "a", "timestamp": "2026-05-05T00:00:00Z", "inputText": "no session"},
        {"sessionId": "x", "timestamp": "2026-05-05T00:00:00Z", "inputText": "no id"},
        {"id": "c", "sessionId": talks[0]["id"], "timestamp": "2026-05-05T00:00:00Z",
         "inputText": "x" * (1 << 20) + "y", "source": "user"}]
    result = run(place, status=0)
    assert len([line for line in result.lines if re.search(r"row \d+ rejected", line)]) == 3, result
    check_is(place, expected(map(raw, talks)))
    assert place.json("status", env=ENV)["rejected"] == 3


def test_redacted_before_it_is_stored(serve):
    """redact.store = yes: a number is nowhere in the store, and messages still come together."""
    talk = conversation("s_1", said="My card is 4111 1111 1111 1111", timestamp="2026-05-05T12:00Z")
    place = serve([talk]).configure(redact={"rules": "card", "store": "yes"})
    run(place, status=0)
    place.tenant.rate("s_1", 1)
    run(place, status=0)
    assert ids(place) == 1 and b"[CARD]" in place.read()
    for name in place.names():
        assert b"4111 1111" not in place.read(name), name
    assert "4111" not in str(place.json("explain", "s_1", env=ENV))


# Faults

def to_rows(n=None, kind="Conversations"):
    """The n-th question for rows."""
    count = [0]

    def when(request):
        if request.kind != kind:
            return False
        count[0] += 1
        return n is None or count[0] == n
    return when


CASES = {
    "429": (lambda s: s.fault(to_rows(2), faults.throttle(1)), 0),
    "429 for ever": (lambda s: s.fault(to_rows(), faults.throttle("0")), 3),
    "429 for a day": (lambda s: s.fault(to_rows(3), faults.throttle(86400)), 3),
    "500": (lambda s: s.fault(to_rows(3), faults.status(500)), 0),
    "500 for ever": (lambda s: s.fault(to_rows(), faults.status(500)), 3),
    "500 for ever, of sessions": (lambda s: s.fault(to_rows(kind="Sessions"),
                                                    faults.status(500)), 3),
    "503": (lambda s: s.fault(to_rows(2), faults.status(503, headers={"Retry-After": "0"})), 0),
    "cut short": (lambda s: s.fault(to_rows(2), faults.truncate(500)), 0),
    "cut short for ever": (lambda s: s.fault(to_rows(), faults.truncate(100)), 3),
    "reset": (lambda s: s.fault(to_rows(3), faults.reset()), 0),
    "stalled": (lambda s: s.fault(to_rows(2), faults.truncate(300, stall=20)), 0),
    "html": (lambda s: s.fault(to_rows(2), faults.html()), 0),
    "empty in the middle": (lambda s: s.fault(to_rows(4), faults.body(b'{"value": []}')), None),
    "401": (lambda s: s.fault(to_rows(3), faults.status(401)), 4),
    "403": (lambda s: setattr(s, "scopes", ""), 4),
    "404": (lambda s: s.fault(to_rows(), faults.status(404)), 1),
    "400": (lambda s: s.fault(to_rows(3), faults.status(400)), 0),
    "unsorted": (lambda s: s.fault(to_rows(3), backwards), 1),
    "same page": (lambda s: s.fault(to_rows(), repeat), 3),
}


def backwards(request, answer):
    reply = answer(request)
    value = json.loads(reply.body)
    value["value"].reverse()
    reply.body = json.dumps(value).encode()
    return reply


def repeat(request, answer):
    """A service that answers every question with its first rows."""
    rows = sorted(request.tenant.rows["Conversations"], key=lambda r: r["timestamp"])[:5]
    return faults.Reply(200, {}, json.dumps({"value": rows, "@odata.count": 300}).encode())


@pytest.mark.parametrize("name", CASES)
def test_one_fault(serve, talks, expected, name):
    arm, status = CASES[name]
    place = serve(talks).configure(source={"page_size": 40, "timeout": "1s", "max_attempts": 3})
    arm(place.tenant)
    result = run(place, "run", "--quiet")
    assert result.status in ((0, 3) if status is None else (status,)), result
    if result.status:
        check_one_line(result)
        assert "out.csv" not in place.names()
    else:
        check_is(place, expected(map(raw, talks)))
    assert len(place.tenant.log) < 80, "work without bound"
    place.tenant.heal()
    place.tenant.scopes = "odata"
    run(place, status=0)
    check_is(place, expected(map(raw, talks)))
    assert ids(place) == 40


def test_a_run_is_taken_up(serve, talks, expected):
    place = serve(talks).configure(source={"page_size": 40, "max_attempts": 1})
    place.tenant.fault(to_rows(5), faults.status(503), times=1)
    run(place, status=3)
    states = [s["state"] for s in place.json("status", env=ENV)["slices"]]
    assert sorted(states) == ["done", "open"], "the sessions were complete"
    asked = len(place.tenant.requests("Conversations"))
    run(place, status=0)
    assert "$filter" in place.tenant.requests("Conversations")[asked].query
    check_is(place, expected(map(raw, talks)))


@pytest.mark.matrix(26)
def test_killed(serve, talks, expected):
    """kill -9 at any page: the next run goes on, and the data set is the same."""
    place = serve(talks).configure(source={"page_size": 25})
    for number in (1, 3, 6, 9):
        place.tenant.fault(to_rows(number), faults.delay(30), times=1)
        process = place.start("run", env=ENV)
        before = len(place.tenant.requests("Conversations"))
        while len(place.tenant.requests("Conversations")) < before + number and \
                process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        place.tenant.heal()
    run(place, status=0)
    check_is(place, expected(map(raw, talks)))
    assert ids(place) == 40


# Clock and retention

def test_retention_is_said_aloud(serve, talks):
    old = serve(talks).configure(source={"since": "2020-01-01T00:00:00Z"})
    said = warnings(run(old, status=0))
    assert len(said) == 1 and "30 days" in said[0] and "2020-01-01" in said[0]
    now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=2)
    new = serve(talks).configure(source={"since": now.strftime("%Y-%m-%dT%H:%M:%SZ")})
    assert not any("30 days" in line for line in warnings(run(new, status=0)))


def test_a_gap_longer_than_the_retention(serve, talks):
    place = serve(talks)
    run(place, status=0)  # the newest row is older than 30 days
    assert any("last sync" in line and "30 days" in line for line in warnings(run(place, status=0)))


def test_nothing_there(serve):
    place = serve([])
    place.tenant.at_end_500 = False
    run(place, status=0)
    assert ids(place) == 0


def test_all_is_gone_in_the_middle(serve, talks, expected):
    """What was still to be read expires: HTTP 500 for ever, and yet the end."""
    place = serve(talks).configure(source={"page_size": 40, "max_attempts": 1})
    place.tenant.fault(to_rows(4), faults.status(503), times=1)
    run(place, status=3)
    for row in place.tenant.rows["Conversations"]:
        row["timestamp"] = "2026-01-01T00:00:00.000Z"
    run(place, status=0)
    run(place, status=0)


def test_unsettled_rows_wait(serve):
    now = datetime.datetime.now(datetime.timezone.utc)
    talk = conversation("s_1", timestamp=now.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
    place = serve([talk]).configure(source={"settle": "1h"})
    run(place, status=0)
    assert ids(place) == 0
    place.configure(source={"settle": "0s"})
    time.sleep(1.1)
    run(place, status=0)
    assert ids(place) == 1


@pytest.mark.matrix(7)
@pytest.mark.parametrize("ahead", [{"minutes": 10}, {"days": 16000}], ids=str)
def test_a_session_from_the_future_moves_no_cursor(serve, talks, expected, ahead):
    """Sessions of the present come after it; it takes no look-back to find them.  It waits for
    its time."""
    now = datetime.datetime.now(datetime.timezone.utc)
    far, late = (conversation(name, said=name, timestamp=at.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
                 for name, at in (("s_far", now + datetime.timedelta(**ahead)),
                                  ("s_now", now - datetime.timedelta(minutes=5))))
    place = serve([*talks, far]).configure(source={"lookback": "1s"})
    run(place, status=0)
    check_is(place, expected([raw(t) for t in talks]))
    place.tenant.add(cognigy.rows_of([late]))
    run(place, status=0)
    check_is(place, expected([raw(t) for t in [*talks, late]]))


def without_end(request, answer):
    """The answer to the question without its `lt`."""
    query = dict(request.query)
    terms = [t for t in query.pop("$filter", "").split(" and ") if t and " lt " not in t]
    if terms:
        query["$filter"] = " and ".join(terms)
    return answer(dataclasses.replace(request, query=query))


@pytest.mark.matrix(7)
def test_a_service_that_does_not_heed_the_end(serve, talks, expected):
    """It gives the session from the future, which moves no cursor either."""
    now = datetime.datetime.now(datetime.timezone.utc)
    far, late = (conversation(name, said=name, timestamp=at.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
                 for name, at in (("s_far", now + datetime.timedelta(days=400)),
                                  ("s_now", now - datetime.timedelta(minutes=5))))
    place = serve([*talks, far]).configure(source={"lookback": "1d"})
    place.tenant.fault(lambda r: r.kind in cognigy.TIME, without_end)
    run(place, status=0)
    place.tenant.add(cognigy.rows_of([late]))
    run(place, status=0)
    check_is(place, expected([raw(t) for t in [*talks, far, late]]))


def test_doctor(serve, talks):
    place = serve(talks)
    told = place.json("doctor", env=ENV)
    assert told["status"] == "ok", told
    place.tenant.scopes = ""
    told = place.json("doctor", env=ENV, status=4)
    bad = [c for c in told["checks"] if c["status"] == "failed"]
    assert [c["name"] for c in bad] == ["page"] and "odata" in bad[0]["fix"]


@pytest.mark.parametrize("bad", [{"startedAt": "never"}, {"startedAt": None}, {}], ids=str)
def test_the_newest_row_has_no_time(serve, talks, expected, bad):
    """It is rejected; it does not make the list an empty one."""
    place = serve(talks)

    def first(request, answer):
        value = json.loads(answer(request).body)
        value["value"] = [{"sessionId": "s_odd", **bad}, *value["value"]][:len(value["value"])]
        return cognigy.Reply(200, {}, json.dumps(value).encode())
    place.tenant.fault(lambda r: r.kind == "Sessions" and "desc" in r.query["$orderby"], first)
    run(place, status=0)
    check_is(place, expected(map(raw, talks)))


def test_status_where_nothing_is_counted(serve, talks):
    place = serve(talks, counts=False)
    run(place, "sync", status=0)
    shown = [line for line in place.run("status", status=0).text.splitlines()
             if line.startswith("slice")]
    assert len(shown) == 2 and all(re.search(r", \d+ seen$", line) for line in shown), shown
