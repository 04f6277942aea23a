"""The sources of some numbers as a bibliography."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from wafer2token.catalog.loader import all_cards, get

_YEAR = re.compile(r"\b(19|20)\d{2}\b")
_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


@dataclass(frozen=True)
class Reference:
    """One source, ready to print."""

    id: str
    title: str
    authors: str = ""
    publisher: str = ""
    year: str = ""
    url: str = ""
    more_urls: tuple[str, ...] = ()
    doi: str = ""
    locator: str = ""
    licence: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON, without the empty fields."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items() if v}


def references(source_ids: Iterable[str]) -> list[Reference]:
    """The sources in the order given, each once.

    Raises:
        InputError: a source that is neither a card nor an address by itself.
    """
    return [_reference(source) for source in dict.fromkeys(source_ids)]


def _reference(source: str) -> Reference:
    if source not in all_cards("source"):
        if re.match(r"https?://", source):
            return Reference(source, source, url=source, year=_year("", source))
        if source.startswith("doi:"):
            return Reference(source, source, doi=source.removeprefix("doi:"))
        if source.endswith(".txt"):
            return Reference(source, source)
    card = get("source", source)
    published = card.published.isoformat() if isinstance(card.published, date) else card.published or ""
    year = _year(published, f"{card.name} {card.note}")
    return Reference(card.id, card.name, card.authors, card.publisher, year, card.url, card.more_urls, card.doi, card.locator,
                     card.licence, card.note)  # fmt: skip


def _year(published: str, text: str) -> str:
    match = _YEAR.search(published) or _YEAR.search(text)
    return match.group() if match else ""


def bibliography(source_ids: Iterable[str]) -> str:
    """The sources as BibTeX, in the order of their keys, each once; the same sources give the same text."""
    found = sorted(references(source_ids), key=lambda r: r.id)
    return "\n".join(_bibtex(reference) for reference in found)


def _bibtex(reference: Reference) -> str:
    note = "; ".join(
        part for part in (reference.locator, reference.note, *(f"also {url}" for url in reference.more_urls)) if part
    )
    fields = {
        "title": f"{{{_tex(reference.title)}}}",
        "author": f"{{{_tex(reference.authors)}}}" if reference.authors else "",
        "publisher": _tex(reference.publisher),
        "year": reference.year,
        "doi": reference.doi,
        "url": reference.url,
        "note": _tex(note),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    key = re.sub(r"[^A-Za-z0-9_:.-]+", "_", reference.id).strip("_")
    return "\n".join([f"@misc{{{key},", *lines, "}", ""])


def _tex(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in text)
