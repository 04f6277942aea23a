"""Scenarios: which questions to ask, and dated overrides on dotted names. A TOML, YAML or JSON file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wafer2token import catalog
from wafer2token.catalog.reading import KeyLines, dotted, line_of, load_toml
from wafer2token.evidence.errors import InputError, Problem, nearest
from wafer2token.evidence.number import Number
from wafer2token.evidence.units import parse_quantity
from wafer2token.supply.inputs import read_changes
from wafer2token.supply.scenario import read_scenario
from wafer2token.supply.timeline import Timeline

_FORMS = {"name": "letters, digits, . _ and -, starting with a letter or digit", "until": "2028Q4 or 2028-12"}
_CLOSE = "close what is open on this line or just before it"
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
    whole = {**raw, "set": merged}
    scenario: Scenario | None = None
    try:
        scenario = Scenario.model_validate(whole)
    except ValidationError as error:
        problems += [_problem(item, file.name, lines) for item in error.errors() if not _follows(item)]
    own = {key for key in merged if key not in raw.get("set", {})} if isinstance(merged, dict) else set()
    problems += check(whole, file.name, lines, own)
    if problems or scenario is None:
        raise InputError(sorted(problems, key=line_of))
    return scenario


def _follows(item: Any) -> bool:
    """Whether a mistake only follows from others inside the same list."""
    return item["type"] == "too_short" and bool(item["input"])


def parse_setting(line: str) -> tuple[str, str, str]:
    """``"a.b=3 W@2026-07"`` or ``"a.b@2026-07=3 W"`` -> ("a.b", "2026-07", "3 W")."""
    match = re.match(r"^\s*([^=@\s]+)\s*(?:@\s*(\S+?))?\s*=\s*(.*?)\s*(?:@\s*([0-9][0-9Q-]*))?\s*$", line)
    if not match or not match.group(3):
        raise InputError(Problem("not a setting", "--set", line, "dotted.name=value or dotted.name=value@2026-07"))
    return match.group(1), match.group(2) or match.group(4) or "", match.group(3)


def _load(file: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(Problem(f"cannot read the scenario: {(error.strerror or str(error)).lower()}", str(file),
                                 remedy="give a TOML, YAML or JSON file, or none for the bundled default")) from None  # fmt: skip
    except UnicodeDecodeError as error:
        raise InputError(Problem(f"cannot read the scenario: not UTF-8 text at byte {error.start}", str(file),
                                 remedy="save it as UTF-8")) from None  # fmt: skip
    suffix = file.suffix.lower()
    if suffix == ".json":
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
            place = f"{file.name}:{error.lineno}:{error.colno}"
            raise InputError(Problem(f"broken JSON: {error.msg.lower()}", place, remedy=_CLOSE)) from None
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
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(Problem(f"broken YAML: {what}", place, remedy=_CLOSE)) from None


def _problem(item: Any, where: str, lines: KeyLines) -> Problem:
    location = tuple(item["loc"])
    place = _place(where, lines, location)
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
    if item["type"] == "missing":
        return Problem("a key is missing", place, remedy=f"add {location[-1]} = ...")
    if item["type"] == "string_pattern_mismatch":
        return Problem("not of the right form", place, item["input"], _FORMS.get(str(location[-1]), ""))
    return Problem(item["msg"][0].lower() + item["msg"][1:], place, item["input"])


def check(raw: Mapping[str, Any], where: str, lines: KeyLines, given: Collection[str] = ()) -> list[Problem]:
    """Unknown ids, wrong units and contradictions in a scenario as read; parts of a wrong form are passed over.

    Args:
        raw: the scenario's tables.
        where, lines: the file and its lines, for messages.
        given: settings that came with ``--set``, not from the file.
    """
    problems: list[Problem] = []

    def collect(location: tuple[str | int, ...], action: Callable[[Any], Any], value: Any) -> None:
        if not isinstance(value, str) and location[0] != "set":
            return
        place = "--set" if location[0] == "set" and location[1] in given else _place(where, lines, location)
        try:
            action(value)
        except InputError as error:
            problems.extend(Problem(p.what, place, p.got, p.allowed, p.remedy) for p in error.problems)

    for i, pair in enumerate(_list(raw, "compare")):
        for name in pair if isinstance(pair, (list, tuple)) else ():
            collect(("compare", i), entity, name)
    for i, training in enumerate(t for t in _list(raw, "training") if isinstance(t, Mapping)):
        collect(("training", i, "model"), lambda m: catalog.get("model", m), training.get("model"))
        collect(("training", i, "tokens"), lambda t: positive(t, "token"), training.get("tokens"))
        for j, fleet in enumerate(f for f in _list(training, "fleets") if isinstance(f, Mapping)):
            collect(("training", i, "fleets", j), entity, fleet.get("on"))
    for i, service in enumerate(s for s in _list(raw, "serving") if isinstance(s, Mapping)):
        collect(("serving", i, "model"), lambda m: catalog.get("model", m), service.get("model"))
        collect(("serving", i, "tpot"), lambda t: positive(t, "s"), service.get("tpot"))
        for name in _list(service, "on"):
            collect(("serving", i, "on"), entity, name)
    if isinstance(supply := raw.get("supply"), Mapping):
        collect(("supply", "scenario"), read_scenario, supply.get("scenario"))
        if isinstance(until := supply.get("until"), str) and re.match(_QUARTER, until):
            collect(("supply", "until"), Timeline.until, until)
    for name in _list(raw, "claims"):
        collect(("claims",), lambda c: catalog.get("claim", c), name)
    for key, value in raw["set"].items() if isinstance(raw.get("set"), Mapping) else ():
        collect(("set", key), partial(_check_setting, key, str(raw.get("name", ""))), value)
    return problems + _contradictions(raw, where, lines, given)


def _check_setting(key: str, by: str, value: Any) -> None:
    if key.startswith("supply."):
        read_changes({key: value})
    else:
        override(key, value, by)


def _list(table: Mapping[str, Any], key: str) -> Sequence[Any]:
    found = table.get(key, ())
    return found if isinstance(found, (list, tuple)) else ()


def _place(where: str, lines: KeyLines, location: tuple[str | int, ...]) -> str:
    return f"{where}:{lines.at(location)} {dotted(location)}"


def _contradictions(raw: Mapping[str, Any], where: str, lines: KeyLines, given: Collection[str]) -> list[Problem]:
    out = [Problem("a comparison of a thing with itself", _place(where, lines, ("compare", i)), pair[0])
           for i, pair in enumerate(_list(raw, "compare")) if isinstance(pair, list) and len(pair) == 2 and pair[0] == pair[1]]  # fmt: skip
    settings = raw["set"] if isinstance(raw.get("set"), Mapping) else {}
    seen: set[str] = set()
    for key in settings:
        place = "--set" if key in given else _place(where, lines, ("set", key))
        canonical = re.sub(r"\s+", "", key)
        if canonical in seen:
            out.append(Problem("set twice", place, key, remedy="keep one of the two"))
        seen.add(canonical)
        if key.startswith("supply.") and not raw.get("supply"):
            remedy = "add a [supply] table, or leave this out"
            out.append(Problem("sets an input of the supply model, which this scenario does not run", place, key, remedy=remedy))
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
    wanted = parse_quantity(value, known.unit)
    if wanted < 0 <= known.low:
        raise InputError(Problem("negative", got=value, allowed="zero or more"))
    return name, known.replaced(wanted, f"scenario:{by}")


def overrides(scenario: Scenario) -> dict[str, Number]:
    """The settings that change cards: dotted name -> number. Those of the supply model, which know dates, are its own."""
    named = (
        override(key, value, scenario.name) for key, value in scenario.settings.items() if not key.startswith("supply.")
    )
    return dict(named)
