"""From measured block copies to calibration cards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from wafer2token.catalog import get
from wafer2token.catalog.calibration_cards import CardDraft, Fitted, write
from wafer2token.evidence.fitting import Range, quantiles_80, search
from wafer2token.fabric.copies import blocked_rate
from wafer2token.fabric.network import Fabric, fabric

SPACE: dict[str, Range] = {"per_block": (1e-8, 1e-6, 1e-4), "share": (0.05, 0.85, 1.0), "overlap": (1.0, 3.0, 8.0)}
ENGINES = (
    ("comm-domain", "hixl_communicator"),
    ("hixl_cs", "hixl"),
    ("FabricMem(AICPU", "fabricmem_aicpu"),
    ("FabricMem(Host", "fabricmem_host"),
    ("MemFabric", "memfabric"),
)
"""A word of the measured library -> the engine's name here, the first that fits."""


_USELESS = 0.45
"""Error above which an engine's fit is dropped."""


def engine_of(library: str) -> str:
    """The engine's name of a measured library; empty when unknown."""
    return next((name for word, name in ENGINES if word.lower() in library.lower()), "")


def calibrate_copies(
    rows: Iterable[Mapping[str, str]], out: Path, as_of: date, report: Callable[[str], None] = print
) -> Path | None:
    """Fit every engine, chip and tier of a collectives table with block sizes; write ``copies.toml``."""
    from wafer2token.fabric.validate import rows_of

    groups: dict[tuple[str, str, str, str], list[tuple[float, float]]] = {}
    for row in rows_of(rows):
        if row.op == "copy" and not row.skipped and not row.flag:
            span = row.span or "scale_up"
            groups.setdefault((row.system, row.per, span, engine_of(row.library)), []).append(
                (row.block, row.bytes / row.seconds)
            )
    tried = [_draft(key, points, as_of, report) for key, points in sorted(groups.items()) if len(points) >= 6]
    drafts = [d for d in tried if d.result.error <= _USELESS]
    return (
        write(out, "copies", drafts, "Block copies between two ranks; written by `w2t calibrate kernels`")
        if drafts
        else None
    )


def _draft(
    key: tuple[str, str, str, str], points: Sequence[tuple[float, float]], as_of: date, report: Callable[[str], None]
) -> CardDraft:
    system, per, span, engine = key
    fab = fabric(system, per="die" if per == "die" else "chip")
    link = _link(fab, span)
    block, rate = (np.array(c) for c in zip(*points, strict=True))

    def residual(p: Mapping[str, float]) -> np.ndarray:
        return np.asarray(
            np.log(blocked_rate(block, p["per_block"], np.asarray(link * p["share"]), p["overlap"]) / rate)
        )

    found = search(lambda p: float(np.abs(residual(p)).mean()), SPACE, 2000)
    left = residual(found)
    error = float(np.abs(np.exp(-left) - 1.0).mean())
    report(f"{fab.chip} {span} {engine}: {len(left)} points, error {error:.1%}")
    fitted = Fitted(f"copy_{span}", "", found, len(left), 0, error, *quantiles_80([left]), bias=error)
    return CardDraft(
        id=f"{fab.chip}_{engine}_{span}", name=f"{get('chip', fab.chip).name}: block copies by {engine}, {span.replace('_', '-')}",
        subject="fabric", target=fab.chip, stack=engine, result=fitted, sources=["hixl"], as_of=as_of, default=engine == "hixl",
        note="reads and writes together",
    )  # fmt: skip


def _link(fab: Fabric, span: str) -> float:
    return float(fab.pair_bandwidth if span == "scale_up" else fab.scale_out.bandwidth)
