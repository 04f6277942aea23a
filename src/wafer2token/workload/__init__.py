"""A language model as operators with shapes: parameters, cache, FLOPs and bytes, from Hugging Face configurations."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wafer2token.workload.config import from_config, read_config
from wafer2token.workload.counts import LayerParameters, Parameters, layer_parameters, parameters
from wafer2token.workload.dtypes import DTYPES, canonical_dtype, dtype_bytes
from wafer2token.workload.families import supported
from wafer2token.workload.kv import kv_bytes, kv_bytes_per_token, kv_elements_per_token, state_bytes
from wafer2token.workload.models import model
from wafer2token.workload.shape import LayerKind, ModelShape, layer_kinds, layers, nextn_kind, of_layer, with_layers
from wafer2token.workload.summary import ModelSummary, summary

if TYPE_CHECKING:
    from wafer2token.workload.flops import (
        FLAVOURS,
        forward_flops_per_token,
        hardware_flops_per_token,
        score_flops_per_token,
        train_flops_per_token,
    )
    from wafer2token.workload.ops import COMMUNICATION, Op, attended_pairs
    from wafer2token.workload.passes import (
        embedding_operators,
        head_operators,
        layer_operators,
        make_pass,
        mixer_operators,
        nextn_operators,
        operators,
    )
    from wafer2token.workload.pieces import Pass

# these need NumPy and are loaded on first use, so that showing a model stays light
_LAZY = {
    "flops": (
        "FLAVOURS",
        "forward_flops_per_token",
        "hardware_flops_per_token",
        "score_flops_per_token",
        "train_flops_per_token",
    ),
    "passes": (
        "embedding_operators",
        "head_operators",
        "layer_operators",
        "make_pass",
        "mixer_operators",
        "nextn_operators",
        "operators",
    ),
    "pieces": ("Pass",),
    "ops": ("COMMUNICATION", "Op", "attended_pairs"),
}
_HOME = {name: module for module, names in _LAZY.items() for name in names}

__all__ = [
    "COMMUNICATION",
    "DTYPES",
    "FLAVOURS",
    "LayerKind",
    "LayerParameters",
    "ModelShape",
    "ModelSummary",
    "Op",
    "Parameters",
    "Pass",
    "attended_pairs",
    "canonical_dtype",
    "dtype_bytes",
    "embedding_operators",
    "forward_flops_per_token",
    "from_config",
    "hardware_flops_per_token",
    "head_operators",
    "kv_bytes",
    "kv_bytes_per_token",
    "kv_elements_per_token",
    "layer_kinds",
    "layer_operators",
    "layer_parameters",
    "layers",
    "make_pass",
    "mixer_operators",
    "model",
    "nextn_kind",
    "nextn_operators",
    "of_layer",
    "operators",
    "parameters",
    "read_config",
    "score_flops_per_token",
    "state_bytes",
    "summary",
    "supported",
    "train_flops_per_token",
    "with_layers",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"wafer2token.workload.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
