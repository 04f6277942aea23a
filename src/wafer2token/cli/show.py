"""``w2t show``: one card with the evidence of every number."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from wafer2token.cli.output import WIDTH, emit, emit_json, formats

if TYPE_CHECKING:
    from wafer2token.catalog.bibliography import Reference
    from wafer2token.catalog.layout import Line, Shown

_WIDE = (32, 18, 17, 9, WIDTH - 32 - 18 - 17 - 9 - 4)
_NARROW = (24, 14, 15, 9)
_LEAST = 80


@click.command(name="show")
@click.argument("id")
@click.option("--kind", help="Look only among cards of this kind.")
@click.option("--bibtex", is_flag=True, help="Only the sources, as BibTeX.")
@formats
def command(id: str, kind: str | None, bibtex: bool, fmt: str | None) -> None:
    """One card: every number with its value, range, grade and sources, claimants with their weights, and the
    bibliography.

    \b
      w2t show 910C
      w2t show h100_sxm.memory
      w2t show quantity/ascend_units_2025 --json
    """
    from wafer2token.catalog import bibliography, show

    card = show(id, kind)
    if bibtex:
        click.echo(bibliography(r.id for r in card.references), nl=False)
    elif fmt == "json":
        emit_json(card.to_dict() | _derived(card))
    elif fmt == "csv":
        rows = [{**vars(line), "sources": " ".join(line.sources)} for line in card.lines]
        emit(rows, ["path", "by", "value", "low", "mid", "high", "unit", "weight", "grade", "sources", "note"], fmt=fmt)
    else:
        click.echo("\n".join(_page(card)))
    if card.also:
        click.echo(f"other cards of this name: {', '.join(card.also)}", err=True)


def _width() -> int:
    """The terminal's width between 80 and 100 columns, 100 where there is none."""
    return min(max(shutil.get_terminal_size().columns, _LEAST), WIDTH) if sys.stdout.isatty() else WIDTH


def _columns() -> tuple[int, ...]:
    """The widths of the table's columns; the sources take what is left."""
    width = _width()
    return _WIDE if width == WIDTH else (*_NARROW, width - sum(_NARROW) - len(_NARROW))


def _page(card: Shown) -> Iterator[str]:
    yield f"{card.kind}/{card.id}  {card.name}"
    if card.aliases:
        yield _wrapped(f"also: {', '.join(card.aliases)}")
    if card.note:
        yield _wrapped(card.note, "")
    for name, text in card.fields:
        yield _wrapped(f"{name}: {text}")
    for name, text in _derived(card).get("derived", {}).items():
        yield _wrapped(f"derived {name}: {_plain(text)}")
    if card.lines:
        yield ""
        yield from _table(card.lines)
    if card.references:
        yield "\nSources"
        for reference in card.references:
            yield _wrapped(_reference(reference))


def _derived(card: Shown) -> dict[str, dict[str, Any]]:
    """What follows from a card that describes more than numbers: of a model, its counts."""
    if card.kind != "model":
        return {}
    from wafer2token.workload import model, summary

    whole = summary(model(card.id)).to_dict()
    return {"derived": {k: v for k, v in whole.items() if k not in ("id", "shape") and v}}


def _plain(value: object) -> str:
    """A count with separators, or counts by name."""
    if isinstance(value, dict):
        return ", ".join(f"{n} {name}" for name, n in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(lines: tuple[Line, ...]) -> Iterator[str]:
    yield from _row("number", "value", "range", "grade", "sources")
    yield "-" * _width()
    notes: dict[str, int] = {}
    for line in lines:
        grade = f"{line.grade}*" if line.from_memory else line.grade
        sources = " ".join(line.sources)
        if line.weight is not None:
            said = f"{line.by} ({line.note})" if line.note else line.by
            value = f"{line.value} [{line.range}]" if line.range else line.value
            yield _wrapped(f"{line.weight * 100:>7.3g}%  {value}  {said}; {grade}: {sources}", " " * 10)
            continue
        if line.note:
            sources = f"{sources} [{notes.setdefault(line.note, len(notes) + 1)}]".strip()
        if line.unit or len(line.value) <= _columns()[1]:
            yield from _row(line.path, line.value, line.range, grade, sources)
        else:
            yield from _row(line.path, line.value, None, grade, sources)
    if any(line.from_memory for line in lines):
        yield "* from memory, not verified"
    for note, number in notes.items():
        yield _wrapped(f"[{number}] {note}")


def _row(path: str, value: str, spread: str | None, grade: str, sources: str) -> Iterator[str]:
    """One line of the table, or more where a cell is long; without a spread, the value takes its column too."""
    cells = [path, value, grade, sources] if spread is None else [path, value, spread, grade, sources]
    first, second, third, *rest = _columns()
    if len(path) > first:
        yield path
        cells[0] = ""
    widths = [first, second + 1 + third, *rest] if spread is None else [first, second, third, *rest]
    columns = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)]
    for parts in zip_longest(*columns, fillvalue=""):
        yield " ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()


def _reference(reference: Reference) -> str:
    parts = [f"{reference.id}: {reference.title}", reference.locator, reference.licence, reference.note, reference.url]
    return ". ".join(p for p in (*parts, reference.doi and f"doi:{reference.doi}", *reference.more_urls) if p)


def _wrapped(text: str, indent: str = "    ") -> str:
    return textwrap.fill(text, _width(), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
