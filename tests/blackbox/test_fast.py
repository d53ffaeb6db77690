"""embed.precision = fast screens with other vectors and gives the files of exact, byte for byte."""

import json
import random
import sqlite3
import struct

import pytest

WORDS = "where is my order refund please cancel the card help account new".split()
FILES = {"export.csv": "rows.csv", "export.chat": "chat.jsonl", "export.removed": ""}


@pytest.fixture(scope="module")
def lines():
    """As many distinct texts as are worth screening, few words of few, so that much is alike."""
    rng = random.Random(3)
    texts = set()
    while len(texts) < 1300:
        texts.add(" ".join(rng.choices(WORDS, k=rng.randint(2, 7))))
    texts = sorted(texts) + rng.sample(sorted(texts), 100)
    rng.shuffle(texts)
    return "".join(json.dumps({
        "id": "int_%04d" % k, "timestamp": "2024-01-01T%02d:%02d:00Z" % (k // 60 % 24, k % 60),
        "botId": "bot_%d" % (k % 2), "rating": 5,
        "messages": [{"from": "user", "text": text}, {"from": "bot", "text": "Done."}]}) + "\n"
        for k, text in enumerate(texts)).encode()


def sets_of(store, **more):
    settings = {**FILES, "store.url": store, **{k.replace("_", "."): v for k, v in more.items()}}
    return [word for pair in settings.items() for word in ("--set", "%s=%s" % pair)]


@pytest.fixture
def curate(make_place, lines):
    place = make_place()

    def curate(store, env=None, **more):
        """Curates all in this store; (what it says, its counts, the files)."""
        sets = sets_of(store, **more)
        if not (place.dir / store).exists():
            place.run("import", "-", *sets, input=lines, status=0)
        result = place.run("--verbose", "--json", "curate", *sets, env=env, status=0)
        place.run("export", *sets, env=env, status=0)
        files = {name: place.read(name) for name in ("rows.csv", "chat.jsonl")}
        return result.err, json.loads(result.out)["turns"], files

    curate.place = place
    return curate


@pytest.fixture
def has_fast(curate):
    if "no faster encoder" in curate("probe.db", embed_precision="fast")[0]:
        pytest.skip("SKIPPED: this machine has no fast encoder")


@pytest.mark.parametrize("rule", [{"dedup_threshold": "0.8"}, {"dedup_threshold": "0.95"},
                                  {"dedup_threshold": "0.9", "dedup_domain": "bot",
                                   "dedup_keep": "oldest"}])
def test_the_files_are_those_of_exact(curate, has_fast, rule):
    said, counts, files = curate("fast.db", embed_precision="fast", **rule)
    assert "fast: 1300 distinct texts" in said
    assert counts["embedded"] == 1300
    _, exactly, expected = curate("exact.db", **rule)
    assert files == expected
    assert {k: counts[k] for k in ("kept", "duplicates")} == \
        {k: exactly[k] for k in ("kept", "duplicates")}
    # again, and with another rule: nothing is embedded that was before
    assert curate("fast.db", embed_precision="fast", **rule)[1]["embedded"] == 0
    other = {"dedup_threshold": "0.85"}
    _, counts, files = curate("fast.db", embed_precision="fast", **other)
    assert counts["embedded"] == 0
    assert files == curate("exact.db", **other)[2]


def vectors_in(path):
    """{SHA-256 of a text: its exact vector}, how many fast ones."""
    db = sqlite3.connect(path)
    try:
        return (dict(db.execute("SELECT hash, v FROM vector")),
                db.execute("SELECT count(*) FROM fast_vector").fetchone()[0])
    finally:
        db.close()


def test_its_vectors_are_never_taken_for_exact_ones(curate, has_fast):
    place = curate.place
    curate("one.db", embed_precision="fast")
    exact, n_fast = vectors_in(place.dir / "one.db")
    assert n_fast == 1300
    assert 0 < len(exact) < 1300  # those of the audit, at least
    curate("one.db", embed_precision="exact", dedup_threshold="0.9")
    curate("other.db", dedup_threshold="0.9")
    after, _ = vectors_in(place.dir / "one.db")
    expected, none = vectors_in(place.dir / "other.db")
    assert after == expected and none == 0
    assert all(after[key] == value for key, value in exact.items())


def explain(place, ids, **more):
    sets = sets_of(**more)
    return [place.run("--json", "explain", i, *sets, status=0).out for i in ids]


def test_scores_are_there_when_they_are_asked_for(curate, has_fast):
    place, ids = curate.place, ["int_%04d" % k for k in range(0, 1400, 70)]
    curate("exact.db")
    curate("fast.db", embed_precision="fast")
    expected = explain(place, ids, store="exact.db")
    assert b'"score": 0.9' in b"".join(expected)
    # of a curation that is another one than the configuration's: left out, and said
    sets = sets_of("fast.db", embed_precision="fast", dedup_threshold="0.7")
    result = place.run("--json", "explain", ids[0], *sets, status=0)
    assert "cosines are left out" in result.err
    assert explain(place, ids, store="fast.db", embed_precision="fast") == expected


@pytest.mark.parametrize("key", ["removed", "jsonl", "rasa", "conflicts"])
def test_files_that_tell_of_duplicates_are_those_of_exact(curate, has_fast, key):
    place = curate.place
    assert "distinct texts" in curate("a.db", embed_precision="fast")[0]
    said, _, _ = curate("a.db", embed_precision="fast", **{"export_" + key: "fast.out"})
    assert "exact is used, the file of export.%s shows" % key in said
    curate("b.db", **{"export_" + key: "exact.out"})
    assert place.read("fast.out") == place.read("exact.out")


def test_where_it_gains_nothing_exact_is_used(curate):
    said, _, files = curate("scalar.db", env={"TAMIS_ISA": "scalar"}, embed_precision="fast")
    assert "exact is used, this machine has no faster encoder" in said
    assert files == curate("exact.db")[2]
    said, _, _ = curate("scalar.db", embed_precision="fast", dedup_threshold="1")
    assert "exact is used, " in said


def test_embed_gives_exact_vectors(curate):
    texts = b"where is my order\ncancel the card\n" * 30
    place = curate.place
    fast = place.run("embed", "--set", "embed.precision=fast", input=texts, status=0).out
    assert fast == place.run("embed", input=texts, status=0).out
    assert len(fast) == 60 * 384 * 4 and struct.unpack("<f", fast[:4])[0] != 0
