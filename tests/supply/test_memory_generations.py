"""Memory by generation: who fills which pool, what a chip takes, and plans that slip."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wafer2token import catalog
from wafer2token.supply import Timeline, read_inputs, supply
from wafer2token.supply.door import GENERATIONS, POOLS
from wafer2token.supply.engine import stack_arrivals
from wafer2token.supply.inputs import claimant, slipped
from wafer2token.supply.sensitivity import supply_sobol

LINE = Timeline.until("2028Q4")
UNIT = 1e-3


@pytest.fixture(scope="module")
def base():
    return supply(samples=400, seed=2)


def test_stacks_are_conserved_generation_by_generation(base):
    packed = base.packaging
    for kind in POOLS:
        came = sum(flow for source, flow in base.arriving.stacks.items() if GENERATIONS[source] == kind)
        balance = came + packed.won_by_generation[kind] - packed.used_by_generation[kind]
        assert np.abs(balance.cumsum(axis=1) - packed.stacks_by_generation[kind]).max() < UNIT, kind
    assert packed.used_by_generation["hbm2e"].max() > 0
    assert np.abs(sum(packed.used_by_generation.values()) - packed.stacks_used).max() < UNIT
    assert np.abs(sum(packed.stacks_by_generation.values()) - packed.stock_stacks).max() < UNIT


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1), st.floats(1, 3))
def test_the_950_takes_its_stacks_from_huaweis_own_or_hbm3(seed, share, slip):
    out = supply(samples=20, seed=seed, overrides={"hizq_share": share, "plan_slip": slip, "hbm_cxmt": "0 stack/year", "xmc_wafers": "0 wafer/month"})
    packed, inputs = out.packaging, out.inputs
    newer = packed.starts_950 * inputs.now("stacks_950")
    own = out.arriving.stacks["hibl"] + out.arriving.stacks["hizq"]
    assert np.all(newer.cumsum(axis=1) <= own.cumsum(axis=1) + packed.stacks_won.cumsum(axis=1) + UNIT)
    chips = out.by("chip")
    assert chips["ascend_950pr"] + chips["ascend_950dt"] == pytest.approx(packed.starts_950 * inputs.now("attach_yield"))
    hizq = packed.hizq_share * newer
    assert np.all(hizq.cumsum(axis=1) <= out.arriving.stacks["hizq"].cumsum(axis=1) + packed.stacks_won.cumsum(axis=1) + UNIT)


def test_no_hizq_no_950dt():
    out = supply(samples=50, overrides={"hizq_share": 0})
    assert out["units.ascend_950dt"].max() == 0
    assert out["units.ascend_950pr"].max() > 0
    assert supply(samples=50)["units.ascend_950dt"][:, :8].max() == 0


def test_yield_by_generation_sets_the_stacks_that_come_good():
    made = [stack_arrivals(read_inputs(LINE, 20, 0, {"hizq_share": 0.5, "yield_hibl": 0.4, "yield_hizq": y}))[0] for y in (0.2, 0.4)]
    assert made[1]["hizq"] == pytest.approx(made[1]["hibl"])
    assert made[0]["hizq"] == pytest.approx(made[1]["hizq"] / 2)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=28, max_size=28), st.floats(2023, 2028), st.floats(1, 2), st.floats(1, 1.5))
def test_a_longer_slip_never_brings_more(growth, said, slip, more):
    plan = np.cumsum(growth)[None, :]
    once, again = (slipped(plan, np.array([said]), np.array([s]), LINE) for s in (slip, slip * more))
    assert np.all(again <= once + 1e-6)
    assert np.all(once <= plan + 1e-6)
    assert slipped(plan, np.array([np.inf]), np.array([slip]), LINE) == pytest.approx(plan)
    assert slipped(plan, np.array([said]), np.array([1.0]), LINE) == pytest.approx(plan)


@given(st.integers(0, 1000), st.floats(1, 3), st.floats(1, 2))
@settings(max_examples=15, deadline=None)
def test_longer_slip_never_more_stacks(seed, slip, factor):
    short, long = (stack_arrivals(read_inputs(LINE, 30, seed, {"plan_slip": s}))[0] for s in (slip, slip * factor))
    for source in ("cxmt", "xmc"):
        assert np.all(long[source] <= short[source] + UNIT), source


def test_only_announced_plans_slip():
    inputs = read_inputs(LINE, 600, 0, {"plan_slip": 2})
    card = catalog.get("supply", "hbm_cxmt")
    who = claimant(card, 600, 0)
    plain = np.broadcast_to(inputs.values["hbm_cxmt"], inputs.all("hbm_cxmt").shape)
    for index, claim in enumerate(card.series):
        same = np.allclose(inputs.all("hbm_cxmt")[who == index], plain[who == index])
        assert same == (claim.said is None), claim.by


def test_a_setting_from_a_date_does_not_slip():
    inputs = read_inputs(LINE, 20, 0, {"hbm_cxmt@2027-01": "4e6 stack/year"})
    assert inputs.now("hbm_cxmt")[:, 12:] * 365.25 * 86400 == pytest.approx(4e6)


def test_a_slip_moves_the_variance_of_stacks():
    found = {s.name: s for s in supply_sobol("stacks.arriving.cxmt", 2027, overrides={"hbm_cxmt": "SemiAnalysis: two million in 2026"}, samples=300)}
    assert found["plan_slip"].total > 0.01


def test_a_slip_below_one_is_no_advance():
    inputs = read_inputs(LINE, 10, 0, {"plan_slip": 0.5})
    assert inputs.all("hbm_cxmt") == pytest.approx(inputs.values["hbm_cxmt"])


def test_other_firms_share_short_stacks_by_their_dies():
    """No source puts Cambricon before Hygon: where memory is short both get the same share of what they ask for."""
    out = supply(samples=100, overrides={"hbm_huawei_share": 0.99, "cxmt_huawei_share": 1})
    stock = {name: out.others[f"{name}.stock"] + out.others[f"{name}.starts"] for name in ("cambricon", "hygon")}
    share = {name: out.others[f"{name}.starts"][:, 8] / stock[name][:, 8] for name in stock}
    assert np.median(share["cambricon"]) < 1
    assert share["hygon"] == pytest.approx(share["cambricon"])


def test_what_huawei_does_not_get_of_cxmt_the_others_get():
    flows = [stack_arrivals(read_inputs(LINE, 50, 0, {"cxmt_huawei_share": s})) for s in (0.0, 0.5, 1.0)]
    assert flows[0][0]["cxmt"].max() == 0
    for huawei, others in flows:
        assert huawei["cxmt"] + others == pytest.approx(flows[2][0]["cxmt"] + flows[2][1])
