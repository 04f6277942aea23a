"""Published measurements of training as cases that the planner can price: what the record says, and what it leaves out.

Every record becomes a `Case`, or a reason why it cannot be expressed. Nothing about the measured value is read here except
to return it in its unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wafer2token.catalog import all_cards, get, ids
from wafer2token.evidence.errors import InputError, W2TError
from wafer2token.train.calibration import parent_of, stack_of, vendor_of
from wafer2token.train.parse import parse_plan
from wafer2token.train.plan import RECOMPUTE, SCHEDULES, Plan
from wafer2token.train.wording import (
    Record,
    features,
    precision,
    scale_out,
    software_words,
    title_of,
    told_plan,
    year,
)
from wafer2token.workload import ModelShape, model

EXPRESSIBLE = ("pretrain_steady_state", "finetune", "sft", "lora", "full_run")
TARGETS = {
    "tokens_per_s_per_device": "token/s",
    "tokens_per_s_total": "token/s",
    "tokens_per_s": "token/s",
    "step_time_s": "s",
    "tflops_per_device": "TFLOP/s",
    "mfu": "1",
    "samples_per_s_total": "1/s",
    "samples_per_s": "1/s",
    "total_gpu_hours": "h",
}
CHIPS = {
    "910b": ("ascend_910b2", 1),
    "910c": ("ascend_910c", 2),
    "a100-80g": ("a100_sxm_80", 1),
    "a100-40g": ("a100_sxm_40", 1),
    "a800": ("a800_sxm", 1),
    "h100": ("h100_sxm", 1),
    "h800": ("h800_sxm", 1),
    "h200": ("h200_sxm", 1),
    "h20": ("h20", 1),
    "b200": ("b200_sxm", 1),
    "b300": ("b300_sxm", 1),
    "gb200": ("gb200", 1),
    "gb300": ("gb300", 1),
    "tpu-v3": ("tpu_v3", 1),
    "tpu-v4": ("tpu_v4", 1),
    "tpu-v5e": ("tpu_v5e", 1),
    "tpu-v5p": ("tpu_v5p", 1),
    "tpu-trillium": ("tpu_v6e", 1),
    "tpu-v6e": ("tpu_v6e", 1),
    "gaudi2": ("gaudi2", 1),
    "mi300x": ("mi300x", 1),
    "mi325x": ("mi325x", 1),
    "mi350x": ("mi350x", 1),
    "mi355x": ("mi355x", 1),
    "v100": ("v100_sxm2_32", 1),
}
TWO_RANKS = ("ascend_910c", "ascend_910c_560t")
LINEAR_BIAS = ("bloom", "baichuan-13b", "baichuan2-13b", "baichuan_13b", "baichuan2_13b")
"""Models whose attention scores carry a linear bias (ALiBi)."""
BINS = {"910b1": "ascend_910b1", "910b3": "ascend_910b3", "910b4": "ascend_910b4", "b1 64gb": "ascend_910b1"}


@dataclass(frozen=True)
class Case:
    """One measurement with the configuration it was taken in. `devices` counts what the source calls a device."""

    id: str
    family: str
    source: str
    kind: str
    grade: str
    weight: float
    target: str
    measured: float
    chip: str
    dies: int
    devices: int
    node: int
    scale_out_bytes_per_s: float
    shape: ModelShape
    seq_len: int
    global_batch: int
    precision: str
    plan: Plan | None
    stated: frozenset[str]
    framework: str
    year: float
    features: frozenset[str]
    convention: str
    tokens: float = 0.0
    biased: bool = False
    stated_cp: int = 0
    accumulation: int = 0

    @property
    def moe(self) -> bool:
        """Whether the model routes tokens to experts."""
        return self.shape.is_moe

    @property
    def vendor(self) -> str:
        """Vendor word as the training cards spell it."""
        return vendor_of(str(get("chip", self.chip).vendor)) if self.chip in ids("chip") else "any"


@dataclass(frozen=True)
class Refused:
    """A record that cannot be priced, and why."""

    id: str
    family: str
    measured: float
    unit: str
    reason: str


class CannotExpressError(Exception):
    """Raised inside the reader with the reason."""


def read_cases(records: Iterable[Record], pool: Iterable[Record] = ()) -> tuple[list[Case], list[Refused]]:
    """Cases and refusals. Shapes that a record names without dimensions are taken from a record, or one of ``pool``, that has them."""
    records = list(records)
    shapes = known_shapes([*records, *pool])
    lists_chunks = {title_of(r) for r in records if {"vpp", "schedule"} & set(r.get("parallelism") or {})}
    cases, refused = [], []
    for record in records:
        try:
            cases.append(read_case(record, shapes, title_of(record) in lists_chunks))
        except CannotExpressError as why:
            measured = record.get("measured", {}).get(record.get("target_metric", ""), 0.0)
            unit = TARGETS.get(str(record.get("target_metric")), "")
            refused.append(
                Refused(
                    str(record.get("id", "?")), str(record.get("family", "?")), float(measured or 0.0), unit, str(why)
                )
            )
    return cases, refused


def _plain_schedule(split: Record, lists_chunks: bool) -> bool:
    """Whether a missing number of chunks means one: the record names a schedule without interleaving, or its source lists chunks."""
    words = str(split.get("schedule") or "").lower()
    return "interleaved" not in words and (bool(words) or lists_chunks)


def read_case(record: Record, shapes: Mapping[str, ModelShape], lists_chunks: bool = False) -> Case:
    """One record as a case; CannotExpressError with the reason otherwise.

    ``lists_chunks`` says that this source prints schedules, so that a missing one is plain 1F1B and not unknown.
    """
    kind, target = _measure(record)
    record = with_notes(with_recipe(record))
    hardware, split = record.get("hardware") or {}, dict(record.get("parallelism") or {})
    source = record.get("source") or {}
    chip, dies, node = machine(hardware)
    devices, seq_len = _job(record, split)
    shape = _shape(record, shapes)
    ranks = devices * (dies if node <= 8 and dies > 1 else 1)
    plan, stated = read_plan(record, split, ranks, shape)
    stated |= ({"micro_batch"} if record.get("micro_batch") else set()) | (
        {"vpp"} if _plain_schedule(split, lists_chunks) else set()
    )
    return Case(
        id=str(record["id"]),
        family=str(record.get("family", "user")),
        source=str(source.get("title", "")),
        kind=kind,
        grade=str(record.get("grade", "")),
        weight=float(record.get("weight", 1.0)),
        target=target,
        measured=float(record["measured"][target]),
        chip=chip,
        dies=dies,
        devices=devices,
        node=node,
        scale_out_bytes_per_s=scale_out(hardware),
        shape=shape,
        seq_len=seq_len,
        global_batch=int(record.get("global_batch") or (plan.global_batch if plan else 0)),
        precision=precision(record),
        plan=plan,
        stated=stated,
        framework=software_words(record),
        year=year(record),
        features=features(record),
        convention=str(record.get("mfu_definition", "")),
        tokens=float(record["measured"].get("total_tokens_t") or 0.0) * 1e12,
        biased=any(name in shape.id.lower() for name in LINEAR_BIAS),
        stated_cp=int(split.get("cp") or 0),
        accumulation=int(split.get("grad_accum_logged") or 0),
    )


def with_recipe(record: Record) -> Record:
    """The record with what the published script of its benchmark sets and its table leaves out."""
    words, name = software_words(record).lower(), str((record.get("model") or {}).get("name", ""))
    for card in all_cards("training").values():
        if card.scope == "recipe" and card.target == name and any(mark in words for mark in card.frameworks):
            devices = int((record.get("hardware") or {}).get("n_devices") or 0)
            split = {k: v for k, v in _recipe_split(card.plan).items() if devices}
            defaults = {
                "seq_len": round(float(card.seq_len)),
                "global_batch": round(float(card.sequences_per_chip)) * devices,
                "micro_batch": split.pop("micro_batch", None),
            }
            stated = {k: v for k, v in record.items() if v is not None}
            return {**defaults, **stated, "parallelism": {**split, **(record.get("parallelism") or {})}}
    return record


def with_notes(record: Record) -> Record:
    """The record with the plan and the batch that its notes tell, where its own fields name none."""
    split, told = record.get("parallelism") or {}, told_plan(record)
    batch = record.get("global_batch") or told.get("global_batch")
    told = {} if any(split.get(key) for key in ("tp", "pp", "dp")) else told
    return {
        **record,
        "global_batch": batch,
        "parallelism": {**{k: v for k, v in told.items() if k != "global_batch"}, **split},
    }


def _recipe_split(text: str) -> dict[str, Any]:
    """The plan of a recipe card in the spelling of a record."""
    fields = parse_plan(text)
    names = {"shard": "fsdp_group", "zero": "zero", "recompute": "recompute"}
    out = {names.get(k, k): v for k, v in fields.items()}
    out["zero"], out["recompute"] = f"zero-{fields.get('zero', 1)}", RECOMPUTE[fields.get("recompute", 0)]
    return {"tp": 1, "pp": 1, **out}


def _measure(record: Record) -> tuple[str, str]:
    """What was run and which metric of it was measured; refuses what the planner does not model."""
    kind, target = str(record.get("kind") or "pretrain_steady_state"), str(record.get("target_metric", ""))
    if str(record.get("grade", "")) == "D":
        raise CannotExpressError("grade D: implausible, not to be used")
    if kind not in EXPRESSIBLE:
        raise CannotExpressError(_kind_reason(kind))
    if target not in TARGETS or not (record.get("measured") or {}).get(target):
        raise CannotExpressError(f"no measured value of a known kind ({target})")
    return kind, target


def _job(record: Record, split: Record) -> tuple[int, int]:
    """Devices and sequence length; refuses a record that leaves out what every prediction needs."""
    dims = record.get("model") or {}
    if not record.get("seq_len"):
        raise CannotExpressError("sequence length not stated")
    if not dims.get("name") and not dims.get("layers"):
        raise CannotExpressError("the model is not stated")
    devices = int((record.get("hardware") or {}).get("n_devices") or _devices(record, split))
    if record["target_metric"] == "total_gpu_hours" and not record["measured"].get("total_tokens_t"):
        raise CannotExpressError("chip hours without the number of tokens")
    return devices, int(record["seq_len"])


def borrow_plans(cases: Sequence[Case], pool: Sequence[Case]) -> list[Case]:
    """Cases without a stated plan take that of a record of the same model and line of stacks, the most alike.

    Recipes are shared: a table that prints no parallelism was run from the same scripts as one that does.
    """
    known = [(c, line_of(c)) for c in pool if c.plan and c.kind == "pretrain_steady_state"]
    out = []
    for case in cases:
        like = []
        if case.plan is None:
            stack = line_of(case)
            like = [(c, plan) for c, theirs in known if theirs == stack and (plan := _moved(c, case))]
            like = [(c, plan) for c, plan in like if plan.cp == 1 or "no_cp" not in case.features]
        if like:
            near, plan = min(like, key=lambda pair: _distance(pair[0], pair[1], case))
            case = replace(case, plan=plan, stated=near.stated | {"borrowed"})
        out.append(case)
    return out


def _distance(near: Case, plan: Plan, case: Case) -> tuple[bool, bool, int, bool, float, str]:
    """How unlike a known case is, what matters most first: sharded weights (rarely the choice), chip, size, format, date."""
    apart = abs(near.year - case.year) if near.year and case.year else 0.0
    return (
        plan.zero >= 3,
        near.chip != case.chip,
        abs(near.devices - case.devices),
        near.precision != case.precision,
        apart,
        near.id,
    )


def line_of(case: Case) -> str:
    """The line of stacks that a case ran."""
    return parent_of(stack_of(case.framework, case.vendor, case.year))


def _moved(near: Case, case: Case) -> Plan | None:
    """The plan of another record on this one's devices and batch; None where the models differ or the sizes do not divide."""
    plan = near.plan
    same = (near.shape.hidden_size, near.shape.num_hidden_layers) == (
        case.shape.hidden_size,
        case.shape.num_hidden_layers,
    )
    if plan is None or near.vendor != case.vendor or not same or not 0.5 <= near.seq_len / case.seq_len <= 2:
        return None
    model_ranks = plan.tp * plan.pp * plan.cp
    dp = case.devices // model_ranks
    if case.devices % model_ranks:
        return None
    if not case.global_batch:
        return replace(
            plan,
            dp=dp,
            micro_batches=max(round(plan.micro_batches * plan.dp / dp), 4 * plan.pp),
            precision=case.precision,
        )
    each, rest = divmod(case.global_batch, dp)
    if rest or each < plan.pp:
        return None
    micro = next(b for b in range(min(plan.micro_batch, each), 0, -1) if each % b == 0)
    if case.accumulation:
        micro, rest = divmod(each, case.accumulation)
        if rest:
            return None
    return replace(plan, dp=dp, micro_batch=micro, micro_batches=each // micro, precision=case.precision)


def _kind_reason(kind: str) -> str:
    return {
        "time_to_train_only": "time to a target depends on convergence, not only on speed",
        "unstated": "the source does not say what was measured",
    }.get(kind, f"kind {kind!r} is not modelled")


def machine(hardware: Record) -> tuple[str, int, int]:
    """Chip card, ranks per sold chip and devices per node. A chip is known by the table above, a card id or an alias."""
    key = str(hardware.get("chip_key") or hardware.get("chip") or "").lower().rstrip("?").strip()
    label = str(hardware.get("chip", "")).lower()
    node = int(hardware.get("devices_per_node") or 8)
    if key not in CHIPS:
        for name in (hardware.get("chip_key"), hardware.get("chip")):
            card = _card(str(name or ""))
            if card:
                return card, 2 if card in TWO_RANKS else 1, node
        key = next((name for name in sorted(CHIPS, key=len, reverse=True) if name in key or name in label), key)
    if key not in CHIPS:
        raise CannotExpressError(f"no card of chip {hardware.get('chip_key') or hardware.get('chip')!r}")
    chip, dies = CHIPS[key]
    return next((card for mark, card in BINS.items() if key == "910b" and mark in label), chip), dies, node


def _card(name: str) -> str:
    try:
        return str(get("chip", name).id) if name else ""
    except InputError:
        return ""


def _devices(record: Record, split: Record) -> int:
    if all(split.get(k) for k in ("tp", "pp", "dp")):
        return int(split["tp"]) * int(split["pp"]) * int(split["dp"]) * int(split.get("cp") or 1)
    raise CannotExpressError("number of devices not stated")


def read_plan(record: Record, split: Record, ranks: int, shape: ModelShape) -> tuple[Plan | None, frozenset[str]]:
    """The plan a record states, and which fields it stated; None when it names none, or one of another number of devices."""
    stated = frozenset(k for k, v in split.items() if v is not None)
    if not {"tp", "pp"} & stated and "dp" not in stated:
        return None, stated
    tp, pp, cp, ep = (int(split.get(k) or 1) for k in ("tp", "pp", "cp", "ep"))
    dp = int(split.get("dp") or max(ranks // (tp * pp * cp), 1))
    if tp * pp * cp * dp != ranks and ranks:
        if ranks % (tp * pp * cp):
            return None, stated - {"tp", "pp", "dp", "cp", "ep"}
        dp = ranks // (tp * pp * cp)
    micro = max(round(float(record.get("micro_batch") or 1)), 1)
    batch = int(record.get("global_batch") or split.get("batch_per_dp", 0) * dp or 0)
    logged = int(split.get("grad_accum_logged") or 0)
    if logged and batch % (dp * logged) == 0:
        micro = batch // (dp * logged)
    steps = int(split.get("micro_batches") or split.get("grad_accum") or logged) or (
        max(round(batch / (micro * dp)), 1) if batch else 8 * pp
    )
    vpp = int(split.get("vpp") or 1)
    return Plan(
        tp=tp,
        pp=pp,
        dp=dp,
        cp=cp,
        ep=ep,
        etp=tp if ep == 1 and shape.is_moe else 1,
        vpp=vpp if pp > 1 else 1,
        micro_batch=micro,
        micro_batches=steps,
        zero=zero_stage(split.get("zero")),
        shard=int(split.get("fsdp_group") or 0),
        recompute=recompute(split),
        recompute_share=_share(split, shape, pp),
        schedule=schedule(split, vpp, pp),
        sequence_parallel=bool(split.get("sequence_parallel", not 0 < year(record) < 2022.3)) and tp > 1,
        context=int(any(word in str(split.get("cp_algo") or "") for word in ("ulysses", "a2a"))),
        precision=precision(record),
    ), stated


def zero_stage(text: object) -> int:
    """ZeRO stage in a stated word; stage 1 where the word is missing, as frameworks ship since 2023."""
    words = str(text or "").lower()
    if any(mark in words for mark in ("zero-3", "full_shard", "fsdp", "stage3", "zero3")) and "grad_op" not in words:
        return 3
    if "zero-2" in words or "grad_op" in words or "stage2" in words:
        return 2
    return 0 if words in ("none", "none stated", "stage0") else 1


def recompute(split: Record) -> int:
    """Index into RECOMPUTE of the stated recomputation."""
    words = str(split.get("recompute") or "none").lower()
    return next((i for i, name in enumerate(RECOMPUTE) if words.startswith(name)), 0)


def _share(split: Record, shape: ModelShape, pp: int) -> float:
    """Share of layers that recompute: `block` with a number of layers per stage covers only these."""
    layers = split.get("recompute_num_layers")
    if str(split.get("recompute_method")) == "block" and layers:
        return min(float(layers) / max(shape.num_hidden_layers / pp, 1.0), 1.0)
    return 1.0


def schedule(split: Record, vpp: int, pp: int) -> int:
    """Index into SCHEDULES."""
    words = str(split.get("schedule") or "").lower()
    if "dualpipe" in words:
        return SCHEDULES.index("dualpipe")
    if "zero" in words or words.startswith("zb"):
        return SCHEDULES.index("zero_bubble")
    if "gpipe" in words:
        return SCHEDULES.index("gpipe")
    return SCHEDULES.index("interleaved") if vpp > 1 and pp > 1 else SCHEDULES.index("1f1b")


def _plain(name: str) -> str:
    text = re.sub(r"\(.*?\)", "", name.lower()).replace("llama-1", "llama").replace("llama3.1", "llama-3.1")
    return re.sub(r"[^a-z0-9.]", "", text).replace("finetune", "").replace("lora", "").replace("meta", "")


def known_shapes(records: Iterable[Record]) -> dict[str, ModelShape]:
    """Model name -> shape, from the records that carry dimensions."""
    out: dict[str, ModelShape] = {}
    for record in records:
        dims = record.get("model") or {}
        if dims.get("layers") and dims.get("name"):
            out.setdefault(_plain(str(dims["name"])), shape_of(dims))
    return out


def _shape(record: Record, shapes: Mapping[str, ModelShape]) -> ModelShape:
    dims = record.get("model") or {}
    name = str(dims.get("name", ""))
    if dims.get("layers"):
        bridge = "megatron-bridge" in str(record.get("framework", "")).lower()
        prediction = int("deepseek-v3" in name.lower() and bridge and "no_mtp" not in features(record))
        return _with_windows(shape_of(dims, prediction), name)
    found = shapes.get(_plain(name))
    if found is not None:
        return found
    try:
        return model(name)
    except W2TError:
        raise CannotExpressError(f"no dimensions of model {name!r} in the record, and no card of that name") from None


def _with_windows(shape: ModelShape, name: str) -> ModelShape:
    """The attention windows of the model's card where a record leaves them out."""
    if shape.sliding_window:
        return shape
    try:
        card = model(name)
    except W2TError:
        return shape
    same = (card.num_hidden_layers, card.hidden_size) == (shape.num_hidden_layers, shape.hidden_size)
    return (
        replace(shape, sliding_window=card.sliding_window, layer_types=card.layer_types)
        if same and card.sliding_window
        else shape
    )


def shape_of(dims: Record, prediction_layers: int = 0) -> ModelShape:
    """Dimensions in the spelling of the facts as a ModelShape; a gated MLP unless `swiglu` says otherwise."""
    layers, hidden, heads = int(dims["layers"]), int(dims["hidden"]), int(dims["heads"])
    experts, mla = int(dims.get("experts") or 0), dims.get("mla") or {}
    lead = int(dims.get("first_dense") or 0) if experts else layers
    window = re.match(r"(\d+)", str(dims.get("sliding_window") or ""))
    alternate = window is not None and "alternate" in str(dims.get("sliding_window"))
    types = tuple(
        "sliding_attention" if window and (i % 2 == 0 or not alternate) else "full_attention" for i in range(layers)
    )
    ffn = int(dims.get("ffn") or 4 * hidden)
    gated = dims.get("swiglu")
    return ModelShape(
        id=str(dims.get("name", "model")),
        model_type="record",
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=int(dims.get("kv_heads") or heads),
        head_dim=int(dims.get("head_dim") or hidden // heads),
        vocab_size=int(dims.get("vocab") or 0),
        intermediate_size=ffn,
        layer_types=types,
        mlp_layer_types=("dense",) * lead + ("sparse",) * (layers - lead),
        n_routed_experts=experts,
        n_shared_experts=int(dims.get("shared_experts") or 0),
        num_experts_per_tok=int(dims.get("top_k") or 0),
        moe_intermediate_size=int(dims.get("moe_ffn") or ffn) if experts else 0,
        shared_expert_intermediate_size=int(dims.get("shared_experts") or 0) * int(dims.get("moe_ffn") or ffn)
        if experts
        else 0,
        q_lora_rank=int(mla.get("q_lora_rank") or 0),
        kv_lora_rank=int(mla.get("kv_lora_rank") or 0),
        qk_nope_head_dim=int(mla.get("qk_nope") or 0),
        qk_rope_head_dim=int(mla.get("qk_rope") or 0),
        v_head_dim=int(mla.get("v_dim") or 0),
        sliding_window=int(window[1]) if window else 0,
        num_nextn_predict_layers=prediction_layers,
        mlp_gated=True if gated is None else bool(gated),
    )
