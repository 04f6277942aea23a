"""An export rule as data: dates, scope, thresholds as formulas, consequences, citation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from wafer2token.catalog.card import Card, Ratio
from wafer2token.catalog.expression import Expression, Type, type_of
from wafer2token.catalog.rule_variables import TYPES
from wafer2token.evidence.errors import InputError, Problem

Verdict = Literal["free", "exception", "licence", "denied"]
Evidence = Literal["primary", "secondary", "press", "weak"]
Family = Literal["entity", "fdpr", "is_informed", "chip_control", "hbm", "foundry", "equipment", "guidance",
                 "licence_policy", "tariff", "legislation", "countermeasure"]  # fmt: skip
Status = Literal["in_force", "reported_informal", "proposed", "unverified"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, populate_by_name=True)


class Period(_Part):
    """A span of dates, both ends included."""

    start: date = Field(alias="from")
    end: date | None = Field(default=None, alias="to")


class Step(_Part):
    """The value of a parameter from a date on; without a value it was not seen."""

    start: date | None = Field(default=None, alias="from")
    value: Ratio | None = None


class Parameter(_Part):
    """A threshold that a source states as a range, or that changes by date; in the unit of what it is compared with."""

    unit: str = "1"
    step: tuple[Step, ...] = Field(min_length=1)


class Leg(_Part):
    """One numbered limb of a control: when the item meets it."""

    label: str
    when: Expression


class Outcome(_Part):
    """What follows: the first outcome whose formula holds decides."""

    when: Expression
    verdict: Verdict
    review: str = ""
    exception: str = ""
    condition: str = ""
    duty: Ratio | None = None
    replaces: tuple[str, ...] = ()


class RuleCard(Card):
    """A dated rule. ``leg`` classifies the item unless ``exclude`` takes it out, ``outcome`` says what follows.

    ``effective_from`` is when the text took effect, ``compliance_from`` when it had to be obeyed; ``enforced_to`` or
    ``enforced = false`` part what is codified from what is enforced. ``suspended`` ends undecided when its last day
    lies beyond the facts; ``time_limited`` marks a rule whose next step is undecided there. ``complete_record`` means
    that a limb says *no* only when everything it names is known.
    """

    columns: ClassVar[dict[str, str]] = {
        "jurisdiction": "law",
        "family": "family",
        "effective_from": "from",
        "effective_to": "to",
    }

    jurisdiction: str
    authority: str
    family: Family
    lane: Literal["export", "import"] = "export"
    status: Status = "in_force"
    announced: date | None = None
    released: date | None = None
    published: date | None = None
    effective_from: date | None
    compliance_from: date | None = None
    effective_to: date | None = None
    enforced: bool = True
    enforced_to: date | None = None
    suspended: tuple[Period, ...] = ()
    time_limited: bool = False
    complete_record: bool = False
    superseded_by: str = ""
    citation: tuple[str, ...]
    scope: str
    applies: Expression
    define: dict[str, Expression] = Field(default_factory=dict)
    parameter: dict[str, Parameter] = Field(default_factory=dict)
    exclude: dict[str, Leg] = Field(default_factory=dict)
    leg: dict[str, Leg] = Field(default_factory=dict)
    outcome: tuple[Outcome, ...] = ()
    facts: tuple[str, ...] = ()
    text_evidence: Evidence
    source: tuple[str, ...] = Field(min_length=1)
    from_memory: tuple[str, ...] = ()

    @cached_property
    def numeric(self) -> frozenset[str]:
        """The definitions that are numbers, not truths."""
        known: dict[str, Type] = {**TYPES, **dict.fromkeys(self.parameter, "number")}
        for name, formula in self.define.items():
            known[name] = type_of(formula.tree, known, []) or "truth"
        return frozenset(n for n in self.define if known[n] == "number")

    @model_validator(mode="wrap")
    @classmethod
    def _everything_at_once(cls, raw: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Problems of single keys and problems between keys (names, types, dates) in one error."""
        between = tuple(_between_keys(raw)) if isinstance(raw, Mapping) else ()
        text = "; ".join(str(p) for p in between)
        found = PydanticCustomError("rule", "{text}", {"problems": between, "text": text})
        try:
            card = read(raw)
        except ValidationError as error:
            if not between:
                raise
            details = [_again(e) for e in error.errors()]
            details.append(InitErrorDetails(type=found, loc=(), input=raw))
            raise ValidationError.from_exception_data(cls.__name__, details) from None
        if between:
            raise found
        return card


def _again(error: ErrorDetails) -> InitErrorDetails:
    """An error as one that can be raised once more."""
    kind: Any = error["type"]
    context = error.get("ctx") or {}
    if "problems" in context:
        kind = PydanticCustomError(kind, "{text}", context)
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"], ctx=context)


def _between_keys(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong between the keys of a rule; parts that do not parse are left to their own messages."""
    yield from _date_problems(raw)
    known: dict[str, Type] = {**TYPES, **dict.fromkeys(_table(raw, "parameter"), "number")}
    for name in [n for key in ("parameter", "define", "exclude", "leg") for n in _table(raw, key)]:
        if name in TYPES:
            yield Problem("a name of the rule hides a variable", "", name, remedy="give it another name")
    for name, text in _table(raw, "define").items():
        found: list[Problem] = []
        formula = _formula(text)
        known = {**known, name: (type_of(formula.tree, known, found) if formula else None) or "truth"}
        yield from _placed(found, f".define.{name}")
    for key in ("exclude", "leg"):
        for name, leg in _table(raw, key).items():
            yield from _truth(_formula(_part(leg, "when")), known, f".{key}.{name}.when")
    known = {**known, **dict.fromkeys(_table(raw, "leg"), "truth")}
    yield from _truth(_formula(raw.get("applies")), known, ".applies")
    outcomes = raw.get("outcome", ())
    for i, outcome in enumerate(outcomes if isinstance(outcomes, (list, tuple)) else ()):
        yield from _truth(_formula(_part(outcome, "when")), known, f".outcome[{i}].when")


def _date_problems(raw: Mapping[str, Any]) -> Iterator[Problem]:
    spans = [("effective_to", raw.get("effective_from"), raw.get("effective_to"))]
    suspended = raw.get("suspended", ())
    for i, span in enumerate(suspended if isinstance(suspended, (list, tuple)) else ()):
        start = _part(span, "from") or _part(span, "start")
        spans.append((f"suspended[{i}].to", start, _part(span, "to") or _part(span, "end")))
    for where, start, end in spans:
        if isinstance(start, date) and isinstance(end, date) and end < start:
            yield Problem("ends before it begins", f".{where}", str(end), f"{start} or later")
    if raw.get("status", "in_force") == "in_force" and raw.get("effective_from", True) is None:
        yield Problem("a rule in force needs effective_from", ".effective_from")


def _table(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def _part(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else getattr(value, key, None)


def _formula(text: Any) -> Expression | None:
    if isinstance(text, Expression):
        return text
    try:
        return Expression.parse(text)
    except InputError:
        return None


def _truth(formula: Expression | None, known: dict[str, Type], where: str) -> Iterator[Problem]:
    if formula is None:
        return
    found: list[Problem] = []
    kind = type_of(formula.tree, known, found)
    if kind not in (None, "truth"):
        found.append(Problem(f"must be true or false, not a {kind}", got=formula.text))
    yield from _placed(found, where)


def _placed(problems: list[Problem], where: str) -> Iterator[Problem]:
    for p in problems:
        yield Problem(p.what, where, p.got, p.allowed, p.remedy)
