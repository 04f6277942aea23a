"""What every card has in common, and the types of the numbers on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from wafer2token.catalog.statement import Statement
from wafer2token.evidence.errors import InputError
from wafer2token.evidence.number import GRADES, Number


@dataclass(frozen=True)
class Unit:
    """Marks a field as a number with evidence, measured in ``unit``; refuses negatives unless ``signed``."""

    unit: str
    signed: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(raw: object) -> Number:
            if isinstance(raw, Number):
                return raw
            try:
                return Number.parse(raw, self.unit, "", signed=self.signed)
            except InputError as error:
                raise PydanticCustomError(
                    "number", "{text}", {"problems": error.problems, "text": str(error)}
                ) from None

        return core_schema.no_info_plain_validator_function(read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        quantity = {"type": ["string", "number"], "description": f"a number and a unit of {self.unit}"}
        properties: dict[str, Any] = dict.fromkeys(("value", "low", "mid", "high"), quantity)
        properties |= {
            "grade": {"enum": list(GRADES)},
            "source": {"type": ["array", "string"]},
            "note": {"type": "string"},
        }
        return {"type": "object", "properties": properties}


Ratio = Annotated[Number, Unit("1")]
FlopRate = Annotated[Number, Unit("FLOP/s")]
ByteRate = Annotated[Number, Unit("B/s")]
Bytes = Annotated[Number, Unit("B")]
Seconds = Annotated[Number, Unit("s")]
Watts = Annotated[Number, Unit("W")]
Dollars = Annotated[Number, Unit("USD")]
Area = Annotated[Number, Unit("m^2")]
Frequency = Annotated[Number, Unit("Hz")]


Evidence = Number | Statement


class Card(BaseModel):
    """Base of all cards: an id, a name, other names, and a date to which the card speaks.

    ``columns`` names the fields that a list of the kind shows: dotted path (or paths, the first present wins,
    joined by ``|``) to heading.
    """

    columns: ClassVar[dict[str, str]] = {}

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    name: str
    aliases: tuple[str, ...] = ()
    as_of: date | None = None
    note: str = ""

    def numbers(self) -> Iterator[tuple[str, Number]]:
        """Every number on the card with its dotted path, in the order of the fields."""
        for path, item in self.evidence():
            if isinstance(item, Number):
                yield path, item

    def evidence(self) -> Iterator[tuple[str, Evidence]]:
        """Every number and statement on the card with its dotted path, in the order of the fields."""
        yield from _walk("", {name: getattr(self, name) for name in type(self).model_fields})

    def cited(self) -> tuple[str, ...]:
        """Every source of the card and of what stands on it, each once."""
        found = [s for _, item in self.evidence() for s in item.all_sources]
        own = getattr(self, "source", ())
        found += [own] if isinstance(own, str) else [s for s in own if isinstance(s, str)]
        return tuple(dict.fromkeys(s for s in found if s))

    def number(self, path: str) -> Number:
        """The number at a dotted path such as ``memory.bandwidth``; KeyError when there is none."""
        return dict(self.numbers())[path]

    def with_number(self, path: str, number: Number) -> Self:
        """A copy of the card with the number at ``path`` replaced; KeyError when there is none."""
        self.number(path)
        return cast("Self", _replaced(self, path, number))


def _replaced(value: Any, path: str, number: Number) -> Any:
    """A copy of nested models, dicts and tuples with one number replaced."""
    if not path:
        return number
    step = re.match(r"\.?([^.\[]+)|\[(\d+)\]", path)
    if step is None:
        raise KeyError(path)
    key, index, rest = step.group(1), step.group(2), path[step.end() :]
    if index is not None:
        items = list(value)
        items[int(index)] = _replaced(items[int(index)], rest, number)
        return tuple(items)
    if isinstance(value, BaseModel):
        return value.model_copy(update={key: _replaced(getattr(value, key), rest, number)})
    return {**value, key: _replaced(value[key], rest, number)}


def _walk(path: str, value: object) -> Iterator[tuple[str, Evidence]]:
    if isinstance(value, (Number, Statement)):
        yield path, value
    elif isinstance(value, BaseModel):
        yield from _walk(path, {name: getattr(value, name) for name in type(value).model_fields})
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(f"{path}.{key}" if path else str(key), item)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _walk(f"{path}[{i}]", item)
