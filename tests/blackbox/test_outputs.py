"""The files of [export] stay a set and replace nothing that they should not."""

import os
import shutil

import pytest
from conftest import check_fails
from test_run import conversation, raw


@pytest.fixture
def place(make_place):
    place = make_place([raw(conversation("int_%d" % i, said="word %d" % i)) for i in range(3)])
    place.run("run", status=0)
    (place.dir / "pins.txt").write_text("keep int_1\n")
    os.symlink("tamis.db", place.dir / "link.db")
    return place


def contents(place):
    files = [p for p in place.dir.iterdir() if not p.name.startswith("tamis.db-")]
    return {p.name: p.read_bytes() for p in files}


@pytest.mark.parametrize("settings,words", [
    (["export.jsonl=./out.csv"], ["export.jsonl", "export.csv"]),
    (["export.csv=tamis.db"], ["export.csv", "store.url"]),
    (["export.csv=link.db"], ["export.csv", "store.url"]),
    (["export.manifest=tamis.db-wal"], ["export.manifest", "store.url"]),
    (["export.csv=./tamis.ini"], ["export.csv", "--config"]),
    (["export.chat=-"], ["export.chat", "standard output", "./-"]),
    (["export.csv=pins.txt", "dedup.pins=pins.txt"], ["export.csv", "dedup.pins"]),
])
@pytest.mark.parametrize("command", [["export"], ["run"], ["forget", "int_2"]])
def test_one_path_one_file(place, command, settings, words):
    """Neither another export, nor the store, nor what is read is replaced."""
    before = contents(place)
    options = [word for setting in settings for word in ("--set", setting)]
    check_fails(place.run(*command, *options), 2, *words)
    assert contents(place) == before
    assert place.json("status")["interactions"] == 3


@pytest.mark.parametrize("name", ["vocab.txt", "config.json", "model.safetensors"])
def test_the_model_is_read(place, small, name):
    shutil.copytree(small, place.dir / "model")
    file = place.dir / "model" / name
    before = file.read_bytes()
    options = ["--set", "embed.model=model", "--set", "export.csv=./model/" + name]
    check_fails(place.run("run", *options), 2, "export.csv", "embed.model", name)
    assert file.read_bytes() == before


def test_all_or_none_where_one_cannot_be(place):
    """A directory that is not there: the files that come before it are left, too."""
    before = contents(place)
    options = ["--set", "filter.min_rating=5", "--set", "dedup.keep=oldest",
               "--set", "export.manifest=nowhere/m.json"]
    check_fails(place.run("export", *options), 1, "nowhere/m.json")
    after = contents(place)
    assert after["out.csv"] == before["out.csv"] and after.keys() == before.keys()


def test_shares_are_looked_at_first(place):
    """Given one by one they may make too much: told before anything is fetched."""
    asked = len(place.tenant.requests())
    check_fails(place.run("run", "--set", "split.train=0.95", "--set", "export.train=t.jsonl"), 2,
                "split", "more than 1")
    assert len(place.tenant.requests()) == asked
    assert "t.jsonl" not in place.names()


def test_instruction_set_is_looked_at(place):
    """Also where all that is asked for is there already."""
    check_fails(place.run("curate", env={"TAMIS_ISA": "fastest"}), 2, "TAMIS_ISA")
