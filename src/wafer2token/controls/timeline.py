"""An item's status over the years: spans of equal verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from wafer2token.catalog.kinds.item import ItemCard
from wafer2token.controls import places
from wafer2token.controls.items import item_card
from wafer2token.controls.places import destination
from wafer2token.controls.rulebook import Rulebook, View, bundled
from wafer2token.controls.ruling import DISCLAIMER, Ruling, allow, parse_date
from wafer2token.evidence.errors import InputError, Problem


@dataclass(frozen=True)
class Span:
    """Days on which the verdict and the rules behind it stay the same; both ends included."""

    start: date
    end: date
    verdict: str
    exception: str
    rules: tuple[str, ...]
    review: str
    import_verdict: str
    missing: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Timeline:
    """The spans of one transaction, and the last day to which the facts reach."""

    item: str
    name: str
    to: str
    origin: str
    party: str
    view: str
    horizon: date
    spans: tuple[Span, ...]
    disclaimer: str = DISCLAIMER

    def at(self, day: date) -> Span:
        """The span of a day; InputError outside the timeline."""
        for span in self.spans:
            if span.start <= day <= span.end:
                return span
        raise InputError(
            Problem("outside the timeline", got=str(day), allowed=f"{self.spans[0].start} to {self.spans[-1].end}")
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON and for the report."""
        return {**vars(self), "spans": [s.to_dict() for s in self.spans]}


def timeline(
    item: str | Path | ItemCard,
    to: str = "CN",
    party: str | None = None,
    from_: str = "US",
    *,
    since: date | str | None = None,
    until: date | str | None = None,
    view: View = "enforced",
    rules: Rulebook | None = None,
    **options: Any,
) -> Timeline:
    """The verdicts of ``allow`` from ``since`` to ``until``, in spans.

    Args:
        since, until: default to the beginning and to the end of the year in which the facts end.
        options: as for ``allow``.

    Raises:
        InputError: as for ``allow``; ``until`` before ``since``.
    """
    book = rules or bundled()
    first = parse_date(since, book.begins) if since else book.begins
    last = parse_date(until, book.horizon) if until else date(book.horizon.year, 12, 31)
    if last < first:
        raise InputError(Problem("the timeline ends before it begins", got=f"{first} to {last}"))
    card = item_card(item)
    who = places.party(party, options.get("hq"), destination(to))
    edges = {d for d in (*book.dates(), *_own_dates(who)) if first < d <= last}
    starts = [first, *sorted(edges)]
    spans: list[Span] = []
    for i, start in enumerate(starts):
        end = date.fromordinal(starts[i + 1].toordinal() - 1) if i + 1 < len(starts) else last
        ruling = allow(card, to, start, party, from_, view=view, rules=book, **options)
        span = _span(start, end, ruling)
        if spans and _same(spans[-1], span):
            span = Span(spans[-1].start, end, *list(vars(span).values())[2:])
            spans.pop()
        spans.append(span)
    return Timeline(card.id, card.name, destination(to).code, destination(from_).code, who.name, view, book.horizon, tuple(spans))  # fmt: skip


def _own_dates(who: Any) -> list[date]:
    rows = [row.start for row in who.card.listing] if who.card else []
    return rows + [d for m in who.hq.moved for d in (date.fromordinal(m.after.toordinal() + 1), m.by)]


def _span(start: date, end: date, ruling: Ruling) -> Span:
    deciding = tuple(f.rule for f in ruling.matched if f.binding and f.lane == "export" and not f.replaced_by)
    return Span(
        start, end, ruling.verdict, ruling.exception, deciding, ruling.review, ruling.import_verdict, ruling.missing
    )


def _same(a: Span, b: Span) -> bool:
    return list(vars(a).values())[2:] == list(vars(b).values())[2:]
