"""Request traces as they are published: Azure 2023, Mooncake, BurstGPT, vLLM and AIPerf JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from wafer2token.evidence.errors import InputError, Problem, nearest

from .engine.run import Requests

MAX_PROBLEMS = 20


@dataclass
class _Lines:
    """What a reader collects: one entry per request, and every problem with its line."""

    path: Path
    arrival: list[float] = field(default_factory=list)
    isl: list[int] = field(default_factory=list)
    osl: list[int] = field(default_factory=list)
    hashes: list[list[int]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add(self, line: int, arrival: object, isl: object, osl: object, hashes: object = None) -> None:
        try:
            when, prompt, output = float(str(arrival)), int(str(isl)), int(str(osl))
        except ValueError:
            self.wrong(line, "arrival and lengths must be numbers", (arrival, isl, osl))
            return
        if prompt < 1 or output < 1 or not np.isfinite(when):
            self.wrong(line, "lengths must be at least one token", (arrival, isl, osl), "drop the line or mend it")
            return
        self.arrival.append(when)
        self.isl.append(prompt)
        self.osl.append(output)
        self.hashes.append([int(h) for h in hashes] if isinstance(hashes, list) else [])

    def wrong(self, line: int, what: str, got: object, remedy: str = "") -> None:
        self.problems.append(Problem(what, f"{self.path.name}:{line}", got, remedy=remedy))

    def requests(self, hash_tokens: int = 0) -> Requests:
        if self.problems:
            more = len(self.problems) - MAX_PROBLEMS
            tail = [Problem(f"and {more} more lines like these", self.path.name)] if more > 0 else []
            raise InputError([*self.problems[:MAX_PROBLEMS], *tail])
        if not self.arrival:
            raise InputError(Problem("the trace holds no request", self.path.name))
        arrival = np.array(self.arrival)
        order = np.argsort(arrival, kind="stable")
        hashes = [self.hashes[i] for i in order]
        start = np.concatenate([[0], np.cumsum([len(h) for h in hashes])]).astype(np.int64)
        flat = np.array([h for hs in hashes for h in hs], np.int32) if hash_tokens else None
        return Requests(
            arrival[order] - arrival.min(), np.array(self.isl, np.int32)[order], np.array(self.osl, np.int32)[order],
            hashes=flat, hash_start=start if hash_tokens else None, hash_tokens=hash_tokens, name=self.path.stem,
        )  # fmt: skip


def read_trace(path: str | Path, limit: int | None = None) -> Requests:
    """A trace file by what its first line shows; raises InputError naming file, line and remedy."""
    file = Path(path)
    if not file.is_file():
        raise InputError(Problem("no such trace file", str(path)))
    with file.open(encoding="utf-8-sig") as handle:
        first = handle.readline().strip()
    reader = _reader(first, file)
    return reader(file, limit)


def _reader(first: str, file: Path) -> Callable[[Path, int | None], Requests]:
    if first.startswith("{"):
        try:
            keys = set(json.loads(first))
        except json.JSONDecodeError:
            keys = set()
        for needed, reader in JSON_FORMATS:
            if needed <= keys:
                return reader
    else:
        columns = [c.strip() for c in first.split(",")]
        for names, reader in CSV_FORMATS:
            if names <= set(columns):
                return reader
        close = nearest(columns[0], [n for names, _ in CSV_FORMATS for n in names])
        if close:
            raise InputError(Problem("unknown trace columns", f"{file.name}:1", first[:120], ALLOWED, f"did you mean {close[0]!r}?"))
    raise InputError(Problem("not a trace format that is known", f"{file.name}:1", first[:120], ALLOWED))


def _json_lines(lines: _Lines, limit: int | None) -> Iterator[tuple[int, dict[str, Any]]]:
    with lines.path.open(encoding="utf-8-sig") as handle:
        for number, text in enumerate(handle, start=1):
            if limit is not None and len(lines.arrival) >= limit:
                return
            if not text.strip():
                continue
            try:
                record = json.loads(text)
            except json.JSONDecodeError as error:
                lines.wrong(number, f"not JSON ({error.msg} at column {error.colno})", text.strip()[:80], "mend or drop the line")
                continue
            if isinstance(record, dict):
                yield number, record
            else:
                lines.wrong(number, "not a JSON object", text.strip()[:80])


def _csv_rows(lines: _Lines, limit: int | None) -> Iterator[tuple[int, dict[str, str]]]:
    with lines.path.open(encoding="utf-8-sig", newline="") as handle:
        for number, row in enumerate(csv.DictReader(handle), start=2):
            if limit is not None and len(lines.arrival) >= limit:
                return
            if any(v is None for v in row.values()):
                lines.wrong(number, "a column is missing", ",".join(v or "" for v in row.values())[:80])
                continue
            yield number, row


def read_azure(path: Path, limit: int | None = None) -> Requests:
    """Azure LLM inference trace 2023: TIMESTAMP, ContextTokens, GeneratedTokens."""
    lines = _Lines(path)
    for number, row in _csv_rows(lines, limit):
        try:
            when = datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp()
        except ValueError:
            lines.wrong(number, "not a timestamp", row["TIMESTAMP"], "write it as 2023-11-16 18:17:03.979960")
            continue
        lines.add(number, when, row["ContextTokens"], row["GeneratedTokens"])
    return lines.requests()


def read_burstgpt(path: Path, limit: int | None = None) -> Requests:
    """BurstGPT: Timestamp [s], Model, Request tokens, Response tokens, ...; failed requests (no response) are left out."""
    lines = _Lines(path)
    for number, row in _csv_rows(lines, limit):
        if row["Response tokens"].strip() not in {"", "0"}:
            lines.add(number, row["Timestamp"], row["Request tokens"], row["Response tokens"])
    return lines.requests()


def read_mooncake(path: Path, limit: int | None = None) -> Requests:
    """Mooncake (FAST'25) and AIPerf: timestamp [ms], input_length, output_length, hash_ids of 512-token blocks."""
    lines = _Lines(path)
    hashed = False
    for number, row in _json_lines(lines, limit):
        hashed = hashed or bool(row.get("hash_ids"))
        when = row.get("timestamp", 0)
        seconds = when / 1000 if isinstance(when, (int, float)) else when
        lines.add(number, seconds, row.get("input_length"), row.get("output_length"), row.get("hash_ids"))
    return lines.requests(512 if hashed else 0)


def read_requests_log(path: Path, limit: int | None = None) -> Requests:
    """Per-request log of a vLLM run: arrival_time [s], input_toks, output_toks."""
    lines = _Lines(path)
    for number, row in _json_lines(lines, limit):
        lines.add(number, row.get("arrival_time"), row.get("input_toks"), row.get("output_toks"))
    return lines.requests()


def read_vllm(path: Path, limit: int | None = None) -> Requests:
    """A vLLM custom dataset by lengths: prompt_len (or input_len), output_len, optional timestamp [s]."""
    lines = _Lines(path)
    for number, row in _json_lines(lines, limit):
        prompt = row.get("prompt_len", row.get("input_len"))
        lines.add(number, row.get("timestamp", 0.0), prompt, row.get("output_len"))
    return lines.requests()


def read_aiperf(path: Path, limit: int | None = None) -> Requests:
    """AIPerf profile_export.jsonl: metadata.request_start_ns, metrics.input_sequence_length and output_sequence_length."""
    lines = _Lines(path)
    for number, row in _json_lines(lines, limit):
        meta, metrics = row.get("metadata", {}), row.get("metrics", {})
        when = meta.get("request_start_ns")
        prompt, output = (metrics.get(k, {}).get("value") for k in ("input_sequence_length", "output_sequence_length"))
        lines.add(number, when / 1e9 if isinstance(when, (int, float)) else when, prompt, output)
    return lines.requests()


JSON_FORMATS: list[tuple[set[str], Callable[[Path, int | None], Requests]]] = [
    ({"input_toks", "output_toks", "arrival_time"}, read_requests_log),
    ({"input_length", "output_length"}, read_mooncake),
    ({"metadata", "metrics"}, read_aiperf),
    ({"prompt_len", "output_len"}, read_vllm),
    ({"input_len", "output_len"}, read_vllm),
]
CSV_FORMATS: list[tuple[set[str], Callable[[Path, int | None], Requests]]] = [
    ({"TIMESTAMP", "ContextTokens", "GeneratedTokens"}, read_azure),
    ({"Timestamp", "Request tokens", "Response tokens"}, read_burstgpt),
]
ALLOWED = "Azure 2023 CSV, BurstGPT CSV, Mooncake JSONL, AIPerf profile_export.jsonl, vLLM request log or length JSONL"
