"""Random lives of Cognigy.AI and Digital Engagement services, with faults, kills and other
settings, against a fresh sync of what they hold in the end.

A life is a list of steps, a word and its figures each; hypothesis makes them, and shrinks one that
fails to a few.  Put that into REGRESSIONS as it is printed.  TAMIS_EXAMPLES: as in
test_schedules.py, a quarter of it for each service.
"""

import copy
import datetime
import json
import signal
import time

import cognigy
import dfo
import faults
import pytest
from conftest import Place
from faulty import faults_env, is_instrumented, wanted, write_letters
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import instant
from test_run import conversation

EXAMPLES = max(1, wanted("TAMIS_EXAMPLES", 40) // 4)
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
MS = 10 ** 6
FILES = ("out.csv", "removed.jsonl", "rows.jsonl")
ACTS = {"status 500": faults.status(500), "throttled": faults.throttle("0"),
        "reset": faults.reset(), "cut": faults.truncate(100), "html": faults.html(),
        "status 503": faults.status(503, headers={"Retry-After": "0"})}
OPTIONS = {  # of [source]; the first is how a life begins
    "page_size": ["5", "2", "3", "50"], "since": ["", "2", "9"],
    "bot_field": ["projectId", "endpointName"], "rating_field": ["csat", "other", ""],
    "bot_users": ["", "bot_a", "*"]}
CHANGES = st.one_of(
    st.tuples(st.just("insert"), st.integers(0, 20), st.integers(0, 5000), st.integers(0, 7)),
    st.tuples(st.just("rate"), st.integers(0, 20), st.sampled_from([1, -1])),
    st.tuples(st.just("say"), st.integers(0, 20), st.integers(0, 5000), st.booleans()),
    st.tuples(st.just("delete"), st.integers(0, 20)))
STEPS = st.one_of(
    CHANGES, CHANGES,
    st.tuples(st.just("fault"), st.sampled_from(sorted(ACTS)), st.integers(0, 1),
              st.integers(1, 6), st.integers(1, 3)),
    st.tuples(st.just("while reading"), st.integers(0, 1), st.integers(1, 6), CHANGES),
    st.tuples(st.just("service"), st.integers(0, 31)),
    st.sampled_from([("option", key, n) for key in sorted(OPTIONS)
                     for n in range(len(OPTIONS[key]))]),
    st.tuples(st.just("clock"), st.sampled_from([-3, 0, 1])),
    st.tuples(st.just("kill"), st.sampled_from(["write", "sync", "net"]), st.integers(1, 80)),
    st.just(("run",)), st.just(("run",)), st.just(("sync",)))
REGRESSIONS = {
    "cognigy-odata": [  # more rows of one time than the service gives at once; another bot_field
        [("service", 9), ("insert", 1, 60, 7), ("insert", 2, 60, 7), ("insert", 3, 60, 7), ("run",),
         ("insert", 4, 60, 7), ("option", "bot_field", 1), ("run",)]],
    "dfo": [  # another field for the rating, when all contacts were read
        [("insert", 1, 60, 3), ("insert", 2, 90, 1), ("option", "rating_field", 1), ("run",),
         ("option", "rating_field", 0), ("run",)]]}


def stamp(minutes):
    return (NOW - datetime.timedelta(minutes=60 + minutes)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def talk(k, minutes, shape):
    """shape: how many turns, whether all are of one time, who bots are, if it is rated."""
    at = stamp(minutes)
    messages = conversation(said="wish %d" % (k % 4), answer="done %d" % shape)["messages"]
    if shape & 4:
        messages = [{**m, "timestamp": at} for m in messages * 2]
    rating = {} if shape & 2 else {"rating": 5 if k % 3 else 1}
    return {"id": "s_%02d" % k, "timestamp": at, "botId": "bot_%s" % "ab"[shape & 1],
            "messages": messages, **rating}


class Life:
    type, kinds, make, module = "", (), None, None

    def __init__(self, directory, model):
        self.directory, self.model = directory, model
        self.service = self.start()
        self.options = {key: values[0] for key, values in OPTIONS.items()}
        self.gone, self.n = set(), 0
        (directory / "grown").mkdir(parents=True)
        self.place = Place(directory / "grown", self.service, model)

    def start(self):
        service = self.make()
        service.api_key = ("apikey", "key")
        return service.start()

    def tamis(self, place, *args, **options):
        source = {**self.options, "type": self.type, "auth": "api-key", "lookback": "3650d",
                  "max_attempts": 2, "max_wait": "2s", "timeout": "5s"}
        if source["since"]:
            source["since"] = stamp(1440 * int(source["since"]))
        place.configure(source=source, filter={"rating_map": "-1=1,1=5", "min_rating": 0},
                        dedup={"domain": "bot"},
                        export={"columns": "all", "jsonl": "rows.jsonl"})
        env = {"TAMIS_CLIENT_SECRET": "key", **options.pop("env", {})}
        return place.run("--quiet", *args, env=env, **options)

    def step(self, word, *figures):
        getattr(self, word.replace(" ", "_"))(*figures)

    def insert(self, k, minutes, shape):
        id = "s_%02d" % k
        if id in self.ids() or id in self.gone:
            return
        rows = self.module.rows_of([talk(k, minutes, shape)])
        self.dress(rows, k)
        self.service.add(rows)

    def delete(self, k):
        id = "s_%02d" % k
        if id in self.ids():
            self.service.delete(id)
            self.gone.add(id)

    def fault(self, act, kind, nth, times):
        self.service.fault(self.from_the(kind, nth), ACTS[act], times=times)

    def while_reading(self, kind, nth, change):
        self.service.fault(self.from_the(kind, nth), faults.mutate(lambda _: self.step(*change)),
                           times=1)

    def from_the(self, kind, nth):
        """Whether a request is the nth of its kind, or a later one."""
        count = [0]

        def condition(request):
            count[0] += request.kind == self.kinds[kind]
            return request.kind == self.kinds[kind] and count[0] >= nth
        return condition

    def option(self, key, n):
        self.options[key] = OPTIONS[key][n]

    def clock(self, days):
        self.service.clock = lambda: time.time() + days * 86400

    def run(self, command="run"):
        result = self.tamis(self.place, command)
        assert result.status in (0, 3), result

    def sync(self):
        self.run("sync")

    def kill(self, name, n):
        if is_instrumented():
            return
        self.tamis(self.place, "status")  # writes the configuration
        process = self.place.start("run", env={"TAMIS_CLIENT_SECRET": "key",
                                               **faults_env("kill:%s:%d" % (name, n))})
        process.communicate(timeout=60)
        assert process.returncode in (0, 3, -signal.SIGKILL), process.returncode

    def check(self):
        """Once the faults stop, the files are those of a fresh sync of what is there."""
        self.service.heal()
        self.service.clock = time.time
        for _ in range(2):
            self.tamis(self.place, "run", status=0)
        assert json.loads(self.tamis(self.place, "status", "--json").out)["rejected"] == 0
        for id in sorted(self.gone):
            assert self.tamis(self.place, "forget", id).status in (0, 1)
        assert self.exported(self.place) == self.fresh()

    def exported(self, place):
        for name in FILES:
            (place.dir / name).unlink(missing_ok=True)
        self.tamis(place, "export", status=0)
        return [place.read(name) if name in place.names() else None for name in FILES]

    def fresh(self):
        (self.directory / "fresh").mkdir()
        service = self.start()
        try:
            self.copy_to(service)
            place = Place(self.directory / "fresh", service, self.model)
            self.tamis(place, "run", status=0)
            return self.exported(place)
        finally:
            service.stop()


class Cognigy(Life):
    type, kinds = "cognigy-odata", ("Sessions", "Conversations")
    make, module = cognigy.Cognigy, cognigy

    def ids(self):
        return {row["sessionId"] for row in self.service.rows["Sessions"]}

    @staticmethod
    def dress(rows, k):
        for row in [*rows[0], *rows[1]]:
            row["endpointName"] = "bot_%d" % (k % 2)

    def rate(self, k, rating):
        self.service.rate("s_%02d" % k, rating)

    def say(self, k, minutes, again):
        """Two new rows, or an old one anew."""
        id, at = "s_%02d" % k, instant(stamp(minutes))
        mine = [row for row in self.service.rows["Conversations"] if row["sessionId"] == id]
        if not mine:
            return
        self.n += 1
        new = [{**mine[0], "id": "%s-n%d%s" % (id, self.n, who), "source": who,
                "inputText": "so %d" % k, "timestamp": cognigy.text_of(at + i * MS)}
               for i, who in enumerate(("user", "bot"))]
        self.service.add(([], [{**mine[0], "inputText": "else"}] if again else new))

    def service_bits(self, bits):
        s = self.service
        s.at_end_500, s.counts, s.shuffle = bool(bits & 1), bool(bits & 2), bool(bits & 4)
        s.top = 3 if bits & 8 else 10 ** 9
        s.quotes = [None, True][bits >> 4]
        s.shuffle = s.shuffle and not bits & 8  # ties beyond its cap in no order cannot be read

    def copy_to(self, other):
        other.rows = copy.deepcopy(self.service.rows)


class Dfo(Life):
    type, kinds = "dfo", ("contacts", "messages")
    make, module = dfo.Dfo, dfo

    def ids(self):
        return {contact["id"] for contact in self.service.contacts}

    @staticmethod
    def dress(rows, k):
        rows[0][0]["customFields"].append({"ident": "other", "value": ["1", 5, None][k % 3]})

    def change(self, k, **keys):
        """A contact that changes has another statusUpdatedAt."""
        self.n += 1
        at = cognigy.text_of(instant("2026-01-01T00:00:00Z") + self.n * MS)
        with self.service.lock:
            self.service.contacts = [
                {**c, **keys, "statusUpdatedAt": at} if c["id"] == "s_%02d" % k else c
                for c in self.service.contacts]

    def rate(self, k, rating):
        self.change(k, customFields=[{"ident": "csat", "value": str(rating)},
                                     {"ident": "other", "value": 5}])

    def say(self, k, minutes, again):
        id, at = "s_%02d" % k, instant(stamp(minutes))
        if id not in self.ids():
            return
        with self.service.lock:
            mine = list(self.service.messages[id])
            if mine and again:
                text = {"type": "TEXT", "payload": {"text": "else"}}
                mine[0] = {**mine[0], "messageContent": text}
            else:
                mine += [dfo.message("%s-n%d%s" % (id, self.n, who), who, "so %d" % k, at + i * MS,
                                     "bot_a") for i, who in enumerate(("user", "bot"))]
            self.service.messages[id] = mine
        self.change(k)

    def service_bits(self, bits):
        s = self.service
        s.bare, s.snapshot = bool(bits & 1), bool(bits & 2)
        s.knows_dates = [True, False, "from", None][bits >> 2 & 3]
        if bits & 16:
            s.forget_scrolls()

    def copy_to(self, other):
        other.contacts = copy.deepcopy(self.service.contacts)
        other.messages = copy.deepcopy(self.service.messages)


@pytest.fixture
def new_life(tmp_path):
    count, model = [0], write_letters(tmp_path / "letters")

    def play(kind, steps):
        count[0] += 1
        life = kind(tmp_path / ("life%d" % count[0]), model)
        try:
            life.insert(99, 100, 1)  # a service that has nothing says so in a way of its own
            for word, *figures in steps:
                life.step("service bits" if word == "service" else word, *figures)
            life.check()
        finally:
            life.service.stop()
    return play


@pytest.mark.parametrize("kind, steps", [(kind, steps) for kind in (Cognigy, Dfo)
                                         for steps in REGRESSIONS[kind.type]])
def test_lives_that_once_failed(new_life, kind, steps):
    new_life(kind, steps)


@pytest.mark.parametrize("kind", [Cognigy, Dfo])
def test_any_life(new_life, kind):
    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))
    @given(st.lists(STEPS, min_size=2, max_size=14))
    def any_life(steps):
        new_life(kind, steps)
    any_life()
