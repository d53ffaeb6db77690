"""From interactions at a server to a CSV that is verified, stage by stage, at several sizes, and
what looks at it afterwards."""

import os

import corpora
import results
from measure import Contender
from results import SCRIPT, STAGE, TAMIS

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = "sgd-SYNTHETIC-ratings"
STAGES = ("sync", "curate", "export", "verify")
LOOKS = ("report", "tune")  # any number of times, and no part of the whole
SETTINGS = "removed = removed.jsonl\n"  # verify looks at what was left out, too
GIB = 1024.0**3


def own_commands(bench, work, commands):
    """Each a process of its own."""
    for command in commands:
        said = [] if command == "report" else ["--json"]
        c = Contender(STAGE + command, bench.isa, [
            bench.tamis, command, "--no-progress", "--threads", str(bench.threads)] + said,
            bench.tamis_env(bench.isa), work=work)
        c.stdout = os.path.join(work, command + ".json")
        yield c


def figures(case, c, run):
    yield results.row(case, c, results.SECONDS, "s", [run["wall"]])
    yield results.row(case, c, results.CPU, "s", [run["cpu"]])
    yield results.row(case, c, results.PEAK, "MiB", [run["peak_kib"] / results.MIB])


def said(case, c, summary):
    """What the stage says of itself."""
    seconds = summary.get("seconds_of", summary["seconds"])
    for part in results.STAGE_PARTS:
        if part in seconds and c.name != STAGE + "export":
            yield results.row(case, c, results.PART + part, "s", [seconds[part]])
    if c.name == STAGE + "verify":
        yield results.row(case, c, results.KEPT, "rows", [summary["kept"]])


def run_stages(bench, case, work):
    total = {"wall": 0, "cpu": 0, "peak_kib": 0}
    for c in own_commands(bench, work, STAGES):
        yield from bench.measured(case, [c], runs=1)
        if not c.runs:
            return
        run = c.runs[0]
        yield from figures(case, c, run)
        yield from said(case, c, c.printed())
        total = {"wall": total["wall"] + run["wall"], "cpu": total["cpu"] + run["cpu"],
                 "peak_kib": max(total["peak_kib"], run["peak_kib"])}
    yield from figures(case, Contender(STAGE + "all", bench.isa, []), total)


def run_looks(bench, case, work):
    for c in own_commands(bench, work, LOOKS):
        yield from bench.measured(case, [c])
        if not c.runs:
            continue
        for quantity, unit, key, scale in ((results.SECONDS, "s", "wall", 1),
                                           (results.CPU, "s", "cpu", 1),
                                           (results.PEAK, "MiB", "peak_kib", results.MIB)):
            yield results.row(case, c, quantity, unit, [r[key] / scale for r in c.runs])
        yield results.row(case, c, results.WRITTEN, "KiB", [os.path.getsize(c.stdout) / 1024.0])


def script(bench, case, url, turns):
    """The whole of it by the script, where its matrix of all pairs fits into the memory."""
    c = Contender(SCRIPT, "", [])
    need, have = 4.0 * turns * turns, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if not bench.peers.python:
        yield results.failed(case, c, bench.peers.missing)
    elif need > 0.8 * have:
        yield results.failed(case, c, "not tried: its matrix of all pairs takes {:,.0f} GiB of the "
                             "{:,.0f} there are".format(need / GIB, have / GIB))
    else:
        c = bench.script(case, url)
        yield from bench.measured(case, [c], runs=1)
        if c.runs:
            yield from figures(case, c, c.runs[0])


def measure_stages(bench, head):
    rows = []
    corpus = corpora.Corpus(CORPUS)
    for turns in bench.args.stage_turns:
        path = os.path.join(bench.work, "corpus.jsonl")
        interactions, found, distinct = corpus.grow(path, turns)
        case = "{:,} turns".format(found)
        head["case " + case] = "{:,} interactions, {:,} distinct texts of users ({})".format(
            interactions, distinct, corpus.name)
        with bench.tenant(path, os.path.join(HERE, "page_server.py")) as tenant:
            work = bench.job_directory(case, tenant.url, SETTINGS)
            rows += run_stages(bench, case, work)
            rows += run_looks(bench, case, work)
            rows += script(bench, case, tenant.url, found)
    return rows
