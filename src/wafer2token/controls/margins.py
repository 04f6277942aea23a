"""How far an item stands from each threshold of a rule, and what keeps a rule open."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wafer2token.catalog.expression import (
    All,
    Compare,
    Const,
    Expression,
    Flag,
    Node,
    Not,
    Some,
    Text,
    Var,
    children,
    show,
    walk,
)
from wafer2token.catalog.rule_variables import TYPES, VARIABLES
from wafer2token.controls.judge import Judged
from wafer2token.controls.logic import FALSE, OPEN, SCALAR, TRUE, Reading, names, number, truth

_MIRROR = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "==", "!=": "!="}


@dataclass(frozen=True)
class Margin:
    """An item's value against one threshold: ``relative`` is value over threshold minus one.

    ``flip_area_mm2`` is the die area at which a density would stand exactly on the threshold.
    """

    leg: str
    variable: str
    value: tuple[float, float] | None
    op: str
    threshold: tuple[float, float]
    unit: str
    relative: float | None
    met: str
    flip_area_mm2: float | None = None
    probability: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dict(vars(self))


def margins(j: Judged) -> Iterator[Margin]:
    """Every comparison of a number with a threshold in the rule's limbs."""
    seen: set[tuple[str, str, str]] = set()
    for name, leg in j.rule.leg.items():
        for node in walk(leg.when.tree):
            if isinstance(node, Compare):
                margin = _margin(node, leg.label, j)
                if margin and (key := (name, margin.variable, f"{margin.op}{margin.threshold}")) not in seen:
                    seen.add(key)
                    yield margin


def _margin(node: Compare, label: str, j: Judged) -> Margin | None:
    if any(isinstance(side, (Text, Flag)) for side in (node.left, node.right)):
        return None
    left, op, right = node.left, node.op, node.right
    if _is_threshold(left, j):
        left, op, right = right, _MIRROR[op], left
    if not _is_threshold(right, j) or _is_threshold(left, j):
        return None
    value, limit = number(left, j.values), number(right, j.values)
    if math.isnan(limit[0]):
        return None
    missing = math.isnan(value[0])
    middle = (value[0] + value[1]) / 2
    code = truth(node, j.values, Reading(SCALAR))
    name = show(left)
    total = j.values["tpp"]
    flip = (total[0] + total[1]) / 2 / limit[0] if name == "pd" and limit[0] > 0 and total[0] == total[0] else None
    return Margin(
        label, name, None if missing else value, op, limit, VARIABLES[name][1] if name in VARIABLES else "nm",
        None if missing or not limit[0] else middle / limit[0] - 1, ("no", "open", "yes")[code], flip,
        _chance(right, middle, op, j) if code == OPEN and not missing else None,
    )  # fmt: skip


def _is_threshold(node: Node, j: Judged) -> bool:
    return isinstance(node, Const) or (isinstance(node, Var) and node.name in j.rule.parameter)


def _chance(threshold: Node, value: float, op: str, j: Judged) -> float | None:
    """Probability that a value meets an uncertain threshold, from the distribution on the parameter's card."""
    if not isinstance(threshold, Var) or op not in (">", ">="):
        return None
    low, high = number(threshold, j.values)
    low, high = float(low), float(high)
    steps = [
        s.value for s in j.rule.parameter[threshold.name].step if s.value and (s.value.low, s.value.high) == (low, high)
    ]
    if not steps or high <= low:
        return None
    mode = steps[-1].mid
    if steps[-1].dist == "uniform":
        return (value - low) / (high - low)
    if value <= mode:
        return (value - low) ** 2 / ((high - low) * (mode - low)) if mode > low else 0.0
    return 1 - (high - value) ** 2 / ((high - low) * (high - mode))


def is_near(j: Judged, slack: float) -> bool:
    """Whether a limb that the item does not meet would be met if every threshold gave way by ``slack``."""
    if j.excluded == TRUE:
        return False
    how = Reading(SCALAR, slack=slack)
    return any(j.legs[n] == FALSE and truth(leg.when.tree, j.values, how) == TRUE for n, leg in j.rule.leg.items())


def open_names(j: Judged) -> tuple[str, ...]:
    """The variables that keep a rule open, item and transaction variables first, then parameters with a range."""
    formulas: list[Expression] = [j.rule.applies] if j.scope == OPEN else []
    formulas += [leg.when for n, leg in j.rule.leg.items() if j.legs[n] == OPEN]
    formulas += [leg.when for leg in j.rule.exclude.values() if j.excluded == OPEN]
    formulas += [o.when for o, h in zip(j.rule.outcome, j.hits, strict=True) if h == OPEN]
    found = dict.fromkeys(n for f in formulas for n in _open_bases(f.tree, j))
    unknown = [n for n in found if _absent(j.values[n])]
    ranged = [n for n in found if n in j.rule.parameter and not _absent(j.values[n]) and _is_range(j.values[n])]
    return (*unknown, *ranged)


def _open_bases(node: Node, j: Judged) -> Iterator[str]:
    """The variables and parameters in the parts of a formula that are open; a limb met or ruled out adds nothing.

    A limb may be open although its comparisons settle it (a complete record is asked for): then all its names count.
    """
    if isinstance(node, (All, Some, Not)):
        parts = [c for c in children(node) if truth(c, j.values, Reading(SCALAR)) == OPEN]
        for part in parts or children(node):
            yield from _open_bases(part, j)
        return
    for name in names(node):
        if name in j.rule.define:
            yield from _open_bases(j.rule.define[name].tree, j)
        elif name in TYPES or name in j.rule.parameter:
            yield name


def _absent(value: Any) -> bool:
    return bool(SCALAR.absent(value))


def _is_range(value: Any) -> bool:
    return isinstance(value, tuple) and value[0] != value[1]


def settled(j: Judged) -> str:
    """What would be the answer of limbs that are open only for want of a value they do not need; empty when none are."""
    how = Reading(SCALAR)
    open_legs = [n for n in j.legs if j.legs[n] == OPEN]
    plain = {n: truth(j.rule.leg[n].when.tree, j.values, how) for n in open_legs}
    return "no" if open_legs and all(v == FALSE for v in plain.values()) else ""
