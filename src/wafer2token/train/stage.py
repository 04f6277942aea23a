"""How the layers of a model fall on pipeline stages, and the parameters that one rank holds.

Layers are dealt out evenly; where they do not divide, the last stage (with the output head) and then the first (with the
embedding) are the ones that lack a layer, as in Megatron's loss- and embedding-aware split and in Llama 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wafer2token.train.plan import Plan, PlanTable
from wafer2token.workload import LayerKind, ModelShape, layer_kinds, layer_parameters, nextn_kind

Array = np.ndarray


@dataclass(frozen=True)
class Split:
    """Layers per stage; arrays over plans. `mean` counts all layers (with prediction layers) over all stages."""

    body: Array
    first: Array
    last: Array
    mean: Array


def split(shape: ModelShape, pp: Array, vpp: Array) -> Split:
    """Layers of a middle, the first and the last stage; multi-token-prediction layers count on the last."""
    extra = shape.num_nextn_predict_layers
    total = shape.num_hidden_layers + extra
    stages, slots = np.asarray(pp, float), np.asarray(pp, float) * np.asarray(vpp, float)
    per_stage = np.ceil(total / slots) * np.asarray(vpp, float)
    missing = per_stage * stages - total
    spread = np.floor(missing / stages)
    left = missing - spread * stages
    most = per_stage - spread
    last = np.maximum(most - (left >= 1), 0)
    first = np.maximum(most - (left >= 2), 0)
    alone = stages == 1
    body = np.where(alone, total, np.minimum(most, total))
    return Split(body, np.where(alone, total, first), np.where(alone, total, last), total / stages)


@lru_cache(maxsize=32)
def mix(shape: ModelShape) -> tuple[tuple[LayerKind, float, float], ...]:
    """(kind, share of all layers, share of a middle stage's layers); leading dense layers are not in the middle."""
    kinds = list(layer_kinds(shape)) + [nextn_kind(shape)] * shape.num_nextn_predict_layers
    lead = 0
    if shape.is_moe:
        while lead < len(kinds) and kinds[lead].mlp == "dense":
            lead += 1
    middle = kinds[lead:] or kinds
    return tuple(
        (kind, kinds.count(kind) / len(kinds), middle.count(kind) / len(middle)) for kind in dict.fromkeys(kinds)
    )


@dataclass(frozen=True)
class Held:
    """Parameters on one rank of the heaviest stage: dense parts, routed experts, embedding or head."""

    dense: Array
    expert: Array
    embedding: Array

    @property
    def total(self) -> Array:
        """All of them."""
        return np.asarray(self.dense + self.expert + self.embedding)


def dense_per_rank(shape: ModelShape, kind: LayerKind, tp: Array) -> Array:
    """Parameters of one layer outside routed experts on one tensor-parallel rank."""
    part = layer_parameters(shape, kind)
    whole = part.attention_whole + part.router + part.norm + part.bias
    return (part.attention_split + part.mlp_dense + part.shared_expert) / np.asarray(tp, float) + whole


def held(shape: ModelShape, plan: Plan | PlanTable, stage: str = "first") -> Held:
    """Parameters of one rank on the first or last stage."""
    tp, pp = np.asarray(plan.tp, float), np.asarray(plan.pp, float)
    count = getattr(split(shape, pp, np.asarray(plan.vpp)), stage)
    spread = np.asarray(plan.ep, float) * np.asarray(plan.etp, float)
    dense, expert = np.zeros_like(tp * pp), np.zeros_like(tp * pp)
    for kind, everywhere, middle in mix(shape):
        here = np.where(pp > 1, middle, everywhere) * count
        dense = dense + here * dense_per_rank(shape, kind, tp)
        expert = expert + here * layer_parameters(shape, kind).experts / spread
    table = shape.vocab_size * shape.hidden_size / tp
    tables = np.where((pp == 1) & (not shape.tie_word_embeddings), 2.0, 1.0)
    return Held(dense, expert, tables * table)
