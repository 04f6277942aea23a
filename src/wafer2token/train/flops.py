"""Floating-point operations per trained token in the conventions that sources use, and utilisation from them.

A source's utilisation is a statement about its counting rule as much as about speed; here every flavour follows from the
one predicted quantity, tokens per second (PaLM, arXiv 2204.02311, appendix B; Megatron, arXiv 2104.04473, section 5.1).
"""

from __future__ import annotations

from wafer2token.workload import ModelShape, layer_kinds, layer_parameters, nextn_kind

FLAVOURS = ("full", "causal", "6n", "hardware")


def attention_flops(shape: ModelShape, seq_len: float, causal: bool) -> float:
    """Forward and backward FLOPs per token of attention scores and their values over all layers.

    Full counts every pair (12 s H d per layer for equal head widths), causal half; a window of w caps s at w.
    """
    total = 0.0
    for kind in (*layer_kinds(shape), *(nextn_kind(shape),) * shape.num_nextn_predict_layers):
        span = min(float(kind.window), seq_len) if kind.window else seq_len
        share = 0.5 if causal and not kind.window else 1.0
        total += 6.0 * share * span * shape.num_attention_heads * (shape.qk_head_dim + shape.value_head_dim)
    return total


def linear_flops(shape: ModelShape) -> float:
    """Forward and backward FLOPs per token of all matrix products outside attention: 6 per multiplied weight."""
    kinds = (*layer_kinds(shape), *(nextn_kind(shape),) * shape.num_nextn_predict_layers)
    weights = sum(layer_parameters(shape, kind).multiplied for kind in kinds)
    heads = 1 + shape.num_nextn_predict_layers
    return 6.0 * (weights + heads * shape.vocab_size * shape.hidden_size)


def flops_per_token(shape: ModelShape, seq_len: float, flavour: str = "causal", recompute_share: float = 0.0) -> float:
    """FLOPs per token: "full", "causal", "6n" (weights only) or "hardware" (full, with recomputed forwards counted)."""
    linear = linear_flops(shape)
    if flavour == "6n":
        return linear
    work = linear + attention_flops(shape, seq_len, flavour == "causal")
    return work * (1 + recompute_share / 3) if flavour == "hardware" else work


def convention(definition: str) -> str:
    """Which flavour the words of a source describe."""
    words = definition.lower()
    if "recomputed forward" in words or "counts recompute" in words or "4x forward" in words:
        return "hardware"
    if "no attention" in words or "none: 6" in words:
        return "6n"
    halves = ("causal half" in words or "halved" in words or "causal attention" in words) and "not halved" not in words
    return "causal" if halves else "full"
