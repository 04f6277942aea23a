"""Configurations whose layers differ from each other, brought to one word per layer and what single layers set otherwise.

Each translation takes the keys as published and returns them with ``layer_types``, ``mlp_layer_types`` and
``layer_overrides`` (one table of shape fields per layer) filled in; keys that need no translation pass through. What is
missing or of a wrong type is not looked at here and left for the reader to report. References: the modelling code that belongs to each ``model_type``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wafer2token.workload.shape import DENSE, FULL, LINEAR, NONE, SLIDING, SPARSE

Values = dict[str, Any]

_NEMOTRON_BLOCKS = {
    "M": (LINEAR, NONE), "mamba": (LINEAR, NONE), "linear_attention": (LINEAR, NONE),
    "*": (FULL, NONE), "attention": (FULL, NONE), "full_attention": (FULL, NONE),
    "-": (NONE, DENSE), "mlp": (NONE, DENSE),
    "E": (NONE, SPARSE), "moe": (NONE, SPARSE),
}  # fmt: skip
_V4_RATIOS = {"sliding_attention": 0, "compressed_sparse_attention": 4, "heavily_compressed_attention": 128}


_LISTS = frozenset(
    ("layer_types", "mlp_layer_types", "compress_ratios", "hybrid_layer_pattern", "moe_layer_freq", "layers_block_type",
     "block_configs", "indexer_types")
)  # fmt: skip
_TABLES = frozenset(("compress_rates", "sparse_attention_config", "linear_attn_config", "attention_other_setting"))
_COUNTS = frozenset(
    ("num_hidden_layers", "num_layers", "num_attention_heads", "num_key_value_heads", "hidden_size", "index_topk",
     "global_head_dim", "num_global_key_value_heads", "shared_intermediate_size", "n_shared_experts", "index_block_size",
     "index_topk_blocks", "swa_num_key_value_heads", "num_sliding_attention_heads", "n_routed_experts", "zero_expert_num",
     "moe_topk", "num_experts_per_tok")
)  # fmt: skip


def translated(model_type: str, values: Values, most_layers: int) -> Values:
    """The keys of a configuration after its architecture's translation, if it has one; unusable values stay as they are."""
    translate = TRANSLATIONS.get(model_type)
    if translate is None:
        return values
    sound = {k: v for k, v in values.items() if _sound(k, v, most_layers)}
    out = translate(sound)
    return {**out, **{k: v for k, v in values.items() if k not in sound and out.get(k) is None}}


def _sound(key: str, value: object, most_layers: int) -> bool:
    """Whether a value has the type that translations count on."""
    if key in _LISTS:
        return isinstance(value, list) and len(value) <= most_layers
    if key in _TABLES:
        return isinstance(value, Mapping)
    if key in _COUNTS:
        limit = most_layers if key in ("num_hidden_layers", "num_layers") else 2**40
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limit
    return key != "hybrid_override_pattern" or isinstance(value, str)


def nemotron_h(values: Values) -> Values:
    """Mamba-2, attention, MLP and experts as layers of their own (arXiv:2504.03624)."""
    pattern = (
        values.get("hybrid_override_pattern") or values.get("layers_block_type") or values.get("layer_types") or ()
    )
    blocks = [_NEMOTRON_BLOCKS.get(word, (word, NONE)) for word in pattern]
    return {
        **values,
        "num_hidden_layers": len(blocks) or values.get("num_hidden_layers"),
        "layer_types": [attention for attention, _ in blocks],
        "mlp_layer_types": [mlp for _, mlp in blocks],
        "shared_expert_intermediate_size": values.get("moe_shared_expert_intermediate_size"),
        "linear_num_key_heads": values.get("n_groups", values.get("mamba_n_groups")),
        "linear_num_value_heads": values.get("mamba_num_heads"),
        "linear_key_head_dim": values.get("ssm_state_size"),
        "linear_value_head_dim": values.get("mamba_head_dim"),
        "linear_conv_kernel_dim": values.get("conv_kernel", values.get("mamba_d_conv")),
    }


def deepseek_v4(values: Values) -> Values:
    """Layers of single tokens in a window, of entries for 4 tokens behind an index, of entries for 128 tokens."""
    count = values.get("num_hidden_layers") or 0
    ratios = values.get("compress_ratios")
    if not isinstance(ratios, Sequence):
        rates = {**_V4_RATIOS, **(values.get("compress_rates") or {})}
        ratios = [rates.get(word, word) for word in values.get("layer_types") or ()]
    ratios = list(ratios)[:count]
    indexed = min((r for r in ratios if isinstance(r, int) and r > 1), default=0)
    topk = values.get("index_topk") or 0
    return {
        **values,
        "layer_types": [FULL if ratio else SLIDING for ratio in ratios],
        "mlp_layer_types": [SPARSE] * count,
        "layer_overrides": [
            {"compress_ratio": ratio, "index_topk": topk if ratio == indexed and ratio else 0} for ratio in ratios
        ],
    }


def gemma4_text(values: Values) -> Values:
    """Full layers with wider heads, fewer of them and one projection for key and value; experts beside a dense MLP."""
    count, words = values.get("num_hidden_layers") or 0, values.get("layer_types") or []
    own: Values = {}
    if values.get("global_head_dim"):
        own["head_dim"] = values["global_head_dim"]
    if values.get("attention_k_eq_v"):
        own["value_is_key"] = 1
        own["num_key_value_heads"] = values.get("num_global_key_value_heads") or values.get("num_key_value_heads")
    moe = bool(values.get("enable_moe_block"))
    beside = {"shared_expert_intermediate_size": values.get("intermediate_size")} if moe else {}
    return {
        **values,
        **beside,
        "num_experts_per_tok": values.get("top_k_experts"),
        "norms_per_layer": 7 if moe else 4,
        "mlp_layer_types": [SPARSE if moe else DENSE] * count,
        "layer_overrides": [own if word == FULL else {} for word in words],
    }


def minimax_m3(values: Values) -> Values:
    """Grouped attention behind an index of blocks, except in the first layers; those are dense, too."""
    count = values.get("num_hidden_layers") or 0
    given: Values = values.get("sparse_attention_config") or {}
    block: int = given.get("sparse_block_size", values.get("index_block_size")) or 0
    blocks: int = given.get("sparse_topk_blocks", values.get("index_topk_blocks")) or 0
    sparse = given.get("sparse_attention_freq")
    if not sparse:
        words = values.get("layer_types") or [""] * min(3, count) + ["sparse"] * (count - 3)
        sparse = [int("sparse" in str(word)) for word in words]
    shared = values.get("shared_intermediate_size") or 0
    return {
        **values,
        "moe_intermediate_size": values.get("moe_intermediate_size") or values.get("intermediate_size"),
        "intermediate_size": values.get("dense_intermediate_size"),
        "shared_expert_intermediate_size": shared * (values.get("n_shared_experts") or 1),
        "layer_types": [FULL] * count,
        "mlp_layer_types": values.get("mlp_layer_types")
        or [SPARSE if on else DENSE for on in _rhythm(values.get("moe_layer_freq"), count, 3)],
        "index_n_heads": given.get("sparse_num_index_heads", values.get("index_n_heads")),
        "index_head_dim": given.get("sparse_index_dim", values.get("index_head_dim")),
        "index_topk": block * blocks,
        "layer_overrides": [{} if on else {"index_topk": 0} for on in sparse],
    }


def mimo_v2_flash(values: Values) -> Values:
    """Windows with more key-value heads and sinks between full layers; values narrower than keys."""
    count = values.get("num_hidden_layers") or 0
    pattern = values.get("hybrid_layer_pattern")
    words = [SLIDING if slides else FULL for slides in pattern] if pattern else values.get("layer_types") or []
    heads = values.get("swa_num_key_value_heads") or 2 * (values.get("num_key_value_heads") or 0)
    sliding = {"num_key_value_heads": heads, "attention_sinks": 1}
    return {
        **values,
        "layer_types": words,
        "mlp_layer_types": values.get("mlp_layer_types")
        or [SPARSE if on else DENSE for on in _rhythm(values.get("moe_layer_freq"), count, 1)],
        "layer_overrides": [sliding if word == SLIDING else {} for word in words],
    }


def kimi_linear(values: Values) -> Values:
    """Kimi delta attention with latent attention in every fourth layer (arXiv:2510.26692)."""
    count, given = values.get("num_hidden_layers") or 0, values.get("linear_attn_config") or {}
    listed = given.get("full_attn_layers")
    full = set(listed) if isinstance(listed, list) else set()
    words = [FULL if i + 1 in full else LINEAR for i in range(count)] if full else values.get("layer_types")
    heads = given.get("num_heads", values.get("linear_num_heads"))
    width = given.get("head_dim", values.get("linear_head_dim"))
    return {
        **values,
        "layer_types": words,
        "linear_num_key_heads": heads,
        "linear_num_value_heads": heads,
        "linear_key_head_dim": width,
        "linear_value_head_dim": width,
        "linear_conv_kernel_dim": given.get("short_conv_kernel_size", values.get("linear_conv_kernel_dim")),
        "attn_output_gate": bool(given.get("use_full_rank_gate")),
        "latent_output_gate": bool(values.get("mla_use_output_gate")),
        "moe_latent_size": values.get("routed_expert_hidden_size"),
    }


def step3p5(values: Values) -> Values:
    """Windows with more query heads between full layers; a gate per head."""
    count, words = values.get("num_hidden_layers") or 0, list(values.get("layer_types") or [])
    words = words[:count] or [FULL] * count
    other = values.get("attention_other_setting") or {}
    heads = other.get("num_attention_heads") or values.get("num_sliding_attention_heads")
    late = values.get("moe_layers_enum")
    sparse = {int(i) for i in re.findall(r"\d+", str(late))} if late else set(range(3, count))
    return {
        **values,
        "num_key_value_heads": values.get("num_attention_groups", values.get("num_key_value_heads")),
        "shared_expert_intermediate_size": values.get("share_expert_dim", values.get("share_expert_dims")),
        "layer_types": words,
        "mlp_layer_types": list(values.get("mlp_layer_types") or ())[:count]
        or [SPARSE if i in sparse else DENSE for i in range(count)],
        "layer_overrides": [{"num_attention_heads": heads} if heads and word == SLIDING else {} for word in words],
    }


def step3_text(values: Values) -> Values:
    """Multi-matrix factorised attention: queries through a shared rank, one key-value head (arXiv:2507.19427)."""
    count = values.get("num_hidden_layers") or 0
    sparse = {int(i) for i in re.findall(r"\d+", str(values.get("moe_layers_enum") or ""))}
    return {
        **values,
        "num_key_value_heads": values.get("num_attention_groups", values.get("num_key_value_heads")),
        "shared_expert_intermediate_size": values.get("share_expert_dim"),
        "mlp_layer_types": [SPARSE if i in sparse or not sparse else DENSE for i in range(count)],
    }


def longcat_flash(values: Values) -> Values:
    """Each published layer is two: attention, dense MLP and, beside these, experts; then attention and dense MLP.

    Of the experts a token selects, those that do nothing take their even share (arXiv:2509.01322).
    """
    count = values.get("num_layers", values.get("num_hidden_layers")) or 0
    real, idle = values.get("n_routed_experts") or 0, values.get("zero_expert_num") or 0
    chosen = values.get("moe_topk") or values.get("num_experts_per_tok") or 0
    dense = values.get("ffn_hidden_size", values.get("intermediate_size"))
    return {
        **{k: v for k, v in values.items() if k not in ("num_layers", "head_dim", "moe_topk")},
        "num_hidden_layers": 2 * count,
        "num_experts_per_tok": round(chosen * real / (real + idle)) if real + idle else chosen,
        "zero_experts": idle,
        "intermediate_size": dense,
        "moe_intermediate_size": values.get("expert_ffn_hidden_size", values.get("moe_intermediate_size")),
        "shared_expert_intermediate_size": dense,
        "layer_types": [FULL] * (2 * count),
        "mlp_layer_types": [SPARSE, DENSE] * count,
    }


def nemotron_nas(values: Values) -> Values:
    """Layers of a searched architecture: attention may be missing, MLPs differ in width (arXiv:2411.19146)."""
    blocks = values.get("block_configs") or []
    heads, hidden = values.get("num_attention_heads") or 0, values.get("hidden_size") or 0
    attention, mlp, own = [], [], []
    for block in (b for b in blocks if isinstance(b, Mapping)):
        look, feed = block.get("attention") or {}, block.get("ffn") or {}
        attention.append(NONE if look.get("no_op") else FULL)
        mlp.append(NONE if feed.get("no_op") else DENSE)
        wide = 256 * -(-int(2 * (feed.get("ffn_mult") or 0) * hidden / 3) // 256)
        missing = (attention[-1] == NONE) + (mlp[-1] == NONE)
        group = look.get("n_heads_in_group") or 0
        own.append(
            {"intermediate_size": wide, "norms_per_layer": 2 - missing}
            | ({"num_key_value_heads": heads // group} if group else {})
        )
    return {
        **values,
        "num_key_value_heads": max((o.get("num_key_value_heads", 0) for o in own), default=0) or heads,
        "intermediate_size": max((o["intermediate_size"] for o in own), default=0),
        "layer_types": attention,
        "mlp_layer_types": mlp,
        "layer_overrides": own,
    }


def glm_moe_dsa(values: Values) -> Values:
    """Latent attention behind an index; since GLM-5.2 most layers take over the choice of the layer with one."""
    types = values.get("indexer_types")
    if not isinstance(types, Sequence):
        return values
    taken = {"index_n_heads": 0, "index_head_dim": 0}
    return {**values, "layer_overrides": [taken if word == "shared" else {} for word in types]}


def _rhythm(given: object, count: int, dense: int) -> list[int]:
    """Which layers route: the published list, else all but the first ``dense``."""
    if isinstance(given, Sequence) and len(given) == count:
        return [int(on) for on in given]
    return [0] * min(dense, count) + [1] * max(count - dense, 0)


TRANSLATIONS: Mapping[str, Callable[[Values], Values]] = {
    "nemotron_h": nemotron_h,
    "deepseek_v4": deepseek_v4,
    "gemma4_text": gemma4_text,
    "minimax_m3": minimax_m3,
    "mimo_v2_flash": mimo_v2_flash,
    "kimi_linear": kimi_linear,
    "step3p5": step3p5,
    "step3_text": step3_text,
    "longcat_flash": longcat_flash,
    "nemotron-nas": nemotron_nas,
    "glm_moe_dsa": glm_moe_dsa,
}
