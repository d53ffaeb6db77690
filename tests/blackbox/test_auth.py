"""The kinds of source.auth: each lets the right client in, renews, and says what is wrong."""

import base64

import faults
import pytest
from conftest import CLIENT_ID, SECRET, check_fails
from faults import page, to_token
from tenant import Tenant
from test_run import check_is

KEY_ID, KEY_SECRET = "IJKL+MNOP 12==", "key secret&1=2+3%/é===="
KEY = {"TAMIS_ACCESS_KEY_SECRET": KEY_SECRET}


def by_password(place, **source):
    place.tenant.access_key = (KEY_ID, KEY_SECRET)
    place.configure(source={"auth": "password", "issuer": place.tenant.url + "/",
                            "access_key_id": KEY_ID, "page_size": 10, **source})
    return place


def by_access_key(place):
    place.tenant.access_key = (KEY_ID, KEY_SECRET)
    place.configure(source={"auth": "access-key", "access_key_id": KEY_ID, "client_id": "",
                            "page_size": 10})
    return place


def by_api_key(place, header="apikey"):
    place.tenant.api_key = (header.lower(), "key-5ad02")
    place.configure(source={"auth": "api-key", "client_id": "", "page_size": 10,
                            "api_key_header": header})
    return place


API_KEY = {"TAMIS_CLIENT_SECRET": "key-5ad02"}


@pytest.mark.parametrize("way", ["basic", "post"])
def test_password(place, few, expected, way):
    by_password(place, client_auth=way)
    place.tenant.client_auth = way
    result = place.run("run", "--verbose", status=0, env=KEY)
    check_is(place, expected(few))
    assert len(place.tenant.requests("discovery")) == len(place.tenant.requests("token")) == 1
    asked = place.tenant.requests("token")[0]
    assert asked.path == "/auth/token" and asked.form["username"] == KEY_ID
    assert ("client_secret" in asked.form) == (way == "post")
    assert "scope" not in asked.form, "the scopes of another kind of client"
    assert KEY_SECRET not in result.err and "secret&1" not in result.err


def test_password_told_where(place, few, expected):
    """source.token_url: nothing is looked up."""
    by_password(place, issuer="https://nowhere.invalid", token_url=place.tenant.url + "/auth/token")
    place.run("run", status=0, env=KEY)
    check_is(place, expected(few))
    assert not place.tenant.requests("discovery")


def test_access_key(place, few, expected):
    by_access_key(place).run("run", status=0, env={**KEY, "TAMIS_CLIENT_SECRET": None})
    check_is(place, expected(few))
    assert place.tenant.requests("token")[0].path == "/authentication/v1/token/access-key"


@pytest.mark.parametrize("header", ["apikey", "X-API-Key"])
def test_api_key(place, few, expected, header):
    by_api_key(place, header).run("run", status=0, env=API_KEY)
    check_is(place, expected(few))
    assert not place.tenant.requests("token")
    assert all("authorization" not in r.headers for r in place.tenant.requests())


@pytest.mark.matrix(18)
@pytest.mark.parametrize("login, env", [(by_password, KEY), (by_access_key, KEY)])
def test_a_token_is_renewed(place, few, expected, login, env):
    place.tenant.fault(page(3), faults.revoke(), times=1)
    login(place).run("run", status=0, env=env)
    check_is(place, expected(few))
    assert len(place.tenant.requests("token")) == 2
    assert len(place.tenant.requests("discovery")) <= 1


def test_an_api_key_is_not_renewed(place):
    place.tenant.fault(page(3), faults.status(401), times=1)
    result = by_api_key(place).run("run", status=4, env=API_KEY)
    assert "API key" in result.err and place.tenant.statuses().count(401) == 1


@pytest.mark.parametrize("login, env", [(by_password, KEY), (by_access_key, KEY)])
def test_wrong_secret(place, login, env):
    check_fails(login(place).run("run", env={"TAMIS_ACCESS_KEY_SECRET": "an old one"}), 4,
                "access_key_id")
    assert len(place.tenant.requests("token")) == 1


def test_wrong_client_with_a_right_key(place):
    check_fails(by_password(place).run("run", env={**KEY, "TAMIS_CLIENT_SECRET": "old"}), 4,
                "source.client_auth")


def test_wrong_api_key(place):
    check_fails(by_api_key(place).run("run", env={"TAMIS_CLIENT_SECRET": "key-of-another"}), 4,
                "401")


@pytest.mark.matrix(25)
def test_an_api_key_goes_nowhere_else(place):
    """A header of any name is what libcurl sends on where redirects are followed."""
    with Tenant() as other:
        place.tenant.fault(page(1), faults.redirect(other.url + "/elsewhere"))
        check_fails(by_api_key(place).run("run", env=API_KEY), 1, "redirect")
        assert not other.log


def test_secrets_missing(place):
    by_password(place)
    check_fails(place.run("run"), 2, "TAMIS_ACCESS_KEY_SECRET")
    check_fails(place.run("run", env={**KEY, "TAMIS_CLIENT_SECRET": None}), 2,
                "TAMIS_CLIENT_SECRET")
    place.configure(source={"access_key_id": ""})
    check_fails(place.run("run", env=KEY), 2, "source.access_key_id")
    for bad in ("two words", "line\nbreak", ""):
        result = by_api_key(place).run("run", env={"TAMIS_CLIENT_SECRET": bad})
        check_fails(result, 2, "API key")
    by_api_key(place, "a header: x")
    check_fails(place.run("run", env=API_KEY), 2, "api_key_header")
    assert not place.tenant.log


def test_secret_in_a_file(place, few, expected):
    path = place.dir / "key"
    path.write_text(KEY_SECRET + "\n")
    path.chmod(0o644)
    by_access_key(place).configure(source={"access_key_secret_file": "key"})
    check_fails(place.run("run"), 2, "key", "chmod 600")
    path.chmod(0o600)
    place.run("run", status=0)
    check_is(place, expected(few))


def test_no_secret_key_in_the_file(place):
    place.configure(source={"access_key_secret": KEY_SECRET})
    check_fails(place.run("run"), 2, "access_key_secret_env")


# The issuer

def test_issuer_fails_for_a_while(place, few, expected):
    place.tenant.fault(lambda r: r.kind == "discovery", faults.status(503), times=2)
    by_password(place).run("run", status=0, env=KEY)
    check_is(place, expected(few))


@pytest.mark.parametrize("answer", [faults.html(), faults.body(b"{}"), faults.status(404),
                                    faults.body(b'{"token_endpoint": "http://example.com/t"}')])
def test_issuer_that_is_none(place, answer):
    place.tenant.fault(lambda r: r.kind == "discovery", answer)
    result = by_password(place).run("run", env=KEY)
    assert result.status in (1, 2)
    check_fails(result, result.status, "source.issuer")
    assert not place.tenant.requests("token"), "credentials went somewhere"


def test_issuer_in_plain_text(place):
    by_password(place, issuer="http://example.com")
    check_fails(place.run("run", env=KEY), 2, "source.issuer")


# Nothing of it is shown

def test_secrets_that_a_server_echoes(place):
    code = base64.b64encode(("%s:%s" % (CLIENT_ID, SECRET)).encode()).decode()
    by_password(place)
    for words in (KEY_SECRET, SECRET, "Authorization: Basic " + code):
        place.tenant.fault(to_token(), faults.status(401, "not good: " + words), times=1)
        result = place.run("run", env=KEY, status=4)
        assert KEY_SECRET not in result.err and code not in result.err


def test_doctor(place):
    for login, env in ((by_password, KEY), (by_access_key, KEY), (by_api_key, API_KEY)):
        told = login(place).json("doctor", env=env)
        assert told["status"] == "ok", told
    told = by_access_key(place).json("doctor", env={"TAMIS_ACCESS_KEY_SECRET": None}, status=2)
    bad = [c for c in told["checks"] if c["status"] == "failed"]
    assert [c["name"] for c in bad] == ["secret"] and "TAMIS_ACCESS_KEY_SECRET" in bad[0]["detail"]


@pytest.mark.parametrize("where", ["https://example.com/login/", "https://example.com/login?x="])
def test_secrets_that_a_redirect_repeats(place, where):
    """run() looks for them."""
    place.tenant.fault(to_token(), faults.redirect(where + SECRET), times=1)
    check_fails(place.run("run"), 1, "redirect", "https://example.com")
    place.tenant.fault(page(1), lambda r, answer: faults.Reply(302, {
        "Location": where + r.headers["authorization"].split()[1]}))
    result = place.run("run")
    token = place.tenant.requests("interactions")[-1].headers["authorization"].split()[1]
    check_fails(result, 1, "redirect")
    assert token not in result.err
    by_api_key(place)
    place.tenant.fault(page(1), faults.redirect(where + API_KEY["TAMIS_CLIENT_SECRET"]))
    result = place.run("run", env=API_KEY)
    check_fails(result, 1, "redirect")
    assert API_KEY["TAMIS_CLIENT_SECRET"] not in result.err
