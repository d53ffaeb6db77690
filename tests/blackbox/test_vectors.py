"""Vectors: near the truth, and the same bits whatever the circumstances.

Near: no pair's cosine is off by more than 2e-6.  With d = ours - theirs, the difference of a
pair is d_i . ours_j + theirs_i . d_j, so by Cauchy-Schwarz it is at most |d_i| |ours_j| +
|theirs_i| |d_j|.  Only pairs whose bound is beyond the limit need to be multiplied out: every
pair is proved, none is sampled.
"""

import array
import json
import math
import pathlib
import random
import struct

import oracle
import pytest

FACTS = pathlib.Path(__file__).parent / "facts"
LIMIT = 2e-6
DIM = 384


def jsonl(texts):
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def embed(run, texts, *args, **options):
    """The raw bytes of each vector."""
    out = run("embed", "--jsonl", *args, input=jsonl(texts), status=0, **options).out
    assert len(out) == 4 * DIM * len(texts)
    return [out[k:k + 4 * DIM] for k in range(0, len(out), 4 * DIM)]


def worst_pair(ours, theirs):
    """(an upper bound of the largest difference of any pair's cosine, the differences of those
    pairs that were multiplied out)."""
    def length(v):
        return math.sqrt(oracle.cosine(v, v))
    lengths = [(length(a), length(b), length([x - y for x, y in zip(a, b)]))
               for a, b in zip(ours, theirs)]
    worst, exact = 0.0, []
    for i, (_, b_i, d_i) in enumerate(lengths):
        for j in range(i + 1, len(ours)):
            a_j, _, d_j = lengths[j]
            off = d_i * a_j + b_i * d_j
            if off > LIMIT:
                off = abs(oracle.cosine(ours[i], ours[j]) - oracle.cosine(theirs[i], theirs[j]))
                exact.append(off)
            worst = max(worst, off)
    return worst, exact


def test_worst_pair_can_fail():
    """The proof itself: a vector a little beside the truth is found."""
    rng = random.Random(1)
    truth = [[rng.gauss(0, DIM ** -0.5) for _ in range(DIM)] for _ in range(4)]
    moved = [list(v) for v in truth]
    assert worst_pair(moved, truth)[0] == 0
    moved[2] = [x + 2 * LIMIT * y for x, y in zip(truth[2], truth[1])]
    assert worst_pair(moved, truth)[0] > LIMIT


@pytest.fixture(scope="module")
def reference(shared):
    with (shared / "reference" / "vectors-2k.jsonl").open(encoding="utf-8", newline="\n") as f:
        texts = [json.loads(line)["text"] for line in f]
    vectors = oracle.vectors((shared / "reference" / "vectors-2k.f32").read_bytes())
    assert len(texts) == len(vectors) == 1854
    return texts, [list(v) for v in vectors]


def test_reference_vectors(run, reference, record_property):
    texts, theirs = reference
    ours = [list(v) for v in oracle.vectors(b"".join(embed(run, texts)))]
    for v in ours:
        assert abs(oracle.cosine(v, v) - 1) < 1e-6
    worst, exact = worst_pair(ours, theirs)
    mean = sum(exact) / len(exact)
    record_property("worst", max(exact))
    record_property("mean", mean)
    print("the %d pairs that could be off by more than %g: by %.3g at most, %.2g on average"
          % (len(exact), LIMIT, max(exact), mean))
    assert worst <= LIMIT, worst
    assert 0 < mean < LIMIT / 20, mean


def test_committed_cosines(run):
    """The same at a small scale, without ../shared."""
    facts = json.loads((FACTS / "cosines.json").read_text())
    ours = [list(v) for v in oracle.vectors(b"".join(embed(run, facts["texts"])))]
    pairs = 0
    for k, row in enumerate(facts["cosines"]):
        for v, cosine in zip(ours[k + 1:], row):
            pairs += 1
            assert abs(oracle.cosine(ours[k], v) - cosine) <= LIMIT
    assert pairs == 42 * 41 // 2


# The same bits

@pytest.fixture(scope="module")
def texts(demo):
    """300 of all lengths: from nothing to more than 256 tokens."""
    said = list(dict.fromkeys(m["text"] for raw in demo.first for m in json.loads(raw)["messages"]))
    long = [" ".join(said[k:k + n]) for k, n in ((0, 5), (5, 9), (20, 17), (40, 60), (99, 40))]
    return ["", " ", "a", "naïve Ærøskøbing 東京 🙂", *long, *said[:291]]


@pytest.fixture(scope="module")
def vectors(run_anywhere, texts):
    assert len(set(texts)) == 300
    return dict(zip(texts, embed(run_anywhere, texts)))


def check_same_bits(ours, texts, vectors):
    wrong = [text for text, v in zip(texts, ours) if v != vectors[text]]
    assert not wrong, "%d of %d vectors have other bits; the first is of %r" % (
        len(wrong), len(texts), wrong[0])


def test_different_texts_differ(vectors):
    """What follows would hold for a constant, too."""
    assert len(set(vectors.values())) > 280


def available(set_name):
    try:
        with open("/proc/cpuinfo") as f:
            words = set(f.read().split())
    except OSError:
        return set_name == "scalar"
    avx2 = {"avx2", "fma"}
    avx512 = avx2 | {"avx512f", "avx512bw", "avx512vl", "avx512dq"}
    needs = {"scalar": set(), "avx2": avx2, "avx512": avx512,
             "avx512vnni": avx512 | {"avx512_vnni"}}
    return needs[set_name] <= words


@pytest.mark.parametrize("set_name", ["scalar", "avx2", "avx512", "avx512vnni"])
def test_instruction_sets(run, texts, vectors, set_name):
    if not available(set_name):
        pytest.skip("SKIPPED: this machine has no %s, so its bits are not compared" % set_name)
    some = texts[:9] + texts[9::12]  # the long ones and some of the others: scalar is slow
    ours = embed(run, some, env={"TAMIS_ISA": set_name})
    check_same_bits(ours, some, vectors)


def test_unknown_or_missing_instruction_set(run):
    names = ["sse9", *(name for name in ("avx512", "avx512vnni") if not available(name))]
    for name in names:
        result = run("embed", input=b"a\n", env={"TAMIS_ISA": name})
        assert result.status in (1, 2) and len(result.lines) == 1, (name, result)
        assert name in result.err and not result.out, (name, result)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads(run, texts, vectors, threads):
    check_same_bits(embed(run, texts, "--threads", threads), texts, vectors)


def test_order(run, texts, vectors):
    for seed in range(3):
        mixed = texts[:]
        random.Random(seed).shuffle(mixed)
        check_same_bits(embed(run, mixed), mixed, vectors)


def test_alone_and_in_company(run, texts, vectors):
    for text in texts[:9] + texts[50::60]:
        check_same_bits(embed(run, [text]), [text], vectors)
    doubled = [text for text in texts[:40] for _ in range(3)]
    check_same_bits(embed(run, doubled), doubled, vectors)


def test_what_tokenizes_alike_is_alike(run):
    same = embed(run, ["Reset my password", "reset  MY   password\n", "réset my pássword"])
    assert same[0] == same[1] == same[2]


# Forms

def test_jsonl_format_holds_the_same_floats(run, texts, vectors):
    some = texts[:40]
    out = run("embed", "--jsonl", "--format", "jsonl", input=jsonl(some), status=0).text
    objects = [json.loads(line) for line in out.splitlines()]
    assert [list(o) for o in objects] == [["vector"]] * 40
    packed = [struct.pack("<%df" % DIM, *o["vector"]) for o in objects]
    check_same_bits(packed, some, vectors)


def test_format_f32_is_the_default(run, vectors):
    assert run("embed", "--format", "f32", input=b"a\n", status=0).out == vectors["a"]
    assert run("embed", "--format=f32", input=b"a", status=0).out == vectors["a"]
    assert run("embed", input=b"a", status=0).out == vectors["a"]
    assert run("embed", input=b"", status=0).out == b""
    assert run("embed", "--format", "f64", input=b"a\n").status == 2


def test_empty_text(run, vectors):
    """[CLS] and [SEP] alone have a vector, of length one as any other."""
    assert run("embed", input=b"\n", status=0).out == vectors[""] == vectors[" "]
    v = array.array("f", vectors[""])
    assert abs(oracle.cosine(v, v) - 1) < 1e-6


def test_one_mebibyte(run):
    """Only the first 254 tokens count."""
    word = "umbrella "
    long, short = (word * n for n in ((1 << 20) // len(word), 254))
    assert len(long) > (1 << 20) - 16
    a, b = embed(run, [long, short])
    assert a == b


def test_nul_in_a_text(run):
    a, b = embed(run, ["ab\0 cd", "ab cd"])
    assert a == b != embed(run, ["ab"])[0]


def test_a_bad_line_gives_no_vector_too_many(run):
    result = run("embed", "--jsonl", input=b'{"text": "a"}\n{"text": 7}\n')
    assert result.status == 1 and len(result.lines) == 1 and "line 2" in result.err, result
    assert len(result.out) in (0, 4 * DIM), len(result.out)


# The same bits on every machine: facts/vectors.tsv has, for some corpora of ../shared/data, the
# SHA-256 of what `tamis embed --jsonl` writes for all that users said (oracle.texts_of).  A new
# line is made by that command; if one has to change, vectors in stores are no longer the same.

CORPORA = dict(line.split("\t") for line in (FACTS / "vectors.tsv").read_text().splitlines()[1:])
SAMPLE = 97  # one text in so many


@pytest.fixture(scope="module")
def corpus(run_anywhere, shared):
    """corpus(name) -> (texts, their vectors)"""
    done = {}

    def get(name):
        if name not in done:
            said = oracle.texts_of(shared / "data" / (name + ".jsonl.gz"))
            done[name] = said, embed(run_anywhere, said)
        return done[name]
    return get


@pytest.mark.native  # a build for valgrind has other bits
@pytest.mark.parametrize("name", CORPORA)
def test_bits_of_a_corpus(corpus, name):
    said, its_vectors = corpus(name)
    assert len(said) == len(its_vectors) > 30
    assert oracle.sha256(b"".join(its_vectors)) == CORPORA[name]


@pytest.mark.native
@pytest.mark.parametrize("name", CORPORA)
def test_bits_of_a_corpus_in_other_circumstances(run, corpus, name):
    """Each instruction set, other threads, another order, other company, alone."""
    said, its_vectors = corpus(name)
    expected = dict(zip(said, its_vectors))
    some = said[::SAMPLE]
    random.Random(name).shuffle(some)
    sets = ["scalar", "avx2", "avx512", "avx512vnni"]
    for set_name, threads in zip(filter(available, sets), (7, 1, 2, 7)):
        ours = embed(run, some, "--threads", threads, env={"TAMIS_ISA": set_name})
        check_same_bits(ours, some, expected)
    for text in some[:5]:
        check_same_bits(embed(run, [text]), [text], expected)
