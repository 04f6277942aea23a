import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.train.mixed import train_mixed


def test_slower_chips_hold_fewer_layers():
    result = train_mixed("llama_3_1_70b", {"atlas_800t_a2": 64, "h100_sxm": 64}, global_batch=1024)
    slow, fast = result.pools
    assert slow.layers_per_stage < fast.layers_per_stage
    assert slow.stages * slow.layers_per_stage + fast.stages * fast.layers_per_stage >= 80
    assert max(slow.stage_s, fast.stage_s) / min(slow.stage_s, fast.stage_s) < 1.6


def test_equal_pools_are_one_machine():
    """Two halves of one machine are as fast as the whole under the same schedule, up to the rounding of layers."""
    from wafer2token.train import Space, train

    halves = train_mixed("llama_3_1_70b", {"dgx_h100": 32, "h100_sxm": 32}, global_batch=512, seq_len=4096)
    whole = train(
        "llama_3_1_70b",
        "dgx_h100",
        64,
        1e12,
        samples=None,
        seq_len=4096,
        global_batch=512,
        space=Space(schedules=(0,), vpp=(1,), cp=(1,), zero=(1,)),
    )
    assert halves.step_time_s == pytest.approx(float(whole.step_time_s[0]), rel=0.12)


def test_one_pool_is_refused():
    with pytest.raises(InputError, match="two pools"):
        train_mixed("llama_3_1_70b", {"dgx_h100": 64})
