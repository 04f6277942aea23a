"""Two pools of different chips as the stages of one pipeline: 910B with 910C, H20 with H800.

Both pools keep one tensor- and data-parallel size; the pipeline runs through the stages of the first pool and then of the
second, and the layers are dealt so that the slower chips hold fewer. All plans of a depth and all deals of the layers are
priced together: a stage's time and memory grow by the same amount with every layer, so that two depths price them all.
The fastest are then priced again one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from wafer2token.evidence.errors import InfeasibleError, InputError, Problem
from wafer2token.evidence.sampling import quantiles
from wafer2token.train.calibration import family_of, planner
from wafer2token.train.grid import divisors
from wafer2token.train.job import Array, Asked, check_job, life, settle_job
from wafer2token.train.memory import memory
from wafer2token.train.plan import SCHEDULES, Plan, PlanTable, table
from wafer2token.train.schedules import unequal_seconds
from wafer2token.train.timeline import Timeline, simulate
from wafer2token.workload import ModelShape, with_layers
from wafer2token.workload import model as read_model

PLAYED = ("1f1b", "interleaved", "zero_bubble")
"""Schedules that are planned over unlike stages; DualPipe gives a rank two stages that would not be alike."""
CHUNKS = (1, 2, 3, 4)
MICRO = (1, 2, 4, 8)
REPRICED = 40


@dataclass(frozen=True)
class Pool:
    """What one pool does in a plan: its stages, the layers of each, and seconds per micro-batch of one stage."""

    on: str
    chips: int
    stages: int
    layers_per_stage: int
    stage_s: float
    memory_bytes: float


@dataclass(frozen=True)
class MixedPlan:
    """One plan over two pools with what it takes (central case)."""

    plan: Plan
    pools: tuple[Pool, ...]
    step_time_s: float
    thirds: tuple[tuple[float, float, float], ...]  # forward, input gradient, weight gradient of each pool's stage
    after_s: float  # hand-overs, gradient exchange and optimizer

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"plan": str(self.plan), "pools": [vars(p) for p in self.pools], "step_time_s": self.step_time_s}

    def timeline(self, micro_batches: int = 64) -> Timeline:
        """The pipeline played out, every stage with the times of its pool."""
        micro = min(max(micro_batches // self.plan.pp, 1) * self.plan.pp, self.plan.micro_batches)
        f, b, w = (
            [t[i] for pool, t in zip(self.pools, self.thirds, strict=True) for _ in range(pool.stages)]
            for i in range(3)
        )
        return simulate(SCHEDULES[self.plan.schedule], self.plan.pp, micro, f, b, w, self.plan.vpp)


@dataclass(frozen=True)
class MixedResult:
    """The answer over two pools. Arrays run over samples (one element for the central case)."""

    model: str
    tokens: float
    seq_len: int
    global_batch: int
    precision: str
    plan: Plan
    pools: tuple[Pool, ...]
    best: tuple[MixedPlan, ...]
    tried: int
    fitting: int
    step_time_s: Array
    tokens_per_s: Array
    goodput: Array
    days: Array
    energy_j: Array
    cost_usd: Array
    samples: int | None
    seed: int
    assumed: tuple[str, ...] = field(default=())

    def quantiles(self, name: str) -> tuple[float, float, float]:
        """p5, p50, p95 of one of the arrays."""
        p5, p50, p95 = np.percentile(np.asarray(getattr(self, name)), [5, 50, 95])
        return float(p5), float(p50), float(p95)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: quantiles in place of samples."""
        inputs = ("model", "tokens", "seq_len", "global_batch", "precision", "samples", "seed")
        names = ("step_time_s", "tokens_per_s", "goodput", "days", "energy_j", "cost_usd")
        out: dict[str, Any] = {name: getattr(self, name) for name in inputs}
        out |= {"plan": self.plan.to_dict(), "pools": [vars(p) for p in self.pools]}
        out |= {"plans_tried": self.tried, "plans_fitting": self.fitting}
        out |= {name: dict(zip(("p5", "p50", "p95"), self.quantiles(name), strict=True)) for name in names}
        return out | {"best": [p.to_dict() for p in self.best], "assumed": list(self.assumed)}


def train_mixed(
    model: str | ModelShape,
    pools: Mapping[str, int],
    tokens: float = 15e12,
    samples: int | None = 400,
    seed: int = 0,
    seq_len: int | None = None,
    global_batch: int | None = None,
    dtype: str | None = None,
    imbalance: float = 1.0,
    gradients: str | None = None,
    moments: str | None = None,
    top: int = 5,
    assume: bool = False,
) -> MixedResult:
    """The fastest plans that span two pools, under 1F1B, interleaved and zero-bubble schedules.

    Args:
        pools: system or chip id -> chips, two of them, in the order of the pipeline.

    Raises:
        InputError: not two pools. InfeasibleError: no common size divides both, or nothing fits.
    """
    if len(pools) != 2 or min(pools.values()) < 1:
        raise InputError(
            Problem("a mixed pipeline spans two pools of at least one chip", "--on", dict(pools), "A+B with chips N+M")
        )
    check_job(sum(pools.values()), tokens, imbalance, samples)
    shape = read_model(model)
    asked = [
        settle_job(
            shape, on, chips, tokens, dtype, seq_len, global_batch, imbalance, None, assume, None, gradients, moments
        )
        for on, chips in pools.items()
    ]
    batch = global_batch or max(a.global_batch for a in asked)
    asked = [replace(a, global_batch=batch) for a in asked]
    found, tried, fitting = _fastest(asked)
    if not found:
        named = " and ".join(f"{a.chips} x {a.on}" for a in asked)
        raise InfeasibleError(
            f"no plan spans {named}" + (f"; none of {tried:,} fits in memory" if tried else ""), _nearest(asked, tried)
        )
    assumed = tuple(dict.fromkeys(text for a in asked for text in a.assumed))
    steps = _sampled(asked, found[0], samples, seed)
    rate = batch * asked[0].seq_len / steps
    return MixedResult(
        shape.id, float(tokens), asked[0].seq_len, batch, asked[0].dtype, found[0].plan, found[0].pools,
        tuple(found[:top]), tried, fitting, steps, rate, samples=samples, seed=seed, assumed=assumed,
        **_together(asked, tokens, rate, samples, seed),
    )  # fmt: skip


def _nearest(asked: list[Asked], tried: int) -> str:
    if tried:
        return f"{2 * asked[0].chips}+{2 * asked[1].chips} chips, or a smaller model"
    return "numbers of chips with a large common divisor, and a batch that it divides"


def _fastest(asked: list[Asked]) -> tuple[list[MixedPlan], int, int]:
    """The fastest plans, distinct in how they cut the model; how many were priced and how many fit."""
    candidates: list[tuple[float, Plan, int, tuple[int, int]]] = []
    tried = fitting = 0
    for cut in divisors(math.gcd(*(a.ranks for a in asked))):
        stages = [a.ranks // cut for a in asked]
        if sum(stages) > asked[0].shape.num_hidden_layers:
            continue
        for chunks in CHUNKS:
            plans = _plans(asked, cut, sum(stages), chunks)
            if plans:
                seconds, fits, deals = _deals_priced(asked, stages, table(plans), chunks)
                tried, fitting = tried + seconds.size, fitting + int(fits.sum())
                order = np.argsort(np.where(fits, seconds, np.inf), axis=None, kind="stable")[:REPRICED]
                for deal, row in zip(*np.unravel_index(order, seconds.shape), strict=True):
                    if fits[deal, row]:
                        candidates.append((float(seconds[deal, row]), plans[row], int(deal), deals[deal]))
    candidates.sort(key=lambda c: c[0])
    exact = [priced for _, plan, _, each in candidates[:REPRICED] if (priced := _exact(asked, plan, each)) is not None]
    exact.sort(key=lambda p: p.step_time_s)
    seen: dict[tuple[int, ...], MixedPlan] = {}
    for p in exact:
        seen.setdefault((p.plan.tp, p.plan.pp, p.plan.ep, p.plan.recompute, p.plan.schedule), p)
    return list(seen.values()), tried, fitting


def _plans(asked: list[Asked], cut: int, depth: int, chunks: int) -> list[Plan]:
    """Plans with ``cut`` ranks per stage: every tp * dp, ep, micro-batch, recomputation and schedule that divide."""
    shape, batch = asked[0].shape, asked[0].global_batch
    schedules = (
        [SCHEDULES.index("interleaved")] if chunks > 1 else [SCHEDULES.index(n) for n in PLAYED if n != "interleaved"]
    )
    largest = min(a.place.domain for a in asked)
    out = []
    for tp in divisors(cut):
        if tp > largest or shape.num_attention_heads % tp or shape.hidden_size % tp:
            continue
        experts = [e for e in (divisors(shape.n_routed_experts) if shape.is_moe else [1]) if cut % e == 0]
        for b, ep, r, schedule in product(MICRO, experts, (0, 1, 2), schedules):
            m, rest = divmod(batch, cut // tp * b)
            if rest == 0 and (chunks == 1 or m % depth == 0):
                fields: dict[str, Any] = {
                    "tp": tp,
                    "pp": depth,
                    "dp": cut // tp,
                    "ep": ep,
                    "vpp": chunks,
                    "recompute": r,
                }
                fields |= {"micro_batch": b, "micro_batches": m, "schedule": schedule, "sequence_parallel": tp > 1}
                out.append(Plan(**fields, precision=asked[0].dtype))
    return out


@dataclass(frozen=True)
class _Stage:
    """A pool's stage with some layers: arrays over plans."""

    forward: Array
    backward: Array
    weight: Array
    after: Array
    hops: Array
    need: Array


def _stage(asked: Asked, rows: PlanTable, layers: int, held: Array) -> _Stage:
    """A stage of ``layers`` layers; ``held`` is the share of the first stage's micro-batches in flight that this pool keeps."""
    depth = int(rows.pp[0])
    shape = with_layers(asked.shape, layers * depth)
    step = asked.time_of(rows, shape)
    parts = memory(shape, rows, asked.seq_len, asked.state, scores=not asked.how.software.fused_attention)
    need = np.asarray(parts.total - parts.activations * (1 - held))
    each = (step.compute + step.tensor + step.expert + step.context) / rows.micro_batches
    return _Stage(
        np.asarray(step.forward), np.asarray(step.backward), np.asarray(each) / 3,
        np.asarray(step.data + step.optimizer + step.other), np.asarray(step.pipeline), need,
    )  # fmt: skip


def _deals_priced(
    asked: list[Asked], stages: list[int], rows: PlanTable, chunks: int
) -> tuple[Array, Array, list[tuple[int, int]]]:
    """Seconds per step and whether they fit, of every deal of the layers (axis 0) under every plan (axis 1)."""
    total = asked[0].shape.num_hidden_layers
    deals = [
        (first, second)
        for first in range(chunks, total // stages[0] + chunks, chunks)
        if (second := -(-(total - first * stages[0]) // (stages[1] * chunks)) * chunks) >= chunks
    ]
    if not deals:
        return np.zeros((0, len(rows))), np.zeros((0, len(rows)), bool), deals
    counts = np.array(deals, float).T[:, :, None]
    pools = []
    for i, a in enumerate(asked):
        one, two = (_stage(a, rows, n * chunks, _held(stages, i)) for n in (1, 2))
        grown = [
            getattr(one, name) + (counts[i] / chunks - 1) * (getattr(two, name) - getattr(one, name))
            for name in ("forward", "backward", "weight", "after", "hops", "need")
        ]
        pools.append(_Stage(*grown))
    seconds = _step(rows, stages, pools)
    reserve = 1 - planner("memory_reserve")
    fits = np.logical_and.reduce([p.need <= a.place.memory_bytes * reserve for p, a in zip(pools, asked, strict=True)])
    return seconds, np.asarray(fits), deals


def _held(stages: list[int], pool: int) -> Any:
    """Micro-batches in flight on a pool's first stage over those on the pipeline's first."""
    return (sum(stages) - (stages[0] if pool else 0)) / sum(stages)


def _step(rows: PlanTable | Plan, stages: list[int], pools: list[_Stage], spread: Any = (1.0, 1.0)) -> Array:
    """Seconds of a step: the pipeline over unlike stages, then the slower pool's gradient exchange and optimizer."""
    times = [s * (p.forward + p.backward) for s, p in zip(spread, pools, strict=True)]
    slowest = np.maximum(*times)
    whole = sum(n * t for n, t in zip(stages, times, strict=True))
    weights = [n * s * p.weight for n, s, p in zip(stages, spread, pools, strict=True)]
    of_slowest = np.where(times[0] >= times[1], spread[0] * pools[0].weight, spread[1] * pools[1].weight)
    filled = 2 * np.maximum(sum(weights) - of_slowest, 0.0)
    piped = unequal_seconds(rows.schedule, rows.micro_batches, rows.vpp, whole, slowest, filled)
    after = np.maximum(*(s * p.after for s, p in zip(spread, pools, strict=True)))
    return np.asarray(piped + np.maximum(pools[0].hops, pools[1].hops) + after)


def _exact(asked: list[Asked], plan: Plan, each: tuple[int, int]) -> MixedPlan | None:
    """One plan with its layers as dealt; None where it does not fit after all."""
    stages = [a.ranks // (plan.tp * plan.dp) for a in asked]
    rows = table([plan])
    pools = [_stage(a, rows, n, _held(stages, i)) for i, (a, n) in enumerate(zip(asked, each, strict=True))]
    reserve = 1 - planner("memory_reserve")
    if any(float(p.need[0]) > a.place.memory_bytes * reserve for p, a in zip(pools, asked, strict=True)):
        return None
    seconds = float(_step(rows, stages, pools)[0])
    used = tuple(
        Pool(a.on, a.chips, n, k, float(p.forward[0] + p.backward[0]), float(p.need[0]))
        for a, n, k, p in zip(asked, stages, each, pools, strict=True)
    )
    thirds = tuple((float(p.forward[0]), float(p.backward[0] - p.weight[0]), float(p.weight[0])) for p in pools)
    after = float(max(p.after[0] for p in pools) + max(p.hops[0] for p in pools))
    return MixedPlan(plan, used, seconds, thirds, after)


def _sampled(asked: list[Asked], best: MixedPlan, samples: int | None, seed: int) -> Array:
    """Step times over samples: each pool's stages spread as predictions for its chips do, half of it common to both."""
    if samples is None:
        return np.array([best.step_time_s])
    from scipy.special import ndtri

    common = ndtri(quantiles("train.step", samples, seed))
    spread = [
        np.exp(
            a.how.spread
            * np.sqrt(0.5)
            * (common + ndtri(quantiles(f"train.{family_of(a.place.chip)}.step", samples, seed)))
        )
        for a in asked
    ]
    each = [p.layers_per_stage for p in best.pools]
    stages = [p.stages for p in best.pools]
    rows = table([best.plan])
    pools = [_stage(a, rows, n, _held(stages, i)) for i, (a, n) in enumerate(zip(asked, each, strict=True))]
    return np.asarray(_step(rows, stages, pools, spread))


def _together(asked: list[Asked], tokens: float, rate: Array, samples: int | None, seed: int) -> dict[str, Array]:
    """Useful share of the time, days, energy and cost of both pools: a failure in either stops the job."""
    lives = [life(a.place, a.chips, tokens, rate, samples, seed) for a in asked]
    goodput = np.prod([v["goodput"] for v in lives], axis=0)
    out = {"goodput": goodput, "days": tokens / rate / goodput / 86400.0}
    for name in ("energy_j", "cost_usd"):
        out[name] = sum(v[name] * v["goodput"] for v in lives) / goodput
    return out
