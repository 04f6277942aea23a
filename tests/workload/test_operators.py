"""Laws of the operator list: conservation under splitting, limits, monotony, broadcasting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wafer2token.evidence.errors import InputError
from wafer2token.workload import (
    COMMUNICATION,
    attended_pairs,
    forward_flops_per_token,
    layers,
    make_pass,
    model,
    operators,
    parameters,
    train_flops_per_token,
    with_layers,
)
from wafer2token.workload.ops import ATTENTION, FAMILIES

NAMES = [
    "llama_3_1_8b", "llama_3_1_405b", "gpt3_175b", "gpt_oss_120b", "mixtral_8x7b", "qwen3_235b_a22b", "deepseek_v3",
    "deepseek_v3_2", "glm_4_5", "qwen3_next_80b_a3b", "pangu_ultra_135b", "llama_4_maverick",
]  # fmt: skip
DENSE = ["llama_3_1_8b", "gpt3_175b", "pangu_ultra_135b"]
SCORES = ATTENTION | {"linear_attention", "attention_index"}


def flops(ops, direction="forward", skip=frozenset()):
    return sum(op.count * op.flops for op in ops if op.direction == direction and op.family not in skip)


def held(shape):
    """Weights that products of the list touch: multiplied ones less the short convolution, which is element-wise."""
    keys = 2 * shape.linear_num_key_heads * shape.linear_key_head_dim
    width = keys + shape.linear_num_value_heads * shape.linear_value_head_dim
    count = sum(n for kind, n in layers(shape) if kind.attention == "linear")
    gate = shape.hidden_size * sum(n for kind, n in layers(shape) if kind.mlp == "sparse") * shape.shared_expert_gate
    return parameters(shape).multiplied - count * width * shape.linear_conv_kernel_dim - gate


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("phase", ["prefill", "train"])
def test_products_cost_twice_the_weights_per_token(name, phase):
    shape = model(name)
    ops = operators(shape, phase, batch=2, q_len=512, logit_tokens=1024)
    assert flops(ops, skip=SCORES) == pytest.approx(2 * 1024 * held(shape), rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_decode_costs_twice_the_weights_per_token(name):
    shape = model(name)
    ops = operators(shape, "decode", batch=64, kv_len=1000)
    assert flops(ops, skip=SCORES) == pytest.approx(2 * 64 * held(shape), rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_backward_is_twice_forward_in_products(name):
    ops = operators(model(name), "train", batch=1, q_len=2048)
    assert flops(ops, "backward", SCORES) == pytest.approx(2 * flops(ops, skip=SCORES))


@pytest.mark.parametrize("name", ["llama_3_1_8b", "gpt3_175b", "gpt_oss_120b", "mixtral_8x7b", "deepseek_v3"])
def test_list_agrees_with_the_causal_formula(name):
    shape, length = model(name), 4096
    ops = operators(shape, "train", batch=3, q_len=length)
    forward = flops(ops) / (3 * length)
    assert 3 * forward == pytest.approx(train_flops_per_token(shape, length, "causal"), rel=1e-6)


@pytest.mark.parametrize("name", ["llama_3_1_70b", "qwen3_235b_a22b"])
def test_decode_agrees_with_forward_formula(name):
    shape = model(name)
    total = flops(operators(shape, "decode", batch=8, kv_len=3000))
    assert total == pytest.approx(8 * forward_flops_per_token(shape, 3000), rel=1e-9)


@pytest.mark.parametrize("name", ["llama_3_1_405b", "gpt3_175b", "deepseek_v3", "mixtral_8x7b", "glm_4_5"])
@pytest.mark.parametrize("tp", [2, 4, 8])
def test_tensor_parallel_split_conserves_work(name, tp):
    shape = model(name)
    one, split = (operators(shape, "prefill", batch=2, q_len=256, tp=t) for t in (1, tp))
    whole = sum(op.count * op.flops for op in one if op.replicated)
    assert sum(op.count * op.flops for op in split if op.replicated) == whole
    assert tp * (flops(split) - whole) == pytest.approx(flops(one) - whole, rel=1e-9)


@given(ep=st.sampled_from([2, 4, 8, 16, 64, 256]), batch=st.integers(1, 512))
@settings(deadline=None, max_examples=30)
def test_expert_parallel_split_conserves_work_over_replicas(ep, batch):
    def routed(n):
        ops = operators(model("deepseek_v3"), "decode", batch=batch, kv_len=100, ep=n)
        return sum(op.count * op.flops for op in ops if op.family == "grouped_gemm")

    # ep ranks serve ep replicas of the same batch: each rank does the work of one replica
    assert routed(ep) == pytest.approx(routed(1), rel=1e-9)


@given(experts_hit=st.integers(1, 4096), ep=st.sampled_from([1, 8, 32]))
@settings(deadline=None, max_examples=40)
def test_busy_experts_stay_within_bounds(experts_hit, ep):
    ops = operators(model("qwen3_235b_a22b"), "decode", batch=experts_hit, kv_len=10, ep=ep)
    op = next(op for op in ops if op.name == "experts_up")
    held_here = 128 / ep
    assert 0 < op.args["experts"] <= held_here * (1 + 1e-12)
    assert op.args["tokens_per_expert"] * op.args["experts"] == pytest.approx(experts_hit * 8)


@given(
    name=st.sampled_from(NAMES),
    phase=st.sampled_from(["prefill", "decode"]),
    batch=st.integers(1, 64),
    more=st.integers(1, 64),
    length=st.integers(2, 8192),
)
@settings(deadline=None, max_examples=60)
def test_more_tokens_cost_more(name, phase, batch, more, length):
    shape = model(name)
    a, b = (operators(shape, phase, batch=n, kv_len=length) for n in (batch, batch + more))
    assert flops(b) > flops(a)
    assert sum(op.count * op.bytes for op in b) > sum(op.count * op.bytes for op in a)


@given(name=st.sampled_from(DENSE), n=st.integers(1, 40), k=st.integers(1, 5))
@settings(deadline=None, max_examples=30)
def test_linear_in_layers(name, n, k):
    def cost(count):
        return flops(operators(with_layers(model(name), count), "prefill", batch=1, q_len=128))

    assert cost(n + k) - cost(n) == pytest.approx(k * (cost(2) - cost(1)), rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("phase", ["prefill", "decode", "train"])
def test_arrays_equal_scalars(name, phase):
    shape = model(name)
    batch, kv, tp, ep = (np.array(v) for v in ([1, 4, 32], [128, 1024, 4096], [1, 2, 8], [1, 8, 4]))
    many = operators(shape, phase, batch=batch, kv_len=kv, tp=tp, ep=ep, sp=True, cp=np.array([1, 2, 1]))
    for i in range(3):
        one = operators(shape, phase, batch=batch[i], kv_len=kv[i], tp=tp[i], ep=ep[i], sp=True, cp=[1, 2, 1][i])
        key = {(op.layer, op.name, op.direction): op for op in one}
        for op in many:
            same = key.get((op.layer, op.name, op.direction))
            cost = np.broadcast_to(op.count * op.flops, 3)[i], np.broadcast_to(op.count * op.bytes, 3)[i]
            if same is None:
                assert op.family in COMMUNICATION
            else:
                assert cost == pytest.approx((same.count * same.flops, same.count * same.bytes))


@pytest.mark.parametrize("name", NAMES)
def test_families_are_the_documented_ones(name):
    for phase in ("prefill", "decode", "train"):
        ops = operators(model(name), phase, batch=8, kv_len=512, tp=2, ep=4, cp=2, mtp=True)
        assert {op.family for op in ops} <= set(FAMILIES)
        assert all(op.layer for op in ops)


@given(q=st.integers(1, 200), before=st.integers(0, 200), window=st.integers(0, 250))
@settings(deadline=None, max_examples=200)
def test_attended_pairs_equal_the_plain_sum(q, before, window):
    kv = before + q
    plain = sum(min(before + i, window or kv) for i in range(1, q + 1))
    assert attended_pairs(q, kv, window) == plain


def test_latent_attention_absorbs_in_decode_only():
    shape = model("deepseek_v3")
    names = {phase: {op.name for op in operators(shape, phase, kv_len=64)} for phase in ("prefill", "decode")}
    assert {"q_absorb", "v_absorb"} <= names["decode"]
    assert "kv_up_proj" in names["prefill"]
    assert not names["prefill"] & {"q_absorb", "v_absorb"}
    decode = next(op for op in operators(shape, "decode", kv_len=64) if op.family == "mla_decode")
    assert (decode.args["qk_dim"], decode.args["v_dim"], decode.args["kv_heads"]) == (576, 512, 1)


def test_sparse_index_flattens_the_slope_of_length():
    def scores(length):
        ops = operators(model("deepseek_v3_2"), "decode", batch=1, kv_len=length)
        return sum(op.count * op.flops for op in ops if op.family == "mla_decode")

    assert scores(65536) == scores(131072)
    assert scores(2048) == pytest.approx(2 * scores(1024))


def test_communication_by_kind_of_split():
    shape = model("llama_3_1_70b")
    plain = [
        op for op in operators(shape, "train", kv_len=4096, tp=8) if op.family == "collective" and op.layer != "head"
    ]
    calls = sum(op.count for op in plain if op.layer != "embedding")
    assert {op.args["op"] for op in plain} == {"all_reduce"}
    assert calls == 4 * 80  # two forward and two backward per layer (arXiv:1909.08053)
    split = operators(shape, "train", kv_len=4096, tp=8, sp=True)
    kinds = [op.args["op"] for op in split if op.family == "collective" and op.layer not in ("head", "embedding")]
    assert sorted(set(kinds)) == ["all_gather", "reduce_scatter"]
    assert not [op for op in operators(shape, "decode", kv_len=10) if op.family in COMMUNICATION]


def test_experts_on_the_tensor_parallel_ranks_sum_instead_of_exchanging():
    shape = model("qwen3_235b_a22b")
    inside = operators(shape, "decode", batch=8, kv_len=10, tp=8, ep=8)
    across = operators(shape, "decode", batch=8, kv_len=10, tp=1, ep=8)
    assert not [op for op in inside if op.family == "dispatch"]
    assert {op.family for op in across} & COMMUNICATION == {"dispatch", "combine"}


def test_unknown_words_are_refused():
    with pytest.raises(InputError, match="unknown phase"):
        make_pass("prefil")
    with pytest.raises(InputError, match="number format"):
        operators(model("llama_3_1_8b"), weight_dtype="fp12")
    with pytest.raises(InputError, match="flavour"):
        train_flops_per_token(model("llama_3_1_8b"), 4096, "6N")
