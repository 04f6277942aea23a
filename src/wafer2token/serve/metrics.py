"""What a run was like: latency percentiles, throughput, goodput, utilisation, and whether the queue ever drains.

Definitions (seconds; means over completed requests unless said otherwise)::

    ttft = first token - issue          tpot = (e2e - ttft) / (osl - 1)
    e2e  = last token  - issue          itl  = gap between two outputs of a request, over all gaps

With speculation a gap yields more than one token, so that itl is the step time and tpot is below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import state as s
from .engine.run import Outcome
from .slo import Objective

F = NDArray[np.float64]
PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True)
class Spread:
    """Mean, deviation and percentiles of one latency [s]."""

    mean: float
    std: float
    p50: float
    p90: float
    p95: float
    p99: float

    def statistic(self, name: str) -> float:
        """By name: mean, median or p<number> of those kept."""
        return float(getattr(self, "p50" if name == "median" else name))


@dataclass(frozen=True)
class Drain:
    """Whether the system keeps up: requests before their first token grow by ``growth`` [1/s] over the last half of the arrivals."""

    overloaded: bool
    growth: float
    offered: float
    served: float

    def __str__(self) -> str:
        if not self.overloaded:
            return f"keeps up: {self.offered:.4g} requests/s offered"
        return (f"this rate never drains; the queue grows by {self.growth:.3g} requests/s "
                f"({self.offered:.4g} offered, {self.served:.4g} served)")  # fmt: skip


@dataclass(frozen=True)
class Summary:
    """The result of one run; times in seconds, rates per second over the whole system."""

    requests: int
    completed: int
    rejected: int
    unfinished: int
    duration_s: float
    input_tokens: int
    output_tokens: int
    request_throughput: float
    output_throughput: float
    total_token_throughput: float
    request_goodput: float
    ttft: Spread
    tpot: Spread
    itl: Spread
    e2e: Spread
    mean_concurrency: float
    mean_batch: float
    utilisation: float
    prefill_share: float
    kv_use: float
    prefix_hit_rate: float
    preemptions: int
    drain: Drain
    met: dict[str, bool] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, nested."""
        return asdict(self)


def spread(values: F) -> Spread:
    """Statistics of an array; zeros where it is empty."""
    if len(values) == 0:
        return Spread(*([float("nan")] * 6))
    p = np.percentile(values, PERCENTILES)
    return Spread(float(values.mean()), float(values.std()), *(float(x) for x in p))


def gap_spread(weight: F) -> Spread:
    """Inter-token latency out of the engine's histogram (bins of 1.25%)."""
    total = weight.sum()
    if total == 0:
        return spread(np.zeros(0))
    middle = s.ITL_FLOOR_S * s.ITL_RATIO ** (np.arange(len(weight)) + 0.5)
    mean = float((weight * middle).sum() / total)
    std = float(np.sqrt((weight * (middle - mean) ** 2).sum() / total))
    share = np.cumsum(weight) / total
    p = [float(middle[np.searchsorted(share, q / 100)]) for q in PERCENTILES]
    return Spread(mean, std, *p)


def latencies(outcome: Outcome) -> dict[str, F]:
    """ttft, tpot and e2e [s] of the completed requests, shape [completed] (tpot: of those with more than one token)."""
    done = outcome.status == s.DONE
    issue, first, last = outcome.issue_s[done], outcome.first_s[done], outcome.finish_s[done]
    osl = np.asarray(outcome.requests.osl)[done]
    several = osl > 1
    tpot = (last - first)[several] / (osl[several] - 1)
    return {"ttft": first - issue, "tpot": tpot, "e2e": last - issue}


def statistic(outcome: Outcome, objective: Objective) -> float:
    """The value that an objective limits [s]: mean, median or any percentile of its metric over the completed requests."""
    if objective.statistic in ("mean", "median"):
        q = None if objective.statistic == "mean" else 50.0
    else:
        q = float(objective.statistic[1:])
    if objective.metric == "itl":
        weight = outcome.gap_weight
        if q is None or not weight.sum():
            return gap_spread(weight).mean
        middle = s.ITL_FLOOR_S * s.ITL_RATIO ** (np.arange(len(weight)) + 0.5)
        return float(middle[np.searchsorted(np.cumsum(weight) / weight.sum(), q / 100)])
    values = latencies(outcome)[objective.metric]
    if len(values) == 0:
        return float("nan")
    return float(values.mean() if q is None else np.percentile(values, q))


def good(outcome: Outcome, slo: Sequence[Objective]) -> NDArray[np.bool_]:
    """Which requests completed within every per-request limit (ttft, tpot, e2e), shape [requests]."""
    done = outcome.status == s.DONE
    osl = np.maximum(np.asarray(outcome.requests.osl) - 1, 1)
    value = {
        "ttft": outcome.first_s - outcome.issue_s,
        "tpot": (outcome.finish_s - outcome.first_s) / osl,
        "e2e": outcome.finish_s - outcome.issue_s,
    }
    for objective in slo:
        if objective.metric in value:
            done = done & (value[objective.metric] <= objective.limit_s)
    return np.asarray(done)


def drain(outcome: Outcome) -> Drain:
    """Compare arrivals with first tokens over the last half of the arrival window of an open system."""
    issued = outcome.issue_s[outcome.issue_s >= 0]
    if len(issued) < 20 or issued[-1] <= issued[0]:
        return Drain(False, 0.0, 0.0, 0.0)
    ends = np.sort(outcome.first_s[outcome.first_s >= 0])
    gone = np.sort(outcome.issue_s[outcome.status == s.REJECTED])
    start, stop = issued[0] + 0.5 * (issued[-1] - issued[0]), issued[-1]
    at = np.linspace(start, stop, 64)
    inside = np.searchsorted(issued, at) - np.searchsorted(ends, at) - np.searchsorted(gone, at)
    growth, _ = np.polyfit(at - start, inside, 1)
    span = stop - start
    offered = float((np.searchsorted(issued, stop) - np.searchsorted(issued, start)) / span)
    served = float((np.searchsorted(ends, stop) - np.searchsorted(ends, start)) / span)
    risen = growth * span
    noise = 3.0 * np.sqrt(max(offered * span, 1.0))
    overloaded = bool(growth > 0.02 * offered and risen > noise and inside[-1] > 1.2 * inside[0])
    return Drain(overloaded, float(growth), offered, served)


def summarise(outcome: Outcome, slo: Sequence[Objective] = ()) -> Summary:
    """The summary of a run, and for each objective whether it was met."""
    done = outcome.status == s.DONE
    spans = {name: spread(values) for name, values in latencies(outcome).items()}
    spans["itl"] = gap_spread(outcome.gap_weight)
    begin = float(outcome.issue_s[outcome.issue_s >= 0].min()) if np.any(outcome.issue_s >= 0) else 0.0
    end = float(outcome.finish_s[done].max()) if done.any() else outcome.end_s
    duration = max(end - begin, 1e-12)
    isl, osl = np.asarray(outcome.requests.isl, np.int64), np.asarray(outcome.requests.osl, np.int64)
    tokens_in, tokens_out = int(isl[done].sum()), int(osl[done].sum())
    busy = float(outcome.busy_s.sum())
    rejected = int((outcome.status == s.REJECTED).sum())
    computed = outcome.prefilled + int(outcome.leftover["hit_tokens"])
    return Summary(
        requests=len(done), completed=int(done.sum()), rejected=rejected,
        unfinished=len(done) - int(done.sum()) - rejected, duration_s=duration,
        input_tokens=tokens_in, output_tokens=tokens_out,
        request_throughput=int(done.sum()) / duration, output_throughput=tokens_out / duration,
        total_token_throughput=(tokens_in + tokens_out) / duration,
        request_goodput=int(good(outcome, slo).sum()) / duration,
        ttft=spans["ttft"], tpot=spans["tpot"], itl=spans["itl"], e2e=spans["e2e"],
        mean_concurrency=float((outcome.finish_s - outcome.issue_s)[done].sum() / duration),
        mean_batch=float(outcome.batch_time.sum() / busy) if busy else 0.0,
        utilisation=busy / (duration * len(outcome.busy_s)),
        prefill_share=float(outcome.prefill_s.sum() / busy) if busy else 0.0,
        kv_use=float((outcome.block_time / np.maximum(outcome.blocks, 1)).sum() / (duration * len(outcome.busy_s))),
        prefix_hit_rate=int(outcome.leftover["hit_tokens"]) / computed if computed else 0.0,
        preemptions=int(outcome.preemptions.sum()), drain=drain(outcome),
        met={str(o): statistic(outcome, o) <= o.limit_s for o in slo},
    )  # fmt: skip


def by_priority(outcome: Outcome, slo: Sequence[Objective] = ()) -> tuple[Summary, ...]:
    """A summary of the requests of each priority class, first served first; empty where there is one class.

    What is counted per replica (batches, utilisation, gaps between tokens) stays that of the whole run.
    """
    levels = outcome.requests.priority
    if levels is None or len(np.unique(levels)) < 2:
        return ()
    per_request = ("issue_s", "start_s", "first_s", "finish_s", "status", "replica", "hit_tokens", "preemptions")
    out = []
    for level in np.unique(levels):
        own = np.asarray(levels) == level
        q = outcome.requests
        part = replace(q, arrival_s=q.arrival_s[own], isl=q.isl[own], osl=q.osl[own], priority=None, hashes=None, hash_start=None)
        out.append(summarise(replace(outcome, requests=part, **{n: getattr(outcome, n)[own] for n in per_request}), slo))
    return tuple(out)


def vllm_bench(summary: Summary, rate: float | None = None, concurrency: int | None = None) -> dict[str, float | int | str | None]:
    """The result under the keys of ``vllm bench serve`` (milliseconds), with the load that was offered."""
    out: dict[str, float | int | str | None] = {
        "num_prompts": summary.requests,
        "request_rate": "inf" if rate is None else rate,
        "max_concurrency": concurrency,
        "duration": summary.duration_s,
        "completed": summary.completed,
        "total_input_tokens": summary.input_tokens,
        "total_output_tokens": summary.output_tokens,
        "request_throughput": summary.request_throughput,
        "request_goodput": summary.request_goodput,
        "output_throughput": summary.output_throughput,
        "total_token_throughput": summary.total_token_throughput,
    }
    for key, values in (("ttft", summary.ttft), ("tpot", summary.tpot), ("itl", summary.itl), ("e2el", summary.e2e)):
        out |= {f"mean_{key}_ms": 1e3 * values.mean, f"median_{key}_ms": 1e3 * values.p50, f"std_{key}_ms": 1e3 * values.std}
        out |= {f"p{q}_{key}_ms": 1e3 * values.statistic(f"p{q}") for q in (90, 95, 99)}
    return out
