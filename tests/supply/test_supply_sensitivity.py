"""Sobol indices: the Ishigami function in closed form, SALib as the oracle, and the supply run itself."""

import warnings

import numpy as np
import pytest

from wafer2token.supply import supply
from wafer2token.supply.drivers import drivers, ranks
from wafer2token.supply.sensitivity import by_claimant, indices, supply_sobol


def ishigami(x, a=7.0, b=0.1):
    return np.sin(x[:, 0]) + a * np.sin(x[:, 1]) ** 2 + b * x[:, 2] ** 4 * np.sin(x[:, 0])


def saltelli(n, seed):
    from scipy.stats import qmc

    unit = qmc.Sobol(6, seed=seed).random(n)
    both = np.pi * (2 * unit - 1)
    first, second = both[:, :3], both[:, 3:]
    mixed = []
    for i in range(3):
        one = first.copy()
        one[:, i] = second[:, i]
        mixed.append(ishigami(one))
    return ishigami(first), ishigami(second), np.array(mixed)


def test_ishigami_in_closed_form():
    first, total = indices(*saltelli(2**13, 0))
    assert first == pytest.approx([0.3139, 0.4424, 0.0], abs=0.02)
    assert total == pytest.approx([0.5576, 0.4424, 0.2437], abs=0.02)


def test_agrees_with_salib_on_the_same_model_runs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from SALib.analyze import sobol as oracle
        from SALib.sample import sobol as sampler

        problem = {"num_vars": 3, "names": ["a", "b", "c"], "bounds": [[-np.pi, np.pi]] * 3}
        x = sampler.sample(problem, 1024, calc_second_order=False, seed=1)
        y = ishigami(x)
        found = oracle.analyze(problem, y, calc_second_order=False, seed=1, num_resamples=10)
    rows = y.reshape(-1, 5)
    centred = rows - rows[:, [0, 4]].mean()
    first, total = indices(centred[:, 0], centred[:, 4], centred[:, 1:4].T)
    assert first == pytest.approx(found["S1"], abs=1e-2)
    assert total == pytest.approx(found["ST"], abs=1e-2)


def test_what_moves_2025_is_what_nobody_publishes():
    found = supply_sobol(year=2025, samples=400)
    assert found[0].name == "assembly_starts"
    assert found[0].grade == "assumed"
    assert found[0].total == pytest.approx(0.8, abs=0.2)
    assert sum(s.first for s in found) < 1.4
    idle = {s.name: s for s in found}
    assert idle["pue"].total == pytest.approx(0, abs=1e-12)
    assert idle["density_floor"].total == pytest.approx(0, abs=1e-12)


def test_ranks_are_centred_unit_vectors():
    unit = ranks(np.array([[3.0], [1.0], [2.0]]))
    assert unit.sum() == pytest.approx(0)
    assert np.linalg.norm(unit) == pytest.approx(1)


def test_drivers_name_grade_and_direction():
    run = supply(samples=1500, seed=1, until="2025Q4")
    first = drivers(run, "units.ascend", 6)[0]
    assert (first.name, first.grade) == ("assembly_starts", "assumed")
    assert first.correlation > 0.7
    assert first.high > first.low


def test_every_claimant_by_itself():
    found = by_claimant("share_910b", samples=300, until="2025Q4")
    assert set(found) == {"SemiAnalysis", "FT"}
    assert found["FT"][2025][1] > found["SemiAnalysis"][2025][1]
