"""An export rule as data: dates, scope, thresholds as formulas, consequences, citation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from wafer2token.catalog.card import Card, Ratio
from wafer2token.catalog.expression import Expression, Type, type_of
from wafer2token.catalog.rule_variables import TYPES
from wafer2token.evidence.errors import Problem

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

    @model_validator(mode="after")
    def _formulas_and_dates(self) -> RuleCard:
        problems = [*self._date_problems(), *self._formula_problems()]
        if problems:
            text = "; ".join(str(p) for p in problems)
            raise PydanticCustomError("rule", "{text}", {"problems": tuple(problems), "text": text})
        return self

    def _date_problems(self) -> Iterator[Problem]:
        spans = [("effective_to", self.effective_from, self.effective_to)]
        spans += [(f"suspended[{i}].to", s.start, s.end) for i, s in enumerate(self.suspended)]
        for where, start, end in spans:
            if start and end and end < start:
                yield Problem("ends before it begins", f".{where}", str(end), f"{start} or later")
        if self.status == "in_force" and self.effective_from is None:
            yield Problem("a rule in force needs effective_from", ".effective_from")

    def _formula_problems(self) -> Iterator[Problem]:
        known: dict[str, Type] = {**TYPES, **dict.fromkeys(self.parameter, "number")}
        clashes = [n for n in (*self.parameter, *self.define, *self.exclude, *self.leg) if n in TYPES]
        yield from (
            Problem("a name of the rule hides a variable", "", n, remedy="give it another name") for n in clashes
        )
        for name, formula in self.define.items():
            found: list[Problem] = []
            known = {**known, name: type_of(formula.tree, known, found) or "truth"}
            yield from _placed(found, f".define.{name}")
        limbs = [(f".{k}.{n}.when", leg.when) for k in ("exclude", "leg") for n, leg in getattr(self, k).items()]
        yield from _truths(limbs, known)
        known = {**known, **dict.fromkeys(self.leg, "truth")}
        formulas = [(f".outcome[{i}].when", o.when) for i, o in enumerate(self.outcome)]
        yield from _truths([(".applies", self.applies), *formulas], known)


def _truths(formulas: list[tuple[str, Expression]], known: dict[str, Type]) -> Iterator[Problem]:
    for where, formula in formulas:
        found: list[Problem] = []
        kind = type_of(formula.tree, known, found)
        if kind not in (None, "truth"):
            found.append(Problem(f"must be true or false, not a {kind}", got=formula.text))
        yield from _placed(found, where)


def _placed(problems: list[Problem], where: str) -> Iterator[Problem]:
    for p in problems:
        yield Problem(p.what, where, p.got, p.allowed, p.remedy)
