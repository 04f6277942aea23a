"""The engine against queueing theory, against a token-by-token SimPy twin, and against conservation laws."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import serving_twin as twin
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wafer2token.evidence.errors import InputError
from wafer2token.serve.engine import state as s
from wafer2token.serve.engine.run import Cluster, Failure, Pool, Requests, StepTable, simulate
from wafer2token.serve.requests import closed_loop, joined, make, poisson_arrivals, with_shared_prefix


def table(gemm=0.0, per_token=0.0, kv=0.0, host=0.0, per_query=1):
    """A step time of gemm + per_token x tokens + kv x KV tokens."""
    return StepTable(
        np.array([0.0, 1e6]), np.array([gemm, gemm + per_token * 1e6]), np.array([0.0, 1e4]), np.array([0.0, 1e6]),
        np.array([[0.0, 0.0], [0.0, kv * 1e10]]), np.array([0.0, 1e12]), np.array([0.0, 0.0]), host, per_query,
    )  # fmt: skip


def bent():
    """A table with corners everywhere."""
    return StepTable(
        np.array([0.0, 4, 32, 256]), np.array([5e-3, 5e-3, 7e-3, 40e-3]), np.array([0.0, 1, 4, 16]),
        np.array([0.0, 20, 50, 200]), np.array([[0, 0, 0, 0], [1, 2, 3, 9], [2, 5, 9, 30], [5, 19, 40, 90]]) * 1e-4,
        np.array([0.0, 500, 1e5]), np.array([0.0, 1e-3, 1e-1]), 5.6e-3,
    )  # fmt: skip


def single(step, slots=1, **more):
    return Cluster((Pool(step, max_num_seqs=slots, max_num_batched_tokens=1 << 20),), **more)


def erlang_c(servers, load):
    terms = [load**k / math.factorial(k) for k in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


@pytest.mark.parametrize(("servers", "rho"), [(1, 0.7), (4, 0.8)])
def test_mmc_waiting_time(servers, rho):
    n, steps, step_s = 200_000, 1000, 1e-3
    rng = np.random.default_rng(7)
    osl = np.maximum(np.ceil(rng.exponential(steps, n)), 1).astype(np.int32) + 1
    service = (osl - 1).mean() * step_s
    arrival = poisson_arrivals(rho * servers / service, n, seed=3)
    out = simulate(make(arrival, 1, osl), single(table(gemm=step_s), servers))
    wait = (out.start_s - out.issue_s).mean()
    expected = erlang_c(servers, rho * servers) * service / (servers * (1 - rho))
    assert wait == pytest.approx(expected, rel=0.06)


def test_md1_waiting_time():
    n, service, rho = 200_000, 0.01, 0.8
    out = simulate(make(poisson_arrivals(rho / service, n, seed=5), 10, 1), single(table(gemm=service)))
    wait = (out.start_s - out.issue_s).mean()
    assert wait == pytest.approx(rho * service / (2 * (1 - rho)), rel=0.04)
    assert np.allclose(out.finish_s - out.start_s, service)


def test_closed_loop_holds_the_concurrency():
    out = simulate(closed_loop(400, 8, 51), single(table(gemm=0.01), 16, max_concurrency=16))
    # 50 decode steps and one prefill step of 10 ms each, 16 at a time
    assert out.end_s == pytest.approx(400 / 16 * 51 * 0.01, rel=1e-9)


def test_a_client_of_a_closed_loop_waits_for_its_answer():
    out = simulate(closed_loop(40, 8, 51), single(table(gemm=0.01), 4, max_concurrency=4, response_s=0.2))
    assert out.end_s == pytest.approx(10 * 0.51 + 9 * 0.2, rel=1e-9)


def test_what_a_preempted_request_left_behind_is_not_computed_again():
    requests = make(np.zeros(2), 32, 40)
    pool = Pool(table(gemm=0.01), max_num_seqs=2, kv_blocks=13)
    again = [simulate(requests, Cluster((pool,), block_size=8, prefix_cache=kept)) for kept in (False, True)]
    assert [a.leftover["evicted"] for a in again] == [1, 1]
    assert again[0].prefilled > again[1].prefilled > 64


def test_kv_growth_is_summed_exactly():
    kv = 1e-6
    out = simulate(make([0.0], 100, 11), single(table(kv=kv)))
    # the prefill costs nothing here; decode step k reads 100 + k tokens
    assert out.finish_s[0] == pytest.approx(kv * sum(100 + k for k in range(10)), rel=1e-12)


@pytest.mark.parametrize("policy", ["vllm", "sglang"])
@pytest.mark.parametrize("blocks", [1 << 30, 60, 24])
@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_equal_to_the_simpy_twin(policy, blocks, seed, keeps):
    rng = np.random.default_rng(seed)
    n = 60
    requests = make(np.cumsum(rng.exponential(0.05, n)), rng.integers(1, 120, n), rng.integers(1, 60, n))
    pool = Pool(bent(), replicas=2, max_num_seqs=6, max_num_batched_tokens=48, kv_blocks=blocks)
    cluster = Cluster((pool,), policy=policy, router="round_robin", block_size=8, prefix_cache=keeps)
    out = simulate(requests, cluster)
    first, finish = twin.play(requests, cluster)
    assert np.allclose(out.first_s, first, rtol=1e-9)
    assert np.allclose(out.finish_s, finish, rtol=1e-9)


random_cluster = st.fixed_dictionaries(
    {
        "policy": st.sampled_from(["vllm", "sglang", "static"]),
        "router": st.sampled_from(["round_robin", "least_loaded", "prefix_aware"]),
        "preemption": st.sampled_from(["recompute", "swap"]),
        "block_size": st.sampled_from([1, 8, 16]),
        "reserve": st.sampled_from([0.0, 0.5, 1.0]),
        "tokens_per_step": st.sampled_from([1.0, 1.7, 2.5]),
        "max_waiting": st.sampled_from([3, 1 << 40]),
        "max_concurrency": st.sampled_from([5, 1 << 40]),
        "prefix_cache": st.booleans(),
    }
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    random_cluster, st.integers(0, 10_000), st.sampled_from([40, 90, 10_000]), st.integers(1, 3), st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_conservation(rules, seed, blocks, replicas, disaggregated, failing):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 80))
    parts = [make(np.cumsum(rng.exponential(0.03, n)), rng.integers(1, 200, n), rng.integers(1, 60, n)) for _ in range(2)]
    requests = joined(parts) if seed % 2 else with_shared_prefix(parts[0], 0.6, 3, rules["block_size"], seed)
    roles = ["prefill", "decode"] if disaggregated else ["both"]
    pools = tuple(Pool(bent(), replicas, r, 8, 64, blocks * 16 // rules["block_size"]) for r in roles)
    failures = (Failure(0, 0.3, 0.9), Failure(replicas - 1, 1.0, 1.2)) if failing else ()
    cluster = Cluster(pools, failures=failures, swap_s_per_block=1e-4, transfer_s_per_token=1e-5,
                      transfer_latency_s=1e-3, **rules)  # fmt: skip
    out = simulate(requests, cluster)
    done, rejected = out.status == s.DONE, out.status == s.REJECTED
    assert done.sum() + rejected.sum() == len(requests)
    for name in ("used_blocks", "waiting", "batch", "filling", "promised", "phase", "in_flight", "on_wire", "unstarted"):
        assert out.leftover[name] == 0, name
    assert out.leftover["done"] == done.sum()
    assert out.leftover["rejected"] == rejected.sum()
    assert np.all(out.issue_s[done] <= out.start_s[done])
    assert np.all(out.start_s[done] <= out.first_s[done])
    assert np.all(out.first_s[done] <= out.finish_s[done])
    osl = np.asarray(requests.osl)
    if not failing:
        assert out.generated == osl[done].sum()
    if not failing and not rules["prefix_cache"] and out.leftover["evicted"] == 0:
        assert out.prefilled == np.asarray(requests.isl)[done].sum()


def test_deterministic():
    rng = np.random.default_rng(1)
    requests = make(poisson_arrivals(20, 500), rng.integers(1, 500, 500), rng.integers(1, 100, 500))
    cluster = Cluster((Pool(bent(), 3, kv_blocks=300),))
    one, two = simulate(requests, cluster), simulate(requests, cluster)
    assert one.finish_s.tobytes() == two.finish_s.tobytes()


PLAIN = """
import numpy as np
from test_serve_engine import bent
from wafer2token.serve.engine.run import Cluster, Pool, simulate
from wafer2token.serve.requests import make, poisson_arrivals
rng = np.random.default_rng(1)
requests = make(poisson_arrivals(20, 80), rng.integers(1, 300, 80), rng.integers(1, 60, 80))
out = simulate(requests, Cluster((Pool(bent(), 2, kv_blocks=120),)))
print(out.finish_s.tobytes().hex())
"""


def test_compiled_and_plain_python_agree():
    rng = np.random.default_rng(1)
    requests = make(poisson_arrivals(20, 80), rng.integers(1, 300, 80), rng.integers(1, 60, 80))
    compiled = simulate(requests, Cluster((Pool(bent(), 2, kv_blocks=120),))).finish_s
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(["src", str(Path(__file__).parent)])}
    done = subprocess.run([sys.executable, "-c", PLAIN], capture_output=True, text=True, check=True, env=env)
    assert np.allclose(np.frombuffer(bytes.fromhex(done.stdout.strip())), compiled, rtol=1e-12)


def test_prefix_cache_spares_prefill():
    requests = with_shared_prefix(make(np.arange(20) * 10.0, 160, 2), 0.5, 1, 16)
    cold = simulate(requests, single(table(per_token=1e-3)))
    warm = simulate(requests, single(table(per_token=1e-3), prefix_cache=True))
    assert warm.hit_tokens[0] == 0
    assert np.all(warm.hit_tokens[1:] == 80)
    ttft = warm.first_s - warm.issue_s
    assert ttft[5] == pytest.approx(0.5 * (cold.first_s - cold.issue_s)[5])


def test_disaggregation_moves_the_cache_over_the_link():
    pools = (Pool(table(per_token=1e-3), role="prefill"), Pool(table(gemm=1e-2), role="decode"))
    out = simulate(make([0.0], 100, 6), Cluster(pools, transfer_s_per_token=1e-4, transfer_latency_s=0.5))
    assert out.first_s[0] == pytest.approx(0.1 + 0.01 + 0.5)
    assert out.finish_s[0] == pytest.approx(0.61 + 5 * 0.01)


def test_failure_restarts_elsewhere():
    cluster = Cluster((Pool(table(gemm=0.01), 2),), router="round_robin", failures=(Failure(0, 0.2),))
    out = simulate(make([0.0, 0.0], 10, 101), cluster)
    assert list(out.replica) == [1, 1]
    assert out.finish_s[1] == pytest.approx(1.01)
    assert out.finish_s[0] == pytest.approx(0.2 + 1.01, abs=0.011)


def test_speculation_shortens_by_the_tokens_per_step():
    plain = simulate(make([0.0], 10, 101), single(table(gemm=0.01)))
    drafted = simulate(make([0.0], 10, 101), single(table(gemm=0.01, per_query=2), tokens_per_step=2.0))
    assert plain.finish_s[0] == pytest.approx(1.01)
    assert drafted.finish_s[0] == pytest.approx(0.51)


def test_static_batches_wait_for_the_longest():
    cluster = single(table(gemm=0.01), 2, policy="static")
    out = simulate(make([0.0, 0.0, 0.0], 1, [11, 101, 11]), cluster)
    assert out.finish_s[0] == pytest.approx(0.11, abs=0.02)
    assert out.start_s[2] >= out.finish_s[1]


def test_priorities_go_first():
    early = make(np.zeros(3), 10, 11)
    late = make([0.0], 10, 11)
    out = simulate(joined([late, early]), single(table(gemm=0.01)))
    assert out.finish_s[0] == min(out.finish_s)


def test_too_long_requests_are_rejected_and_the_rest_served():
    cluster = Cluster((Pool(table(gemm=0.01), kv_blocks=10),))
    out = simulate(make([0.0, 0.0], [10, 1000], 5), cluster)
    assert list(out.status) == [s.DONE, s.REJECTED]


def test_stops_at_the_horizon_with_what_is_done():
    out = simulate(make(np.arange(10) * 1.0, 10, 11), single(table(gemm=0.01)), until_s=4.5)
    assert (out.status == s.DONE).sum() == 5


def test_wrong_clusters_name_everything():
    with pytest.raises(InputError) as caught:
        simulate(make([0.0], 1, 1), Cluster((Pool(table(), role="prefill"),), policy="vlm", block_size=0))
    assert len(caught.value.problems) == 3


def test_linear_in_requests():
    rng = np.random.default_rng(1)
    isl, osl = rng.integers(1, 2000, 40_000), rng.integers(1, 400, 40_000)
    events = [
        simulate(Requests(poisson_arrivals(50, n), isl[:n].astype(np.int32), osl[:n].astype(np.int32)),
                 Cluster((Pool(table(gemm=5e-3), 8),))).events
        for n in (10_000, 40_000)
    ]  # fmt: skip
    assert events[1] / events[0] == pytest.approx(4.0, rel=0.05)
