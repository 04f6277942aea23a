"""A case priced: the plan it ran (or the best one where the record is silent), its pieces, and the metric it printed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from wafer2token.catalog import ids
from wafer2token.evidence.errors import EvidenceError, InfeasibleError
from wafer2token.train.calibration import (
    Calibrated,
    calibrated,
    fitted_card,
    overlap_odds,
    planner,
    stack_of,
    vendor_of,
)
from wafer2token.train.circumstances import circumstances
from wafer2token.train.failures import availability, reliability_card
from wafer2token.train.machine import Machine, machine, with_scale_out
from wafer2token.train.memory import FROZEN, MIXED, memory
from wafer2token.train.plan import SCHEDULES, Plan, table
from wafer2token.train.points import CannotExpressError, Case
from wafer2token.train.search import Space, price, search
from wafer2token.train.step import Parts, Software, parts_of_step, step_time
from wafer2token.train.wording import OVERLAPS
from wafer2token.workload import train_flops_per_token

INTERLEAVED = SCHEDULES.index("interleaved")
LEAST_RECOMPUTATION = ((0, 1.0), (1, 1.0), (2, 0.25), (2, 0.5), (2, 0.75), (2, 1.0))
"""What a planner tries in turn where a record does not say what is recomputed: nothing, selective, a share of the layers."""


@dataclass(frozen=True)
class Prepared:
    """A case ready to be priced under any software."""

    case: Case
    place: Machine
    plan: Plan
    stack: str
    parts: Parts
    ranks: int
    tokens: float


def prepare(case: Case) -> Prepared:
    """Choose the plan and price its pieces; CannotExpressError where machine or plan cannot be had."""
    if case.chip not in ids("chip"):
        raise CannotExpressError(f"no card of chip {case.chip}")
    try:
        place = with_scale_out(_machine(case.chip), case.scale_out_bytes_per_s)
        stack = stack_of(case.framework, vendor_of(place.vendor), case.year)
        how = calibrated(case.chip, place.vendor, case.precision, stack)
        per_die = place.dies > 1 and case.node < 16
        ranks = case.devices * (place.dies if per_die else 1)
        plan = _plan(case, place, ranks, how)
        parts = parts_of_step(
            case.shape,
            place.acc,
            place.fab,
            table([plan]),
            case.seq_len,
            place.domain,
            fused(case, how),
            gradient_bytes=2.0 if plan.zero >= 3 else 4.0,
            frozen=case.kind == "lora",
            document=planner("packed_document") if "packed" in case.features else 0.0,
        )
    except (InfeasibleError, EvidenceError) as error:
        raise CannotExpressError(str(error).splitlines()[0]) from None
    return Prepared(case, place, plan, stack, parts, ranks, float(plan.global_batch * case.seq_len))


def fused(case: Case, how: Calibrated) -> bool:
    """Whether attention was fused: by the stack, and not with a linear bias on a stack that has no fused kernel for it."""
    return (
        (how.software.fused_attention or "fused" in case.features)
        and "unfused" not in case.features
        and (how.biased_attention or not case.biased)
    )


@lru_cache(maxsize=64)
def _machine(chip: str) -> Machine:
    return machine(chip)


def _plan(case: Case, place: Machine, ranks: int, how: Calibrated) -> Plan:
    """The stated plan, its unstated recomputation the least that fits; else the best plan found."""
    if case.plan is not None:
        plan = (
            case.plan
            if case.plan.ranks == ranks
            else replace(case.plan, dp=max(ranks // (case.plan.tp * case.plan.pp * case.plan.cp), 1))
        )
        return _fill(case, plan, place, how)
    batch = case.global_batch or max(round(planner("record_step_tokens") / case.seq_len), 1)
    batch = -(-batch // ranks) * ranks if batch < ranks and not case.global_batch else batch
    context = (1,) if "no_cp" in case.features else (case.stated_cp,) if case.stated_cp else ()
    space = Space(cp=context, vpp=(1, 2, 4), micro_batch=(1, 2, 4, 8), zero=(1, 3) if how.stack == "fsdp" else (1,))
    try:
        found = search(
            case.shape, place, ranks, batch, case.seq_len, how.software, case.precision, space, keep=200
        ).plans
    except InfeasibleError as error:
        raise CannotExpressError(f"no parallelism stated, and {error}".splitlines()[0]) from None
    logged = np.flatnonzero(found.micro_batches == case.accumulation)
    return found.row(int(logged[0]) if logged.size else 0)


def _fill(case: Case, plan: Plan, place: Machine, how: Calibrated) -> Plan:
    """A stated plan with what the source left open set as a planner would: chunks, micro-batch, recomputation."""
    options = [plan]
    if "vpp" not in case.stated and plan.pp > 1:
        deep = -(-case.shape.num_hidden_layers // plan.pp)
        options += [replace(plan, vpp=v, schedule=INTERLEAVED) for v in (2, 3, 4, 6, 8, 12) if deep % v == 0]
    if "micro_batch" not in case.stated:
        per_rank = plan.micro_batch * plan.micro_batches
        options = [
            replace(p, micro_batch=b, micro_batches=per_rank // b)
            for p in options
            for b in (1, 2, 4, 8)
            if per_rank % b == 0
        ]
    options = [
        p for p in options if p.schedule != INTERLEAVED or p.micro_batches % p.pp == 0 or "vpp" in case.stated
    ] or [plan]
    scores, state = not fused(case, how), FROZEN if case.kind == "lora" else MIXED
    ladder = ((plan.recompute, plan.recompute_share),) if "recompute" in case.stated else LEAST_RECOMPUTATION
    for code, share in ladder:
        trial = [replace(p, recompute=code, recompute_share=share) for p in options]
        need = memory(case.shape, table(trial), case.seq_len, state, scores=scores).total
        fitting = [p for p, bytes_ in zip(trial, need, strict=True) if bytes_ < place.memory_bytes]
        if fitting:
            return _fastest(case, fitting, place, how)
    return replace(options[0], recompute=ladder[-1][0], recompute_share=ladder[-1][1])


def _fastest(case: Case, plans: list[Plan], place: Machine, how: Calibrated) -> Plan:
    if len(plans) == 1:
        return plans[0]
    return plans[int(np.argmin(price(case.shape, place, table(plans), case.seq_len, how.software).total))]


def calibrated_case(ready: Prepared) -> Calibrated:
    """Calibrated software of a case; attention and overlap as the source states them."""
    case = ready.case
    how = calibrated(case.chip, ready.place.vendor, case.precision, ready.stack)
    software = how.software
    if not float(np.ravel(ready.parts.fused)[0]):
        software = replace(software, attention=software.attention * how.unfused_attention)
    if case.features & set(OVERLAPS):
        odds = overlap_odds("tensor") * software.tensor_hidden / max(1 - software.tensor_hidden, 1e-9)
        software = replace(software, tensor_hidden=odds / (1 + odds))
    if any("overlap switched off" in f for f in case.features):
        software = replace(
            software, tensor_hidden=0.0, context_hidden=0.0, expert_hidden=0.0, data_hidden=0.0, pipeline_hidden=0.0
        )
    return replace(how, software=software)


def software_of(ready: Prepared) -> Calibrated:
    """Calibrated software of a case, with the time and the spread that its circumstances add."""
    how = calibrated_case(ready)
    time, spread = 1.0, how.spread**2
    for name in circumstances(ready.case):
        card = fitted_card("circumstance", name)
        if card is not None:
            time, spread = time * float(card.time), spread + float(card.spread) ** 2
    return replace(how, time=time, spread=float(np.sqrt(spread)))


def step_seconds(ready: Prepared, how: Software) -> float:
    """Predicted seconds of one step."""
    return float(np.ravel(step_time(ready.parts, table([ready.plan]), how, ready.ranks).total)[0])


def flops_per_token(ready: Prepared) -> float:
    """FLOPs per token as the source counts them."""
    case, words = ready.case, ready.case.convention.lower()
    shape, mtp = case.shape, case.shape.num_nextn_predict_layers > 0
    hardware = any(mark in words for mark in ("recomputed forward", "counts recompute", "includes recompute"))
    causal = ("causal half" in words or "halved" in words) and "not halved" not in words
    flops = float(train_flops_per_token(shape, case.seq_len, "causal" if causal else "megatron", mtp=mtp))
    return flops * 4 / 3 if hardware and ready.plan.recompute == 2 else flops


def to_metric(ready: Prepared, seconds: float) -> float:
    """A step time as the metric that the source printed."""
    case = ready.case
    rate = ready.tokens / seconds / case.devices
    if case.target == "step_time_s":
        return seconds
    if case.target in ("tokens_per_s_total", "tokens_per_s"):
        return rate * case.devices
    if case.target in ("samples_per_s_total", "samples_per_s"):
        return ready.plan.global_batch / seconds
    if case.target == "total_gpu_hours":
        lost = availability(reliability_card(case.chip), case.devices, None, 0)
        return case.tokens / rate / 3600 / float(lost.goodput)
    if case.target == "tokens_per_s_per_device":
        return rate
    flops = rate * flops_per_token(ready)
    return flops / 1e12 if case.target == "tflops_per_device" else flops / (peak_of(ready) * ready.ranks / case.devices)


def peak_of(ready: Prepared) -> float:
    """Dense peak of one rank in the precision of the run."""
    from wafer2token.train.layer import gemm_dtype

    return float(ready.place.acc.peaks[gemm_dtype(ready.place.acc, ready.case.precision)])


def seconds_of(ready: Prepared, value: float) -> float:
    """The step time that a measured metric implies; metrics are proportional to it or to its inverse."""
    at_one = to_metric(ready, 1.0)
    return value / at_one if ready.case.target in ("step_time_s", "total_gpu_hours") else at_one / value


__all__ = ["Prepared", "prepare", "seconds_of", "software_of", "step_seconds", "to_metric"]
