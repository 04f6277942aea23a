"""``w2t serve``: latency, throughput and cost per token of serving a model."""

from __future__ import annotations

from typing import Any

import click

from wafer2token.cli.output import emit, emit_json, figure, formats, progress

_ROWS = ("ttft", "tpot", "itl", "e2e")
_PASSED_ON = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "ep_size", "max_num_seqs", "max_num_batched_tokens",
              "gpu_memory_utilization", "kv_cache_dtype", "quantization", "dtype", "num_redundant_experts", "num_speculative_tokens",
              "speculative_config", "speculative_num_steps", "speculative_num_draft_tokens")  # fmt: skip
_SWITCHES = ("enable_expert_parallel", "enforce_eager", "enable_eplb", "enable_dp_attention")
_ENGINE = click.option("--config", "config", type=click.Path(), help="Engine flags from a YAML file, as vllm serve --config takes it.")


@click.command(name="serve")
@click.argument("model")
@click.option("--on", help="System or chip.")
@click.option("--isl", default=1024, show_default=True, help="Mean input tokens.")
@click.option("--osl", default=256, show_default=True, help="Mean output tokens.")
@click.option("--rate", "--request-rate", "rate", type=float, help="Requests per second.")
@click.option("--concurrency", "--max-concurrency", "concurrency", type=int, help="Requests in flight.")
@click.option("--trace", type=click.Path(), help="Requests from a file: Azure, Mooncake, BurstGPT, vLLM or AIPerf.")
@click.option("--slo", help="Objectives, such as ttft=2s,tpot=50ms (p99 unless p90_ttft=... names another).")
@click.option("--plan", "plan", is_flag=False, flag_value="search", help="Split of an instance (tp=8,ep=8 or engine flags); alone: search.")
@click.option("--compare", help="Systems to search on and compare, by comma.")
@click.option("--by", type=click.Choice(["chips", "cost"]), default="chips", show_default=True, help="What the search minimises.")
@click.option("--chips", type=float, help="Chips that share the load.")
@click.option("--replicas", type=int, help="Instances that share the load.")
@click.option("--pd", help="Disaggregated: prefill and decode instances, such as 2:3.")
@click.option("--stack", help="vllm, sglang, trtllm, vllm-ascend, ...; the platform's usual one if left out.")
@click.option("--calibration", type=click.Path(), help="Engine card of your own run (w2t calibrate --from RUN).")
@click.option("--num-prompts", type=int, help="Requests to simulate.")
@click.option("--burstiness", default=1.0, show_default=True, help="Shape of the gaps: 1 Poisson, below 1 bursts.")
@click.option("--burst", help="Busy and quiet spells, such as 3:10s:50s: 3 x the rate for 10 s, then 50 s quiet.")
@click.option("--random-range-ratio", "length_spread", default=0.0, show_default=True, help="Spread of the lengths around their mean.")
@click.option("--length-distribution", type=click.Choice(["uniform", "normal", "lognormal"]), default="uniform", show_default=True)
@click.option("--random-prefix-len", "prefix_tokens", default=0, show_default=True, help="Leading tokens that all prompts share.")
@click.option("--priorities", help="Shares of the requests by class, first served first, such as 0.2,0.8.")
@click.option("--max-waiting", type=click.IntRange(1), help="Requests queued at a replica beyond which new ones are turned away.")
@click.option("--policy", type=click.Choice(["vllm", "sglang", "trtllm", "static"]), help="How batches are made; the engine's way if left out.")
@click.option("--preemption", type=click.Choice(["recompute", "swap"]), default="recompute", show_default=True)
@click.option("--no-enable-prefix-caching", "--disable-radix-cache", "no_cache", is_flag=True, help="Prompts share nothing.")
@click.option("--fail", "failures", multiple=True, help="A replica that goes down, such as 0@60s+30s; may be repeated.")
@click.option("--prefill-plan", help="Split of a prefill instance, with --pd; that of decoding if left out.")
@click.option("--router", type=click.Choice(["round_robin", "least_loaded", "prefix_aware"]), default="least_loaded", show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--tensor-parallel-size", "--tp", "--tp-size", "tensor_parallel_size", hidden=True)
@click.option("--pipeline-parallel-size", "--pp", "--pp-size", "pipeline_parallel_size", hidden=True)
@click.option("--data-parallel-size", "--dp", "--dp-size", "data_parallel_size", hidden=True)
@click.option("--ep-size", "--ep", "ep_size", hidden=True)
@click.option("--enable-expert-parallel", is_flag=True, hidden=True)
@click.option("--enforce-eager", "--disable-cuda-graph", "enforce_eager", is_flag=True, hidden=True)
@click.option("--max-num-seqs", "--max-running-requests", "max_num_seqs", hidden=True)
@click.option("--max-num-batched-tokens", "--chunked-prefill-size", "max_num_batched_tokens", hidden=True)
@click.option("--gpu-memory-utilization", "--mem-fraction-static", "gpu_memory_utilization", hidden=True)
@click.option("--kv-cache-dtype", "kv_cache_dtype", hidden=True)
@click.option("--quantization", "quantization", hidden=True)
@click.option("--dtype", "dtype", hidden=True)
@click.option("--enable-eplb", is_flag=True, hidden=True)
@click.option("--enable-dp-attention", is_flag=True, hidden=True)
@click.option("--num-redundant-experts", "--ep-num-redundant-experts", "num_redundant_experts", hidden=True)
@click.option("--num-speculative-tokens", "num_speculative_tokens", hidden=True)
@click.option("--speculative-config", "speculative_config", hidden=True)
@click.option("--speculative-num-steps", "speculative_num_steps", hidden=True)
@click.option("--speculative-num-draft-tokens", "speculative_num_draft_tokens", hidden=True)
@_ENGINE
@click.option("--expert-balance", help="Experts on their ranks: a number (busiest over mean), none (in order) or eplb (by a balancer).")
@click.option("--format", "shape", type=click.Choice(["vllm-bench", "openmetrics"]), help="Result keys of vllm bench serve, or OpenMetrics.")
@click.option("--html", "page_file", type=click.Path(dir_okay=False), help="Also write the run, or the search, as one HTML page with charts.")
@click.option("--parquet", type=click.Path(dir_okay=False), help="Write one row per request.")
@click.option("--timeline", type=click.Path(dir_okay=False), help="Write a Chrome/Perfetto trace of the first requests.")
@formats
def command(model: str, on: str | None, slo: str | None, plan: str | None, compare: str | None, by: str, shape: str | None,
            page_file: str | None, parquet: str | None, timeline: str | None, fmt: str | None, pd: str | None, config: str | None,
            expert_balance: str | None, **load: Any) -> None:  # fmt: skip
    """Serve MODEL under a load, or search the configuration for it; the flags of vLLM and SGLang are understood.

    ttft = first token - issue; tpot = (e2e - ttft) / (osl - 1); itl = gap between outputs; e2e = last token - issue.

    \b
      w2t serve llama_3_1_8b --on h100_sxm --rate 6 --isl 878 --osl 224 --slo ttft=1s,tpot=20ms
      w2t serve deepseek_v3 --on h200_sxm --concurrency 64 --tensor-parallel-size 8
      w2t serve qwen3_32b --on ascend_910c --rate 4 --slo ttft=2s,tpot=50ms --plan
      w2t serve deepseek_v3 --compare cloudmatrix384,h20,gb200_nvl72 --rate 20 --isl 4096 --osl 1024 --slo tpot=50ms
    """
    flags = _flags(load, config, expert_balance)
    if compare or plan == "search":
        _search(model, on, compare, slo or "", by, load, fmt, page_file)
        return
    if not on:
        raise click.UsageError("--on is needed (a system or chip)")
    from wafer2token.serve import serve

    settings = " ".join(filter(None, (plan, flags)))
    options = {k: load[k] for k in ("isl", "osl", "rate", "concurrency", "trace", "chips", "replicas", "stack", "num_prompts", "burstiness",
                                    "burst", "length_spread", "length_distribution", "prefix_tokens", "router", "seed", "calibration", "policy",
                                    "preemption", "max_waiting", "failures", "prefill_plan")}  # fmt: skip
    options |= {"prefix_cache": not load["no_cache"], "priorities": _shares(load["priorities"])}
    result = serve(model, on, slo=slo or (), plan=settings or None, pd=_pair(pd), **options)
    _write(result, parquet, timeline, page_file)
    _show(result, shape, fmt, None if load["trace"] else load["rate"], load["concurrency"])


def _flags(load: dict[str, Any], config: str | None, expert_balance: str | None) -> str:
    """The engine flags of the file and those that were given over them, as one string; they are taken out of ``load``."""
    import shlex

    out = [f"--{name.replace('_', '-')} {shlex.quote(str(load.pop(name)))}" for name in list(load) if name in _PASSED_ON and load[name] is not None]
    for name in _PASSED_ON:
        load.pop(name, None)
    out += [f"--{name.replace('_', '-')}" for name in _SWITCHES if load.pop(name)]
    if expert_balance:
        named = expert_balance in ("none", "eplb", "even")
        out.append("imbalance=1" if expert_balance == "even" else f"{'expert_balance' if named else 'imbalance'}={expert_balance}")
    if config:
        from wafer2token.serve.flags import read_config

        out.insert(0, read_config(config))
    return " ".join(out)


def _shares(text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise click.UsageError(f"--priorities takes shares such as 0.2,0.8, not {text!r}") from None


def _pair(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, second = text.replace("p", ":").rstrip("d:").partition(":")
    if not (first.isdigit() and second.isdigit() and int(first) and int(second)):
        raise click.UsageError(f"--pd takes prefill:decode instances such as 2:3, not {text!r}")
    return int(first), int(second)


def _write(result: Any, parquet: str | None, timeline: str | None, page_file: str | None) -> None:
    from pathlib import Path

    from wafer2token.evidence.errors import InputError, Problem
    from wafer2token.serve.export import write_parquet, write_trace

    def write_page(_: Any, file: str) -> str:
        from wafer2token.report.serve_run_page import serve_run_page

        Path(file).write_text(serve_run_page(result), encoding="utf-8")
        return file

    outputs: tuple[tuple[str | None, Any, str, str], ...] = (
        (parquet, write_parquet, "requests", "--parquet"), (timeline, write_trace, "timeline", "--timeline"), (page_file, write_page, "page", "--html"),
    )  # fmt: skip
    for file, write, what, flag in outputs:
        if not file:
            continue
        try:
            click.echo(f"{what} in {write(result.outcome, file)}", err=True)
        except OSError as error:
            raise InputError(Problem(f"cannot write the {what}: {error.strerror or error}", flag, file)) from None


def _show(result: Any, shape: str | None, fmt: str | None, rate: float | None, concurrency: int | None) -> None:
    from wafer2token.serve.export import open_metrics
    from wafer2token.serve.metrics import vllm_bench

    s = result.summary
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)
    if shape == "vllm-bench":
        emit_json(vllm_bench(s, rate, concurrency))
        return
    if shape == "openmetrics":
        click.echo(open_metrics(result.outcome, s), nl=False)
        return
    title = f"{result.model} on {result.chips:g} x {result.chip} ({result.stack}): {_split(result.plan)}, {s.requests} requests; times in ms"
    columns = {"metric": "metric", "mean": "mean", "p50": "p50", "p90": "p90", "p99": "p99"}
    if fmt in (None, "table"):
        click.echo(title)
    emit(_latencies(s) + [r for k, c in enumerate(result.classes) for r in _latencies(c, f", class {k}")], columns, "", fmt, document=result.to_dict())
    if fmt in (None, "table"):
        note = f"try it: {result.launch[0]}" + "".join(f"\n   and: {x}" for x in result.launch[1:])
        emit([{"what": m, "value": v} for m, v in _figures(result)], {"what": "figure", "value": "value"}, "", fmt, note=note)


def _latencies(summary: Any, of: str = "") -> list[dict[str, str]]:
    rows = ("ttft", "tpot", "e2e") if of else _ROWS
    return [{"metric": f"{name}{of}", **{k: figure(1e3 * getattr(getattr(summary, name), k)) for k in ("mean", "p50", "p90", "p99")}} for name in rows]


def _figures(result: Any) -> list[tuple[str, str]]:
    s = result.summary
    out = [
        ("requests/s", figure(s.request_throughput)),
        ("output tokens/s", f"{figure(s.output_throughput)} ({figure(s.output_throughput / result.chips)} per chip)"),
        ("goodput [requests/s]", figure(s.request_goodput)),
        ("mean batch", f"{s.mean_batch:.3g}"),
        ("utilisation, prefill share", f"{s.utilisation:.0%}, {s.prefill_share:.0%}"),
        ("KV in use", f"{s.kv_use:.0%}"),
        ("prefix hits", f"{s.prefix_hit_rate:.0%} of prompt tokens"),
        ("bound by", result.bound_by),
        ("power", f"{result.power_w / 1e3:.3g} kW, {result.energy_j_per_token:.3g} J per output token"),
        ("USD per million output tokens", f"{result.cost_per_mtok_usd:.3g}"),
        ("  of it by input, output token", f"{result.cost_per_mtok_input_usd:.3g}, {result.cost_per_mtok_output_usd:.3g}"),
    ]
    if not s.prefix_hit_rate:
        out = [row for row in out if row[0] != "prefix hits"]
    held = result.interval_80
    if held:
        out.append(("80% of measured runs lie within", f"tpot {_range(held['tpot'], 1e3)} ms, ttft {_range(held['ttft'], 1e3)} ms"))
        if "output_throughput" in held:
            out.append(("", f"{_range(held['output_throughput'], 1.0)} output tokens/s"))
    return out + [(f"objective {name}", "met" if ok else "missed") for name, ok in s.met.items()]


def _range(span: tuple[float, float], scale: float) -> str:
    return f"{figure(scale * span[0])} to {figure(scale * span[1])}"


def _split(plan: Any) -> str:
    parts = [f"tp{plan.tp}"] + [f"{n}{getattr(plan, n)}" for n in ("pp", "dp", "ep") if getattr(plan, n) > 1]
    drafts = f", {plan.drafts} draft{'s' if plan.drafts > 1 else ''}" if plan.drafts else ""
    balance = f", experts {plan.expert_balance}" if plan.expert_balance != "given" else ""
    return f"{' '.join(parts)} {plan.weights}{drafts}{balance}"


def _search(model: str, on: str | None, compare: str | None, slo: str, by: str, load: dict[str, Any], fmt: str | None,
            page_file: str | None) -> None:  # fmt: skip
    from wafer2token.serve.search import compare_serving, plan_serving

    if load["rate"] is None:
        raise click.UsageError("a search needs --rate")
    options = {k: load[k] for k in ("rate", "isl", "osl", "stack", "seed")}
    if load["calibration"]:
        raise click.UsageError("--calibration anchors one chip, stack and plan: it does not go with a search")
    if compare:
        names = [n for n in (on or "", *compare.split(",")) if n]
        with progress(1, "search") as step:
            found = compare_serving(model, names, slo=slo, by=by, **options)
            step("done")
        _page(found, page_file)
        rows = [_plan_row(r) if not isinstance(r, tuple) else {"on": r[0], "split": r[1].splitlines()[0]} for r in found]
        emit(rows, _COLUMNS, f"{model} at {load['rate']:g} requests/s of {load['isl']} + {load['osl']} tokens, {slo or 'no objective'}", fmt,
             document=[r.to_dict() if not isinstance(r, tuple) else {"on": r[0], "infeasible": r[1]} for r in found])  # fmt: skip
        return
    if not on:
        raise click.UsageError("--on is needed (a system or chip)")
    result = plan_serving(model, on, slo=slo, by=by, **options)
    _page([result], page_file)
    emit([_plan_row(result)], _COLUMNS, f"{model} on {on}: {result.looked_at} steady states looked at, the best ones simulated", fmt,
         document=result.to_dict(), note="try it: " + "\n   and: ".join(result.served.launch))  # fmt: skip
    if fmt is None:
        rows = [{"speed": f"{o.speed:.1f}", "chip": f"{o.tokens_per_chip:.0f}", "ttft": f"{o.ttft_s:.3g}", "usd": f"{o.cost_per_mtok_usd:.3g}",
                 "split": f"{_split(o.plan)}, {o.mode}, batch {o.batch:.0f}"} for o in _thin(result.frontier)]  # fmt: skip
        emit(rows, {"speed": "tokens/s per user", "chip": "tokens/s per chip", "ttft": "ttft [s]", "usd": "USD/Mtok out", "split": "configuration"},
             "frontier of throughput against speed (steady state)")  # fmt: skip


def _page(found: Any, page_file: str | None) -> None:
    """Write the searches that found something as a page."""
    from pathlib import Path

    from wafer2token.evidence.errors import InputError, Problem

    good = [r for r in found if not isinstance(r, tuple)]
    if not page_file or not good:
        return
    from wafer2token.report.serve_page import serve_page

    text = serve_page(good, [(r[0], r[1].splitlines()[0]) for r in found if isinstance(r, tuple)])
    try:
        Path(page_file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(Problem(f"cannot write the page: {error.strerror}", "--html", page_file)) from None
    click.echo(f"wrote {page_file}", err=True)


_COLUMNS = {"on": "system", "chips": "chips", "split": "configuration", "tok": "tokens/s per chip", "ttft": "ttft p90 [s]", "tpot": "tpot p90 [ms]",
            "usd": "USD/Mtok out", "power": "kW", "bound": "bound by"}  # fmt: skip


def _plan_row(result: Any) -> dict[str, Any]:
    s = result.served.summary
    from wafer2token.serve.search import deployment

    return {"on": result.on, "chips": f"{result.chips:g}", "split": deployment(result),
            "tok": f"{s.output_throughput / result.chips:.4g}", "ttft": f"{s.ttft.p90:.3g}", "tpot": f"{1e3 * s.tpot.p90:.3g}",
            "usd": f"{result.served.cost_per_mtok_usd:.3g}", "power": f"{result.served.power_w / 1e3:.3g}", "bound": result.served.bound_by}  # fmt: skip


def _thin(options: Any) -> list[Any]:
    step = max(len(options) // 10, 1)
    return list(options[::step])
