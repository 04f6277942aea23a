"""FLOPs per token by the formulas that publications use, so that any printed MFU can be compared with any other."""

from __future__ import annotations

from typing import Any

from wafer2token.evidence.errors import InputError, unknown
from wafer2token.workload.counts import layer_parameters, parameters
from wafer2token.workload.ops import attended_pairs
from wafer2token.workload.shape import LayerKind, ModelShape, layers, nextn_kind, of_layer

FLAVOURS = ("megatron", "palm", "6n", "causal")
RECOMPUTE = ("none", "selective", "full")


def train_flops_per_token(shape: ModelShape, seq_len: Any, flavour: str = "megatron", mtp: bool = False) -> Any:
    """Forward and backward FLOPs per trained token [FLOP], without recomputation. ``seq_len`` [tokens] may be an array.

    - ``megatron``: six per weight of every matrix product, output head included, and attention over the full
      square (Narayanan et al. 2021, arXiv:2104.04473, equation 3 less recomputation; windows are respected);
    - ``causal``: the same with only the query-key pairs that a causal mask leaves;
    - ``palm``: 6 N + 12 L H Q T (Chowdhery et al. 2022, arXiv:2204.02311, appendix B), N all active parameters;
    - ``6n``: 6 N alone (Kaplan et al. 2020, arXiv:2001.08361).

    ``mtp`` adds the multi-token-prediction layers. Raises InputError on an unknown flavour.
    """
    if flavour not in FLAVOURS:
        raise InputError(unknown("flavour of FLOPs", flavour, FLAVOURS))
    if flavour in ("6n", "palm"):
        attention = 6 * score_flops_per_token(shape, seq_len, causal=False, windows=False) / 2
        return 6 * parameters(shape).active + (attention if flavour == "palm" else 0)
    causal = flavour == "causal"
    total = 6 * parameters(shape).multiplied + 3 * score_flops_per_token(shape, seq_len, causal)
    return total + (_nextn_flops(shape, seq_len, causal) if mtp else 0)


def hardware_flops_per_token(shape: ModelShape, seq_len: Any, recompute: str = "none", causal: bool = False) -> Any:
    """FLOPs per trained token with those done twice [FLOP]: ``full`` repeats every layer's forward pass,
    ``selective`` only attention scores (Korthikanti et al. 2022, arXiv:2205.05198)."""
    if recompute not in RECOMPUTE:
        raise InputError(unknown("recomputation", recompute, RECOMPUTE))
    count = parameters(shape)
    scores = score_flops_per_token(shape, seq_len, causal)
    once = 6 * count.multiplied + 3 * scores
    if recompute == "none":
        return once
    return once + scores + (2 * (count.multiplied - count.embedding) if recompute == "full" else 0)


def forward_flops_per_token(shape: ModelShape, kv_len: Any, mtp: bool = False) -> Any:
    """FLOPs to pass one token that attends to ``kv_len`` tokens [FLOP], in the expanded (not absorbed) form."""
    total: Any = 2 * parameters(shape).multiplied
    for kind, count in layers(shape):
        total = total + count * _pair_flops(shape, kind) * _pairs(shape, kind, 1, kv_len)
    if mtp and shape.num_nextn_predict_layers:
        total = total + _nextn_flops(shape, kv_len, causal=False) / 3
    return total


def score_flops_per_token(shape: ModelShape, seq_len: Any, causal: bool = True, windows: bool = True) -> Any:
    """Forward FLOPs of attention scores and their weighted sums per token, averaged over a sequence [FLOP]."""
    total: Any = 0
    for kind, count in layers(shape):
        pairs = _pairs(shape, kind, seq_len, seq_len, causal, windows) / seq_len
        total = total + count * _pair_flops(shape, kind) * pairs
    return total


def _pair_flops(shape: ModelShape, kind: LayerKind) -> int:
    """Forward FLOPs of one query-key pair over all heads."""
    if not kind.attends:
        return 0
    own = of_layer(shape, kind)
    return 2 * own.num_attention_heads * (own.qk_head_dim + own.value_head_dim)


def _pairs(
    shape: ModelShape, kind: LayerKind, q_len: Any, kv_len: Any, causal: bool = True, windows: bool = True
) -> Any:
    """Query-key pairs of one head of one sequence: all, those in the window, or window and compressed entries."""
    own = of_layer(shape, kind)
    if own.o_groups and own.compress_ratio > 1:
        chosen = kind.index_topk * own.compress_ratio if windows else 0
        far = attended_pairs(q_len, kv_len, chosen, causal) / own.compress_ratio
        return far + attended_pairs(q_len, kv_len, own.sliding_window, causal)
    return attended_pairs(q_len, kv_len, kind.window if windows else 0, causal)


def _nextn_flops(shape: ModelShape, seq_len: Any, causal: bool) -> Any:
    n, kind = shape.num_nextn_predict_layers, nextn_kind(shape)
    h = shape.hidden_size
    weights = 2 * h * h + layer_parameters(shape, kind).multiplied + parameters(shape).embedding
    pairs = _pairs(shape, kind, seq_len, seq_len, causal) / seq_len
    return n * (6 * weights + 3 * _pair_flops(shape, kind) * pairs)
