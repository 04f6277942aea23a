"""A wrong card file is refused with one readable message per mistake: place, what was given, what is allowed, remedy."""

import pytest

from wafer2token.catalog import get, ids, read_file
from wafer2token.evidence.errors import InputError

# file -> for each message, in order: place, and words that it must contain
EXPECTED = {
    "no_source": [(":6 $.tdp.source", ["no source", "list of source ids"])],
    "wrong_unit": [
        (":6 $.tdp.value", ["'GB'", "a unit of W", "700 GB"]),
        (":9 $.memory.bandwidth.value", ["'GB/sec2'", "a unit of B/s"]),
    ],
    "missing_unit": [(":8 $.peak.bf16.value", ["a unit is missing", "989 FLOP/s"])],
    "inverted_range": [(":6 $.price", ["inverted range", "low <= mid <= high", "swap"])],
    "negative": [(":6 $.tdp.value", ["negative", "-700 W", "zero or more"])],
    "unknown_key": [
        (":6 $.tpd", ['did you mean "tdp"']),
        (":9 $.memory.stack", ['did you mean "stacks"']),
        (":10 $.memory.capacity.sources", ['did you mean "source"']),
    ],
    "duplicate_id": [(":9 $.card[1].id", ["duplicate id", "test_chip", "line 2"])],
    "broken_syntax": [(":2:32", ["broken TOML", "Chip with a broken line"])],
    "unknown_source": [
        (":6 $.process", ["epock", "did you mean epoch"]),
        (":7 $.tdp", ["stass", "did you mean stas"]),
    ],
    "weights": [(":6 $.tdp.claims", ["do not sum to 1", "1.4"])],
    "unknown_grade": [
        (":5 $.status", ["sold", "shipped, announced, rumoured"]),
        (":6 $.tdp.grade", ["rumor", "measured, teardown, vendor, analyst, press, assumed"]),
    ],
    "bad_date": [
        (":6 $.first_ship", ["not a period", "late 2025", "2025-Q4"]),
        (":7 $.price.as_of", ["not a date", "2025-13-01"]),
    ],
    "many_at_once": [
        (":1 $.id", ["Test Chip"]),
        (":1 $.designer_country", ["a key is missing", "add designer_country"]),
        (":5 $.tdp.value", ["a unit is missing"]),
        (":6 $.price", ["inverted range"]),
        (":9 $.peak.bf16.value", ["TFLOP"]),
        (":10 $.peak.fp8.value", ["negative"]),
        (":10 $.peak.fp8.grade", ["vender"]),
        (":10 $.peak.fp8.source", ["no source"]),
    ],
    "quantity": [
        (":1 $.card[0].source", ["a key is missing"]),
        (":4 $.card[0].topic", ['did you mean "yield"']),
        (":7 $.card[0].value.source", ["no source"]),
        (":18 $.card[1].series.2024.value", ["'die/month'", "a unit of wafer/month"]),
        (":19 $.card[1].series.2025", ["inverted range"]),
    ],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_problem_of_a_file_at_once(broken, name):
    with pytest.raises(InputError) as caught:
        read_file(broken / "cards" / f"{name}.toml", "quantity" if name == "quantity" else "chip")
    messages = [str(problem) for problem in caught.value.problems]
    assert len(messages) == len(EXPECTED[name]), messages
    for message, (place, words) in zip(messages, EXPECTED[name], strict=True):
        assert message.startswith(f"{name}.toml{place}: "), message
        assert "\n" not in message
        for word in words:
            assert word in message


def test_every_broken_file_is_tested(broken):
    assert {f.stem for f in (broken / "cards").glob("*.toml")} == set(EXPECTED)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_file(tmp_path / "none.toml", "chip")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot read"):
        read_file(tmp_path / "bytes.toml", "chip")


def test_a_valid_file_loads(tmp_path):
    path = tmp_path / "my_chip.toml"
    path.write_text(
        'name = "Mine"\nvendor = "X"\ndesigner_country = "US"\nstatus = "shipped"\n'
        'tdp = { value = "0.7 kW", grade = "vendor", source = ["https://example.org/sheet"] }\n'
    )
    (card,) = read_file(path, "chip")
    assert (card.id, card.tdp.mid) == ("my_chip", 700)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(InputError, match="h100_sxm"):
        get("chip", "h100_smx")
    with pytest.raises(InputError, match="did you mean 'chip'"):
        ids("chips2")
