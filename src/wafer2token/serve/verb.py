"""``serve``: one model on one place under one load, simulated request by request."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from wafer2token.catalog import get
from wafer2token.evidence.errors import InfeasibleError, InputError, Problem
from wafer2token.evidence.validation import Z80
from wafer2token.workload import ModelShape, model

from .engine.run import Outcome, simulate
from .engine.state import REJECTED
from .flags import parse_plan
from .launch import launch_command
from .load import BLOCK, Load
from .machine import Site, site
from .memory import Memory, memory
from .metrics import Summary, by_priority, summarise
from .money import cost_per_chip_s, power_per_chip
from .plan import Plan, checked, default_limits
from .predict import instance_plan
from .slo import Objective, parse_slo
from .steady import usual_formats
from .steptime import decode_step_time
from .system import Rules, begun_together, cluster_of, instances_in, pools_of, seen_by_client


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
    classes: tuple[Summary, ...] = ()
    seed: int = 0
    inputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def meets(self) -> bool:
        """Whether every objective was met and the queue drains."""
        return all(self.summary.met.values()) and not self.summary.drain.overloaded

    @property
    def interval_80(self) -> dict[str, tuple[float, float]]:
        """Where 80% of measured runs lie beside such a prediction: time per token and to the first token [s], output tokens/s.

        Empty for an engine anchored to a run of the user's; without throughput where the load decides it.
        """
        if "calibration" in self.inputs:
            return {}
        ratios: Any = get("calibration", "serve_spread").ratios
        rung = "disaggregated" if self.prefill_plan else "closed_loop"
        s = self.summary
        values = {"tpot": (s.tpot.mean, rung), "ttft": (s.ttft.mean, "time_to_first_token")}
        if s.drain.overloaded or not {"rate", "trace"} & set(self.inputs):  # else what is offered gets through
            values["output_throughput"] = (s.output_throughput, rung)
        return {k: (v * math.exp(-Z80 * float(ratios[r])), v * math.exp(Z80 * float(ratios[r]))) for k, (v, r) in values.items()}

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
            "interval_80": {k: list(v) for k, v in self.interval_80.items()},
            "classes": [c.to_dict() for c in self.classes], "seed": self.seed, "inputs": dict(self.inputs),
        }  # fmt: skip


def serve(
    model_id: str | ModelShape, on: str, *, isl: int = 1024, osl: int = 256, rate: float | None = None,
    concurrency: int | None = None, trace: str | Path | None = None, slo: str | Sequence[Objective] = (),
    plan: str | Plan | None = None, prefill_plan: str | Plan | None = None, chips: float | None = None, replicas: int | None = None,
    pd: tuple[int, int] | None = None, stack: str | None = None, num_prompts: int | None = None,
    burstiness: float = 1.0, burst: str | None = None, length_spread: float = 0.0, length_distribution: str = "uniform",
    prefix_tokens: int = 0, priorities: Sequence[float] = (), router: str = "least_loaded", policy: str | None = None,
    preemption: str = "recompute", prefix_cache: bool = True, max_waiting: int | None = None, failures: Sequence[str] = (),
    seed: int = 0, until_s: float = float("inf"), calibration: str | Path | None = None,
) -> ServeResult:  # fmt: skip
    """Serve requests of a model and see how long they take, how much gets through, and what it costs.

    Args:
        model_id: model card, Hugging Face id, or path of a config.json.
        on: system or chip.
        slo: objectives, ``"ttft=2s,tpot=50ms"``.
        plan: of one instance, ``"tp=8"`` or engine flags (limits per data-parallel rank); None: the smallest that fits.
        prefill_plan: of a prefill instance in a disaggregated system; None: that of decoding.
        chips, replicas: how many chips, or instances, share the load (1 instance).
        pd: (prefill, decode) instances of a disaggregated system.
        stack: serving engine; None for the platform's usual one.
        until_s: end of the simulated time.
        calibration: engine card of your own run, as ``calibrate --from RUN`` writes it.
        isl, osl, rate, concurrency, trace, num_prompts, burstiness, burst, length_spread, length_distribution, prefix_tokens,
            priorities, seed: the load (``load.Load``).
        router, policy, preemption, prefix_cache, max_waiting, failures: the rules of the system (``system.Rules``).

    Raises:
        InfeasibleError: the plan does not fit into memory.
        InputError: anything wrong with the request, all at once.
    """
    inputs = stated(locals())
    shape, place = model(model_id), site(on, stack, calibration=calibration)
    objectives = parse_slo(slo) if isinstance(slo, str) and slo else tuple(slo) if not isinstance(slo, str) else ()
    load = Load(isl, osl, rate, concurrency, trace, num_prompts, burstiness, burst, length_spread, length_distribution,
                prefix_tokens, tuple(priorities), seed).requests()  # fmt: skip
    length = float(np.mean(load.isl)) + float(np.mean(load.osl))
    chosen = resolve(shape, place, plan, length)
    filling = resolve(shape, place, prefill_plan, length) if prefill_plan else chosen
    if prefill_plan and not pd:
        raise InputError(Problem("a plan of prefill needs pools of their own", "--prefill-plan", str(prefill_plan), remedy="give --pd P:D"))
    if replicas is not None and replicas < 1:
        raise InputError(Problem("at least one instance serves", "--replicas", replicas, "1 or more"))
    count = replicas or (instances_in(chips, place, chosen) if chips else 1)
    if count < 1:
        raise InfeasibleError(f"{chips:g} chips hold no instance of {chosen.ranks} ranks", f"{chosen.ranks / place.ranks_per_chip:g} chips")
    whole, first = instance_plan(chosen), instance_plan(filling)
    pools = pools_of(shape, place, whole, count, pd, load, first)
    rules = Rules(router, policy, preemption, prefix_cache, max_waiting, tuple(failures))
    sent, busy = begun_together(load, place, concurrency, pd[0] if pd else count)
    outcome = simulate(sent, cluster_of(shape, place, pools, rules, concurrency, whole, first), until_s)
    outcome = replace(seen_by_client(outcome, busy, float(place.machine.overhead.request_s)), requests=load)
    if len(load) and not np.any(outcome.status != REJECTED):
        most = int(min(p.kv_blocks for p in pools)) * BLOCK
        raise InfeasibleError(f"none of {len(load)} requests fits into the KV cache", f"an instance holds {most:,} tokens, a request has {length:,.0f}")
    return replace(result_of(shape, place, (chosen, filling), pd or (0, count), outcome, objectives), seed=seed, inputs=inputs)


def stated(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call as plain values, those that were left out apart."""
    plain = {k: v.id if isinstance(v, ModelShape) else v.to_dict() if isinstance(v, Plan) else str(v) if isinstance(v, Path) else v
             for k, v in given.items() if v is not None and v != () and v != ""}  # fmt: skip
    if "slo" in plain and not isinstance(plain["slo"], str):
        plain["slo"] = [str(o) for o in plain["slo"]]
    return {k: v for k, v in plain.items() if not (isinstance(v, float) and not np.isfinite(v))}


def resolve(shape: ModelShape, place: Site, plan: str | Plan | None, length: float) -> Plan:
    """The plan given, or the smallest split that holds the model and some sequences of ``length`` tokens."""
    seqs, tokens = default_limits(place.stack, place.chip)
    base = Plan(**(usual_formats(shape, place) if shape.is_moe else {"weights": "bf16"}), max_num_seqs=seqs, max_num_batched_tokens=tokens)
    given = parse_plan(plan, base) if isinstance(plan, str) and plan and plan != "auto" else plan if isinstance(plan, Plan) else None
    if given is not None:
        split = checked(given, shape)
        if shape.num_attention_heads % split.tp:
            raise InputError(Problem("engines split attention heads evenly", "plan.tp", split.tp, f"divisors of {shape.num_attention_heads}"))
        return fitting(shape, place, split, length)
    smallest = None
    for tp in (1, 2, 4, 8, 16, 32):
        if tp > shape.num_attention_heads:
            break
        smallest = checked(replace(base, tp=tp), shape)
        if float(np.mean(memory(shape, instance_plan(smallest), place.hbm_bytes, length).kv_tokens)) >= 16 * length:
            return smallest
    if smallest is None:
        raise InfeasibleError(f"{shape.id} fits no split on {place.chip}")
    return fitting(shape, place, smallest, length)


def fitting(shape: ModelShape, place: Site, plan: Plan, length: float) -> Plan:
    """The plan if its weights and one sequence fit, else InfeasibleError with what would."""
    room = memory(shape, instance_plan(plan), place.hbm_bytes, length)
    if float(np.mean(room.kv_tokens)) / plan.dp >= length:
        return plan
    need = (room.weights + room.working + room.kv_per_token * length) / 1e9
    have = float(np.mean(room.capacity)) / 1e9
    raise InfeasibleError(
        f"{shape.id} does not fit: {need:.1f} GB per rank (weights {room.weights / 1e9:.1f}, working {room.working / 1e9:.1f}, "
        f"one sequence {room.kv_per_token * length / 1e9:.1f}) of {have:.1f} GB usable on {place.chip}",
        f"at least {int(np.ceil(need / have)) * plan.ranks} ranks, or narrower weights",
    )


def result_of(shape: ModelShape, place: Site, plans: tuple[Plan, Plan], counts: tuple[int, int], outcome: Outcome,
              slo: tuple[Objective, ...]) -> ServeResult:  # fmt: skip
    """Latency, throughput, power, cost and warnings out of a run; ``plans`` of decoding and of prefill."""
    plan, filling = plans
    summary = summarise(outcome, slo)
    disaggregated = counts[0] > 0
    chips = (counts[0] * filling.ranks + counts[1] * plan.ranks) / place.ranks_per_chip
    per_s = float(cost_per_chip_s(place.chip, place.system)) * chips
    power = float(power_per_chip(place.chip, place.system)) * chips * max(summary.utilisation, 0.0)
    share = summary.prefill_share
    tokens_in, tokens_out = summary.input_tokens / summary.duration_s, summary.output_throughput

    def per_mtok(part: float, tokens: float) -> float:
        return 1e6 * per_s * part / tokens if tokens > 0 else float("nan")

    room = memory(shape, plan, place.hbm_bytes, float(np.mean(outcome.requests.isl)))
    stack = place.stack
    roles = (("prefill", filling), ("decode", plan)) if disaggregated else (("both", plan),)
    launch = tuple(launch_command(shape.id, stack, p, role) for role, p in roles)
    return ServeResult(
        shape.id, place.system or place.chip, place.chip, stack, plan, replace(filling, drafts=0, accepted=0.0) if disaggregated else None,
        counts, chips, summary, outcome, room, bound(shape, place, plan, summary, outcome), power,
        power / tokens_out if tokens_out else float("nan"), per_mtok(1.0, tokens_out), per_mtok(share, tokens_in),
        per_mtok(1.0 - share, tokens_out), tuple(warnings_of(summary)), launch, float(place.machine.overhead.request_s), slo, by_priority(outcome, slo),
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
