"""How long a search over all plans takes: GPT-3 175B on 4,096 A100 80 GB, the question of Calculon's search.

usage: PYTHONPATH=src python benchmarks/train_search.py
"""

import time

from wafer2token.train.calibration import calibrated
from wafer2token.train.machine import machine
from wafer2token.train.search import Space, search
from wafer2token.workload import model

MILLION = Space(
    vpp=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 96),
    micro_batch=tuple(2**i for i in range(10)),
    share=(0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0),
    zero=(0, 1, 2, 3),
    schedules=(0, 1, 2, 3, 4),
    offload=(0, 1),
    sequence_parallel=(True, False),
)


BATCHES = sorted({2**a * 3**b for a in range(13) for b in range(3) if 128 <= 2**a * 3**b <= 4096}, reverse=True)


def main() -> None:
    shape, place = model("gpt3_175b"), machine("a100_sxm_80")
    how = calibrated(place.chip, place.vendor, "bf16", "megatron").software
    total, spent = 0, 0.0
    for batch in BATCHES:
        start = time.perf_counter()
        found = search(shape, place, 4096, batch, 2048, how, space=MILLION)
        seconds = time.perf_counter() - start
        total, spent = total + found.tried, spent + seconds
        rate = batch / found.seconds[0]
        print(
            f"batch {batch}: {found.tried:,} plans, {found.fitting:,} fit, {seconds:.2f} s; best {found.plans.row(0)}: {found.seconds[0]:.2f} s, {rate:.0f} sequences/s"
        )
    print(f"{total:,} plans in {spent:.1f} s: {total / spent:,.0f} plans/s on one core")


if __name__ == "__main__":
    main()
