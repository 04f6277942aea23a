"""The published points of training through llm-analysis (extra `peers`), on the rows that it can express, beside ours.

usage: PYTHONPATH=src python benchmarks/train_peers.py

Its efficiency is an input of the user: its own default is taken, 0.5, and the one value that serves it best on these very
rows (which no user could know). Ours is the shipped calibration. The PyPI package named calculon is another program.
"""

import logging
from collections import Counter
from importlib.metadata import version

import numpy as np
from llm_analysis.analysis import ActivationRecomputation, DSZeRO, LLMAnalysis
from llm_analysis.config import (
    ModelConfig,
    ParallelismConfig,
    get_dtype_config_by_name,
    get_gpu_config_by_name,
)
from llm_analysis.constant import FLOPS_EFFICIENCY

from wafer2token.evidence.validation import weighted_median
from wafer2token.train.predict import Prepared, seconds_of, software_of, step_seconds
from wafer2token.train.validate import prepare_all, shipped

GPUS = {
    "a100_sxm_80": "a100-sxm-80gb",
    "a100_sxm_40": "a100-sxm-40gb",
    "h100_sxm": "h100-sxm-80gb",
    "v100_sxm2_32": "v100-sxm-32gb",
}
RECOMPUTE = (ActivationRecomputation.NONE, ActivationRecomputation.SELECTIVE, ActivationRecomputation.FULL)
MLP_WORK = 16.0  # it counts 16 hidden^2 FLOPs per token for the MLP, whatever its width
NEAR = 0.05
TRIED = np.arange(0.30, 0.91, 0.01)


def refusal(point: Prepared) -> str:
    """Why the peer cannot express a row; empty where it can."""
    case, shape, plan = point.case, point.case.shape, point.plan
    work = (3 if shape.mlp_gated else 2) * 2 * shape.intermediate_size / shape.hidden_size
    reasons = {
        "no card of this chip": case.chip not in GPUS,
        "plan not stated": case.plan is None or "borrowed" in case.stated,
        "not 16-bit": case.precision not in ("bf16", "fp16"),
        "mixture of experts": shape.is_moe,
        "MLP not worth 16 hidden^2": abs(work / MLP_WORK - 1) > NEAR,
        "attention windows or latent attention": bool(shape.sliding_window or shape.kv_lora_rank),
        "context parallelism": plan.cp > 1,
        "tensor parallelism beyond a node": plan.tp > 8,
        "not steady pre-training": case.kind != "pretrain_steady_state",
    }
    return next((why for why, hit in reasons.items() if hit), "")


def peer_seconds(point: Prepared, efficiency: float) -> float:
    """Its seconds per iteration; AssertionError where its own memory model refuses the batch."""
    shape, plan = point.case.shape, point.plan
    width = shape.intermediate_size
    model = ModelConfig(
        shape.id, shape.num_hidden_layers, shape.num_attention_heads, shape.hidden_size, shape.vocab_size,
        max_seq_len=point.case.seq_len, num_key_value_heads=shape.num_key_value_heads, ffn_embed_dim=width,
        expansion_ratio=width / shape.hidden_size,
    )  # fmt: skip
    layout = ParallelismConfig(plan.tp, plan.pp, plan.dp, 1, plan.tp if plan.sequence_parallel else 1)
    analysis = LLMAnalysis(
        model,
        get_gpu_config_by_name(GPUS[point.case.chip]),
        get_dtype_config_by_name("w16a16e16"),
        layout,
        flops_efficiency=efficiency,
    )
    answer = analysis.training(
        batch_size_per_gpu=plan.micro_batch, gradient_accumulation_steps=plan.micro_batches,
        global_batch_size=plan.global_batch, seq_len=point.case.seq_len,
        activation_recomputation=RECOMPUTE[plan.recompute], ds_zero=DSZeRO(plan.zero),
        flash_attn=bool(np.ravel(point.parts.fused)[0]), mlp_gated_linear_units=shape.mlp_gated,
    )  # fmt: skip
    return float(answer["latency_per_iter"])


def errors(points: list[Prepared], predicted: list[float]) -> np.ndarray:
    """|predicted / measured - 1| of step times."""
    measured = np.array([seconds_of(p, p.case.measured) for p in points])
    return np.abs(np.array(predicted) / measured - 1)


def show(name: str, error: np.ndarray, points: list[Prepared]) -> None:
    middle = weighted_median(list(error), [p.case.weight for p in points])
    print(f"{name:46s} {len(points):4d}  {middle:7.1%} {np.median(error):7.1%} {error.mean():7.1%} {(error <= 0.1).mean():6.0%}")


def main() -> None:
    logging.disable(logging.WARNING)
    ready, _ = prepare_all(shipped())
    ready = [p for p in ready if p.case.weight > 0]
    reasons = Counter(refusal(p) for p in ready)
    able, broken = [], Counter[str]()
    for point in (p for p in ready if not refusal(p)):
        try:
            peer_seconds(point, 0.5)
            able.append(point)
        except AssertionError as why:
            broken[str(why)[:60]] += 1
    best = min(TRIED, key=lambda e: float(np.median(errors(able, [peer_seconds(p, float(e)) for p in able]))))
    ours = errors(able, [step_seconds(p, software_of(p).software) for p in able])
    print(f"llm-analysis {version('llm-analysis')}: {len(able)} of {len(ready)} rows")
    print(f"{'error of the step time':46s}    n weighted  median    mean  <=10%")
    for name, efficiency in (("its default", FLOPS_EFFICIENCY), ("0.5", 0.5), ("best on these rows", float(best))):
        theirs = errors(able, [peer_seconds(p, efficiency) for p in able])
        show(f"llm-analysis, efficiency {efficiency:.2f} ({name})", theirs, able)
    show("wafer2token", ours, able)
    print("by source:", dict(Counter(p.case.family.split("/")[0] for p in able)))
    print("not expressible:", {k: v for k, v in reasons.most_common() if k})
    print("refused by its memory model or its checks:", dict(broken))


if __name__ == "__main__":
    main()
