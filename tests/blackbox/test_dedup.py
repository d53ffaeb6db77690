"""`tamis dedup`: JSON lines or vectors in, the kept ones out, against the plain double loop."""

import array
import gzip
import json
import math
import random

import oracle
import pytest
import records
from conftest import check_fails


@pytest.fixture
def dedup(run, small):
    """dedup(input, *args) with the small model; the figures must not be on stdout."""
    def call(input, *args, **options):
        options.setdefault("status", 0)
        return run("--set", "embed.model=%s" % small, "dedup", *args, input=input, **options)
    return call


@pytest.fixture(scope="session")
def similar(run_anywhere, small):
    return oracle.Similarity(lambda *args, **more: run_anywhere(
        "--set", "embed.model=%s" % small, *args, **more))


def removed(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def expected_rows(texts, similar, threshold=0.85, groups=None):
    """(numbers of the kept rows, removed rows) of the double loop; rows from 1."""
    similar.learn(texts)
    turns = [{"user_utterance": text, "group": groups and groups[k]}
             for k, text in enumerate(texts)]
    verdicts = oracle.greedy(turns, similar, threshold, lambda turn: turn["group"])
    kept = [k + 1 for k, verdict in enumerate(verdicts) if verdict is None]
    gone = [{"line": k + 1, "kept_line": verdict[0] + 1, "score": round(verdict[1], 6)}
            for k, verdict in enumerate(verdicts) if verdict]
    return kept, gone


def same_removed(got, want):
    """The scores are rounded doubles on both sides, summed in the same order."""
    assert got == want


def user_texts(demo, n):
    return [m["text"] for raw in demo.first for m in json.loads(raw)["messages"]
            if m["from"] == "user"][:n]


def test_kept_lines_are_bytes_of_the_input(dedup, demo, similar, tmp_path):
    """Odd but legal lines: CRLF, blanks, escapes, other members, no newline at the end."""
    texts = user_texts(demo, 120)
    shapes = ['{"text": %s}\n', '  { "id" : 7, "text":%s }\r\n', '{"text":%s,"text2":"x"}\n',
              '{"text": "not this one", "n": {"text": 1}, "text": %s}\n']
    lines = [(shapes[k % 4] % json.dumps(text, ensure_ascii=k % 3 == 0)).encode()
             for k, text in enumerate(texts)]
    lines[-1] = lines[-1].rstrip()
    lines[0] = b"\xef\xbb\xbf" + lines[0]
    kept, gone = expected_rows(texts, similar)
    assert 20 < len(kept) < 100
    (tmp_path / "in.jsonl").write_bytes(b"".join(lines))
    want = b"".join(lines[k - 1] for k in kept)
    for source, args in ((b"", ["in.jsonl"]), (b"".join(lines), []), (b"".join(lines), ["-"])):
        result = dedup(source, "--removed", "gone.jsonl", *args)
        assert result.out == want
        assert len(result.lines) == 1 and "%d kept" % len(kept) in result.err
        same_removed(removed(tmp_path / "gone.jsonl"), gone)


def test_ledger_is_written_as_the_document_says(dedup, tmp_path):
    data = b'{"text": "yes"}\n\n{"text": "no, thank you"}\n \t\n{"text": "yes"}\n'
    result = dedup(data, "--removed", "gone.jsonl")
    assert result.out == b'{"text": "yes"}\n{"text": "no, thank you"}\n'
    assert (tmp_path / "gone.jsonl").read_bytes() == \
        b'{"line": 5, "kept_line": 1, "score": 1.000000}\n'


@pytest.mark.parametrize("pack", ["gz", "zst"])
def test_packed_files(dedup, demo, tmp_path, pack):
    data = b"".join(json.dumps({"text": t}).encode() + b"\n" for t in user_texts(demo, 50))
    packed = gzip.compress(data) if pack == "gz" else zstd_frame(data)
    (tmp_path / "in").write_bytes(packed)
    want = dedup(data).out
    assert want and dedup(b"", "in").out == want and dedup(packed).out == want


def zstd_frame(data):
    """A zstd frame of raw blocks (RFC 8878): no program needed to pack it."""
    out = b"\x28\xb5\x2f\xfd\x00\x58"  # no size, a window of 2 MiB
    blocks = [data[k:k + 100000] for k in range(0, len(data), 100000)]
    for k, block in enumerate(blocks):
        out += ((len(block) << 3) | (k == len(blocks) - 1)).to_bytes(3, "little") + block
    return out


def test_options_and_configuration(dedup, demo, similar, tmp_path):
    texts = user_texts(demo, 80)
    lines = [json.dumps({"q": t, "text": "the same"}).encode() + b"\n" for t in texts]
    data = b"".join(lines)

    def want(threshold):
        return b"".join(lines[k - 1] for k in expected_rows(texts, similar, threshold)[0])
    assert want(0.6) != want(0.85) != want(0.97)
    assert dedup(data).out == lines[0]
    assert dedup(data, "--field", "q").out == want(0.85)
    assert dedup(data, "--field=q", "--threshold", "0.97").out == want(0.97)
    assert dedup(data, "--field", "q", "--set", "dedup.threshold=0.6").out == want(0.6)
    assert dedup(data, "--field", "q", "--set", "dedup.threshold=0.6", "--threshold=0.97").out == \
        want(0.97)
    (tmp_path / "tamis.ini").write_text("[dedup]\nthreshold = 0.6\n")
    assert dedup(data, "--field", "q").out == want(0.6)
    figures = dedup(data, "--field", "q", "--json")
    assert figures.out == want(0.6)
    assert json.loads(figures.err)["kept"] == want(0.6).count(b"\n")
    assert dedup(data, "--field", "q", "--quiet").err == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tamis.ini"], "no store is made"


def test_groups(dedup, similar, demo, tmp_path):
    """Whatever kind of value: equal values are one group."""
    values = ["a", "b", 1, 2, True, None, "1", "true", "null", "", "é", 1.5,
              9007199254740992, 9007199254740993]
    chosen = random.Random(5)
    texts = [chosen.choice(user_texts(demo, 12)) for _ in range(300)]
    groups = [chosen.choice(values) for _ in texts]
    lines = [json.dumps({"text": t, "g": g}).encode() + b"\n" for t, g in zip(texts, groups)]
    kept, gone = expected_rows(texts, similar, groups=["%s %r" % (type(g), g) for g in groups])
    result = dedup(b"".join(lines), "--group", "g", "--removed", "gone.jsonl")
    assert result.out == b"".join(lines[k - 1] for k in kept)
    same_removed(removed(tmp_path / "gone.jsonl"), gone)
    alike = b'{"text":"a","g":1}\n{"text":"a","g":1.0}\n{"text":"a","g":10e-1}\n'
    assert dedup(alike, "--group", "g").out == b'{"text":"a","g":1}\n'
    assert dedup(alike, "--group", "text").out == b'{"text":"a","g":1}\n'
    zeros = b'{"text":"a","g":0}\n{"text":"a","g":-0}\n{"text":"a","g":-0.0}\n'
    assert dedup(zeros, "--group", "g").out == b'{"text":"a","g":0}\n'
    same = ["100000000000000000000", "1e20", "1E+20", "10.0e19", "0.01e22", "1000e17",
            "10000000000000000000000e-2"]
    other = ["-1e20", "100000000000000000001", "1.00000000000000000001e20", "1e21", "1e300"]
    lines = [b'{"text":"a","g":%s}\n' % number.encode() for number in same + other]
    assert dedup(b"".join(lines), "--group", "g").out == b"".join(
        [lines[0], lines[len(same)], lines[len(same) + 1], *lines[len(same) + 3:]])
    large = b'{"text":"a", "g":9007199254740993}\n'
    assert dedup(b"\xef\xbb\xbf" + large * 2, "--group", "g").out == b"\xef\xbb\xbf" + large


@pytest.mark.parametrize("seed", range(6))
def test_random_lines(dedup, similar, demo, tmp_path, seed):
    """Words of the demo thrown together, other scripts among them."""
    chosen = random.Random(seed)
    words = sorted({w for t in user_texts(demo, 200) for w in t.split()})
    words += ["お元気ですか", "где", "मदद", "😀", "e\u0301", "\u00a0", "\ud800"]
    texts = [" ".join(chosen.choices(words, k=chosen.randrange(0, 5))) for _ in range(150)]
    texts += [text.upper() for text in texts[::5]] + texts[::7]
    chosen.shuffle(texts)
    threshold = chosen.choice([0.5, 0.7, 0.85, 0.95, 1])
    lines = [json.dumps({"text": t}).encode() + b"\n" for t in texts]
    texts = [text.replace("\ud800", "\ufffd") for text in texts]
    kept, gone = expected_rows(texts, similar, threshold)
    got = dedup(b"".join(lines), "--threshold", threshold, "--removed", "gone.jsonl",
                "--threads", 1 + seed % 3)
    assert threshold == 1 or got.out == b"".join(lines[k - 1] for k in kept)
    if threshold < 1:  # at 1 a text repeats itself, though a cosine may round to below 1
        same_removed(removed(tmp_path / "gone.jsonl"), gone)
    assert len(got.out.splitlines()) + len(removed(tmp_path / "gone.jsonl")) == len(lines)


# --- vectors -------------------------------------------------------------------------------------

def unit(row):
    """As the manual says it: double precision, rounded once; unit vectors are left alone."""
    squares = 0.0
    for x in row:
        squares += x * x
    if abs(squares - 1) <= 2 ** -20:
        return list(row)
    scale = 1 / math.sqrt(squares)
    return list(array.array("f", (x * scale for x in row)))


def cosine(x, y):
    return oracle.cosine(x, y)


def greedy_vectors(rows, threshold):
    kept, gone, units = [], [], [unit(row) for row in rows]
    for k, row in enumerate(units):
        best = max(((cosine(row, units[other]), -other) for other in kept), default=(-2, 0))
        same = next((other for other in kept if units[other] == row), None)
        if best[0] >= threshold or same is not None:
            gone.append({"line": k + 1, "kept_line": -best[1] + 1, "score": round(best[0], 6)})
        else:
            kept.append(k)
    return [k + 1 for k in kept], gone


def clustered(chosen, n, dim):
    """Rows about a few centres, of any length, some repeated, some scaled."""
    centres = [[chosen.gauss(0, 1) for _ in range(dim)] for _ in range(n // 6 + 1)]
    rows = []
    for _ in range(n):
        near = chosen.choice(centres)
        spread, length = chosen.choice([0.1, 0.4, 0.6]), chosen.choice([1e-15, 1, 3, 1e12])
        rows.append(array.array("f", ((x + spread * chosen.gauss(0, 1)) * length for x in near)))
        if chosen.random() < 0.2:
            rows[-1] = array.array("f", (x * 4 for x in chosen.choice(rows)))
    return rows


@pytest.mark.parametrize("dim", [1, 2, 7, 16, 50, 100])
def test_vectors(run, tmp_path, dim):
    chosen = random.Random(dim)
    rows = clustered(chosen, 250, dim)
    data = b"".join(row.tobytes() for row in rows)
    (tmp_path / "v.f32").write_bytes(data)
    for threshold in (0.7, 0.85, 0.99):
        kept, gone = greedy_vectors(rows, threshold)
        got = run("dedup", "--vectors", "v.f32", "--dim", dim, "--threshold", threshold,
                  "--removed", "gone.jsonl", status=0)
        assert [int(line) for line in got.text.splitlines()] == kept
        same_removed(removed(tmp_path / "gone.jsonl"), gone)
        assert got.out == run("dedup", "--vectors=-", "--dim", dim, "--threshold", threshold,
                              input=gzip.compress(data), status=0).out


def test_vectors_that_begin_as_gzip_does(run):
    data = array.array("f", [0.5, 1, 1, 1] * 2).tobytes()
    for packed in (b"\x1f\x8b" + data[2:], gzip.compress(data)):
        assert run("dedup", "--vectors", "-", "--dim", 4, input=packed, status=0).out == b"1\n"


def test_vectors_at_the_line(run, tmp_path):
    """(0.8, 0.6) and its neighbours by one unit in the last place, against (1, 0)."""
    last = 2.0 ** -24
    rows = [(1.0, 0.0), (0.0, 1.0)]
    for k in range(-3, 4):
        rows.append((0.8 + k * last, 0.6))
    for threshold in (0.8, array.array("f", [0.8])[0], 0.8 - 2 * last, 0.8 + 2 * last):
        for row in rows[2:]:
            three = [array.array("f", r) for r in (*rows[:2], row)]
            (tmp_path / "v.f32").write_bytes(b"".join(r.tobytes() for r in three))
            got = run("dedup", "--vectors", "v.f32", "--dim", 2, "--threshold", repr(threshold),
                      status=0)
            assert len(got.text.split()) == (2 if three[2][0] >= threshold else 3), (row, threshold)


def test_vectors_of_embed_are_taken_as_they_are(dedup, run, small, demo, tmp_path):
    lines = b"".join(json.dumps({"text": t}).encode() + b"\n" for t in user_texts(demo, 150))
    vectors = run("--set", "embed.model=%s" % small, "embed", "--jsonl", input=lines, status=0).out
    dedup(lines, "--removed", "by-text.jsonl")
    dedup(vectors, "--vectors", "-", "--dim", 384, "--removed", "by-vector.jsonl")
    data = (tmp_path / "by-text.jsonl").read_bytes()
    assert data and data == (tmp_path / "by-vector.jsonl").read_bytes()


# --- what cannot be used -------------------------------------------------------------------------

@pytest.mark.parametrize("line, words", [
    (b"nonsense", ["not JSON"]), (b'{"text": "a"', ["not JSON"]), (b'["text"]', ["not an object"]),
    (b'{"txt": "a"}', ["no", '"text"']), (b'{"text": 5}', ["text"]), (b'{"text": null}', ["text"]),
    (b'{"text": "a"} {"text": "b"}', ["not JSON"]), (b'{"text": "a", "text": []}', ["text"]),
    (b"[" * 100 + b"]" * 100, ["64"])])
def test_bad_lines(dedup, line, words, tmp_path):
    (tmp_path / "gone.jsonl").write_bytes(b"as it was")
    data = b'{"text": "fine"}\n\n' + line + b'\n{"text": "fine"}\n'
    check_fails(dedup(data, "--removed", "gone.jsonl", status=1), 1, "standard input, line 3",
                *words)
    (tmp_path / "in").write_bytes(data)
    check_fails(dedup(b"", "in", status=1), 1, "in, line 3")
    assert (tmp_path / "gone.jsonl").read_bytes() == b"as it was"


def test_a_field_without_a_name(dedup):
    line = b'{"": "a"}\n'
    assert dedup(line + b'{"": "a"}\n', "--field", "", "--group", "").out == line
    check_fails(dedup(b'{"text": "a"}\n', "--field", "", status=1), 1, 'there is no ""')


def test_bad_groups(dedup):
    data = b'{"text": "a", "g": "x"}\n{"text": "b"}\n'
    check_fails(dedup(data, "--group", "g", status=1), 1, "line 2", '"g"')
    data = b'{"text": "a", "g": {"x": 1}}\n'
    check_fails(dedup(data, "--group", "g", status=1), 1, "line 1", '"g"')


@pytest.mark.parametrize("args, words", [
    (["--threshold", "1.5"], ["threshold"]), (["--threshold", "0"], ["threshold"]),
    (["--threshold", "-1"], ["threshold"]), (["--threshold", "nan"], ["threshold"]),
    (["--threshold", ""], ["threshold"]), (["--dim", "4"], ["--vectors"]),
    (["--vectors", "v"], ["--dim"]), (["--vectors", "v", "--dim", "0"], ["--dim"]),
    (["--vectors", "v", "--dim", "4097"], ["--dim"]), (["--vectors", "v", "--dim", "x"], ["--dim"]),
    (["--vectors", "v", "--dim", "4", "in"], ["--vectors"]),
    (["--vectors", "v", "--dim", "4", "--field", "a"], ["--field"]),
    (["--vectors", "v", "--dim", "4", "--group", "a"], ["--group"]), (["a", "b"], ["b"]),
    (["--treshold", "1"], ["--threshold"]), (["--removed"], ["--removed"]),
    (["--removed", "-"], ["--removed", "./-"]), (["--removed", ""], ["--removed"])])
def test_usage(dedup, args, words):
    check_fails(dedup(b"", *args, status=2), 2, *words)


def test_bad_vectors(run):
    def check(data, *words):
        check_fails(run("dedup", "--vectors", "-", "--dim", 2, input=data, status=1), 1, *words)
    good = array.array("f", [1, 2]).tobytes()
    check(good + b"123", "11 bytes", "--dim")
    check(good + array.array("f", [0, 0]).tobytes(), "row 2", "zero")
    check(good * 3 + array.array("f", [1, math.nan]).tobytes(), "row 4", "finite")
    check(array.array("f", [math.inf, 1]).tobytes(), "row 1", "finite")
    check(array.array("f", [-math.inf, math.nan]).tobytes(), "row 1", "finite")


def test_other_failures(dedup, run, tmp_path):
    check_fails(dedup(b"", "none.jsonl", status=1), 1, "none.jsonl")
    check_fails(dedup(b"", ".", status=1), 1, "director")
    (tmp_path / "in").write_bytes(gzip.compress(b'{"text": "a"}\n' * 1000)[:-9])
    check_fails(dedup(b"", "in", status=1), 1, "in", "cut short")
    (tmp_path / "ok").write_bytes(b'{"text": "a"}\n')
    check_fails(dedup(b"", "--removed", "ok", "ok", status=2), 2, "--removed")
    assert (tmp_path / "ok").read_bytes() == b'{"text": "a"}\n'
    check_fails(dedup(b"", "--removed", "no/such/place", "ok", status=1), 1, "no/such/place")
    check_fails(run("--set", "embed.model=none", "dedup", "ok", status=1), 1, "none")
    own = ("--set", "embed.model=m", "--set", "store.url=some.db")
    for name in ("m/vocab.txt", "some.db", "some.db-wal"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"mine")
        check_fails(run(*own, "dedup", "--removed", name, "ok", status=2), 2, name, "replaced")
        assert (tmp_path / name).read_bytes() == b"mine"
    early = run("--set", "embed.model=none", "dedup", "--removed", "no/such/place", "ok", status=1)
    check_fails(early, 1, "no/such/place")
    with open("/dev/full", "wb") as full:
        result = dedup(b"", "--removed", "gone.jsonl", "ok", status=1, stdout=full)
    assert "cannot write" in result.err
    assert not (tmp_path / "gone.jsonl").exists(), "the ledger of rows that nobody got"


def test_nothing_in_nothing_out(dedup, tmp_path):
    for args in ([], ["--vectors", "-", "--dim", 3]):
        assert dedup(b"", "--removed", "gone.jsonl", *args).out == b""
        assert (tmp_path / "gone.jsonl").read_bytes() == b""


def test_rows_of_the_reference(run, shared, tmp_path):
    """The reference script's kept rows of a whole corpus, with the real model."""
    raws = records.read_lines(shared / "data" / "taskmaster4.jsonl.gz")
    turns, _ = oracle.turns_of(oracle.parse([records.with_rating(raw, 5) for raw in raws]))
    lines = [json.dumps({"id": t["interaction_id"], "turn": t["turn"],
                         "text": t["user_utterance"]}).encode() + b"\n" for t in turns]
    with gzip.open(shared / "reference" / "taskmaster4.kept.tsv.gz", "rt") as f:
        kept = [line.rstrip("\n").split("\t") for line in f]
    out = run("dedup", input=b"".join(lines), status=0).out
    got = [json.loads(line) for line in out.decode().splitlines()]
    assert [[row["id"], str(row["turn"])] for row in got] == kept
