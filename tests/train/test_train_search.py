import time

import numpy as np
import pytest

from wafer2token.train.calibration import calibrated
from wafer2token.train.machine import machine
from wafer2token.train.memory import memory
from wafer2token.train.plan import RECOMPUTE, SCHEDULES, table
from wafer2token.train.search import Space, divisors, enumerate_plans, price, search
from wafer2token.workload import model

WIDE = Space(
    vpp=(1, 2, 3, 4, 6, 8, 12),
    micro_batch=(1, 2, 4, 8, 16),
    share=(0.5, 1.0),
    zero=(0, 1, 3),
    schedules=(0, 1, 2, 3, 4),
    offload=(0, 1),
)


@pytest.fixture(scope="module")
def a100():
    return machine("a100_sxm_80"), calibrated("a100_sxm_80", "NVIDIA", "bf16", "megatron").software


def test_every_plan_is_legal():
    shape = model("deepseek_v3")
    plans = enumerate_plans(shape, 1024, 2048, 4096, 8, "bf16", Space(zero=(0, 1, 3)))
    assert len(plans) > 1000
    assert np.all(plans.tp * plans.pp * plans.cp * plans.dp == 1024)
    assert np.all(plans.dp * plans.micro_batch * plans.micro_batches == 2048)
    assert np.all((1024 // plans.pp) % (plans.ep * plans.etp) == 0)
    assert np.all(plans.pp * plans.vpp <= 62)
    assert np.all((plans.zero < 3) | (plans.pp == 1))
    assert np.all((plans.schedule != SCHEDULES.index("interleaved")) | (plans.micro_batches % plans.pp == 0))
    keys = np.stack(
        [getattr(plans, n) for n in ("tp", "pp", "cp", "ep", "vpp", "micro_batch", "recompute", "zero", "schedule")]
    )
    assert np.unique(keys, axis=1).shape[1] == len(plans)


def test_table_and_single_plans_agree(a100):
    place, how = a100
    shape = model("gpt3_175b")
    found = search(shape, place, 512, 512, 2048, how, "bf16", keep=20)
    alone = [float(price(shape, place, table([found.plans.row(i)]), 2048, how).total[0]) for i in range(20)]
    assert alone == pytest.approx(list(found.seconds))
    assert float(memory(shape, found.plans.row(3), 2048).total) == pytest.approx(found.bytes[3])
    assert np.all(np.diff(found.seconds) >= 0)


def test_a_larger_space_never_gives_a_slower_plan(a100):
    place, how = a100
    shape = model("gpt3_175b")
    narrow = search(shape, place, 512, 512, 2048, how, space=Space(schedules=(0,), vpp=(1,))).seconds[0]
    assert search(shape, place, 512, 512, 2048, how, space=WIDE).seconds[0] <= narrow


def test_speed(a100):
    """A third of a million plans a second would be ample; a million take about three (benchmarks/train_search.py)."""
    place, how = a100
    start = time.perf_counter()
    found = search(model("gpt3_175b"), place, 4096, 4096, 2048, how, space=WIDE)
    assert found.tried / (time.perf_counter() - start) > 30_000


def test_divisors():
    assert divisors(12) == [1, 2, 3, 4, 6, 12]
    assert RECOMPUTE[0] == "none"
