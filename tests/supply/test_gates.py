"""The gates follow the rule book; a card without a source does not load."""

import numpy as np
import pytest

from wafer2token.catalog.loader import parse
from wafer2token.controls import allow, memory_bandwidth_density
from wafer2token.evidence.errors import InputError
from wafer2token.supply import Timeline, read_inputs, supply
from wafer2token.supply.gates import RULED, shares, verdicts

LINE = Timeline.until("2026Q4")


@pytest.mark.parametrize(
    ("item", "on", "verdict"),
    [("a800_sxm", "2023-01-15", "free"), ("a800_sxm", "2023-12-15", "denied"), ("h20", "2025-03-15", "free"), ("h20", "2025-05-15", "licence")],
)
def test_rule_book_on_the_chips_of_the_seeds(item, on, verdict):
    assert allow(item, to="CN", on=on).verdict == verdict


def test_a_stack_of_hbm2e_is_beyond_two_gigabytes_per_second_and_square_millimetre():
    assert allow("hbm2e_3_6", to="CN", from_="KR", on="2024-12-15").verdict == "free"
    assert allow("hbm2e_3_6", to="CN", from_="KR", on="2025-01-15").verdict == "denied"
    assert callable(memory_bandwidth_density)


def test_gates_follow_the_rules_quarter_by_quarter():
    open_now = {name: read_inputs(LINE, 3, 0).now(name)[0] for name in RULED}
    assert open_now["h20_licence"][4] == 1
    assert open_now["h20_licence"][5] == pytest.approx(8 / 91, abs=0.005)
    assert open_now["h20_licence"][8] == 1
    assert open_now["hbm_open"][2] == 1
    assert open_now["hbm_open"][4:].max() == 0
    assert open_now["frontier_open"].max() == 0
    assert open_now["h200_licence"][7] == 0
    assert open_now["h200_licence"][8] == pytest.approx(76 / 90, abs=0.005)


@pytest.mark.parametrize("name", sorted(RULED))
def test_shares_of_a_quarter_never_exceed_it(name):
    free, licence = shares(name, LINE)
    assert np.all((free >= 0) & (licence >= 0) & (free + licence <= 1 + 1e-12))
    assert verdicts(RULED[name].item, RULED[name].origin)


def test_setting_a_gate_overrules_the_rule_book():
    closed = read_inputs(LINE, 3, 0, {"h20_licence@2024-07": 0}).now("h20_licence")[0]
    assert list(closed[:4]) == [1, 1, 0, 0]
    assert np.all(read_inputs(LINE, 3, 0, {"frontier_open": 1}).now("frontier_open") == 1)
    assert supply(samples=20, overrides={"hbm_open": 1})["stacks.arriving.foreign"][:, 6].min() > 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[card]]\nid="x"\nname="x"\nstage="dies"\nunit="1"\nvalue = { value = 0.5, grade = "analyst" }\n', "no source"),
        ('[[card]]\nid="x"\nname="x"\nstage="dies"\nunit="1"\n[[card.series]]\nby="a"\nweight=1.0\ngrade="press"\n'
         "anchors = { 2025-01-01 = [0, 0.5, 1] }\n", "no source"),
        ('[[card]]\nid="x"\nname="x"\nstage="dies"\nunit="1"\n[[card.series]]\nby="a"\nweight=0.4\ngrade="press"\nsource=["s"]\n'
         "anchors = { 2025-01-01 = [0, 0.5, 1] }\n", "do not sum to 1"),
        ('[[card]]\nid="x"\nname="x"\nstage="dies"\nunit="1"\n[[card.series]]\nby="a"\nweight=1.0\ngrade="press"\nsource=["s"]\n'
         "anchors = { 2025-01-01 = [1, 0.5, 0] }\n", "inverted range"),
    ],
)  # fmt: skip
def test_an_input_without_provenance_or_sense_does_not_load(text, says):
    with pytest.raises(InputError, match=says):
        parse(text, "supply", "mine.toml")
