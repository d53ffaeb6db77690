"""`tamis verify`: a clean export is never accused, a corrupted one always is."""

import csv
import gzip
import io
import json
import random

import oracle
import pytest
from conftest import check_fails
from desk import corpus

# --- clean exports -------------------------------------------------------------------------------

@pytest.mark.parametrize("seed, keep, domain, threshold", [
    (0, "newest", "all", 0.85), (1, "oldest", "all", 0.6), (2, "best-rated", "bot", 0.85),
    (3, "newest", "bot", 0.95), (4, "best-rated", "all", 1), (5, "oldest", "bot", 0.5)])
def test_clean_exports(desk, demo, expected, seed, keep, domain, threshold):
    """Nobody is accused, the figures are those of the double loop, on any number of threads."""
    raws = corpus(seed, demo)
    here = desk(raws, dedup={"keep": keep, "domain": domain, "threshold": threshold},
                export={"csv": "out.csv", "removed": "removed.jsonl", "jsonl": "out.jsonl"})
    found = here.check_clean("--threads", 1 + seed % 3)
    outcome = expected(raws, keep=keep, domain=domain, threshold=threshold)
    if threshold < 1:
        assert here.files["out.csv"] == outcome.csv
        assert found["kept"] == len(outcome.kept)
        assert found["removed"] == len(outcome.turns) - len(outcome.kept)
        assert found["ledger_entries"] == len(outcome.ledger)
        pairs = [(outcome.similarity(a["user_utterance"], b["user_utterance"]), j, i)
                 for j, b in enumerate(outcome.kept) for i, a in enumerate(outcome.kept[:j])
                 if domain == "all" or a["bot_id"] == b["bot_id"]]
        best = max(pairs, key=lambda pair: (pair[0], -pair[1], -pair[2]))
        closest = found["closest_kept_pair"]
        assert closest["score"] == round(best[0], 6)
        assert (closest["row"], closest["kept_row"]) == best[1:]
        assert closest["user_utterance"] == outcome.kept[best[1]]["user_utterance"]
    here.run("verify", "--set", "export.removed=", cwd=here.dir, status=0)
    here.run("verify", "--set", "export.csv=", cwd=here.dir, status=0)


def test_in_plain_loops(desk, demo, tmp_path):
    here = desk(corpus(7, demo, 20))
    assert here.run("verify", cwd=tmp_path, env={"TAMIS_ISA": "scalar"}, status=0).out


def test_text_for_people(desk, demo, tmp_path):
    here = desk(demo.first[:40])
    result = here.run("verify", cwd=tmp_path, status=0)
    assert not result.err and "0 pairs" in result.text and "the closest rows: " in result.text
    assert here.run("verify", "--quiet", cwd=tmp_path, status=0).out == b""


# --- corruptions ---------------------------------------------------------------------------------

def rows(data):
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def written(table):
    out = io.StringIO(newline="")
    csv.writer(out).writerows(table)
    return out.getvalue().encode()


def numbered(table):
    return table[:1] + [row[:7] + [str(k)] for k, row in enumerate(table[1:])]


def other_text(chosen, text):
    at = chosen.randrange(len(text))
    return text[:at] + chosen.choice([c for c in "abcXYZ .é,\"\n" if c != text[at]]) + text[at + 1:]


def change_field(chosen, here):
    """One character of one field."""
    table = rows(here.files["out.csv"])
    row, column = chosen.randrange(1, len(table)), chosen.randrange(6)
    table[row][column] = other_text(chosen, table[row][column])
    return {"csv": written(table)}


def change_group(chosen, here):
    table = rows(here.files["out.csv"])
    row = chosen.choice(table[1:])
    row[7] = str(int(row[7]) + chosen.choice([-1, 1, 10]))
    return {"csv": written(table)}


def change_similarity(chosen, here):
    table = rows(here.files["out.csv"])
    chosen.choice(table[1:])[6] = chosen.choice(["1", "1.00", "0.99", ""])
    return {"csv": written(table)}


def swap_rows(chosen, here):
    """Their numbers set right again."""
    table = rows(here.files["out.csv"])
    a, b = sorted(chosen.sample(range(1, len(table)), 2))
    table[a], table[b] = table[b], table[a]
    return {"csv": written(numbered(table))}


def leave_row_out(chosen, here):
    table = rows(here.files["out.csv"])
    del table[chosen.randrange(1, len(table))]
    return {"csv": written(numbered(table))}


def double_row(chosen, here):
    table = rows(here.files["out.csv"])
    k = chosen.randrange(1, len(table))
    table.insert(k, table[k])
    return {"csv": written(numbered(table))}


def invent_row(chosen, here):
    table = rows(here.files["out.csv"])
    row = list(chosen.choice(table[1:]))
    row[0], row[4] = "int_new", "words that nobody said"
    table.insert(chosen.randrange(1, len(table) + 1), row)
    return {"csv": written(numbered(table))}


def promote(chosen, here):
    """A removed turn becomes a row in its place, and its entry goes: only its cosine tells."""
    ledger = [json.loads(line) for line in here.files["removed.jsonl"].splitlines()]
    entry = chosen.choice([e for e in ledger if e["rule"] == "duplicate"])
    turns = here.outcome.turns
    kept = {id(turn) for turn in here.outcome.kept}
    mine = next(t for t in turns if (t["interaction_id"], t["turn"]) ==
                (entry["interaction_id"], entry["turn"]))
    kept.add(id(mine))
    lines = [line for line, e in zip(here.files["removed.jsonl"].splitlines(True), ledger)
             if e is not entry]
    return {"csv": oracle.csv_bytes([t for t in turns if id(t) in kept]),
            "removed": b"".join(lines)}


def demote(chosen, here):
    """A row goes into the ledger, as if the nearest row before it covered it."""
    kept = here.outcome.kept
    k = chosen.randrange(1, len(kept))
    score, near = max((here.outcome.similarity(kept[k]["user_utterance"], t["user_utterance"]), -i)
                      for i, t in enumerate(kept[:k]))
    entry = {"interaction_id": kept[k]["interaction_id"], "turn": kept[k]["turn"],
             "rule": "duplicate", "kept_interaction_id": kept[-near]["interaction_id"],
             "kept_turn": kept[-near]["turn"], "score": round(score, 6)}
    ledger = [json.loads(line) for line in here.files["removed.jsonl"].splitlines()] + [entry]
    ledger.sort(key=lambda e: (e["interaction_id"].encode(), e["turn"] or 0))
    return {"csv": oracle.csv_bytes(kept[:k] + kept[k + 1:]), "removed": ledger_bytes(ledger)}


def ledger_bytes(ledger):
    return b"".join((json.dumps(e, ensure_ascii=False).replace(
        '"score": %r' % e.get("score"), '"score": %.6f' % e.get("score", 0)) + "\n").encode()
        for e in ledger)


def change_entry(chosen, here):
    """A score, a rule, a kept turn, a turn, an id."""
    ledger = [json.loads(line) for line in here.files["removed.jsonl"].splitlines()]
    name = chosen.choice(["score", "rule", "kept_turn", "kept_interaction_id", "turn",
                          "interaction_id"])
    entry = chosen.choice([e for e in ledger if name in e and e[name] is not None])
    before = dict(entry)
    while entry == before:
        if name == "score":
            entry["score"] = round(entry["score"] + chosen.choice([-1e-6, 1e-6, 0.01]), 6)
        elif name == "rule":
            entry["rule"] = chosen.choice(["unrated", "rating-below-minimum", "no-turns",
                                           "bot-not-selected", "duplicate", "kept", ""])
        elif name in ("turn", "kept_turn"):
            entry[name] += chosen.choice([-1, 1, 100])
        else:
            entry[name] = chosen.choice(here.outcome.turns)["interaction_id"]
    return {"removed": ledger_bytes(ledger)}


def shuffle_entries(chosen, here):
    """One left out, doubled or moved."""
    lines = here.files["removed.jsonl"].splitlines(True)
    k = chosen.randrange(len(lines))
    line = lines.pop(k)
    how = chosen.randrange(3)
    if how == 1:
        lines[k:k] = [line, line]
    elif how == 2:
        lines.insert(chosen.choice([i for i in range(len(lines) + 1) if i != k]), line)
    return {"removed": b"".join(lines)}


def damage(chosen, here):
    """A byte changed, taken away or put in, or the end of a file cut off."""
    name = chosen.choice(["csv", "removed"])
    data = here.files["out.csv" if name == "csv" else "removed.jsonl"]
    at, byte = chosen.randrange(len(data)), bytes([chosen.randrange(256)])
    how = chosen.randrange(4)
    if how == 0 and data[at:at + 1] != byte:
        return {name: data[:at] + byte + data[at + 1:]}
    if how == 1:
        return {name: data[:at] + byte + data[at:]}
    return {name: data[:at] if how == 2 else data[:at] + data[at + 1:]}


CORRUPTIONS = [change_field, change_group, change_similarity, swap_rows, leave_row_out, double_row,
               invent_row, promote, demote, change_entry, change_entry, shuffle_entries, damage,
               damage]


@pytest.mark.parametrize("seed, keep, domain", [(0, "newest", "all"), (1, "best-rated", "bot")])
def test_each_of_a_hundred_corruptions_is_found(desk, demo, expected, seed, keep, domain):
    chosen = random.Random(seed)
    raws = corpus(seed, demo, 50)
    here = desk(raws, dedup={"keep": keep, "domain": domain})
    here.outcome = expected(raws, keep=keep, domain=domain)
    assert here.files["out.csv"] == here.outcome.csv
    assert here.files["removed.jsonl"] == ledger_bytes(here.outcome.ledger), \
        "ledger_bytes of this test does not write as the program does"
    here.check_clean()
    for k in range(50):
        change = CORRUPTIONS[k % len(CORRUPTIONS)]
        files = change(chosen, here)
        found = here.check_found(**files)
        if change in (promote, demote):
            kind = "separation" if change is promote else "coverage"
            assert domain == "bot" or found["violations"][kind], (change, found)


def test_without_a_ledger(desk, demo, expected):
    """Coverage holds for every turn of the store, so a row that lacks is missed all the same."""
    chosen = random.Random(3)
    raws = corpus(3, demo, 40)
    here = desk(raws, export={"csv": "out.csv"})
    here.outcome = expected(raws)
    here.check_clean()
    for change in (leave_row_out, double_row, invent_row, change_field, swap_rows):
        here.check_found(**change(chosen, here))
    found = here.check_found(**leave_row_out(chosen, here))
    assert found["violations"]["coverage"] and not found["violations"]["file"]


def test_the_other_file_of_rows(desk, demo):
    here = desk(demo.first[:40], export={"csv": "out.csv", "jsonl": "out.jsonl"})
    lines = here.files["out.jsonl"].splitlines(True)
    here.check_clean()
    first = json.loads(lines[0])
    for change in ({"user_utterance": "another"}, {"rating": 1}, {"dedup_group": 1},
                   {"similarity_score": 0.5}, {"bot_response": None}):
        line = json.dumps({**first, **change}).encode() + b"\n"
        here.check_found(jsonl=line + b"".join(lines[1:]))
    here.check_found(jsonl=b"".join(lines[1:]))
    here.check_found(jsonl=b"".join(lines[:-1]))
    here.check_found(jsonl=b"".join(lines)[:-1])
    here.check_found(jsonl=b"".join(lines + lines[-1:]))


def test_packed_files(desk, demo):
    """What is read elsewhere as well packed as plain, is not what was exported."""
    here = desk(demo.first[:40], export={"csv": "out.csv", "jsonl": "out.jsonl",
                                         "removed": "removed.jsonl"})
    for short, name in (("removed", "removed.jsonl"), ("jsonl", "out.jsonl"), ("csv", "out.csv")):
        here.check_found(**{short: gzip.compress(here.files[name])})


def test_violations_are_named(desk, tmp_path):
    """Two near rows, and a turn that nothing covers, as a person and a program read them."""
    here = desk([said(1, "where is my card"), said(2, "Where is my card"), said(3, "no\x07thing")])
    table = rows(here.files["out.csv"])
    assert [row[0] for row in table[1:]] == ["int_1", "int_3"]
    extra = ["int_2", "2026-01-18T00:00:00Z", "b", "5", "Where is my card", "ok", "1.0", "1"]
    found = here.check_found(csv=written(numbered(table[:2] + [extra] + table[2:])), removed=b"")
    assert found["separation_violations"] == [{
        "score": 1.0, "row": 1, "line": 3, "interaction_id": "int_2", "turn": 0,
        "user_utterance": "Where is my card", "kept_row": 0, "kept_line": 2,
        "kept_interaction_id": "int_1", "kept_turn": 0,
        "kept_user_utterance": "where is my card"}]
    found = here.check_found(csv=written(numbered(table[:2])))
    (missing,) = found["coverage_violations"]
    assert missing["interaction_id"] == "int_3" and missing["kept_interaction_id"] == "int_1"
    text = here.run("verify", cwd=tmp_path, status=5).text
    assert "int_3" in text and "int_1" in text and '"no thing"' in text and "\x07" not in text
    assert "int_3" in here.run("verify", "--quiet", cwd=tmp_path, status=5).text
    found = here.check_found(csv=written(table[:1]))
    assert {"interaction_id": "int_1", "turn": 0, "user_utterance": "where is my card",
            "score": None} in found["coverage_violations"]


def said(k, text):
    return json.dumps({"id": "int_%d" % k, "timestamp": "2026-01-%02dT00:00:00Z" % (20 - k),
                       "botId": "b", "rating": 5, "messages": [
                           {"from": "user", "text": text}, {"from": "bot", "text": "ok"}]}).encode()


def test_pinned_rows(desk, tmp_path):
    """Near each other and yet right; missed when one is made a duplicate of the other."""
    (tmp_path / "pins").write_text("keep int_2\nkeep int_3\n")
    here = desk([said(1, "where is my card"), said(2, "Where is my card"),
                 said(3, "where IS my card"), said(4, "a thing of another kind")],
                dedup={"pins": "pins"})
    here.check_clean()
    table = rows(here.files["out.csv"])
    assert [row[0] for row in table[1:]] == ["int_2", "int_3", "int_4"]
    entry = (b'{"interaction_id": "int_3", "turn": 0, "rule": "duplicate", "kept_interaction_id": '
             b'"int_2", "kept_turn": 0, "score": 1.000000}\n')
    found = here.check_found(csv=written(numbered(table[:2] + table[3:])),
                             removed=here.files["removed.jsonl"] + entry)
    assert found["violations"] == {"separation": 0, "coverage": 0, "file": 1, "split": 0}
    assert "pinned" in found["file_violations"][0]["what"]


def test_redacted_rows(desk, demo):
    """What is compared is what was exported: the texts after redaction."""
    texts = ["my mail is %s@example.org", "my mail: %s@example.org", "%s@example.org", "ok %s"]
    here = desk([said(k, texts[k % 4] % ("name%d" % k)) for k in range(12)],
                redact={"rules": "email"})
    assert b"@example.org" not in here.files["out.csv"] and here.check_clean()["kept"]
    here.check_found("--set", "redact.rules=")


def test_store_moved_on(desk, demo, tmp_path):
    """What came in after the export is missed in it; another export sets it right."""
    here = desk(demo.first[:30])
    (tmp_path / "more.jsonl").write_bytes(b"\n".join(demo.first[30:60]) + b"\n")
    here.run("import", "more.jsonl", cwd=tmp_path, status=0)
    here.check_found()
    here.export()
    here.check_clean()
    here.check_found("--set", "filter.min_rating=5")
    here.check_found("--set", "dedup.keep=oldest")


def test_files_of_rows_that_are_no_more(desk, demo):
    """With no row an export leaves them alone; so what is said to do is another thing."""
    here = desk(demo.first[:10], export={"csv": "out.csv", "removed": "removed.jsonl",
                                         "train": "train.jsonl", "chat": "chat.jsonl"})
    nothing = ["--set", "filter.min_rating=9"]
    here.run("export", *nothing, cwd=here.dir, status=0)
    result = here.run("verify", *nothing, cwd=here.dir, status=5)
    assert "remove" in result.lines[-1], result
    for name in ("out.csv", "train.jsonl", "chat.jsonl"):
        (here.dir / name).unlink()
    here.run("export", *nothing, cwd=here.dir, status=0)
    here.run("verify", *nothing, cwd=here.dir, status=0)


def test_what_cannot_be_verified(desk, demo, tmp_path):
    here = desk(demo.first[:10])

    def check(status, words, *args, **options):
        check_fails(here.run("verify", *args, cwd=tmp_path, **options), status, *words)
    check(2, ["export.csv"], "--set", "export.csv=")
    check(1, ["none.csv", "tamis export"], "--set", "export.csv=none.csv")
    check(1, ["none.jsonl"], "--set", "export.removed=none.jsonl")
    check(1, ["none.db"], "--set", "store.url=none.db")
    check(1, ["none"], "--set", "embed.model=none")
    check(2, ["too much"], "out.csv")
    here.verify(csv=b"")
    assert here.run("verify", cwd=tmp_path).status == 5


def test_an_empty_store(tmp_path, run, small):
    (tmp_path / "in.jsonl").write_bytes(b'{"id": "a", "timestamp": "2026-01-01T00:00:00Z"}\n')
    run("import", "in.jsonl", status=0)
    run("export", "--set", "export.removed=removed.jsonl", status=0)
    found = run("verify", "--json", "--set", "export.removed=removed.jsonl", status=0).json()
    assert (found["kept"], found["removed"], found["ledger_entries"]) == (0, 0, 1)
    assert found["closest_kept_pair"] is None
