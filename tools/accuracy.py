"""The accuracy table of the README, from `w2t validate`: python tools/accuracy.py writes it, --print shows it."""

from __future__ import annotations

import sys
from pathlib import Path

from wafer2token.evidence.validation import Group
from wafer2token.study.validate import validate

README = Path(__file__).parent.parent / "README.md"
SHOWN = {
    "kernels": (
        "all",
        "gemm",
        "prefill",
        "decode",
        "mla",
        "grouped_gemm",
        "collectives",
        "collectives, calibrated",
        "ep_dispatch",
        "ep_combine",
    ),
    "train": ("all", "pretraining", "dense", "MoE", "Ascend", ">1000 devices", "simumax-b200", "full_run"),
    "serve": (
        "all",
        "step time",
        "static batch",
        "closed loop",
        "timeline",
        "disaggregated",
        "submitted",
        "production",
        "Ascend",
        "time to first token",
    ),
}
START, END = "<!-- accuracy: python tools/accuracy.py -->\n", "<!-- end -->"


def table() -> str:
    """The groups of SHOWN as one Markdown table; `w2t validate` prints the others too."""
    lines = [
        "| what | points | left out | median error | weighted | within 20 % | 80 % interval holds | baseline |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in validate():
        wanted = SHOWN[result.kind]
        lines += [
            row(result.kind, group)
            for group in result.groups
            if group.n and (group.name in wanted or group.name.startswith("gemm, LLM-shaped bf16"))
        ]
    return "\n".join(lines) + "\n"


def row(kind: str, group: Group) -> str:
    """One group as a row."""
    shares = (
        group.median_ape,
        group.weighted_median_ape,
        group.within_20,
        group.coverage_80,
        group.baseline_median_ape,
    )
    cells = ["-" if s is None else f"{s:.1%}" for s in shares]
    return f"| {kind}: {group.name} | {group.n} | {group.skipped} | {' | '.join(cells)} |"


def main() -> None:
    """Put the table between its marks in the README."""
    made = table()
    if "--print" in sys.argv:
        print(made)
        return
    text = README.read_text(encoding="utf-8")
    head, rest = text.split(START, 1)
    README.write_text(head + START + made + END + rest.split(END, 1)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
