"""What the tests themselves stand on: the simulated tenant, the tally, the committed files."""

import json
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import faults
import oracle
import pytest
import records
from conftest import CLIENT_ID, CORPUS, ROOT, SECRET


def get(tenant, token, **query):
    """(status, headers, JSON) of a page."""
    request = urllib.request.Request(
        tenant.url + "/api/v2/interactions?" + urllib.parse.urlencode(query),
        headers={"Authorization": "Bearer " + token})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), json.load(answer)
    except urllib.error.HTTPError as e:
        return e.code, dict(e.headers), json.load(e)


def token_of(tenant, secret=SECRET):
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": CLIENT_ID,
                                   "client_secret": secret, "scope": "interactions:read"})
    with urllib.request.urlopen(tenant.url + "/oauth/token", form.encode(), timeout=10) as answer:
        return json.load(answer)["access_token"]


def test_tenant_pages_and_filters(make_place, few):
    tenant = make_place(few).tenant
    token = token_of(tenant)
    asked = {"pageSize": 25, "sort": "timestamp desc", "returnCount": "true"}
    pages = [get(tenant, token, page=k, **asked)[2] for k in (1, 2, 3, 4)]
    assert [len(p["interactions"]) for p in pages] == [25, 25, 10, 0]
    assert {p["totalCount"] for p in pages} == {60}
    ids = [i["id"] for p in pages for i in p["interactions"]]
    assert ids == [i["id"] for i in oracle.parse(few)]
    middle = pages[1]["interactions"][0]["timestamp"]
    newer = get(tenant, token, filter="timestamp gt '%s'" % middle, **asked)[2]
    assert all(records.instant(i["timestamp"]) > records.instant(middle)
               for i in newer["interactions"]) and 0 < newer["totalCount"] <= 25
    assert get(tenant, token, filter="rating gt 4", **asked)[0] == 400
    assert "totalCount" not in get(tenant, token)[2]


def test_tenant_guards_its_door(make_place, few):
    tenant = make_place(few).tenant
    with pytest.raises(urllib.error.HTTPError, match="401"):
        token_of(tenant, "wrong")
    assert get(tenant, "nonsense")[0] == 401
    token = token_of(tenant)
    assert get(tenant, token)[0] == 200
    tenant.revoke()
    assert get(tenant, token)[0] == 401
    tenant.scopes = "analytics:read"
    assert get(tenant, token_of(tenant))[0] == 403


def test_tenant_faults_end(make_place, few):
    tenant = make_place(few).tenant
    token = token_of(tenant)
    tenant.fault(faults.page(2), faults.throttle("7"), times=1)
    assert get(tenant, token, page=1)[0] == 200
    status, headers, _ = get(tenant, token, page=2)
    assert (status, headers["Retry-After"]) == (429, "7")
    assert get(tenant, token, page=2)[0] == 200
    assert tenant.statuses() == [200, 429, 200]


@pytest.mark.parametrize("text, seconds", [
    ("1970-01-01T00:00:01Z", 1), ("1970-01-01T01:00:00+01:00", 0), ("1970-01-01T00:00:00.5", 0.5),
    ("1969-12-31T23:59:59Z", -1), ("2016-12-31T23:59:60Z", 1483228800), ("1970-01-01", None),
    ("1970-02-30T00:00:00Z", None), ("now", None), (5, None)])
def test_instants(text, seconds):
    got = records.instant(text)
    assert got == (None if seconds is None else int(seconds * 10 ** 9))


def test_oracle_on_a_case_done_by_hand():
    """Four turns on a line: the second repeats the first, the fourth is near the second only."""
    at = {"a": (1.0, 0.0), "b": (0.9, 0.19 ** 0.5), "c": (0.0, 1.0), "d": (0.6, 0.8)}
    turns = [{"user_utterance": text} for text in "abcd"]

    def similar(x, y):
        return oracle.cosine(at[x], at[y])
    assert oracle.greedy(turns, similar) == [None, (0, pytest.approx(0.9)), None, None]
    assert oracle.greedy(turns, similar, 0.8)[3] == (2, pytest.approx(0.8))
    assert oracle.greedy(turns, similar, 0.95) == [None] * 4
    apart = oracle.greedy(turns, similar, domain=lambda turn: turn["user_utterance"] == "a")
    assert apart == [None, None, None, (1, pytest.approx(0.6 * 0.9 + 0.8 * 0.19 ** 0.5))]


def tally(tmp_path, unit, blackbox):
    (tmp_path / "unit.json").write_text("".join(json.dumps(log) + "\n" for log in unit))
    (tmp_path / "blackbox.xml").write_text(
        "<testsuites><testsuite>%s</testsuite></testsuites>" % blackbox)
    done = subprocess.run([sys.executable, str(ROOT / "tests" / "tally.py"), "unit.json",
                           "blackbox.xml"], cwd=tmp_path, capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()


def cmocka(*lines, result="OK"):
    return {"name": "unit", "result": result,
            "stdout": "".join("[%s] %s\n" % line for line in lines)}


PASSED = '<testcase classname="t" name="a"/>'
FINE = cmocka((" RUN      ", "one"), ("       OK ", "one"))


def test_tally_counts(tmp_path):
    assert tally(tmp_path, [FINE], PASSED) == (0, ["2 passed, 0 failed"])
    status, lines = tally(tmp_path, [FINE], PASSED + '<testcase classname="t" name="b"><skipped/>'
                                                     '</testcase>')
    assert status == 0 and "SKIPPED: t::b" in lines and lines[-1] == "2 passed, 0 failed"


@pytest.mark.parametrize("unit, blackbox, failed", [
    ([FINE], PASSED + '<testcase classname="t" name="b"><failure/></testcase>', 1),
    ([FINE], PASSED + '<testcase classname="t" name="b"><error/></testcase>', 1),
    ([FINE], "", 1), ([], PASSED, 1),
    ([cmocka((" RUN      ", "one"), ("  FAILED  ", "one"), result="FAIL")], PASSED, 1),
    ([cmocka((" RUN      ", "one"), result="TIMEOUT")], PASSED, 1),
    ([cmocka((" RUN      ", "one"), ("       OK ", "one"), result="FAIL")], PASSED, 1),
    ([cmocka(result="ERROR")], PASSED, 1), ([], "", 2)])
def test_tally_finds_failures(tmp_path, unit, blackbox, failed):
    status, lines = tally(tmp_path, unit, blackbox)
    assert status == 1 and lines[-1].endswith(", %d failed" % failed), lines


def test_committed_files_are_what_their_makers_make(shared):
    for maker in (CORPUS / "make.py", ROOT / "tests" / "blackbox" / "facts" / "make.py"):
        done = subprocess.run([sys.executable, str(maker), "--check"], capture_output=True)
        assert done.returncode == 0, done.stdout.decode()
