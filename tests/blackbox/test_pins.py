"""dedup.pins: what a person has decided stays decided."""

import json
import random

import oracle
import pytest
from conftest import check_fails
from test_run import conversation, raw


def forced_greedy(turns, pinned, similar, threshold, domain):
    """oracle.greedy, but for turns that are kept whatever the cosine says."""
    kept, verdicts = {}, []
    for row, turn in enumerate(turns):
        mine, best = kept.setdefault(domain(turn), []), None
        for other in mine:
            score = similar(turn["user_utterance"], turns[other]["user_utterance"])
            if best is None or score > best[1]:
                best = (other, score)
        dropped = best and best[1] >= threshold and name(turn) not in pinned
        verdicts.append(best if dropped else None)
        if not dropped:
            mine.append(row)
    return verdicts


def name(turn):
    return turn["interaction_id"], turn["turn"]


def expectation(raws, similarity, pins, threshold=0.85, domain="all", keep="newest"):
    """pins: {"id" or "id/turn": "keep" or "drop"}"""
    def pin(turn):
        return pins.get("%s/%d" % name(turn), pins.get(turn["interaction_id"]))
    interactions = sorted(oracle.parse(raws), key=oracle.ORDERS[keep])
    turns, gone = oracle.turns_of(interactions)
    by_id = {}
    for turn in turns:
        by_id.setdefault(turn["interaction_id"], []).append(turn)
    for id, mine in by_id.items():
        keeps_some = any(p == "keep" and q.startswith(id + "/") for q, p in pins.items())
        if pins.get(id) == "drop" and not keeps_some:
            gone.append({"interaction_id": id, "turn": None, "rule": "pinned"})
        else:
            gone += [{"interaction_id": id, "turn": t["turn"], "rule": "pinned"}
                     for t in mine if pin(t) == "drop"]
    turns = [t for t in turns if pin(t) != "drop"]
    turns.sort(key=lambda t: pin(t) != "keep")
    pinned = {name(t) for t in turns if pin(t) == "keep"}
    similarity.learn(t["user_utterance"] for t in turns)
    part = {"all": lambda turn: None, "bot": lambda turn: turn["bot_id"]}[domain]
    return oracle.Outcome(turns, forced_greedy(turns, pinned, similarity, threshold, part), gone,
                          similarity)


def write_pins(place, pins):
    lines = ["# decided by hand", "", "; and again"] + [
        "%s %s" % (what, which) for which, what in pins.items()]
    (place.dir / "pins.txt").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("seed", range(8))
def test_random_pins(make_place, demo, expected, seed):
    """Whatever is pinned: what the plain loop says; also where pinned rows repeat each other, and
    after the pins have changed."""
    rng = random.Random(seed)
    raws = rng.sample(demo.first, 150)
    rules = {"threshold": rng.choice([0.5, 0.7, 0.85]), "domain": rng.choice(["all", "bot"]),
             "keep": rng.choice(["newest", "oldest", "best-rated"])}
    plain = expected(raws, **rules)
    duplicates = [e for e in plain.ledger if e["rule"] == "duplicate"]
    place = make_place([]).configure(
        dedup={**rules, "pins": "pins.txt"})
    (place.dir / "some.jsonl").write_bytes(b"\n".join(raws))
    place.run("import", "some.jsonl", status=0)
    for n_pins in (rng.choice([1, 3]), 40, 0):
        pins = {}
        for e in rng.sample(duplicates, min(n_pins, len(duplicates))):
            which = "%s/%d" % (e["interaction_id"], e["turn"])
            pins[rng.choice([which, e["interaction_id"]])] = rng.choice(["keep", "keep", "drop"])
        for turn in rng.sample(plain.kept, min(n_pins // 3, len(plain.kept))):
            pins["%s/%d" % name(turn)] = rng.choice(["keep", "drop"])
        write_pins(place, pins)
        place.run("export", status=0)
        outcome = expectation(raws, plain.similarity, pins, **rules)
        assert place.ledger() == outcome.ledger
        assert place.read() == outcome.csv
        assert outcome.csv == plain.csv if not pins else len(pins) < 9 or outcome.csv != plain.csv
        place.run("verify", status=0)
        place.run("export", status=0)  # by the verdicts in the store
        assert place.read() == outcome.csv and place.ledger() == outcome.ledger


def test_keeps_two_that_repeat_each_other(make_place):
    raws = [raw(conversation("int_%d" % k, said="Where is my parcel?", answer="Answer %d" % k,
                             timestamp="2026-03-0%dT00:00:00Z" % (k + 1))) for k in range(4)]
    place = make_place(raws).configure(dedup={"pins": "pins.txt"})
    write_pins(place, {"int_0": "keep", "int_2/0": "keep", "int_3": "drop"})
    place.run("run", status=0)
    assert [r["interaction_id"] for r in oracle.rows_of(place.read())] == ["int_2", "int_0"]
    assert place.ledger() == [
        {"interaction_id": "int_1", "turn": 0, "rule": "duplicate", "kept_interaction_id": "int_2",
         "kept_turn": 0, "score": 1.0},
        {"interaction_id": "int_3", "turn": None, "rule": "pinned"}]
    assert place.json("explain", "int_3")["verdict"] == "pinned"


def test_an_id_with_a_slash(make_place):
    """A pin means the turn and the interaction of this name, should there be both."""
    raws = [raw(conversation("a/0", said="Where is my parcel?")),
            raw(conversation("a", said="I lost my card"))]
    place = make_place(raws).configure(dedup={"pins": "pins.txt"})
    (place.dir / "pins.txt").write_bytes(b"\xef\xbb\xbfdrop a/0\r\n")  # as some editors write it
    place.run("run", status=0)
    assert {e["interaction_id"] for e in place.ledger()} == {"a/0", "a"}, "both are meant"


@pytest.mark.parametrize("line, words", [
    ("keep int_nobody", ["line 4", "int_nobody", "interaction"]),
    ("drop int_1/7", ["line 4", "int_1/7", "turn"]),
    ("hold int_1", ["line 4", "keep ID"]),
    ("keep", ["line 4"]),
    ("drop int_1", ["line 4", "line 1", "contrary"])])
def test_bad_pins(make_place, line, words):
    """Named with file and line; nothing is written."""
    place = make_place([raw(conversation())]).configure(dedup={"pins": "pins.txt"})
    (place.dir / "pins.txt").write_text("keep int_1\n\n# a comment\n%s\n" % line)
    place.run("sync", status=0)
    check_fails(place.run("export"), 2, "pins.txt", *words)
    assert "out.csv" not in place.names() and "removed.jsonl" not in place.names()
    (place.dir / "pins.txt").unlink()
    check_fails(place.run("export"), 2, "dedup.pins", "pins.txt")


def test_pins_of_what_is_not_compared(make_place):
    """Filters come first; a pin of something forgotten says nothing."""
    raws = [raw(conversation("int_1", rating=1)), raw(conversation("int_2", said="hello")),
            raw(conversation("int_3", said="Where is my card?"))]
    place = make_place(raws).configure(dedup={"pins": "pins.txt"})
    write_pins(place, {"int_1": "keep", "int_1/5": "keep", "int_2": "drop", "int_3/0": "keep"})
    place.run("run", status=0)
    assert [r["interaction_id"] for r in oracle.rows_of(place.read())] == ["int_3"]
    report = place.json("forget", "int_3", "int_2")
    assert report["turns"]["kept"] == 0
    assert json.loads(place.read("removed.jsonl"))["rule"] == "rating-below-minimum"
