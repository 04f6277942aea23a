"""``w2t run``: the whole chain on a scenario."""

from __future__ import annotations

import click

from wafer2token.cli.output import emit, emit_json, formats, progress


@click.command(name="run")
@click.argument("scenario", required=False, type=click.Path())
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE[@DATE]", help="Override a number of a card; repeatable."
)
@click.option("--samples", type=click.IntRange(10), help="Monte Carlo samples (default: the scenario's).")
@click.option("--seed", type=click.IntRange(0), help="Seed (default: the scenario's).")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes; any number gives the same result.",
)
@click.option("--out", type=click.Path(), help="Run folder (default: runs/<scenario name>).")
@click.option("--print-config", is_flag=True, help="Print the resolved scenario and stop.")
@formats
def command(scenario: str | None, settings: tuple[str, ...], samples: int | None, seed: int | None, workers: int,
            out: str | None, print_config: bool, fmt: str | None) -> None:  # fmt: skip
    """Run the whole chain on SCENARIO (a TOML, YAML or JSON file; the bundled default without one).

    \b
      w2t run
      w2t run my.toml --set "chip.ascend_910c.tdp=550 W" --samples 500
    """
    from wafer2token.report.save import save
    from wafer2token.study.folder import check_place
    from wafer2token.study.run import run, steps
    from wafer2token.study.scenario import read

    asked = read(scenario, settings, samples=samples, seed=seed)
    if print_config:
        emit_json(asked.model_dump(by_alias=True, mode="json"), stamp=False)
        return
    place = check_place(out or f"runs/{asked.name}")
    with progress(steps(asked) + 1, asked.name) as done:
        result = run(asked, workers=workers, done=done)
        folder = save(result, place)
        done("report")
    if fmt == "json":
        emit_json(result.to_dict())
        return
    if fmt == "csv":
        click.echo(result.to_csv(), nl=False)
        return
    from wafer2token.cli.tables import run_tables

    for title, columns, rows in run_tables(result):
        emit(rows, columns, title)
    for name, reason in result.problems.items():
        click.echo(f"no answer for {name}: {reason}", err=True)
    click.echo(f"{folder}/report.html", err=True)
