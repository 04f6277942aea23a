"""Predictions taken apart: the time behind each published figure as a sum over parts of decode and prefill steps.

A figure of a closed loop is nearly a sum: the decode steps of a request and the prompts of the others that come between
them. With that sum at hand the prediction for other engine parameters follows without another simulation:
ln(figure) changes as the logarithm of the sum does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wafer2token.evidence.errors import W2TError

from .memory import memory
from .overhead import FACTORS, Overhead
from .plan import Plan
from .points import Case
from .predict import Predictor, prefill_seconds
from .steptime import Machine, StepTime, bulk, decode_step_time, prefill_step_time, short
from .validate import FIRST, scored

F = NDArray[np.float64]
PARTS = ("compute", "experts", "attention", "communication")
HOST = ("step_s", "sequence_s", "prefill_s")
NAMES = (*PARTS, "prefill", *HOST, "hidden_s")
HIDDEN = np.array([0.4e-6, 1.2e-6, 3.6e-6])
"""Times hidden between kernels [s] at which the terms are taken; between them they are interpolated."""
TERMS = 2 * len(PARTS) + len(HOST)
SEQUENCE = 2 * len(PARTS) + HOST.index("sequence_s")


@dataclass(frozen=True)
class Figure:
    """One published figure: terms [HIDDEN, TERMS] (seconds at factor 1, host terms as counts); ``share`` [TERMS] is
    how far the factor on bulk work holds for each, for communication how far that on short messages does.

    ``error`` is ln(predicted / measured) with the parameters ``start`` [NAMES]; ``sign`` is 1 for a time, -1 for a rate.
    """

    case: Case
    metric: str
    sign: float
    error: float
    terms: F
    share: F
    start: F
    weight: float


def bare(over: Overhead) -> Overhead:
    """The engine with factors of 1 and no time of the host."""
    ones: dict[str, Any] = dict.fromkeys(FACTORS, 1.0)
    return replace(over, device=1.0, step_s=0.0, sequence_s=0.0, prefill_s=0.0, **ones)


def parameters(over: Overhead) -> F:
    """The fitted parameters [NAMES] of an engine, the factor on the whole device in those of its parts."""
    values = [float(getattr(over, n)) * (float(over.device) if n in PARTS else 1.0) for n in NAMES]
    return np.array(values)


def seconds(terms: F, share: F, values: F) -> F:
    """The sums [n]: terms [n, HIDDEN, TERMS], shares [n, TERMS], parameters [n, NAMES]."""
    place = np.clip(np.log(values[:, 8] / HIDDEN[0]) / math.log(HIDDEN[1] / HIDDEN[0]), 0.0, len(HIDDEN) - 1.0)
    low = np.minimum(place.astype(int), len(HIDDEN) - 2)
    part = (place - low)[:, None]
    rows = np.arange(len(terms))
    terms = (1.0 - part) * terms[rows, low] + part * terms[rows, low + 1]
    one, talk = np.ones_like(values[:, :1]), np.array([3, 7])
    factors = np.concatenate([values[:, :3], one, values[:, :2], one, one, values[:, 5:8]], -1) * values[:, 4:5] ** share
    factors[:, talk] = values[:, 3:4] ** share[:, talk]
    return np.asarray(np.sum(terms * factors, -1))


def figures(found: Sequence[Case], predictor: Predictor) -> list[Figure]:
    """All scored figures but times to first token under load, taken apart."""
    out = []
    for case in found:
        wanted = [m for m, suffix in scored(case) if not (m in FIRST and (suffix or case.kind in ("served", "pools")))]
        if not wanted or case.grade not in "AB" or case.kind == "best":
            continue
        try:
            values = predictor.predict(case)
            terms, share = _grid(case, predictor.place(case).machine)
        except W2TError:
            continue
        start = parameters(predictor.place(case).machine.overhead)
        for metric in wanted:
            sign = 1.0 if metric.endswith("_ms") else -1.0
            error = math.log(values[metric] / case.measured[metric])
            own = terms if metric != "step_ms" else np.where(np.arange(TERMS) == SEQUENCE, 0.0, terms)
            out.append(Figure(case, metric, sign, error, own, share, start, 1.0))
    return weighted(out)


def weighted(found: Sequence[Figure]) -> list[Figure]:
    """Every series (source, model, chip, format) weighs the same, and a source as the root of the number of its series.

    Where a client sends all requests at once, filling and draining the engine are most of the run, and front ends and
    drawn lengths decide: such figures are predicted and scored, but no parameter rests on them.
    """
    series: dict[tuple[str, ...], int] = {}
    for f in found:
        series[_series(f)] = series.get(_series(f), 0) + 1
    of_source: dict[str, int] = {}
    for key in series:
        of_source[key[0]] = of_source.get(key[0], 0) + 1
    return [replace(f, weight=_steady(f.case) / (series[_series(f)] * math.sqrt(of_source[f.case.source]))) for f in found]


def _steady(case: Case) -> float:
    return 0.0 if case.kind == "served" and 0 < case.num_requests <= case.concurrency else 1.0


def _series(f: Figure) -> tuple[str, ...]:
    c = f.case
    return (c.source, c.stack, c.shape.id, c.chip, c.plan.weights)


def _grid(case: Case, machine: Machine) -> tuple[F, F]:
    """Terms [HIDDEN, TERMS] and bulk shares [TERMS]."""
    made = [taken_apart(case, replace(machine, overhead=replace(machine.overhead, hidden_s=float(h)))) for h in HIDDEN]
    return np.array([m[0] for m in made]), made[0][1]


def taken_apart(case: Case, machine: Machine) -> tuple[F, F]:
    """Terms and bulk shares [TERMS] of a case: per output token (per prompt where only prompts are processed)."""
    machine = replace(machine, overhead=bare(machine.overhead))
    plan = case.decode[1] if case.kind == "pools" and case.decode else case.plan
    terms, share = np.zeros(TERMS), np.zeros(TERMS)
    count = case.decode[0] if case.kind == "pools" and case.decode else max(case.ranks / plan.ranks, 1.0)
    batch = _in_flight(case, machine, plan, count)
    kv = case.kv_len if case.kind == "decode" else case.isl + 0.5 * case.osl
    if case.kind != "prefill":
        step = decode_step_time(case.shape, machine, plan, np.array([batch]), np.array([max(kv, 1.0)]))
        terms[:4], share[:4] = _parts(step), _shares(case, plan, batch * (1 + plan.drafts) / plan.dp / plan.pp)
        terms[8:10] = 1.0, batch / plan.dp
        terms /= plan.tokens_per_step
    if case.kind in ("decode", "pools"):
        return terms, share
    if case.kind in ("static", "prefill"):
        return _together(case, machine, plan, batch, terms, share)
    own = max(case.isl * (1.0 - case.prefix_hit), 1.0)
    chunk = min(own, float(plan.max_num_batched_tokens))
    step = prefill_step_time(case.shape, machine, plan, np.array([float(plan.dp)]), np.array([chunk]), np.array([case.isl - own]))
    per_token = batch / plan.dp * (own / chunk) / max(case.osl - 1.0, 1.0)
    terms[4:8], share[4:8] = per_token * _parts(step), _shares(case, plan, chunk, 1.0)
    terms[10] = per_token
    return terms, share


def _in_flight(case: Case, machine: Machine, plan: Plan, count: float) -> float:
    """Sequences of one instance that decode together."""
    room = memory(case.shape, plan, machine.acc.hbm_bytes, case.isl + 0.5 * case.osl)
    most = min(float(np.mean(room.kv_tokens)) / max(case.isl + 0.5 * case.osl, 1.0), plan.max_num_seqs * plan.dp)
    asked = (case.batch or case.concurrency) / count
    if case.kind in ("static", "prefill", "decode"):
        return max(asked, 1.0) if asked else 64.0 * plan.dp
    if not asked and case.rate < float("inf"):
        return max(min(case.rate * case.osl * 0.02 / count, most), 1.0)
    return max(min(asked or most, most), 1.0)


def _together(case: Case, machine: Machine, plan: Plan, batch: float, terms: F, share: F) -> tuple[F, F]:
    """A batch whose prompts are processed together, before its decode steps."""
    budget = max(16384.0, plan.max_num_batched_tokens) * plan.dp * plan.pp
    own = case.isl * (1.0 - case.prefix_hit)
    steps = max(math.ceil(batch * own / budget - 1e-9), 1)
    whole = float(prefill_seconds(case, machine, plan, batch, own))
    one = prefill_step_time(case.shape, machine, plan, np.array([max(batch / steps, 1.0)]), np.array([min(own, budget)]))
    parts = _parts(one)
    per_token = 1.0 if case.kind == "prefill" else max(case.osl - 1.0, 1.0)
    terms[4:8] = parts * (whole / max(parts.sum(), 1e-12)) / per_token
    share[4:8] = _shares(case, plan, min(batch * own, budget) / plan.dp / plan.pp, 1.0)
    terms[10] += steps / per_token
    terms[8] += steps / per_token
    return terms, share


def _parts(step: StepTime) -> F:
    parts: F = np.array([float(np.ravel(getattr(step, name))[0]) for name in PARTS])
    parts[3] *= _shown(step)
    return parts


def _shown(step: StepTime) -> float:
    """Share of the communication that is not hidden."""
    talk = float(np.ravel(step.communication)[0])
    return 1.0 - float(np.ravel(step.hidden)[0]) / talk if talk > 0 else 1.0


def _shares(case: Case, plan: Plan, tokens: float, attention: float = 0.0) -> F:
    """Shares of the parts of a step with ``tokens`` per rank; that of attention is 1 for prompts."""
    own = float(bulk(tokens))
    reduced = plan.tp > 1 and plan.dp == 1
    return np.array([own, own, attention, float(short(tokens * case.shape.hidden_size * 2.0)) * reduced])
