"""Collectives held against published measurements."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from wafer2token.catalog import all_cards, get
from wafer2token.evidence.errors import EvidenceError, InfeasibleError, InputError
from wafer2token.evidence.tables import shipped_tables
from wafer2token.evidence.validation import Point
from wafer2token.fabric.copies import copy_time, engines
from wafer2token.fabric.copy_calibration import engine_of
from wafer2token.fabric.network import Fabric, Tier, fabric
from wafer2token.fabric.timing import Span, collective_time, combine_time, dispatch_time

_OPS = {"all_reduce": "all_reduce", "allreduce": "all_reduce", "all_gather": "all_gather", "reduce_scatter": "reduce_scatter",
        "alltoall": "all_to_all", "all_to_all": "all_to_all", "broadcast": "broadcast", "send_recv": "p2p", "p2p": "p2p"}  # fmt: skip
_EXPERT = {"ep_dispatch": dispatch_time, "ep_combine": combine_time, "dispatch": dispatch_time, "combine": combine_time}
_TOKENS, _HIDDEN, _TOP_K = 128.0, 7168.0, 8.0
"""What expert-exchange benchmarks send per rank unless the row says otherwise (DeepSeek-V3, 128 tokens a rank)."""
_COPIED = 128.0 * 2**20
"""Bytes that copy benchmarks move unless the row says otherwise."""
_BASE_SHARE = 0.8
"""Share of the link rate that the latency-free baseline assumes."""


@dataclass(frozen=True)
class Row:
    """One measured collective, or the reason why it cannot be predicted (``skipped``)."""

    id: str
    system: str = ""
    per: str = "chip"
    op: str = ""
    bytes: float = math.nan
    ranks: float = math.nan
    per_node: float = math.nan
    seconds: float = math.nan
    library: str = ""
    flag: str = ""
    source: str = ""
    skipped: str = ""
    span: str = ""
    block: float = math.nan
    graph: bool = False


def is_collectives(table: Sequence[Mapping[str, str]]) -> bool:
    """Whether a table has the columns of collectives."""
    return {"op", "ranks"} <= set(table[0]) and "m" not in table[0]


def shipped() -> list[Row]:
    """The measured collectives that come with the package."""
    return [row for name, table in shipped_tables("wafer2token.fabric") for row in rows_of(table, name)]


def rows_of(table: Iterable[Mapping[str, str]], name: str = "row") -> list[Row]:
    """Every row of a collectives table (columns as in docs/points.md), in order."""
    return [_row(raw, f"{name}-{i:04d}") for i, raw in enumerate(table, 1)]


def _row(raw: Mapping[str, str], default_id: str) -> Row:
    identity, source, flag = raw.get("id") or default_id, raw.get("source", ""), raw.get("quality_flag", "")

    def skip(reason: str) -> Row:
        return Row(identity, source=source, skipped=reason)

    if raw.get("grade") in ("derived", "estimate") or flag == "alpha_beta_parameters":
        return skip("estimated, or parameters of another model, not a measurement")
    name = raw.get("op", "")
    if name not in _OPS and name not in _EXPERT and not name.startswith("p2p_"):
        return skip(f"unknown collective {name!r}")
    if name.startswith("p2p_") and ("latency" in name or "RH" in name or name[-1:] == "H"):
        return skip("load and store latency or transfer with the host: not a collective between ranks")
    system, per = resolve_system(raw.get("system", ""))
    if not system:
        return skip(f"no system card for {raw.get('system', '')!r}")
    try:
        ranks = float(raw.get("ranks") or math.nan)
        nodes = float(raw.get("nodes") or 1)
        size = float(raw.get("message_bytes") or math.nan)
        block = float(raw.get("block_bytes") or math.nan)
        size = _COPIED if math.isnan(size) and not math.isnan(block) else size
        seconds = _seconds(raw, name, size, ranks)
    except ValueError as error:
        return skip(f"not a number: {error}")
    if math.isnan(ranks) or ranks < 2:
        return skip("no rank count of two or more")
    if name not in _EXPERT and (math.isnan(size) or math.isnan(seconds)):
        return skip("no message size, or neither latency nor bandwidth")
    if name in _EXPERT and math.isnan(seconds):
        return skip("no latency of the exchange")
    span = "scale_out" if "scale-out" in raw.get("scope", "") and nodes <= 1 else ""
    op = _OPS.get(name, name if name in _EXPERT else "p2p" if math.isnan(block) else "copy")
    if op == "copy" and "RoCE" in raw.get("scope", ""):
        span = "scale_out"
    return Row(
        identity,
        system,
        per,
        op,
        size,
        ranks,
        ranks / nodes,
        seconds,
        raw.get("library", ""),
        flag,
        source,
        "",
        span,
        block,
        "graph" in raw.get("library", "").lower() or "aiconfigurator" in f"{source} {raw.get('library', '')}".lower(),
    )


def _seconds(raw: Mapping[str, str], op: str, size: float, ranks: float) -> float:
    if raw.get("latency_us"):
        return float(raw["latency_us"]) * 1e-6
    if raw.get("algbw_GBps"):
        return size / (float(raw["algbw_GBps"]) * 1e9)
    if raw.get("busbw_GBps"):
        factor = (
            2.0 * (ranks - 1.0) / ranks
            if _OPS.get(op) == "all_reduce"
            else (ranks - 1.0) / ranks
            if _OPS.get(op) in ("all_gather", "reduce_scatter", "all_to_all")
            else 1.0
        )
        return size * factor / (float(raw["busbw_GBps"]) * 1e9)
    return math.nan


_KNOWN = (("cloudmatrix384", "cloudmatrix384"), ("cloudmatrix", "cloudmatrix384"), ("ascend a3", "atlas_900_a3"), ("ascend a2", "atlas_800t_a2"), ("ascend 910b", "atlas_800t_a2"),
          ("gb200 nvl72", "gb200_nvl72"), ("gb300 nvl72", "gb300_nvl72"), ("h200", "hgx_h200"), ("h100", "dgx_h100"), ("h800", "hgx_h800"),
          ("h20", "hgx_h20"), ("a100", "dgx_a100"), ("b200", "dgx_b200"), ("b300", "dgx_b300"))  # fmt: skip


@cache
def resolve_system(name: str) -> tuple[str, str]:
    """System (or chip) id and "chip" or "die" of a measured system's name; an empty id when no card speaks of it."""
    low = name.lower()
    for kind in ("system", "chip"):
        for candidate in (name, re.sub(r"\s*(\(.*|x\d+.*|\d+x\d+.*)$", "", name).strip()):
            try:
                card = get(kind, candidate)
            except InputError:
                continue
            return card.id, _per(card.chip if kind == "system" else card.id, low)
    if "not stated" in low or "pcie" in low:
        return "", "chip"
    for word, system in _KNOWN:
        if re.search(rf"\b{re.escape(word)}(?![a-z])", low) and system in all_cards("system"):
            return system, _per(get("system", system).chip, low)
    return "", "chip"


def _per(chip: str, name: str) -> str:
    dies = all_cards("chip")[chip].compute_dies if chip in all_cards("chip") else None
    return "die" if dies is not None and float(dies) > 1 and "ascend" in chip and "package" not in name else "chip"


def collective_points(rows: Sequence[Row]) -> list[Point]:
    """A prediction, an interval and a baseline for every row; rows that cannot be expressed keep their reason."""
    return [_point(row) for row in rows]


def _point(row: Row) -> Point:
    group = f"{row.system or 'other'} collectives" + (" (flagged)" if row.flag else "")
    if row.skipped:
        return Point(row.id, group, row.seconds, skipped=row.skipped, source=row.source)
    try:
        fab = _fabric(row.system, row.per)
        time = _time(fab, row)
    except (InputError, InfeasibleError, EvidenceError) as error:
        return Point(row.id, group, row.seconds, skipped=str(error).splitlines()[0], source=row.source)
    tier = (
        fab.scale_out
        if row.span == "scale_out" or (row.ranks > row.per_node >= 1 and row.ranks > fab.scale_up.size)
        else fab.scale_up
    )
    low, high = min(tier.low, 0.0), max(tier.high, 0.0)
    if tier.basis == "calibrated":
        low, high = -math.hypot(low, tier.bias), math.hypot(high, tier.bias)
    if row.op == "copy":
        fit = next(
            (c.fit for c in engines(fab.chip, row.span or "scale_up") if c.stack == engine_of(row.library)), None
        )
        low, high = (min(float(fit.low), 0.0), max(float(fit.high), 0.0)) if fit else (low, high)
    size = row.bytes if not math.isnan(row.bytes) else _TOKENS * _HIDDEN * _TOP_K
    tags = (
        (f"flagged: {row.flag}",)
        if row.flag
        else ("collectives", f"{row.op}", f"collectives, {tier.basis}", _size_class(size))
    )
    return Point(row.id, group, row.seconds, time, time * math.exp(low), time * math.exp(high), "s",
                 baseline=_baseline(tier, row, size), source=row.source, tags=tags)  # fmt: skip


@cache
def _fabric(system: str, per: str) -> Fabric:
    return fabric(system, per="die" if per == "die" else "chip")


def _time(fab: Fabric, row: Row) -> float:
    if row.op == "copy":
        return float(copy_time(fab, row.bytes, row.block, row.span or "scale_up", engine_of(row.library) or None))
    if row.op in _EXPERT:
        return float(_EXPERT[row.op](fab, _TOKENS, _HIDDEN, _TOP_K, row.ranks))
    per_node = row.per_node if row.per_node >= 1 and row.ranks > fab.scale_up.size else None
    span: Span | None = "scale_out" if row.span == "scale_out" else None
    time = collective_time(fab, row.op, row.bytes, row.ranks, span=span, ranks_per_node=per_node, graph=row.graph)
    return float(time)


def _baseline(tier: Tier, row: Row, size: float) -> float:
    n = row.ranks
    factor = {"all_reduce": 2.0 * (n - 1.0) / n, "p2p": 1.0, "copy": 1.0, "broadcast": 1.0}.get(row.op, (n - 1.0) / n)
    return factor * size / (_BASE_SHARE * float(tier.bandwidth)) if float(tier.bandwidth) > 0 else math.nan


def _size_class(size: float) -> str:
    if size <= 2**20:
        return "collectives up to 1 MiB"
    return "collectives up to 64 MiB" if size <= 2**26 else "collectives over 64 MiB"
