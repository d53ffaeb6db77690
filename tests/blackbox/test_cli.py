"""The command line: options, help, what is said where, and what happens when nobody listens."""

import configparser
import errno
import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest
from conftest import PROGRAM, check_fails, base_environment, run_program
from test_run import check_is, conversation, raw

COMMANDS = ["run", "sync", "import", "curate", "export", "status", "explain", "forget", "doctor",
            "tune", "report", "verify", "init", "model", "tokenize", "embed", "dedup"]


# Help

@pytest.mark.parametrize("command", COMMANDS)
def test_help(run, command):
    """The same from `COMMAND --help`, `--help COMMAND` and `help COMMAND`, with an example."""
    result = run(command, "--help", status=0)
    assert result.err == ""
    assert "usage: tamis " + command in result.text and "Examples:\n  tamis" in \
        result.text.replace("echo 'I need to reset my password' | ", "")
    for option in ("--config", "--set", "--json", "--quiet", "--verbose", "--no-progress",
                   "--threads", "--help", "--version"):
        assert option in result.text
    assert max(map(len, result.text.splitlines())) <= 100
    for other in (["--help", command], ["help", command], [command, "-h"]):
        assert run(*other, status=0).text == result.text


def test_help_lists_every_command(run):
    result = run("--help", status=0)
    assert result.err == ""
    assert run("help", status=0).text == run("help", "help", status=0).text == result.text
    for command in COMMANDS:
        assert re.search(r"^  %s +\S" % command, result.text, re.M), command
    assert set(re.findall(r"^  ([a-z]\w*)  +\S", result.text, re.M)) == set(COMMANDS), \
        "COMMANDS of this test is not what the program knows"


def test_nothing_at_all_is_usage(run):
    result = run()
    assert result.status == 2 and not result.out and "usage" in result.err


def test_version(run, tmp_path):
    assert re.fullmatch(r"tamis \d+\.\d+\.\d+\n", run("--version", status=0).text)
    (tmp_path / "tamis.ini").write_text("broken")
    run("--version", status=0)
    run("run", "--version", status=0)
    run("run", "--help", status=0)


# Words and options

@pytest.mark.parametrize("args, words", [
    (["rnu"], ["rnu", "run"]), (["Status"], ["status"]), (["exprot"], ["export"]),
    (["help", "syncc"], ["sync"]), (["hlep"], ['"help"']), ([""], ["unknown command"])])
def test_unknown_command(run, args, words):
    check_fails(run(*args), 2, "unknown command", *words)


@pytest.mark.parametrize("args, words", [
    (["run", "--quite"], ["--quite", "--quiet"]), (["--jsn", "run"], ["--json"]),
    (["run", "--no-progres"], ["--no-progress"]), (["run", "-x"], ["-x"]),
    (["run", "--quiet=yes"], ["--quiet"]), (["run", "--set"], ["--set"]),
    (["--config"], ["--config"]), (["run", "--threads", "0"], ["--threads"]),
    (["run", "--threads", "two"], ["--threads"]), (["run", "--threads", "-1"], ["--threads"]),
    (["run", "--threads", "1e9"], ["--threads"]), (["run", "--threads="], ["--threads"]),
    (["run", "--jsonl"], ["--jsonl", "tokenize"]), (["--format", "f32", "run"], ["--format"]),
    (["sync", "--reembed"], ["--reembed"]), (["run", "extra"], ["extra"]),
    (["explain"], ["explain"]), (["explain", "a", "b"], ["b"]), (["import"], ["import"]),
    (["model"], ["model"]), (["model", "pat"], ["model path"])])
def test_wrong_usage(run, tmp_path, args, words):
    check_fails(run(*args), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_options_before_and_after(place, few, expected):
    place.run("--json", "--quiet", "--set", "export.csv=a.csv", "run", status=0).json()
    place.run("export", "--set=export.csv=b.csv", "--json", "--threads=1", status=0).json()
    place.run("--threads", "2", "export", "--set", "export.csv=c.csv", "--quiet", status=0)
    for name in ("a.csv", "b.csv", "c.csv"):
        assert place.read(name) == expected(few).csv
    assert "out.csv" not in place.names()


def test_set_overrules_the_file_and_the_last_wins(place, few, expected):
    place.configure(dedup={"threshold": 0.99})
    place.run("run", "--set", "dedup.threshold=0.7", "--set", "dedup.threshold=0.8", status=0)
    check_is(place, expected(few, threshold=0.8))


def test_double_dash_ends_options(place):
    place.run("run", status=0)
    check_fails(place.run("explain", "--", "--json"), 1, "--json")


def test_config_elsewhere(place, few, expected):
    """--config names the file; paths in it start at the working directory."""
    other = place.dir / "deeper"
    other.mkdir()
    (place.dir / "tamis.ini").rename(other / "my.ini")
    place.run("run", "--config", "deeper/my.ini", status=0)
    check_is(place, expected(few))
    assert {"out.csv", "tamis.db"} <= set(place.names())


def test_config_with_comments_and_odd_spacing(place, few, expected):
    text = (place.dir / "tamis.ini").read_text()
    text = text.replace(" = ", "=").replace("[export]", "; a comment\n\n# another\n[export]")
    (place.dir / "tamis.ini").write_bytes(
        b"\xef\xbb\xbf" + text.replace("csv=out.csv", "csv = out.csv   ; here").encode()
        .replace(b"\n", b"\r\n"))
    place.run("run", status=0)
    check_is(place, expected(few))


@pytest.mark.parametrize("at", [180, 195, 199, 200, 2000])
def test_config_with_long_lines(place, few, expected, at):
    """A line is read to its end: a list of many bots, a long remark."""
    bots = sorted({json.loads(r)["botId"] for r in few})
    long = ("x" * 9 + ", ") * (at // 11 + 1)
    place.configure(filter={"bots": bots[0] + ", " + long[:at] + " , " + bots[1]})
    text = (place.dir / "tamis.ini").read_text()
    (place.dir / "tamis.ini").write_text(text + "; %s %s\n" % ("x" * at, bots[2]))
    place.run("run", status=0)
    check_is(place, expected(few, bots=bots[:2]))


def test_config_with_indented_keys(place, few, expected):
    """As git writes them: each is a key, and none goes on with the line before."""
    text = (place.dir / "tamis.ini").read_text()
    lines = [line if line.startswith("[") else "\t  " + line for line in text.splitlines()]
    (place.dir / "tamis.ini").write_text("\n".join(lines))
    place.run("run", status=0)
    check_is(place, expected(few))


# init

DEFAULTS = {
    "source.type": "interactions-v2", "source.instance": "", "source.base_url": "",
    "source.token_url": "", "source.auth": "client-credentials", "source.client_id": "",
    "source.client_secret_env": "TAMIS_CLIENT_SECRET", "source.client_secret_file": "",
    "source.client_auth": "basic", "source.issuer": "https://cxone.niceincontact.com",
    "source.access_key_id": "", "source.access_key_secret_env": "TAMIS_ACCESS_KEY_SECRET",
    "source.access_key_secret_file": "", "source.api_key_header": "apikey",
    "source.path": "", "source.bot_field": "projectId", "source.rating_field": "",
    "source.bot_users": "",
    "source.client_auth": "basic", "source.issuer": "https://cxone.niceincontact.com",
    "source.access_key_id": "", "source.access_key_secret_env": "TAMIS_ACCESS_KEY_SECRET",
    "source.access_key_secret_file": "", "source.api_key_header": "apikey",
    "source.scope": "interactions:read analytics:read", "source.since": "",
    "source.page_size": "200", "source.page_delay": "0.5s", "source.lookback": "7d",
    "source.settle": "60s", "source.max_attempts": "5", "source.max_wait": "60s",
    "source.wait_budget": "1h", "source.timeout": "30s", "source.ca_file": "",
    "filter.min_rating": "4", "filter.rating_map": "", "filter.bots": "", "redact.rules": "",
    "redact.action": "label", "redact.key_env": "TAMIS_REDACT_KEY", "redact.key_file": "",
    "redact.store": "no", "embed.model": "",
    "embed.precision": "exact", "dedup.threshold": "0.85", "dedup.domain": "all",
    "dedup.keep": "newest", "dedup.answers": "ignore", "dedup.pins": "",
    "dedup.memory": "",
    "guard.max_loss": "1", "guard.floor": "0", "guard.by": "bot",
    "store.url": "tamis.db", "export.csv": "cxone_training_data.csv",
    "export.jsonl": "", "export.chat": "", "export.removed": "", "export.report": "",
    "export.rasa": "", "export.cognigy": "", "export.train": "",
    "export.valid": "", "export.test": "",
    "split.train": "0.8", "split.valid": "0.1", "split.test": "0.1", "split.threshold": "0.70",
    "split.format": "chat", "export.conflicts": "",
    "conflicts.below": "0.6", "export.manifest": "",
    "export.columns": "reference"}


def test_init_writes_what_loads(run, tmp_path):
    """Every key with its default: loading it changes nothing."""
    run("init", status=0)
    text = (tmp_path / "tamis.ini").read_text()
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    assert {"%s.%s" % (section, key): value for section in parser.sections()
            for key, value in parser[section].items()} == DEFAULTS
    assert text.count("\n;") >= 30, "each key has a comment"
    assert "secret =" not in text
    (tmp_path / "one.jsonl").write_bytes(raw(conversation()))
    run("import", "one.jsonl", status=0)
    assert run("--json", "export", status=0).json()["turns"]["kept"] == 1


def test_init_changes_no_file(run, tmp_path):
    (tmp_path / "tamis.ini").write_text("[source]\n")
    check_fails(run("init"), 1, "tamis.ini")
    assert (tmp_path / "tamis.ini").read_text() == "[source]\n"
    run("init", "--config", "new.ini", status=0)
    assert "[source]" in (tmp_path / "new.ini").read_text()
    check_fails(run("init", "--config", "tamis.ini/new.ini"), 1, "tamis.ini/new.ini")
    names = sorted(tmp_path.iterdir())
    printed = run("init", "--config", "-", status=0)
    assert printed.out == (tmp_path / "new.ini").read_bytes() and not printed.err
    assert sorted(tmp_path.iterdir()) == names
    check_fails(run("status", "--config", "-", input=printed.out), 1, "tamis.db")


# Where is said what

def test_quiet_and_not_a_terminal(make_place, few):
    """Into a pipe there is no progress; with --quiet only warnings and errors are left."""
    bad = raw({k: v for k, v in conversation(timestamp="2026-10-30T00:00:00Z").items()
               if k != "id"})
    place = make_place([*few, bad])
    quiet = place.run("run", "--quiet", status=0)
    assert not quiet.out and len(quiet.lines) == 1 and "warning" in quiet.lines[0]
    plain = place.run("run", status=0)
    assert not plain.out and len(plain.lines) > 2
    assert "\r" not in plain.err and "\x1b" not in plain.err
    verbose = place.run("run", "--verbose", status=0)
    assert set(quiet.lines) <= set(verbose.lines) and not verbose.out
    assert "\x1b" not in verbose.err and "user" not in quiet.err


def test_json_is_alone_on_stdout(make_place, few):
    bad = raw({k: v for k, v in conversation().items() if k != "id"})
    place = make_place([*few, bad])
    for args in (["run"], ["sync"], ["curate"], ["export"], ["status"], ["run", "--verbose"]):
        assert isinstance(place.json(*args), dict)


def test_conversation_text_is_in_no_message(make_place):
    """Talk holds ids and counts, even of a record that is rejected."""
    secret = "My card is 4111 1111 1111 1111"
    place = make_place([raw(conversation(said=secret)),
                        raw(conversation("int_2", timestamp="never", said=secret))])
    result = place.run("run", "--verbose", status=0)
    assert "4111" not in result.err and "rejected" in result.err
    assert "4111" not in place.run("status", status=0).text


def on_terminal(place, *args, env=None):
    """(exit status, what a terminal on stderr was shown, stdout)."""
    master, slave = pty.openpty()
    all_env = {k: v for k, v in {**base_environment(), "TERM": "xterm", **(env or {})}.items()}
    process = subprocess.Popen([str(PROGRAM), *args], cwd=place.dir, env=all_env, stderr=slave,
                               stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    os.close(slave)
    shown = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError as e:  # how Linux says that the other side is closed
            assert e.errno == errno.EIO
            break
        if not data:
            break
        shown += data
    out = process.stdout.read()
    process.stdout.close()
    os.close(master)
    return process.wait(), shown.decode("utf-8", "replace"), out


PROGRESS = re.compile(r"fetching \d+ of \d+ \(\d+ %\)")


def test_progress_on_a_terminal(make_place, few):
    place = make_place(few).configure(source={"page_size": 4, "page_delay": "80ms"})
    status, shown, out = on_terminal(place, "run")
    assert status == 0 and out == b""
    assert PROGRESS.search(shown), shown
    assert re.search(r", \d+/s", shown) and re.search(r"\d+:\d\d left", shown), shown
    assert shown.rstrip().endswith("at the peak"), "the summary stands last"
    last = shown.replace("\r\n", "\n").split("\n")
    assert not any(PROGRESS.search(line.split("\r\x1b[K")[-1]) for line in last), \
        "a progress line was left standing"


@pytest.mark.parametrize("option", ["--no-progress", "--quiet"])
def test_no_progress(make_place, few, option):
    place = make_place(few).configure(source={"page_size": 4, "page_delay": "50ms"})
    status, shown, _ = on_terminal(place, "run", option)
    assert status == 0 and not PROGRESS.search(shown) and "\x1b" not in shown
    assert option == "--no-progress" or shown == ""


def test_no_color(make_place, few):
    place = make_place(few).configure(source={"page_size": 10, "page_delay": "50ms"})
    _, shown, _ = on_terminal(place, "run", env={"NO_COLOR": "1"})
    assert not re.search(r"\x1b\[[0-9;]*m", shown)
    assert not re.search(rb"\x1b\[[0-9;]*m", place.run("status", status=0).out)


def test_json_beside_progress(make_place, few):
    place = make_place(few).configure(source={"page_size": 4, "page_delay": "50ms"})
    status, shown, out = on_terminal(place, "--json", "run")
    assert status == 0 and PROGRESS.search(shown)
    assert json.loads(out)["status"] == "complete"


# Nobody listens

OUTPUTS = [["--version"], ["--help"], ["help", "run"], ["status"], ["--json", "status"],
           ["explain", "@"], ["--json", "explain", "@"], ["--json", "run"], ["--json", "curate"],
           ["model", "path"], ["tokenize"], ["embed"], ["embed", "--format", "jsonl"]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory, demo, small):
    """A directory with a store of ten conversations."""
    directory = tmp_path_factory.mktemp("filled")
    (directory / "ten.jsonl").write_bytes(b"\n".join(demo.first[:10]))
    (directory / "tamis.ini").write_text(
        "[embed]\nmodel = %s\n[export]\ncsv = out.csv\n" % small)
    run_program("import", "ten.jsonl", cwd=directory, status=0)
    run_program("export", cwd=directory, status=0)
    return directory, json.loads(demo.first[0])["id"]


@pytest.mark.parametrize("args", OUTPUTS, ids=" ".join)
def test_output_that_cannot_be_written(filled, args):
    """A full disk behind stdout is an error, never silence."""
    directory, id = filled
    args = [id if arg == "@" else arg for arg in args]
    if "run" in args and "help" not in args:
        args = ["--json", "export"]
    with open("/dev/full", "wb") as full:
        result = run_program(*args, cwd=directory, stdout=full, input=b"some text\n" * 2000)
    check_fails(result, 1, "standard output")


@pytest.mark.parametrize("args", [["status"], ["--json", "export"], ["report"],
                                  ["dedup", "--field", "id", "ten.jsonl"]], ids=" ".join)
def test_reader_that_is_gone_from_the_start(filled, args):
    directory, _ = filled
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as pipe:
        result = run_program("--quiet", *args, cwd=directory, stdout=pipe)
    assert (result.status, result.err) == (1, ""), result


@pytest.mark.parametrize("args", [["tokenize"], ["embed"]])
def test_reader_that_goes_away(filled, args):
    """As in `tamis embed | head -c 10`: it ends soon, not of a crash, and has nothing to say."""
    directory, _ = filled
    process = subprocess.Popen([str(PROGRAM), *args], cwd=directory, env=base_environment(),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdout.close()
    began = time.monotonic()
    try:
        for _ in range(300):
            process.stdin.write(b"some text of no importance\n" * 100)
        process.stdin.close()
    except BrokenPipeError:
        pass
    error = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), error) == (1, b"")
    assert time.monotonic() - began < 30


@pytest.mark.native
@pytest.mark.parametrize("closed", [[1], [2], [0, 1, 2]])
def test_closed_descriptors(make_place, few, expected, closed):
    """`tamis run >&-` must not write into whatever got that number instead."""
    bad = raw({k: v for k, v in conversation().items() if k != "id"})
    place = make_place([*few, bad])

    def close():
        for fd in closed:
            os.close(fd)
    process = subprocess.Popen([str(PROGRAM), "--json", "run", "--verbose"], cwd=place.dir,
                               env=base_environment(), preexec_fn=close,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    status = process.wait(timeout=60)
    assert status == (0 if closed == [2] else 1)
    assert place.read() == expected(few).csv
    place.run("run", status=0)
    check_is(place, expected(few))
    assert place.json("status")["interactions"] == 60


@pytest.mark.native
@pytest.mark.parametrize("args", [["import", "-"], ["dedup"], ["embed"], ["tokenize"]])
def test_closed_input(run, args):
    """Nothing to read from is not the same as nothing to read."""
    check_fails(run(*args, input=None, preexec_fn=lambda: os.close(0)), 1, "standard input")


def test_json_of_odd_names(make_place, few):
    """What is on stdout is JSON, whatever bytes a path is of."""
    place = make_place(few)
    out = place.json("run", "--set", "export.csv=caf\udce9.csv")
    assert out["export"]["csv"]["path"] == "caf\ufffd.csv"
    assert os.path.exists(os.fsencode(place.dir) + b"/caf\xe9.csv")


def test_json_is_one_line(make_place):
    """Also where a record that is shown was written over several."""
    rating = {"said": "so so", "stars": [1, 2]}
    place = make_place()
    (place.dir / "in.json").write_text(json.dumps(conversation(rating=rating), indent=2))
    place.run("import", "in.json", status=0)
    assert place.json("explain", "int_1")["rating"] == rating


@pytest.mark.parametrize("args", [["import", "-"], ["dedup"],
                                  ["sync", "--set", "source.type=file", "--set", "source.path=-"]])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_it_waits(place, args, sent):
    """A command that waits for its input hears of it, too."""
    process = subprocess.Popen([str(PROGRAM), *args], cwd=place.dir, env=base_environment(),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdin.write(b'{"text": "a"}\n')
    process.stdin.flush()
    time.sleep(0.5)
    process.send_signal(sent)
    assert process.wait(timeout=10) == 3
    assert b"interrupted while reading standard input" in process.stderr.read()
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()
