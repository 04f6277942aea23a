"""Counting parameters: of one layer by its parts, of the whole model, and of what one token multiplies with.

Everything is integer arithmetic without NumPy. Reference for the parts: the modelling code that belongs to each
``model_type``; the counts are tested against published totals and against transformers on the meta device.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from wafer2token.workload.shape import (
    DENSE,
    NONE,
    SPARSE,
    LayerKind,
    ModelShape,
    layer_kinds,
    layers,
    nextn_kind,
    of_layer,
)


@dataclass(frozen=True, slots=True)
class LayerParameters:
    """Parameters of one layer of one kind; ``experts`` is all routed experts, ``expert_each`` one of them.

    ``attention`` = ``attention_split`` (divided by tensor parallelism) + ``attention_whole`` (on every rank:
    the down-projections of latent attention and its sparse index).
    """

    attention: int
    attention_whole: int
    mlp_dense: int
    expert_each: int
    experts: int
    experts_active: int
    shared_expert: int
    router: int
    norm: int
    bias: int
    bias_active: int

    @property
    def attention_split(self) -> int:
        """The part of the attention weights that tensor parallelism divides."""
        return self.attention - self.attention_whole

    @property
    def total(self) -> int:
        """All parameters of the layer."""
        return self.multiplied - self.experts_active + self.experts + self.norm + self.bias

    @property
    def multiplied(self) -> int:
        """Weights of the matrix products that one token passes through."""
        return self.attention + self.mlp_dense + self.experts_active + self.shared_expert + self.router

    @property
    def active(self) -> int:
        """What one token uses: ``multiplied`` with norms and the biases on its way."""
        return self.multiplied + self.norm + self.bias_active


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of a model, summed over its main layers, except ``expert_each`` (one expert of one layer).

    ``total`` leaves multi-token-prediction layers out, as published totals do; they are in ``mtp``.
    ``active`` is what one token multiplies with or passes through: the output head is in, the lookup in the
    input embedding is not. ``multiplied`` is ``active`` without norms and biases: twice it is the FLOPs per token
    of all matrix products outside attention scores.
    """

    total: int
    active: int
    multiplied: int
    embedding: int
    positions: int
    head: int
    attention: int
    mlp_dense: int
    expert_each: int
    experts: int
    experts_active: int
    shared_expert: int
    router: int
    norm: int
    bias: int
    mtp: int
    per_layer: tuple[int, ...]
    per_layer_active: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """All counts as plain Python values."""
        return asdict(self)


@lru_cache(maxsize=4096)
def layer_parameters(shape: ModelShape, kind: LayerKind) -> LayerParameters:
    """Parameters of one layer of a kind."""
    shape = of_layer(shape, kind)
    attention, whole, attention_norm, attention_bias = _attention(shape, kind)
    sparse, dense = kind.mlp == SPARSE, kind.mlp == DENSE
    matrices = 3 if shape.mlp_gated else 2
    h, inner = shape.hidden_size, shape.expert_input_size
    each = matrices * inner * kind.intermediate_size if sparse else 0
    shared = matrices * h * shape.shared_expert_intermediate_size if sparse else 0
    shared += h if sparse and shape.shared_expert_gate else 0
    shared += 2 * h * shape.moe_latent_size if sparse else 0
    bias = attention_bias
    if shape.mlp_bias and dense:
        bias += (matrices - 1) * kind.intermediate_size + h
    if sparse and shape.router_bias:
        bias += shape.n_routed_experts
    expert_bias = (matrices - 1) * kind.intermediate_size + h if sparse and shape.expert_bias else 0
    whole += _hyper_connections(shape)[0]
    return LayerParameters(
        attention=attention + _hyper_connections(shape)[0],
        attention_whole=whole,
        mlp_dense=matrices * h * kind.intermediate_size if dense else 0,
        expert_each=each,
        experts=each * shape.n_routed_experts if sparse else 0,
        experts_active=each * shape.num_experts_per_tok if sparse else 0,
        shared_expert=shared,
        router=h * (shape.n_routed_experts + shape.zero_experts) if sparse else 0,
        norm=shape.norms_per_layer * h * _norm_vectors(shape)
        + attention_norm
        + (shape.router_norms * h if sparse else 0),
        bias=bias + shape.n_routed_experts * expert_bias + _hyper_connections(shape)[1],
        bias_active=bias + shape.num_experts_per_tok * expert_bias + _hyper_connections(shape)[1],
    )


def _norm_vectors(shape: ModelShape) -> int:
    """Learned vectors of one norm: scale and shift, scale alone, or none."""
    return (2 if shape.norm_bias else 1) if shape.norm_weights else 0


def _hyper_connections(shape: ModelShape) -> tuple[int, int]:
    """(mixing weights, biases) of one layer with several residual streams: two sites, each from all streams to the coefficients
    that read, write and mix them (manifold-constrained hyper-connections, arXiv:2512.24880)."""
    streams = shape.hc_mult
    rows = streams * (2 + streams)
    return 2 * rows * streams * shape.hidden_size, 2 * (rows + 3) if streams else 0


def _attention(shape: ModelShape, kind: LayerKind) -> tuple[int, int, int, int]:
    """(weights, of which on every tensor-parallel rank, norm weights, biases) of one attention block."""
    if kind.attention == NONE:
        return 0, 0, 0, 0
    if kind.attention == "linear":
        return _linear_attention(shape)
    if shape.kv_lora_rank:
        return _latent_attention(shape)
    if shape.o_groups:
        return _shared_attention(shape)
    h, heads, kv, d = shape.hidden_size, shape.num_attention_heads, shape.num_key_value_heads, shape.head_dim
    v = shape.value_head_dim
    q = heads * d * (2 if shape.attn_output_gate else 1)
    kv_width = kv * (d if shape.value_is_key else d + v)
    rank = shape.q_lora_rank
    weights = (rank * (h + q) if rank else h * q) + h * kv_width + heads * v * h + (h * heads if shape.head_gate else 0)
    norm = (2 * d if shape.qk_norm else (heads + kv) * d if shape.qk_norm_full else 0) + rank
    bias = (q + kv_width if shape.qkv_bias else 0) + (h if shape.o_bias else 0)
    bias += heads if shape.attention_sinks else 0
    whole, index_norm = _index(shape, h)
    return weights + whole, whole + h * rank, norm + index_norm, bias


def _index(shape: ModelShape, query_input: int) -> tuple[int, int]:
    """(weights, norm weights) of a sparse index: queries, one key, in front of latents also a weight per head."""
    if not shape.index_topk or not shape.index_n_heads:
        return 0, 0
    weighted = shape.index_n_heads if shape.kv_lora_rank else 0
    weights = query_input * shape.index_n_heads * shape.index_head_dim
    return weights + shape.hidden_size * (shape.index_head_dim + weighted), 2 * shape.index_head_dim


def _latent_attention(shape: ModelShape) -> tuple[int, int, int, int]:
    h, heads = shape.hidden_size, shape.num_attention_heads
    q_rank, kv_rank = shape.q_lora_rank, shape.kv_lora_rank
    q_width = heads * shape.qk_head_dim
    split = (q_rank or h) * q_width
    split += kv_rank * heads * (shape.qk_nope_head_dim + shape.v_head_dim)
    split += heads * shape.v_head_dim * h * (2 if shape.latent_output_gate else 1)
    whole, norm = _index(shape, q_rank or h)
    whole += h * (q_rank + kv_rank + shape.qk_rope_head_dim)
    return split + whole, whole, norm + q_rank + kv_rank, 0


def _shared_attention(shape: ModelShape) -> tuple[int, int, int, int]:
    """DeepSeek-V4: one head is key and value of all queries; keys are compressed along the sequence by learned weights
    (overlapping windows where an index selects among them); the output projection is low-rank by groups of heads."""
    h, d, ratio = shape.hidden_size, shape.head_dim, shape.compress_ratio
    width = shape.num_attention_heads * d
    split = shape.q_lora_rank * width + width * shape.o_lora_rank + shape.o_groups * shape.o_lora_rank * h
    whole = h * (shape.q_lora_rank + d)
    norm, bias = shape.q_lora_rank + d, shape.num_attention_heads
    series = [(2 if shape.index_topk else 1) * d, 2 * shape.index_head_dim if shape.index_topk else 0]
    if ratio > 1:
        whole += 2 * h * sum(series)
        bias += ratio * sum(series)
        norm += d
        if shape.index_topk:
            whole += shape.q_lora_rank * shape.index_n_heads * shape.index_head_dim + h * shape.index_n_heads
            norm += shape.index_head_dim
    return split + whole, whole, norm, bias


def _linear_attention(shape: ModelShape) -> tuple[int, int, int, int]:
    """Recurrent layers: query, key, value and gate, scalars per head, a short convolution.

    ``gated_delta`` (arXiv:2412.06464) as in Qwen3-Next; ``kda`` (arXiv:2510.26692) with a decay per channel and a gate through
    the width of one head; ``mamba2`` (arXiv:2405.21060) with the state size as key, its groups as key heads.
    """
    h, values = shape.hidden_size, shape.linear_num_value_heads
    keys = shape.linear_num_key_heads * shape.linear_key_head_dim
    width = values * shape.linear_value_head_dim
    mixed = 2 * keys + width
    weights = h * mixed + width * h + mixed * shape.linear_conv_kernel_dim
    bias = mixed if shape.linear_conv_bias else 0
    if shape.linear_rule == "mamba2":
        return weights + h * (width + values), 0, width, bias + 3 * values
    if shape.linear_rule == "kda":
        inner = shape.linear_key_head_dim
        whole = h * inner * (1 if shape.attn_output_gate else 2)
        gates = keys * inner + (h * width if shape.attn_output_gate else inner * width) + h * values
        return weights + whole + gates, whole, shape.linear_value_head_dim, bias + keys + values
    return weights + h * (width + 2 * values), 0, shape.linear_value_head_dim, bias + 2 * values


@lru_cache(maxsize=1024)
def parameters(shape: ModelShape) -> Parameters:
    """Parameter counts of a model, exact integers."""
    h, vocab = shape.hidden_size, shape.vocab_size
    norm_width = h * _norm_vectors(shape)
    per_kind = [(layer_parameters(shape, kind), count) for kind, count in layers(shape)]
    per_layer = [layer_parameters(shape, kind) for kind in layer_kinds(shape)]

    def over(name: str) -> int:
        return sum(int(getattr(part, name)) * count for part, count in per_kind)

    embedding = vocab * h
    head_bias = vocab if shape.lm_head_bias else 0
    head = 0 if shape.tie_word_embeddings else embedding
    streams = shape.hc_mult
    joined = streams * streams * h + streams + 1 if streams else 0
    norm = over("norm") + norm_width * (1 + shape.embedding_norms) + joined
    positions = shape.learned_positions * h
    outside = embedding + positions + head + head_bias + norm - over("norm")
    return Parameters(
        total=over("total") + outside,
        active=over("active") + embedding + head_bias + norm - over("norm"),
        multiplied=over("multiplied") + embedding,
        embedding=embedding,
        positions=positions,
        head=head,
        attention=over("attention"),
        mlp_dense=over("mlp_dense"),
        expert_each=max(part.expert_each for part, _ in per_kind),
        experts=over("experts"),
        experts_active=over("experts_active"),
        shared_expert=over("shared_expert"),
        router=over("router"),
        norm=norm,
        bias=over("bias") + head_bias,
        mtp=shape.num_nextn_predict_layers * _nextn(shape),
        per_layer=tuple(part.total for part in per_layer),
        per_layer_active=tuple(part.active for part in per_layer),
    )


def _nextn(shape: ModelShape) -> int:
    """One multi-token-prediction layer (arXiv:2412.19437, section 2.2): joins two states, then a layer."""
    h = shape.hidden_size
    return 2 * h * h + 3 * h + layer_parameters(shape, nextn_kind(shape)).total
