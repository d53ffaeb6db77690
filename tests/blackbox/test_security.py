"""What docs/SECURITY.md promises and no other file tests.

Elsewhere: redirects, certificates, TLS versions and answers that grow when they are unpacked
(tests/unit/test_source.c), secrets in output (every run here goes through check_nothing_secret),
secret files that others can read, terminal controls in conversations (test_bad_input.py,
test_run.py).
"""

import gzip
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile

import faults
import pytest
from conftest import PROGRAM, SECRET_FORMS, base_environment, check_fails, run_program, start
from test_run import conversation, raw


def is_elf():
    with open(PROGRAM, "rb") as f:
        return f.read(4) == b"\x7fELF"


# Core files and /proc

def allow_core_files():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def core_after(process):
    """Whether the kernel says that it dumped core for a process ended by SIGSEGV."""
    process.send_signal(signal.SIGSEGV)
    _, how = os.waitpid(process.pid, 0)
    process.returncode = how
    assert os.WIFSIGNALED(how), how
    return os.WCOREDUMP(how)


@pytest.mark.native
def test_no_core_file(place):
    """Token and secret lie in memory: a crash must not write them to a disk."""
    other = subprocess.Popen(["sleep", "60"], cwd=place.dir, preexec_fn=allow_core_files)
    if not core_after(other):
        pytest.skip("SKIPPED: this machine dumps no core at all, so there is nothing to see")
    place.tenant.fault(faults.page(1), faults.delay(30), times=1)
    run = place.start("run", preexec_fn=allow_core_files)
    while not place.tenant.requests():
        pass
    assert not core_after(run)
    run.stdout.close(), run.stderr.close()


def test_other_processes_of_the_user_cannot_look_in(place):
    """What a dump would show, /proc would show too: it belongs to root while tamis runs."""
    if not is_elf():
        pytest.skip("SKIPPED: %s is a script" % PROGRAM)
    place.tenant.fault(faults.page(1), faults.delay(30), times=1)
    with tempfile.TemporaryDirectory() as open_to_all:
        os.chmod(open_to_all, 0o777)
        shutil.copy(place.dir / "tamis.ini", open_to_all)
        nobody = {"user": 65534} if os.getuid() == 0 else {}
        run = start("run", cwd=open_to_all, **nobody)
        try:
            while not place.tenant.requests() and run.poll() is None:
                pass
            assert run.poll() is None, run.stderr.read()
            assert os.stat("/proc/%d/environ" % run.pid).st_uid == 0
        finally:
            run.kill()
            run.communicate()


def test_secrets_are_not_arguments(place):
    """Any user can read them there; so no program that tamis starts is given one either."""
    place.tenant.fault(faults.page(1), faults.delay(30), times=1)
    run = place.start("run")
    try:
        while not place.tenant.requests():
            pass
        with open("/proc/%d/cmdline" % run.pid, "rb") as f:
            shown = f.read()
        assert shown and not any(form in shown for form in SECRET_FORMS)
    finally:
        run.kill()
        run.communicate()


# Files

def test_no_secret_in_any_file(place):
    place.configure(source={"max_attempts": 1})
    place.tenant.fault(faults.page(1), faults.body(b"no page"), times=1)
    place.run("run", "--verbose", status=3)
    place.run("run", "--verbose", status=0)
    words = [*SECRET_FORMS, *(token.encode() for token in place.tenant.issued)]
    assert len(place.tenant.issued) == 2
    for name in place.names():
        data = place.read(name)
        assert not any(word in data for word in words), name


def test_files_are_private_whatever_the_umask(place):
    place.configure(export={"jsonl": "out.jsonl", "chat": "out.chat"})
    place.tenant.fault(faults.page(2), faults.delay(30), times=1)
    place.configure(source={"page_size": 10})
    run = place.start("run", preexec_fn=lambda: os.umask(0))
    while len(place.tenant.requests()) < 2:
        pass
    during = {name: (place.dir / name).stat().st_mode & 0o777 for name in place.names()}
    run.kill()
    run.communicate()
    assert {"tamis.db", "tamis.db-wal", "tamis.db-shm", "tamis.db-lock"} <= set(during)
    place.run("run", status=0, preexec_fn=lambda: os.umask(0))
    place.run("init", "--config", "new.ini", status=0, preexec_fn=lambda: os.umask(0))
    after = {name: (place.dir / name).stat().st_mode & 0o777 for name in place.names()}
    assert {"out.csv", "out.jsonl", "out.chat", "removed.jsonl", "new.ini"} <= set(after)
    for name, mode in [*during.items(), *after.items()]:
        assert name == "tamis.ini" or mode == 0o600, (name, oct(mode))


def test_a_planted_link_is_not_followed(place):
    """Where others may write, too: a link in the place of the lock or of a new store leads
    nowhere."""
    victim = place.dir / "victim"
    victim.write_text("as it was")
    (place.dir / "tamis.db-lock").symlink_to(victim)
    check_fails(place.run("run"), 1, "tamis.db-lock")
    (place.dir / "tamis.db-lock").unlink()
    (place.dir / "tamis.db-~new").symlink_to(victim)
    place.run("run", status=0)
    assert victim.read_text() == "as it was" and not victim.is_symlink()


def test_a_file_keeps_the_mode_that_it_was_given(place):
    place.run("run", status=0)
    (place.dir / "out.csv").chmod(0o640)
    place.run("export", status=0)
    assert (place.dir / "out.csv").stat().st_mode & 0o777 == 0o640


# Sizes

def test_a_packed_file_that_grows(run, tmp_path):
    """A line of 200 MB in 200 kB: given up at the limit, in bounded memory."""
    (tmp_path / "bomb.jsonl.gz").write_bytes(
        gzip.compress(raw(conversation()) + b'\n{"id": "' + b"x" * (200 << 20), 1))

    def little_memory():
        if is_elf() and b"__asan_init" not in PROGRAM.read_bytes():
            resource.setrlimit(resource.RLIMIT_DATA, (400 << 20, 400 << 20))
    check_fails(run("import", "bomb.jsonl.gz", preexec_fn=little_memory), 1, "bomb.jsonl.gz",
                "line 2 is longer than 64 MiB")


# What is shown

CONTROLS = "\x1b[2J\x07\x7f\u009b31m"


@pytest.mark.parametrize("args", [["explain", CONTROLS], [CONTROLS], ["--set", CONTROLS],
                                  ["import", CONTROLS], ["--" + CONTROLS]])
def test_arguments_do_not_reach_the_terminal(run, args):
    result = run(*args)
    assert result.status and result.lines and result.err.replace("\n", "").isprintable(), result


def test_ids_do_not_reach_the_terminal(make_place):
    place = make_place([raw({**conversation(CONTROLS + "id"), "timestamp": "never"}),
                        raw(conversation(CONTROLS + "other"))])
    result = place.run("run", "--verbose", status=0)
    assert "rejected" in result.err and result.err.replace("\n", "").isprintable(), result
    shown = place.run("status", status=0).text
    assert "rejected" in shown and shown.replace("\n", "").isprintable(), shown


def test_paths_do_not_reach_the_terminal(make_place):
    paths = ["--set", "store.url=%s.db" % CONTROLS, "--set", "export.csv=%s.csv" % CONTROLS]
    place = make_place([raw(conversation())])
    for command in ("run", "status", "doctor", "verify"):
        result = place.run(command, *paths, status=0)
        shown = (result.err + result.text).replace("\n", "")
        assert shown.isprintable(), (command, shown)


def test_no_conversation_in_the_log(place, few):
    shown = place.run("run", "--verbose", status=0).err
    texts = {m["text"] for r in few for m in json.loads(r)["messages"]}
    assert len(texts) > 50 and not [text for text in texts if len(text) > 8 and text in shown]


@pytest.mark.parametrize("broken", [
    '"from": "user", "text": "Anna Berg\tis"', '"from": "user", "text": Anna', '"text" "Anna Berg"',
    '"from": "user", "text": "\\uAnna Berg"', '"text": "Anna Berg" "is"', '"text": "\\d8Anna"'])
@pytest.mark.parametrize("store", ["no", "yes"])
def test_no_conversation_in_the_word_of_what_is_no_json(make_place, broken, store):
    """Where it breaks is often in a text: the byte is named, and not what stands there."""
    place = make_place([]).configure(redact={"rules": "card", "store": store})
    (place.dir / "bad.jsonl").write_text('{"id": "int_1", "messages": [{%s}]}' % broken)
    result = place.run("import", "bad.jsonl", status=0)
    assert "not JSON" in result.err and "(byte " in result.err
    shown = result.err + place.run("status", status=0).text + place.run("status", "--json").text
    assert "Ann" not in shown


# The program itself

def test_hardened_program():
    """Position-independent, relocations read-only, no executable stack, checked copies."""
    if not is_elf():
        pytest.skip("SKIPPED: %s is a script" % PROGRAM)
    told = subprocess.run(["readelf", "-W", "-h", "-l", "-d", "--dyn-syms", PROGRAM], check=True,
                          stdout=subprocess.PIPE, env={**base_environment(), "LC_ALL": "C"})
    shown = told.stdout.decode()
    assert re.search(r"Type:\s+DYN", shown)
    assert "GNU_RELRO" in shown and re.search(r"BIND_NOW|Flags:.*NOW", shown)
    assert re.search(r"GNU_STACK.* RW ", shown) and not re.search(r" RWE ", shown)
    assert "__stack_chk_fail" in shown
    if "__asan_init" not in shown and "__tsan_init" not in shown:
        assert re.search(r"__(mem|str|snprintf|printf|vsnprintf|fprintf)\w*_chk", shown)


def test_version_needs_nothing(tmp_path):
    """Nor does it read a configuration that may not be trusted."""
    (tmp_path / "tamis.ini").write_text("not a configuration")
    assert run_program("--version", cwd=tmp_path, status=0).text.startswith("tamis ")
