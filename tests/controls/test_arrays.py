"""``permits`` gives what ``allow`` gives, for many items and dates at once."""

import time

import numpy as np
import pytest

from wafer2token.catalog.kinds.item import ItemCard
from wafer2token.controls import allow, permits
from wafer2token.controls.judge import VERDICTS
from wafer2token.evidence.errors import InputError

NUMBERS = ("tpp", "pd", "io_gbs", "link_gbs", "dram_bw_gbs")
PLACES = ("CN", "MO", "MY", "DE", "AE", "RU", "VN", "IL", "TW", "US")


def chips(n, seed, missing=0.1):
    """Random chips crowded around the thresholds, some with values missing."""
    rng = np.random.default_rng(seed)
    edges = np.array([1600, 2400, 4800, 14000, 17500, 20800, 21000, 21100])
    tpp = np.where(rng.random(n) < 0.3, rng.choice(edges, n), rng.uniform(300, 40000, n))
    density = np.where(rng.random(n) < 0.3, rng.choice([1.6, 3.2, 5.92], n), rng.uniform(0.5, 30, n))
    out = {
        "tpp": tpp, "pd": density, "io_gbs": rng.choice([100.0, 599.9, 600.0, 900.0], n),
        "link_gbs": rng.choice([100.0, 899.0, 900.0], n),
        "dram_bw_gbs": np.where(rng.random(n) < 0.3, rng.choice([1400.0, 1800.0, 6500.0], n), rng.uniform(300, 9000, n)),
    }  # fmt: skip
    for values in out.values():
        values[rng.random(n) < missing] = np.nan
    out["datacenter"] = rng.choice([0.0, 1.0, np.nan], n, p=[0.3, 0.6, 0.1])
    out["us_market"] = rng.choice([0.0, 1.0, np.nan], n)
    dates = np.datetime64("2019-01-01") + rng.integers(0, 3300, n)
    return out, dates


def one_by_one(metrics, dates, to, **options):
    probe = ItemCard(
        id="probe", name="probe", category="chip", designer_hq="US", us_content=True, dies="unknown", source=("w2t",)
    )
    out = []
    for i, day in enumerate(dates):
        given = {k: None if np.isnan(v[i]) else float(v[i]) for k, v in metrics.items() if k in NUMBERS}
        given |= {k: None if np.isnan(metrics[k][i]) else bool(metrics[k][i]) for k in ("datacenter", "us_market")}
        out.append(
            allow(probe, to if isinstance(to, str) else str(to[i]), day.astype(object), given=given, **options).verdict
        )
    return out


@pytest.mark.parametrize(
    "options",
    [
        {}, {"view": "codified"}, {"settle": True}, {"with_unverified": True}, {"after_horizon": "snap_back"},
        {"from_": "TW"}, {"hq": "CN"},
    ],
    ids=str,
)  # fmt: skip
def test_arrays_equal_single_values(options):
    metrics, dates = chips(120, seed=len(str(options)))
    to = np.random.default_rng(7).choice(PLACES, len(dates))
    fast = permits({**metrics, "us_content": True}, dates, to=to, **options).names().tolist()
    assert fast == one_by_one(metrics, dates, to, **options)


def test_listed_parties_by_date():
    metrics, dates = chips(80, seed=3)
    fast = permits({**metrics, "us_content": True}, dates, party="biren").names().tolist()
    assert fast == one_by_one(metrics, dates, "CN", party="biren")


def test_all_chips_of_the_catalogue_on_all_dates_that_matter():
    from wafer2token.catalog import all_cards
    from wafer2token.controls.items import item_values
    from wafer2token.controls.rulebook import bundled

    days = np.array(bundled().dates()[2::7], "datetime64[D]")
    for card in all_cards("item").values():
        if card.category != "chip" or card.declared:
            continue
        values = {k: v for k, v in item_values(card).items() if k not in ("category", "designer_hq")}
        fast = permits(values, days, designer_hq=card.designer_hq).names().tolist()
        assert fast == [allow(card, on=d.astype(object)).verdict for d in days], card.id


def test_memory_and_tools():
    density = np.array([1.9, 2.0, 2.1, 3.3, 9.0])
    found = permits(
        {"mbd": density, "us_content": True, "processing_dominant": False}, "2025-06-01", category="hbm", from_="KR"
    )
    assert found.names().tolist() == ["free", "free", "denied", "denied", "denied"]
    tools = {"lithography": "optical", "equipment": "lithography", "wavelength_nm": 193.0, "na": 1.35,
             "dco_nm": np.array([1.0, 1.5, 1.6, 2.4, 2.5]), "us_content": True}  # fmt: skip
    dutch = permits(tools, "2024-09-07", category="tool", designer_hq="NL", from_="NL", end_use="mature_node")
    assert dutch.names().tolist() == ["licence"] * 4 + ["free"]


def test_shapes_broadcast():
    found = permits(
        {"tpp": np.ones((3, 1)), "pd": 1.0, "datacenter": True}, np.array(["2024-01-01", "2026-01-01"], "datetime64[D]")
    )
    assert found.code.shape == (3, 2)


def test_draws_of_an_uncertain_threshold():
    from wafer2token.controls.rulebook import bundled
    from wafer2token.evidence.sampling import draw

    number = bundled().rules["us_h20_isinformed_2025"].parameter["dram_limit_gbs"].step[0].value
    limit = draw(number, "dram_limit_gbs", 4000, 1)
    metrics = {"tpp": 4750.0, "pd": 6.3, "datacenter": False, "dram_bw_gbs": 1638.0, "link_gbs": 128.0, "io_gbs": 128.0}
    found = permits(metrics, "2025-06-01", thresholds={"us_h20_isinformed_2025.dram_limit_gbs": limit})
    assert not found.where("indeterminate").any()
    assert found.where("licence").mean() == pytest.approx(1 - (1800 - 1638) ** 2 / 400**2, abs=0.02)


def test_a_hundred_thousand_in_a_second():
    metrics, dates = chips(100_000, seed=1)
    best = min(_timed(metrics, dates) for _ in range(3))
    assert best < 1.0


def _timed(metrics, dates):
    start = time.perf_counter()
    permits(metrics, dates)
    return time.perf_counter() - start


def test_clear_errors():
    with pytest.raises(InputError, match="did you mean 'tpp'"):
        permits({"tpq": 1.0}, "2024-01-01")
    with pytest.raises(InputError, match="did you mean 'us_h20_isinformed_2025.dram_limit_gbs'"):
        permits({"tpp": 1.0}, "2024-01-01", thresholds={"us_h20_isinformed_2025.dram_limit": 1.0})
    with pytest.raises(InputError, match="impossible date"):
        permits({"tpp": 1.0}, ["2024-02-31"])
    with pytest.raises(InputError, match="unknown destination"):
        permits({"tpp": 1.0}, "2024-01-01", to=np.array(["CN", "XX"]))
    with pytest.raises(InputError, match="unknown verdict"):
        permits({"tpp": 1.0}, "2024-01-01").where("maybe")


def test_codes_name_verdicts():
    found = permits({"tpp": 15832.0, "pd": 19.0, "datacenter": True}, "2024-06-01")
    assert VERDICTS[int(found.code)] == "denied"
    assert found.denied
    assert not found.free
