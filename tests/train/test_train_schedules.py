import itertools
import json

import numpy as np
import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.train import train
from wafer2token.train.plan import SCHEDULES
from wafer2token.train.schedules import bubble_fraction, bubble_seconds, in_flight
from wafer2token.train.timeline import simulate, timeline_of


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
        ("dualpipe", 2, 4, 1),
        ("dualpipe", 8, 20, 1),
        ("dualpipe", 16, 32, 1),
        ("dualpipev", 1, 4, 1),
        ("dualpipev", 4, 8, 1),
        ("dualpipev", 7, 15, 1),
    ],
)
def test_played_bubble_is_the_closed_form(schedule, p, m, v):
    played = simulate(schedule, p, m, 1.0, 1.0, 1.0, v)
    assert played.bubble_s == pytest.approx(float(bubble_seconds(SCHEDULES.index(schedule), p, v, 1.0, 1.0, 1.0)))


@pytest.mark.parametrize("schedule", ["dualpipe", "dualpipev"])
@pytest.mark.parametrize(("b", "w"), [(1.2, 0.8), (1.5, 1.0), (1.0, 0.9)])
def test_dualpipe_idles_no_more_than_its_closed_form(schedule, b, w):
    """Where the passes are not equal thirds, the play saves a fraction of one pass on the closed form."""
    for p, m in ((4, 8), (8, 20), (12, 48)):
        played, closed = (
            simulate(schedule, p, m, 1.0, b, w).bubble_s,
            bubble_seconds(SCHEDULES.index(schedule), p, 1, 1.0, b, w),
        )
        assert float(closed) - 1.0 - 1e-6 <= played <= float(closed) + 1e-6


@pytest.mark.parametrize(("schedule", "chunks"), [("dualpipe", 1), ("dualpipev", 2)])
def test_dualpipe_runs_every_pass_once_on_every_rank(schedule, chunks):
    p, m = 6, 16
    played = simulate(schedule, p, m, 1.0, 1.3, 0.7, hop=0.05)
    assert max(played.busy_s) == pytest.approx(m * 3.0)
    for stage in range(p):
        mine = [s for s in played.slices if s.stage == stage]
        forward = sorted(s.micro_batch for s in mine if "F" in s.kind)
        backward = sorted(s.beside if s.beside >= 0 else s.micro_batch for s in mine if "B" in s.kind)
        assert forward == backward == sorted(list(range(m)) * chunks)
        times = sorted((s.start_s, s.end_s) for s in mine)
        assert all(a[1] <= b[0] + 1e-9 for a, b in itertools.pairwise(times))


def test_dualpipe_holds_what_its_table_says():
    """At most p + 1 micro-batches between forward and backward on any rank (DeepSeek-V3, table 2)."""
    p, m = 8, 24
    played = simulate("dualpipe", p, m, 1.0, 1.0, 1.0)
    for stage in range(p):
        events = [(s.start_s, 1) for s in played.slices if s.stage == stage and "F" in s.kind]
        events += [(s.end_s, -1) for s in played.slices if s.stage == stage and "B" in s.kind]
        held = list(itertools.accumulate(step for _, step in sorted(events, key=lambda e: (e[0], e[1]))))
        assert max(held) <= in_flight(SCHEDULES.index("dualpipe"), p, 1, m)


@pytest.mark.parametrize(("schedule", "p", "m"), [("dualpipe", 3, 12), ("dualpipe", 4, 7), ("dualpipev", 4, 7)])
def test_dualpipe_needs_enough_micro_batches(schedule, p, m):
    with pytest.raises(InputError, match="twice as many micro-batches"):
        simulate(schedule, p, m, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("schedule", ["1f1b", "interleaved", "gpipe", "zero_bubble"])
def test_every_piece_runs_once_and_stages_never_overlap(schedule):
    v = 2 if schedule == "interleaved" else 1
    played = simulate(schedule, 4, 8, 1.0, 1.3, 0.7, v, hop=0.05)
    kinds = 3 if schedule == "zero_bubble" else 2
    assert len(played.slices) == 4 * 8 * v * kinds
    for stage in range(4):
        mine = sorted((s.start_s, s.end_s) for s in played.slices if s.stage == stage)
        assert all(a[1] <= b[0] + 1e-9 for a, b in itertools.pairwise(mine))


@pytest.mark.parametrize("schedule", ["1f1b", "dualpipe"])
def test_trace_is_in_microseconds_and_one_track_per_stage(schedule, tmp_path):
    """What Perfetto asks of a trace: names, numbers from zero on, and slices of one track that do not overlap."""
    trace = json.loads(simulate(schedule, 4, 8, 0.01, 0.01, 0.01).write_trace(tmp_path / "t.json").read_text())
    slices = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert {e["tid"] for e in slices} == {0, 1, 2, 3}
    assert slices[0]["dur"] == pytest.approx(1e4)
    assert min(e["ts"] for e in slices) == 0
    for track in range(4):
        times = sorted((e["ts"], e["ts"] + e["dur"]) for e in slices if e["tid"] == track)
        assert all(a[1] <= b[0] + 1e-3 for a, b in itertools.pairwise(times))


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


@pytest.mark.parametrize(
    "plan",
    [
        "",
        ",vpp=4",
        ",schedule=zero_bubble",
        ",schedule=dualpipe,recompute=full",
        ",schedule=dualpipev,recompute=full",
        ",schedule=gpipe,recompute=full",
    ],
)
def test_a_priced_step_played_takes_what_it_is_priced_at(plan):
    """All micro-batches of a plan with its own stage times, against the closed form that the search uses."""
    result = train(
        "llama_3_1_8b", "dgx_h100", 64, 1e12, plan=f"tp=4,pp=4{plan}", samples=None, global_batch=256, seq_len=8192
    )
    best = result.best[0]
    priced = best.step_time_s - sum(best.parts_s[part] for part in ("data", "optimizer", "other"))
    assert timeline_of(best, 10**6).makespan_s == pytest.approx(priced, rel=0.015)
