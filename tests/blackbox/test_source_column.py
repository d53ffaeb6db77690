"""`source` of a row: what its interaction came from, as its newest record did."""

import contextlib
import gzip
import json
import pathlib
import random
import sqlite3

import oracle
import pytest
from conftest import check_one_line
from test_run import conversation, raw

PACKED = pathlib.Path(__file__).parent / "stores" / "schema-3.db.gz"
EXPORT = {"jsonl": "rows.jsonl", "columns": "all"}


def sources(place):
    """{interaction: source}: the JSON lines say what the CSV says, and verify agrees."""
    place.run("export", status=0)
    rows = [json.loads(line) for line in place.read("rows.jsonl").splitlines()]
    table = oracle.rows_of(place.read())
    assert list(rows[0])[-1] == list(table[0])[-1] == "source"
    assert [row["source"] or "" for row in rows] == [row["source"] for row in table]
    assert None in {row["source"] for row in rows} or all(row["source"] for row in rows)
    assert place.json("verify")["violations"]["file"] == 0
    return {row["interaction_id"]: row["source"] for row in rows}


def talk(k, rating=5, **more):
    """None is like another."""
    said = " ".join(random.Random(k).choices("ship pay box card lost blue late fish".split(), k=9))
    return raw(conversation("int_%d" % k, rating, "%d %s" % (k, said), **more))


def test_the_newest_record_wins(make_place):
    """Naively: a record that is new or differs takes the source along, an equal one does not."""
    chosen = random.Random(7)
    talks = {k: talk(k) for k in range(40)}
    place = make_place(talks.values()).configure(dedup={"threshold": 1}, export=EXPORT)
    file = {"source.type": "file", "source.path": "-"}
    settings = [x for key, value in file.items() for x in ("--set", "%s=%s" % (key, value))]
    want, held = {}, {}

    def come(how, records):
        for k, record in records.items():
            if held.get(k) != record:
                want["int_%d" % k], held[k] = how, record
        lines = b"\n".join(records.values())
        if how == "import":
            place.run("import", "-", input=lines, status=0)
        elif how == "file":
            place.run("sync", *settings, input=lines, status=0)
        else:
            place.run("sync", status=0)

    come("import", {k: talks[k] for k in chosen.sample(range(40), 12)})
    come("interactions-v2", talks)
    come("file", {k: chosen.choice([talks[k], talk(k, 4)]) for k in chosen.sample(range(40), 20)})
    come("import", {k: chosen.choice([held[k], talk(k, 4.5)]) for k in range(0, 50)
                    if k in held} | {41: talk(41)})
    found = sources(place)
    assert found == {id: want[id] for id in found}
    assert set(found.values()) == {"interactions-v2", "file", "import"} and len(found) == 41
    gone = next(id for id, source in found.items() if source == "file")
    place.run("forget", gone, status=0)
    assert sources(place) == {id: source for id, source in found.items() if id != gone}


def test_one_stored_by_an_older_version(make_place, demo):
    """20 records of schema 3: null until they come again, with the same bytes or others."""
    place = make_place(demo.first[:10]).configure(dedup={"threshold": 1}, export=EXPORT)
    path = place.dir / "tamis.db"
    path.write_bytes(gzip.decompress(PACKED.read_bytes()))
    path.chmod(0o600)
    check_one_line(place.run("status"), "older version")
    place.run("curate", status=0)
    before = sources(place)
    assert len(before) > 10 and set(before.values()) == {None}
    counts = place.json("sync")["interactions"]
    assert counts["new"] == counts["updated"] == 0 and counts["stored"] == 20
    again = {json.loads(line)["id"] for line in demo.first[:10]}
    want = {id: "interactions-v2" if id in again else None for id in before}
    assert sources(place) == want and len(set(want.values())) == 2
    csv = place.read()
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        assert db.execute("pragma user_version").fetchone()[0] > 3
        db.execute("update interaction set source = 99 where source = 0")  # a later version's
    assert sources(place) == want and place.read() == csv


@pytest.mark.parametrize("columns", ["reference", "all"])
def test_a_wrong_one_is_found(make_place, columns):
    place = make_place([talk(k) for k in range(5)]).configure(export={**EXPORT, "columns": columns})
    place.run("run", status=0)
    for name in ("rows.jsonl", "out.csv"):
        good = place.read(name)
        (place.dir / name).write_bytes(good.replace(b"interactions-v2", b"import", 1))
        found = place.json("verify", status=5 if place.read(name) != good else 0)
        assert (found["violations"]["file"] > 0) == (b"interactions-v2" in good)
        (place.dir / name).write_bytes(good)
