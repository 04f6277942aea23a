"""Inputs: comonotone series, claimants by weight, overrides by name and date, cards that hold together."""

import numpy as np
import pytest

from wafer2token import catalog
from wafer2token.evidence.errors import InputError
from wafer2token.fab import geometry, yields
from wafer2token.package.hbm import stacks_per_month
from wafer2token.supply import Timeline, read_inputs, supply
from wafer2token.supply.dies import core_die, node_yield
from wafer2token.supply.inputs import claimant, read_changes, sample
from wafer2token.supply.timeline import QUARTER_S, moment, quarter

LINE = Timeline.until("2028Q4")


def drawn(name, n=2000, seed=0, **changes):
    return read_inputs(LINE, n, seed, changes).now(name)


def test_a_series_is_comonotone_within_a_claimant():
    card = catalog.get("supply", "smic_wafers")
    values, who = sample(card, LINE, 1000, 0), claimant(card, 1000, 0)
    for index in range(len(card.series)):
        rows = values[who == index][:, LINE.history :]
        order = np.argsort(rows[:, 4], kind="stable")
        assert np.all(np.diff(rows[order], axis=0) >= -1e-9)


def test_claimants_come_in_proportion_to_their_weights_and_can_be_chosen():
    card = catalog.get("supply", "smic_wafers")
    shares = np.bincount(claimant(card, 3000, 0)) / 3000
    assert shares == pytest.approx([c.weight for c in card.series], abs=0.002)
    only = drawn("smic_wafers", smic_wafers="Nikkei")
    assert only[:, 7].max() * 730.5 * 3600 < 25_000
    mixed = read_inputs(LINE, 2000, 0, {"smic_wafers": {"Nikkei": 0.9, "SemiAnalysis": 0.1}})
    assert np.bincount(claimant(mixed.cards["smic_wafers"], 2000, 0), minlength=3) / 2000 == pytest.approx([0.1, 0.9, 0], abs=0.01)


def test_an_override_holds_always_or_from_its_date():
    month = 365.25 / 12 * 86400
    assert np.all(drawn("smic_wafers", smic_wafers="60000 wafer/month") * month == pytest.approx(60_000))
    before, after = drawn("smic_wafers"), drawn("smic_wafers", **{"smic_wafers@2026-07": "60000 wafer/month"})
    assert np.array_equal(before[:, :10], after[:, :10])
    assert after[:, 10:] * month == pytest.approx(60_000)
    middle = drawn("smic_wafers", **{"smic_wafers@2026-08-15": "0 wafer/month"})
    assert 0 < middle[0, 10] < before[0, 10]


def test_spellings_of_a_name():
    for name in ("attach_yield", "supply.attach_yield", "supply.attach_yield.value"):
        assert read_changes({name: 0.8})[0].name == "attach_yield"


def test_the_catalogue_knows_the_same_names_and_overlays_reach_the_run():
    number = catalog.number("supply.attach_yield.value")
    with catalog.overlay({"supply.attach_yield.value": number.replaced(0.5, "test")}):
        assert np.all(supply(samples=20).inputs.one("attach_yield") == 0.5)
    series = catalog.number("supply.smic_wafers.value")
    with catalog.overlay({"supply.smic_wafers.value": series.replaced(0.01, "test")}):
        assert np.all(supply(samples=20).inputs.now("smic_wafers") == 0.01)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"smic_wafer": 1}, "did you mean 'smic_wafers'"),
        ({"smic_wafers": 60000}, "a unit is missing"),
        ({"smic_wafers": "60000 die/month"}, "does not measure"),
        ({"attach_yield": -0.1}, "negative"),
        ({"attach_yield": "plenty"}, "not a quantity"),
        ({"output_lag@2026-01": "3 quarter"}, "holds for the whole run"),
        ({"attach_yield@yesterday": 0.5}, "not a quarter or date"),
        ({"smic_wafers": {"Nikkei": 0.5}}, "do not sum to 1"),
        ({"smic_wafers": {"Nikki": 1.0}}, "unknown claimant"),
        ({"smic_wafers": "Nikkei:much"}, "not weights"),
        ({"attach_yield": {"low": 0.9, "mid": 0.8, "high": 0.7}}, "inverted range"),
    ],
)
def test_bad_overrides_are_refused_with_a_remedy(changes, says):
    with pytest.raises(InputError, match=says):
        supply(samples=10, overrides=changes)


def test_all_bad_overrides_are_named_at_once():
    with pytest.raises(InputError) as error:
        supply(samples=10, overrides={"smic_wafer": 1, "attach_yield": "plenty", "output_lag@2026-01": "3 quarter"})
    assert len(error.value.problems) == 3


def test_quarters_and_moments():
    assert [quarter(t) for t in ("2026Q3", "2026-07", "2026-09-30", "2026")] == [8106, 8106, 8106, 8107]
    assert moment("2026Q3") == moment("2026-07") == pytest.approx(2026.5, abs=0.01)
    assert Timeline.until("2033Q4").count == 40
    for bad in ("soon", "2026-13", "1999Q1"):
        with pytest.raises(InputError):
            Timeline.until(bad)


def test_gross_dies_card_spans_the_three_formulas():
    width, height = 21.32e-3, 31.22e-3
    counts = sorted([
        float(geometry.dies_per_wafer_simple(width * height, 0.3)),
        float(geometry.dies_per_wafer_edge(width, height, 0.3, 3e-3, 1e-4)),
        geometry.dies_per_wafer_grid(width, height, 0.3, 3e-3, 1e-4),
    ])  # fmt: skip
    card = catalog.number("supply.gross_dies_910b.value")
    assert counts == pytest.approx([card.low, card.mid, card.high], abs=0.5)


def test_one_density_serves_phone_and_accelerator_and_reported_yield_is_met():
    """The reported yield comes back exactly, as full or as sold yield, by how it is counted; Kirin follows from it."""
    inputs = read_inputs(LINE, 500, 0)
    node, reported = node_yield(inputs), inputs.all("reported_yield")
    until = LINE.middles < 2027
    full = inputs.one("yield_counting") > 0.5
    assert node.full_910b[full][:, until] == pytest.approx(reported[full][:, until], rel=1e-9)
    assert node.usable_910b[~full][:, until] == pytest.approx(reported[~full][:, until], rel=2e-3)
    assert np.all(node.usable_910b >= node.prime_910b - 1e-12)
    assert np.all(node.prime_910b >= node.full_910b - 1e-12)
    assert np.all((node.prime_bank > 0.9) & (node.prime_bank <= 1))
    assert np.all(node.kirin > node.usable_910b - 0.25)
    assert inputs.one("yield_counting").mean() == pytest.approx(0.5, abs=0.01)


def test_csis_split_as_full_yield_gives_csis_usable_yield():
    """20 % fully good means about 40 % sold, in the middle of what nobody knows about the die."""
    inputs = read_inputs(LINE, 2000, 0, {"reported_yield": "CSIS", "yield_counting": 1})
    sold = node_yield(inputs).usable_910b[:, LINE.history]
    assert np.quantile(sold, 0.05) < 0.40 < np.quantile(sold, 0.95)


def test_density_falls_after_the_last_report_and_never_below_the_floor():
    inputs = read_inputs(LINE, 300, 0)
    density = node_yield(inputs).density[:, LINE.middles > 2027]
    assert np.all(np.diff(density, axis=1) <= 1e-9)
    die = core_die(inputs, "910b")
    assert np.all(yields.negative_binomial(die.area[:, None], density, die.clustering[:, None]) <= 1)


def test_units_of_inputs_are_si():
    flow = read_inputs(LINE, 10, 0, {"hbm_cxmt": "4e6 stack/year"}).now("hbm_cxmt") * QUARTER_S
    assert flow == pytest.approx(1e6)


def test_planned_memory_wafers_make_the_stacks_of_the_card():
    """30,000 and 60,000 wafers a month through 550 dies, 40 % and eight layers."""
    year = 12 * stacks_per_month(np.array([30e3, 60e3]), 550, 0.4, 1.0, 8)
    card = catalog.get("supply", "hbm_cxmt")
    plan = next(c for c in card.series if c.by.startswith("Maeil"))
    last = plan.points[max(plan.points)]
    seconds = 365.25 * 86400
    assert np.array([last.mid, last.high]) * seconds == pytest.approx(year)
