"""Supply scenarios: a title, a question, and dated overrides on the names of inputs. One TOML file each."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wafer2token.catalog.reading import KeyLines, load_toml
from wafer2token.evidence.errors import InputError, Problem, unknown
from wafer2token.supply.inputs import Inputs, read_changes

ACTUAL = "actual"
NOT_SHARES = ("clustering", "pue", "yield_factor")


class Scenario(BaseModel):
    """What a scenario file says. ``settings`` (key ``set``) are overrides by `name` or `name@date`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    title: str
    question: str = ""
    note: str = ""
    settings: Mapping[str, Any] = Field(default_factory=dict, alias="set")


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
    lag = inputs.one("output_lag")
    if fixed("output_lag") and float(lag.max()) > (inputs.timeline.history - 1) * 7889400.0:
        report("the lag is longer than the history the model holds", ("output_lag",), float(lag.max()) / 7889400.0,
               f"at most {inputs.timeline.history - 1} quarters", "shorten it")  # fmt: skip
    if problems:
        raise InputError(problems)
