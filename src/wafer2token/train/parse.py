"""A plan as text: ``tp=8,pp=16,dp=4``, the flags of a framework, a launch script, or a DeepSpeed or torchtitan file."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wafer2token.evidence.errors import InputError, Problem, unknown
from wafer2token.train.memory import GRADIENTS, MOMENTS
from wafer2token.train.plan import CONTEXT_KINDS, OFFLOADS, RECOMPUTE, SCHEDULES, Plan
from wafer2token.train.spellings import (
    CONTEXT_WORDS,
    HYBRID,
    NOT_MODELLED,
    PRECISION_WORDS,
    PRECISIONS,
    SCHEDULE_WORDS,
    SHARDING,
    SPELLINGS,
    SWITCHES,
)
from wafer2token.workload import ModelShape

WHERE = "--plan"
INTEGERS = (
    "tp", "pp", "dp", "cp", "ep", "etp", "vpp", "micro_batch", "micro_batches", "shard", "global_batch", "seq_len",
    "layers_per_chunk", "recompute_layers", "replicas", "shards", "ulysses",
)  # fmt: skip
TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off", "none", "null")
WIDE = ("bf16", "fp16", "tf32", "fp32")
LATER = (
    "global_batch", "seq_len", "layers_per_chunk", "recompute_method", "recompute_layers", "replicas", "shards",
    "ulysses", "extend_ep", "node_shard", "gradients", "moments",
)  # fmt: skip
"""What a text may say that is settled only with the model, the machine and the batch (see `settle`)."""


@dataclass(frozen=True)
class Stated:
    """What a text says of a plan: fields of `Plan`, what is settled `later`, and flags that say nothing of a plan."""

    fields: Mapping[str, Any]
    later: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


def parse_plan(text: str) -> dict[str, Any]:
    """Fields of `Plan` that a text sets; every problem at once as InputError."""
    return dict(read_plan(text).fields)


def read_plan(text: str) -> Stated:
    """Everything that a text says of a plan; every problem at once as InputError.

    In a list of pairs every name must be known. Among the flags of a launch line those that say nothing of the plan
    (learning rate, data, logging) are left out, unless one looks like a misspelled name.
    """
    pairs, loose = _source(text)
    out: dict[str, Any] = {}
    problems: list[Problem] = []
    ignored: list[str] = []
    for name, value in pairs:
        key = name.lower().strip().replace("-", "_").rsplit(".", 1)[-1]
        if key in NOT_MODELLED and (value or "").lower() not in FALSE:
            problems.append(Problem(f"{name} is not modelled", WHERE, value, remedy=NOT_MODELLED[key]))
        elif key in SPELLINGS and value is not None and not (key in SWITCHES and value.lower() not in TRUE + FALSE):
            _set(out, SPELLINGS[key], value, name, problems)
        elif key in SWITCHES:
            if value is None or value.lower() not in FALSE:
                _set(out, *SWITCHES[key], name, problems)
        elif key in SPELLINGS:
            problems.append(Problem(f"{name} needs a value", WHERE))
        elif loose and not difflib.get_close_matches(key, [*SPELLINGS, *SWITCHES], 1, 0.87):
            ignored.append(name)
        else:
            problems.append(unknown("field of a plan", name, sorted({*SPELLINGS, *SWITCHES}), WHERE))
    if problems:
        raise InputError(problems)
    known = {k: v for k, v in out.items() if v is not None}
    return Stated(
        {k: v for k, v in known.items() if k not in LATER},
        {k: v for k, v in known.items() if k in LATER},
        tuple(ignored),
    )


def _source(text: str) -> tuple[list[tuple[str, str | None]], bool]:
    """(name, value) from pairs, flags, a script or a configuration file; whether unknown names are to be expected."""
    path = Path(text)
    if len(text) < 1024 and path.suffix in (".sh", ".json", ".toml"):
        try:
            body = path.read_text(encoding="utf-8")
            if path.suffix == ".sh":
                return list(_flags(_script(body))), True
            return list(_leaves(json.loads(body) if path.suffix == ".json" else tomllib.loads(body))), True
        except (OSError, ValueError) as error:
            raise InputError(Problem(f"cannot read the plan: {error}", WHERE, text)) from None
    if "--" in text:
        return list(_flags(text.replace("\\\n", " "))), True
    pieces = [p for p in re.split(r"[,\s]+", text.strip()) if p]
    return [(p.split("=", 1)[0], p.split("=", 1)[1]) if "=" in p else (p, None) for p in pieces], False


def _script(body: str) -> str:
    """A shell script with its comments and quotes off and its own variables put in."""
    body = re.sub(r"(^|\s)#.*", " ", body.replace("\\\n", " "))
    values: dict[str, str] = {}
    for name, value in re.findall(
        r"^\s*(?:export\s+)?([A-Za-z_]\w*)=[\"']?([\w.${}:\-/]*)[\"']?\s*$", body, re.MULTILINE
    ):
        values[name] = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
    for _ in range(3):
        body = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: values.get(m[1], m[2]), body)
        body = re.sub(r"\$\{?(\w+)\}?", lambda m: values.get(m[1], m[0]), body)
    return re.sub(r"[\"'()]", " ", body)


def _flags(text: str) -> Iterator[tuple[str, str | None]]:
    """(name, value) of ``--name value`` and ``--name=value``."""
    words = re.sub(r"[\"']", " ", text).replace("=", " ").split()
    for i, word in enumerate(words):
        if word.startswith("--") and len(word) > 2:
            follows = words[i + 1] if i + 1 < len(words) else None
            taken = follows is not None and not follows.startswith(("--", "$", "\\"))
            yield word[2:], follows if taken else None


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """(dotted name, value) of a nested file; a section that names a device stands for its device, one that is enabled for itself."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            if "device" in value:
                yield prefix + key, str(value["device"])
            elif key in PRECISIONS and "enabled" in value:
                yield prefix + key, str(value["enabled"])
            else:
                yield from _leaves(value, f"{prefix}{key}.")
        elif not isinstance(value, list) and value != "auto" and value != -1:
            yield prefix + key, str(value)


def _set(out: dict[str, Any], field_: str, value: Any, name: str, problems: list[Problem]) -> None:
    """Set a field from its word; offloads add up, a hybrid sharding word also asks for groups of a node."""
    text = str(value).lower().strip().replace("-", "_")
    if text in NOT_MODELLED:
        problems.append(Problem(f"{name} {value} is not modelled", WHERE, remedy=NOT_MODELLED[text]))
        return
    if text in HYBRID:
        out["node_shard"] = True
    got = _value(field_, value, name, problems)
    if field_ == "offload" and got is not None:
        got |= out.get("offload", 0)
    if field_ == "zero" and name.lower().replace("-", "_") in SWITCHES and got is not None:
        got = max(got, out.get("zero", 0))  # a switch that turns sharding on does not lower a stated stage
    if field_ == "precision" and got in WIDE and out.get("precision") not in (None, *WIDE):
        got = out["precision"]  # the format of the products outranks that of the rest
    if got is not None or field_ not in out:
        out[field_] = got


def _value(field_: str, value: Any, name: str, problems: list[Problem]) -> Any:
    """The value of a field from its word."""
    text = str(value).lower().strip().replace("-", "_")
    if field_ in INTEGERS:
        if re.fullmatch(r"\d+", text) and (int(text) >= 1 or field_ == "shard"):
            return int(text)
        problems.append(Problem(f"{name} is a whole number of at least 1", WHERE, value))
        return None
    if field_ == "zero":
        words = [SHARDING[w] for w in re.split(r"[\s,]+", text) if w in SHARDING]
        stage = words[0] if words else int(text) if text in ("0", "1", "2", "3") else None
        return stage if stage is not None else _bad(problems, name, value, "0, 1, 2, 3, " + ", ".join(SHARDING))
    if field_ == "recompute":
        return RECOMPUTE.index(text) if text in RECOMPUTE else _bad(problems, name, value, ", ".join(RECOMPUTE))
    if field_ == "schedule":
        word = SCHEDULE_WORDS.get(text.replace("_", ""))
        return SCHEDULES.index(word) if word else _bad(problems, name, value, ", ".join(SCHEDULES))
    if field_ == "context":
        word = CONTEXT_WORDS.get(text)
        return CONTEXT_KINDS.index(word) if word else _bad(problems, name, value, ", ".join(CONTEXT_WORDS))
    if field_ == "offload":
        return _offload(name, text, value, problems)
    if field_ in ("extend_ep", "sequence_parallel"):
        return text in TRUE
    if field_ == "recompute_method":
        return text
    if field_ in ("gradients", "moments"):
        known = GRADIENTS if field_ == "gradients" else MOMENTS
        word = PRECISION_WORDS.get(text, text)
        return word if word in known else _bad(problems, name, value, ", ".join(known))
    if field_ == "recompute_share":
        share = re.fullmatch(r"[01]?\.?\d*", text) and text not in ("", ".")
        return float(text) if share and 0 <= float(text) <= 1 else _bad(problems, name, value, "a share from 0 to 1")
    word = PRECISION_WORDS.get(text, text)
    return word if word in PRECISIONS else _bad(problems, name, value, ", ".join(PRECISIONS))


def _offload(name: str, text: str, value: Any, problems: list[Problem]) -> int | None:
    """A code of offloads from words joined by ``+``, or from a device, a switch or a fraction under a name that says what."""
    part = "weights" if "param" in name else "activations" if "offloading" in name else "optimizer"
    if text in FALSE or re.fullmatch(r"0(\.0*)?", text):
        return 0
    words = [part if w in ("cpu", "nvme", *TRUE) or re.fullmatch(r"\d+(\.\d*)?", w) else w for w in text.split("+")]
    if all(w in OFFLOADS for w in words):
        return sum({1 << OFFLOADS.index(w) for w in words})
    _bad(problems, name, value, "none, " + ", ".join(OFFLOADS) + ', joined by "+"')
    return None


def _bad(problems: list[Problem], name: str, value: Any, allowed: str) -> None:
    problems.append(Problem(f"{name} is not known", WHERE, value, allowed))


def settle(stated: Stated, layers: int, ranks: int, node: int) -> dict[str, Any]:
    """Fields of a plan with what depends on the model (its layers) and the machine (ranks, ranks per node) worked out."""
    fields, later = dict(stated.fields), stated.later
    problems = []
    if later.get("ulysses", 1) > 1:
        fields["cp"], fields["context"] = later["ulysses"], CONTEXT_KINDS.index("all_to_all")
    if later.get("extend_ep"):
        fields["ep"], fields["etp"] = fields.get("ep", 1) * fields.get("tp", 1), 1
    if "layers_per_chunk" in later:
        per_rank = layers / fields.get("pp", 1)
        if per_rank % later["layers_per_chunk"]:
            text = f"{later['layers_per_chunk']} layers per chunk do not divide the {per_rank:g} of a stage"
            problems.append(Problem(text, WHERE, remedy="state vpp"))
        fields["vpp"] = max(int(per_rank // later["layers_per_chunk"]), 1)
    full = fields.get("recompute") == RECOMPUTE.index("full")
    if full and later.get("recompute_method") == "block" and "recompute_layers" in later:
        chunk = layers / (fields.get("pp", 1) * fields.get("vpp", 1))
        fields["recompute_share"] = min(later["recompute_layers"] / chunk, 1.0)
    replicate = ranks // (fields.get("tp", 1) * fields.get("pp", 1))
    if "shards" in later:
        fields["dp"] = later["shards"] * later.get("replicas", 1)
        fields.setdefault("zero", 3)
    if later.get("replicas", 1) > 1:
        fields["shard"] = max(later.get("shards", replicate // later["replicas"]), 1)
    if later.get("node_shard") and "shard" not in fields:
        fields["shard"] = min(max(node // fields.get("tp", 1), 1), replicate)
    if problems:
        raise InputError(problems)
    return fields


def why_illegal(fields: Mapping[str, Any], shape: ModelShape, seq_len: int) -> list[Problem]:
    """Why a model cannot be cut as a plan says, with the nearest size that divides."""
    tp, pp, cp, ep, vpp = (fields.get(name, 1) for name in ("tp", "pp", "cp", "ep", "vpp"))
    heads, layers = shape.num_attention_heads, shape.num_hidden_layers + shape.num_nextn_predict_layers
    problems = []
    if heads % tp or shape.hidden_size % tp:
        near = max(d for d in range(1, tp + 1) if heads % d == 0 and shape.hidden_size % d == 0)
        problems.append(Problem(f"tp does not divide the {heads} heads", WHERE, tp, remedy=f"tp={near}"))
    if pp * vpp > layers:
        cut = f"{pp} stages" + (f" of {vpp} chunks" if vpp > 1 else "")
        problems.append(Problem(f"{cut} are more than the {layers} layers", WHERE, pp * vpp, f"up to {layers}"))
    if vpp > 1 and pp == 1:
        problems.append(Problem("chunks need a pipeline", WHERE, f"vpp={vpp}", remedy="state pp"))
    if ep > 1 and not shape.is_moe:
        problems.append(Problem(f"{shape.id} has no experts to spread", WHERE, f"ep={ep}", remedy="leave ep out"))
    elif shape.is_moe and shape.n_routed_experts % ep:
        near = max(d for d in range(1, ep + 1) if shape.n_routed_experts % d == 0)
        problems.append(
            Problem(f"ep does not divide the {shape.n_routed_experts} experts", WHERE, ep, remedy=f"ep={near}")
        )
    if seq_len % cp:
        problems.append(Problem(f"cp does not divide sequences of {seq_len} tokens", WHERE, cp))
    if fields.get("context") == CONTEXT_KINDS.index("all_to_all") and heads % (tp * cp):
        problems.append(Problem(f"all-to-all needs tp * cp to divide the {heads} heads", WHERE, tp * cp))
    return problems


def complete(fields: dict[str, Any], ranks: int, global_batch: int) -> Plan:
    """A plan with the data-parallel size and the number of micro-batches that follow from ranks and batch.

    Raises InputError where the sizes do not divide.
    """
    model_ranks = fields.get("tp", 1) * fields.get("pp", 1) * fields.get("cp", 1)
    dp = fields.get("dp") or max(ranks // model_ranks, 1)
    micro = fields.get("micro_batch", 1)
    problems = _sizes(fields, ranks, global_batch, model_ranks, dp, micro)
    if problems:
        raise InputError(problems)
    schedule = fields.get("schedule", SCHEDULES.index("interleaved") if fields.get("vpp", 1) > 1 else 0)
    rest = {k: v for k, v in fields.items() if k not in ("dp", "micro_batch", "micro_batches", "schedule")}
    rest.setdefault("sequence_parallel", fields.get("tp", 1) > 1)
    plan = Plan(**rest, dp=dp, micro_batch=micro, micro_batches=global_batch // (dp * micro), schedule=schedule)
    if problems := _scheduling(plan):
        raise InputError(problems)
    return plan


def _sizes(fields: Mapping[str, Any], ranks: int, batch: int, model_ranks: int, dp: int, micro: int) -> list[Problem]:
    problems = []
    if ranks % model_ranks:
        text = f"tp * pp * cp = {model_ranks} does not divide {ranks} ranks"
        problems.append(Problem(text, WHERE, remedy=f"take {max(ranks // model_ranks, 1) * model_ranks} ranks"))
    elif dp * model_ranks != ranks:
        text = f"tp * pp * cp * dp = {dp * model_ranks} is not {ranks} ranks"
        problems.append(Problem(text, WHERE, remedy=f"dp={ranks // model_ranks}"))
    if batch % (dp * micro):
        remedy = f"a global batch of {-(-batch // (dp * micro)) * dp * micro}"
        problems.append(
            Problem(f"dp * micro-batch = {dp * micro} does not divide the global batch", WHERE, batch, remedy=remedy)
        )
    elif "micro_batches" in fields and fields["micro_batches"] != batch // (dp * micro):
        problems.append(Problem(f"{fields['micro_batches']} micro-batches of {micro} on {dp} ranks are not the global batch",
                                WHERE, batch, remedy=f"a global batch of {fields['micro_batches'] * dp * micro}"))  # fmt: skip
    stage = ranks // fields.get("pp", 1)
    if stage % (fields.get("ep", 1) * fields.get("etp", 1)):
        problems.append(Problem(f"ep * etp does not divide the {stage} ranks of a stage", WHERE))
    group = fields.get("shard", 0)
    if group and (dp * fields.get("cp", 1)) % group:
        text = f"shard = {group} does not divide the {dp * fields.get('cp', 1)} ranks that share parameters"
        problems.append(Problem(text, WHERE))
    return problems


def _scheduling(plan: Plan) -> list[Problem]:
    """Why a schedule cannot run this plan, in the words of `grid.schedulable`."""
    name, m, pp = SCHEDULES[plan.schedule], plan.micro_batches, plan.pp
    if name == "interleaved" and plan.vpp > 1 and m % pp:
        return [
            Problem(
                "interleaving needs micro-batches in multiples of the stages", WHERE, m, remedy=f"a multiple of {pp}"
            )
        ]
    if name in ("dualpipe", "dualpipev") and pp > 1 and m < 2 * pp:
        return [Problem(f"{name} needs twice as many micro-batches as stages", WHERE, m, f"{2 * pp} or more")]
    if name == "dualpipe" and pp > 1 and (pp % 2 or m % 2):
        return [
            Problem(
                "dualpipe needs an even number of stages and of micro-batches", WHERE, f"pp={pp}, {m} micro-batches"
            )
        ]
    return []
