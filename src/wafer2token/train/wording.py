"""What the words of a record say: software, attention kernel, number format, date, links between nodes, recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]
NOTED = {
    "no_cp": ("non-cp",),
    "unfused": ("no flash attention", "without flash attention"),
    "no_mtp": ("without mtp",),
    "packed": ("packed-sequence", "packed sequence"),
    "regression": ("known performance regression",),
    "recomputing": ("recompute on",),
}
"""Marks of a run and the words in its notes that say so."""
OVERLAPS = ("use-mc2", "tp comm overlap", "tp overlap", "async tp", "async-tp")
"""Listed features that run tensor-parallel traffic beside the products it belongs to."""


def software_words(record: Record) -> str:
    """Everything in a record that may name the software: framework, title, where the table lies, mode."""
    source, split = record.get("source") or {}, record.get("parallelism") or {}
    places = (source.get(key) for key in ("title", "url", "repo", "path", "section"))
    return " ".join(str(word) for word in (record.get("framework"), *places, split.get("framework_mode")) if word)


def features(record: Record) -> frozenset[str]:
    """Words about the run: its listed features, and the marks of `NOTED` that its notes bear out."""
    split = record.get("parallelism") or {}
    notes = " ".join([str(split.get("note") or ""), *(str(note) for note in record.get("notes") or ())]).lower()
    listed = {str(f).lower() for f in split.get("features") or ()}
    name = str((record.get("model") or {}).get("name", "")).lower()
    listed |= {"fused"} if re.search(r"(^|[_-])fa($|[_-])|flash", name) else set()
    return frozenset(listed | {mark for mark, words in NOTED.items() if any(word in notes for word in words)})


def told_plan(record: Record) -> dict[str, Any]:
    """What the notes say of the plan and the batch ("TP4 PP8 DP24, GBS 4224"); empty where they name no parallelism."""
    notes = " ".join(str(note) for note in record.get("notes") or ())
    sizes = {name.lower(): int(size) for name, size in re.findall(r"\b([TPD]P)\s?(\d+)\b", notes)}
    sharded = re.search(r"\bZeRO-3\b", notes)
    batch = re.search(r"\bGBS (\d+)\b", notes)
    told: dict[str, Any] = {"global_batch": int(batch[1])} if batch else {}
    if not sizes and not sharded:
        return told
    told |= {"tp": 1, "pp": 1, **sizes}
    told |= {"zero": "zero-3"} if sharded else {}
    return told | ({"recompute": "full"} if "activation checkpointing" in notes.lower() else {})


def scale_out(hardware: Record) -> float:
    """Bytes per second and device between nodes where the record states it, else 0.

    Reads "4 x Omni-Path 100 Gb/s per node", "1600 Gb/s node-to-node", "8x HDR InfiniBand 200 Gb/s per node" and the like.
    """
    text = str(hardware.get("scale_out") or "")
    node = float(hardware.get("devices_per_node") or 8)
    bundles = re.findall(r"(\d+)\s*x\s*[^,;]*?\(?(\d+)\s*Gb(?:it)?/s", text, re.IGNORECASE)
    if bundles:
        return max(float(count) * float(rate) for count, rate in bundles) / 8 * 1e9 / node
    total = re.search(r"(\d{4})\s*Gb/s", text)
    if total:
        return float(total[1]) / 8 * 1e9 / node
    single = re.search(r"(\d+)\s*Gb/s(?: per (?:NPU|GPU|device))?", text)
    return float(single[1]) / 8 * 1e9 if single and "not stated" not in text else 0.0


def precision(record: Record) -> str:
    """Training precision; bf16 where the record says nothing, but of an MLPerf submission the format that its round is known for.

    MLPerf rounds from v3 ran in 8 bits on chips that have them; from v5.1 NVIDIA's Blackwell submissions in NVFP4.
    """
    text = str(record.get("precision") or record.get("precision_label") or "").lower()
    for name in ("mxfp8", "nvfp4", "fp8", "fp4", "bf16", "fp16", "tf32", "fp32"):
        if name in text:
            return name
    mlperf = re.search(r"MLPerf Training v(\d\.\d)", title_of(record))
    if not mlperf:
        return "bf16"
    blackwell = str((record.get("hardware") or {}).get("chip_key", "")).lower().startswith(("b200", "b300", "gb"))
    return "nvfp4" if blackwell and mlperf[1] >= "5.1" else "fp8"


def year(record: Record) -> float:
    """When the software ran, as a decimal year: container or release in the title, arXiv number, first listing; 0 when unknown."""
    source = record.get("source") or {}
    title = f"{source.get('title', '')} {source.get('url', '')}"
    container = re.search(r"(?:container|NeMo|Launcher|NVIDIA)\s+(2[3-9])\.(\d\d)", title)
    arxiv = re.search(r"(?:arXiv |abs/)(2\d)(\d\d)\.\d{4,5}", title)
    listed = re.match(r"(20\d\d)-(\d\d)", str(source.get("first_seen") or source.get("snapshot_date") or ""))
    mlperf = re.search(r"MLPerf Training v(\d)\.(\d)", title)
    for match, base in ((container, 2000), (listed, 0), (arxiv, 2000)):
        if match:
            return base + int(match[1]) + (int(match[2]) - 0.5) / 12
    if mlperf:
        return 2020.4 + int(mlperf[1]) - 0 + 0.5 * int(mlperf[2])
    return 0.0


def title_of(record: Record) -> str:
    return str((record.get("source") or {}).get("title", ""))
