"""``w2t calibrate``: fit efficiencies from measurement tables, or anchor an engine to one run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from wafer2token.cli.output import emit, formats


@click.command(name="calibrate")
@click.argument("kind", type=click.Choice(["kernels", "serve"]), required=False)
@click.option("--from", "run", type=click.Path(), help="One measured run: JSON of vllm bench serve or AIPerf, or a log per request.")
@click.option("--model", help="Model of that run.")
@click.option("--on", help="System or chip of that run.")
@click.option("--plan", help="Split of its instance (tp=8 or engine flags).")
@click.option("--stack", help="Its engine; the platform's usual one if left out.")
@click.option("--rate", type=float, help="Its requests per second, if the file does not say them.")
@click.option("--concurrency", type=int, help="Its requests in flight, if the file does not say them.")
@click.option("--out", type=click.Path(file_okay=False), default="calibration", show_default=True, help="Folder for the cards.")
@click.option(
    "--aiconfigurator",
    type=click.Path(),
    is_flag=False,
    flag_value="",
    help="Folder of aiconfigurator-core; alone: the installed one.",
)
@click.option("--points", type=click.Path(), multiple=True, help="Table of measured kernels (docs/points.md).")
@click.option("--vidur", multiple=True, metavar="CHIP=FILE", help="Vidur profile of matrix products.")
@click.option("--msmodeling", type=click.Path(), help="Folder of Huawei msmodeling operator tables.")
@click.option("--nccl-tests", multiple=True, metavar="CHIP:OP:RANKS=FILE", help="Text that nccl-tests printed.")
@click.option("--operators", type=click.Path(), help="Points of expert dispatch and combine (YAML or JSON).")
@click.option("--collective-points", type=click.Path(), multiple=True, help="Table with block copies (docs/points.md).")
@click.option("--experts", is_flag=True, help="Also the fused mixtures of experts of aiconfigurator.")
@click.option("--family", "families", multiple=True, help="Fit this kernel family only (gemm, grouped_gemm, attention_decode, ...).")
@click.option("--leave-out", is_flag=True, help="Write nothing: leave every die out in turn and predict its chips from the others.")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Date on the cards; today by default.")
@formats
def command(
    kind: str | None, run: str | None, model: str | None, on: str | None, plan: str | None, stack: str | None,
    rate: float | None, concurrency: int | None, out: str, aiconfigurator: str | None, points: tuple[str, ...], vidur: tuple[str, ...], msmodeling: str | None,
    nccl_tests: tuple[str, ...], operators: str | None, collective_points: tuple[str, ...], experts: bool,
    families: tuple[str, ...], leave_out: bool, as_of: datetime | None, fmt: str | None,
) -> None:  # fmt: skip
    """Fit one parameter set per chip, stack and kernel family, and write them as cards with their errors.

    With --from RUN: anchor the serving engine to one measured run; `w2t serve --calibration` takes the card.

    \b
      w2t calibrate kernels --points gemm.csv --points attention.csv --out cards
      w2t calibrate kernels --aiconfigurator --out cards
      w2t calibrate --from result.json --model llama_3_1_8b --on h100_sxm --plan tp=1
    """
    if kind == "serve" or (run is not None and kind is None):
        _anchor(run, model, on, plan, stack, rate, concurrency, out, fmt)
        return
    if kind is None:
        raise click.UsageError("name what to calibrate: kernels, or --from RUN for a serving engine")
    from wafer2token.study.calibrate import calibrate

    result = calibrate(
        kind, out, aiconfigurator, points, vidur, msmodeling, nccl_tests, operators, collective_points, experts,
        as_of.date() if as_of else None,
        report=lambda line: click.echo(line, err=True), families=families, leave_out=leave_out,
    )  # fmt: skip
    if leave_out:
        columns = {"chip": "left out", "stack": "stack", "family": "family", "dtype": "type", "points": "points", "error": "mean error",
                   "language_models": "shapes of language models", "held": "in the 80% interval"}  # fmt: skip
        shown = [r | {k: f"{r[k]:.1%}" for k in ("error", "language_models", "held")} for r in result.left_out]
        emit(shown, columns, "every chip under the parameters of other dies", fmt, result.to_dict())
        return
    emit([{"file": f} for f in result.files], {"file": "cards written"}, "", fmt, result.to_dict())


def _anchor(run: str | None, model: str | None, on: str | None, plan: str | None, stack: str | None, rate: float | None,
            concurrency: int | None, out: str, fmt: str | None) -> None:  # fmt: skip
    from wafer2token.serve.calibrate import is_log
    from wafer2token.study.calibrate import calibrate_serving

    needed = (("--from", run),) if run and is_log(run) else (("--from", run), ("--model", model), ("--on", on))
    missing = [name for name, value in needed if not value]
    if missing:
        raise click.UsageError(f"a serving run needs {', '.join(missing)}")
    result = calibrate_serving(str(run), model, on, plan, stack, out, rate=rate, concurrency=concurrency)
    rows: list[dict[str, Any]] = [
        {"metric": m, "measured": f"{result.measured[m]:.5g}", "before": f"{result.before[m]:+.1%}", "after": f"{result.after[m]:+.1%}"}
        for m in result.measured
    ]
    columns = {"metric": "metric", "measured": "measured", "before": "prediction before", "after": "after"}
    note = f"card in {result.file}; predictions anchored to this run:\n  {result.use}"
    emit(rows, columns, "one run against its prediction", fmt, result.to_dict(), note=note)
