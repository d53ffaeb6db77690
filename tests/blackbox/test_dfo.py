"""source.type = dfo: contacts and messages of Digital Engagement, the same data set."""

import datetime
import json
import signal
import time

import dfo
import faults
import oracle
import pytest
from conftest import CLIENT_ID, SECRET, Place, check_fails, check_one_line
from records import instant
from test_auth import KEY, KEY_ID, KEY_SECRET
from test_cognigy import plain, raw
from test_run import check_is, conversation


@pytest.fixture
def talks(few):
    return plain(few)


@pytest.fixture
def serve(tmp_path, small):
    """serve(interactions, **attributes of the service) -> Place."""
    services = []

    def make(interactions, **attributes):
        service = dfo.Dfo(dfo.rows_of(interactions))
        service.client_id, service.client_secret = CLIENT_ID, SECRET
        service.access_key = (KEY_ID, KEY_SECRET)
        for name, value in attributes.items():
            setattr(service, name, value)
        services.append(service.start())
        directory = tmp_path / ("dfo%d" % len(services))
        directory.mkdir()
        return Place(directory, service, small).configure(source={
            "type": "dfo", "auth": "password", "issuer": service.url, "access_key_id": KEY_ID,
            "rating_field": "csat", "max_wait": "5s", "timeout": "2s", "max_attempts": 3})

    yield make
    for service in services:
        service.stop()


def run(place, *args, **options):
    return place.run(*(args or ("run",)), env=KEY, timeout=60, **options)


def stamp(at):
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def as_text(talks):
    """A custom field holds a text."""
    return [raw({**t, "rating": str(t["rating"])} if "rating" in t else t) for t in talks]


def stored(place):
    return place.json("status")["interactions"]


@pytest.mark.parametrize("attributes", [{}, {"bare": True}, {"knows_dates": False},
                                        {"knows_dates": None},
                                        {"snapshot": False}], ids=str)
def test_the_same_data_set(serve, talks, expected, attributes):
    place = serve(talks, **attributes)
    summary = place.json("run", env=KEY)
    check_is(place, expected(as_text(talks)))
    assert summary["interactions"]["new"] == summary["interactions"]["stored"] == 60
    assert summary["interactions"]["updated"] == 0
    asked = len(place.tenant.requests("messages"))
    run(place, status=0)
    check_is(place, expected(as_text(talks)))
    assert len(place.tenant.requests("messages")) == asked, "what is known is asked for again"


@pytest.mark.parametrize("bare", [False, True])
def test_blanks_around_an_answer(serve, talks, expected, bare):
    place = serve(talks[:3], bare=bare)

    def blank(request, answer):
        reply = answer(request)
        reply.body = b"\r\n " + reply.body + b"\r\n"
        return reply
    for kind in "contacts", "messages":
        place.tenant.fault(nth(None, kind), blank)
    run(place, status=0)
    check_is(place, expected(as_text(talks[:3])))


def test_equal_to_interactions(serve, make_place, talks):
    place, other = serve(talks), make_place(as_text(talks))
    run(place, status=0)
    other.run("run", status=0)
    assert place.read() == other.read() and place.ledger() == other.ledger()
    place.run("export", "--set", "export.columns=all", status=0, env=KEY)
    assert {row["source"] for row in oracle.rows_of(place.read())} == {"dfo"}


@pytest.mark.parametrize("n", [0, 1, 25, 26, 50])
def test_numbers_of_contacts(serve, talks, n):
    place = serve(talks[:n])
    run(place, "sync", status=0)
    assert stored(place) == n


def test_long_messages_are_asked_for_whole(serve, expected):
    talk = conversation("c_1", said="Please tell me " + "more and " * 60 + "all",
                        answer="It goes like this: " + "and then " * 70 + "the end.")
    place = serve([talk])
    run(place, status=0)
    assert b"the end." in place.read() and b"all" in place.read()
    assert len([r for r in place.tenant.requests("messages") if "/messages/" in r.path]) == 2


def test_the_id_of_a_long_message_is_a_text(serve):
    """On the wire "é" is "\\u00e9", and "/" may be "\\/"."""
    answer = "It goes like this: " + "and then " * 70 + "the end."
    place = serve([conversation("c_1", answer=answer)])
    for message in place.tenant.messages["c_1"]:
        message["id"] = "é/" + message["id"]

    def escaped(request, answer):
        reply = answer(request)
        reply.body = reply.body.replace(b"/", b"\\/")
        return reply
    place.tenant.fault(nth(None, "messages"), escaped)
    run(place, status=0)
    assert b"the end." in place.read()


def without_rows(request, answer):
    value = json.loads(answer(request).body)
    return dfo.json_of({**value, "data": value["data"][:1]})


def test_fewer_messages_than_are_counted(serve, talks, expected):
    """They are asked for again: what is stored is not asked for in later syncs."""
    place = serve(talks)
    place.tenant.fault(nth(3, "messages"), without_rows, times=1)
    result = run(place, status=0)
    assert not result.err.count("warning"), result
    check_is(place, expected(as_text(talks)))


def test_always_fewer_messages_than_are_counted(serve):
    """What came is kept, and that some lack is said."""
    place = serve([conversation("c_1"), conversation("c_2", said="Another wish")])
    place.tenant.fault(lambda r: "c_2" in r.path, without_rows)
    line, = [line for line in run(place, "sync", status=0).lines if "warning" in line]
    assert "c_2" in line and "messages" in line
    assert stored(place) == 2
    place.tenant.log.clear()
    run(place, "sync", status=0)
    assert not place.tenant.requests("messages")


def test_messages_without_end(serve):
    place = serve([conversation("c_1")])

    def long(request, answer):
        value = json.loads(answer(request).body)
        value["data"][0]["messageContent"]["payload"]["text"] = "x" * (1 << 20)
        return dfo.json_of({"data": value["data"][:1] * 20, "scrollToken": "on"})
    place.tenant.fault(nth(None, "messages"), long)
    summary = place.json("sync", env=KEY)
    assert len(place.tenant.requests("messages")) < 10 and summary["peak_rss_mib"] < 700


def test_who_speaks(serve):
    """The bot by its mark, by name, or whoever answers; people and surveys do not count."""
    talk = conversation("c_1", timestamp="2026-05-05T12:00:00Z")
    talk["messages"] = [{"from": "user", "text": "Is anybody there?"},
                        {"from": "survey", "text": "Are you content?"},
                        {"from": "agent", "text": "I am a person"},
                        {"from": "bot", "text": "I am a bot"}]
    answers = {"": "I am a bot", "*": "I am a person", "bot_1": "I am a person",
               "x, y": None}
    for users, answer in answers.items():
        place = serve([talk]).configure(source={"bot_users": users})
        run(place, status=0)
        turns = place.json("explain", "c_1")["turns"]
        assert [t["bot_response"] for t in turns] == ([answer] if answer else []), users


def test_ratings(serve):
    """Of the field that is named, a text or a number; without it, none."""
    talks = [conversation("c_%d" % k, said="Wish number %d" % k) for k in range(3)]
    place = serve(talks)
    contacts = place.tenant.contacts
    contacts[1]["customFields"] = [{"ident": "csat", "value": 4.5}]
    contacts[2]["customFields"] = [{"ident": "other", "value": 5}]
    run(place, status=0)
    shown = [place.json("explain", "c_%d" % k)["rating"] for k in range(3)]
    assert shown == ["5", 4.5, None]


def test_the_name_of_a_custom_field_is_a_text(serve):
    """On the wire "ä" is "\\u00e4"."""
    place = serve([conversation("c_1")]).configure(source={"rating_field": "zufriedenheit_ä"})
    place.tenant.contacts[0]["customFields"] = [{"ident": "zufriedenheit_ä", "value": "5"}]
    run(place, status=0)
    assert place.json("explain", "c_1")["rating"] == "5"


@pytest.mark.parametrize("first", [{"rating_field": ""}, {"rating_field": "language"},
                                   {"bot_users": "nobody"}], ids=str)
def test_other_settings_later(serve, talks, expected, first):
    """What is stored is read by them too, though nothing is asked for again."""
    place = serve(talks).configure(source=first)
    run(place, status=0)
    place.configure(source={"rating_field": "csat", "bot_users": ""})
    asked = len(place.tenant.requests("messages"))
    summary = place.json("run", env=KEY)["interactions"]
    assert len(place.tenant.requests("messages")) == asked and summary["new"] == 0
    assert summary["updated"] > 0
    check_is(place, expected(as_text(talks)))
    assert place.json("run", env=KEY)["interactions"]["updated"] == 0


def test_two_tenants_with_settings_of_their_own(serve, talks, expected):
    """In one store: each one's conversations are read by its own."""
    places = [serve(talks[:30]), serve(talks[30:])]
    for field, place in zip(("csat", "stars"), places):
        place.configure(source={"rating_field": field}, store={"url": places[0].dir / "tamis.db"})
    for contact in places[1].tenant.contacts:
        for field in contact["customFields"]:
            field["ident"] = field["ident"].replace("csat", "stars")
    for place in (*places, *places):
        run(place, status=0)
    check_is(places[1], expected(as_text(talks)))
    places[0].configure(source={"rating_field": "language"})
    run(places[0], status=0)
    assert {row["interaction_id"] for row in oracle.rows_of(places[0].read())} <= {
        t["id"] for t in talks[30:]}


def test_removed_content_and_odd_rows(serve):
    talks = [conversation("c_%d" % k, said="Wish number %d" % k) for k in range(4)]
    place = serve(talks)
    messages = place.tenant.messages
    messages["c_1"][0]["contentRemoved"] = {"reason": "GDPR", "removedAt": "2026-06-01T00:00:00Z"}
    messages["c_2"][0]["messageContent"] = {"type": "PLUGIN", "fallbackText": "A button"}
    messages["c_3"][0]["createdAtWithMilliseconds"] = "never"
    place.tenant.contacts.append({"id": "", "createdAt": "2026-01-01T00:00:00Z",
                                  "status": "closed"})
    result = run(place, status=0)
    assert sum("rejected:" in line for line in result.lines) == 2, result
    assert [len(place.json("explain", "c_%d" % k)["turns"]) for k in range(4)] == [1, 0, 1, 0]
    assert place.json("explain", "c_2")["turns"][0]["user_utterance"] == "A button"


@pytest.mark.matrix(6)
def test_late_rating(serve, talks, expected):
    unrated = next(t for t in talks if "rating" not in t and t["messages"])
    place = serve(talks).configure(source={"lookback": "365d"})
    run(place, status=0)
    for contact in place.tenant.contacts:
        if contact["id"] == unrated["id"]:
            contact["customFields"].append({"ident": "csat", "value": "5"})
    summary = place.json("run", env=KEY)
    assert summary["interactions"]["updated"] == 1
    check_is(place, expected(as_text([{**t, "rating": 5} if t is unrated else t for t in talks])))


def test_redacted_before_it_is_stored(serve):
    talk = conversation("c_1", said="My card is 4111 1111 1111 1111")
    place = serve([talk]).configure(redact={"rules": "card", "store": "yes"})
    run(place, status=0)
    run(place, status=0)
    assert b"[CARD]" in place.read()
    assert "4111" not in str(place.json("explain", "c_1"))


def test_redacted_when_it_is_read_again(serve):
    """What was stored before redact.store."""
    place = serve([conversation("c_1", said="My card is 4111 1111 1111 1111")])
    run(place, "sync", status=0)
    assert "4111" in json.dumps(place.json("explain", "c_1"))
    run(place, "sync", "--resync-from", "2020-01-01T00:00:00Z", "--set", "redact.rules=card",
        "--set", "redact.store=yes", status=0)
    assert "4111" not in json.dumps(place.json("explain", "c_1"))


@pytest.mark.parametrize("store", ["no", "yes"])
def test_odd_messages_of_what_is_forgotten_go_too(serve, store):
    """They do not say themselves whose they are."""
    place = serve([conversation("c_1", said="My secret"), conversation("c_2", said="Another wish")])
    place.configure(redact={"rules": "card", "store": store})
    for name in ("c_1", "c_2"):
        message = place.tenant.messages[name][0]
        message["id"], message["createdAtWithMilliseconds"] = "m_%s" % name[2:], "never"
    run(place, "sync", status=0)
    assert place.json("status")["rejected"] == 2
    run(place, "forget", "c_1", status=0)
    kept, = place.json("status")["rejected_records"]
    assert "c_2" in kept["reason"]
    assert b"c_1" not in place.read("tamis.db")


def test_what_is_forgotten_is_not_asked_for(serve, talks, expected):
    place = serve(talks).configure(source={"lookback": "365d"})
    run(place, status=0)
    run(place, "forget", talks[0]["id"], status=0)
    asked = len(place.tenant.requests("messages"))
    assert place.json("run", env=KEY)["interactions"]["forgotten"] == 1
    check_is(place, expected(as_text(talks[1:])))
    assert len(place.tenant.requests("messages")) == asked
    assert talks[0]["id"].encode() not in place.read("tamis.db")


# The service changes while it is read

@pytest.mark.matrix(3)
@pytest.mark.parametrize("snapshot", [True, False])
@pytest.mark.parametrize("which", ["read", "unread"])
def test_contacts_deleted_while_reading(serve, talks, expected, snapshot, which):
    place = serve(talks, snapshot=snapshot)
    in_order = sorted(talks, key=lambda t: instant(t["timestamp"]))
    gone = in_order[:5] if which == "read" else in_order[-5:]
    place.tenant.fault(lambda r: r.kind == "contacts" and "scrollToken" in r.query, faults.mutate(
        lambda s: [s.delete(t["id"]) for t in gone]), times=1)
    assert run(place).status in (0, 3)
    run(place, status=0)
    left = talks if which == "read" else [t for t in talks if t not in gone]
    check_is(place, expected(as_text(left)))


@pytest.mark.matrix(2)
def test_contacts_come_while_reading(serve, talks, expected):
    place = serve(talks[30:], snapshot=False).configure(source={"lookback": "365d"})
    place.tenant.fault(lambda r: r.kind == "contacts" and "scrollToken" in r.query, faults.mutate(
        lambda s: s.add(dfo.rows_of(talks[:30]))), times=1)
    assert run(place).status in (0, 3)
    run(place, status=0)
    check_is(place, expected(as_text(talks)))


@pytest.mark.matrix(7)
@pytest.mark.parametrize("knows_dates, days",
                         [(True, 1), ("from", 1), ("from", 16000), (False, 16000)])
def test_a_contact_from_the_future_moves_no_cursor(serve, talks, expected, knows_dates, days):
    """Contacts of the present come after it; it takes no look-back to find them.  It waits for
    its time."""
    now = datetime.datetime.now(datetime.timezone.utc)
    far = conversation("c_far", said="From the future", timestamp=stamp(
        now + datetime.timedelta(days=days)))
    late = conversation("c_now", said="Of now", timestamp=stamp(
        now - datetime.timedelta(minutes=5)))
    place = serve([*talks, far], knows_dates=knows_dates).configure(source={"lookback": "1s"})
    run(place, status=0)
    check_is(place, expected(as_text(talks)))
    place.tenant.add(dfo.rows_of([late]))
    run(place, status=0)
    check_is(place, expected(as_text([*talks, late])))


def nth(n, kind="contacts"):
    count = [0]

    def when(request):
        if request.kind != kind:
            return False
        count[0] += 1
        return n is None or count[0] == n
    return when


def forget(request, answer):
    request.tenant.forget_scrolls()
    return answer(request)


def repeat(request, answer):
    """Every page is the first."""
    value = json.loads(answer(request).body)
    value["data"] = request.tenant.contacts[:25]
    return dfo.json_of({**value, "hits": 60, "scrollToken": "for ever"})


CASES = {
    "429": (lambda s: s.fault(nth(2), faults.throttle(1)), 0),
    "429 to messages": (lambda s: s.fault(nth(7, "messages"), faults.throttle("0.2")), 0),
    "429 for ever": (lambda s: s.fault(nth(None), faults.throttle("0")), 3),
    "500": (lambda s: s.fault(nth(2), faults.status(500)), 0),
    "503 for ever, of messages": (lambda s: s.fault(
        nth(None, "messages"), faults.status(503, headers={"Retry-After": "0"})), 3),
    "cut short": (lambda s: s.fault(nth(2), faults.truncate(500)), 0),
    "cut short, a message": (lambda s: s.fault(nth(3, "messages"), faults.truncate(50)), 0),
    "html": (lambda s: s.fault(nth(9, "messages"), faults.html()), 0),
    "reset": (lambda s: s.fault(nth(2), faults.reset()), 0),
    "token revoked": (lambda s: s.fault(nth(2), faults.revoke()), 0),
    "token revoked among messages": (lambda s: s.fault(nth(30, "messages"), faults.revoke()), 0),
    "403": (lambda s: setattr(s, "scopes", ""), 4),
    "404": (lambda s: s.fault(nth(None), faults.status(404)), 1),
    "scroll expired": (lambda s: s.fault(nth(2), forget), 0),
    "scroll expires always": (lambda s: s.fault(
        lambda r: "scrollToken" in r.query, faults.status(400)), 3),
    "same page": (lambda s: s.fault(nth(None), repeat), 3),
}


@pytest.mark.parametrize("name", CASES)
def test_one_fault(serve, talks, expected, name):
    arm, status = CASES[name]
    place = serve(talks)
    arm(place.tenant)
    result = run(place, "run", "--quiet")
    assert result.status == status, result
    if result.status:
        check_one_line(result)
        assert "out.csv" not in place.names()
    else:
        check_is(place, expected(as_text(talks)))
    assert len(place.tenant.log) < 300, "work without bound"
    place.tenant.heal()
    place.tenant.scopes = "openid"
    run(place, status=0)
    check_is(place, expected(as_text(talks)))
    assert stored(place) == 60


def poison(*ids):
    return lambda r: any("/contacts/%s/" % i in r.path for i in ids)


def test_one_contact_fails_always(serve, talks, expected):
    """It holds up no other, old or new, and is read when it can be, however late that is."""
    place = serve(talks).configure(source={"lookback": "0s"})
    odd = talks[31]["id"]
    place.tenant.fault(poison(odd), faults.status(500))
    result = run(place, "sync", status=3)
    assert odd in result.lines[-1] and "each sync" in result.lines[-1], result
    assert stored(place) == 59
    now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=5)
    late = conversation("c_late", said="Of later", timestamp=stamp(now))
    place.tenant.add(dfo.rows_of([late]))
    asked = len(place.tenant.requests("messages"))
    run(place, "sync", status=3)
    assert stored(place) == 60, "what came later is held up"
    assert len(place.tenant.requests("messages")) - asked == 3 + 1, "what is known is asked for"
    place.tenant.heal()
    run(place, status=0)
    check_is(place, expected(as_text([*talks, late])))
    asked = len(place.tenant.requests("contacts"))
    run(place, "sync", status=0)
    assert len(place.tenant.requests("contacts")) - asked <= 2, "it is still looked for"


def test_a_contact_that_fails_is_given_up(serve, talks):
    place = serve(talks).configure(source={"lookback": "0s"})
    contacts = sorted(talks, key=lambda t: t["timestamp"])
    place.tenant.fault(poison(contacts[2]["id"]), faults.html())
    line = run(place, "sync", status=3).lines[-1]
    assert contacts[2]["timestamp"] in line and "source.since" in line
    place.configure(source={"since": contacts[3]["timestamp"]})
    run(place, status=0)
    assert stored(place) == 59


def test_a_contact_fails_in_a_slice_that_is_taken_up(serve, talks, expected):
    """Passed over in the first run, which breaks off; still owed after the second has ended."""
    place = serve(talks).configure(source={"lookback": "0s"})
    contacts = sorted(talks, key=lambda t: t["timestamp"])
    place.tenant.fault(poison(contacts[3]["id"]), faults.status(500), times=3)
    place.tenant.fault(lambda r: "scrollToken" in r.query, faults.status(503), times=3)
    run(place, "sync", status=3)
    assert stored(place) == 24
    run(place, status=0)
    check_is(place, expected(as_text(talks)))


def test_all_contacts_fail(serve, talks, expected):
    """That is a service that fails: nobody is passed over, and few are asked for."""
    place = serve(talks)
    place.tenant.fault(nth(None, "messages"), faults.status(500))
    line = check_one_line(run(place, "sync", "--quiet", status=3)) or ""
    assert "forget" not in line
    assert stored(place) == 0 and len(place.tenant.requests("messages")) == 9
    place.tenant.heal()
    run(place, status=0)
    check_is(place, expected(as_text(talks)))


def test_a_run_is_taken_up(serve, talks, expected):
    """Where it was, by the token that was kept."""
    place = serve(talks).configure(source={"max_attempts": 1})
    place.tenant.fault(nth(2), faults.status(503), times=1)
    run(place, status=3)
    assert stored(place) == 25
    asked = len(place.tenant.requests("contacts"))
    run(place, status=0)
    assert "scrollToken" in place.tenant.requests("contacts")[asked].query
    check_is(place, expected(as_text(talks)))


@pytest.mark.matrix(26)
def test_killed(serve, talks, expected):
    """kill -9 between pages and among messages."""
    place = serve(talks)
    for kind, number in (("contacts", 1), ("messages", 12), ("contacts", 2), ("messages", 20)):
        place.tenant.fault(nth(number, kind), faults.delay(30), times=1)
        before = len(place.tenant.requests(kind))
        process = place.start("run", env=KEY)
        while len(place.tenant.requests(kind)) < before + number and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        place.tenant.heal()
    run(place, status=0)
    check_is(place, expected(as_text(talks)))
    assert stored(place) == 60


def test_doctor(serve, talks):
    place = serve(talks)
    told = place.json("doctor", env=KEY)
    assert told["status"] == "ok", told
    place.tenant.scopes = ""
    told = place.json("doctor", env=KEY, status=4)
    assert "page" in [c["name"] for c in told["checks"] if c["status"] == "failed"]


def test_wrong_key(serve, talks):
    check_fails(serve(talks).run("run", env={"TAMIS_ACCESS_KEY_SECRET": "old"}), 4,
                "access_key_id")


def test_contacts_that_fail_apart(serve, talks):
    """What lies between them is known in the second sync: they are still not one after the
    other, and what came later is read."""
    place = serve(talks).configure(source={"lookback": "0s"})
    contacts = sorted(talks, key=lambda t: t["timestamp"])
    place.tenant.fault(poison(*(contacts[k]["id"] for k in (5, 20, 40, 50))), faults.status(500))
    run(place, "sync", status=3)
    assert stored(place) == 56
    now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=5)
    place.tenant.add(dfo.rows_of([conversation("c_late", said="Of later", timestamp=stamp(now))]))
    line = run(place, "sync", status=3).lines[-1]
    assert stored(place) == 57, "what came later is held up"
    assert "4 contacts" in line
    place.tenant.heal()
    run(place, "sync", status=0)
    assert stored(place) == 61


def test_one_of_two_that_fail_is_given_up(serve, talks):
    """A later source.since does without the older one; the newer is still owed."""
    place = serve(talks).configure(source={"lookback": "0s"})
    contacts = sorted(talks, key=lambda t: t["timestamp"])
    place.tenant.fault(poison(contacts[2]["id"], contacts[40]["id"]), faults.status(500))
    run(place, "sync", status=3)
    assert stored(place) == 58
    place.configure(source={"since": contacts[3]["timestamp"]})
    line = run(place, "sync", status=3).lines[-1]
    assert contacts[40]["id"] in line
    place.tenant.heal()
    run(place, "sync", status=0)
    assert stored(place) == 59


@pytest.mark.parametrize("knows_dates", [True, "from", False, None])
def test_what_is_given_up_where_dates_are_not_heeded(serve, talks, knows_dates):
    place = serve(talks, knows_dates=knows_dates).configure(source={"lookback": "0s"})
    contacts = sorted(talks, key=lambda t: t["timestamp"])
    place.tenant.fault(poison(contacts[2]["id"]), faults.status(500))
    run(place, "sync", status=3)
    place.configure(source={"since": contacts[3]["timestamp"]})
    run(place, "sync", status=0)
    assert stored(place) == 59


@pytest.mark.matrix(19)
def test_a_contact_fails_and_a_clock_is_set_back(serve, talks):
    """A sync that ends before it does not find it: it is owed to the next."""
    place = serve(talks).configure(source={"lookback": "0s"})
    contacts = sorted(talks, key=lambda t: t["timestamp"])
    place.tenant.fault(poison(contacts[20]["id"], contacts[40]["id"]), faults.status(500))
    run(place, "sync", status=3)
    place.tenant.heal()
    for k in (30, 10):
        place.tenant.clock = lambda: instant(contacts[k]["timestamp"]) / 1e9
        run(place, "sync")
    place.tenant.clock = time.time
    run(place, "sync", status=0)
    assert stored(place) == 60


@pytest.mark.parametrize("times", [None, 3])
def test_a_contact_fails_in_a_scroll_that_is_read_again(serve, talks, times):
    """It is counted once, and not at all if its messages came the second time."""
    place = serve(talks)
    contacts = sorted(talks, key=lambda t: t["timestamp"])
    place.tenant.fault(poison(contacts[2]["id"]), faults.status(500), times=times)
    place.tenant.fault(nth(2), forget, times=1)
    line = run(place, "sync", status=0 if times else 3).lines[-1]
    assert times or "of 1 contact do" in line
    assert stored(place) == (60 if times else 59)


def test_several_that_fail_are_given_up(serve, talks):
    """A later source.since does without them, in what was begun before it, too."""
    place = serve(talks).configure(source={"lookback": "0s"})
    contacts = sorted(talks, key=lambda t: instant(t["timestamp"]))
    place.tenant.fault(poison(*(c["id"] for c in contacts[30:34])), faults.status(500))
    line = run(place, "sync", status=3).lines[-1]
    assert contacts[32]["id"] in line and "source.since" in line
    place.configure(source={"since": contacts[34]["timestamp"]})
    run(place, "sync", status=0)
    assert stored(place) == 56
