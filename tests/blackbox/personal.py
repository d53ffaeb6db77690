"""The labelled texts of facts/personal.txt, and how well the program finds what they mark.

A line is a text in which {rule:value} marks personal data; whatever else is found there is a
false alarm.  A find counts if it is the value to the byte.
"""

import re

RULES = ["card", "iban", "email", "phone", "ssn", "ip"]
MARK = re.compile(r"\{(%s):(.*?)\}" % "|".join(RULES))


def read(path):
    """[(text, [(start, end, rule)])]"""
    out = []
    for line in path.read_text("utf-8").splitlines():
        text, at, marks = "", 0, []
        for m in MARK.finditer(line):
            text += line[at:m.start()]
            marks.append((len(text), len(text) + len(m[2]), m[1]))
            text, at = text + m[2], m.end()
        out.append((text + line[at:], marks))
    return out


def found(text, redacted):
    """The spans that were replaced by [RULE], from the text as it was and as it is."""
    parts = re.split(r"\[(%s)\]" % "|".join(rule.upper() for rule in RULES), redacted)
    pattern = "(.+?)".join(map(re.escape, parts[::2]))
    m = re.fullmatch(pattern, text, re.S)
    assert m, (text, redacted)
    return [(*m.span(k + 1), rule.lower()) for k, rule in enumerate(parts[1::2])]


def table(results):
    """The figures as Markdown; results: [(marked, found)] of each text."""
    lines = ["| rule | marked | found | right | precision | recall |", "|---|---|---|---|---|---|"]
    for rule in RULES + ["all"]:
        marked, hits, right = (
            sum(len([s for s in spans if rule in (s[2], "all")]) for spans in some)
            for some in ([m for m, _ in results], [f for _, f in results],
                         [set(m) & set(f) for m, f in results]))
        lines.append("| %s | %d | %d | %d | %.3f | %.3f |" % (
            rule, marked, hits, right, right / hits, right / marked))
    return "\n".join(lines) + "\n"
