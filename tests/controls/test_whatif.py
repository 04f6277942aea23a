"""Amended and new rules from a file, and what is wrong with them."""

import pytest

from wafer2token.controls.rulebook import amended, bundled
from wafer2token.controls.whatif import what_if
from wafer2token.evidence.errors import InputError

TIGHTER = """
[[card]]
amends = "us_3a090_2023"
effective_from = 2026-01-01
[card.leg.a1]
when = "tpp >= 2000"
"""
NEW = """
id = "mine"
name = "memory cap"
jurisdiction = "US"
authority = "US BIS"
family = "chip_control"
effective_from = 2026-01-01
citation = ["a proposal"]
scope = "everything to China"
applies = "export and dest == 'CN' and category == 'chip'"
text_evidence = "weak"
source = ["w2t"]
[leg.memory]
label = "memory"
when = "dram_bw_gbs >= 1000"
[[outcome]]
when = "memory"
verdict = "denied"
"""
BROKEN = """[[card]]
amends = "us_3a090_2023"
effective_to = 2020-01-01
[card.leg.a1]
when = "tpp >= 1000 and dataceter"
[card.leg.a2]
when = "__import__('os').system('x')"
[[card]]
id = "mine"
nmae = "x"
[[card]]
amends = "us_3a090_20234"
"""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "rule.toml"
        path.write_text(text)
        return path

    return write


def test_an_amendment_changes_the_keys_it_names(file):
    book, changed = amended(bundled(), file(TIGHTER))
    assert changed == ["us_3a090_2023"]
    rule = book.rules["us_3a090_2023"]
    assert rule.leg["a1"].when.text == "tpp >= 2000"
    assert rule.leg["a1"].label == "3A090.a.1"
    assert rule.leg["a2"] == bundled().rules["us_3a090_2023"].leg["a2"]
    assert bundled().rules["us_3a090_2023"].leg["a1"].when.text == "tpp >= 4800"


def test_which_verdicts_change(file):
    found = what_if(file(TIGHTER), on="2026-07-01")
    changed = {c.before.item: (c.before.verdict, c.after.verdict) for c in found.changes if c.changed}
    assert changed["h20"] == ("licence", "denied")
    assert changed["rtx_6000d_b40"] == ("free", "denied")
    assert "l20" not in changed
    assert len(found.changes) == 53


def test_a_new_rule(file):
    found = what_if(file(NEW), ["l20", "h20", "rtx_5090_d_v2"], on="2026-07-01")
    assert [(c.before.verdict, c.after.verdict) for c in found.changes] == [
        ("free", "free"), ("licence", "denied"), ("free", "denied"),
    ]  # fmt: skip
    assert found.rules == ("mine",)


def test_every_problem_at_once_with_file_and_line(file):
    with pytest.raises(InputError) as error:
        amended(bundled(), file(BROKEN))
    text = str(error.value)
    for expected in (
        "rule.toml:3 $.card[0].effective_to: ends before it begins",
        "rule.toml:5 $.card[0].leg.a1.when: unknown name in a formula; got 'dataceter'; did you mean datacenter",
        "rule.toml:7 $.card[0].leg.a2.when: a call is not allowed",
        "rule.toml:10 $.card[1].nmae: unknown key; got 'nmae'; did you mean \"name\"?",
        "rule.toml:12 $.card[2].amends: unknown rule; got 'us_3a090_20234'; did you mean 'us_3a090_2023'",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[card]\n", "rule.toml:1"),
        (NEW.replace("dram_bw_gbs >= 1000", "dram_bw_gbs"), "must be true or false, not a number"),
        (NEW.replace('[leg.memory]', '[leg.tpp]'), "hides a variable"),
        (NEW.replace('verdict = "denied"', 'verdict = "maybe"'), "verdict"),
        (NEW.replace('source = ["w2t"]', "source = []"), "source"),
        (NEW.replace("effective_from = 2026-01-01\n", ""), "effective_from"),
    ],
)  # fmt: skip
def test_malformed_rules(file, text, message):
    with pytest.raises(InputError, match=message.replace("[", r"\[")):
        amended(bundled(), file(text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        amended(bundled(), tmp_path / "none.toml")


def test_amended_rules_reach_arrays(file):
    from wafer2token.controls import permits

    book, _ = amended(bundled(), file(TIGHTER))
    metrics = {"tpp": 2368.0, "pd": 2.9, "datacenter": True, "dram_bw_gbs": 100.0, "link_gbs": 100.0, "io_gbs": 100.0}
    assert str(permits(metrics, "2026-07-01", rules=book).names()) == "denied"
    assert str(permits(metrics, "2026-07-01").names()) == "free"
