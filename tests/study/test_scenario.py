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
    "everything": [":1 $.name: not of the right form", ":2 $.seed", ":3 $.colour: unknown key", ":4 $.compare[0]", "did you mean cloudmatrix384",
                   ":6 $.set.chip.ascend_910c.tdp: negative", ":7 $.set.chip.nochip.tdp: unknown chip", ":8 $.set.chip.h20: names a card",
                   ":9 $.set.supply.nosuch: unknown input", ":11 $.supply.scenario: unknown", ":12 $.supply.until: the last quarter is out of range",
                   ":14 $.training[0].model: unknown", ":15 $.training[0].tokens: a unit is missing", ":16 $.training[0].fleets[0].chips",
                   "got 'h21'", ":19 $.serving[0].isl", ":21 $.serving[0].tpot: must be above zero", ":22 $.serving[0].on", "got 'zzz'"],
    "idle_setting": ["idle_setting.toml:3", "does not run", "add a [supply] table"],
    "broken_yaml": ["broken_yaml.yaml:3:1: broken YAML", "close what is open"],
    "broken_json": ["broken_json.json:2:1: broken JSON", "close what is open"],
    "not_a_table": ["not_a_table.json: a scenario is a table of keys"],
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_broken_scenarios_say_what_where_and_the_remedy(name, broken):
    with pytest.raises(InputError) as caught:
        s.read(next((broken / "scenario").glob(f"{name}.*")))
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


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot read the scenario: no such file"):
        s.read("no/such/file.toml")
    with pytest.raises(InputError, match="cannot read the scenario"):
        s.read(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        s.read(tmp_path / "bytes.toml")


def test_mistakes_of_file_and_settings_come_together_each_at_its_place(broken):
    with pytest.raises(InputError) as caught:
        s.read(broken / "scenario" / "everything.toml", settings=("nonsense", "chip.h100_sxm.tdp=-5 W"))
    text = str(caught.value)
    assert "--set: not a setting; got 'nonsense'" in text
    assert "--set: negative; got '-5 W'" in text
    assert len(caught.value.problems) == 19
    assert all(len(str(p).splitlines()) == 1 for p in caught.value.problems)


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
