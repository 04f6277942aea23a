"""Logs of real runs: what is read out of them, and that an anchored engine predicts the rest of the run."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from wafer2token.cli.main import w2t
from wafer2token.serve.machine import site
from wafer2token.serve.plan import Plan, checked
from wafer2token.serve.requests import lengths, make, poisson_arrivals
from wafer2token.serve.timeline import ANCHORED, Run, anchored, observed_limits, read_run, replay, validate_run
from wafer2token.workload import model

NAME = "some_RTX4090_Llama-3.1-8B_vllm_requests.jsonl"


@pytest.fixture
def log(tmp_path):
    """A run of an engine a third faster on decoding and half as fast on prompts as the card says, as a log."""
    over = site("rtx_4090", "vllm").machine.overhead
    over = replace(over, device=over.device * 0.75, prefill=over.prefill * 2.0)
    n = 90
    requests = make(poisson_arrivals(8.0, n), lengths(800, n, 0.8), lengths(300, n, 0.8, name="osl"))
    none = np.zeros(n)
    run = Run(requests, none, none, none, "rtx_4090", "llama_3_1_8b", checked(Plan(max_num_batched_tokens=2048), model("llama_3_1_8b")), 20_000.0, "made")
    made = replay(run, overhead=over)
    assert made.preemptions.sum() > 0
    rows = [
        {"input_toks": int(requests.isl[i]), "output_toks": int(requests.osl[i]), "arrival_time": 1e9 + made.issue_s[i],
         "queued_ts": made.issue_s[i], "scheduled_ts": made.start_s[i], "first_token_ts": made.first_s[i], "last_token_ts": made.finish_s[i]}
        for i in range(n)
    ]  # fmt: skip
    rows[0] |= {"kv_tokens": 20_000}
    file = tmp_path / NAME
    file.write_text("\n".join(json.dumps(r) for r in rows))
    return file


def test_an_anchored_engine_predicts_the_rest_of_the_run(log):
    run = read_run(log)
    assert (run.chip, run.model, run.kv_tokens) == ("rtx_4090", "llama_3_1_8b", 20_000)
    over, was = anchored(run), site("rtx_4090", "vllm").machine.overhead
    assert over.device == pytest.approx(0.75 * was.device, rel=0.06)
    points = validate_run(log)
    assert all(p.ape < 0.05 for p in points if p.group == ANCHORED and "p99" not in p.id)
    assert max(p.ape for p in points if p.group == "timeline") > 0.1


def test_a_log_calibrates_through_the_commands(log, tmp_path):
    def run(*words):
        result = CliRunner().invoke(w2t, list(words))
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    said = run("calibrate", "--from", str(log), "--out", str(tmp_path), "--json")
    assert all(abs(e) < 0.02 for e in said["after"].values())
    groups = {g["name"]: g for g in run("validate", "serve", "--trace-run", str(log), "--calibration", said["file"], "--json")["groups"]}
    assert groups["mean tpot (calibrated)"]["median_ape"] < 0.02 < groups["mean tpot"]["median_ape"]


def test_limits_that_a_log_shows():
    rows = [{"queued_ts": 0.0, "scheduled_ts": float(k // 5), "last_token_ts": k // 5 + 1.0, "input_toks": 700} for k in range(100)]
    assert (observed_limits(rows).max_num_seqs, observed_limits(rows).max_num_batched_tokens) == (5, 4096)
    assert observed_limits([{"input_toks": 5}]).max_num_batched_tokens == 2048


def test_splits_that_file_names_leave_out(tmp_path):
    rows = [{"input_toks": 50, "output_toks": 9, "arrival_time": 0.1 * k, "first_token_ts": 0.1 * k + 1, "last_token_ts": 0.1 * k + 2} for k in range(5)]
    text = "\n".join(json.dumps(r) for r in rows)

    def split(name):
        (tmp_path / name).write_text(text)
        plan = read_run(tmp_path / name).plan
        return plan.tp, plan.dp, plan.ep

    assert split("llmservingsim_RTXPRO6000_Qwen3-32B_vllm_requests.jsonl") == (2, 1, 1)
    assert split("llmservingsim_RTXPRO6000_Qwen3-30B-A3B_vllm_requests.jsonl") == (1, 2, 2)
    assert split("mine_RTXPRO6000_Qwen3-32B_TP4_requests.jsonl") == (4, 1, 1)
    assert split("mine_RTXPRO6000_Qwen3-32B_requests.jsonl") == (1, 1, 1)
