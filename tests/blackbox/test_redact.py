"""Personal data: what is found, what becomes of it, and where it never arrives."""

import ctypes
import json
import os
import re
import sqlite3

import oracle
import personal
import pytest
from conftest import ROOT, check_fails
from test_run import conversation, raw

FACTS = ROOT / "tests" / "blackbox" / "facts" / "personal.txt"
DOCUMENT = ROOT / "docs" / "REDACTION.md"
ALL = ",".join(personal.RULES)
VALUES = {"card": "4111 1111 1111 1111", "iban": "DE89 3704 0044 0532 0130 00",
          "email": "anna.berg@example.com", "phone": "+49 30 1234567", "ssn": "536-90-4399",
          "ip": "203.0.113.77"}


@pytest.fixture(scope="module")
def labelled():
    items = personal.read(FACTS)
    assert len(items) >= 400 and len({text for text, _ in items}) == len(items)
    return items


def wrapped(text):
    """So that a text that is all personal data still says something."""
    return "so " + text + " so"


def holding(place, raws):
    (place.dir / "some.jsonl").write_bytes(b"\n".join(raws))
    place.run("import", "some.jsonl", status=0)
    return place


def answers(place, *options):
    """{interaction id: answer} of the exported rows."""
    place.run("export", *options, "--set", "export.jsonl=rows.jsonl", status=0)
    rows = map(json.loads, place.read("rows.jsonl").splitlines())
    return {row["interaction_id"]: row["bot_response"] for row in rows}


def labelled_records(labelled):
    return [raw({**conversation("int_%04d" % k, said="same", answer=wrapped(text)),
                 "botId": "bot_%d" % k}) for k, (text, _) in enumerate(labelled)]


def test_figures_of_the_document(make_place, labelled):
    """docs/REDACTION.md shows what is measured here; TAMIS_REWRITE=1 writes it there."""
    place = holding(make_place([]), labelled_records(labelled)).configure(
        dedup={"domain": "bot"}, redact={"rules": ALL})
    got = answers(place)
    results = []
    for k, (text, marks) in enumerate(labelled):
        spans = personal.found(wrapped(text), got["int_%04d" % k])
        results.append((marks, [(a - 3, b - 3, rule) for a, b, rule in spans]))
    table = personal.table(results)
    wrong = [text for (text, _), (marks, spans) in zip(labelled, results)
             if set(marks) != set(spans)]
    measured = table + "\nWhat is missed or wrong:\n\n" + "".join("- %s\n" % t for t in wrong)
    shown = DOCUMENT.read_text("utf-8")
    begin = shown.index("| rule | marked")
    if os.environ.get("TAMIS_REWRITE"):
        DOCUMENT.write_text(shown[:begin] + measured, "utf-8")
    else:
        assert shown[begin:] == measured, "docs/REDACTION.md is stale: TAMIS_REWRITE=1"
    assert "%d texts" % len(labelled) in shown


def test_off_leaves_every_byte(make_place, labelled, expected):
    raws = labelled_records(labelled[:60])
    place = holding(make_place([]), raws)
    place.run("export", status=0)
    assert place.read() == oracle.csv_bytes(expected(raws).kept)
    assert "redactions" not in place.json("export")


@pytest.mark.parametrize("rule", personal.RULES)
def test_a_rule_works_alone(make_place, rule):
    """Of six kinds the one that is on, and no other."""
    said = "; ".join("my %s is %s" % pair for pair in VALUES.items())
    place = holding(make_place([]), [raw(conversation(said=said))]).configure(
        redact={"rules": rule})
    place.run("export", status=0)
    row, = oracle.rows_of(place.read())
    assert row["user_utterance"] == said.replace(VALUES[rule], "[%s]" % rule.upper())


def everything(**more):
    return raw(conversation(said="pay %(card)s from %(iban)s" % VALUES,
                            answer="sent to %(email)s, %(phone)s, order ABC-12" % VALUES, **more))


@pytest.mark.parametrize("action, said, answer", [
    ("label", r"pay \[CARD\] from \[IBAN\]", r"sent to \[EMAIL\], \[PHONE\], order \[ORDER\]"),
    ("mask", r"pay \*{4} \*{4} \*{4} \*{4} from \*{4} \*{4} \*{4} \*{4} \*{4} \*{2}",
     r"sent to \*{4}\.\*{4}@\*{7}\.\*{3}, \+\*\* \*\* \*{7}, order \*{3}-\*{2}"),
    ("hash", r"pay \[CARD:[a-p]{12}\] from \[IBAN:[a-p]{12}\]",
     r"sent to \[EMAIL:[a-p]{12}\], \[PHONE:[a-p]{12}\], order \[ORDER:[a-p]{12}\]")])
def test_actions(make_place, action, said, answer):
    place = holding(make_place([]), [everything()]).configure(
        redact={"rules": " card, iban ,email,phone", "action": action,
                "pattern.order": "[A-Z]{3}-[0-9]+"})
    place.run("export", status=0, env={"TAMIS_REDACT_KEY": "k1"})
    row, = oracle.rows_of(place.read())
    assert re.fullmatch(said, row["user_utterance"]), row
    assert re.fullmatch(answer, row["bot_response"]), row


def test_hash_is_keyed(make_place):
    """One value, however it is written: one mark under one key; the key is nowhere."""
    raws = [raw({**conversation("int_%d" % k, said="about card " + text), "botId": "b%d" % k})
            for k, text in enumerate(["4111 1111 1111 1111", "4111111111111111",
                                      "4111-1111-1111-1111", "5105105105105100"])]
    place = holding(make_place([]), raws).configure(
        dedup={"domain": "bot"}, redact={"rules": "card", "action": "hash"})
    check_fails(place.run("export"), 2, "TAMIS_REDACT_KEY", "redact.key_file")
    marks = []
    for key in ("first key of the hash", "second"):
        place.run("export", status=0, env={"TAMIS_REDACT_KEY": key})
        marks.append([row["user_utterance"] for row in oracle.rows_of(place.read())])
    first = marks[0]
    assert first[0] == first[1] == first[2] != first[3]
    assert not set(first) & set(marks[1]), "another key, the same curation"
    key_file = place.dir / "key"
    key_file.write_text("first key of the hash\n")
    key_file.chmod(0o644)
    check_fails(place.run("export", "--set", "redact.key_file=key"), 2, "chmod", "redact.key_file")
    key_file.chmod(0o600)
    place.run("export", "--set", "redact.key_file=key", status=0)
    assert [row["user_utterance"] for row in oracle.rows_of(place.read())] == first
    key_file.unlink()
    for name in place.names():
        assert b"first key of the hash" not in place.read(name), name


def test_counts_and_what_is_left_empty(make_place):
    """Counts by rule and bot; a turn that says nothing any more goes, and its neighbours stay."""
    talk = {**conversation("int_a"), "botId": "bot \"1\"", "messages": [
        {"from": "user", "text": "my card " + VALUES["card"]}, {"from": "bot", "text": "e-mail?"},
        {"from": "user", "text": " <%s>!" % VALUES["email"]}, {"from": "bot", "text": "Thank you"},
        {"from": "user", "text": "where are you"}, {"from": "bot", "text": VALUES["ip"]},
        {"from": "user", "text": "fine"},
        {"from": "bot", "text": "from %(ip)s to %(ip)s" % VALUES}]}
    only = {**conversation("int_b", said=VALUES["card"]), "botId": "b2"}
    place = holding(make_place([]), [raw(talk), raw(only)]).configure(redact={"rules": ALL})
    summary = place.json("export")
    assert summary["redactions"] == {
        "rules": {"iban": 0, "card": 2, "email": 1, "ssn": 0, "phone": 0, "ip": 3},
        "bots": {"b2": {"card": 1}, "bot \"1\"": {"card": 1, "email": 1, "ip": 3}}}
    assert place.ledger() == [
        {"interaction_id": "int_a", "turn": 1, "rule": "redacted-empty"},
        {"interaction_id": "int_a", "turn": 2, "rule": "redacted-empty"},
        {"interaction_id": "int_b", "turn": 0, "rule": "redacted-empty"}]
    assert [row["user_utterance"] for row in oracle.rows_of(place.read())] == ["my card [CARD]",
                                                                               "fine"]
    first = place.read()
    again = place.json("export")  # by the verdicts in the store
    assert place.read() == first and again["redactions"] == summary["redactions"]
    turns = place.json("explain", "int_a")["turns"]
    assert [t["verdict"] for t in turns] == ["kept", "redacted-empty", "redacted-empty", "kept"]
    assert turns[1]["user_utterance"] == "<[EMAIL]>!"
    for action in ("mask", "hash"):
        place.run("export", "--set", "redact.action=" + action, status=0,
                  env={"TAMIS_REDACT_KEY": "k"})
        assert [e["turn"] for e in place.ledger()] == [1, 2, 0], action


@pytest.mark.parametrize("around", [
    "\u201c%s\u201d", "%s \u2026", "\u00bf%s?", "%s\u3002", "%s\uff01", "\u2014 %s \u2022",
    "%s \U0001f44d\U0001f3fd", "%s \u2764\ufe0f", "%s\u200b", "\ufffd %s", "\u20ac %s", "%s \u2192",
    "\u00ab%s\u00bb", "%s\u061f"])
def test_signs_say_nothing(make_place, around):
    """Punctuation and symbols are no letters, whichever keyboard they come from."""
    talks = [raw(conversation("int_a", said=around % VALUES["email"])),
             raw({**conversation("int_b", said=around % "é"), "botId": "b2"}),
             raw({**conversation("int_c", said=around % VALUES["email"] + "東"), "botId": "b3"})]
    place = holding(make_place([]), talks).configure(redact={"rules": ALL},
                                                     dedup={"domain": "bot"})
    place.run("export", status=0)
    assert place.ledger() == [{"interaction_id": "int_a", "turn": 0, "rule": "redacted-empty"}]
    assert len(oracle.rows_of(place.read())) == 2
    place.run("verify", status=0)


def test_compared_as_redacted(make_place):
    """Two questions that differ by a card number alone are one."""
    raws = [raw(conversation("int_%d" % k, said="Please charge the card %s again" % card))
            for k, card in enumerate(["4111 1111 1111 1111", "5105105105105100"])]
    place = holding(make_place([]), raws).configure(dedup={"threshold": "1"})
    assert place.json("export")["turns"]["kept"] == 2
    assert place.json("export", "--set", "redact.rules=card")["turns"]["kept"] == 1


def unpacked(value):
    """A value of the store as bytes; a zstd frame by the library that the program has, too."""
    if not isinstance(value, bytes) or value[:4] != b"\x28\xb5\x2f\xfd":
        return value if isinstance(value, bytes) else str(value).encode()
    zstd = ctypes.CDLL("libzstd.so.1")
    zstd.ZSTD_decompress.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(1 << 20)
    n = zstd.ZSTD_decompress(out, ctypes.c_size_t(len(out)), value, ctypes.c_size_t(len(value)))
    assert n <= len(out), "not a frame that was written whole"
    return out.raw[:n]


def stored_bytes(place, name="tamis.db"):
    """Every value in the store, unpacked, and the bytes of its files."""
    out = b"".join(place.read(n) for n in place.names() if n.startswith(name))
    with sqlite3.connect(place.dir / name) as db:
        tables = [t for t, in db.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            for row in db.execute("select * from " + table):
                out += b"\n".join(map(unpacked, row))
        ids = [i for i, in db.execute("select id from interaction")]
    for i in ids:
        out += place.run("explain", i.decode(), "--json", "--set", "redact.rules=",
                         status=0).out
    return out + place.run("status", "--json", status=0).out


@pytest.mark.parametrize("way", ["sync", "import"])
def test_store_never_holds_it(make_place, way):
    """redact.store = yes: at any depth, under any key; what cannot be read is not kept."""
    secret = {"who": {"mail": ["bob@example.org"]}, "account": "GB82 WEST 1234 5698 7654 32",
              "n": 4111111111111111, "seen": {"dave@example.net": {"536-90-4398": 1}}}
    bad = raw({"id": "", "timestamp": "never", "text": "carol@example.com"})
    raws = [everything(**secret), bad,
            everything(id="int_2").replace(b"@", b"\\u0040").replace(b"111", b"\\u0031" * 3),
            b'{"id":"int_3","timestamp":"2026-03-01T00:00:00Z","rating":5,"messages":['
            b'{"from":"user","text":4111111111111111},{"from":"user","text":"10.1.2.3 \xff"}]}']
    place = make_place(raws if way == "sync" else []).configure(
        redact={"rules": ALL, "store": "yes"})
    if way == "sync":
        place.run("sync", status=0)
    else:
        holding(place, raws)
        (place.dir / "some.jsonl").unlink()
    held = stored_bytes(place)
    assert b'"mail": ["[EMAIL]"]' in held, "records can be read as they are stored"
    for value in [*VALUES.values(), "4111", "bob@", "carol", "WEST", "10.1.2.3", "anna.berg",
                  "dave@", "536-90-4398"]:
        if value not in (VALUES["ssn"], VALUES["ip"]):
            assert value.encode() not in held, value
    assert place.json("status")["interactions"] == 3
    turn, = place.json("explain", "int_2", "--set", "redact.rules=")["turns"]
    assert turn["user_utterance"] == "pay [CARD] from [IBAN]"
    again = place.json(*(["sync"] if way == "sync" else ["import", "again.jsonl"]),
                       **({} if way == "sync" else {"input": rewrite(place, raws)}))
    assert again["interactions"]["updated"] == 0, "the same record gives the same bytes"


def test_too_long_once_redacted(make_place):
    """A mark may be longer than what it stands for: such a record is rejected, and the store can
    still be read."""
    env = {"TAMIS_REDACT_KEY": "k"}
    place = make_place([]).configure(redact={"rules": "ip", "store": "yes", "action": "hash"})
    said = "1.1.1.1 " * 120000  # 0.9 MiB; a mark has 17 bytes
    (place.dir / "some.jsonl").write_bytes(b"\n".join(
        [raw(conversation("int_1")), raw(conversation("int_2", said=said))]))
    place.run("import", "some.jsonl", status=0, env=env)
    status = place.json("status")
    assert (status["interactions"], status["rejected"]) == (1, 1)
    assert "int_2" in status["rejected_records"][0]["reason"]
    place.run("export", status=0, env=env)


def rewrite(place, raws):
    (place.dir / "again.jsonl").write_bytes(b"\n".join(raws))
    return b""


def test_redacted_before_or_after_is_the_same(make_place, labelled):
    """The data set does not depend on redact.store, and redacting twice is redacting once."""
    raws = labelled_records(labelled)
    for action in ("label", "mask", "hash"):
        files = []
        for store in ("no", "yes"):
            place = make_place([]).configure(
                dedup={"domain": "bot"}, redact={"rules": ALL, "action": action, "store": store,
                                                 "pattern.order": r"order \S+"})
            (place.dir / "some.jsonl").write_bytes(b"\n".join(raws))
            env = {"TAMIS_REDACT_KEY": "k"}
            place.run("import", "some.jsonl", status=0, env=env)
            place.run("export", status=0, env=env)
            files.append((place.read(), place.read("removed.jsonl")))
        assert files[0] == files[1], action


def test_other_fields_are_left(make_place):
    """Ids and times that look like something stay: they are not texts."""
    value = {**conversation("4111111111111111", timestamp="2026-03-01T00:00:00Z"),
             "botId": "10.0.0.1"}
    value["messages"][0]["text"] = "from 10.0.0.1"
    place = make_place([]).configure(redact={"rules": ALL, "store": "yes"})
    holding(place, [raw(value)]).run("export", status=0)
    row, = oracle.rows_of(place.read())
    assert (row["interaction_id"], row["bot_id"]) == ("4111111111111111", "10.0.0.1")
    assert row["user_utterance"] == "from [IP]"


# Patterns of the user

def test_patterns(make_place):
    said = "naïve Ünder tariff M-7 and M-12; customer K9"
    place = holding(make_place([]), [raw(conversation(said=said))]).configure(
        redact={"pattern.tariff": r"\bM-\d+", "pattern.umlaut": r"\bÜ\w+",
                "pattern.empty": "x*", "pattern.customer": r"(?<=customer )\w+"})
    summary = place.json("export")
    row, = oracle.rows_of(place.read())
    assert row["user_utterance"] == ("naïve [UMLAUT] tariff [TARIFF] and [TARIFF]; "
                                     "customer [CUSTOMER]")
    assert summary["redactions"]["rules"]["tariff"] == 2
    first = place.read()
    place.run("export", "--set", r"redact.pattern.tariff=M", status=0)
    assert place.read() != first, "a changed pattern is another curation"
    place.run("export", "--set", "redact.pattern.tariff=", status=0)
    assert b"M-7" in place.read(), "an empty one is none"


def test_a_slow_pattern_is_not_waited_for(make_place):
    """A text made against the pattern is taken out whole; others are not touched."""
    bad = "a" * 5000 + "!"
    place = holding(make_place([]), [raw(conversation("int_1", said="secret word " + bad)),
                                     raw(conversation("int_2", said="call me aaab"))])
    place.configure(redact={"pattern.slow": "(a+)+[bc]"})
    place.run("export", status=0, timeout=60)
    assert [row["user_utterance"] for row in oracle.rows_of(place.read())] == ["call me [SLOW]"]
    assert {e["rule"] for e in place.ledger()} == {"redacted-empty"}


@pytest.mark.parametrize("line, words", [
    ("pattern.x = (a", ["pattern.x", "line 4", "parenthesis"]),
    ("pattern.x = a\\C", ["pattern.x", "line 4"]),
    ("pattern. = a", ["pattern.", "line 4", "name"]),
    ("pattern.No Good = a", ["line 4", "name"]),
    ("pattern.card = a", ["pattern.card", "line 4"]),
    ("rules = card,ibam", ["redact.rules", "line 4", "iban"]),
    ("action = remove", ["redact.action", "line 4", "mask"])])
def test_bad_settings_name_their_line(place, line, words):
    place.run("sync", status=0)
    (place.dir / "tamis.ini").write_text("[export]\ncsv = out.csv\n[redact]\n%s\n" % line)
    check_fails(place.run("export"), 2, "tamis.ini", *words)
    assert "out.csv" not in place.names()
