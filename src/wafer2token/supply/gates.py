"""The gate of every controlled pathway, from the dated rules of ``controls``: open, by licence, or shut."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wafer2token.controls import timeline
from wafer2token.supply.timeline import Timeline, decimal_year

Array = NDArray[np.float64]
SINCE = date(2022, 1, 1)


@dataclass(frozen=True)
class Ruled:
    """An input that a rule decides: the item of the rule book and where it is shipped from (to China)."""

    item: str
    origin: str


RULED = {
    "h20_licence": Ruled("h20", "US"),
    "h200_licence": Ruled("h200_sxm", "US"),
    "frontier_open": Ruled("h100_sxm", "US"),
    "hbm_open": Ruled("hbm2e_3_6", "KR"),
    "scanner_licence": Ruled("nxt1980di", "NL"),
}


@dataclass(frozen=True)
class Verdict:
    """A span of one verdict, decimal years, with the rules behind it."""

    start: float
    verdict: str
    rules: tuple[str, ...]


@lru_cache(maxsize=32)
def verdicts(item: str, origin: str) -> tuple[Verdict, ...]:
    """Verdicts on an item shipped to China since the history of a run begins; the last one is held.

    Where the rule book cannot tell (indeterminate, unknown), the verdict before it is held.
    """
    out: list[Verdict] = []
    for span in timeline(item, to="CN", from_=origin, since=SINCE).spans:
        verdict = span.verdict if span.verdict in ("free", "licence", "denied") or not out else out[-1].verdict
        out.append(Verdict(decimal_year(span.start), verdict, span.rules))
    return tuple(out)


def shares(name: str, line: Timeline) -> tuple[Array, Array]:
    """Share of every quarter, history included, in which an input's item is free, and in which it needs a licence."""
    ruled = RULED[name]
    spans = verdicts(ruled.item, ruled.origin)
    free, licence = np.zeros(line.history + line.count), np.zeros(line.history + line.count)
    for index, span in enumerate(spans):
        after = np.ones_like(free) if index == 0 else line.share_after(span.start)
        until = line.share_after(spans[index + 1].start) if index + 1 < len(spans) else np.zeros_like(free)
        if span.verdict == "free":
            free += after - until
        elif span.verdict == "licence":
            licence += after - until
    return free, licence


def gate(name: str, granted: Array, line: Timeline) -> Array:
    """How far a pathway is open, [samples, history + quarters]: fully where free, by the share of licences `granted`
    where one is needed, not at all where denied. Licences granted during part of a quarter count for that part."""
    free, licence = shares(name, line)
    return np.asarray(free + np.minimum(np.broadcast_to(granted, (len(granted), len(free))), licence))
