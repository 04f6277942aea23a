"""One density and one core share serve Kirin 9000S, 910B and 910C at once."""

import numpy as np
import pytest

from wafer2token.fab import yields
from wafer2token.fab.consistency import fit_split
from wafer2token.package.assembly import implied_coverage, package_yield

A910B, KIRIN = 665.61e-6, 107e-6


@pytest.mark.parametrize("clustering", [None, 2.0])
def test_the_split_of_csis_fits_with_one_parameter_set(clustering):
    fit = fit_split(0.20, 0.40, A910B, 25, 20, clustering)
    assert fit.full(A910B) == pytest.approx(0.20)
    assert yields.harvest(A910B, fit.density, 25, 20, fit.core_share, clustering) == pytest.approx(0.40, abs=1e-6)
    assert 0.3 < fit.core_share < 0.6
    assert 0.15 <= fit.full(KIRIN) <= 0.90


def test_what_it_says_of_the_phone_and_of_the_dual_die_package():
    fit = fit_split(0.20, 0.40, A910B, 25, 20, 2.0)
    assert fit.full(KIRIN) == pytest.approx(0.70, abs=0.01)
    coverage = implied_coverage(0.75, 0.40, 2, 0.9)
    assert package_yield(0.40, coverage, 2, assembly=0.9) == pytest.approx(0.75)


def test_half_fully_good_means_the_density_of_tsmc_in_2019():
    density = fit_split(0.50, 0.60, A910B, 25, 20).density / 1e4
    assert 0.09 < density < 0.12


def test_a_split_that_no_core_share_gives_is_nan():
    assert np.isnan(fit_split(0.20, 0.95, A910B, 25, 24).core_share)
    shares = fit_split(0.2, np.array([0.25, 0.35, 0.45]), A910B, 25, 20).core_share
    assert np.all(np.diff(shares) > 0)
