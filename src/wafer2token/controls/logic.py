"""Three-valued evaluation of formulas: false 0, open 1, true 2; on single values or on arrays, from the same tree.

Numbers are intervals (low, high); a missing number is (nan, nan) and every comparison with it is open. A truth is one
of 0, 1, 2; a text may be None (open). ``and`` is the minimum, ``or`` the maximum, ``not`` is 2 - x.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import Any, Protocol

from wafer2token.catalog.expression import (
    All,
    Arith,
    Compare,
    Const,
    Flag,
    Member,
    Node,
    Not,
    Some,
    Text,
    Var,
    walk,
)

FALSE, OPEN, TRUE = 0, 1, 2
MISSING = (math.nan, math.nan)
Environment = Mapping[str, Any]


class Algebra(Protocol):
    """The few operations that differ between single values and arrays."""

    def least(self, a: Any, b: Any) -> Any: ...
    def most(self, a: Any, b: Any) -> Any: ...
    def code(self, yes: Any, no: Any) -> Any: ...
    def choose(self, mask: Any, a: Any, b: Any) -> Any: ...
    def absent(self, value: Any) -> Any: ...
    def equal(self, value: Any, text: str) -> Any: ...


class Scalar:
    """Single values in plain Python."""

    def least(self, a: Any, b: Any) -> Any:
        return a if a < b else b

    def most(self, a: Any, b: Any) -> Any:
        return a if a > b else b

    def code(self, yes: Any, no: Any) -> Any:
        return TRUE if yes else FALSE if no else OPEN

    def choose(self, mask: Any, a: Any, b: Any) -> Any:
        return a if mask else b

    def absent(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return value[0] != value[0]
        return value is None or value == OPEN

    def equal(self, value: Any, text: str) -> Any:
        return OPEN if value is None else TRUE if value == text else FALSE


class Vector:
    """NumPy arrays that broadcast; codes are int8."""

    def least(self, a: Any, b: Any) -> Any:
        import numpy as np

        return np.minimum(a, b)

    def most(self, a: Any, b: Any) -> Any:
        import numpy as np

        return np.maximum(a, b)

    def code(self, yes: Any, no: Any) -> Any:
        import numpy as np

        return np.add(yes, np.logical_not(no), dtype=np.int8)

    def choose(self, mask: Any, a: Any, b: Any) -> Any:
        import numpy as np

        return np.where(mask, a, b)

    def absent(self, value: Any) -> Any:
        import numpy as np

        if isinstance(value, tuple):
            return np.isnan(value[0])
        if value is None or isinstance(value, str):
            return value is None
        return np.asarray(value) == OPEN if np.asarray(value).dtype.kind in "iub" else np.zeros((), bool)

    def equal(self, value: Any, text: str) -> Any:
        import numpy as np

        if value is None or isinstance(value, str):
            return OPEN if value is None else TRUE if value == text else FALSE
        return np.where(np.asarray(value) == text, np.int8(TRUE), np.int8(FALSE))


SCALAR, VECTOR = Scalar(), Vector()


@dataclass(frozen=True)
class Reading:
    """How to read a formula.

    ``slack`` widens every comparison in the direction that makes the whole formula true; ``blind`` sees only texts and
    dates, every number and every truth being open.
    """

    algebra: Algebra = SCALAR
    slack: float = 0.0
    blind: bool = False


def truth(node: Node, env: Environment, how: Reading, upward: bool = True) -> Any:
    """The truth code of a formula. ``upward`` is false under an odd number of ``not``."""
    match node:
        case All(items):
            return _fold(how.algebra.least, items, env, how, upward, FALSE)
        case Some(items):
            return _fold(how.algebra.most, items, env, how, upward, TRUE)
        case Not(item):
            return TRUE - truth(item, env, how, not upward)
        case Flag(value):
            return TRUE if value else FALSE
        case Var(name):
            return OPEN if how.blind else env[name]
        case Member(Var(name), texts):
            value = env[name]
            return reduce(how.algebra.most, (how.algebra.equal(value, text) for text in texts))
        case Compare(op, left, right):
            return _compare(op, left, right, env, how, upward)
    raise TypeError(f"not a truth: {node}")


def _fold(join: Any, items: tuple[Node, ...], env: Environment, how: Reading, upward: bool, stop: int) -> Any:
    """``and`` or ``or`` over items; a single value that settles it ends the walk."""
    out: Any = None
    for item in items:
        value = truth(item, env, how, upward)
        out = value if out is None else join(out, value)
        if isinstance(out, int) and out == stop:
            return out
    return out


def _compare(op: str, left: Node, right: Node, env: Environment, how: Reading, upward: bool) -> Any:
    for name, text in ((left, right), (right, left)):
        if isinstance(name, Var) and isinstance(text, Text):
            if name.name == "on":
                return _order(op, number(left, env), number(right, env), how.algebra)
            found = how.algebra.equal(env[name.name], text.values[0])
            return found if op == "==" else TRUE - found
        if isinstance(name, Var) and isinstance(text, Flag):
            found = truth(name, env, how, upward)
            return found if (op == "==") == text.value else TRUE - found
    if how.blind:
        return OPEN
    a, b = number(left, env), number(right, env)
    if how.slack:
        rising = op in (">", ">=")
        factor = 1 + how.slack if rising == upward else 1 - how.slack
        a = (a[0] * factor, a[1] * factor)
    return _order(op, a, b, how.algebra)


def _order(op: str, a: tuple[Any, Any], b: tuple[Any, Any], algebra: Algebra) -> Any:
    """Order of two intervals: true or false when it holds for every pair of points, open otherwise."""
    match op:
        case ">=":
            return algebra.code(a[0] >= b[1], a[1] < b[0])
        case ">":
            return algebra.code(a[0] > b[1], a[1] <= b[0])
        case "<=":
            return algebra.code(a[1] <= b[0], a[0] > b[1])
        case "<":
            return algebra.code(a[1] < b[0], a[0] >= b[1])
    below, above = algebra.code(a[1] <= b[0], a[0] > b[1]), algebra.code(a[0] >= b[1], a[1] < b[0])
    same = algebra.least(below, above)
    return same if op == "==" else TRUE - same


def number(node: Node, env: Environment) -> tuple[Any, Any]:
    """The interval of a numeric formula."""
    match node:
        case Const(value):
            return value, value
        case Text(values):
            day = float(date.fromisoformat(values[0]).toordinal())
            return day, day
        case Var(name):
            low, high = env[name]
            return low, high
        case Arith(op, left, right):
            return _arithmetic(op, number(left, env), number(right, env))
    raise TypeError(f"not a number: {node}")


def _arithmetic(op: str, a: tuple[Any, Any], b: tuple[Any, Any]) -> tuple[Any, Any]:
    """Interval arithmetic; factors and divisors are not negative (every variable of a rule is a size)."""
    match op:
        case "+":
            return a[0] + b[0], a[1] + b[1]
        case "-":
            return a[0] - b[1], a[1] - b[0]
        case "*":
            return a[0] * b[0], a[1] * b[1]
    return a[0] / b[1], a[1] / b[0]


def names(node: Node) -> tuple[str, ...]:
    """The names in a formula, each once, in order."""
    return tuple(dict.fromkeys(n.name for n in walk(node) if isinstance(n, Var)))


def strict(node: Node, value: Any, env: Environment, algebra: Algebra) -> Any:
    """A limb says *no* only when everything it names is known, or when a text or a date rules it out.

    Args:
        node: the formula.
        value: its truth code.
    """
    absent = [algebra.absent(env[name]) for name in names(node)]
    if not any(a is not False for a in absent):
        return value
    guard = truth(node, env, Reading(algebra, blind=True))
    missing = reduce(lambda x, y: x | y, absent)
    return algebra.choose((value == FALSE) & missing & (guard != FALSE), OPEN, value)
