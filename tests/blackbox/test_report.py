"""`tamis report`: the page, its figures, hostile texts, and a browser's view of it."""

import html
import json
import random
import re
import shutil
import subprocess

import oracle
import pytest
from conftest import check_fails
from test_run import conversation, raw

SECTIONS = ["funnel", "left-out", "similarity", "thresholds", "bots", "groups", "conflicts",
            "borderline", "redaction", "runs", "settings"]
HOSTILE = "</pre><script>alert(1)</script><img src=x onerror='alert(2)'> \"&amp; \u202egnp.exe"


@pytest.fixture
def curated(place, few):
    evil = {"id": "int_<b>", "timestamp": "2031-01-01T00:00:00Z", "botId": "<script>bot()",
            "rating": 5, "messages": [
                {"from": "user", "text": HOSTILE}, {"from": "bot", "text": HOSTILE},
                {"from": "user", "text": HOSTILE + "!"}, {"from": "bot", "text": "no"}]}
    (place.dir / "all.jsonl").write_bytes(b"\n".join([*few, json.dumps(evil).encode()]))
    place.run("import", "all.jsonl", status=0)
    return place


def page_of(place, *options):
    result = place.run("report", *options, status=0)
    assert not result.lines
    return result.text


def section(page, name):
    return re.search(r'<section id="%s">(.*?)</section>' % name, page, re.S).group(1)


def counts(part):
    """{name: n} of a table with bars."""
    rows = re.findall(r'<tr><td><bdi>(.*?)</bdi></td><td class="n">([\d,]+)</td>', part)
    return {html.unescape(name): int(n.replace(",", "")) for name, n in rows}


def test_figures(curated, few, expected):
    page, summary = page_of(curated), curated.json("curate")
    assert re.findall(r'<section id="([a-z-]+)">', page) == SECTIONS
    funnel = counts(section(page, "funnel"))
    assert funnel["interactions in the store"] == len(few) + 1
    assert funnel["turns in them"] == summary["turns"]["rated"]
    assert funnel["distinct utterances"] == summary["turns"]["distinct_texts"]
    assert funnel["rows kept"] == summary["turns"]["kept"]
    curated.run("export", status=0)
    rules = {}
    for entry in curated.ledger():
        rules[entry["rule"]] = rules.get(entry["rule"], 0) + 1
    assert counts(section(page, "left-out")) == rules
    bots = re.findall(r'<td class="n">(\d+)</td><td class="n">(\d+)</td>', section(page, "bots"))
    assert sum(int(turns) for turns, _ in bots) == summary["turns"]["rated"]
    assert sum(int(kept) for _, kept in bots) == summary["turns"]["kept"]
    stand_for = re.findall(r"stands for (\d+) more", section(page, "groups"))
    assert stand_for and sum(map(int, stand_for)) == summary["turns"]["duplicates"]
    assert "dedup.threshold = 0.85" in section(page, "settings")


def test_the_configuration_as_it_could_be_written(curated):
    """Times in seconds, all digits of them; patterns of one's own, too."""
    shown = section(page_of(curated, "--set", "source.lookback=30d",
                            "--set", "source.wait_budget=1234567.5s",
                            "--set", r"redact.pattern.order=ORD-\d+"), "settings")
    assert "source.lookback = 2592000s\n" in shown and "source.wait_budget = 1234567.5s\n" in shown
    assert "redact.pattern.order = ORD-\\d+\n" in shown


def test_an_interaction_counts_once(make_place):
    """However many of its turns are left out by themselves."""
    messages = [{"from": who, "text": text} for said in ("Hello", "4111111111111111",
                                                         "5500000000000004", "I lost my card")
                for who, text in (("user", said), ("bot", "Yes?"))]
    place = make_place([raw(conversation("int_1", messages=messages)),
                        raw(conversation("int_2", said="4111111111111111")),
                        raw(conversation("int_3", rating=1))])
    place.run("sync", status=0)
    page = page_of(place, "--set", "redact.rules=card")
    assert counts(section(page, "left-out")) == {"redacted-empty": 3, "rating-below-minimum": 1}
    funnel = list(counts(section(page, "funnel")).items())
    assert [n for _, n in funnel[:6]] == [3, 3, 3, 2, 1, 2], funnel


def shown_conflicts(page):
    """[(question, turns, kept answer, [(answer, to, id, turn, others, score)])] of the section."""
    out = []
    for part in re.findall(r"<details>(.*?)</details>", section(page, "conflicts"), re.S):
        question, n = re.search(r"<bdi>(.*?)</bdi> <small>answered otherwise ([\d,]+) times",
                                part).groups()
        kept = re.search(r'<td class="n">kept</td><td><bdi>(.*?)</bdi>', part).group(1)
        rows = re.findall(r'<td class="n">(-?[\d.]+)</td><td><bdi>(.*?)</bdi><br><small>to '
                          r"<bdi>(.*?)</bdi>, <bdi>(.*?)</bdi> turn (\d+)"
                          r"(?: and ([\d,]+) more)?<", part)
        out.append((html.unescape(question), int(n.replace(",", "")), html.unescape(kept),
                    [(html.unescape(answer), html.unescape(to), html.unescape(id), int(turn),
                      int((more or "0").replace(",", "")) + 1, score)
                     for score, answer, to, id, turn, more in rows]))
    return out


def naive_conflicts(lines):
    """The same of the file of export.conflicts: the largest 20 groups, 6 answers of each."""
    out = []
    for group in lines[:20]:
        answers = {}
        for turn in group["conflicts"]:
            answers.setdefault(turn["bot_response"], []).append(turn)
        often = sorted(answers.items(), key=lambda pair: -len(pair[1]))[:6]
        out.append((group["user_utterance"], len(group["conflicts"]), group["bot_response"],
                    [(answer, turns[0]["user_utterance"], turns[0]["interaction_id"],
                      turns[0]["turn"], len(turns), "%.4f" % turns[0]["answer_score"])
                     for answer, turns in often]))
    return out


def test_conflicts(make_place, demo):
    """Thirty questions asked up to twelve times, each with up to nine answers."""
    chosen = random.Random(3)
    said = list(dict.fromkeys(m["text"].strip() for line in demo.first
                              for m in json.loads(line)["messages"] if m["from"] == "user"))
    answers = chosen.sample(said, 9)
    raws = [raw(conversation("int_%d_%d" % (q, k), said=question, answer=chosen.choice(answers)))
            for q, question in enumerate(chosen.sample(said, 30))
            for k in range(chosen.randrange(3, 24))]
    place = make_place(raws).configure(dedup={"threshold": 0.99}, conflicts={"below": 1},
                                       export={"conflicts": "conflicts.jsonl"})
    place.run("run", status=0)
    lines = [json.loads(line) for line in place.read("conflicts.jsonl").splitlines()]
    page = page_of(place)
    found, want = shown_conflicts(page), naive_conflicts(lines)
    assert [(*c[:3], [a[:5] for a in c[3]]) for c in found] == [
        (*c[:3], [a[:5] for a in c[3]]) for c in want]
    assert all(abs(float(a[5]) - float(b[5])) < 1.1e-4 for x, y in zip(found, want)
               for a, b in zip(x[3], y[3]))
    turns = sum(len(line["conflicts"]) for line in lines)
    assert "%d turns in %d groups" % (turns, len(lines)) in section(page, "conflicts")
    assert len(lines) > 20 and "largest 20" in section(page, "conflicts")
    assert "and 2 more answers" in section(page, "conflicts")
    none = section(page_of(place, "--set", "conflicts.below=-1"), "conflicts")
    assert "0 turns in 0 groups" in none and "<details>" not in none
    unasked = section(page_of(place, "--set", "export.conflicts="), "conflicts")
    assert unasked.count("<p>") == 1 and "export.conflicts" in unasked


def test_the_same_again(curated):
    def still(page):
        return re.sub(r'<section id="runs">.*?</section>', "", page, flags=re.S)
    first = page_of(curated)
    assert still(first) == still(page_of(curated, "--threads", "3"))


def test_as_a_file(curated):
    summary = curated.json("export", "--set", "export.report=page.html")
    page = curated.read("page.html")
    assert summary["export"]["report"]["path"] == "page.html"
    assert summary["export"]["report"]["sha256"] == oracle.sha256(page)
    assert section(page.decode(), "groups") == section(page_of(curated), "groups")


def test_hostile_text(curated):
    page = page_of(curated, "--set", "export.conflicts=c.jsonl", "--set", "conflicts.below=1")
    assert "alert(1)" in section(page, "conflicts")
    assert "alert(1)" in page and "<script" not in page and "<img" not in page
    assert "\u202e" not in page and page.count("</pre>") == 1
    assert len(page) < 500_000
    assert not re.search(r"<[^>]*\b(src|href)\s*=|url\(|@import", page)


def test_redactions_are_counted(curated):
    page = page_of(curated, "--set", "redact.rules=email,card")
    assert set(counts(section(page, "redaction"))) == {"email", "card"}
    assert "Redaction is off" in section(page_of(curated), "redaction")


def test_an_empty_store(make_place):
    place = make_place()
    (place.dir / "none.json").write_text('{"interactions": []}')
    place.run("import", "none.json", status=0)
    assert re.findall(r'<section id="([a-z-]+)">', page_of(place)) == SECTIONS


def test_bad_calls(curated, tmp_path):
    check_fails(curated.run("--json", "report"), 2, "HTML")
    check_fails(curated.run("report", "--set", "store.url=none.db"), 1, "none.db")


@pytest.mark.parametrize("width", [400, 1280])
def test_in_a_browser(curated, width):
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("SKIPPED: chromium is not there, so no browser has looked at the report")
    asked = ("--set", "export.conflicts=c.jsonl", "--set", "conflicts.below=1")
    (curated.dir / "report.html").write_text(page_of(curated, *asked), "utf-8")
    done = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--user-data-dir=%s" % (curated.dir / "profile"),
         "--window-size=%d,900" % width, "--enable-logging=stderr", "--dump-dom",
         "file://%s" % (curated.dir / "report.html")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, cwd=curated.dir)
    dom = done.stdout.decode("utf-8", "replace")
    assert re.findall(r'<section id="([a-z-]+)">', dom) == SECTIONS
    assert "answered otherwise" in section(dom, "conflicts")
    assert dom.count("<svg") == 2 and "<script" not in dom and "<img" not in dom
    assert b"CONSOLE" not in done.stderr
