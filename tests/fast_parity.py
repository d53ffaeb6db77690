#!/usr/bin/env python3
"""precision = fast against exact on whole corpora: every CSV must have the same bytes.

    tests/fast_parity.py [CORPUS...]      without names: all of ../shared/data that have pairs

Each corpus is curated in two stores, at 0.80, 0.85, 0.90 and 0.95.  Minutes to an hour; not a part
of ./dev test, which has tests/blackbox/test_fast.py.  Ends with 1 if a file differs.
"""

import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("TAMIS", str(ROOT / "build" / "tamis"))
DATA = ROOT.parent / "shared" / "data"
THRESHOLDS = "0.80", "0.85", "0.90", "0.95"


def tamis(directory, *args, stdin=None):
    done = subprocess.run([PROGRAM, "--no-progress", *args], cwd=directory, input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit("%s: %s" % (" ".join(args), done.stderr.decode()))
    return done.stderr.decode()


def records(corpus):
    """The interactions, rated 5 where nobody rated them."""
    with gzip.open(DATA / (corpus + ".jsonl.gz"), "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            record.setdefault("rating", 5)
            yield json.dumps(record).encode() + b"\n"


def compare(corpus, directory):
    lines = b"".join(records(corpus))
    for store in "exact", "fast":
        tamis(directory, "import", "-", "--set", "store.url=%s.db" % store, stdin=lines)
    differing = 0
    for threshold in THRESHOLDS:
        files = []
        for precision in "exact", "fast":
            sets = ["--set", "store.url=%s.db" % precision, "--set", "embed.precision=" + precision,
                    "--set", "dedup.threshold=" + threshold,
                    "--set", "export.csv=%s.csv" % precision]
            said = tamis(directory, "--verbose", "curate", *sets)
            tamis(directory, "export", *sets)
            path = pathlib.Path(directory, precision + ".csv")
            files.append(path.read_bytes() if path.exists() else b"")
        fast = [line for line in said.splitlines() if "fast" in line]
        same = files[0] == files[1]
        differing += not same
        print("%s %s: %s, %d bytes; %s" % (corpus, threshold, "same" if same else "DIFFERENT",
                                           len(files[0]), fast[-1] if fast else said.strip()),
              flush=True)
    return differing


def main():
    names = sys.argv[1:] or sorted(p.name[:-len(".jsonl.gz")] for p in DATA.glob("*.jsonl.gz"))
    differing = 0
    for corpus in names:
        with tempfile.TemporaryDirectory() as directory:
            differing += compare(corpus, directory)
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
