"""Predictions against the published points: the accuracy is a contract."""

import json

import numpy as np
import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.train.points import CannotExpressError, read_case
from wafer2token.train.predict import prepare, software_of, step_seconds
from wafer2token.train.validate import read_points, shipped, validate


@pytest.fixture(scope="module")
def result():
    return validate()


def group(result, name):
    return next(g for g in result.groups if g.name == name)


def test_accuracy(result):
    whole = group(result, "pretraining")
    assert whole.n > 750
    assert whole.weighted_median_ape < 0.08
    assert group(result, "Ascend").weighted_median_ape < 0.12
    assert group(result, "MoE").weighted_median_ape < 0.12
    assert whole.median_ape < 0.6 * whole.baseline_median_ape
    assert 0.70 <= whole.coverage_80 <= 0.92


def test_every_point_is_priced_or_refused_with_a_reason(result):
    assert len(result.points) == len(shipped())
    assert all(p.skipped or p.predicted > 0 for p in result.points)
    assert all(p.skipped or p.p10 < p.predicted < p.p90 for p in result.points)


def test_own_points_in_the_same_format(tmp_path):
    file = tmp_path / "mine.json"
    rows = [*[r for r in shipped() if r["family"].startswith("simumax")][:3], {"id": "broken"}]
    file.write_text(json.dumps(rows))
    result = validate(str(file))
    assert group(result, "all").n == 3
    assert group(result, "all").skipped == 1
    bad = tmp_path / "bad.json"
    for text, what in (("{}", "list of records"), ("[", "broken JSON")):
        bad.write_text(text)
        with pytest.raises(InputError, match=what):
            read_points(bad)


def korthikanti(hidden, layers, heads, pp, vpp, devices, batch, micro, full, measured):
    """One row of arXiv 2205.05198, tables 3 and 5: A100, TP8, one replica."""
    return {
        "id": f"{hidden}-{full}", "family": "selective", "kind": "pretrain_steady_state", "grade": "A", "target_metric": "step_time_s",
        "source": {"title": "Reducing Activation Recomputation in Large Transformer Models (arXiv 2205.05198)"},
        "hardware": {"chip_key": "A100-80G", "n_devices": devices, "devices_per_node": 8, "scale_out": "8x HDR InfiniBand 200 Gb/s per node"},
        "model": {"name": f"GPT {hidden}", "layers": layers, "hidden": hidden, "heads": heads, "ffn": 4 * hidden, "vocab": 51200, "swiglu": False},
        "precision": "bf16", "seq_len": 2048, "global_batch": batch, "micro_batch": micro,
        "parallelism": {"tp": 8, "pp": pp, "vpp": vpp, "dp": 1, "sequence_parallel": not full, "recompute": "full" if full else "selective",
                        "schedule": "interleaved" if vpp > 1 else "1F1B", "zero": "none"},
        "measured": {"step_time_s": measured},
    }  # fmt: skip


ROWS = (
    (6144, 48, 64, 1, 1, 8, 4, 4, 1.42, 1.10),
    (12288, 96, 96, 8, 3, 64, 64, 1, 18.13, 13.75),
    (20480, 105, 128, 35, 3, 280, 280, 1, 49.05, 37.83),
    (25600, 128, 160, 64, 1, 512, 512, 1, 94.42, 71.49),
)


def predicted(row, full):
    case = read_case(korthikanti(*row[:8], full, row[8] if full else row[9]), {})
    ready = prepare(case)
    return step_seconds(ready, software_of(ready).software)


def test_the_eight_points_that_calculon_fits():
    """Not among the points that we fit; Calculon's own fitted efficiencies come to 3.65% on them."""
    errors = [predicted(row, full) / (row[8] if full else row[9]) - 1 for row in ROWS for full in (True, False)]
    assert np.mean(np.abs(errors)) < 0.0365


def test_selective_recomputation_saves_what_was_published():
    """Full over selective with sequence parallelism: 29 to 32% (arXiv 2205.05198)."""
    for row in ROWS[1:]:
        assert predicted(row, True) / predicted(row, False) == pytest.approx(row[8] / row[9], rel=0.05)


def test_refusals():
    with pytest.raises(CannotExpressError, match="grade D"):
        read_case({"id": "x", "grade": "D"}, {})
    base = korthikanti(*ROWS[0][:8], True, 1.0)
    with pytest.raises(CannotExpressError, match="no card"):
        read_case({**base, "hardware": {"chip_key": "Quux 9", "n_devices": 8}}, {})


def test_the_rows_that_simumax_measured(result):
    """Its own mean error of the step time on these rows is 5.6%."""
    errors = [abs(p.predicted / p.measured - 1) for p in result.points if p.id.startswith("simumax") and not p.skipped]
    assert len(errors) == 31
    assert np.mean(errors) < 0.056


def test_whole_runs_and_low_rank_fine_tuning_are_priced(result):
    for name, least in (("full_run", 18), ("lora", 18)):
        assert group(result, name).n >= least
        assert group(result, name).median_ape < group(result, name).baseline_median_ape
