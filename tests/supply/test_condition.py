"""Conditioning: resampling in proportion to weight, the same structure, the label of what it is."""

import numpy as np
import pytest
from click.testing import CliRunner

from wafer2token.cli.supply import command
from wafer2token.evidence.errors import EvidenceError
from wafer2token.supply import supply
from wafer2token.supply.backtest import posterior, weighted_quantiles
from wafer2token.supply.condition import systematic


def test_systematic_draws_follow_the_weights():
    index = systematic(np.array([0.5, 0.0, 0.3, 0.2]), 1000)
    assert np.bincount(index, minlength=4) == pytest.approx([500, 0, 300, 200], abs=1)


def test_a_run_given_observations_is_its_posterior():
    prior = supply(samples=3000, until="2026Q4")
    after = supply(samples=3000, until="2026Q4", given=None)
    found = posterior(prior)
    assert after.given == found.used
    assert after.effective_samples == pytest.approx(found.effective_samples)
    for name in ("units.ascend", "h100e.bf16", "stacks.stock"):
        weighted = weighted_quantiles(prior[name][:, 7], [0.5], found.weights)[0]
        assert np.median(after[name][:, 7]) == pytest.approx(weighted, rel=0.02)
    assert after["units.ascend"].shape == prior["units.ascend"].shape
    assert "posterior" in after.nature
    assert "prior predictive" in prior.nature
    assert after.to_dict()["likelihood"] == ", ".join(found.used)


def test_conservation_survives_conditioning():
    after = supply(samples=1000, until="2026Q4", given=("ascend_2025_idc",))
    packed = after.packaging
    balance = sum(after.arriving.stacks.values()) + packed.stacks_won - packed.stacks_used
    assert np.abs(balance.cumsum(axis=1) - packed.stock_stacks).max() < 1e-3


def test_the_command_says_what_it_shows():
    run = CliRunner()
    done = run.invoke(command, ["--samples", "1000", "--until", "2026Q4", "--given", "cloudmatrix_300"], catch_exceptions=False)
    assert "posterior given cloudmatrix_300" in " ".join(done.stdout.split())
    failed = run.invoke(command, ["--samples", "100", "--given", "ascend_2025_commerce"])
    assert isinstance(failed.exception, EvidenceError)


@pytest.mark.parametrize("show", ["drivers", "flows", "backtest", "knock-outs", "claimants"])
def test_a_run_without_a_whole_year_is_refused_by_year(show):
    failed = CliRunner().invoke(command, ["--samples", "20", "--until", "2024Q2", "--show", show])
    assert "no whole calendar year" in str(failed.exception)


def test_a_chip_number_with_a_date_is_refused():
    failed = CliRunner().invoke(command, ["--samples", "20", "--set", "chip.ascend_910c.tdp=600 W@2026"])
    assert "holds for the whole run" in str(failed.exception)
    assert CliRunner().invoke(command, ["--samples", "20", "--set", "chip.ascend_910c.tdp=600 W"]).exit_code == 0
