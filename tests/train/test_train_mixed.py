import numpy as np
import pytest

from wafer2token.evidence.errors import InfeasibleError, InputError
from wafer2token.train.mixed import _deals_priced, _exact, settle_job, train_mixed
from wafer2token.train.plan import SCHEDULES, Plan, table
from wafer2token.train.schedules import unequal_seconds
from wafer2token.train.timeline import simulate
from wafer2token.workload import model


def test_slower_chips_hold_fewer_layers():
    result = train_mixed("llama_3_1_70b", {"atlas_800t_a2": 64, "h100_sxm": 64}, global_batch=1024)
    slow, fast = result.pools
    assert slow.layers_per_stage < fast.layers_per_stage
    assert slow.stages * slow.layers_per_stage + fast.stages * fast.layers_per_stage >= 80
    assert max(slow.stage_s, fast.stage_s) / min(slow.stage_s, fast.stage_s) < 1.6


def test_equal_pools_are_one_machine():
    """Two halves of one machine are as fast as the whole under the same schedule, up to the rounding of layers."""
    from wafer2token.train import Space, train

    halves = train_mixed(
        "llama_3_1_70b", {"dgx_h100": 32, "h100_sxm": 32}, global_batch=512, seq_len=4096, samples=None
    )
    whole = train(
        "llama_3_1_70b",
        "dgx_h100",
        64,
        1e12,
        samples=None,
        seq_len=4096,
        global_batch=512,
        space=Space(schedules=(0, 1, 2), vpp=(1, 2, 3, 4), cp=(1,), zero=(1,)),
    )
    assert float(halves.step_time_s[0]) == pytest.approx(float(whole.step_time_s[0]), rel=0.12)


def test_one_pool_is_refused():
    with pytest.raises(InputError, match="two pools"):
        train_mixed("llama_3_1_70b", {"dgx_h100": 64})


@pytest.mark.parametrize(("schedule", "v"), [("1f1b", 1), ("interleaved", 2), ("interleaved", 4), ("zero_bubble", 1)])
@pytest.mark.parametrize(
    ("first", "second"), [((4, 1.0), (4, 1.3)), ((2, 1.0), (2, 1.8)), ((4, 1.3), (4, 1.0)), ((2, 1.5), (6, 1.0))]
)
def test_unlike_stages_played_and_closed_form(schedule, v, first, second):
    """Exact where the slower stages come last; up to 6% too long where they come first and later stages catch up."""
    times = [first[1]] * first[0] + [second[1]] * second[0]
    third = [t / 3 for t in times]
    p, m = len(times), 4 * len(times)
    played = simulate(schedule, p, m, third, third, third, v).makespan_s
    closed = float(
        unequal_seconds(SCHEDULES.index(schedule), m, v, sum(times), max(times), 2 * (sum(third) - max(third)))
    )
    if first[1] < second[1]:
        assert played == pytest.approx(closed)
    assert 0.94 * closed <= played <= closed * (1 + 1e-9)


def test_deals_priced_together_are_those_priced_alone():
    """A stage grows by the same time and memory with every layer."""
    shape = model("llama_3_1_70b")
    asked = [settle_job(shape, on, 64, 1e12, None, 4096, 512, 1.0, None, False, None) for on in ("h20", "h800_sxm")]
    plan = Plan(tp=8, pp=4, dp=4, micro_batch=1, micro_batches=128, recompute=2)
    seconds, fits, deals = _deals_priced(asked, [2, 2], table([plan]), 1)
    for row in np.flatnonzero(fits[:, 0])[::5]:
        alone = _exact(asked, plan, deals[row])
        assert alone is not None
        assert alone.step_time_s == pytest.approx(float(seconds[row, 0]), rel=0.01)


def test_intervals_share_draws_with_a_single_pool():
    one = train_mixed("llama_3_1_70b", {"h20": 64, "h800_sxm": 64}, 1e12, samples=200, global_batch=512, seq_len=4096)
    two = train_mixed("llama_3_1_70b", {"h20": 64, "h800_sxm": 64}, 1e12, samples=200, global_batch=512, seq_len=4096)
    assert np.array_equal(one.days, two.days)
    p5, p50, p95 = one.quantiles("days")
    assert p5 < p50 < p95
    assert one.best[0].step_time_s == pytest.approx(
        p50 * 86400 * float(np.median(one.goodput)) / (1e12 / (512 * 4096)), rel=0.15
    )
    assert [p.step_time_s for p in one.best] == sorted(p.step_time_s for p in one.best)
    assert {"seed", "samples", "days", "best"} <= set(one.to_dict())


def test_a_mixture_of_experts_spans_two_pools_and_its_pipeline_is_played(tmp_path):
    result = train_mixed(
        "deepseek_v3", {"atlas_800t_a2": 1024, "atlas_900_a3": 512}, 1e12, samples=None, seq_len=4096, global_batch=4096
    )
    played = result.best[0].timeline()
    assert len(played.busy_s) == result.plan.pp
    assert result.best[0].timeline().write_trace(tmp_path / "t.json").stat().st_size > 1000
    assert {SCHEDULES[p.plan.schedule] for p in result.best} <= {"1f1b", "interleaved", "zero_bubble"}


def test_nothing_spans_or_fits():
    with pytest.raises(InfeasibleError, match="fits in memory"):
        train_mixed("deepseek_v3", {"h20": 8, "h800_sxm": 8}, 1e12, samples=None, seq_len=4096, global_batch=64)
    with pytest.raises(InfeasibleError, match="no plan spans"):
        train_mixed("llama_3_1_70b", {"h20": 127, "h800_sxm": 128}, 1e12, samples=None, seq_len=4096, global_batch=64)
