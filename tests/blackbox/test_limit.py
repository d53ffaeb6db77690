"""dedup.memory: with vectors in a file meanwhile, whatever part of them, the same bytes."""

import array
import json
import random
import re
import shlex
import signal
import time

import conftest
import pytest
from conftest import check_fails
from faulty import LETTERS, faults_env, need_faults
from test_incremental import conversation
from test_run import raw
from toy_bert import Toy

FILES = {"csv": "out.csv", "jsonl": "out.jsonl", "removed": "removed.jsonl", "train": "train.jsonl",
         "valid": "valid.jsonl", "test": "test.jsonl", "rasa": "out.yml", "conflicts": "odd.jsonl",
         "manifest": "manifest.json"}
WORDS = ("where is my order refund please cancel card help account new late parcel city invoice "
         "password reset change name address phone two broken return pay twice").split()
REFUSED = (r"dedup\.memory = (\S+): (\d+) distinct .* in (\d+) rows of .* take (\d+)M at least "
           r"\((\d+)M with")


def least_and_most(result, dim, threads=2):
    """In bytes, by the formula of src/dedup/budget.h, which the refusal must bear out."""
    found = re.search(REFUSED, result.err)
    assert found, result
    vectors, rows, least, most = map(int, found.groups()[1:])
    column = 64 if vectors >= 6000 and dim >= 112 else dim + 4

    def takes(n):
        return (vectors * (dim + 112) + rows * (280 + 2 * column) + 8 * 2**20 +
                64 * 2**10 * dim + 8 * dim * dim + n * (2**20 + 2**11 * dim))
    assert takes(2) // 2**20 + 1 == least
    assert (takes(2) + vectors * dim * 4) // 2**20 + 1 == most
    return takes(threads), takes(threads) + vectors * dim * 4


def memory(size):
    return "--set", "dedup.memory=%s" % size


@pytest.fixture(scope="session")
def wide(tmp_path_factory):
    """A model that spells, with vectors that take some room."""
    return Toy(hidden=1024, layers=1, heads=1, inner=16, positions=128, seed=5,
               words=LETTERS).write(tmp_path_factory.mktemp("wide") / "model")


@pytest.fixture(scope="session")
def narrow(tmp_path_factory):
    return Toy(hidden=16, layers=1, heads=1, inner=16, positions=128, seed=5,
               words=LETTERS).write(tmp_path_factory.mktemp("narrow") / "model")


@pytest.fixture
def desk(make_place):
    """desk(raws, model, **sections) -> a place without a tenant."""
    def make(raws, **keys):
        place = make_place()
        place.sections["source"] = {"type": "file", "path": "talks.jsonl"}
        (place.dir / "talks.jsonl").write_bytes(b"\n".join(map(raw, raws)) + b"\n")
        (place.dir / "tmp").mkdir()
        return place.configure(**keys)
    return make


def talks(seed, n):
    rng = random.Random(seed)
    return [conversation(rng, k) for k in range(n)]


def distinct_talks(n, first=0):
    """Each with a text of its own, some of them near each other."""
    rng = random.Random(first)
    return [{"id": "int_%06d" % k, "timestamp": "2026-01-01T%02d:%02d:%02dZ" % (
        k // 3600 % 24, k // 60 % 60, k % 60), "botId": "ab"[k % 2], "rating": 5, "messages": [
            {"from": "user", "text": " ".join(rng.choices(WORDS, k=3)) + " %d" % k},
            {"from": "bot", "text": "Done."}]} for k in range(first, first + n)]


def run_afresh(place, size, number, *args, **env):
    """A run with a store of its own -> (bytes of the files, summary)."""
    for name in FILES.values():
        (place.dir / name).unlink(missing_ok=True)
    summary = place.json("run", "--set", "store.url=%s.db" % number, *memory(size), "--threads", 2,
                         *args,
                         env={"TMPDIR": str(place.dir / "tmp"), **env})
    assert not list((place.dir / "tmp").iterdir())
    files = {name: place.read(name) for name in FILES.values() if (place.dir / name).exists()}
    return files, {key: summary[key] for key in summary if key not in ("seconds", "peak_rss_mib")}


def ask_least(place, dim=384, threads=2):
    """What it takes, from a run that is refused."""
    result = place.run("run", "--threads", 2, "--set", "store.url=least.db", *memory("1M"))
    check_fails(result, 2, "dedup.memory = 1M", "empty for no limit")
    return least_and_most(result, dim, threads)


# --- the same bytes ------------------------------------------------------------------------------

@pytest.mark.parametrize("keys", [
    {}, {"domain": "bot"}, {"answers": "distinct"}, {"keep": "best-rated", "threshold": 0.95},
    {"pins": "pins.txt"}], ids=lambda keys: next(iter(keys), "plain"))
def test_the_same_bytes(desk, small, keys):
    raws = talks(3, 700)
    place = desk(raws, embed={"model": small}, dedup=keys, export=FILES,
                 guard={"max_loss": 0.5, "floor": 3})
    (place.dir / "pins.txt").write_text("".join(
        "keep %s\n" % one["id"] for one in raws if one["rating"] and one["rating"] >= 4 and
        int(one["id"][4:]) % 9 == 0))
    want = run_afresh(place, "", "none")
    assert len(want[0]) == len(FILES)
    least, most = ask_least(place, threads=3)
    limits = [least, least + 300000, most, "3G"]
    for k, limit in enumerate(limits):
        env = {} if k else {"TAMIS_ISA": "scalar"}
        assert run_afresh(place, limit, k, "--threads", 1 + k % 3, **env) == want, limit
    refused = place.run("run", "--threads", 3, "--set", "store.url=new.db", *memory(least - 1))
    check_fails(refused, 2, "dedup.memory = %d" % (least - 1))
    tune = place.json("tune", "--set", "store.url=none.db")
    assert place.json("tune", "--set", "store.url=none.db", *memory(limits[0])) == tune
    report = place.run("report", "--set", "store.url=none.db", status=0).out
    assert place.run("report", "--set", "store.url=none.db", *memory(limits[0])).out == report
    place.run("verify", "--set", "store.url=none.db", status=0)


def test_a_limit_does_not_make_a_curation_old(desk, small):
    """It is about how, not what: nothing is embedded or compared again."""
    place = desk(talks(4, 200), embed={"model": small})
    place.run("run", status=0)
    kept = place.read()
    place.run("curate", *memory("1K"), status=0)  # no comparison, so nothing to refuse
    place.run("export", *memory("1K"), status=0)
    assert place.read() == kept


def test_from_one_curation_to_the_next(desk, small):
    """New rows and forgotten ones, under a limit as without one."""
    raws = talks(5, 500)
    place = desk(raws[:400], embed={"model": small}, export=FILES)
    least, most = ask_least(place)
    for name, size in (("near.db", ""), ("far.db", (least + most) // 2)):
        at = ("--threads", 2, "--set", "store.url=%s" % name, *memory(size))
        (place.dir / "talks.jsonl").write_bytes(b"\n".join(map(raw, raws[:400])) + b"\n")
        place.run("run", *at, status=0)
        (place.dir / "talks.jsonl").write_bytes(b"\n".join(map(raw, raws)) + b"\n")
        place.run("run", *at, status=0)
        place.run("forget", *at, raws[7]["id"], raws[450]["id"], status=0)
        (place.dir / ("out of " + name)).mkdir()
        for file in FILES.values():
            (place.dir / file).rename(place.dir / ("out of " + name) / file)
    for file in FILES.values():
        assert place.read("out of near.db/" + file) == place.read("out of far.db/" + file), file


def test_screening(desk, small):
    """precision = fast writes vectors over others."""
    place = desk(talks(6, 900), embed={"model": small, "precision": "fast"},
                 export={"removed": ""})
    want = run_afresh(place, "", "none")
    limit = ask_least(place)[0]
    assert run_afresh(place, limit, "far") == want
    assert run_afresh(place, limit, "exact", "--set", "embed.precision=exact")[0] == want[0]


def test_more_texts_than_are_embedded_at_once(desk, narrow):
    place = desk(distinct_talks(17500), embed={"model": narrow}, export=FILES)
    want = run_afresh(place, "", "none")
    least, _ = ask_least(place, dim=16)
    assert run_afresh(place, least, "far") == want
    place.run("curate", "--set", "store.url=far.db", "--set", "dedup.threshold=0.9", "--threads",
              2, *memory(least), status=0)  # now all vectors come from the store


# --- the limit holds -----------------------------------------------------------------------------

@pytest.fixture
def measured(tmp_path_factory, monkeypatch):
    """The program as a child of a shell: one that takes the place of this process, as large as it
    may be by then, has had its peak, too (getrusage)."""
    shell = tmp_path_factory.mktemp("shell") / "tamis"
    shell.write_text("#!/bin/sh\n%s \"$@\"\nexit $?\n" % shlex.quote(str(conftest.PROGRAM)))
    shell.chmod(0o755)
    monkeypatch.setattr(conftest, "PROGRAM", shell)


@pytest.mark.slow
def test_it_is_kept(desk, wide, measured):
    """All but what a limit leaves out stays as it is: half of that is a margin of 39 MiB."""
    rows, dim = 20000, 1024
    raws = distinct_talks(rows)
    for k, one in enumerate(raws):
        one["messages"][0]["text"] = "%x" % (k * 2654435761 % 2**32)
    place = desk(raws, embed={"model": wide}, export={"removed": ""})
    place.run("run", status=0)

    def curate(threshold, size):
        return place.run("curate", "--json", "--threads", 2, "--set",
                         "dedup.threshold=%s" % threshold, *memory(size))

    def peak(threshold, size):
        result = curate(threshold, size)
        assert result.status == 0, result
        return json.loads(result.out)["peak_rss_mib"]

    least, most = least_and_most(curate(0.9, "1M"), dim)
    assert most - least == rows * dim * 4
    bound, free = peak(0.91, least), peak(0.92, "")
    print(bound, free)
    assert free - bound > 0.5 * rows * dim * 4 / 2**20, (bound, free)


@pytest.mark.slow
def test_it_is_kept_by_dedup(run, measured, tmp_path):
    """Vectors of several times the limit."""
    rows, dim = 60000, 1024
    rng = random.Random(9)
    block = array.array("f", [rng.gauss(0, 1) for _ in range(dim * 500)])
    with open(tmp_path / "v.f32", "wb") as f:
        for k in range(rows // 500):
            for i in range(0, len(block), 173):
                block[i] = rng.gauss(0, 1)
            f.write(block.tobytes())
    args = ("--json", "--threads", 2, "dedup", "--vectors", "v.f32", "--dim", dim)

    def peak(result):
        assert result.status == 0, result
        return json.loads(result.err.splitlines()[-1])["peak_rss_mib"]

    result = run(*memory("64M"), *args)
    check_fails(result, 2, "v.f32")
    least, most = least_and_most(result, dim)
    assert most - least == rows * dim * 4
    free, bound = run(*args), run(*memory(least), *args, env={"TMPDIR": str(tmp_path)})
    assert bound.out == free.out
    assert peak(free) > rows * dim * 4 / 2**20
    assert peak(bound) < least / 2**20 + 24, "the program itself and its libraries take some"


# --- tamis dedup ---------------------------------------------------------------------------------

def test_dedup(run, small, tmp_path):
    texts = [t["messages"][0]["text"] for t in talks(7, 1000)]
    lines = "".join(json.dumps({"text": t, "lang": "ab"[k % 2]}) + "\n"
                    for k, t in enumerate(texts)).encode()
    (tmp_path / "in.jsonl").write_bytes(lines)

    def dedup(*args, input=b"", **options):
        result = run("--threads", 2, "--set", "embed.model=%s" % small, *args, input=input,
                     env={"TMPDIR": str(tmp_path)}, **options)
        names = {p.name for p in tmp_path.iterdir()}
        assert names <= {"in.jsonl", "v.f32", "gone.jsonl", "cache"}, names
        return result

    (tmp_path / "v.f32").write_bytes(run("--set", "embed.model=%s" % small, "embed", "--jsonl",
                                         input=lines, status=0).out)
    for args, input in ((("in.jsonl", "--group", "lang"), b""), (("-",), lines),
                        (("--vectors", "v.f32", "--dim", 384), b"")):
        args = ("dedup", "--removed", "gone.jsonl", *args)
        want = dedup(*args, input=input, status=0).out, (tmp_path / "gone.jsonl").read_bytes()
        (tmp_path / "gone.jsonl").unlink()
        refused = dedup(*memory("2M"), *args, input=input)
        check_fails(refused, 2, "dedup.memory = 2M", "empty for no limit")
        assert not (tmp_path / "gone.jsonl").exists()
        least, most = least_and_most(refused, 384)
        for limit in (least, (least + most) // 2, most):
            got = dedup(*memory(limit), *args, input=input, status=0).out
            assert (got, (tmp_path / "gone.jsonl").read_bytes()) == want, limit
            (tmp_path / "gone.jsonl").unlink()


# --- what goes wrong -----------------------------------------------------------------------------

@pytest.mark.parametrize("size", ["much", "1X", "-1M", "0", "1e9", "M", "5 M", "1MiBs", "9999999T"])
def test_no_size(run, size):
    check_fails(run(*memory(size), "status"), 2, "dedup.memory = %s" % size, "such as 512M")


def test_a_run_that_is_refused_writes_nothing(desk, small):
    place = desk(talks(8, 100), embed={"model": small})
    place.configure(dedup={"memory": "2M"})
    result = place.run("run", "--threads", 2)
    check_fails(result, 2, "tamis.db", "dedup.memory = 2M")
    assert "out.csv" not in place.names() and "removed.jsonl" not in place.names()
    place.run("run", "--threads", 2, *memory(least_and_most(result, 384)[0]), status=0)
    assert place.read()


def test_no_place_for_the_file(desk, small):
    place = desk(talks(8, 100), embed={"model": small})
    limit = ("--threads", 2, *memory(ask_least(place)[0]))
    check_fails(place.run("run", *limit, env={"TMPDIR": "/nowhere/at/all"}), 1, "/nowhere/at/all",
                "TMPDIR")
    assert "out.csv" not in place.names()
    place.run("run", *limit, env={"TMPDIR": ""}, status=0)  # beside the store
    assert not [name for name in place.names() if "vector" in name]


@pytest.mark.matrix(28)
def test_the_disk_is_full_under_a_limit(desk, narrow):
    need_faults()
    place = desk(talks(9, 100), embed={"model": narrow})
    limit = ("--threads", 2, *memory(ask_least(place, dim=16)[0]))
    place.run("run", status=0)
    want = place.read()
    seen = set()
    for n in range(1, 30, 2):
        (place.dir / "out.csv").unlink(missing_ok=True)
        args = ("curate", "--set", "dedup.threshold=%s" % (0.5 + n / 100), *limit)
        result = place.run(*args, env={**faults_env("enospc:write:%d+" % n),
                                       "TMPDIR": str(place.dir / "tmp")})
        check_fails(result, 1)
        assert not list((place.dir / "tmp").iterdir()) and "out.csv" not in place.names()
        seen.add("beyond dedup.memory to a file in" in result.err)
    assert True in seen
    place.run("run", *limit, status=0)
    assert place.read() == want


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nothing_stays_behind(desk, narrow, how):
    place = desk(distinct_talks(12000), embed={"model": narrow})
    limit = ("--threads", 2, *memory(ask_least(place, dim=16)[0]))
    process = place.start("run", *limit, env={"TMPDIR": str(place.dir / "tmp")})
    deadline = time.monotonic() + 60
    while not (place.dir / "tamis.db").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.4)
    process.send_signal(how)
    process.communicate(timeout=60)
    assert not list((place.dir / "tmp").iterdir())
    place.run("run", *limit, status=0)
    assert place.read()
