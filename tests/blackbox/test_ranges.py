"""A server that gives only the first so many rows of any question, and what can be done about it.

One that takes ranges of time is asked for smaller and smaller ones; one that takes none is read
as far as it goes, and the run says that rows are missing.
"""

import json

import faults
import pytest
import records
from conftest import check_one_line
from faults import to_interactions
from test_run import check_is, conversation, raw

CAP = 30  # rows, of the 60 that there are


def capped(make_place, raws, limit=CAP, **options):
    place = make_place(raws, **options).configure(source={"page_size": 10})
    place.tenant.fault(to_interactions(), faults.cap(limit))
    return place


def filters(place):
    return [request.query.get("filter", "") for request in place.tenant.requests()]


def is_range(text):
    return " ge " in text


@pytest.mark.matrix(12)
def test_a_cap_is_cut_into_ranges(make_place, few, expected):
    """Half of the rows are beyond the cap: all arrive, in one run."""
    place = capped(make_place, few, ranges=True)
    place.run("run", status=0)
    check_is(place, expected(few))
    assert any(map(is_range, filters(place)))
    slices = place.json("status")["slices"]
    assert len(slices) > 2 and {s["state"] for s in slices} == {"done"}
    assert all(s["seen"] <= CAP for s in slices)


def more_than_a_cap():
    def at(k):
        return "2026-03-%02dT%02d:%02d:%02d.000Z" % (1 + k // 4000, k // 200 % 20, k // 10 % 20,
                                                     k % 10)
    raws = [raw({"id": "int_%05d" % k, "timestamp": at(k), "messages": []}) for k in range(12000)]
    raws.append(raw(conversation("int_said", timestamp="2026-04-01T00:00:00Z", said="The one")))
    return raws


@pytest.mark.parametrize("fault", [faults.status(500), faults.reset()], ids=["500", "reset"])
def test_a_server_that_is_at_a_loss_with_ranges(make_place, fault):
    """It is read without; what another server says one day is another matter."""
    place = make_place(more_than_a_cap()).configure(source={"page_size": 1000, "max_attempts": 2})
    place.tenant.fault(lambda r: is_range(r.query.get("filter", "")), fault)
    for _ in range(2):
        place.run("sync", status=0)
        assert place.json("status")["interactions"] == 12001
    place.tenant.heal()
    place.tenant.ranges = True
    place.configure(source={"lookback": "365d"}).run("sync", status=0)
    assert len(place.json("status")["slices"]) > 3, "it was not asked again"


@pytest.mark.matrix(12)
def test_a_cap_known_beforehand(make_place, expected):
    """What counts above 10,000 is cut before it is read to its end."""
    raws = more_than_a_cap()
    place = make_place(raws, ranges=True).configure(source={"page_size": 1000})
    place.tenant.fault(to_interactions(), faults.cap(10000))
    place.run("sync", status=0)
    assert place.json("status")["interactions"] == len(raws)
    assert len(place.tenant.requests()) < 40


@pytest.mark.matrix(12)
def test_a_cap_without_ranges(make_place, few, expected):
    """Nothing can be done; it is said, and what came is kept."""
    place = capped(make_place, few)
    result = place.run("run", "--quiet", status=3)
    check_one_line(result, "fewer records than it counts")
    assert place.json("status")["interactions"] == CAP
    assert len(place.tenant.log) < 40
    place.tenant.heal()
    place.run("run", status=0)
    check_is(place, expected(few))


def test_a_small_slice_asks_for_no_range(make_place, few):
    place = make_place(few, ranges=True).configure(source={"page_size": 10})
    place.run("run", status=0)
    place.run("run", status=0)
    assert not any(map(is_range, filters(place)))


@pytest.mark.parametrize("ranges", [False, True])
def test_ranges_are_probed_once(make_place, few, ranges):
    """The answer is kept: the second run that needs it does not ask again."""
    place = capped(make_place, few, ranges=ranges)
    place.run("run")
    asked = sum(map(is_range, filters(place)))
    assert asked == 1 if not ranges else asked > 1
    place.tenant.log.clear()
    new = [raw(conversation("int_n%02d" % k, said="new one %d" % k,
                            timestamp="2026-09-%02dT00:00:00Z" % (1 + k % 28))) for k in range(40)]
    place.tenant.holdings.put_all(new)
    place.run("run", status=0 if ranges else 3)
    assert any(map(is_range, filters(place))) == ranges
    if ranges:
        assert place.json("status")["interactions"] == 100


def ignoring(part):
    """Takes a range but keeps to one of its ends only."""
    def act(request, answer):
        text = request.query.get("filter", "")
        if not is_range(text):
            return answer(request)
        low, high = text.split(" and ")
        kept = {"upper": low.replace(" ge ", " gt "), "lower": None, "both": None}[part]
        reply = answer(request)
        if part == "lower":
            accept = records.parse_filter(
                "timestamp ge '0001-01-01T00:00:00.000Z' and " + high, True)
        else:
            accept = records.parse_filter(kept, True) if kept else (lambda at: True)
        found = request.tenant.holdings.query(accept)
        first = (request.page - 1) * request.page_size
        reply.raws = [r.raw for r in found[first:first + request.page_size]]
        reply.total = len(found)
        return reply
    return act


@pytest.mark.parametrize("part", ["upper", "lower", "both"])
def test_a_server_that_ignores_bounds_is_not_believed(make_place, few, expected, part):
    """Rows outside of what was asked for: no range is asked for any more, nothing is lost."""
    place = make_place(few, ranges=True).configure(source={"page_size": 10})
    place.tenant.fault(to_interactions(), ignoring(part), faults.cap(CAP))
    result = place.run("run")
    assert result.status in (0, 3) and len(place.tenant.log) < 200, result
    place.tenant.heal()
    place.run("run", status=0)
    check_is(place, expected(few))


def test_a_server_that_finds_nothing_in_ranges(make_place, few, expected):
    """No rows where rows are known to be: it does not understand the question."""
    place = make_place(few, ranges=True).configure(source={"page_size": 10})

    def nothing(request, answer):
        reply = answer(request)
        if is_range(request.query.get("filter", "")):
            reply.raws, reply.total = [], 0
        return reply
    place.tenant.fault(to_interactions(), nothing, faults.cap(CAP))
    place.run("run", status=3)
    assert sum(map(is_range, filters(place))) == 1
    place.tenant.heal()
    place.run("run", status=0)
    check_is(place, expected(few))


def test_ranges_refused_later(make_place, few, expected):
    """It took them once; the parts that are open are read without."""
    place = capped(make_place, few, ranges=True)
    place.configure(source={"max_attempts": 1})
    asked = []

    def down_after_some(request):
        asked.append(request)
        return request.kind == "interactions" and len(asked) > 12
    place.tenant.fault(down_after_some, faults.status(503))
    place.run("run", status=3)
    assert "open" in [s["state"] for s in place.json("status")["slices"]]
    place.tenant.heal()
    place.tenant.ranges = False
    place.run("run", status=0)
    check_is(place, expected(few))


def test_rows_at_one_instant_beyond_a_cap(make_place):
    """A millisecond cannot be cut: bounded work, and a sentence."""
    raws = [raw({"id": "int_%03d" % k, "timestamp": "2026-05-05T12:00:00.000Z", "messages": []})
            for k in range(60)]
    place = capped(make_place, raws, ranges=True)
    result = place.run("sync", "--quiet", status=3)
    check_one_line(result, "fewer records than it counts")
    assert len(place.tenant.log) < 300
    place.tenant.heal()
    place.run("sync", status=0)
    assert place.json("status")["interactions"] == 60


def test_a_capped_server_that_counts_only_what_it_gives(make_place, few):
    """It cannot be told from one that holds no more: the rows it gives are all there is."""
    place = make_place(few).configure(source={"page_size": 10})
    place.tenant.fault(to_interactions(), faults.total(CAP), faults.cap(CAP))
    place.run("sync", status=0)
    assert place.json("status")["interactions"] == CAP


@pytest.mark.matrix(12)
def test_killed_between_the_parts(make_place, few, expected):
    """Some parts done, some open, none known of: the next run has all."""
    place = capped(make_place, few, ranges=True).configure(source={"max_attempts": 1})
    for k in range(3, 60):
        place.tenant.heal()
        place.tenant.fault(to_interactions(), faults.cap(CAP))
        count = [0]

        def cut_off(request, count=count, k=k):
            count[0] += request.kind == "interactions"
            return count[0] > k
        place.tenant.fault(cut_off, faults.reset())
        result = place.run("run")
        if result.status == 0:
            break
        assert result.status == 3, result
    check_is(place, expected(few))


# Later than the look-back

@pytest.mark.matrix(5)
def test_rows_beyond_the_lookback(make_place, few, expected):
    """A row and a rating that came too late are not there, until asked for from then on."""
    place = make_place(few).configure(source={"lookback": "1d"})
    place.run("run", status=0)
    unrated = next(i for i in map(json.loads, few) if i.get("rating") is None and i["messages"])
    late = raw(conversation("int_late", timestamp="2025-01-01T00:00:00Z", said="It came late"))
    place.tenant.holdings.put(late)
    place.tenant.holdings.change(unrated["id"], rating=5)
    place.run("run", status=0)
    check_is(place, expected(few))
    place.run("run", "--resync-from", "2025-06-01T00:00:00Z", status=0)
    now = [r.raw for r in place.tenant.holdings.query()]
    check_is(place, expected([r for r in now if r != late]))
    place.run("run", "--resync-from=2025-01-01T00:00:00Z", status=0)
    check_is(place, expected(now))
    asked = len(place.tenant.requests())
    place.run("run", status=0)
    assert len(place.tenant.requests()) == asked + 1, "the look-back is what it was"


@pytest.mark.parametrize("later", ["--resync-from=2026-03-01T00:00:00Z",
                                   "--set=source.since=2026-03-01T00:00:00Z"])
def test_a_later_start_leaves_nothing_out(make_place, later):
    """From a time behind the cursor on: what lies between, and was never read, is read too."""
    raws = [raw(conversation("int_%d" % m, timestamp="2026-0%d-15T00:00:00Z" % m, said="%d" % m))
            for m in (1, 2, 3)]
    place = make_place(raws[:1])
    place.run("sync", status=0)
    place.tenant.holdings.put_all(raws[1:])
    place.run("sync", later, status=0)
    place.run("sync", status=0)
    assert place.json("status")["interactions"] == 3


def test_resync_goes_on_after_an_interruption(make_place, few, expected):
    place = make_place(few[:50]).configure(source={"page_size": 10, "max_attempts": 1,
                                                   "lookback": "1s"})
    place.run("run", status=0)
    place.tenant.holdings.put_all(few[50:])
    place.tenant.fault(faults.page(3), faults.status(503), times=1)
    place.run("run", "--resync-from", "2001-01-01", status=3)
    place.run("run", status=0)
    check_is(place, expected(few))


@pytest.mark.parametrize("time", ["", "yesterday", "2026-13-01T00:00:00Z"])
def test_resync_from_nonsense(place, time):
    result = place.run("run", "--resync-from", time, status=2)
    check_one_line(result, "--resync-from", "2026-01-31T00:00:00Z")
    assert not place.tenant.log
    assert place.run("curate", "--resync-from", "2026-01-01T00:00:00Z").status == 2
