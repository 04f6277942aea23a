"""Quarters: labels, dates, and what share of each quarter lies after a date."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from wafer2token.evidence.errors import InputError, Problem

Array = NDArray[np.float64]
QUARTER_S = 365.25 * 86400.0 / 4
FIRST = 2024 * 4
HISTORY = 8
LAST = 2040 * 4 + 3


@dataclass(frozen=True)
class Timeline:
    """Quarters 2024Q1 .. the last, with `history` quarters before them for what is still in the fabs.

    Extended arrays carry history + count columns, plain ones count.
    """

    count: int
    history: int = HISTORY

    @classmethod
    def until(cls, text: str) -> Timeline:
        """The quarters up to and including `text` (2028Q4, 2028-12 or 2028)."""
        last = quarter(text)
        if not FIRST <= last <= LAST:
            raise InputError(Problem("the last quarter is out of range", "until", text, "2024Q1 to 2040Q4"))
        return cls(last - FIRST + 1)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"{index // 4}Q{index % 4 + 1}" for index in range(FIRST, FIRST + self.count))

    @property
    def years(self) -> tuple[int, ...]:
        return tuple(range(FIRST // 4, (FIRST + self.count - 1) // 4 + 1))

    @property
    def middles(self) -> Array:
        """Decimal year at the middle of every extended quarter."""
        return (FIRST - self.history + np.arange(self.history + self.count) + 0.5) / 4

    def share_after(self, at: float) -> Array:
        """Share of every extended quarter that lies after decimal year `at`."""
        ends = self.middles + 0.125
        return np.clip((ends - at) / 0.25, 0.0, 1.0)

    def year(self, year: int) -> slice:
        """Columns of a calendar year in plain arrays."""
        start = year * 4 - FIRST
        return slice(max(start, 0), max(start + 4, 0))


def quarter(text: str) -> int:
    """Index of the quarter that `text` names or falls in: 2026Q3, 2026-07, 2026-07-15, or 2026 (its last quarter)."""
    match = re.fullmatch(r"\s*(\d{4})(?:\s*[Qq]([1-4])|-(\d{1,2})(?:-\d{1,2})?)?\s*", str(text))
    if not match or (match.group(3) and not 1 <= int(match.group(3)) <= 12):
        raise InputError(Problem("not a quarter or date", got=text, allowed="2026Q3, 2026-07 or 2026-07-15"))
    year, number, month = int(match.group(1)), match.group(2), match.group(3)
    if number:
        return year * 4 + int(number) - 1
    return year * 4 + ((int(month) - 1) // 3 if month else 3)


def decimal_year(at: date) -> float:
    """A date as a decimal year of four equal quarters, so that a quarter begins on a multiple of 0.25."""
    number = (at.month - 1) // 3
    start = date(at.year, 3 * number + 1, 1)
    end = date(at.year + (number == 3), 3 * number % 12 + 4 if number < 3 else 1, 1)
    return at.year + number / 4 + (at - start).days / (end - start).days / 4


def moment(text: str) -> float:
    """Decimal year at which `text` begins: 2026Q3 and 2026-07 both mean 1 July 2026."""
    match = re.fullmatch(r"\s*(\d{4})-(\d{1,2})(?:-(\d{1,2}))?\s*", str(text))
    if match:
        try:
            return decimal_year(date(int(match.group(1)), int(match.group(2)), int(match.group(3) or 1)))
        except ValueError:
            raise InputError(Problem("not a date", got=text, allowed="2026Q3, 2026-07 or 2026-07-15")) from None
    if re.fullmatch(r"\s*\d{4}\s*", str(text)):
        return float(text)
    return quarter(text) / 4
