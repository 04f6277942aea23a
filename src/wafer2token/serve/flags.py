"""Plans written as people write them: ``tp=8,ep=8,weights=fp8``, or the flags of vLLM and SGLang."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from typing import Any

from wafer2token.evidence.errors import InputError, Problem, unknown

from .plan import Plan

_FLAGS = {
    "tensor-parallel-size": "tp", "tp-size": "tp", "pipeline-parallel-size": "pp", "pp-size": "pp",
    "data-parallel-size": "dp", "dp-size": "dp", "ep-size": "ep", "expert-parallel-size": "ep",
    "max-num-seqs": "max_num_seqs", "max-running-requests": "max_num_seqs",
    "max-num-batched-tokens": "max_num_batched_tokens", "chunked-prefill-size": "max_num_batched_tokens",
    "gpu-memory-utilization": "memory_utilisation", "mem-fraction-static": "memory_utilisation",
    "kv-cache-dtype": "kv", "quantization": "weights", "dtype": "weights", "speculative-num-draft-tokens": "drafts",
    "num-speculative-tokens": "drafts", "memory-utilization": "memory_utilisation",
    "num-redundant-experts": "redundant_experts", "ep-num-redundant-experts": "redundant_experts",
}  # fmt: skip
_SWITCHES = {
    "enable-expert-parallel": ("ep", -1), "enable-ep-moe": ("ep", -1), "enforce-eager": ("graph", False),
    "disable-cuda-graph": ("graph", False), "enable-two-batch-overlap": ("overlap", True),
    "enable-dbo": ("overlap", True), "enable-eplb": ("expert_balance", "eplb"), "enable-dp-attention": ("dp_attention", True),
}  # fmt: skip
_KINDS = {f.name: str(f.type) for f in fields(Plan)}
_VALUES = {"auto": "", "ascend": "int8", "modelopt": "fp8", "modelopt_fp4": "nvfp4", "compressed-tensors": "fp8"}


def parse_plan(text: str, base: Plan | None = None) -> Plan:
    """A plan out of ``"tp=8,ep=8"`` or ``"--tensor-parallel-size 8 --enable-expert-parallel"``; all problems at once.

    Keys are those of Plan; flags of vLLM and SGLang stand for them. Settings are laid over ``base``.
    """
    found, wrong = _pairs(text)
    values: dict[str, Any] = {f.name: getattr(base or Plan(), f.name) for f in fields(Plan)}
    attention = bool(found.pop("dp_attention", False))
    for key, given in found.items():
        try:
            values[key] = _value(key, given)
        except ValueError:
            wrong.append(Problem(f"{key} takes {_KINDS[key]}", "--plan", given))
    if wrong:
        raise InputError(wrong)
    if attention and values["dp"] > 1:
        values["tp"] = max(values["tp"] // values["dp"], 1)
    if values["ep"] == -1:
        values["ep"] = values["tp"] * values["dp"]
    return Plan(**values)


def _pairs(text: str) -> tuple[dict[str, Any], list[Problem]]:
    found: dict[str, Any] = {}
    wrong: list[Problem] = []
    words = shlex.split(re.sub(r",(?=\s*[a-z_-]+\s*=)", " ", text))
    at = 0
    while at < len(words):
        word = words[at].lstrip("-").replace("_", "-") if words[at].startswith("-") else words[at]
        at += 1
        key, sep, value = word.partition("=")
        if key in _SWITCHES and not sep:
            name, given = _SWITCHES[key]
            found[name] = given
            continue
        name = _FLAGS.get(key, key.replace("-", "_"))
        if name not in _KINDS:
            wrong.append(unknown("setting of a plan", key, [*_KINDS, *_FLAGS, *_SWITCHES], "--plan"))
            continue
        if not sep and at < len(words):
            value = words[at]
            at += 1
        if not sep and not value:
            wrong.append(Problem(f"{key} needs a value", "--plan", remedy=f"{key}=..."))
            continue
        found[name] = value
    return found, wrong


def _value(key: str, given: Any) -> Any:
    if not isinstance(given, str):
        return given
    kind = _KINDS[key]
    if kind == "bool":
        if given.lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise ValueError(given)
        return given.lower() in ("true", "1", "yes")
    if kind == "int":
        return int(given)
    if kind == "float":
        return float(given)
    return _VALUES.get(given, given)
