"""export.conflicts: the same question, another answer."""

import json
import random

import oracle
import pytest
from test_formats import groups
from test_run import talk


def conflicts(outcome, below):
    """What the file must hold, by the plain loop."""
    similar, out = outcome.similarity, []
    similar.learn(t["bot_response"] for t in outcome.turns)
    keys = ("interaction_id", "turn", "user_utterance", "bot_response")
    for kept, *others in groups(outcome):
        found = []
        for t in others:
            score = similar(kept["bot_response"], t["bot_response"])
            if t["bot_response"] == kept["bot_response"] or score >= below:
                continue
            question = similar(t["user_utterance"], kept["user_utterance"])
            found.append({**{k: t[k] for k in keys}, "score": round(question, 6),
                          "answer_score": round(score, 6)})
        if found:
            out.append({**{k: kept[k] for k in keys}, "conflicts": found})
    return sorted(out, key=lambda c: -len(c["conflicts"]))


@pytest.mark.parametrize("seed", range(4))
def test_random_data(make_place, demo, expected, seed):
    rng = random.Random(seed)
    raws = rng.sample(demo.first, 200)
    below = rng.choice([0.6, 0.8, 0.9])
    rules = {"threshold": rng.choice([0.5, 0.7, 0.85])}
    place = make_place(raws).configure(dedup=rules, conflicts={"below": below},
                                       export={"conflicts": "conflicts.jsonl"})
    summary = place.json("run")
    outcome = expected(raws, **rules)
    want = conflicts(outcome, below)
    got = [json.loads(line) for line in place.read("conflicts.jsonl").splitlines()]
    assert got == want and want
    assert summary["export"]["conflicts"]["rows"] == len(want)
    assert summary["turns"]["embedded"] == len({t["user_utterance"] for t in outcome.turns})
    assert place.read() == outcome.csv
    before = place.read("conflicts.jsonl")
    place.run("export", "--threads", 1, status=0)
    assert place.read("conflicts.jsonl") == before


def test_largest_first_and_identical_answers_never(make_place):
    raws = [talk(0, "Where is my parcel?", "On its way."),
            talk(1, "Where is my parcel?", "On its way."),
            talk(2, "Where is my parcel?", "Your card is blocked for good."),
            talk(3, "How do I block my card?", "Call the bank."),
            talk(4, "How do I block my card?", "The weather is fine in Rome today."),
            talk(5, "How do I block my card?", "We fly to Paris twice a day.")]
    place = make_place(raws).configure(conflicts={"below": 1},
                                       export={"conflicts": "conflicts.jsonl"})
    place.run("run", status=0)
    got = [json.loads(line) for line in place.read("conflicts.jsonl").splitlines()]
    assert [(c["interaction_id"], [o["interaction_id"] for o in c["conflicts"]]) for c in got] == [
        ("int_3", ["int_4", "int_5"]), ("int_0", ["int_2"])]
    place.run("export", "--set", "conflicts.below=-1", status=0)
    assert place.read("conflicts.jsonl") == b""
