"""A tool of a chip factory: scanner, etcher and the like."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from wafer2token.catalog.card import Card, Unit
from wafer2token.catalog.statement import Dated, Statement
from wafer2token.evidence.number import Number


class ToolCard(Card):
    """One model of tool; ``throughput`` is the maker's, at its own test conditions."""

    columns: ClassVar[dict[str, str]] = {
        "name": "name",
        "technology": "technology",
        "status": "status",
        "throughput": "throughput",
        "overlay": "overlay",
    }

    maker: str
    country: str
    technology: Literal["ArF immersion", "EUV", "High-NA EUV", "ArF dry", "etch"]
    status: Literal["shipped", "announced", "on test", "prototype"]
    throughput: Annotated[Number, Unit("wafer/h")] | None = None
    overlay: Annotated[Number, Unit("m")] | None = None
    output: Annotated[Number, Unit("tool/year")] | None = None
    first_light: Dated | None = None
    first_chips: Dated | None = None
    remarks: tuple[Statement, ...] = ()
