"""How a training stack runs a step beyond its kernels: multipliers, hidden communication, fixed costs, spread."""

from __future__ import annotations

from typing import Literal

from wafer2token.catalog.card import Card, Ratio, Seconds

Scope = Literal["vendor", "family", "precision", "stack"]
Part = Literal["definition", "fit"]


class TrainingCard(Card):
    """Parameters of one scope (``part`` fit) or how it is recognised (``part`` definition); a run takes the product of the multipliers of its vendor, chip family, precision and stack.

    ``target`` names the vendor, the family, ``family.precision`` or the stack. ``kernel`` multiplies matrix products and
    attention, ``attention`` and ``expert`` these alone on top, ``vector`` memory-bound kernels, ``unfused_attention``
    attention that is not fused. ``*_hidden`` is the share of
    that traffic which computation covers. ``points`` and ``sources`` count the measurements behind the card, ``error`` is
    the median absolute error of the fit on them, ``left_out`` that on sources the fit had not seen.
    """

    scope: Scope
    part: Part = "definition"
    target: str
    chips: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    vendor: str = ""
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
    unfused_attention: Ratio | None = None
    data_slowdown: Ratio | None = None
    launch: Seconds | None = None
    per_micro_batch: Seconds | None = None
    straggling: Ratio | None = None
    tensor_hidden: Ratio | None = None
    context_hidden: Ratio | None = None
    expert_hidden: Ratio | None = None
    data_hidden: Ratio | None = None
    pipeline_hidden: Ratio | None = None
    spread: Ratio | None = None
