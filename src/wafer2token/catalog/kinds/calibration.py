"""Fitted efficiencies: one set per chip (or class of chips), stack, kernel family and data type."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from wafer2token.catalog.card import ByteRate, Bytes, Card, Ratio, Seconds, Unit
from wafer2token.evidence.number import Number

LogRatio = Annotated[Number, Unit("1", signed=True)]
Subject = Literal["chip", "class", "fabric"]


class Fit(BaseModel):
    """How well the parameters describe the points they were fitted to, and points that they were not.

    ``error`` is the mean absolute percentage error on held-out points (on the fitted ones when nothing could be
    held out: ``held_out`` 0). ``low`` and ``high`` are the 10th and 90th percentile of ln(measured / predicted).
    ``bias`` is the standard deviation of the logarithm of a whole family's systematic error, between software
    releases for a measured chip and between chips for a class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    points: int
    held_out: int
    error: Ratio
    low: LogRatio
    high: LogRatio
    bias: Ratio


class CalibrationCard(Card):
    """Parameters of one kernel family of one ``target`` on one ``stack``.

    ``target`` is a chip id, a fabric id, or the name of a class of chips (``cuda``, ``cann``, ``any``) for chips
    without measurements. ``times``, ``rates``, ``sizes`` and ``ratios`` hold the parameters by the
    names of the equations; ``default`` marks the stack that speaks for the target when none is named.
    Without ``fit`` the parameters were stated or derived, not fitted.
    """

    subject: Subject
    target: str
    stack: str
    family: str
    dtype: str = ""
    default: bool = False
    ranks: int = 0
    times: dict[str, Seconds] = Field(default_factory=dict)
    rates: dict[str, ByteRate] = Field(default_factory=dict)
    sizes: dict[str, Bytes] = Field(default_factory=dict)
    ratios: dict[str, LogRatio] = Field(default_factory=dict)
    fit: Fit | None = None
