"""The stock and flow: conservation to the last wafer, die and stack; determinism; knock-outs; monotone answers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wafer2token.supply import Timeline, engine, read_inputs, supply
from wafer2token.supply.door import STAGES, Door, Recipe, allocate, binding_stage
from wafer2token.supply.timeline import QUARTER_S

SAMPLES = 400
UNIT = 1e-3


@pytest.fixture(scope="module")
def base():
    return supply(samples=SAMPLES, seed=1)


def residuals(result):
    """Largest imbalance of every conserved thing, in units of that thing."""
    arriving, packed, inputs = result.arriving, result.packaging, result.inputs
    total = sum(inputs.all(n) for n in ("smic_wafers", "huahong_wafers", "huawei_fab_wafers")) * QUARTER_S
    out = {"wafers": np.abs(sum(arriving.wafers.values()) - total)}
    for kind, flow, used, won, stock in (
        ("bank", "bank", "bank", "bank", packed.stock_bank),
        ("910", "ascend_910", "910", "910", packed.stock_910),
        ("950", "ascend_950", "950", "950", packed.stock_950),
    ):
        balance = arriving.dies[flow] + packed.dies_won[won] - packed.dies_used[used]
        out[f"dies {kind}"] = np.abs(balance.cumsum(axis=1) - stock)
    stacks = sum(arriving.stacks.values()) + packed.stacks_won - packed.stacks_used
    out["stacks"] = np.abs(stacks.cumsum(axis=1) - packed.stock_stacks)
    out["pools"] = np.abs(sum(packed.stacks_by_generation.values()) - packed.stock_stacks)
    others = arriving.stacks_others - result.others["stacks.used"]
    out["stacks of others"] = np.abs(others.cumsum(axis=1) - result.others["stacks.stock"])
    for firm in ("cambricon", "hygon"):
        balance = arriving.dies[firm] - result.others[f"{firm}.starts"]
        out[f"dies {firm}"] = np.abs(balance.cumsum(axis=1) - result.others[f"{firm}.stock"])
    starts = packed.starts_950 + packed.starts_pairs
    out["dies in packages"] = np.abs(sum(packed.dies_used.values()) - 2 * starts)
    return {name: float(value.max()) for name, value in out.items()}


def test_mass_is_conserved(base):
    for what, residual in residuals(base).items():
        assert residual < UNIT, what


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 10_000),
    st.floats(0, 1),
    st.floats(0.05, 0.95),
    st.floats(0, 1),
    st.sampled_from(["2024Q2", "2026Q1", "2028Q4"]),
)
def test_mass_is_conserved_whatever_the_inputs(seed, share, attach, rework, until):
    changes = {"ascend_share": share, "attach_yield": attach, "rework": rework, "die_bank": "1e6 die"}
    for what, residual in residuals(supply(samples=20, seed=seed, overrides=changes, until=until)).items():
        assert residual < UNIT, what


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1e5), min_size=12, max_size=12), st.floats(0, 7))
def test_delay_conserves_what_leaves(flow, lag):
    history = 8
    padded = np.array([[0.0] * history + flow + [0.0] * 9])
    assert engine.delayed(padded, np.array([lag]), history).sum() == pytest.approx(sum(flow), abs=1e-6)


def test_stocks_and_flows_are_never_negative(base):
    for name in base.names:
        assert base[name].min() >= 0, name


def test_no_more_is_used_than_was_there(base):
    packed = base.packaging
    dies_in = sum(base.arriving.dies[k] for k in ("bank", "ascend_910", "ascend_950")).cumsum(axis=1)
    stacks_in = sum(base.arriving.stacks.values()).cumsum(axis=1)
    won = sum(packed.dies_won.values()).cumsum(axis=1)
    assert np.all(sum(packed.dies_used.values()).cumsum(axis=1) <= dies_in + won + UNIT)
    assert np.all(packed.stacks_used.cumsum(axis=1) <= stacks_in + packed.stacks_won.cumsum(axis=1) + UNIT)


def test_same_seed_same_bytes_and_prefix_stable():
    first, second = supply(samples=50, seed=3), supply(samples=50, seed=3)
    assert first.to_json() == second.to_json()
    longer = supply(samples=50, seed=3, until="2033Q4")
    assert np.array_equal(longer["units.ascend"][:, :20], first["units.ascend"])
    assert not np.array_equal(first["units.ascend"], supply(samples=50, seed=4)["units.ascend"])


def test_common_random_numbers_leave_other_inputs_alone(base):
    other = supply(samples=SAMPLES, seed=1, overrides={"attach_yield": 0.8})
    for name in base.inputs.values:
        if name != "attach_yield":
            assert np.array_equal(base.inputs.values[name], other.inputs.values[name]), name


FIELDS = ("dies_910", "dies_950", "foreign", "domestic", "own", "assembly", "demand")
RECIPE = Recipe(np.array([9.0]), np.array([8.0]))


@given(*[st.floats(0, 1e6)] * 7, st.sampled_from([f for f in FIELDS if f != "dies_950"]), st.floats(1, 3))
def test_more_of_anything_never_starts_fewer(a, b, c, d, e, f, g, which, factor):
    """More 950 dies may start fewer packages in all, since the 950 goes first and may take more stacks."""
    door = Door(*[np.array([x]) for x in (a, b, c, d, e, f, g)])
    more = replace(door, **{which: getattr(door, which) * factor})
    assert allocate(more, RECIPE).packages >= allocate(door, RECIPE).packages - 1e-6


@given(*[st.floats(0, 1e6)] * 7)
def test_starts_take_no_more_than_stands_ready(a, b, c, d, e, f, g):
    door = Door(*[np.array([x]) for x in (a, b, c, d, e, f, g)])
    starts = allocate(door, RECIPE)
    assert np.all(2 * starts.newer <= door.dies_950 + 1e-6)
    assert np.all(2 * starts.pairs <= door.dies_910 + 1e-6)
    assert np.all(starts.packages <= np.minimum(door.assembly, door.demand) + 1e-6)
    for pool in ("own", "domestic", "foreign"):
        assert np.all(starts.stacks_newer[pool] + starts.stacks_pairs[pool] <= getattr(door, pool) + 1e-6)
    assert sum(starts.stacks_newer.values()) == pytest.approx(9 * starts.newer, abs=1e-6)
    assert sum(starts.stacks_pairs.values()) == pytest.approx(8 * starts.pairs, abs=1e-6)
    assert starts.stacks_newer["foreign"] == 0
    assert starts.stacks_pairs["own"] == 0


def test_more_of_anything_makes_more_chips(base):
    for change in ({"die_bank": "4e6 die"}, {"hbm_foreign": "2e7 stack"}, {"assembly_starts": "1e6 package/quarter"}):
        more = supply(samples=SAMPLES, seed=1, overrides=change)
        assert np.mean(more["units.ascend"].sum(axis=1) - base["units.ascend"].sum(axis=1)) > 0, change


def test_no_foreign_memory_means_no_chips_before_domestic_memory():
    out = supply(samples=SAMPLES, overrides={"hbm_foreign": "0 stack", "hbm_rush": "0 stack", "hbm_smuggled": "0 stack/year"})
    years = out.yearly("units.ascend")
    assert years[2024].max() < 1
    assert years[2025].max() < 1
    assert np.median(years[2026]) > 0


def test_binding_is_the_stage_that_helps_when_loosened():
    recipe = Recipe(np.full(4, 8.0), np.full(4, 8.0))
    scarce, none = np.eye(4) * 1e3 + (1 - np.eye(4)) * 1e6, np.zeros(4)
    door = Door(scarce[0], none, scarce[1] * 8, none, none, scarce[2], scarce[3])
    assert [STAGES[i] for i in binding_stage(door, recipe)] == list(STAGES)


def test_binding_shares_sum_to_one(base):
    assert np.allclose(sum(base.binding_share.values()), 1.0)


def test_lag_beyond_the_run_leaves_only_the_bank():
    inputs = read_inputs(Timeline.until("2024Q1"), 10, 0)
    assert engine.supplies(inputs).dies["bank"].shape == (10, 1)


def test_surviving_fleet_loses_and_retires():
    units = np.zeros((1, 8))
    units[0, 0] = 100.0
    fleet = engine.Survival(np.full((1, 8), 0.1), np.array([4.0])).of(units)
    assert fleet[0] == pytest.approx([100, 90, 81, 72.9, 0, 0, 0, 0])
    with_stock = engine.Survival(np.zeros((1, 8)), np.array([20.0]), history=2).of(np.concatenate([[[0.0, 50.0]], units], axis=1))
    assert with_stock[0] == pytest.approx([150] * 8)


def test_weaker_bins_are_worth_less():
    """The 910B and 910C are the mean of their 24-core and 20-core bins, by what the dies' density gives."""
    good, bad = (supply(samples=200, overrides={"reported_yield": y, "die_bank": "0 die"}) for y in (0.9, 0.1))
    for chip in ("ascend_910b1", "ascend_910c"):
        assert np.all(bad.worths[chip].bf16 < good.worths[chip].bf16)
        assert np.all(good.worths[chip].bf16 <= 1)
