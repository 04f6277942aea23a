"""What a chip at the limit of the rules would do on a model."""

import pytest

from wafer2token.chip import accelerator
from wafer2token.controls import frontier
from wafer2token.evidence.errors import InfeasibleError
from wafer2token.study import permitted as room
from wafer2token.study.permitted import at_limit, permitted


@pytest.fixture
def design():
    return frontier([814.0], on="2025-06-01", products=False).designs[0]


@pytest.fixture
def ideal(monkeypatch):
    """Kernels at the roofline, so that the test speaks of the limits and not of efficiencies."""

    def roofline(acc, op):
        return max(float(op.flops) / acc.peak("fp8"), float(op.bytes) / acc.hbm_bytes_per_s)

    monkeypatch.setattr(room, "op_time", roofline)


def test_peaks_and_memory_come_down_to_the_limits(design):
    chip = at_limit(accelerator("h100_sxm"), design)
    assert chip.peaks["fp8"] * 8 == pytest.approx(2400e12)
    assert chip.peaks["bf16"] * 16 == pytest.approx(2400e12, rel=1e-3)
    assert chip.hbm_bytes_per_s == pytest.approx(1.4e12)


def test_without_a_limit_on_memory_the_base_keeps_its_own():
    free = frontier([814.0], on="2024-06-01", products=False).designs[0]
    assert at_limit(accelerator("h100_sxm"), free).hbm_bytes_per_s == accelerator("h100_sxm").hbm_bytes_per_s


@pytest.mark.usefixtures("ideal")
def test_compute_binds_prefill_and_memory_binds_decode(design):
    work = permitted(design, "llama_3_1_8b", base="h100_sxm")
    compute, memory = 2400 / 15832, 1.4 / 3.35
    assert compute <= work.prefill_tokens_per_s / work.against_prefill_tokens_per_s <= 1.2 * compute
    assert work.decode_tokens_per_s / work.against_decode_tokens_per_s == pytest.approx(memory, rel=0.1)
    assert work.chips == 1
    assert len(work.rows()) == 3


@pytest.mark.usefixtures("ideal")
def test_a_large_model_takes_a_group(design):
    assert permitted(design, "deepseek_r1").chips == 16


def test_the_h20_is_what_the_rules_of_2023_let_through():
    """The design of its area, with its efficiencies and memory, is the H20 itself to within its 1.3% below the line."""
    free = frontier([814.0], on="2024-06-01", products=False).designs[0]
    work = permitted(free, "llama_3_1_8b", base="h20", against="h20")
    assert work.prefill_tokens_per_s / work.against_prefill_tokens_per_s == pytest.approx(2400 / 2368, rel=0.02)
    assert work.decode_tokens_per_s / work.against_decode_tokens_per_s == pytest.approx(1, rel=0.02)


def test_cut_memory_costs_decode_and_not_prefill(design):
    work = permitted(design, "llama_3_1_8b", base="h20", against="h20")
    assert work.prefill_tokens_per_s / work.against_prefill_tokens_per_s > 0.9
    assert work.decode_tokens_per_s / work.against_decode_tokens_per_s < 0.6


def test_a_model_that_fits_nowhere(design, monkeypatch):
    monkeypatch.setattr(room, "_LARGEST_GROUP", 4)
    with pytest.raises(InfeasibleError, match="does not fit"):
        permitted(design, "deepseek_r1")
