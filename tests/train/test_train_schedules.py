import itertools

import numpy as np
import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.train.plan import SCHEDULES
from wafer2token.train.schedules import bubble_fraction, bubble_seconds, in_flight
from wafer2token.train.timeline import simulate


def test_pangu_prints_these_bubbles():
    """Pangu Ultra report: 8 stages, 16 micro-batches, 30.45% without and 6.8% with six chunks per stage."""
    assert bubble_fraction(8, 16) == pytest.approx(0.3045, abs=2e-4)
    assert bubble_fraction(8, 16, 6) == pytest.approx(0.068, abs=2e-4)


@pytest.mark.parametrize(
    ("schedule", "p", "m", "v"),
    [
        ("1f1b", 8, 16, 1),
        ("gpipe", 4, 6, 1),
        ("interleaved", 8, 16, 6),
        ("interleaved", 4, 8, 2),
        ("zero_bubble", 8, 32, 1),
        ("zero_bubble", 4, 12, 1),
        ("1f1b", 1, 5, 1),
    ],
)
def test_played_bubble_is_the_closed_form(schedule, p, m, v):
    played = simulate(schedule, p, m, 1.0, 1.0, 1.0, v)
    assert played.bubble_s == pytest.approx(float(bubble_seconds(SCHEDULES.index(schedule), p, v, 1.0, 1.0, 1.0)))


@pytest.mark.parametrize("schedule", ["1f1b", "interleaved", "gpipe", "zero_bubble"])
def test_every_piece_runs_once_and_stages_never_overlap(schedule):
    v = 2 if schedule == "interleaved" else 1
    played = simulate(schedule, 4, 8, 1.0, 1.3, 0.7, v, hop=0.05)
    kinds = 3 if schedule == "zero_bubble" else 2
    assert len(played.slices) == 4 * 8 * v * kinds
    for stage in range(4):
        mine = sorted((s.start_s, s.end_s) for s in played.slices if s.stage == stage)
        assert all(a[1] <= b[0] + 1e-9 for a, b in itertools.pairwise(mine))


def test_trace_is_in_microseconds_and_one_track_per_stage():
    trace = simulate("1f1b", 4, 8, 0.01, 0.01, 0.01).trace()
    slices = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert {e["tid"] for e in slices} == {0, 1, 2, 3}
    assert slices[0]["dur"] == pytest.approx(1e4)


def test_flights_by_schedule():
    """Interleaving keeps p(1 + (p-1)/(pv)) micro-batches (arXiv 2205.05198), 1F1B p, GPipe all."""
    code = SCHEDULES.index
    assert in_flight(code("1f1b"), 8, 1, 64) == 8
    assert in_flight(code("interleaved"), 8, 3, 64) == pytest.approx(8 * (1 + 7 / 24))
    assert in_flight(code("gpipe"), 8, 1, 64) == 64
    assert in_flight(code("1f1b"), 8, 1, 4) == 4


def test_dualpipe_idles_least_of_schedules_at_equal_thirds():
    idle = bubble_seconds(np.arange(4), 8, 1, 1.0, 1.0, 1.0)
    assert idle[SCHEDULES.index("dualpipe")] <= idle[SCHEDULES.index("zero_bubble")] <= idle[SCHEDULES.index("1f1b")]


def test_interleaving_needs_multiples():
    with pytest.raises(InputError, match="multiples"):
        simulate("interleaved", 4, 6, 1.0, 1.0, 1.0, 2)
