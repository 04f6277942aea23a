"""EUV barely saves scanner capital; it saves cycle time and defects."""

import numpy as np

from wafer2token.supply import supply
from wafer2token.supply.cost import compare_euv


def test_euv_saves_time_and_yield_not_scanner_capital():
    without, with_euv = compare_euv(supply(samples=1500, until="2026Q4").inputs)
    assert 3.0 < np.median(with_euv.exposure_capital / without.exposure_capital) < 5.5
    assert 0.8 < np.median(with_euv.scanner_capital / without.scanner_capital) < 1.2
    assert np.all(with_euv.usable >= without.usable - 1e-12)
    assert np.all(with_euv.cycle_time < without.cycle_time)
    assert np.median(with_euv.good_die) < np.median(without.good_die)
    assert np.all(with_euv.immersion + with_euv.euv < without.immersion)


def test_costs_lie_where_the_facts_put_them():
    without, _ = compare_euv(supply(samples=1500, until="2025Q4").inputs)
    low, mid, high = np.quantile(without.good_die, (0.05, 0.5, 0.95))
    assert 200 < low < mid < high < 1000
    low, mid, high = np.quantile(without.package_910c, (0.05, 0.5, 0.95))
    assert 1.8e3 < low < mid < high < 8.0e3
