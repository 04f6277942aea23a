"""``w2t train``: the best training plan on a machine, its step, memory, days, energy and cost."""

from __future__ import annotations

from typing import Any

import click

from wafer2token.cli.output import emit, formats


@click.command(name="train")
@click.argument("model")
@click.option("--on", required=True, help="System or chip id; A+B puts two pools into one pipeline.")
@click.option("--chips", required=True, help="Chips as sold (a 910C counts once); N+M for two pools.")
@click.option("--tokens", default="15e12", show_default=True, help="Tokens to train on, such as 14.8e12.")
@click.option(
    "--plan",
    help='A given plan: "tp=8,pp=16", framework flags, or a .sh, .json or .toml file; else all legal plans are searched.',
)
@click.option(
    "--wide",
    is_flag=True,
    help="Search zero-bubble, DualPipe, offload, hybrid sharding and all-to-all context plans too.",
)
@click.option("--seq-len", type=int, help="Tokens per sequence.")
@click.option("--global-batch", type=int, help="Sequences per step.")
@click.option("--dtype", help="bf16, fp16, fp8, mxfp8, nvfp4; without it what --plan states, else bf16.")
@click.option(
    "--imbalance", type=float, default=1.0, show_default=True, help="Load of the busiest expert rank over the mean."
)
@click.option("--gradients", help="Format of the gradients: fp32 (the default) or bf16.")
@click.option("--moments", help="Format of Adam's moments: fp32 (the default), bf16 or fp8.")
@click.option("--stack", help="Training stack; the vendor's usual one without it.")
@click.option("--compare", help="Another system: what takes this long here takes how long there, and why.")
@click.option("--engineering", type=float, help="With --compare: days of porting before the first step here.")
@click.option("--samples", type=int, default=400, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--point", is_flag=True, help="The central case alone.")
@click.option("--assume", is_flag=True, help="Go on where the evidence is too weak to answer.")
@click.option("--trace", type=click.Path(dir_okay=False), help="Write the pipeline timeline for Chrome or Perfetto.")
@click.option("--html", type=click.Path(dir_okay=False), help="Write the answer as one HTML page with its pipeline.")
@formats
def command(
    model: str,
    on: str,
    chips: str,
    tokens: str,
    wide: bool,
    compare: str | None,
    engineering: float | None,
    samples: int,
    point: bool,
    trace: str | None,
    html: str | None,
    fmt: str | None,
    **given: Any,
) -> None:
    """Plan the training of MODEL: every legal parallel plan priced, the best five shown with what separates them.

    \b
      w2t train deepseek_v3 --on hgx_h800 --chips 2048 --tokens 14.8e12 --dtype fp8
      w2t train llama_3_1_405b --on dgx_h100 --chips 16384 --plan tp=8,pp=16
      w2t train llama_3_1_70b --on dgx_h100 --chips 64 --plan pretrain.sh
      w2t train llama_3_1_405b --on cloudmatrix384 --chips 4096 --compare dgx_h100
      w2t train llama_3_1_70b --on atlas_800t_a2+atlas_900_a3 --chips 256+128 --global-batch 1024
    """
    from wafer2token.train import train
    from wafer2token.train.grid import WIDE

    counts = _chips(chips)
    several = "+" in on or len(counts) > 1
    _one_answer(trace or html, bool(compare))
    _needs_compare(engineering, compare)
    if several:
        _only_alone(
            {
                "--plan": given["plan"],
                "--stack": given["stack"],
                "--compare": compare,
                "--html": html,
                "--wide": wide,
                "--engineering": engineering,
            }
        )
        given = {name: value for name, value in given.items() if name not in ("plan", "stack")}
        given |= {"tokens": _tokens(tokens), "samples": None if point else samples}
        _show_mixed(model, on.split("+"), counts, given, trace, fmt)
        return
    options = given | {"samples": None if point else samples, "space": WIDE if wide else None}
    if compare:
        options["engineering_days"] = engineering or 0.0
        _show_comparison((model, on, compare, counts[0], _tokens(tokens)), options, fmt)
        return
    answer = train(model, on, counts[0], _tokens(tokens), **options)
    if trace:
        _write_trace(answer, trace)
    if html:
        _write_page(answer, html)
    _show(answer, fmt)


def _show_comparison(question: tuple[Any, ...], options: dict[str, Any], fmt: str | None) -> None:
    from wafer2token.train.compare import compare

    result = compare(*question, **options)
    columns = ["factor", "p5", "p50", "p95", "note"]
    emit([vars(f) for f in result.factors], columns, result.title, fmt, document=result.to_dict(), note=result.note)


def _write_trace(answer: Any, path: str) -> None:
    from wafer2token.train.timeline import timeline_of

    click.echo(f"timeline in {timeline_of(answer.best[0]).write_trace(path)}", err=True)


def _write_page(answer: Any, path: str) -> None:
    from pathlib import Path

    from wafer2token.evidence.errors import InputError, Problem
    from wafer2token.report.train_page import train_page

    try:
        Path(path).write_text(train_page(answer), encoding="utf-8")
    except OSError as error:
        raise InputError(Problem(f"cannot write the page: {error.strerror}", "--html", path)) from None
    click.echo(f"wrote {path}", err=True)


def _one_answer(file: str | None, several: bool) -> None:
    """A timeline is of one plan on one machine."""
    from wafer2token.evidence.errors import InputError, Problem

    if file and several:
        raise InputError(Problem("a timeline is of one plan", "--trace, --html", file, remedy="leave --compare out"))


def _needs_compare(engineering: float | None, compare: str | None) -> None:
    from wafer2token.evidence.errors import InputError, Problem

    if engineering is not None and not compare:
        raise InputError(Problem("goes with --compare", "--engineering", engineering))


def _only_alone(given: dict[str, Any]) -> None:
    """Options that ask for one machine."""
    from wafer2token.evidence.errors import InputError, Problem

    problems = [
        Problem(
            "goes with one pool alone", name, value, remedy="plans over two pools are searched, and compared by hand"
        )
        for name, value in given.items()
        if value
    ]
    if problems:
        raise InputError(problems)


def _chips(text: str) -> list[int]:
    from wafer2token.evidence.errors import InputError, Problem

    try:
        return [int(part) for part in text.split("+")]
    except ValueError:
        raise InputError(
            Problem("not a number of chips", "--chips", text, "such as 2048, or 256+128 for two pools")
        ) from None


def _show_mixed(
    model: str, on: list[str], chips: list[int], given: dict[str, Any], trace: str | None, fmt: str | None
) -> None:
    from wafer2token.evidence.errors import InputError, Problem
    from wafer2token.train.mixed import train_mixed

    if len(on) != len(chips):
        raise InputError(Problem("as many numbers of chips as pools", "--chips", len(chips), str(len(on))))
    if len(set(on)) != len(on):
        raise InputError(
            Problem("two pools of one machine are one pool", "--on", "+".join(on), remedy="add the chips up")
        )
    result = train_mixed(model, dict(zip(on, chips, strict=True)), **given)
    if trace:
        click.echo(f"timeline in {result.best[0].timeline().write_trace(trace)}", err=True)
    rows = [
        {
            "plan": str(p.plan),
            "step": f"{p.step_time_s:.3g} s",
            "layers": " | ".join(f"{q.stages} x {q.layers_per_stage}" for q in p.pools),
            "stage": " | ".join(f"{q.stage_s * 1e3:.0f} ms" for q in p.pools),
            "memory": " | ".join(f"{q.memory_bytes / 2**30:.0f} GiB" for q in p.pools),
        }
        for p in result.best
    ]
    named = " + ".join(f"{p.chips} x {p.on}" for p in result.pools)
    title = f"{result.model} on {named}, {result.precision}, {result.seq_len} tokens x {result.global_batch} sequences"
    columns = {
        "plan": "plan",
        "step": "step",
        "layers": "stages x layers, by pool",
        "stage": "one stage",
        "memory": "memory",
    }
    note = f"{result.tried:,} plans and deals, {result.fitting:,} fit" + (
        f"; assumed: {'; '.join(result.assumed)}" if result.assumed else ""
    )
    emit(rows, columns, title, fmt, document=result.to_dict(), note=note)
    if fmt in (None, "table"):
        emit(_quantile_rows(result, MIXED_ROWS), ["what", "p5", "p50", "p95"], "the best plan", fmt)


MIXED_ROWS = (
    ("step_time_s", "step [s]", 1.0),
    ("tokens_per_s", "tokens/s", 1.0),
    ("goodput", "useful share of time", 1.0),
    ("days", "days", 1.0),
    ("energy_j", "energy [GWh]", 3.6e12),
    ("cost_usd", "cost [M USD]", 1e6),
)
ROWS = (
    *MIXED_ROWS[:3],
    ("interruptions_per_day", "interruptions per day", 1.0),
    ("spare_nodes", "spare nodes (95% of the time whole)", 1.0),
    ("slow_loss", "loss to slow nodes until found (not in days)", 1.0),
    *MIXED_ROWS[3:],
)


def _quantile_rows(answer: Any, named: tuple[tuple[str, str, float], ...]) -> list[dict[str, Any]]:
    return [
        {"what": label, **{q: v / by for q, v in zip(("p5", "p50", "p95"), answer.quantiles(name), strict=True)}}
        for name, label, by in named
    ]


def _tokens(text: str) -> float:
    from wafer2token.evidence.errors import InputError, Problem

    scale = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(text[-1:], 1.0)
    try:
        return float(text[:-1] if text[-1:] in "kMBT" else text) * scale
    except ValueError:
        raise InputError(Problem("not a number of tokens", "--tokens", text, "such as 14.8e12 or 15T")) from None


def _show(answer: Any, fmt: str | None) -> None:
    if fmt == "json":
        emit([], [], fmt=fmt, document=answer.to_dict())
        return
    rows = [
        {
            "plan": str(r.plan),
            "step": f"{r.step_time_s:.3g} s",
            "mfu": f"{r.mfu:.1%}",
            "memory": f"{r.memory_bytes / 2**30:.0f} GiB",
            "differs": _against(r, answer.best[0]),
        }
        for r in answer.best
    ]
    title = f"{answer.model} on {answer.chips} x {answer.chip} ({answer.on}), {answer.precision}, {answer.seq_len} tokens x {answer.global_batch} sequences"
    note = f"{answer.tried:,} legal plans, {answer.fitting:,} fit in {answer.room_bytes / 2**30:.0f} GiB" + (
        f"; assumed: {'; '.join(answer.assumed)}" if answer.assumed else ""
    )
    emit(
        rows,
        {
            "plan": "plan",
            "step": "step",
            "mfu": "MFU",
            "memory": "memory",
            "differs": "where the time goes, then what separates from it",
        },
        title,
        fmt,
        note=note,
    )
    if fmt == "csv":
        return
    lines = _quantile_rows(answer, ROWS)
    import numpy as np

    for flavour, values in answer.mfu.items():
        lines.append(
            {
                "what": f"MFU ({flavour})",
                **{q: float(v) for q, v in zip(("p5", "p50", "p95"), np.percentile(values, [5, 50, 95]), strict=True)},
            }
        )
    emit(lines, ["what", "p5", "p50", "p95"], "the best plan", fmt)


def _against(r: Any, best: Any) -> str:
    """Where the best plan's time goes; for another plan, how much of the best step each part adds or saves."""
    if r is best:
        parts = sorted(((v / r.step_time_s, k) for k, v in r.parts_s.items() if v / r.step_time_s > 0.01), reverse=True)
        return ", ".join(f"{name} {share:.0%}" for share, name in parts[:5])
    gaps = [(name, gap / best.step_time_s) for name, gap in r.against(best).items()]
    largest = [f"{name} {gap:+.1%}" for name, gap in gaps[:3] if abs(gap) >= 5e-4]
    slower = r.step_time_s / best.step_time_s - 1
    return f"{slower:+.1%}: {', '.join(largest)}" if largest else f"{slower:+.1%}"
