"""One card as a person reads it: every number with value, range, grade, sources and claimants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import BaseModel

from wafer2token.catalog.bibliography import Reference, references
from wafer2token.catalog.card import Card
from wafer2token.catalog.loader import all_cards, find, get
from wafer2token.catalog.registry import KINDS
from wafer2token.catalog.statement import Statement
from wafer2token.evidence.errors import InputError, unknown
from wafer2token.evidence.number import Claim, Number
from wafer2token.evidence.units import convert, si_unit

_HEAD = ("id", "name", "aliases", "as_of", "note", "source", "grade")


@dataclass(frozen=True)
class Line:
    """One number or statement of a card, or one claimant of it (``by`` and ``weight`` are then given)."""

    path: str
    value: str
    range: str = ""
    by: str = ""
    weight: float | None = None
    grade: str = ""
    sources: tuple[str, ...] = ()
    note: str = ""
    from_memory: bool = False
    low: float | None = None
    mid: float | None = None
    high: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Shown:
    """A card laid out: plain fields, then lines with evidence, then the sources cited."""

    kind: str
    id: str
    name: str
    aliases: tuple[str, ...]
    note: str
    fields: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]
    references: tuple[Reference, ...]
    also: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; numbers in SI units."""
        lines = [{k: list(v) if isinstance(v, tuple) else v for k, v in vars(line).items() if v not in (None, "", ())}
                 for line in self.lines]  # fmt: skip
        return {
            "kind": self.kind, "id": self.id, "name": self.name, "aliases": list(self.aliases), "note": self.note,
            "fields": dict(self.fields), "lines": lines, "references": [r.to_dict() for r in self.references],
        }  # fmt: skip


def show(id: str, kind: str | None = None) -> Shown:
    """The card with an id or alias, of any kind.

    Args:
        id: id, alias or name; ``kind/id`` picks the kind, ``id.path`` keeps the lines under a dotted path.
        kind: look only among cards of this kind.

    Raises:
        InputError: no such card, with the nearest names.
    """
    if "/" in id and kind is None and id.split("/", 1)[0] in KINDS:
        kind, id = id.split("/", 1)
    name, path = (id, "") if "." not in id or _known(id, kind) else tuple(id.split(".", 1))
    if kind:
        hits = [(kind, get(kind, name))]
    else:
        hits = find(name)
    found, card = hits[0]
    return _laid_out(found, card, path, tuple(f"{k}/{c.id}" for k, c in hits[1:]))


def _known(name: str, kind: str | None) -> bool:
    try:
        return bool(get(kind, name) if kind else find(name))
    except InputError:
        return False


def _laid_out(kind: str, card: Card, path: str, also: tuple[str, ...]) -> Shown:
    lines = [line for where, item in card.evidence() for line in _lines(where, item)]
    if path:
        kept = [line for line in lines if line.path == path or line.path.startswith((f"{path}.", f"{path}["))]
        if not kept:
            raise InputError(unknown(f"number of {kind}/{card.id}", path, list(dict.fromkeys(x.path for x in lines))))
        lines = kept
    cited = [s for line in lines for s in line.sources] if path else list(card.cited())
    fields = () if path else tuple(_fields(card))
    if kind == "source" and not path:
        fields += tuple(_cited_by(card.id))
    return Shown(
        kind, card.id, card.name, card.aliases, card.note, fields, tuple(lines), tuple(references(cited)), also
    )


def _lines(path: str, item: Number | Statement) -> Iterator[Line]:
    if isinstance(item, Number):
        display = item.display_unit or item.unit
        yield _number_line(path, item, display, item.unit)
        for claim in item.claims:
            yield _number_line(path, claim, display, item.unit, claim.by, claim.weight)
    elif not item.claims:
        yield Line(
            path, item.value, grade=item.grade, sources=item.source, note=item.note, from_memory=item.from_memory
        )
    else:
        yield Line(path, "contested", note=item.note)
        for said in item.claims:
            yield Line(path, said.value, "", said.by, said.weight, said.grade, said.source, said.note)


def _number_line(
    path: str, item: Number | Claim, display: str, unit: str, by: str = "", weight: float | None = None
) -> Line:
    spread = f"{plain(item.low, display)} - {plain(item.high, display)}" if item.low != item.high else ""
    return Line(path, figure(item.mid, display), spread, by, weight, item.grade, item.sources, item.note, item.from_memory,
                item.low, item.mid, item.high, si_unit(unit))  # fmt: skip


def figure(value: float, unit: str) -> str:
    """An SI value in the unit in which the card states it: ``6.6561e-4 m^2`` -> ``665.61 mm^2``."""
    return f"{plain(value, unit)} {'' if unit == '1' else unit}".strip()


def plain(value: float, unit: str) -> str:
    """The bare figure of ``figure``."""
    number = convert(value, unit)
    if abs(number) >= 1e9:
        return f"{number / 1e9:,.7g}e9"
    if abs(number) >= 1e6:
        return f"{number:,.0f}"
    return f"{number:,.7g}" if abs(number) >= 1e-4 or not number else f"{number:.4g}"


def _fields(card: Card) -> Iterator[tuple[str, str]]:
    """The fields of a card that are neither numbers nor statements, as text."""
    for name, field in type(card).model_fields.items():
        value = getattr(card, name)
        if name not in _HEAD and value != field.default and (text := _text(value)):
            yield name, text


def _text(value: object) -> str:
    if isinstance(value, (Number, Statement)):
        return ""
    if isinstance(value, BaseModel):
        parts = {name: _text(getattr(value, name)) for name in type(value).model_fields}
        return ", ".join(f"{name} {text}" for name, text in parts.items() if text)
    if isinstance(value, dict):
        return ", ".join(f"{k} {text}" for k, v in value.items() if (text := _text(v)))
    if isinstance(value, (list, tuple)):
        return "; ".join(text for v in value if (text := _text(v)))
    if isinstance(value, date):
        return value.isoformat()
    return (
        {None: "", True: "yes", False: "no"}.get(value, str(value))
        if value is None or isinstance(value, bool)
        else str(value)
    )


def _cited_by(source: str) -> Iterator[tuple[str, str]]:
    cards = [f"{kind}/{card.id}" for kind in KINDS for card in all_cards(kind).values() if source in card.cited()]
    if cards:
        yield "cited_by", "; ".join(cards)
