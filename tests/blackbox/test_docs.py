"""What the documents show is what happens.

Every ```console block of README.md and docs/GUIDE.md, and every example of docs/tamis.1
(between .EX and .EE) runs as shown, in a directory with tamis first on the PATH and a simulated
tenant's tamis.ini:
lines with "$ " are commands, what follows is their output, exactly, except that "..." stands
for anything.  Commands of `./dev`, `git` and `apt` are left to other tests, and said so.
"""

import configparser
import os
import re
import subprocess

import pytest
from conftest import CORPUS, PROGRAM, ROOT, base_environment

README = ROOT / "README.md"
GUIDE = ROOT / "docs" / "GUIDE.md"
MANUAL = ROOT / "docs" / "tamis.1"
ELSEWHERE = re.compile(r"(\./dev|git|cd|sudo|apt|apt-get|man|meson|ninja)\b")


def text_of(path):
    assert path.is_file(), "%s is not there: a program without it is not finished" % path.name
    return path.read_text("utf-8")


def console_blocks(text):
    return re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S)


def plain(roff):
    """The text of a man page: fonts and escapes taken away, requests left."""
    text = re.sub(r"\\f[BIRP]|\\f\(..|\\&", "", roff)
    for escaped, meant in ((r"\-", "-"), (r"\e", "\\"), (r"\(aq", "'"), (r"\(dq", '"'),
                           (r"\(bu", "*"), (r"\(en", "-"), (r"\(ga", "`"), (r"\ ", " ")):
        text = text.replace(escaped, meant)
    return text


def manual_examples(roff):
    return [plain(block) for block in re.findall(r"^\.EX\n(.*?)^\.EE$", roff, re.M | re.S)
            if re.search(r"^\$ ", block, re.M)]


def steps(block):
    """[(command, output shown)] of a block."""
    out = []
    for line in block.splitlines(keepends=True):
        if line.startswith("$ "):
            out.append([line[2:].rstrip("\n"), ""])
        elif out and out[-1][0].endswith("\\") and not out[-1][1]:
            out[-1][0] += "\n" + re.sub(r"^> ", "", line.rstrip("\n"))
        elif out:
            out[-1][1] += line
    return [tuple(step) for step in out]


def shown_is(shown, real):
    """Does the text fit, where "..." stands for anything?"""
    if not shown.strip():
        return True
    pattern = r"[\s\S]*?".join(map(re.escape, re.split(r"\.\.\.|…", shown.strip("\n"))))
    real = real.replace("\r\n", "\n")  # of the CSV
    return re.fullmatch(pattern, real.strip("\n")) is not None


def test_shown_is_can_fail():
    assert shown_is("a\n...\nz\n", "a\nb\nc\nz\n") and shown_is("", "anything")
    assert not shown_is("a\nb\n", "a\nc\n") and not shown_is("a\n", "a\nb\n")


@pytest.fixture
def desk(make_place, demo, tmp_path):
    """Where a reader of the documents would sit."""
    place = make_place(demo.first, name="desk", model="")
    place.sections["export"] = {"csv": "cxone_training_data.csv", "removed": "removed.jsonl"}
    place.configure()
    for name in ("demo.jsonl", "demo-later.jsonl"):
        (place.dir / name).write_bytes((CORPUS / name).read_bytes())
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "tamis").symlink_to(PROGRAM)
    env = base_environment()
    env["PATH"] = "%s:%s" % (programs, env["PATH"])

    def shell(command):
        done = subprocess.run(["sh", "-c", command], cwd=place.dir, env=env, timeout=120,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.decode()
    shell.place = place
    return shell


def run_examples(desk, blocks, where):
    ran, left = 0, []
    for block in blocks:
        for command, shown in steps(block):
            if ELSEWHERE.match(command):
                left.append(command)
                continue
            status, real = desk(command)
            assert status == 0, "%s: `%s` ends with %d:\n%s" % (where, command, status, real)
            assert shown_is(shown, real), "%s: `%s` shows\n%s\nand not\n%s" % (
                where, command, real, shown)
            ran += 1
    print("%s: %d commands run, left to other tests: %s" % (where, ran, left))
    assert ran, "%s shows no command that could be run" % where


def test_examples_of_the_readme(desk):
    blocks = console_blocks(text_of(README))
    assert blocks, "README.md has no ```console block"
    run_examples(desk, blocks, "README.md")


def test_examples_of_the_guide(desk):
    run_examples(desk, console_blocks(text_of(GUIDE)), "GUIDE.md")


def test_examples_of_the_manual(desk):
    blocks = manual_examples(text_of(MANUAL))
    assert blocks, "docs/tamis.1 has no example with a line `$ ...` between .EX and .EE"
    desk("tamis run")
    run_examples(desk, blocks, "tamis.1")


@pytest.fixture
def keys(run, tmp_path):
    """Every section.key of the file that `tamis init` writes, with its default."""
    run("init", "--config", "keys.ini", status=0)
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string((tmp_path / "keys.ini").read_text("utf-8"))
    return {"%s.%s" % (section, key): value for section in parser.sections()
            for key, value in parser[section].items()}


def test_manual_has_every_key_and_no_other(keys):
    text = plain(text_of(MANUAL))
    sections = {key.split(".")[0] for key in keys}
    named = set(re.findall(r"\b(?:%s)\.[a-z_]+\b" % "|".join(sections), text))
    named -= {"store.db", "redact.pattern"}
    assert set(keys) - named == set(), "the manual does not name these keys"
    assert named - set(keys) == set(), "the manual names keys that do not exist"


def test_manual_has_every_command_and_option(run):
    text = plain(text_of(MANUAL))
    overview = run("--help", status=0).text
    commands = re.findall(r"^  ([a-z]\w*)  +\S", overview, re.M)
    assert len(commands) >= 11
    for command in commands:
        usage = re.search(r"^usage: tamis (.*?) \[OPTION\]", run("help", command, status=0).text,
                          re.M).group(1)
        squeezed = " ".join(text.split())
        assert re.search(r"^\.\w+ .*\b%s\b" % command, text, re.M) or usage in squeezed, command
        for option in re.findall(r"--[a-z-]+", run("help", command, status=0).text):
            assert option in text, option
    assert run("--help", status=0).text.count("--") >= 9


def test_manual_has_every_exit_status():
    text = plain(text_of(MANUAL))
    assert re.search(r"^\.SH \"?EXIT STATUS", text, re.M)
    part = re.split(r"^\.SH ", text.split("EXIT STATUS", 1)[1], flags=re.M)[0]
    assert set(range(7)) <= {int(n) for n in re.findall(r"\b\d\b", part)}


def test_manual_is_well_formed():
    text = text_of(MANUAL)
    assert text.count("\n.EX") == text.count("\n.EE")
    for needed in (".TH", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"):
        assert needed in text, needed
    try:
        done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z",
                               str(MANUAL)], capture_output=True, timeout=60,
                              env={**os.environ, "MANROFFSEQ": "", "LC_ALL": "C.UTF-8"})
    except FileNotFoundError:
        pytest.skip("SKIPPED: no man here, so its warnings about tamis.1 are not seen")
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()


def test_readme_names_only_what_exists(keys, run):
    """Keys, commands and files that the README speaks of."""
    text = text_of(README)
    sections = {key.split(".")[0] for key in keys}
    for key in re.findall(r"`((?:%s)\.[a-z_]+)" % "|".join(sections), text):
        assert key in keys, key
    overview = run("--help", status=0).text
    commands = set(re.findall(r"^  ([a-z]\w*)  +\S", overview, re.M)) | {"help"}
    for command in re.findall(r"`tamis ([a-z]+)", text):
        assert command in commands, command
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / link).exists(), link
