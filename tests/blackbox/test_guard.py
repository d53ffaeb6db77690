"""[guard]: bots that lose too much to near-duplicates are named, and some of it is given back."""

import csv
import io
import json
import math
import random
import re

import oracle
import pytest
import test_answers
import test_pins
from conftest import check_fails
from test_run import conversation, raw


def name(turn, by):
    return turn["bot_id"] if by == "bot" else str(
        math.floor(oracle.rating_number(turn["rating"])))


def guard(outcome, max_loss, floor=0, by="bot"):
    """({name: [turns, kept, given back]} of those that lost too much, rows given back)."""
    groups, given = {}, set()
    for turn, verdict in zip(outcome.turns, outcome.verdicts):
        mine = groups.setdefault(name(turn, by), [0, 0, 0])
        mine[0] += 1
        mine[1] += verdict is None
    over = {k: g for k, g in groups.items() if (g[0] - g[1]) / g[0] > max_loss}
    for key, group in over.items():
        mine = [row for row, t in enumerate(outcome.turns) if name(t, by) == key]
        said = {outcome.turns[row]["user_utterance"] for row in mine
                if outcome.verdicts[row] is None}
        for row in mine:
            if len(said) < floor and outcome.turns[row]["user_utterance"] not in said:
                said.add(outcome.turns[row]["user_utterance"])
                given.add(row)
                group[2] += 1
    return over, given


def given_back(outcome, given, gone):
    """The outcome with those rows; what stands for what stays as it was."""
    verdicts = [None if row in given else v for row, v in enumerate(outcome.verdicts)]
    return oracle.Outcome(outcome.turns, verdicts, gone, outcome.similarity)


def whole(outcome):
    """Ledger entries that are no duplicates."""
    return [e for e in outcome.ledger if e["rule"] != "duplicate"]


def check(place, outcome, rules):
    over, given = guard(outcome, **rules)
    want = given_back(outcome, given, whole(outcome))
    result = place.run("--json", "export", status=0)
    told = result.json()["guard"]
    member = "bot_id" if rules.get("by", "bot") == "bot" else "rating"
    assert {str(g[member]): [g["turns"], g["kept"], g["given_back"]]
            for g in told["over"]} == over
    assert told["given_back"] == len(given)
    warned = [line for line in result.lines if "guard.max_loss" in line]
    assert len(warned) == len(over), result
    for key, (turns, kept, back) in over.items():
        assert any(" %s: %d of %d " % (key, turns - kept, turns) in line and
                   "%d given back" % back in line for line in warned), (key, warned)
    assert place.read() == want.csv
    assert place.ledger() == want.ledger
    return want, given


@pytest.mark.parametrize("seed", range(8))
def test_random_data(make_place, demo, expected, seed):
    rng = random.Random(seed)
    raws = rng.sample(demo.first, 180)
    dedup = {"threshold": rng.choice([0.5, 0.7, 0.85]), "domain": rng.choice(["all", "bot"]),
             "keep": rng.choice(["newest", "oldest", "best-rated"])}
    outcome = expected(raws, **dedup)
    place = make_place(raws).configure(dedup=dedup, export={
        "jsonl": "out.jsonl", "columns": "reference", "manifest": "manifest.json"})
    place.run("run", status=0)
    assert place.read() == outcome.csv, "off where nothing is said"
    any_given = 0
    turns, kept, _ = rng.choice(list(guard(outcome, -1)[0].values()))
    exact = (turns - kept) / turns  # of one bot, which so is not over
    for max_loss, floor in ((0.3, 0), (exact, 12), (0.02, 10 ** 6)):
        rules = {"max_loss": max_loss, "floor": floor, "by": rng.choice(["bot", "rating"])}
        place.configure(guard=rules)
        want, given = check(place, outcome, rules)
        any_given += len(given)
        marks = [json.loads(line).get("guarded") for line in place.read("out.jsonl").splitlines()]
        assert marks == ([outcome.turns.index(t) in given for t in want.kept] if floor
                         else [None] * len(want.kept))
        found = place.json("verify")
        assert (found["kept"], found.get("guarded")) == (len(want.kept),
                                                         len(given) if floor else None)
        manifest = json.loads(place.read("manifest.json"))
        assert manifest["turns"]["kept"] == len(want.kept)
        assert manifest["turns"].get("guarded") == (len(given) if floor else None)
        assert manifest["removed"]["duplicate"] == len(want.turns) - len(want.kept)
        check(place, outcome, rules)  # by the verdicts in the store
        assert place.json("status")["kept"] == len(want.kept)
    assert any_given


def test_with_pins_and_answers(make_place, run_anywhere, small):
    """All three at once."""
    similarity = oracle.Similarity(lambda *args, **options: run_anywhere(
        *args, "--set", "embed.model=%s" % small, **options))
    rng = random.Random(5)
    raws = test_answers.talks(rng, 150)
    repeats = [e for e in test_answers.expectation(raws, similarity).ledger
               if e["rule"] == "duplicate"]
    pins = {test_pins.name(e) for e in rng.sample(repeats, 20)}
    outcome = test_answers.expectation(raws, similarity, pins=pins)
    rules = {"max_loss": 0.3, "floor": 80}
    place = make_place(raws).configure(dedup={"answers": "distinct", "pins": "pins.txt"},
                                       guard=rules, export={"columns": "all"})
    test_pins.write_pins(place, {"%s/%d" % pin: "keep" for pin in pins})
    place.run("sync", status=0)
    place.run("export", "--set", "export.columns=reference", status=0)
    _, given = guard(outcome, **rules)
    want = given_back(outcome, given, whole(outcome))
    assert place.read() == want.csv and place.ledger() == want.ledger and len(given) > 5
    place.run("verify", "--set", "export.columns=reference", status=0)
    place.run("export", status=0)
    table = list(csv.DictReader(io.StringIO(place.read().decode(), newline="")))
    assert [r["guarded"] for r in table] == [
        "true" if outcome.turns.index(t) in given else "false" for t in want.kept]
    place.run("verify", status=0)


def crowd(n=6):
    """One bot that says what another says, and never first."""
    def talk(k, bot, said):
        return raw(conversation("int_%s%d" % (bot, k), said=said, botId=bot, timestamp=
                                "2026-03-0%dT00:00:%02dZ" % (2 if bot == "a" else 1, 59 - k)))
    said = ["Where is my parcel?", "I lost my card", "Cancel my flight, please",
            "What is the weather in Rome?", "I cannot log in", "I hate waiting"][:n]
    return [talk(k, "a", text) for k, text in enumerate(said)] + [
        talk(k, "b", text) for k, text in enumerate(said + said[:2])]


def test_a_bot_that_lost_all(make_place):
    """In order, the same utterance once; the mark is in explain; `verify` knows them."""
    place = make_place(crowd()).configure(guard={"max_loss": "0.5", "floor": 4},
                                          export={"jsonl": "out.jsonl"})
    said = place.run("run", status=0)
    assert "bot b: 8 of 8 well-rated turns" in said.err and "4 given back" in said.err
    rows = [r["interaction_id"] for r in oracle.rows_of(place.read())]
    assert rows == ["int_a%d" % k for k in range(6)] + ["int_b%d" % k for k in range(4)]
    lines = [json.loads(line) for line in place.read("out.jsonl").splitlines()]
    assert [(line["guarded"], line["duplicates"]) for line in lines] == [
        (False, 1), (False, 1), (False, 0), (False, 0), (False, 1), (False, 1)] + [(True, 0)] * 4
    turn = place.json("explain", "int_b0")["turns"][0]
    assert (turn["verdict"], turn["guarded"], turn["kept_interaction_id"], turn["duplicates"]) == (
        "kept", True, "int_a0", [])
    assert [d["interaction_id"] for d in place.json("explain", "int_a0")["turns"][0]["duplicates"]
            ] == ["int_b6"]
    assert "given back by guard.floor" in place.run("explain", "int_b0", status=0).text
    assert place.json("verify")["guarded"] == 4
    page = place.run("report", status=0).text
    assert "1 bot lost more than guard.max_loss = 0.5" in page
    assert re.search(r"<td>.*b.*</td>" + "".join(
        r'<td class="n">%d</td>' % n for n in (8, 0, 4, 4)), page)
    place.configure(guard={"max_loss": "1"})
    assert "guard" not in place.json("export")
    assert len(oracle.rows_of(place.read())) == 6


def test_exactly_the_share(make_place):
    """29 of 50 are 0.58 and no more, though in doubles 0.58 * 50 is less than 29."""
    place = make_place([raw(conversation("int_%d" % k)) for k in range(50)]).configure(
        dedup={"pins": "pins.txt"}, guard={"max_loss": "0.58", "floor": 50})
    test_pins.write_pins(place, {"int_%d" % k: "keep" for k in range(21)})
    told = place.json("run")
    assert told["turns"]["kept"] == 21 and told["guard"]["over"] == []
    assert len(place.json("export", "--set", "guard.max_loss=0.579")["guard"]["over"]) == 1


def without(csv_data, *ids):
    table = list(csv.reader(io.StringIO(csv_data.decode(), newline="")))
    table = table[:1] + [r for r in table[1:] if r[0] not in ids]
    out = io.StringIO(newline="")
    csv.writer(out).writerows(table[:1] + [r[:7] + [str(k)] for k, r in enumerate(table[1:])])
    return out.getvalue().encode()


def test_verify_finds_what_is_not_the_guards(make_place):
    """A row too many, one too few, another one in its place; marks that are not true."""
    place = make_place(crowd()).configure(guard={"max_loss": "0.5", "floor": 4},
                                          export={"removed": ""})
    place.run("run", status=0)
    right = place.read()
    place.run("export", "--set", "guard.floor=6", status=0)
    more = place.read()

    def verify(data, status, *args):
        (place.dir / "out.csv").write_bytes(data)
        return place.run("verify", "--json", *args, status=status).json()["violations"]

    assert verify(right, 0)["separation"] == 0
    assert verify(more, 5) == {"separation": 2, "coverage": 0, "file": 0, "split": 0}
    assert verify(without(right, "int_b3"), 5)["file"] == 1
    other = verify(without(more, "int_b2", "int_b5"), 5)
    assert (other["separation"], other["file"]) == (1, 1)
    assert verify(without(right, "int_a2"), 5)
    assert verify(right, 5, "--set", "guard.max_loss=1")["separation"] == 4
    assert verify(right, 5, "--set", "guard.floor=3")["separation"] == 1
    place.configure(export={"jsonl": "out.jsonl"})
    place.run("export", status=0)
    lines = place.read("out.jsonl")
    for wrong in (lines.replace(b'"guarded": true', b'"guarded": false', 1),
                  lines.replace(b'"guarded": false', b'"guarded": true', 1)):
        (place.dir / "out.jsonl").write_bytes(wrong)
        assert place.run("verify").status == 5
    (place.dir / "out.jsonl").write_bytes(lines)
    place.run("verify", status=0)


def test_nothing_left(make_place):
    """Forgetting all leaves a file with a header, which is in order."""
    place = make_place(crowd(1)).configure(guard={"max_loss": "0.5", "floor": 4},
                                           export={"columns": "all"})
    place.run("run", status=0)
    place.run("forget", "int_a0", "int_b0", "int_b1", status=0)
    assert place.read().endswith(b",source,guarded\r\n")
    place.run("verify", status=0)


@pytest.mark.parametrize("key, value", [
    ("max_loss", "1.5"), ("max_loss", "-0.1"), ("max_loss", "half"), ("floor", "-1"),
    ("floor", "2.5"), ("by", "source")])
def test_bad_values(make_place, key, value):
    check_fails(make_place().configure(guard={key: value}).run("curate"), 2,
                "guard.%s = %s" % (key, value))


def test_the_nearest_key(make_place):
    check_fails(make_place().configure(guard={"maxloss": "0.5"}).run("curate"), 2, "guard.max_loss")
