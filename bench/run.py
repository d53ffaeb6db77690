#!/usr/bin/env python3
"""Measures tamis against what else does the job.  `./dev bench` builds tamis and calls this."""

import argparse
import array
import datetime
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys

import corpora
import peers as peers_module
import results
from corpora import ROOT
from measure import Contender, measure
from join import measure_join
from stages import measure_stages
from results import EXACT, FAST, MACHINE, PUBLISHED, SCRIPT, ST, TAMIS

HERE = os.path.dirname(os.path.abspath(__file__))
PATH_OPTIONS = ("--tamis", "--model", "--venv", "--out", "--torch-index")
QUIET = 0.5  # load average; more than that is other people's work
PATIENCE = 10000  # interactions that the published script, pauses and all, is run for
SAME = 1e-5  # components of unit vectors: twenty times what float32 costs


def say(text):
    print(text, file=sys.stderr, flush=True)


def command_line():
    p = argparse.ArgumentParser(
        prog="./dev bench", formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Measures tamis against sentence-transformers, ONNX Runtime, OpenVINO and the "
        "published script, on the same inputs in the same run; writes CSV files and RESULTS.md.")
    p.add_argument("--quick", action="store_true",
                   help="500 texts, 1,000 turns, 2 runs: a look, kept below build/ only")
    p.add_argument("--only", metavar="LIST", default=",".join(results.MEASURES),
                   help="which measures, separated by commas")
    p.add_argument("--runs", type=int, metavar="N", default=5, help="of each")
    p.add_argument("--budget", type=float, metavar="SECONDS", default=240,
                   help="a program that has taken so long in one case has no further run of it")
    p.add_argument("--timeout", type=float, metavar="SECONDS", default=900,
                   help="a single run that takes longer is ended, and gives no figure")
    p.add_argument("--threads", metavar="LIST", default="1,2",
                   help="for texts to vectors each of them, for the rest the most")
    p.add_argument("--texts", type=int, metavar="N", default=5000)
    p.add_argument("--turns", metavar="LIST", default="1000,5000,10000")
    p.add_argument("--stage-turns", metavar="LIST", default="10000,100000",
                   help="for stages; a million takes half an hour")
    p.add_argument("--rows", metavar="LIST", default="10000,30000,100000,300000,1000000",
                   help="for join: how many vectors, real ones and more made of them")
    p.add_argument("--interactions", metavar="LIST", default="10000,100000", help="for sync")
    p.add_argument("--corpus", metavar="NAME", action="append",
                   help="for end to end; again for more (default: sgd-SYNTHETIC-ratings, "
                   "topical-chat)")
    p.add_argument("--tamis", metavar="FILE", default=os.path.join(ROOT, "build", "tamis"))
    p.add_argument("--model", metavar="DIR", help="default: what `tamis model path` says")
    p.add_argument("--venv", metavar="DIR", default=os.path.join(ROOT, "build", "bench-venv"),
                   help="where the peers are, or are installed")
    p.add_argument("--torch-index", metavar="URL",
                   help="a package index with CPU builds of torch, a tenth of the size")
    p.add_argument("--no-peers", action="store_true", help="tamis alone")
    p.add_argument("--out", metavar="DIR", help="default: bench/, or build/bench/ if --quick")
    args = p.parse_args()
    args.only = args.only.split(",")
    for name in args.only:
        if name not in results.MEASURES:
            p.error("--only %s: not one of %s" % (name, ", ".join(results.MEASURES)))
    try:
        args.turns = [int(n) for n in args.turns.split(",")]
        args.threads = [int(n) for n in args.threads.split(",")]
        args.rows = [int(n) for n in args.rows.split(",")]
        args.stage_turns = [int(n) for n in args.stage_turns.split(",")]
        args.interactions = [int(n) for n in args.interactions.split(",")]
    except ValueError:
        p.error("--turns, --stage-turns, --threads, --rows, --interactions: whole numbers, "
                "separated by commas")
    args.corpus = args.corpus or ["sgd-SYNTHETIC-ratings", "topical-chat"]
    if args.quick:
        args.texts, args.turns, args.runs = min(args.texts, 500), [1000], min(args.runs, 2)
        args.corpus, args.rows, args.stage_turns = args.corpus[:1], [10000], [1000]
        args.interactions = [2000, 10000]
    args.out = args.out or (os.path.join(ROOT, "build", "bench") if args.quick else HERE)
    return args


def typed():
    """The command line as it was typed, without values that name places of this machine."""
    words = ["./dev", "bench"]
    given = iter(sys.argv[1:])
    for word in given:
        name, equals, _ = word.partition("=")
        if name in PATH_OPTIONS:
            words.append(name + " ...")
            if not equals:
                next(given, None)
        else:
            words.append(word)
    return " ".join(words)


def cpu_info(name):
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        return next((line.partition(":")[2].strip() for line in f if line.startswith(name)), "")


def machine_isa():
    """The best of TAMIS_ISA's sets that this processor has."""
    flags = set(cpu_info("flags").split())
    if not {"avx2", "fma"} <= flags:
        return "scalar"
    if not {"avx512f", "avx512bw", "avx512vl", "avx512dq"} <= flags:
        return "avx2"
    return "avx512vnni" if "avx512_vnni" in flags else "avx512"


def output(*command):
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                              check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


class Bench:
    """What all measures share."""

    def __init__(self, args):
        self.args = args
        self.isa = machine_isa()
        self.load = os.getloadavg()[0]
        self.started = datetime.datetime.now(datetime.timezone.utc)
        self.work = os.path.join(ROOT, "build", "bench", "work")
        self.tamis = os.path.abspath(args.tamis)
        model = args.model or output(self.tamis, "model", "path")
        self.model = os.path.abspath(model) if model else None
        self.model_mib = 0.0
        self.peers = peers_module.Peers(os.path.abspath(args.venv), say)
        self.threads = max(args.threads)
        self.env = peers_module.environment(self.threads)
        self.peak = None  # the program that finds the peak of the processor
        self.encode = None  # bench/encode.c
        self.versions = {}
        self.absent = {}  # what cannot be measured: contender key -> why
        self.broken = False  # tamis itself gave no figure somewhere

    def prepare(self):
        """Everything slow and once only; then each program runs once on one text, untimed, so
        that none starts cold."""
        weights = os.path.join(self.model or "", "model.safetensors")
        if not os.path.exists(weights):
            raise SystemExit("bench: no model; ./dev model fetches it, or name it with --model")
        self.model_mib = os.path.getsize(weights) / 1024.0**2
        if self.args.no_peers:
            self.peers.missing = "left out (--no-peers)"
        else:
            self.peers.install(self.args.torch_index)
        self.peers.export(self.model)
        os.makedirs(self.work, exist_ok=True)
        self.compile_peak()
        self.compile_encode()
        self.one_text = os.path.join(self.work, "one.jsonl")
        corpora.write_texts(self.one_text, ["Where is my order?"])
        for c in self.encoders(self.one_text, "warm", self.threads):
            figures = c.run(self.threads, self.args.timeout)
            if figures is None:
                say("%s cannot be measured: %s: %s" % (c.key, c.failure, c.complaint()))
                self.absent[c.key] = c.failure
            else:
                self.versions.update(figures.get("versions", {}))

    def compile_peak(self):
        program = os.path.join(self.work, "peak")
        compiler = os.environ.get("CC", "cc").split()
        try:
            subprocess.run(compiler + ["-O2", "-pthread", os.path.join(HERE, "peak.c"), "-o",
                                       program], check=True)
            self.peak = program
        except (OSError, subprocess.CalledProcessError):
            say("bench/peak.c cannot be compiled, so there is no peak to set figures against")

    def peak_contender(self, case, threads):
        """[a contender that finds the machine's peak], [] where that cannot be."""
        if not self.peak:
            return []
        c = Contender(MACHINE, "", [self.peak, str(threads)], work=self.directory(case, "peak"))
        c.after = c.printed
        return [c]

    def flop_per_token(self):
        """Of the products with weights: those of attention are left out (half a per cent)."""
        with open(os.path.join(self.model, "config.json"), encoding="utf-8") as f:
            c = json.load(f)
        hidden = c["hidden_size"]
        return 2 * c["num_hidden_layers"] * (4 * hidden + 2 * c["intermediate_size"]) * hidden

    def directory(self, *names):
        return os.path.join(self.work, *(re.sub(r"[^\w.-]", "-", n) for n in names))

    def tamis_env(self, isa):
        return dict(self.env, TAMIS_ISA=isa, TAMIS_CLIENT_SECRET="bench",
                    TAMIS_MODEL_DIR=os.path.dirname(self.model))

    def isas(self):
        return results.ISAS[:results.ISAS.index(self.isa) + 1]

    def compile_encode(self):
        """The small program that says what encoding alone takes, and with precision = fast, which
        `tamis embed` never does."""
        build = os.path.dirname(self.tamis)
        if subprocess.run(["ninja", "-C", build, "bench/encode"], check=False,
                          stdout=subprocess.DEVNULL).returncode:
            say("bench/encode.c cannot be compiled, so no row says what encoding alone takes")
        else:
            self.encode = os.path.join(build, "bench", "encode")

    def bare_encoders(self, texts, case, threads):
        """Either precision, with each instruction set that has kernels."""
        for name, precision in (EXACT, "exact"), (FAST, "fast"):
            for isa in reversed(self.isas()[1:] if self.encode else []):
                work = self.directory(case, name + isa)
                c = Contender(name, isa, [], self.tamis_env(isa), work=work)
                c.vectors = os.path.join(work, "vectors.f32")
                c.command = [self.encode, precision, self.model, texts, c.vectors, str(threads)]
                c.after = c.printed
                yield c

    def encoders(self, texts, case, threads):
        """Whatever makes vectors of texts, best tamis first; without those known to be absent."""
        found = []
        for isa in reversed(self.isas()):
            c = Contender(TAMIS, isa, [self.tamis, "embed", "--jsonl", "--quiet", "--threads",
                                       str(threads)],
                          self.tamis_env(isa), texts, self.directory(case, TAMIS + isa))
            c.vectors = c.stdout
            found.append(c)
        found += self.bare_encoders(texts, case, threads)
        for engine in peers_module.ENGINES:
            work = self.directory(case, engine)
            c = Contender(engine, "", [], peers_module.environment(threads), work=work)
            c.vectors = os.path.join(work, "vectors.f32")
            c.after = c.printed
            if self.peers.why_not(engine):
                self.absent[c.key] = self.peers.why_not(engine)
            else:
                c.command = self.peers.encode_command(engine, self.model, texts, c.vectors,
                                                      threads)
            found.append(c)
        return [c for c in found if c.key not in self.absent]

    def gone(self, case):
        """A row for each encoder that cannot be measured."""
        for key, why in self.absent.items():
            name, _, isa = key.partition("/")
            yield results.failed(case, Contender(name, isa, []), why)
            self.broken = self.broken or name == TAMIS

    def measured(self, case, contenders, threads=None, runs=None):
        """Runs them; yields a row for each that gave no figure."""
        say("%s" % case)
        measure(contenders, runs or self.args.runs, self.args.budget, threads or self.threads,
                self.args.timeout, say)
        for c in contenders:
            if c.failure and not c.runs:
                yield results.failed(case, c, c.failure)
                self.broken = self.broken or c.name.startswith(TAMIS)

    def tenant(self, argument, server):
        return Tenant(argument, server)

    def job_directory(self, case, url, settings=""):
        """A fresh directory with a tamis.ini for the interactions at `url`."""
        work = self.directory(case, TAMIS)
        fresh(work, {"tamis.ini": CONFIG % url + settings})()
        return work

    def script(self, case, url):
        """The whole job by the published script."""
        work = self.directory(case, SCRIPT)
        return Contender(SCRIPT, "", [
            self.peers.python, os.path.join(HERE, "reference_script.py"), url, "--model",
            self.model, "--page-delay", "0", "--output", "out.csv", "--state", "state.json"],
            dict(self.env, CLIENT_SECRET="bench"), work=work, before=fresh(work, {}))

    def head(self):
        """The head of a CSV file: when, where, with what."""
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024.0**3
        changed = output("git", "status", "--porcelain", "--untracked-files=no", "--", ".",
                         ":!bench/RESULTS.md", ":!bench/results")
        commit = output("git", "rev-parse", "--short", "HEAD")
        peers = ", ".join("%s %s" % kv for kv in self.versions.items())
        return {
            "date": self.started.strftime("%Y-%m-%d %H:%M UTC"),
            "command": "`%s`" % typed(),
            "machine": "%s, %d processors, %.0f GiB, Linux %s" % (
                cpu_info("model name"), os.cpu_count(), memory,
                ".".join(platform.release().split(".")[:2])),
            "threads": ", ".join(map(str, self.args.threads)),
            "load before": "%.2f" % self.load,
            "versions": "%s%s%s; %s; Python %s" % (
                output(self.tamis, "--version") or TAMIS,
                commit and " at commit " + commit, " with changes" if changed else "",
                peers or "no peers", platform.python_version()),
            "model MiB": "%.1f" % self.model_mib,
        }


def floats(path):
    values = array.array("f")
    with open(path, "rb") as f:
        values.frombytes(f.read())
    return values


def agreement(contender, first):
    """How the vectors of a contender differ from those of the first."""
    if contender is first:
        return ""
    a, b = floats(first.vectors), floats(contender.vectors)
    if len(a) != len(b):
        return "another number of vectors than %s" % first.key
    if a == b:
        return "the same bits as %s" % first.key
    most = max(abs(x - y) for x, y in zip(a, b))
    words = "no component off by more than %.1e from %s" if most < SAME else \
        "**other vectors**: components off by up to %.1e from %s"
    return words % (most, first.key)


def count_tokens(bench, texts):
    """Tokens a text, by tamis; None where it cannot say."""
    try:
        with open(texts, "rb") as f:
            done = subprocess.run([bench.tamis, "tokenize", "--jsonl"], stdin=f, check=True,
                                  env=bench.tamis_env("scalar"), capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    lines = done.stdout.splitlines()
    return sum(len(line.split()) for line in lines) / max(1, len(lines))


def measure_embed(bench, head):
    rows = []
    for name, what, texts in corpora.texts(bench.args.texts):
        path = os.path.join(bench.work, name + ".jsonl")
        corpora.write_texts(path, texts)
        tokens = count_tokens(bench, path)
        for threads in bench.args.threads:
            case = "%s, %d texts, %s" % (
                name, len(texts), "1 thread" if threads == 1 else "%d threads" % threads)
            head["case " + case] = what + (", %.1f tokens each" % tokens if tokens else "")
            peak = bench.peak_contender(name, threads)
            contenders = bench.encoders(path, name, threads)
            rows += list(bench.gone(case))
            rows += list(bench.measured(case, peak + contenders, threads))
            rows += [results.row(case, c, results.PEAK_OF + kind, results.PEAK_UNIT,
                                 (r[kind] for r in c.runs))
                     for c in peak if c.runs for kind in c.printed()]
            contenders = [c for c in contenders if c.runs]
            flop = tokens and len(texts) * tokens * bench.flop_per_token()
            for c in contenders:
                rows += encoder_rows(bench, case, c, len(texts), agreement(c, contenders[0]))
                rows += results.share_rows(case, c, flop, peak)
    return rows


def encoder_rows(bench, case, c, n_texts, note):
    yield results.row(case, c, results.WHOLE, "utterances/s",
                      (n_texts / r["wall"] for r in c.runs), note)
    if "encode" in c.runs[0]:
        yield results.row(case, c, results.ALONE, "utterances/s",
                          (n_texts / r["encode"] for r in c.runs))
    yield results.row(case, c, results.CPU, "s", (r["cpu"] for r in c.runs))
    yield from results.memory_rows(case, c, bench.model_mib)


def measure_start(bench, _head):
    case = "one text"
    contenders = [c for c in bench.encoders(bench.one_text, "start", bench.threads)
                  if c.name not in (EXACT, FAST)]
    rows = list(bench.gone(case)) + list(bench.measured(case, contenders))
    for c in contenders:
        if c.runs:
            rows.append(results.row(case, c, results.SECONDS, "s", (r["wall"] for r in c.runs)))
            rows += results.memory_rows(case, c, bench.model_mib)
    return rows


class Tenant:
    """A server in a process of its own: sim/tenant.py with a corpus, if nothing else is said."""

    def __init__(self, argument, server=os.path.join(ROOT, "sim", "tenant.py")):
        self.process = subprocess.Popen(
            [sys.executable, server, argument],
            stdout=subprocess.PIPE, text=True, env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))

    def __enter__(self):
        word, _, self.url = self.process.stdout.readline().strip().partition(" ")
        if word != "listening":
            self.__exit__()
            raise SystemExit("bench: the simulated tenant does not start")
        return self

    def __exit__(self, *_exc):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


CONFIG = """[source]
base_url = %s
client_id = bench
page_delay = 0

[store]
url = tamis.db

[export]
csv = out.csv
"""


def fresh(work, files):
    """Empties a work directory and writes these files there, {name: text}."""
    def prepare():
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        for name, text in files.items():
            with open(os.path.join(work, name), "w", encoding="utf-8") as f:
                f.write(text)
    return prepare


def own_job(bench, case, url, name, isa, *settings):
    """The whole job, by tamis."""
    work = bench.directory(case, name + isa)
    own = Contender(name, isa, [bench.tamis, "run", "--json", "--no-progress", "--threads",
                                str(bench.threads), *settings],
                    bench.tamis_env(isa), work=work,
                    before=fresh(work, {"tamis.ini": CONFIG % url}))
    own.after = lambda: {"parts": own.printed().get("seconds", {})}
    return own


def job_contenders(bench, case, url):
    """The whole job, by tamis with its best instructions and with AVX2, and by the script."""
    found = []
    for isa in dict.fromkeys([bench.isa, min(bench.isa, "avx2", key=results.ISAS.index)]):
        found.append(own_job(bench, case, url, TAMIS, isa))
        found.append(own_job(bench, case, url, FAST, isa, "--set", "embed.precision=fast"))
    return found + ([bench.script(case, url)] if bench.peers.python else [])


def same_csv(own, script):
    """What to say of the two CSV files, or "" when there are not two."""
    if not own.runs or not script.runs:
        return ""
    files = []
    for c in (own, script):
        with open(os.path.join(c.work, "out.csv"), "rb") as f:
            files.append(f.read())
    if files[0] == files[1]:
        return "its CSV is the script's, byte for byte ({:,} bytes)".format(len(files[0]))
    a, b = (set(f.splitlines()) for f in files)
    return "**its CSV is not the script's**: %d lines only here, %d only there" % (
        len(a - b), len(b - a))


def measure_job(bench, head):
    rows = []
    for corpus in map(corpora.Corpus, bench.args.corpus):
        for turns in bench.args.turns:
            path = os.path.join(bench.work, "corpus.jsonl")
            interactions, found = corpus.cut(path, turns)
            case = "%s, %d turns" % (corpus.name, found)
            if "case " + case in head:
                say("%s: %d turns are more than there are" % (corpus.name, turns))
                continue
            head["case " + case] = "{:,} interactions".format(interactions)
            with Tenant(path) as tenant:
                contenders = job_contenders(bench, case, tenant.url)
                rows += bench.measured(case, contenders)
            script = contenders[-1] if contenders[-1].name == SCRIPT else None
            if not script:
                rows.append(results.failed(case, Contender(SCRIPT, "", []), bench.peers.missing))
            for c in contenders:
                note = same_csv(c, script) if script and c is not script else ""
                rows += job_rows(bench, case, c, note)
    return rows


def job_rows(bench, case, c, note):
    if not c.runs:
        return
    yield results.row(case, c, results.SECONDS, "s", (r["wall"] for r in c.runs), note)
    yield results.row(case, c, results.CPU, "s", (r["cpu"] for r in c.runs))
    yield from results.memory_rows(case, c, bench.model_mib)
    for part in c.runs[0].get("parts", {}):
        yield results.row(case, c, results.PART + part, "s", (r["parts"][part] for r in c.runs))


def sync_contenders(bench, case, url, count):
    """Fetching into the store, and the script's loop, which keeps what it fetched in memory."""
    work = bench.directory(case, TAMIS)
    own = Contender(TAMIS, "", [bench.tamis, "sync", "--json", "--no-progress"],
                    bench.tamis_env(bench.isa), work=work,
                    before=fresh(work, {"tamis.ini": CONFIG % url}))

    def after():
        summary = own.printed()
        if summary["interactions"]["stored"] != count:
            raise SystemExit("bench: %d interactions stored, not %d" % (
                summary["interactions"]["stored"], count))
        again = json.loads(subprocess.run(own.command, cwd=work, env=own.env, check=True,
                                          capture_output=True, text=True).stdout)
        return {"rate": count / summary["seconds"]["sync"],
                "requests": summary["http"]["requests"],
                "again": again["http"]["requests"]}
    own.after = after
    if not bench.peers.python:
        return [own]
    found = [own]
    for name, *pause in (SCRIPT,), (PUBLISHED, "0.5"):
        if pause and count > PATIENCE:
            continue
        script = Contender(name, "", [bench.peers.python, os.path.join(HERE, "reference_fetch.py"),
                                      url, *pause], bench.env, work=bench.directory(case, name))
        script.after = lambda script=script: {"rate": count / script.printed()["fetch"]}
        found.append(script)
    return found


def measure_sync(bench, head):
    rows = []
    for count in bench.args.interactions:
        case = "{:,} interactions".format(count)
        head["case " + case] = ("over the loopback, pages of 200, no pause between them; the store "
                                "on disk, each page one synced transaction")
        with Tenant(str(count), os.path.join(HERE, "page_server.py")) as tenant:
            contenders = sync_contenders(bench, case, tenant.url, count)
            rows += bench.measured(case, contenders)
        for c in contenders:
            rows += sync_rows(case, c)
    return rows


def sync_rows(case, c):
    if not c.runs:
        return
    yield results.row(case, c, results.RATE, "interactions/s", (r["rate"] for r in c.runs))
    yield results.row(case, c, results.CPU, "s", (r["cpu"] for r in c.runs))
    yield results.row(case, c, results.PEAK, "MiB", (r["peak_kib"] / 1024 for r in c.runs))
    if "again" in c.runs[0]:
        yield results.row(case, c, results.REQUESTS, "", (r["requests"] for r in c.runs))
        yield results.row(case, c, results.SECOND, "", (r["again"] for r in c.runs))


MEASURES = {"embed": measure_embed, "start": measure_start, "end-to-end": measure_job,
            "stages": measure_stages, "join": measure_join, "sync": measure_sync}


def end_on_term(*_):
    raise SystemExit("bench: ended by SIGTERM")


def main():
    signal.signal(signal.SIGTERM, end_on_term)
    args = command_line()
    bench = Bench(args)
    if bench.load > QUIET:
        say("the machine is not quiet (load %.2f): the figures will show it" % bench.load)
    bench.prepare()
    common = bench.head()
    directory = os.path.join(args.out, "results")
    for name in results.MEASURES:
        if name not in args.only:
            continue
        head = dict(common)
        rows = MEASURES[name](bench, head)
        results.write(os.path.join(directory, "%s-%s.csv" % (bench.isa, name)), head, rows)
    text = results.render(directory)
    with open(os.path.join(args.out, "RESULTS.md"), "w", encoding="utf-8") as f:
        f.write(text)
    shutil.rmtree(bench.work)
    print(text)
    return 1 if bench.broken else 0


if __name__ == "__main__":
    sys.exit(main())
