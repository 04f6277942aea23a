"""The shape of a decoder-only language model, in the spelling of Hugging Face configuration files.

Shapes are plain integers; nothing here needs NumPy, so listing and showing models stays light.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

FULL, SLIDING, LINEAR = "full_attention", "sliding_attention", "linear_attention"
DENSE, SPARSE = "dense", "sparse"
NONE = "none"
Overrides = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Dimensions of one model; keys as in ``config.json``, zero where a part is absent.

    ``num_hidden_layers`` counts the main layers; multi-token-prediction layers are apart in
    ``num_nextn_predict_layers``. ``layer_types`` and ``mlp_layer_types`` hold one word per layer
    (``full_attention | sliding_attention | linear_attention | none`` and ``dense | sparse | none``);
    ``layer_overrides`` holds what single layers set otherwise (``of_layer`` applies it), empty where all are alike.
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
    layer_overrides: tuple[Overrides, ...] = ()
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
    zero_experts: int = 0
    # multi-head latent attention and its sparse index
    q_lora_rank: int = 0
    kv_lora_rank: int = 0
    qk_nope_head_dim: int = 0
    qk_rope_head_dim: int = 0
    v_head_dim: int = 0
    index_n_heads: int = 0
    index_head_dim: int = 0
    index_topk: int = 0
    # one latent head as key and value, compressed along the sequence (DeepSeek-V4)
    compress_ratio: int = 0
    o_groups: int = 0
    o_lora_rank: int = 0
    hc_mult: int = 0
    # windows and linear attention
    sliding_window: int = 0
    linear_num_key_heads: int = 0
    linear_num_value_heads: int = 0
    linear_key_head_dim: int = 0
    linear_value_head_dim: int = 0
    linear_conv_kernel_dim: int = 0
    linear_rule: str = "gated_delta"
    linear_conv_bias: bool = False
    # multi-token prediction
    num_nextn_predict_layers: int = 0
    # small parts: they matter for exact counts, hardly for time
    mlp_gated: bool = True
    attn_output_gate: bool = False
    head_gate: bool = False
    latent_output_gate: bool = False
    value_is_key: bool = False
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
    norm_weights: bool = True
    norms_per_layer: int = 2
    router_norms: int = 0
    embedding_norms: int = 0
    learned_positions: int = 0

    @property
    def attention(self) -> str:
        """Kind of the full-attention layers: ``mha``, ``gqa``, ``mqa``, ``mla``, or ``shared`` (one head is key and value)."""
        if self.kv_lora_rank:
            return "mla"
        if self.o_groups:
            return "shared"
        if self.num_key_value_heads == self.num_attention_heads:
            return "mha"
        return "mqa" if self.num_key_value_heads == 1 else "gqa"

    @property
    def is_moe(self) -> bool:
        """Whether at least one layer routes tokens to experts."""
        return SPARSE in self.mlp_layer_types

    @property
    def qk_head_dim(self) -> int:
        """Width of one query or key head [elements]."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim if self.kv_lora_rank else self.head_dim

    @property
    def value_head_dim(self) -> int:
        """Width of one value head [elements]."""
        return self.v_head_dim or self.head_dim

    @property
    def expert_input_size(self) -> int:
        """Width in which routed experts work: the hidden size, or the latent they are reached through [elements]."""
        return self.moe_latent_size or self.hidden_size

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
    overrides: Overrides = ()

    @property
    def name(self) -> str:
        """Short label such as ``gqa+dense`` or ``mla+sparse`` or ``gqa(128)+sparse``."""
        ratio = dict(self.overrides).get("compress_ratio", 0)
        detail = f"({self.window})" if self.window else ""
        return f"{self.attention}{f'/{ratio}' if ratio > 1 else ''}{detail}+{self.mlp}"

    @property
    def attends(self) -> bool:
        """Whether the layer attends to past tokens, which linear layers and layers without attention do not."""
        return self.attention not in ("linear", NONE)


@lru_cache(maxsize=4096)
def of_layer(shape: ModelShape, kind: LayerKind) -> ModelShape:
    """The shape as layers of one kind have it; the same object where nothing differs."""
    return _with(shape, kind.overrides)


@lru_cache(maxsize=1024)
def layer_kinds(shape: ModelShape) -> tuple[LayerKind, ...]:
    """The kind of every main layer, first to last."""
    rows = shape.layer_overrides or ((),) * shape.num_hidden_layers
    return tuple(
        _kind(_with(shape, own), attention, mlp, own)
        for attention, mlp, own in zip(shape.layer_types, shape.mlp_layer_types, rows, strict=True)
    )


def _with(shape: ModelShape, own: Overrides) -> ModelShape:
    fields: dict[str, Any] = dict(own)
    return replace(shape, **fields) if fields else shape


def _kind(shape: ModelShape, attention: str, mlp: str, own: Overrides) -> LayerKind:
    width = {SPARSE: shape.moe_intermediate_size, DENSE: shape.intermediate_size}.get(mlp, 0)
    return LayerKind(
        attention={LINEAR: "linear", NONE: NONE}.get(attention, shape.attention),
        mlp=mlp,
        intermediate_size=width,
        window=shape.sliding_window if attention == SLIDING else 0,
        index_topk=shape.index_topk if attention == FULL else 0,
        overrides=own,
    )


@lru_cache(maxsize=1024)
def layers(shape: ModelShape) -> tuple[tuple[LayerKind, int], ...]:
    """Distinct layer kinds with their counts, in order of first appearance."""
    counts: dict[LayerKind, int] = {}
    for kind in layer_kinds(shape):
        counts[kind] = counts.get(kind, 0) + 1
    return tuple(counts.items())


def nextn_kind(shape: ModelShape) -> LayerKind:
    """The kind of a multi-token-prediction layer: the last main layer's that attends, or the last one's where none does.

    Where attention and MLP are layers of their own, it has both.
    """
    kinds = layer_kinds(shape)
    last = next((kind for kind in reversed(kinds) if kind.attends), kinds[-1])
    if last.mlp != NONE:
        return last
    other = next((kind for kind in reversed(kinds) if kind.mlp != NONE), last)
    return replace(last, mlp=other.mlp, intermediate_size=other.intermediate_size)


def with_layers(shape: ModelShape, count: int) -> ModelShape:
    """The same model with ``count`` main layers: cut after the first ones, or continued in the rhythm of its end.

    Benchmarks often measure a truncated model; the pattern of layer kinds is kept.
    """
    have = shape.num_hidden_layers
    kinds = layer_kinds(shape)
    period = next((p for p in range(1, have // 2 + 1) if kinds[-p:] == kinds[-2 * p : -p]), have)

    def fit(words: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(words[i] if i < have else words[have - period + (i - have) % period] for i in range(count))

    return replace(
        shape,
        id=f"{shape.id}:{count}_layers",
        num_hidden_layers=count,
        layer_types=fit(shape.layer_types),
        mlp_layer_types=fit(shape.mlp_layer_types),
        layer_overrides=fit(shape.layer_overrides) if shape.layer_overrides else (),
    )
