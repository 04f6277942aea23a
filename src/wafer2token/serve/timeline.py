"""A real run, request by request, replayed: ``validate serve --trace-run FILE``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wafer2token.catalog import get
from wafer2token.evidence.errors import InputError, Problem, W2TError
from wafer2token.evidence.validation import Z80, Point
from wafer2token.workload import model

from .engine.run import Cluster, Outcome, Pool, Requests, simulate
from .flags import parse_plan
from .machine import site
from .memory import memory
from .overhead import Overhead, own_engine
from .plan import Plan, checked
from .points import names
from .predict import BLOCK, POLICY, instance_plan
from .surrogate import step_table

F = NDArray[np.float64]
_KNOWN = {"rtx4090": "rtx_4090", "rtxpro6000": "rtx_pro_6000_server", "h100": "h100_sxm", "h200": "h200_sxm", "a100": "a100_sxm_80", "h20": "h20",
          "910b": "ascend_910b2", "910c": "ascend_910c", "l40s": "l40s"}  # fmt: skip
PUBLISHED = "llmservingsim"
"""How the files of published runs begin whose splits are known."""
NEEDED = ("input_toks", "output_toks", "arrival_time", "first_token_ts", "last_token_ts")


@dataclass(frozen=True)
class Run:
    """What a real run was: its requests, when they were queued, begun and ended [s], and on what it ran."""

    requests: Requests
    ttft_s: F
    tpot_s: F
    e2e_s: F
    chip: str
    model: str
    plan: Plan
    kv_tokens: float
    name: str


def read_run(path: str | Path, chip: str | None = None, model_id: str | None = None, plan: str | None = None) -> Run:
    """A file of per-request measurements with what it ran on.

    Chip and model are those given, else those of the first line (``chip``, ``model``, ``plan``, ``kv_tokens``), else those
    that the file name says (``..._RTX4090_Llama-3.1-8B_...``).
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(Problem("no such run", str(path)))
    rows, wrong = [], []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            wrong.append(Problem(f"not JSON ({error.msg})", f"{file.name}:{number}", remedy="mend or drop the line"))
            continue
        missing = [k for k in NEEDED if k not in row] if "chip" not in row or "input_toks" in row else []
        if missing:
            wrong.append(Problem(f"lacks {', '.join(missing)}", f"{file.name}:{number}", remedy="drop the line or add the keys"))
        else:
            rows.append(row)
    if wrong:
        raise InputError(wrong[:20])
    head = rows[0] if rows else {}
    about = {k: head.get(k) for k in ("chip", "model", "plan", "kv_tokens")}
    found_chip = chip or about["chip"] or _said(file.stem, _KNOWN)
    found_model = model_id or about["model"] or _model_in(file.stem)
    if not found_chip or not found_model:
        raise InputError(Problem("chip and model of the run not stated", file.name, remedy='put "chip" and "model" into its first line'))
    rows = [r for r in rows if "input_toks" in r]
    known = names()["runs"].get(f"{found_chip} {found_model}", "tp=1") if file.stem.startswith(PUBLISHED) else "tp=1"
    split = parse_plan(str(plan or about["plan"] or _split_in(file.stem) or known), observed_limits(rows))
    return _run(file, rows, str(found_chip), str(found_model), checked(split, model(found_model)), float(about["kv_tokens"] or 0.0))


def observed_limits(rows: Sequence[Mapping[str, Any]]) -> Plan:
    """The scheduler's limits as a log of scheduling times shows them, else those of an engine on a small device.

    Sequences: the most at once, where requests wait behind just that many for a fiftieth of the run. Tokens per step: the
    power of two that holds the whole prompts which began in one step, but for one in twenty (prefixes may be cached).
    """
    limits = Plan(max_num_seqs=256, max_num_batched_tokens=2048)
    if not rows or any("scheduled_ts" not in r or "queued_ts" not in r for r in rows):
        return limits
    queued, begun, ended, tokens = (np.array([float(r[k]) for r in rows]) for k in ("queued_ts", "scheduled_ts", "last_token_ts", "input_toks"))
    at = np.linspace(begun.min(), ended.max(), 2000)
    running, waiting = (np.searchsorted(np.sort(a), at, "right") - np.searchsorted(np.sort(b), at, "right") for a, b in ((begun, ended), (queued, begun)))
    peak = int(running.max())
    if np.mean((running == peak) & (waiting > 0)) > 0.02:
        limits = replace(limits, max_num_seqs=peak)
    order = np.lexsort((queued, begun))
    steps = np.split(tokens[order], np.flatnonzero(np.diff(begun[order])) + 1)
    whole = np.array([float(step[:-1].sum()) for step in steps if len(step) > 1])
    if len(whole):
        most = 2 ** math.ceil(math.log2(max(float(np.quantile(whole, 0.95)), 2048.0)))
        limits = replace(limits, max_num_batched_tokens=int(most))
    return limits


def _run(file: Path, rows: list[dict[str, Any]], chip: str, model_id: str, plan: Plan, kv_tokens: float) -> Run:
    queued = np.array([float(r.get("queued_ts", r["arrival_time"])) for r in rows])
    order = np.argsort(queued, kind="stable")

    def column(name: str) -> F:
        return np.array([float(r[name]) for r in rows])[order]

    first, last, begin = column("first_token_ts"), column("last_token_ts"), queued[order]
    osl = np.maximum(column("output_toks"), 1)
    requests = Requests(begin - begin[0], column("input_toks").astype(np.int32), osl.astype(np.int32), name=file.stem)
    tpot = np.where(osl > 1, (last - first) / np.maximum(osl - 1, 1), np.nan)
    return Run(requests, first - begin, tpot, last - begin, chip, model_id, plan, kv_tokens, file.stem)


def _said(stem: str, known: dict[str, str]) -> str:
    plain = stem.lower().replace("-", "").replace(" ", "").replace("_", "")
    return next((chip for word, chip in known.items() if word in plain), "")


def _model_in(stem: str) -> str:
    for part in stem.split("_"):
        try:
            return model(part).id
        except W2TError:
            continue
    return ""


def _split_in(stem: str) -> str:
    import re

    parts = {k.lower(): v for k, v in re.findall(r"(?i)(tp|dp|ep)(\d+)", stem)}
    return ",".join(f"{k}={v}" for k, v in parts.items())


def replay(run: Run, stack: str = "vllm", overhead: Overhead | None = None) -> Outcome:
    """The same requests through the simulator, with the engine card of the chip or with ``overhead``.

    The times of a log are the engine's own, so that nothing is added per request.
    """
    shape, place = model(run.model), site(run.chip, stack)
    machine = place.machine if overhead is None else replace(place.machine, overhead=overhead)
    isl = float(np.mean(run.requests.isl))
    longest = float(np.max(run.requests.isl + run.requests.osl))
    room = run.kv_tokens or float(np.mean(memory(shape, run.plan, place.hbm_bytes, isl).kv_tokens))
    plan = instance_plan(run.plan)
    pool = Pool(step_table(shape, machine, plan, isl, longest), 1, "both", plan.max_num_seqs, plan.max_num_batched_tokens, int(room // BLOCK))
    return simulate(run.requests, Cluster((pool,), policy=POLICY.get(stack, "vllm"), block_size=BLOCK, prefix_cache=True))


def anchored(run: Run, part: float = 1.0, stack: str = "vllm") -> Overhead:
    """Engine parameters with which the first ``part`` of the requests of a run get their tpot and ttft.

    Two factors are fitted: on the device as a whole, and on what prompts do in bulk. In a run that overflows they trade
    against each other in the means alone, so that the quartiles count as well, and the search starts from several places.
    """
    from scipy.optimize import minimize

    own = np.arange(len(run.requests)) < part * len(run.requests)
    start = site(run.chip, stack).machine.overhead
    osl = np.maximum(np.asarray(run.requests.osl) - 1, 1)
    known = own & np.isfinite(run.tpot_s)
    real = _told(run.tpot_s[known], run.ttft_s[own])

    def of(factors: F) -> Overhead:
        device, prefill = np.exp(np.clip(factors, -2.3, 2.3))
        return replace(start, device=float(start.device * device), prefill=float(start.prefill * prefill))

    def missing(factors: F) -> float:
        made = replay(run, stack, of(factors))
        told = _told(((made.finish_s - made.first_s) / osl)[known], (made.first_s - made.issue_s)[own])
        return float(np.linalg.norm(WEIGHT * (told - real))) + 1e-3 * float(np.sum(np.abs(factors)))

    rough = sorted(
        (np.array([d, p]) for d in np.linspace(-0.6, 0.6, 7) for p in np.linspace(-0.8, 0.8, 5)), key=missing
    )
    corners = np.array([[0.0, 0.0], [0.15, 0.0], [0.0, 0.3]])
    found = [
        minimize(missing, at, method="Nelder-Mead", options={"initial_simplex": at + corners, "maxfev": 60, "xatol": 2e-3, "fatol": 1e-4})
        for at in rough[:STARTS]
    ]
    return of(min(found, key=lambda f: float(f.fun)).x)


STARTS = 4
WEIGHT = np.array([1.0, 0.3, 0.3] * 2)
"""Of the mean and the quartiles of tpot, then of ttft."""


def _told(tpot: F, ttft: F) -> F:
    parts = ((float(np.mean(x)), *np.quantile(x, (0.25, 0.75))) for x in (tpot, ttft))
    return np.asarray(np.log(np.maximum([v for p in parts for v in p], 1e-9)))


def validate_run(path: str | Path, chip: str | None = None, model_id: str | None = None, plan: str | None = None,
                 calibration: str | Path | None = None) -> list[Point]:  # fmt: skip
    """Mean, median and 99th percentile of the run's ttft, tpot and end-to-end time, beside the replay's.

    Three predictions: from the cards alone; from a ``calibration`` of the user's (of another run) where one is given; and of
    the last two thirds of the requests, with the engine anchored to the first third.
    """
    run = read_run(path, chip, model_id, plan)
    ratios: Any = get("calibration", "serve_spread").ratios
    out = _points(run, replay(run), "timeline", slice(None), float(ratios["timeline"]))
    if calibration is not None:
        own = own_engine(calibration)
        own.check(run.chip, own.stack, str(calibration))
        out += _points(run, replay(run, own.stack, own.overhead), CALIBRATED, slice(None), ANCHORED_SPREAD)
    rest = slice(len(run.requests) // 3, None)
    return out + _points(run, replay(run, overhead=anchored(run, 1.0 / 3.0)), ANCHORED, rest, ANCHORED_SPREAD)


ANCHORED_SPREAD = 0.1
"""Standard deviation of ln(measured / predicted) that is claimed of an anchored engine."""
CALIBRATED = "calibrated elsewhere"
ANCHORED = "anchored to its first third"


def _points(run: Run, made: Outcome, group: str, part: slice, sigma: float) -> list[Point]:
    z = Z80 * sigma
    osl = np.asarray(run.requests.osl)
    predicted = {"ttft": made.first_s - made.issue_s, "e2e": made.finish_s - made.issue_s,
                 "tpot": np.where(osl > 1, (made.finish_s - made.first_s) / np.maximum(osl - 1, 1), np.nan)}  # fmt: skip
    out = []
    for name, real in (("ttft", run.ttft_s), ("tpot", run.tpot_s), ("e2e", run.e2e_s)):
        for statistic, of in (("mean", np.nanmean), ("p50", np.nanmedian), ("p99", lambda x: np.nanpercentile(x, 99))):
            one, other = 1e3 * float(of(real[part])), 1e3 * float(of(predicted[name][part]))
            suffix = "" if group == "timeline" else f" ({group.split()[0]})"
            out.append(Point(f"{run.name}:{statistic}_{name}_ms{suffix and ':' + suffix[2:-1]}", group, one, other, other * math.exp(-z), other * math.exp(z), "ms",
                             1.0, math.nan, "", run.name, (f"{statistic} {name}{suffix}",)))  # fmt: skip
    return out
