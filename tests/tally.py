#!/usr/bin/env python3
"""Adds up what the tests said: tally.py UNIT.json BLACKBOX.xml

UNIT.json is meson's log (one JSON object a line, with what cmocka printed), BLACKBOX.xml
pytest's JUnit report.  Names what failed and what was skipped, and ends with the line
"N passed, N failed".  Exit 1 if a test failed, or none passed, or a report is not there.
"""

import json
import re
import sys
import xml.etree.ElementTree

CMOCKA = re.compile(r"^\[ *(RUN|OK|SKIPPED) *\] (\w+)\s*$", re.M)


def of_program(log):
    """(name, outcome) of each cmocka test of one program: what began and was neither passed nor
    skipped has failed.  A program that ended badly for no test of its own counts as one, and
    so does one that printed none."""
    seen = {"RUN": [], "OK": [], "SKIPPED": []}
    for word, name in CMOCKA.findall(log.get("stdout", "") + "\n" + log.get("stderr", "")):
        seen[word].append(name)
    outcomes = []
    for name in list(seen["RUN"]):
        for word, outcome in (("OK", "passed"), ("SKIPPED", "skipped"), ("RUN", "failed")):
            if name in seen[word]:
                seen[word].remove(name)
                outcomes.append((name, outcome))
                break
    whole = {"OK": "passed", "SKIP": "skipped"}.get(log["result"], "failed")
    blamed = any(outcome == "failed" for _, outcome in outcomes)
    if not outcomes or whole == "failed" and not blamed:
        outcomes.append((log["result"], whole))
    return [("%s: %s" % (log["name"], name), outcome) for name, outcome in outcomes]


def of_meson(path):
    with open(path, encoding="utf-8") as f:
        logs = [json.loads(line) for line in f if line.strip()]
    return [pair for log in logs for pair in of_program(log)]


def of_pytest(path):
    outcomes = []
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        tags = {child.tag for child in case}
        outcome = ("failed" if tags & {"failure", "error"} else
                   "skipped" if "skipped" in tags else "passed")
        outcomes.append(("%s::%s" % (case.get("classname"), case.get("name")), outcome))
    return outcomes


def read(reader, path):
    try:
        outcomes = reader(path)
    except (OSError, ValueError, KeyError, xml.etree.ElementTree.ParseError) as e:
        return [("%s: %s" % (path, e), "failed")]
    return outcomes or [("%s: no test ran" % path, "failed")]


def main(unit, blackbox):
    outcomes = read(of_meson, unit) + read(of_pytest, blackbox)
    for shown in ("skipped", "failed"):
        names = [name for name, outcome in outcomes if outcome == shown]
        for name in names:
            print("%s: %s" % (shown.upper(), name))
        if names and shown == "skipped":
            print("%d SKIPPED, so not proved here" % len(names))
    counts = {o: sum(o == outcome for _, outcome in outcomes) for o in ("passed", "failed")}
    print("%(passed)d passed, %(failed)d failed" % counts)
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
