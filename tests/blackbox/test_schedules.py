"""Random lives of a tenant, with faults and kills, against a model of what must be in the store.

A schedule is a list of steps, a word and its figures each; hypothesis makes them, and shrinks one
that fails to a few steps.  Put that into REGRESSIONS as it is printed.  TAMIS_EXAMPLES says how
many schedules are tried (40; ./dev check --long: 1,000).
"""

import contextlib
import datetime
import json
import signal
import sqlite3

import faults
import pytest
from faults import page, to_interactions, to_token
from faulty import faults_env, is_instrumented, wanted, write_letters
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_run import conversation, raw

EXAMPLES = wanted("TAMIS_EXAMPLES", 40)
NOW = datetime.datetime.now(datetime.timezone.utc)
ROWS = 30          # ids there are, at most
HOURS = 20 * 24    # how far back their timestamps go
PAGE_SIZE = 4

SERVER_FAULTS = {  # name: what the server does to requests, as long as the fault lasts
    "throttled": (to_interactions(), [faults.throttle("0")]),
    "no token": (to_token(), [faults.status(503, headers={"Retry-After": "0"})]),
    "revoked": (page(2), [faults.revoke()]),
    "down": (to_interactions(), [faults.status(502, headers={"Retry-After": "0"})]),
    "reset": (to_interactions(), [faults.reset()]),
    "cut": (to_interactions(), [faults.truncate(200)]),
    "html": (to_interactions(), [faults.html()]),
    "hole": (page(2), [faults.empty_page()]),
    "repeats": (page(3), [faults.other_page(1)]),
    "counts too much": (to_interactions(), [faults.total(10 ** 6)]),
    "counts nothing": (to_interactions(), [faults.total(0)]),
    "capped": (to_interactions(), [faults.cap(2 * PAGE_SIZE)]),
}

ids = st.integers(0, ROWS - 1)
hours = st.integers(0, HOURS)
STEPS = st.one_of(
    st.tuples(st.just("insert"), ids, hours),
    st.tuples(st.just("rate"), ids, st.sampled_from([None, 1, 3, 4, 5])),
    st.tuples(st.just("say"), ids, st.integers(0, 9)),
    st.tuples(st.just("delete"), ids),
    st.tuples(st.just("fault"), st.sampled_from(sorted(SERVER_FAULTS)), st.integers(1, 6)),
    st.tuples(st.just("while reading"), st.integers(1, 4), ids, hours),
    st.tuples(st.just("gone while reading"), st.integers(1, 4), ids),
    st.tuples(st.just("server clock"), st.sampled_from([-400, -1, 0, 1, 400])),
    st.tuples(st.just("ranges"), st.booleans()),
    st.tuples(st.just("kill"), st.sampled_from(["write", "sync", "net", "rename"]),
              st.integers(1, 60)),
    st.tuples(st.just("run")),
    st.tuples(st.just("run")),
)

REGRESSIONS = [
    # Of a capped page that was read before a kill, the rows count once.
    [("insert", 0, 1), ("insert", 1, 2), ("fault", "capped", 6), ("kill", "sync", 3), ("run",)],
    [("insert", k, 10 * k) for k in range(12)] + [
        ("run",), ("gone while reading", 2, 0), ("while reading", 3, 13, 1), ("run",)],
    [("insert", 3, 470), ("ranges", True), ("fault", "capped", 3), ("run",), ("rate", 3, 5)],
]


class Life:
    """A tenant, its client, and what each id has ever been."""

    def __init__(self, place):
        self.place, self.tenant = place, place.tenant
        self.ever = {}  # id -> every raw version that was served at some time
        place.configure(source={"page_size": PAGE_SIZE, "lookback": "3650d", "max_attempts": 2,
                                "max_wait": "2s", "timeout": "5s"})

    def row(self, k, hour, **more):
        at = NOW - datetime.timedelta(hours=1 + hour)
        return {**conversation("int_%02d" % k, said="wish %d of %d" % (k % 7, k), rating=5,
                               timestamp=at.strftime("%Y-%m-%dT%H:%M:%S.000Z")), **more}

    def keep(self, value):
        data = raw(value)
        self.tenant.holdings.put(data)
        self.ever.setdefault(value["id"], []).append(data)

    def now(self, k):
        return next((json.loads(r.raw) for r in self.tenant.holdings.query()
                     if r.id == "int_%02d" % k), None)

    def insert(self, k, hour):
        if not self.now(k):
            self.keep(self.row(k, hour))

    def change(self, k, **keys):
        value = self.now(k)
        if value:
            self.keep({**value, **keys})

    def say(self, k, n):
        self.change(k, messages=conversation(said="word %d" % n)["messages"])

    def step(self, word, *figures):
        do = {"insert": self.insert, "delete": self.delete, "run": self.run, "kill": self.kill,
              "fault": self.fault, "server clock": self.clock, "ranges": self.ranges,
              "while reading": self.while_reading, "gone while reading": self.gone_while_reading,
              "rate": lambda k, rating: self.change(k, rating=rating), "say": self.say}
        do[word](*figures)

    def delete(self, k):
        self.tenant.holdings.remove("int_%02d" % k)

    def fault(self, name, times):
        condition, acts = SERVER_FAULTS[name]
        self.tenant.fault(condition, *acts, times=times)

    def while_reading(self, number, k, hour):
        self.tenant.fault(page(number), faults.mutate(lambda _: self.insert(k, hour)), times=1)

    def gone_while_reading(self, number, k):
        self.tenant.fault(page(number), faults.mutate(lambda _: self.delete(k)), times=1)

    def clock(self, days):
        self.tenant.clock = lambda: (
            datetime.datetime.now().timestamp() + days * 86400)

    def ranges(self, takes):
        self.tenant.ranges = takes

    def run(self):
        result = self.place.run("run", "--quiet")
        twice = result.status == 4 and "turns down a token just issued" in result.err
        assert result.status in (0, 3) or twice, result

    def kill(self, name, n):
        process = self.place.start("run", env=faults_env("kill:%s:%d" % (name, n)))
        process.communicate(timeout=60)
        assert process.returncode in (0, 3, 4, -signal.SIGKILL), process.returncode

    # What must be

    def stored(self):
        with contextlib.closing(sqlite3.connect(self.place.dir / "tamis.db")) as db:
            assert db.execute("pragma integrity_check").fetchone() == ("ok",)
            found = [row[0].decode() for row in db.execute("select id from interaction")]
        assert len(found) == len(set(found)), "an id twice"
        return set(found)

    def check(self, other):
        """Once the faults stop: all that is held is stored, nothing that never was, and the files
        are those of one import of just that."""
        self.tenant.heal()
        self.tenant.clock = lambda: datetime.datetime.now().timestamp()
        self.place.run("run", status=0)
        self.place.run("run", status=0)
        held = {r.id: r.raw for r in self.tenant.holdings.query()}
        stored = self.stored()
        assert set(held) <= stored <= set(self.ever), "a row is missing, or was invented"
        gone = sorted(stored - set(held))
        files = self.files(self.place)
        if any(len(self.ever[id]) > 1 for id in gone):
            return  # any of the versions of what is gone may have been read
        lines = [*held.values(), *(self.ever[id][0] for id in gone)]
        assert files == self.import_of(other, lines)

    @staticmethod
    def files(place):
        return [place.read(name) if name in place.names() else None
                for name in ("out.csv", "removed.jsonl")]

    def import_of(self, other, lines):
        for name in other.names():
            if name not in ("tamis.ini",):
                (other.dir / name).unlink()
        (other.dir / "all.jsonl").write_bytes(b"\n".join(lines))
        other.run("import", "all.jsonl", status=0)
        other.run("export", status=0)
        files = self.files(other)
        if files[0] is None and "out.csv" in self.place.names():
            files[0] = self.place.read()  # no row is left: the file stays as it was
        return files


@pytest.fixture
def new_life(make_place, tmp_path):
    model = write_letters(tmp_path / "letters")
    other = make_place([], model=model)

    def play(schedule):
        life = Life(make_place([], model=model))
        try:
            for step in schedule:
                life.step(*step)
            life.check(other)
        finally:
            life.tenant.stop()
    return play


@pytest.mark.parametrize("schedule", REGRESSIONS)
def test_schedules_that_once_failed(new_life, schedule):
    if is_instrumented():
        schedule = [step for step in schedule if step[0] != "kill"]
    new_life(schedule)


@pytest.mark.parametrize("part", range(2))
def test_any_schedule(new_life, part):
    """Two halves, so that two processes share the work."""
    @settings(max_examples=EXAMPLES // 2, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))
    @given(st.integers(part, part), st.lists(STEPS, min_size=1, max_size=14))
    def any_schedule(_, schedule):
        if is_instrumented():
            schedule = [step for step in schedule if step[0] != "kill"]
        new_life([("insert", k, 37 * k % HOURS) for k in range(10 * part)] + schedule)
    any_schedule()
