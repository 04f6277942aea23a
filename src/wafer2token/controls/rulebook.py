"""The rules: loading, amending, and where each stands on a date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from wafer2token.catalog import all_cards
from wafer2token.catalog.expression import Compare, Expression, Text, Var, walk
from wafer2token.catalog.kinds.rule import Parameter, RuleCard
from wafer2token.catalog.reading import KeyLines, load_toml, parse, validation_problems
from wafer2token.evidence.errors import InputError, Problem, unknown
from wafer2token.evidence.number import Grade

View = Literal["enforced", "codified"]
AfterHorizon = Literal["unknown", "snap_back", "extended"]
VIEWS: tuple[View, ...] = ("enforced", "codified")
AFTER_HORIZON: tuple[AfterHorizon, ...] = ("unknown", "snap_back", "extended")

GRADE_OF_EVIDENCE: dict[str, Grade] = {
    "primary": "measured",
    "secondary": "analyst",
    "press": "press",
    "weak": "assumed",
}
"""The evidence of a rule's text on the scale of the numbers: primary text seen is as good as a measurement."""


@dataclass(frozen=True)
class Standing:
    """Where a rule stands on a date: 2 binding, 1 not known, 0 not binding, and the word for it."""

    code: int
    word: str


@dataclass(frozen=True)
class Rulebook:
    """A set of rules by id, and the dates between which the facts speak."""

    rules: Mapping[str, RuleCard]
    begins: date
    horizon: date

    def __iter__(self) -> Any:
        return iter(self.rules.values())

    def dates(self) -> list[date]:
        """Every date on which something in the rules changes, sorted."""
        found = {d for rule in self for d in rule_dates(rule, self.horizon)}
        found |= {step.start for rule in self for p in rule.parameter.values() for step in p.step if step.start}
        return sorted(found | {day for rule in self for day in _dates_in_formulas(rule)})


def rule_dates(rule: RuleCard, horizon: date) -> list[date]:
    """Every date on which the standing of a rule may change, sorted."""
    found: set[date | None] = {_after(horizon), rule.effective_from, rule.compliance_from}
    found |= {_after(rule.effective_to), _after(rule.enforced_to)}
    found |= {d for s in rule.suspended for d in (s.start, _after(s.end))}
    return sorted(d for d in found if d)


def _dates_in_formulas(rule: RuleCard) -> Iterator[date]:
    """The dates that formulas compare with ``on``, and the days after them."""
    for formula in formulas(rule):
        for node in walk(formula.tree):
            if isinstance(node, Compare) and Var("on") in (node.left, node.right):
                text = node.right if isinstance(node.right, Text) else node.left
                if isinstance(text, Text):
                    day = date.fromisoformat(text.values[0])
                    yield from (day, date.fromordinal(day.toordinal() + 1))


def formulas(rule: RuleCard) -> list[Expression]:
    """Every formula of a rule."""
    legs = [leg.when for leg in (*rule.exclude.values(), *rule.leg.values())]
    return [rule.applies, *rule.define.values(), *legs, *(o.when for o in rule.outcome)]


def _after(day: date | None) -> date | None:
    return date.fromordinal(day.toordinal() + 1) if day else None


@cache
def bundled() -> Rulebook:
    """The rules that come with the package."""
    return _book(all_cards("rule"))


def _book(rules: Mapping[str, RuleCard]) -> Rulebook:
    spoken = [r.as_of for r in rules.values() if r.as_of]
    starts = [r.effective_from for r in rules.values() if r.effective_from and r.family == "entity"]
    return Rulebook(rules, min(starts), max(spoken))


def standing(rule: RuleCard, on: date, view: View, horizon: date, after: AfterHorizon, unverified: bool) -> Standing:
    """Where a rule stands on a date.

    ``codified`` starts on the effective date, ``enforced`` on the compliance date where there is one. A time-limited
    rule is not known after the horizon of the facts, unless ``after`` says what to take it for.
    """
    if rule.status == "proposed":
        return Standing(0, "proposed")
    if rule.status == "unverified" and not unverified:
        return Standing(0, "unverified, off")
    start = rule.effective_from if view == "codified" else rule.compliance_from or rule.effective_from
    if start is None or on < start:
        return Standing(0, "not yet in force")
    if rule.effective_to and on > rule.effective_to:
        return Standing(0, f"superseded by {rule.superseded_by}" if rule.superseded_by else "ended")
    if view == "enforced" and (not rule.enforced or (rule.enforced_to and on > rule.enforced_to)):
        return Standing(0, "codified, not enforced")
    if rule.time_limited and on > horizon:
        return _beyond(rule, after)
    if any(s.start <= on and (s.end is None or on <= s.end) for s in rule.suspended):
        return Standing(0, "suspended")
    return Standing(2, "in force" if rule.status != "reported_informal" else "reported, informal")


def _beyond(rule: RuleCard, after: AfterHorizon) -> Standing:
    if after == "unknown":
        return Standing(1, "unknown: beyond the facts")
    if after == "extended":
        return Standing(0, "suspension taken as extended") if rule.suspended else Standing(2, "taken as extended")
    return Standing(2, "taken as back in force" if rule.suspended else "taken as in force")


def parameter_value(parameter: Parameter, on: date) -> tuple[float, float] | None:
    """The range of a parameter on a date; None where no source gives it."""
    chosen = None
    for step in parameter.step:
        if step.start is None or step.start <= on:
            chosen = step
    if chosen is None or chosen.value is None:
        return None
    return chosen.value.low, chosen.value.high


def amended(book: Rulebook, path: str | Path) -> tuple[Rulebook, list[str]]:
    """The rulebook with the rules of a file: a new id adds a rule, ``amends = "id"`` changes the keys that it names.

    Returns:
        the new rulebook and the ids of the rules that changed.

    Raises:
        InputError: unreadable or malformed file, or an unknown rule; every problem at once.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(f"cannot read: {error}", str(path))) from None
    raw = load_toml(text, file.name)
    entries = raw["card"] if isinstance(raw.get("card"), list) else [{"id": file.stem, **raw}]
    if any("amends" in e for e in entries):
        cards = _amendments(entries, text, file.name, book)
    else:
        cards = parse(text, "rule", file.name, default_id=file.stem)
    return _book({**book.rules, **{c.id: c for c in cards}}), [c.id for c in cards]


def _amendments(entries: list[dict[str, Any]], text: str, name: str, book: Rulebook) -> list[RuleCard]:
    lines, cards, problems = KeyLines(text), list[RuleCard](), list[Problem]()
    many = "[[card]]" in text
    for i, entry in enumerate(entries):
        place: tuple[str | int, ...] = ("card", i) if many else ()
        changes = {k: v for k, v in entry.items() if k != "amends"}
        target = entry.get("amends")
        if target is not None and target not in book.rules:
            where = f"{name}:{lines.at((*place, 'amends'))} $.card[{i}].amends"
            problems.append(unknown("rule", str(target), sorted(book.rules), where))
            continue
        base = _fields(book.rules[target]) if target else {}
        try:
            cards.append(RuleCard.model_validate(_merged(base, changes)))
        except ValidationError as error:
            problems += validation_problems(error, name, lines, place, RuleCard)
    if problems:
        raise InputError(problems)
    return cards


def _fields(model: BaseModel) -> dict[str, Any]:
    return {key: getattr(model, key) for key in type(model).model_fields}


def _merged(base: Any, changes: Any) -> Any:
    """Tables merge key by key, everything else is replaced."""
    if isinstance(base, BaseModel):
        base = _fields(base)
    if isinstance(base, Mapping) and isinstance(changes, Mapping):
        return {**base, **{k: _merged(base.get(k), v) for k, v in changes.items()}}
    return changes


def weakest_evidence(words: Iterable[str]) -> str:
    """The weakest of some evidence words ("primary" when there is none)."""
    order = list(GRADE_OF_EVIDENCE)
    return max(words, key=order.index, default="primary")
