"""A number as evidence: value or range, unit, date, grade, sources, and claimants where it is contested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal, cast

from wafer2token.evidence.errors import InputError, Problem, nearest, unknown
from wafer2token.evidence.units import format_quantity, parse_quantity, si_unit, split_quantity

GRADES = ("measured", "teardown", "vendor", "analyst", "press", "assumed")
"""Grades of evidence, best first."""

Grade = Literal["measured", "teardown", "vendor", "analyst", "press", "assumed"]
Distribution = Literal["triangular", "lognormal", "uniform", "loguniform"]
DISTRIBUTIONS = ("triangular", "lognormal", "uniform", "loguniform")

_NUMBER_KEYS = ("value", "low", "mid", "high", "grade", "source", "as_of", "note", "from_memory", "dist", "claims")
_CLAIM_KEYS = ("by", "value", "low", "mid", "high", "weight", "grade", "source", "as_of", "note", "from_memory", "dist")


def weakest(grades: list[Grade] | tuple[Grade, ...]) -> Grade:
    """The weakest of some grades."""
    return max(grades, key=GRADES.index)


@dataclass(frozen=True)
class Claim:
    """What one claimant says of a contested value; SI floats."""

    by: str
    low: float
    mid: float
    high: float
    weight: float
    grade: Grade
    sources: tuple[str, ...]
    note: str = ""
    from_memory: bool = False
    dist: Distribution = "triangular"


@dataclass(frozen=True)
class Number:
    """An empirical value. ``low``, ``mid`` and ``high`` are SI floats; ``float(number)`` is the central value.

    ``low`` and ``high`` bound a triangular, uniform or loguniform value and are the 5th and 95th percentile of a
    lognormal one. A contested number has ``claims``; its own range then spans them and its centre is the claim
    with the largest weight.
    """

    low: float
    mid: float
    high: float
    unit: str
    grade: Grade
    sources: tuple[str, ...]
    as_of: date | None = None
    note: str = ""
    from_memory: bool = False
    dist: Distribution = "triangular"
    claims: tuple[Claim, ...] = ()
    display_unit: str = ""

    def __float__(self) -> float:
        return self.mid

    @property
    def all_sources(self) -> tuple[str, ...]:
        """Its sources and those of its claimants, each once."""
        return tuple(dict.fromkeys((*self.sources, *(s for c in self.claims for s in c.sources))))

    def show(self, value: float | None = None) -> str:
        """The central value (or another in the same unit) as text."""
        return format_quantity(self.mid if value is None else value, self.unit)

    def replaced(self, value: float, by: str) -> Number:
        """The same number set to one value by a scenario."""
        return replace(
            self, low=value, mid=value, high=value, claims=(), grade="assumed", sources=(by,), note=f"set by {by}"
        )

    def weighted(self, weights: Mapping[str, float]) -> Number:
        """The same contested number with other weights by claimant; claimants not named weigh nothing.

        Raises:
            InputError: not contested, an unknown claimant, or weights that do not sum to 1.
        """
        by = {c.by for c in self.claims}
        problems = [unknown("claimant", name, sorted(by)) for name in weights if name not in by]
        if not self.claims:
            problems = [Problem("not a contested number, so no claimant can be chosen", got=", ".join(weights))]
        elif not problems and (min(weights.values()) < 0 or abs(sum(weights.values()) - 1) > 1e-6):
            problems = [Problem("the weights of the claimants do not sum to 1", got=dict(weights))]
        if problems:
            raise InputError(problems)
        claims = tuple(replace(c, weight=float(weights.get(c.by, 0.0))) for c in self.claims)
        first = max(claims, key=lambda c: c.weight)
        return replace(self, claims=claims, mid=first.mid)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        out: dict[str, Any] = {
            "low": self.low,
            "mid": self.mid,
            "high": self.high,
            "unit": si_unit(self.unit),
            "grade": self.grade,
        }
        out["sources"] = list(self.all_sources)
        if self.as_of:
            out["as_of"] = self.as_of.isoformat()
        for key in ("note", "from_memory"):
            if getattr(self, key):
                out[key] = getattr(self, key)
        if self.claims:
            out["claims"] = [
                {"by": c.by, "low": c.low, "mid": c.mid, "high": c.high, "weight": c.weight, "grade": c.grade,
                 "sources": list(c.sources), "note": c.note}
                for c in self.claims
            ]  # fmt: skip
        return out

    @classmethod
    def parse(cls, raw: object, unit: str, where: str = "$", *, signed: bool = False) -> Number:
        """Read a number as a card writes it.

        Args:
            raw: ``{value | low, mid, high | claims, grade, source, ...}`` with quantities such as ``"700 W"``.
            unit: SI unit of the field.
            where: place shown in errors.
            signed: whether negative values make sense.

        Raises:
            InputError: every problem of this number at once.
        """
        problems: list[Problem] = []
        if not isinstance(raw, Mapping):
            raise InputError(
                Problem(
                    "not a number with evidence",
                    where,
                    raw,
                    remedy=f'write {{ value = "... {unit}", grade = "...", source = ["..."] }}',
                )
            )
        problems += _unknown_keys(raw, _NUMBER_KEYS, where)
        if "claims" in raw:
            claims = _claims(raw["claims"], unit, where, signed, problems)
            if problems:
                raise InputError(problems)
            first = max(claims, key=lambda c: c.weight)
            low, mid, high = min(c.low for c in claims), first.mid, max(c.high for c in claims)
            grade = weakest([c.grade for c in claims])
            sources: tuple[str, ...] = ()
        else:
            claims = ()
            low, mid, high = _range(raw, unit, where, signed, problems)
            grade, sources = _evidence(raw, where, problems)
        as_of = raw.get("as_of")
        if as_of is not None and not isinstance(as_of, date):
            problems.append(Problem("not a date", f"{where}.as_of", as_of, "a TOML date such as 2026-11-22"))
        dist = raw.get("dist", "triangular")
        if dist not in DISTRIBUTIONS:
            problems.append(Problem("unknown distribution", f"{where}.dist", dist, ", ".join(DISTRIBUTIONS)))
        elif dist in ("lognormal", "loguniform") and low <= 0:
            problems.append(Problem(f"a {dist} value must be above zero", where, low))
        if problems:
            raise InputError(problems)
        return cls(low, mid, high, unit, grade, sources, as_of, str(raw.get("note", "")), bool(raw.get("from_memory", False)),
                   dist, claims, _display_unit(raw, unit))  # fmt: skip


def _unknown_keys(raw: Mapping[str, Any], known: tuple[str, ...], where: str) -> list[Problem]:
    out = []
    for key in raw:
        if key not in known:
            close = nearest(str(key), known, n=1)
            remedy = f'did you mean "{close[0]}"?' if close else ""
            out.append(Problem("unknown key", f"{where}.{key}", key, ", ".join(known), remedy))
    return out


def _range(
    raw: Mapping[str, Any], unit: str, where: str, signed: bool, problems: list[Problem]
) -> tuple[float, float, float]:
    keys = [k for k in ("value", "low", "mid", "high") if k in raw]
    if keys not in (["value"], ["low", "high"], ["low", "mid", "high"]):
        problems.append(
            Problem(
                "a number needs value, or low and high, or low, mid and high", where, ", ".join(keys) or "none of them"
            )
        )
        return 0.0, 0.0, 0.0
    values: dict[str, float] = {}
    for key in keys:
        try:
            values[key] = parse_quantity(raw[key], unit, f"{where}.{key}")
        except InputError as error:
            problems += error.problems
            continue
        if values[key] < 0 and not signed:
            problems.append(Problem("negative", f"{where}.{key}", raw[key], "zero or more"))
    if len(values) < len(keys):
        return 0.0, 0.0, 0.0
    if "value" in values:
        return values["value"], values["value"], values["value"]
    low, high = values["low"], values["high"]
    mid = values.get("mid", (low + high) / 2)
    if not low <= mid <= high:
        given = " / ".join(str(raw[k]) for k in keys)
        problems.append(Problem("inverted range", where, given, "low <= mid <= high", "swap the ends"))
    return low, mid, high


def _evidence(raw: Mapping[str, Any], where: str, problems: list[Problem]) -> tuple[Grade, tuple[str, ...]]:
    grade = raw.get("grade")
    if grade not in GRADES:
        problems.append(
            Problem(
                "no grade" if grade is None else "unknown grade",
                f"{where}.grade",
                grade,
                ", ".join(GRADES),
                "say how this is known",
            )
        )
        grade = "assumed"
    source = raw.get("source")
    sources = (source,) if isinstance(source, str) else tuple(source) if isinstance(source, list) else ()
    if not sources or not all(isinstance(s, str) and s for s in sources):
        problems.append(
            Problem(
                "no source",
                f"{where}.source",
                source,
                'a list of source ids, such as ["stas"]',
                "a number without a source does not load",
            )
        )
    return cast("Grade", grade), sources


def _claims(raw: object, unit: str, where: str, signed: bool, problems: list[Problem]) -> tuple[Claim, ...]:
    if not isinstance(raw, list) or not raw or not all(isinstance(c, Mapping) for c in raw):
        problems.append(Problem("claims must be a list of tables", f"{where}.claims", raw))
        return ()
    claims = []
    for i, item in enumerate(raw):
        place = f"{where}.claims[{i}]"
        problems += _unknown_keys(item, _CLAIM_KEYS, place)
        low, mid, high = _range(item, unit, place, signed, problems)
        grade, sources = _evidence(item, place, problems)
        weight = item.get("weight")
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight <= 1:
            problems.append(Problem("a claim needs a weight", f"{place}.weight", weight, "0 to 1"))
            weight = 0.0
        if not item.get("by"):
            problems.append(Problem("a claim needs its claimant", f"{place}.by", item.get("by"), "a name"))
        claims.append(Claim(str(item.get("by", "")), low, mid, high, float(weight), grade, sources, str(item.get("note", "")),
                            bool(item.get("from_memory", False)), item.get("dist", "triangular")))  # fmt: skip
    total = sum(c.weight for c in claims)
    if not problems and abs(total - 1) > 1e-6:
        problems.append(
            Problem(
                "the weights of the claims do not sum to 1", f"{where}.claims", round(total, 6), remedy="scale them"
            )
        )
    return tuple(claims)


def _display_unit(raw: Mapping[str, Any], unit: str) -> str:
    source = raw if "claims" not in raw else raw["claims"][0]
    for key in ("value", "mid", "low"):
        if isinstance(source.get(key), str):
            return split_quantity(source[key])[1] or unit
    return unit
