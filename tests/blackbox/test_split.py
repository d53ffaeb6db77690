"""[split]: no conversation and no near pair in two parts, the shares asked for, and steadiness."""

import hashlib
import json
import random

import oracle
import pytest
from conftest import check_fails
from test_run import conversation, raw

PARTS = ["train", "valid", "test"]


def components(rows, similar, threshold):
    """[[row number]] by the plain loop: rows of one interaction, and near ones, and theirs ..."""
    group = list(range(len(rows)))
    for a, x in enumerate(rows):
        for b in range(a):
            y = rows[b]
            if group[a] != group[b] and (
                    x["interaction_id"] == y["interaction_id"]
                    or similar(x["user_utterance"], y["user_utterance"]) >= threshold):
                low, high = sorted((group[a], group[b]))
                group = [low if g == high else g for g in group]
    out = {}
    for row, g in enumerate(group):
        out.setdefault(g, []).append(row)
    return list(out.values())


def place_in_line(rows, group):
    """In [0, 1): of the lowest hash of its interactions."""
    return min(int.from_bytes(hashlib.sha256(b"split\0" + rows[r]["interaction_id"].encode())
                              .digest()[:8], "big") for r in group) / 2**64


def by_hash(rows, groups, shares):
    """The part of each row as long as no share is off by more than two points."""
    n, large = len(rows), [g for g in groups if len(g) * 50 > len(rows)]
    n_large = sum(map(len, large))
    parts = [None] * n
    for group in groups:
        at, upto = place_in_line(rows, group), 0
        part = "none"
        for name, share in zip(PARTS, shares):
            upto += share
            edge = (upto * n - n_large) / (n - n_large) if n > n_large else 0
            if group in large and name == "train" or at < edge or upto > 1 - 1e-9:
                part = name
                break
        for r in group:
            parts[r] = part
    return parts


def run_split(make_place, raws, rules=None, **split):
    place = make_place([]).configure(
        dedup=rules or {}, split={"format": "jsonl", **split},
        export={"jsonl": "all.jsonl", **{p: p + ".jsonl" for p in PARTS}})
    (place.dir / "some.jsonl").write_bytes(b"\n".join(raws))
    place.run("import", "some.jsonl", status=0)
    return place, place.json("export")


def lines(place, name):
    return [json.loads(line) for line in place.read(name).splitlines()]


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_cut(make_place, demo, expected, seed):
    rng = random.Random(seed)
    raws = rng.sample(demo.first, 220)
    rules = {"threshold": rng.choice([0.85, 0.95, 0.999]), "domain": rng.choice(["all", "bot"])}
    threshold = rng.choice([0.7, 0.9, 0.97, 0.99])
    shares = rng.choice([(0.8, 0.1, 0.1), (0.6, 0.3, 0.1), (0.5, 0.2, 0.1), (1, 0, 0)])
    outcome = expected(raws, **rules)
    place, summary = run_split(make_place, raws, rules, threshold=threshold,
                               **dict(zip(PARTS, shares)))
    rows, part = lines(place, "all.jsonl"), {}
    for name in PARTS:
        mine = lines(place, name + ".jsonl")
        assert mine == [row for row in rows if row["split"] == name]
        assert summary["split"][name] == len(mine) == summary["export"][name]["rows"]
    assert sum(summary["split"][name] for name in [*PARTS, "none"]) == len(rows)
    groups = components(outcome.kept, outcome.similarity, threshold)
    assert summary["split"]["groups"] == len(groups)
    assert summary["split"]["largest_group"] == max(map(len, groups))
    for group in groups:
        assert len({rows[r]["split"] for r in group}) == 1, "a group is cut"
    want = by_hash(rows, groups, shares)
    off = max(abs(want.count(name) / len(rows) - share) for name, share in zip(PARTS, shares))
    if off <= 0.02:
        assert [row["split"] for row in rows] == want
    biggest = max(map(len, groups)) / len(rows)
    if biggest <= 0.02:
        for name, share in zip(PARTS, shares):
            assert abs(summary["split"][name] / len(rows) - share) <= 0.02
    before = [place.read(name + ".jsonl") for name in PARTS]
    place.run("export", "--threads", 1, status=0)
    assert [place.read(name + ".jsonl") for name in PARTS] == before
    assert place.read() == outcome.csv, "the CSV is the same, split or not"
    place.run("verify", status=0)


def test_sizes_and_steadiness(make_place, demo):
    """With small groups each share is met; rows that come move few of those that were there."""
    raws = demo.first + demo.later
    rules = {"threshold": 1, "domain": "all"}
    parts = []
    for some in (raws[:400], raws):
        place, summary = run_split(make_place, some, rules, threshold=1)
        n = sum(summary["split"][name] for name in PARTS)
        assert summary["split"]["none"] == 0 and summary["split"]["largest_group"] < n / 100
        for name, share in zip(PARTS, (0.8, 0.1, 0.1)):
            assert abs(summary["split"][name] / n - share) <= 0.02, summary["split"]
        parts.append({(r["interaction_id"], r["conversation_turn"]): r["split"]
                      for r in lines(place, "all.jsonl")})
    common = parts[0].keys() & parts[1].keys()
    moved = sum(parts[0][k] != parts[1][k] for k in common)
    assert len(common) > 300 and moved < len(common) * 0.05, (moved, len(common))


@pytest.mark.parametrize("sizes, shares", [
    ([35, 14, 14, 10, 8, 6, 5] + [1] * 35, (0.3, 0.3, 0.4)),
    ([34, 14, 10, 8, 7, 6] + [1] * 36, (0.5, 0.2, 0.1)),
    ([60, 20, 12] + [1] * 28, (0.1, 0.2, 0.7)),
    ([80] + [1] * 20, (0.1, 0.1, 0.8))])
def test_large_groups(make_place, demo, sizes, shares):
    """They are shared out so that each part has its size where that can be."""
    texts = iter(dict.fromkeys(m["text"] for r in demo.first for m in json.loads(r)["messages"]
                               if m["from"] == "user"))
    raws = [raw(conversation("int_%d" % k, messages=[
        {"from": who, "text": next(texts) if who == "user" else "Yes"}
        for _ in range(size) for who in ("user", "bot")])) for k, size in enumerate(sizes)]
    place, summary = run_split(make_place, raws, {"threshold": 1}, threshold=1,
                               **dict(zip(PARTS, shares)))
    n = summary["turns"]["kept"]
    assert n >= 0.97 * sum(sizes) and summary["split"]["groups"] == len(sizes)
    for name, share in zip(PARTS, shares):
        assert abs(summary["split"][name] / n - share) <= 0.02 + 1e-9, summary["split"]
    assert "warning" not in place.run("export", status=0).err
    place.run("verify", status=0)


def test_groups_that_do_not_allow_it(make_place, demo):
    """One group of nearly all goes to train, and it is said."""
    place, summary = run_split(make_place, demo.first[:100], threshold=0.05)
    result = place.run("export", status=0)
    assert "split: train has" in result.err and "largest" in result.err
    assert summary["split"]["largest_group"] > 0.9 * summary["turns"]["kept"]
    assert summary["split"]["train"] >= summary["split"]["largest_group"]


def test_chat_files_and_no_splits(make_place, few):
    place = make_place(few).configure(export={"train": "train.jsonl"})
    place.run("run", status=0)
    assert all(list(line) == ["messages"] for line in lines(place, "train.jsonl"))
    place.configure(export={"train": "", "jsonl": "all.jsonl"})
    assert "split" not in place.json("export")
    assert all("split" not in row for row in lines(place, "all.jsonl"))


def test_shares_over_one(make_place, few):
    """Named with its line; nothing is written."""
    place = make_place(few)
    place.run("sync", status=0)
    (place.dir / "tamis.ini").write_text(
        "[export]\ncsv = out.csv\ntrain = t.jsonl\n[split]\ntrain = 0.9\n; more\nvalid = 0.2\n")
    check_fails(place.run("export"), 2, "line 7", "split", "1.2", "more than 1")
    (place.dir / "tamis.ini").write_text("[split]\ntrain = 1.5\n")
    check_fails(place.run("export"), 2, "line 2", "split.train")
    (place.dir / "tamis.ini").write_text("[export]\ntrain = t.jsonl\n")
    check_fails(place.run("export", "--set", "split.train=0.95"), 2, "split", "more than 1")
    assert "out.csv" not in place.names() and "t.jsonl" not in place.names()
