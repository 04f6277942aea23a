"""How long a search over all plans takes: GPT-3 175B on 4,096 A100 80 GB, the question of Calculon's search.

usage: PYTHONPATH=src python benchmarks/train_search.py

The rates stand beside that of pricing the same plans one by one in a table, in the same run, since the machine is shared.
"""

import time

import numpy as np

from wafer2token.train.calibration import calibrated
from wafer2token.train.grid import enumerate_plans
from wafer2token.train.machine import machine
from wafer2token.train.memory import memory
from wafer2token.train.search import Found, Space, price, search
from wafer2token.workload import model

MILLION = Space(
    vpp=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 96),
    micro_batch=tuple(2**i for i in range(10)),
    share=(0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0),
    zero=(0, 1, 2, 3),
    schedules=(0, 1, 2, 3, 4, 5),
    offload=(0, 1, 4, 5),
    sequence_parallel=(True, False),
)
BATCHES = sorted({2**a * 3**b for a in range(13) for b in range(3) if 128 <= 2**a * 3**b <= 4096}, reverse=True)
CALCULON = 7_126_368
"""Plans in Calculon's own space for this question (at caa4b11, measured by us); it evaluates 332 a second on one core."""
SAMPLE = 100_000
SHAPE, PLACE = model("gpt3_175b"), machine("a100_sxm_80")
HOW = calibrated(PLACE.chip, PLACE.vendor, "bf16", "megatron").software


def one_by_one() -> float:
    """Plans per processor second where every plan is a row of a table."""
    plans = enumerate_plans(SHAPE, 4096, 2048, 2048, PLACE.domain, "bf16", MILLION)
    rows = plans.take(np.random.default_rng(0).permutation(len(plans))[:SAMPLE])
    start = time.process_time()
    memory(SHAPE, rows, 2048)
    price(SHAPE, PLACE, rows, 2048, HOW)
    return SAMPLE / (time.process_time() - start)


def everything(workers: int) -> tuple[list[Found], float, float]:
    """All batches searched, with seconds on the clock and of the processor."""
    start, spent = time.perf_counter(), time.process_time()
    found = [search(SHAPE, PLACE, 4096, batch, 2048, HOW, space=MILLION, workers=workers) for batch in BATCHES]
    return found, time.perf_counter() - start, time.process_time() - spent


def main() -> None:
    search(SHAPE, PLACE, 4096, 128, 2048, HOW, space=MILLION)
    table = one_by_one()
    print(f"one by one, in a table: {table:,.0f} plans per processor second")
    answers = []
    for workers in (1, 2):
        found, seconds, spent = everything(workers)
        tried = sum(f.tried for f in found)
        rate = tried / seconds
        answers.append(np.concatenate([f.seconds for f in found]).tobytes())
        print(f"{workers} worker{'s' * (workers > 1)}: {tried:,} plans in {seconds:.2f} s, {rate:,.0f} plans/s")
        print(f"    {tried / spent:,.0f} per processor second, {tried / spent / table:.1f} x the table")
        print(
            f"    a million in {1e6 / rate:.2f} s, as many as Calculon's space ({CALCULON:,}) in {CALCULON / rate:.1f} s"
        )
    print(f"the same bytes for both: {answers[0] == answers[1]}")
    for batch, f in zip(BATCHES, found, strict=True):
        best, rate = f.plans.row(0), batch / f.seconds[0]
        print(
            f"batch {batch}: {f.tried:,} plans, {f.fitting:,} fit; best {best}: {f.seconds[0]:.2f} s, {rate:.0f} sequences/s"
        )


if __name__ == "__main__":
    main()
