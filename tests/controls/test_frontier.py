"""The strongest chip that a regime lets through."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wafer2token.controls import frontier, permits
from wafer2token.evidence.errors import InputError


def closed_form(area):
    """From the limbs of the October 2023 rule, for a datacenter part."""
    return max(1600, min(2400, 3.2 * area), min(4800, 1.6 * area))


@settings(deadline=None, max_examples=40)
@given(area=st.floats(50, 5000))
@example(area=2854.5)  # 1.6 x 2854.5 / 2854.5 is below 1.6 in floating point
@example(area=686.125)
def test_the_closed_form_of_october_2023(area):
    design = frontier([area], on="2024-06-01", products=False).designs[0]
    assert design.tpp.sure == pytest.approx(closed_form(area), rel=1e-12)
    assert design.tpp.sure == design.tpp.possible
    assert not design.tpp.inclusive


def test_the_edge_itself_is_outside():
    for area in (294.0, 609.0, 814.0, 2400.0):
        limit = frontier([area], on="2024-06-01", products=False).designs[0].tpp.sure
        chip = {"datacenter": True, "dram_bw_gbs": 0.0, "link_gbs": 0.0, "io_gbs": 0.0}
        tpp = np.array([limit * (1 - 1e-9), limit * (1 + 1e-9)])
        assert permits({**chip, "tpp": tpp, "pd": tpp / area}, "2024-06-01").names().tolist() == ["free", "licence"]


def test_products_for_china_stand_one_to_four_percent_below_the_line():
    found = {n.item: n.below for n in frontier(on="2024-06-01").neighbours}
    for item in ("h20", "l20", "l2", "rtx_6000d_b40"):
        assert 0.01 <= found[item] <= 0.04, item
    assert found["h20"] == pytest.approx(1 - 2368 / 2400)
    assert found["l20"] == pytest.approx(1 - 1912 / (3.2 * 609))
    assert found["l2"] == pytest.approx(1 - 1544 / 1600)


def test_consumer_parts_stand_just_below_4800():
    found = frontier(on="2024-06-01", datacenter=False)
    assert all(d.tpp.sure == 4800 for d in found.designs)
    assert {n.item: round(n.below, 3) for n in found.neighbours} == {
        "rtx_5090_d": 0.010,
        "rtx_5090_d_v2": 0.010,
        "rtx_4090_d": 0.019,
    }


def test_the_letters_of_april_2025_limit_memory_as_a_band_and_links():
    design = frontier([814.0], on="2025-06-01", products=False).designs[0]
    assert (design.dram_bw_gbs.sure, design.dram_bw_gbs.possible) == (1400, 1800)
    assert design.link_gbs.sure == 900
    before = frontier([814.0], on="2025-04-08", products=False).designs[0]
    assert math.isinf(before.dram_bw_gbs.sure)


def test_october_2022_limits_compute_only_together_with_links():
    design = frontier([814.0], on="2023-01-01", products=False).designs[0]
    assert math.isinf(design.tpp.sure)
    assert design.link_gbs.sure == 600


def test_designing_for_a_licence_in_2026():
    design = frontier([814.0], on="2026-02-15", verdict="licence", products=False).designs[0]
    assert design.tpp.sure == 21000
    assert design.dram_bw_gbs.sure == 6500


def test_rates_of_a_format():
    design = frontier([814.0], on="2024-06-01", products=False).designs[0]
    assert design.dense_flops(16) == pytest.approx(150e12)


def test_data_for_the_report():
    found = frontier([814.0], on="2024-06-01").to_dict()
    assert found["designs"][0]["dram_bw_gbs"]["sure"] is None  # no limit
    assert found["neighbours"]


@pytest.mark.parametrize(
    ("areas", "options", "message"), [([0.0], {}, "must be positive"), ([1.0], {"verdict": "denied"}, "not a verdict")]
)
def test_clear_errors(areas, options, message):
    with pytest.raises(InputError, match=message):
        frontier(areas, on="2024-06-01", **options)
