"""``w2t collective``: how long one collective takes on a system."""

from __future__ import annotations

from typing import Any, Literal, cast

import click

from wafer2token.cli.output import emit, formats

_OPERATIONS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "p2p", "broadcast")
_COLUMNS = {"system": "system", "time": "time", "interval": "80% interval", "algorithm": "message rate", "bus": "on each link",
            "link": "link rate", "span": "tiers", "basis": "efficiency"}  # fmt: skip


@click.command(name="collective")
@click.argument("op", type=click.Choice(_OPERATIONS))
@click.argument("system")
@click.option(
    "--bytes", "size", required=True, help='Whole message of a rank, with a unit: "256 MB" (nccl-tests convention).'
)
@click.option("--ranks", type=float, required=True, help="Ranks that take part.")
@click.option("--span", type=click.Choice(["scale_up", "scale_out"]), help="Force one tier.")
@click.option(
    "--flows", type=float, default=1.0, show_default=True, help="Equal collectives on the links at the same time."
)
@click.option("--oversubscription", type=float, default=1.0, show_default=True, help="Of the scale-out network.")
@click.option(
    "--systems", type=float, default=1.0, show_default=True, help="Such systems that the scale-out network joins."
)
@click.option("--per", type=click.Choice(["chip", "die"]), default="chip", show_default=True, help="What a rank is.")
@click.option("--against", help="A second system.")
@formats
def command(
    op: str, system: str, size: str, ranks: float, span: str | None, flows: float, oversubscription: float, systems: float,
    per: str, against: str | None, fmt: str | None,
) -> None:  # fmt: skip
    """How long one collective takes on a system, at what share of its links.

    \b
      w2t collective all_reduce dgx_h100 --bytes "1 GB" --ranks 8 --against cloudmatrix384
      w2t collective all_to_all dgx_h100 --bytes "64 MB" --ranks 32 --systems 4
    """
    from wafer2token.evidence.units import parse_quantity
    from wafer2token.fabric.verb import collective

    tier = cast("Literal['scale_up', 'scale_out'] | None", span)
    result = collective(
        op, system, parse_quantity(size, "B", "--bytes"), ranks, against, tier, flows, per, oversubscription, systems
    )
    shown = [vars(s) for s in result.systems] if fmt == "csv" else [_shown(s) for s in result.systems]
    note = "" if result.ratio is None else f"{result.systems[1].name} takes {result.ratio:.2f} times as long."
    columns = list(vars(result.systems[0])) if fmt == "csv" else _COLUMNS
    emit(shown, columns, f"{op}, {size} over {ranks:g} ranks", fmt, result.to_dict(), note)


def _shown(row: Any) -> dict[str, str]:
    from wafer2token.evidence.units import format_quantity

    return {
        "system": row.system,
        "time": format_quantity(row.seconds, "s"),
        "interval": f"{format_quantity(row.p10, 's')} - {format_quantity(row.p90, 's')}",
        "algorithm": format_quantity(row.algorithm_bytes_per_s, "B/s"),
        "bus": format_quantity(row.bus_bytes_per_s, "B/s"),
        "link": format_quantity(row.link_bytes_per_s, "B/s"),
        "span": row.span,
        "basis": row.basis,
    }
