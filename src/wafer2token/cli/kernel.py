"""``w2t kernel``: how long one kernel takes on a chip."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wafer2token.cli.output import emit, formats
from wafer2token.evidence.errors import InputError, Problem

if TYPE_CHECKING:
    from wafer2token.chip.verb import KernelResult
    from wafer2token.study.software import SoftwareOfADate

WORKLOADS = ("serving", "dense_training", "moe_training", "reinforcement_learning")
_OPERATIONS = ("gemm", "grouped_gemm", "prefill", "decode", "mla_decode", "memory", "quantise")
_COUNTS = {
    "m": "Rows (tokens) of a product.",
    "n": "Columns of a product.",
    "k": "Inner size of a product.",
    "groups": "Products in one call.",
    "tokens_per_expert": "Mean tokens per expert.",
    "experts": "Experts on the chip.",
    "batch": "Sequences.",
    "q_len": "New tokens per sequence.",
    "kv_len": "Keys per sequence.",
    "heads": "Query heads.",
    "kv_heads": "Key heads.",
    "head_dim": "Head size.",
    "v_dim": "Head size of values, where it differs.",
    "elements": "Elements to quantise.",
}
_COLUMNS = {"chip": "chip", "time": "time", "interval": "80% interval", "bound": "bound by", "rate": "reached", "compute": "of peak",
            "memory": "of bandwidth", "basis": "efficiency"}  # fmt: skip


def _counts(command: Any) -> Any:
    for name, text in reversed(_COUNTS.items()):
        flag = f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
        command = click.option(flag, name, type=float, help=text)(command)
    return command


@click.command(name="kernel")
@click.argument("operation", type=click.Choice(_OPERATIONS))
@click.argument("chip")
@_counts
@click.option("--bytes", "size", help='Bytes to move, with a unit: "1 GB" (memory only).')
@click.option("--dtype", default="bf16", show_default=True, help="Data type of the arithmetic.")
@click.option("--weight-dtype", help="Data type in which weights are stored.")
@click.option("--kv-dtype", help="Data type of the cache.")
@click.option("--window", type=float, help="Keys that one query sees at most.")
@click.option("--full", is_flag=True, help="No causal mask (prefill).")
@click.option("--eager", is_flag=True, help="Launched by the framework, not replayed from a graph.")
@click.option("--stack", help="Software stack: vllm, trtllm, sglang, cann ...")
@click.option("--per", type=click.Choice(["chip", "die"]), default="chip", show_default=True)
@click.option("--against", help="A second chip.")
@click.option(
    "--roofline", is_flag=True, help="The chip's roofline instead: attainable rate over arithmetic intensity."
)
@click.option("--html", type=click.Path(dir_okay=False), help="Write the roofline with this kernel on it as one HTML page.")
@click.option(
    "--software-date", type=click.DateTime(["%Y-%m-%d"]), help="Software of this date instead of the measured or mature one."
)
@click.option("--workload", type=click.Choice(WORKLOADS), default="serving", show_default=True, help="Whose software (--software-date).")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="When its software began; the chip's first shipment if left out.")
@formats
def command(
    operation: str, chip: str, size: str | None, dtype: str, weight_dtype: str | None, kv_dtype: str | None, window: float | None,
    full: bool, eager: bool, stack: str | None, per: str, against: str | None, roofline: bool, html: str | None, software_date: datetime | None,
    workload: str, since: datetime | None, fmt: str | None, **counts: float | None,
) -> None:  # fmt: skip
    """How long one kernel takes on a chip, what bounds it, and how sure that is.

    \b
      w2t kernel gemm h100_sxm -m 4096 -n 8192 -k 8192 --against 910C
      w2t kernel decode 910C --batch 64 --kv-len 4096 --heads 64 --kv-heads 8 --head-dim 128
      w2t kernel gemm h20 -m 64 -n 8192 -k 8192 --against h100_sxm --html roofline.html
      w2t kernel memory h20 --bytes "1 GB"
      w2t kernel gemm ascend_950dt -m 4096 -n 8192 -k 8192 --software-date 2027-03-01
    """
    from wafer2token.chip.verb import kernel
    from wafer2token.evidence.units import parse_quantity

    sizes = {name: value for name, value in counts.items() if value is not None}
    if size is not None:
        sizes["bytes"] = parse_quantity(size, "B", "--bytes")
    dated = _dated([c for c in (chip, against) if c], software_date, workload, since)
    result = kernel(
        operation, chip, against, dtype, weight_dtype, kv_dtype, stack, per, not eager, not full, window,
        [(s.p10, s.p50, s.p90) for s in dated], **sizes,
    )  # fmt: skip
    if roofline:
        rows = [
            {"chip": p.chip, "intensity": p.intensity, "peak": p.peak, "reached": p.reached} for p in result.roofline
        ]
        heads = {"chip": "chip", "intensity": "FLOP/B", "peak": "peak FLOP/s", "reached": "reached FLOP/s"}
        emit(rows, heads, f"Roofline, {dtype}", fmt, document={"roofline": rows})
        return
    shown = [vars(c) for c in result.chips] if fmt == "csv" else [_shown(c) for c in result.chips]
    note = "" if result.ratio is None else f"{result.chips[1].name} takes {result.ratio:.2f} times as long. "
    note += " ".join(
        f"Software for {s.workload} on {s.chip} of {s.on}, begun {s.since}: {s.p50:.2f} times as long as "
        f"{f'measured on {s.measured}' if s.measured else 'mature'} ({s.p10:.2f} - {s.p90:.2f}, {s.card})."
        for s in dated
    )
    if html:
        _write_page(result, html, note.strip())
    document = {**result.to_dict(), "software": [vars(s) for s in dated]}
    columns = list(vars(result.chips[0])) if fmt == "csv" else _COLUMNS
    emit(shown, columns, f"{operation} {dtype}: {_text(sizes)}", fmt, document, note.strip())


def _write_page(result: KernelResult, file: str, note: str) -> None:
    from wafer2token.report.kernel_page import kernel_page

    try:
        Path(file).write_text(kernel_page(result, note), encoding="utf-8")
    except OSError as error:
        raise InputError(Problem(f"cannot write the page: {error.strerror}", "--html", file)) from None
    click.echo(f"wrote {file}", err=True)


def _dated(
    chips: Sequence[str], on: datetime | None, workload: str, since: datetime | None
) -> list[SoftwareOfADate]:
    if on is None:
        return []
    from wafer2token.study.software import software_of

    return [software_of(c, on.date(), workload, since.date() if since else None) for c in chips]


def _text(sizes: dict[str, float]) -> str:
    return ", ".join(f"{k} {v:g}" for k, v in sizes.items())


def _shown(row: Any) -> dict[str, str]:
    from wafer2token.evidence.units import format_quantity

    rate = (row.flops_per_s, "FLOP/s") if row.flops else (row.bytes_per_s, "B/s")
    return {
        "chip": row.chip,
        "time": format_quantity(row.seconds, "s"),
        "interval": f"{format_quantity(row.p10, 's')} - {format_quantity(row.p90, 's')}",
        "bound": row.bound,
        "rate": format_quantity(*rate),
        "compute": f"{row.compute_share:.0%}",
        "memory": f"{row.memory_share:.0%}",
        "basis": row.basis,
    }
