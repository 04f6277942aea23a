"""A generation of stacked memory, or one maker's product."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from wafer2token.catalog.card import ByteRate, Bytes, Card, Ratio
from wafer2token.catalog.statement import Dated, Statement


class Package(BaseModel):
    """The memory of one package of a chip."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    capacity: Bytes
    bandwidth: ByteRate


class MemoryCard(Card):
    """Figures per stack, except ``packages``: per package of the chip card that the key names."""

    columns: ClassVar[dict[str, str]] = {
        "name": "name",
        "status": "status",
        "pin_rate": "pin rate",
        "bandwidth": "bandwidth",
        "capacity": "capacity",
    }

    status: Literal["shipped", "announced"]
    announced: str = ""
    shipped: str = ""
    maker: Statement | None = None
    first: Dated | None = None
    bus_width: Annotated[Ratio, Field(description="data signals per stack")] | None = None
    pin_rate: ByteRate | None = None
    bandwidth: ByteRate | None = None
    capacity: Bytes | None = None
    heights: tuple[int, ...] = ()
    used_by: tuple[str, ...] = ()
    packages: dict[str, Package] = Field(default_factory=dict)
    remarks: tuple[Statement, ...] = ()
