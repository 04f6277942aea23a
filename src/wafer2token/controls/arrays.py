"""``permits``: the verdicts of many items on many dates at once, from the same rule text, as NumPy operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wafer2token.catalog.kinds.destination import DestinationCard
from wafer2token.catalog.kinds.rule import Parameter, RuleCard
from wafer2token.catalog.rule_variables import TYPES
from wafer2token.controls import places
from wafer2token.controls.judge import (
    VERDICT_OF_LEVEL,
    VERDICTS,
    Judged,
    apply_replacements,
    join,
    judge,
    missing_defaults,
)
from wafer2token.controls.logic import FALSE, MISSING, OPEN, TRUE, VECTOR
from wafer2token.controls.places import Party, destination, party_values, place_values
from wafer2token.controls.rulebook import (
    AfterHorizon,
    Rulebook,
    View,
    bundled,
    parameter_value,
    rule_dates,
    standing,
)
from wafer2token.controls.ruling import is_home
from wafer2token.evidence.errors import InputError, Problem, unknown

_EPOCH = date(1970, 1, 1).toordinal()
_CODE_OF_LEVEL = np.array([VERDICTS.index(v) for v in VERDICT_OF_LEVEL], np.int8)


@dataclass(frozen=True)
class Permits:
    """Verdicts as codes: ``VERDICTS[code]``; ``floor`` and ``ceiling`` are levels 0 free, 1 exception, 2 licence, 3 denied."""

    code: NDArray[np.int8]
    floor: NDArray[np.int8]
    ceiling: NDArray[np.int8]

    def where(self, verdict: str) -> NDArray[np.bool_]:
        """Where the verdict is this one; InputError for a word that is no verdict."""
        if verdict not in VERDICTS:
            raise InputError(unknown("verdict", verdict, list(VERDICTS)))
        return np.asarray(self.code == VERDICTS.index(verdict))

    @property
    def free(self) -> NDArray[np.bool_]:
        """Where no licence is needed."""
        return self.where("free")

    @property
    def denied(self) -> NDArray[np.bool_]:
        """Where a licence is needed and the policy is denial."""
        return self.where("denied")

    def names(self) -> NDArray[np.str_]:
        """The verdicts as words."""
        return np.asarray(np.array(VERDICTS)[self.code])


def permits(
    metrics: Mapping[str, Any],
    dates: Any,
    *,
    to: str | Any = "CN",
    from_: str = "US",
    party: str | None = None,
    hq: str | None = None,
    category: str = "chip",
    designer_hq: str = "US",
    end_use: str | None = None,
    view: View = "enforced",
    after_horizon: AfterHorizon = "unknown",
    with_unverified: bool = False,
    settle: bool = False,
    thresholds: Mapping[str, Any] | None = None,
    lane: str = "export",
    rules: Rulebook | None = None,
) -> Permits:
    """The verdict codes of every item and date, in the shape to which all inputs broadcast. Not legal advice.

    Args:
        metrics: variables of the rules by name (``tpp``, ``pd``, ``io_gbs``, ``link_gbs``, ``dram_bw_gbs``, ``mbd``,
            ``datacenter`` ...) as values or arrays in the units of the law; nan or None is missing. A truth may be an
            array of bool, or of floats with nan for "not known".
        dates: a date, ISO text, or an array of datetime64.
        to: destination, or an array of ISO codes.
        thresholds: draws of uncertain parameters by ``rule.parameter``, instead of their ranges.
        lane: "export", or "import" for what the destination keeps out.

    Raises:
        InputError: unknown variable, destination or party; a date that does not exist.
    """
    book = rules or bundled()
    _check_names(metrics, thresholds or {}, book)
    days = ordinals(dates)
    who = places.party(party, hq, destination(to if isinstance(to, str) else str(np.asarray(to).flat[0])))
    values = _values(metrics, days, to, destination(from_), who, party or hq, category, designer_hq)
    values["end_use"] = end_use
    judged: list[Judged] = []

    def judge_rules(chosen: Iterable[RuleCard]) -> None:
        for rule in chosen:
            stands = _standings(rule, book, days, view, after_horizon, with_unverified)
            if np.any(stands):
                found = {n: _parameter(rule, n, p, days, thresholds or {}) for n, p in rule.parameter.items()}
                judged.append(judge(rule, stands, values, found, VECTOR, settle, scoped=True))

    counted = [r for r in book if r.lane == lane and (lane == "import" or r.status != "reported_informal")]
    home = [r for r in counted if is_home(r, from_)]
    judge_rules(home)
    listed = join(judged, VECTOR)
    values["home_lists"] = np.where(listed.floor > 0, TRUE, np.where(listed.ceiling > 0, OPEN, FALSE)).astype(np.int8)
    if not home:
        values["home_lists"] = FALSE
    judge_rules(r for r in counted if r not in home)
    apply_replacements(judged, VECTOR)
    return _permits(judged, days, values, book)


def _check_names(metrics: Mapping[str, Any], thresholds: Mapping[str, Any], book: Rulebook) -> None:
    parameters = [f"{rule.id}.{name}" for rule in book for name in rule.parameter]
    problems = [unknown("variable", name, list(TYPES)) for name in metrics if name not in TYPES]
    problems += [unknown("threshold", name, parameters) for name in thresholds if name not in parameters]
    if problems:
        raise InputError(problems)


def _permits(judged: list[Judged], days: Any, values: Mapping[str, Any], book: Rulebook) -> Permits:
    joined = join(judged, VECTOR)
    parts = [x[0] if isinstance(x, tuple) else x for x in values.values() if x is not None and not isinstance(x, str)]
    shape = np.broadcast_shapes(*(np.shape(p) for p in (*parts, days, joined.floor, joined.ceiling)))
    floor, ceiling, known = (np.broadcast_to(np.asarray(x, np.int8), shape) for x in (joined.floor, joined.ceiling, joined.ceiling_known))  # fmt: skip
    low, high, sure = _CODE_OF_LEVEL[floor], _CODE_OF_LEVEL[ceiling], _CODE_OF_LEVEL[known]
    open_code = np.where(low == sure, VERDICTS.index("unknown"), VERDICTS.index("indeterminate"))
    code = np.where(low == high, low, open_code)
    code = np.where(np.asarray(days) < book.begins.toordinal(), VERDICTS.index("unknown"), code)
    return Permits(np.asarray(code, np.int8), floor, ceiling)


def _standings(rule: RuleCard, book: Rulebook, days: Any, view: View, after: AfterHorizon, unverified: bool) -> Any:
    def on(day: date) -> int:
        return standing(rule, day, view, book.horizon, after, unverified).code

    return _piecewise(rule_dates(rule, book.horizon), on, days)


def ordinals(dates: Any) -> Any:
    """Dates as proleptic ordinals; InputError for a day that does not exist."""
    if isinstance(dates, (date, str)):
        from wafer2token.controls.ruling import parse_date

        return parse_date(dates, date.min).toordinal()
    try:
        days = np.asarray(dates, dtype="datetime64[D]")
    except ValueError as error:
        raise InputError(Problem(f"impossible date: {error}", "dates", allowed="days such as 2025-04-09")) from None
    return days.astype(np.int64) + _EPOCH


def _piecewise(breaks: Iterable[date], value: Callable[[date], Any], days: Any) -> Any:
    """A value that changes on some dates only, at every day."""
    if np.ndim(days) == 0:
        return value(date.fromordinal(int(days)))
    edges = sorted({d.toordinal() for d in breaks})
    starts = [date.min, *(date.fromordinal(e) for e in edges)]
    found = [value(d) for d in starts]
    if all(f == found[0] for f in found):
        return found[0]
    index = np.searchsorted(np.array(edges), days, side="right")
    if isinstance(found[0], tuple):
        return tuple(np.array([f[i] for f in found])[index] for i in range(len(found[0])))
    return np.array(found, np.int8)[index]


def _parameter(rule: RuleCard, name: str, parameter: Parameter, days: Any, draws: Mapping[str, Any]) -> Any:
    drawn = draws.get(f"{rule.id}.{name}")
    if drawn is not None:
        return np.asarray(drawn), np.asarray(drawn)
    steps = [s.start for s in parameter.step if s.start]
    return _piecewise(steps, lambda d: parameter_value(parameter, d) or MISSING, days)


def _values(
    metrics: Mapping[str, Any],
    days: Any,
    to: Any,
    origin: DestinationCard,
    who: Party,
    named: str | None,
    category: str,
    designer_hq: str,
) -> dict[str, Any]:
    known: dict[str, Any] = {"item": "", "vendor": "", "material": "", "lithography": "", "equipment": ""}
    known |= {"category": category, "designer_hq": designer_hq, "chinese_value_share": 0.0, "state_funded": False}
    known |= _party(who, days)
    known |= _places(to, origin, days, named is not None)
    known |= {"subject": True if origin.code == "US" or designer_hq == "US" else metrics.get("us_content")}
    known["designer_d5m"] = _designer(designer_hq, origin, days)
    known |= dict(metrics)
    known["on"] = days
    return {**missing_defaults(), **{name: _read(name, value) for name, value in known.items()}}


def _read(name: str, value: Any) -> Any:
    """A user's value in the form that formulas read."""
    kind = TYPES[name]
    if kind == "text":
        return value
    if kind in ("number", "date"):
        if value is None:
            return MISSING
        if isinstance(value, tuple):
            return value
        array = value if isinstance(value, (int, float)) else np.asarray(value, float)
        return array, array
    if value is None or isinstance(value, bool):
        return OPEN if value is None else TRUE if value else FALSE
    array = np.asarray(value)
    if array.dtype == np.int8 or isinstance(value, int):
        return value
    codes = np.where(array.astype(float) > 0, np.int8(TRUE), np.int8(FALSE))
    return np.where(np.isnan(array.astype(float)), np.int8(OPEN), codes)


def _tri(value: bool | None) -> int:
    return OPEN if value is None else TRUE if value else FALSE


def _moves(card: DestinationCard) -> list[date]:
    return [d for m in card.moved for d in (date.fromordinal(m.after.toordinal() + 1), m.by)]


def _designer(hq: str, origin: DestinationCard, days: Any) -> Any:
    if hq in ("", "MO"):
        return TRUE if hq else OPEN
    return _place(destination(hq), origin, days)["dest_d5"]


def _party(who: Party, days: Any) -> dict[str, Any]:
    rows = [row.start for row in who.card.listing] if who.card else []
    return _table(lambda day: party_values(who, day), [*rows, *_moves(who.hq)], days)


def _place(card: DestinationCard, origin: DestinationCard, days: Any) -> dict[str, Any]:
    return _table(lambda day: place_values(card, origin, day), [*_moves(card), *_moves(origin)], days)


def _table(values_on: Callable[[date], Mapping[str, Any]], breaks: list[date], days: Any) -> dict[str, Any]:
    """Every truth of a table that changes by date, as codes; texts and numbers as they are."""

    def code(name: str, day: date) -> int:
        return _tri(values_on(day)[name])

    return {
        name: first if isinstance(first, (str, tuple)) else _piecewise(breaks, partial(code, name), days)
        for name, first in values_on(date.min).items()
    }


def _places(to: Any, origin: DestinationCard, days: Any, named: bool) -> dict[str, Any]:
    """The variables of origin and destination; without a named party its headquarters are in the destination."""
    if isinstance(to, str):
        return _place(destination(to), origin, days)
    codes, index = np.unique(np.asarray(to), return_inverse=True)
    index = index.reshape(np.shape(to))
    cards = [destination(str(c)) for c in codes]
    tables = [_place(card, origin, days) for card in cards]
    out: dict[str, Any] = {"dest": np.array([c.code for c in cards])[index], "origin": origin.code}
    for name in tables[0]:
        if name not in out:
            out[name] = _picked([t[name] for t in tables], index)
    if not named:
        out["hq_d5m"] = np.where(out["dest"] == "MO", np.int8(TRUE), out["dest_d5"])
    return out


def _picked(columns: list[Any], index: Any) -> Any:
    """For each element the column of its destination."""
    if all(isinstance(c, int) for c in columns):
        return np.array(columns, np.int8)[index]
    picked: Any = columns[0]
    for i, column in enumerate(columns[1:], 1):
        picked = np.where(index == i, column, picked)
    return picked.astype(np.int8)
