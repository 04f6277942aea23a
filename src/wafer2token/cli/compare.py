"""``w2t compare``: two chips or systems side by side."""

from __future__ import annotations

import click

from wafer2token.cli.output import emit, formats


@click.command(name="compare")
@click.argument("a")
@click.argument("b")
@click.option("--model", help="Also train and serve this model on both (id, HF id or config.json).")
@click.option("--chips", type=click.IntRange(1), help="Chips to train on (default: the system's own number, or 1,024).")
@click.option(
    "--isl", type=click.IntRange(1), default=4096, show_default=True, help="Input tokens of a served request."
)
@click.option(
    "--osl", type=click.IntRange(2), default=1024, show_default=True, help="Output tokens of a served request."
)
@click.option("--tpot", default="50 ms", show_default=True, help="Time per output token: (e2e - ttft)/(osl - 1).")
@click.option("--samples", type=click.IntRange(10), default=1000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@formats
def command(a: str, b: str, model: str | None, chips: int | None, isl: int, osl: int, tpot: str, samples: int, seed: int,
            fmt: str | None) -> None:  # fmt: skip
    """Put chips or systems A and B side by side: peak, memory, power, price, cost per effective operation.

    \b
      w2t compare cloudmatrix384 gb200_nvl72
      w2t compare 910C H20 --model deepseek-ai/DeepSeek-R1
    """
    from dataclasses import asdict

    from wafer2token.study.compare import compare

    result = compare(a, b, model=model, chips=chips, isl=isl, osl=osl, tpot=tpot, samples=samples, seed=seed)
    rows = [s.shown() for s in result.sides] if fmt is None else [asdict(s) for s in result.sides]
    columns = {"measure": "", "a": result.a, "b": result.b, "ratio": "A/B", "better": "A wins", "grade": "weakest"}
    if fmt == "csv":
        columns = {"measure": "", "unit": "", "a": "", "b": "", "ratio": "", "a_better": "", "grade": ""}
    emit(rows, columns, f"{result.a} against {result.b}: median (p5-p95)", fmt, result.to_dict())
    for name, reason in result.problems.items():
        click.echo(f"{name}: {reason}", err=True)
