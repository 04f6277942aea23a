"""All known outcomes of the item cards: chips, memory, foundry and lithography cases at every date given."""

import pytest

from wafer2token.catalog import all_cards
from wafer2token.controls.goldens import check

CHECKS = check()


@pytest.mark.parametrize("outcome", CHECKS, ids=lambda c: f"{c.item}-{c.asked}-{c.on}")
def test_outcome(outcome):
    assert outcome.agrees, (
        f"{outcome.name}: {outcome.asked} on {outcome.on}: expected {outcome.expected}, got {outcome.got}"
    )


def test_all_cases_of_the_facts_are_there():
    cards = all_cards("item").values()
    count = {c: sum(card.category == c for card in cards) for c in ("chip", "hbm", "logic", "tool")}
    assert count == {"chip": 53, "hbm": 8, "logic": 5, "tool": 12}
    assert {c.item for c in CHECKS} >= {card.id for card in cards if card.category != "material"}


def test_documented_and_derived_outcomes_are_told_apart():
    documented = [c for c in CHECKS if c.basis == "documented"]
    assert len(documented) >= 60
    assert all(c.fact and c.source for c in documented)
    assert {c.basis for c in CHECKS} == {"documented", "derived"}
