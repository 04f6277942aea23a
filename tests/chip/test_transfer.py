"""Parameters carried between chips, caches that a benchmark keeps warm, casts that an engine adds."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafer2token.catalog import get
from wafer2token.chip import accelerator, matmul_time
from wafer2token.chip.calibration.aiconfigurator import weight_copies
from wafer2token.chip.calibration.classes import dies, interval_80, left_out_rows
from wafer2token.chip.calibration.tables import KernelTable
from wafer2token.chip.fits import _fit, _of_library, _stated, family_fit, same_die, traits
from wafer2token.chip.matmul import held_share
from wafer2token.chip.points import rows_of
from wafer2token.chip.transfer import REFERENCE, on_same_units, share_at, transferred, uncast
from wafer2token.chip.validate import shipped


def test_parameters_return_unchanged_from_a_round_trip():
    fit = accelerator("h100_sxm").fit("gemm", "fp8").values
    other = replace(REFERENCE, clock=2.6e9, unit_rate=2.5e12, units=188.0, bandwidth=1.8e12)
    back = transferred(transferred(fit, REFERENCE, other, 0.6), other, REFERENCE, 0.6)
    assert all(math.isclose(getattr(back, k), v, rel_tol=1e-12) for k, v in vars(fit).items())


def test_a_faster_clock_launches_sooner_and_weaker_units_split_earlier():
    fit = accelerator("h100_sxm").fit("gemm", "bf16").values
    moved = transferred(fit, REFERENCE, replace(REFERENCE, clock=2 * REFERENCE.clock, unit_rate=REFERENCE.unit_rate / 2), 0.6)
    assert moved.floor == pytest.approx(fit.floor / 2)
    assert moved.split_depth == pytest.approx(fit.split_depth / 2)
    assert moved.cache < fit.cache
    assert (moved.compute, moved.memory) == (fit.compute, fit.memory)


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_the_cache_holds_less_of_more(a, b):
    few, many = sorted((a, b))
    shares = held_share(np.array([few, many]), 50e6, 1.15)
    assert 0 <= shares[1] <= shares[0] <= 1
    assert few - few * shares[0] <= many - many * shares[1] + 1e-6


def test_a_warm_cache_is_never_slower_and_small_weights_gain_most():
    acc = accelerator("l40s")
    n = np.array([1024.0, 4096.0, 65536.0])
    cold, warm = matmul_time(acc, 1, n, 2048), matmul_time(acc, 1, n, 2048, copies=6)
    assert (warm <= cold * (1 + 1e-12)).all()
    assert warm[0] < 0.8 * cold[0]
    assert warm[2] == pytest.approx(cold[2], rel=0.02)


def test_collectors_cycle_through_as_many_copies_as_they_say():
    elements = np.array([1e3, 8e6, 30e6, 1e9])
    assert weight_copies("h100_sxm", "trtllm", "bf16", elements).tolist() == [5, 4, 1, 1]
    assert weight_copies("h100_sxm", "vllm", "bf16", elements).tolist() == [6] * 4
    assert weight_copies("b200_sxm", "vllm", "fp4", elements).tolist() == [1] * 4


def test_a_point_says_how_it_was_repeated():
    base = {"chip": "H100 SXM", "dtype": "bf16", "op": "gemm", "m": "1", "n": "512", "k": "512", "latency_us": "5"}
    (plain,) = rows_of([base])
    (said,) = rows_of([{**base, "copies": "3"}])
    (known,) = rows_of([{**base, "software": "vllm 0.24.0", "source": "aiconfigurator-core 0.12.0"}])
    assert "copies" not in plain.columns
    assert (said.columns["copies"], known.columns["copies"]) == (3, 6)


def test_libraries_do_not_cast_and_engines_do():
    engine, library = (accelerator("h100_sxm", stack=s) for s in ("vllm", "torch"))
    assert engine.fit("gemm", "fp8").values.cast < math.inf
    assert library.fit("gemm", "fp8").values == uncast(library.fit("gemm", "fp8").values)
    assert engine.fit("gemm", "bf16").values.cast == math.inf
    assert matmul_time(engine, 8192, 4096, 4096, "fp8") > matmul_time(library, 8192, 4096, 4096, "fp8")


def test_chips_that_share_a_die_are_left_out_together():
    assert {"b200_sxm", "gb300"} <= set(same_die("gb200"))
    assert "h100_sxm" not in same_die("gb200")


def made(chip: str, rows: int = 200) -> KernelTable:
    rng = np.random.default_rng(len(chip))
    m, n, k = (2.0 ** rng.integers(low, 13, rows) for low in (0, 9, 9))
    seconds = matmul_time(accelerator(chip), m, n, k) * np.exp(rng.normal(0.0, 0.05, rows))
    return KernelTable(chip, "vllm", "", "gemm", "bf16", {"m": m, "n": n, "k": k}, seconds, "w2t")


def test_every_chip_is_predicted_from_the_dies_of_others(monkeypatch):
    monkeypatch.setattr("wafer2token.chip.calibration.classes._EVALUATIONS", 250)
    monkeypatch.setattr("wafer2token.chip.calibration.classes._ROWS", 60)
    tables = [made(c) for c in ("h100_sxm", "h200_sxm", "a100_sxm_80", "l40s")]
    assert len(dies(tables)) == 3
    rows = left_out_rows(tables)
    assert [r.chip for r in rows] == [t.chip for t in tables]
    assert all(0 <= r.held <= 1 and r.error < 0.6 for r in rows)


def test_an_interval_widens_until_it_holds_a_die_that_it_has_not_seen():
    rng = np.random.default_rng(0)
    apart = [rng.normal(shift, 0.02, 500) for shift in (-0.2, -0.1, 0.0, 0.1, 0.2)]
    low, high = interval_80(apart)
    assert low < np.quantile(np.concatenate(apart), 0.1)
    assert high > np.quantile(np.concatenate(apart), 0.9)


@given(share=st.floats(0.05, 1.0), slow=st.floats(0.1, 1.0), fast=st.floats(1.0, 10.0))
def test_units_that_compute_less_in_a_cycle_reach_more_of_their_peak(share, slow, fast):
    assert share_at(share, 1.0) == pytest.approx(share)
    assert share - 1e-12 <= share_at(share, slow) <= 1.0
    assert share_at(share, fast) <= share + 1e-12


def test_measured_products_of_h20_follow_from_those_of_h100():
    """H20 is the H100 die with a quarter of its arithmetic: carried shares predict it, shares of peak as they are do not."""
    rows = [r for r in shipped() if r.chip == "h20" and r.family == "gemm" and not r.flag]
    card = get("calibration", "h100_sxm_vllm_gemm_fp8")
    plain = _of_library(_stated(_fit(card, "gemm", "inherited", None), card, "fp8"))
    carried_over = replace(plain, values=on_same_units(plain.values, plain.of, traits(get("chip", "h20"), "fp8")))

    def error(fit):
        machine = accelerator("h20").with_fit("gemm", fit, "fp8")
        times = [float(matmul_time(machine, *(r.columns[k] for k in ("m", "n", "k")), "fp8")) for r in rows]
        return np.mean([abs(t / r.seconds - 1) for t, r in zip(times, rows, strict=True)])

    assert len(rows) > 100
    assert error(carried_over) < 0.15 < 0.3 < error(plain)


def test_only_fused_arithmetic_counts_as_other_units():
    fit = family_fit("h800_sxm", "NVIDIA", "vllm", "gemm", "bf16")
    assert fit.values.compute == pytest.approx(family_fit("h100_sxm", "NVIDIA", "vllm", "gemm", "bf16").values.compute)
