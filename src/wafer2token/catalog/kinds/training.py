"""How a training stack runs a step beyond its kernels: multipliers, hidden communication, fixed costs, spread."""

from __future__ import annotations

from typing import Annotated, Literal

from wafer2token.catalog.card import ByteRate, Bytes, Card, Ratio, Seconds, Unit
from wafer2token.evidence.number import Number

Scope = Literal[
    "vendor", "family", "class", "precision", "stack", "release", "overlap", "circumstance", "recipe", "planner"
]
Tokens = Annotated[Number, Unit("token")]
Part = Literal["definition", "fit"]


class TrainingCard(Card):
    """Parameters of one scope (``part`` fit) or how it is recognised (``part`` definition); a run takes the product of the multipliers of its vendor, chip family, precision and stack.

    ``target`` names the vendor, the family, ``family.precision`` or the stack. ``kernel`` multiplies matrix products and
    attention, ``attention`` and ``expert`` these alone on top, ``vector`` memory-bound kernels, ``unfused_attention``
    attention that is not fused. ``*_hidden`` is the share of
    that traffic which computation covers. ``points`` and ``sources`` count the measurements behind the card, ``error`` is
    the median absolute error of the fit on them, ``left_out`` that on sources the fit had not seen.

    The card of scope ``planner`` holds what is taken of every job where nothing is stated: ``host_link`` between chip and
    host memory, ``recurrent_kernels`` the multiple of their roofline that state updates take, ``memory_reserve`` left to framework and fragmentation, ``optimizer_traffic`` of Adam per parameter,
    ``seq_len``, the tokens of a step (``step_tokens``, at least ``step_tokens_per_chip`` for every chip), and
    ``record_step_tokens`` for a measurement whose source states no batch.
    """

    scope: Scope
    part: Part = "definition"
    target: str
    chips: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    vendor: str = ""
    parent: str = ""
    since: float = 0.0
    plan: str = ""
    fused_attention: bool = True
    biased_attention: bool = True
    points: int = 0
    sources: int = 0
    error: Ratio | None = None
    left_out: Ratio | None = None
    kernel: Ratio | None = None
    attention: Ratio | None = None
    expert: Ratio | None = None
    vector: Ratio | None = None
    scan: Ratio | None = None
    unfused_attention: Ratio | None = None
    data_slowdown: Ratio | None = None
    launch: Seconds | None = None
    per_micro_batch: Seconds | None = None
    per_step: Seconds | None = None
    straggling: Ratio | None = None
    tensor_hidden: Ratio | None = None
    tensor_overlap: Ratio | None = None
    context_hidden: Ratio | None = None
    expert_hidden: Ratio | None = None
    data_hidden: Ratio | None = None
    pipeline_hidden: Ratio | None = None
    time: Ratio | None = None
    spread: Ratio | None = None
    host_link: ByteRate | None = None
    recurrent_kernels: Ratio | None = None
    memory_reserve: Ratio | None = None
    optimizer_traffic: Bytes | None = None
    packed_document: Tokens | None = None
    seq_len: Tokens | None = None
    sequences_per_chip: Ratio | None = None
    step_tokens: Tokens | None = None
    step_tokens_per_chip: Tokens | None = None
    record_step_tokens: Tokens | None = None
