"""Step times, memory, steady state, search, costs and validation on real cards."""

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from wafer2token.cli.main import w2t
from wafer2token.evidence.errors import InfeasibleError, InputError
from wafer2token.serve import decode_step_time, plan_serving, prefill_step_time, serve, steady_state
from wafer2token.serve.engine.run import StepTable
from wafer2token.serve.export import chrome_trace, open_metrics, write_parquet
from wafer2token.serve.launch import launch_command
from wafer2token.serve.machine import site
from wafer2token.serve.memory import weight_bytes
from wafer2token.serve.metrics import vllm_bench
from wafer2token.serve.plan import Plan, checked
from wafer2token.serve.points import case, cases, read_points
from wafer2token.serve.surrogate import step_table
from wafer2token.serve.timeline import read_run
from wafer2token.serve.validate import validate
from wafer2token.workload import model, parameters


@pytest.fixture(scope="module")
def h100():
    return site("h100_sxm", "vllm")


def test_weights_are_the_parameters():
    shape = model("llama_3_1_70b")
    whole = weight_bytes(shape, checked(Plan(), shape))
    assert whole == pytest.approx(2 * parameters(shape).total, rel=1e-3)
    assert weight_bytes(shape, checked(Plan(tp=8), shape)) == pytest.approx(whole / 8, rel=0.02)


def test_decode_time_is_between_the_bandwidth_bound_and_reason(h100):
    shape = model("llama_3_1_8b")
    plan = checked(Plan(), shape)
    one = float(decode_step_time(shape, h100.machine, plan, 1.0, 1024.0).total)
    floor = weight_bytes(shape, plan) / 3.35e12
    assert floor < one < 3 * floor


def test_times_grow_with_batch_context_and_prompt(h100):
    shape = model("qwen3_32b")
    plan = checked(Plan(tp=2), shape)
    grid = decode_step_time(shape, h100.machine, plan, np.array([[1.0], [16.0], [128.0]]), np.array([[512.0, 4096.0, 32768.0]])).total
    assert np.all(np.diff(grid, axis=0) > 0)
    assert np.all(np.diff(grid, axis=1) > 0)
    prompt = prefill_step_time(shape, h100.machine, plan, np.ones(4), np.array([128.0, 1024.0, 8192.0, 65536.0])).total
    assert np.all(np.diff(prompt) > 0)


def test_eager_steps_are_held_by_the_host():
    place = site("ascend_910b2")
    shape = model("qwen3_8b")
    graph, eager = (decode_step_time(shape, place.machine, checked(Plan(tp=4, graph=g), shape), 1.0, 1024.0) for g in (True, False))
    assert float(eager.total) > 1.5 * float(graph.total)
    assert eager.bound_by() == "host"


def test_speculation_makes_steps_longer_and_tokens_cheaper_at_small_batch():
    place = site("cloudmatrix384")
    shape = model("deepseek_v3")
    plain = checked(Plan(dp=32, ep=32, weights="int8"), shape)
    drafted = checked(Plan(dp=32, ep=32, weights="int8", drafts=1, accepted=0.7), shape)
    a, b = (float(decode_step_time(shape, place.machine, p, 32.0, 4096.0).total) for p in (plain, drafted))
    assert a < b < 1.7 * a


def test_the_table_equals_the_operators_on_its_knots(h100):
    shape = model("llama_3_1_8b")
    plan = checked(Plan(max_num_seqs=64), shape)
    table = step_table(shape, h100.machine, plan)
    assert isinstance(table, StepTable)
    i, j = 5, 6
    batch, kv = table.batch[i], table.kv[j]
    direct = float(decode_step_time(shape, h100.machine, plan, batch, kv).total)
    made = np.interp(batch, table.tokens, table.gemm_s) + table.attend_s[i, j]
    assert made == pytest.approx(direct, rel=1e-6)


def test_memory_that_does_not_fit_is_said():
    with pytest.raises(InfeasibleError, match="does not fit"):
        serve("llama_3_1_405b", "h100_sxm", rate=1.0, plan="tp=2")


def test_steady_state_on_the_systems_of_the_story():
    rates = {}
    for on in ("cloudmatrix384", "hgx_h800", "h20", "h100_sxm", "gb200_nvl72"):
        answer = steady_state("deepseek_v3", on, 4096, 1024, 0.05, samples=64)
        assert answer.decode_tokens_per_s_per_chip.shape == (64,)
        assert answer.feasible.any()
        assert np.all(answer.tpot_s[answer.feasible] <= 0.05 * 1.02)
        assert np.isfinite(answer.cost_per_mtok_usd).any()
        rates[on] = float(np.median(answer.decode_tokens_per_s_per_chip))
        json.dumps(answer.to_dict())
    assert rates["gb200_nvl72"] > rates["hgx_h800"] > rates["h20"]


def test_steady_state_repeats_and_refuses():
    one, two = (steady_state("deepseek_v3", "cloudmatrix384", samples=16, seed=3) for _ in range(2))
    assert one.decode_tokens_per_s_per_chip.tobytes() == two.decode_tokens_per_s_per_chip.tobytes()
    with pytest.raises(InfeasibleError, match="no plan keeps"):
        steady_state("deepseek_v3", "cloudmatrix384", slo_tpot_s=1e-4)
    with pytest.raises(InputError):
        steady_state("deepseek_v3", "cloudmatrix384", isl=0)


def test_cache_reuse_raises_prefill():
    cold, warm = (steady_state("deepseek_v3", "cloudmatrix384", prefix_hit=h).prefill_tokens_per_s_per_chip[0] for h in (0.0, 0.5))
    assert 1.2 < warm / cold < 2.2


@pytest.fixture(scope="module")
def served():
    return serve("llama_3_1_8b", "h100_sxm", rate=6.0, isl=878, osl=224, slo="ttft=1s,tpot=50ms", num_prompts=400)


def test_serve_is_consistent(served):
    s = served.summary
    assert s.completed == 400
    assert s.mean_concurrency == pytest.approx(s.request_throughput * s.e2e.mean, rel=1e-6)  # Little
    assert s.e2e.mean == pytest.approx(s.ttft.mean + 223 * s.tpot.mean, rel=1e-3)
    assert not s.drain.overloaded
    assert served.meets
    assert served.cost_per_mtok_usd > 0


def test_overload_is_said_with_its_growth():
    result = serve("llama_3_1_8b", "h100_sxm", rate=100.0, isl=2000, osl=200, num_prompts=3000)
    assert result.summary.drain.overloaded
    assert "never drains" in result.warnings[0]
    assert result.summary.drain.growth == pytest.approx(result.summary.drain.offered - result.summary.drain.served, rel=0.2)


def test_exports(served, tmp_path):
    import pyarrow.parquet as pq

    table = pq.read_table(write_parquet(served.outcome, tmp_path / "r.parquet"))
    assert table.num_rows == 400
    text = open_metrics(served.outcome, served.summary)
    assert text.endswith("# EOF\n")
    assert 'time_to_first_token_seconds_bucket{le="+Inf"} 400' in text
    keys = vllm_bench(served.summary)
    assert {"mean_ttft_ms", "p99_itl_ms", "median_e2el_ms", "request_throughput", "total_token_throughput"} <= set(keys)


def test_trace_slices_nest(served):
    events = [e for e in chrome_trace(served.outcome)["traceEvents"] if e["ph"] == "X"]
    lanes = {}
    for e in events:
        lanes.setdefault((e["pid"], e["tid"]), []).append((e["ts"], -e["dur"], e["ts"] + e["dur"]))
    for slices in lanes.values():
        open_until = []
        for begin, _, end in sorted(slices):
            while open_until and open_until[-1] <= begin + 1e-6:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + 1e-6
            open_until.append(end)


def test_search_meets_the_objective_and_refuses_the_impossible():
    result = plan_serving("qwen3_32b", "h100_sxm", rate=4.0, isl=1024, osl=256, slo="ttft=2s,tpot=50ms")
    assert result.served.meets
    assert result.looked_at > 500
    speeds = [o.speed for o in result.frontier]
    assert speeds == sorted(speeds, reverse=True)
    with pytest.raises(InfeasibleError) as caught:
        plan_serving("qwen3_32b", "h100_sxm", rate=4.0, slo="tpot=10us")
    assert caught.value.nearest


def test_launch_commands():
    plan = Plan(tp=4, dp=2, ep=8, weights="fp8", drafts=1)
    text = launch_command("deepseek_v3", "vllm", plan)
    assert text.startswith("vllm serve deepseek-ai/")
    assert "--enable-expert-parallel" in text
    assert "--enable-dp-attention" in launch_command("deepseek_v3", "sglang", plan)
    assert "--quantization ascend" in launch_command("qwen3_32b", "vllm-ascend", Plan(weights="int8"))


def test_shipped_points_are_all_accounted_for():
    points = read_points()
    good, skipped = cases(points)
    assert len(points) == len(good) + len(skipped) == 3869
    assert len(good) > 1500
    assert all(reason for _, _, reason in skipped)


def test_a_910c_point_counts_dies():
    point = next(p for p in read_points() if p["id"] == "cann-recipes-deepseek-r1-910c-001")
    one = case(point)
    assert (one.devices, one.ranks, one.plan.ep, one.batch) == (64, 128, 128, 6144)


def test_validation_of_own_points(tmp_path):
    file = tmp_path / "mine.json"
    good = next(p for p in read_points() if p["id"].startswith("trtllm-v0.9.0-llama-70b-a100"))
    file.write_text(json.dumps([good, {**good, "id": "odd", "hardware": {"chip": "nonesuch"}}]))
    result = validate(file)
    assert [p.id for p in result.points if not p.skipped] == [good["id"]]
    assert "no card of the chip" in next(p.skipped for p in result.points if p.id == "odd")
    assert 0.5 < result.points[0].predicted / result.points[0].measured < 2.0
    assert not math.isnan(result.points[0].baseline)


def test_unreadable_points(tmp_path):
    file = tmp_path / "broken.json"
    file.write_text("{ nope")
    with pytest.raises(InputError, match="not readable"):
        read_points(file)


def test_a_real_run_is_read_with_what_it_ran_on(tmp_path):
    rows = [{"input_toks": 10, "output_toks": 5, "arrival_time": 1.0, "queued_ts": 5.0, "first_token_ts": 5.5, "last_token_ts": 6.5}]
    file = tmp_path / "run_RTX4090_Llama-3.1-8B_vllm.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    run = read_run(file)
    assert (run.chip, run.model, run.ttft_s[0], run.tpot_s[0]) == ("rtx_4090", "llama_3_1_8b", 0.5, 0.25)
    file.write_text('{"input_toks": 3}\n')
    with pytest.raises(InputError, match="lacks output_toks"):
        read_run(file)


@pytest.mark.parametrize(("words", "code", "said"), [
    (["serve", "llama_3_1_8b", "--on", "h100_sxm", "--rate", "2", "--num-prompts", "50", "--tp", "2"], 0, "ttft"),
    (["serve", "llama_3_1_8b", "--on", "h100_sxm", "--rate", "2", "--num-prompts", "50", "--format", "vllm-bench"], 0, "mean_ttft_ms"),
])  # fmt: skip
def test_the_command(words, code, said):
    result = CliRunner().invoke(w2t, words)
    assert result.exit_code == code, result.output
    assert said in result.output


def test_calibration_anchors_to_a_run(tmp_path):
    from wafer2token.serve.calibrate import calibrate_run, read_result

    file = tmp_path / "run.json"
    file.write_text(json.dumps({"completed": 200, "total_input_tokens": 200_000, "total_output_tokens": 40_000, "request_rate": 2.0,
                                "max_concurrency": None, "mean_ttft_ms": 90.0, "mean_tpot_ms": 14.0, "output_throughput": 395.0}))  # fmt: skip
    anchor = calibrate_run(file, "llama_3_1_8b", "h100_sxm")
    assert abs(anchor.after["tpot"]) < 0.02
    assert abs(anchor.after["ttft"]) < 0.05
    assert 'family = "engine"' in anchor.to_toml()
    file.write_text('{"mean_ttft_ms": 5}')
    with pytest.raises(InputError, match="lacks"):
        read_result(file)


def test_engines_do_not_run_the_experts_of_a_training_library():
    """Grouped products in 16 bits were measured in PyTorch on A100 only; what was measured in 8 bits stays."""
    library = site("a100_sxm_80", "trtllm").machine.acc
    assert library.fit("grouped_gemm", "bf16") == library.fit("gemm", "bf16")
    assert site("a100_sxm_80", "vllm").machine.acc.fit("grouped_gemm", "bf16").stack != "torch"
    assert site("h20", "sglang").machine.acc.fit("grouped_gemm", "fp8").basis == "calibrated"
