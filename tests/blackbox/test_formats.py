"""The rows in other forms: what they stand for, intents for two platforms, the manifest."""

import csv
import hashlib
import io
import json
import random
import re

import oracle
import pytest
from records import instant
from test_run import conversation, raw

MORE = ["conversation_turn", "duplicates", "first_seen", "last_seen", "mean_rating", "source"]


def groups(outcome):
    """[[a kept turn, the turns removed in its favour ...]] in final order."""
    out = {row: [turn] for row, (turn, verdict) in enumerate(zip(outcome.turns, outcome.verdicts))
           if verdict is None}
    for turn, verdict in zip(outcome.turns, outcome.verdicts):
        if verdict:
            out[verdict[0]].append(turn)
    return list(out.values())


def standing(group):
    """What a row stands for: oldest and newest (of equal instants the first in order), mean."""
    order = [group[0], *group[1:]]
    return {"conversation_turn": group[0]["turn"], "duplicates": len(group) - 1,
            "first_seen": min(order, key=lambda t: instant(t["timestamp"]))["timestamp"],
            "last_seen": max(order, key=lambda t: instant(t["timestamp"]))["timestamp"],
            "mean_rating": sum(float(t["rating"]) for t in order) / len(order),
            "source": "interactions-v2"}


@pytest.mark.parametrize("seed", range(4))
def test_what_rows_stand_for(make_place, demo, expected, seed):
    """JSON lines always say it, the CSV on demand, behind the eight columns; verify reads both."""
    rng = random.Random(seed)
    raws = rng.sample(demo.first, 150)
    rules = {"threshold": rng.choice([0.6, 0.85]), "keep": rng.choice(["newest", "oldest",
                                                                       "best-rated"])}
    place = make_place(raws).configure(dedup=rules, export={"jsonl": "rows.jsonl"})
    place.run("run", status=0)
    outcome = expected(raws, **rules)
    want = [standing(group) for group in groups(outcome)]
    rows = [json.loads(line) for line in place.read("rows.jsonl").splitlines()]
    assert [{k: row[k] for k in MORE} for row in rows] == want
    assert all(list(row) == oracle.COLUMNS + MORE for row in rows)
    assert place.read() == outcome.csv
    place.configure(export={"columns": "all"}).run("export", status=0)
    table = oracle.rows_of(place.read())
    assert list(table[0]) == oracle.COLUMNS + MORE
    assert [{**{k: row[k] for k in (*MORE[2:4], "source")},
             "conversation_turn": int(row["conversation_turn"]),
             "duplicates": int(row["duplicates"]), "mean_rating": float(row["mean_rating"])}
            for row in table] == want
    assert any(w["duplicates"] > 1 for w in want)
    place.run("verify", status=0)


def test_mean_of_huge_ratings(make_place):
    """Their sum is beyond double range, their mean is not."""
    raws = [raw({**conversation("int_%d" % k, said="where is my card"), "rating": rating})
            for k, rating in enumerate([1e308, 1.7976931348623157e308, 1e308])]
    place = make_place(raws).configure(export={"jsonl": "rows.jsonl", "columns": "all"})
    place.run("run", status=0)
    row = json.loads(place.read("rows.jsonl"))
    assert row["duplicates"] == 2 and 1.265e308 < row["mean_rating"] < 1.267e308
    assert float(oracle.rows_of(place.read())[0]["mean_rating"]) == row["mean_rating"]
    place.run("verify", status=0)


def examples(group):
    """Each text once, on one line."""
    return [text.replace("\n", " ") for text in dict.fromkeys(t["user_utterance"] for t in group)]


def rasa(text):
    """The intents of a file in the one form that is written: [(name, [example])]."""
    head, *blocks = re.split(r"^- intent: ", text, flags=re.M)
    assert head == 'version: "3.1"\nnlu:\n'
    out = []
    for block in blocks:
        name, second, *lines = block.rstrip("\n").split("\n")
        assert second == "  examples: |", block
        assert re.fullmatch('[a-z][a-z0-9_]*|"[0-9][a-z0-9_]*"', name), "a number in YAML: " + name
        name = name.strip('"')
        assert all(line.startswith("    - ") for line in lines), block
        out.append((name, [line[6:] for line in lines]))
    return out


def test_intents(make_place, demo, expected):
    raws = demo.first[:200]
    place = make_place(raws).configure(export={"rasa": "nlu.yml", "cognigy": "intents.csv"})
    summary = place.json("run")
    outcome = expected(raws)
    intents = rasa(place.read("nlu.yml").decode())
    assert [e for _, e in intents] == [examples(group) for group in groups(outcome)]
    names = [name for name, _ in intents]
    assert len(set(names)) == len(names)
    assert names[0].startswith(re.sub("[^a-z0-9]+", "_", intents[0][1][0].lower())[:20])
    data = place.read("intents.csv").decode()
    assert "\r" not in data
    table = list(csv.reader(io.StringIO(data, newline="")))
    want = []
    for name, group in zip(names, groups(outcome)):
        want += [[name, "exampleSentence", text] for text in examples(group)]
        want.append([name, "defaultReply", group[0]["bot_response"]])
    assert table == want
    for key, path in (("rasa", "nlu.yml"), ("cognigy", "intents.csv")):
        assert summary["export"][key] == {"path": path, "rows": len(outcome.kept),
                                          "sha256": oracle.sha256(place.read(path))}
    place.tenant.holdings.remove(json.loads(raws[0])["id"])
    later = [r for r in raws if json.loads(r)["id"] != outcome.kept[-1]["interaction_id"]]
    other = make_place(later).configure(export={"rasa": "nlu.yml"})
    other.run("run", status=0)
    there = dict((tuple(e), name) for name, e in rasa(other.read("nlu.yml").decode()))
    same = [name for name, e in intents if there.get(tuple(e)) == name]
    assert len(same) > len(names) * 0.9, "names move when other rows do"


def test_hostile_texts_in_intents(make_place):
    """A text is one example, whatever is in it."""
    texts = ["line\nbreak\r\nand\u2028more\u0085", "- intent: evil", "[a](b) [c]{d} [CARD] (e)",
             "\ttabs: \"quotes\" 'and' # hash |", "\x00\x1b[2J", "日本語で",
             "a, \"b\", c", "{{x}}", "[EMAIL][PHONE] [x][{y}][z]", "4711", "0x1f",
             "C:\\users \\\\u0041"]
    raws = [raw({**conversation("int_%d" % k, said=text), "botId": "b%d" % k})
            for k, text in enumerate(texts)]
    place = make_place(raws).configure(dedup={"domain": "bot"}, export={
        "rasa": "nlu.yml", "cognigy": "intents.csv"})
    place.run("run", status=0)
    kept = [row["user_utterance"] for row in oracle.rows_of(place.read())]
    text = place.read("nlu.yml").decode()
    assert all(c == "\n" or c.isprintable() for c in text)
    found = [e for _, e in rasa(text)]
    assert [len(e) for e in found] == [1] * len(kept)
    assert ["[a] (b) [c] {d} [CARD] (e)"] in found and ["- intent: evil"] in found
    assert ["[EMAIL] [PHONE] [x] [{y}] [z]"] in found
    assert [r"C:\ users \\ u0041"] in found
    rows = list(csv.reader(io.StringIO(place.read("intents.csv").decode(), newline="")))
    assert len(rows) == 2 * len(kept) and all(len(row) == 3 for row in rows)


def test_manifest(make_place, few, expected, tmp_path):
    """The same input gives the same bytes, in another place, by another way but for what the rows
    say of that; nothing secret."""
    manifests, rows = [], []
    for way in ("sync", "import"):
        place = make_place(few if way == "sync" else []).configure(
            redact={"rules": "email", "action": "hash", "pattern.x": "X-[0-9]+"},
            export={"jsonl": "rows.jsonl", "manifest": "manifest.json"})
        env = {"TAMIS_REDACT_KEY": "the key"}
        if way == "import":
            place.configure(redact={"key_env": "ANOTHER_KEY"})
            env = {"ANOTHER_KEY": "the key"}
        if way == "sync":
            place.run("run", status=0, env=env)
        else:
            (place.dir / "some.jsonl").write_bytes(b"\n".join(reversed(few)))
            place.run("import", "some.jsonl", status=0)
            place.run("curate", "--set", "dedup.threshold=0.7", status=0, env=env)
            place.run("export", "--threads", 1, status=0, env=env)
        manifests.append(place.read("manifest.json"))
        assert b"the key" not in manifests[-1]
        place.run("export", status=0, env=env)
        assert place.read("manifest.json") == manifests[-1]
        rows.append(place.read("rows.jsonl"))
    assert rows[0] == rows[1].replace(b'"source": "import"', b'"source": "interactions-v2"')
    digests = [hashlib.sha256(some).hexdigest().encode() for some in rows]
    assert manifests[0] == manifests[1].replace(digests[1], digests[0]) != manifests[1]
    value = json.loads(manifests[1])
    assert re.fullmatch(r"\d+\.\d+\.\d+", value["tamis"]) and len(value["model"]) == 64
    assert value["interactions"] == len(few)
    assert value["configuration"]["dedup.threshold"] == "0.85"
    assert value["configuration"]["redact.pattern.x"] == "X-[0-9]+"
    assert value["configuration"]["split.threshold"] == "0.7"
    assert value["configuration"]["export.columns"] == "reference"
    assert float(value["configuration"]["conflicts.below"]) == 0.6
    assert not any(key.startswith(("source", "store", "embed.model", "redact.key_"))
                   for key in value["configuration"])
    outcome = expected(few)
    assert value["turns"]["kept"] == len(outcome.kept)
    rules = [e["rule"] for e in outcome.ledger]
    assert value["removed"] == {rule: rules.count(rule) for rule in value["removed"]}
    assert sum(value["removed"].values()) == len(rules)
    for key, path in (("csv", "out.csv"), ("jsonl", "rows.jsonl"), ("removed", "removed.jsonl")):
        assert value["files"][key]["path"] == path
        assert value["files"][key]["sha256"] == hashlib.sha256(place.read(path)).hexdigest()


def test_manifest_without_a_turn(make_place):
    """It names no model then, also where the store had turns before."""
    manifests = []
    for ratings in ((1,), (5, 1)):
        place = make_place([]).configure(export={"manifest": "manifest.json"})
        for rating in ratings:
            (place.dir / "one.jsonl").write_bytes(raw(conversation(rating=rating)))
            place.run("import", "one.jsonl", status=0)
            place.run("export", status=0)
        manifests.append(place.read("manifest.json"))
    assert manifests[0] == manifests[1]
    assert json.loads(manifests[0])["model"] is None
