"""Claimants weighed from the command line, from a date too; every line of every view says what it rests on."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from wafer2token.cli.supply import SHOWN, command
from wafer2token.evidence.errors import InputError
from wafer2token.supply import Timeline, read_inputs, supply

LINE = Timeline.until("2028Q4")


def test_weights_from_a_date_leave_what_was_before():
    plain, only = (read_inputs(LINE, 300, 0, changes) for changes in ({}, {"smic_wafers": "Nikkei"}))
    dated = read_inputs(LINE, 300, 0, {"smic_wafers@2026-07": "Nikkei"})
    assert np.array_equal(dated.now("smic_wafers")[:, :10], plain.now("smic_wafers")[:, :10])
    assert dated.now("smic_wafers")[:, 10:] == pytest.approx(only.now("smic_wafers")[:, 10:])
    assert "from 2026-07" in dated.changed["smic_wafers"]


def test_plans_of_a_claimant_chosen_from_a_date_slip_too():
    name = "SemiAnalysis: two million in 2026"
    only, dated = (read_inputs(LINE, 100, 0, changes).now("hbm_cxmt") for changes in ({"hbm_cxmt": name}, {"hbm_cxmt@2026-07": name}))
    assert dated[:, 10:] == pytest.approx(only[:, 10:])


def test_bad_weights_from_a_date_are_refused():
    with pytest.raises(InputError, match="do not sum to 1"):
        supply(samples=10, overrides={"smic_wafers@2026-07": {"Nikkei": 0.5}})


@pytest.mark.parametrize("line", ["smic_wafers=Nikkei:0.9, SemiAnalysis:0.1", "smic_wafers=Nikkei:0.9, SemiAnalysis:0.1@2026-07"])
def test_the_command_takes_weights(line):
    done = CliRunner().invoke(command, ["--samples", "50", "--set", line], catch_exceptions=False)
    assert done.exit_code == 0
    assert "set: smic_wafers" in done.stderr


@pytest.mark.parametrize("show", SHOWN)
def test_every_line_says_what_it_rests_on(show):
    done = CliRunner().invoke(command, ["--samples", "200", "--until", "2026Q4", "--target", "2026=500000", "--show", show, "--json"], catch_exceptions=False)
    document = json.loads(done.stdout)
    rows = document if isinstance(document, list) else document.get("rows", document.get("steps"))
    assert rows
    assert all("assumed" in row or "grade" in row for row in rows)
    assert any(row.get("assumed") or row.get("grade") for row in rows)
