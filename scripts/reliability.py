#!/usr/bin/env python3
"""The tables of docs/RELIABILITY.md: the fault matrix, made from the tests that cover it, and the
deliberate defects that tests/mutation tried.

usage: reliability.py [--check]

A test in Python is of a row by @pytest.mark.matrix(ROW), one in C by a comment
`/* matrix: ROW, ROW */` before it.  Between its marks the document is written anew; with --check
nothing is written, and the exit status is 1 if it would change, a row has no test, or a defect is
one that the program's text has no place for any more, or that no test found.
"""

import collections
import csv
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "RELIABILITY.md"
MUTATION = ROOT / "tests" / "mutation"

ROWS = {
    1: ("rows share the cursor's timestamp, some come later", "all present"),
    2: ("rows come at the head while pages are read", "no loss, no duplicate"),
    3: ("rows go while pages are read", "read again; what is left is all there"),
    4: ("a row comes late, within the look-back", "there after the next run"),
    5: ("a row comes later than the look-back", "absent, until `--resync-from`"),
    6: ("rating or message changes, same timestamp", "updated"),
    7: ("a timestamp years ahead", "kept; moves no cursor"),
    8: ("offsets, no and nine digits, a leap second", "compared as instants"),
    9: ("totals zero, negative, text, drifting, huge", "bounded work, no early stop"),
    10: ("the same page for ever, or ever new rows", "exit 3 with a sentence"),
    11: ("an empty page in the middle", "goes on until the count is met"),
    12: ("only the first rows of a question are given", "cut into ranges; else exit 3"),
    13: ("no row passes the filter", "the cursor moves all the same"),
    14: ("429, Retry-After of every form", "waits at least that, up to `max_wait`; else exit 3"),
    15: ("429 without it; at the token endpoint; again and again",
         "full jitter; counted in `wait_budget`"),
    16: ("408, 500, 502, 503, 504; 503 with Retry-After", "tried again, as asked"),
    17: ("400, 403, 404", "no other try; what to do"),
    18: ("401 once, for ever, in mid-run; odd `expires_in`", "one new token for a 401"),
    19: ("wall clock wrong, or jumps", "the same result"),
    20: ("DNS, refused, reset, TLS broken off, bad certificate",
         "tried again; a certificate never"),
    21: ("stall in the body, a byte at a time", "timeout, tried again"),
    22: ("body cut: length, chunked, until close", "never kept"),
    23: ("pages and records that are none, or odd", "page refused, text mended, no crash"),
    24: ("gzip bomb, endless body", "cut at the limit"),
    25: ("redirects", "refused; no secret sent"),
    26: ("kill -9 at random moments and calls", "the next run converges"),
    27: ("kill -9 between page, commit, export, rename", "the same"),
    28: ("disk full, broken, read-only, half a write, no sync",
         "what was there is as it was; one line; converges"),
    29: ("no memory at the n-th call, once and for ever", "one line, no leak, converges"),
    30: ("SIGTERM, SIGINT", "exit 3 within 5 s; what arrived is kept"),
    31: ("two runs at once", "the second ends with 6"),
    32: ("store damaged or cut short", "refused, with what to do; never begun anew"),
    33: ("store of an older or a newer schema", "brought up to date; refused"),
    34: ("another model than the store's", "refused; `--reembed`"),
    35: ("no memory while recovering from a kill", "converges"),
}


class Collector:
    """Notes the rows of what pytest collects."""

    def __init__(self, found):
        self.found = found

    def pytest_collection_modifyitems(self, items):
        for item in items:
            for mark in item.iter_markers("matrix"):
                self.found[mark.args[0]][item.path.name, item.originalname] += 1


def python_tests(found):
    import pytest
    sys.dont_write_bytecode = True
    out, sys.stdout = sys.stdout, open(os.devnull, "w", encoding="utf-8")
    try:
        status = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
                              "--rootdir", str(ROOT), str(ROOT / "tests" / "blackbox")],
                             plugins=[Collector(found)])
    finally:
        sys.stdout = out
    if status:
        raise SystemExit("reliability.py: pytest cannot collect the tests")


def c_tests(found):
    tag = re.compile(r"/\* matrix: ([\d, ]+) \*/\nstatic void (test_\w+)\(")
    for path in sorted((ROOT / "tests" / "unit").glob("test_*.c")):
        for rows, name in tag.findall(path.read_text("utf-8")):
            for row in rows.split(","):
                found[int(row)][path.name, name] += 1


def table():
    found = collections.defaultdict(collections.Counter)
    python_tests(found)
    c_tests(found)
    unknown = sorted(set(found) - set(ROWS))
    missing = sorted(set(ROWS) - set(found))
    if unknown or missing:
        raise SystemExit("reliability.py: rows without a test: %s; tests of no row: %s" % (
            missing, unknown))
    lines = ["| # | what goes wrong | what must be | tests (and how many cases) |",
             "|---|---|---|---|"]
    for row, (wrong, must) in ROWS.items():
        by_file = collections.defaultdict(list)
        for (path, name), n in sorted(found[row].items()):
            by_file[path].append("%s%s" % (name[5:], " (%d)" % n if n > 1 else ""))
        tests = "; ".join("**%s**: %s" % (path, ", ".join(names))
                          for path, names in sorted(by_file.items()))
        lines.append("| %d | %s | %s | %s |" % (row, wrong, must, tests))
    return "\n".join(lines)


def defects():
    """The table of tests/mutation/RESULTS.csv, which must be that of today's defects."""
    sys.path.insert(0, str(MUTATION))
    from mutants import MUTANTS
    with open(MUTATION / "RESULTS.csv", encoding="utf-8", newline="") as f:
        found = dict(list(csv.reader(f))[1:])
    for m in MUTANTS:
        if (ROOT / m.path).read_text("utf-8").count(m.old) != 1:
            raise SystemExit("reliability.py: the defect \"%s\" has no place in %s any more" % (
                m.name, m.path))
    wrong = sorted({m.name for m in MUTANTS} ^ set(found)) or \
        [name for name, test in found.items() if test == "NONE"]
    if wrong:
        raise SystemExit("reliability.py: run tests/mutation/mutate.py for: %s" % ", ".join(wrong))
    lines = ["| deliberate defect | in | found by |", "|---|---|---|"]
    lines += ["| %s | %s | %s |" % (m.name, m.path, found[m.name]) for m in MUTANTS]
    return "\n".join(lines)


def with_table(text, name, content):
    begin, end = "<!-- %s: scripts/reliability.py -->" % name, "<!-- end of %s -->" % name
    head, rest = text.split(begin)
    _, tail = rest.split(end)
    return "%s%s\n%s\n%s%s" % (head, begin, content, end, tail)


def main(args):
    text = DOCUMENT.read_text("utf-8")
    new = with_table(with_table(text, "matrix", table()), "defects", defects())
    if args == ["--check"]:
        if new != text:
            print("docs/RELIABILITY.md is stale: run scripts/reliability.py", file=sys.stderr)
        return new != text
    DOCUMENT.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
