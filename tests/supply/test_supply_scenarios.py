"""Bundled scenarios run and say what they should; contradictions are refused with place and remedy; the command."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from wafer2token.cli.supply import SHOWN, command
from wafer2token.evidence.errors import InputError
from wafer2token.supply import scenarios, supply
from wafer2token.supply.flows import silicon, stacks
from wafer2token.supply.worth import knock_outs, worth


@pytest.fixture(scope="module")
def actual():
    return supply(samples=400)


@pytest.mark.parametrize("name", sorted(scenarios()))
def test_every_bundled_scenario_runs(name):
    result = supply(name, samples=40)
    assert result.title
    assert np.all(np.isfinite(result["units.ascend"]))


def test_the_questions_people_ask_are_there():
    assert {"actual", "no_controls", "tighter_2026", "hbm_gone", "yield_doubles", "euv_allowed"} <= set(scenarios())


def median(name, year, what="units.ascend"):
    return float(np.median(supply(name, samples=400).yearly(what)[year]))


def test_scenarios_answer_in_the_right_direction(actual):
    base = {year: float(np.median(units)) for year, units in actual.yearly("units.ascend").items()}
    assert median("hbm_gone", 2028) < 0.1 * base[2028]
    assert median("no_controls", 2028) > base[2028]
    assert median("no_dutch_service", 2028) < base[2028]
    assert median("no_die_bank", 2025) < base[2025]
    open_trade = supply("no_controls", samples=400)
    assert np.median(open_trade["h100e.bf16"][:, -1]) > 2 * np.median(actual["h100e.bf16"][:, -1])
    tighter = supply("tighter_2026", samples=400)
    assert np.array_equal(tighter["units.ascend"][:, :10], actual["units.ascend"][:, :10])
    assert np.median(tighter["h100e.usable.bf16"][:, -1]) < np.median(actual["h100e.usable.bf16"][:, -1])


def test_h20_follows_both_gates(actual):
    """Allowed in 2025Q1, hardly any after the licence requirement of 9 April, nor after the licences of August."""
    h20 = np.median(actual["units.h20"], axis=0)
    assert h20[4] > 400e3
    assert h20[5] < 0.12 * h20[4]
    assert h20[6:].max() < 0.02 * h20[4]


def write(tmp_path, text):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return file


def test_a_file_of_ones_own(tmp_path):
    file = write(tmp_path, 'name = "mine"\ntitle = "Mine"\n[set]\nattach_yield = 0.9\n"smic_wafers@2027" = "1e5 wafer/month"\n')
    assert supply(file, samples=20).inputs.changed == {"attach_yield": "0.9", "smic_wafers": "1e5 wafer/month from 2027"}


def test_a_claim_within_reach_passes(tmp_path):
    file = write(tmp_path, "name = 'x'\ntitle = 'x'\n[expect]\n'units.ascend@2025' = '400000 chip'\n")
    assert supply(file, samples=50).scenario == "x"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = 'x'\n[set]\nascend_share = 0.8\ncambricon_share = 0.3\nhygon_share = 0.1\n", "title"),
        ("name = 'x'\ntitle = 'x'\n[set]\nascend_share = 0.8\ncambricon_share = 0.3\nhygon_share = 0.1\n", "more wafers are given away"),
        ("name = 'x'\ntitle = 'x'\n[set]\nattach_yield = 1.4\n", "a share above 1"),
        ("name = 'x'\ntitle = 'x'\n[set]\nhbm_rush = '2e7 stack'\n", "more stacks are rushed in"),
        ("name = 'x'\ntitle = 'x'\n[set]\nneeded_910b = '26 core'\n", "more good cores are needed"),
        ("name = 'x'\ntitle = 'x'\n[set]\noutput_lag = '9 quarter'\n", "the lag is longer"),
        ("name = 'x'\ntitle = 'x'\n[set]\ndomestic_immersion = '5 tool/year'\n", "arrives before it is made"),
        ("name = 'x'\ntitle = 'x'\n[set]\n'share_950@2024-01' = 0.5\n", "arrives before it is made"),
        ("name = 'x'\ntitle = 'x'\n[expect]\n'units.ascend@2025' = '9e6 chip'\n", "package starts are used than exist"),
        ("name = 'x'\ntitle = 'x'\n[set]\nhbm_foreign = '1e6 stack'\nhbm_rush = '0 stack'\n[expect]\n'units.ascend@2025' = '9e5 chip'\n",
         "HBM stacks are used than exist"),
        ("name = 'x'\ntitle = 'x'\n[set]\ndie_bank = '1e5 die'\nascend_share = 0.01\n[expect]\n'units.ascend@2025' = '9e5 chip'\n",
         "dies are used than exist"),
        ("name = 'x'\ntitle = 'x'\n[expect]\n'units.ascent@2025' = '9e5 chip'\n", "did you mean"),
        ("name = 'x'\ntitle = 'x'\n[expect]\n'units.ascend@2025' = '9e5 die'\n", "does not measure"),
        ("name = 'x'\ntitle = 'x'\n[expect]\n'units.ascend@2055' = '9e5 chip'\n", "does not cover this year"),
        ("name = 'x'\ntitle = 'x'\n[set]\nsmic_wafer = 1\n", "mine.toml:4 .*did you mean"),
        ("name = 'x'\ntitle = 'x'\n[set]\nsmic_wafers = 1\n", "mine.toml:4 .*a unit is missing"),
        ("name = 'x'\ntitle = 'x'\nsets = 1\n", "mine.toml:3"),
        ("name = 'x'\ntitle = 'x\n", "broken TOML"),
    ],
)
def test_contradictions_and_slips_are_refused(tmp_path, text, says):
    with pytest.raises(InputError, match=says):
        supply(write(tmp_path, text), samples=20)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("shares_above_one", "more wafers are given away"),
        ("more_dies_than_exist", "more dies are used than exist"),
        ("tool_before_it_is_made", "arrives before it is made"),
        ("weights_do_not_sum", "do not sum to 1"),
        ("no_unit_and_unknown_name", "a unit is missing"),
        ("date_on_a_constant", "holds for the whole run"),
    ],
)
def test_broken_files_are_refused_with_place_and_remedy(broken, file, says):
    with pytest.raises(InputError, match=says) as error:
        supply(broken / "supply" / f"{file}.toml", samples=40)
    assert len(error.value.problems) == (2 if file == "no_unit_and_unknown_name" else 1)
    for problem in error.value.problems:
        assert problem.where
        assert problem.remedy


def test_unknown_scenario_names_the_near_ones():
    with pytest.raises(InputError, match="did you mean 'hbm_gone'"):
        supply("hbm_gon", samples=10)


@pytest.mark.parametrize("what", ["units", "fleet", "h100e"])
def test_every_view_counts_the_same_chips(actual, what):
    totals = [sum(actual.by(view, what).values()) for view in ("chip", "owner", "maker", "pathway")]
    if what == "h100e":
        totals[-1] = totals[-1] - actual.inputs.now("rented_h100e")
    for total in totals[1:]:
        assert np.allclose(total, totals[0])


def test_flows_add_up(actual):
    for year in (2024, 2025, 2026):
        for links in (silicon(actual, year), stacks(actual, year)):
            for node in {link.target for link in links} & {link.source for link in links}:
                into = sum(link.value for link in links if link.target == node)
                out = sum(link.value for link in links if link.source == node)
                assert into == pytest.approx(out, abs=2.0), (year, node)


def test_worth_of_levers_and_what_survives(actual):
    found = {w.lever: w for w in worth(actual, only=("assembly", "stacks"))}
    assert found["assembly"].helps > 0.9
    assert 0 < found["stacks"].mean < 1e6 / 4
    left = {(k.scenario, k.year): k for k in knock_outs(actual, ("no_foreign_hbm", "hbm_gone"))}
    assert left["no_foreign_hbm", 2024].left[1] < 1e-6
    assert left["hbm_gone", 2025].left[1] == pytest.approx(1.0, abs=0.01)
    assert left["hbm_gone", 2028].quarters_below_half >= 4


@pytest.mark.parametrize("show", SHOWN)
def test_every_view_prints(show):
    done = CliRunner().invoke(command, ["--samples", "200", "--until", "2027Q4", "--show", show], catch_exceptions=False)
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) > 4


def test_the_default_table_flags_assumed_inputs_in_the_same_line():
    lines = CliRunner().invoke(command, ["--samples", "300"], catch_exceptions=False).stdout.splitlines()
    row = next(line for line in lines if line.strip().startswith("2025Q3"))
    assert "assembly" in row.split("-")[-1]
    assert "assembly_starts" in row
    assert max(len(line) for line in lines) <= 100


@pytest.mark.parametrize("view", ["owner", "chip", "pathway", "maker"])
def test_json_and_csv(view):
    run = CliRunner()
    document = json.loads(run.invoke(command, ["--samples", "50", "--by", view, "--json"], catch_exceptions=False).stdout)
    assert document["likelihood"].startswith("none")
    assert len(document["rows"]) == 20
    csv = run.invoke(command, ["--samples", "50", "--by", view, "--csv"], catch_exceptions=False).stdout.splitlines()
    assert len(csv) == 21
    assert csv[0].startswith("quarter,")


def test_set_lines():
    run = CliRunner()
    done = run.invoke(command, ["--samples", "50", "--set", "attach_yield=0.9@2026-07", "--set", "die_bank@2024=1 die"])
    assert "holds for the whole run" in str(done.exception)
    assert "not a setting" in str(run.invoke(command, ["--set", "attach_yield"]).exception)
    assert "set twice" in str(run.invoke(command, ["--set", "rework=0.1", "--set", "rework=0.2"]).exception)
    assert run.invoke(command, ["--samples", "50", "--set", "attach_yield=0.9@2026-07"]).exit_code == 0
