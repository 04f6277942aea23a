"""Searching configurations: fewest chips or lowest cost under an objective, and the frontier of throughput against speed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wafer2token.evidence.errors import InfeasibleError, InputError, W2TError
from wafer2token.workload import ModelShape, model

from .machine import Site, site
from .memory import memory
from .money import cost_per_chip_s
from .plan import Plan, checked
from .slo import Objective, parse_slo
from .steady import EXPERT_RANKS, usual_formats
from .steptime import decode_step_time, prefill_step_time
from .verb import ServeResult, serve

F = NDArray[np.float64]
BATCHES = np.unique(np.rint(np.geomspace(1, 512, 20)))


@dataclass(frozen=True)
class Option:
    """One configuration in its steady state; times in seconds, rates per second.

    ``mode`` is "together" (prompts share the steps) or "apart" (prefill and decode pools, ``pd`` instances each per
    unit of load). ``rate_per_chip`` is requests; ``tokens_per_chip`` output tokens; ``speed`` tokens per second and user.
    """

    plan: Plan
    mode: str
    batch: float
    ttft_s: float
    tpot_s: float
    rate_per_chip: float
    tokens_per_chip: float
    cost_per_mtok_usd: float
    prefill_share: float

    @property
    def speed(self) -> float:
        """Output tokens per second that one user sees."""
        return 1.0 / self.tpot_s

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**{k: v for k, v in self.__dict__.items() if k != "plan"}, "plan": self.plan.to_dict(), "speed": self.speed}


@dataclass(frozen=True)
class PlanResult:
    """The best configuration for a load, checked by simulation, and what else was looked at."""

    model: str
    on: str
    rate: float
    slo: tuple[Objective, ...]
    option: Option
    chips: float
    replicas: int
    pd: tuple[int, int] | None
    served: ServeResult
    frontier: tuple[Option, ...]
    looked_at: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"model": self.model, "on": self.on, "rate": self.rate, "slo": [str(o) for o in self.slo],
                "option": self.option.to_dict(), "chips": self.chips, "replicas": self.replicas, "pd": self.pd,
                "served": self.served.to_dict(), "frontier": [o.to_dict() for o in self.frontier], "looked_at": self.looked_at}  # fmt: skip


def plans_for(shape: ModelShape, place: Site, most_ranks: float) -> Iterator[Plan]:
    """Splits and formats worth looking at: tensor, pipeline, data with expert parallel; 16 and 8 bits; with drafts."""
    peaks = place.machine.acc.peaks
    eight = usual_formats(shape, place)["weights"]
    formats = ["bf16"] if eight not in peaks else ["bf16", eight]
    for weights in formats:
        for tp in (1, 2, 4, 8, 16):
            for pp in (1, 2, 4):
                if tp * pp <= most_ranks and tp <= shape.num_attention_heads and pp <= shape.num_hidden_layers:
                    yield Plan(tp=tp, pp=pp, weights=weights)
        if shape.is_moe:
            for ep in EXPERT_RANKS:
                if ep <= most_ranks and ep <= shape.n_routed_experts * 2:
                    yield Plan(dp=ep, ep=ep, weights=weights)
                    if ep % 4 == 0:
                        yield Plan(tp=4, dp=ep // 4, ep=ep, weights=weights)


def options(shape: ModelShape, place: Site, isl: int, osl: int, plans: Sequence[Plan]) -> list[Option]:
    """Steady states of each plan over a grid of batches, prompts together with and apart from decoding.

    With prompts in the same steps a request costs p(isl) + osl T(B) / B of the instance's time, so that
    tpot = T(B) + B p / osl and the rate is its inverse; apart, each pool is as large as its part of that time.
    """
    money = float(cost_per_chip_s(place.chip, place.system))
    out: list[Option] = []
    for plan in plans:
        try:
            out += _of_plan(shape, place, checked(plan, shape), isl, osl, money)
        except (InputError, InfeasibleError):
            continue
    return out


def _of_plan(shape: ModelShape, place: Site, plan: Plan, isl: int, osl: int, money: float) -> list[Option]:
    room = memory(shape, plan, place.hbm_bytes, isl + osl)
    most = float(np.mean(room.kv_tokens)) / (isl + 0.5 * osl)
    if most < plan.dp:
        return []
    batch = BATCHES * plan.dp
    batch = batch[batch <= most]
    step = np.asarray(decode_step_time(shape, place.machine, plan, batch, np.full(batch.shape, isl + 0.5 * osl)).total)
    step = step / plan.tokens_per_step
    prompts = float(plan.dp * max(1.0, min(8192.0 / isl, 8.0)))
    whole = float(np.ravel(prefill_step_time(shape, place.machine, plan, np.array([prompts]), np.array([float(isl)])).total)[0])
    alone = float(np.ravel(prefill_step_time(shape, place.machine, plan, np.array([1.0]), np.array([float(isl)])).total)[0])
    each = whole / prompts
    chips = plan.ranks / place.ranks_per_chip
    out = []
    for b, t in zip(batch, step, strict=True):
        for mode in ("together", "apart"):
            tpot = t + b * each / osl if mode == "together" else t
            cost = each + osl * t / b
            share = each / cost
            load = 0.85 if mode == "together" else 0.8
            wait = alone / (1.0 - load * share) if mode == "together" else alone / (1.0 - load)
            rate = load / cost / chips
            out.append(Option(
                replace(plan, max_num_seqs=max(math.ceil(b / plan.dp), 1)), mode, float(b),
                float(wait + t + place.machine.overhead.request_s), float(tpot), float(rate), float(rate * osl), 1e6 * money / float(rate * osl), float(share),
            ))  # fmt: skip
    return out


def frontier(found: Sequence[Option]) -> tuple[Option, ...]:
    """Options that no other beats in both tokens per chip and speed, fastest first."""
    out: list[Option] = []
    for option in sorted(found, key=lambda o: (o.tpot_s, -o.tokens_per_chip)):
        if not out or option.tokens_per_chip > out[-1].tokens_per_chip:
            out.append(option)
    return tuple(out)


def meets(option: Option, slo: Sequence[Objective]) -> bool:
    """Whether the steady state keeps the objectives it speaks of."""
    value = {"ttft": option.ttft_s, "tpot": option.tpot_s, "itl": option.tpot_s}
    return all(value[o.metric] <= o.limit_s for o in slo if o.metric in value)


def plan_serving(
    model_id: str | ModelShape, on: str, *, rate: float, isl: int = 1024, osl: int = 256, slo: str | Sequence[Objective] = (),
    stack: str | None = None, by: str = "chips", seed: int = 0, num_prompts: int = 1000, tries: int = 12,
) -> PlanResult:  # fmt: skip
    """The configuration that serves ``rate`` within the objectives on the fewest chips (or at the lowest cost).

    Every steady state is priced first; the best are then simulated request by request until one keeps the objectives.

    Raises:
        InfeasibleError: none does; names the closest.
    """
    shape, place = model(model_id), site(on, stack)
    objectives = parse_slo(slo, "p90") if isinstance(slo, str) and slo else tuple(slo) if not isinstance(slo, str) else ()
    most = place.machine.fab.ranks if place.system else 1024.0
    found = options(shape, place, isl, osl, list(plans_for(shape, place, most)))
    if not found:
        raise InfeasibleError(f"{shape.id} fits no configuration on {on}")
    good = [o for o in found if meets(o, objectives)]
    if not good:
        close = min(found, key=lambda o: max([{"ttft": o.ttft_s, "tpot": o.tpot_s, "itl": o.tpot_s}.get(x.metric, 0.0) / x.limit_s for x in objectives]))
        raise InfeasibleError(f"no configuration of {shape.id} on {on} keeps {', '.join(map(str, objectives))}", describe(close))
    key = (lambda o: chips_for(o, place, rate)[0]) if by == "chips" else (lambda o: o.cost_per_mtok_usd * chips_for(o, place, rate)[0] * o.rate_per_chip)
    ranked = sorted(good, key=lambda o: (key(o), o.tpot_s))
    nearest: ServeResult | None = None
    for option in _worth_trying(ranked, objectives, tries):
        tried = _simulated(shape, on, place, option, rate, isl, osl, objectives, stack, seed, num_prompts)
        if tried is not None and tried[1].meets:
            counts, served = tried
            return PlanResult(shape.id, on, rate, objectives, option, served.chips, counts[1], None if option.mode == "together" else counts,
                              served, frontier(found), len(found))  # fmt: skip
        nearest = tried[1] if tried else nearest
    said = "; ".join(nearest.warnings) if nearest else ""
    raise InfeasibleError(f"no configuration of {shape.id} on {on} keeps {', '.join(map(str, objectives))} at {rate:g} requests/s when simulated",
                          f"{describe(ranked[0])}: {said}")  # fmt: skip


def _worth_trying(ranked: Sequence[Option], slo: Sequence[Objective], most: int) -> list[Option]:
    """The first options of different splits and modes, some at the limits, some with room for what varies."""
    out: list[Option] = []
    for margin in (1.0, 0.85, 0.7):
        tighter = [replace(o, limit_s=margin * o.limit_s) for o in slo]
        seen: dict[tuple[Any, ...], Option] = {}
        for o in ranked:
            if meets(o, tighter):
                seen.setdefault((o.plan.tp, o.plan.pp, o.plan.dp, o.plan.ep, o.plan.weights, o.mode), o)
        out += [o for o in list(seen.values())[: max(most // 3, 1)] if o not in out]
    return out


def chips_for(option: Option, place: Site, rate: float) -> tuple[float, tuple[int, int]]:
    """(chips, (prefill, decode) or (0, replicas) instances) that carry ``rate``."""
    per = option.plan.ranks / place.ranks_per_chip
    instances = rate / (option.rate_per_chip * per)
    if option.mode == "together":
        count = max(math.ceil(instances), 1)
        return count * per, (0, count)
    first = max(math.ceil(instances * option.prefill_share), 1)
    second = max(math.ceil(instances * (1.0 - option.prefill_share)), 1)
    return (first + second) * per, (first, second)


def _simulated(shape: ModelShape, on: str, place: Site, option: Option, rate: float, isl: int, osl: int, slo: Sequence[Objective],
               stack: str | None, seed: int, n: int) -> tuple[tuple[int, int], ServeResult] | None:  # fmt: skip
    """Simulate an option, with one or two more instances where the first count misses by chance."""
    counts = chips_for(option, place, rate)[1]
    last = None
    for extra in range(3):
        pd = None if option.mode == "together" else (counts[0] + (extra + 1) // 2, counts[1] + extra // 2)
        replicas = counts[1] + extra
        limits = replace(option.plan, max_num_seqs=math.ceil(max(1.1 * option.batch / option.plan.dp, 1)))
        try:
            served = serve(shape, on, isl=isl, osl=osl, rate=rate, slo=slo, plan=limits, replicas=replicas, pd=pd, stack=stack,
                           seed=seed, num_prompts=int(max(n, 20 * rate, 6 * rate * osl * option.tpot_s)), prefix_cache=False)  # fmt: skip
        except W2TError:
            return last
        last = ((pd or (0, replicas)), served)
        if served.meets:
            return last
    return last


def describe(option: Option) -> str:
    """One line about an option."""
    p = option.plan
    split = f"tp{p.tp}" + (f" pp{p.pp}" if p.pp > 1 else "") + (f" dp{p.dp} ep{p.ep}" if p.dp > 1 else "")
    return (f"{split} {p.weights} {option.mode}, batch {option.batch:.0f}: ttft {option.ttft_s:.3g} s, tpot {option.tpot_s * 1e3:.3g} ms, "
            f"{option.tokens_per_chip:.0f} tokens/s per chip")  # fmt: skip


def compare_serving(model_id: str | ModelShape, systems: Sequence[str], **options_: Any) -> list[PlanResult | tuple[str, str]]:
    """``plan_serving`` on several systems; a system that cannot is (name, reason)."""
    out: list[PlanResult | tuple[str, str]] = []
    for name in systems:
        try:
            out.append(plan_serving(model_id, name, **options_))
        except InfeasibleError as error:
            out.append((name, str(error)))
    return out
