"""What the accuracy must not fall below, on measurements that no fit has seen (see `w2t validate kernels`)."""

from statistics import mean, median

import pytest

from wafer2token.study.kernels import validate


@pytest.fixture(scope="module")
def result():
    return validate()


def errors(result, *needles, prefix="aic-"):
    found = [
        p.ape
        for p in result.points
        if not p.skipped and p.id.startswith(prefix) and all(n in (p.group, *p.tags) for n in needles)
    ]
    assert len(found) > 20, needles
    return found


@pytest.mark.parametrize("chip", ["h100_sxm", "h200_sxm", "a100_sxm_80", "b200_sxm"])
def test_products_on_measured_chips(result, chip):
    assert mean(errors(result, f"gemm, LLM-shaped bf16 {chip}")) <= 0.09
    assert mean(errors(result, "gemm bf16", f"{chip} gemm")) <= 0.10


@pytest.mark.parametrize("chip", ["h100_sxm", "h200_sxm", "a100_sxm_80", "b200_sxm"])
def test_prefill_on_measured_chips(result, chip):
    assert median(errors(result, f"{chip} prefill")) <= 0.12


def test_collectives(result):
    assert median(errors(result, "collectives, calibrated")) <= 0.08


def test_ascend_operators(result):
    found = [
        p.ape for p in result.points if not p.skipped and p.group.startswith("ascend_910b") and "flagged" not in p.group
    ]
    assert len(found) > 50
    assert mean(found) <= 0.20


def test_intervals_hold_about_what_they_say(result):
    held = [p.p10 <= p.measured <= p.p90 for p in result.points if not p.skipped and p.id.startswith("aic-")]
    assert 0.7 <= mean(held) <= 0.9


def test_the_baseline_is_beaten_everywhere_that_counts(result):
    for group in result.groups:
        if group.n >= 100 and "flagged" not in group.name:
            assert group.median_ape < group.baseline_median_ape, group.name


def test_every_skipped_point_says_why(result):
    assert all(p.skipped or p.predicted > 0 for p in result.points)
