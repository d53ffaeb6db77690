"""dedup.answers = distinct: a turn repeats another only where it was answered as that one was."""

import json
import random

import oracle
import pytest
import test_incremental
import test_pins
from conftest import check_fails
from desk import corpus
from test_run import raw, talk


def greedy(turns, similar, threshold, domain, pinned=frozenset()):
    """oracle.greedy over the kept turns whose answers are near as well."""
    kept, verdicts = {}, []

    def near(a, b):
        return a == b or similar(a, b) >= threshold

    for row, turn in enumerate(turns):
        mine, best, repeats = kept.setdefault(domain(turn), []), None, False
        for other in mine:
            if not near(turn["bot_response"], turns[other]["bot_response"]):
                continue
            score = similar(turn["user_utterance"], turns[other]["user_utterance"])
            repeats |= near(turn["user_utterance"], turns[other]["user_utterance"])
            if best is None or score > best[1]:
                best = (other, score)
        verdicts.append(best if repeats and test_pins.name(turn) not in pinned else None)
        if verdicts[-1] is None:
            mine.append(row)
    return verdicts


def expectation(raws, similarity, threshold=0.85, domain="all", keep="newest", pins=()):
    interactions = sorted(oracle.parse(raws), key=oracle.ORDERS[keep])
    turns, gone = oracle.turns_of(interactions)
    turns.sort(key=lambda t: test_pins.name(t) not in pins)
    similarity.learn(t[k] for t in turns for k in ("user_utterance", "bot_response"))
    part = {"all": lambda turn: None, "bot": lambda turn: turn["bot_id"]}[domain]
    return oracle.Outcome(turns, greedy(turns, similarity, threshold, part, pins), gone,
                          similarity)


@pytest.fixture(scope="session")
def similarity(run_anywhere, small):
    return oracle.Similarity(lambda *args, **options: run_anywhere(
        *args, "--set", "embed.model=%s" % small, **options))


def talks(rng, n):
    """Few questions and few answers, all of them near others."""
    def said():
        return " ".join(rng.choices("where is my order card please help me now".split(),
                                    k=rng.randint(2, 4)))
    answers = [said() for _ in range(8)] + ["Your order is on its way.", "Call us."]
    return [raw({"id": "int_%d" % k, "timestamp": "2026-01-%02dT00:00:%02dZ" % (
        rng.randint(1, 28), rng.randint(0, 59)), "botId": rng.choice(["a", "b"]),
        "rating": rng.choice([4, 5]), "messages": [
            {"from": who, "text": said() if who == "user" else rng.choice(answers)}
            for who in ("user", "bot") * rng.randint(1, 3)]}) for k in range(n)]


@pytest.mark.parametrize("seed", range(8))
def test_random_data(make_place, demo, similarity, seed):
    """Rows and ledger as the plain loop says, and what `tune` and `verify` make of them."""
    rng = random.Random(seed)
    raws = talks(rng, 150) if seed % 2 else rng.sample(demo.first, 150)
    rules = {"threshold": rng.choice([0.85, 0.9, 0.95]), "domain": rng.choice(["all", "bot"]),
             "keep": rng.choice(["newest", "oldest", "best-rated"])}
    outcome = expectation(raws, similarity, **rules)
    plain = oracle.job(raws, similarity, **rules)
    assert len(outcome.kept) > len(plain.kept)
    place = make_place(raws).configure(dedup={**rules, "answers": "distinct"},
                                       export={"jsonl": "out.jsonl", "chat": "chat.jsonl"})
    place.run("run", status=0)
    assert place.read() == outcome.csv and place.ledger() == outcome.ledger
    found = place.json("verify")
    assert (found["kept"], found["removed"]) == (
        len(outcome.kept), len(outcome.turns) - len(outcome.kept))
    for entry in place.json("tune")["thresholds"][::7]:
        there = expectation(raws, similarity, **{**rules, "threshold": entry["threshold"]})
        assert entry["kept"] == len(there.kept)
    place.run("export", "--set", "dedup.answers=ignore", status=0)
    assert place.read() == plain.csv
    assert place.run("verify").status == 5, "the rows of the other rule"
    place.run("export", "--threads", 1, status=0, env={"TAMIS_ISA": "scalar"})
    assert place.read() == outcome.csv and place.ledger() == outcome.ledger


def test_rows_of_the_plain_rule_lack_some(desk, demo):
    """Those of `ignore` are not covered: their answers are lost."""
    here = desk(corpus(3, demo))
    found = here.check_found("--set", "dedup.answers=distinct")
    assert found["violations"]["coverage"] and not found["violations"]["separation"]


@pytest.mark.parametrize("seed", range(2))
def test_pinned_turns(make_place, similarity, seed):
    """Pinned turns stand for those that were answered as they were, and for no other."""
    rng = random.Random(seed)
    raws = talks(rng, 120)
    repeats = [e for e in expectation(raws, similarity).ledger if e["rule"] == "duplicate"]
    pins = {test_pins.name(e) for e in rng.sample(repeats, 30)}
    outcome = expectation(raws, similarity, pins=pins)
    place = make_place(raws).configure(dedup={"answers": "distinct", "pins": "pins.txt"})
    test_pins.write_pins(place, {"%s/%d" % pin: "keep" for pin in pins})
    place.run("run", status=0)
    assert place.read() == outcome.csv and place.ledger() == outcome.ledger
    place.run("verify", status=0)
    for entry in place.json("tune")["thresholds"][::9]:
        there = expectation(raws, similarity, threshold=entry["threshold"], pins=pins)
        assert entry["kept"] == len(there.kept)


def test_one_question_two_answers(make_place):
    """An exact repeat with another answer stays; one with the same answer goes."""
    raws = [talk(0, "Where is my parcel?", "It is on its way."),
            talk(1, "Where is my parcel?", "We fly to Paris twice a day."),
            talk(2, "Where is my parcel?", "It is on its way."),
            talk(3, "Where is my parcel?", "We fly to Paris twice a day."),
            talk(4, "How do I block my card?", "It is on its way.")]
    place = make_place(raws).configure(dedup={"answers": "distinct"})
    place.run("run", status=0)
    assert [r["interaction_id"] for r in oracle.rows_of(place.read())] == [
        "int_0", "int_1", "int_4"]
    assert [(e["interaction_id"], e["kept_interaction_id"]) for e in place.ledger()] == [
        ("int_2", "int_0"), ("int_3", "int_1")]
    assert [d["interaction_id"] for d in place.json("explain", "int_1")["turns"][0]["duplicates"]
            ] == ["int_3"]
    place.configure(dedup={"threshold": "1"})  # a cosine with itself can round to below it
    place.run("export", status=0)
    assert len(oracle.rows_of(place.read())) == 3
    place.run("verify", status=0)


@pytest.mark.parametrize("seed", range(2))
def test_histories(make_place, seed):
    """Starting from the last curation gives what one from nothing gives, answers changed too."""
    rng = random.Random(seed)
    place, settings = make_place(), {"dedup.answers": "distinct", "dedup.threshold": 0.7}
    rows = {r["id"]: r for r in map(json.loads, talks(rng, 150))}
    test_incremental.curate(place, rows.values(), settings, "old.db")
    spared = 0
    for step in range(6):
        some = rng.sample(sorted(rows), 5)
        for name in some:
            if step % 2:
                rows[name]["messages"][1]["text"] = rng.choice(["Call us.", "help me please"])
            else:
                rows[name]["rating"] = rng.choice([1, 5])
        spared += test_incremental.curate(place, [rows[name] for name in some], settings,
                                          "old.db") or 0
        was = place.read(), place.read("removed.jsonl")
        test_incremental.curate(place, rows.values(), settings, "new%d.db" % step)
        assert (place.read(), place.read("removed.jsonl")) == was
    assert spared, "the last verdicts were of use"


def test_fast_says_why_it_is_exact(make_place, few):
    place = make_place(few).configure(dedup={"answers": "distinct"}, export={"removed": ""},
                                      embed={"precision": "fast"})
    said = place.run("--verbose", "run", status=0).err
    assert "exact is used, dedup.answers = distinct" in said or "no faster encoder" in said


def test_bad_value(make_place):
    check_fails(make_place().configure(dedup={"answers": "unlike"}).run("curate"), 2,
                "dedup.answers = unlike", "ignore|distinct")
    check_fails(make_place().configure(dedup={"answer": "distinct"}).run("curate"), 2,
                "dedup.answers")
