"""Scenarios: which questions to ask, and dated overrides on dotted names. A TOML, YAML or JSON file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wafer2token import catalog
from wafer2token.catalog.reading import KeyLines, load_toml
from wafer2token.evidence.errors import InputError, Problem, nearest
from wafer2token.evidence.number import Number
from wafer2token.evidence.units import parse_quantity
from wafer2token.supply.inputs import read_changes

_QUARTER = r"^(19|20)\d\d(Q[1-4]|-[01]\d)$"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fleet(_Part):
    """Where a model is trained: ``chips`` of a system or chip."""

    on: str
    chips: int = Field(gt=0)
    plan: str = ""
    dtype: str = "bf16"


class Training(_Part):
    """A training run to plan on several fleets."""

    model: str
    tokens: str
    fleets: tuple[Fleet, ...] = Field(min_length=1)


class Service(_Part):
    """A model to serve on several systems at one latency."""

    model: str
    isl: int = Field(gt=0)
    osl: int = Field(gt=1)
    tpot: str
    on: tuple[str, ...] = Field(min_length=1)


class Supply(_Part):
    """The supply run: which of the bundled supply scenarios, and until which quarter."""

    scenario: str = "actual"
    until: str = Field("2028Q4", pattern=_QUARTER)

    life: str = "quantity.hardware_life.value"


class Scenario(_Part):
    """Everything that ``w2t run`` computes. ``settings`` override numbers of cards by dotted name, optionally by date."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str = ""
    seed: int = Field(0, ge=0)
    samples: int = Field(2000, ge=10, le=1_000_000)
    supply: Supply | None = None
    compare: tuple[tuple[str, str], ...] = ()
    training: tuple[Training, ...] = ()
    serving: tuple[Service, ...] = ()
    claims: tuple[str, ...] | Literal["flagship", "none"] = "flagship"
    settings: Mapping[str, Any] = Field(default_factory=dict, alias="set")


def default_path() -> Path:
    """The bundled default scenario."""
    return Path(str(resources.files("wafer2token.study") / "scenarios" / "default.toml"))


def read(path: str | Path | None = None, settings: tuple[str, ...] = (), **changes: Any) -> Scenario:
    """A scenario file, with ``--set`` lines and other changes laid over it.

    Args:
        path: TOML, YAML or JSON file; None for the bundled default.
        settings: lines ``dotted.name=value`` or ``dotted.name=value@2026-07``.
        changes: fields to replace, None meaning unchanged.

    Raises:
        InputError: every problem of the file and the settings at once.
    """
    file = Path(path) if path is not None else default_path()
    text, raw = _load(file)
    raw |= {k: v for k, v in changes.items() if v is not None}
    problems: list[Problem] = []
    merged = dict(raw.get("set", {})) if isinstance(raw.get("set", {}), dict) else raw["set"]
    for line in settings:
        try:
            name, at, value = parse_setting(line)
        except InputError as error:
            problems += error.problems
            continue
        merged[f"{name}@{at}" if at else name] = value
    lines = KeyLines(text)
    try:
        scenario = Scenario.model_validate({**raw, "set": merged})
    except ValidationError as error:
        for item in error.errors():
            problems.append(_problem(item, file.name, lines))
        raise InputError(problems) from None
    problems += check(scenario, file.name, lines)
    if problems:
        raise InputError(problems)
    return scenario


def parse_setting(line: str) -> tuple[str, str, str]:
    """``"a.b=3 W@2026-07"`` or ``"a.b@2026-07=3 W"`` -> ("a.b", "2026-07", "3 W")."""
    match = re.match(r"^\s*([^=@\s]+)\s*(?:@\s*(\S+?))?\s*=\s*(.*?)\s*(?:@\s*([0-9][0-9Q-]*))?\s*$", line)
    if not match or not match.group(3):
        raise InputError(Problem("not a setting", "--set", line, "dotted.name=value or dotted.name=value@2026-07"))
    return match.group(1), match.group(2) or match.group(4) or "", match.group(3)


def _load(file: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(f"cannot read the scenario: {error}", str(file))) from None
    suffix = file.suffix.lower()
    if suffix == ".json":
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(
                Problem(f"broken JSON: {error.msg}", f"{file.name}:{error.lineno}:{error.colno}")
            ) from None
    elif suffix in (".yaml", ".yml"):
        raw = _yaml(text, file.name)
    else:
        raw = load_toml(text, file.name)
    if not isinstance(raw, dict):
        raise InputError(Problem("a scenario is a table of keys", file.name, type(raw).__name__))
    return text, raw


def _yaml(text: str, where: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(Problem(f"broken YAML: {error}", where)) from None


def _problem(item: Any, where: str, lines: KeyLines) -> Problem:
    location = tuple(item["loc"])
    place = f"{where}:{lines.at(location)} $" + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in location)
    if item["type"] == "extra_forbidden":
        models: dict[str, type[BaseModel]] = {"training": Training, "serving": Service, "supply": Supply}
        part = (
            Fleet
            if "fleets" in location[:-1]
            else models.get(str(location[0]), Scenario)
            if len(location) > 1
            else Scenario
        )
        known = [f.alias or n for n, f in part.model_fields.items()]
        close = nearest(str(location[-1]), known, n=1)
        return Problem(
            "unknown key",
            place,
            location[-1],
            remedy=f'did you mean "{close[0]}"?' if close else f"known: {', '.join(known)}",
        )
    return Problem(
        item["msg"][0].lower() + item["msg"][1:], place, None if item["type"] == "missing" else item["input"]
    )


def check(scenario: Scenario, where: str, lines: KeyLines) -> list[Problem]:
    """What is wrong with a well-formed scenario: unknown ids, wrong units, settings that contradict one another."""
    problems: list[Problem] = []

    def collect(location: tuple[str | int, ...], action: Any) -> None:
        place = f"{where}:{lines.at(location)} $" + "".join(
            f"[{s}]" if isinstance(s, int) else f".{s}" for s in location
        )
        try:
            action()
        except InputError as error:
            problems.extend(Problem(p.what, place, p.got, p.allowed, p.remedy) for p in error.problems)

    for i, pair in enumerate(scenario.compare):
        for name in pair:
            collect(("compare", i), lambda name=name: entity(name))
        if pair[0] == pair[1]:
            problems.append(
                Problem(
                    "a comparison of a thing with itself", f"{where}:{lines.at(('compare', i))} $.compare[{i}]", pair[0]
                )
            )
    for i, training in enumerate(scenario.training):
        collect(("training", i, "model"), lambda t=training: catalog.get("model", t.model))
        collect(("training", i, "tokens"), lambda t=training: positive(t.tokens, "token"))
        for j, fleet in enumerate(training.fleets):
            collect(("training", i, "fleets", j), lambda f=fleet: entity(f.on))
    for i, service in enumerate(scenario.serving):
        collect(("serving", i, "model"), lambda s=service: catalog.get("model", s.model))
        collect(("serving", i, "tpot"), lambda s=service: positive(s.tpot, "s"))
        for name in service.on:
            collect(("serving", i, "on"), lambda name=name: entity(name))
    if not isinstance(scenario.claims, str):
        for name in scenario.claims:
            collect(("claims",), lambda name=name: catalog.get("claim", name))
    for key, value in scenario.settings.items():
        if key.startswith("supply."):
            collect(("set", key), lambda key=key, value=value: read_changes({key: value}))
        else:
            collect(("set", key), lambda key=key, value=value: override(key, value, scenario.name))
    problems += _contradictions(scenario, where, lines)
    return problems


def _contradictions(scenario: Scenario, where: str, lines: KeyLines) -> list[Problem]:
    seen: dict[str, str] = {}
    out = []
    for key in scenario.settings:
        canonical = re.sub(r"\s+", "", key)
        if canonical in seen:
            out.append(
                Problem("set twice", f"{where}:{lines.at(('set', key))} $.set", key, remedy="keep one of the two")
            )
        seen[canonical] = key
    return out


def entity(name: str) -> tuple[str, Any]:
    """("system", card) or ("chip", card) of a name; a system's name wins over a chip's."""
    for kind in ("system", "chip"):
        try:
            return kind, catalog.get(kind, name)
        except InputError:
            continue
    names = sorted({*catalog.ids("chip"), *catalog.ids("system")})
    close = nearest(
        name, [*names, *(a for k in ("chip", "system") for c in catalog.all_cards(k).values() for a in c.aliases)]
    )
    hint = f"did you mean {', '.join(close)}?" if close else "w2t list chip and w2t list system show all"
    raise InputError(Problem("unknown chip or system", got=name, remedy=hint))


def positive(text: str, unit: str) -> float:
    """A quantity above zero."""
    value = parse_quantity(text, unit)
    if value <= 0:
        raise InputError(Problem("must be above zero", got=text))
    return value


def override(key: str, value: Any, by: str) -> tuple[str, Number]:
    """One setting as (dotted name, number).

    The value is a quantity, a table of number keys, or for a contested number a claimant's name or weights by
    claimant (``{weights = {"IDC" = 0.7, "FT" = 0.3}}``). Only inputs of the supply model move in time; a date on any
    other name is refused.
    """
    name, _, at = (part.strip() for part in key.partition("@"))
    known = catalog.number(name)
    if at:
        raise InputError(
            Problem("this number holds for all time, so it cannot change at a date", got=key, remedy=f"leave out @{at}")
        )
    if isinstance(value, Mapping) and set(value) == {"weights"}:
        return name, known.weighted(value["weights"])
    if isinstance(value, str) and value in {c.by for c in known.claims}:
        return name, known.weighted({value: 1.0})
    if isinstance(value, Mapping):
        return name, Number.parse({"grade": "assumed", "source": [f"scenario:{by}"], **value}, known.unit)
    return name, known.replaced(parse_quantity(value, known.unit), f"scenario:{by}")


def overrides(scenario: Scenario) -> dict[str, Number]:
    """The settings that change cards: dotted name -> number. Those of the supply model, which know dates, are its own."""
    named = (
        override(key, value, scenario.name) for key, value in scenario.settings.items() if not key.startswith("supply.")
    )
    return dict(named)
