"""``train``: a model on a machine, as one answer: the plan, its step, utilisation, days with failures, energy, cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wafer2token.chip import matmul_time
from wafer2token.evidence.errors import InfeasibleError, InputError
from wafer2token.evidence.number import Number
from wafer2token.evidence.sampling import draw
from wafer2token.train.calibration import Calibrated, family_of
from wafer2token.train.job import Asked, check_job, dense_peak, flops_per_token, life, peak_ratios, settle_job
from wafer2token.train.layer import gemm_dtype
from wafer2token.train.memory import GIB, heaviest_stage
from wafer2token.train.parse import Stated, complete, read_plan, settle, why_illegal
from wafer2token.train.plan import OFFLOADS, RECOMPUTE, Plan, PlanTable, table
from wafer2token.train.search import Found, Space, search
from wafer2token.train.step import parts_of_step, step_time
from wafer2token.workload import ModelShape, train_flops_per_token
from wafer2token.workload import model as read_model

Array = npt.NDArray[np.float64]
FEWER = (2, 4, 8)
MEMORY = ("weights", "gradients", "optimizer", "activations", "temporary", "total")
PARTS = (
    "compute",
    "recompute",
    "tensor",
    "context",
    "expert",
    "data",
    "pipeline",
    "bubble",
    "offload",
    "optimizer",
    "other",
)


@dataclass(frozen=True)
class PlanResult:
    """One plan with what it takes (central case)."""

    plan: Plan
    step_time_s: float
    memory_bytes: float
    mfu: float
    tokens_per_s: float
    parts_s: Mapping[str, float]
    forward_s: float  # of one micro-batch on the slowest stage, with what communication is not hidden
    backward_s: float

    def against(self, best: PlanResult) -> dict[str, float]:
        """Seconds by which each part of the step is longer (negative: shorter) than in another plan, largest first."""
        gaps = {name: seconds - best.parts_s[name] for name, seconds in self.parts_s.items()}
        return dict(sorted(gaps.items(), key=lambda item: -abs(item[1])))

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "plan": str(self.plan),
            "step_time_s": self.step_time_s,
            "ranks": self.plan.ranks,
            "memory_gib": self.memory_bytes / GIB,
            "mfu": self.mfu,
            "tokens_per_s": self.tokens_per_s,
            "parts_s": dict(self.parts_s),
        }


@dataclass(frozen=True)
class TrainResult:
    """The answer of ``train``. Arrays run over samples (one element for the central case, ``samples=None``)."""

    model: str
    on: str
    chip: str
    chips: int
    tokens: float
    seq_len: int
    global_batch: int
    precision: str
    plan: Plan
    best: tuple[PlanResult, ...]
    pareto: tuple[PlanResult, ...]
    tried: int
    fitting: int
    step_time_s: Array
    tokens_per_s: Array
    mfu: Mapping[str, Array]
    goodput: Array
    days: Array
    interruptions_per_day: Array
    energy_j: Array
    cost_usd: Array
    spare_nodes: Array
    slow_loss: Array
    memory_bytes: Mapping[str, float]
    room_bytes: float
    stack: str
    spread: float
    points: int
    cards: tuple[str, ...]
    imbalance: float
    samples: int | None
    seed: int
    assumed: tuple[str, ...] = field(default=())

    def quantiles(self, name: str) -> tuple[float, float, float]:
        """p5, p50, p95 of one of the arrays."""
        values = np.asarray(getattr(self, name))
        p5, p50, p95 = np.percentile(values, [5, 50, 95])
        return float(p5), float(p50), float(p95)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: quantiles in place of samples."""
        names = (
            "step_time_s", "tokens_per_s", "goodput", "days", "interruptions_per_day", "spare_nodes", "slow_loss",
            "energy_j", "cost_usd",
        )  # fmt: skip
        inputs = (
            "model", "on", "chip", "chips", "tokens", "seq_len", "global_batch", "precision", "imbalance", "samples",
            "seed",
        )  # fmt: skip
        out: dict[str, Any] = {name: getattr(self, name) for name in inputs} | {
            "plan": self.plan.to_dict(),
            "plans_tried": self.tried,
            "plans_fitting": self.fitting,
        }
        out |= {name: dict(zip(("p5", "p50", "p95"), self.quantiles(name), strict=True)) for name in names}
        out["mfu"] = {
            k: dict(zip(("p5", "p50", "p95"), map(float, np.percentile(v, [5, 50, 95])), strict=True))
            for k, v in self.mfu.items()
        }
        out["memory_gib"] = {k: v / GIB for k, v in self.memory_bytes.items()} | {"room": self.room_bytes / GIB}
        out["best"] = [r.to_dict() | {"against_best_s": r.against(self.best[0])} for r in self.best]
        out["pareto"] = [r.to_dict() for r in self.pareto]
        return out | {
            "stack": self.stack,
            "spread_ln": self.spread,
            "calibration_points": self.points,
            "cards": list(self.cards),
            "assumed": list(self.assumed),
        }


def train(
    model: str | ModelShape,
    on: str,
    chips: int,
    tokens: float,
    plan: str | Plan | None = None,
    samples: int | None = 400,
    seed: int = 0,
    dtype: str | None = None,
    seq_len: int | None = None,
    global_batch: int | None = None,
    imbalance: float = 1.0,
    gradients: str | None = None,
    moments: str | None = None,
    stack: str | None = None,
    space: Space | None = None,
    top: int = 5,
    assume: bool = False,
) -> TrainResult:
    """Train ``model`` on ``chips`` chips of ``on`` for ``tokens`` tokens.

    Args:
        model: card id, Hugging Face id, path to a config.json, or a shape.
        on: system or chip id.
        chips: chips as sold (a 910C counts once).
        plan: ``"tp=8,pp=16"``, framework flags, a launch script (.sh) or a configuration (.json, .toml); None searches
            all legal plans. Batch, sequence length and number format that it states stand in where the call leaves them open.
        samples: draws of what is uncertain; None for the central case alone.
        dtype: bf16, fp16, fp8, mxfp8, nvfp4; None for what the plan states, else bf16.
        seq_len, global_batch: tokens per sequence and sequences per step; stated in ``assumed`` when left open.
        imbalance: load of the busiest expert rank over the mean.
        gradients, moments: formats of the gradients (fp32, bf16) and of Adam's moments (fp32, bf16, fp8); None for what the
            plan states, else fp32.
        stack: training stack; None for the vendor's usual one.
        assume: go on where the evidence is too weak to answer.

    Raises:
        InputError: unknown names, sizes that do not divide, zero tokens. InfeasibleError: nothing fits.
        EvidenceError: a chip without the rates that a step needs, or without any calibration, unless ``assume``.
    """
    check_job(chips, tokens, imbalance, samples)
    shape = read_model(model)
    stated = read_plan(plan) if isinstance(plan, str) else None
    asked = settle_job(
        shape, on, chips, tokens, dtype, seq_len, global_batch, imbalance, stack, assume, stated, gradients, moments
    )
    if plan is not None:
        results = _results(asked, [_given(stated or plan, asked)])
        return _answer(asked, results, results, 1, 1, samples, seed, top)
    found = _search(asked, asked.ranks, space)
    results = _results(asked, _rows(found.plans))
    others = _results(asked, _rows(found.frontier)) + _fewer_chips(asked, space)
    return _answer(asked, results, others, found.tried, found.fitting, samples, seed, top)


def _rows(plans: PlanTable) -> list[Plan]:
    return [plans.row(i) for i in range(len(plans))]


def _search(asked: Asked, ranks: int, space: Space | None) -> Found:
    return search(
        asked.shape,
        asked.place,
        ranks,
        asked.global_batch,
        asked.seq_len,
        asked.how.software,
        asked.dtype,
        space,
        imbalance=asked.imbalance,
        state=asked.state,
    )


def _fewer_chips(asked: Asked, space: Space | None) -> list[PlanResult]:
    """Plans of the same job on a half, a quarter and an eighth of the chips, where they fit."""
    out = []
    for part in FEWER:
        if asked.chips % part == 0:
            try:
                out += _results(asked, _rows(_search(asked, asked.ranks // part, space).frontier))
            except InfeasibleError:
                break
    return out


def _answer(
    asked: Asked,
    results: list[PlanResult],
    others: list[PlanResult],
    tried: int,
    fitting: int,
    samples: int | None,
    seed: int,
    top: int,
) -> TrainResult:
    """The answer around the fastest plan, drawn over samples; the frontier is drawn from it and others."""
    place, how, best = asked.place, asked.how, results[0]
    ratio = peak_ratios(place, asked.dtype, samples, seed)
    steps = _sampled(asked, best, ratio, samples, seed)
    rate = asked.global_batch * asked.seq_len / steps
    peak = dense_peak(place, asked.dtype) * ratio[gemm_dtype(place.acc, asked.dtype)] * asked.ranks
    whole = life(place, asked.chips, asked.tokens, rate, samples, seed)
    mem = asked.bytes_of(best.plan)
    return TrainResult(
        model=asked.shape.id,
        on=asked.on,
        chip=place.chip,
        chips=asked.chips,
        tokens=asked.tokens,
        seq_len=asked.seq_len,
        global_batch=asked.global_batch,
        precision=asked.dtype,
        plan=best.plan,
        best=tuple(_distinct(results, top)),
        pareto=tuple(_pareto(results[:1] + others)),
        tried=tried,
        fitting=fitting,
        step_time_s=steps,
        tokens_per_s=rate,
        mfu={name: rate * flops / peak for name, flops in flops_per_token(asked.shape, asked.seq_len).items()},
        **whole,
        memory_bytes={n: float(getattr(mem, n)) for n in MEMORY},
        room_bytes=place.memory_bytes,
        stack=how.stack,
        spread=how.spread,
        points=how.points,
        cards=how.cards,
        imbalance=asked.imbalance,
        samples=samples,
        seed=seed,
        assumed=asked.assumed,
    )


def _given(plan: Stated | Plan | str, asked: Asked) -> Plan:
    """The plan that the user gave, checked to fit."""
    if isinstance(plan, Plan):
        chosen = plan
    else:
        stated = read_plan(plan) if isinstance(plan, str) else plan
        fields = settle(stated, asked.shape.num_hidden_layers, asked.ranks, asked.place.node)
        problems = why_illegal(fields, asked.shape, asked.seq_len)
        try:
            chosen = complete(fields | {"precision": asked.dtype}, asked.ranks, asked.global_batch)
        except InputError as error:
            raise InputError(problems + list(error.problems)) from None
        if problems:
            raise InputError(problems)
    need, room = float(asked.bytes_of(chosen).total), asked.place.memory_bytes
    if need > room:
        stage = heaviest_stage(asked.shape, chosen, asked.seq_len, asked.state, not asked.how.software.fused_attention)
        raise InfeasibleError(
            f"{chosen} needs {need / GIB:.1f} GiB of {room / GIB:.1f} GiB on stage {stage}",
            _instead(asked, chosen, room),
        )
    return chosen


def _instead(asked: Asked, plan: Plan, room: float) -> str:
    """Plans that fit: the given one with a single change where one helps, and the best that the search finds."""
    changes = (
        {"recompute": RECOMPUTE.index("selective")},
        {"recompute": RECOMPUTE.index("full")},
        {"zero": 1},
        {"zero": 2},
        {"zero": 3},
        {"offload": plan.offload | 1},
        {"offload": 2 ** len(OFFLOADS) - 1},
    )
    tried = (replace(plan, **change) for change in changes)
    near = next((p for p in tried if p != plan and float(asked.bytes_of(p).total) <= room), None)
    try:
        found = f"without --plan the search finds {_search(asked, asked.ranks, None).plans.row(0)}"
    except InfeasibleError as error:
        found = f"no other plan fits these chips as they are: {error.nearest}"
    return f'--plan "{near}"; {found}' if near else found


def _results(asked: Asked, plans: list[Plan]) -> list[PlanResult]:
    """Plans priced, fastest first."""
    shape, place, seq_len = asked.shape, asked.place, asked.seq_len
    rows = table(plans)
    steps = asked.time_of(rows)
    need = asked.bytes_of(rows).total
    per_token = float(train_flops_per_token(shape, seq_len, "causal"))
    peak = dense_peak(place, plans[0].precision)
    out = []
    for i, plan in enumerate(plans):
        seconds = float(steps.total[i])
        rate = plan.global_batch * seq_len / seconds
        out.append(
            PlanResult(
                plan,
                seconds,
                float(need[i]),
                rate * per_token / (peak * plan.ranks),
                rate,
                {n: float(np.broadcast_to(getattr(steps, n), (len(plans),))[i]) for n in PARTS},
                float(steps.forward[i]),
                float(steps.backward[i]),
            )
        )
    return sorted(out, key=lambda r: r.step_time_s)


def _distinct(results: list[PlanResult], top: int) -> list[PlanResult]:
    """The best plans that differ in how the model is cut, not in a detail."""
    seen, out = set(), []
    for r in results:
        key = (r.plan.tp, r.plan.pp, r.plan.cp, r.plan.ep, r.plan.recompute)
        if key not in seen:
            seen.add(key)
            out.append(r)
    return out[:top]


def _pareto(results: list[PlanResult]) -> list[PlanResult]:
    """Plans that no other beats in time, memory and chips, most chips and fastest first."""
    results = list({r.plan: r for r in results}.values())
    rows = np.array([(r.step_time_s, r.memory_bytes, float(r.plan.ranks)) for r in results])
    no_worse = (rows[:, None, :] <= rows[None, :, :] * (1 + 1e-9)).all(axis=2)
    better = no_worse & (rows[:, None, :] < rows[None, :, :] * (1 - 1e-9)).any(axis=2)
    kept = [results[int(i)] for i in np.flatnonzero(~np.asarray(better).any(axis=0))]
    return sorted(kept, key=lambda r: (-r.plan.ranks, r.step_time_s))


def _sampled(asked: Asked, best: PlanResult, ratio: Mapping[str, Array], samples: int | None, seed: int) -> Array:
    """Step times over samples: the spread of predictions for chips like this one, half of it common to all chips.

    What a chip family was measured to do does not depend on which figure for its peak is right: there a drawn peak moves
    utilisation alone. A family without measurements is priced from its peak, so that the draw moves its steps as well.
    """
    if samples is None:
        return np.array([best.step_time_s])
    common = _error_of("training.steps.spread", asked.how, samples, seed)
    alone = "" if asked.how.measured_family else f".{family_of(asked.place.chip)}"
    own = _error_of(f"training.{asked.how.spread_card}{alone}.spread", asked.how, samples, seed)
    middle = best.step_time_s if asked.how.measured_family else _repriced(asked, best.plan, ratio)
    return np.asarray(np.maximum(middle * common * own, _fastest(asked)))


Z95 = 1.6448536269514722  # standard normal quantile of 95%


def _error_of(name: str, how: Calibrated, samples: int, seed: int) -> Array:
    """Measured over predicted time: one half of the variance that the calibration states, drawn under a dotted name."""
    p95 = float(np.exp(how.spread * np.sqrt(0.5) * Z95))
    note = f"measured over predicted step time; half of the variance of card {how.spread_card}"
    number = Number(1 / p95, 1.0, p95, "1", "analyst", ("train_facts",), note=note, dist="lognormal")
    return draw(number, name, samples, seed)


def _fastest(asked: Asked) -> float:
    """Seconds that no step undercuts: its own arithmetic (causal) at the rate of one large matrix product."""
    edge = 8192
    acc = asked.place.acc
    rate = 2.0 * edge**3 / float(matmul_time(acc, edge, edge, edge, dtype=gemm_dtype(acc, asked.dtype)))
    return (
        asked.global_batch
        * asked.seq_len
        * flops_per_token(asked.shape, asked.seq_len)["causal"]
        / (rate * asked.ranks)
    )


def _repriced(asked: Asked, plan: Plan, ratio: Mapping[str, Array]) -> Array:
    """Seconds per step of a plan under drawn peaks, one per sample."""
    acc = asked.place.acc
    peaks = {**acc.peaks, **{kind: acc.peaks[kind] * by for kind, by in ratio.items()}}
    software, place = asked.how.software, asked.place
    parts = parts_of_step(
        asked.shape,
        replace(acc, peaks=peaks),
        place.fab,
        plan,
        asked.seq_len,
        place.domain,
        software.fused_attention,
        asked.imbalance,
    )
    return np.asarray(step_time(parts, plan, software).total)
