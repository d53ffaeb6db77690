"""Vectors of small whole numbers, whose cosines tie and lie at the threshold more often than not:
`tamis dedup` against the rule as it is worded.  hypothesis shrinks what differs to a few rows."""

import array

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faulty import wanted
from test_dedup import greedy_vectors

DIM = 8
rows_of = st.lists(st.integers(-3, 3), min_size=DIM, max_size=DIM).filter(any)
# Sums of some of each: few, to be read when they fail, or enough distinct ones for the join.
lists = st.one_of(st.tuples(st.lists(rows_of, max_size=6), st.lists(rows_of, max_size=6)),
                  st.tuples(st.lists(rows_of, min_size=14, max_size=20),
                            st.lists(rows_of, min_size=12, max_size=14)))
thresholds = st.sampled_from([0.5, 0.75, 0.85, 0.9, 0.9999999, 1.0])


def combined(bases, offsets):
    sums = [[4 * x + y for x, y in zip(base, offset)] for base in bases for offset in offsets]
    return [array.array("f", row) for row in sums if any(row)]


@pytest.mark.parametrize("isa", ["scalar", None])
def test_small_whole_numbers(run, tmp_path, isa):
    @settings(max_examples=wanted("TAMIS_EXAMPLES", 25), deadline=None, database=None,
              derandomize=True, suppress_health_check=list(HealthCheck))
    @given(lists, thresholds, st.integers(1, 7))
    def check(parts, threshold, threads):
        rows = combined(*parts)
        (tmp_path / "v.f32").write_bytes(b"".join(row.tobytes() for row in rows))
        got = run("dedup", "--vectors", "v.f32", "--dim", DIM, "--threshold", threshold,
                  "--threads", threads, env={"TAMIS_ISA": isa}, status=0)
        assert [int(line) for line in got.text.split()] == greedy_vectors(rows, threshold)[0]
    check()
