"""Tables for people, JSON and CSV for programs: data to stdout, messages and progress to stderr."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from wafer2token.evidence.plain import plain

F = TypeVar("F", bound=Callable[..., Any])
Row = Mapping[str, Any]
WIDTH = 100
_KEEP = 24  # words up to this long are not broken


def formats(command: F) -> F:
    """Adds ``--json`` and ``--csv`` to a command; it receives ``fmt`` as "table", "json" or "csv"."""
    for flag in ("csv", "json"):
        command = click.option(f"--{flag}", "fmt", flag_value=flag, help=f"{flag.upper()} on stdout.")(command)
    return command


def emit(rows: Sequence[Row], columns: Mapping[str, str] | Sequence[str], title: str = "", fmt: str | None = None,
         document: Any = None, note: str = "") -> None:  # fmt: skip
    """Prints rows as a table, or as CSV, or (``document``, else the rows) as JSON.

    Args:
        rows: one mapping per row.
        columns: key -> heading, in order (or just the keys).
        fmt: None or "table", "json", "csv".
        document: what ``--json`` prints instead of the bare rows.
        note: a line under the table (not in JSON or CSV).
    """
    headings = dict(columns) if isinstance(columns, Mapping) else {c: c for c in columns}
    if fmt == "json":
        emit_json(document if document is not None else [dict(r) for r in rows])
    elif fmt == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(headings)
        writer.writerows([r.get(k, "") for k in headings] for r in rows)
    else:
        _table(rows, headings, title, note)


def emit_json(document: Any, stamp: bool = True) -> None:
    """JSON on stdout, keys in the given order, not-a-number as null.

    A document (not a bare list) begins with the version and the fingerprint of the data, unless ``stamp`` is False.
    """
    if stamp and isinstance(document, Mapping):
        from wafer2token import __version__, catalog

        document = {"version": __version__, "data_fingerprint": catalog.fingerprint(), **document}
    click.echo(json.dumps(plain(document), indent=2, ensure_ascii=False))


def _table(rows: Sequence[Row], headings: Mapping[str, str], title: str, note: str) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title) if title else None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, expand=False
    )
    numeric = {k for k in headings if rows and all(_is_number(r.get(k)) for r in rows)}
    screen = console()
    widths = column_widths([[heading, *(_cell(r.get(key)) for r in rows)] for key, heading in headings.items()], screen.width)
    for (key, heading), width in zip(headings.items(), widths, strict=True):
        table.add_column(heading, justify="right" if key in numeric else "left", overflow="fold", width=width)
    for row in rows:
        table.add_row(*(Text(_cell(row.get(k))) for k in headings))
    screen.print(table)
    if note:
        screen.print(Text(note), style="dim")


def column_widths(columns: Sequence[Sequence[str]], total: int) -> list[int]:
    """Widths of table columns that fit ``total``: the widest give way first, and none below its longest word."""
    widths = [max(map(len, cells)) for cells in columns]
    least = [min(max(len(w) for cell in cells for w in cell.split() or [""]), _KEEP) for cells in columns]
    spare = sum(widths) + 3 * len(columns) - total
    while spare > 0:
        room = [w - m for w, m in zip(widths, least, strict=True)]
        if not any(r > 0 for r in room):
            break
        i = max((i for i, r in enumerate(room) if r > 0), key=lambda i: widths[i])
        widths[i] -= 1
        spare -= 1
    return widths


def console() -> Any:
    """A rich console on stdout: the terminal's width on a terminal, 100 columns and no colour elsewhere."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(file=sys.stdout, highlight=False)
    return Console(file=sys.stdout, width=WIDTH, no_color=True, highlight=False, force_terminal=False)


def _is_number(value: object) -> bool:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return True
    return isinstance(value, str) and bool(value) and value.lstrip("-+<>≤≥~ ")[:1].isdigit()


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return "-"
    if isinstance(value, float):
        return figure(value)
    return str(value)


def figure(value: float) -> str:
    """A number of a table at four digits, large ones written out."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[str], None]]:
    """Progress on stderr, on a terminal only: call the yielded function once per finished step with its name."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)

        def advance(step: str) -> None:
            bar.update(task, advance=1, description=f"{what}: {step}")

        yield advance
