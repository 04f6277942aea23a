"""Destinations and parties on a date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from wafer2token.catalog import all_cards, get
from wafer2token.catalog.kinds.destination import DestinationCard
from wafer2token.catalog.kinds.party import PartyCard
from wafer2token.evidence.errors import InputError, Problem, unknown

_GROUPS = {"dest_d1": "D:1", "dest_d4": "D:4", "dest_d5": "D:5", "dest_a5": "A:5", "dest_a6": "A:6", "dest_aia": "AIA", "dest_eu": "EU"}  # fmt: skip


def destination(name: str) -> DestinationCard:
    """The destination with this ISO code, name or alias; InputError with the nearest names when there is none."""
    try:
        card: DestinationCard = get("destination", name)
    except InputError:
        cards = all_cards("destination").values()
        names = [n for c in cards for n in (c.code, c.name)] if len(name) <= 3 else [c.name for c in cards]
        raise InputError(unknown("destination", name, names)) from None
    return card


def in_group(card: DestinationCard, group: str, on: date) -> bool | None:
    """Whether a destination stands in a group on a date; None where that is not known."""
    for move in card.moved:
        if move.group == group:
            was = move.change == "left"
            return was if on <= move.after else (not was) if on >= move.by else None
    return None if group in card.unknown_groups else group in card.groups


def in_d5m(card: DestinationCard, on: date) -> bool | None:
    """Macau or Country Group D:5."""
    return True if card.code == "MO" else in_group(card, "D:5", on)


@dataclass(frozen=True)
class Party:
    """A party to the transaction; without a card, one that stands on no list."""

    card: PartyCard | None
    hq: DestinationCard

    @property
    def name(self) -> str:
        """The name to show."""
        return self.card.name if self.card else "unlisted party"


def party(name: str | None, hq: str | None, dest: DestinationCard) -> Party:
    """The party by id or alias; none named means an unlisted one headquartered in ``hq``, else in the destination.

    Raises:
        InputError: unknown party or headquarters, with the nearest names.
    """
    if not name:
        return Party(None, destination(hq) if hq else dest)
    try:
        card: PartyCard = get("party", name)
    except InputError as error:
        remedy = "for a party without a card leave --party out and give --hq, the country of its headquarters"
        shown = [Problem(p.what, p.where, p.got, "", f"{p.remedy} {remedy}".strip()) for p in error.problems]
        raise InputError(shown) from None
    return Party(card, destination(hq or card.hq))


def place_values(dest: DestinationCard, origin: DestinationCard, on: date) -> dict[str, Any]:
    """The variables of origin and destination."""
    out: dict[str, Any] = {name: in_group(dest, group, on) for name, group in _GROUPS.items()}
    return out | {
        "dest": dest.code,
        "origin": origin.code,
        "origin_eu": in_group(origin, "EU", on),
        "origin_excluded": in_group(origin, "S4", on),
        "export": dest.code != origin.code,
    }


def party_values(who: Party, on: date) -> dict[str, Any]:
    """The variables of the party: its lists on the date, its headquarters, its owners."""
    rows = [row for row in (who.card.listing if who.card else ()) if row.start <= on]
    notes = {row.footnote for row in rows}
    owned = who.card.owned_pct if who.card and who.card.owned_pct is not None else 0.0
    return {
        "party": who.card.id if who.card else "",
        "listed": bool(rows),
        "footnote_1": 1 in notes,
        "footnote_4": 4 in notes,
        "footnote_5": 5 in notes,
        "hq_d5m": in_d5m(who.hq, on),
        "owned_pct": (owned, owned),
    }
