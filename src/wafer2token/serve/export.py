"""Results for other tools: per-request Parquet, OpenMetrics text, Chrome trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .engine import state as s
from .engine.run import Outcome
from .metrics import Summary, latencies

BUCKETS = {
    "time_to_first_token": ("ttft", (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0)),
    "time_per_output_token": ("tpot", (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)),
    "e2e_request_latency": ("e2e", (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0)),
}  # fmt: skip
STATUS = {s.PENDING: "unfinished", s.DONE: "completed", s.REJECTED: "rejected", s.LOST: "lost"}


def write_parquet(outcome: Outcome, path: str | Path) -> Path:
    """One row per request: lengths, times [s], replica, cached tokens, preemptions, status."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    q = outcome.requests
    none = outcome.status != s.DONE

    def times(values: Any) -> Any:
        return pa.array(values, mask=np.asarray(values) < 0)

    table = pa.table({
        "arrival_s": np.asarray(q.arrival_s), "input_tokens": np.asarray(q.isl), "output_tokens": np.asarray(q.osl),
        "issue_s": times(outcome.issue_s), "start_s": times(outcome.start_s), "first_token_s": times(outcome.first_s),
        "finish_s": times(outcome.finish_s), "ttft_s": pa.array(outcome.first_s - outcome.issue_s, mask=none),
        "e2e_s": pa.array(outcome.finish_s - outcome.issue_s, mask=none),
        "replica": np.asarray(outcome.replica), "cached_tokens": np.asarray(outcome.hit_tokens),
        "preemptions": np.asarray(outcome.preemptions), "status": [STATUS[int(x)] for x in outcome.status],
    })  # fmt: skip
    file = Path(path)
    pq.write_table(table, file, compression="zstd")
    return file


def open_metrics(outcome: Outcome, summary: Summary, prefix: str = "w2t") -> str:
    """The simulated window as an OpenMetrics exposition, with vLLM's metric names under our prefix."""
    lines: list[str] = []

    def gauge(name: str, value: float, text: str) -> None:
        lines.extend([f"# TYPE {prefix}:{name} gauge", f"# HELP {prefix}:{name} {text}", f"{prefix}:{name} {value:.10g}"])

    def counter(name: str, value: float, text: str) -> None:
        lines.extend([f"# TYPE {prefix}:{name} counter", f"# HELP {prefix}:{name} {text}", f"{prefix}:{name}_total {value:.10g}"])

    gauge("num_requests_running", summary.mean_batch, "Mean decoding requests per busy replica.")
    gauge("kv_cache_usage_perc", summary.kv_use, "Mean share of KV blocks in use.")
    gauge("utilisation_ratio", summary.utilisation, "Share of time the replicas work.")
    counter("prompt_tokens", summary.input_tokens, "Prompt tokens of completed requests.")
    counter("generation_tokens", summary.output_tokens, "Tokens generated for completed requests.")
    counter("request_success", summary.completed, "Completed requests.")
    counter("num_preemptions", summary.preemptions, "Preemptions.")
    values = latencies(outcome)
    for name, (key, bounds) in BUCKETS.items():
        full = f"{prefix}:{name}_seconds"
        lines += [f"# TYPE {full} histogram", f"# UNIT {full} seconds", f"# HELP {full} Simulated {key}."]
        sample = np.sort(values[key])
        lines += [f'{full}_bucket{{le="{b:g}"}} {int(np.searchsorted(sample, b, side="right"))}' for b in bounds]
        lines += [f'{full}_bucket{{le="+Inf"}} {len(sample)}', f"{full}_count {len(sample)}", f"{full}_sum {float(sample.sum()):.10g}"]
    return "\n".join([*lines, "# EOF"]) + "\n"


def chrome_trace(outcome: Outcome, most: int = 2000) -> dict[str, Any]:
    """The first requests as a timeline: one process per replica, lanes in which slices nest; microseconds."""
    shown = np.flatnonzero(outcome.status == s.DONE)[:most]
    order = shown[np.argsort(outcome.issue_s[shown], kind="stable")]
    zero = float(outcome.issue_s[order].min()) if len(order) else 0.0
    free: dict[int, list[float]] = {}
    events: list[dict[str, Any]] = []
    for i in order:
        replica = int(outcome.replica[i])
        begin, start, first, end = (1e6 * (float(x[i]) - zero) for x in (outcome.issue_s, outcome.start_s, outcome.first_s, outcome.finish_s))
        lanes = free.setdefault(replica, [])
        lane = next((k for k, until in enumerate(lanes) if until <= begin), len(lanes))
        lanes[lane : lane + 1] = [end]
        where = {"pid": replica, "tid": lane, "ph": "X", "cat": "request"}
        detail = {"request": int(i), "input_tokens": int(outcome.requests.isl[i]), "output_tokens": int(outcome.requests.osl[i]),
                  "cached_tokens": int(outcome.hit_tokens[i])}  # fmt: skip
        events.append({**where, "name": f"request {int(i)}", "ts": begin, "dur": end - begin, "args": detail})
        for name, one, other in (("queued", begin, start), ("prefill", start, first), ("decode", first, end)):
            if other > one:
                events.append({**where, "name": name, "ts": one, "dur": other - one})
    names = [{"ph": "M", "name": "process_name", "pid": r, "args": {"name": f"replica {r}"}} for r in sorted(free)]
    return {"traceEvents": names + events, "displayTimeUnit": "ms"}


def write_trace(outcome: Outcome, path: str | Path, most: int = 2000) -> Path:
    """Write chrome_trace as JSON for Chrome or Perfetto."""
    file = Path(path)
    file.write_text(json.dumps(chrome_trace(outcome, most)))
    return file
