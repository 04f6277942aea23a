import time
from dataclasses import replace

import numpy as np
import pytest

from wafer2token.train.calibration import calibrated
from wafer2token.train.grid import grids
from wafer2token.train.machine import machine
from wafer2token.train.memory import memory
from wafer2token.train.plan import OFFLOADS, RECOMPUTE, SCHEDULES, Plan, table
from wafer2token.train.search import Question, Space, divisors, enumerate_plans, price, search
from wafer2token.train.step import parts_of_step, step_time
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
    """A third of a million plans a second is asked for; it is about ten times that (benchmarks/train_search.py)."""
    place, how = a100
    start = time.perf_counter()
    found = search(model("gpt3_175b"), place, 4096, 4096, 2048, how, space=WIDE)
    assert found.tried / (time.perf_counter() - start) > 100_000


def test_grids_and_tables_price_the_same(a100):
    """What a grid shares between plans is what each plan costs alone: memory and time of every tenth plan of a space."""
    place, how = a100
    shape = model("gpt3_175b")
    space = Space(
        tp=(4, 8), pp=(1, 8), cp=(1, 2), vpp=(1, 2), micro_batch=(1, 2), share=(0.5, 1.0), zero=(0, 1, 2, 3),
        shard=(0, 8), schedules=tuple(range(6)), offload=(0, 1, 2, 4, 7), context=(0, 1), sequence_parallel=(True, False),
    )  # fmt: skip
    plans = enumerate_plans(shape, 256, 256, 2048, place.domain, "bf16", space).take(np.arange(0, 10**6, 10)[:400])
    question = Question(shape, place, 2048, how)
    for grid in grids(shape, 256, 256, 2048, place.domain, "bf16", space):
        inside, inverse = question.inside(grid.layouts)
        block = grid.block(slice(None))
        seconds = np.broadcast_to(question.time(inside.take(inverse), block).total, grid.shape).ravel()
        need = np.broadcast_to(question.need(block), grid.shape).ravel()
        rows = np.arange(0, seconds.size, 997)
        table_ = grid.take(rows)
        assert seconds[rows] == pytest.approx(price(shape, place, table_, 2048, how).total)
        assert need[rows] == pytest.approx(memory(shape, table_, 2048).total)
    assert len(plans) == 400


def test_workers_and_blocks_change_nothing(a100, monkeypatch):
    place, how = a100
    shape = model("gpt3_175b")
    answers = []
    for workers, block in ((1, 1 << 17), (2, 1 << 17), (2, 1 << 12)):
        monkeypatch.setattr("wafer2token.train.search.BLOCK", block)
        found = search(shape, place, 1024, 1024, 2048, how, space=WIDE, workers=workers)
        answers.append(
            (found.seconds.tobytes(), str(found.plans.row(0)), found.tried, found.fitting, found.needed_bytes)
        )
    assert answers[0] == answers[1] == answers[2]


def test_frontier_only_gets_slower_as_it_gets_leaner(a100):
    place, how = a100
    shape = model("gpt3_175b")
    frontier = search(shape, place, 1024, 1024, 2048, how, space=WIDE).frontier
    need = memory(shape, frontier, 2048).total
    seconds = price(shape, place, frontier, 2048, how).total
    assert len(frontier) >= 3
    assert np.all(np.diff(need) < 0)
    assert np.all(np.diff(seconds) >= 0)


def test_hybrid_sharding_is_between_whole_and_none():
    shape = model("llama_3_1_8b")
    plans = [Plan(dp=64, micro_batches=4, zero=3, shard=s, sequence_parallel=False) for s in (8, 16, 0)]
    need = memory(shape, table(plans), 4096).total
    assert need[0] > need[1] > need[2]
    grid = enumerate_plans(shape, 64, 256, 4096, 8, "bf16", Space(tp=(1,), pp=(1,), cp=(1, 2), shard=(0, 8, 24, 64)))
    assert set(np.unique(grid.shard)) == {0, 8}
    assert np.all(grid.zero[grid.shard > 0] > 0)


@pytest.mark.parametrize(
    ("part", "field"), [("optimizer", "optimizer"), ("weights", "weights"), ("activations", "activations")]
)
def test_offload_frees_memory_and_never_saves_time(a100, part, field):
    place, how = a100
    shape = model("gpt3_175b")
    plan = Plan(tp=8, pp=8, dp=4, micro_batch=1, micro_batches=64, zero=1)
    away = replace(plan, offload=1 << OFFLOADS.index(part))
    before, after = (memory(shape, p, 2048) for p in (plan, away))
    assert float(getattr(after, field)) < 0.5 * float(getattr(before, field))
    seconds = price(shape, place, table([plan, away]), 2048, how).total
    assert seconds[1] >= seconds[0]


def test_a_slow_host_link_shows(a100):
    """What computation cannot cover of the host link's time adds to the step."""
    place, how = a100
    shape = model("gpt3_175b")
    away = table([Plan(tp=8, pp=8, dp=4, micro_batch=1, micro_batches=64, zero=1, offload=6)])
    parts = [
        parts_of_step(shape, place.acc, place.fab, away, 2048, place.domain, how.fused_attention, host_link=link)
        for link in (32e9, 1e9)
    ]
    fast, slow = (step_time(p, away, how) for p in parts)
    assert float(slow.offload[0]) > 10 * float(fast.offload[0])
    assert float(slow.total[0]) > float(fast.total[0])


def test_all_to_all_needs_heads_and_moves_less_than_the_ring(a100):
    place, _ = a100
    shape = model("llama_3_1_70b")
    grid = enumerate_plans(shape, 64, 256, 4096, 8, "bf16", Space(context=(0, 1), cp=(1, 8, 16)))
    swap = grid.context == 1
    assert swap.any()
    assert np.all(64 % (grid.tp * grid.cp)[swap] == 0)
    plans = table([Plan(cp=8, dp=8, micro_batches=4, zero=3, context=c, sequence_parallel=False) for c in (0, 1)])
    parts = parts_of_step(shape, place.acc, place.fab, plans, 4096, place.domain)
    assert parts.context_b[1] < parts.context_b[0]


def test_divisors():
    assert divisors(12) == [1, 2, 3, 4, 6, 12]
    assert RECOMPUTE[0] == "none"
