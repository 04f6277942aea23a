"""One rule on one transaction, or on arrays of them; and many rules joined into a verdict.

Verdicts are ordered: 0 free, 1 a licence exception is open, 2 licence, 3 denied. A rule yields a range of them, its
floor and its ceiling, which differ where something is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wafer2token.catalog.kinds.rule import RuleCard
from wafer2token.catalog.rule_variables import TYPES
from wafer2token.controls.logic import FALSE, MISSING, OPEN, TRUE, Algebra, Reading, number, strict, truth

LEVELS = {"free": 0, "exception": 1, "licence": 2, "denied": 3}
VERDICT_OF_LEVEL = ("free", "licence", "licence", "denied")
VERDICTS = ("free", "licence", "denied", "indeterminate", "unknown")


@dataclass
class Judged:
    """What a rule says. Codes are 0, 1, 2 or arrays of them; ``hits`` has one per outcome."""

    rule: RuleCard
    standing: Any
    scope: Any
    excluded: Any = FALSE
    legs: dict[str, Any] = field(default_factory=dict)
    hits: list[Any] = field(default_factory=list)
    floor: Any = 0
    ceiling: Any = 0
    values: dict[str, Any] = field(default_factory=dict)
    replaced_by: str = ""


def judge(
    rule: RuleCard,
    standing: Any,
    values: Mapping[str, Any],
    parameters: Mapping[str, Any],
    algebra: Algebra,
    settle: bool = False,
    declared: bool | None = None,
    scoped: bool = False,
) -> Judged:
    """A rule on given values.

    Args:
        standing: 2 where the rule binds, 1 where that is not known, 0 where it does not (or an array of these).
        values: every variable, in the form that the algebra reads.
        parameters: the rule's parameters on the date, as intervals.
        settle: let what is known settle a limb even when something it names is missing.
        declared: a classification stated by the maker, for limbs that are open.
        scoped: leave the limbs of a rule that does not apply unread.
    """
    env: dict[str, Any] = {**values, **parameters}
    how = Reading(algebra)
    for name, formula in rule.define.items():
        env[name] = number(formula.tree, env) if name in rule.numeric else truth(formula.tree, env, how)
    judged = Judged(rule, standing, truth(rule.applies.tree, env, how))
    if scoped and isinstance(judged.scope, int) and judged.scope == FALSE:
        judged.hits = [FALSE] * len(rule.outcome)
        return judged
    for leg in rule.exclude.values():
        judged.excluded = algebra.most(judged.excluded, truth(leg.when.tree, env, how))
    for name, leg in rule.leg.items():
        found = truth(leg.when.tree, env, how)
        if rule.complete_record and not settle:
            found = strict(leg.when.tree, found, env, algebra)
        judged.legs[name] = algebra.least(found, TRUE - judged.excluded)
    if declared is not None:
        _declare(judged, declared)
    env |= judged.legs
    judged.values = env
    _conclude(judged, env, algebra)
    return judged


def _declare(judged: Judged, controlled: bool) -> None:
    """A stated classification closes what the arithmetic left open."""
    if controlled and TRUE in judged.legs.values():
        return
    judged.legs = {k: (TRUE if controlled else FALSE) if v == OPEN else v for k, v in judged.legs.items()}


def _conclude(judged: Judged, env: Mapping[str, Any], algebra: Algebra) -> None:
    """The first outcome that holds decides: floor and ceiling over what is possible."""
    binds = algebra.least(judged.standing, judged.scope)
    left: Any = TRUE  # how surely no earlier outcome has decided
    floor: Any = LEVELS["denied"]
    ceiling: Any = 0
    how = Reading(algebra)
    for outcome in judged.rule.outcome:
        holds = truth(outcome.when.tree, env, how)
        hit = algebra.least(algebra.least(binds, left), holds)
        level = LEVELS[outcome.verdict]
        floor = algebra.choose(hit > FALSE, algebra.least(floor, level), floor)
        ceiling = algebra.choose(hit > FALSE, algebra.most(ceiling, level), ceiling)
        judged.hits.append(hit)
        left = algebra.least(left, TRUE - holds)
    judged.floor = algebra.choose((binds < TRUE) | (left > FALSE), 0, floor)
    judged.ceiling = ceiling


def apply_replacements(judged: Iterable[Judged], algebra: Algebra) -> None:
    """A replaced rule falls away; one that may be replaced keeps its ceiling and loses its floor."""
    by_id = {j.rule.id: j for j in judged}
    for j in by_id.values():
        for outcome, hit in zip(j.rule.outcome, j.hits, strict=True):
            for target in (by_id[t] for t in outcome.replaces if t in by_id):
                target.floor = algebra.choose(hit > FALSE, 0, target.floor)
                target.ceiling = algebra.choose(hit == TRUE, 0, target.ceiling)
                if isinstance(hit, int) and hit > FALSE:
                    target.replaced_by = j.rule.id


@dataclass(frozen=True)
class Joined:
    """Floor and ceiling over all rules, and the ceiling without rules whose standing is not known."""

    floor: Any
    ceiling: Any
    ceiling_known: Any


def join(judged: Iterable[Judged], algebra: Algebra) -> Joined:
    """The strictest of the rules."""
    floor: Any = 0
    ceiling: Any = 0
    known: Any = 0
    for j in judged:
        floor, ceiling = algebra.most(floor, j.floor), algebra.most(ceiling, j.ceiling)
        known = algebra.most(known, algebra.choose(j.standing == OPEN, 0, j.ceiling))
    return Joined(floor, algebra.most(floor, ceiling), algebra.most(floor, known))


_EMPTY = {"number": MISSING, "date": MISSING, "truth": OPEN, "text": None}
_ALL_MISSING: dict[str, Any] = {name: _EMPTY[kind] for name, kind in TYPES.items()}


def missing_defaults() -> dict[str, Any]:
    """Every variable as missing."""
    return dict(_ALL_MISSING)


def missing(name: str) -> Any:
    """A variable as missing."""
    return _ALL_MISSING[name]
