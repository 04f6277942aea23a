"""Litho-limited wafers, tool minimum, fleets, cost and learning against the derived figures of the facts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafer2token.fab import capacity, carbon, cost, learning, patterning

YEAR = capacity.YEAR_S


@pytest.mark.parametrize(
    ("wph", "efficiency", "passes", "golden"), [(275, 0.50, 60, 1650), (275, 0.65, 45, 2860), (295, 0.75, 35, 4551)]
)
def test_wafers_per_scanner(wph, efficiency, passes, golden):
    assert capacity.wafers_per_month(1, wph, efficiency, passes) == pytest.approx(golden, rel=1e-3)
    assert capacity.tools_needed(10_000, wph, efficiency, passes) == pytest.approx(10_000 / golden, rel=1e-3)


def test_eighty_scanners_carry_229k_and_fifty_thousand_take_eighteen():
    assert capacity.wafers_per_month(80, 275, 0.65, 45) == pytest.approx(229e3, rel=2e-3)
    assert capacity.tools_needed(50e3, 275, 0.65, 45) == pytest.approx(17.5, abs=0.1)


def test_binding_tool_class_is_the_minimum():
    classes = [
        capacity.ToolClass("litho", np.array([20.0, 5.0]), 275, 0.65, 45),
        capacity.ToolClass("metrology", 30, 60, 0.8, 25),
    ]
    limit, index, names = capacity.tool_limit({c.name: c.wafers_per_month() for c in classes})
    assert [names[i] for i in index] == ["metrology", "litho"]
    assert limit == pytest.approx([30 * 60 * 720 * 0.8 / 25, 5 * 275 * 720 * 0.65 / 45])


@given(st.floats(0, 200), st.lists(st.floats(0, 20), min_size=1, max_size=12), st.floats(0, 0.2))
def test_fleet_conserves_tools(initial, arrivals, loss):
    added = np.array([arrivals])
    stock = capacity.fleet(np.array([initial]), added, np.full(added.shape, loss))
    before = np.concatenate([[initial], stock[0, :-1]])
    assert stock[0] + before * loss == pytest.approx(before + added[0], abs=1e-9)


def test_cycle_time_and_little():
    cycle = capacity.cycle_time(82, np.array([0.8, 1.5]))
    assert cycle / 86400 == pytest.approx([65.6, 123])
    assert capacity.work_in_progress(10_000, 30 * 86400.0) == pytest.approx(10_000)


def test_exposure_depreciation_golden():
    arfi = cost.exposure_depreciation(70e6, 5 * YEAR, 0.65, 275)
    euv = cost.exposure_depreciation(200e6, 5 * YEAR, 0.65, np.array([160, 220]))
    assert arfi == pytest.approx(8.9, abs=0.05)
    assert euv == pytest.approx([43.9, 31.9], abs=0.05)
    assert euv / arfi == pytest.approx([4.9, 3.6], abs=0.05)
    assert 45 * arfi == pytest.approx(402, abs=1)


def test_good_die_cost_golden():
    got = cost.good_die_cost(np.array([9346 * 1.4, 12000, 15000]), 76, np.array([0.5, 0.4, 0.2]))
    assert got == pytest.approx([344, 395, 987], abs=1)
    assert cost.good_die_cost(np.array([9346, 15000]), 79, np.array([0.5, 0.2])) == pytest.approx([237, 949], abs=1)


def test_wafer_price_forms():
    assert cost.wafer_price_structure(2330, 7016) == pytest.approx(9346)
    assert cost.wafer_price_scaled(10_000, 0.27, 60, 45) == pytest.approx(10_000 * (0.73 + 0.27 * 60 / 45))
    assert cost.nre_per_die(1e8, 1e7, 2, 1e6) == pytest.approx(120)


def test_exposures_by_scheme_and_the_euv_counterfactual():
    schemes = {
        "LE": patterning.Scheme("LE", 1, 0, 1, 0),
        "LELE": patterning.Scheme("LELE", 2, 0, 2, 0),
        "SAQP": patterning.Scheme("SAQP", 3.5, 0, 5, 2),
        "EUV": patterning.Scheme("EUV", 0, 1, 1, 0),
    }
    layers = [patterning.Layer("metal", 4, 40e-9, "SAQP"), patterning.Layer("upper", 10, 90e-9, "LE")]
    assert patterning.count_steps(layers, schemes).exposures == 24
    fewer = patterning.count_steps(patterning.with_euv(layers, schemes, 3), schemes)
    assert (fewer.immersion, fewer.euv, fewer.deposition) == (10, 4, 0)
    limits = {"LE": 76e-9, "LELE": 38e-9, "SAQP": 20e-9}
    assert [patterning.choose_scheme(p * 1e-9, limits) for p in (80, 40, 30)] == ["LE", "LELE", "SAQP"]
    assert patterning.choose_scheme(30e-9, limits, euv_limit=26e-9) == "EUV"
    with pytest.raises(ValueError, match="pitch"):
        patterning.choose_scheme(10e-9, limits)


def test_learning_limits():
    assert learning.density_after(0.3, 0.09, 0, 4) == pytest.approx(0.3)
    assert learning.density_after(0.3, 0.09, 1e3, 4) == pytest.approx(0.09)
    assert learning.density_wright(0.3, 1, 0.2) == pytest.approx(0.3)
    assert learning.yield_gompertz(0.6, 3, 0.4, 1e3) == pytest.approx(0.6)
    assert learning.substituted_by([0.0, 5.0], 5.0, 2.0) == pytest.approx([0, 1 - np.exp(-1)])
    assert learning.slipped(2026.0, 2025.0, 1.5) == pytest.approx(2026.5)


def test_carbon_divides_by_usable_yield():
    one = carbon.die_carbon(6.6561e-4, 2.15 * 3.6e6 * 1e4, 0.58 / 3.6e6, 0.35e4, 0.5e4, 1.0)
    assert carbon.die_carbon(6.6561e-4, 2.15 * 3.6e6 * 1e4, 0.58 / 3.6e6, 0.35e4, 0.5e4, 0.5) == pytest.approx(2 * one)
    assert one == pytest.approx(6.6561 * (2.15 * 0.58 + 0.35 + 0.5), rel=1e-9)
