"""One million requests of the Azure 2023 conversation mix through 16 replicas, and how the cost grows.

    python benchmarks/serve_million.py AzureLLMInferenceTrace_conv.csv [requests]

Prints wall seconds, requests per second and peak memory after a warm-up run; the aim is 10 s and 2 GB on one core.
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import replace

from wafer2token.serve.engine.run import Cluster, Pool, Requests, simulate
from wafer2token.serve.machine import site
from wafer2token.serve.memory import memory
from wafer2token.serve.plan import Plan, checked
from wafer2token.serve.requests import scaled
from wafer2token.serve.surrogate import step_table
from wafer2token.serve.traces import read_trace
from wafer2token.workload import model


def first(requests: Requests, n: int) -> Requests:
    """The first n requests."""
    return replace(requests, arrival_s=requests.arrival_s[:n], isl=requests.isl[:n], osl=requests.osl[:n])


def main(trace: str, most: int = 1_000_000) -> None:
    """Time the simulation at growing sizes."""
    shape, place = model("llama_3_1_8b"), site("h100_sxm", "vllm")
    plan = checked(Plan(), shape)
    table = step_table(shape, place.machine, plan, 1155.0, 16384.0)
    blocks = int(memory(shape, plan, place.hbm_bytes, 1155.0).kv_tokens // 16)
    read = read_trace(trace)
    for replicas in (1, 16):
        cluster = Cluster((Pool(table, replicas, kv_blocks=blocks),))
        load = scaled(read, 6.0 * replicas, -(-most // len(read)))
        begin = time.perf_counter()
        simulate(first(load, 100), cluster)
        print(f"{replicas} replicas: warm-up {time.perf_counter() - begin:.1f} s")
        for n in (most // 100, most // 10, most):
            begin = time.perf_counter()
            outcome = simulate(first(load, n), cluster)
            wall = time.perf_counter() - begin
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(
                f"  {n:>9,} requests: {wall:7.3f} s, {n / wall:>12,.0f} requests/s, {outcome.events / n:.2f} events each, peak {peak:.2f} GiB"
            )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
