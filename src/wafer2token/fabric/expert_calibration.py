"""From measured expert exchange to calibration cards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wafer2token.catalog.calibration_cards import CardDraft, Fitted, write
from wafer2token.evidence.fitting import Range, quantiles_80, search
from wafer2token.fabric.calibration import version
from wafer2token.fabric.experts import direct_seconds

Array = npt.NDArray[np.float64]

SPACE: dict[str, Range] = {
    "dispatch_launch": (1e-6, 2e-5, 5e-4),
    "combine_launch": (1e-6, 2e-5, 5e-4),
    "doubling": (0.0, 7e-6, 5e-5),
    "dispatch_share": (0.02, 0.6, 1.0),
    "combine_share": (0.02, 0.6, 1.0),
}
_KNOWN = {"H800-80G": ("any", "scale_out", 50e9), "910C": ("cann", "scale_up", 196e9)}
"""Measured device -> class it speaks for, tier, and link rate per rank [B/s] (DeepEP: 400 Gbit/s NICs; UB: per die)."""
_PAYLOAD = {"fp8": 1.0, "int8": 1.0, "bf16": 2.0}


@dataclass(frozen=True)
class ExchangeTable:
    """Measured direct exchange: is it a dispatch [rows], bytes sent per rank [rows], ranks [rows], seconds [rows]."""

    target: str
    tier: str
    link: float
    dispatch: npt.NDArray[np.bool_]
    sent: Array
    ranks: Array
    seconds: Array
    source: str
    chip: bool = True


def read_aiconfigurator(folder: Path, chips: Mapping[str, str], links: Mapping[str, float]) -> Iterable[ExchangeTable]:
    """DeepEP low-latency tables of aiconfigurator (one node); ``links``: chip id -> scale-up rate per chip [B/s]."""
    import pyarrow.parquet as parquet

    for system, chip in chips.items():
        files = sorted((folder / system / "comm" / "sglang").glob("*/wideep_deepep_ll_perf.parquet"), key=version)
        if not files:
            continue
        raw = parquet.read_table(files[-1]).to_pydict()
        base = (
            np.array(raw["num_token"], float) * np.array(raw["num_topk"], float) * np.array(raw["hidden_size"], float)
        )
        size = len(base)
        yield ExchangeTable(
            chip, "scale_up", links[chip],
            np.concatenate([np.ones(size, bool), np.zeros(size, bool)]),
            np.concatenate([base, 2.0 * base]),
            np.full(2 * size, 4.0 if chip.startswith("gb") else 8.0),
            np.concatenate([np.array(raw["dispatch_avg_t_us"], float), np.array(raw["combine_avg_t_us"], float)]) * 1e-6,
            "aiconfigurator_core",
        )  # fmt: skip


def read_operators(entries: Iterable[Mapping[str, object]]) -> Iterable[ExchangeTable]:
    """Points of kind ``moe_dispatch`` and ``moe_combine`` (chip, ep, batch_per_rank, latency_us, payload), hidden 7168, top 8."""
    rows: dict[str, list[Mapping[str, object]]] = {}
    for entry in entries:
        if (
            entry.get("kind") in ("moe_dispatch", "moe_combine")
            and entry.get("latency_us")
            and entry.get("chip") in _KNOWN
        ):
            rows.setdefault(str(entry["chip"]), []).append(entry)
    for device, members in rows.items():
        target, tier, link = _KNOWN[device]
        tokens = np.array([float(str(e["batch_per_rank"])) for e in members])
        width = np.array([_PAYLOAD[str(e["payload"])] for e in members])
        yield ExchangeTable(
            target, tier, link, np.array([e["kind"] == "moe_dispatch" for e in members]), tokens * 8.0 * 7168.0 * width,
            np.array([float(str(e["ep"])) for e in members]), np.array([float(str(e["latency_us"])) for e in members]) * 1e-6,
            "expert_exchange", chip=False,
        )  # fmt: skip


def predict(table: ExchangeTable, p: Mapping[str, float]) -> Array:
    """Predicted times of the rows [s]."""
    out = np.empty(len(table.sent))
    for name, rows in (("dispatch", table.dispatch), ("combine", ~table.dispatch)):
        out[rows] = direct_seconds(
            p[f"{name}_launch"],
            p["doubling"],
            p[f"{name}_share"],
            table.sent[rows],
            table.ranks[rows],
            np.asarray(table.link),
        )
    return out


def calibrate_experts(
    tables: Iterable[ExchangeTable], out: Path, as_of: date, report: Callable[[str], None] = print
) -> Path:
    """Fit every table and write ``experts.toml``; tables of one rank count take the doubling of the others."""
    drafts: list[CardDraft] = []
    doubling = 7e-6
    for table in sorted(tables, key=lambda t: -len(np.unique(t.ranks))):
        several = len(np.unique(table.ranks)) > 1
        space = SPACE if several else {k: v for k, v in SPACE.items() if k != "doubling"}
        kept = {} if several else {"doubling": doubling}
        found = kept | search(lambda p, t=table, k=kept: _loss(t, {**k, **p}), space, 3000)  # type: ignore[misc]
        doubling = found["doubling"] if several else doubling
        residual = np.log(table.seconds / predict(table, found))
        error = float(np.abs(np.exp(-residual) - 1.0).mean())
        report(f"{table.target} experts {table.tier}: {len(residual)} points, error {error:.1%}")
        fitted = Fitted(
            f"experts_{table.tier}", "", found, len(residual), 0, error, *quantiles_80([residual]), bias=0.2
        )
        drafts.append(_draft(table, fitted, as_of))
    first = next((d for d in drafts if d.target == "h100_sxm"), drafts[0])
    if not any(d.target == "any" and d.result.family == "experts_scale_up" for d in drafts):
        drafts.append(
            replace(
                first,
                id="class_any_experts_scale_up",
                subject="class",
                target="any",
                name="Expert exchange on scale-up links without measurements",
            )
        )
    return write(out, "experts", drafts, "Expert exchange by fabric; written by `w2t calibrate kernels`")


def _loss(table: ExchangeTable, p: Mapping[str, float]) -> float:
    return float(np.abs(np.log(table.seconds / predict(table, p))).mean())


def _draft(table: ExchangeTable, fitted: Fitted, as_of: date) -> CardDraft:
    owner = table.target if table.chip else f"class_{table.target}"
    return CardDraft(
        id=f"{owner}_experts_{table.tier}", name=f"Expert exchange of {table.target}, {table.tier.replace('_', '-')}",
        subject="fabric" if table.chip else "class", target=table.target, stack="deepep", result=fitted,
        sources=[table.source], as_of=as_of, default=True, note="direct (low-latency) kernels",
    )  # fmt: skip
