"""Other simulators on their own ground: our prediction, the measurement and theirs, row by row.

    python benchmarks/serve_peers.py

Ascend msmodeling (its regression cases), InferSim (its table; the DeepSeek rows are DeepSeek's published profile) and the
Llama-70B rows of NVIDIA's TensorRT-LLM tables, of which aiconfigurator claims 7.5% and AISimulate 15% over all models.
"""

from __future__ import annotations

from statistics import fmean, median

from wafer2token.serve.points import Case, cases, read_points
from wafer2token.serve.predict import Predictor
from wafer2token.serve.validate import scored

PEERS = {
    "msmodeling-cases-deepseek-v3.1-910c-001": 64.124, "msmodeling-cases-qwen3-30b-a3b-910c-001": 12.712,
    "msmodeling-cases-qwen3-30b-a3b-910c-002": 163.197, "msmodeling-cases-qwen3-8b-910b-64g-001": 12.733,
    "msmodeling-cases-qwen3-8b-910b-64g-002": 439.006, "msmodeling-cases-qwen3.5-27b-910c-001": 35.383,
    "msmodeling-cases-qwen3.5-27b-910c-002": 28.161, "msmodeling-cases-qwen3.5-27b-910c-003": 2198.0,
    "msmodeling-cases-qwen3.5-27b-910c-004": 24.82, "msmodeling-cases-qwen3.5-27b-910c-005": 415.842,
    "infersim-qwen3-30b-a3b-h20-001": 17350.0, "infersim-qwen3-30b-a3b-h20-002": 2632.0,
    "infersim-qwen3-8b-h20-001": 16328.0, "infersim-qwen3-8b-h20-002": 2581.0,
    "deepseek-profile-prefill": 9034.0, "deepseek-profile-decode": 2675.0,
}  # fmt: skip
"""What the peers print for their own rows: msmodeling's first commit [ms], InferSim's README [tokens/s per GPU]."""
SETS = {"msmodeling": ("msmodeling-cases",), "InferSim": ("infersim", "deepseek-profile")}
TABLES = ("trtllm-v0.9.0", "trtllm-v0.12.0", "trtllm-v0.17", "trtllm-v1.0")


def error(made: float, measured: float) -> float:
    """Absolute relative error."""
    return abs(made / measured - 1.0)


def rows(chosen: list[Case], predictor: Predictor) -> list[tuple[Case, str, float, float]]:
    """(case, metric, measured, predicted) of the scored metric of each case."""
    out = []
    for case in chosen:
        metric = scored(case)[0][0]
        out.append((case, metric, case.measured[metric], predictor.predict(case)[metric]))
    return out


def summary(name: str, errors: list[float]) -> str:
    """Mean and median on one line."""
    return f"  {name}: mean {fmean(errors):.1%}, median {median(errors):.1%}, n {len(errors)}" if errors else f"  {name}: no rows"


def own_rows(good: list[Case], predictor: Predictor) -> None:
    """The rows that the peers publish of themselves."""
    for peer, sources in SETS.items():
        print(f"\n{peer}")
        ours, theirs = [], []
        for case, metric, measured, made in rows([c for c in good if c.source in sources], predictor):
            other = PEERS[case.id]
            ours.append(error(made, measured))
            theirs.append(error(other, measured))
            print(f"  {case.id:42} {metric:24} measured {measured:9,.2f}  wafer2token {made:9,.2f} ({made / measured - 1:+6.1%})"
                  f"  {peer} {other:9,.2f} ({other / measured - 1:+6.1%})")  # fmt: skip
        print(summary("wafer2token", ours))
        print(summary(peer, theirs))


def tables(good: list[Case], predictor: Predictor) -> None:
    """NVIDIA's TensorRT-LLM tables: Llama-70B, and everything."""
    print("\nTensorRT-LLM tables of NVIDIA (aiconfigurator: 7.5% on Llama-70B; AISimulate: 15% over dense and mixtures of experts)")
    every = {source: rows([c for c in good if c.source == source], predictor) for source in TABLES}
    for name, kept in (("Llama-70B", "70b"), ("all models", "")):
        errors = [[error(made, measured) for case, _, measured, made in every[s] if kept in case.shape.id] for s in TABLES]
        for source, own in zip(TABLES, errors, strict=True):
            print(summary(f"{name}, {source}", own))
        print(summary(f"{name}, all releases", [e for own in errors for e in own]))


def main() -> None:
    """Print the three comparisons."""
    good, _ = cases(read_points())
    predictor = Predictor()
    own_rows(good, predictor)
    tables(good, predictor)


if __name__ == "__main__":
    main()
