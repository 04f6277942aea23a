"""Cards laid out, listed and turned into a bibliography."""

import re

import pytest

from wafer2token.catalog import KINDS, all_cards, bibliography, references, show
from wafer2token.evidence.errors import InputError
from wafer2token.evidence.units import si_unit, unit_scale
from wafer2token.verbs import list_cards


def test_show_prints_every_number_as_the_card_states_it():
    shown = show("910C")
    assert (shown.kind, shown.id) == ("chip", "ascend_910c")
    by_path = {line.path: line for line in shown.lines if line.weight is None}
    assert by_path["die_area"].value == "665.6 mm^2"
    assert by_path["transistors"].value == "53e9 transistor"
    assert by_path["transistors"].from_memory
    assert (by_path["price"].value, by_path["price"].range) == ("26,000 USD", "20,000 - 28,600")
    assert set(by_path) >= {path for path, _ in all_cards("chip")["ascend_910c"].numbers()}


def test_show_gives_each_claimant_its_weight():
    claims = [line for line in show("910C").lines if line.path == "peak.bf16" and line.weight is not None]
    assert [c.weight for c in claims] == [0.6, 0.25, 0.15]
    assert claims[0].value == "707.8 TFLOP/s"
    assert claims[2].range == "780 - 800"
    assert all(c.by and c.grade and c.sources for c in claims)


@pytest.mark.parametrize("kind", KINDS)
def test_every_card_can_be_shown_and_its_sources_printed(kind):
    for name in list(all_cards(kind))[:40]:
        shown = show(name, kind)
        assert shown.id == name
        cited = {s for line in shown.lines for s in line.sources}
        assert cited <= {r.id for r in shown.references}
        assert shown.to_dict()["id"] == name


def test_show_part_of_a_card():
    assert {line.path for line in show("h100_sxm.memory").lines} == {
        "memory.type", "memory.stacks", "memory.capacity", "memory.bandwidth",
    }  # fmt: skip
    assert show("chip/h100_sxm.tdp").lines[0].mid == 700
    with pytest.raises(InputError, match="tdp"):
        show("h100_sxm.tpd")


def test_show_finds_a_name_in_any_kind():
    assert show("CloudMatrix 384").kind == "system"
    assert show("S1-030").kind == "claim"
    assert show("NXT:1980Di").kind == "tool"
    assert show("tsmc_die_bank").kind == "quantity"
    assert show("epoch").kind == "source"
    with pytest.raises(InputError, match="910C"):
        show("910X")


def test_a_source_says_who_cites_it():
    assert "chip/ascend_910c" in dict(show("source/techins").fields)["cited_by"]


def test_list_counts_and_rows():
    everything = list_cards()
    assert dict(everything.counts)["claim"] == 217
    chips = list_cards("chips")
    assert chips.kind == "chip"
    row = {r.id: r for r in chips.rows}["h100_sxm"]
    assert row.shown()["peak"] == "989 TFLOP/s"
    assert row.to_dict()["peak [FLOP/s]"] == 989e12
    with pytest.raises(InputError, match="did you mean 'claim'"):
        list_cards("clam")


def test_list_grep_looks_in_names_aliases_and_texts():
    found = list_cards(grep="die bank")
    assert {"tsmc_die_bank", "die_bank_exhausted"} <= {row.id for row in found.rows}
    assert [r.id for r in list_cards("chip", grep="^910c$").rows] == ["ascend_910c"]
    assert list_cards("chip", grep="no such chip").rows == ()
    with pytest.raises(InputError, match="regular expression"):
        list_cards(grep="(")


def test_values_in_a_list_stand_under_their_si_unit():
    rows = list_cards("tool").to_dict()["cards"]
    nxe = next(r for r in rows if r["id"] == "nxe3800e")
    assert nxe["throughput [wafer/s]"] == pytest.approx(220 / 3600)


@pytest.mark.parametrize("unit", ["wafer/month", "GW", "kWh/cm^2", "%", "CNY/kWh", "FLOP/s", "B/s", "USD*year/wafer", "1/year"])
def test_si_unit_counts_si_values(unit):
    assert unit_scale(si_unit(unit)) == (1.0, unit_scale(unit)[1])


def test_bibliography_is_bibtex_each_source_once_and_stable():
    text = bibliography(["stas", "cm384", "stas", "https://example.org/a_b", "000_4e5742f0de02eedd.txt"])
    assert text.count("@misc{") == 4
    assert text == bibliography(["000_4e5742f0de02eedd.txt", "https://example.org/a_b", "cm384", "stas"])
    assert re.search(r"@misc\{cm384,\n  title = \{\{Serving Large Language Models on Huawei CloudMatrix384\}\},", text)
    assert "url = {https://arxiv.org/abs/2506.12708}" in text
    assert r"example.org/a\_b" in text
    assert text.count("{") == text.count("}")
    with pytest.raises(InputError, match="stas"):
        bibliography(["stass"])


def test_every_source_has_a_title_and_none_is_idle():
    cited = {s for kind in KINDS for card in all_cards(kind).values() for s in card.cited()}
    for reference in references(all_cards("source")):
        assert reference.title, reference.id
    assert not {"stas", "csc", "cann", "epoch_counts"} - cited
