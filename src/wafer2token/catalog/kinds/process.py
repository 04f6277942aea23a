"""A logic or memory process node."""

from __future__ import annotations

from typing import Annotated, ClassVar

from wafer2token.catalog.card import Card, Ratio, Unit
from wafer2token.catalog.statement import Statement
from wafer2token.evidence.number import Number


class ProcessCard(Card):
    """One node of one maker; ``density`` counts transistors per area of logic."""

    columns: ClassVar[dict[str, str]] = {
        "name": "name",
        "maker": "maker",
        "node_class": "class",
        "density": "density",
    }

    maker: str
    node_class: str = ""
    volume: Statement | None = None
    geometry: Statement | None = None
    euv: Statement | None = None
    euv_layers: Annotated[Number, Unit("layer")] | None = None
    min_metal_pitch: Annotated[Number, Unit("m")] | None = None
    density: Annotated[Number, Unit("transistor/m^2")] | None = None
    critical_area_ratio: Ratio | None = None
    remarks: tuple[Statement, ...] = ()
    not_found: tuple[str, ...] = ()
