"""Yield models against the golden values of the facts, their order, limits and inverses."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from wafer2token.fab import yields

CM2, PER_CM2 = 1e-4, 1e4
A910B, D = 6.6561 * CM2, 0.25 * PER_CM2


@pytest.mark.parametrize(
    ("got", "golden"),
    [
        (yields.poisson(A910B, D), 0.1894),
        (yields.murphy(A910B, D), 0.2373),
        (yields.seeds(A910B, D), 0.3754),
        (yields.negative_binomial(A910B, D, 2.0), 0.2979),
        (yields.bose_einstein(A910B, 0.0027 * PER_CM2, 45), 0.4486),
        (yields.harvest(A910B, D, 25, 22, 0.5), 0.4315),
    ],
)
def test_golden_to_four_digits(got, golden):
    assert float(got) == pytest.approx(golden, abs=5e-5)


def test_density_per_pass_golden():
    d = yields.density_per_pass(0.57, 0.40, 20, A910B)
    assert d / PER_CM2 == pytest.approx(0.0027, abs=5e-5)
    kirin = yields.pass_yield(1.0, 1.07 * CM2, d, 20)
    assert 1 - float(kirin) == pytest.approx(0.056, abs=1e-3)


@given(st.floats(0.05, 12.0), st.floats(0.01, 2.0))
def test_order_of_the_four_models(area, density):
    a, d = area * CM2, density * PER_CM2
    ordered = [yields.poisson(a, d), yields.murphy(a, d), yields.negative_binomial(a, d, 2.0), yields.seeds(a, d)]
    assert all(x <= y + 1e-12 for x, y in itertools.pairwise(ordered))


@given(st.floats(0.05, 10.0), st.floats(0.01, 1.5), st.integers(1, 80))
def test_yield_falls_in_area_density_and_layers(area, density, layers):
    a, d = area * CM2, density * PER_CM2
    for model in yields.MODELS:
        assert yields.die_yield(model, a * 1.1, d) < yields.die_yield(model, a, d)
        assert yields.die_yield(model, a, d * 1.1) < yields.die_yield(model, a, d)
    assert yields.bose_einstein(a, d / 100, layers + 1) < yields.bose_einstein(a, d / 100, layers)


@pytest.mark.parametrize("clustering", [None, 2.0])
def test_harvest_does_not_rise_in_needed_cores_and_ends_at_the_plain_model(clustering):
    values = [float(yields.harvest(A910B, D, 25, k, 0.5, clustering)) for k in range(15, 26)]
    assert all(x >= y - 1e-12 for x, y in itertools.pairwise(values))
    plain = yields.poisson(A910B, D) if clustering is None else yields.negative_binomial(A910B, D, clustering)
    assert values[-1] == pytest.approx(float(plain))


@pytest.mark.parametrize("needed", [25, 23, 20, 15])
def test_clustered_harvest_is_the_gamma_mixture_of_the_plain_one(needed):
    alpha = 2.0
    spread = stats.gamma(alpha, scale=D / alpha)
    mixture, _ = integrate.quad(
        lambda d: float(yields.harvest(A910B, d, 25, needed, 0.5)) * spread.pdf(d), 0, D * 40, limit=400
    )
    assert float(yields.harvest(A910B, D, 25, needed, 0.5, alpha)) == pytest.approx(mixture, abs=1e-6)


def test_csis_split_is_one_density():
    """Full 18-20 % and usable 40-45 % at D0 0.24-0.26 per cm2 with 22 or 23 of 25 cores and half of the area in cores."""
    for density in (0.24, 0.25, 0.26):
        full = float(yields.harvest(A910B, density * PER_CM2, 25, 25, 0.5))
        usable = float(yields.harvest(A910B, density * PER_CM2, 25, 22, 0.5))
        assert 0.17 < full < 0.21
        assert 0.40 < usable < 0.46


def test_usable_share_turns_on_the_core_area_that_nobody_has_measured():
    density = yields.defect_density("poisson", A910B, 0.20)
    assert float(yields.harvest(A910B, density, 25, 20, 0.3)) == pytest.approx(0.32, abs=0.01)
    assert float(yields.harvest(A910B, density, 25, 20, 0.7)) == pytest.approx(0.61, abs=0.015)


def test_kirin_yield_at_the_density_of_the_910b():
    densities = yields.defect_density("negative_binomial", A910B, np.array([0.2, 0.4, 0.5]))
    assert yields.negative_binomial(1.07 * CM2, densities, 2.0) == pytest.approx([0.70, 0.84, 0.88], abs=0.006)


@pytest.mark.parametrize("model", yields.MODELS)
def test_density_inverts_yield(model):
    fractions = np.array([0.05, 0.2, 0.5, 0.9])
    density = yields.defect_density(model, A910B, fractions)
    assert yields.die_yield(model, A910B, density) == pytest.approx(fractions, rel=1e-9)


def test_derived_densities_of_the_facts():
    table = {0.2: (0.242, 0.371), 0.3: (0.181, 0.248), 0.4: (0.138, 0.175), 0.5: (0.104, 0.124)}
    for fraction, (plain, clustered) in table.items():
        assert yields.defect_density("poisson", A910B, fraction) / PER_CM2 == pytest.approx(plain, abs=6e-4)
        assert yields.defect_density("negative_binomial", A910B, fraction) / PER_CM2 == pytest.approx(
            clustered, abs=6e-4
        )


def test_overlay_limits():
    assert yields.overlay_yield(1.0, 1e-6, 0, 0, 40) == pytest.approx(1.0)
    assert yields.overlay_yield(1e-9, 1e-9, 1e-9, 0, 2) < yields.overlay_yield(2e-9, 1e-9, 1e-9, 0, 2)


def test_total_yield_is_the_product():
    assert yields.total_yield(0.95, 0.9, 0.5, 0.8) == pytest.approx(0.95 * 0.9 * 0.5 * 0.8)


def test_unknown_model_and_core_count_are_refused():
    with pytest.raises(ValueError, match="known"):
        yields.die_yield("poison", 1.0, 1.0)
    with pytest.raises(ValueError, match="needed"):
        yields.harvest(1.0, 1.0, 25, 26, 0.5)
