"""The linear programme: duals against finite differences, cost rising with the target, infeasible targets refused."""

from dataclasses import replace

import numpy as np
import pytest

from wafer2token.evidence.errors import InfeasibleError, InputError
from wafer2token.supply import supply
from wafer2token.supply.wayround import LEVERS, Programme, cases, shadow_prices, way_round


@pytest.fixture(scope="module")
def run():
    return supply(samples=40, seed=5)


def most(case):
    closed = replace(case, limit=dict.fromkeys(LEVERS, 0.0 * case.dies))
    return Programme(closed, 0).most(range(len(case.dies)))


@pytest.mark.parametrize("stage", ["dies", "stacks", "assembly"])
def test_duals_are_what_one_more_unit_brings(run, stage):
    duals, step, quarter = getattr(shadow_prices(run, 8), stage), 10.0, 9
    for s, case in enumerate(cases(run, 8)):
        more = getattr(case, stage).copy()
        more[quarter] += step
        gain = (most(replace(case, **{stage: more})) - most(case)) / step
        assert duals[s, quarter] == pytest.approx(gain, abs=0.02)


def test_programme_makes_at_least_what_the_run_makes(run):
    for s, case in enumerate(cases(run, 10)):
        own = float((case.starts * case.attach).sum())
        assert most(case) >= own * (1 - 1e-6), s


def test_cost_and_last_price_rise_with_the_target(run):
    small, large = (way_round(run, 2027, target, samples=20) for target in (9e5, 1.3e6))
    assert small.share >= large.share > 0
    both = [(a, b) for a, b in zip(small.plans, large.plans, strict=True) if a.feasible and b.feasible]
    assert all(b.cost >= a.cost - 1 and b.marginal >= a.marginal - 1e-6 for a, b in both)


def test_nothing_is_bought_before_its_time(run):
    plan = next(p for p in way_round(run, 2027, 1.3e6, since="2026Q3", samples=20).plans if p.feasible)
    assert all(np.all(bought[:10] < 1e-3) for bought in plan.bought.values())


def test_out_of_reach_says_what_is_in_reach(run):
    with pytest.raises(InfeasibleError, match="nearest"):
        way_round(run, 2027, 1e9, samples=5)
    with pytest.raises(InputError):
        way_round(run, 2031, 1e5, samples=5)
