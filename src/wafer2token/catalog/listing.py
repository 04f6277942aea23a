"""What cards there are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from wafer2token.catalog.card import Card
from wafer2token.catalog.loader import all_cards, tables
from wafer2token.catalog.registry import KINDS, card_class, check_kind
from wafer2token.evidence.errors import InputError, Problem
from wafer2token.evidence.number import Number
from wafer2token.evidence.units import format_quantity, si_unit


@dataclass(frozen=True)
class Row:
    """One card of a list: its name, and the fields that the list of its kind shows."""

    kind: str
    id: str
    name: str
    fields: tuple[tuple[str, Number | str], ...]

    def shown(self) -> dict[str, str]:
        """The fields as text."""
        return {k: format_quantity(v.mid, v.unit, 6) if isinstance(v, Number) else v for k, v in self.fields}

    def to_dict(self) -> dict[str, Any]:
        """Plain data; a number is its SI value under ``name [unit]``."""
        out: dict[str, Any] = {"kind": self.kind, "id": self.id, "name": self.name}
        for key, value in self.fields:
            if isinstance(value, Number):
                out[f"{key} [{si_unit(value.unit)}]"] = value.mid
            elif value:
                out[key] = value
        return out


@dataclass(frozen=True)
class CardList:
    """Cards of one kind, or of all; ``counts`` says how many cards each kind has that the pattern allows."""

    kind: str | None
    headings: tuple[str, ...]
    rows: tuple[Row, ...]
    counts: tuple[tuple[str, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"kind": self.kind, "counts": dict(self.counts), "cards": [row.to_dict() for row in self.rows]}


def list_cards(kind: str | None = None, grep: str | None = None) -> CardList:
    """The cards of a kind, or of every kind.

    Args:
        kind: a kind of card (a plural is understood).
        grep: a regular expression, upper and lower case alike, looked for in ids, names, aliases and texts.

    Raises:
        InputError: an unknown kind, or a broken expression.
    """
    if kind is not None:
        kind = kind if kind in KINDS else _singular(kind)
        check_kind(kind)
    pattern = _pattern(grep)
    chosen = [kind] if kind else list(KINDS)
    found = [(k, t) for k in chosen for t in tables(k) if pattern is None or _matches(t, pattern)]
    if kind:
        rows = [_row(kind, all_cards(kind)[table["id"]]) for _, table in found]
        headings = tuple(card_class(kind).columns.values())
    else:
        rows, headings = [Row(k, t["id"], t.get("name", t["id"]), ()) for k, t in found], ()
    counts = {k: sum(row.kind == k for row in rows) for k in chosen}
    return CardList(kind, headings, tuple(rows), tuple((k, n) for k, n in counts.items() if n))


def _singular(kind: str) -> str:
    for candidate in (kind.removesuffix("s"), kind.removesuffix("es"), f"{kind.removesuffix('ies')}y"):
        if candidate in KINDS:
            return candidate
    return kind


def _pattern(grep: str | None) -> re.Pattern[str] | None:
    if not grep:
        return None
    try:
        return re.compile(grep, re.IGNORECASE)
    except re.error as error:
        raise InputError(Problem(f"not a regular expression: {error}", "--grep", grep)) from None


def _matches(table: dict[str, Any], pattern: re.Pattern[str]) -> bool:
    texts = [value for value in table.values() if isinstance(value, str)]
    return any(pattern.search(text) for text in (*texts, *table.get("aliases", ())))


def _row(kind: str, card: Card) -> Row:
    numbers = dict(card.numbers()) if type(card).columns else {}
    fields = []
    for paths, heading in type(card).columns.items():
        found = next(
            (value for path in paths.split("|") if (value := _field(card, numbers, path)) not in (None, "")), ""
        )
        fields.append((heading, found))
    return Row(kind, card.id, card.name, tuple(fields))


def _field(card: Card, numbers: dict[str, Number], path: str) -> Number | str:
    if path in numbers:
        return numbers[path]
    value = getattr(card, path, "")
    return str(value) if value is not None and not isinstance(value, (dict, tuple)) else ""
