"""``w2t allow`` as a user and as a program see it."""

import csv
import json

import pytest
from click.testing import CliRunner

from wafer2token.cli.main import w2t
from wafer2token.evidence.errors import InputError


def run(*arguments):
    return CliRunner().invoke(w2t, ["allow", *arguments])


def test_json_has_the_verdict():
    found = json.loads(run("H20", "--to", "CN", "--on", "2025-04-09", "--json").output)
    assert found["verdict"] == "licence"
    assert found["on"] == "2025-04-09"
    assert found["matched"][0]["rule"] == "us_h20_isinformed_2025"
    assert found["near"][0]["margins"]
    assert "Not legal advice" in found["disclaimer"]


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        (["B200", "--on", "2026-02-15"], "denied"), (["L20", "--on", "2024-06-01"], "free"),
        (["MTT S4000", "--on", "2024-06-01"], "indeterminate"),
        (["gallium", "--from", "CN", "--to", "US", "--on", "2026-11-22"], "unknown"),
    ],
)  # fmt: skip
def test_all_five_verdicts(arguments, verdict):
    assert json.loads(run(*arguments, "--json").output)["verdict"] == verdict


def test_the_page_fits_a_terminal_and_says_what_it_is():
    for arguments in (
        ["H200", "--on", "2026-02-15"],
        ["H200", "--timeline"],
        ["NXT:1980i", "--from", "NL", "--on", "2026-07-01"],
        ["--on", "2024-06-01"],
    ):
        output = run(*arguments).output
        assert max(len(line) for line in output.splitlines()) <= 100
        assert "Not legal advice" in " ".join(output.split())
    assert "Not legal advice" in run("--help").output


def test_timeline_as_data():
    found = json.loads(run("A800", "--timeline", "--json").output)
    assert [s["verdict"] for s in found["spans"]][:2] == ["free", "denied"]
    rows = list(csv.DictReader(run("A800", "--timeline", "--csv").output.splitlines()))
    assert rows[1]["start"] == "2023-11-17"


def test_design_as_data():
    found = json.loads(run("--design", "--area", "814 mm^2", "--on", "2025-06-01", "--json").output)
    design = found["designs"][0]
    assert design["tpp"]["sure"] == 2400
    assert design["dram_bw_gbs"] == {"sure": 1400.0, "possible": 1800.0, "inclusive": False}
    assert {n["item"] for n in found["neighbours"]} >= {"h20", "l20", "l2"}


def test_all_chips_as_csv():
    rows = list(csv.DictReader(run("--on", "2024-06-01", "--csv").output.splitlines()))
    assert len(rows) == 53
    assert {r["item"]: r["verdict"] for r in rows}["h20"] == "free"


def test_known_outcomes():
    found = json.loads(run("--check", "--json").output)
    assert all(c["agrees"] for c in found)
    assert {c["basis"] for c in found} == {"documented", "derived"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--timeline"], "needs an ITEM"), (["H20", "--timeline", "--design"], "do not go together"),
        (["H20", "--end-use", "fun"], "Invalid value"),
    ],
)  # fmt: skip
def test_usage(arguments, message):
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_further_facts():
    arguments = ["L20", "--on", "2025-10-01", "--json", "--given"]
    assert json.loads(run(*arguments, "owned_pct=60").output)["verdict"] == "licence"
    assert json.loads(run(*arguments, "owned_pct=49.9").output)["verdict"] == "free"
    for wrong in ("owned_pct=half", "owned=60", "state_funded=perhaps"):
        assert isinstance(run(*arguments, wrong).exception, InputError)


def test_an_area_needs_its_unit():
    done = run("--design", "--area", "814")
    assert isinstance(done.exception, InputError)
    assert "a unit is missing" in str(done.exception)
