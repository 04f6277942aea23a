"""Anchoring predictions to one measured run of the user's own engine: ``calibrate --from RUN``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from wafer2token.evidence.errors import InputError, Problem
from wafer2token.workload import model

from .machine import site
from .memory import memory
from .metrics import summarise
from .overhead import FACTORS, Overhead
from .plan import Plan
from .predict import BLOCK, POLICY, RESERVE
from .requests import gamma_arrivals, lengths, make
from .surrogate import step_table
from .system import begun_together, seen_by_client
from .verb import resolve


@dataclass(frozen=True)
class MeasuredRun:
    """What a benchmark reports of one run: means, seconds; ``rate`` inf for a closed loop or everything at once."""

    name: str
    isl: float
    osl: float
    requests: int
    rate: float
    concurrency: int
    ttft_s: float
    tpot_s: float
    output_tokens_per_s: float


@dataclass(frozen=True)
class EngineAnchor:
    """Engine parameters that reproduce a run, and the errors of the prediction before and after (predicted / measured - 1)."""

    run: MeasuredRun
    chip: str
    stack: str
    plan: Plan
    overhead: Overhead
    before: Mapping[str, float]
    after: Mapping[str, float]
    model: str = ""

    def to_toml(self, card_id: str = "engine_own") -> str:
        """The anchor as a calibration card to put beside the bundled ones."""
        o = self.overhead
        times = {"step": o.step_s, "sequence": o.sequence_s, "prefill": o.prefill_s, "request": o.request_s, "hidden": o.hidden_s}
        ratios = {"device": o.device, "eager": o.eager, "prefill_overlap": o.prefill_overlap, "decode_overlap": o.decode_overlap}
        ratios |= {name: getattr(o, name) for name in FACTORS}
        lines = ["[[card]]", f'id = "{card_id}"', f'name = "{self.stack} on {self.chip}, anchored to {self.run.name}"', 'subject = "chip"',
                 f'target = "{self.chip}"', f'stack = "{self.stack}"', 'family = "engine"', "[card.times]"]  # fmt: skip
        grade = 'grade = "measured", source = ["w2t"], note = "fitted to the user\'s own run"'
        lines += [f'{k} = {{ value = "{v:.6g} s", {grade} }}' for k, v in times.items()]
        lines += ["[card.ratios]", *[f"{k} = {{ value = {v:.6g}, {grade} }}" for k, v in ratios.items()]]
        return "\n".join(lines) + "\n"


def read_result(path: str | Path) -> MeasuredRun:
    """The result file of ``vllm bench serve --save-result`` or of AIPerf; InputError names what is missing."""
    file = Path(path)
    if not file.is_file():
        raise InputError(Problem("no such result", str(path)))
    try:
        raw = json.loads(file.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise InputError(Problem(f"not JSON ({error.msg})", f"{file.name}:{error.lineno}")) from None
    found = _vllm(raw) if "mean_ttft_ms" in raw else _aiperf(raw)
    missing = [k for k, v in found.items() if v is None]
    if missing:
        raise InputError(Problem(f"the result lacks {', '.join(missing)}", file.name, allowed="vllm bench serve or AIPerf JSON"))
    return MeasuredRun(name=file.stem, **found)


def _vllm(raw: Mapping[str, Any]) -> dict[str, Any]:
    done = int(raw.get("completed") or 0)
    rate = raw.get("request_rate", "inf")

    def per_request(key: str) -> float | None:
        return raw[key] / done if done and raw.get(key) else None

    return {
        "isl": per_request("total_input_tokens"), "osl": per_request("total_output_tokens"), "requests": done or None,
        "rate": math.inf if str(rate) == "inf" else float(rate), "concurrency": int(raw.get("max_concurrency") or 0),
        "ttft_s": raw["mean_ttft_ms"] / 1e3, "tpot_s": raw["mean_tpot_ms"] / 1e3 if raw.get("mean_tpot_ms") else None,
        "output_tokens_per_s": raw.get("output_throughput"),
    }  # fmt: skip


def _aiperf(raw: Mapping[str, Any]) -> dict[str, Any]:
    def average(key: str) -> float | None:
        entry = raw.get(key) or (raw.get("records") or {}).get(key)
        return float(entry["avg"]) if isinstance(entry, Mapping) and "avg" in entry else None

    config = (raw.get("input_config") or {}).get("loadgen") or {}
    ttft, itl = average("time_to_first_token"), average("inter_token_latency")
    return {
        "isl": average("input_sequence_length"), "osl": average("output_sequence_length"),
        "requests": int(average("request_count") or config.get("request_count") or 0) or None,
        "rate": float(config.get("request_rate") or math.inf), "concurrency": int(config.get("concurrency") or 0),
        "ttft_s": ttft / 1e3 if ttft else None, "tpot_s": itl / 1e3 if itl else None,
        "output_tokens_per_s": average("output_token_throughput"),
    }  # fmt: skip


def calibrate_run(path: str | Path, model_id: str | None, on: str | None, plan: str | Plan | None = None, stack: str | None = None,
                  rate: float | None = None, concurrency: int | None = None) -> EngineAnchor:  # fmt: skip
    """Fit the host's share of a step, the device efficiency and the time per request to one measured run.

    The time per token fixes the first two in their prior proportion, the time to first token the last, and where nothing
    is left for it the speed of prompts; what one run cannot tell apart keeps the proportion of the engine's card. A log
    per request (``timeline.read_run``) tells prompts from output tokens by itself.

    Args:
        path: result of ``vllm bench serve`` or of AIPerf, or a log with one JSON line per request.
        plan: split and limits of the instance that was measured; None: the smallest that fits.
        rate, concurrency: the load of the run, where the result does not say it.
    """
    if is_log(path):
        return calibrate_log(path, model_id, on, plan, stack)
    if not model_id or not on:
        raise InputError(Problem("a result says neither model nor system", remedy="give --model and --on"))
    run, shape, place = read_result(path), model(model_id), site(on, stack)
    run = replace(run, rate=rate or run.rate, concurrency=concurrency or run.concurrency)
    split = resolve(shape, place, plan, run.isl + run.osl)
    start = place.machine.overhead
    before = _errors(run, shape, place, split, start)
    over = start
    for _ in range(6):
        errors = _errors(run, shape, place, split, over)
        factor = 1.0 / (1.0 + errors["tpot"])
        over = replace(over, device=float(np.clip(over.device * factor, 0.2, 5.0)), step_s=float(np.clip(over.step_s * factor, 1e-5, 0.2)))
        if abs(errors["tpot"]) < 1e-3:
            break
    for _ in range(8):
        ttft = (1.0 + _errors(run, shape, place, split, over)["ttft"]) * run.ttft_s
        left = over.request_s + run.ttft_s - ttft
        over = replace(over, request_s=max(left, 0.0))
        if left >= 0.0:
            break
        over = replace(over, prefill=max(over.prefill * run.ttft_s / ttft, 0.1))
    return EngineAnchor(run, place.chip, place.stack, split, over, before, _errors(run, shape, place, split, over), shape.id)


def is_log(path: str | Path) -> bool:
    """Whether a file holds one JSON line per request of a run, rather than one result."""
    file = Path(path)
    if not file.is_file():
        return False
    with file.open(encoding="utf-8-sig") as handle:
        first = handle.readline()
    try:
        row = json.loads(first)
    except json.JSONDecodeError:
        return False
    return isinstance(row, dict) and ("input_toks" in row or "chip" in row)


def calibrate_log(path: str | Path, model_id: str | None, on: str | None, plan: str | Plan | None, stack: str | None) -> EngineAnchor:
    """Fit the device's factor and that of prompts to a log per request; model, chip and split may stand in the log or its name."""
    from .timeline import anchored, read_run, replay

    if isinstance(plan, Plan):
        raise InputError(Problem("the plan of a log is given as text", "--plan"))
    place = site(on, stack) if on else None
    log = read_run(path, place.chip if place else None, model_id or None, plan)
    place = place or site(log.chip, stack)
    q = log.requests
    span = float(q.arrival_s[-1]) or math.inf
    total = float(np.max(q.arrival_s + log.e2e_s))
    run = MeasuredRun(log.name, float(np.mean(q.isl)), float(np.mean(q.osl)), len(q), len(q) / span, 0, float(np.mean(log.ttft_s)),
                      float(np.nanmean(log.tpot_s)), float(np.sum(q.osl)) / total)  # fmt: skip

    def errors(over: Overhead) -> dict[str, float]:
        s = summarise(replay(log, place.stack, over))
        return {"ttft": s.ttft.mean / run.ttft_s - 1, "tpot": s.tpot.mean / run.tpot_s - 1, "output_tokens_per_s": s.output_throughput / run.output_tokens_per_s - 1}

    over = anchored(log, stack=place.stack)
    return EngineAnchor(run, place.chip, place.stack, log.plan, over, errors(place.machine.overhead), errors(over), log.model)


def _errors(run: MeasuredRun, shape: Any, place: Any, plan: Plan, over: Overhead) -> dict[str, float]:
    from .engine.run import Cluster, Pool, simulate

    machine = replace(place.machine, overhead=over)
    n = run.requests
    room = memory(shape, plan, place.hbm_bytes, run.isl + 0.5 * run.osl)
    pool = Pool(step_table(shape, machine, plan, run.isl, run.isl + run.osl), 1, "both", plan.max_num_seqs * plan.dp,
                plan.max_num_batched_tokens * plan.dp, int(np.mean(room.kv_tokens) // BLOCK))  # fmt: skip
    cluster = Cluster((pool,), policy=POLICY.get(place.stack, "vllm"), reserve=RESERVE.get(place.stack, 0.0),
                      tokens_per_step=plan.tokens_per_step, max_concurrency=run.concurrency or 1 << 40, response_s=float(over.request_s))  # fmt: skip
    arrival = np.zeros(n) if math.isinf(run.rate) else gamma_arrivals(run.rate, n)
    sent, busy = begun_together(make(arrival, lengths(run.isl, n), lengths(run.osl, n)), replace(place, machine=machine), run.concurrency, 1)
    s = summarise(seen_by_client(simulate(sent, cluster), busy, float(over.request_s)))
    return {
        "ttft": s.ttft.mean / run.ttft_s - 1.0,
        "tpot": s.tpot.mean / run.tpot_s - 1.0,
        "output_tokens_per_s": s.output_throughput / run.output_tokens_per_s - 1.0,
    }
