"""kill -9 at any moment and before any call to the operating system: the next runs converge.

TAMIS_KILLS says how many (200; ./dev check --long: 5,000), TAMIS_SAMPLES how many times more
calls than usual are made to fail (1; 10).
"""

import random
import signal
import subprocess
import time

import pytest
from faulty import Harm, Tally, counts_of, faults_env, need_faults, share, wanted, write_letters

KILLS = wanted("TAMIS_KILLS", 200)
SAMPLES = wanted("TAMIS_SAMPLES", 1)
PARTS = 4  # tests that the kills are spread over
CLASSES = {"open": 1, "write": 4, "sync": 3, "rename": 2, "net": 3}  # and how often each is chosen


class Ground:
    """A tenant and a configuration that runs take a tenth of a second for; what they must give."""

    def __init__(self, make_place, demo, tmp_path):
        self.make_place, self.model = make_place, write_letters(tmp_path / "letters")
        self.first, self.later = demo.first[:24], demo.first[24:32]
        calm = self.place(self.first)
        began = time.monotonic()
        self.counts = counts_of(calm)
        self.length = time.monotonic() - began
        self.files = {False: self.read(calm)}
        calm.tenant.holdings.put_all(self.later)
        calm.configure(source={"lookback": "3650d"})
        calm.run("run", status=0)
        self.files[True] = self.read(calm)
        calm.tenant.stop()

    def place(self, raws, lookback="1s"):
        """With so little look-back, a row that is passed over is not found later by chance."""
        return self.make_place(raws, model=self.model).configure(
            source={"page_size": 5, "lookback": lookback})

    @staticmethod
    def read(place):
        return place.read(), place.read("removed.jsonl")


def kill_at_random(place, ground, rng):
    """A run that is killed, or comes to its end before; where it was told to be killed."""
    if rng.random() < 0.3:
        process = place.start("run")
        try:
            process.wait(rng.uniform(0, 1.1 * ground.length))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        return process.returncode, "time"
    name, = rng.choices(list(CLASSES), CLASSES.values())
    n = rng.randint(1, ground.counts[name])
    process = place.start("run", env=faults_env("kill:%s:%d" % (name, n)))
    process.communicate(timeout=60)
    return process.returncode, name


@pytest.mark.matrix(26)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_moment_and_call(make_place, demo, tmp_path, part):
    """Chains of one to six kills, now and then with new rows in between; then one run."""
    need_faults()
    rng, tally, killed = random.Random("kill %d" % part), Tally(), 0
    ground = Ground(make_place, demo, tmp_path)
    while killed < share(KILLS, part, PARTS):
        place, grown, tries = ground.place(ground.first), False, rng.randint(1, 6)
        while tries:
            status, kind = kill_at_random(place, ground, rng)
            assert status in (0, -signal.SIGKILL), status
            killed += status != 0
            tries -= 1
            harm = Harm(place, tmp_path / "copy")
            tally.update([kind, harm.phase] if status else [])
            if "out.csv" in place.names():
                assert place.read() in [files[0] for files in ground.files.values()], \
                    "a file that is not a whole data set"
            if not grown and rng.random() < 0.2:
                place.tenant.holdings.put_all(ground.later)
                place.configure(source={"lookback": "3650d"})
                grown = True
        place.run("run", status=0)
        assert ground.read(place) == ground.files[grown]
        assert [name for name in place.names() if not name.startswith("tamis.db-")] == [
            "out.csv", "removed.jsonl", "tamis.db", "tamis.ini"], "something is left over"
        place.tenant.stop()
    print("killed: %s" % tally)
    assert set(tally) >= {"time", "write", "sync", "net", "token", "pages", "export"}, tally


@pytest.mark.matrix(27)
@pytest.mark.parametrize("kind", ["sync", "rename"])
def test_killed_before_each_sync_and_rename(make_place, demo, tmp_path, kind):
    """Between page, commit, export and rename: all of these places, one after the other."""
    need_faults()
    ground = Ground(make_place, demo, tmp_path)
    for n in range(1, ground.counts[kind] + 1):
        place = ground.place(ground.first)
        process = place.start("run", env=faults_env("kill:%s:%d" % (kind, n)))
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        Harm(place, tmp_path / "copy")
        place.run("run", status=0)
        assert ground.read(place) == ground.files[False], n
        place.tenant.stop()


@pytest.mark.matrix(35)
def test_memory_is_out_while_recovering_from_a_kill(make_place, demo, tmp_path):
    """A killed run leaves a log to work in; the next finds no memory for it, the third is well."""
    need_faults()
    ground, rng = Ground(make_place, demo, tmp_path), random.Random(35)
    for n in range(3, ground.counts["sync"], 4):
        place = ground.place(ground.first)
        place.start("run", env=faults_env("kill:sync:%d" % n)).communicate(timeout=60)
        for _ in range(3):
            at = rng.randint(1, ground.counts["memory"])
            result = place.run("run", env=faults_env("enomem:memory:%d%s" % (
                at, rng.choice(["", "+"]))))
            assert result.status in (0, 1, 3) and (not result.status or len(result.lines) == 1), \
                (at, result)
            Harm(place, tmp_path / "copy")
        place.run("run", status=0)
        assert ground.read(place) == ground.files[False], n
        place.tenant.stop()


def survives(ground, place, tmp_path, spec):
    """A run with the fault ends in a sentence or well; what is there is whole; the next is well."""
    result = place.run("run", "--quiet", env=faults_env(spec), timeout=60)
    assert result.status in (0, 1, 3), (spec, result)
    if result.status:
        assert len(result.lines) == 1 and result.lines[0].startswith("tamis: "), (spec, result)
    else:
        assert ground.read(place) == ground.files[False], spec
    if "out.csv" in place.names():
        assert place.read() == ground.files[False][0], (spec, "a file that is not whole")
    Harm(place, tmp_path / "copy")
    place.run("run", status=0)
    assert ground.read(place) == ground.files[False], spec
    return result.status


def sampled(ground, tmp_path, rng, specs):
    """Each spec in a place of its own; how many runs failed."""
    failed = 0
    for spec in specs:
        place = ground.place(ground.first)
        failed += survives(ground, place, tmp_path, spec) != 0
        place.tenant.stop()
    return failed


@pytest.mark.matrix(28)
@pytest.mark.parametrize("act", ["enospc", "eio", "erofs", "half"])
def test_disk_fails_at_any_call(make_place, demo, tmp_path, act):
    """Each kind of call, once and for ever, sampled; test_store_faults.c has all for the store."""
    need_faults()
    ground, rng = Ground(make_place, demo, tmp_path), random.Random(act)
    places = {"open": 1, "write": 4, "sync": 3, "rename": 1} if act != "half" else {"write": 5}
    specs = ["%s:%s:%d%s" % (act, name, rng.randint(1, ground.counts[name]), forever)
             for name, times in places.items() for _ in range(times * SAMPLES)
             for forever in ("", "+")]
    assert sampled(ground, tmp_path, rng, specs) > len(specs) // 2


@pytest.mark.matrix(29)
def test_memory_is_out_at_any_call(make_place, demo, tmp_path):
    """Sampled over a whole run; the unit tests have every single call."""
    need_faults()
    ground, rng = Ground(make_place, demo, tmp_path), random.Random(29)
    specs = ["enomem:memory:%d%s" % (rng.randint(1, ground.counts["memory"]), forever)
             for _ in range(15 * SAMPLES) for forever in ("", "+")]
    assert sampled(ground, tmp_path, rng, specs) > len(specs) // 2


@pytest.mark.matrix(20)
def test_network_fails_at_any_call(make_place, demo, tmp_path):
    """Each connect, send and receive in turn: tried again, and nothing is missing."""
    need_faults()
    ground = Ground(make_place, demo, tmp_path)
    for n in range(1, ground.counts["net"] + 1):
        place = ground.place(ground.first)
        place.run("run", status=0, env=faults_env("reset:net:%d" % n))
        assert ground.read(place) == ground.files[False], n
        place.tenant.stop()
    place = ground.place(ground.first).configure(source={"max_attempts": 2})
    result = place.run("run", "--quiet", status=3, env=faults_env("reset:net:1+"))
    assert len(result.lines) == 1, result
