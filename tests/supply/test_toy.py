"""The engine on the priors of the facts' toy run reproduces its scoring table, within sampling error."""

import numpy as np
import pytest

from wafer2token.supply import Timeline, engine, fleet, read_inputs
from wafer2token.supply.backtest import quantile_of
from wafer2token.supply.dies import NodeYield
from wafer2token.supply.door import STAGES

SAMPLES = 20_000
STARTS = 2024 + np.arange(12) / 4


def triangle(rng, low, high, mode):
    return rng.triangular(low, mode, high, SAMPLES) if high > low else np.full(SAMPLES, low)


def toy_supplies(rng, bank=None, hbm=None):
    """What arrives under the toy's distributions: log-uniform allocation and assembly because no source exists."""
    level = rng.random(SAMPLES)
    anchors = [(2024.0, (5e3, 10e3, 15e3)), (2025.0, (5e3, 20e3, 26e3)), (2026.0, (5e3, 20e3, 50e3)), (2027.0, (20e3, 40e3, 60e3))]
    points = np.array([np.interp(level, [0, 0.5, 1], values) for _, values in anchors]).T
    allocation = 10 ** rng.uniform(-1.5, -0.15, SAMPLES)
    usable = np.array([triangle(rng, 0.2, 0.5, 0.35), triangle(rng, 0.3, 0.5, 0.4), triangle(rng, 0.3, 0.7, 0.4)]).T
    gross, lag = rng.uniform(76, 82, SAMPLES), rng.choice([3, 4], SAMPLES)
    bank = triangle(rng, 2.0e6, 2.9e6, 2.9e6) if bank is None else np.full(SAMPLES, bank)
    hbm = (triangle(rng, 11.4e6, 13e6, 13e6) if hbm is None else np.full(SAMPLES, hbm)) * rng.uniform(0.7, 1, SAMPLES)
    cxmt = triangle(rng, 0, 2e6, 1e6)
    first, last = 10 ** rng.uniform(4.3, 4.9, SAMPLES), 10 ** rng.uniform(5.0, 5.8, SAMPLES)
    times = STARTS[None, :] - lag[:, None] / 4
    wafers = np.array([np.interp(t, [a for a, _ in anchors], p) for t, p in zip(times, points, strict=True)])
    made = wafers * 3 * (allocation * gross)[:, None] * np.repeat(usable, 4, axis=1)
    in_bank, stacks = np.zeros((SAMPLES, 12)), np.zeros((SAMPLES, 12))
    in_bank[:, 0], stacks[:, 0] = bank * 0.55, 6 / 13 * hbm * 0.6
    in_bank[:, :3] += (bank * 0.45 / 3)[:, None]
    stacks[:, :3] += (6 / 13 * hbm * 0.4 / 3)[:, None]
    stacks[:, 3] += 7 / 13 * hbm
    stacks[:, 8:] += cxmt[:, None] * np.array([0.05, 0.15, 0.3, 0.5])
    zero = np.zeros((SAMPLES, 12))
    nothing = NodeYield(*[zero] * 6, *[np.zeros(SAMPLES)] * 4)
    return engine.Supplies(
        wafers={}, stacks={"foreign": stacks}, stacks_others=zero, yields=nothing, kirin=zero,
        dies={"bank": in_bank, "cambricon": zero, "hygon": zero},
        good={"ascend_910": np.concatenate([np.zeros((SAMPLES, 8)), made], axis=1), "ascend_950": np.zeros((SAMPLES, 20))},
        assembly=first[:, None] * (last / first)[:, None] ** (np.arange(12) / 11), demand=np.full((SAMPLES, 12), 1e12),
    )  # fmt: skip


def toy_units(seed=7, **fixed):
    rng = np.random.default_rng(seed)
    supplies = toy_supplies(rng, **fixed)
    inputs = read_inputs(Timeline.until("2026Q4"), SAMPLES, 0, {"rework": 0, "output_lag": "0 quarter", "die_cover": "1e9 quarter"})
    singles = np.repeat(np.array([rng.uniform(0.8, 1, SAMPLES), rng.uniform(0.2, 0.75, SAMPLES), rng.uniform(0, 0.2, SAMPLES)]).T, 4, axis=1)
    history = np.zeros((SAMPLES, inputs.timeline.history))
    inputs = inputs.with_values({
        "share_910b": np.concatenate([history, singles], axis=1),
        "attach_yield": triangle(rng, 0.70, 0.90, 0.75)[:, None],
    })  # fmt: skip
    packed = engine.package(inputs, supplies)
    delivered = fleet.deliveries(inputs, packed, engine.others(inputs, supplies))
    units = sum(v for (chip, _), v in delivered.items() if chip in ("ascend_910b1", "ascend_910c"))
    return units[:, :4].sum(axis=1), units[:, 4:8].sum(axis=1), units[:, 8:].sum(axis=1), packed


@pytest.fixture(scope="module")
def toy():
    return toy_units()


@pytest.mark.parametrize(("year", "golden"), [(0, (200, 342, 595)), (1, (280, 502, 889)), (2, (279, 517, 847))])
def test_median_and_ends_by_year(toy, year, golden):
    assert np.quantile(toy[year], (0.05, 0.5, 0.95)) / 1e3 == pytest.approx(golden, rel=0.04)


@pytest.mark.parametrize(("claim", "golden"), [(200e3, 0.00), (400e3, 0.27), (805e3, 0.90), (812e3, 0.91)])
def test_quantiles_of_the_claims(toy, claim, golden):
    assert quantile_of(toy[1], claim) == pytest.approx(golden, abs=0.02)


def test_binding_moves_from_assembly_to_memory(toy):
    stage = {name: (toy[3].binding == i).mean(axis=0) for i, name in enumerate(STAGES)}
    assert stage["assembly"][:8].min() > 0.85
    assert stage["hbm"][8] == pytest.approx(0.05, abs=0.03)
    assert stage["hbm"][11] == pytest.approx(0.47, abs=0.04)


def test_knock_outs():
    without_bank = toy_units(bank=0.0)[1]
    assert np.median(without_bank) / 1e3 == pytest.approx(354, rel=0.06)
    assert (without_bank <= 200e3).mean() == pytest.approx(0.23, abs=0.03)
    without_memory = toy_units(hbm=0.0)
    assert np.median(without_memory[1]) < 1
    assert np.median(without_memory[2]) / 1e3 == pytest.approx(111, rel=0.06)
