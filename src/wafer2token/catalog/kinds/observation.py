"""What somebody counted, estimated, planned or forecast, to be held against a run of the supply model."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import Field, field_validator

from wafer2token.catalog.card import Card, Ratio
from wafer2token.evidence.number import Number

Kind = Literal["count", "estimate", "forecast", "plan", "at_most", "at_least"]


class ObservationCard(Card):
    """One statement by one claimant, never merged with another's.

    ``measures`` names a result of the supply model, summed over ``year`` (or ``through`` its quarter from the start of
    2024, for cumulative statements), or a date (``date.hbm_binds``, ``date.bank_exhausted``) in decimal years. ``error`` is the relative standard error of the figure as a measurement; only
    statements that have one can enter a likelihood.
    """

    by: str
    said: date
    statement: Kind
    measures: str
    year: int | None = Field(None, ge=2020, le=2040)
    through: str = ""
    value: Number
    error: Ratio | None = None
    circular: str = ""

    @field_validator("value", mode="before")
    @classmethod
    def _unit(cls, raw: Any) -> Any:
        if isinstance(raw, Number):
            return raw
        given = raw.get("value", raw.get("low", "")) if isinstance(raw, dict) else ""
        unit = next((u for u in ("die", "USD", "chip") if str(given).strip().endswith(u)), "1" if isinstance(given, float) else "chip")
        return Number.parse(raw, unit, ".value")
