"""The examples of docs/cards.md load, and its error messages are the real ones."""

import re
from pathlib import Path

import pytest

from wafer2token.catalog import read_file
from wafer2token.evidence.errors import InputError

PAGE = (Path(__file__).parent.parent.parent / "docs" / "cards.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"<!-- example: (\w+) -->\n```toml\n(.*?)```", PAGE, re.DOTALL)


def test_there_are_examples():
    assert [kind for kind, _ in EXAMPLES] == ["chip", "quantity"]


@pytest.mark.parametrize(("kind", "text"), EXAMPLES)
def test_example_loads(tmp_path, kind, text):
    path = tmp_path / "example.toml"
    path.write_text(text, encoding="utf-8")
    (card,) = read_file(path, kind)
    numbers = dict(card.numbers())
    if kind == "chip":
        assert numbers["peak.bf16"].mid == 600e12
        assert numbers["price"].mid == 20000
        assert card.first_ship.span()[0].isoformat() == "2027-04-01"
    else:
        assert numbers["series.2027"].claims[1].grade == "analyst"
        assert numbers["figures.investment"].mid == 2.4e9


def test_messages_are_the_real_ones(tmp_path):
    path = tmp_path / "my_chip.toml"
    path.write_text(
        'name = "Mine"\nvendor = "X"\ndesigner_country = "DE"\nstatus = "shipped"\nnote = ""\n\n[peak]\n'
        'bf16 = { value = 989, grade = "vendor", source = ["stas"] }\n'
    )
    with pytest.raises(InputError) as caught:
        read_file(path, "chip")
    assert str(caught.value) in PAGE
