"""The example of the library, built with it."""

import subprocess

import conftest
import oracle
import pytest
import toy_bert

TEXTS = ["hello world", "Hello WORLD!", "reset my password"]


@pytest.fixture
def nearest():
    program = conftest.PROGRAM.parent / "docs" / "example" / "nearest"
    if not program.exists():
        pytest.skip("SKIPPED: %s is not built here" % program)
    return lambda *args: subprocess.run([str(program), *map(str, args)], capture_output=True,
                                        text=True, timeout=120)


def test_nearest(run, nearest, tmp_path):
    model = toy_bert.Toy().write(tmp_path / "toy")
    done = nearest(model, *TEXTS)
    assert (done.returncode, done.stderr) == (0, ""), done
    out = run("embed", "--set", "embed.model=%s" % model, status=0,
              input="".join(text + "\n" for text in TEXTS).encode()).out
    first, *others = oracle.vectors(out, 32)
    assert done.stdout.splitlines() == ["%.4f  %s" % (oracle.cosine(first, v), text)
                                        for v, text in zip(others, TEXTS[1:])]


def test_nearest_without_a_model(nearest, tmp_path):
    done = nearest(tmp_path, *TEXTS)
    assert done.returncode == 1 and "no model in" in done.stderr, done
    assert nearest(tmp_path).returncode == 1
