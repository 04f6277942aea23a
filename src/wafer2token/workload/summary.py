"""What a model card says and what follows from it, as rows for a terminal or a table; without NumPy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from wafer2token.workload.counts import parameters
from wafer2token.workload.kv import kv_bytes_per_token, state_bytes
from wafer2token.workload.shape import ModelShape, layers

_NOT_SHOWN = frozenset({"id", "layer_types", "mlp_layer_types"})


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A shape by the keys that are set, and counts derived from it."""

    id: str
    shape: dict[str, Any]
    layers: dict[str, int]
    total_parameters: int
    active_parameters: int
    mtp_parameters: int
    weight_bytes_bf16: int
    kv_bytes_per_token_bf16: int
    state_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain Python values."""
        return asdict(self)


def summary(shape: ModelShape) -> ModelSummary:
    """The summary of a shape."""
    count = parameters(shape)
    return ModelSummary(
        id=shape.id,
        shape={k: v for k, v in shape.to_dict().items() if k not in _NOT_SHOWN and v not in (0, False, "")},
        layers={kind.name: n for kind, n in layers(shape)},
        total_parameters=count.total,
        active_parameters=count.active,
        mtp_parameters=count.mtp,
        weight_bytes_bf16=2 * count.total,
        kv_bytes_per_token_bf16=round(kv_bytes_per_token(shape, 2)),
        state_bytes=state_bytes(shape),
    )
