"""Bytes that one rank needs: weights, gradients, optimizer, activations, temporaries, framework.

References: Korthikanti et al. 2022 (arXiv 2205.05198, equations 1-6) for activations; Rajbhandari et al. 2020
(arXiv 1910.02054, section 5) for ZeRO stages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wafer2token.evidence.errors import InputError, unknown
from wafer2token.train.layer import NARROW, shared_width
from wafer2token.train.plan import RECOMPUTE, SCHEDULES, Plan, PlanTable, offloaded
from wafer2token.train.schedules import in_flight
from wafer2token.train.stage import held, mix, split
from wafer2token.workload import LayerKind, ModelShape, of_layer

Array = np.ndarray
GIB = 2.0**30
BUFFERED_LAYERS = 2.0
"""Layers of weights or activations that stay on the device under offload: the one in use and the one on its way."""


@dataclass(frozen=True)
class StateBytes:
    """Bytes per parameter: weight, gradient accumulator, optimizer (master weight and two moments of Adam)."""

    weight: float = 2.0
    gradient: float = 4.0
    optimizer: float = 12.0


GRADIENTS = {"fp32": 4.0, "bf16": 2.0}
MOMENTS = {"fp32": 4.0, "bf16": 2.0, "fp8": 1.0}


def state_bytes(gradients: str = "fp32", moments: str = "fp32") -> StateBytes:
    """Bytes of training in 16 bits with an fp32 master weight, for the formats of gradients and of Adam's two moments.

    Raises InputError for a format that is not among `GRADIENTS` or `MOMENTS`.
    """
    problems = [
        unknown(f"format of {what}", given, list(known))
        for what, given, known in (("gradients", gradients, GRADIENTS), ("moments", moments, MOMENTS))
        if given not in known
    ]
    if problems:
        raise InputError(problems)
    return StateBytes(2.0, GRADIENTS[gradients], 4.0 + 2 * MOMENTS[moments])


MIXED = StateBytes()
"""bf16 weights, fp32 gradients, Adam with fp32 master weights and moments (arXiv 1910.02054 with fp32 accumulation)."""

FROZEN = StateBytes(gradient=0.0, optimizer=0.0)
"""Low-rank fine-tuning: 16-bit weights alone; the adapters' own state is left out."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one rank of the stage that needs most; arrays over plans."""

    weights: Array
    gradients: Array
    optimizer: Array
    activations: Array
    temporary: Array
    framework: Array

    @property
    def total(self) -> Array:
        """Everything together."""
        return np.asarray(
            self.weights + self.gradients + self.optimizer + self.activations + self.temporary + self.framework
        )


def activation_bytes_korthikanti(
    seq_len: float,
    batch: float,
    hidden: float,
    heads: float,
    tp: float,
    recompute: str = "none",
    sequence_parallel: bool = True,
) -> float:
    """Activation bytes of one GPT layer (MLP 4h, dropout, bf16): equations 2-4 and 6 of arXiv 2205.05198.

    none, no SP: sbh(10 + 24/t + 5as/(ht)); none with SP: sbh/t (34 + 5as/h); selective with SP: 34 sbh/t; full: 2sbh.
    """
    sbh, scores = seq_len * batch * hidden, 5 * heads * seq_len / hidden
    if recompute == "full":
        return 2 * sbh / (tp if sequence_parallel else 1)
    kept = 0.0 if recompute == "selective" else scores
    if sequence_parallel:
        return sbh / tp * (34 + kept)
    return sbh * (10 + 24 / tp + kept / tp)


def zero_bytes(parameters: Array, shard: Any, zero: Any, state: StateBytes = MIXED) -> tuple[Array, Array, Array]:
    """Weights, gradients and optimizer bytes per rank; stage 1 shards the optimizer, 2 gradients, 3 weights too."""
    shard, zero = np.asarray(shard, float), np.asarray(zero)
    weights = state.weight * parameters / np.where(zero >= 3, shard, 1.0)
    gradients = state.gradient * parameters / np.where(zero >= 2, shard, 1.0)
    return weights, gradients, state.optimizer * parameters / np.where(zero >= 1, shard, 1.0)


def layer_activation_bytes(
    shape: ModelShape,
    kind: LayerKind,
    plan: Plan | PlanTable,
    seq_len: int,
    scores: bool = False,
    selective: bool = False,
) -> Array:
    """Bytes one layer keeps for its backward pass, per micro-batch.

    Kept: inputs of both norms, inputs of the linear layers (one byte each in 8-bit training), queries, keys, values, attention
    output with its log-sum-exp, and what enters the activation function; for experts the permuted tokens' share of these.
    ``selective`` drops what is cheap to make again: norm and activation outputs, and the expansion of latent attention.
    ``scores`` adds the attention matrix of attention that is not fused (which selective recomputation drops instead).
    """
    shape = of_layer(shape, kind)
    tp, cp = np.asarray(plan.tp, float), np.asarray(plan.cp, float)
    tokens = np.asarray(plan.micro_batch, float) * seq_len / cp
    spread = np.where(np.asarray(plan.sequence_parallel), tp, 1.0)
    h, heads = shape.hidden_size, shape.num_attention_heads
    saved = 1.0 if plan.precision in NARROW else 2.0
    modern = selective and not scores
    keys = (heads if kind.attention == "mla" else shape.num_key_value_heads) * (
        shape.qk_head_dim + shape.value_head_dim
    )
    heads_bytes = 2.0 * (heads * shape.qk_head_dim + keys + heads * shape.value_head_dim) + 4.0 * heads
    if kind.attention == "mla" and modern:
        heads_bytes = 2.0 * heads * shape.value_head_dim + 4.0 * heads
    if not kind.attends:
        heads_bytes = _recurrent_bytes(shape) if kind.attention == "linear" else 0.0
    latent = 2.0 * (shape.q_lora_rank + 2 * shape.kv_lora_rank) if kind.attention == "mla" else 0.0
    blocks = (kind.attention != "none") + (kind.mlp != "none")
    linear_inputs = 0.0 if modern else blocks * saved * h
    per_token = (2.0 * blocks * h + linear_inputs) / spread + heads_bytes / tp + latent
    ups = 4.0 if shape.mlp_gated else 2.0
    inner = ups + (0.0 if modern else saved)
    if kind.mlp == "dense":
        per_token = per_token + inner * kind.intermediate_size / tp
    elif kind.mlp == "sparse":
        routed = shape.num_experts_per_tok * (saved * shape.expert_input_size + inner * kind.intermediate_size)
        per_token = per_token + routed / spread + inner * shared_width(shape) / tp
    kept = tokens * per_token
    return np.asarray(kept + (5.0 * heads / tp * tokens * seq_len if scores and not selective else 0.0))


def _recurrent_bytes(shape: ModelShape) -> float:
    """Bytes per token of a recurrent layer: query, key, value before and after the short convolution, gate, output."""
    keys = 2 * shape.linear_num_key_heads * shape.linear_key_head_dim
    values = shape.linear_num_value_heads * shape.linear_value_head_dim
    return 2.0 * (2 * (keys + values) + 2 * values)


def weight_gradient_bytes(shape: ModelShape, plan: Plan | PlanTable) -> Array:
    """One fp32 weight gradient before it is accumulated, of the largest linear layer: gate and up of the MLP or of an expert."""
    ups = 2.0 if shape.mlp_gated else 1.0
    dense = ups * shape.hidden_size * shape.intermediate_size / np.asarray(plan.tp, float)
    if not shape.is_moe:
        return 4.0 * dense
    expert = ups * shape.hidden_size * shape.moe_intermediate_size / np.asarray(plan.etp, float)
    return 4.0 * np.maximum(expert, dense * ("dense" in shape.mlp_layer_types))


def kept_layer_bytes(
    shape: ModelShape, plan: Plan | PlanTable, seq_len: int, scores: bool = False
) -> tuple[Array, Array]:
    """Bytes that an average layer of a stage keeps per micro-batch after recomputation, and the whole of the largest one."""
    pp, tp, cp = (np.asarray(getattr(plan, n), float) for n in ("pp", "tp", "cp"))
    each, whole = np.zeros_like(pp * tp), np.zeros_like(pp * tp)
    selective = np.asarray(plan.recompute) == RECOMPUTE.index("selective")
    for kind, everywhere, middle in mix(shape):
        one = layer_activation_bytes(shape, kind, plan, seq_len, scores)
        lean = layer_activation_bytes(shape, kind, plan, seq_len, scores, selective=True)
        one = np.where(selective, lean, one)
        each = each + np.where(pp > 1, middle, everywhere) * one
        whole = np.maximum(whole, one)
    tokens = np.asarray(plan.micro_batch, float) * seq_len / cp
    spread = np.where(np.asarray(plan.sequence_parallel), tp, 1.0)
    kept_input = 2.0 * tokens * shape.hidden_size / spread
    share = _full_share(plan)
    return np.asarray(share * kept_input + (1 - share) * each), whole


def _full_share(plan: Plan | PlanTable) -> Array:
    """Share of the layers under full recomputation."""
    return np.where(np.asarray(plan.recompute) == RECOMPUTE.index("full"), plan.recompute_share, 0.0)


def heaviest_bytes(
    shape: ModelShape,
    plan: Plan | PlanTable,
    seq_len: int,
    state: StateBytes = MIXED,
    framework_bytes: float = 0.0,
    scores: bool = False,
) -> Array:
    """`memory(...).total` alone; fields of the plan broadcast, and each term stays as small as what it depends on."""
    first, last = _ends(shape, plan, seq_len, state, framework_bytes, scores)
    return np.asarray(np.maximum(first.total, last.total))


def heaviest_stage(shape: ModelShape, plan: Plan, seq_len: int, state: StateBytes = MIXED, scores: bool = False) -> int:
    """The stage of a plan that needs most: the first, with most micro-batches in flight, or the last, with the logits."""
    first, last = _ends(shape, plan, seq_len, state, 0.0, scores)
    return plan.pp - 1 if float(last.total) > float(first.total) else 0


def memory(
    shape: ModelShape,
    plan: Plan | PlanTable,
    seq_len: int,
    state: StateBytes = MIXED,
    framework_bytes: float = 0.0,
    scores: bool = False,
) -> Memory:
    """Peak bytes per rank: the larger of the first stage (most micro-batches in flight) and the last (logits)."""
    first, last = _ends(shape, plan, seq_len, state, framework_bytes, scores)
    worse = last.total > first.total
    names = ("weights", "gradients", "optimizer", "activations", "temporary", "framework")
    return Memory(*(np.where(worse, getattr(last, n), getattr(first, n)) for n in names))


def _ends(
    shape: ModelShape, plan: Plan | PlanTable, seq_len: int, state: StateBytes, framework_bytes: float, scores: bool
) -> tuple[Memory, Memory]:
    """The first stage, with most micro-batches in flight, and the last, with the logits."""
    first, last = (_stage_memory(shape, plan, seq_len, stage, state, framework_bytes, scores) for stage in ("first", "last"))
    return first, last


def _stage_memory(
    shape: ModelShape,
    plan: Plan | PlanTable,
    seq_len: int,
    stage: str,
    state: StateBytes,
    framework_bytes: float,
    scores: bool,
) -> Memory:
    pp, cp, dp, tp = (np.asarray(getattr(plan, n), float) for n in ("pp", "cp", "dp", "tp"))
    parts = held(shape, plan, stage)
    shard = np.where(np.asarray(plan.shard) > 0, plan.shard, dp * cp)
    expert_shard = np.maximum(dp * cp * tp / (np.asarray(plan.ep, float) * np.asarray(plan.etp, float)), 1.0)
    dense = zero_bytes(parts.dense + parts.embedding, shard, plan.zero, state)
    expert = zero_bytes(parts.expert, np.minimum(expert_shard, np.maximum(shard, 1)), plan.zero, state)
    weights, gradients, optimizer = (a + b for a, b in zip(dense, expert, strict=True))
    copies = np.where(np.asarray(plan.schedule) == SCHEDULES.index("dualpipe"), 2.0, 1.0)
    count = getattr(split(shape, pp, np.asarray(plan.vpp)), stage)
    resident = np.minimum(1.0, BUFFERED_LAYERS / np.maximum(count, 1.0))
    weights = copies * weights * np.where(offloaded(plan.offload, "weights"), resident, 1.0)
    optimizer = np.where(offloaded(plan.offload, "optimizer"), 0.0, optimizer)
    each, whole = kept_layer_bytes(shape, plan, seq_len, scores)
    tokens = np.asarray(plan.micro_batch, float) * seq_len / cp
    flights = in_flight(plan.schedule, pp, plan.vpp, plan.micro_batches) if stage == "first" else np.minimum(1.0, pp)
    layers = flights * count
    gone = offloaded(plan.offload, "activations")
    layers = np.where(gone, np.minimum(layers, BUFFERED_LAYERS), layers) if np.any(gone) else layers
    activations = layers * each + np.where(_full_share(plan) > 0, whole, 0.0)
    logits = 6.0 * tokens * shape.vocab_size / tp if stage == "last" else np.zeros_like(tokens * tp)
    logits = np.where(
        (pp > 1) & (stage == "first"),
        0.0,
        np.maximum(logits, np.where(pp == 1, 6.0 * tokens * shape.vocab_size / tp, 0.0)),
    )
    gather = np.where(
        np.asarray(plan.zero) >= 3, 2 * state.weight * (parts.dense + parts.expert) / np.maximum(count, 1), 0.0
    )
    workspace = 2.0 * tokens * shape.hidden_size * 2.0 + gather + weight_gradient_bytes(shape, plan)
    return Memory(
        weights, copies * gradients, optimizer, activations, logits + workspace, np.full_like(weights, framework_bytes)
    )
