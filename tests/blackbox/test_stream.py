"""tokenize and embed as filters: any number of texts, from anything that can be read."""

import json
import os
import pty
import random
import re
import resource
import struct
import subprocess
import time

import conftest
import oracle
import pytest
import toy_bert
from conftest import PROGRAM, base_environment

DIM = 32
LINES = (b"hello world\n\n  \nHello WORLD!\r\nreset my password\r\n\tmy\0pass \n"
         + "Café 東京\n".encode() + b"\xff\xfe hello\n" + b"hello " * 500 + b"\n"
         + b"x" * 3000000 + b" hello\n" + b" " * 1200000 + b"world\n" + b"the last line")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return toy_bert.Toy(layers=1).write(tmp_path_factory.mktemp("toy") / "toy")


def arguments(toy, command, *args):
    return [str(PROGRAM), command, "--set", "embed.model=%s" % toy, *map(str, args)]


def run_toy(toy, cwd, command, *args, **options):
    done = subprocess.run(arguments(toy, command, *args), cwd=cwd, env=base_environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, **options)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    return done.stdout


def numbered(n, distinct):
    """n lines, `distinct` of them different."""
    words = ["hello", "world", "re", "my", "pass", "!", "?", "caf", "cafe"]
    texts = []
    for k in range(distinct):
        text, rest = [], k
        for _ in range(6):
            text.append(words[rest % len(words)])
            rest //= len(words)
        texts.append(" ".join(text) + "\n")
    mixed = [texts[k % distinct] for k in range(n)]
    random.Random(1).shuffle(mixed)
    return mixed


@pytest.mark.parametrize("command", ["tokenize", "embed"])
def test_the_same_bytes_from_anywhere(toy, tmp_path, command):
    path = tmp_path / "texts"
    path.write_bytes(LINES)
    with path.open("rb") as file:
        expected = run_toy(toy, tmp_path, command, stdin=file)
    count = LINES.count(b"\n") + 1
    if command == "embed":
        assert len(expected) == 4 * DIM * count
    else:
        assert expected.count(b"\n") == count
    assert run_toy(toy, tmp_path, command, input=LINES) == expected
    assert run_toy(toy, tmp_path, command, input=LINES + b"\n") == expected
    lines = [line.decode("utf-8", "replace") for line in LINES.split(b"\n")]
    as_json = "".join(json.dumps({"text": line}) + "\n" for line in lines).encode()
    assert run_toy(toy, tmp_path, command, "--jsonl", input=as_json) == expected
    raw = "".join(json.dumps({"text": line}, ensure_ascii=False) + "\r\n" for line in lines)
    assert run_toy(toy, tmp_path, command, "--jsonl", input=raw.encode()) == expected
    with path.open("rb") as file:  # a file is read from where it stands
        file.seek(LINES.index(b"reset"))
        rest = run_toy(toy, tmp_path, command, stdin=file)
    assert expected.endswith(rest) and len(rest) < len(expected)


@pytest.mark.parametrize("command", ["tokenize", "embed"])
def test_pieces_of_any_size(toy, tmp_path, command):
    """A writer that is slow and cuts lines anywhere."""
    text = b"".join(line + b"\n" for line in LINES.split(b"\n") if len(line) < 100)
    expected = run_toy(toy, tmp_path, command, input=text)
    process = subprocess.Popen(arguments(toy, command), cwd=tmp_path, env=base_environment(),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for k in range(0, len(text), 7):
        process.stdin.write(text[k:k + 7])
        process.stdin.flush()
        time.sleep(0.012 if k % 3 else 0)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and out == expected


@pytest.mark.parametrize("command", ["tokenize", "embed"])
def test_each_line_is_answered_at_once(toy, tmp_path, command):
    """A program may write a text, read the answer, and go on."""
    process = subprocess.Popen(arguments(toy, command), cwd=tmp_path, env=base_environment(),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for text in (b"hello\n", b"hello world\n", b"\n", b"hello\n"):
        process.stdin.write(text)
        process.stdin.flush()
        answer = process.stdout.read(4 * DIM) if command == "embed" else process.stdout.readline()
        assert answer == run_toy(toy, tmp_path, command, input=text)
    process.stdin.close()
    assert process.stdout.read() == b"" and process.wait(timeout=60) == 0
    process.stdout.close()


def test_repeated_texts(toy, tmp_path):
    """More distinct texts than the program remembers: each has its own bits, again and again."""
    lines = numbered(40000, 15000)
    out = run_toy(toy, tmp_path, "embed", input="".join(lines).encode())
    vectors = [out[k:k + 4 * DIM] for k in range(0, len(out), 4 * DIM)]
    assert len(vectors) == len(lines)
    first = {}
    for line, v in zip(lines, vectors):
        assert first.setdefault(line, v) == v
    assert len(set(first.values())) == len(first) == 15000
    sample = sorted(first)[::1000]
    alone = run_toy(toy, tmp_path, "embed", "--threads", 1, input="".join(sample).encode())
    assert alone == b"".join(first[line] for line in sample)


def test_many_lines_are_the_same_bytes_from_anywhere(toy, tmp_path):
    """More texts than one batch, some of them again: from a pipe, a file, as JSON lines."""
    lines = numbered(12000, 9000)
    plain, path = "".join(lines).encode(), tmp_path / "texts"
    expected = run_toy(toy, tmp_path, "embed", input=plain)
    assert len(expected) == 4 * DIM * len(lines)
    as_json = "".join(json.dumps({"text": line[:-1], "id": line}) + "\n" for line in lines).encode()
    for content, args in ((plain, ()), (as_json, ("--jsonl",))):
        path.write_bytes(content)
        with path.open("rb") as file:
            assert run_toy(toy, tmp_path, "embed", *args, stdin=file) == expected
        assert run_toy(toy, tmp_path, "embed", *args, "--threads", 1, input=content) == expected
    vectors = run_toy(toy, tmp_path, "embed", "--format", "jsonl", input=plain).splitlines()
    assert [struct.pack("<%df" % DIM, *json.loads(line)["vector"]) for line in vectors] \
        == [expected[k:k + 4 * DIM] for k in range(0, len(expected), 4 * DIM)]


@pytest.mark.native
def test_memory_is_bounded(run, tmp_path):
    """The published model, 150,000 texts, and 120 MiB of memory of its own: a limit that the
    kernel keeps.  The file of the model is mapped, and does not count."""
    def limit():
        resource.setrlimit(resource.RLIMIT_DATA, (120 << 20, 120 << 20))
    if subprocess.run([str(PROGRAM), "--version"], preexec_fn=limit,
                      capture_output=True).returncode:
        pytest.skip("SKIPPED: %s cannot live with a limit of memory" % PROGRAM.name)
    texts = ["what is the weather in %d\n" % k for k in range(300)] + ["long " * 400 + "\n"] * 3
    with (tmp_path / "texts").open("w") as file:
        for _ in range(500):
            file.writelines(texts)
    with (tmp_path / "texts").open("rb") as file, open(os.devnull, "wb") as null:
        result = conftest.run_program("embed", "--threads", 2, cwd=tmp_path, input=None, stdin=file,
                                      stdout=null, preexec_fn=limit, status=0)
    assert not result.err, result


def test_a_line_that_is_too_long(toy, tmp_path):
    for command, args in (("tokenize", ()), ("embed", ("--jsonl",))):
        done = subprocess.run(arguments(toy, command, *args), cwd=tmp_path, env=base_environment(),
                              input=b'{"text": "a"}\n' + b"x" * (17 << 20), capture_output=True)
        assert done.returncode == 1 and b"line 2" in done.stderr and b"16 MiB" in done.stderr, done
        assert done.stderr.count(b"\n") == 1


# A reader that goes away

@pytest.mark.parametrize("command", ["tokenize", "embed"])
def test_closed_pipe(toy, tmp_path, command):
    """As in `tamis embed | head -c 1000`: what was read is right; it ends soon, in silence."""
    lines = "".join(numbered(100000, 90000)).encode()
    (tmp_path / "texts").write_bytes(lines)
    expected = run_toy(toy, tmp_path, command, input=b"".join(lines.splitlines(True)[:100]))
    with (tmp_path / "texts").open("rb") as file:
        process = subprocess.Popen(arguments(toy, command), cwd=tmp_path, env=base_environment(),
                                   stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        got = process.stdout.read(1000)
        process.stdout.close()
        error = process.stderr.read()
        process.stderr.close()
        assert (process.wait(timeout=60), error) == (1, b"")
        assert file.tell() == 0 or os.lseek(file.fileno(), 0, os.SEEK_CUR) < len(lines)
    assert len(got) == 1000 and expected.startswith(got)


# Progress

def on_terminal(toy, cwd, *args, stdin):
    """What a terminal on stderr was shown, and stdout."""
    master, slave = pty.openpty()
    process = subprocess.Popen(arguments(toy, "embed", *args), cwd=cwd, stdin=stdin, stderr=slave,
                               env={**base_environment(), "TERM": "xterm"}, stdout=subprocess.PIPE)
    os.close(slave)
    out, _ = process.communicate(timeout=120)
    shown = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not data:
            break
        shown += data
    os.close(master)
    assert process.returncode == 0
    return shown.decode(), out


def test_progress(toy, tmp_path):
    lines = "".join(numbered(30000, 20000)).encode()
    path = tmp_path / "texts"
    path.write_bytes(lines)
    expected = run_toy(toy, tmp_path, "embed", input=lines)
    with path.open("rb") as file:
        shown, out = on_terminal(toy, tmp_path, stdin=file)
    assert out == expected
    counts = [int(n) for n in re.findall(r"embedding (\d+) of 30000 \(\d+ %\)", shown)]
    assert counts and counts == sorted(counts) and counts[-1] <= 30000, shown
    assert shown.endswith("\r\x1b[K"), "a progress line was left standing: %r" % shown[-200:]
    for option in ("--quiet", "--no-progress"):
        with path.open("rb") as file:
            shown, out = on_terminal(toy, tmp_path, option, stdin=file)
        assert shown == "" and out == expected
    cat = subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE)
    shown, out = on_terminal(toy, tmp_path, stdin=cat.stdout)
    cat.stdout.close()
    assert cat.wait() == 0 and out == expected
    assert re.search(r"embedding \d+", shown) and " of " not in shown, shown
