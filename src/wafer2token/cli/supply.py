"""``w2t supply``: chips by quarter from wafers, dies, HBM and packaging, and what binds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wafer2token.cli.output import emit, emit_json, formats, progress

if TYPE_CHECKING:
    from wafer2token.supply import SupplyResult

STEPS = 4


@click.command(name="supply")
@click.option("--scenario", help="A bundled scenario (see --list) or a TOML file; history as it went if left out.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE[@DATE]", help="Set an input, always or from a date.")
@click.option("--until", default="2028Q4", show_default=True, help="Last quarter: 2028Q4, 2028-12 or 2028.")
@click.option("--by", "view", type=click.Choice(["owner", "chip", "pathway"]), help="Break deliveries down.")
@click.option("--samples", default=4000, show_default=True, help="Number of samples.")
@click.option("--seed", default=0, show_default=True, help="Seed; the same seed gives the same bytes.")
@click.option("--drivers", is_flag=True, help="What moves each year's Ascend units, by rank correlation.")
@click.option("--list", "list_only", is_flag=True, help="The bundled scenarios and the inputs that --set knows.")
@formats
def command(scenario: str | None, settings: tuple[str, ...], until: str, view: str | None, samples: int, seed: int,
            drivers: bool, list_only: bool, fmt: str | None) -> None:  # fmt: skip
    """Chips by quarter from wafers, dies, HBM and packaging; the stage that binds; what the answer rests on.

    \b
      w2t supply
      w2t supply --scenario hbm_gone --by pathway
      w2t supply --set "smic_wafers=60000 wafer/month@2026-07" --set reported_yield=FT --until 2027Q4
    """
    if list_only:
        _list(fmt)
        return
    from wafer2token.supply import supply

    with progress(STEPS, "supply") as step:
        result = supply(scenario, overrides=_overrides(settings), samples=samples, seed=seed, until=until, progress=step)
    if drivers:
        _drivers(result, fmt)
    elif fmt == "json":
        emit_json(result.to_dict() | {"by": view, "rows": result.rows(view or "owner")})
    elif fmt == "csv":
        rows = result.rows(view or "owner")
        emit(rows, list(rows[0]), fmt=fmt)
    else:
        _table(result, view)


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
        {"name": c.id, "unit": c.unit, "stage": c.stage, "what": c.name, "grade": c.value.grade, "at a date": "yes" if c.timed else "no",
         "claimants": ", ".join(claim.by for claim in c.value.claims)}
        for c in cards
    ]  # fmt: skip
    if fmt == "json":
        emit_json({"scenarios": found, "inputs": inputs})
        return
    emit(found, {"name": "scenario", "question": "question"}, fmt=fmt)
    emit(inputs, {"name": "input", "unit": "unit", "grade": "grade", "at a date": "at a date", "what": "what"}, fmt=fmt,
         note="A contested input also takes a claimant's name, or weights such as 'FT:0.7, CSIS:0.3'.")  # fmt: skip


def _thousands(p5: float, p50: float, p95: float) -> str:
    return f"{p5 / 1e3:,.0f} - {p50 / 1e3:,.0f} - {p95 / 1e3:,.0f}"


def _table(result: SupplyResult, view: str | None) -> None:
    import numpy as np

    from wafer2token.supply.drivers import rests_on

    levels = (0.05, 0.5, 0.95)
    shares, resting = result.binding_share, rests_on(result)
    total, usable = result.quantiles("units.ascend"), result.quantiles("h100e.usable.bf16")
    groups = {name: np.quantile(units, levels, axis=0) for name, units in result.by(view).items()} if view else {}
    groups = {name: values for name, values in groups.items() if values[1].max() >= 500}
    wide = len(groups) > 3
    rows = []
    for q, label in enumerate(result.quarters):
        order = sorted(shares, key=lambda stage: -float(shares[stage][q]))[:2]
        row = {"quarter": label}
        if view:
            row |= {g: f"{v[1][q] / 1e3:,.0f}" if wide else _thousands(*v[:, q]) for g, v in groups.items()}
        else:
            row |= {"ascend": _thousands(*total[:, q]), "usable": _thousands(*usable[:, q])}
        row["binds"] = ", ".join(f"{s} {shares[s][q]:.0%}" for s in order if shares[s][q] >= 0.005)
        row["assumed"] = ", ".join(resting[q][:2]) or "-"
        rows.append(row)
    columns = {"quarter": "quarter"} | ({g: g for g in groups} if view else {"ascend": "Ascend chips [k]", "usable": "usable [k H100e]"})
    columns |= {"binds": "what binds", "assumed": "rests on assumed"}
    what = f"chips delivered by {view} [thousands]" if view else "p5 - p50 - p95"
    emit(rows, columns, f"{result.title} ({result.scenario}): {what}, a prior predictive of {result.samples:,} samples",
         note=_yearly(result))  # fmt: skip
    for name, text in result.inputs.changed.items():
        click.echo(f"set: {name} = {text}", err=True)


def _yearly(result: SupplyResult) -> str:
    import numpy as np

    parts = [f"{year}: {_thousands(*np.quantile(units, (0.05, 0.5, 0.95)))}" for year, units in result.yearly("units.ascend").items()]
    return "Ascend chips by year [k]  " + "   ".join(parts)


def _drivers(result: SupplyResult, fmt: str | None) -> None:
    from wafer2token.supply.drivers import drivers_of

    rows = [
        {"year": year, "input": d.name, "rank correlation": round(d.correlation, 2), "grade": d.grade,
         "in its lowest tenth": _k(d.low, fmt), "in its highest tenth": _k(d.high, fmt)}
        for year, units in result.yearly("units.ascend").items()
        for d in drivers_of(result, units, result.timeline.year(year).stop - 1, 6)
    ]  # fmt: skip
    emit(rows, list(rows[0]) if rows else ["year"], f"{result.title}: what moves the Ascend chips of a year", fmt)


def _k(units: float, fmt: str | None) -> float | str:
    return units if fmt in ("csv", "json") else f"{units / 1e3:,.0f} k"
