import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafer2token.evidence.breakdown import FEWEST, breakdown, repeats
from wafer2token.evidence.validation import Point


def point(source, measured, predicted, group="g", setting="", weight=1.0):
    return Point("p", group, measured, predicted, unit="s", weight=weight, source=source, setting=setting)


def test_a_constant_bias_explains_the_whole_error():
    by_source = {p.source: p for p in breakdown([point("a", m, 1.3 * m) for m in (1.0, 2.0, 5.0, 9.0)])}
    assert by_source["a"].error == pytest.approx(0.3)
    assert by_source["a"].bias == pytest.approx(0.3)
    assert by_source["a"].without_bias == pytest.approx(0, abs=1e-12)
    assert by_source[""].error == pytest.approx(0.3)


def test_few_points_do_not_tell_bias_from_error():
    parts = breakdown([point("a", 1.0, 1.3)] * (FEWEST - 1))
    assert all(p.without_bias is None for p in parts)


def test_mean_over_sources_comes_first_and_each_source_counts_once():
    parts = breakdown([*[point("many", 1.0, 1.1)] * 9, point("one", 1.0, 1.5), point("none", 1.0, 9.0, weight=0.0)])
    assert [(p.source, p.n) for p in parts] == [("", 10), ("one", 1), ("many", 9)]
    assert parts[0].error == pytest.approx(0.3)


def test_skipped_points_do_not_count():
    assert breakdown([Point("p", "g", 1.0, skipped="no card", source="a")]) == ()


@given(st.floats(1.0, 3.0), st.floats(0.1, 100.0))
def test_two_measurements_of_one_setting_leave_a_floor(apart, predicted):
    (found,) = repeats([point("a", 1.0, predicted, setting="s"), point("b", apart, predicted, setting="s")])
    assert found.apart == pytest.approx(math.log(apart), abs=1e-12)
    middle = math.sqrt(apart)
    assert found.floor == pytest.approx((middle - 1 + 1 - 1 / middle) / 2, abs=1e-9)


def test_settings_measured_once_have_no_repeats():
    assert repeats([point("a", 1.0, 1.0, setting="s"), point("a", 1.0, 1.0, setting="t"), point("a", 1.0, 1.0)]) == ()
