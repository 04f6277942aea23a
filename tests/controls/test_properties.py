"""Properties that hold for any chip: more compute is never freer, missing values never clear, splitting changes nothing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wafer2token.controls import allow, permits
from wafer2token.controls.rulebook import bundled

DAYS = st.sampled_from([str(d) for d in bundled().dates() if d.year >= 2019])
PLACES = st.sampled_from(["CN", "MO", "RU", "VN", "AE", "MY", "DE"])
PARTY = st.sampled_from([None, "bytedance", "biren"])
SIZE = st.floats(50, 3500)
RATE = st.floats(10, 10000)
VIEW = st.sampled_from(["enforced", "codified"])
CENTER = st.sampled_from([True, False, None])
TPP = np.unique(
    np.concatenate(
        [
            np.geomspace(100, 60000, 300),
            *(np.array([t, np.nextafter(t, 0)]) for t in (1600, 2400, 4800, 14000, 17500, 20800, 21000, 21100)),
        ]
    )
)
CHIP = {
    "io_gbs": 900.0,
    "link_gbs": 100.0,
    "dram_bw_gbs": 1000.0,
    "datacenter": True,
    "us_market": True,
    "us_content": True,
}


@settings(deadline=None, max_examples=100)
@given(day=DAYS, to=PLACES, party=PARTY, area=SIZE, io=RATE, dram=RATE, datacenter=CENTER, view=VIEW)
def test_more_compute_is_never_freer_at_a_fixed_area(day, to, party, area, io, dram, datacenter, view):
    metrics = {
        **CHIP,
        "tpp": TPP,
        "pd": TPP / area,
        "io_gbs": io,
        "link_gbs": io,
        "dram_bw_gbs": dram,
        "datacenter": datacenter,
    }
    found = permits(metrics, day, to=to, party=party, view=view)
    assert (np.diff(found.floor.astype(int)) >= 0).all()
    assert (np.diff(found.ceiling.astype(int)) >= 0).all()


@settings(deadline=None, max_examples=100)
@given(day=DAYS, to=PLACES, density=st.floats(0.2, 12), dram=RATE, datacenter=CENTER, view=VIEW)
def test_more_compute_is_never_freer_at_a_fixed_density(day, to, density, dram, datacenter, view):
    found = permits(
        {**CHIP, "tpp": TPP, "pd": density, "dram_bw_gbs": dram, "datacenter": datacenter}, day, to=to, view=view
    )
    assert (np.diff(found.floor.astype(int)) >= 0).all()
    assert (np.diff(found.ceiling.astype(int)) >= 0).all()


@settings(deadline=None, max_examples=100)
@given(
    day=DAYS,
    to=PLACES,
    tpp=st.floats(500, 30000),
    area=SIZE,
    axis=st.sampled_from(["io_gbs", "link_gbs", "dram_bw_gbs"]),
)
def test_more_bandwidth_is_never_freer(day, to, tpp, area, axis):
    rates = np.geomspace(10, 12000, 200)
    found = permits({**CHIP, "tpp": tpp, "pd": tpp / area, axis: rates}, day, to=to)
    assert (np.diff(found.floor.astype(int)) >= 0).all()


def verdict(tpp, area, day="2024-06-01"):
    return str(permits({**CHIP, "tpp": tpp, "pd": tpp / area}, day).names())


def test_first_hole_a_stronger_chip_on_a_larger_die_is_free():
    """Below 2,400 TPP and 3.2 TPP/mm2: the H20 is 39% stronger than a chip that needs a licence."""
    assert verdict(1700, 500) == "licence"
    assert verdict(2368, 814) == "free"
    assert verdict(2399.9, 751) == "free"
    assert verdict(2400, 751) == "licence"


def test_second_hole_chiplets_spread_over_a_large_area_are_free():
    """Below 4,800 TPP and 1.6 TPP/mm2."""
    assert verdict(2400, 814) == "licence"
    assert verdict(3839, 2400) == "free"
    assert verdict(3840, 2400) == "licence"
    assert verdict(4799, 3000.1) == "free"
    assert verdict(4800, 9000) == "denied"


def test_the_bands_of_the_tariff_open_again_above():
    duties = [allow("h200_sxm", on="2026-02-15", given={"tpp": t}).duty for t in (14000.0, 14001.0, 17499.0, 17500.0)]
    assert duties == [None, 0.25, 0.25, None]


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(["tpp", "pd"]), tpp=st.floats(100, 30000), area=SIZE, day=st.sampled_from(["2023-12-01", "2024-06-01", "2026-07-01"])
)  # fmt: skip
def test_a_missing_value_never_clears(name, tpp, area, day):
    metrics = {**CHIP, "tpp": tpp, "pd": tpp / area, name: np.nan}
    assert str(permits(metrics, day).names()) != "free"


@settings(deadline=None, max_examples=40)
@given(name=st.sampled_from(["tpp", "io_gbs"]), tpp=st.floats(100, 30000))
def test_a_missing_value_never_clears_in_2022(name, tpp):
    metrics = {**CHIP, "tpp": tpp, "pd": 5.0, name: np.nan}
    assert str(permits(metrics, "2022-12-01").names()) != "free"


@settings(deadline=None, max_examples=100)
@given(area=st.floats(100, 3000), day=st.sampled_from(["2024-06-01", "2025-03-01"]))
def test_settling_never_tightens_and_never_contradicts(area, day):
    metrics = {**CHIP, "tpp": TPP, "pd": np.where(TPP > 5000, np.nan, TPP / area)}
    strict, settled = permits(metrics, day), permits(metrics, day, settle=True)
    assert (settled.ceiling <= strict.ceiling).all()
    assert (settled.floor >= strict.floor).all()
