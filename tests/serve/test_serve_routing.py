"""Tokens meet experts: placement conserves the load, a balancer lowers the busiest rank, small steps are less even."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wafer2token.evidence.errors import InputError
from wafer2token.serve import steady_state
from wafer2token.serve.flags import parse_plan
from wafer2token.serve.plan import Plan, checked
from wafer2token.serve.routing import Routing, imbalance, packed, replicas, usual_routing
from wafer2token.workload import model


@settings(max_examples=40, deadline=None)
@given(st.integers(8, 64), st.integers(0, 40), st.sampled_from([1, 2, 4, 8]), st.integers(0, 100))
def test_copies_fill_the_ranks(experts, spare, ranks, seed):
    load = np.random.default_rng(seed).lognormal(0.0, 1.0, experts)
    copies = replicas(load, spare)
    assert copies.sum() == experts + spare
    owner = np.repeat(np.arange(experts), copies)
    rank = packed(load[owner] / copies[owner], ranks)
    slots = np.bincount(rank, minlength=ranks)
    assert slots.max() <= -(-(experts + spare) // ranks)
    assert np.sum(load[owner] / copies[owner]) == pytest.approx(load.sum())


def test_a_balancer_and_spare_slots_lower_the_busiest_rank():
    at = [float(imbalance(r, 256, 8, 64).at(1e5)) for r in (Routing(1.0), Routing(1.0, 0.3, True), Routing(1.0, 0.3, True, 64), Routing(1.0, 0.0, True, 64))]
    assert at[0] > at[1] > at[2] > at[3] > 1.0


def test_even_shares_are_even_in_large_steps_only():
    made = imbalance(Routing(0.0), 256, 8, 32)
    assert made.mean[-1] == pytest.approx(1.0, abs=0.01)
    assert made.mean[0] > 2.0
    assert np.all(np.diff(made.mean) < 0)
    assert np.all(made.p10 <= made.p90)


def test_published_losses_and_gains():
    """Prefill on H100 loses 15% with a balancer against perfect balance, which wins 1.49x over experts in order."""
    def prefill(balance, redundant=0):
        plan = Plan(dp=32, ep=32, weights="fp8", activations="fp8", expert_balance=balance, redundant_experts=redundant)
        return float(steady_state("deepseek_v3", "h100_sxm", 4096, 1024, 0.2, plan=plan).prefill_tokens_per_s_per_chip[0])

    even, balanced, plain = prefill("given"), prefill("eplb", 32), prefill("none")
    assert balanced / even == pytest.approx(6288 / 7417, abs=0.08)
    assert balanced / plain == pytest.approx(1.49, rel=0.25)


def test_the_balancer_wins_in_decoding_what_was_published():
    def decode(balance, redundant=0):
        plan = Plan(dp=72, ep=72, drafts=1, accepted=0.7, weights="fp8", activations="fp8", expert_balance=balance, redundant_experts=redundant,
                    max_num_seqs=72 * 256)  # fmt: skip
        return float(steady_state("deepseek_v3", "h100_sxm", 4096, 1024, 0.05, plan=plan).decode_tokens_per_s_per_chip[0])

    assert decode("eplb", 32) / decode("none") == pytest.approx(2.54, rel=0.25)


def test_flags_and_memory():
    plan = parse_plan("--tensor-parallel-size 8 --enable-expert-parallel --enable-eplb --num-redundant-experts 32")
    assert (plan.expert_balance, plan.redundant_experts) == ("eplb", 32)
    shape = model("deepseek_v3")
    from wafer2token.serve.memory import weight_bytes

    assert weight_bytes(shape, checked(plan, shape)) > 1.1 * weight_bytes(shape, checked(parse_plan("tp=8,ep=8"), shape))
    with pytest.raises(InputError) as caught:
        checked(Plan(expert_balance="perfect", redundant_experts=4), shape)
    assert len(caught.value.problems) == 2
    assert usual_routing(True, 3).redundant == 3
