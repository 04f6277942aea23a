"""How many items x dates the export rules classify per second; budget: 100,000 in one second on one core.

python benchmarks/controls.py
"""

from __future__ import annotations

import time

import numpy as np

from wafer2token.controls import allow, permits

PAIRS = 100_000
BUDGET_S = 1.0


def chips(n: int) -> tuple[dict[str, object], object]:
    """Random chips and dates from 2019 to 2027."""
    rng = np.random.default_rng(0)
    tpp, area = rng.uniform(100, 40000, n), rng.uniform(100, 2500, n)
    metrics: dict[str, object] = {
        "tpp": tpp, "pd": tpp / area, "io_gbs": rng.uniform(10, 2000, n), "link_gbs": rng.uniform(10, 2000, n),
        "dram_bw_gbs": rng.uniform(100, 9000, n), "datacenter": rng.random(n) < 0.8, "us_market": True, "us_content": True,
    }  # fmt: skip
    return metrics, np.datetime64("2019-06-01") + rng.integers(0, 3000, n)


def main() -> None:
    """Warm, then time; fails when the budget is missed."""
    metrics, dates = chips(PAIRS)
    to = np.random.default_rng(1).choice(["CN", "MY", "DE", "AE", "RU", "VN"], PAIRS)
    best = 0.0
    for name, target in (("one destination", "CN"), ("six destinations", to)):
        permits(metrics, dates, to=target)
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            permits(metrics, dates, to=target)
            seconds.append(time.perf_counter() - start)
        best = max(best, min(seconds))
        print(
            f"permits, {PAIRS:,} items x dates, {name:18s} {min(seconds):6.3f} s  {PAIRS / min(seconds):12,.0f} per second"
        )
    start = time.perf_counter()
    for _ in range(100):
        allow("h20", on="2025-04-09")
    print(f"allow, one transaction explained               {(time.perf_counter() - start) / 100 * 1e3:6.2f} ms")
    if best > BUDGET_S:
        raise SystemExit(f"over budget: {best:.2f} s against {BUDGET_S} s")


if __name__ == "__main__":
    main()
