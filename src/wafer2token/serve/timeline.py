"""A real run, request by request, replayed: ``validate serve --trace-run FILE``."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from wafer2token.catalog import get
from wafer2token.evidence.errors import InputError, Problem, W2TError
from wafer2token.evidence.validation import Point
from wafer2token.workload import model

from .engine.run import Cluster, Outcome, Pool, Requests, simulate
from .flags import parse_plan
from .machine import site
from .metrics import summarise
from .plan import Plan, checked
from .predict import POLICY, Predictor
from .surrogate import step_table

_KNOWN = {"rtx4090": "rtx_4090", "rtxpro6000": "rtx_pro_6000_server", "h100": "h100_sxm", "h200": "h200_sxm", "a100": "a100_sxm_80", "h20": "h20",
          "910b": "ascend_910b2", "910c": "ascend_910c", "l40s": "l40s"}  # fmt: skip
NEEDED = ("input_toks", "output_toks", "arrival_time", "first_token_ts", "last_token_ts")


@dataclass(frozen=True)
class Run:
    """What a real run was: its requests, when they were queued, begun and ended [s], and on what it ran."""

    requests: Requests
    ttft_s: Any
    tpot_s: Any
    e2e_s: Any
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
    split = checked(parse_plan(str(plan or about["plan"] or _split_in(file.stem))), model(found_model))
    return _run(file, rows, str(found_chip), str(found_model), split, float(about["kv_tokens"] or 0.0))


def _run(file: Path, rows: list[dict[str, Any]], chip: str, model_id: str, plan: Plan, kv_tokens: float) -> Run:
    queued = np.array([float(r.get("queued_ts", r["arrival_time"])) for r in rows])
    order = np.argsort(queued, kind="stable")

    def column(name: str) -> Any:
        return np.array([float(r[name]) for r in rows])[order]

    first, last, begin = column("first_token_ts"), column("last_token_ts"), queued[order]
    osl = np.maximum(column("output_toks"), 1)
    requests = Requests(begin - begin[0], column("input_toks").astype(np.int32), osl.astype(np.int32), name=file.stem)
    with np.errstate(divide="ignore", invalid="ignore"):
        tpot = np.where(osl > 1, (last - first) / (osl - 1), np.nan)
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
    return ",".join(f"{k}={v}" for k, v in parts.items()) or "tp=1"


def replay(run: Run, stack: str = "vllm", predictor: Predictor | None = None) -> Outcome:
    """The same requests through the simulator."""
    shape = model(run.model)
    place = site(run.chip, stack)
    if predictor is not None and (over := predictor.overheads.get(("", stack))) is not None:
        place = replace(place, machine=replace(place.machine, overhead=over))
    from .memory import memory

    isl = float(np.mean(run.requests.isl))
    longest = float(np.max(run.requests.isl + run.requests.osl))
    plan = replace(run.plan, max_num_seqs=256, max_num_batched_tokens=max(run.plan.max_num_batched_tokens if run.plan.max_num_batched_tokens != 8192 else 2048, 1))
    room = run.kv_tokens or float(np.mean(memory(shape, plan, place.hbm_bytes, isl).kv_tokens))
    pool = Pool(step_table(shape, place.machine, plan, isl, longest), 1, "both", plan.max_num_seqs * plan.dp, plan.max_num_batched_tokens * plan.dp, int(room // 16))
    return simulate(run.requests, Cluster((pool,), policy=POLICY.get(stack, "vllm")))


def validate_run(path: str | Path, chip: str | None = None, model_id: str | None = None, plan: str | None = None,
                 sigma: float = 0.1) -> list[Point]:  # fmt: skip
    """Mean and median of the run's ttft, tpot and end-to-end time, beside the replay's."""
    run = read_run(path, chip, model_id, plan)
    s = summarise(replay(run))
    get("chip", run.chip)
    z = 1.2815515655446004 * sigma
    out = []
    for name, real, made in (("ttft", run.ttft_s, s.ttft), ("tpot", run.tpot_s, s.tpot), ("e2e", run.e2e_s, s.e2e)):
        for statistic, measured, predicted in (("mean", float(np.nanmean(real)), made.mean), ("p50", float(np.nanmedian(real)), made.p50),
                                               ("p99", float(np.nanpercentile(real, 99)), made.p99)):  # fmt: skip
            out.append(Point(f"{run.name}:{statistic}_{name}_ms", "timeline", 1e3 * measured, 1e3 * predicted, 1e3 * predicted * math.exp(-z),
                             1e3 * predicted * math.exp(z), "ms", 1.0, math.nan, "", run.name, (f"{statistic} {name}",)))  # fmt: skip
    return out
