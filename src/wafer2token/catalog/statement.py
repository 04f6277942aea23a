"""A statement in words as evidence, and a period of time as cards write it."""

from __future__ import annotations

import calendar
import re
from datetime import date
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from wafer2token.evidence.number import Grade

_PERIOD = re.compile(r"^(\d{4})(?:-(?:(\d{2})(?:-(\d{2}))?|Q([1-4])|H([12])))?$")


class StatementClaim(BaseModel):
    """What one claimant says where a statement is contested."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str = Field(min_length=1)
    value: str = Field(min_length=1)
    weight: float = Field(ge=0, le=1)
    grade: Grade
    source: tuple[str, ...] = Field(min_length=1)
    note: str = ""


class Statement(BaseModel):
    """A fact in words with its grade and sources, or what each claimant says of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: str = ""
    grade: Grade = "assumed"
    source: tuple[str, ...] = ()
    note: str = ""
    from_memory: bool = False
    claims: tuple[StatementClaim, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.claims:
            if self.value:
                raise ValueError("a statement has a value or claims, not both")
            if abs(sum(c.weight for c in self.claims) - 1) > 1e-6:
                raise ValueError("the weights of the claims do not sum to 1")
        elif not self.value:
            raise ValueError("a statement needs a value, or claims")
        elif not self.source or "grade" not in self.model_fields_set:
            raise ValueError("a statement needs a grade and a source")
        return self

    def __str__(self) -> str:
        return self.value or " / ".join(c.value for c in self.claims)

    @property
    def all_sources(self) -> tuple[str, ...]:
        """Its sources and those of its claimants, each once."""
        return tuple(dict.fromkeys((*self.source, *(s for c in self.claims for s in c.source))))


def period(text: str) -> tuple[date, date]:
    """First and last day of ``2025``, ``2025-Q4``, ``2025-H2``, ``2025-10``, ``2025-10-03`` or ``2023..2025-06``.

    Raises:
        ValueError: not a period, or the end lies before the start.
    """
    if ".." in text:
        start, end = (period(part) for part in text.split("..", 1))
        if end[1] < start[0]:
            raise ValueError(f"the period {text!r} ends before it starts")
        return start[0], end[1]
    match = _PERIOD.match(text)
    if not match:
        raise ValueError(f"not a period: {text!r}; write 2025, 2025-Q4, 2025-H2, 2025-10, 2025-10-03 or 2023..2025")
    year, month, day, quarter, half = (int(g) if g else 0 for g in match.groups())
    first, length = (month, 1) if month else (3 * quarter - 2, 3) if quarter else (6 * half - 5, 6) if half else (1, 12)
    if day:
        return date(year, first, day), date(year, first, day)
    last = first + length - 1
    return date(year, first, 1), date(year, last, calendar.monthrange(year, last)[1])


def _is_period(text: str) -> str:
    period(text)
    return text


Period = Annotated[str, AfterValidator(_is_period)]


class Dated(Statement):
    """A date with evidence; ``value`` is a period."""

    @model_validator(mode="after")
    def _dated(self) -> Self:
        for text in (self.value, *(c.value for c in self.claims)):
            if text:
                period(text)
        return self

    def span(self) -> tuple[date, date]:
        """First and last day; of the claim with the largest weight where it is contested."""
        return period(self.value or max(self.claims, key=lambda c: c.weight).value)


class Event(BaseModel):
    """Something that happened, with its date."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: Period
    what: str = Field(min_length=1)
