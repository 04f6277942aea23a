"""Laws that no calibration may break."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wafer2token.chip import (
    accelerator,
    attention_decode_time,
    attention_prefill_time,
    grouped_matmul_time,
    matmul_time,
    memory_time,
)

CHIPS = ("h100_sxm", "a100_sxm_80", "b200_sxm", "h20", "l40s", "ascend_910b2", "ascend_910c", "ascend_950pr", "mi300x")
MACHINES = {name: accelerator(name) for name in CHIPS}
size = st.integers(1, 20000)
chips = st.sampled_from(CHIPS)
laws = settings(max_examples=60, deadline=None)


@laws
@given(chip=chips, m=size, n=size, k=size, more=st.tuples(*[st.integers(0, 5000)] * 3))
def test_a_larger_product_is_never_faster(chip, m, n, k, more):
    acc = MACHINES[chip]
    assert matmul_time(acc, m + more[0], n + more[1], k + more[2]) >= matmul_time(acc, m, n, k) * (1 - 1e-12)


@laws
@given(chip=chips, m=size, n=size, k=size)
def test_a_product_never_beats_the_peaks(chip, m, n, k):
    acc = MACHINES[chip]
    seconds = float(matmul_time(acc, m, n, k))
    assert 2.0 * m * n * k / seconds <= acc.peak("bf16") * (1 + 1e-12)
    assert 2.0 * (m * k + k * n + m * n) / seconds <= acc.hbm_bytes_per_s * (1 + 1e-12)


@laws
@given(chip=chips, tokens=st.floats(0.01, 4096), experts=st.integers(1, 256), n=size, k=size, factor=st.floats(1, 8))
def test_more_tokens_per_expert_never_take_less_time(chip, tokens, experts, n, k, factor):
    acc = MACHINES[chip]
    few = grouped_matmul_time(acc, tokens, experts, n, k)
    assert grouped_matmul_time(acc, tokens * factor, experts, n, k) >= few * (1 - 1e-12)
    assert grouped_matmul_time(acc, tokens, experts + 1, n, k) >= few * (1 - 1e-12)


@laws
@given(chip=chips, batch=st.integers(1, 256), kv=st.integers(1, 131072), groups=st.integers(1, 16), kv_heads=st.integers(1, 32),
       more=st.integers(0, 8192))  # fmt: skip
def test_decode_never_gets_faster_with_a_longer_cache_or_more_sequences(chip, batch, kv, groups, kv_heads, more):
    acc = MACHINES[chip]
    base = attention_decode_time(acc, batch, kv, groups * kv_heads, kv_heads, 128, 128)
    assert attention_decode_time(acc, batch, kv + more, groups * kv_heads, kv_heads, 128, 128) >= base * (1 - 1e-12)
    assert attention_decode_time(acc, batch + 1, kv, groups * kv_heads, kv_heads, 128, 128) >= base * (1 - 1e-12)
    read = 4.0 * batch * kv * kv_heads * 128
    assert read / float(base) <= acc.hbm_bytes_per_s * (1 + 1e-12)


@laws
@given(chip=chips, batch=st.integers(1, 64), q=st.integers(1, 16384), past=st.integers(0, 8192), heads=st.integers(1, 64),
       more=st.integers(0, 4096))  # fmt: skip
def test_prefill_never_gets_faster_with_more_work_nor_beats_the_peak(chip, batch, q, past, heads, more):
    acc = MACHINES[chip]
    base = attention_prefill_time(acc, batch, q, q + past, heads, heads, 128, 128)
    assert attention_prefill_time(acc, batch + 1, q, q + past, heads, heads, 128, 128) >= base * (1 - 1e-12)
    assert attention_prefill_time(acc, batch, q, q + past + more, heads, heads, 128, 128) >= base * (1 - 1e-12)
    assert attention_prefill_time(acc, batch, q, q + past, heads, heads, 128, 128, causal=False) >= base * (1 - 1e-12)
    flops = 4.0 * batch * heads * 128 * (q * past + q * (q + 1) / 2)
    assert flops / float(base) <= acc.peak("bf16") * (1 + 1e-12)


@laws
@given(m=size, n=size, k=size)
def test_two_dies_are_never_slower_than_one_on_the_same_work(m, n, k):
    whole, die = accelerator("ascend_910c"), accelerator("ascend_910c", per="die")
    assert matmul_time(whole, m, n, k) <= matmul_time(die, m, n, k) * (1 + 1e-12)


@laws
@given(chip=chips, few=st.floats(0, 1e10), more=st.floats(0, 1e10))
def test_more_bytes_never_take_less_time(chip, few, more):
    acc = MACHINES[chip]
    assert memory_time(acc, few + more) >= memory_time(acc, few)
    assert few / float(memory_time(acc, few)) <= acc.hbm_bytes_per_s


@pytest.mark.parametrize("chip", CHIPS)
def test_arrays_and_scalars_agree(chip):
    acc = MACHINES[chip]
    m, n = np.array([1, 64, 1000, 4096]), np.array([[1024], [8192]])
    table = matmul_time(acc, m, n, 4096)
    assert table.shape == (2, 4)
    for i, j in np.ndindex(2, 4):
        assert math.isclose(table[i, j], float(matmul_time(acc, int(m[j]), int(n[i, 0]), 4096)), rel_tol=1e-12)


def test_samples_lead_and_surround_the_central_case():
    acc = accelerator("ascend_910c", samples=200, seed=3)
    times = matmul_time(acc, [1, 4096], 4096, 4096)
    assert times.shape == (200, 2)
    centre = matmul_time(accelerator("ascend_910c"), [1, 4096], 4096, 4096)
    assert (np.quantile(times, 0.05, axis=0) < centre).all()
    assert (np.quantile(times, 0.95, axis=0) > centre).all()
    again = matmul_time(accelerator("ascend_910c", samples=200, seed=3), [1, 4096], 4096, 4096)
    assert (times == again).all()
