"""Contested peaks: what a chip was measured to do stays, utilisation moves; an unmeasured chip moves in both."""

import numpy as np
import pytest

from wafer2token.catalog import get, overlay
from wafer2token.evidence.number import Number
from wafer2token.evidence.sampling import draw, recorded
from wafer2token.train import train

JOB = {"chips": 1024, "tokens": 1e12, "samples": 200, "seed": 1, "global_batch": 4096, "seq_len": 4096}


def drawn_peak(chip, dtype):
    number = get("chip", chip).peak[dtype]
    return draw(number, f"chip.{chip}.peak.{dtype}", JOB["samples"], JOB["seed"]) / float(number)


def test_peak_is_drawn_under_its_name_and_moves_utilisation():
    with recorded() as drawn:
        result = train("llama_3_1_8b", "atlas_900_a3", **JOB)
    assert "chip.ascend_910c.peak.bf16" in drawn
    ratio = drawn_peak("ascend_910c", "bf16")
    assert np.ptp(ratio) > 0.05
    implied = result.tokens_per_s / result.mfu["6n"]
    assert implied / implied[0] == pytest.approx(ratio / ratio[0])


def test_measured_family_keeps_its_step_times_whatever_its_peak():
    result = train("llama_3_1_8b", "atlas_900_a3", **JOB)
    ratio = drawn_peak("ascend_910c", "bf16")
    assert abs(np.corrcoef(ratio, np.log(result.step_time_s))[0, 1]) < 0.2


def test_unmeasured_family_is_priced_from_the_drawn_peak():
    job = {**JOB, "dtype": "bf16", "assume": True, "stack": "mindspeed"}
    number = get("chip", "ascend_950dt").peak["bf16"]
    settled = Number.parse(
        {"value": f"{float(number)} FLOP/s", "grade": "assumed", "source": ["assumption"]}, "FLOP/s", ""
    )
    contested = train("llama_3_1_8b", "ascend_950dt", **job)
    with overlay({"chip.ascend_950dt.peak.bf16": settled}):
        certain = train("llama_3_1_8b", "ascend_950dt", **job)
    ratio = drawn_peak("ascend_950dt", "bf16")
    slower = contested.step_time_s / certain.step_time_s
    assert np.ptp(ratio) > 0.05
    assert np.all((slower > 1) == (ratio < 1 - 1e-9)) or np.all((slower < 1) == (ratio > 1 + 1e-9))
    assert np.all(np.abs(np.log(slower)) <= np.abs(np.log(ratio)) + 1e-9)


def test_certain_peak_changes_nothing():
    result = train("llama_3_1_8b", "dgx_h100", **JOB)
    assert np.ptp(result.tokens_per_s / result.mfu["6n"]) == pytest.approx(0, abs=1e-3 * result.tokens_per_s[0])
