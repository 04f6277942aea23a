"""A language model by the configuration that its makers published."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import Field

from wafer2token.catalog.card import Card, Ratio


class ModelCard(Card):
    """The keys of a model's ``config.json`` that say its shape, spelled as published.

    ``source`` is where the configuration stands; ``from_memory`` says that it was recalled and not re-read,
    ``checked_against`` where it was re-read. The counts are the makers' own, as ranges where they are rounded, for comparison with
    the derived ones; ``active_counts`` says whether the maker's active parameters include the output head and the
    input embedding.
    """

    publisher: str
    released: date | None = None
    source: tuple[str, ...] = Field(min_length=1)
    from_memory: bool = False
    checked_against: str = ""
    total_parameters: Ratio | None = None
    active_parameters: Ratio | None = None
    active_counts: Literal["layers", "layers_and_head", "all"] = "layers_and_head"
    config: dict[str, Any] = Field(min_length=1)
