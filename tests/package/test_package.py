"""Packages and stacks against the golden values of the facts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafer2token.package import assembly, cost, hbm


def test_dual_die_golden():
    assert assembly.package_yield(0.4, 0.95, 2, assembly=0.9) == pytest.approx(0.7788, abs=5e-5)


def test_csis_packaging_loss_as_test_coverage():
    coverage = assembly.implied_coverage(0.75, 0.4, 2, 0.9)
    assert coverage == pytest.approx(0.93, abs=0.01)
    assert assembly.package_yield(0.4, coverage, 2, assembly=0.9) == pytest.approx(0.75)


@given(st.floats(0.05, 0.95), st.floats(0.0, 1.0))
def test_package_yield_falls_with_dies_and_rises_with_coverage(die_yield, coverage):
    assert assembly.package_yield(die_yield, coverage, 2) <= assembly.package_yield(die_yield, coverage, 1) + 1e-12
    assert assembly.package_yield(die_yield, 1.0, 2) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("height", "golden"), [(8, (0.43, 0.66, 0.85)), (12, (0.28, 0.54, 0.78))]
)
def test_stack_yield_golden(height, golden):
    assert hbm.stack_yield(np.array([0.90, 0.95, 0.98]), height) == pytest.approx(golden, abs=0.006)


def test_stacks_and_bandwidth():
    assert hbm.stacks_per_month(1000, 600, 0.8, 0.5, 8) == pytest.approx(1000 * 600 * 0.8 * 0.5 / 8)
    assert hbm.bandwidth(8, 1024, 3.2e9) == pytest.approx(3.2768e12)
    assert hbm.packages_supported(13e6, 8, 1.0) == pytest.approx(1.625e6)
    density = hbm.bandwidth_density(hbm.bandwidth(1, 1024, 3.2e9), 110e-6)
    assert density / 1e15 > 2.0


def test_good_910c_cost_golden():
    die = np.array([9346 / (79 * 0.5), 13500 / (79 * 0.4), 15000 / (79 * 0.2)])
    got = cost.package_cost(die, 2, np.array([120, 200, 400]), 8, np.array([150, 300, 500]), np.array([0.9, 0.75, 0.7]))
    assert got / 1e3 == pytest.approx([1.8, 3.7, 8.0], abs=0.05)


def test_rework_gives_parts_back():
    assert assembly.recovered(100, 8, 0.25) == pytest.approx(200)
    assert assembly.interposers_per_month(1000, 9) == pytest.approx(9000)
