"""Supply scenarios: a title, a question, and dated overrides on the names of inputs. One TOML file each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wafer2token.catalog.reading import KeyLines, load_toml
from wafer2token.evidence.errors import InputError, Problem, unknown
from wafer2token.evidence.units import parse_quantity
from wafer2token.supply.inputs import Inputs, read_changes

if TYPE_CHECKING:
    from wafer2token.supply.result import SupplyResult

ACTUAL = "actual"
NOT_SHARES = ("clustering", "pue", "yield_factor", "plan_slip")


class Scenario(BaseModel):
    """What a scenario file says. ``settings`` (key ``set``) are overrides by `name` or `name@date`; ``expect`` holds
    yearly results that the scenario claims, by `name@year`, which its dies, stacks and packages must be able to make."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    title: str
    question: str = ""
    note: str = ""
    settings: Mapping[str, Any] = Field(default_factory=dict, alias="set")
    expect: Mapping[str, str] = Field(default_factory=dict)


def scenarios() -> dict[str, Scenario]:
    """The bundled scenarios by name."""
    folder = resources.files("wafer2token.supply") / "data"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    read = [_parse(f.read_text(encoding="utf-8"), f.name) for f in files]
    return {s.name: s for s in read}


def read_scenario(scenario: str | Path | Scenario) -> Scenario:
    """A bundled scenario by name, or a TOML file; every problem of the file at once."""
    if isinstance(scenario, Scenario):
        return scenario
    bundled = scenarios()
    if str(scenario) in bundled:
        return bundled[str(scenario)]
    file = Path(scenario)
    if file.suffix != ".toml":
        raise InputError(unknown("supply scenario", str(scenario), list(bundled)))
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(f"cannot read the scenario: {error}", str(scenario))) from None
    return _parse(text, file.name)


def _parse(text: str, where: str) -> Scenario:
    raw, lines = load_toml(text, where), KeyLines(text)
    problems: list[Problem] = []
    scenario: Scenario | None = None
    try:
        scenario = Scenario.model_validate(raw)
    except ValidationError as error:
        for item in error.errors():
            location = tuple(item["loc"])
            place = f"{where}:{lines.at(location)} $" + "".join(f".{step}" for step in location)
            got = None if item["type"] == "missing" else item["input"]
            problems.append(Problem(item["msg"][0].lower() + item["msg"][1:], place, got))
    for key, value in (raw.get("set") or {}).items():
        if key.startswith("chip."):
            continue
        try:
            read_changes({key: value})
        except InputError as error:
            place = f"{where}:{lines.at(('set', key))} $.set.{key}"
            problems += [Problem(p.what, place, p.got, p.allowed, p.remedy) for p in error.problems]
    if problems or scenario is None:
        raise InputError(problems)
    return scenario


def check(inputs: Inputs, scenario: Scenario) -> None:
    """Refuses inputs that contradict themselves, naming the setting and the remedy; draws that merely collide are
    resolved by the model (Ascend first), settings that do are not."""
    problems: list[Problem] = []

    def fixed(name: str) -> bool:
        return name in inputs.changed

    def report(what: str, names: tuple[str, ...], got: float, allowed: str, remedy: str) -> None:
        given = ", ".join(f"{n} = {inputs.changed[n]}" for n in names if fixed(n))
        problems.append(Problem(what, f"scenario {scenario.name}: {given}", f"{got:.6g}", allowed, remedy))

    wafer_shares = ("ascend_share", "cambricon_share", "hygon_share")
    if all(fixed(n) for n in wafer_shares) or any(fixed(n) and np.max(inputs.now(n)) > 1 for n in wafer_shares):
        total = float(np.max(sum(inputs.now(n) for n in wafer_shares)))
        if total > 1 + 1e-9:
            report("more wafers are given away than are made", wafer_shares, total, "shares that sum to at most 1", "lower one share")
    for name, card in inputs.cards.items():
        if card.unit == "1" and name not in NOT_SHARES and fixed(name) and float(np.max(inputs.now(name))) > 1 + 1e-9:
            report("a share above 1", (name,), float(np.max(inputs.now(name))), "0 to 1", "write 0.3 or 30 %")
    if (fixed("hbm_rush") or fixed("hbm_foreign")) and np.any(inputs.one("hbm_rush") > inputs.one("hbm_foreign")):
        report("more stacks are rushed in than are sold in all", ("hbm_rush", "hbm_foreign"),
               float(np.max(inputs.one("hbm_rush"))), f"at most hbm_foreign = {float(np.min(inputs.one('hbm_foreign'))):.4g} stack",
               "raise hbm_foreign or lower hbm_rush")  # fmt: skip
    for product in ("910b", "950"):
        names = (f"needed_{product}", f"cores_{product}")
        if any(fixed(n) for n in names) and np.any(inputs.one(names[0]) > inputs.one(names[1])):
            report("more good cores are needed than the die has", names, float(inputs.one(names[0]).max()),
                   f"at most {inputs.one(names[1]).min():.0f}", f"lower {names[0]}")  # fmt: skip
    problems += _too_early(inputs, scenario)
    lag = inputs.one("output_lag")
    if fixed("output_lag") and float(lag.max()) > (inputs.timeline.history - 1) * 7889400.0:
        report("the lag is longer than the history the model holds", ("output_lag",), float(lag.max()) / 7889400.0,
               f"at most {inputs.timeline.history - 1} quarters", "shorten it")  # fmt: skip
    if problems:
        raise InputError(problems)


FIRST_MADE = {
    "domestic_immersion": ("aishengna_immersion", 2026.5, "production began in July 2026"),
    "share_950": ("ascend_950pr", 2025.25, "the 950PR shipped in March 2026, a year after its first wafers"),
}
"""Inputs about a thing, and the decimal year before which none of it was made: id of its card, and why."""


def _too_early(inputs: Inputs, scenario: Scenario) -> list[Problem]:
    """Things that a setting has arrive before they are made."""
    problems = []
    for name, (card, first, why) in FIRST_MADE.items():
        early = inputs.timeline.middles[inputs.timeline.history :] + 0.125 <= first
        if name in inputs.changed and early.any() and float(np.max(inputs.now(name)[:, early])) > 0:
            problems.append(Problem(f"{card} arrives before it is made", f"scenario {scenario.name}: {name} = {inputs.changed[name]}",
                                    allowed=f"from {first:.2f} on: {why} (w2t show {card})",
                                    remedy=f"write {name}@{int(first) + 1} = ..."))  # fmt: skip
    return problems


def check_expected(result: SupplyResult, scenario: Scenario) -> None:
    """Refuses a scenario that claims a yearly result which none of its samples can make, naming what runs out."""
    from wafer2token.supply.ledger import shortfall

    problems = []
    for key, text in scenario.expect.items():
        place = f"scenario {scenario.name}: expect {key} = {text}"
        name, _, year = key.partition("@")
        try:
            yearly = result.yearly(name)
            wanted = parse_quantity(text, result.units_of[name].removesuffix("/quarter"), place)
        except InputError as error:
            problems += [replace(p, where=place) for p in error.problems]
            continue
        if not year.isdigit() or int(year) not in yearly:
            problems.append(Problem("the run does not cover this year", place, year, ", ".join(map(str, yearly))))
        elif (most := float(yearly[int(year)].max())) < wanted:
            problems.append(Problem(f"more {shortfall(result, int(year))} used than exist", place, text,
                                    f"at most {most:,.0f} in any of {result.samples:,} samples",
                                    "lower it, or raise what runs out"))  # fmt: skip
    if problems:
        raise InputError(problems)
