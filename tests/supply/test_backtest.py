"""Scores against closed forms; statements kept apart; a posterior only where a likelihood exists."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wafer2token.evidence.errors import EvidenceError, InputError
from wafer2token.supply import supply
from wafer2token.supply.backtest import (
    backtest,
    crps,
    log_likelihood,
    observations,
    posterior,
    quantile_of,
    usable,
    weighted_quantiles,
)  # fmt: skip


@pytest.fixture(scope="module")
def run():
    return supply(samples=3000, seed=2, until="2026Q4")


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.floats(-1e6, 1e6))
def test_crps_is_the_energy_form(samples, value):
    x = np.array(samples)
    energy = np.abs(x - value).mean() - 0.5 * np.abs(x[:, None] - x[None, :]).mean()
    assert crps(x, value) == pytest.approx(energy, abs=1e-6 * max(1, np.abs(x).max(), abs(value)))


def test_crps_of_a_normal_sample():
    draws = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    z = 0.7
    closed = z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi)
    assert crps(draws, z) == pytest.approx(closed, abs=1e-3)


def test_weights_count_as_copies():
    x, w = np.array([1.0, 2.0, 5.0]), np.array([1.0, 2.0, 1.0])
    copies = np.array([1.0, 2.0, 2.0, 5.0])
    assert crps(x, 3.0, w) == pytest.approx(crps(copies, 3.0))
    assert quantile_of(x, 2.0, w) == quantile_of(copies, 2.0) == 0.75
    assert weighted_quantiles(np.arange(101.0), [0.5], np.ones(101)) == pytest.approx([50.0])


def test_every_statement_is_scored_by_itself(run):
    scores = backtest(run)
    assert len({s.id for s in scores}) == len(scores) >= 20
    by = {s.id: s for s in scores}
    assert by["ascend_2025_commerce"].quantile < 0.05 < by["ascend_2025_ft"].quantile < by["ascend_2025_idc"].quantile
    assert by["h20_2024_epoch"].note.startswith("an input of the model")


def test_dates_are_scored_as_dates(run):
    by = {s.id: s for s in backtest(run)}
    for name in ("hbm_binds_semianalysis", "bank_exhausted_semianalysis"):
        assert 2024 < by[name].p5 <= by[name].p95 <= 2027
        assert by[name].crps < 2


def test_plans_have_no_likelihood(run):
    plan = observations(["ascend_2026_bloomberg_910c"])[0]
    with pytest.raises(EvidenceError, match="no likelihood"):
        log_likelihood(np.ones(3), plan)
    with pytest.raises(EvidenceError):
        posterior(run, ["ascend_2025_commerce"])
    with pytest.raises(InputError, match="did you mean"):
        posterior(run, ["ascend_2025_id"])


def test_posterior_moves_to_the_count_and_says_what_each_observation_did(run):
    found = posterior(run)
    assert set(found.used) == set(usable())
    assert found.weights.sum() == pytest.approx(1.0)
    assert 20 < found.effective_samples < run.samples
    units = run.yearly("units.ascend")[2025]
    prior, after = np.median(units), weighted_quantiles(units, [0.5], found.weights)[0]
    assert abs(after - 812e3) < abs(prior - 812e3)
    assert {e.observation for e in found.effects} == {*usable(), "all"}
    assert found.moved[0][0] == "assembly_starts"


def test_likelihood_of_a_bound_is_one_sided():
    bound = observations(["cloudmatrix_300"])[0]
    low, at, high = log_likelihood(np.array([50e3, 115.2e3, 500e3]), bound)
    assert low < at < high
    assert np.exp(at) == pytest.approx(0.5)
    assert np.exp(high) == pytest.approx(1.0)
