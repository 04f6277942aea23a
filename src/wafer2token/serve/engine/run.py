"""Requests, step-time tables and a configuration in; what happened to every request out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wafer2token.evidence.errors import InputError, Problem

from . import state as s
from .state import Knobs, World

POLICIES = {"vllm": s.MIXED, "trtllm": s.MIXED, "sglang": s.SEPARATE, "static": s.STATIC}
ROUTERS = {"round_robin": s.ROUND_ROBIN, "least_loaded": s.LEAST_LOADED, "prefix_aware": s.PREFIX_AWARE}
ROLES = {"both": s.BOTH, "prefill": s.PREFILL, "decode": s.DECODE}
PREEMPTIONS = {"recompute": s.RECOMPUTE, "swap": s.SWAP}


@dataclass(frozen=True)
class Requests:
    """Requests in order of arrival: seconds, token counts, priority (0 first), optional prefix hashes.

    ``hashes`` are block ids of the prompts, flat, with ``hash_start`` [n + 1] offsets; ``hash_tokens`` per id.
    """

    arrival_s: s.F
    isl: s.I4
    osl: s.I4
    priority: s.I4 | None = None
    hashes: s.I4 | None = None
    hash_start: s.I8 | None = None
    hash_tokens: int = 0
    name: str = "requests"

    def __len__(self) -> int:
        return len(self.arrival_s)


@dataclass(frozen=True)
class StepTable:
    """Duration of one engine step as a table.

    ``gemm_s(tokens) + attend_s(batch, mean kv) + work_s(query x key pairs of prefill)``, never below ``host_s``; linear
    between the knots and beyond the last. ``tokens_per_query`` counts the draft tokens that a decode step verifies.
    """

    tokens: s.F
    gemm_s: s.F
    batch: s.F
    kv: s.F
    attend_s: s.F
    work: s.F
    work_s: s.F
    host_s: float = 0.0
    tokens_per_query: int = 1


@dataclass(frozen=True)
class Pool:
    """Replicas that are alike: how many, what they do, their limits and their step times."""

    table: StepTable
    replicas: int = 1
    role: str = "both"
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 8192
    kv_blocks: int = 1 << 40


@dataclass(frozen=True)
class Failure:
    """Replica ``replica`` is down from ``start_s`` to ``end_s``."""

    replica: int
    start_s: float
    end_s: float = math.inf


@dataclass(frozen=True)
class Cluster:
    """Pools behind a router, and the rules of the engine.

    Args:
        policy: vllm (prompt chunks join the decode steps), sglang (prefill steps alone), static (batch by batch).
        reserve: share of the output length reserved in KV at admission (TensorRT-LLM without eviction: 1).
        tokens_per_step: output tokens per decode step and request (above 1 with speculation).
        max_waiting: requests queued at a replica beyond which new ones are turned away.
        max_concurrency: requests in flight over all (a closed loop when all arrive at once).
        prefix_cache: prompts with hashes share blocks, and blocks of a preempted request (vllm) serve again until overwritten.
        response_s: time outside the engine until the client of a closed loop sends its next request.
    """

    pools: tuple[Pool, ...]
    policy: str = "vllm"
    router: str = "least_loaded"
    preemption: str = "recompute"
    block_size: int = 16
    reserve: float = 0.0
    tokens_per_step: float = 1.0
    max_waiting: int = 1 << 40
    max_concurrency: int = 1 << 40
    prefix_cache: bool = False
    response_s: float = 0.0
    swap_s_per_block: float = 0.0
    transfer_s_per_token: float = 0.0
    transfer_latency_s: float = 0.0
    failures: tuple[Failure, ...] = ()

    @property
    def replicas(self) -> int:
        """Replicas over all pools."""
        return sum(p.replicas for p in self.pools)


@dataclass(frozen=True)
class Outcome:
    """What happened, one row per request (seconds; -1 where it did not come to that), and totals per replica."""

    requests: Requests
    issue_s: s.F
    start_s: s.F
    first_s: s.F
    finish_s: s.F
    status: s.B1
    replica: s.I4
    hit_tokens: s.I4
    preemptions: s.I4
    end_s: float
    busy_s: s.F
    batch_time: s.F
    block_time: s.F
    prefill_s: s.F
    decode_s: s.F
    decode_steps: s.I8
    blocks: s.I8
    gap_weight: s.F
    events: int
    generated: int
    prefilled: int
    leftover: dict[str, Any] = field(default_factory=dict)


def simulate(requests: Requests, cluster: Cluster, until_s: float = math.inf) -> Outcome:
    """Play ``requests`` through ``cluster`` until all are done, or until ``until_s``.

    Time grows linearly with the number of requests. Raises InputError for a cluster that cannot work at all.
    """
    check(cluster)
    world = build(requests, cluster)
    from .loop import run

    run(world, until_s)
    return collect(requests, world)


def check(cluster: Cluster) -> None:
    """All that is wrong with a cluster, at once."""
    wrong = [
        Problem(f"unknown {what}", f"cluster.{what}", given, ", ".join(known))
        for what, given, known in [
            ("policy", cluster.policy, POLICIES),
            ("router", cluster.router, ROUTERS),
            ("preemption", cluster.preemption, PREEMPTIONS),
            *[("role", p.role, ROLES) for p in cluster.pools],
        ]
        if given not in known
    ]
    roles = {p.role for p in cluster.pools}
    if "both" not in roles and roles != {"prefill", "decode"}:
        wrong.append(Problem("pools cannot serve", "cluster.pools", sorted(roles), "both, or prefill and decode"))
    if cluster.block_size < 1 or cluster.tokens_per_step < 1.0:
        wrong.append(Problem("block_size and tokens_per_step must be at least 1", "cluster"))
    if wrong:
        raise InputError(wrong)


def build(requests: Requests, cluster: Cluster) -> World:
    """The initial state."""
    levels, load, hashes, distinct = _load(requests, cluster)
    fleet = _fleet(cluster)
    r, slots = cluster.replicas, int(max(p.max_num_seqs for p in cluster.pools))
    knobs = _knobs(cluster, requests)
    lane = np.recarray((r, levels), s.LANE)
    lane.head, lane.tail = -1, -1
    cache = _records((r, distinct + 1), s.CACHED)
    cache.newer = cache.older = np.arange(distinct + 1)
    gemm, work, batch, kv, attend = _tables(cluster)
    wire = len(requests) if any(p.role == "prefill" for p in cluster.pools) else 1
    return World(
        load, hashes, _trip(load, fleet, cluster), fleet, _records((r, slots), s.SLOT), lane,
        np.zeros((r, knobs.cycle), np.int32), gemm, work, batch, kv, attend, cache, _changes(cluster),
        _records(wire, s.WIRE), np.zeros(s.COUNTERS, np.int64), np.zeros(1),
        np.zeros(max(min(cluster.max_concurrency, len(requests)), 1)), np.zeros(s.ITL_BINS), knobs,
    )  # fmt: skip


def _records(shape: Any, dtype: Any) -> Any:
    return np.zeros(shape, dtype).view(np.recarray)


def _load(requests: Requests, cluster: Cluster) -> tuple[int, Any, s.I4, int]:
    """Number of priority levels, load records, dense hash ids, and the number of distinct ones (at least 1)."""
    load = _records(len(requests), s.LOAD)
    load.arrival, load.isl, load.osl = requests.arrival_s, requests.isl, requests.osl
    load.steps = np.ceil((np.asarray(requests.osl) - 1) / cluster.tokens_per_step)
    levels = 1
    if requests.priority is not None:
        values, dense = np.unique(requests.priority, return_inverse=True)
        load.level, levels = dense, max(len(values), 1)
    if not cluster.prefix_cache or requests.hashes is None or requests.hash_start is None:
        return levels, load, np.zeros(1, np.int32), 1
    load.hash_start, load.hashes = requests.hash_start[:-1], np.diff(requests.hash_start)
    known, dense = np.unique(requests.hashes, return_inverse=True)
    return levels, load, dense.astype(np.int32), max(len(known), 1)


def _knobs(cluster: Cluster, requests: Requests) -> Knobs:
    cached = cluster.prefix_cache and requests.hashes is not None
    return Knobs(
        block_size=int(cluster.block_size),
        cycle=max(int(cluster.block_size / cluster.tokens_per_step), 1),
        gain=float(cluster.tokens_per_step),
        policy=POLICIES[cluster.policy],
        reserve=float(cluster.reserve),
        router=ROUTERS[cluster.router],
        preemption=PREEMPTIONS[cluster.preemption],
        keeps=int(cluster.prefix_cache and cluster.policy == "vllm" and cluster.preemption == "recompute"),
        response_s=float(cluster.response_s),
        max_waiting=int(cluster.max_waiting),
        max_inflight=int(cluster.max_concurrency),
        hash_blocks=requests.hash_tokens // cluster.block_size if cached else 0,
        swap_s_per_block=float(cluster.swap_s_per_block),
        transfer_s_per_token=float(cluster.transfer_s_per_token),
        transfer_latency_s=float(cluster.transfer_latency_s),
    )


def _changes(cluster: Cluster) -> Any:
    """Failures and recoveries in order of time."""
    ends = [(f.end_s, f.replica, 1) for f in cluster.failures if f.end_s < math.inf]
    changes = sorted([(f.start_s, f.replica, 0) for f in cluster.failures] + ends)
    return np.array(changes, s.CHANGE).view(np.recarray)


def _trip(load: Any, fleet: Any, cluster: Cluster) -> Any:
    """Where every request begins; those that fit into no replica are rejected from the start."""
    trip = _records(len(load), s.TRIP)
    trip.issue = trip.start = trip.first = trip.finish = -1.0
    trip.replica = trip.origin = trip.after = -1
    trip.target, trip.left = load.isl, load.steps
    size, isl = cluster.block_size, load.isl.astype(np.int64)
    prompt = -(-isl // size)
    whole = -(-(isl + load.osl + math.ceil(cluster.tokens_per_step)) // size) + 1
    decoders = fleet.blocks[fleet.role != s.PREFILL].min()
    fillers = fleet.blocks[fleet.role != s.DECODE].min()
    trip.status = np.where((whole > decoders) | (prompt > fillers), s.REJECTED, s.PENDING)
    return trip


def _fleet(cluster: Cluster) -> Any:
    fleet = _records(cluster.replicas, s.FLEET)
    fleet.wake = math.inf
    at = 0
    for index, pool in enumerate(cluster.pools):
        part = fleet[at : at + pool.replicas]
        at += pool.replicas
        part.role, part.table, part.blocks = ROLES[pool.role], index, pool.kv_blocks
        part.max_seqs, part.max_tokens = pool.max_num_seqs, min(pool.max_num_batched_tokens, 2**30)
        part.host_s, part.per_query = pool.table.host_s, pool.table.tokens_per_query
    return fleet


def _tables(cluster: Cluster) -> tuple[s.F, s.F, s.F, s.F, s.F]:
    """The tables of the pools stacked; short axes are continued along their last slope, which changes nothing."""
    tables = [p.table for p in cluster.pools]

    def stack(axis: str, values: str) -> s.F:
        length = max(2, max(len(getattr(t, axis)) for t in tables))
        return np.array([_extend(getattr(t, axis), getattr(t, values), length) for t in tables])

    rows = max(2, max(len(t.batch) for t in tables))
    columns = max(2, max(len(t.kv) for t in tables))
    batch, kv, grid = [], [], []
    for t in tables:
        b, along_batch = _extend(t.batch, t.attend_s, rows)
        k, along_kv = _extend(t.kv, along_batch.T, columns)
        batch.append(b)
        kv.append(k)
        grid.append(along_kv.T)
    attend = np.ascontiguousarray(np.array(grid))
    return stack("tokens", "gemm_s"), stack("work", "work_s"), np.array(batch), np.array(kv), attend


def _extend(axis: s.F, values: s.F, length: int) -> tuple[s.F, s.F]:
    axis, values = np.asarray(axis, np.float64), np.asarray(values, np.float64)
    if len(axis) == 1:
        axis, values = np.array([axis[0], axis[0] + 1.0]), np.concatenate([values, values])
    while len(axis) < length:
        step, slope = axis[-1] - axis[-2], values[-1] - values[-2]
        axis, values = np.append(axis, axis[-1] + step), np.concatenate([values, values[-1:] + slope])
    return axis, values


def collect(requests: Requests, w: World) -> Outcome:
    """The result out of the final state."""
    trip, fleet = w.trip, w.fleet
    return Outcome(
        requests, trip.issue, trip.start, trip.first, trip.finish, trip.status, trip.replica, trip.hit, trip.evicted,
        float(w.now[0]), fleet.busy, fleet.batch_time, fleet.block_time, fleet.prefill_s, fleet.decode_s, fleet.steps_run,
        fleet.blocks, w.gaps, int(w.tally[s.EVENTS]), int(w.tally[s.GENERATED]), int(w.tally[s.PREFILLED]),
        {"used_blocks": int(fleet.used.sum()), "waiting": int(fleet.waiting.sum()), "batch": int(fleet.batch.sum()),
         "filling": int(fleet.filling.sum()), "promised": int(fleet.promised.sum()), "phase": int(w.phase.sum()),
         "rejected": int(w.tally[s.REJECTED_N]), "done": int(w.tally[s.DONE_N]), "evicted": int(w.tally[s.EVICTED_N]),
         "in_flight": int(w.tally[s.INFLIGHT]), "hit_tokens": int(w.tally[s.HIT]), "on_wire": int(w.tally[s.WIRED]),
         "unstarted": int(fleet.unstarted.sum())},
    )  # fmt: skip
