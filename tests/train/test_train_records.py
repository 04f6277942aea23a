"""What a record says beside its fields is read: notes, folders, scripts, logs; and what it leaves unknown widens the interval."""

import numpy as np
import pytest

from wafer2token.evidence.sampling import recorded
from wafer2token.train import train
from wafer2token.train.calibration import parent_of, stack_of
from wafer2token.train.circumstances import circumstances, spread_of
from wafer2token.train.points import borrow_plans, read_case
from wafer2token.train.predict import prepare, software_of, step_seconds
from wafer2token.train.wording import features, software_words, told_plan


def record(**changes):
    base = {
        "id": "x", "family": "mine", "grade": "A", "target_metric": "step_time_s", "measured": {"step_time_s": 1.0},
        "hardware": {"chip_key": "A100-80G", "n_devices": 8, "devices_per_node": 8}, "source": {"title": "Megatron-LM"},
        "model": {"name": "small", "layers": 24, "hidden": 2048, "heads": 16, "ffn": 8192, "vocab": 50304, "swiglu": False},
        "precision": "bf16", "seq_len": 2048, "global_batch": 128, "micro_batch": 4, "parallelism": {"tp": 1, "pp": 1, "dp": 8},
    }  # fmt: skip
    return {**base, **changes}


def seconds(**changes):
    ready = prepare(read_case(record(**changes), {}))
    return step_seconds(ready, software_of(ready).software)


def test_notes_tell_the_plan_and_the_batch():
    notes = ["96 nodes; TP4 PP8 DP24, GBS 4224"]
    assert told_plan({"notes": notes}) == {"global_batch": 4224, "tp": 4, "pp": 8, "dp": 24}
    assert told_plan({"notes": ["ZeRO-3 on SageMaker, activation checkpointing; GBS 2048"]})["zero"] == "zero-3"
    assert told_plan({"notes": ["15T+ tokens"]}) == {}
    case = read_case(record(parallelism={}, notes=["TP2 PP2 DP2"]), {})
    assert (case.plan.tp, case.plan.pp, case.plan.dp) == (2, 2, 2)


def test_notes_never_overrule_stated_fields():
    case = read_case(record(notes=["TP8 PP16 in the script; GBS 64"]), {})
    assert (case.plan.tp, case.plan.dp, case.global_batch) == (1, 8, 128)


def test_marks_in_notes_and_names():
    assert "unfused" in features({"notes": ["no flash attention; gradient checkpointing"]})
    assert "packed" in features({"notes": ["packed-sequence script"]})
    assert "fused" in features({"model": {"name": "llama2_7b_fa"}})
    assert not features({"notes": ["mixed precision"], "model": {"name": "falcon"}})


def test_attention_that_is_not_fused_takes_longer():
    assert seconds(notes=["no flash attention"]) > seconds()


def test_frozen_weights_take_less_than_trained_ones():
    assert 0.5 < seconds(kind="lora") / seconds() < 0.85


def test_logged_accumulation_sets_the_micro_batch():
    case = read_case(record(micro_batch=None, parallelism={"tp": 1, "pp": 1, "dp": 8, "grad_accum_logged": 2}), {})
    assert (case.plan.micro_batch, case.plan.micro_batches) == (8, 2)


def test_the_folder_of_a_benchmark_names_the_software():
    path = "training/nvidia/llama2_7b-deepspeed/README.md"
    assert stack_of(software_words({"source": {"title": "FlagPerf", "path": path}}), "nvidia") == "fsdp"


def test_a_release_follows_the_date_of_its_line():
    assert stack_of("megatron-lm", "nvidia") == "megatron"
    assert stack_of("megatron-lm", "nvidia", 2026.2) == "megatron_bridge"
    assert parent_of("megatron_bridge") == "megatron"
    assert parent_of("fsdp") == "fsdp"


def test_scripts_fill_what_a_table_leaves_out():
    case = read_case(
        record(
            seq_len=None, global_batch=None, micro_batch=None, parallelism={}, model={"name": "MaxText-16B"},
            source={"title": "MaxText high performance model configs"}, hardware={"chip_key": "TPU-v5e", "n_devices": 512},
        ),
        {},
    )  # fmt: skip
    assert (case.seq_len, case.global_batch, case.plan.zero, case.plan.shard) == (2048, 3072, 3, 256)


def test_what_is_unknown_widens_the_interval():
    stated = read_case(record(), {})
    silent = read_case(record(id="y", parallelism={}), {})
    lent = borrow_plans([silent], [stated])[0]
    assert circumstances(stated) == ()
    assert circumstances(silent) == ("searched_plan",)
    assert circumstances(lent) == ("borrowed_plan",)
    sure, unsure = (software_of(prepare(case)).spread for case in (stated, silent))
    assert unsure > sure


def test_spread_is_the_eightieth_percentile():
    errors = np.array([0.1, -0.1, 0.1, -0.1, 5.0])
    assert spread_of(errors, np.ones(5)) == pytest.approx(0.1 / 1.2815515655446004)


def test_the_error_of_a_prediction_is_drawn_by_name():
    with recorded() as drawn:
        result = train(
            "llama_3_1_8b", "dgx_h100", 64, 1e12, plan="tp=2,pp=1", samples=400, global_batch=256, seq_len=8192
        )
    named = drawn["training.fit_family_hopper.spread"]
    assert named.low < named.mid == 1.0 < named.high
    assert "training.steps.spread" in drawn
    p5, _, p95 = result.quantiles("step_time_s")
    assert np.log(p95 / p5) / (2 * 1.645) == pytest.approx(result.spread, rel=0.1)
