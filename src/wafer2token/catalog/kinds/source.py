"""Where a number comes from."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from pydantic import Field

from wafer2token.catalog.card import Card


class SourceCard(Card):
    """A publication, page, file or keynote; ``name`` is its title."""

    columns: ClassVar[dict[str, str]] = {
        "name": "title",
        "publisher": "publisher",
        "published": "published",
    }

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")
    authors: str = ""
    publisher: str = ""
    published: date | str | None = None
    url: str = ""
    more_urls: tuple[str, ...] = ()
    locator: str = ""
    licence: str = ""
    doi: str = ""
