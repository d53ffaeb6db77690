"""tamis doctor: each thing that can be wrong is found, alone, and said with what to do."""

import json
import re
import time

import faults
import pytest
from conftest import SECRET

NAMES = ["configuration", "secret", "name", "tls", "token", "scopes", "page", "filter", "clock",
         "retention", "model", "store", "disk", "export"]


def examine(place, *args, status=0, **options):
    """{name: check}, in the fixed order; what must always hold is checked."""
    told = place.run("doctor", "--json", *args, status=status, **options).json()
    assert set(told) == {"checks", "status"}
    for check in told["checks"]:
        assert set(check) == {"name", "status", "detail", "fix"}
        assert check["status"] in ("ok", "warning", "failed", "skipped") and check["detail"], check
        assert check["fix"] or check["status"] != "failed", "without what to do: %r" % check
    found = {check["name"]: check for check in told["checks"]}
    assert list(found) == NAMES
    states = {check["status"] for check in told["checks"]}
    assert told["status"] == ("failed" if "failed" in states else
                              "warning" if "warning" in states else "ok")
    assert (status != 0) == ("failed" in states)
    return found


def by_state(found, state):
    return [name for name, check in found.items() if check["status"] == state]


def check_only(found, state, *names):
    """These and no others are not ok (but what needs them is skipped)."""
    bad = [name for name, check in found.items() if check["status"] in ("failed", "warning")]
    assert bad == list(names), found
    assert all(found[name]["status"] == state for name in names), found


def test_all_is_well(place):
    found = examine(place)
    assert by_state(found, "ok") == NAMES, found
    assert "60 interactions" in found["page"]["detail"]
    assert place.tenant.url in found["configuration"]["detail"]
    assert "not there yet" in found["store"]["detail"]
    assert sorted(place.names()) == ["tamis.ini"], "doctor changes nothing"
    place.run("run", status=0)
    before = {name: place.read(name) for name in place.names()}
    found = examine(place)
    assert by_state(found, "ok") == NAMES and "60 interactions" in found["store"]["detail"]
    for name in ("tamis.db", "out.csv", "removed.jsonl"):
        assert place.read(name) == before[name]


def test_a_line_each(place):
    result = place.run("doctor", status=0)
    lines = result.text.splitlines()
    assert [line.split()[1] for line in lines] == NAMES and not result.err
    assert all(re.match(r"ok +\S+ +\S", line) and line.isprintable() for line in lines)
    place.tenant.scopes = "analytics:read"
    shown = place.run("doctor", status=4).text.splitlines()
    assert [line.split()[1] for line in shown] == NAMES
    assert all((" -> " in line) == line.startswith("failed") for line in shown), shown


def test_configuration(place):
    (place.dir / "tamis.ini").write_text("[source]\nbase_urll = x\n")
    found = examine(place, status=2)
    assert "base_url" in found["configuration"]["detail"]
    assert found["configuration"]["status"] == "failed"
    assert {"store", "disk", "export"} <= set(by_state(found, "ok")), "independent ones go on"
    place.configure(filter={"rating_map": "good=5"})
    check_only(examine(place, status=2), "failed", "configuration")
    (place.dir / "tamis.ini").unlink()
    assert "tamis init" in examine(place, status=2)["configuration"]["detail"]


def test_secret_missing(place):
    found = examine(place, status=2, env={"TAMIS_CLIENT_SECRET": None})
    check_only(found, "failed", "secret")
    assert by_state(found, "ok")[1:3] == ["name", "tls"], "what needs no secret is tried"
    assert by_state(found, "skipped") == ["token", "scopes", "page", "filter", "retention"]
    assert not place.tenant.requests("token")


def test_secret_file(place):
    path = place.dir / "secret"
    path.write_text(SECRET)
    place.configure(source={"client_secret_file": "secret"})
    path.chmod(0o604)
    found = examine(place, status=2)
    check_only(found, "failed", "secret")
    assert "chmod 600" in found["secret"]["detail"]
    path.chmod(0o600)
    assert "file secret" in examine(place)["secret"]["detail"]


def test_name(place):
    place.configure(source={"base_url": "https://no-such-tenant.invalid"})
    found = examine(place, status=1)
    check_only(found, "failed", "name")
    assert set(by_state(found, "skipped")) == {"tls", "token", "scopes", "page", "filter", "clock",
                                               "retention"}


@pytest.mark.parametrize("env", [{name: "http://127.0.0.1:1"} for name in (
    "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")] + [
        {"https_proxy": "", "ALL_PROXY": "http://127.0.0.1:1"}], ids=str)
def test_a_proxy_looks_the_name_up(place, env):
    """Whichever variable libcurl takes it from."""
    none = dict.fromkeys(("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy",
                          "NO_PROXY"))
    place.configure(source={"base_url": "https://no-such-tenant.invalid"})
    found = examine(place, status=1, env={**none, **env})
    check_only(found, "failed", "tls")
    assert "proxy" in found["name"]["detail"]
    place.configure(source={"base_url": place.tenant.url.replace("http:", "HTTP:")})
    found = examine(place, env={**none, **env})
    assert "127.0.0.1" in found["name"]["detail"] and "plain http" in found["tls"]["detail"]


def test_nobody_answers(place):
    place.tenant.stop()
    found = examine(place, status=1)
    check_only(found, "failed", "tls")
    assert "firewall" in found["tls"]["fix"]


@pytest.mark.parametrize("auth, path, words", [
    ("password", None, "access key"), ("access-key", None, "access key"),
    ("password", "/nowhere", "source.issuer"), ("client-credentials", "/nowhere", "token_url")])
def test_what_to_do_without_a_token(place, auth, path, words):
    """Of what this way of signing in has, and of the address where that is wrong."""
    place.tenant.access_key = ("key", "secret of the key")
    place.configure(source={"auth": auth, "access_key_id": "key", "issuer": place.tenant.url})
    if path:
        place.configure(source={"issuer" if auth == "password" else "token_url":
                                place.tenant.url + path})
    found = examine(place, status=1 if path else 4, env={"TAMIS_ACCESS_KEY_SECRET": "an old one"})
    check_only(found, "failed", "token")
    assert words in found["token"]["fix"]
    assert ("client" in found["token"]["fix"]) == (auth == "password" and not path)


@pytest.mark.parametrize("kind, name", [("token", "token"), ("interactions", "page")])
@pytest.mark.parametrize("code", [429, 503])
def test_a_server_with_too_much_to_do(place, kind, name, code):
    """That is no matter of roles and scopes."""
    place.tenant.fault(lambda r: r.kind == kind, faults.status(code))
    found = examine(place, status=1)
    check_only(found, "failed", name)
    assert "again later" in found[name]["fix"] and "scope" not in found[name]["fix"]


def test_token(place):
    found = examine(place, status=4, env={"TAMIS_CLIENT_SECRET": "an old one"})
    check_only(found, "failed", "token")
    assert "401" in found["token"]["detail"]
    assert len(place.tenant.requests("token")) == 1


def test_scopes(place):
    place.tenant.scopes = "interactions:read"
    check_only(examine(place), "warning", "scopes")
    place.tenant.scopes = "analytics:read"
    found = examine(place, status=4)
    check_only(found, "failed", "scopes", "page")
    assert "interactions:read" in found["scopes"]["detail"]
    assert "View Interaction Logs" in found["page"]["fix"]


def test_page(place):
    place.tenant.fault(faults.to_interactions(), faults.status(404))
    found = examine(place, status=1)
    check_only(found, "failed", "page")
    assert "404" in found["page"]["detail"]
    place.tenant.heal()
    place.tenant.fault(faults.to_interactions(), faults.throttle(1))
    found = examine(place, status=1)
    check_only(found, "failed", "page")
    assert len(place.tenant.requests()) < 8, "a doctor does not wait and try again"


def test_filter(place):
    place.tenant.fault(lambda r: "filter" in r.query, faults.status(400, "Unsupported filter"))
    found = examine(place, status=1)
    check_only(found, "failed", "filter")
    assert "timestamp gt" in found["filter"]["fix"]


@pytest.mark.parametrize("seconds", [-7200, 7200])
def test_clock(place, seconds):
    place.tenant.clock = lambda: time.time() + seconds
    found = examine(place)
    check_only(found, "warning", "clock")
    assert ("ahead" if seconds > 0 else "behind") in found["clock"]["detail"]
    assert re.search(r"\b7(19[0-9]|20[0-9])\b", found["clock"]["detail"]), found["clock"]


def test_retention(place, few):
    oldest = min(json.loads(r)["timestamp"] for r in few)
    assert oldest[:19] in examine(place)["retention"]["detail"]
    place.configure(source={"since": "2020-01-01T00:00:00Z"})
    found = examine(place)
    check_only(found, "warning", "retention")
    assert "2020-01-01" in found["retention"]["detail"] and oldest[:19] in \
        found["retention"]["detail"]
    place.configure(source={"since": oldest})
    assert by_state(examine(place), "ok") == NAMES


def test_model(place, tmp_path):
    place.configure(embed={"model": tmp_path / "nowhere"})
    found = examine(place, status=1)
    check_only(found, "failed", "model")


def test_model_of_the_user(make_place, few):
    place = make_place(few, model="")
    assert "published" in examine(place)["model"]["detail"]


def test_another_model_than_the_vectors(place, model_dir):
    place.run("run", status=0)
    place.configure(embed={"model": model_dir})
    found = examine(place, status=2)
    check_only(found, "failed", "model")
    assert "--reembed" in found["model"]["fix"]


def test_store_damaged(place):
    place.run("run", status=0)
    data = bytearray(place.read("tamis.db"))
    middle = len(data) // 2 // 4096 * 4096
    data[middle:middle + 4096] = b"\xff" * 4096
    (place.dir / "tamis.db").write_bytes(data)
    found = examine(place, status=1)
    check_only(found, "failed", "store")
    assert "backup" in found["store"]["fix"]
    (place.dir / "tamis.db").write_text("something else")
    check_only(examine(place, status=1), "failed", "store")
    assert place.read("tamis.db") == b"something else"


def test_store_in_use(place):
    """While a run goes on."""
    place.tenant.fault(faults.page(1), faults.delay(30), times=1)
    run = place.start("run")
    try:
        while not place.tenant.requests():
            pass
        assert examine(place)["store"]["status"] == "ok"
    finally:
        run.kill()
        run.communicate()


def test_store_and_export_in_no_directory(place):
    place.configure(store={"url": "nowhere/tamis.db"}, export={"csv": "nowhere/out.csv"})
    found = examine(place, status=1)
    assert by_state(found, "failed") == ["store", "export"], found
    place.configure(store={"url": "tamis.db"}, export={"csv": "", "removed": ""})
    check_only(examine(place), "warning", "export")
    for key, path, status in (("manifest", "nowhere/m.json", 1), ("train", "tamis.db", 2)):
        place.configure(export={"manifest": "", "train": "", key: path})
        assert by_state(examine(place, status=status), "failed") == ["export"], key


def test_a_certificate_of_nobody(place, tmp_path):
    """An https address behind which plain http is spoken: no TLS."""
    place.configure(source={"base_url": place.tenant.url.replace("http:", "https:")})
    found = examine(place, status=1)
    check_only(found, "failed", "tls")


def test_everything_at_once(place):
    """The most telling status: configuration before credentials before the rest."""
    place.tenant.scopes = "analytics:read"
    place.configure(store={"url": "nowhere/tamis.db"})
    assert by_state(examine(place, status=4), "failed") == ["scopes", "page", "store"]
    place.configure(filter={"rating_map": "x"})
    assert by_state(examine(place, status=2), "failed") == ["configuration", "scopes", "page",
                                                            "store"]
