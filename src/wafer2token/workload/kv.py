"""What a sequence keeps in memory while it is served: keys and values, latent vectors, windows, recurrent state."""

from __future__ import annotations

from typing import Any

from wafer2token.workload.shape import LayerKind, ModelShape, layers, of_layer

STATE_BYTES = 4  # recurrent states are kept in fp32 by the published kernels (flash-linear-attention)


def kv_elements_per_token(shape: ModelShape, kind: LayerKind, tp: Any = 1) -> Any:
    """Elements that one token adds to the cache of one layer on one tensor-parallel rank (no window applied).

    Latent attention keeps ``kv_lora_rank + qk_rope_head_dim`` elements whatever the number of heads, and a head that is key and
    value at once its own width; neither is divided by ``tp``. Grouped heads are divided down to one head per rank. A cache
    compressed along the sequence counts here by its share of one token. ``tp`` may be an array.
    """
    if not kind.attends:
        return 0
    shape = of_layer(shape, kind)
    if shape.kv_lora_rank:
        return shape.kv_lora_rank + shape.qk_rope_head_dim
    if shape.o_groups:
        return shape.head_dim / max(shape.compress_ratio, 1)
    return (shape.head_dim + shape.value_head_dim) * -(-shape.num_key_value_heads // tp)


def kv_bytes_per_token(shape: ModelShape, dtype_bytes: Any, tp: Any = 1, index_dtype_bytes: Any = None) -> Any:
    """Bytes that one more token adds over all layers [B], before windows cut the older ones off.

    ``index_dtype_bytes`` [B] is the width of the keys of a sparse index (default: as the cache).
    """
    index = dtype_bytes if index_dtype_bytes is None else index_dtype_bytes
    total: Any = 0
    for kind, count in layers(shape):
        total = total + count * kv_elements_per_token(shape, kind, tp) * dtype_bytes
        total = total + count * _index_elements(shape, kind) * index
    return total


def kv_bytes(shape: ModelShape, length: Any, dtype_bytes: Any, tp: Any = 1, index_dtype_bytes: Any = None) -> Any:
    """Cache of one sequence of ``length`` tokens over all layers on one tensor-parallel rank [B].

    Sliding layers keep at most their window; recurrent layers keep a state of constant size; compressed layers keep a window of
    single tokens beside their compressed entries. Arrays broadcast.
    """
    index = dtype_bytes if index_dtype_bytes is None else index_dtype_bytes
    total: Any = state_bytes(shape, tp)
    for kind, count in layers(shape):
        kept = _at_most(length, kind.window) if kind.window else length
        total = total + count * kept * kv_elements_per_token(shape, kind, tp) * dtype_bytes
        total = total + count * length * _index_elements(shape, kind) * index
        own = of_layer(shape, kind)
        if own.o_groups and own.compress_ratio > 1:
            total = total + count * _at_most(length, own.sliding_window) * own.head_dim * dtype_bytes
    return total


def _index_elements(shape: ModelShape, kind: LayerKind) -> float:
    """Elements of index keys that one token adds to one layer; layers that reuse another one's choice keep none."""
    own = of_layer(shape, kind)
    if not kind.index_topk or not own.index_n_heads:
        return 0
    return own.index_head_dim / max(own.compress_ratio, 1) if own.o_groups else own.index_head_dim


def state_bytes(shape: ModelShape, tp: Any = 1) -> Any:
    """State of the recurrent layers of one sequence on one rank [B]: matrix state in fp32, convolution in bf16."""
    count = sum(n for kind, n in layers(shape) if kind.attention == "linear")
    if not count:
        return 0
    values = -(-shape.linear_num_value_heads // tp)
    keys = -(-shape.linear_num_key_heads // tp)
    matrix = values * shape.linear_key_head_dim * shape.linear_value_head_dim * STATE_BYTES
    width = 2 * keys * shape.linear_key_head_dim + values * shape.linear_value_head_dim
    return count * (matrix + width * (shape.linear_conv_kernel_dim - 1) * 2)


def _at_most(length: Any, window: int) -> Any:
    """min(length, window), for plain numbers without NumPy and for arrays."""
    if isinstance(length, (int, float)):
        return min(length, window)
    return length * (length < window) + window * (length >= window)
