"""Kernel evaluations per second on one core, and against a plain roofline in the same run.

OMP_NUM_THREADS=1 python benchmarks/bench_kernels.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from wafer2token.chip import accelerator, attention_decode_time, attention_prefill_time, matmul_time, memory_time
from wafer2token.chip.matmul import roofline_seconds
from wafer2token.fabric import collective_time, fabric

ROWS = 200_000


def rate(work: Callable[[], object], rows: int = ROWS, repeats: int = 5) -> float:
    """The best of some repeats, in evaluations per second."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return rows / best


def rates() -> dict[str, float]:
    """Evaluations per second by kernel, and of the plain roofline."""
    rng = np.random.default_rng(0)
    m, n, k = (rng.integers(1, 16384, ROWS).astype(float) for _ in range(3))
    batch, length = rng.integers(1, 256, ROWS).astype(float), rng.integers(1, 65536, ROWS).astype(float)
    acc, fab = accelerator("h100_sxm"), fabric("dgx_h100")
    peak, bandwidth = np.asarray(acc.peak("bf16")), np.asarray(acc.hbm_bytes_per_s)
    return {
        "matmul": rate(lambda: matmul_time(acc, m, n, k)),
        "attention_prefill": rate(lambda: attention_prefill_time(acc, batch, length, length, 32, 8, 128, 128)),
        "attention_decode": rate(lambda: attention_decode_time(acc, batch, length, 32, 8, 128, 128)),
        "memory": rate(lambda: memory_time(acc, m)),
        "all_reduce": rate(lambda: collective_time(fab, "all_reduce", m, 8)),
        "roofline": rate(lambda: roofline_seconds(2 * m * n * k, 2 * (m * n + n * k + k * m), peak, bandwidth)),
    }


def main() -> None:
    found = rates()
    for name, value in found.items():
        print(f"{name:20s} {value / 1e6:8.2f} M evaluations/s   {found['roofline'] / value:6.1f} x the roofline's time")


if __name__ == "__main__":
    main()
