"""Plans written as people write them: ``tp=8,ep=8,weights=fp8``, or the flags of vLLM and SGLang."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from wafer2token.catalog import get
from wafer2token.evidence.errors import InputError, Problem, unknown

from .plan import Plan

_FLAGS = {
    "tensor-parallel-size": "tp", "tp-size": "tp", "pipeline-parallel-size": "pp", "pp-size": "pp",
    "data-parallel-size": "dp", "dp-size": "dp", "ep-size": "ep", "expert-parallel-size": "ep",
    "max-num-seqs": "max_num_seqs", "max-running-requests": "max_num_seqs",
    "max-num-batched-tokens": "max_num_batched_tokens", "chunked-prefill-size": "max_num_batched_tokens",
    "gpu-memory-utilization": "memory_utilisation", "mem-fraction-static": "memory_utilisation",
    "kv-cache-dtype": "kv", "quantization": "weights", "dtype": "weights", "speculative-num-steps": "drafts",
    "num-speculative-tokens": "drafts", "memory-utilization": "memory_utilisation",
    "num-redundant-experts": "redundant_experts", "ep-num-redundant-experts": "redundant_experts",
}  # fmt: skip
_SWITCHES = {
    "enable-expert-parallel": ("ep", -1), "enable-ep-moe": ("ep", -1), "enforce-eager": ("graph", False),
    "disable-cuda-graph": ("graph", False), "enable-two-batch-overlap": ("overlap", True),
    "enable-dbo": ("overlap", True), "enable-eplb": ("expert_balance", "eplb"), "enable-dp-attention": ("dp_attention", True),
}  # fmt: skip
_JSON = {"speculative-config": ("num_speculative_tokens", "drafts"), "eplb-config": ("num_redundant_experts", "redundant_experts")}
APART = frozenset({"model", "served-model-name", "host", "port", "trust-remote-code", "api-key", "download-dir", "seed"})
"""Flags of a configuration file that say nothing about speed."""
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
    if values["drafts"] and "accepted" not in found and not values["accepted"]:
        values["accepted"] = usual_acceptance(values["drafts"])
    if attention and values["dp"] > 1:
        values["tp"] = max(values["tp"] // values["dp"], 1)
    if values["ep"] == -1:
        values["ep"] = values["tp"] * values["dp"]
    return Plan(**values)


def usual_acceptance(drafts: int) -> float:
    """Draft tokens accepted per step, of so many, in published deployments; beyond three as of three."""
    ratios: Any = get("calibration", "speculation").ratios
    return min(float(ratios[("one_draft", "two_drafts", "three_drafts")[min(drafts, 3) - 1]]), float(drafts))


def read_config(path: str | Path) -> str:
    """Engine flags out of a YAML file as ``vllm serve --config`` takes it (keys are long flags)."""
    import yaml

    try:
        found = yaml.safe_load(Path(path).read_text("utf-8"))
    except OSError as error:
        raise InputError(Problem(f"cannot read the engine's flags: {error.strerror}", str(path))) from None
    except yaml.YAMLError as error:
        raise InputError(Problem(f"not YAML ({str(error).splitlines()[0]})", str(path))) from None
    if not isinstance(found, dict):
        raise InputError(Problem("the engine's flags are not a mapping", str(path), remedy="one line per flag: tensor-parallel-size: 8"))
    flags = []
    for key, value in found.items():
        name = str(key).replace("_", "-")
        if name in APART or value is False:
            continue
        text = json.dumps(value) if isinstance(value, dict) else str(value)
        flags.append(f"--{name}" if value is True else f"--{name}={shlex.quote(text)}")
    return " ".join(flags)


def _pairs(text: str) -> tuple[dict[str, Any], list[Problem]]:
    found: dict[str, Any] = {}
    wrong: list[Problem] = []
    words = shlex.split(re.sub(r",(?=\s*[a-z_-]+\s*=)", " ", text))
    at = 0
    while at < len(words):
        key, sep, value = words[at].lstrip("-").partition("=")
        key = key.replace("_", "-") if words[at].startswith("-") else key
        at += 1
        if key.replace("_", "-") in _JSON:
            at += not sep
            _from_json(key, value if sep else words[at - 1] if at <= len(words) else "", found, wrong)
            continue
        if key == "speculative-num-draft-tokens":
            key, at, value, sep = "drafts", at + (not sep), str(_less_one(value if sep else "".join(words[at : at + 1]))), "="
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


def _less_one(text: str) -> int | str:
    """SGLang counts the token that a step verifies anyway."""
    return int(text) - 1 if text.isdigit() and int(text) > 0 else text


def _from_json(key: str, text: str, found: dict[str, Any], wrong: list[Problem]) -> None:
    """Flags of vLLM that take JSON: how many tokens are drafted, how many experts have a copy."""
    inside, name = _JSON[key.replace("_", "-")]
    try:
        found[name] = str(int(json.loads(text)[inside]))
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        wrong.append(Problem(f"--{key} takes JSON", "--plan", text, json.dumps({inside: 1})))


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
