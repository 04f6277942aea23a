"""Figures taken apart, the fit of all engines at once, and how sources are read."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from wafer2token.serve.decompose import HIDDEN, NAMES, Figure, figures, parameters, seconds
from wafer2token.serve.fitting import PRIOR, by_stack, errors, fit, held_out
from wafer2token.serve.overhead import generation, overhead
from wafer2token.serve.points import case, cases
from wafer2token.serve.predict import Predictor, drawn


def point(**changes):
    """A closed loop of one 8-billion model on one chip."""
    base = {
        "id": "p", "source": {"key": "some"}, "hardware": {"chip": "H100-SXM-80G", "n_devices": 1},
        "model": {"name": "Llama-3.1-8B", "weights": "bf16"}, "engine": {"name": "vllm"}, "parallelism": {"tp": 1},
        "workload": {"input_len": 1024, "output_len": 256, "concurrency": 16}, "phase": "end-to-end",
        "measured": {"tpot_ms": 10.0}, "grade": "A",
    }  # fmt: skip
    return base | changes


@pytest.fixture(scope="module")
def found():
    points = [
        point(id=f"{chip}{n}{m}{e}", hardware={"chip": chip, "n_devices": 2}, parallelism={"tp": 2}, model={"name": m, "weights": "bf16"},
              engine={"name": e}, source={"key": f"{e}{m}"}, workload={"input_len": 1024, "output_len": 256, "concurrency": n})
        for chip in ("H100-SXM-80G", "A100-SXM-80G") for n in (4, 32) for m in ("Llama-3.1-8B", "Qwen3-32B") for e in ("vllm", "sglang")
    ]  # fmt: skip
    return figures(cases(points)[0], Predictor())


@pytest.mark.parametrize("changes", [{"compute": 1.3}, {"step_s": 4e-3}, {"sequence_s": 4e-5}, {"prefill": 1.5, "attention": 0.7}])
def test_the_sum_moves_as_the_simulation_does(found, changes):
    figure = next(f for f in found if f.case.stack == "vllm" and f.case.concurrency == 32)
    over = overhead(figure.case.chip, "vllm")
    moved = replace(over, **changes)
    simulated = Predictor(overheads={("", "vllm"): moved}).predict(figure.case)[figure.metric] / Predictor().predict(figure.case)[figure.metric]
    one, share = figure.terms[None], figure.share[None]
    summed = seconds(one, share, parameters(moved)[None]) / seconds(one, share, figure.start[None])
    assert math.log(float(summed[0])) == pytest.approx(math.log(simulated), abs=0.06)


def measured_with(found, values):
    """The figures as if they had been measured with other parameters."""
    terms, share, start = (np.array([getattr(f, k) for f in found]) for k in ("terms", "share", "start"))
    moved = np.log(seconds(terms, share, np.array([values(f) for f in found])) / seconds(terms, share, start))
    return [replace(f, error=-float(m) * f.sign) for f, m in zip(found, moved, strict=True)]


def test_a_fit_finds_what_all_stacks_share_and_what_one_adds(found):
    def truth(f: Figure):
        out = np.array([PRIOR[n] for n in NAMES])
        out[0] = 1.2 if f.case.stack == "vllm" else 1.1
        return out

    made = measured_with(found, truth)
    best = fit(made, 0.01)
    assert np.max(np.abs(errors(made, best))) < 0.03
    assert best.of("vllm", "cuda_fp8")[0] > best.of("sglang", "cuda_fp8")[0]
    assert best.of("never seen", "cuda_fp8")[0] == pytest.approx(best.common[0])
    assert by_stack(made, errors(made, best))["all"] < 0.03


def test_held_out_figures_are_predicted_from_the_others(found):
    made = measured_with(found, lambda f: np.array([PRIOR[n] * (1.2 if n == "compute" else 1.0) for n in NAMES]))
    off = held_out(made, "chip", 0.01)
    assert np.median(np.abs(off)) < 0.05


def test_weights_do_not_grow_with_the_length_of_a_series(found):
    assert HIDDEN[0] < parameters(overhead("h100_sxm", "vllm"))[8] < HIDDEN[-1]
    assert sum(f.weight for f in found if f.case.source == found[0].case.source) == pytest.approx(math.sqrt(2.0))


def test_ranks_that_a_data_base_lists_twice():
    twice = point(hardware={"chip": "B200", "n_devices": 64}, model={"name": "DeepSeek-V3", "weights": "nvfp4"},
                  engine={"name": "trtllm"}, parallelism={"tp": 64, "pp": 1, "dp": 1, "moe_tp": 8, "moe_ep": 8})  # fmt: skip
    one = case(twice)
    assert (one.plan.tp, one.plan.ep, one.ranks) == (8, 8, 8)
    apart = case({**twice, "parallelism": {"tp": 1, "pp": 1, "dp": 64, "moe_tp": 8, "moe_ep": 8}})
    assert (apart.plan.tp, apart.plan.dp, apart.plan.ep, apart.ranks) == (1, 8, 8, 8)
    total = {**twice, "parallelism": {"tp": 36, "pp": 1, "dp": 1, "moe_tp": 36, "moe_ep": 1}}
    assert cases([total])[1][0][2].startswith("experts cannot be split")


def test_a_concurrency_that_was_a_peak():
    kept_up = point(workload={"input_len": 342, "output_len": 281, "concurrency": 42, "num_requests": 1000},
                    measured={"requests_s": 7.7, "latency_ms": 3500.0, "output_tok_s": 2160.0})  # fmt: skip
    assert (case(kept_up).rate, case(kept_up).concurrency) == (7.7, 0.0)
    fell_behind = {**kept_up, "measured": {"requests_s": 6.7, "latency_ms": 20000.0}}
    assert "not kept" in cases([{**fell_behind, "workload": {**kept_up["workload"], "concurrency": 500}}])[1][0][2]


def test_lengths_as_clients_draw_them():
    cut = drawn("sharegpt", 217.0, 4000, "isl")
    assert cut.max() == 1024
    assert cut.mean() == pytest.approx(217.0, rel=0.05)
    even = drawn("inferencex", 1000.0, 4000, "osl")
    assert 799 <= even.min() < even.max() <= 1001


def test_a_submission_runs_on_the_split_that_gives_most():
    made = point(hardware={"chip": "H100-SXM-80G", "n_devices": 8}, model={"name": "llama2-70b", "weights": "fp16"},
                 engine={"name": "TensorRT 10.2"}, workload={"output_len": 294.4, "dataset": "MLPerf reference dataset", "scenario": "Offline"},
                 measured={"output_tok_s": 24000.0})  # fmt: skip
    one = cases([made])[0][0]
    predictor = Predictor()
    most = predictor.predict(one)["output_tok_s"]
    split = [predictor.served(replace(one, plan=replace(one.plan, tp=tp)))["output_tok_s"] for tp in (2, 8)]
    assert one.plan.weights == "fp8"
    assert most >= max(split) - 1.0


def test_generations():
    assert [generation(c) for c in ("a100_sxm_80", "h200_sxm", "gb200", "ascend_910c")] == ["cuda_fp16", "cuda_fp8", "cuda_fp4", "cann_fp16"]
