"""What each ``model_type`` of a Hugging Face configuration means: spellings, defaults and small parts.

These are definitions of architectures, read from their published modelling code, not measurements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# canonical key -> other spellings, tried in order
SPELLINGS: dict[str, tuple[str, ...]] = {
    "hidden_size": ("hidden_size", "n_embd", "d_model", "hidden_dim", "dim"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "num_key_value_heads": ("num_key_value_heads", "num_kv_heads", "multi_query_group_num", "n_head_kv"),
    "head_dim": ("head_dim", "kv_channels", "attention_head_dim"),
    "vocab_size": ("vocab_size", "padded_vocab_size"),
    "intermediate_size": ("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim", "d_ff"),
    "max_position_embeddings": ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx"),
    "tie_word_embeddings": ("tie_word_embeddings",),
    "dtype": ("dtype", "torch_dtype"),
    "n_routed_experts": (
        "n_routed_experts",
        "num_routed_experts",
        "num_experts",
        "num_local_experts",
        "moe_num_experts",
    ),
    "n_shared_experts": ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"),
    "num_experts_per_tok": (
        "num_experts_per_tok",
        "num_experts_per_token",
        "experts_per_token",
        "moe_topk",
        "moe_top_k",
        "moe_k",
    ),
    "moe_intermediate_size": ("moe_intermediate_size",),
    "shared_expert_intermediate_size": ("shared_expert_intermediate_size",),
    "first_k_dense_replace": ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index"),
    "moe_layer_freq": ("moe_layer_freq", "decoder_sparse_step", "interleave_moe_layer_step"),
    "q_lora_rank": ("q_lora_rank", "attention_q_lora_dim", "share_q_dim"),
    "kv_lora_rank": ("kv_lora_rank", "attention_kv_lora_dim"),
    "qk_nope_head_dim": ("qk_nope_head_dim", "attention_qk_dim"),
    "qk_rope_head_dim": ("qk_rope_head_dim", "attention_qk_rope_dim"),
    "v_head_dim": ("v_head_dim", "attention_v_dim"),
    "index_n_heads": ("index_n_heads",),
    "index_head_dim": ("index_head_dim",),
    "index_topk": ("index_topk",),
    "sliding_window": ("sliding_window", "attention_chunk_size"),
    "num_nextn_predict_layers": ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers"),
    "linear_num_key_heads": ("linear_num_key_heads",),
    "linear_num_value_heads": ("linear_num_value_heads",),
    "linear_key_head_dim": ("linear_key_head_dim",),
    "linear_value_head_dim": ("linear_value_head_dim",),
    "linear_conv_kernel_dim": ("linear_conv_kernel_dim",),
}

_SWITCHES: dict[str, tuple[str, ...]] = {
    "attention_bias": ("qkv_bias", "o_bias"),
    "mlp_bias": ("mlp_bias",),
    "use_qk_norm": ("qk_norm",),
    "lm_head_bias": ("lm_head_bias",),
}
_INPUT_BIAS = {**_SWITCHES, "attention_bias": ("qkv_bias",)}
_ALL_BIASES = ("qkv_bias", "o_bias", "mlp_bias")


@dataclass(frozen=True, slots=True)
class Family:
    """One architecture: what its configuration leaves out and which small parts it has.

    ``parts`` are values of ``ModelShape`` fields; ``defaults`` fill configuration keys that are missing;
    ``switches`` are configuration keys that turn parts on and off; ``mlp_width`` is the multiple of ``hidden_size`` where no width is given (0: it must be given);
    ``window_default`` says which layers slide when ``layer_types`` is missing: ``none``, ``all``,
    ``alternate`` (even layers slide), or a period n as ``last_full:n``. ``index`` says that a sparse index may choose keys,
    ``narrow_values`` that values have a width of their own.
    """

    parts: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    moe: bool = False
    mla: bool = False
    index: bool = False
    narrow_values: bool = False
    mlp_width: int = 0
    window_default: str = "none"
    switches: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _SWITCHES)
    dense_width_key: str = "intermediate_size"
    expert_width_key: str = "moe_intermediate_size"


_LAYERNORM_BIASED = {
    "mlp_gated": False,
    "qkv_bias": True,
    "o_bias": True,
    "mlp_bias": True,
    "norm_bias": True,
}
_UNTIED, _TIED = {"tie_word_embeddings": False}, {"tie_word_embeddings": True}
_DEEPSEEK = Family(moe=True, mla=True, defaults={**_UNTIED, "moe_layer_freq": 1})
_QWEN3 = {"qk_norm": True}

FAMILIES: dict[str, Family] = {
    "llama": Family(defaults=_UNTIED),
    "mistral": Family(defaults=_UNTIED, window_default="all"),
    "mixtral": Family(defaults=_UNTIED, moe=True, expert_width_key="intermediate_size", window_default="all"),
    "qwen2": Family(parts={"qkv_bias": True}, defaults=_UNTIED, switches={}),
    "qwen2_moe": Family(parts={"qkv_bias": True, "shared_expert_gate": True}, defaults=_UNTIED, moe=True, switches={}),
    "qwen3": Family(parts=_QWEN3, defaults=_UNTIED),
    "qwen3_moe": Family(parts=_QWEN3, defaults=_UNTIED, moe=True),
    "qwen3_next": Family(
        parts={**_QWEN3, "attn_output_gate": True, "shared_expert_gate": True},
        defaults=_UNTIED,
        moe=True,
        window_default="linear",
    ),
    "qwen3_5": Family(parts={**_QWEN3, "attn_output_gate": True}, defaults=_UNTIED, window_default="linear"),
    "qwen3_5_moe": Family(
        parts={**_QWEN3, "attn_output_gate": True, "shared_expert_gate": True},
        defaults=_UNTIED,
        moe=True,
        window_default="linear",
    ),
    "deepseek_v2": _DEEPSEEK,
    "deepseek_v3": _DEEPSEEK,
    "deepseek_v32": _DEEPSEEK,
    "kimi_k2": _DEEPSEEK,
    "glm_moe_dsa": _DEEPSEEK,
    "glm4_moe_lite": _DEEPSEEK,
    "pangu_ultra_moe": Family(
        moe=True, mla=True, parts={"norms_per_layer": 4}, defaults={**_UNTIED, "moe_layer_freq": 1}
    ),
    "glm4_moe": Family(defaults=_UNTIED, moe=True, switches=_INPUT_BIAS),
    "gpt_oss": Family(
        parts={
            "qkv_bias": True,
            "o_bias": True,
            "expert_bias": True,
            "router_bias": True,
            "attention_sinks": True,
        },
        defaults=_UNTIED,
        moe=True,
        expert_width_key="intermediate_size",
        window_default="alternate",
    ),
    "llama4_text": Family(
        defaults=_UNTIED,
        moe=True,
        switches={"attention_bias": ("qkv_bias", "o_bias")},
        dense_width_key="intermediate_size_mlp",
        expert_width_key="intermediate_size",
        window_default="last_full:4",
    ),
    "pangu_dense": Family(parts={"norms_per_layer": 4}, defaults=_UNTIED),
    "pangu_pro_moe": Family(parts={"qkv_bias": True, "o_bias": True, "norms_per_layer": 4}, defaults=_UNTIED, moe=True),
    "gpt2": Family(parts={**_LAYERNORM_BIASED, "learned_positions": 1}, defaults=_TIED, mlp_width=4),
    "gpt_bigcode": Family(parts={**_LAYERNORM_BIASED, "learned_positions": 1}, defaults=_TIED, mlp_width=4),
    "gptj": Family(
        parts={"mlp_gated": False, "mlp_bias": True, "norm_bias": True, "norms_per_layer": 1, "lm_head_bias": True},
        defaults=_UNTIED,
        mlp_width=4,
    ),
    "gpt_neox": Family(parts=_LAYERNORM_BIASED, defaults=_UNTIED),
    "bloom": Family(parts={**_LAYERNORM_BIASED, "embedding_norms": 1}, defaults=_TIED, mlp_width=4),
    "opt": Family(parts={**_LAYERNORM_BIASED, "learned_positions": 1}, defaults=_TIED),
    "mpt": Family(parts={"mlp_gated": False}, defaults=_TIED, mlp_width=4),
    "falcon": Family(
        parts={"mlp_gated": False, "norm_bias": True}, defaults=_TIED, mlp_width=4, switches={"bias": _ALL_BIASES}
    ),
    "nemotron": Family(parts={"mlp_gated": False, "norm_bias": True}, defaults=_UNTIED),
    "chatglm": Family(parts={"qkv_bias": True}, defaults=_UNTIED, switches={"add_qkv_bias": ("qkv_bias",)}),
    "baichuan": Family(defaults=_UNTIED),
    "internlm": Family(parts={"qkv_bias": True, "o_bias": True}, defaults=_UNTIED),
    "internlm2": Family(defaults=_UNTIED),
    "minicpm": Family(defaults=_TIED),
    "smollm3": Family(defaults=_TIED),
    "phi3": Family(defaults=_UNTIED),
    "phi": Family(parts={**_LAYERNORM_BIASED, "norms_per_layer": 1, "lm_head_bias": True}, defaults=_UNTIED),
    "phimoe": Family(parts={"norm_bias": True}, defaults=_UNTIED, moe=True, expert_width_key="intermediate_size"),
    "gemma": Family(defaults=_TIED),
    "gemma2": Family(parts={"norms_per_layer": 4}, defaults=_TIED, window_default="alternate"),
    "gemma3_text": Family(parts={**_QWEN3, "norms_per_layer": 4}, defaults=_TIED, window_default="last_full:6"),
    "cohere": Family(parts={"norms_per_layer": 1}, defaults=_TIED),
    "cohere2": Family(parts={"norms_per_layer": 1}, defaults=_TIED, window_default="last_full:4"),
    "starcoder2": Family(parts=_LAYERNORM_BIASED, defaults=_TIED, switches={"use_bias": _ALL_BIASES}),
    "granite": Family(defaults=_UNTIED),
    "granitemoe": Family(defaults=_UNTIED, moe=True, expert_width_key="intermediate_size"),
    "olmo2": Family(parts={"qk_norm_full": True}, defaults=_UNTIED),
    "olmoe": Family(parts={"qk_norm_full": True}, defaults=_UNTIED, moe=True, expert_width_key="intermediate_size"),
    "minimax_m2": Family(
        parts={"qk_norm_full": True},
        defaults=_UNTIED,
        moe=True,
        switches={"use_qk_norm": ("qk_norm_full",)},
        expert_width_key="intermediate_size",
    ),
    "exaone4": Family(parts=_QWEN3, defaults=_UNTIED, window_default="last_full:4"),
    "seed_oss": Family(defaults=_UNTIED, switches={**_INPUT_BIAS, "attention_out_bias": ("o_bias",)}),
    "glm": Family(defaults=_UNTIED, switches=_INPUT_BIAS),
    "glm4": Family(parts={"norms_per_layer": 4}, defaults=_UNTIED, switches=_INPUT_BIAS),
    "stablelm": Family(parts={"norm_bias": True}, defaults=_UNTIED, switches={"use_qkv_bias": ("qkv_bias",)}),
    "ernie4_5": Family(defaults=_TIED, switches={"use_bias": _ALL_BIASES}),
    "ernie4_5_moe": Family(parts={"router_bias": True}, defaults=_TIED, moe=True, switches={"use_bias": _ALL_BIASES}),
    "mimo": Family(parts={"qkv_bias": True}, defaults=_UNTIED, switches=_INPUT_BIAS),
    "nemotron_h": Family(
        parts={"mlp_gated": False, "linear_rule": "mamba2", "linear_conv_bias": True, "norms_per_layer": 1},
        defaults=_UNTIED,
        moe=True,
        switches={"use_conv_bias": ("linear_conv_bias",), "mlp_bias": ("mlp_bias",)},
    ),
    "nemotron-nas": Family(defaults=_UNTIED),
    "deepseek_v4": Family(defaults=_UNTIED, moe=True, index=True),
    "gemma4_text": Family(parts={**_QWEN3, "router_norms": 1, "router_bias": True}, defaults=_TIED, moe=True),
    "minimax_m3": Family(parts=_QWEN3, defaults=_UNTIED, moe=True, index=True),
    "mimo_v2_flash": Family(defaults=_UNTIED, moe=True, narrow_values=True),
    "kimi_linear": Family(parts={"linear_rule": "kda"}, defaults=_UNTIED, moe=True, mla=True),
    "step3p5": Family(parts={**_QWEN3, "head_gate": True}, defaults=_UNTIED, moe=True),
    "deepseek": Family(defaults={**_UNTIED, "moe_layer_freq": 1}, moe=True),
    "step3_text": Family(defaults=_UNTIED, moe=True),
    "longcat_flash": Family(defaults=_UNTIED, moe=True, mla=True),
    "hy_v3": Family(parts=_QWEN3, defaults={**_UNTIED, "first_k_dense_replace": 1}, moe=True, switches=_INPUT_BIAS),
    "hunyuan_v1_dense": Family(parts=_QWEN3, defaults=_UNTIED),
    "hunyuan_v1_moe": Family(parts=_QWEN3, defaults=_UNTIED, moe=True, expert_width_key="intermediate_size"),
    "olmo": Family(parts={"norm_weights": False}, defaults=_UNTIED),
    "olmo3": Family(parts={"qk_norm_full": True}, defaults=_UNTIED, window_default="last_full:4"),
    "arcee": Family(parts={"mlp_gated": False}, defaults=_UNTIED),
    "dots1": Family(parts=_QWEN3, defaults={**_UNTIED, "moe_layer_freq": 1}, moe=True),
    "qwen": Family(parts={"qkv_bias": True}, defaults=_UNTIED),
}

# the same architecture under another name
SAME_AS: dict[str, str] = {
    "llama4": "llama4_text",
    "gemma3": "gemma3_text",
    "qwen3_5_text": "qwen3_5",
    "qwen3_5_moe_text": "qwen3_5_moe",
    "qwen3_vl_text": "qwen3",
    "qwen3_vl_moe_text": "qwen3_moe",
    "qwen3_omni_moe_text": "qwen3_moe",
    "qwen2_5_vl_text": "qwen2",
    "qwen2_vl_text": "qwen2",
    "qwen2_5_vl": "qwen2",
    "qwen2_vl": "qwen2",
    "deepseek_ref": "deepseek_v4",
    "gemma4": "gemma4_text",
    "kimi_k3": "kimi_linear",
    "minimax_m3_vl": "minimax_m3",
    "minimax_m3_vl_text": "minimax_m3",
    "step3p7": "step3p5",
    "step3_vl": "step3_text",
    "deepseek_ocr2_text": "deepseek",
    "ministral": "mistral",
    "ministral3": "mistral",
    "yi": "llama",
    "RefinedWeb": "falcon",
    "RefinedWebModel": "falcon",
    "aquila": "llama",
    "PanguProMoE": "pangu_pro_moe",
    "PanguEmbedded": "pangu_dense",
    "pangu_v2_moe": "pangu_ultra_moe",
}


def supported() -> list[str]:
    """All ``model_type`` values that the reader knows."""
    return sorted([*FAMILIES, *SAME_AS])
