import json

import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.study import scenario as s

MESSAGES = {
    "unknown_id": ["unknown_id.toml:2", "cloudmatrx384", "did you mean cloudmatrix384"],
    "wrong_unit": ["wrong_unit.toml:7", "50 GB", "unit of s"],
    "missing_unit": ["missing_unit.toml:7", "a unit is missing", 'write "50 s"'],
    "unknown_key": ["unknown_key.toml:2", 'did you mean "samples"', "chps", 'did you mean "chips"'],
    "many_mistakes": ["many_mistakes.toml:2", "many_mistakes.toml:3", "many_mistakes.toml:5 $.colour"],
    "broken": ["broken TOML", "broken.toml:3"],
    "contradiction": ["with itself", "set twice"],
    "bad_setting": ["chip.ascend_910c.tdp", 'write "550 W"', "inverted range", "leave out @2026-07", "hbm_foreign"],
    "negative": ["negative.toml", "chips"],
}


@pytest.mark.parametrize("name", MESSAGES)
def test_broken_scenarios_say_what_where_and_the_remedy(name, broken):
    with pytest.raises(InputError) as caught:
        s.read(broken / "scenario" / f"{name}.toml")
    text = str(caught.value)
    for part in MESSAGES[name]:
        assert part in text, text
    assert caught.value.exit_code == 2


def test_every_broken_file_has_a_message(broken):
    assert {p.stem for p in (broken / "scenario").iterdir()} == set(MESSAGES)


def test_the_default_scenario_is_sound():
    scenario = s.read()
    assert scenario.name == "default"
    assert scenario.supply is not None


def test_file_then_settings_then_arguments():
    scenario = s.read(settings=("chip.h20.tdp=500 W", "supply.hbm_foreign=0 stack"), samples=50, seed=None)
    assert scenario.samples == 50
    assert scenario.seed == s.read().seed
    assert s.overrides(scenario)["chip.h20.tdp"].mid == 500
    assert list(s.overrides(scenario)) == ["chip.h20.tdp"], "the supply model reads its own"


def test_json_and_toml_read_the_same(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"name": "a", "compare": [["h20", "h100_sxm"]]}))
    toml = tmp_path / "a.toml"
    toml.write_text('name = "a"\ncompare = [["h20", "h100_sxm"]]\n')
    assert s.read(path) == s.read(toml)


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("a.b=3 W", ("a.b", "", "3 W")),
        ("a.b = 3 W @ 2026-07", ("a.b", "2026-07", "3 W")),
        ("a.b@2026Q3=3 W", ("a.b", "2026Q3", "3 W")),
    ],
)
def test_setting_lines(line, parsed):
    assert s.parse_setting(line) == parsed


@pytest.mark.parametrize("line", ["a.b", "=3", "a.b="])
def test_what_is_no_setting(line):
    with pytest.raises(InputError, match="not a setting"):
        s.parse_setting(line)


def test_a_missing_file_is_named():
    with pytest.raises(InputError, match="cannot read the scenario"):
        s.read("no/such/file.toml")


def test_a_claimant_can_be_chosen_or_weighted():
    name, one = s.override("quantity.ascend_units_2025.value", "IDC through Reuters, 2026-04", "t")
    assert name == "quantity.ascend_units_2025.value"
    assert one.mid == 812_000
    assert [c.weight for c in one.claims if c.weight] == [1.0]
    _, two = s.override(
        name, {"weights": {"IDC through Reuters, 2026-04": 0.25, "Financial Times, 2025-02": 0.75}}, "t"
    )
    assert two.mid == 400_000
    with pytest.raises(InputError, match="sum to 1"):
        s.override(name, {"weights": {"IDC through Reuters, 2026-04": 0.25}}, "t")
    with pytest.raises(InputError, match="unknown claimant"):
        s.override(name, {"weights": {"IDC": 1.0}}, "t")
    with pytest.raises(InputError, match="not a contested number"):
        s.override("chip.h100_sxm.tdp", {"weights": {"NVIDIA": 1.0}}, "t")
