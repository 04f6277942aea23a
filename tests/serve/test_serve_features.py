"""What can be asked of a run beside rate and lengths: bursts, classes, failures, swapping, policies, plans of prefill, drafts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from wafer2token.cli.main import w2t
from wafer2token.evidence.errors import InfeasibleError, InputError
from wafer2token.serve import serve
from wafer2token.serve.engine.notice import listening, tell
from wafer2token.serve.flags import parse_plan, read_config
from wafer2token.serve.launch import launch_command
from wafer2token.serve.load import Load, parse_burst, parse_failure
from wafer2token.serve.metrics import statistic
from wafer2token.serve.plan import Plan, default_limits
from wafer2token.serve.slo import Objective

SMALL = {"isl": 512, "osl": 64, "num_prompts": 200}


def run(**more):
    return serve("llama_3_1_8b", "h100_sxm", **{**SMALL, **more})


def test_classes_are_served_in_order_under_load():
    made = run(rate=80.0, num_prompts=800, priorities=(0.2, 0.8), plan="max_num_seqs=64")
    first, second = made.classes
    assert first.completed + second.completed == 800
    assert first.ttft.mean < 0.3 * second.ttft.mean
    assert not run(rate=4.0).classes


def test_a_failure_delays_what_it_hits_and_loses_nothing():
    calm, hit = (run(rate=8.0, replicas=2, osl=256, failures=f) for f in ((), ("0@5s+10s",)))
    assert hit.summary.completed == calm.summary.completed == 200
    longest = [float(np.max(r.outcome.finish_s - r.outcome.issue_s)) for r in (calm, hit)]
    assert longest[1] > 1.2 * longest[0]
    with pytest.raises(InputError, match="no such replica"):
        run(rate=8.0, failures=("3@5s",))


def test_swapping_and_recomputing_differ_only_under_pressure():
    full = {"rate": 60.0, "osl": 512, "plan": "gpu-memory-utilization=0.27"}
    swap, again = (run(preemption=p, prefix_cache=False, **full) for p in ("swap", "recompute"))
    assert swap.summary.preemptions > 0
    assert swap.outcome.prefilled < again.outcome.prefilled
    assert run(rate=4.0, preemption="swap").summary.ttft == run(rate=4.0).summary.ttft


def test_a_static_batch_takes_all_that_wait_and_all_their_prompts_first():
    made = run(concurrency=32, policy="static", num_prompts=64, isl=1024)
    assert len(np.unique(made.outcome.start_s)) <= 3
    assert made.summary.mean_batch > 20


def test_a_shared_prefix_is_computed_once():
    made = run(rate=4.0, prefix_tokens=256)
    assert made.summary.prefix_hit_rate == pytest.approx(0.5, abs=0.02)
    assert run(rate=4.0, prefix_tokens=256, prefix_cache=False).summary.prefix_hit_rate == 0.0


def test_bursts_wait_longer_at_the_same_mean_rate():
    calm, bursts = (run(rate=12.0, num_prompts=1500, burst=b).summary for b in (None, "4:5s:20s"))
    assert bursts.ttft.p99 > 1.5 * calm.ttft.p99
    assert parse_burst("3:10s:1min") == (3.0, 10.0, 60.0)
    assert parse_failure("2@1min+30s") == (2, 60.0, 90.0)
    assert parse_failure("2@10s")[2] == float("inf")


def test_pools_with_plans_of_their_own():
    made = run(rate=4.0, pd=(2, 1), plan="tp=2", prefill_plan="tp=1")
    assert made.chips == 4.0
    assert "tensor-parallel-size 1" in made.launch[0]
    assert "tensor-parallel-size 2" in made.launch[1]
    with pytest.raises(InputError, match="--pd"):
        run(rate=4.0, prefill_plan="tp=1")


def test_wrong_loads_name_everything():
    with pytest.raises(InputError) as caught:
        Load(isl=0, osl=-1, rate=0.0, length_spread=3.0, priorities=(0.0,)).requests()
    assert len(caught.value.problems) == 5
    for wrong in ("3", "x:1s:2s", "2:1s"):
        with pytest.raises(InputError):
            parse_burst(wrong)


def test_requests_that_no_instance_holds_are_refused_at_once():
    with pytest.raises(InfeasibleError) as caught:
        run(rate=1.0, isl=100_000, osl=800_000, plan="tp=1")
    assert "GB" in str(caught.value) or "tokens" in str(caught.value)


def test_drafts_as_engines_write_them():
    assert parse_plan("""--speculative-config '{"method": "mtp", "num_speculative_tokens": 1}'""").accepted == pytest.approx(0.7)
    assert parse_plan("--speculative-num-steps 1 --speculative-num-draft-tokens 2").drafts == 1
    assert parse_plan("drafts=2,accepted=0.5").accepted == 0.5
    with pytest.raises(InputError, match="JSON"):
        parse_plan("--speculative-config nonsense")


def test_a_configuration_file_of_vllm(tmp_path):
    file = tmp_path / "serve.yaml"
    file.write_text("model: meta-llama/Llama-3.1-8B\ntensor-parallel-size: 2\nenforce-eager: true\nenable-eplb: false\nspeculative-config:\n  num_speculative_tokens: 3\n")
    plan = parse_plan(read_config(file))
    assert (plan.tp, plan.graph, plan.drafts, plan.expert_balance) == (2, False, 3, "given")
    file.write_text("- a\n- b\n")
    with pytest.raises(InputError, match="mapping"):
        read_config(file)


def test_limits_are_those_of_the_engine_on_the_device():
    assert default_limits("vllm", "h100_sxm") == (1024, 8192)
    assert default_limits("vllm", "rtx_4090") == (256, 2048)
    assert run(rate=4.0).plan.max_num_seqs == 1024


def test_balanced_experts_reach_the_launch_command():
    plan = Plan(tp=1, dp=8, ep=8, expert_balance="eplb", redundant_experts=16)
    assert "--eplb-config '{\"num_redundant_experts\": 16}'" in launch_command("deepseek_v3", "vllm", plan)
    assert '"dynamic_eplb": true' in launch_command("deepseek_v3", "vllm-ascend", plan)
    assert "--ep-num-redundant-experts 16" in launch_command("deepseek_v3", "sglang", plan)


def test_any_percentile_can_be_an_objective():
    made = run(rate=4.0, slo="p75_ttft=1s,mean_tpot=1s,p99_itl=1s,median_e2e=1us")
    assert list(made.summary.met.values()) == [True, True, True, False]
    assert statistic(made.outcome, Objective("ttft", 1.0, "p50")) == pytest.approx(made.summary.ttft.p50)


def test_the_document_says_what_was_asked():
    done = CliRunner().invoke(w2t, ["serve", "llama_3_1_8b", "--on", "h100_sxm", "--rate", "4", "--num-prompts", "50", "--seed", "3", "--json"])
    said = json.loads(done.stdout)
    assert said["seed"] == 3
    assert said["inputs"]["rate"] == 4.0
    assert said["inputs"]["model_id"] == "llama_3_1_8b"
    assert {"version", "data_fingerprint"} <= set(said)
    low, high = said["interval_80"]["tpot"]
    assert low < said["summary"]["tpot"]["mean"] < high


def test_compiling_is_told_to_whoever_listens():
    heard = []
    with listening(lambda done, total: heard.append((done, total))):
        tell(1, 60)
    tell(2, 60)
    assert heard == [(1, 60)]
