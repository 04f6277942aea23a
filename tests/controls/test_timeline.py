"""An item's status over the years."""

from datetime import date

import pytest

from wafer2token.controls import allow, timeline
from wafer2token.evidence.errors import InputError


def test_h20():
    spans = timeline("H20").spans
    assert [(s.start, s.verdict) for s in spans] == [
        (date(2019, 5, 16), "free"), (date(2025, 4, 9), "licence"), (date(2025, 7, 31), "licence"),
    ]  # fmt: skip
    assert spans[-1].import_verdict == "licence"


@pytest.mark.parametrize("item", ["A100", "H200", "RTX 5090 D", "HBM3", "NXT:1980i", "gallium"])
def test_spans_follow_each_other_and_agree_with_allow(item):
    options = {"to": "US", "from_": "CN"} if item == "gallium" else {}
    found = timeline(item, until="2027-12-31", **options)
    assert found.spans[0].start == date(2019, 5, 16)
    for a, b in zip(found.spans, found.spans[1:], strict=False):
        assert (b.start - a.end).days == 1
        assert a != b
    for span in found.spans:
        for day in (span.start, span.end):
            assert allow(item, on=day, **options).verdict == span.verdict


def test_gallium_to_the_united_states_ends_in_the_unknown():
    spans = timeline("gallium", "US", from_="CN").spans
    assert [s.verdict for s in spans] == ["free", "licence", "denied", "licence", "unknown"]
    assert spans[-1].start == date(2026, 8, 23)


def test_a_listed_party_has_dates_of_its_own():
    spans = timeline("T4", party="Biren").spans
    assert [s.start for s in spans] == [date(2019, 5, 16), date(2023, 10, 17)]


def test_a_day_of_the_timeline():
    found = timeline("A800", since="2023-01-01", until="2024-12-31")
    assert found.at(date(2023, 11, 17)).verdict == "denied"
    with pytest.raises(InputError, match="outside the timeline"):
        found.at(date(2025, 1, 1))


def test_it_may_not_end_before_it_begins():
    with pytest.raises(InputError, match="ends before it begins"):
        timeline("H20", since="2025-01-01", until="2024-01-01")


def test_data_for_the_report():
    found = timeline("H20").to_dict()
    assert {"item", "to", "horizon", "spans", "disclaimer"} <= set(found)
    assert {"start", "end", "verdict", "rules"} <= set(found["spans"][0])
