"""The deduplication alone: vectors in, numbers of kept rows out, tamis beside what others use."""

import json
import os
import subprocess

import corpora
import results
from measure import Contender
from results import FAISS, NUMPY, SEMDEDUP, SEMHASH, TAMIS

HERE = os.path.dirname(os.path.abspath(__file__))
DIM, THRESHOLD = 384, 0.85
ROW_BYTES = 4 * DIM
METHODS = {FAISS: "faiss", NUMPY: "numpy", SEMHASH: "semhash", SEMDEDUP: "semdedup"}
FIRST, NEW = 50000, 1000


def real_vectors(bench):
    """The file of the vectors of all texts of sgd, newest first; made once, None without sgd."""
    if not corpora.path_of("sgd"):
        return None
    path = os.path.join(os.path.dirname(bench.work), "sgd-distinct.f32")
    texts = corpora.newest_texts("sgd")
    if not os.path.exists(path) or os.path.getsize(path) != len(texts) * ROW_BYTES:
        lines = os.path.join(bench.work, "sgd-distinct.jsonl")
        corpora.write_texts(lines, texts)
        with open(lines, "rb") as f, open(path + ".part", "wb") as out:
            subprocess.run([bench.tamis, "embed", "--jsonl", "--quiet"], stdin=f, stdout=out,
                           env=bench.tamis_env(bench.isa), check=True)
        os.replace(path + ".part", path)
    return path


def more_vectors(bench, real, count):
    """Real ones and more made of them; made once, None where the peers' NumPy is not there."""
    path = os.path.join(os.path.dirname(bench.work), "more-vectors.f32")
    if not bench.peers.python:
        return None
    if not os.path.exists(path) or os.path.getsize(path) < count * ROW_BYTES:
        subprocess.run([bench.peers.python, os.path.join(HERE, "more_vectors.py"), real,
                        path + ".part", str(count)], env=bench.env, check=True)
        os.replace(path + ".part", path)
    return path


def first_rows(bench, path, count):
    """A file of the first rows of another."""
    out = os.path.join(bench.work, "rows.f32")
    with open(path, "rb") as f, open(out, "wb") as to:
        left = count * ROW_BYTES
        while left:
            left -= to.write(f.read(min(left, 1 << 24)))
    return out


def tamis_contender(bench, case, isa, vectors):
    c = Contender(TAMIS, isa, [bench.tamis, "dedup", "--vectors", vectors, "--dim", str(DIM),
                               "--threshold", str(THRESHOLD), "--json", "--no-progress",
                               "--threads", str(bench.threads)],
                  bench.tamis_env(isa), work=bench.directory(case, TAMIS + isa))

    def after():
        with open(c.stdout, encoding="ascii") as f:
            numbers = f.readlines()
        with open(c.stderr, encoding="utf-8") as f:
            figures = json.loads(f.read().splitlines()[-1])
        with open(os.path.join(c.work, "kept"), "w", encoding="ascii") as f:
            f.writelines(numbers)
        return {"alone": figures["seconds"]["dedup"], "kept": len(numbers)}
    c.after = after
    return c


def peer_contender(bench, case, name, vectors, count):
    work = bench.directory(case, name)
    c = Contender(name, "", [], bench.env, work=work)
    kept = os.path.join(work, "kept")
    c.command = bench.peers.join_command(METHODS[name], vectors, count, THRESHOLD, kept)

    def after():
        with open(kept, encoding="ascii") as f:
            return dict(c.printed(), kept=sum(1 for _ in f))
    c.after = after
    return c


def what_is_wrong(bench, c, vectors, count):
    """Errors of a list of kept rows, or {}."""
    command = bench.peers.join_command("check", vectors, count, THRESHOLD,
                                       os.path.join(c.work, "kept"))
    done = subprocess.run(command, env=bench.env, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def rows_of(bench, case, c, vectors, count, check):
    if not c.runs:
        return
    wrong = what_is_wrong(bench, c, vectors, count) if check else {}
    versions = ", ".join("%s %s" % kv for kv in c.runs[-1].get("versions", {}).items())
    yield results.row(case, c, results.WORK, "s", (r["alone"] for r in c.runs), versions)
    yield results.row(case, c, results.SECONDS, "s", (r["wall"] for r in c.runs))
    yield results.row(case, c, results.CPU, "s", (r["cpu"] for r in c.runs))
    yield from results.memory_rows(case, c, 0)
    yield results.row(case, c, results.KEPT, "rows", [c.runs[-1]["kept"]])
    for quantity, key in ((results.KEPT_NEAR, "kept_near"), (results.UNCOVERED, "uncovered")):
        if key in wrong:
            yield results.row(case, c, quantity, "rows", [wrong[key]])


def beside_peers(bench, real, count, head):
    case = "{:,} real vectors".format(count)
    head["case " + case] = "distinct user texts of sgd, newest first"
    vectors = first_rows(bench, real, count)
    isas = dict.fromkeys((bench.isa, "avx2" if bench.isa != "scalar" else "scalar"))
    contenders = [tamis_contender(bench, case, isa, vectors) for isa in isas]
    if bench.peers.python:
        contenders += [peer_contender(bench, case, name, vectors, count) for name in METHODS]
    rows = list(bench.measured(case, contenders))
    for c in contenders:
        rows += rows_of(bench, case, c, vectors, count, bool(bench.peers.python))
    return rows


def growth(bench, more, count, head):
    case = "{:,} vectors".format(count)
    head["case " + case] = "real ones, then interpolations of real ones as near as real ones are"
    vectors = first_rows(bench, more, count)
    contenders = [tamis_contender(bench, case, bench.isa, vectors)]
    rows = list(bench.measured(case, contenders))
    return rows + list(rows_of(bench, case, contenders[0], vectors, count, False))


def incremental(bench, more, count, head):
    """New rows into old ones, by a small program built on the library."""
    build = os.path.dirname(bench.tamis)
    program = os.path.join(build, "bench", "join_incremental")
    if subprocess.run(["ninja", "-C", build, "bench/join_incremental"], check=False,
                      stdout=subprocess.DEVNULL).returncode:
        return []
    case = "{:,} new vectors into {:,}".format(NEW, count)
    head["case " + case] = "the list is newest first, so they stand before all others, " \
        "whose verdicts are known"
    c = Contender(TAMIS, bench.isa, [program, more, str(count), str(NEW),
                                     str(bench.threads)],
                  bench.tamis_env(bench.isa), work=bench.directory(case, TAMIS))
    c.after = c.printed
    rows = list(bench.measured(case, [c]))
    if c.runs:
        rows += [results.row(case, c, quantity, unit, (r[key] for r in c.runs))
                 for quantity, unit, key in ((results.WORK, "s", "batch"),
                                             (results.AGAIN, "s", "again"),
                                             (results.MET_ALL, "rows", "met_all"))]
    return rows


def measure_join(bench, head):
    real = real_vectors(bench)
    if not real:
        bench.peers.say("join: there are no real vectors without ../shared/data")
        return []
    count = os.path.getsize(real) // ROW_BYTES
    rows = []
    most = max(bench.args.rows)
    for n in dict.fromkeys((min(FIRST, count, most), min(count, most))):
        rows += beside_peers(bench, real, n, head)
    more = more_vectors(bench, real, most)
    for n in bench.args.rows if more else []:
        rows += growth(bench, more, n, head)
    if more:
        rows += incremental(bench, more, most, head)
    return rows
