"""Layers that no training kernel was measured for are priced from their operators."""

from dataclasses import replace

import numpy as np
import pytest

from wafer2token import chip
from wafer2token.train import train
from wafer2token.train.layer import layer_work
from wafer2token.train.plan import Plan
from wafer2token.workload import layers, model

PLAN = Plan(tp=1, pp=1, dp=1, micro_batch=1, micro_batches=1)


def works(shape, plan=PLAN, seq_len=4096):
    acc = chip.accelerator("h100_sxm")
    return {kind.attention: layer_work(shape, kind, acc, plan, seq_len) for kind, _ in layers(shape)}


def test_linear_attention_is_priced():
    found = train("qwen3_next_80b_a3b", "h100_sxm", 64, 1e12, samples=None)
    assert 0.02 < float(np.median(found.mfu["causal"])) < 0.6


def test_recurrent_work_is_linear_in_the_sequence():
    shape = model("qwen3_next_80b_a3b")
    short, long = works(shape)["linear"], works(shape, seq_len=16384)["linear"]
    assert float(long.scan_f / short.scan_f) == pytest.approx(4, rel=0.05)
    assert float(short.scan_b) > float(short.scan_f) > 0


def test_backward_products_cost_twice_the_forward_ones():
    for name in ("qwen3_next_80b_a3b", "deepseek_v4_flash", "nemotron_3_nano_30b_a3b"):
        for work in works(model(name)).values():
            if float(work.gemm_f) > 0:
                assert 1.6 < float(work.gemm_b / work.gemm_f) < 2.6


def test_layers_without_attention_or_mlp_have_no_work_of_it():
    found = works(model("nemotron_3_nano_30b_a3b"))
    mixing = {name: float(work.attention_f + work.scan_f) for name, work in found.items()}
    assert [mixing[name] > 0 for name in ("none", "gqa", "linear")] == [False, True, True]
    assert [float(found[name].scan_f) > 0 for name in ("none", "gqa", "linear")] == [False, False, True]
    assert [float(found[name].expert_f) > 0 for name in ("none", "gqa", "linear")] == [True, False, False]


def test_tensor_parallelism_divides_recurrent_work():
    shape = model("nemotron_3_super_120b_a12b")
    whole, half = works(shape)["linear"], works(shape, replace(PLAN, tp=2))["linear"]
    assert 0.45 < float(half.gemm_f / whole.gemm_f) < 0.75
