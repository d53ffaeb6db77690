"""`tamis verify` on the other files: parts of a split, chat, JSON lines, more columns."""

import csv
import io
import json
import math
import random

import pytest
from desk import NAMES, corpus

PARTS = ["train", "valid", "test"]
MORE = ["conversation_turn", "duplicates", "first_seen", "last_seen", "mean_rating", "source"]
FILES = {short: NAMES[short] for short in ("csv", "removed", "jsonl", "chat", *PARTS)}


def make(desk, raws, files=FILES, **keys):
    return desk(raws, export={"csv": "", **files, "columns": "all"}, **keys)


def chat_line(row):
    return (json.dumps({"messages": [{"role": "user", "content": row["user_utterance"]},
                                     {"role": "assistant", "content": row["bot_response"]}]},
                       ensure_ascii=False) + "\n").encode()


def lines(here, short):
    return here.files[NAMES[short]].splitlines(True)


def table(here):
    return list(csv.reader(io.StringIO(here.files["out.csv"].decode(), newline="")))


def written(rows):
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


@pytest.mark.parametrize("seed, dedup, split", [
    (0, {}, {}),
    (1, {"domain": "bot", "keep": "oldest"}, {"threshold": 0.95, "format": "jsonl"}),
    (2, {"domain": "bot", "threshold": 0.99}, {"threshold": 1, "train": 0.5, "valid": 0.2}),
    (3, {"threshold": 1, "keep": "best-rated"}, {"threshold": 0.99, "format": "jsonl",
                                                 "train": 0.4, "valid": 0.4})])
def test_clean_files(desk, demo, seed, dedup, split):
    """Nobody is accused: equal lines, hostile texts, rows of no part, files left out."""
    here = make(desk, corpus(seed, demo), dedup=dedup, split=split)
    found = here.check_clean("--threads", 1 + seed % 3)
    assert found["split_violations"] == [] and found["kept"] > 10
    for left_out in (["csv"], ["jsonl", "train"], ["valid", "test", "chat"], PARTS):
        args = [arg for name in left_out for arg in ("--set", "export.%s=" % name)]
        here.run("export", *args, cwd=here.dir, status=0)
        here.run("verify", *args, cwd=here.dir, status=0)


def chosen_rows(chosen, here):
    rows = table(here)
    return rows, chosen.randrange(1, len(rows))


def change_column(chosen, here):
    rows, k = chosen_rows(chosen, here)
    column = 8 + chosen.randrange(6)
    rows[k][column] = chosen.choice(["0.5", "", rows[k][column] + "0", "-1"])
    return {"csv": written(rows)}


def change_head(chosen, here):
    """Another name; a column too few; none of them."""
    rows, _ = chosen_rows(chosen, here)
    how = chosen.randrange(3)
    if how == 0:
        rows[0][8 + chosen.randrange(6)] += "s"
    return {"csv": written(rows if how == 0 else [row[:13 if how == 1 else 8] for row in rows])}


def change_member(chosen, here):
    """Of a JSON line, what the CSV's eight columns do not say, its order, or its spelling."""
    all_lines = lines(here, "jsonl")
    k = chosen.randrange(len(all_lines))
    line = json.loads(all_lines[k])
    name = chosen.choice([*MORE, "split", "more", None])
    if name is None:
        all_lines[k] = all_lines[k].replace(b", ", b",", 1)
    else:
        line[name] = {"split": "none", "first_seen": "2026-01-01"}.get(name, -1)
        all_lines[k] = (json.dumps(line, ensure_ascii=False) + "\n").encode()
    return {"jsonl": b"".join(all_lines)}


def change_line(chosen, here, short):
    """Another text, a line gone, doubled, moved, spelled otherwise, cut short."""
    mine = lines(here, short)
    k, how = chosen.randrange(len(mine)), chosen.randrange(6)
    line = mine.pop(k)
    if how == 0:
        mine.insert(k, line.replace(b'": "', b'": "x', 1))
    elif how == 1:
        mine[k:k] = [line, line]
    elif how == 2 and mine:
        mine.insert(chosen.choice([i for i in range(len(mine) + 1) if i != k]), line)
    elif how == 3:
        mine.insert(k, line.replace(b'": ', b'":', 1))
    elif how == 4:
        mine.insert(k, line)
        return {short: b"".join(mine)[:-1 - chosen.randrange(3)]}
    return {short: b"".join(mine)}


def change_chat(chosen, here):
    return change_line(chosen, here, "chat")


def change_part(chosen, here):
    return change_line(chosen, here, chosen.choice([p for p in PARTS if lines(here, p)]))


def double_part(chosen, here):
    """A row of one part in another one too."""
    a, b = chosen.sample([p for p in PARTS if lines(here, p)], 2)
    return {a: here.files[NAMES[a]] + chosen.choice(lines(here, b))}


def swap_files(chosen, here):
    a, b = chosen.sample([p for p in PARTS if lines(here, p)], 2)
    return {a: here.files[NAMES[b]], b: here.files[NAMES[a]]}


CORRUPTIONS = [change_column, change_head, change_member, change_chat, change_part, double_part,
               swap_files]


@pytest.mark.parametrize("seed, shape", [(0, "chat"), (1, "jsonl")])
def test_each_corruption_is_found(desk, demo, seed, shape):
    chosen = random.Random(seed)
    here = make(desk, demo.first[:45], split={"format": shape, "threshold": 0.95, "train": 0.5,
                                              "valid": 0.3, "test": 0.2})
    here.check_clean()
    for k in range(21):
        found = here.check_found(**CORRUPTIONS[k % len(CORRUPTIONS)](chosen, here))
        assert found["violations"]["file"] or found["violations"]["split"], found
        assert not found["violations"]["separation"] and not found["violations"]["coverage"]


def parts_written(rows, parts):
    """The files of the parts as `parts` ([name of each row]) would have them."""
    return {p: b"".join(chat_line(row) for row, part in zip(rows, parts) if part == p)
            for p in PARTS}


def cut(rows, parts, similar, threshold):
    """{(row, other part): score, None for one interaction}: the double loop."""
    out, first = {}, {}
    for k, row in enumerate(sorted(rows, key=lambda r: (r["interaction_id"].encode(), r["turn"]))):
        other = first.setdefault(row["interaction_id"], row)
        if parts[id(other)] != parts[id(row)]:
            out[rows.index(row), parts[id(other)], None] = None
    names = [*PARTS, "none"]
    mine = {name: [row for row in rows if parts[id(row)] == name] for name in names}
    for i, a in enumerate(names):
        for b in names[i + 1:]:
            small, large = (a, b) if len(mine[a]) < len(mine[b]) else (b, a)
            for row in mine[large]:
                best = max((similar(row["user_utterance"], other["user_utterance"])
                            for other in mine[small]), default=-2)
                if best >= threshold:
                    out[rows.index(row), small, "near"] = round(best, 6)
    return out


@pytest.mark.parametrize("seed", range(2))
def test_cuts_are_those_of_the_double_loop(desk, demo, expected, seed):
    """Files that agree in everything else, parted at random: each cut is named, nothing else."""
    chosen = random.Random(seed)
    raws = demo.first[seed * 70:seed * 70 + 70]
    rows = expected(raws).kept
    here = make(desk, raws, {"csv": "out.csv", **{p: NAMES[p] for p in PARTS}}, split={
        "train": 0.6, "valid": 0.2, "test": 0.1})
    here.check_clean()
    similar = expected(raws).similarity
    for _ in range(4):
        parts = chosen.choices([*PARTS, "none"], [4, 2, 1, 1], k=len(rows))
        threshold = chosen.choice([0.6, 0.7, 0.8])
        found = here.check_found("--set", "split.threshold=%r" % threshold,
                                 **parts_written(rows, parts))
        want = cut(rows, {id(row): part for row, part in zip(rows, parts)}, similar, threshold)
        got = {(c["row"], c["other_split"], None if c["score"] is None else "near"): c["score"]
               for c in found["split_violations"]}
        assert got == want and any(want.values()) and None in want.values()
        assert found["violations"]["split"] == len(found["split_violations"]) == len(got)
        assert not found["violations"]["file"]
        for c in found["split_violations"]:
            assert parts[c["row"]] == c["split"] and parts[c["other_row"]] == c["other_split"]
            assert rows[c["row"]]["user_utterance"] == c["user_utterance"]


def test_the_threshold_to_the_last_bit(desk, expected):
    """Two rows just as near as the threshold are cut; one bit above they may be apart."""
    raws = [said(1, "where is my card"), said(2, "no thing of that kind")]
    rows = expected(raws).kept
    near = expected(raws).similarity(*(row["user_utterance"] for row in rows))
    here = make(desk, raws, {p: NAMES[p] for p in ("csv", *PARTS)})
    files = parts_written(rows, ["train", "test"])
    found = here.check_found("--set", "split.threshold=%r" % near, **files)
    assert found["violations"] == {"separation": 0, "coverage": 0, "file": 0, "split": 1}
    (only,) = found["split_violations"]
    assert only["score"] == round(near, 6) and {only["row"], only["other_row"]} == {0, 1}
    text = here.run("verify", "--set", "split.threshold=%r" % near, cwd=here.dir, status=5).text
    assert "splits: 1 " in text and "is in " in text and "%.6f" % near in text
    here.verify("--set", "split.threshold=%r" % math.nextafter(near, 2), **files)
    here.run("verify", "--set", "split.threshold=%r" % math.nextafter(near, 2), cwd=here.dir,
             status=0)


def said(k, text):
    return json.dumps({"id": "int_%d" % k, "timestamp": "2026-01-%02dT00:00:00Z" % (20 - k),
                       "botId": "b", "rating": 5, "messages": [
                           {"from": "user", "text": text}, {"from": "bot", "text": "ok"}]}).encode()


def test_what_a_row_says_of_its_part(desk, demo):
    """With one file of a part, the JSON lines tell of the others, and are believed no further."""
    here = make(desk, demo.first[:60], {p: NAMES[p] for p in ("csv", "jsonl", "test")},
                split={"threshold": 0.95, "train": 0.5, "valid": 0.3, "test": 0.2})
    here.check_clean()
    text = here.files["out.jsonl"]
    for a, b in (("train", "test"), ("test", "valid"), ("test", "none")):
        found = here.check_found(jsonl=text.replace(b'"split": "%s"' % a.encode(),
                                                    b'"split": "%s"' % b.encode(), 1))
        assert "says that it is in %s" % b in found["file_violations"][0]["what"]
    rows = [json.loads(line) for line in text.splitlines()]
    first = next(k for k, row in enumerate(rows) if row["split"] == "train" and any(
        row["interaction_id"] == r["interaction_id"] and r is not row for r in rows))
    changed = text.splitlines(True)
    changed[first] = changed[first].replace(b'"split": "train"', b'"split": "valid"')
    found = here.check_found(jsonl=b"".join(changed))
    assert found["violations"]["split"] and not found["violations"]["file"]


def test_a_file_that_is_not_there(desk, demo):
    here = make(desk, demo.first[:10])
    for short in ("chat", *PARTS):
        (here.dir / NAMES[short]).unlink()
        result = here.run("verify", cwd=here.dir)
        assert result.status == 1 and NAMES[short] in result.err and "tamis export" in result.err
        (here.dir / NAMES[short]).write_bytes(here.files[NAMES[short]])


def test_small_differences(desk, demo):
    """Neighbours swapped, a part that its own lines deny, a column that was not asked for."""
    here = make(desk, demo.first[:30], split={"format": "jsonl"})
    for short in ("chat", "train"):
        mine = lines(here, short)
        found = here.check_found(**{short: b"".join([mine[1], mine[0], *mine[2:]])})
        assert "later in order" in found["file_violations"][0]["what"]
        assert found["violations"] == {"separation": 0, "coverage": 0, "file": 1, "split": 0}
    data = here.files["train.jsonl"].replace(b'"split": "train"', b'"split": "test"', 1)
    found = here.check_found(train=data)
    assert found["violations"]["file"] == 1 and "test" in found["file_violations"][0]["what"]
    found = here.check_found("--set", "export.columns=reference")
    assert found["violations"]["file"] == 1 and found["file_violations"][0]["line"] == 1


def test_equal_instants(desk):
    """First and last seen are those of the first in order; their spelling tells which."""
    raws = [said(1, "where is my card").replace(b"2026-01-19T00:00:00Z", stamp).replace(
        b"int_1", b"int_%d" % k) for k, stamp in enumerate([
            b"2026-01-19T00:00:00Z", b"2026-01-19T01:00:00+01:00", b"2026-01-19T00:00:00.0Z"])]
    here = make(desk, raws)
    assert here.check_clean()["kept"] == 1
    assert table(here)[1][10:12] == ["2026-01-19T00:00:00Z"] * 2
