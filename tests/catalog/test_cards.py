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
