"""One million requests of the Azure 2023 conversation mix through 16 replicas, and how the cost grows.

    python benchmarks/serve_million.py AzureLLMInferenceTrace_conv.csv [requests]

Prints wall seconds, requests per second and peak memory after a warm-up run; the aim is 10 s and 2 GB on one core.
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import replace

import numpy as np

from wafer2token.serve.engine.run import Cluster, Pool, Requests, simulate
from wafer2token.serve.machine import site
from wafer2token.serve.memory import memory
from wafer2token.serve.plan import Plan, checked
from wafer2token.serve.requests import make, poisson_arrivals, scaled
from wafer2token.serve.surrogate import step_table
from wafer2token.serve.traces import read_trace
from wafer2token.workload import model


def first(requests: Requests, n: int) -> Requests:
    """The first n requests."""
    return replace(requests, arrival_s=requests.arrival_s[:n], isl=requests.isl[:n], osl=requests.osl[:n])


PEERS = {"AISimulate 0.13 (Rust core)": 3_500, "Vidur": 1_180, "BLIS": 305}
"""Requests per second of the fastest of several runs of 10,000 requests of the same job, on two cores of an EPYC at 2.6 GHz."""


def main(trace: str, most: int = 1_000_000) -> None:
    """Time the simulation at growing sizes, then the job that was timed with other simulators."""
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
            timed(first(load, n), cluster)
    short = np.asarray(read.isl) + np.asarray(read.osl) <= 4096
    made = make(poisson_arrivals(6.0, 10_000), *(np.resize(np.asarray(x)[short], 10_000) for x in (read.isl, read.osl)))
    print(f"the job of the peers: one H100, Llama-3.1-8B, 6 requests/s, mean {made.isl.mean():.0f} in and {made.osl.mean():.0f} out")
    own = min(timed(made, Cluster((Pool(table, 1, kv_blocks=blocks),))) for _ in range(3))
    for name, rate in PEERS.items():
        print(f"  {name}: {rate:,} requests/s; {10_000 / own / rate:.0f} times as fast here")


def timed(load: Requests, cluster: Cluster) -> float:
    """Seconds that a simulation takes, printed with its rate and memory."""
    begin = time.perf_counter()
    outcome = simulate(load, cluster)
    wall, n = time.perf_counter() - begin, len(load)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"  {n:>9,} requests: {wall:7.3f} s, {n / wall:>12,.0f} requests/s, {outcome.events / n:.2f} events each, peak {peak:.2f} GiB")
    return wall


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
