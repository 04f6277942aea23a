"""The simulated system: pools of replicas with their step times, and the rules of the engine in front of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wafer2token.catalog import get
from wafer2token.evidence.errors import InputError, Problem
from wafer2token.workload import ModelShape, dtype_bytes, kv_bytes

from .engine.run import Cluster, Failure, Outcome, Pool, Requests
from .load import BLOCK, parse_failure
from .machine import Site
from .memory import memory
from .plan import Plan
from .predict import POLICY, RESERVE
from .surrogate import step_table


@dataclass(frozen=True)
class Rules:
    """What an operator sets beside the plan.

    Attributes:
        router: round_robin, least_loaded or prefix_aware.
        policy: of batching ("vllm", "sglang", "trtllm", "static"); None for that of the stack.
        preemption: "recompute", or "swap" to the memory of the host.
        prefix_cache: whether prompts share what they have in common.
        max_waiting: requests queued at a replica beyond which new ones are turned away.
        failures: replicas that go down, "0@60s+30s".
    """

    router: str = "least_loaded"
    policy: str | None = None
    preemption: str = "recompute"
    prefix_cache: bool = True
    max_waiting: int | None = None
    failures: Sequence[str] = ()


def pools_of(shape: ModelShape, place: Site, plan: Plan, count: int, pd: tuple[int, int] | None, load: Requests,
             prefill: Plan | None = None) -> tuple[Pool, ...]:  # fmt: skip
    """One pool, or a prefill and a decode pool; plans are those of whole instances."""
    mean, longest = float(np.mean(load.isl)), float(np.max(load.isl) + np.max(load.osl))

    def pool(role: str, replicas: int, split: Plan) -> Pool:
        table = step_table(shape, place.machine, split, mean, longest)
        room = memory(shape, split, place.hbm_bytes, mean + 0.5 * float(np.mean(load.osl)))
        return Pool(table, replicas, role, split.max_num_seqs, split.max_num_batched_tokens, int(np.mean(room.kv_tokens) // BLOCK))

    if pd is None:
        return (pool("both", count, plan),)
    return (pool("prefill", pd[0], replace(prefill or plan, drafts=0, accepted=0.0)), pool("decode", pd[1], plan))


def cluster_of(shape: ModelShape, place: Site, pools: tuple[Pool, ...], rules: Rules, concurrency: int | None, plan: Plan,
               prefill: Plan | None = None) -> Cluster:  # fmt: skip
    """The engine's rules by its stack, and the links that carry caches between pools and to the host."""
    fab = place.machine.fab
    sender = prefill or plan
    scale_up = fab.scale_up.size >= sender.ranks + plan.ranks and fab.scale_up.size >= 2
    link = float(np.mean(fab.scale_up.bandwidth if scale_up else fab.scale_out.bandwidth))
    latency = float(np.mean(fab.scale_up.latency if scale_up else fab.scale_out.latency))
    if len(pools) > 1 and not link > 0.0:
        raise InputError(Problem("no link joins the two pools", "--pd", place.system or place.chip, remedy="name a system with a network"))
    length = 4096.0
    per_rank = float(kv_bytes(shape, length, dtype_bytes(plan.kv), plan.tp)) / length
    failures = tuple(Failure(*parse_failure(f)) for f in rules.failures)
    count = sum(p.replicas for p in pools)
    if any(f.replica >= count for f in failures):
        raise InputError(Problem("no such replica", "--fail", max(f.replica for f in failures), f"0 to {count - 1}"))
    policy = rules.policy or POLICY.get(place.stack, "vllm")
    return Cluster(
        pools, policy=policy, router=rules.router, preemption=rules.preemption, block_size=BLOCK,
        reserve=RESERVE.get(place.stack if rules.policy is None else rules.policy, 0.0), tokens_per_step=plan.tokens_per_step,
        max_waiting=rules.max_waiting or 1 << 40, max_concurrency=concurrency or 1 << 40, prefix_cache=rules.prefix_cache,
        response_s=float(place.machine.overhead.request_s), swap_s_per_block=BLOCK * per_rank / plan.dp / plan.pp / host_link(place),
        transfer_s_per_token=per_rank / sender.dp / max(link, 1.0), transfer_latency_s=latency, failures=failures,
    )  # fmt: skip


def begun_together(load: Requests, place: Site, concurrency: int | None, replicas: int) -> tuple[Requests, float]:
    """A closed loop as its engine sees it, and how long its front end is busy with the first requests [s].

    One process tokenises and answers; it passes nothing on before it has taken all that a client sends at once.
    """
    over = place.machine.overhead
    at_once = int(np.sum(load.arrival_s <= 0.0))
    if not concurrency or at_once < len(load):
        return load, 0.0
    busy = min(concurrency, len(load)) / replicas * float(over.front_end) * float(over.request_s)
    return replace(load, arrival_s=np.full(len(load), busy)), busy


def seen_by_client(outcome: Outcome, busy_s: float, request_s: float) -> Outcome:
    """The times of a run as its clients see them: from when they sent a request, and with what surrounds the engine."""
    times = ("start_s", "first_s", "finish_s")
    later: dict[str, Any] = {n: np.where(getattr(outcome, n) >= 0, getattr(outcome, n) + request_s, -1.0) for n in times}
    waited = (outcome.issue_s >= 0.0) & (outcome.issue_s <= busy_s)
    return replace(outcome, issue_s=np.where(waited, 0.0, outcome.issue_s), **later)


def host_link(place: Site) -> float:
    """Rate between one rank and the memory of its host, one direction [B/s]."""
    chip = get("chip", place.chip)
    if chip.host_link is not None:
        return float(chip.host_link) / place.ranks_per_chip
    return float(get("training", "planner").host_link)


def instances_in(chips: float, place: Site, plan: Plan) -> int:
    """How many instances of a plan ``chips`` hold."""
    return max(math.floor(chips * place.ranks_per_chip / plan.ranks + 1e-9), 0)
