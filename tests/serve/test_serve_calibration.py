"""Anchoring to one run: calibrating on a prediction gives the prediction back."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from wafer2token.cli.main import w2t
from wafer2token.evidence.errors import InputError
from wafer2token.serve import serve
from wafer2token.serve.calibrate import calibrate_run
from wafer2token.serve.machine import site
from wafer2token.serve.overhead import own_engine

LOADS = (["--rate", "3", "--num-prompts", "150"], ["--concurrency", "12", "--num-prompts", "60"])


def run(*words: str) -> str:
    """What the command prints on success."""
    result = CliRunner().invoke(w2t, list(words))
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("load", LOADS, ids=["rate", "closed loop"])
def test_a_prediction_gives_its_own_parameters_back(tmp_path, load):
    file = tmp_path / "result.json"
    file.write_text(run("serve", "llama_3_1_8b", "--on", "h100_sxm", "--isl", "512", "--osl", "64", "--format", "vllm-bench", *load))
    anchor = calibrate_run(file, "llama_3_1_8b", "h100_sxm")
    assert all(abs(e) < 1e-6 for e in anchor.before.values())
    was = site("h100_sxm").machine.overhead
    assert anchor.overhead.device == pytest.approx(was.device, rel=1e-6)
    assert anchor.overhead.request_s == pytest.approx(was.request_s, rel=1e-6)


def test_a_closed_loop_counts_from_its_first_request():
    """Throughput is all output over the whole run: five rounds of twelve requests of one length."""
    s = serve("llama_3_1_8b", "h100_sxm", isl=512, osl=64, concurrency=12, num_prompts=60).summary
    assert s.duration_s == pytest.approx(5 * s.e2e.mean, rel=0.06)
    assert s.output_throughput == pytest.approx(60 * 64 / s.duration_s)


def test_a_slower_engine_is_found_and_used(tmp_path):
    """The card of a run that took 30% longer per token predicts that run, through the commands alone."""
    file = tmp_path / "result.json"
    load = ["--isl", "512", "--osl", "64", *LOADS[0]]
    raw = json.loads(run("serve", "llama_3_1_8b", "--on", "h100_sxm", "--format", "vllm-bench", *load))
    raw |= {"mean_tpot_ms": 1.3 * raw["mean_tpot_ms"], "mean_ttft_ms": 1.5 * raw["mean_ttft_ms"]}
    file.write_text(json.dumps(raw))
    said = json.loads(run("calibrate", "--from", str(file), "--model", "llama_3_1_8b", "--on", "h100_sxm", "--out", str(tmp_path), "--json"))
    assert said["before"]["tpot"] == pytest.approx(1 / 1.3 - 1, abs=1e-3)
    again = json.loads(run("serve", "llama_3_1_8b", "--on", "h100_sxm", "--format", "vllm-bench", "--calibration", said["file"], *load))
    assert again["mean_tpot_ms"] == pytest.approx(raw["mean_tpot_ms"], rel=5e-3)
    assert again["mean_ttft_ms"] == pytest.approx(raw["mean_ttft_ms"], rel=5e-3)
    assert f"--calibration {said['file']}" in said["use"]


def test_a_card_of_another_chip_or_stack_is_refused(tmp_path):
    file = tmp_path / "result.json"
    file.write_text(run("serve", "llama_3_1_8b", "--on", "h100_sxm", "--isl", "512", "--osl", "64", "--format", "vllm-bench", *LOADS[1]))
    card = tmp_path / "card.toml"
    card.write_text(calibrate_run(file, "llama_3_1_8b", "h100_sxm").to_toml())
    assert own_engine(card).chip == "h100_sxm"
    with pytest.raises(InputError, match="another chip"):
        serve("llama_3_1_8b", "h200_sxm", concurrency=4, calibration=card)
    with pytest.raises(InputError, match="another stack"):
        serve("llama_3_1_8b", "h100_sxm", concurrency=4, stack="sglang", calibration=card)
    card.write_text(card.read_text().replace('family = "engine"', 'family = "host"'))
    with pytest.raises(InputError, match="not one engine card"):
        own_engine(card)


def test_the_command_says_what_is_missing():
    for words, said in ((["calibrate"], "--from RUN"), (["calibrate", "--from", "x.json"], "--model, --on")):
        result = CliRunner().invoke(w2t, words)
        assert result.exit_code == 2
        assert said in result.output
