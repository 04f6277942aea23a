"""A search over serving configurations: how many steady states are priced per second, and the time to an answer.

    python benchmarks/serve_search.py
"""

from __future__ import annotations

import time

from wafer2token.serve.machine import site
from wafer2token.serve.search import options, plan_serving, plans_for
from wafer2token.workload import model


def main() -> None:
    """Time pricing alone and the whole search with its simulations."""
    for name, on, rate in (("qwen3_32b", "h100_sxm", 4.0), ("llama_3_1_70b", "h200_sxm", 8.0)):
        shape, place = model(name), site(on)
        begin = time.perf_counter()
        found = options(shape, place, 1024, 256, list(plans_for(shape, place, 1024)))
        wall = time.perf_counter() - begin
        print(f"{name} on {on}: {len(found)} steady states in {wall:.2f} s ({len(found) / wall:.0f}/s)")
        begin = time.perf_counter()
        result = plan_serving(name, on, rate=rate, slo="ttft=2s,tpot=50ms")
        print(f"  search with simulation: {time.perf_counter() - begin:.2f} s -> {result.chips:g} chips")


if __name__ == "__main__":
    main()
