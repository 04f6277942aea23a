import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafer2token.evidence.errors import InputError
from wafer2token.evidence.number import Number
from wafer2token.evidence.sampling import draw, quantiles, triangular

ONE = {"value": "700 W", "grade": "vendor", "source": ["a"]}


def test_value_and_range():
    assert float(Number.parse(ONE, "W")) == 700
    number = Number.parse({"low": "1 kW", "mid": "2 kW", "high": "4 kW", "grade": "analyst", "source": "x"}, "W")
    assert (number.low, number.mid, number.high) == (1e3, 2e3, 4e3)
    assert number.sources == ("x",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grade": "sure"}, "unknown grade"),
        ({"source": []}, "no source"),
        ({"value": "-3 W"}, "negative"),
        ({"value": "3 GB"}, "does not measure"),
        ({"value": 700}, "unit is missing"),
        ({"valeu": 1}, 'did you mean "value"'),
        ({"low": "1 W"}, "needs value"),
        ({"dist": "normal"}, "unknown distribution"),
        ({"as_of": "2026"}, "not a date"),
    ],
)
def test_refused(change, message):
    with pytest.raises(InputError, match=message):
        Number.parse({**ONE, **change}, "W")


def test_all_problems_at_once():
    with pytest.raises(InputError) as caught:
        Number.parse({"low": "9 W", "high": "3 W", "grade": "?", "source": [], "colour": 1}, "W", "$.tdp")
    assert len(caught.value.problems) == 4


def claim(by, value, weight):
    return {"by": by, "value": value, "weight": weight, "grade": "press", "source": ["s"]}


def test_contested_values_are_drawn_by_weight():
    number = Number.parse({"claims": [claim("a", "100 W", 0.25), claim("b", "200 W", 0.75)]}, "W")
    samples = draw(number, "x", 4000, 1)
    assert set(samples) == {100.0, 200.0}
    assert (samples == 200).mean() == pytest.approx(0.75, abs=1e-3)
    assert float(number) == 200


def test_weights_must_sum_to_one():
    with pytest.raises(InputError, match="sum to 1"):
        Number.parse({"claims": [claim("a", "1 W", 0.5), claim("b", "2 W", 0.6)]}, "W")


@given(st.integers(0, 2**31), st.text(min_size=1, max_size=8), st.integers(1, 200))
def test_quantiles_are_stratified_and_repeatable(seed, name, n):
    u = quantiles(name, n, seed)
    assert sorted((u * n).astype(int)) == list(range(n))
    assert (u == quantiles(name, n, seed)).all()


def test_triangular_matches_its_mean():
    u = quantiles("t", 20000, 3)
    assert triangular(1.0, 2.0, 6.0, u).mean() == pytest.approx((1 + 2 + 6) / 3, rel=1e-3)


def test_lognormal_percentiles():
    number = Number.parse(
        {"low": "1e4", "mid": "1.4e5", "high": "5e5", "grade": "analyst", "source": "x", "dist": "lognormal"}, "1"
    )
    samples = sorted(draw(number, "smuggled", 20000, 0))
    assert samples[1000] == pytest.approx(1e4, rel=0.05)
    assert samples[10000] == pytest.approx(1.4e5, rel=0.05)
    assert samples[19000] == pytest.approx(5e5, rel=0.05)
