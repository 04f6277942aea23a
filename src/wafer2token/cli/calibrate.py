"""``w2t calibrate``: fit efficiencies from measurement tables."""

from __future__ import annotations

from datetime import datetime

import click

from wafer2token.cli.output import emit, formats


@click.command(name="calibrate")
@click.argument("kind", type=click.Choice(["kernels"]))
@click.option(
    "--out", type=click.Path(file_okay=False), default="calibration", show_default=True, help="Folder for the cards."
)
@click.option(
    "--aiconfigurator",
    type=click.Path(),
    is_flag=False,
    flag_value="",
    help="Folder of aiconfigurator-core; alone: the installed one.",
)
@click.option("--points", type=click.Path(), multiple=True, help="Table of measured kernels (docs/points.md).")
@click.option("--vidur", multiple=True, metavar="CHIP=FILE", help="Vidur profile of matrix products.")
@click.option("--msmodeling", type=click.Path(), help="Folder of Huawei msmodeling operator tables.")
@click.option("--nccl-tests", multiple=True, metavar="CHIP:OP:RANKS=FILE", help="Text that nccl-tests printed.")
@click.option("--operators", type=click.Path(), help="Points of expert dispatch and combine (YAML or JSON).")
@click.option("--collective-points", type=click.Path(), multiple=True, help="Table with block copies (docs/points.md).")
@click.option("--experts", is_flag=True, help="Also the fused mixtures of experts of aiconfigurator.")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Date on the cards; today by default.")
@formats
def command(
    kind: str, out: str, aiconfigurator: str | None, points: tuple[str, ...], vidur: tuple[str, ...], msmodeling: str | None,
    nccl_tests: tuple[str, ...], operators: str | None, collective_points: tuple[str, ...], experts: bool,
    as_of: datetime | None, fmt: str | None,
) -> None:  # fmt: skip
    """Fit one parameter set per chip, stack and kernel family, and write them as cards with their errors.

    \b
      w2t calibrate kernels --points gemm.csv --points attention.csv --out cards
      w2t calibrate kernels --aiconfigurator --out cards
    """
    from wafer2token.study.calibrate import calibrate

    result = calibrate(
        kind, out, aiconfigurator, points, vidur, msmodeling, nccl_tests, operators, collective_points, experts,
        as_of.date() if as_of else None,
        report=lambda line: click.echo(line, err=True),
    )  # fmt: skip
    emit([{"file": f} for f in result.files], {"file": "cards written"}, "", fmt, result.to_dict())
