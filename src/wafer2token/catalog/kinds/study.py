"""What a study assumes beside chips and models: money, power prices, diffusion of know-how."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wafer2token.catalog.card import Card, Ratio, Seconds, Unit
from wafer2token.catalog.statement import Dated
from wafer2token.evidence.number import Number


class StudyCard(Card):
    """Economic and behavioural inputs of comparisons and claims; every field optional, so that a card holds one theme."""

    life: Seconds | None = None
    pue: Ratio | None = None
    energy_price: Annotated[Number, Unit("USD/kWh")] | None = None
    energy_price_us: Annotated[Number, Unit("USD/kWh")] | None = None
    engineering: Ratio | None = None
    lag: Seconds | None = None
    lag_error: Seconds | None = None
    diffusion: Annotated[Number, Unit("1/month")] | None = None
    hazard: Annotated[Number, Unit("1/year")] | None = None
    horizon: Seconds | None = None
    energy_per_token_penalty: Ratio | None = None
    volume_start: dict[str, Dated] = Field(default_factory=dict)
