"""Colours that read on light and on dark paper and to colour-blind eyes; text colours come from the page's theme."""

from __future__ import annotations

from collections.abc import Sequence

SERIES = ("#2f78c4", "#e08a1e", "#2a9d78", "#d1495b", "#8f6bb8", "#5ba8c9", "#b8992a", "#c46d9e", "#6f8f3a", "#8b949e")
NEUTRAL = "#8b949e"

TONES = {"good": "#2a9d78", "open": "#a3abb5", "bad": "#d1495b", "warn": "#e08a1e", "info": "#2f78c4"}
"""Meaning, not decoration: good, open (undetermined), bad, warn, info."""


def colour(name: str, names: Sequence[str]) -> str:
    """The colour of a name among the names of a chart: by position, so that it stays the same within a page."""
    return SERIES[list(names).index(name) % len(SERIES)]
