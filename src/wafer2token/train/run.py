"""``train``: a model on a machine, as one answer: the plan, its step, utilisation, days with failures, energy, cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import all_cards, get
from wafer2token.chip import matmul_time
from wafer2token.evidence.errors import EvidenceError, InfeasibleError, InputError, Problem
from wafer2token.train.calibration import Calibrated, calibrated, family_of, planner, stack_of, vendor_of
from wafer2token.train.failures import DAY_S, availability, drawn, reliability_card
from wafer2token.train.layer import gemm_dtype
from wafer2token.train.machine import Machine, machine, with_scale_out
from wafer2token.train.memory import GIB, memory
from wafer2token.train.parse import complete, parse_plan
from wafer2token.train.plan import OFFLOADS, RECOMPUTE, Plan, table
from wafer2token.train.search import Space, price, search
from wafer2token.train.step import parts_of_step, step_time
from wafer2token.workload import ModelShape, train_flops_per_token
from wafer2token.workload import model as read_model

Array = npt.NDArray[np.float64]
FLAVOURS = ("megatron", "palm", "6n", "causal")
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

    def against(self, best: PlanResult) -> dict[str, float]:
        """Seconds by which each part of the step is longer (negative: shorter) than in another plan, largest first."""
        gaps = {name: seconds - best.parts_s[name] for name, seconds in self.parts_s.items()}
        return dict(sorted(gaps.items(), key=lambda item: -abs(item[1])))

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "plan": str(self.plan),
            "step_time_s": self.step_time_s,
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
    dtype: str = "bf16",
    seq_len: int | None = None,
    global_batch: int | None = None,
    imbalance: float = 1.0,
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
        plan: ``"tp=8,pp=16"`` or framework flags; None searches all legal plans.
        samples: draws of what is uncertain; None for the central case alone.
        dtype: bf16, fp16, fp8, mxfp8, nvfp4.
        seq_len, global_batch: tokens per sequence and sequences per step; stated in ``assumed`` when left open.
        imbalance: load of the busiest expert rank over the mean.
        stack: training stack; None for the vendor's usual one.
        assume: go on where the evidence is too weak to answer.

    Raises:
        InputError: unknown names, sizes that do not divide, zero tokens. InfeasibleError: nothing fits.
        EvidenceError: a chip without the rates that a step needs, or without any calibration, unless ``assume``.
    """
    _check(chips, tokens, imbalance)
    shape = read_model(model)
    asked = _asked(shape, on, chips, tokens, dtype, seq_len, global_batch, imbalance, stack, assume)
    plans, tried, fitting = _candidates(asked, plan, space)
    return _answer(asked, _results(asked, plans), tried, fitting, samples, seed, top)


@dataclass(frozen=True)
class Asked:
    """A job with everything settled but the plan: model, machine, software, batch, and what was assumed on the way."""

    shape: ModelShape
    on: str
    place: Machine
    how: Calibrated
    chips: int
    tokens: float
    seq_len: int
    global_batch: int
    dtype: str
    imbalance: float
    assumed: tuple[str, ...]

    @property
    def ranks(self) -> int:
        """Ranks of the job."""
        return self.chips * self.place.dies


def _asked(
    shape: ModelShape,
    on: str,
    chips: int,
    tokens: float,
    dtype: str,
    seq_len: int | None,
    global_batch: int | None,
    imbalance: float,
    stack: str | None,
    assume: bool,
) -> Asked:
    """The question with its open ends settled; EvidenceError where the cards do not carry an answer."""
    place = machine(on)
    length, batch, open_ends = _batch(shape, chips, seq_len, global_batch)
    how = calibrated(place.chip, place.vendor, dtype, stack or stack_of("", vendor_of(place.vendor)))
    weak = _evidence(place, how, assume)
    place, network = _network(place, chips * place.dies, assume)
    return Asked(
        shape, on, place, how, chips, float(tokens), length, batch, dtype, imbalance, open_ends + weak + network
    )


def _candidates(asked: Asked, plan: str | Plan | None, space: Space | None) -> tuple[list[Plan], int, int]:
    """The plan given, or the best of all legal ones; how many were legal, and how many fit."""
    if plan is not None:
        return [_given(plan, asked)], 1, 1
    found = search(
        asked.shape,
        asked.place,
        asked.ranks,
        asked.global_batch,
        asked.seq_len,
        asked.how.software,
        asked.dtype,
        space,
        imbalance=asked.imbalance,
    )
    return [found.plans.row(i) for i in range(len(found.plans))], found.tried, found.fitting


def _answer(
    asked: Asked, results: list[PlanResult], tried: int, fitting: int, samples: int | None, seed: int, top: int
) -> TrainResult:
    """The answer around the fastest plan, drawn over samples."""
    place, how, best = asked.place, asked.how, results[0]
    ratio = _peak_ratios(place, asked.dtype, samples, seed)
    steps = _sampled(asked, best, ratio, samples, seed)
    rate = asked.global_batch * asked.seq_len / steps
    peak = _peak(place, asked.dtype) * ratio[gemm_dtype(place.acc, asked.dtype)] * asked.ranks
    life = _life(place, asked.chips, asked.tokens, rate, samples, seed)
    mem = memory(asked.shape, best.plan, asked.seq_len)
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
        pareto=tuple(_pareto(results)),
        tried=tried,
        fitting=fitting,
        step_time_s=steps,
        tokens_per_s=rate,
        mfu={name: rate * flops / peak for name, flops in _flops(asked.shape, asked.seq_len).items()},
        **life,
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


def _flops(shape: ModelShape, seq_len: int) -> dict[str, float]:
    """Model FLOPs per token in every definition of utilisation; PaLM's knows no prediction layers."""
    ahead = shape.num_nextn_predict_layers > 0
    return {
        name: float(train_flops_per_token(shape, seq_len, name, **({} if name == "palm" else {"mtp": ahead})))
        for name in FLAVOURS
    }


def _check(chips: int, tokens: float, imbalance: float) -> None:
    problems = []
    if chips < 1:
        problems.append(Problem("a job needs at least one chip", "--chips", chips))
    if not tokens > 0:
        problems.append(Problem("a job needs tokens", "--tokens", tokens, "above zero"))
    if imbalance < 1:
        problems.append(
            Problem("the busiest expert cannot have less than the mean", "--imbalance", imbalance, "1 or more")
        )
    if problems:
        raise InputError(problems)


def _batch(
    shape: ModelShape, chips: int, seq_len: int | None, global_batch: int | None
) -> tuple[int, int, tuple[str, ...]]:
    """Sequence length and global batch, with what was assumed about them."""
    assumed: tuple[str, ...] = ()
    if seq_len is None:
        seq_len = round(planner("seq_len"))
        assumed += (f"sequences of {seq_len} tokens",)
    if global_batch is None:
        tokens_per_step = round(max(planner("step_tokens"), chips * planner("step_tokens_per_chip")))
        global_batch = _round_batch(max(tokens_per_step // seq_len, 1), chips)
        assumed += (f"{global_batch} sequences per step ({global_batch * seq_len / 1e6:.1f}M tokens)",)
    if seq_len < 1 or global_batch < 1:
        raise InputError(Problem("sequence length and global batch are at least 1", got=(seq_len, global_batch)))
    return seq_len, global_batch, assumed


def _round_batch(batch: int, chips: int) -> int:
    """The wanted batch rounded to the odd part of the number of chips times a power of two, so that plans divide it."""
    odd = chips
    while odd % 2 == 0:
        odd //= 2
    return int(odd * 2 ** max(round(np.log2(batch / odd)), 0))


def _evidence(place: Machine, how: Calibrated, assume: bool) -> tuple[str, ...]:
    if how.measured_family:
        return ()
    text = f"no training measurement of {family_of(place.chip)}: its software is taken from {', '.join(how.cards) or 'no card'}"
    if not how.cards and not assume:
        raise EvidenceError(f"{text}; --assume goes on with kernels alone")
    return (text,)


def _network(place: Machine, ranks: int, assume: bool) -> tuple[Machine, tuple[str, ...]]:
    """The machine with a network between its domains; where its cards know none, that of the vendor's other chips if assumed."""
    if ranks <= place.domain or place.fab.scale_out.bandwidth:
        return place, ()
    others = [c for c in all_cards("chip").values() if c.vendor == place.vendor and c.scale_out_bandwidth is not None]
    text = f"no network between the domains of {place.system} ({place.domain} ranks each) is on its card"
    if not others or not assume:
        raise EvidenceError(f"{text}; --assume takes that of the vendor's other chips")
    other = max(others, key=lambda c: float(c.scale_out_bandwidth))
    rate = float(other.scale_out_bandwidth)
    return with_scale_out(place, rate / place.dies), (f"{text}: {rate / 1e9:.0f} GB/s per chip taken from {other.id}",)


def _given(plan: str | Plan, asked: Asked) -> Plan:
    """The plan that the user gave, checked to fit."""
    if isinstance(plan, Plan):
        chosen = plan
    else:
        fields = parse_plan(plan)
        fields.setdefault("precision", asked.dtype)
        chosen = complete(fields, asked.ranks, asked.global_batch)
    need, room = float(memory(asked.shape, chosen, asked.seq_len).total), asked.place.memory_bytes
    if need > room:
        raise InfeasibleError(
            f"{chosen} needs {need / GIB:.1f} GiB of {room / GIB:.1f} GiB on its heaviest stage",
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
    near = next((p for p in tried if p != plan and float(memory(asked.shape, p, asked.seq_len).total) <= room), None)
    try:
        found = f"without --plan the search finds {_candidates(asked, None, None)[0][0]}"
    except InfeasibleError as error:
        found = f"no plan of the search fits either: {error.nearest}"
    return f'--plan "{near}"; {found}' if near else found


def _results(asked: Asked, plans: list[Plan]) -> list[PlanResult]:
    """Plans priced, fastest first."""
    shape, place, seq_len = asked.shape, asked.place, asked.seq_len
    rows = table(plans)
    steps = price(shape, place, rows, seq_len, asked.how.software, asked.imbalance)
    need = memory(shape, rows, seq_len).total
    per_token = float(train_flops_per_token(shape, seq_len, "causal"))
    peak = _peak(place, plans[0].precision) * asked.ranks
    out = []
    for i, plan in enumerate(plans):
        seconds = float(steps.total[i])
        rate = plan.global_batch * seq_len / seconds
        out.append(
            PlanResult(
                plan,
                seconds,
                float(need[i]),
                rate * per_token / peak,
                rate,
                {n: float(np.broadcast_to(getattr(steps, n), (len(plans),))[i]) for n in PARTS},
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
    """Plans that no other beats in both time and memory, fastest first."""
    out: list[PlanResult] = []
    for r in results:
        if not out or r.memory_bytes < out[-1].memory_bytes:
            out.append(r)
    return out


def _peak_ratios(place: Machine, dtype: str, samples: int | None, seed: int) -> dict[str, Array]:
    """Drawn dense peaks over the central ones, for the formats of the matrix products and of attention."""
    kinds = {gemm_dtype(place.acc, dtype), gemm_dtype(place.acc, "bf16")}
    if samples is None:
        return {kind: np.ones(1) for kind in kinds}
    from wafer2token.evidence.sampling import draw

    card = get("chip", place.chip)
    return {
        k: draw(card.peak[k], f"chip.{card.id}.peak.{k}", samples, seed) / float(card.peak[k]) for k in sorted(kinds)
    }


def _sampled(asked: Asked, best: PlanResult, ratio: Mapping[str, Array], samples: int | None, seed: int) -> Array:
    """Step times over samples: the spread of predictions for chips like this one, half of it common to all chips.

    What a chip family was measured to do does not depend on which figure for its peak is right: there a drawn peak moves
    utilisation alone. A family without measurements is priced from its peak, so that the draw moves its steps as well.
    """
    if samples is None:
        return np.array([best.step_time_s])
    from scipy.special import ndtri

    from wafer2token.evidence.sampling import quantiles

    common = ndtri(quantiles("train.step", samples, seed))
    own = ndtri(quantiles(f"train.{family_of(asked.place.chip)}.step", samples, seed))
    middle = best.step_time_s if asked.how.measured_family else _repriced(asked, best.plan, ratio)
    return np.asarray(np.maximum(middle * np.exp(asked.how.spread * np.sqrt(0.5) * (common + own)), _fastest(asked)))


def _fastest(asked: Asked) -> float:
    """Seconds that no step undercuts: its own arithmetic (causal) at the rate of one large matrix product."""
    edge = 8192
    acc = asked.place.acc
    rate = 2.0 * edge**3 / float(matmul_time(acc, edge, edge, edge, dtype=gemm_dtype(acc, asked.dtype)))
    return asked.global_batch * asked.seq_len * _flops(asked.shape, asked.seq_len)["causal"] / (rate * asked.ranks)


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


def _peak(place: Machine, dtype: str) -> float:
    """Dense peak of one rank that utilisation is taken of."""
    return float(place.acc.peaks[gemm_dtype(place.acc, dtype)])


def _life(place: Machine, chips: int, tokens: float, rate: Array, samples: int | None, seed: int) -> dict[str, Array]:
    """What the whole job takes: useful share of the time, days, interruptions, spare nodes, energy and cost."""
    card, chip = reliability_card(place.chip), get("chip", place.chip)
    up = availability(card, chips, samples, seed, max(place.node // place.dies, 1))
    seconds = tokens / rate / up.goodput

    def of(name: str) -> Array:
        return drawn(getattr(card, name), f"reliability.{card.id}.{name}", samples, seed)

    nan = np.full_like(seconds, np.nan)
    power = (
        drawn(chip.tdp, f"chip.{chip.id}.tdp", samples, seed) * of("host_power") * of("overhead_power") * chips
        if chip.tdp
        else nan
    )
    energy = power * seconds
    capital = drawn(chip.price, f"chip.{chip.id}.price", samples, seed) * of("host_cost") * chips if chip.price else nan
    values = {
        "goodput": up.goodput,
        "days": seconds / DAY_S,
        "interruptions_per_day": up.rate_per_day,
        "spare_nodes": up.spare_nodes,
        "slow_loss": up.slow_loss,
        "energy_j": energy,
        "cost_usd": capital * seconds * (1 / of("life") + of("running_cost")) + energy * of("electricity"),
    }
    return {name: np.broadcast_to(value, np.shape(seconds)) for name, value in values.items()}
