"""A destination and the country groups it stands in, by date."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from wafer2token.catalog.card import Card


class Move(BaseModel):
    """A change of group: still the old state on ``after``, the new one on ``by``, not known between."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    change: Literal["joined", "left"]
    after: date
    by: date


class DestinationCard(Card):
    """A country by its ISO code, with its groups on the card's sources' date and the moves that are known."""

    columns: ClassVar[dict[str, str]] = {"code": "code", "groups": "groups"}

    code: str = Field(pattern=r"^[A-Z]{2}$")
    groups: tuple[str, ...] = ()
    unknown_groups: tuple[str, ...] = ()
    moved: tuple[Move, ...] = ()
    source: tuple[str, ...] = Field(min_length=1)
