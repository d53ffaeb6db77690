"""Forgotten is forgotten: not in a table, a file, a log or a later sync; and what it changes."""

import json
import random
import sqlite3

import faults
import oracle
import pytest
from conftest import check_fails
from test_run import check_is, conversation, raw


def identity(record):
    return json.loads(record)["id"]


def without(raws, ids):
    return [r for r in raws if identity(r) not in ids]


def fates(outcome):
    """{(id, turn): None or the (id, turn) that stands for it}"""
    def name(turn):
        return turn["interaction_id"], turn["turn"]
    return {name(turn): verdict and name(outcome.turns[verdict[0]])
            for turn, verdict in zip(outcome.turns, outcome.verdicts)}


def changes(before, after):
    was, now = fates(before), fates(after)
    out = []
    for (id, turn), kept in sorted(now.items(), key=lambda e: (e[0][0].encode(), e[0][1])):
        if was[id, turn] == kept:
            continue
        entry = {"interaction_id": id, "turn": turn,
                 "was": "duplicate" if was[id, turn] else "kept",
                 "now": "duplicate" if kept else "kept"}
        if kept:
            entry.update(kept_interaction_id=kept[0], kept_turn=kept[1])
        out.append(entry)
    return out


def traces(place, ids):
    """Byte strings that tell of these interactions in the store's files."""
    with sqlite3.connect("file:%s?mode=ro" % (place.dir / "tamis.db"), uri=True) as db:
        out = [i.encode() for i in ids]
        for i in ids:
            row = db.execute("select raw, hash from interaction where id = ?",
                             (i.encode(),)).fetchone()
            # A middle piece of the frame: rows may lie over several pages.
            out += [row[0][20:84], row[1]]
        return out


def held(place):
    return b"".join(place.read(name) for name in place.names() if name.startswith("tamis.db"))


@pytest.mark.parametrize("seed", range(4))
def test_as_if_it_had_never_been(make_place, demo, expected, seed):
    """Files, ledger and vectors are those of a store that never had it; its bytes are gone."""
    rng = random.Random(seed)
    raws = rng.sample(demo.first, 120)
    rules = {"keep": rng.choice(["newest", "oldest", "best-rated"])}
    place = make_place(raws).configure(dedup=rules, source={"lookback": "365d"})
    place.run("run", status=0)
    before = expected(raws, **rules)
    keepers = {e["kept_interaction_id"] for e in before.ledger if e["rule"] == "duplicate"}
    ids = [rng.choice(sorted(keepers)), identity(rng.choice(raws))]
    ids = list(dict.fromkeys(ids))
    gone = traces(place, ids)
    assert all(trace in held(place) for trace in gone), "nothing is shown by their absence"
    report = place.json("forget", *ids)
    left = without(raws, ids)
    after = expected(left, **rules)
    check_is(place, after)
    assert report["forgotten"] == ids
    assert report["changed"] == changes(before, after)
    assert report["export"]["csv"]["sha256"] == oracle.sha256(after.csv)
    for trace in gone:
        assert trace not in held(place), trace
    for name in place.names():
        if name != "tamis.ini" and not name.startswith("tamis.db"):
            assert not any(i.encode() in place.read(name) for i in ids), name
    fresh = make_place(left, name="fresh").configure(dedup=rules)
    fresh.run("run", status=0)
    assert hashes(place) == hashes(fresh)
    summary = place.json("run")
    assert summary["interactions"]["forgotten"] == len(ids)
    assert summary["interactions"]["new"] == summary["interactions"]["updated"] == 0
    check_is(place, after)
    (place.dir / "again.jsonl").write_bytes(b"\n".join(raws))
    assert place.json("import", "again.jsonl")["interactions"]["forgotten"] == len(ids)
    (place.dir / "again.jsonl").unlink()
    place.run("export", status=0)
    check_is(place, after)
    assert not any(i.encode() in held(place) for i in ids)


def hashes(place):
    with sqlite3.connect("file:%s?mode=ro" % (place.dir / "tamis.db"), uri=True) as db:
        return sorted(db.execute("select hash from vector"))


def test_told_in_words(make_place):
    """The duplicate of a forgotten one is kept now, and said to be."""
    raws = [raw(conversation("int_%d" % k, said="Where is my parcel?",
                             timestamp="2026-03-0%dT00:00:00Z" % (k + 1))) for k in range(3)]
    place = make_place(raws)
    place.run("run", status=0)
    result = place.run("forget", "int_2", status=0)
    assert "1 interaction forgotten; 2 other turns changed" in result.err
    assert "int_1 turn 0: kept, was duplicate" in result.err
    assert "int_0 turn 0: duplicate, was duplicate; of int_1 turn 0" in result.err
    place.run("explain", "int_1", status=0)
    check_fails(place.run("explain", "int_2"), 1, "int_2")


def test_unknown_ids(place, few, expected):
    """All or none."""
    place.run("run", status=0)
    before = held(place)
    check_fails(place.run("forget", identity(few[0]), "int_nobody"), 1, "int_nobody", "nothing")
    check_is(place, expected(few))
    assert place.json("status")["interactions"] == len(few) and len(held(place)) >= len(before)
    assert place.run("forget").status == 2
    known = identity(few[0])
    place.run("forget", known, status=0)
    place.run("forget", known, status=0)  # once more is no error
    check_is(place, expected(without(few, [known])))


def test_no_row_is_left(make_place):
    """A file is else never replaced by less; one that holds a forgotten row is."""
    place = make_place([raw(conversation())]).configure(
        export={"jsonl": "rows.jsonl", "chat": ""})
    place.run("run", status=0)
    assert len(oracle.rows_of(place.read())) == 1
    place.run("forget", "int_1", status=0)
    assert oracle.rows_of(place.read()) == [] and place.read("rows.jsonl") == b""
    assert place.ledger() == [] and "chat.jsonl" not in place.names()
    assert b"int_1" not in held(place)


def test_files_that_could_not_be_written(make_place):
    """What is said to do then is enough, also where no row is left."""
    place = make_place([raw(conversation())]).configure(export={"csv": "files/out.csv"})
    (place.dir / "files").mkdir()
    place.run("run", status=0)
    (place.dir / "files").rename(place.dir / "away")
    result = place.run("forget", "int_1", status=3)
    assert "not in the files" in result.err and "`tamis forget`" in result.err
    (place.dir / "away").rename(place.dir / "files")
    place.run("forget", "int_1", status=0)
    assert oracle.rows_of(place.read("files/out.csv")) == []


def test_before_any_curation(make_place, few):
    """Nothing but the record has to go: no model is needed, no file is made."""
    place = make_place(few, model="/nowhere")
    place.run("sync", status=0)
    gone = traces(place, [identity(few[3])])
    report = place.json("forget", identity(few[3]))
    assert report["forgotten"] == [identity(few[3])] and report["changed"] == []
    assert "out.csv" not in place.names() and not any(t in held(place) for t in gone)
    assert place.json("status")["interactions"] == len(few) - 1


@pytest.mark.parametrize("odd", ['"timestamp": "never"', '"n": 1e999', '"timestamp": "2026'])
def test_rejected_versions_go_too(make_place, odd):
    """A version that could not be used is kept as received, and is an interaction all the same."""
    place = make_place([])
    bad = ('{"id": "int_bad", "messages": [{"text": "my secret"}], %s}' % odd).encode()
    (place.dir / "bad.jsonl").write_bytes(bad + b"\n" + raw(conversation()))
    place.run("import", "bad.jsonl", status=0)
    assert place.json("status")["rejected"], "it is not there"
    place.run("forget", "int_bad", status=0)
    assert not place.json("status")["rejected"] and b"int_bad" not in held(place)
    again = place.json("import", "bad.jsonl")["interactions"]
    assert (again["rejected"], again["forgotten"]) == (0, 1)
    assert not place.json("status")["rejected"]


@pytest.mark.parametrize("spelled", [r"a/caf\u00e9", r"a\/café", r"\u0061/caf\u00E9"])
def test_rejected_versions_go_however_the_id_is_spelled(make_place, spelled):
    """One id, whatever a writer escapes: what is not JSON is not read, and has it all the same."""
    place = make_place([])
    bad = ('{"id": "%s", "messages": [{"text": "my secret"}], "n": NaN}' % spelled).encode()
    (place.dir / "bad.jsonl").write_bytes(bad + b"\n" + raw(conversation("a/café")))
    place.run("import", "bad.jsonl", status=0)
    assert place.json("status")["rejected"] == 1
    place.run("forget", "a/café", status=0)
    assert not place.json("status")["rejected"] and b"my secret" not in held(place)
    again = place.json("import", "bad.jsonl")["interactions"]
    assert (again["rejected"], again["forgotten"]) == (0, 2)
    assert not place.json("status")["rejected"]


def test_what_is_said_of_a_rejected_version_goes_too(make_place):
    """With redact.store = yes no more is kept of it than why, which names it."""
    place = make_place([]).configure(redact={"rules": "card", "store": "yes"})
    (place.dir / "bad.jsonl").write_bytes(b"\n".join(
        raw({"id": id, "timestamp": "never"}) for id in ("int_bad", "int_bad2", "other int_bad")))
    place.run("import", "bad.jsonl", status=0)
    place.run("forget", "int_bad", status=0)
    reasons = [r["reason"] for r in place.json("status")["rejected_records"]]
    assert [r.partition("interaction ")[2] for r in reasons] == ["int_bad2)", "other int_bad)"]
    place.run("forget", "1", status=1)


def test_in_the_middle_of_a_slice(make_place, demo, expected):
    """What an unfinished sync remembers of it goes as well, and the sync ends all the same."""
    raws = demo.first[:60]
    place = make_place(raws).configure(source={"page_size": 10, "max_attempts": 1})
    place.tenant.fault(faults.page(4), faults.status(500), times=1)
    place.run("run", status=3)
    with sqlite3.connect("file:%s?mode=ro" % (place.dir / "tamis.db"), uri=True) as db:
        seen, = db.execute("select key from slice_seen limit 1").fetchone()
    id = seen.decode()
    place.run("forget", id, status=0)
    assert seen not in held(place)
    place.run("run", status=0)
    check_is(place, expected(without(raws, [id])))


@pytest.mark.slow
def test_a_reader_holds_the_log(place, few):
    """Then it is said that the log still holds old pages, and doing it again helps."""
    place.run("run", status=0)
    id = identity(few[0])
    with sqlite3.connect(place.dir / "tamis.db") as db:
        db.execute("begin")
        db.execute("select count(*) from interaction").fetchone()
        result = place.run("forget", id)
        assert result.status == 3 and "forget" in result.err and "log" in result.err, result
        db.rollback()
    db.close()
    place.run("forget", id, status=0)
    assert id.encode() not in held(place)
