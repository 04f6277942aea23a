"""Golden values of the supply facts, models.md sections 8 and 9."""

import numpy as np
import pytest

from wafer2token.study import economics as e

HOUR = 3600.0
YEAR = 365.25 * 86400
MONTH = YEAR / 12


@pytest.mark.parametrize(
    ("usd", "kw", "pflops", "usd_kwh", "expected"),
    [(8.2e6, 559, 300, 0.056, 915), (8.2e6, 559, 300, 0.09, 998), (3.0e6, 145, 180, 0.09, 570)],
)
def test_ownership_per_exaflop_hour(usd, kw, pflops, usd_kwh, expected):
    cost = e.cost_rate(usd, 4 * YEAR, kw * 1e3, 1.3, usd_kwh / 3.6e6)
    assert e.cost_per_flop(cost, pflops * 1e15) * 3.6e21 == pytest.approx(expected, abs=1)


def test_subsidy_break_even():
    assert e.subsidy_break_even(570, 915) == pytest.approx(0.38, abs=0.005)
    assert e.subsidy_break_even(570, 998) == pytest.approx(0.43, abs=0.005)


@pytest.mark.parametrize(
    ("mfu", "availability", "engineering", "months"),
    [(0.8, 0.97, 1.25, 4.8), (0.7, 0.95, 1.3, 5.9), (0.6, 0.92, 1.3, 7.1)],
)
def test_slowdown(mfu, availability, engineering, months):
    assert 3 * e.slowdown(mfu, availability, engineering) == pytest.approx(months, abs=0.05)


@pytest.mark.parametrize(("k", "six", "eighteen"), [(5 / 3, 2.4, 7.2), (2, 3.0, 9.0), (7 / 3, 3.4, 10.3)])
def test_lag_without_diffusion(k, six, eighteen):
    for months, added in ((6, six), (18, eighteen)):
        assert e.iteration_lag(0.0, k, 0.0, months * MONTH) / MONTH == pytest.approx(added, abs=0.05)


@pytest.mark.parametrize(("k", "c"), [(5 / 3, 0.057), (2, 0.071), (7 / 3, 0.082)])
def test_diffusion_that_holds_a_lag_of_seven_months(k, c):
    steady = e.steady_diffusion(7.0, k)
    assert steady == pytest.approx(c, abs=6e-4)
    assert e.iteration_lag(7.0, k, steady, 18.0) == pytest.approx(7.0)


def test_lag_from_seven_months_with_some_diffusion():
    assert e.iteration_lag(7.0, 2.0, 0.05, 18.0) == pytest.approx(0.5 / 0.05 + (7 - 10) * np.exp(-0.9))


def test_independence_pays_if_the_expected_loss_exceeds_the_premium():
    assert e.break_even_loss(2.0, 1.0, 1.0) == 1.0
