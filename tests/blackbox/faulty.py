"""The program with faults below libc (tests/faults/faults.c), and what must hold afterwards."""

import collections
import os
import shutil
import sqlite3
import string

import pytest
from conftest import PROGRAM, ROOT
from toy_bert import SPECIAL, Toy

LIBRARY = PROGRAM.parent / "tests" / "faults" / "libfaults.so"
LETTERS = SPECIAL + [prefix + c for prefix in ("", "##")
                     for c in string.ascii_lowercase + string.digits] + list(".,?!'-")


def write_letters(directory):
    """A model of some 50 kB that spells: a run with it takes a tenth of a second."""
    return Toy(hidden=16, layers=1, heads=1, inner=16, positions=128, seed=5,
               words=LETTERS).write(directory)


def is_instrumented():
    """A sanitizer or valgrind has libc's calls for itself."""
    with open(PROGRAM, "rb") as f:
        data = f.read()
    return data[:4] != b"\x7fELF" or b"libasan.so" in data or b"libtsan.so" in data


def need_faults():
    if is_instrumented():
        pytest.skip("SKIPPED: faults below libc need the plain program")
    assert LIBRARY.exists(), "%s is not there: ./dev build" % LIBRARY


def faults_env(spec):
    return {"LD_PRELOAD": str(LIBRARY), "TAMIS_FAULTS": spec}


def counts_of(place):
    """The calls of each class that a run of this place makes."""
    path = place.dir / "counts"
    place.run("run", status=0, env=faults_env("count:%s" % path))
    pairs = [line.split() for line in path.read_text().splitlines()]
    path.unlink()
    return {name: int(n) for name, n in pairs}


class Harm:
    """What lies in a directory after a fault: looked at in a copy, so that the next run finds it
    as the fault left it."""

    def __init__(self, place, scratch):
        self.phase, self.ids = "nothing yet", set()
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        for path in place.dir.glob("tamis.db*"):
            shutil.copy(path, scratch)
        if (scratch / "tamis.db").exists():
            with sqlite3.connect(scratch / "tamis.db") as db:
                self._look(db, place)
            db.close()

    def _look(self, db, place):
        assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
        one = {name: db.execute("select count(*) from " + table).fetchone()[0]
               for name, table in (("rows", "interaction"), ("vectors", "vector"),
                                   ("verdicts", "verdict"), ("open", "slice where state = 'open'"))}
        rows = db.execute("select id from interaction").fetchall()
        assert len(rows) == len(set(rows)), "an id twice"
        self.phase = ("token" if not one["rows"] else "pages" if one["open"] else
                      "embed" if not one["vectors"] else "curate" if not one["verdicts"] else
                      "export")


class Tally(collections.Counter):
    def __str__(self):
        return ", ".join("%s %d" % pair for pair in sorted(self.items()))


def share(total, part, parts):
    """How many of so many fall to the part (from 0)."""
    return total // parts + (part < total % parts)


def wanted(name, default):
    return int(os.environ.get(name, default))


def corpus(name="demo.jsonl"):
    return ROOT / "sim" / "corpus" / name
