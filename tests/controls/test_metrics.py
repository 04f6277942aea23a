"""What rules measure, against published values and the text of the technical notes."""

import pytest

from wafer2token.catalog import get
from wafer2token.catalog.loader import parse
from wafer2token.controls.items import item_card, metrics
from wafer2token.controls.metrics import (
    memory_bandwidth_density,
    minimum_resolvable_feature,
    performance_density,
    tpp,
    transistor_count,
)
from wafer2token.evidence.errors import InputError

# NVIDIA, Epoch and tracker values; a tolerance of 1% as the facts ask
PUBLISHED = {
    "a100_sxm_80": 4992, "h100_sxm": 15832, "h200_sxm": 15832, "h20": 2368, "l20": 1912, "l2": 1544, "l4": 1936,
    "rtx_4090": 5284.8, "b200_sxm": 36000, "b300_sxm": 56000, "gb200": 40000, "b30a": 28000, "mi250x": 6128,
    "mi300x": 20919, "mi355x": 40265, "gaudi2": 7200, "gaudi3": 26848, "tpu_v5e": 3152, "ascend_910": 4096,
    "ascend_910b3": 5008, "biren_br100": 16384, "mtt_s4000": 1600, "metax_c500": 4480, "h100_pcie": 12224,
}  # fmt: skip


@pytest.mark.parametrize(("item", "expected"), PUBLISHED.items())
def test_published_tpp(item, expected):
    assert metrics(get("item", item)).tpp[0] == pytest.approx(expected, rel=0.01)


def test_the_datasheet_figure_is_not_doubled_again():
    assert metrics(get("item", "rtx_4090")).tpp[0] == pytest.approx(5284.8)  # the doubled 10,570 was published


def test_the_largest_format_counts_not_the_narrowest():
    assert metrics(get("item", "gaudi2")).tpp_format == "BF16"
    assert metrics(get("item", "b300_sxm")).tpp_format == "FP4"
    assert metrics(get("item", "ascend_950pr")).tpp_format == "FP16"


def test_a_declared_value_stands_above_arithmetic():
    found = metrics(get("item", "h100_pcie"))
    assert found.tpp == (12224.0, 12224.0)
    assert found.tpp_declared


def test_no_rounding():
    found = metrics(get("item", "a10"))
    assert found.pd[0] == 2000 / 628
    assert 3.184 < found.pd[0] < 3.2
    assert metrics(get("item", "a30")).pd[0] == pytest.approx(3.2010, abs=1e-4)


def test_only_non_planar_logic_counts():
    assert metrics(get("item", "ascend_910")).area_mm2 == (624.0, 624.0)  # not the package sum of 1,228
    assert metrics(get("item", "ascend_910")).pd[0] == pytest.approx(6.5641, abs=1e-4)
    assert metrics(get("item", "mi300x")).pd[0] == pytest.approx(8.7163, abs=1e-4)  # FinFET I/O dies count
    assert metrics(get("item", "mi250x")).area_mm2 == (1448.0, 1448.0)  # both dies


CHIP = """
name = "case"
category = "chip"
designer_hq = "US"
datacenter = true
throughput = [{{ format = "FP8", bits = 8, value = {{ value = "{tops} TFLOP/s", grade = "assumed", source = ["w2t"] }}{more} }}]
dies = {dies}
source = ["w2t"]
"""
ONE = '[{ role = "GPU", area = { value = "600 mm^2", grade = "assumed", source = ["w2t"] } }]'
SPLIT = '[{ role = "GPU", count = 4, area = { value = "150 mm^2", grade = "assumed", source = ["w2t"] } }]'
PLANAR = '[{ role = "GPU", nonplanar = false, area = { value = "600 mm^2", grade = "assumed", source = ["w2t"] } }]'
DOUBTFUL = '[{ role = "A", area = { value = "400 mm^2", grade = "assumed", source = ["w2t"] } }, { role = "B", nonplanar = false, area = { value = "1 mm^2", grade = "assumed", source = ["w2t"] } }, { role = "C", area = { low = "190 mm^2", high = "210 mm^2", grade = "assumed", source = ["w2t"] } }]'


def card(tops=300, dies=ONE, more=""):
    return parse(CHIP.format(tops=tops, dies=dies, more=more), "item", "case.toml", "case")[0]


def test_splitting_an_ic_into_dies_changes_nothing():
    assert metrics(card(dies=SPLIT)) == metrics(card())


def test_sparse_figures_are_halved():
    assert metrics(card(tops=600, more=", sparsity = 2.0")).tpp == metrics(card()).tpp


def test_packages_bonded_to_one_board_add_up():
    pair = card().model_copy(update={"packages": 2})
    assert metrics(pair).tpp[0] == 2 * metrics(card()).tpp[0]
    assert metrics(pair).pd == metrics(card()).pd


def test_an_all_planar_chip_has_no_density():
    found = metrics(card(dies=PLANAR))
    assert found.all_planar
    assert found.pd is None


def test_a_range_of_area_gives_a_range_of_density():
    found = metrics(card(dies=DOUBTFUL))
    assert found.area_mm2 == (590.0, 610.0)
    assert found.pd == (2400 / 610, 2400 / 590)


def test_a_contested_rate_gives_a_range_of_tpp():
    text = CHIP.format(tops=0, dies=ONE, more="").replace('value = "0 TFLOP/s"', 'low = "590 TFLOP/s", high = "610 TFLOP/s"')
    contested = parse(text, "item", "case.toml", "case")[0]
    assert metrics(contested).tpp == (4720.0, 4880.0)
    from wafer2token.controls import allow

    ruling = allow(contested, to="CH", on="2025-06-01", view="codified")
    assert ruling.findings
    leg = next(leg for f in ruling.findings if f.rule == "us_3a090_2023" for leg in f.legs if leg.id == "a1")
    assert leg.met == "open"


def test_without_a_die_list_the_density_is_missing_and_the_key_must_say_so():
    assert metrics(card(dies='"unknown"')).pd is None
    text = CHIP.format(tops=300, dies="x", more="").replace("dies = x\n", "")
    with pytest.raises(InputError, match="missing die list") as error:
        parse(text, "item", "mine.toml", "mine")
    assert "mine.toml" in str(error.value)
    assert "unknown" in str(error.value)


def test_equations():
    assert tpp(300.0, 16.0) == 4800
    assert performance_density(2368.0, 814.0) == pytest.approx(2.9091, abs=1e-4)
    assert memory_bandwidth_density(256.0, 92.0) == pytest.approx(2.78, abs=0.01)
    assert minimum_resolvable_feature(193.0, 1.35, 0.25) == pytest.approx(35.74, abs=0.01)
    assert minimum_resolvable_feature(193.0, 1.35, 0.35) == pytest.approx(50.04, abs=0.01)
    assert transistor_count(91.2e6, 100.0) == pytest.approx(9.12e9)


def test_equations_take_arrays():
    import numpy as np

    tops = np.array([100.0, 300.0])
    assert tpp(tops, 8.0).tolist() == [tpp(100.0, 8.0), tpp(300.0, 8.0)]


def test_a_chip_or_a_system_leads_to_its_item():
    assert item_card("h100_sxm").id == "h100_sxm"
    assert item_card("cloudmatrix384").id == "ascend_910c"


def test_a_file_of_several_chips(tmp_path):
    one = CHIP.format(tops=300, dies=ONE, more="")
    both = "".join("[[card]]\n" + f'id = "{name}"' + one for name in ("a", "b"))
    (tmp_path / "chips.toml").write_text(both)
    assert item_card(f"{tmp_path}/chips.toml#b").id == "b"
    with pytest.raises(InputError, match="one item is wanted"):
        item_card(tmp_path / "chips.toml")
    with pytest.raises(InputError, match="unknown item"):
        item_card(f"{tmp_path}/chips.toml#c")
