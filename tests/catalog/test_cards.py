"""Every card that ships: units, ranges, grades and dates were read; sources and references resolve."""

import pytest

from wafer2token.catalog import KINDS, all_cards, get
from wafer2token.catalog.loader import source_resolves
from wafer2token.catalog.statement import Statement
from wafer2token.evidence.number import GRADES


def statements(value):
    """Every statement on a card, wherever it stands."""
    if isinstance(value, Statement):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from statements(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from statements(item)
    elif hasattr(type(value), "model_fields"):
        for name in type(value).model_fields:
            yield from statements(getattr(value, name))


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_every_card(kind):
    for card in all_cards(kind).values():
        for path, number in card.numbers():
            place = f"{kind}.{card.id}.{path}"
            assert number.low <= number.mid <= number.high, place
            assert number.grade in GRADES, place
            assert number.all_sources, place
            assert [s for s in number.all_sources if not source_resolves(s)] == [], place
            if number.claims:
                assert sum(c.weight for c in number.claims) == pytest.approx(1), place
            elif number.all_sources == ("mem",):
                assert number.grade == "assumed", place
                assert number.from_memory, place


@pytest.mark.parametrize("kind", KINDS)
def test_statements_of_every_card(kind):
    for card in all_cards(kind).values():
        for statement in statements(card):
            assert statement.all_sources, f"{kind}.{card.id}"
            assert [s for s in statement.all_sources if not source_resolves(s)] == [], f"{kind}.{card.id}"


def test_systems_name_chips_that_exist():
    chips = all_cards("chip")
    for system in all_cards("system").values():
        for chip in (system.chip, *system.chip_alternatives):
            assert not chip or chip in chips, system.id


def test_announced_and_shipped_records_point_at_each_other():
    chips = all_cards("chip")
    pairs = [(c, chips[c.announced]) for c in chips.values() if c.announced]
    assert pairs
    for shipped, announced in pairs:
        assert (shipped.status, announced.status) == ("shipped", "announced")
        assert announced.shipped == shipped.id
    assert chips["ascend_950pr"].memory.capacity.mid == 112e9
    assert chips["ascend_950pr_announced"].memory.capacity.mid == 128e9


ALIASES = {
    "910C": "ascend_910c", "910B": "ascend_910b3", "H20": "h20", "H100": "h100_sxm", "A100": "a100_sxm_80",
    "H800": "h800_sxm", "910b4": "ascend_910b4", "Ascend 910B2": "ascend_910b2", "B200": "b200_sxm",
}  # fmt: skip


@pytest.mark.parametrize(("alias", "chip"), ALIASES.items())
def test_chip_aliases(alias, chip):
    assert get("chip", alias).id == chip


@pytest.mark.parametrize("alias", ["cloudmatrix384", "cloudmatrix_384", "CloudMatrix 384", "CM384"])
def test_cloudmatrix_aliases(alias):
    assert get("system", alias).id == "cloudmatrix384"


def test_no_two_cards_of_a_kind_answer_to_one_name():
    for kind in KINDS:
        seen = {}
        for card in all_cards(kind).values():
            for name in {card.id, *card.aliases}:
                key = "".join(c for c in name.lower() if c.isalnum())
                assert seen.setdefault(key, card.id) == card.id, f"{kind}: {name}"


def test_how_many_cards_there_are():
    chips, systems = all_cards("chip"), all_cards("system")
    assert len(chips) == 90  # 88 chips; the 950PR and the C500 have a second record
    assert len(systems) == 30
    assert len(all_cards("claim")) == 217
    assert len(all_cards("process")) == 14
    assert len(all_cards("tool")) == 13
    assert len(all_cards("memory")) == 9
    assert len(all_cards("quantity")) >= 150


# card, path, SI value; from the data sheets, papers and reports that the cards cite
GOLDEN = [
    ("chip", "h100_sxm", "peak.bf16", 989e12),
    ("chip", "h100_sxm", "memory.bandwidth", 3.35e12),
    ("chip", "h20", "peak.fp8", 296e12),
    ("chip", "h20", "memory.capacity", 96e9),
    ("chip", "ascend_910c", "peak.bf16", 707.8e12),
    ("chip", "ascend_910c", "peak.int8", 1504e12),
    ("chip", "ascend_910c", "memory.stacks", 8),
    ("chip", "ascend_910b3", "die_area", 665.61e-6),
    ("chip", "a100_sxm_80", "scale_out_bandwidth", 25e9),
    ("chip", "mi300x", "silicon_area", 1017e-6),
    ("system", "cloudmatrix384", "dies", 768),
    ("system", "cloudmatrix384", "price", 8.2e6),
    ("system", "gb200_nvl72", "power", 132e3),
    ("memory", "hbm3e", "bandwidth", 1.2e12),
    ("tool", "nxe3800e", "throughput", 220 / 3600),
    ("process", "smic_n3", "min_metal_pitch", 32.5e-9),
    ("quantity", "d0_tsmc_n7", "value", 900),
    ("quantity", "hbm_stock_total", "value", 13e6),
    ("quantity", "ascend_units_2025", "value", 812000),
    ("quantity", "nvidia_china_h20", "series.2024", 958410),
    ("quantity", "mask_set_cost", "series.7nm", 1e7),
    ("quantity", "asml_china_share", "series.2024_system_sales", 0.41),
]


@pytest.mark.parametrize(("kind", "name", "path", "value"), GOLDEN)
def test_golden_values(kind, name, path, value):
    assert get(kind, name).number(path).mid == pytest.approx(value)


def test_contested_values_keep_every_claimant():
    units = get("quantity", "ascend_units_2025").value
    assert {c.mid for c in units.claims} == {200000, 400000, 700000, 805000, 812000}
    assert {c.mid for c in get("chip", "910C").peak["bf16"].claims} == {707.8e12, 752e12, 790e12}
    assert {c.mid for c in get("chip", "910C").tdp.claims} == {310, 550, 700, 800}
    assert min(get("chip", "910C").tdp.claims, key=lambda c: c.mid).weight == 0
    assert {c.value for c in get("chip", "910B").process.claims} == {"SMIC N+1", "SMIC N+2", "TSMC N7"}
    assert {c.mid for c in get("quantity", "tsmc_die_bank").value.claims} == {2.0e6, 2.9e6}


def test_claims_know_their_document_and_their_errors():
    claims = all_cards("claim")
    assert {c.document.split("_")[0] for c in claims.values()} == {"000", "001", "002", "003", "004"}
    assert sum(c.flagship is not None for c in claims.values()) == 12
    assert all(c.status == "computed" for c in claims.values() if c.flagship)
    assert {c.status for c in claims.values()} == {"computed", "documented", "context"}
    assert "17 Oct 2023" in get("claim", "S0-020").document_errors[0]
    assert get("claim", "S1-030").flagship.low == 1.67
    assert sum(bool(c.document_errors) for c in claims.values()) == 17
