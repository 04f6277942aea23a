"""How published configurations are read: what a source documents beside its tables."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from wafer2token.serve import steady_state
from wafer2token.serve.plan import Plan
from wafer2token.serve.points import case, read_points


def point(identity: str) -> dict[str, Any]:
    """A copy of one shipped point."""
    return copy.deepcopy(next(p for p in read_points() if p["id"] == identity))


def test_offline_mixtures_of_experts_run_with_data_parallel_attention() -> None:
    raw = point("trtllm-v1.0-qwen3-235b-a22b-h200-141g-002")
    plan = case(raw).plan
    assert (plan.tp, plan.dp, plan.ep) == (1, 8, 8)
    raw["parallelism"]["ep"] = 1
    assert case(raw).plan.tp == 8
    dense = case(point("trtllm-v1.0-llama-3.1-405b-h200-141g-001")).plan
    assert (dense.tp, dense.dp) == (8, 1)


def test_offline_runs_have_as_many_requests_as_documented() -> None:
    assert case(point("trtllm-v0.17-llama-3.1-8b-h100-sxm-80g-003")).num_requests == 1500


def test_a_stated_bin_of_a_chip_is_its_own_chip() -> None:
    raw = point("msmodeling-cases-qwen3.5-27b-910c-001")
    assert case(raw).chip == "ascend_910c_560t"
    assert case(raw).ranks == 2
    raw["notes"] = "device variant A3 752T"
    assert case(raw).chip == "ascend_910c"


def test_experts_are_even_only_where_routing_was_forced() -> None:
    raw = point("lmsys-large-ep-prefill-4096")
    assert case(raw).plan.imbalance > 1.0
    raw["flags"] = ["forced_balance"]
    assert case(raw).plan.imbalance == 1.0


def test_loading_cached_prompts_over_a_slow_link_costs_prefill_but_not_decoding() -> None:
    plan = Plan(dp=32, ep=32, weights="int8", activations="int8", kv="bf16", max_num_seqs=32 * 64)

    def made(link: float) -> tuple[float, float]:
        state = steady_state("deepseek_v3", "cloudmatrix384", 4096, 1024, 0.05, plan=plan, prefix_hit=0.9, cache_link=link)
        return float(state.prefill_tokens_per_s_per_chip[0]), float(state.decode_tokens_per_s_per_chip[0])

    fast, slow = made(151e9), made(3e9)
    assert slow[0] < fast[0]
    assert slow[1] == pytest.approx(fast[1])
