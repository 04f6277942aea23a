"""How long the supply chain takes: 10,000 samples x 40 quarters x all pathways; budget 3 s on two cores.

    python benchmarks/supply.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from wafer2token.supply import supply
from wafer2token.supply.sensitivity import supply_sobol

BUDGET_S = {"run": 3.0, "sobol": 60.0}


def timed(what: str, action: Callable[[], Any]) -> float:
    """Runs an action once and prints its wall time."""
    start = time.perf_counter()
    action()
    seconds = time.perf_counter() - start
    print(f"{what:60s} {seconds:6.2f} s")
    return seconds


def main() -> None:
    """Warm, then time; fails when a budget is missed."""
    supply(samples=100)
    run = min(timed("supply, 10,000 samples x 40 quarters", lambda: supply(samples=10_000, until="2033Q4")) for _ in range(3))
    sobol = timed("Sobol indices of 2026, 4,000 samples, every input", lambda: supply_sobol(year=2026, samples=4000))
    if run > BUDGET_S["run"] or sobol > BUDGET_S["sobol"]:
        raise SystemExit(f"over budget: {run:.2f} s and {sobol:.2f} s against {BUDGET_S}")


if __name__ == "__main__":
    main()
