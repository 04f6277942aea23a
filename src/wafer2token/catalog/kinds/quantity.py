"""A quantity of the supply side that is no property of one chip or tool: yields, prices, capacities, counts, shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from wafer2token.catalog.card import Card
from wafer2token.catalog.statement import Event, Period, Statement
from wafer2token.evidence.errors import InputError, Problem
from wafer2token.evidence.number import Grade, Number
from wafer2token.evidence.units import split_quantity

Topic = Literal[
    "patterning", "wafer price", "yield", "die", "fab capacity", "tool market", "localisation", "fab energy",
    "memory market", "memory price", "memory yield", "memory capacity", "memory stock", "ascend units", "die bank",
    "other vendors", "nvidia units", "forecast", "smuggling and remote use", "packaging", "price", "power",
    "reliability", "policy", "not found",
]  # fmt: skip


class QuantityCard(Card):
    """One quantity, or a series of it by year, node or maker.

    ``grade`` and ``source`` hold for every number of the card that does not give its own; a number may then be
    written as bare text (``"2023" = "400 wafer"``). ``value`` and ``series`` are measured in ``unit``; ``figures``
    belong to the same record but are measured in units of their own.
    """

    columns: ClassVar[dict[str, str]] = {
        "topic": "topic",
        "value|extent": "value",
        "grade": "grade",
    }

    topic: Topic
    grade: Grade
    source: tuple[str, ...] = Field(min_length=1)
    unit: str = ""
    said_by: str = ""
    when: Period | None = None
    derived: bool = False
    from_memory: bool = False
    value: Number | None = None
    series: dict[str, Number] = Field(default_factory=dict)
    figures: dict[str, Number] = Field(default_factory=dict)
    dates: dict[str, Period] = Field(default_factory=dict)
    timeline: tuple[Event, ...] = ()
    remarks: tuple[Statement, ...] = ()
    not_found: tuple[str, ...] = ()

    @property
    def extent(self) -> str:
        """How much the card holds where it has no single value."""
        held = {"figures": len(self.series) + len(self.figures), "dates": len(self.dates) + len(self.timeline)}
        return ", ".join(f"{n} {name}" for name, n in held.items() if n)

    @field_validator("value", mode="before")
    @classmethod
    def _value(cls, raw: Any, info: ValidationInfo) -> Any:
        return _read({"": raw}, info)[""]

    @field_validator("series", "figures", mode="before")
    @classmethod
    def _many(cls, raw: Any, info: ValidationInfo) -> Any:
        return _read(raw, info)


def _read(raw: Any, info: ValidationInfo) -> dict[str, Number]:
    """Numbers with the card's grade and source where they give none; every problem at once."""
    if not isinstance(raw, Mapping):
        raise ValueError("a table of numbers is needed")
    shared = {key: info.data[key] for key in ("grade", "source", "from_memory") if info.data.get(key)}
    shared["source"] = list(shared.get("source", ()))
    out: dict[str, Number] = {}
    problems: list[Problem] = []
    for key, item in raw.items():
        if isinstance(item, Number):
            out[key] = item
            continue
        entry = dict(item) if isinstance(item, Mapping) else {"value": item}
        try:
            unit = _own_unit(entry) if info.field_name == "figures" else str(info.data.get("unit") or "1")
            out[key] = Number.parse(_with(entry, shared), unit, f".{key}" if key else "")
        except InputError as error:
            problems += error.problems
    if problems:
        text = "; ".join(map(str, problems))
        raise PydanticCustomError("number", "{text}", {"problems": tuple(problems), "text": text})
    return out


def _with(entry: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    if isinstance(entry.get("claims"), list):
        plain = {k: v for k, v in shared.items() if k != "from_memory"}
        return entry | {"claims": [plain | c if isinstance(c, dict) else c for c in entry["claims"]]}
    return shared | entry


def _own_unit(entry: dict[str, Any]) -> str:
    for key in ("value", "mid", "low"):
        if isinstance(entry.get(key), str):
            return split_quantity(entry[key])[1] or "1"
    return "1"
