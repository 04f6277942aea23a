"""Published serving measurements as cases that can be predicted: chip, model, plan, load, and what was measured."""

from __future__ import annotations

import gzip
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from wafer2token.catalog import get
from wafer2token.evidence.errors import InputError, Problem, W2TError
from wafer2token.workload import ModelShape, model

from .overhead import engine_stack
from .plan import Plan, checked, default_limits, ranks_per_chip

_SUFFIX = re.compile(r"[-_](fp8|fp4|nvfp4|awq|w8a8|w4a8|bf16|mtp|quarot|instruct|0528|2507|int8|w4a16)$", re.IGNORECASE)
OPEN = 0.85
"""Requests in flight on average (Little's law) over the stated concurrency, below which that was a peak."""
SHORT = 0.05
"""Latency over the length of a run, above which an open loop did not keep up."""
INFERENCEX = ("source: db-dump", "source: source_file=2026", "source: source_file=qwen3.5")
"""Where rows of a file of several origins were measured by the client of InferenceX."""
WIDE = 16
"""Ranks from which on the experts of a rank are few enough for their loads to differ."""
RUNGS = ("step time", "static batch", "closed loop", "timeline", "disaggregated", "production", "submitted")


class CannotExpressError(Exception):
    """Why a published point cannot be predicted; its message is the reason shown."""


@dataclass(frozen=True)
class Case:
    """One published point. ``kind`` names the way to predict it; lengths are tokens, ``measured`` is as published."""

    id: str
    source: str
    grade: str
    rung: str
    kind: str
    chip: str
    stack: str
    shape: ModelShape
    plan: Plan
    devices: float
    ranks: int
    isl: float = 0.0
    osl: float = 0.0
    kv_len: float = 0.0
    batch: float = 0.0
    concurrency: float = 0.0
    rate: float = float("inf")
    num_requests: int = 0
    prefix_hit: float = 0.0
    spread: str = "fixed"
    prefill: tuple[int, Plan] | None = None
    decode: tuple[int, Plan] | None = None
    nodes: float = 0.0
    measured: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


def read_points(path: str | Path | None = None) -> list[dict[str, Any]]:
    """Raw points: the shipped ones, or a file in the published format (YAML, JSON, gzip of either)."""
    if path is None:
        packed = files("wafer2token.serve").joinpath("data/points.json.gz").read_bytes()
        shipped: list[dict[str, Any]] = json.loads(gzip.decompress(packed))
        return shipped
    file = Path(path)
    if not file.is_file():
        raise InputError(Problem("no such file of points", str(path)))
    raw = file.read_bytes()
    text = (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode("utf-8-sig")
    try:
        points = json.loads(text) if text.lstrip().startswith(("[", "{")) else _yaml(text)
    except W2TError:
        raise
    except Exception as error:
        raise InputError(Problem(f"not readable: {error}", file.name, remedy="JSON or YAML, a list of points")) from None
    if isinstance(points, dict):
        points = points.get("points", [points])
    if not isinstance(points, list) or not all(isinstance(p, dict) and "id" in p for p in points):
        raise InputError(Problem("not a list of points with ids", file.name))
    return points


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise InputError(Problem("YAML needs the package pyyaml", remedy="pip install 'wafer2token[facts]'")) from None
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@cache
def names() -> dict[str, dict[str, Any]]:
    """How sources write chips, models and formats."""
    return tomllib.loads(files("wafer2token.serve").joinpath("data/names.toml").read_text("utf-8"))


def case(point: Mapping[str, Any]) -> Case:
    """A raw point as a case; CannotExpressError with the reason where it cannot be predicted."""
    hardware, work = point.get("hardware") or {}, point.get("workload") or {}
    chip = _chip(str(hardware.get("chip", "")), str(point.get("notes") or ""))
    shape = _shape(str((point.get("model") or {}).get("name", "")))
    engine = str((point.get("engine") or {}).get("name") or "")
    devices = _number(hardware.get("n_devices"))
    if not devices:
        raise CannotExpressError("number of devices not stated")
    per = ranks_per_chip(chip)
    ranks = round(_number(hardware.get("n_dies")) or devices * per) if per > 1 else round(devices)
    stack = engine_stack(engine, get("chip", chip).vendor)
    parallel = point.get("parallelism") or {}
    base = _formats(point.get("model") or {}, shape, get("chip", chip), stack)
    if _offline_experts(engine, work, parallel, shape):
        parallel = {**parallel, "note": "attention DP", "ep": max(ranks, 1)}
    ranks = _instance(parallel, max(ranks, 1), shape)
    devices = devices if parallel.get("pd") or "moe_tp" not in parallel else ranks / per
    plan = replace(_split(parallel, ranks, shape, stack), **base, **_limits(stack, parallel, chip))
    plan = _speculative(plan, work, parallel, point)
    plan = replace(plan, graph=not _eager(point, parallel), overlap=_overlapped(point, stack, parallel), imbalance=_imbalance(point, plan))
    one = Case(
        id=str(point["id"]), source=str((point.get("source") or {}).get("key", "user")), grade=str(point.get("grade", "A")),
        rung="", kind="", chip=chip, stack=stack, shape=shape, plan=plan, devices=devices, ranks=ranks,
        isl=_number(work.get("input_len")), osl=_number(work.get("output_len")), kv_len=_number(work.get("kv_len")),
        concurrency=_number(work.get("concurrency")) or _number(work.get("max_concurrency")),
        rate=_number(work.get("request_rate")) or float("inf"), num_requests=round(_number(work.get("num_requests"))),
        prefix_hit=_number(work.get("prefix_hit")), spread=_spread(point, work),
        nodes=_number(hardware.get("nodes")), measured=_measured(point), flags=tuple(point.get("flags") or ()),
    )  # fmt: skip
    return _classified(one, point, parallel, work)


def _chip(label: str, notes: str = "") -> str:
    bare = re.sub(r"\s*\(.*\)$", "", label)
    bin_ = re.search(r"device variant (A\d \d+T)", notes)
    if bin_ and f"{bare} {bin_[1]}" in names()["chips"]:
        bare = f"{bare} {bin_[1]}"
    wanted = names()["chips"].get(bare) or re.sub(r"-\d+GB?$", "", bare)  # memory in the name of a part that has one size
    try:
        return str(get("chip", wanted).id)
    except InputError:
        raise CannotExpressError(f"no card of the chip {label!r}") from None


def _shape(label: str) -> ModelShape:
    bare = re.sub(r"\s*\(.*\)$", "", label).lower()
    for _ in range(6):
        if bare in names()["models"]:
            return model(names()["models"][bare])
        bare, stripped = _SUFFIX.sub("", bare), bare
        if bare == stripped:
            break
    try:
        return model(label)
    except W2TError:
        raise CannotExpressError(f"no card of the model {label!r}") from None


def _number(value: Any) -> float:
    if isinstance(value, bool) or value is None:
        return 0.0
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _formats(given: Mapping[str, Any], shape: ModelShape, chip: Any, stack: str) -> dict[str, Any]:
    """Number formats of weights, activations, cache and experts."""
    label = str(given.get("weights") or "").lower()
    native = "fp8" if shape.model_type.startswith(("deepseek_v3", "kimi")) else "bf16"
    weights = names()["formats"].get(label, label) or native
    act = str(given.get("activations") or "").lower()
    if "->" in label:
        act = label.split("->")[1].split()[0]
    kv = str(given.get("kv") or "").lower()
    cast = {"turboquant k4v2": "int4", "": ""}
    experts = weights
    if "(moe)" in label:
        weights = "int8"
    if label == "nvfp4" or (label == "fp4" and "NVIDIA" in chip.vendor):
        weights = experts = "nvfp4"
        act = act or "fp4"
    if not kv and stack == "trtllm" and weights in ("fp8", "nvfp4"):
        kv = "fp8"  # quantised checkpoints of that engine carry an 8-bit cache
    return {"weights": weights, "activations": names()["formats"].get(act, act), "kv": cast.get(kv, kv), "experts": experts}


def _split(parallel: Mapping[str, Any], ranks: int, shape: ModelShape, stack: str) -> Plan:
    """tp, pp, dp and ep of one instance from any of the spellings that sources use."""
    tp, pp, dp = (max(int(_number(parallel.get(k))), 0) for k in ("tp", "pp", "dp"))
    noted = dict(re.findall(r"(DP|TP|PP|EP)(\d+)", str(parallel.get("note", ""))))
    tp, pp, dp = tp or int(noted.get("TP", 0)), pp or int(noted.get("PP", 1)), dp or int(noted.get("DP", 0))
    if "attention dp" in str(parallel.get("note", "")).lower() or (parallel.get("pd") and not tp and not dp and shape.is_moe):
        tp, dp = 1, ranks
    if not tp and not dp:
        tp = ranks if ranks & (ranks - 1) == 0 or not shape.is_moe else 1
        dp = max(ranks // tp, 1)
    tp, pp, dp = max(tp, 1), max(pp, 1), max(dp, 1)
    tp, dp = _experts_told(parallel, tp, dp, shape)
    if tp * pp * dp > ranks and tp * pp <= ranks:
        tp = max(tp // dp, 1)  # data-parallel attention inside the tensor-parallel group
    if shape.kv_lora_rank and tp > 16 and dp == 1:
        tp, dp = 1, tp  # ranks of a wide instance given as one number: latent attention is kept whole on each
    tp = min(tp, shape.num_attention_heads)
    ep = parallel.get("ep", parallel.get("moe_ep", noted.get("EP", 0)))
    if ep is True:
        ep = tp * dp
    width = max(int(_number(ep)), 1)
    if not shape.is_moe or (tp * dp) % width:
        width = 1
    if width == 1 and dp > 1 and shape.is_moe and shape.n_routed_experts >= 64:
        width = tp * dp if stack != "trtllm" else 1
    return Plan(tp=tp, pp=pp, dp=dp, ep=width)


def _offline_experts(engine: str, work: Mapping[str, Any], parallel: Mapping[str, Any], shape: ModelShape) -> bool:
    """TensorRT-LLM's PyTorch backend publishes its offline tables of mixtures of experts with data-parallel attention."""
    offline = work.get("request_rate") == "inf" and "PyTorch" in engine
    return offline and shape.is_moe and not any(k in parallel for k in ("ep", "moe_ep", "dp"))


def _instance(parallel: Mapping[str, Any], ranks: int, shape: ModelShape) -> int:
    """Ranks of a point: those of its one instance where the split of its experts is stated, whatever it counts."""
    if "moe_tp" not in parallel or parallel.get("pd"):
        return ranks
    tp, pp, dp = (max(int(_number(parallel.get(k))), 1) for k in ("tp", "pp", "dp"))
    tp, dp = _experts_told(parallel, tp, dp, shape)
    return tp * pp * dp


def _experts_told(parallel: Mapping[str, Any], tp: int, dp: int, shape: ModelShape) -> tuple[int, int]:
    """tp and dp where the split of the experts is stated beside them (``moe_tp`` x ``moe_ep`` ranks).

    One data base writes the ranks of an instance as both and their product as ``tp`` (8 ranks with ep 8 as 64): the same
    measurement stands in a second dump with the true split. Without dp, experts on more ranks than tp tell it.
    """
    moe_tp, moe_ep = (int(_number(parallel.get(k))) for k in ("moe_tp", "moe_ep"))
    if not shape.is_moe or moe_tp * moe_ep < 1:
        return tp, dp
    if moe_tp == moe_ep and moe_tp * moe_ep == tp * dp and tp * dp > 8:
        return (1, moe_ep) if dp > 1 else (moe_ep, 1)
    if shape.moe_intermediate_size % moe_tp:
        raise CannotExpressError("experts cannot be split as stated (the ranks are those of a whole disaggregated system)")
    return tp, max(moe_tp * moe_ep // tp, 1) if dp == 1 else dp


def _limits(stack: str, parallel: Mapping[str, Any], chip: str) -> dict[str, Any]:
    """Scheduler limits: as stated, else the engine's defaults (vLLM's depend on the device)."""
    seqs, tokens = default_limits(stack, chip)
    inner = parallel.get("decode") if isinstance(parallel.get("decode"), Mapping) else parallel
    stated = (int(_number((inner or {}).get(k))) for k in ("max_num_seqs", "max_batched"))
    own_seqs, own_tokens = stated
    share = 0.97 if stack == "trtllm" else 0.9
    return {"memory_utilisation": share, "max_num_seqs": own_seqs or seqs, "max_num_batched_tokens": max(own_tokens, own_seqs, 1) if own_tokens else tokens}


def _speculative(plan: Plan, work: Mapping[str, Any], parallel: Mapping[str, Any], point: Mapping[str, Any]) -> Plan:
    """Draft tokens and how many of them are accepted, as stated, else as usual."""
    inner = parallel.get("decode") if isinstance(parallel.get("decode"), Mapping) else parallel
    drafts = int(_number(work.get("spec_tokens")) or _number((inner or {}).get("spec")))
    word = str(work.get("spec") or "")
    if not drafts and word:
        found = re.search(r"(\d)", word)
        drafts = 3 if "EAGLE" in word.upper() else int(found.group(1)) if found else 1
    if not drafts:
        return plan
    ratios = get("calibration", "speculation").ratios
    usual = float(ratios[{1: "one_draft", 2: "two_drafts"}.get(drafts, "three_drafts")])
    accepted = _number(work.get("spec_accept_tokens"))
    rate = _number(work.get("spec_accept"))
    if rate and not accepted:
        accepted = sum(rate**k for k in range(1, drafts + 1))
    return replace(plan, drafts=drafts, accepted=min(accepted or usual, drafts))


def _eager(point: Mapping[str, Any], parallel: Mapping[str, Any]) -> bool:
    flags = set(point.get("flags") or ())
    said = "eager regime" in str(point.get("notes") or "")
    return said or bool(flags & {"enforce_eager", "eager_host_bound"}) or bool(parallel.get("eager"))


def _imbalance(point: Mapping[str, Any], plan: Plan) -> float:
    """Load of the busiest expert rank over the mean: as served, but where routing was forced or its balance assumed."""
    balanced = plan.ep < WIDE or set(point.get("flags") or ()) & {"forced_balance", "balanced_synthetic"}
    return float(get("calibration", "expert_balance").ratios["forced" if balanced else "served"])


def _overlapped(point: Mapping[str, Any], stack: str, parallel: Mapping[str, Any]) -> bool:
    """Whether communication runs beside computation: stated, or the habit of the large expert-parallel systems."""
    if "microbatch" in parallel:
        return bool(parallel["microbatch"])
    large = int(_number(parallel.get("ep")) or 0) >= 32
    return (large and stack in ("sglang", "deepseek", "xdeepserve")) or stack == "deepseek"


def _spread(point: Mapping[str, Any], work: Mapping[str, Any]) -> str:
    """How lengths are drawn, as the client of a source does it."""
    dataset, origin = str(work.get("dataset", "")), str(point.get("notes", ""))
    if "ShareGPT" in dataset:
        return "sharegpt"
    if "InferenceX" in dataset or origin.startswith(INFERENCEX):
        return "inferencex"
    return "normal" if "normal" in dataset else "fixed"


def _measured(point: Mapping[str, Any]) -> dict[str, float]:
    """The measured values that may be scored (those known to contradict themselves are apart in the source)."""
    return {k: float(v) for k, v in (point.get("measured") or {}).items() if isinstance(v, (int, float)) and v > 0}


def _classified(one: Case, point: Mapping[str, Any], parallel: Mapping[str, Any], work: Mapping[str, Any]) -> Case:
    """Choose how to predict the case; CannotExpressError where the configuration does not say enough."""
    if one.grade == "D":
        raise CannotExpressError("anecdotal (grade D)")
    if work.get("dataset") == "MLPerf reference dataset":
        return _submitted(one, point)
    if point.get("flags") and "model_unknown" in point["flags"]:
        raise CannotExpressError("model not stated")
    batch = _batch(one, work)
    one = replace(one, batch=batch)
    disaggregated = bool(parallel.get("pd")) and point.get("phase") == "end-to-end"
    if "production" in str(work.get("dataset")) or one.source == "deepseek-overview":
        return _production(one, point)
    if disaggregated:
        return _pools(one, parallel)
    if point.get("phase") == "prefill" or (one.osl == 1 and one.isl and not one.concurrency):
        return _prefill(one, work)
    if point.get("phase") == "decode":
        return _decode(one)
    if "static_batch" in one.flags or (batch and not one.concurrency and one.rate == float("inf") and "request_rate" not in work):
        return _static(one)
    return _served(one, work)


def _submitted(one: Case, point: Mapping[str, Any]) -> Case:
    """An MLPerf submission: lengths of the reference data, everything at once, the split that the vendor found best."""
    name = one.shape.id
    isl = names()["mlperf"].get(name)
    if isl is None:
        raise CannotExpressError("beam search (MLPerf, GPT-J)" if name == "gpt_j_6b" else "input length not known (MLPerf)")
    if "power_capped_maxq" in one.flags:
        raise CannotExpressError("submitted with a power limit that is not stated (MLPerf)")
    formats = dict(get("chip", one.chip).peak)
    eight = "fp8" if formats.get("fp8") is not None else one.plan.weights
    weights = one.plan.weights if one.plan.weights in ("nvfp4", "fp8") else eight  # summaries name the format of the reference
    kv = "fp8" if weights in ("nvfp4", "fp8") else ""
    plan = replace(one.plan, tp=1, pp=1, dp=1, ep=1, weights=weights, experts=weights, activations="", kv=kv, max_num_seqs=2048)
    return replace(one, kind="best", rung="submitted", isl=float(isl), plan=plan, concurrency=0.0, spread="submitted")


def _batch(one: Case, work: Mapping[str, Any]) -> float:
    """Sequences of the whole instance."""
    if work.get("global_batch"):
        return _number(work["global_batch"])
    if work.get("batch_per_device"):
        return _number(work["batch_per_device"]) * one.devices
    return _number(work.get("batch"))


def _prefill(one: Case, work: Mapping[str, Any]) -> Case:
    isl = _number(work.get("query_len")) or one.isl
    if not isl:
        raise CannotExpressError("prompt length not stated")
    tokens = _number(work.get("batch_tokens"))
    prompts = tokens * one.ranks / isl if tokens else one.batch or one.concurrency or (one.plan.dp * max(16384.0 / isl, 1.0))
    rung = "static batch" if "static_batch" in one.flags else "closed loop" if one.concurrency else "step time"
    return replace(one, kind="prefill", rung="disaggregated" if one.plan.ep >= 16 else rung, isl=isl, batch=prompts)


def _decode(one: Case) -> Case:
    length = one.kv_len or one.isl + 0.5 * one.osl
    if not length:
        raise CannotExpressError("context length not stated")
    if not one.batch and not one.measured.get("tpot_ms"):
        raise CannotExpressError("batch not stated")
    rung = "disaggregated" if one.plan.ep >= 16 and "offline_step" not in one.flags else "step time"
    return replace(one, kind="decode", rung=rung, kv_len=length)


def _static(one: Case) -> Case:
    if not (one.isl and one.osl and one.batch):
        raise CannotExpressError("lengths or batch not stated")
    rung = "step time" if "offline_step" in one.flags else "static batch"
    return replace(one, kind="static", rung=rung)


def _served(one: Case, work: Mapping[str, Any]) -> Case:
    if not (one.isl and one.osl):
        raise CannotExpressError("input or output length not stated")
    if not one.concurrency and one.rate == float("inf") and "request_rate" not in work:
        raise CannotExpressError("neither concurrency nor rate stated")
    passed, latency = one.measured.get("requests_s", 0.0), one.measured.get("latency_ms", 0.0) / 1e3
    if passed and latency and 0 < one.concurrency < one.num_requests and passed * latency < OPEN * one.concurrency:
        if latency > SHORT * one.num_requests / passed:
            raise CannotExpressError("an open loop whose rate is not stated and was not kept")
        one = replace(one, rate=passed, concurrency=0.0)  # the stated concurrency was a peak: an open loop that kept up
    if one.stack == "trtllm" and one.rate == float("inf") and not one.num_requests and not one.concurrency:
        one = replace(one, num_requests=names()["requests"].get(f"{one.isl:.0f}/{one.osl:.0f}", 0))
    return replace(one, kind="served", rung="timeline" if one.source == "llmservingsim" else "closed loop")


def _production(one: Case, point: Mapping[str, Any]) -> Case:
    if point.get("phase") == "end-to-end":
        raise CannotExpressError("a daily average over a fleet whose load is not stated")
    kind = "prefill" if point.get("phase") == "prefill" else "decode"
    isl = one.isl or one.kv_len or 4989.0
    batch = one.ranks * 16384.0 / isl if kind == "prefill" else 0.0
    return replace(one, kind=kind, rung="production", isl=isl, batch=batch, kv_len=one.kv_len or isl)


def _pools(one: Case, parallel: Mapping[str, Any]) -> Case:
    """Prefill and decode pools of a disaggregated system."""
    parts = [p for p in (parallel.get("prefill"), parallel.get("decode")) if isinstance(p, Mapping)]
    if len(parts) < 2:
        raise CannotExpressError("pools of the disaggregated system not stated")
    pools = []
    for part in parts:
        plan = _pool_plan(one, part)
        count = int(_number(part.get("workers")) or 1)
        if part.get("nodes") and not part.get("workers"):
            per_node = one.ranks / one.nodes if one.nodes else 16
            count = max(round(_number(part["nodes"]) * per_node / plan.ranks), 1)
        pools.append((count, plan))
    if not (one.isl and one.osl) or not (one.concurrency or one.rate < float("inf")):
        raise CannotExpressError("load of the disaggregated system not stated")
    return replace(one, kind="pools", rung="disaggregated", prefill=pools[0], decode=pools[1])


def _pool_plan(one: Case, part: Mapping[str, Any]) -> Plan:
    ranks = max(int(_number(part.get("tp")) or 1) * int(_number(part.get("dp")) or 1) * int(_number(part.get("pp")) or 1), 1)
    split = _split(part, ranks, one.shape, one.stack)
    limits = _limits(one.stack, part, one.chip)
    seqs = limits["max_num_seqs"] * split.dp
    return replace(one.plan, tp=split.tp, pp=split.pp, dp=split.dp, ep=split.ep, graph=not part.get("eager", False),
                   max_num_seqs=seqs, max_num_batched_tokens=limits["max_num_batched_tokens"] * split.dp)  # fmt: skip


def _checked(made: Case) -> Case:
    """The case with the number formats of its plans filled in."""
    pools = [p and (p[0], checked(p[1], made.shape)) for p in (made.prefill, made.decode)]
    return replace(made, plan=checked(made.plan, made.shape), prefill=pools[0], decode=pools[1])


def cases(points: Iterable[Mapping[str, Any]]) -> tuple[list[Case], list[tuple[str, str, str]]]:
    """(cases, skipped as (id, source, reason)): a point that cannot be expressed is listed, never dropped."""
    good, skipped = [], []
    for point in points:
        try:
            made = case(point)
            good.append(_checked(made))
        except (CannotExpressError, W2TError) as error:
            skipped.append((str(point["id"]), str((point.get("source") or {}).get("key", "user")), str(error).splitlines()[0]))
    return good, skipped
