"""The CSV of the reference script, byte for byte, for every corpus of ../shared/reference.

Where float noise can decide (pairs within 2e-6 of the threshold, listed in csv.jsonl), the
rule is tamis's own arithmetic: then what differs from the reference must follow from those
pairs, and from nothing else.  `replay` computes that: it begins with the rows that the
reference kept and decides anew only what a listed pair, or a row decided otherwise before it,
can change.
"""

import gzip
import heapq
import json

import oracle
import pytest
import records

THRESHOLD = 0.85
CORPORA = ["taskmaster4", "chatterbot-multilingual",
           pytest.param("topical-chat", marks=pytest.mark.slow),
           "banking77-SYNTHETIC-ratings", "clinc150-SYNTHETIC-ratings",
           pytest.param("sgd-SYNTHETIC-ratings", marks=pytest.mark.slow)]


def facts_of(shared, corpus):
    with (shared / "reference" / "csv.jsonl").open(encoding="utf-8") as f:
        facts = {row["corpus"]: row for row in map(json.loads, f)}
    assert set(facts) == {getattr(c, "values", [c])[0] for c in CORPORA}
    return facts[corpus]


def rows_kept(shared, corpus, turns):
    """The row numbers that the reference kept."""
    place = {(t["interaction_id"], t["turn"]): row for row, t in enumerate(turns)}
    path = shared / "reference" / (corpus + ".kept.tsv.gz")
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as f:
        pairs = [line.rstrip("\n").split("\t") for line in f]
    return [place[id, int(turn)] for id, turn in pairs]


def replay(n_rows, kept, ties, cosine, threshold=THRESHOLD):
    """The rows that greedy keeps if it agrees with `kept` on all pairs but `ties`.

    kept: rows that the reference kept; ties: (earlier row, later row) whose cosine may be
    decided otherwise; cosine(row, row).  Rows are taken in order; one needs a new decision
    only if it is the later of a tie or near an earlier row that is decided otherwise."""
    now, changed = set(kept), {}
    todo = sorted({later for _, later in ties})
    done = set()
    while todo:
        row = heapq.heappop(todo)
        if row in done:
            continue
        done.add(row)
        keep = not any(cosine(other, row) >= threshold for other in now if other < row)
        if keep == (row in now):
            continue
        changed[row] = keep
        (now.add if keep else now.remove)(row)
        for later in range(row + 1, n_rows):
            if later not in done and cosine(row, later) >= threshold:
                heapq.heappush(todo, later)
    return sorted(now), changed


def test_replay_follows_a_tie():
    """The proof itself, on a line of points where near means at most 2 apart."""
    points = [0, 2, 4, 7, 9, 20]

    def near(a, b):
        return 1.0 if abs(points[a] - points[b]) <= 2 else 0.0

    def without_tie(a, b):
        return 0.0 if {a, b} == {0, 1} else near(a, b)

    def greedy(similar):
        kept = []
        for row in range(len(points)):
            if not any(similar(other, row) >= THRESHOLD for other in kept):
                kept.append(row)
        return kept

    theirs = greedy(without_tie)
    assert theirs == [0, 1, 3, 5] and greedy(near) == [0, 2, 3, 5]
    assert replay(6, theirs, [(0, 1)], near) == ([0, 2, 3, 5], {1: False, 2: True})
    assert replay(6, greedy(near), [], near) == (greedy(near), {})


class Cosine:
    """Cosines of rows by the vectors that `tamis embed` gives."""

    def __init__(self, run, turns):
        texts = [t["user_utterance"] for t in turns]
        distinct = list(dict.fromkeys(texts))
        lines = "".join(json.dumps({"text": t}) + "\n" for t in distinct).encode()
        vectors = oracle.vectors(run("embed", "--jsonl", input=lines, status=0).out)
        place = {text: k for k, text in enumerate(distinct)}
        self.of = [place[text] for text in texts]
        self.vectors, self.known = vectors, {}

    def __call__(self, a, b):
        a, b = sorted((self.of[a], self.of[b]))
        if (a, b) not in self.known:
            self.known[a, b] = oracle.cosine(self.vectors[a], self.vectors[b])
        return self.known[a, b]


def explain_difference(run, facts, turns, kept, ours):
    """Fails unless our CSV is what the listed ties make of the reference's."""
    ties = [(tie["kept_row"], tie["row"]) for tie in facts["ties_within_2e-6"]]
    first = next(k for k, (a, b) in enumerate(zip(
        ours.split(b"\r\n"), oracle.csv_bytes([turns[row] for row in kept]).split(b"\r\n") +
        [b"(no line)"])) if a != b)
    assert ties, "the CSV differs from line %d on, and no pair is near enough to blame: %r" % (
        first + 1, ours.split(b"\r\n")[first])
    cosine = Cosine(run, turns)
    for (a, b), tie in zip(ties, facts["ties_within_2e-6"]):
        assert abs(cosine(a, b) - tie["cosine"]) <= 2e-6, tie
    rows, changed = replay(len(turns), kept, ties, cosine)
    assert ours == oracle.csv_bytes([turns[row] for row in rows]), \
        "the listed ties change %r, which is not how the CSV differs" % changed
    print("%d rows decided otherwise, all by listed ties: %r" % (len(changed), changed))


@pytest.mark.parametrize("corpus", CORPORA)
def test_csv_of_the_reference(make_place, run, shared, corpus):
    facts = facts_of(shared, corpus)
    raws = records.read_lines(shared / "data" / (corpus + ".jsonl.gz"))
    if facts["rating_given_to_all"] is not None:
        raws = [records.with_rating(raw, facts["rating_given_to_all"]) for raw in raws]
    place = make_place(raws, model="").configure(source={"page_size": 1000},
                                       filter={"min_rating": facts["min_rating"]})
    summary = place.json("run", timeout=3600)
    ours = place.read()
    assert summary["turns"]["rated"] == facts["turns"]
    assert summary["turns"]["distinct_texts"] == facts["distinct_texts"]
    assert summary["interactions"]["stored"] == len(raws)
    assert summary["export"]["csv"]["sha256"] == oracle.sha256(ours)
    assert summary["export"]["csv"]["rows"] == len(oracle.rows_of(ours))
    if oracle.sha256(ours) == facts["csv_sha256"]:
        assert len(ours) == facts["csv_bytes"] and summary["turns"]["kept"] == facts["kept"]
        return
    turns, _ = oracle.turns_of(oracle.parse(raws), facts["min_rating"])
    explain_difference(run, facts, turns, rows_kept(shared, corpus, turns), ours)
