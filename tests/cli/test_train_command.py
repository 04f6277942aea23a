"""``w2t train`` on the command line: tables, JSON, traces, exit codes."""

import json
import subprocess
import sys

import pytest


def w2t(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "wafer2token", *arguments], capture_output=True, text=True, check=False
    )


SMALL = (
    "train",
    "llama_3_1_8b",
    "--on",
    "dgx_h100",
    "--chips",
    "64",
    "--tokens",
    "1T",
    "--seq-len",
    "8192",
    "--global-batch",
    "512",
    "--point",
)


def test_table_and_json(tmp_path):
    trace = tmp_path / "trace.json"
    done = w2t(*SMALL, "--json", "--trace", str(trace))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert {"plan", "step_time_s", "mfu", "days", "energy_j", "cost_usd", "best", "pareto"} <= set(document)
    assert len(document["best"]) == 5
    assert json.loads(trace.read_text())["traceEvents"]
    assert "timeline in" in done.stderr


def test_page(tmp_path):
    target = tmp_path / "train.html"
    done = w2t(*SMALL, "--html", str(target))
    assert done.returncode == 0, done.stderr
    assert 'id="pipeline"' in target.read_text(encoding="utf-8")
    assert "wrote" in done.stderr


def test_given_plan_in_the_flags_of_megatron():
    done = w2t(
        *SMALL, "--plan", "--tensor-model-parallel-size 2 --pipeline-model-parallel-size 2 --use-distributed-optimizer"
    )
    assert done.returncode == 0, done.stderr
    assert "tp=2,pp=2,dp=16" in done.stdout


def test_two_pools_and_a_wide_search(tmp_path):
    trace = tmp_path / "mixed.json"
    done = w2t(
        "train",
        "llama_3_1_8b",
        "--on",
        "h20+h800_sxm",
        "--chips",
        "16+16",
        "--global-batch",
        "128",
        "--trace",
        str(trace),
        "--json",
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert {"version", "seed", "days", "pools", "best"} <= set(answer)
    assert json.loads(trace.read_text())["traceEvents"]
    wide = w2t(*SMALL, "--wide", "--point")
    assert wide.returncode == 0, wide.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("train", "deepseek_v3", "--on", "a100_sxm_40", "--chips", "8"), 3, "GiB"),
        (("train", "deepseek_v3", "--on", "dgx_h100", "--chips", "64", "--tokens", "0"), 2, "needs tokens"),
        (("train", "deepseek_v9", "--on", "dgx_h100", "--chips", "64"), 2, "did you mean"),
        (("train", "deepseek_v3", "--on", "dgx_h1000", "--chips", "64"), 2, "did you mean"),
        ((*SMALL, "--plan", "tq=8"), 2, "tp"),
        ((*SMALL, "--compare", "hgx_h800", "--html", "x.html"), 2, "one plan"),
        ((*SMALL, "--engineering", "30"), 2, "--compare"),
    ],
    ids=[
        "nothing fits",
        "zero tokens",
        "unknown model",
        "unknown system",
        "unknown field",
        "page of two",
        "engineering of nothing",
    ],
)
def test_refusals(arguments, code, words):
    done = w2t(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert done.stdout == ""
