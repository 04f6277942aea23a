"""Kernel times of workload operators, formats and fallbacks."""

from types import SimpleNamespace

import numpy as np
import pytest

from wafer2token.chip import accelerator, host_overhead, kernel, matmul_time, op_time, quantise_time
from wafer2token.chip.attention import prefill_columns
from wafer2token.chip.fits import family_fit, same_die
from wafer2token.chip.matmul import overlapped


def test_causal_tiles_of_one_head():
    total, longest = prefill_columns(np.array(512.0), np.array(512.0), np.array(np.inf), True)
    assert (float(total), float(longest)) == (128 + 256 + 384 + 512, 512)
    total, _ = prefill_columns(np.array(512.0), np.array(512.0), np.array(np.inf), False)
    assert float(total) == 4 * 512
    total, longest = prefill_columns(np.array(1024.0), np.array(1024.0), np.array(128.0), True)
    assert float(longest) == 256
    assert float(total) == 128 + 7 * 256


def test_overlap_lies_between_the_larger_and_the_sum():
    a, b = np.array([1.0, 5.0]), np.array([2.0, 5.0])
    for p in (1.0, 2.0, 8.0):
        t = overlapped(a, b, p)
        assert (t >= np.maximum(a, b)).all()
        assert (t <= a + b + 1e-12).all()


def test_stored_weights_of_half_the_bytes_are_faster_where_memory_binds():
    acc = accelerator("ascend_910b2")
    assert matmul_time(acc, 8, 8192, 8192, weight_dtype="int8") < matmul_time(acc, 8, 8192, 8192)
    assert matmul_time(acc, 8192, 8192, 8192, weight_dtype="int8") <= matmul_time(acc, 8192, 8192, 8192)


def test_a_chip_without_measurements_inherits_and_says_so():
    own = family_fit("h100_sxm", "NVIDIA", None, "gemm", "bf16")
    sibling = family_fit("h800_sxm", "NVIDIA", None, "gemm", "bf16")
    stranger = family_fit("mi300x", "AMD", None, "gemm", "bf16")
    assert own.basis == "calibrated"
    assert sibling.basis == stranger.basis == "inherited"
    assert "h100_sxm" in same_die("h800_sxm")
    assert sibling.high - sibling.low > own.high - own.low
    assert stranger.card.startswith("class_")


@pytest.mark.parametrize(
    ("family", "args"),
    [
        ("gemm", {"m": 0.5, "n": 4096, "k": 4096}),
        ("batched_gemm", {"groups": 128, "m": 16, "n": 512, "k": 128}),
        ("grouped_gemm", {"tokens_per_expert": 3.5, "experts": 17.2, "n": 4096, "k": 7168}),
        ("attention_prefill", {"batch": 1, "q_len": 4096, "kv_len": 4096, "heads": 32, "kv_heads": 8, "qk_dim": 128, "v_dim": 128, "window": 0, "topk": 0, "causal": True, "cp": 1}),
        ("attention_decode", {"batch": 8, "q_len": 1, "kv_len": 4096, "heads": 32, "kv_heads": 8, "qk_dim": 128, "v_dim": 128, "window": 1024, "topk": 0}),
        ("mla_decode", {"batch": 8, "q_len": 1, "kv_len": 4096, "heads": 128, "kv_heads": 1, "qk_dim": 576, "v_dim": 512, "window": 0, "topk": 2048}),
        ("attention_index", {"batch": 8, "q_len": 1, "kv_len": 4096, "heads": 64, "qk_dim": 128}),
        ("linear_attention", {"batch": 8, "q_len": 1, "heads": 64, "qk_dim": 128, "v_dim": 128}),
        ("memory", {"bytes": 1e8, "ops": 3}),
        ("embedding", {"bytes": 1e6}),
    ],
)  # fmt: skip
def test_every_operator_of_the_workload_has_a_time(family, args):
    op = SimpleNamespace(
        family=family, args=args, dtype="bf16", weight_dtype="bf16", kv_dtype="bf16", direction="forward"
    )
    graph, eager = (op_time(accelerator("ascend_910c"), op, graph=g) for g in (True, False))
    assert 0 < float(graph) < float(eager) < 1.0


def test_collectives_take_no_time_on_the_device():
    assert op_time(accelerator("h100_sxm"), SimpleNamespace(family="dispatch", args={})) == 0


def test_gradients_of_attention_take_longer():
    args = {"batch": 1, "q_len": 4096, "kv_len": 4096, "heads": 32, "kv_heads": 8, "qk_dim": 128, "v_dim": 128}
    acc = accelerator("h100_sxm")
    forward, backward = (
        op_time(acc, SimpleNamespace(family="attention_prefill", args=args, direction=d))
        for d in ("forward", "backward")
    )
    assert 2 < backward / forward < 3.5


def test_host_overhead_grows_with_operators_only_when_eager():
    acc = accelerator("ascend_910c")
    assert host_overhead(acc, "eager", 800) == pytest.approx(800 * host_overhead(acc, "eager", 1))
    assert host_overhead(acc, "graph", 800) == host_overhead(acc, "graph", 1)
    assert host_overhead(acc, "eager", 800) > host_overhead(acc, "graph", 800)


def test_the_verb_says_what_bounds_a_kernel():
    big = kernel("gemm", "h100_sxm", against="ascend_910c", m=8192, n=8192, k=8192)
    assert [c.bound for c in big.chips] == ["compute", "compute"]
    assert big.ratio == pytest.approx(big.chips[1].seconds / big.chips[0].seconds)
    assert (
        kernel("decode", "h100_sxm", batch=256, kv_len=8192, heads=32, kv_heads=8, head_dim=128).chips[0].bound
        == "memory"
    )
    assert kernel("gemm", "h100_sxm", m=1, n=128, k=128).chips[0].bound == "latency"
    for row in big.chips:
        assert row.p10 <= row.seconds <= row.p90
        assert 0 < row.compute_share <= 1


def test_the_roofline_rises_and_levels_off():
    points = kernel("gemm", "ascend_910c", m=1, n=1, k=1).roofline
    assert all(p.reached <= p.peak for p in points)
    assert points[0].peak < points[-1].peak == points[-2].peak


def test_quantising_moves_three_bytes_per_element():
    acc = accelerator("b200_sxm")
    assert float(quantise_time(acc, 1e9)) > 3e9 / acc.hbm_bytes_per_s


def test_few_rows_on_a_chip_with_little_arithmetic_read_weights_at_memory_speed():
    """H20 has 37 FLOP per byte: padding one row to 64 would cost 64, and no library does that with 16-bit products."""
    acc = accelerator("h20", "vllm")
    one, sixteen = (float(matmul_time(acc, m, 25600, 5120)) for m in (1, 16))
    least = 2.0 * 25600 * 5120 / float(np.mean(acc.hbm_bytes_per_s))
    assert least < one < 1.4 * least
    assert sixteen < 1.1 * one
    assert acc.fit("gemm", "bf16").basis == "inherited"
    assert accelerator("h100_sxm", "vllm").fit("gemm", "bf16").values.rows == 64
