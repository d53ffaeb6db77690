"""A curation that starts from the last one gives what one from nothing gives, byte for byte."""

import json
import random
import re
import sqlite3

import pytest

WORDS = "where is my order refund please cancel the card help account new".split()


def text(rng):
    """Few words of few: much is near-duplicate, some the same."""
    return " ".join(rng.choices(WORDS, k=rng.randint(2, 6)))


def conversation(rng, number):
    messages = []
    for _ in range(rng.randint(1, 3)):
        messages += [{"from": "user", "text": text(rng)}, {"from": "bot", "text": "Done."}]
    at = "2024-%02d-%02dT%02d:00:00Z" % (rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23))
    return {"id": "int_%04d" % number, "timestamp": at, "botId": rng.choice(["bot_a", "bot_b"]),
            "rating": rng.choice([1, 4, 5, 5]), "messages": messages}


KINDS = ["new", "newest", "rating", "text", "time", "minimum", "keep", "domain", "threshold",
         "forget"]


def change(rng, kind, rows, settings):
    """What arrives, as records; settings may change too."""
    some = rng.sample(sorted(rows), 6)
    if kind in ("new", "newest"):
        first = 1 + max(int(name[4:]) for name in rows)
        some = ["int_%04d" % (first + k) for k in range(8)]
        for k, name in enumerate(some):
            rows[name] = conversation(rng, first + k)
            if kind == "newest":
                rows[name]["timestamp"] = "2025-01-%02dT%02d:00:00Z" % (rng.randint(1, 28), k)
    if kind == "forget":
        for name in set(some) - {max(rows)}:  # its number is where new ones go on
            rows[name] = None
        return []
    for name in some:
        if kind == "rating":
            rows[name]["rating"] = rng.choice([None, 2, 4, 5])
        if kind == "text":
            rows[name]["messages"][0]["text"] = text(rng)
        if kind == "time":
            rows[name]["timestamp"] = "2024-06-15T12:%02d:00Z" % rng.randint(0, 59)
    if kind == "minimum":
        settings["filter.min_rating"] = rng.choice([4, 5])
    if kind == "keep":
        settings["dedup.keep"] = rng.choice(["newest", "oldest", "best-rated"])
    if kind == "domain":
        settings["dedup.domain"] = rng.choice(["all", "bot"])
    if kind == "threshold":
        settings["dedup.threshold"] = rng.choice([0.8, 0.9, 0.95, 1.0])
    return [rows[name] for name in some]


def curate(place, records, settings, store, forgotten=()):
    """Imports the records, writes the files; how many rows the last verdicts spared, or None."""
    sets = [word for pair in settings.items() for word in ("--set", "%s=%s" % pair)]
    sets += ["--set", "store.url=" + store]
    if forgotten:
        said = place.run("--verbose", "forget", *forgotten, *sets, status=0).err
        spared = re.search(r"all kept ones before them, (\d+) only", said)
        return int(spared[1]) if spared else None
    lines = "".join(json.dumps(r) + "\n" for r in records).encode()
    place.run("import", "-", *sets, input=lines, status=0)
    said = place.run("--verbose", "curate", *sets, status=0).err
    place.run("export", *sets, status=0)
    spared = re.search(r"all kept ones before them, (\d+) only", said)
    return int(spared[1]) if spared else None


@pytest.mark.parametrize("seed", range(2))
def test_random_histories(make_place, seed):
    rng = random.Random(seed)
    place = make_place()
    rows = {"int_%04d" % k: conversation(rng, k) for k in range(300)}
    settings = {"dedup.threshold": 0.9}
    curate(place, list(rows.values()), settings, "grown.db")
    all_spared = 0
    for step in range(10):
        kind = KINDS[step] if seed else rng.choice(KINDS)
        arrived = change(rng, kind, rows, settings)
        forgotten = [name for name, row in rows.items() if row is None]
        for name in forgotten:
            del rows[name]
        all_spared += curate(place, arrived, settings, "grown.db", forgotten) or 0
        grown = place.read(), place.read("removed.jsonl")
        assert curate(place, list(rows.values()), settings, "new%d.db" % step) in (0, None)
        assert grown == (place.read(), place.read("removed.jsonl")), (seed, step, kind, settings)
    assert all_spared > 300  # else the last verdicts were never used


def test_new_rows_spare_the_old_ones(make_place):
    """Also after a change that makes every interaction another, but no turn."""
    rng = random.Random(7)
    place = make_place()
    rows = {"int_%04d" % k: conversation(rng, k) for k in range(400)}
    settings = {"dedup.threshold": 0.95}
    assert not curate(place, list(rows.values()), settings, "s.db")
    first = place.read()
    for row in rows.values():
        row["note"] = "known to nobody"
    spared = curate(place, list(rows.values()), settings, "s.db")
    assert spared > 100
    assert place.read() == first
    settings["dedup.threshold"] = 0.949  # by another rule nothing is known
    assert not curate(place, [], settings, "s.db")


def met_all(said):
    return int(re.search(r"(\d+) rows met all kept ones before them", said)[1])


def test_the_next_to_nearest_is_remembered(make_place):
    """New rows unseat keepers; who lost one meets all only if nothing else is known."""
    rng = random.Random(3)
    place = make_place()
    rows = [conversation(rng, k) for k in range(700)]
    settings = {"dedup.threshold": 0.8}
    curate(place, rows[:600], settings, "knows.db")
    with sqlite3.connect(place.dir / "knows.db") as db, \
            sqlite3.connect(place.dir / "forgot.db") as copy:
        db.backup(copy)
        changed = copy.execute("UPDATE setting SET value = x'' WHERE key = 'curation.seconds' "
                               "AND length(value) > 0")
        assert changed.rowcount == 1
    db.close()
    copy.close()
    newest = []
    for k, row in enumerate(rows[600:]):
        newest.append(dict(row, timestamp="2025-01-01T%02d:%02d:00Z" % divmod(k, 60)))
    lines = "".join(json.dumps(r) + "\n" for r in newest).encode()
    met, made = [], []
    for store in ("knows.db", "forgot.db"):
        sets = ["--set", "store.url=" + store, "--set", "dedup.threshold=0.8"]
        place.run("import", "-", *sets, input=lines, status=0)
        met.append(met_all(place.run("--verbose", "curate", *sets, status=0).err))
        place.run("export", *sets, status=0)
        made.append((place.read(), place.read("removed.jsonl")))
    assert made[0] == made[1]
    assert met[0] < met[1], met
