"""``w2t list``: the cards by kind."""

from __future__ import annotations

import click

from wafer2token.cli.output import emit, formats


@click.command(name="list")
@click.argument("kind", required=False)
@click.option("--grep", metavar="PATTERN", help="Only cards whose id, name or text matches.")
@formats
def command(kind: str | None, grep: str | None, fmt: str | None) -> None:
    """The kinds of card, the cards of a KIND, or the cards that match a pattern.

    \b
      w2t list
      w2t list chip
      w2t list --grep "die bank|yield"
      w2t list quantity --csv
    """
    from wafer2token.catalog import list_cards
    from wafer2token.catalog.registry import describe

    found = list_cards(kind, grep)
    if fmt in ("json", "csv"):
        rows = [row.to_dict() for row in found.rows]
        columns = list(dict.fromkeys(key for row in rows for key in row))
        emit(rows, columns, fmt=fmt, document=found.to_dict())
    elif not kind and not grep:
        rows = [{"kind": k, "cards": n, "what": describe(k)} for k, n in found.counts]
        emit(rows, ["kind", "cards", "what"], note="w2t list KIND shows the cards of a kind, w2t show ID one card.")
    else:
        rows = [{"kind": r.kind, "id": r.id, "name": r.name, **r.shown()} for r in found.rows]
        first = ["id"] if found.headings else ["kind", "id", "name"] if not found.kind else ["id", "name"]
        emit(rows, [*first, *found.headings], note="" if rows else "no card matches")
