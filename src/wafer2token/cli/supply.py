"""``w2t supply``: chips by quarter from wafers, dies, HBM and packaging, and what binds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wafer2token.cli.output import emit, emit_json, formats, progress

if TYPE_CHECKING:
    from wafer2token.supply import SupplyResult

STEPS = 4
SHOWN = ("quarters", "drivers", "sobol", "claimants", "backtest", "posterior", "worth", "shadow", "knock-outs", "way-round",
         "suppliers", "flows", "cost", "tools")  # fmt: skip


@click.command(name="supply")
@click.option("--scenario", help="A bundled scenario (see --list) or a TOML file; history as it went if left out.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE[@DATE]", help="Set an input, always or from a date.")
@click.option("--until", default="2028Q4", show_default=True, help="Last quarter: 2028Q4, 2028-12 or 2028.")
@click.option("--by", "view", type=click.Choice(["owner", "chip", "pathway", "maker"]), help="Break deliveries down.")
@click.option("--what", type=click.Choice(["units", "fleet", "h100e"]), default="units", show_default=True,
              help="With --by: deliveries, chips in service, or their worth in H100s.")  # fmt: skip
@click.option("--show", type=click.Choice(SHOWN), default="quarters", show_default=True, help="Another view of the run.")
@click.option("--input", "about", default="reported_yield", show_default=True, help="With --show claimants: the contested input.")
@click.option("--target", default="2027=1000000", show_default=True, metavar="YEAR=CHIPS", help="With --show way-round.")
@click.option("--lose", default="NL", show_default=True, help="With --show suppliers: countries or suppliers lost, by comma.")
@click.option("--given", "observations", metavar="IDS", help="Posterior given observations: 'all', or ids by comma (see --show backtest).")
@click.option("--samples", default=4000, show_default=True, type=click.IntRange(10), help="Number of samples.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="The same seed gives the same bytes.")
@click.option("--html", "page_file", type=click.Path(dir_okay=False), help="Also write the run as one HTML page with charts.")
@click.option("--list", "list_only", is_flag=True, help="The bundled scenarios and the inputs that --set knows.")
@formats
def command(scenario: str | None, settings: tuple[str, ...], until: str, view: str | None, what: str, show: str, about: str,
            target: str, lose: str, observations: str | None, samples: int, seed: int, page_file: str | None, list_only: bool,
            fmt: str | None) -> None:  # fmt: skip
    """Chips by quarter from wafers, dies, HBM and packaging; the stage that binds; what the answer rests on.

    \b
      w2t supply
      w2t supply --scenario hbm_gone --by pathway
      w2t supply --set "smic_wafers=60000 wafer/month@2026-07" --set reported_yield=FT --until 2027Q4
      w2t supply --given all --by owner --what fleet
      w2t supply --show backtest
      w2t supply --show way-round --target 2027=1200000
    """
    if list_only:
        _list(fmt)
        return
    from wafer2token.supply import supply

    overrides = _overrides(settings)
    if show in ("sobol", "claimants"):
        _studies(show, about, scenario, overrides, samples, seed, until, fmt)
        return
    if show == "suppliers":
        _suppliers(lose, fmt)
        return
    with progress(STEPS, "supply") as step:
        result = supply(scenario, overrides, samples, seed, until, step, _observations(observations))
    if page_file:
        _write_page(result, page_file)
    if show == "quarters":
        _quarters(result, view, what, fmt)
    else:
        _views(result, show, target, fmt)


def _write_page(result: SupplyResult, page_file: str) -> None:
    from pathlib import Path

    from wafer2token.evidence.errors import InputError, Problem
    from wafer2token.report.supply_page import supply_page

    text = supply_page(result)
    try:
        Path(page_file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(Problem(f"cannot write the page: {error.strerror}", "--html", page_file)) from None
    click.echo(f"wrote {page_file}", err=True)


def _observations(text: str | None) -> tuple[str, ...] | None:
    """Ids of observations: none of them, all that can be used (None), or those named."""
    if text is None:
        return ()
    return None if text == "all" else tuple(name.strip() for name in text.split(",") if name.strip())


def _quarters(result: SupplyResult, view: str | None, what: str, fmt: str | None) -> None:
    rows = result.rows(view or "maker", what)
    if fmt == "json":
        emit_json(result.to_dict() | {"by": view, "what": what, "rows": rows})
    elif fmt == "csv":
        emit(rows, list(rows[0]), fmt=fmt)
    else:
        _table(result, view, what)


def _overrides(settings: tuple[str, ...]) -> dict[str, Any]:
    """`name=value`, `name=value@date` and `name@date=value` as overrides; every bad line at once."""
    import re

    from wafer2token.evidence.errors import InputError, Problem

    out: dict[str, Any] = {}
    problems = []
    for line in settings:
        name, equals, value = (part.strip() for part in line.partition("="))
        dated = re.fullmatch(r"(.*?)@\s*(\d{4}(?:Q[1-4]|-\d{1,2}(?:-\d{1,2})?)?)", value)
        if dated and "@" not in name:
            name, value = f"{name}@{dated.group(2)}", dated.group(1).strip()
        if not equals or not name or not value:
            problems.append(Problem("not a setting", "--set", line, "name=value or name=value@2026-07"))
        elif name in out:
            problems.append(Problem("set twice", "--set", line, remedy="keep one of the two"))
        out[name] = value
    if problems:
        raise InputError(problems)
    return out


def _list(fmt: str | None) -> None:
    from wafer2token import catalog
    from wafer2token.supply.scenario import scenarios

    found = [{"name": s.name, "title": s.title, "question": s.question, "set": dict(s.settings)} for s in scenarios().values()]
    cards = [catalog.get("supply", name) for name in catalog.ids("supply")]
    inputs = [
        {"name": c.id, "unit": c.unit, "stage": c.stage, "what": c.name, "grade": c.value.grade, "dated": "yes" if c.timed else "no",
         "claimants": [claim.by for claim in c.value.claims]}
        for c in cards
    ]  # fmt: skip
    if fmt == "json":
        emit_json({"scenarios": found, "inputs": inputs})
        return
    if fmt is None:
        emit(found, {"name": "scenario", "question": "question"})
    emit(inputs, {"name": "input", "unit": "unit", "grade": "grade", "dated": "dated", "what": "what"}, fmt=fmt,
         note="A contested input also takes a claimant's name, or weights such as 'FT:0.7, CSIS:0.3'.")  # fmt: skip


def _thousands(p5: float, p50: float, p95: float) -> str:
    return f"{p5 / 1e3:,.0f} - {p50 / 1e3:,.0f} - {p95 / 1e3:,.0f}"


def _short(chip: str) -> str:
    """A chip's id as a narrow heading."""
    return chip.removeprefix("ascend_").removeprefix("hygon_").removesuffix("_sxm")


def _table(result: SupplyResult, view: str | None, what: str) -> None:
    import numpy as np

    from wafer2token.supply.drivers import rests_on

    shares, resting = result.binding_share, rests_on(result)
    total, usable = result.quantiles("units.ascend"), result.quantiles("h100e.usable.bf16")
    groups = {name: np.quantile(units, (0.05, 0.5, 0.95), axis=0) for name, units in result.by(view, what).items()} if view else {}
    groups = {name: values for name, values in groups.items() if values[1].max() >= 500}
    rows = []
    for q, label in enumerate(result.quarters):
        order = sorted(shares, key=lambda stage: -float(shares[stage][q]))[: 1 if view else 2]
        row = {"quarter": label}
        row |= {g: f"{v[1][q] / 1e3:,.0f}" for g, v in groups.items()}
        row |= {} if view else {"ascend": _thousands(*total[:, q]), "usable": _thousands(*usable[:, q])}
        row["binds"] = ", ".join(f"{_stage(result, s, q)} {shares[s][q]:.0%}" for s in order if shares[s][q] >= 0.01)
        more = f" +{len(resting[q]) - 1}" if len(resting[q]) > 1 else ""
        row["assumed"] = resting[q][0] + more if resting[q] else "-"
        rows.append(row)
    columns = {"quarter": "quarter"} | ({g: _short(g) for g in groups} or {"ascend": "Ascend [k]", "usable": "usable [k H100e]"})
    columns |= {"binds": "what binds", "assumed": "rests on assumed"}
    label = {"units": "delivered", "fleet": "in service", "h100e": "in service, in H100s (bf16),"}[what]
    shown = f"chips {label} by {view}, medians [thousands]" if view else "p5 - p50 - p95"
    emit(rows, columns, f"{result.title} ({result.scenario}): {shown}; {result.nature}",
         note=_yearly(result))  # fmt: skip
    for name, text in result.inputs.changed.items():
        click.echo(f"set: {name} = {text}", err=True)


def _stage(result: SupplyResult, stage: str, q: int) -> str:
    """A stage's name; dies with the tool class that most often held their wafers back, where one does in a twentieth of
    the samples."""
    held = {name: float(share[q]) for name, share in result.dies_held_by.items()}
    worst = max(held, key=lambda name: held[name])
    return f"{stage} ({worst})" if stage == "dies" and held[worst] >= 0.05 else stage


def _yearly(result: SupplyResult) -> str:
    import numpy as np

    parts = [f"{year}: {_thousands(*np.quantile(units, (0.05, 0.5, 0.95)))}" for year, units in result.yearly("units.ascend").items()]
    return "Ascend chips by year [k]  " + "   ".join(parts)


def _views(result: SupplyResult, show: str, target: str, fmt: str | None) -> None:
    from wafer2token.cli import supply_views

    rows, columns, title, note = supply_views.view(result, show, target)
    emit(rows if fmt else [supply_views.shown(row) for row in rows], columns, f"{result.title}: {title}", fmt, note=note)


def _studies(show: str, about: str, scenario: str | None, overrides: dict[str, Any], samples: int, seed: int, until: str,
             fmt: str | None) -> None:  # fmt: skip
    from wafer2token.cli import supply_views

    with progress(60, show) as step:
        rows, columns, title, note = (
            supply_views.sobol(scenario, overrides, samples, seed, until, step)
            if show == "sobol"
            else supply_views.claimants(about, scenario, overrides, samples, seed, until)
        )
    emit(rows if fmt else [supply_views.shown(row) for row in rows], columns, title, fmt, note=note)


def _suppliers(lose: str, fmt: str | None) -> None:
    from wafer2token.cli import supply_views

    rows, columns, title, note, document = supply_views.suppliers([name.strip() for name in lose.split(",") if name.strip()])
    emit(rows if fmt else [supply_views.shown(row) for row in rows], columns, title, fmt, document=document, note=note)
