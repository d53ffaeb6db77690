"""The whole job: what comes out is a function of what the API holds and the configuration."""

import datetime
import gzip
import json
import math
import random
import signal
import sqlite3
import struct
import time

import faults
import oracle
import pytest
import records
from conftest import check_fails


def check_is(place, outcome):
    """CSV and ledger are what the oracle says."""
    assert place.read() == outcome.csv
    assert place.ledger() == outcome.ledger


def merged(*batches):
    """One record an id, the later of two."""
    latest = {}
    for raw in (raw for batch in batches for raw in batch):
        latest[json.loads(raw)["id"]] = raw
    return list(latest.values())


def varied(raws, seed):
    """The same conversations in another order, and the latest first."""
    mixed = list(raws)
    random.Random(seed).shuffle(mixed)
    return mixed


# One run

def test_demo_corpus(make_place, demo, really_expected):
    """With the real model, and every figure of the summary."""
    place, outcome = make_place(demo.first, model=""), really_expected(demo.first)
    summary = place.json("run")
    check_is(place, outcome)
    rules = [entry["rule"] for entry in outcome.ledger]
    assert {"duplicate", "unrated", "rating-below-minimum", "no-turns"} <= set(rules)
    assert summary["status"] == "complete" and "reason" not in summary
    assert summary["interactions"] == {"received": 456, "new": 456, "updated": 0, "stored": 456,
                                       "rejected": 0}
    texts = {turn["user_utterance"] for turn in outcome.turns}
    assert summary["turns"]["rated"] == len(outcome.turns)
    assert summary["turns"]["distinct_texts"] == summary["turns"]["embedded"] == len(texts)
    assert summary["turns"]["kept"] == len(outcome.kept)
    assert summary["turns"]["duplicates"] == rules.count("duplicate") > 100
    assert summary["export"]["csv"] == {"path": "out.csv", "rows": len(outcome.kept),
                                        "sha256": oracle.sha256(outcome.csv)}
    assert summary["export"]["removed"]["rows"] == len(outcome.ledger)
    assert summary["export"]["removed"]["sha256"] == oracle.sha256(place.read("removed.jsonl"))
    assert set(summary["seconds"]) == {"sync", "waited", "embed", "dedup", "export",
                                       "total"}
    assert 0 < summary["peak_rss_mib"] < 2000


def test_the_peak_of_memory_is_its_own(place):
    """Not that of a larger program which started it."""
    ballast = b"x" * (700 << 20)
    assert 0 < place.json("sync")["peak_rss_mib"] < 600
    done = place.run("dedup", "--field", "id", "--json", "-", status=0, input=b'{"id": "1"}\n')
    assert 0 < json.loads(done.err.splitlines()[-1])["peak_rss_mib"] < 600
    assert len(ballast) == 700 << 20


def test_ledger_as_lines(place, few, expected):
    """The shape to the letter: what a grep relies on."""
    place.run("run", status=0)
    shapes = {"duplicate": '{"interaction_id": %s, "turn": %d, "rule": "duplicate", '
                           '"kept_interaction_id": %s, "kept_turn": %d, "score": %.6f}',
              None: '{"interaction_id": %s, "turn": null, "rule": "%s"}'}
    lines = []
    for e in expected(few).ledger:
        lines.append(shapes["duplicate"] % (
            json.dumps(e["interaction_id"]), e["turn"], json.dumps(e["kept_interaction_id"]),
            e["kept_turn"], e["score"]) if e["rule"] == "duplicate" else
            shapes[None] % (json.dumps(e["interaction_id"]), e["rule"]))
    assert place.read("removed.jsonl").decode().splitlines() == lines


def test_a_tenant_without_anything(make_place):
    place = make_place([])
    result = place.run("run", status=0)
    assert "out.csv" not in place.names()
    assert any("out.csv" in line for line in result.lines), result


@pytest.mark.parametrize("page_size", [1, 7, 200, 1000])
def test_page_sizes(make_place, few, expected, page_size):
    place = make_place(few).configure(source={"page_size": page_size})
    place.run("run", status=0)
    check_is(place, expected(few))
    assert {r.page_size for r in place.tenant.requests()} == {page_size}
    assert len(place.tenant.requests()) <= -(-len(few) // page_size) + 1


def test_what_is_asked(place):
    """The query of the reference, and nothing in it that should not be."""
    place.run("run", status=0)
    token, = place.tenant.requests("token")
    assert token.form == {"grant_type": "client_credentials", "client_id": "test client+1",
                          "client_secret": token.form["client_secret"],
                          "scope": "interactions:read analytics:read"}
    first = place.tenant.requests()[0]
    assert {k: v for k, v in first.query.items() if k != "filter"} == {
        "pageSize": "200", "page": "1", "sort": "timestamp desc", "returnCount": "true"}
    assert "tamis" in first.headers["user-agent"]
    place.run("run", status=0)
    assert place.tenant.requests()[-1].query["filter"].startswith("timestamp gt '2026-")


@pytest.mark.parametrize("rules", [
    {"domain": "bot"}, {"keep": "oldest"}, {"keep": "best-rated"},
    {"keep": "oldest", "domain": "bot"}, {"threshold": 0.7}, {"threshold": 0.8},
    {"threshold": 0.95}, {"threshold": 0.99}])
def test_dedup_settings(make_place, demo, expected, rules):
    some = demo.first[:220]
    outcome = expected(some, **rules)
    assert outcome.csv != expected(some).csv, "this setting changes nothing, so nothing is tested"
    place = make_place(some).configure(dedup=rules)
    place.run("run", status=0)
    check_is(place, outcome)


def test_threshold_to_the_last_bit(make_place, expected):
    """At the threshold is a duplicate; less by the smallest double there is, is none."""
    said = ["Where is my parcel?", "Where is the parcel now?"]
    raws = [raw(conversation("int_%d" % k, said=text)) for k, text in enumerate(said)]
    similarity = expected(raws).similarity
    score = 0.0
    for x, y in zip(similarity.vector[said[0]], similarity.vector[said[1]]):
        score += x * y  # sum() of newer Pythons is more exact than the rule
    assert 0.5 < score < 0.999
    place = make_place(raws)
    for threshold, kept in ((score, 1), (math.nextafter(score, 2), 2)):
        place.configure(dedup={"threshold": "%.17g" % threshold})
        assert place.json("run")["turns"]["kept"] == kept, (score, threshold)


@pytest.mark.parametrize("filters, rules", [
    ({"min_rating": 3}, {"minimum": 3}), ({"min_rating": 4.5}, {"minimum": 4.5}),
    ({"bots": "bot_meridian_air"}, {"bots": ["bot_meridian_air"]}),
    ({"bots": " bot_meridian_air ,nobody"}, {"bots": ["bot_meridian_air"]})])
def test_filter_settings(make_place, demo, expected, filters, rules):
    some = demo.first[:220]
    outcome = expected(some, **rules)
    assert outcome.csv != expected(some).csv and outcome.kept
    place = make_place(some).configure(filter=filters)
    place.run("run", status=0)
    check_is(place, outcome)


def test_rating_map(make_place, few, expected):
    """Thumbs: -1 and 1 in place of 1 to 5; shown as what they are mapped to."""
    def thumbs(raw, good, bad):
        value = json.loads(raw)
        if oracle.rating_number(value.get("rating")) is not None:
            value["rating"] = good if float(value["rating"]) >= 4 else bad
        return json.dumps(value).encode()
    place = make_place([thumbs(raw, 1, -1) for raw in few])
    place.configure(filter={"rating_map": "-1=1, 1=5"}).run("run", status=0)
    check_is(place, expected([thumbs(raw, 5, 1) for raw in few]))


def test_other_exports(place, few, expected):
    place.configure(export={"jsonl": "rows.jsonl", "chat": "chat.jsonl"})
    summary = place.json("run")
    outcome = expected(few)
    check_is(place, outcome)
    rows = [json.loads(line) for line in place.read("rows.jsonl").splitlines()]
    assert all(list(row)[:8] == oracle.COLUMNS for row in rows)
    assert [dict(list(row.items())[:8]) for row in rows] == [
        {**{name: turn[name] for name in oracle.COLUMNS[:6]}, "similarity_score": 1.0,
         "dedup_group": k, "rating": row["rating"]}
        for k, (turn, row) in enumerate(zip(outcome.kept, rows))]
    assert [float(row["rating"]) for row in rows] == [float(t["rating"]) for t in outcome.kept]
    chat = [json.loads(line) for line in place.read("chat.jsonl").splitlines()]
    assert chat == [{"messages": [{"role": "user", "content": turn["user_utterance"]},
                                  {"role": "assistant", "content": turn["bot_response"]}]}
                    for turn in outcome.kept]
    for name, path in (("jsonl", "rows.jsonl"), ("chat", "chat.jsonl")):
        assert summary["export"][name] == {"path": path, "rows": len(outcome.kept),
                                           "sha256": oracle.sha256(place.read(path))}


# Edge rules: one record each

def conversation(id="int_1", rating=5, said="Where is my parcel?", answer="On its way.",
                 timestamp="2026-03-01T00:00:00.000Z", **more):
    return {"id": id, "timestamp": timestamp, "botId": "bot_1", "rating": rating,
            "messages": [{"from": "user", "text": said}, {"from": "bot", "text": answer}], **more}


@pytest.mark.parametrize("keys, rules", [
    ({}, {}), ({"dedup": {"domain": "bot"}}, {"domain": "bot"}),
    ({"filter": {"bots": "8,2.5"}}, {"bots": [8, 2.5]})])
def test_bots_that_have_numbers(make_place, expected, keys, rules):
    """Each is a bot of its own, named as Python prints the number."""
    raws = [raw(conversation("int_%d" % k, botId=bot)) for k, bot in enumerate([7, 8, 2.5, 7])]
    place = make_place(raws).configure(**keys)
    place.run("run", status=0)
    check_is(place, expected(raws, **rules))
    place.run("verify", status=0)
    assert place.json("explain", "int_1")["bot_id"] == "8"


def talk(k, said, answer):
    """The kth of a list that is newest first."""
    return raw(conversation("int_%d" % k, said=said, answer=answer,
                            timestamp="2026-03-01T00:00:%02dZ" % (59 - k)))


def raw(value):
    return json.dumps(value).encode()


def edge_records():
    """Strange but usable: everything that Python's way must be matched in."""
    def of(number, said, **keys):
        return conversation("int_%02d" % number, said=said, answer="answer %d" % number, **keys)
    yield raw(of(1, 'Quoted "words", commas,\r\nand\nlines', rating=5.0))
    yield raw(of(2, "A rating as text counts as its number", rating="4.50"))
    yield raw(of(3, "True is no rating", rating=True))
    yield raw(of(4, "Five in words is no rating", rating="five"))
    yield raw(of(5, "An object is no rating", rating={"stars": 5}))
    yield raw(of(6, "Python shows this as 10.0")).replace(b'"rating": 5', b'"rating": 1e1')
    yield raw(of(7, "\u00a0\u2003\x1c stripped as Python strips \x85\u3000\t"))
    yield raw(of(8, "\u200b\ufeffnot blanks to Python\u200b"))
    yield raw(of(9, "A lone \ud800 surrogate"))
    yield raw(of(10, "Bad UTF-8: XX")).replace(b"XX", b"\xff\xc3(")
    yield raw(of(11, "NUL \0 inside, and \x7f"))
    yield raw(of(12, "Same instant, other zone", timestamp="2026-03-01T02:00:00+02:00"))
    yield raw(of(13, "Nine digits", timestamp="2026-03-01T00:00:00.000000001Z"))
    yield raw(of(14, "No offset is UTC", timestamp="2026-02-28T23:59:59.999999999"))
    yield raw(of(15, "The last of two keys wins", rating=1))[:-1] + b', "rating": 5}'
    yield raw(of(16, "Formula =1+1 and 'quotes'", answer_time=3, unknown={"a": [1, None]}))
    yield raw({**of(17, ""), "messages": [
        {"from": "bot", "text": "Hello!"}, {"from": "user", "text": "first"},
        {"from": "user", "text": "  "}, {"from": "user", "text": "the latest before an answer"},
        {"from": "system", "text": "event"}, {"from": "user"}, {"from": "user", "text": None},
        {"from": "bot", "text": ""}, {"from": "bot", "text": "its answer"},
        {"from": "bot", "text": "one too many"}, {"from": "agent", "text": "who?"}, {}]})
    yield raw({**of(18, "No messages at all"), "messages": []})
    yield raw({k: v for k, v in of(19, "No key messages").items() if k != "messages"})
    yield raw(of(20, "東京までの切符をください 🙂 naïve", rating=4))
    for k, text in enumerate(("one\rtwo", "one\ntwo", 'say "when"', "one, two", "\"", "; | ' `")):
        yield raw({**of(30 + k, text), "botId": "b" + text})
    yield "{\"id\": \"int_é\", \"timestamp\": \"2026-03-01T00:00:00Z\", \"botId\": \"b,1\", " \
          "\"rating\": 4.25, \"messages\": [{\"text\": \"Ελληνικά\", \"from\": \"user\"}, " \
          "{\"text\": \"ναι\", \"from\": \"bot\"}]}".encode()


def test_edge_rules(make_place, really_expected):
    raws = list(edge_records())
    outcome = really_expected(raws)
    assert len(outcome.kept) == 20, [turn["user_utterance"] for turn in outcome.kept]
    place = make_place(raws, model="")
    summary = place.json("run")
    check_is(place, outcome)
    assert summary["interactions"]["rejected"] == 0


def test_csv_is_what_python_writes(make_place, expected):
    """Without the oracle: a file of one row, literally."""
    place = make_place([raw(conversation(said='He said "no", twice', answer="a\nb"))])
    place.run("run", status=0)
    assert place.read() == (
        b"interaction_id,timestamp,bot_id,rating,user_utterance,bot_response,"
        b"similarity_score,dedup_group\r\n"
        b'int_1,2026-03-01T00:00:00.000Z,bot_1,5,"He said ""no"", twice","a\nb",1.0,0\r\n')


@pytest.mark.matrix(8)
def test_order_is_by_instant_then_id(make_place):
    stamps = {"c": "2026-03-01T00:00:00Z", "a": "2026-03-01T01:00:00+01:00",
              "b": "2026-02-28T23:00:00.000000000-01:00", "d": "2026-03-01T00:00:00.000000001Z",
              "B": "2026-03-01T00:00:00.0Z"}
    texts = ["a train to Rome", "my pin is blocked", "too loud", "cancel the order", "weather"]
    place = make_place([raw(conversation(id, said=text, timestamp=stamp))
                        for (id, stamp), text in zip(stamps.items(), texts)])
    place.run("run", status=0)
    rows = oracle.rows_of(place.read())
    assert [row["interaction_id"] for row in rows] == ["d", "B", "a", "b", "c"]
    assert [row["timestamp"] for row in rows] == [stamps[id] for id in ("d", "B", "a", "b", "c")]


def test_blanks_are_those_of_python(make_place, expected):
    """Each character that str.strip takes away, and some that look like it and stay."""
    blanks = [chr(c) for c in range(0x110000) if chr(c).isspace()]
    assert len(blanks) == 29
    others = list("\0\a\b\x1b\x7f\u00ad\u034f\u061c\u180e\u200b\u200d\u2060\u2800\u3164"
                  "\ufeff\uffa0")
    raws = [raw({**conversation("int_%02d" % k, said="%sa%sb%s%s" % (c, c, c, c),
                                answer=c + "c" + c), "botId": "bot_%d" % k})
            for k, c in enumerate(blanks + others)]
    raws.append(raw(conversation("int_blank", said="".join(blanks))))
    place = make_place(raws).configure(dedup={"domain": "bot"})
    place.run("run", status=0)
    check_is(place, expected(raws, domain="bot"))
    assert [row["user_utterance"] for row in oracle.rows_of(place.read())] == [
        "a%sb" % c for c in blanks] + ["%sa%sb%s%s" % (c, c, c, c) for c in others]


NUMBERS = ["4", "4.0", "4.50", "5e0", "5E+0", "1e1", "100e-1", "4.1", "4.000000000000000001",
           "1e16", "1e22", "123456789012345678", "123456789012345678901234567890",
           "123456789012345680.0",
           "4.35", "9007199254740993.0", "1.7976931348623157e308", "1e15", "5.00001e4", "99999e11",
           "4.9999999999999999", "12345.678e-3", "1e5", "1e-5", "-0", "-0.0", "0.0001", "0.00001"]


def test_ratings_are_printed_as_python_prints_them(make_place, expected):
    """Each with a bot of its own, so that none repeats another."""
    raws = [raw({**conversation("int_%02d" % k, rating="@"), "botId": "bot_%d" % k})
            .replace(b'"@"', number.encode()) for k, number in enumerate(NUMBERS)]
    place = make_place(raws).configure(dedup={"domain": "bot"}, filter={"min_rating": "-1"})
    place.run("run", status=0)
    shown = [row["rating"] for row in oracle.rows_of(place.read())]
    assert shown == [str(json.loads(number)) for number in NUMBERS]
    check_is(place, expected(raws, domain="bot", minimum=-1))


def stamp(rng, at):
    """An instant (nanoseconds since 2026) as one of the texts that can stand for it."""
    digits = rng.choice([0, 1, 3, 6, 7, 9])
    seconds, fraction = divmod(at, 10**9)
    fraction -= fraction % 10**(9 - digits)
    minutes = rng.choice([0, 0, 60, -300, 330, 840, -720])
    local = datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=seconds, minutes=minutes)
    zone = "%s%02d:%02d" % ("-" if minutes < 0 else "+", *divmod(abs(minutes), 60))
    return "%s%s%s" % (local.strftime("%Y-%m-%dT%H:%M:%S"),
                       "." + ("%09d" % fraction)[:digits] if digits else "",
                       zone if minutes else rng.choice(["Z", "+00:00", ""]))


@pytest.mark.parametrize("seed", range(24))
def test_random_jobs(make_place, demo, expected, seed):
    """Whatever the records and the settings: what the oracle says."""
    rng = random.Random(seed)
    texts = [m["text"] for r in demo.first[:40] for m in json.loads(r)["messages"]] + \
        ["", "  ", None, "ok", "OK!", "\u00a0ok\t", 'a "b", c\r\n', "\ud83d", "é"]
    raws = []
    for k in range(rng.choice([1, 3, 40])):
        value = {"id": "int_%d" % rng.randrange(60), "botId": rng.choice(["b1", "b2", "b,3"]),
                 "timestamp": stamp(rng, rng.randrange(5) * 10**9 + rng.randrange(3) * 10**3),
                 "rating": rng.choice([1, 3, 4, 4, 5, 5, 5, 4.5, None, "5", "no", True, [5]]),
                 "messages": [{"from": rng.choice(["user", "bot", "user", "bot", "system", "x"]),
                               "text": rng.choice(texts)} for _ in range(rng.randrange(14))]}
        if rng.random() < 0.1:
            del value[rng.choice(["botId", "rating", "messages"])]
        raws.append(raw(value))
    rules = {"threshold": rng.choice([0.5, 0.7, 0.85, 0.85, 0.97, 1]),
             "domain": rng.choice(["all", "bot"]),
             "keep": rng.choice(["newest", "oldest", "best-rated"])}
    minimum = rng.choice([0, 4, 4.5])
    place = make_place([]).configure(dedup=rules, filter={"min_rating": minimum})
    (place.dir / "some.jsonl").write_bytes(b"\n".join(raws))
    place.run("import", "some.jsonl", status=0)
    place.run("export", status=0)
    outcome = expected(raws, minimum=minimum, **rules)
    assert place.ledger() == outcome.ledger
    if outcome.kept:
        assert place.read() == outcome.csv
    else:
        assert "out.csv" not in place.names()


# Again, and later

def test_second_run_changes_nothing(place, few, expected):
    place.run("run", status=0)
    check_is(place, expected(few))
    summary = place.json("run")
    check_is(place, expected(few))
    assert summary["turns"].get("embedded", 0) == 0
    assert summary["interactions"]["new"] == summary["interactions"]["updated"] == 0
    assert summary["interactions"]["stored"] == len(few)
    assert summary["turns"]["kept"] == len(expected(few).kept)
    assert summary["seconds"]["embed"] < 0.05, "no model needs to be read to embed nothing"


@pytest.mark.parametrize("seed", range(6))
def test_rows_added_later(make_place, demo, expected, seed):
    """Any cut of the corpus, in any order, gives what one run over everything gives."""
    rng = random.Random(seed)
    raws = varied(demo.first[:150], seed)
    cuts = sorted(rng.sample(range(1, len(raws)), rng.choice([1, 2, 4])))
    place = make_place([], name="cut").configure(source={"lookback": "365d"})
    for start, end in zip([0, *cuts], [*cuts, len(raws)]):
        place.tenant.holdings.put_all(raws[start:end])
        place.run(*rng.choice([["run"], ["sync"], ["run", "--threads", 1]]), status=0)
    place.run("run", status=0)
    check_is(place, expected(raws))


@pytest.mark.matrix(4)
def test_late_rows_and_late_ratings(make_place, demo, expected):
    """What demo-later.jsonl is made for: within the default lookback of seven days."""
    place = make_place(demo.first)
    place.run("run", status=0)
    first = place.read()
    place.tenant.holdings.put_all(demo.later)
    summary = place.json("run")
    everything = merged(demo.first, demo.later)
    check_is(place, expected(everything))
    assert place.read() != first
    known = {json.loads(r)["id"] for r in demo.first}
    late = sum(json.loads(r)["id"] in known for r in demo.later)
    assert 0 < late < len(demo.later)
    assert summary["interactions"]["updated"] == late
    assert summary["interactions"]["new"] == len(demo.later) - late
    assert summary["interactions"]["stored"] == len(everything)
    assert summary["interactions"]["received"] < len(everything) / 2, "it reads from the start"


def test_a_rating_taken_back(place, few, expected):
    place.run("run", status=0)
    gone = oracle.rows_of(place.read())[0]["interaction_id"]
    place.tenant.holdings.change(gone, rating=1)
    place.run("run", status=0)
    now = [r.raw for r in place.tenant.holdings.query()]
    check_is(place, expected(now))
    assert gone not in {row["interaction_id"] for row in oracle.rows_of(place.read())}


@pytest.mark.matrix(6)
def test_a_text_changed_later(place, few, expected):
    """As many turns as before, of the same interactions; but now the last row repeats the first."""
    place.run("run", status=0)
    rows = oracle.rows_of(place.read())
    changed = next(json.loads(r) for r in few if json.loads(r)["id"] == rows[-1]["interaction_id"])
    for message in changed["messages"]:
        if message["text"].strip() == rows[-1]["user_utterance"]:
            message["text"] = rows[0]["user_utterance"]
    place.tenant.holdings.put(changed)
    place.configure(source={"lookback": "365d"}).run("run", status=0)
    outcome = expected([*few, raw(changed)])
    assert len(outcome.kept) == len(rows) - 1
    check_is(place, outcome)


def test_what_the_source_deletes_stays(place, few, expected):
    place.run("run", status=0)
    for r in few[:20]:
        place.tenant.holdings.remove(json.loads(r)["id"])
    place.run("run", status=0)
    check_is(place, expected(few))


def test_settings_changed_later_fetch_and_embed_nothing(place, few, expected):
    place.run("run", status=0)
    requests = len(place.tenant.log)
    for rules, setting in (({"threshold": 0.7}, "dedup.threshold=0.7"),
                           ({"keep": "oldest"}, "dedup.keep=oldest"),
                           ({"minimum": 5}, "filter.min_rating=5"), ({}, "dedup.domain=all")):
        summary = place.json("export", "--set", setting)
        check_is(place, expected(few, **rules))
        assert summary["turns"].get("embedded", 0) == 0
    assert len(place.tenant.log) == requests


def test_since(make_place, few, expected):
    stamps = sorted(records.instant(json.loads(r)["timestamp"]) for r in few)
    middle = next(json.loads(r)["timestamp"] for r in few
                  if records.instant(json.loads(r)["timestamp"]) == stamps[30])
    newer = [r for r in few if records.instant(json.loads(r)["timestamp"]) >= stamps[30]]
    place = make_place(few).configure(source={"since": middle})
    place.run("run", status=0)
    check_is(place, expected(newer))
    place.configure(source={"since": ""}).run("run", status=0)
    check_is(place, expected(few))


# Parts

def test_parts_by_themselves(place, few, expected):
    summary = place.json("sync")
    assert set(summary) >= {"status", "interactions", "seconds", "peak_rss_mib"}
    assert not {"turns", "export"} & set(summary) and "out.csv" not in place.names()
    assert set(summary["seconds"]) == {"sync", "waited", "total"}
    requests = len(place.tenant.log)
    summary = place.json("curate")
    assert summary["turns"]["kept"] == len(expected(few).kept)
    assert not {"interactions", "export"} & set(summary) and "out.csv" not in place.names()
    summary = place.json("export")
    check_is(place, expected(few))
    assert "interactions" not in summary and len(place.tenant.log) == requests


def test_export_alone_curates_first(place, few, expected):
    place.run("sync", status=0)
    place.run("export", status=0)
    check_is(place, expected(few))


def zstd(data):
    """A zstd frame of raw blocks: valid, and needs no compressor."""
    blocks = [data[k:k + 65536] for k in range(0, len(data), 65536)] or [b""]
    return b"\x28\xb5\x2f\xfd\x00\x58" + b"".join(
        struct.pack("<I", len(b) << 3 | (k + 1 == len(blocks)))[:3] + b
        for k, b in enumerate(blocks))


def page(raws):
    return b'{"interactions": [\n' + b",\n".join(raws) + b'],\n "totalCount": %d}' % len(raws)


FORMS = {
    "page": page,
    "page with more in it": lambda raws: b'{"totalCount": 3, "next": {"interactions": []}, '
                                         b'"interactions":[' + b",".join(raws) + b"]}\n",
    "array": lambda raws: b"[" + b",".join(raws) + b"]",
    "lines": lambda raws: b"\n".join(raws),
    "lines with blank ones": lambda raws: b"\n\r\n".join(raws) + b"\n\n",
    "with a byte order mark": lambda raws: b"\xef\xbb\xbf" + b"\n".join(raws) + b"\n",
    "gzip": lambda raws: gzip.compress(b"\n".join(raws)),
    "gzip of two members": lambda raws: gzip.compress(b"\n".join(raws[:9]) + b"\n") +
    gzip.compress(b"\n".join(raws[9:])),
    "gzip page": lambda raws: gzip.compress(page(raws)),
    "zstd": lambda raws: zstd(b"\n".join(raws)),
}


@pytest.mark.parametrize("form", FORMS)
def test_import_forms(make_place, few, expected, form):
    """Told by the content: the name says nothing."""
    place = make_place([])
    (place.dir / "some.data").write_bytes(FORMS[form](few))
    summary = place.json("import", "some.data")
    assert summary["status"] == "complete"
    assert summary["interactions"] == {"received": 60, "new": 60, "updated": 0, "stored": 60,
                                       "rejected": 0}
    place.run("export", status=0)
    check_is(place, expected(few))
    assert not place.tenant.log


@pytest.mark.parametrize("data", [b"", b"\n\n", b"[]", b'{"interactions": []}', b"\xef\xbb\xbf",
                                  gzip.compress(b"", mtime=0)])
def test_import_of_nothing(make_place, data):
    place = make_place([])
    summary = json.loads(place.run("--json", "import", "-", input=data, status=0).out)
    assert summary["interactions"] == {"received": 0, "new": 0, "updated": 0, "stored": 0,
                                       "rejected": 0}


def test_import_of_standard_input(make_place, few, expected):
    place = make_place([])
    place.run("import", "-", input=gzip.compress(b"\n".join(few)), status=0)
    place.run("export", status=0)
    check_is(place, expected(few))


def test_import_of_several_files_in_order(make_place, demo, expected):
    place = make_place([])
    for name, raws in (("a.jsonl", demo.first[:90]), ("b.gz", demo.first[60:140])):
        (place.dir / name).write_bytes(gzip.compress(b"\n".join(raws)))
    first = json.loads(demo.first[0])
    (place.dir / "c.json").write_bytes(page([raw({**first, "rating": 1})]))
    place.run("import", "a.jsonl", "b.gz", "c.json", status=0)
    place.run("export", status=0)
    check_is(place, expected([*demo.first[:140], raw({**first, "rating": 1})]))


def test_import_then_sync_are_one_store(make_place, demo, expected):
    place = make_place(demo.first[50:120])
    (place.dir / "old.jsonl").write_bytes(b"\n".join(demo.first[:60]))
    place.run("import", "old.jsonl", status=0)
    summary = place.json("run")
    check_is(place, expected(demo.first[:120]))
    assert (summary["interactions"]["new"], summary["interactions"]["stored"]) == (60, 120)


def test_two_of_one_id_the_later_received_wins(make_place, expected):
    early, late = raw(conversation(rating=1)), raw(conversation(rating=5))
    for raws, kept in (([early, late], 1), ([late, early], 0)):
        place = make_place([])
        (place.dir / "two.jsonl").write_bytes(b"\n".join(raws))
        place.run("import", "two.jsonl", status=0)
        assert place.json("curate")["turns"]["kept"] == kept


# Views

def test_status(place, few, expected):
    check_fails(place.run("status"), 1, "tamis.db")
    assert "tamis.db" not in place.names(), "looking made a store"
    place.run("run", status=0)
    status = place.json("status")
    assert (status["interactions"], status["rejected"]) == (60, 0)
    assert status["kept"] == len(expected(few).kept)
    assert status["duplicates"] == len(expected(few).turns) - status["kept"]
    assert status["vectors"] == len({turn["user_utterance"] for turn in expected(few).turns})
    stamps = sorted(records.instant(json.loads(r)["timestamp"]) for r in few)
    assert records.instant(status["oldest"]) == stamps[0]
    assert records.instant(status["newest"]) == stamps[-1]
    assert [s["state"] for s in status["slices"]] == ["done"]
    assert [(r["command"], r["state"]) for r in status["runs"]] == [("run", "complete")]
    text = place.run("status", status=0).text
    assert "60 interactions" in text and "tamis.db" in text


def explained(outcome, interaction):
    """What explain --json must say, from the oracle."""
    id = interaction["id"]
    verdict = {(t["interaction_id"], t["turn"]): v for t, v in zip(outcome.turns, outcome.verdicts)}
    whole = [e["rule"] for e in outcome.ledger if (e["interaction_id"], e["turn"]) == (id, None)]
    turns = []
    for k, (said, answer) in enumerate(oracle.pairs(interaction)):
        turn = {"turn": k, "user_utterance": said, "bot_response": answer}
        duplicates = [{"interaction_id": t["interaction_id"], "turn": t["turn"],
                       "score": round(v[1], 6)}
                      for t, v in zip(outcome.turns, outcome.verdicts)
                      if v and (outcome.turns[v[0]]["interaction_id"],
                                outcome.turns[v[0]]["turn"]) == (id, k)]
        if whole:
            turn["verdict"] = whole[0]
        elif verdict[id, k] is None:
            turn["verdict"] = "kept"
        else:
            of, score = verdict[id, k]
            turn.update(verdict="duplicate", score=round(score, 6),
                        kept_interaction_id=outcome.turns[of]["interaction_id"],
                        kept_turn=outcome.turns[of]["turn"])
        turns.append({**turn, "duplicates": duplicates})
    return {"interaction_id": id, "timestamp": interaction["timestamp"],
            "bot_id": interaction["botId"], "rating": interaction.get("rating"), "turns": turns}


def test_explain_json(place, few, expected):
    place.run("run", status=0)
    outcome = expected(few)
    kinds = set()
    for interaction in oracle.parse(few):
        got = place.json("explain", interaction["id"])
        want = explained(outcome, interaction)
        assert {k: got[k] for k in want} == want
        kinds |= {turn["verdict"] for turn in got["turns"]}
        kinds |= {"stands for others"} if any(t["duplicates"] for t in got["turns"]) else set()
    assert kinds >= {"kept", "duplicate", "stands for others", "unrated"}


def test_explain_text(place, few, expected):
    place.run("run", status=0)
    entry = next(e for e in expected(few).ledger if e["rule"] == "duplicate")
    text = place.run("explain", entry["interaction_id"], status=0).text
    for word in (entry["interaction_id"], entry["kept_interaction_id"], "duplicate",
                 "%.6f" % entry["score"]):
        assert word in text, (word, text)
    text = place.run("explain", entry["kept_interaction_id"], status=0).text
    assert entry["interaction_id"] in text and "kept" in text
    entry = next(e for e in expected(few).ledger if e["rule"] == "unrated")
    assert "unrated" in place.run("explain", entry["interaction_id"], status=0).text


def test_explain_text_cannot_move_the_cursor(make_place):
    place = make_place([raw(conversation(said="\x1b[2Jgone\x07", answer="\x9b31m\r\nred"))])
    place.run("run", status=0)
    out = place.run("explain", "int_1", status=0).text
    assert all(c == "\n" or c.isprintable() for c in out), repr(out)


def test_explain_of_nothing(place):
    check_fails(place.run("explain", "int_1"), 1, "tamis.db")
    place.run("run", status=0)
    check_fails(place.run("explain", "int_nobody"), 1, "int_nobody")
    check_fails(place.run("explain", "int\n\x1b[31mnobody"), 1, "nobody")
    assert place.run("explain").status == 2


# Interrupted

def finish(place, attempts=30):
    """Runs until it is complete."""
    for _ in range(attempts):
        result = place.run("run")
        if result.status == 0:
            return
        assert result.status == 3, result
    raise AssertionError("never complete")


@pytest.mark.slow
def test_killed_at_any_moment(make_place, demo, expected):
    """kill -9 again and again, then the same bytes; the store is whole."""
    raws = demo.first[:120]
    rng = random.Random(7)
    calm = make_place(raws).configure(source={"page_size": 10, "page_delay": "20ms"})
    began = time.monotonic()
    calm.run("run", status=0)
    length = time.monotonic() - began
    killed = 0
    for _ in range(3):
        place = make_place(raws).configure(source={"page_size": 10, "page_delay": "20ms"})
        for _ in range(8):
            process = place.start("run")
            time.sleep(rng.uniform(0, 1.1 * length))
            process.kill()
            process.communicate()
            killed += process.returncode == -signal.SIGKILL
            if "out.csv" in place.names():
                assert place.read() == calm.read(), "a file that is not the whole data set"
        finish(place)
        check_is(place, expected(raws))
        with sqlite3.connect(place.dir / "tamis.db") as db:
            assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert killed, "no run was killed: nothing was shown"


@pytest.mark.matrix(30)
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_fetching(place, few, expected, sent):
    place.configure(source={"page_size": 5})
    place.tenant.fault(faults.page(4), faults.delay(20), times=1)
    process = place.start("run", "--json", "--quiet")
    while len(place.tenant.requests()) < 4:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    began = time.monotonic()
    process.send_signal(sent)
    out, err = process.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert process.returncode == 3, (process.returncode, out, err)
    assert len(err.splitlines()) == 1 and b"run again" in err, err
    summary = json.loads(out)
    assert summary["status"] == "incomplete" and summary["reason"]
    assert summary["interactions"]["stored"] == 15 and "turns" not in summary
    place.tenant.heal()
    asked = len(place.tenant.requests())
    place.run("run", status=0)
    check_is(place, expected(few))
    assert place.tenant.requests()[asked].page == 4, "it began anew"
    assert [r["state"] for r in place.json("status")["runs"]] in (
        ["complete", "incomplete"], ["incomplete", "complete"])


@pytest.mark.matrix(30)
def test_interrupted_while_waiting(place):
    """Told to wait for half a minute, it still ends at once when asked to."""
    place.tenant.fault(faults.page(1), faults.throttle(30))
    process = place.start("run", "--quiet")
    while not place.tenant.requests():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(0.2)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 3 and time.monotonic() - began < 3, err
    assert len(err.splitlines()) == 1, err


@pytest.mark.matrix(30)
def test_interrupted_while_embedding(make_place, demo, expected):
    place = make_place([])
    (place.dir / "all.jsonl").write_bytes(b"\n".join(demo.first))
    place.run("import", "all.jsonl", status=0)
    for pause in (0.05, 0.1, 0.2, 0.3):
        process = place.start("export")
        time.sleep(pause)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert process.returncode in (0, 3, -signal.SIGINT), err
    place.run("export", status=0)
    check_is(place, expected(demo.first))


@pytest.mark.matrix(31)
@pytest.mark.native
def test_two_at_once(place, few, expected):
    place.tenant.fault(faults.page(1), faults.delay(3), times=1)
    first = place.start("run")
    while not place.tenant.requests():
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    began = time.monotonic()
    for args in (["run"], ["sync"], ["export"], ["curate"], ["import", "tamis.ini"]):
        check_fails(place.run(*args), 6, "tamis.db")
    assert time.monotonic() - began < 2.5, "it waited"
    place.run("status", status=0)
    _, err = first.communicate(timeout=60)
    assert first.returncode == 0, err
    check_is(place, expected(few))


@pytest.mark.matrix(31)
def test_a_lock_does_not_outlive_its_process(place, few, expected):
    place.tenant.fault(faults.page(1), faults.delay(30), times=1)
    first = place.start("run")
    while not place.tenant.requests():
        time.sleep(0.01)
    first.kill()
    first.communicate()
    place.run("run", status=0)
    check_is(place, expected(few))


def test_store_and_files_are_private(place):
    """Conversations are personal data: nobody else reads them."""
    place.run("run", status=0)
    for name in place.names():
        if name.startswith("tamis.db"):
            assert (place.dir / name).stat().st_mode & 0o077 == 0, name
