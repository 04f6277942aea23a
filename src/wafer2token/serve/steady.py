"""Steady state of disaggregated serving: prefill and decode tokens per second and chip at a time per output token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wafer2token.catalog import get
from wafer2token.chip.fits import platform
from wafer2token.evidence.errors import InfeasibleError, InputError, Problem
from wafer2token.workload import ModelShape, dtype_bytes, kv_bytes_per_token, model

from .machine import Site, chip_of, site
from .memory import Memory, memory
from .money import cost_per_chip_s, usd_per_mtok
from .plan import Plan, checked
from .spread import widened
from .steptime import decode_step_time, prefill_step_time

F = NDArray[np.float64]
EXPERT_RANKS = (8, 16, 32, 48, 64, 72, 96, 128, 144, 256, 320)
TENSOR_RANKS = (1, 2, 4, 8, 16)
PROMPT_TOKENS = 16384.0


@dataclass(frozen=True)
class SteadyState:
    """What one chip serves in the long run, as arrays [samples] (one entry for the central case).

    ``feasible`` says which samples meet the time per output token; rates are 0 and costs nan where they do not.
    Costs are per million tokens; ``cost_per_mtok_usd`` spreads the whole request over its output tokens.
    """

    model: str
    on: str
    chip: str
    isl: int
    osl: int
    slo_tpot_s: float
    plan: Plan
    prefill_plan: Plan
    ranks_per_chip: int
    prefill_tokens_per_s_per_chip: F
    decode_tokens_per_s_per_chip: F
    tpot_s: F
    batch_per_rank: F
    kv_limited: NDArray[np.bool_]
    feasible: NDArray[np.bool_]
    cost_per_mtok_usd: F
    cost_per_mtok_input_usd: F
    cost_per_mtok_output_usd: F
    memory: Memory
    decode_bound_by: str
    prefill_bound_by: str
    prefill_to_decode_chips: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values; arrays as p5, p50 and p95."""
        out: dict[str, Any] = {}
        for name, value in self.__dict__.items():
            if isinstance(value, np.ndarray) and value.dtype == np.float64:
                p5, p50, p95 = (None if np.isnan(x) else float(x) for x in _percentiles(value))
                out[name] = {"p5": p5, "p50": p50, "p95": p95}
            elif isinstance(value, np.ndarray):
                out[name] = float(np.mean(value))
            elif isinstance(value, Plan):
                out[name] = value.to_dict()
            elif isinstance(value, Memory):
                out[name] = {"weights_bytes": value.weights, "working_bytes": value.working,
                             "free_bytes": float(np.mean(value.free)), "kv_bytes_per_token": value.kv_per_token,
                             "fits": value.fits}  # fmt: skip
            else:
                out[name] = value
        return out


def _percentiles(values: F) -> tuple[float, float, float]:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return (float("nan"),) * 3
    p = np.percentile(known, [5, 50, 95])
    return float(p[0]), float(p[1]), float(p[2])


def steady_state(
    model_id: str | ModelShape, on: str, isl: int = 4096, osl: int = 1024, slo_tpot_s: float = 0.05,
    plan: Plan | None = None, samples: int | None = None, seed: int = 0, stack: str | None = None,
    prefix_hit: float = 0.0, cache_link: float = math.inf,
) -> SteadyState:  # fmt: skip
    """Prefill and decode in separate pools, each as full as memory and the time per output token allow.

    Args:
        model_id: model card, Hugging Face id or path of a config.json.
        on: system or chip.
        isl, osl: tokens in and out of a request.
        slo_tpot_s: time per output token that decoding must keep [s].
        plan: of the decoding instance; None: the best of those with the usual expert- or tensor-parallel sizes.
        samples: draw this many; None for the central case (arrays of one).
        stack: serving engine; None for the one of the platform's published large deployments.
        prefix_hit: share of the prompt found in the prefix cache.
        cache_link: rate at which a rank loads cached prompts before it computes [B/s]; infinite where they lie in its memory.

    Raises:
        InfeasibleError: the model fits no plan, or none keeps ``slo_tpot_s``; names the nearest.
    """
    if isl < 1 or osl < 1 or not slo_tpot_s > 0 or not 0 <= prefix_hit < 1 or not cache_link > 0:
        raise InputError(Problem("lengths, limit and link must be above zero, prefix_hit in [0, 1)", got=(isl, osl, slo_tpot_s, prefix_hit, cache_link)))
    shape = model(model_id)
    stack = stack or dedicated_stack(on)
    centre = site(on, stack)
    plans = [checked(plan, shape)] if plan else candidates(shape, centre)
    best = _best(shape, centre, plans, isl, osl, slo_tpot_s)
    place = site(on, stack, samples, seed) if samples is not None else centre
    room = memory(shape, best, place.hbm_bytes, isl + osl)
    batch, tpot, bound = best_batch(shape, place, best, isl, osl, slo_tpot_s, seed)
    ok = batch > 0
    decode = np.where(ok, batch / np.where(ok, tpot, 1.0), 0.0) * place.ranks_per_chip / (best.tp * best.pp)
    filling = prefill_plan(best)
    prefill, prefill_bound = _prefill_rate(shape, place, filling, isl, prefix_hit, cache_link, seed)
    money = cost_per_chip_s(place.chip, place.system, samples, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        paid_in, paid_out = usd_per_mtok(money, prefill), usd_per_mtok(money, np.where(ok, decode, np.nan))
        ratio = (isl / prefill) / (osl / np.where(ok, decode, np.nan))
    size = batch.shape
    return SteadyState(
        shape.id, place.system or place.chip, place.chip, isl, osl, slo_tpot_s, best, filling, place.ranks_per_chip,
        np.broadcast_to(prefill, size), decode, np.where(ok, tpot, np.nan), batch / (best.tp * best.pp),
        np.asarray(batch >= 0.999 * _most(room, best, isl, osl)) & ok, ok,
        np.broadcast_to(paid_out + paid_in * isl / osl, size), np.broadcast_to(paid_in, size),
        np.broadcast_to(paid_out, size), room, bound, prefill_bound, float(np.nanmedian(ratio)) if ok.any() else float("nan"),
    )  # fmt: skip


DEDICATED = {"cuda": "sglang", "cann": "torchair"}
"""The engine in which a platform's large disaggregated deployments were published (LMSYS, CANN recipes)."""


def dedicated_stack(on: str) -> str | None:
    """The engine of large deployments on the platform of a system or chip; None where none was published."""
    return DEDICATED.get(platform(get("chip", chip_of(on)).vendor))


def prefill_plan(plan: Plan) -> Plan:
    """The plan of the prefill pool beside a decoding plan: the same split over fewer expert ranks, no drafts."""
    if plan.ep <= 1:
        return replace(plan, drafts=0, accepted=0.0)
    ep = min(plan.ep, 32)
    return replace(plan, dp=ep * plan.expert_tp // plan.tp, ep=ep, drafts=0, accepted=0.0, overlap=True)


def usual_formats(shape: ModelShape, place: Site) -> dict[str, Any]:
    """Weights in eight bits where the chip computes in them, else 16; the cache in 16 bits."""
    peaks = place.machine.acc.peaks
    weights = next((f for f in ("fp8", "int8") if f in peaks), "bf16")
    return {"weights": weights, "activations": weights, "kv": "bf16"}


def candidates(shape: ModelShape, place: Site) -> list[Plan]:
    """The plans to choose from when none is given: expert parallel with data-parallel attention, or tensor parallel."""
    card = get("calibration", "speculation")
    formats = usual_formats(shape, place)
    drafts = 1 if shape.num_nextn_predict_layers else 0
    common: dict[str, Any] = {**formats, "drafts": drafts, "accepted": float(card.ratios["one_draft"]) * drafts}
    fab = place.machine.fab
    most = np.inf if np.all(np.asarray(fab.scale_out.bandwidth) > 0) else fab.ranks
    out = []
    if shape.is_moe and shape.n_routed_experts >= 64:
        spread = float(get("calibration", "expert_balance").ratios["served"])
        for ep in EXPERT_RANKS:
            if ep <= most:
                out.append(Plan(dp=ep, ep=ep, imbalance=spread, max_num_seqs=ep * 256, max_num_batched_tokens=8192, **common))
    for tp in TENSOR_RANKS:
        if tp <= min(most, shape.num_attention_heads):
            out.append(Plan(tp=tp, max_num_seqs=1024, **common))
    return [checked(p, shape) for p in out]


def _best(shape: ModelShape, place: Site, plans: Sequence[Plan], isl: int, osl: int, slo: float) -> Plan:
    """The plan with most decoded tokens per chip in the central case."""
    best, most = None, 0.0
    nearest, least = "", np.inf
    fitting = 0
    for plan in plans:
        room = memory(shape, plan, place.hbm_bytes, isl + osl)
        if not room.fits or _most(room, plan, isl, osl) < 1:
            continue
        fitting += 1
        batch, tpot, _ = best_batch(shape, place, plan, isl, osl, slo)
        rate = float(batch[0] / tpot[0]) / (plan.tp * plan.pp) if batch[0] > 0 else 0.0
        if rate > most:
            best, most = plan, rate
        floor = float(np.ravel(_tpot(shape, place, plan, np.ones((1, 1)), isl, osl))[0])
        if floor < least:
            nearest, least = f"{floor * 1e3:.3g} ms per token with {_label(plan)} at one sequence per rank", floor
    if best is None and fitting == 0:
        need = min(memory(shape, p, place.hbm_bytes, isl + osl).weights for p in plans)
        raise InfeasibleError(f"{shape.id} fits no plan on {place.system or place.chip}",
                              f"{need / 1e9:.3g} GB of weights per rank of {float(np.mean(place.hbm_bytes)) / 1e9:.3g} GB")  # fmt: skip
    if best is None:
        raise InfeasibleError(f"{shape.id} on {place.system or place.chip}: no plan keeps {slo * 1e3:g} ms per token", nearest)
    return best


def _label(plan: Plan) -> str:
    return f"tp{plan.tp} pp{plan.pp} dp{plan.dp} ep{plan.ep} {plan.weights}"


def _most(room: Memory, plan: Plan, isl: int, osl: int) -> Any:
    """Sequences per attention replica that memory holds, at their mean length while they decode."""
    return np.minimum(room.kv_tokens / plan.dp / (isl + 0.5 * osl), 4096.0)


def _tpot(shape: ModelShape, place: Site, plan: Plan, batch: F, isl: int, osl: int) -> F:
    """Time per output token [samples, k] for ``batch`` [samples or 1, k] sequences per attention replica."""
    step = decode_step_time(shape, place.machine, plan, batch * plan.dp, np.full(batch.shape, isl + 0.5 * osl))
    return np.asarray(step.total / plan.tokens_per_step)


def best_batch(shape: ModelShape, place: Site, plan: Plan, isl: int, osl: int, slo: float, seed: int = 0) -> tuple[F, F, str]:
    """(sequences per attention replica, time per token [s], what bounds it): the largest batch within limit and memory.

    Arrays [samples]; 0 where not even one sequence keeps the limit.
    """
    most = np.atleast_1d(np.asarray(_most(memory(shape, plan, place.hbm_bytes, isl + osl), plan, isl, osl), float))
    grid = np.geomspace(1.0, max(float(most.max()), 1.0 + 1e-9), 40)
    kv = np.full(grid.shape, isl + 0.5 * osl)
    step = decode_step_time(shape, place.machine, plan, grid * plan.dp, kv)
    tpot = np.atleast_2d(np.asarray(step.total / plan.tokens_per_step))
    samples = max(len(tpot), len(most))
    tpot = np.broadcast_to(tpot, (samples, len(grid)))
    tpot = tpot * widened(tpot[:, len(grid) // 2], "decode", "disaggregated", seed)[:, None]
    limit = np.broadcast_to(most, samples)
    batch = np.array([_crossing(grid, row, slo) for row in tpot])
    batch = np.where(limit >= 1, np.minimum(batch, limit), 0.0)
    at = np.array([np.interp(b, grid, row) if b > 0 else row[0] for b, row in zip(batch, tpot, strict=True)])
    middle = int(np.argmin(np.abs(grid - np.median(batch))))
    return batch, at, step.at(middle).bound_by()


def _crossing(grid: F, tpot: F, slo: float) -> float:
    """Largest batch whose time is within the limit, between grid points by interpolation."""
    inside = np.flatnonzero(tpot <= slo)
    if len(inside) == 0:
        return 0.0
    i = int(inside[-1])
    if i + 1 == len(grid) or tpot[i + 1] <= tpot[i]:
        return float(grid[i])
    return float(grid[i] + (grid[i + 1] - grid[i]) * (slo - tpot[i]) / (tpot[i + 1] - tpot[i]))


def _prefill_rate(shape: ModelShape, place: Site, plan: Plan, isl: int, prefix_hit: float, cache_link: float, seed: int = 0) -> tuple[F, str]:
    """Prompt tokens per second and chip (cached ones counted), every rank busy with prompts of about 16k tokens a step."""
    new = isl * (1.0 - prefix_hit)
    prompts = max(PROMPT_TOKENS / isl, 1.0) * plan.dp
    q = min(new, PROMPT_TOKENS)
    step = prefill_step_time(shape, place.machine, plan, np.array([prompts]), np.array([q]), np.array([isl - q]) if q < new else np.array([isl - new]))
    total = np.atleast_1d(np.asarray(step.total)[..., 0])
    total = total * widened(total, "prefill", "disaggregated", seed)
    tokens = prompts * q / (1.0 - prefix_hit)
    loaded = tokens * prefix_hit * kv_bytes_per_token(shape, dtype_bytes(plan.kv)) / plan.dp / plan.tp
    total = total + loaded / cache_link
    return np.atleast_1d(tokens / total / plan.ranks * place.ranks_per_chip), step.bound_by()
