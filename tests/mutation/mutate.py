#!/usr/bin/env python3
"""Builds the program with one deliberate defect after the other; a test must fail with each.

usage: mutate.py [--only WORDS] [--list]

Works in a copy of the tree (build-mutants/) and writes tests/mutation/RESULTS.csv: the defect and
the test that found it.  docs/RELIABILITY.md takes its table from there.  Exit status 1: a defect
that no test found.  The plain program must pass all the tests that are asked.
"""

import argparse
import csv
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

from mutants import MUTANTS

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPY = ROOT / "build-mutants"
RESULTS = pathlib.Path(__file__).with_name("RESULTS.csv")
LONGEST = 300  # seconds for a test to say something; more counts as a failure


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", **options)


def copy_tree():
    listed = run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, COPY / "tree" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # What is the same keeps its time: an older one would hide from ninja what a defect built.
        if source.exists() and not (target.exists() and
                                    target.read_bytes() == source.read_bytes()):
            shutil.copyfile(source, target)
            shutil.copymode(source, target)
    shared = ROOT.parent / "shared"
    link = COPY / "shared"
    if shared.is_dir() and not link.exists():
        link.symlink_to(shared)
    if not (COPY / "tree" / "build" / "build.ninja").exists():
        run(["meson", "setup", "build"], cwd=COPY / "tree", check=True)


def build(tests):
    targets = {"tamis", "tests/faults/libfaults.so"} | {
        "tests/unit/test_" + test[5:] for test in tests if test.startswith("unit:")}
    return run(["ninja", "-C", "build", *sorted(targets)], cwd=COPY / "tree")


def ask(test):
    """The name of the first test that fails; None: all are well."""
    env = dict(os.environ, TAMIS=str(COPY / "tree" / "build" / "tamis"),
               CMOCKA_MESSAGE_OUTPUT="stdout", PYTHONDONTWRITEBYTECODE="1")
    if test.startswith("unit:"):
        command, found = ["build/tests/unit/test_" + test[5:]], r"\[  FAILED  \] (\w+)"
    else:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p",
                   "no:xdist", *shlex.split("tests/blackbox/" + test)]
        found = r"FAILED \S+::(\w+)"
    try:
        done = run(command, cwd=COPY / "tree", env=env, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return "%s (it does not end)" % test
    if done.returncode == 0:
        return None
    where = "test_%s.c" % test[5:] if test.startswith("unit:") else test.split()[0]
    names = re.findall(found, done.stdout)
    if not names and done.returncode > 0:
        raise SystemExit("mutate.py: %s: no test ran:\n%s" % (test, done.stdout[-2000:]))
    return "%s: %s" % (where, names[0] if names else "it crashes")


def try_one(mutant):
    """The test that finds it; None: none does."""
    path = COPY / "tree" / mutant.path
    text = path.read_text("utf-8")
    if text.count(mutant.old) != 1:
        raise SystemExit("mutate.py: %s: its text is not in %s once" % (mutant.name, mutant.path))
    try:
        path.write_text(text.replace(mutant.old, mutant.new), "utf-8")
        built = build(mutant.tests)
        if built.returncode:
            raise SystemExit("mutate.py: %s does not build:\n%s" % (mutant.name,
                                                                   built.stdout[-3000:]))
        return next(filter(None, map(ask, mutant.tests)), None)
    finally:
        path.write_text(text, "utf-8")


def check_plain(tests):
    built = build(tests)
    if built.returncode:
        raise SystemExit("mutate.py: the plain program does not build:\n" + built.stdout[-3000:])
    for test in tests:
        found = ask(test)
        if found:
            raise SystemExit("mutate.py: the plain program fails: " + found)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    p.add_argument("--only", default="", help="defects whose name has these words")
    p.add_argument("--list", action="store_true", help="name them")
    p.add_argument("--trust", action="store_true", help="do not run the plain program's tests")
    args = p.parse_args()
    chosen = [m for m in MUTANTS if args.only in m.name]
    if args.list:
        print("\n".join(m.name for m in chosen))
        return 0
    copy_tree()
    if not args.trust:
        check_plain(sorted({test for m in chosen for test in m.tests}))
    known = {}
    if RESULTS.exists():
        with open(RESULTS, encoding="utf-8", newline="") as f:
            known = dict(row[:2] for row in list(csv.reader(f))[1:])
    for mutant in chosen:
        known[mutant.name] = try_one(mutant) or "NONE"
        say("%s: %s" % (mutant.name, known[mutant.name]))
        with open(RESULTS, "w", encoding="utf-8", newline="") as f:
            writer = csv.writer(f, lineterminator="\n")
            writer.writerow(["defect", "found by"])
            writer.writerows((m.name, known[m.name]) for m in MUTANTS if m.name in known)
    survived = [m.name for m in chosen if known[m.name] == "NONE"]
    say("%d defects, %d found" % (len(chosen), len(chosen) - len(survived)))
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
