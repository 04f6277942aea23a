"""Layers that differ: what they cost, what they keep, and what they say of themselves."""

import json

import numpy as np
import pytest

from wafer2token.workload import (
    from_config,
    kv_bytes,
    kv_bytes_per_token,
    layer_parameters,
    layers,
    model,
    nextn_kind,
    of_layer,
    operators,
    parameters,
    state_bytes,
    with_layers,
)

HYBRIDS = (
    "deepseek_v4_flash", "deepseek_v4_pro", "nemotron_3_super_120b_a12b", "nemotron_h_56b", "gemma_4_26b_a4b", "mimo_v2_flash",
    "step_3_5_flash", "kimi_linear_48b_a3b", "glm_5_2", "longcat_flash_560b", "nemotron_super_49b", "step3_321b_a38b",
)  # fmt: skip


@pytest.mark.parametrize("name", HYBRIDS)
def test_products_of_a_pass_are_the_weights_it_multiplies(name):
    shape = model(name)
    tokens = 4096.0
    found = sum(
        op.flops * op.count
        for op in operators(shape, "prefill", batch=1, q_len=tokens, kv_len=tokens, logit_tokens=tokens)
        if op.family in ("gemm", "batched_gemm", "grouped_gemm")
    )
    expected = 2 * tokens * parameters(shape).multiplied
    assert float(found) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("name", HYBRIDS)
def test_every_pass_has_finite_work(name):
    shape = model(name)
    for phase, q_len in (("prefill", 2048), ("decode", 1), ("train", 2048)):
        ops = operators(shape, phase, batch=np.array([1, 8]), q_len=q_len, kv_len=2048, tp=2)
        assert all(np.all(np.isfinite(op.flops)) and np.all(np.asarray(op.bytes) >= 0) for op in ops)


def test_compressed_cache_of_deepseek_v4():
    # 43 layers of 512 elements: 2 keep a window, 21 an entry for 4 tokens (and 128 index elements), 20 one for 128
    shape = model("deepseek_v4_flash")
    per_token = 21 * (512 + 128) / 4 + 20 * 512 / 128
    long, longer = kv_bytes(shape, 100_000, 1), kv_bytes(shape, 200_000, 1)
    assert (longer - long) / 100_000 == pytest.approx(per_token)
    assert long == pytest.approx(43 * 128 * 512 + 100_000 * per_token)


def test_decode_of_deepseek_v4_reads_few_keys():
    ops = operators(model("deepseek_v4_flash"), "decode", batch=1, kv_len=1_000_000)
    seen = {op.layer: float(op.args["kv_len"]) for op in ops if op.name == "attention"}
    assert seen == {
        "shared(128)+sparse": 128,
        "shared/4+sparse": 128 + 512,
        "shared/128+sparse": pytest.approx(128 + 1e6 / 128),
    }


def test_state_of_mamba_layers_does_not_grow():
    shape = model("nemotron_3_nano_30b_a3b")
    # 23 layers of 64 heads x 64 x 128 in fp32 and three columns of the convolution in 16 bits
    assert state_bytes(shape) == 23 * (64 * 64 * 128 * 4 + (2 * 8 * 128 + 64 * 64) * 3 * 2)
    assert kv_bytes_per_token(shape, 2) == 6 * 2 * 2 * 128 * 2


def test_wider_heads_of_full_layers():
    shape = model("gemma_4_31b")
    full, sliding = (next(k for k, _ in layers(shape) if bool(k.window) is slides) for slides in (False, True))
    assert (of_layer(shape, full).head_dim, of_layer(shape, sliding).head_dim) == (512, 256)
    assert kv_bytes(shape, 10**6, 1) == 10 * 10**6 * 2 * 4 * 512 + 50 * 1024 * 2 * 16 * 256


def test_layers_that_take_over_an_index_keep_no_keys_of_it():
    shape = model("glm_5_2")
    assert kv_bytes_per_token(shape, 1, index_dtype_bytes=1) == 78 * 576 + 21 * 128
    shared = next(k for k, _ in layers(shape) if dict(k.overrides).get("index_n_heads") == 0)
    assert shared.index_topk == 2048
    full = next(k for k, _ in layers(shape) if not k.overrides and k.mlp == shared.mlp)
    assert layer_parameters(shape, full).total > layer_parameters(shape, shared).total


def test_prediction_layer_has_both_halves():
    kind = nextn_kind(model("nemotron_3_super_120b_a12b"))
    assert (kind.attention, kind.mlp) == ("gqa", "sparse")


def test_rhythm_goes_on_with_its_overrides():
    shape = model("mimo_v2_flash")
    grown = with_layers(shape, shape.num_hidden_layers + 6)
    assert len(grown.layer_overrides) == grown.num_hidden_layers
    assert parameters(grown).total > parameters(shape).total


def test_names_with_endings_and_brackets():
    for name, card in {
        "Kimi-K2-Thinking": "kimi_k2",
        "Qwen3-235B-A22B-Instruct-2507-NVFP4": "qwen3_235b_a22b",
        "DeepSeek-R1-0528-NVFP4-v2": "deepseek_v3",
        "DeepSeek-V4-Flash-w8a8-mtp": "deepseek_v4_flash",
        "Gemma-4-26B-A4B-it (text)": "gemma_4_26b_a4b",
        "Llama-4-Maverick-17B-128E-Instruct-FP8": "llama_4_maverick",
    }.items():
        assert model(name).id == card


def test_embeddings_of_every_layer_are_refused():
    config = {"model_type": "gemma4_text", "hidden_size_per_layer_input": 256}
    with pytest.raises(Exception, match="not known"):
        from_config(json.loads(json.dumps(config)))
