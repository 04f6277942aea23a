"""A step of the making of a chip, who can do it, and from where: the nodes of the dependency graph."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from wafer2token.catalog.card import Card, Unit
from wafer2token.evidence.number import Grade, Number

Status = Literal["in use", "blocked", "unproven"]


class Supplier(BaseModel):
    """Who does a step. ``share`` is the dotted name of a number (a share of the world market) where one is known.

    ``in use``: works in the chain today. ``blocked``: able, but a rule keeps it out. ``unproven``: not shown at this
    node or volume.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    country: str = Field(pattern=r"^([A-Z]{2}|stock)$")
    status: Status
    share: str = ""
    note: str = ""


class StepCard(Card):
    """One step: it needs ``all_of`` other steps, and any one of its ``suppliers`` (or of the steps in ``any_of``).

    ``substitute`` is the characteristic time in which a domestic supplier would replace the ones that are lost.
    """

    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    suppliers: tuple[Supplier, ...] = ()
    grade: Grade
    source: tuple[str, ...] = Field(min_length=1)
    substitute: Annotated[Number, Unit("s")] | None = None
