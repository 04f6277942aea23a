"""A party to a transaction: where its headquarters are and which lists it stands on, by date."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from wafer2token.catalog.card import Card


class Listing(BaseModel):
    """A row of a list: from when, with which footnote."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    start: date = Field(alias="from")
    list: str = "us_entity_list"
    footnote: int | None = None
    citation: tuple[str, ...]
    source: tuple[str, ...] = Field(min_length=1)
    note: str = ""


class PartyCard(Card):
    """A firm. ``unlisted_as_of`` says that a search of the list on that date found no row."""

    columns: ClassVar[dict[str, str]] = {"hq": "hq"}

    hq: str = Field(pattern=r"^[A-Z]{2}$")
    end_use: str = ""
    owned_pct: float | None = None
    listing: tuple[Listing, ...] = ()
    unlisted_as_of: date | None = None
    source: tuple[str, ...] = Field(min_length=1)
