"""FLOP formulas against the papers, and the cache against published sizes."""

import numpy as np
import pytest

from wafer2token.workload import (
    hardware_flops_per_token,
    kv_bytes,
    kv_bytes_per_token,
    model,
    parameters,
    state_bytes,
    train_flops_per_token,
)


@pytest.mark.parametrize("name", ["gpt3_175b", "megatron_gpt_529_6b", "megatron_gpt_1008b", "megatron_gpt_7_5b"])
def test_megatron_formula(name):
    # arXiv:2104.04473, equation 3: 96 B s l h^2 (1 + s/6h + V/16lh) with full recomputation
    shape, s = model(name), 2048
    layers, h, vocab = shape.num_hidden_layers, shape.hidden_size, shape.vocab_size
    paper = 96 * layers * h**2 * (1 + s / (6 * h) + vocab / (16 * layers * h))
    assert hardware_flops_per_token(shape, s, "full") == pytest.approx(paper, rel=1e-12)
    without = 72 * layers * h**2 * (1 + s / (6 * h) + vocab / (12 * layers * h))
    assert train_flops_per_token(shape, s, "megatron") == pytest.approx(without, rel=1e-12)


def test_palm_formula():
    # arXiv:2204.02311, appendix B: 6 N + 12 L H Q T
    shape = model("llama_2_7b")
    paper = 6 * parameters(shape).active + 12 * 32 * 32 * 128 * 4096
    assert train_flops_per_token(shape, 4096, "palm") == paper


def test_flavours_are_ordered_and_vectorised():
    shape = model("llama_3_1_8b")
    lengths = np.array([1024, 8192, 131072])
    causal, full = (train_flops_per_token(shape, lengths, f) for f in ("causal", "megatron"))
    assert np.all(6 * parameters(shape).multiplied < causal)
    assert np.all(causal < full)
    assert np.allclose(causal, [train_flops_per_token(shape, n, "causal") for n in lengths])


def test_recomputation_adds_a_forward_pass():
    shape = model("llama_3_1_70b")
    none, selective, full = (hardware_flops_per_token(shape, 4096, r) for r in ("none", "selective", "full"))
    assert none < selective < full < 4 / 3 * none


def test_mtp_adds_about_one_layer():
    shape = model("deepseek_v3")
    ratio = train_flops_per_token(shape, 4096, "causal", mtp=True) / train_flops_per_token(shape, 4096, "causal")
    # the counter of Megatron-Bridge, which includes it, reads 1.038 times higher
    assert ratio == pytest.approx(1.038, abs=0.005)


def test_latent_cache_of_deepseek_v3():
    # arXiv:2412.19437: 576 elements per layer and token, 61 layers: 70,272 bytes in bf16
    assert kv_bytes_per_token(model("deepseek_v3"), 2) == 70_272
    assert kv_bytes(model("deepseek_v3"), 1000, 2, tp=8) == 70_272_000


def test_grouped_cache_of_llama():
    assert kv_bytes_per_token(model("llama_3_1_70b"), 2) == 2 * 80 * 8 * 128 * 2
    assert kv_bytes(model("llama_3_1_70b"), 10, 2, tp=8) == 10 * 2 * 80 * 128 * 2
    assert kv_bytes(model("llama_3_1_70b"), 10, 2, tp=16) == kv_bytes(model("llama_3_1_70b"), 10, 2, tp=8)


def test_windows_cap_half_of_the_layers():
    shape = model("gpt_oss_120b")
    per_layer = 2 * 8 * 64 * 2
    assert kv_bytes(shape, 4096, 2) == per_layer * (18 * 4096 + 18 * 128)
    assert np.array_equal(kv_bytes(shape, np.array([100, 4096]), 2), [kv_bytes(shape, n, 2) for n in (100, 4096)])


def test_recurrent_layers_keep_a_constant_state():
    shape = model("qwen3_next_80b_a3b")
    growth = kv_bytes(shape, 2000, 2) - kv_bytes(shape, 1000, 2)
    assert growth == 1000 * kv_bytes_per_token(shape, 2)
    assert kv_bytes(shape, 0, 2) == state_bytes(shape) > 0
    assert state_bytes(model("llama_3_1_8b")) == 0


def test_sparse_index_keeps_its_own_keys():
    dense, sparse = (kv_bytes_per_token(model(n), 1) for n in ("deepseek_v3", "deepseek_v3_2"))
    assert sparse - dense == 61 * 128
