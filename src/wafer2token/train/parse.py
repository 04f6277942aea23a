"""A plan as text: ``tp=8,pp=16,dp=4`` or the flags of Megatron, MindSpeed, DeepSpeed, FSDP and MindFormers."""

from __future__ import annotations

import re
import shlex
from typing import Any

from wafer2token.evidence.errors import InputError, Problem, unknown
from wafer2token.train.plan import OFFLOADS, RECOMPUTE, SCHEDULES, Plan

# spelling -> field of Plan; hyphens and underscores are one
SPELLINGS: dict[str, str] = {
    "tp": "tp",
    "tensor_model_parallel_size": "tp",
    "tensor_parallel_size": "tp",
    "tensor_parallel_degree": "tp",
    "model_parallel": "tp",
    "pp": "pp",
    "pipeline_model_parallel_size": "pp",
    "pipeline_parallel_size": "pp",
    "pipeline_parallel_degree": "pp",
    "pipeline_stage": "pp",
    "dp": "dp",
    "data_parallel_size": "dp",
    "data_parallel": "dp",
    "data_parallel_replicate_degree": "dp",
    "data_parallel_shard_degree": "dp",
    "cp": "cp",
    "context_parallel_size": "cp",
    "context_parallel_degree": "cp",
    "context_parallel": "cp",
    "ep": "ep",
    "expert_model_parallel_size": "ep",
    "expert_parallel_size": "ep",
    "expert_parallel_degree": "ep",
    "expert_parallel": "ep",
    "etp": "etp",
    "expert_tensor_parallel_size": "etp",
    "expert_model_tensor_parallel_size": "etp",
    "vpp": "vpp",
    "num_virtual_stages": "vpp",
    "virtual_pipeline_model_parallel_size": "vpp",
    "pp_interleave_num": "vpp",
    "mbs": "micro_batch",
    "micro_batch": "micro_batch",
    "micro_batch_size": "micro_batch",
    "train_micro_batch_size_per_gpu": "micro_batch",
    "per_device_train_batch_size": "micro_batch",
    "ga": "micro_batches",
    "micro_batches": "micro_batches",
    "gradient_accumulation_steps": "micro_batches",
    "micro_batch_num": "micro_batches",
    "zero": "zero",
    "zero_stage": "zero",
    "stage": "zero",
    "data_parallel_sharding_strategy": "zero",
    "sharding_strategy": "zero",
    "shard": "shard",
    "fsdp_group": "shard",
    "recompute": "recompute",
    "recompute_granularity": "recompute",
    "recompute_share": "recompute_share",
    "schedule": "schedule",
    "pipeline_schedule": "schedule",
    "pipeline_parallel_schedule": "schedule",
    "sp": "sequence_parallel",
    "sequence_parallel": "sequence_parallel",
    "use_seq_parallel": "sequence_parallel",
    "offload": "offload",
    "offload_optimizer": "offload",
    "precision": "precision",
    "dtype": "precision",
}
SWITCHES: dict[str, tuple[str, Any]] = {
    "use_distributed_optimizer": ("zero", 1),
    "recompute_activations": ("recompute", "selective"),
    "sequence_parallel": ("sequence_parallel", True),
    "bf16": ("precision", "bf16"),
    "fp16": ("precision", "fp16"),
    "fp8": ("precision", "fp8"),
    "optimizer_cpu_offload": ("offload", "optimizer"),
    "swap_optimizer": ("offload", "optimizer"),
    "cpu_offload": ("offload", "optimizer"),
    "use_fsdp": ("zero", 3),
    "use_torch_fsdp2": ("zero", 3),
    "schedules_method_dualpipev": ("schedule", "dualpipe"),
    "use_precision_aware_optimizer": ("", None),
}
_SHARDING = {
    "no_shard": 0,
    "optim": 1,
    "optim_grads": 2,
    "optim_grads_params": 3,
    "full_shard": 3,
    "shard_grad_op": 2,
    "hybrid_shard": 3,
    "fsdp": 3,
}
_SCHEDULE_WORDS = {
    "1f1b": "1f1b",
    "interleaved": "interleaved",
    "interleaved1f1b": "interleaved",
    "gpipe": "gpipe",
    "zb": "zero_bubble",
    "zerobubble": "zero_bubble",
    "interleavedzerobubble": "zero_bubble",
    "zbvzerobubble": "zero_bubble",
    "dualpipe": "dualpipe",
    "dualpipev": "dualpipe",
}
_PRECISIONS = ("bf16", "fp16", "fp8", "mxfp8", "nvfp4", "fp4", "tf32", "fp32")
_INTEGERS = ("tp", "pp", "dp", "cp", "ep", "etp", "vpp", "micro_batch", "micro_batches", "shard")


def parse_plan(text: str) -> dict[str, Any]:
    """Fields of `Plan` that a text sets; every problem at once as InputError."""
    out: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in _pairs(text):
        key = name.lower().strip().replace("-", "_")
        if value is None and key in SWITCHES:
            field, setting = SWITCHES[key]
            if field:
                out[field] = _value(field, setting, name, problems)
        elif key in SPELLINGS and value is not None:
            field = SPELLINGS[key]
            out[field] = _value(field, value, name, problems)
        elif value is None and key in SPELLINGS:
            problems.append(Problem(f"{name} needs a value", "--plan"))
        else:
            problems.append(unknown("field of a plan", name, sorted({*SPELLINGS, *SWITCHES}), "--plan"))
    if problems:
        raise InputError(problems)
    return {k: v for k, v in out.items() if v is not None}


def _pairs(text: str) -> list[tuple[str, str | None]]:
    """(name, value) from ``a=1,b=2`` or from ``--a 1 --b``."""
    if "--" in text:
        words = shlex.split(text.replace("=", " "))
        out: list[tuple[str, str | None]] = []
        for i, word in enumerate(words):
            if word.startswith("--"):
                follows = words[i + 1] if i + 1 < len(words) and not words[i + 1].startswith("--") else None
                out.append((word[2:], follows))
        return out
    pieces = [p for p in re.split(r"[,\s]+", text.strip()) if p]
    return [(p.split("=", 1)[0], p.split("=", 1)[1]) if "=" in p else (p, None) for p in pieces]


def _value(field: str, value: Any, name: str, problems: list[Problem]) -> Any:
    """The value of a field from its word."""
    text = str(value).lower().strip().replace("-", "_")
    if field in _INTEGERS:
        if re.fullmatch(r"\d+", text) and (int(text) >= 1 or field == "shard"):
            return int(text)
        problems.append(Problem(f"{name} is a whole number of at least 1", "--plan", value))
        return None
    if field == "zero":
        stage = _SHARDING.get(text, int(text) if text in ("0", "1", "2", "3") else None)
        return stage if stage is not None else _bad(problems, name, value, "0, 1, 2, 3, " + ", ".join(_SHARDING))
    if field == "recompute":
        return RECOMPUTE.index(text) if text in RECOMPUTE else _bad(problems, name, value, ", ".join(RECOMPUTE))
    if field == "schedule":
        word = _SCHEDULE_WORDS.get(text.replace("_", ""))
        return SCHEDULES.index(word) if word else _bad(problems, name, value, ", ".join(SCHEDULES))
    if field == "offload":
        text = "optimizer" if text in ("cpu", "true", "1") else text
        return OFFLOADS.index(text) if text in OFFLOADS else _bad(problems, name, value, ", ".join(OFFLOADS))
    if field == "sequence_parallel":
        return text in ("true", "1", "yes", "on")
    if field == "recompute_share":
        return float(text)
    return text if text in _PRECISIONS else _bad(problems, name, value, ", ".join(_PRECISIONS))


def _bad(problems: list[Problem], name: str, value: Any, allowed: str) -> None:
    problems.append(Problem(f"{name} is not known", "--plan", value, allowed))


def complete(fields: dict[str, Any], ranks: int, global_batch: int) -> Plan:
    """A plan with the data-parallel size and the number of micro-batches that follow from ranks and batch.

    Raises InputError where the sizes do not divide.
    """
    model_ranks = fields.get("tp", 1) * fields.get("pp", 1) * fields.get("cp", 1)
    problems = []
    if ranks % model_ranks:
        problems.append(
            Problem(
                f"tp * pp * cp = {model_ranks} does not divide {ranks} ranks",
                "--plan",
                remedy=f"take {ranks // model_ranks * model_ranks} ranks",
            )
        )
    dp = fields.get("dp") or max(ranks // model_ranks, 1)
    if dp * model_ranks != ranks:
        problems.append(
            Problem(
                f"tp * pp * cp * dp = {dp * model_ranks} is not {ranks} ranks",
                "--plan",
                remedy=f"dp={ranks // model_ranks}",
            )
        )
    micro = fields.get("micro_batch", 1)
    if global_batch % (dp * micro):
        problems.append(
            Problem(
                f"dp * micro-batch = {dp * micro} does not divide the global batch",
                "--plan",
                global_batch,
                remedy=f"a global batch of {-(-global_batch // (dp * micro)) * dp * micro}",
            )
        )
    stage = ranks // fields.get("pp", 1)
    if stage % (fields.get("ep", 1) * fields.get("etp", 1)):
        problems.append(Problem(f"ep * etp does not divide the {stage} ranks of a stage", "--plan"))
    if problems:
        raise InputError(problems)
    schedule = fields.get("schedule", SCHEDULES.index("interleaved") if fields.get("vpp", 1) > 1 else 0)
    rest = {k: v for k, v in fields.items() if k not in ("dp", "micro_batch", "micro_batches", "schedule")}
    rest.setdefault("sequence_parallel", fields.get("tp", 1) > 1)
    return Plan(**rest, dp=dp, micro_batch=micro, micro_batches=global_batch // (dp * micro), schedule=schedule)
