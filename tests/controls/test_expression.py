"""The grammar of formulas and their three values."""

import math

import pytest

from wafer2token.catalog.expression import Expression, type_of
from wafer2token.controls.logic import FALSE, MISSING, OPEN, SCALAR, TRUE, VECTOR, Reading, strict, truth
from wafer2token.evidence.errors import InputError

VALUES = {
    "x": (3.0, 3.0),
    "r": (1.0, 2.0),
    "gone": MISSING,
    "yes": TRUE,
    "no": FALSE,
    "open": OPEN,
    "t": "CN",
    "u": None,
}


def value(text, **more):
    return truth(Expression.parse(text).tree, {**VALUES, **more}, Reading(SCALAR))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x >= 3", TRUE), ("x > 3", FALSE), ("x <= 3", TRUE), ("x < 3", FALSE), ("x == 3", TRUE), ("x != 3", FALSE),
        ("2 < x < 4", TRUE), ("2 < x < 3", FALSE), ("x * 2 + 1 == 7", TRUE), ("x / 2 - 1 == 0.5", TRUE), ("-1 < x", TRUE),
        ("r >= 1", TRUE), ("r >= 2", OPEN), ("r > 2", FALSE), ("r < 1", FALSE), ("r <= 1", OPEN), ("r == 1", OPEN),
        ("r == 3", FALSE), ("r != 3", TRUE), ("x > r", TRUE), ("r * 2 > x", OPEN),
        ("gone >= 1", OPEN), ("gone < 1", OPEN), ("gone == 1", OPEN), ("not gone < 1", OPEN),
        ("t == 'CN'", TRUE), ("t != 'CN'", FALSE), ("t in ['CN', 'MO']", TRUE), ("t not in ['CN', 'MO']", FALSE),
        ("u == 'CN'", OPEN), ("u in ['CN']", OPEN), ("True", TRUE), ("False or yes", TRUE),
        ("yes == True", TRUE), ("yes == False", FALSE), ("open == True", OPEN),
    ],
)  # fmt: skip
def test_values(text, expected):
    assert value(text) == expected


@pytest.mark.parametrize("a", ["yes", "open", "no"])
@pytest.mark.parametrize("b", ["yes", "open", "no"])
def test_truth_tables(a, b):
    first, second = VALUES[a], VALUES[b]
    assert value(f"{a} and {b}") == min(first, second)
    assert value(f"{a} or {b}") == max(first, second)
    assert value(f"not {a}") == 2 - first


def test_a_missing_value_never_gives_no_in_a_complete_record():
    tree = Expression.parse("x >= 10 and gone >= 1").tree
    assert truth(tree, VALUES, Reading(SCALAR)) == FALSE
    assert strict(tree, FALSE, VALUES, SCALAR) == OPEN


def test_a_text_may_rule_a_limb_out_although_a_number_is_missing():
    tree = Expression.parse("t == 'US' and gone >= 1").tree
    assert strict(tree, FALSE, VALUES, SCALAR) == FALSE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os')", "a call is not allowed"), ("x.y > 1", "an attribute is not allowed"),
        ("x[0] > 1", "a subscript is not allowed"), ("lambda: 1", "a lambda is not allowed"),
        ("x >", "broken formula"), ("", "not a formula"), ("x is 3", "is not are not allowed"),
        ("x ** 2 > 1", "binop is not allowed"), ("[x for x in y]", "not allowed"), ("x if y else z", "not allowed"),
        ("3 in [1]", '"in" needs a name'), ("f'{x}'", "not allowed"), ("(y := 3)", "not allowed"),
    ],
)  # fmt: skip
def test_what_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        Expression.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tpq >= 1", "did you mean tpp"), ("tpp and datacenter", "'and' needs a truth"), ("dest > 'CN'", "does not order a text"),
        ("tpp == 'CN'", "compares a number with a text"), ("on >= '2026-13-01'", "not a date"), ("tpp in ['a']", "needs a text"),
    ],
)  # fmt: skip
def test_names_and_types(text, message):
    from wafer2token.catalog.rule_variables import TYPES

    problems = []
    type_of(Expression.parse(text).tree, TYPES, problems)
    assert message in " ".join(str(p) for p in problems)


def test_dates_compare_as_days():
    from datetime import date

    on = (float(date(2026, 1, 15).toordinal()),) * 2
    assert value("on >= '2026-01-15'", on=on) == TRUE
    assert value("on < '2026-01-15'", on=on) == FALSE
    assert value("on == '2026-01-15'", on=on) == TRUE


def test_arrays_read_the_same_tree():
    import numpy as np

    x = np.array([2.0, 3.0, math.nan])
    tree = Expression.parse("x >= 3 and not open").tree
    assert truth(tree, {"x": (x, x), "open": OPEN}, Reading(VECTOR)).tolist() == [FALSE, OPEN, OPEN]
    assert strict(tree, np.array([0, 0, 0]), {"x": (x, x), "open": FALSE}, VECTOR).tolist() == [0, 0, 1]
