"""The other views of a supply run as rows, headings, a title and a note."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wafer2token.supply import SupplyResult

Rows = list[dict[str, Any]]
View = tuple[Rows, dict[str, str], str, str]
LEVELS = (0.05, 0.5, 0.95)


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row as people read it: thousands for counts, three digits for shares, lists as text."""
    return {key: _cell(value) for key, value in row.items()}


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        if value != value:
            return None
        if abs(value) >= 1e4:
            return f"{value / 1e3:,.0f} k"
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


ASSUMED = {"assumed_text": "rests on assumed"}


def resting(names: Any) -> dict[str, Any]:
    """The assumed inputs behind a line: all of them, and the strongest with the number of the others for a table."""
    found = list(names)
    more = f" +{len(found) - 1}" if len(found) > 1 else ""
    return {"assumed": found, "assumed_text": found[0] + more if found else "-"}


def view(result: SupplyResult, show: str, target: str) -> View:
    """One of the views that need a finished run; most of them count by whole years."""
    if show not in ("worth", "shadow", "cost", "tools", "posterior"):
        require_year(result.yearly("units.ascend"), result.quarters[-1])
    if show == "way-round":
        return way_round(result, target)
    views: dict[str, Callable[[SupplyResult], View]] = {
        "drivers": drivers, "backtest": backtest, "posterior": posterior, "worth": worth, "shadow": shadow,
        "knock-outs": knock_outs, "flows": flows, "cost": cost, "tools": tools,
    }  # fmt: skip
    return views[show](result)


def require_year(years: Any, until: str) -> None:
    """Refuses a view by year of a run that covers none."""
    from wafer2token.evidence.errors import InputError, Problem

    if not years:
        raise InputError(Problem("the run covers no whole calendar year", "--until", until, remedy="end it at 2024Q4 or later"))


def drivers(result: SupplyResult) -> View:
    """What moves the Ascend chips of each year, by rank correlation."""
    from wafer2token.supply.drivers import drivers_of

    rows = [
        {"year": year, "input": d.name, "rho": round(d.correlation, 2), "grade": d.grade, "low": d.low, "high": d.high}
        for year, units in result.yearly("units.ascend").items()
        for d in drivers_of(result, units, result.timeline.year(year).stop - 1, 6)
    ]
    columns = {"year": "year", "input": "input", "rho": "rank correlation", "grade": "grade", "low": "in its lowest tenth",
               "high": "in its highest tenth"}  # fmt: skip
    return rows, columns, "what moves the Ascend chips of a year", ""


def backtest(result: SupplyResult) -> View:
    """Every published statement against the run."""
    from wafer2token.supply.backtest import backtest as score
    from wafer2token.supply.backtest import behind, observations, usable

    found, cards = usable(), {card.id: card for card in observations()}
    rows: Rows = [
        {"by": s.by, "statement": s.statement, "measures": s.measures, "when": s.when, "said": s.value, "p5": s.p5, "p50": s.p50,
         "p95": s.p95, "quantile": round(s.quantile, 2), "crps": s.crps, "id": s.id, "note": s.note,
         "weighs": "yes" if s.id in found else "", **resting(behind(result, cards[s.id]))}
        for s in score(result)
    ]  # fmt: skip
    for row in rows:
        if row["measures"].startswith("date."):
            row |= {key: f"{row[key]:.2f}" for key in ("said", "p5", "p50", "p95")}
    columns = {"by": "by", "statement": "is a", "measures": "of", "when": "when", "said": "said", "p50": "model p50",
               "quantile": "quantile", "crps": "CRPS", "weighs": "used", **ASSUMED}  # fmt: skip
    note = f"quantile: share of the run's samples at or below what was said. Used by --given, since they have a likelihood: {', '.join(found)}"
    return rows, columns, "published statements, one by one", note


def by_year(result: SupplyResult) -> dict[int, tuple[str, ...]]:
    """The assumed inputs that move the Ascend chips of each year."""
    from wafer2token.supply.drivers import assumed_behind

    return {year: assumed_behind(result, units, result.timeline.year(year).stop - 1) for year, units in result.yearly("units.ascend").items()}


def posterior(result: SupplyResult) -> View:
    """What each observation with a likelihood does to the yearly chips."""
    from wafer2token.supply.backtest import posterior as weigh

    found, assumed = weigh(result), by_year(result)
    rows: Rows = [
        {"observation": e.observation, "year": e.year, "prior": list(e.prior), "posterior": list(e.posterior),
         "samples": round(e.effective_samples), **resting(assumed[e.year])}
        for e in found.effects
    ]  # fmt: skip
    for row in rows:
        row |= {f"{k}_text": " - ".join(f"{x / 1e3:,.0f}" for x in row[k]) for k in ("prior", "posterior")}
    columns = {"observation": "given", "year": "year", "prior_text": "prior [k]", "posterior_text": "posterior [k]",
               "samples": "effective samples", **ASSUMED}  # fmt: skip
    moved = ", ".join(f"{name} {shift:+.2f}" for name, shift in found.moved[:5])
    return rows, columns, f"posterior of Ascend chips given {len(found.used)} observations", f"inputs moved (mean rank): {moved}"


def worth(result: SupplyResult) -> View:
    """Chips that one more unit of each lever adds."""
    from wafer2token.supply.worth import worth as levers

    rows: Rows = [
        {"lever": w.lever, "unit": f"one {w.unit}", "mean": w.mean, "p5": w.p5, "p50": w.p50, "p95": w.p95, "helps": round(w.helps, 2),
         **resting(w.assumed)}
        for w in levers(result)
    ]  # fmt: skip
    columns = {"lever": "lever", "unit": "one more", "mean": "mean", "p5": "p5", "p50": "p50", "p95": "p95", "helps": "helps in", **ASSUMED}
    note = "below 0: more dies go to the 950, which comes first and takes the stacks of two single-die chips"
    return rows, columns, f"Ascend chips gained by {result.quarters[-1]}, common random numbers", note


def shadow(result: SupplyResult) -> View:
    """Duals of the programme that makes the most chips, by quarter."""
    from wafer2token.supply.drivers import assumed_behind
    from wafer2token.supply.wayround import shadow_prices

    found = shadow_prices(result)
    rows: Rows = [
        {"quarter": label} | {s: float(getattr(found, s)[:, q].mean()) for s in ("dies", "stacks", "assembly")}
        | resting(assumed_behind(result, found.dies[:, q] + found.stacks[:, q] + found.assembly[:, q], q))
        for q, label in enumerate(result.quarters)
    ]
    columns = {"quarter": "quarter", "dies": "a die", "stacks": "a stack", "assembly": "a package start", **ASSUMED}
    return rows, columns, "chips that one more is worth (910C equivalents, mean of 200 samples)", "with foresight of the whole run"


def knock_outs(result: SupplyResult) -> View:
    """What survives when something is taken away."""
    from wafer2token.supply.worth import knock_outs as losses

    rows: Rows = [
        {"title": k.title, "year": k.year, "p5": round(k.left[0], 2), "p50": round(k.left[1], 2), "p95": round(k.left[2], 2),
         "below": k.quarters_below_half, "first": k.first_below_half,
         **resting(k.assumed)}
        for k in losses(result)
    ]  # fmt: skip
    columns = {"title": "without", "year": "year", "p5": "p5", "p50": "p50", "p95": "p95", "below": "quarters below half",
               "first": "first", **ASSUMED}  # fmt: skip
    return rows, columns, "share of the Ascend chips that survives", ""


def flows(result: SupplyResult) -> View:
    """Where dies and stacks of each year went."""
    from wafer2token.supply.flows import silicon, stacks

    rows: Rows = [
        {"year": year, "from": link.source, "to": link.target, "value": link.value, "unit": link.unit, **resting(names)}
        for year, names in by_year(result).items()
        for link in (*silicon(result, year), *stacks(result, year))
    ]
    return rows, {"year": "year", "from": "from", "to": "to", "value": "mean", "unit": "unit", **ASSUMED}, "flows of the year", ""


def tools(result: SupplyResult) -> View:
    """The tool classes beside the claimed wafers: what the scanners carry, what is made, which class holds it back."""
    import numpy as np

    from wafer2token.supply.drivers import assumed_behind
    from wafer2token.supply.tools import CLASSES, lithography_ceiling

    found, limits, history = lithography_ceiling(result.inputs), result.limits, result.timeline.history
    rows: Rows = []
    for q, label in enumerate(result.quarters):
        row: dict[str, Any] = {"quarter": label, "over": float(found.over[q]), "binds": float(limits.binds[:, history + q].mean())}
        for name in ("scanners", "carried", "claimed", "share_needed"):
            values = np.quantile(getattr(found, name)[:, q], LEVELS)
            row |= {f"{name}_p{p}": float(v) for p, v in zip((5, 50, 95), values, strict=True)}
            row[name] = " - ".join(f"{v:,.0f}" if name == "scanners" else f"{v / 1e3:,.0f}" for v in values)
        made = np.quantile(limits.made[:, history + q], (0.05, 0.5))
        shares = {name: float(limits.share(name)[history + q]) for name in CLASSES}
        row |= {"made_p5": float(made[0]), "made_p50": float(made[1]), "made": f"{made[0]:.0%} - {made[1]:.0%}"}
        row |= {f"held.{name}": share for name, share in shares.items()}
        row |= {f"tools.{name}_p50": float(np.median(limits.tools[name][:, history + q])) for name in CLASSES}
        worst = max(shares, key=lambda name: shares[name])
        row |= resting(assumed_behind(result, found.share_needed[:, q], q))
        row["held"] = f"{worst} {shares[worst]:.0%}" if shares[worst] >= 0.005 else "-"
        rows.append(row)
    columns = {"quarter": "quarter", "scanners": "scanners", "carried": "carry [k/month]", "claimed": "claimed [k/month]",
               "made": "made of it", "held": "held back by", **ASSUMED}  # fmt: skip
    note = ("p5 - p50 - p95, made p5 - p50 of the wafers claimed; only immersion scanners have a public count, their share on 7 nm, "
            "the headroom of the other classes and ageing are assumed")  # fmt: skip
    return rows, columns, "tools and the wafers they carry", note


def cost(result: SupplyResult) -> View:
    """A wafer, a good die and a 910C without and with EUV."""
    import numpy as np

    from wafer2token.supply.cost import compare_euv
    from wafer2token.supply.drivers import assumed_behind

    without, with_euv = compare_euv(result.inputs)
    fields = {"immersion": ("immersion exposures", "1/wafer", 1.0), "euv": ("EUV exposures", "1/wafer", 1.0),
              "exposure_capital": ("capital of one exposure", "USD", 1.0),
              "scanner_capital": ("scanner capital", "USD/wafer", 1.0), "wafer_price": ("wafer price", "USD", 1.0),
              "cycle_time": ("cycle time", "day", 1 / 86400.0), "usable": ("usable 910B dies", "share", 1.0),
              "good_die": ("good 910B die", "USD", 1.0), "package_910c": ("good 910C package", "USD", 1.0)}  # fmt: skip
    rows: Rows = []
    for field, (what, unit, scale) in fields.items():
        row: dict[str, Any] = {"what": what, "unit": unit}
        pair = getattr(without, field) * scale, getattr(with_euv, field) * scale
        for name, values in (("without", pair[0]), ("with", pair[1]), ("ratio", pair[1] / np.where(pair[0] > 0, pair[0], np.nan))):
            row |= dict(zip((f"{name}_p5", f"{name}_p50", f"{name}_p95"), map(float, np.quantile(values, LEVELS)), strict=True))
        rows.append(row | resting(assumed_behind(result, pair[1])))
    columns = {"what": "of a 7 nm wafer", "unit": "unit", "without_p5": "p5", "without_p50": "without EUV", "without_p95": "p95",
               "with_p5": "p5", "with_p50": "with EUV", "with_p95": "p95", "ratio_p50": "ratio", **ASSUMED}  # fmt: skip
    return rows, columns, f"cost at the yield of {result.quarters[-1]}", "same node, the passes that EUV saves; board, host and design left out"


def way_round(result: SupplyResult, target: str) -> View:
    """The cheapest purchases that reach a target in a year."""
    import re

    import numpy as np

    from wafer2token.evidence.errors import InputError, Problem
    from wafer2token.supply.wayround import LEVERS, UNITS
    from wafer2token.supply.wayround import way_round as cheapest

    match = re.fullmatch(r"\s*(\d{4})\s*=\s*([\d_,.]+(?:e\d+)?)\s*", target)
    if not match:
        raise InputError(Problem("not a target", "--target", target, "YEAR=CHIPS, such as 2027=1200000"))
    year, chips = int(match.group(1)), float(match.group(2).replace(",", "").replace("_", ""))
    found = cheapest(result, year, chips)
    names = {"wafers": "wafers moved from phones", "stacks": "stacks at a premium", "assembly": "package capacity bought",
             "chips": "B200 at a premium"}  # fmt: skip
    rests = {"stacks": ("grey_stacks", "grey_premium"), "assembly": ("assembly_capex", "assembly_lead"), "chips": ("grey_chips",)}
    year_rests = by_year(result)[year]
    rows: Rows = [
        {"buy": names[lever], "unit": UNITS[lever]} | resting((*rests.get(lever, ()), *year_rests)) | dict(zip(("p5", "p50", "p95"), map(float, np.quantile(found.total(lever), LEVELS)), strict=True))
        for lever in LEVERS
    ]
    for name, values, unit in (("cost", found.cost / 1e6, "million USD"), ("price of the last chip", found.marginal, "USD")):
        rows.append({"buy": name, "unit": unit} | resting((*(n for r in rests.values() for n in r), *year_rests)) | dict(zip(("p5", "p50", "p95"), map(float, np.quantile(values, LEVELS)), strict=True)))
    columns = {"buy": "buy", "unit": "unit", "p5": "p5", "p50": "p50", "p95": "p95", **ASSUMED}
    note = f"{found.share:.0%} of samples can reach it; prices and limits of the grey market are assumed"
    return rows, columns, f"least cost to {chips:,.0f} chips (910C equivalents) in {year}", note


def sobol(scenario: str | None, overrides: dict[str, Any], samples: int, seed: int, until: str, step: Callable[[str], None]) -> View:
    """Sobol indices of the Ascend chips of the run's last whole year."""
    from wafer2token.supply.sensitivity import supply_sobol
    from wafer2token.supply.timeline import Timeline

    year = Timeline.until(until).years[-1]
    found = supply_sobol(year=year, scenario=scenario, overrides=overrides, samples=samples, seed=seed, progress=step)
    rows: Rows = [
        {"input": s.name, "grade": s.grade, "first": round(s.first, 3), "first_error": round(s.first_error, 3),
         "total": round(s.total, 3), "total_error": round(s.total_error, 3)}
        for s in found if s.total > 0.005
    ]  # fmt: skip
    columns = {"input": "input", "grade": "grade", "first": "alone", "first_error": "+-", "total": "with others", "total_error": "+-"}
    return rows, columns, f"Sobol indices of the Ascend chips of {year}", "share of variance; standard errors by bootstrap"


def claimants(about: str, scenario: str | None, overrides: dict[str, Any], samples: int, seed: int, until: str) -> View:
    """Ascend chips by year under each claimant of an input."""
    from wafer2token.supply import supply
    from wafer2token.supply.inputs import short
    from wafer2token.supply.sensitivity import by_claimant

    found = by_claimant(short(about), scenario=scenario, overrides=overrides, samples=samples, seed=seed, until=until)
    require_year(next(iter(found.values())), until)
    assumed = by_year(supply(scenario, overrides, samples, seed, until))
    rows: Rows = [
        {"by": by or "(not contested)", "year": year, "p5": p5, "p50": p50, "p95": p95, **resting(assumed[year])}
        for by, years in found.items()
        for year, (p5, p50, p95) in years.items()
    ]
    return rows, {"by": about, "year": "year", "p5": "p5", "p50": "p50", "p95": "p95", **ASSUMED}, "Ascend chips under each claimant alone", ""


def suppliers(lose: list[str]) -> tuple[Rows, dict[str, str], str, str, dict[str, Any]]:
    """Steps and suppliers, what a loss stops, and the smallest losses that stop production."""
    import numpy as np

    from wafer2token.supply.dependency import Network

    network = Network()
    loss = network.lose(lose)
    rows: Rows = [row | {"stops": "stops" if row["step"] in loss.stopped else ""} for row in network.table()]
    columns = {"step": "step", "countries": "in use from", "blocked": "blocked", "unproven": "unproven", "grade": "grade",
               "stops": f"without {', '.join(lose)}"}  # fmt: skip
    years = np.array([1.0, 3.0, 5.0, 10.0])
    chance = network.restored(lose, years)
    cuts = {by: [sorted(cut) for cut in network.cut_sets(by, keep)] for by, keep in (("country", ["CN"]), ("supplier", []))}
    again = ", ".join(f"{year:.0f} y {p:.0%}" for year, p in zip(years, chance, strict=True))
    note = (
        f"Without {', '.join(lose)}: chips {'still come' if loss.chips else 'stop'}; they come (again) after {again} (times of substitution are assumed).\n"
        f"Smallest losses outside China that stop production: {'; '.join(' + '.join(c) for c in cuts['country'])}"
    )
    document = {"steps": rows, "lost": list(loss.lost), "stopped": list(loss.stopped), "chips": loss.chips,
                "restored": dict(zip(years.tolist(), chance.tolist(), strict=True)), "cut_sets": cuts, "graph": network.to_dict()}  # fmt: skip
    return rows, columns, "Steps, suppliers and what a loss stops", note, document
