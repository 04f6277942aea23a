"""Chips delivered before the first quarter stand in the fleet, age with it and are never counted as deliveries."""

import numpy as np
import pytest

from wafer2token.supply import supply
from wafer2token.supply.fleet import EARLIER

NONE = {"ascend_910b_stock": "0 chip", "ascend_910_stock": "0 chip"}


def test_earlier_chips_are_in_service_but_not_delivered():
    base, without = supply(samples=200), supply(samples=200, overrides=NONE)
    for name in ("units.ascend", "units.ascend_910b1", "units.ascend_910"):
        assert np.array_equal(base[name], without[name]), name
    assert base["units.ascend_910"].max() == 0
    assert without["fleet.ascend_910"].max() == 0
    more = base["fleet.ascend_910b1"] - without["fleet.ascend_910b1"]
    assert np.all(more[:, 0] <= base.inputs.one("ascend_910b_stock") + 1e-6)
    assert more[:, 0].min() > 0
    assert np.all(np.diff(more, axis=1) <= 1e-6)
    assert np.median(base["h100e.bf16"][:, 0]) > np.median(without["h100e.bf16"][:, 0])


def test_the_only_count_found_is_the_least():
    assert supply(samples=500).inputs.one("ascend_910b_stock").min() >= 1600


@pytest.mark.parametrize("key", EARLIER)
def test_every_earlier_stock_retires_in_the_end(key):
    late = supply(samples=50, until="2033Q4").fleet[key]
    assert late[:, 0].max() > 0
    if key[0] != "ascend_910b1":
        assert late[:, -1].max() == 0
