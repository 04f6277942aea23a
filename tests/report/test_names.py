"""Ids on paper: the names of cards, without bracketed remarks; fleets with their size."""

import pytest

from wafer2token import report
from wafer2token.report.names import name_of, stage_of


@pytest.mark.parametrize(
    ("id", "name"),
    [
        ("ascend_910c", "Ascend 910C"),
        ("deepseek_v3", "DeepSeek-V3 / R1 671B-A37B"),
        ("ascend_910c_x2048", "Ascend 910C × 2,048"),
        ("nothing_such", "nothing_such"),
    ],
)
def test_names(id, name):
    assert name_of(id) == name


def test_stages():
    assert stage_of("hbm") == "HBM stacks"
    assert stage_of("masks") == "masks"


def test_a_claim_in_several_senses_is_named_once():
    claims = [{"claim": c, "sense": s, "finding": "supported", "holds": 1.0} for c, s in (("a", "x"), ("a", "y"), ("b", "z"))]
    assert [row["claim"].strip() for row in report.claims_table(claims).rows] == ["a", "", "b"]
