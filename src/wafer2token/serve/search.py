"""Searching configurations: fewest chips or lowest cost under an objective, and the frontier of throughput against speed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wafer2token.catalog import get
from wafer2token.evidence.errors import InfeasibleError, InputError, W2TError
from wafer2token.workload import ModelShape, model

from .flags import usual_acceptance
from .machine import Site, site
from .memory import memory
from .money import cost_per_chip_s
from .plan import Plan, checked, default_limits
from .points import WIDE
from .predict import instance_plan
from .slo import Objective, parse_slo
from .steady import EXPERT_RANKS, usual_formats
from .steptime import decode_step_time, prefill_step_time
from .verb import ServeResult, serve, stated

F = NDArray[np.float64]
TOGETHER_LOAD, APART_LOAD = 0.85, 0.8
"""Share of its capacity at which an instance is planned, so that queues stay short."""
BATCHES = np.unique(np.rint(np.geomspace(1, 512, 20)))


@dataclass(frozen=True)
class Option:
    """One configuration in its steady state; times in seconds, rates per second.

    ``mode`` is "together" (prompts share the steps of ``plan``) or "apart" (instances of ``prefill`` beside those of
    ``plan``). ``rate_per_chip`` is requests; ``tokens_per_chip`` output tokens; ``speed`` tokens per second and user.
    ``prefill_share`` is the part of the chips' time that prompts take.
    """

    plan: Plan
    prefill: Plan | None
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
        plans = {"plan": self.plan.to_dict(), "prefill": self.prefill.to_dict() if self.prefill else None}
        return {**{k: v for k, v in self.__dict__.items() if k not in plans}, **plans, "speed": self.speed}


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
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"model": self.model, "on": self.on, "rate": self.rate, "slo": [str(o) for o in self.slo],
                "option": self.option.to_dict(), "chips": self.chips, "replicas": self.replicas, "pd": self.pd,
                "served": self.served.to_dict(), "frontier": [o.to_dict() for o in self.frontier], "looked_at": self.looked_at, "inputs": dict(self.inputs)}  # fmt: skip


def plans_for(shape: ModelShape, place: Site, most_ranks: float) -> Iterator[Plan]:
    """Splits and formats worth looking at: tensor, pipeline, data with expert parallel; 16 and 8 bits; with drafts."""
    peaks = place.machine.acc.peaks
    eight = usual_formats(shape, place)["weights"]
    tokens = default_limits(place.stack, place.chip)[1]
    served = float(get("calibration", "expert_balance").ratios["served"])
    for weights in ["bf16"] if eight not in peaks else ["bf16", eight]:
        for drafts in (0, 1) if shape.num_nextn_predict_layers else (0,):
            base = Plan(weights=weights, drafts=drafts, accepted=usual_acceptance(drafts) if drafts else 0.0, max_num_batched_tokens=tokens)
            for tp in (1, 2, 4, 8, 16):
                for pp in (1, 2, 4) if not drafts else (1,):
                    if tp * pp <= most_ranks and tp <= shape.num_attention_heads and pp <= shape.num_hidden_layers:
                        yield replace(base, tp=tp, pp=pp)
            for ep in EXPERT_RANKS if shape.is_moe else ():
                if ep <= most_ranks and ep <= shape.n_routed_experts * 2:
                    wide = replace(base, ep=ep, imbalance=served if ep >= WIDE else 1.0)
                    yield replace(wide, dp=ep)
                    if ep % 4 == 0:
                        yield replace(wide, tp=4, dp=ep // 4)


@dataclass(frozen=True)
class Priced:
    """A plan with its times: prompts in bulk and alone, and decode steps per token over batches [s]."""

    plan: Plan
    chips: float
    prompt_s: float
    alone_s: float
    batch: F
    token_s: F


def options(shape: ModelShape, place: Site, isl: int, osl: int, plans: Sequence[Plan]) -> list[Option]:
    """Steady states of each plan over a grid of batches, prompts together with and apart from decoding.

    With prompts in the same steps a request costs p(isl) + osl T(B) / B of the instance's time, so that
    tpot = T(B) + B p / osl and the rate is its inverse; apart, each pool is as large as its part of that time, and prefill
    has a plan of its own: that of decoding, the one with least chip time per prompt, or the smallest.
    """
    money = float(cost_per_chip_s(place.chip, place.system))
    priced = []
    for plan in plans:
        try:
            found = _priced(shape, place, checked(plan, shape), isl, osl)
        except (InputError, InfeasibleError):
            continue
        priced += [found] if found else []
    out: list[Option] = []
    for one in priced:
        like = [p for p in priced if p.plan.weights == one.plan.weights]
        fillers = {id(p): p for p in (one, min(like, key=lambda p: p.prompt_s * p.chips), min(like, key=lambda p: p.chips))}
        out += _together(one, place, osl, money)
        for filler in fillers.values():
            out += _apart(one, filler, place, osl, money)
    return out


def _priced(shape: ModelShape, place: Site, plan: Plan, isl: int, osl: int) -> Priced | None:
    room = memory(shape, instance_plan(plan), place.hbm_bytes, isl + osl)
    most = float(np.mean(room.kv_tokens)) / (isl + 0.5 * osl)
    if most < plan.dp:
        return None
    batch = BATCHES * plan.dp
    batch = batch[batch <= most]
    step = np.asarray(decode_step_time(shape, place.machine, plan, batch, np.full(batch.shape, isl + 0.5 * osl)).total)
    prompts = float(plan.dp * max(1.0, min(8192.0 / isl, 8.0)))
    both = prefill_step_time(shape, place.machine, plan, np.array([prompts, 1.0]), np.full(2, float(isl))).total
    whole, alone = (float(x) for x in np.ravel(both))
    return Priced(plan, plan.ranks / place.ranks_per_chip, whole / prompts, alone, batch, step / plan.tokens_per_step)


def _together(one: Priced, place: Site, osl: int, money: float) -> list[Option]:
    out = []
    for b, t in zip(one.batch, one.token_s, strict=True):
        time = one.prompt_s + osl * t / b
        share = one.prompt_s / time
        rate = TOGETHER_LOAD / time / one.chips
        wait = one.alone_s / (1.0 - TOGETHER_LOAD * share)
        out.append(_option(one, None, place, float(b), wait + t, t + b * one.prompt_s / osl, rate, share, osl, money))
    return out


def _apart(one: Priced, filler: Priced, place: Site, osl: int, money: float) -> list[Option]:
    out = []
    for b, t in zip(one.batch, one.token_s, strict=True):
        filling, decoding = filler.prompt_s * filler.chips, osl * t / b * one.chips
        rate = APART_LOAD / (filling + decoding)
        wait = filler.alone_s / (1.0 - APART_LOAD)
        out.append(_option(one, replace(filler.plan, drafts=0, accepted=0.0), place, float(b), wait + t, t, rate, filling / (filling + decoding), osl, money))
    return out


def _option(one: Priced, prefill: Plan | None, place: Site, batch: float, ttft: float, tpot: float, rate: float, share: float, osl: int,
            money: float) -> Option:  # fmt: skip
    limits = replace(one.plan, max_num_seqs=max(math.ceil(batch / one.plan.dp), 1))
    return Option(limits, prefill, "apart" if prefill else "together", batch,
                  float(ttft + place.machine.overhead.request_s), float(tpot), float(rate), float(rate * osl), 1e6 * money / float(rate * osl),
                  float(share))  # fmt: skip


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
    stack: str | None = None, by: str = "chips", seed: int = 0, num_prompts: int = 1000, tries: int = 30,
) -> PlanResult:  # fmt: skip
    """The configuration that serves ``rate`` within the objectives on the fewest chips (or at the lowest cost).

    Every steady state is priced first; the best are then simulated request by request until one keeps the objectives.

    Raises:
        InfeasibleError: none does; names the closest.
    """
    inputs = stated(locals())
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
    money = 1.0 if by == "chips" else 1e6 * float(cost_per_chip_s(place.chip, place.system))

    def key(option: Option) -> float:
        return chips_for(option, place, rate)[0] * money

    ranked = sorted(good, key=lambda o: (key(o), o.tpot_s))
    nearest: ServeResult | None = None
    best: PlanResult | None = None
    least = math.inf
    for option in sorted(_worth_trying(ranked, objectives, tries), key=key):
        if key(option) > least:
            break
        tried = _simulated(shape, on, place, option, rate, isl, osl, objectives, stack, seed, num_prompts)
        if tried is None or not tried[1].meets:
            nearest = tried[1] if tried else nearest
            continue
        counts, served = tried
        paid = served.chips if by == "chips" else served.cost_per_mtok_usd * served.summary.output_throughput
        if paid < least:
            least = paid
            best = PlanResult(shape.id, on, rate, objectives, option, served.chips, counts[1], None if option.mode == "together" else counts,
                              served, frontier(found), len(found), inputs)  # fmt: skip
    if best is not None:
        return best
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
                seen.setdefault((o.plan.tp, o.plan.pp, o.plan.dp, o.plan.ep, o.plan.weights, o.plan.drafts, o.prefill), o)
        out += [o for o in list(seen.values())[: max(most // 3, 1)] if o not in out]
    return out


def chips_for(option: Option, place: Site, rate: float) -> tuple[float, tuple[int, int]]:
    """(chips, (prefill, decode) or (0, replicas) instances) that carry ``rate``."""
    per = option.plan.ranks / place.ranks_per_chip
    chips = rate / option.rate_per_chip
    if option.prefill is None:
        count = max(math.ceil(chips / per), 1)
        return count * per, (0, count)
    own = option.prefill.ranks / place.ranks_per_chip
    first = max(math.ceil(chips * option.prefill_share / own), 1)
    second = max(math.ceil(chips * (1.0 - option.prefill_share) / per), 1)
    return first * own + second * per, (first, second)


def _simulated(shape: ModelShape, on: str, place: Site, option: Option, rate: float, isl: int, osl: int, slo: Sequence[Objective],
               stack: str | None, seed: int, n: int) -> tuple[tuple[int, int], ServeResult] | None:  # fmt: skip
    """Simulate an option: with one or two more instances where its count misses, with fewer where they suffice."""
    limits = replace(option.plan, max_num_seqs=math.ceil(max(1.1 * option.batch / option.plan.dp, 1)))
    prompts = int(max(n, 20 * rate, 6 * rate * osl * option.tpot_s))

    def played(counts: tuple[int, int]) -> ServeResult | None:
        try:
            return serve(shape, on, isl=isl, osl=osl, rate=rate, slo=slo, plan=limits, prefill_plan=option.prefill, replicas=counts[1],
                         pd=counts if option.prefill else None, stack=stack, seed=seed, num_prompts=prompts, prefix_cache=False)  # fmt: skip
        except W2TError:
            return None

    counts = chips_for(option, place, rate)[1]
    first, second = counts
    more = [(first + (k + 1) // 2, second + k // 2) if option.prefill else (first, second + k) for k in range(3)]
    last = None
    for at in more:
        served = played(at)
        if served is None:
            return last
        last = at, served
        if served.meets:
            return fewer(at, served, played)
    return last


def fewer(counts: tuple[int, int], served: ServeResult, played: Callable[[tuple[int, int]], ServeResult | None]) -> tuple[tuple[int, int], ServeResult]:
    """Take instances away, of prefill and then of decoding, as long as the objectives are kept."""
    for which in (0, 1):
        while counts[which] > 1:
            at = (counts[0] - 1, counts[1]) if which == 0 else (counts[0], counts[1] - 1)
            tried = played(at)
            if tried is None or not tried.meets:
                break
            counts, served = at, tried
    return counts, served


def words(plan: Plan) -> str:
    """A split in a few words, such as "tp1 dp32 ep32 fp8"."""
    return f"tp{plan.tp}" + "".join(f" {n}{getattr(plan, n)}" for n in ("pp", "dp", "ep") if getattr(plan, n) > 1) + f" {plan.weights}" + " mtp" * bool(plan.drafts)


def deployment(result: PlanResult) -> str:
    """What is deployed, in a few words: "2 prefill of tp1 fp8 + 3 decode of tp4 fp8", or "4 x tp2 fp8"."""
    if result.pd is None or result.option.prefill is None:
        return f"{result.replicas} x {words(result.option.plan)}"
    return f"{result.pd[0]} prefill of {words(result.option.prefill)} + {result.pd[1]} decode of {words(result.option.plan)}"


def describe(option: Option) -> str:
    """One line about an option."""
    split = words(option.plan)
    apart = f" beside prefill of {words(option.prefill)}" if option.prefill else ""
    return (f"{split} {option.mode}{apart}, batch {option.batch:.0f}: ttft {option.ttft_s:.3g} s, tpot {option.tpot_s * 1e3:.3g} ms, "
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
