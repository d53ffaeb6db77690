"""source.type = file: a file in the place of an API, read with each run."""

import gzip
import json
import os
import signal

import pytest
from conftest import check_fails
from test_run import check_is, conversation, raw


@pytest.fixture
def desk(place):
    """A place without a tenant."""
    place.sections["source"] = {"type": "file", "path": "talks.jsonl"}
    return place.configure()


def write(desk, raws, name="talks.jsonl"):
    (desk.dir / name).write_bytes(b"\n".join(raws) + b"\n")


def test_a_run_reads_the_file(desk, few, expected):
    write(desk, few)
    summary = desk.json("run", env={"TAMIS_CLIENT_SECRET": None})
    check_is(desk, expected(few))
    assert summary["interactions"]["new"] == 60 and "http" not in summary
    assert not desk.tenant.log


def test_what_changes_in_it(desk, few, expected):
    write(desk, few[:40])
    desk.run("run", status=0)
    changed = raw({**json.loads(few[0]), "rating": 5})
    write(desk, [changed, *few[1:]])
    summary = desk.json("run")
    check_is(desk, expected([changed, *few[1:]]))
    assert summary["interactions"]["new"] == 20 and summary["interactions"]["updated"] <= 1
    write(desk, few[30:])  # what is not there any more stays
    desk.run("run", status=0)
    check_is(desk, expected([changed, *few[1:]]))


@pytest.mark.parametrize("name, pack", [
    ("page.json", lambda raws: b'{"interactions": [' + b",".join(raws) + b"]}"),
    ("array.json", lambda raws: b"[" + b",".join(raws) + b"]"),
    ("lines.jsonl.gz", lambda raws: gzip.compress(b"\n".join(raws)))])
def test_forms(desk, few, expected, name, pack):
    (desk.dir / name).write_bytes(pack(few))
    desk.run("run", "--set", "source.path=%s" % name, status=0)
    check_is(desk, expected(few))
    desk.run("sync", "--set", "source.path=-", status=0, input=pack(few))
    assert desk.json("status")["interactions"] == 60


def test_a_record_with_a_list_of_interactions(desk, few, expected):
    """Its own member, of no concern: it is one record all the same, in the first line or later."""
    odd = [raw({"interactions": ["int_1"], **json.loads(few[k])}) for k in (0, 5)]
    raws = [odd[0], *few[1:5], odd[1], *few[6:]]
    write(desk, raws)
    desk.run("run", status=0)
    check_is(desk, expected(raws))
    assert desk.json("status")["interactions"] == 60


def test_it_is_not_there(desk):
    check_fails(desk.run("run"), 1, "talks.jsonl")
    desk.configure(source={"path": ""})
    check_fails(desk.run("run"), 2, "source.path")
    assert "out.csv" not in desk.names()


def test_cut_short(desk, few, expected):
    """A file is taken whole or not at all."""
    write(desk, few[:30])
    desk.run("run", status=0)
    whole = gzip.compress(b"\n".join(few))
    (desk.dir / "more.gz").write_bytes(whole[:len(whole) // 2])
    check_fails(desk.run("run", "--set", "source.path=more.gz"), 1, "more.gz")
    desk.run("export", status=0)
    check_is(desk, expected(few[:30]))


def test_killed(desk, few, expected, tmp_path):
    """While it is read from a pipe that stands still."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = desk.start("sync", "--set", "source.path=%s" % pipe)
    with open(pipe, "wb") as f:
        f.write(b"\n".join(few[:20]) + b"\n")
        f.flush()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    write(desk, few)
    desk.run("run", status=0)
    check_is(desk, expected(few))


def test_doctor(desk):
    told = desk.json("doctor", status=1)
    assert [c["name"] for c in told["checks"] if c["status"] != "ok"] == ["file"]
    write(desk, [raw(conversation())])
    told = desk.json("doctor")
    assert told["status"] == "ok" and "secret" not in [c["name"] for c in told["checks"]]


def test_doctor_and_a_directory(desk):
    (desk.dir / "talks").mkdir()
    desk.configure(source={"path": "talks"})
    check_fails(desk.run("run"), 1, "talks")
    told = desk.json("doctor", status=1)
    failed, = [c for c in told["checks"] if c["status"] == "failed"]
    assert failed["name"] == "file" and "directory" in failed["detail"] and failed["fix"]
