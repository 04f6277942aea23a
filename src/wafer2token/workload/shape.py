"""The shape of a decoder-only language model, in the spelling of Hugging Face configuration files.

Shapes are plain integers; nothing here needs NumPy, so listing and showing models stays light.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

FULL, SLIDING, LINEAR, MAMBA = "full_attention", "sliding_attention", "linear_attention", "mamba"
DENSE, SPARSE, NONE = "dense", "sparse", "none"
RECURRENT = ("linear", "mamba")
"""Kinds of attention that keep a state of fixed size instead of keys and values."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Dimensions of one model; keys as in ``config.json``, zero where a part is absent.

    ``num_hidden_layers`` counts the main layers; multi-token-prediction layers are apart in
    ``num_nextn_predict_layers``. ``layer_types`` and ``mlp_layer_types`` hold one word per layer
    (``full_attention | sliding_attention | linear_attention | mamba`` and ``dense | sparse | none``). State-space layers
    (Mamba-2, arXiv:2405.21060) use the ``linear_*`` keys: groups as key heads, the state as key width, heads as value heads.
    """

    id: str
    model_type: str
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    intermediate_size: int
    layer_types: tuple[str, ...]
    mlp_layer_types: tuple[str, ...]
    max_position_embeddings: int = 0
    tie_word_embeddings: bool = False
    dtype: str = "bfloat16"
    # mixture of experts
    n_routed_experts: int = 0
    n_shared_experts: int = 0
    num_experts_per_tok: int = 0
    moe_intermediate_size: int = 0
    shared_expert_intermediate_size: int = 0
    moe_latent_size: int = 0
    # multi-head latent attention and its sparse index
    q_lora_rank: int = 0
    kv_lora_rank: int = 0
    qk_nope_head_dim: int = 0
    qk_rope_head_dim: int = 0
    v_head_dim: int = 0
    index_n_heads: int = 0
    index_head_dim: int = 0
    index_topk: int = 0
    # windows and linear attention
    sliding_window: int = 0
    linear_num_key_heads: int = 0
    linear_num_value_heads: int = 0
    linear_key_head_dim: int = 0
    linear_value_head_dim: int = 0
    linear_conv_kernel_dim: int = 0
    # multi-token prediction
    num_nextn_predict_layers: int = 0
    # small parts: they matter for exact counts, hardly for time
    mlp_gated: bool = True
    attn_output_gate: bool = False
    qkv_bias: bool = False
    o_bias: bool = False
    mlp_bias: bool = False
    expert_bias: bool = False
    router_bias: bool = False
    lm_head_bias: bool = False
    shared_expert_gate: bool = False
    attention_sinks: bool = False
    qk_norm: bool = False
    qk_norm_full: bool = False
    norm_bias: bool = False
    norms_per_layer: int = 2
    embedding_norms: int = 0
    learned_positions: int = 0

    @property
    def attention(self) -> str:
        """Kind of the full-attention layers: ``mha``, ``gqa``, ``mqa`` or ``mla``."""
        if self.kv_lora_rank:
            return "mla"
        if self.num_key_value_heads == self.num_attention_heads:
            return "mha"
        return "mqa" if self.num_key_value_heads == 1 else "gqa"

    @property
    def is_moe(self) -> bool:
        """Whether at least one layer routes tokens to experts."""
        return SPARSE in self.mlp_layer_types

    @property
    def expert_hidden_size(self) -> int:
        """Width of what routed experts read and write: the latent one where there is one [elements]."""
        return self.moe_latent_size or self.hidden_size

    @property
    def qk_head_dim(self) -> int:
        """Width of one query or key head [elements]."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim if self.kv_lora_rank else self.head_dim

    @property
    def value_head_dim(self) -> int:
        """Width of one value head [elements]."""
        return self.v_head_dim if self.kv_lora_rank else self.head_dim

    def to_dict(self) -> dict[str, Any]:
        """All keys as plain Python values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LayerKind:
    """What one layer is made of; layers of one kind cost the same.

    ``window`` is the number of past tokens a sliding layer sees (0: all), ``index_topk`` the number
    a sparse index selects (0: all), ``intermediate_size`` the width of the dense MLP or of one expert.
    """

    attention: str
    mlp: str
    intermediate_size: int
    window: int = 0
    index_topk: int = 0

    @property
    def name(self) -> str:
        """Short label such as ``gqa+dense`` or ``mla+sparse`` or ``gqa(128)+sparse``."""
        return f"{self.attention}{f'({self.window})' if self.window else ''}+{self.mlp}"


@lru_cache(maxsize=1024)
def layer_kinds(shape: ModelShape) -> tuple[LayerKind, ...]:
    """The kind of every main layer, first to last."""
    kinds = []
    for attention, mlp in zip(shape.layer_types, shape.mlp_layer_types, strict=True):
        kinds.append(
            LayerKind(
                attention={LINEAR: "linear", MAMBA: "mamba"}.get(attention, shape.attention),
                mlp=DENSE if mlp == NONE else mlp,
                intermediate_size={SPARSE: shape.moe_intermediate_size, NONE: 0}.get(mlp, shape.intermediate_size),
                window=shape.sliding_window if attention == SLIDING else 0,
                index_topk=shape.index_topk if attention == FULL else 0,
            )
        )
    return tuple(kinds)


@lru_cache(maxsize=1024)
def layers(shape: ModelShape) -> tuple[tuple[LayerKind, int], ...]:
    """Distinct layer kinds with their counts, in order of first appearance."""
    counts: dict[LayerKind, int] = {}
    for kind in layer_kinds(shape):
        counts[kind] = counts.get(kind, 0) + 1
    return tuple(counts.items())


def nextn_kind(shape: ModelShape) -> LayerKind:
    """The kind of a multi-token-prediction layer: the last full-attention main layer's, or the last one's where all are linear."""
    kinds = layer_kinds(shape)
    return next((kind for kind in reversed(kinds) if kind.attention not in RECURRENT), kinds[-1])


def with_layers(shape: ModelShape, count: int) -> ModelShape:
    """The same model with ``count`` main layers: cut after the first ones, or continued in the rhythm of its end.

    Benchmarks often measure a truncated model; the pattern of layer kinds is kept.
    """
    have = shape.num_hidden_layers
    kinds = layer_kinds(shape)
    period = next((p for p in range(1, have // 2 + 1) if kinds[-p:] == kinds[-2 * p : -p]), have)

    def fit(words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(words[i] if i < have else words[have - period + (i - have) % period] for i in range(count))

    return replace(
        shape,
        id=f"{shape.id}:{count}_layers",
        num_hidden_layers=count,
        layer_types=fit(shape.layer_types),
        mlp_layer_types=fit(shape.mlp_layer_types),
    )
