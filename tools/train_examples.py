"""The worked examples of docs/train.md, from `w2t train`: python tools/train_examples.py writes them, --print shows them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wafer2token.train import train
from wafer2token.train.run import TrainResult

DOCUMENT = Path(__file__).parent.parent / "docs" / "train.md"
START, END = "<!-- examples: python tools/train_examples.py -->\n", "<!-- end -->"


@dataclass(frozen=True)
class Example:
    """A published run, the command that asks for it, and how its metric reads here."""

    run: str
    published: str
    model: str
    on: str
    chips: int
    tokens: float
    options: dict[str, Any]
    shown: Callable[[TrainResult], str]


def mfu(result: TrainResult) -> str:
    """Megatron's utilisation as p5 - p50 - p95."""
    return " - ".join(f"{x:.0%}" for x in np.percentile(result.mfu["megatron"], [5, 50, 95])).replace("% -", " -")


def days(result: TrainResult) -> str:
    """Days as p5 - p50 - p95."""
    return " - ".join(f"{x:.0f}" for x in result.quantiles("days")) + " days"


def rate(result: TrainResult) -> str:
    """Tokens per second as p5 - p50 - p95."""
    return " - ".join(f"{x / 1e6:.2f}" for x in result.quantiles("tokens_per_s")) + "M tokens/s"


EXAMPLES = (
    Example(
        "Llama-3.1-405B, 16,384 H100, 8K, batch 2,048, bf16",
        "41% MFU (Llama 3 paper, table 4)",
        "llama_3_1_405b", "dgx_h100", 16384, 15.6e12, {"seq_len": 8192, "global_batch": 2048}, mfu,
    ),
    Example(
        "DeepSeek-V3, 2,048 H800, 14.8T tokens, 8-bit, batch 15,360",
        "54.2 days (2.664M GPU hours)",
        "deepseek_v3", "hgx_h800", 2048, 14.8e12, {"dtype": "fp8", "seq_len": 4096, "global_batch": 15360}, days,
    ),
    Example(
        "Pangu Ultra 135B, 8,192 Ascend 910B",
        "more than 50% MFU",
        "pangu_ultra_135b", "atlas_800t_a2", 8192, 13.2e12, {"seq_len": 4096, "global_batch": 2048}, mfu,
    ),
    Example(
        "Pangu Ultra MoE 718B, 6,000 Ascend 910B, 8K",
        "1.46M tokens/s, 30% MFU",
        "pangu_ultra_moe_718b", "atlas_800t_a2", 6000, 13e12, {"seq_len": 8192, "global_batch": 6000}, rate,
    ),
    Example(
        "10T MoE (`docs/examples/moe_10t.json`), 100,000 Ascend 950DT, 30T tokens, `--assume`",
        "nothing",
        "docs/examples/moe_10t.json", "ascend_950dt", 100_000, 30e12, {"dtype": "fp8", "seq_len": 8192, "assume": True}, days,
    ),
)  # fmt: skip


def command(example: Example) -> str:
    """The example as it is typed."""
    words = [f"w2t train {example.model} --on {example.on} --chips {example.chips} --tokens {example.tokens / 1e12:g}T"]
    for name, value in example.options.items():
        words.append(f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}"))
    return " ".join(words)


def table() -> str:
    """The examples beside what was published, and the commands."""
    lines = ["| run | published | here (p5 - p50 - p95) | best plan |", "|---|---|---|---|"]
    for e in EXAMPLES:
        result = train(e.model, e.on, e.chips, e.tokens, **e.options)
        lines.append(f"| {e.run} | {e.published} | {e.shown(result)} | {str(result.plan).replace(',', ' ')} |")
    return "\n".join([*lines, "", *(f"    {command(e)}" for e in EXAMPLES)]) + "\n"


def main() -> None:
    """Writes the examples between the markers of the document, or prints them."""
    fresh = table()
    if "--print" in sys.argv:
        print(fresh)
        return
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(START)
    DOCUMENT.write_text(before + START + fresh + END + rest.split(END, 1)[1], encoding="utf-8")
    print(f"wrote {DOCUMENT}", file=sys.stderr)


if __name__ == "__main__":
    main()
