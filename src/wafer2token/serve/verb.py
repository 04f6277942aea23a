"""``serve``: one model on one place under one load, simulated request by request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from wafer2token.evidence.errors import InfeasibleError, InputError, Problem
from wafer2token.workload import ModelShape, dtype_bytes, kv_bytes_per_token, model

from .engine.run import Cluster, Outcome, Pool, Requests, simulate
from .flags import parse_plan
from .launch import launch_command
from .machine import Site, site
from .memory import Memory, memory
from .metrics import Summary, summarise
from .money import cost_per_chip_s, power_per_chip
from .plan import Plan, checked
from .predict import POLICY, RESERVE, instance_plan
from .requests import gamma_arrivals, lengths, make, scaled
from .slo import Objective, parse_slo
from .steady import usual_formats
from .steptime import decode_step_time
from .surrogate import step_table
from .traces import read_trace

BLOCK = 16


@dataclass(frozen=True)
class ServeResult:
    """What serving was like, with what it took. Costs are USD per million tokens, nan where no price is known."""

    model: str
    on: str
    chip: str
    stack: str
    plan: Plan
    prefill_plan: Plan | None
    replicas: tuple[int, int]
    chips: float
    summary: Summary
    outcome: Outcome
    memory: Memory
    bound_by: str
    power_w: float
    energy_j_per_token: float
    cost_per_mtok_usd: float
    cost_per_mtok_input_usd: float
    cost_per_mtok_output_usd: float
    warnings: tuple[str, ...]
    launch: tuple[str, ...]
    request_overhead_s: float
    slo: tuple[Objective, ...] = ()

    @property
    def meets(self) -> bool:
        """Whether every objective was met and the queue drains."""
        return all(self.summary.met.values()) and not self.summary.drain.overloaded

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the rows per request."""
        m = self.memory
        return {
            "model": self.model, "on": self.on, "chip": self.chip, "stack": self.stack, "plan": self.plan.to_dict(),
            "prefill_plan": self.prefill_plan.to_dict() if self.prefill_plan else None,
            "replicas": list(self.replicas), "chips": self.chips, "summary": self.summary.to_dict(),
            "memory": {"weights_bytes": m.weights, "working_bytes": m.working, "free_bytes": float(np.mean(m.free)),
                       "kv_bytes_per_token": m.kv_per_token, "kv_tokens": float(np.mean(m.kv_tokens))},
            "bound_by": self.bound_by, "power_w": self.power_w, "energy_j_per_token": self.energy_j_per_token,
            "cost_per_mtok_usd": self.cost_per_mtok_usd, "cost_per_mtok_input_usd": self.cost_per_mtok_input_usd,
            "cost_per_mtok_output_usd": self.cost_per_mtok_output_usd, "warnings": list(self.warnings),
            "launch": list(self.launch), "slo": {str(o): self.summary.met.get(str(o)) for o in self.slo},
        }  # fmt: skip


def serve(
    model_id: str | ModelShape, on: str, *, isl: int = 1024, osl: int = 256, rate: float | None = None,
    concurrency: int | None = None, trace: str | Path | None = None, slo: str | Sequence[Objective] = (),
    plan: str | Plan | None = None, chips: float | None = None, replicas: int | None = None,
    pd: tuple[int, int] | None = None, stack: str | None = None, num_prompts: int | None = None,
    burstiness: float = 1.0, length_spread: float = 0.0, router: str = "least_loaded", prefix_cache: bool = True,
    max_waiting: int | None = None, seed: int = 0, until_s: float = float("inf"),
    calibration: str | Path | None = None,
) -> ServeResult:  # fmt: skip
    """Serve requests of a model and see how long they take, how much gets through, and what it costs.

    Args:
        model_id: model card, Hugging Face id, or path of a config.json.
        on: system or chip.
        isl, osl: mean tokens in and out, where no trace is given.
        rate: requests per second (rescales a trace).
        concurrency: requests in flight; without a rate a closed loop.
        trace: file of requests in a published format.
        slo: objectives, ``"ttft=2s,tpot=50ms"``.
        plan: of one instance, ``"tp=8"`` or engine flags (limits per data-parallel rank); None: the smallest that fits.
        chips, replicas: how many chips, or instances, share the load (1 instance).
        pd: (prefill, decode) instances of a disaggregated system.
        stack: serving engine; None for the platform's usual one.
        calibration: engine card of your own run, as ``calibrate --from RUN`` writes it.

    Raises:
        InfeasibleError: the plan does not fit into memory.
        InputError: anything wrong with the request, all at once.
    """
    shape = model(model_id)
    place = site(on, stack, calibration=calibration)
    objectives = parse_slo(slo) if isinstance(slo, str) and slo else tuple(slo) if not isinstance(slo, str) else ()
    if rate is None and concurrency is None and trace is None:
        raise InputError(Problem("no load", remedy="give --rate, --concurrency or --trace"))
    load = requests_of(isl, osl, rate, concurrency, trace, num_prompts, burstiness, length_spread, seed)
    chosen = resolve(shape, place, plan, float(np.mean(load.isl)) + float(np.mean(load.osl)))
    count = replicas or (max(int(chips * place.ranks_per_chip // chosen.ranks), 0) if chips else 1)
    if count < 1:
        raise InfeasibleError(f"{chips:g} chips hold no instance of {chosen.ranks} ranks", f"{chosen.ranks / place.ranks_per_chip:g} chips")
    whole = instance_plan(chosen)
    pools = pools_of(shape, place, whole, count, pd, load)
    cluster = cluster_of(shape, place, pools, router, prefix_cache, concurrency, max_waiting, whole)
    outcome = simulate(load, cluster, until_s)
    return result_of(shape, place, chosen, (pd or (0, count)), pools, outcome, objectives)


def requests_of(isl: int, osl: int, rate: float | None, concurrency: int | None, trace: str | Path | None, num_prompts: int | None,
                burstiness: float, spread: float, seed: int) -> Requests:  # fmt: skip
    """The load: a trace (at its own or another rate), a rate, or a closed loop."""
    wrong = [Problem(f"{n} must be above zero", f"--{n.replace('_', '-')}", v) for n, v in
             (("isl", isl), ("osl", osl), ("rate", rate), ("concurrency", concurrency), ("num_prompts", num_prompts)) if v is not None and not v > 0]  # fmt: skip
    if wrong:
        raise InputError(wrong)
    if trace is not None:
        return scaled(read_trace(trace, num_prompts), rate)
    n = num_prompts or (max(10 * concurrency, 200) if concurrency else 2000)
    kind = "uniform" if spread else "fixed"
    arrival = np.zeros(n) if rate is None else gamma_arrivals(rate, n, burstiness, seed)
    return make(arrival, lengths(isl, n, spread, kind, seed, "isl"), lengths(osl, n, spread, kind, seed, "osl"))


def resolve(shape: ModelShape, place: Site, plan: str | Plan | None, length: float) -> Plan:
    """The plan given, or the smallest split that holds the model and some sequences of ``length`` tokens."""
    base = Plan(**usual_formats(shape, place)) if shape.is_moe else Plan(weights="bf16")
    if isinstance(plan, str) and plan and plan != "auto":
        return fitting(shape, place, checked(parse_plan(plan, base), shape), length)
    if isinstance(plan, Plan):
        return fitting(shape, place, checked(plan, shape), length)
    smallest = None
    for tp in (1, 2, 4, 8, 16, 32):
        if tp > shape.num_attention_heads:
            break
        smallest = checked(replace(base, tp=tp), shape)
        if float(np.mean(memory(shape, smallest, place.hbm_bytes, length).kv_tokens)) >= 16 * length:
            return smallest
    if smallest is None:
        raise InfeasibleError(f"{shape.id} fits no split on {place.chip}")
    return fitting(shape, place, smallest, length)


def fitting(shape: ModelShape, place: Site, plan: Plan, length: float) -> Plan:
    """The plan if its weights and one sequence fit, else InfeasibleError with what would."""
    room = memory(shape, plan, place.hbm_bytes, length)
    if float(np.mean(room.kv_tokens)) / plan.dp >= length:
        return plan
    need = (room.weights + room.working + room.kv_per_token * length) / 1e9
    have = float(np.mean(room.capacity)) / 1e9
    raise InfeasibleError(
        f"{shape.id} does not fit: {need:.1f} GB per rank (weights {room.weights / 1e9:.1f}, working {room.working / 1e9:.1f}, "
        f"one sequence {room.kv_per_token * length / 1e9:.1f}) of {have:.1f} GB usable on {place.chip}",
        f"at least {int(np.ceil(need / have)) * plan.ranks} ranks, or narrower weights",
    )


def pools_of(shape: ModelShape, place: Site, plan: Plan, count: int, pd: tuple[int, int] | None, load: Requests) -> tuple[Pool, ...]:
    """One pool, or a prefill and a decode pool."""
    mean, longest = float(np.mean(load.isl)), float(np.max(load.isl) + np.max(load.osl))

    def pool(role: str, replicas: int, split: Plan) -> Pool:
        table = step_table(shape, place.machine, split, mean, longest)
        room = memory(shape, split, place.hbm_bytes, mean + 0.5 * float(np.mean(load.osl)))
        return Pool(table, replicas, role, split.max_num_seqs, split.max_num_batched_tokens, int(np.mean(room.kv_tokens) // BLOCK))

    if pd is None:
        return (pool("both", count, plan),)
    return (pool("prefill", pd[0], replace(plan, drafts=0, accepted=0.0)), pool("decode", pd[1], plan))


def cluster_of(shape: ModelShape, place: Site, pools: tuple[Pool, ...], router: str, prefix_cache: bool, concurrency: int | None,
               max_waiting: int | None, plan: Plan) -> Cluster:  # fmt: skip
    """The engine's rules by its stack, and the links that carry caches between pools."""
    fab = place.machine.fab
    link = float(np.mean(fab.scale_up.bandwidth)) if fab.scale_up.size >= 2 * plan.ranks else float(np.mean(fab.scale_out.bandwidth))
    per_token = float(kv_bytes_per_token(shape, dtype_bytes(plan.kv))) / (max(link, 1.0) * plan.tp)
    return Cluster(
        pools, policy=POLICY.get(place.stack, "vllm"), router=router, block_size=BLOCK, reserve=RESERVE.get(place.stack, 0.0),
        tokens_per_step=plan.tokens_per_step, max_waiting=max_waiting or 1 << 40, max_concurrency=concurrency or 1 << 40,
        prefix_cache=prefix_cache, response_s=float(place.machine.overhead.request_s), transfer_s_per_token=per_token, transfer_latency_s=float(fab.scale_out.latency),
    )  # fmt: skip


def result_of(shape: ModelShape, place: Site, plan: Plan, counts: tuple[int, int], pools: tuple[Pool, ...], outcome: Outcome,
              slo: tuple[Objective, ...]) -> ServeResult:  # fmt: skip
    """Latency, throughput, power, cost and warnings out of a run."""
    request_s = float(place.machine.overhead.request_s)
    later: dict[str, Any] = {n: np.where(getattr(outcome, n) >= 0, getattr(outcome, n) + request_s, -1.0) for n in ("start_s", "first_s", "finish_s")}
    outcome = replace(outcome, **later)
    summary = summarise(outcome, slo)
    instances = sum(p.replicas for p in pools)
    chips = instances * plan.ranks / place.ranks_per_chip
    per_s = float(cost_per_chip_s(place.chip, place.system)) * chips
    power = float(power_per_chip(place.chip, place.system)) * chips * max(summary.utilisation, 0.0)
    share = summary.prefill_share
    tokens_in, tokens_out = summary.input_tokens / summary.duration_s, summary.output_throughput
    disaggregated = len(pools) > 1

    def per_mtok(part: float, tokens: float) -> float:
        return 1e6 * per_s * part / tokens if tokens > 0 else float("nan")

    room = memory(shape, plan, place.hbm_bytes, float(np.mean(outcome.requests.isl)))
    stack = place.stack
    launch = tuple(launch_command(shape.id, stack, plan, role) for role in (("prefill", "decode") if disaggregated else ("both",)))
    return ServeResult(
        shape.id, place.system or place.chip, place.chip, stack, plan, replace(plan, drafts=0, accepted=0.0) if disaggregated else None,
        counts, chips, summary, outcome, room, bound(shape, place, plan, summary, outcome), power,
        power / tokens_out if tokens_out else float("nan"), per_mtok(1.0, tokens_out), per_mtok(share, tokens_in),
        per_mtok(1.0 - share, tokens_out), tuple(warnings_of(summary)), launch, request_s, slo,
    )  # fmt: skip


def bound(shape: ModelShape, place: Site, plan: Plan, summary: Summary, outcome: Outcome) -> str:
    """What holds the throughput: idle, KV memory, prefill, or the largest part of a decode step."""
    if summary.utilisation < 0.5:
        return "arrivals (the chips wait)"
    if summary.kv_use > 0.85 or summary.preemptions > 0.05 * summary.requests:
        return "KV memory"
    if summary.prefill_share > 0.6:
        return "prefill"
    kv = float(np.mean(outcome.requests.isl) + 0.5 * np.mean(outcome.requests.osl))
    step = decode_step_time(shape, place.machine, plan, np.array([max(summary.mean_batch, 1.0)]), np.array([kv]))
    return f"decode {step.bound_by()}"


def warnings_of(summary: Summary) -> list[str]:
    """What the reader must know before the numbers."""
    out = []
    if summary.drain.overloaded:
        out.append(str(summary.drain))
    if summary.rejected:
        out.append(f"{summary.rejected} of {summary.requests} requests were turned away or do not fit")
    if summary.preemptions > 0.02 * summary.requests:
        out.append(f"{summary.preemptions} preemptions: the KV cache is too small for this load")
    if summary.unfinished:
        out.append(f"{summary.unfinished} requests were unfinished at the end of the simulated time")
    out += [f"missed: {name}" for name, ok in summary.met.items() if not ok]
    return out
