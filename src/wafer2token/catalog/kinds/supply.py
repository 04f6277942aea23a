"""What the supply model reads: numbers, and series in time as each claimant gives them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from wafer2token.catalog.card import Card
from wafer2token.evidence.errors import InputError, Problem
from wafer2token.evidence.number import Claim, Number, weakest

HOUSE = "sup_assumption"
Interpolation = Literal["linear", "log", "step"]


class SeriesClaim(BaseModel):
    """One claimant's series: a number per date, drawn at one quantile for all dates.

    ``anchors`` carry the claimant's grade and sources; ``assumed`` anchors are this house's own extension. ``said`` is the
    day on which a plan was announced: what it promises for later comes later by the plans' slip.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    by: str
    weight: float = Field(ge=0, le=1)
    points: Mapping[date, Number]
    said: date | None = None
    note: str = ""


class SupplyCard(Card):
    """An input of the supply model: a ``value``, or ``series`` by claimant.

    ``value`` of a series is its summary, one claim per claimant at the middle of the series; setting it (by a
    scenario) replaces the series by that number.
    """

    unit: str
    stage: str
    timed: bool = True
    interpolate: Interpolation = "linear"
    value: Number
    series: tuple[SeriesClaim, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _read(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping) or isinstance(raw.get("value"), Number):
            return raw
        unit = str(raw.get("unit", "1"))
        problems: list[Problem] = []
        out = dict(raw)
        try:
            if "series" in raw:
                out["series"] = tuple(
                    _claim(item, unit, f".series[{i}]", problems) for i, item in enumerate(raw["series"])
                )
                if not problems:
                    out["value"] = _summary(out["series"], unit, problems)
            elif "value" in raw:
                out["value"] = Number.parse(raw["value"], unit, ".value")
        except InputError as error:
            problems += error.problems
        if problems:
            text = "; ".join(map(str, problems))
            raise PydanticCustomError("number", "{text}", {"problems": tuple(problems), "text": text})
        return out

    @property
    def is_series(self) -> bool:
        """Whether the series holds: it has one, and no scenario has set its value."""
        return bool(self.series) and self.value.claims == _summary(self.series, self.unit, []).claims

    def weighted(self, weights: Mapping[str, float]) -> Self:
        """A copy with other weights of the claimants (0 for those not named); InputError when they do not sum to 1."""
        names = [c.by for c in self.series] or [c.by for c in self.value.claims]
        problems = [
            Problem("unknown claimant", f"supply.{self.id}", by, ", ".join(names)) for by in weights if by not in names
        ]
        if abs(sum(weights.values()) - 1) > 1e-6:
            problems.append(Problem("the weights of the claimants do not sum to 1", f"supply.{self.id}",
                                    round(sum(weights.values()), 6), remedy="scale them"))  # fmt: skip
        if problems:
            raise InputError(problems)
        if self.series:
            series = tuple(c.model_copy(update={"weight": weights.get(c.by, 0.0)}) for c in self.series)
            return self.model_copy(update={"series": series, "value": _summary(series, self.unit, [])})
        claims = tuple(_reweighted(c, weights.get(c.by, 0.0)) for c in self.value.claims)
        value = Number(**{**vars(self.value), "claims": claims})
        return self.model_copy(update={"value": value})


def _reweighted(claim: Claim, weight: float) -> Claim:
    return Claim(**{**vars(claim), "weight": weight})


def _claim(raw: Any, unit: str, where: str, problems: list[Problem]) -> SeriesClaim:
    evidence = {k: raw[k] for k in ("grade", "source") if k in raw}
    points: dict[date, Number] = {}
    for key, own in (("anchors", {}), ("assumed", {"grade": "assumed", "source": [HOUSE]})):
        for at, triple in raw.get(key, {}).items():
            place = f"{where}.{key}.{at}"
            try:
                day = date.fromisoformat(at)
                low, mid, high = (f"{x!r} {unit}" if unit != "1" else x for x in triple)
                points[day] = Number.parse({"low": low, "mid": mid, "high": high, **evidence, **own}, unit, place)
            except InputError as error:
                problems += error.problems
            except (ValueError, TypeError) as error:
                problems.append(Problem(f"not a date with low, middle and high: {error}", place, triple))
    if not points:
        problems.append(Problem("a series needs anchors", where))
    unknown = set(raw) - {"by", "weight", "grade", "source", "anchors", "assumed", "said", "note"}
    problems += [Problem("unknown key", f"{where}.{key}", key) for key in sorted(unknown)]
    return SeriesClaim(
        by=raw.get("by", ""),
        weight=raw.get("weight", 0.0),
        points=dict(sorted(points.items())),
        said=raw.get("said"),
        note=raw.get("note", ""),
    )


def _summary(series: tuple[SeriesClaim, ...], unit: str, problems: list[Problem]) -> Number:
    """One claim per claimant, at the middle one of its dates; grade the weakest anywhere in the series."""
    total = sum(c.weight for c in series)
    if abs(total - 1) > 1e-3:
        problems.append(
            Problem("the weights of the claimants do not sum to 1", ".series", round(total, 6), remedy="scale them")
        )
    claims = []
    for claim in series:
        points = list(claim.points.values())
        middle = points[len(points) // 2]
        sources = tuple(dict.fromkeys(s for p in points for s in p.sources))
        grade = weakest(tuple(p.grade for p in points))
        claims.append(
            Claim(
                claim.by, middle.low, middle.mid, middle.high, claim.weight / (total or 1.0), grade, sources, claim.note
            )
        )
    first = max(claims, key=lambda c: c.weight)
    low, high = min(c.low for c in claims), max(c.high for c in claims)
    return Number(low, first.mid, high, unit, weakest(tuple(c.grade for c in claims)), (), claims=tuple(claims))
