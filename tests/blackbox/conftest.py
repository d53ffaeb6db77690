"""What the black-box tests stand on: the program, a tenant, a directory to work in.

The program is called through its command line only.  Environment:

    TAMIS             the program (default: build/tamis)
    TAMIS_MODEL_DIR   where the program finds its model (default: its own default)
    TAMIS_SLOW=0      leaves out the tests that take long
    TAMIS_PATIENCE=N  every wait for a process may take N times as long (under valgrind)
"""

import json
import os
import pathlib
import subprocess
import sys
import types
import urllib.parse

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
CORPUS = ROOT / "sim" / "corpus"
PROGRAM = pathlib.Path(os.environ.get("TAMIS", ROOT / "build" / "tamis")).absolute()
sys.path.insert(0, str(ROOT / "sim"))

import oracle  # noqa: E402
import records  # noqa: E402
import small_model  # noqa: E402
from desk import Desk  # noqa: E402
from tenant import Tenant  # noqa: E402

PATIENCE = float(os.environ.get("TAMIS_PATIENCE", "1"))

CLIENT_ID = "test client+1"
SECRET = "sim secret&1=2+3%/é"  # each of these is spoiled by a careless form encoding


class PatientPopen(subprocess.Popen):
    def communicate(self, input=None, timeout=None):
        return super().communicate(input, timeout and timeout * PATIENCE)

    def wait(self, timeout=None):
        return super().wait(timeout and timeout * PATIENCE)


def pytest_configure(config):
    if PATIENCE != 1:
        subprocess.Popen = PatientPopen
    config.addinivalue_line("markers", "slow: takes long; left out with TAMIS_SLOW=0")
    config.addinivalue_line("markers", "native: looks at what is another under valgrind")
    config.addinivalue_line("markers", "matrix(row): of the fault matrix, docs/RELIABILITY.md")


def pytest_collection_modifyitems(items):
    if os.environ.get("TAMIS_SLOW", "1") == "0":
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="SKIPPED: slow, and TAMIS_SLOW=0"))


def pytest_report_header():
    return ["program: %s" % PROGRAM, "references: %s%s" % (SHARED, "" if SHARED.exists()
                                                           else " (MISSING)")]


def pytest_terminal_summary(terminalreporter):
    """Whatever was skipped is said, without -rs."""
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line("skipped: %s: %s" % (report.nodeid, reason))


def base_environment():
    env = {k: v for k, v in os.environ.items() if k not in ("TAMIS_ISA", "TAMIS_CLIENT_SECRET")}
    env["TAMIS_CLIENT_SECRET"] = SECRET
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    return env


SECRET_FORMS = [form.encode() for form in (
    SECRET, SECRET.encode("utf-8").decode("latin-1"), urllib.parse.quote(SECRET, ""),
    urllib.parse.quote_plus(SECRET), "secret&1")]


def check_nothing_secret(data, tokens=()):
    for word in (*SECRET_FORMS, *(token.encode() for token in tokens)):
        assert word not in data, "a secret is shown: %r" % data[:3000]


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err.decode("utf-8", "replace")

    @property
    def text(self):
        return self.out.decode("utf-8")

    @property
    def lines(self):
        return [line for line in self.err.splitlines() if line.strip()]

    def json(self):
        """The one JSON object on stdout; anything else there is an error."""
        assert self.out.count(b"\n") == 1 and self.out.endswith(b"\n"), self
        return json.loads(self.out)

    def __repr__(self):
        return "<status %d\n--- stdout\n%s\n--- stderr\n%s>" % (
            self.status, self.out[:3000].decode("utf-8", "replace"), self.err[:3000])


def start(*args, cwd, env=None, **options):
    """The program as a process, not waited for."""
    assert PROGRAM.exists(), "%s is not there: ./dev build" % PROGRAM
    return subprocess.Popen([str(PROGRAM), *map(str, args)], cwd=cwd,
                            env={**base_environment(), **(env or {})}, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def run_program(*args, cwd, input=b"", env=None, status=None, tokens=(), timeout=600, **options):
    """The program to its end.  env: variables to add; None as a value takes one away."""
    assert PROGRAM.exists(), "%s is not there: ./dev build" % PROGRAM
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    all_env = {k: v for k, v in {**base_environment(), **(env or {})}.items() if v is not None}
    done = subprocess.run([str(PROGRAM), *map(str, args)], cwd=cwd, input=input, env=all_env,
                          timeout=timeout, **options)
    result = Result(done.returncode, done.stdout or b"", done.stderr or b"")
    check_nothing_secret(done.stderr or b"", tokens)
    check_nothing_secret(done.stdout or b"", tokens)
    assert done.returncode >= 0, "died of signal %d: %r" % (-done.returncode, result)
    if status is not None:
        assert result.status == status, result
    return result


class Place:
    """A working directory with a tamis.ini that names a tenant and a model."""

    def __init__(self, directory, tenant, model):
        self.dir, self.tenant = directory, tenant
        self.sections = {
            "source": {"type": "interactions-v2", "base_url": tenant.url, "client_id": CLIENT_ID,
                       "page_delay": "0", "settle": "0s"},
            "embed": {"model": model},
            "export": {"csv": "out.csv", "removed": "removed.jsonl"},
        }
        self.configure()

    def configure(self, **changes):
        """configure(source={"page_size": 7}, dedup={...}): writes tamis.ini anew."""
        for section, keys in changes.items():
            self.sections.setdefault(section, {}).update(keys)
        (self.dir / "tamis.ini").write_text("".join(
            "[%s]\n%s" % (section, "".join("%s = %s\n" % pair for pair in keys.items()))
            for section, keys in self.sections.items()), "utf-8")
        return self

    def run(self, *args, **options):
        return run_program(*args, cwd=self.dir, tokens=self.tenant.issued, **options)

    def start(self, *args, **options):
        return start(*args, cwd=self.dir, **options)

    def json(self, *args, status=0, **options):
        return self.run("--json", *args, status=status, **options).json()

    def read(self, name="out.csv"):
        return (self.dir / name).read_bytes()

    def ledger(self):
        return [json.loads(line) for line in self.read("removed.jsonl").splitlines()]

    def names(self):
        """What lies in the directory."""
        return sorted(p.name for p in self.dir.iterdir())


@pytest.fixture
def make_place(tmp_path, small):
    """make_place(raws, **options of Tenant) -> Place; a tenant each, gone after the test.
    The model is the small one; model="" is the real one."""
    tenants = []

    def make(raws=(), name="", model=small, **options):
        directory = tmp_path / (name or "place%d" % len(tenants))
        directory.mkdir()
        options.setdefault("client_id", CLIENT_ID)
        options.setdefault("client_secret", SECRET)
        tenants.append(Tenant(raws, **options).start())
        return Place(directory, tenants[-1], model)

    yield make
    for tenant in tenants:
        tenant.stop()


@pytest.fixture(scope="session")
def demo():
    """The corpus of sim/: .first and .later, lists of raw records."""
    return types.SimpleNamespace(first=records.read_lines(CORPUS / "demo.jsonl"),
                                 later=records.read_lines(CORPUS / "demo-later.jsonl"))


@pytest.fixture
def few(demo):
    """60 conversations of the demo corpus: enough, and quick."""
    return demo.first[:60]


@pytest.fixture
def place(make_place, few):
    """A place whose tenant holds `few`."""
    return make_place(few)


@pytest.fixture
def run(tmp_path):
    """run(*args, input=, env=, status=) -> Result, in tmp_path."""
    return lambda *args, **options: run_program(*args, cwd=tmp_path, **options)


@pytest.fixture(scope="session")
def run_anywhere(tmp_path_factory):
    """The same for fixtures of the session."""
    directory = tmp_path_factory.mktemp("anywhere")
    return lambda *args, **options: run_program(*args, cwd=directory, **options)


@pytest.fixture(scope="session")
def model_dir(run_anywhere):
    return pathlib.Path(run_anywhere("model", "path", status=0).text.rstrip("\n"))


@pytest.fixture(scope="session")
def small(tmp_path_factory, run_anywhere, model_dir, demo):
    """The directory of a small model; see small_model.py."""
    texts = [m["text"] for raw in demo.first + demo.later for m in json.loads(raw)["messages"]
             if m["from"] == "user"]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    ids = {int(i) for i in run_anywhere("tokenize", "--jsonl", input=lines, status=0).text.split()}
    directory = tmp_path_factory.mktemp("small") / "model"
    small_model.make(model_dir, directory, ids)
    return directory


def outcome_by(run, *options):
    similarity = oracle.Similarity(lambda *args, **more: run(*args, *options, **more))
    return lambda raws, **rules: oracle.job(raws, similarity, **rules)


@pytest.fixture(scope="session")
def expected(run_anywhere, small):
    """expected(raws, **rules) -> oracle.Outcome: what a run over these records must give."""
    return outcome_by(run_anywhere, "--set", "embed.model=%s" % small)


@pytest.fixture(scope="session")
def really_expected(run_anywhere):
    """The same for places with the real model."""
    return outcome_by(run_anywhere)


@pytest.fixture(scope="session")
def shared():
    if not (SHARED / "reference").is_dir():
        pytest.skip("SKIPPED: %s is not there, so nothing is compared with the references" % SHARED)
    return SHARED


@pytest.fixture
def desk(tmp_path, small):
    """desk(raws, **sections) -> desk.Desk: exported files to corrupt."""
    return lambda raws, **keys: Desk(tmp_path, run_program, small, raws, **keys)


def check_one_line(result, *words):
    """One line on stderr that holds the words (a tuple: any of them)."""
    assert len(result.lines) == 1, result
    line = result.lines[0]
    assert line.startswith("tamis: ") and result.err.endswith("\n"), result
    assert len(line) < 600 and line.isprintable(), result
    for word in words:
        options = word if isinstance(word, tuple) else (word,)
        assert any(str(option).lower() in line.lower() for option in options), (word, result)


def check_fails(result, status, *words):
    """This exit status, nothing on stdout, and one line that holds the words."""
    assert result.status == status, result
    assert not result.out, result
    check_one_line(result, *words)
