"""From measured collectives to calibration cards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import get
from wafer2token.catalog.calibration_cards import CardDraft, Fitted, write
from wafer2token.evidence.errors import InputError, Problem
from wafer2token.evidence.fitting import Range, quantiles_80, search
from wafer2token.fabric.collectives import TierFit
from wafer2token.fabric.network import Fabric, fabric
from wafer2token.fabric.timing import collective_time

Array = npt.NDArray[np.float64]

_RING: dict[str, Range] = {
    "launch": (0.0, 5e-6, 1e-4),
    "hop": (0.0, 8e-7, 2e-5),
    "low_share": (0.01, 0.3, 1.0),
    "knee": (0.0, 1e-5, 1e-3),
    "share": (0.01, 0.8, 1.0),
    "rank_power": (-2.5, 0.1, 0.5),
}
_ALL_REDUCE: dict[str, Range] = {"fused": (0.5, 0.9, 1.0)}
_SWITCH: dict[str, Range] = {"switch_latency": (1e-6, 3e-5, 1e-3), "switch_share": (0.05, 0.55, 1.0)}
_EXCHANGE: dict[str, Range] = {
    "exchange_launch": (0.0, 6e-6, 1e-3),
    "exchange_hop": (0.0, 3e-7, 2e-5),
    "exchange_low_share": (0.005, 0.3, 1.0),
    "exchange_knee": (0.0, 1e-5, 1e-3),
    "exchange_share": (0.01, 0.7, 1.0),
}
OPERATIONS = {"all_gather", "reduce_scatter", "all_reduce", "all_to_all"}


@dataclass(frozen=True)
class CollectiveTable:
    """Measured collectives on one fabric: operation [rows], bytes [rows], ranks [rows], seconds [rows]."""

    chip: str
    tier: str
    op: npt.NDArray[np.str_]
    bytes: Array
    ranks: Array
    seconds: Array
    source: str
    version: str = ""

    def where(self, keep: npt.NDArray[np.bool_]) -> CollectiveTable:
        """The rows of a mask."""
        return replace(
            self, op=self.op[keep], bytes=self.bytes[keep], ranks=self.ranks[keep], seconds=self.seconds[keep]
        )

    def halves(self) -> tuple[CollectiveTable, CollectiveTable]:
        """Every second message size is fitted, the others are held out."""
        sizes = np.unique(self.bytes)
        fitted = np.isin(self.bytes, sizes[::2])
        return self.where(fitted), self.where(~fitted)


def read_aiconfigurator(folder: Path, chips: Mapping[str, str]) -> Iterable[CollectiveTable]:
    """The nccl tables of aiconfigurator, newest version per system, half precision; sizes there are in elements."""
    import pyarrow.parquet as parquet

    names = {"alltoall": "all_to_all"}
    for system, chip in chips.items():
        files = sorted((folder / system / "comm" / "nccl").glob("*/nccl_perf.parquet"), key=version)
        if not files:
            continue
        table = parquet.read_table(files[-1]).to_pydict()
        keep = np.array([d == "half" for d in table["nccl_dtype"]]) & (np.array(table["latency"], float) > 0)
        op = np.array([names.get(o, o) for o in table["op_name"]])[keep]
        size = np.array(table["message_size"], float)[keep] * 2.0
        yield CollectiveTable(
            chip, "scale_up", op, size, np.array(table["num_gpus"], float)[keep],
            np.array(table["latency"], float)[keep] * 1e-3, "aiconfigurator_core", f"NCCL {files[-1].parent.name}",
        )  # fmt: skip


def version(file: Path) -> tuple[int, ...]:
    """The version in the name of a file's folder, to sort by."""
    return tuple(int(d) for d in file.parent.name.split(".") if d.isdigit())


def read_nccl_tests(path: Path, op: str, ranks: int, chip: str, tier: str = "scale_up") -> CollectiveTable:
    """The text that nccl-tests prints: rows of size (B), count, type, redop, root, then out-of-place time (us) and busbw.

    Raises:
        InputError: no row of measurements in the file.
    """
    rows: list[tuple[float, float]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if len(words) >= 8 and words[0].isdigit() and words[1].isdigit():
            numbers = [w for w in words[2:] if _is_number(w)]
            offset = 1 if numbers and numbers[0].lstrip("-").isdigit() else 0
            rows.append((float(words[0]), float(numbers[offset]) * 1e-6))
    if not rows:
        raise InputError(Problem("no nccl-tests rows", str(path), remedy="give the text that all_reduce_perf prints"))
    sizes, seconds = (np.array(c) for c in zip(*rows, strict=True))
    return CollectiveTable(
        chip, tier, np.full(len(sizes), op), sizes, np.full(len(sizes), float(ranks)), seconds, "user"
    )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def fit_tier(table: CollectiveTable, evaluations: int = 3000) -> Fitted:
    """The parameters of one tier: rings first, then the all-reduce, then the exchange; half of the sizes held out."""
    base = fabric(table.chip)
    fitted, held = table.halves()
    found: dict[str, float] = {
        "launch": 0.0, "hop": 0.0, "low_share": 1.0, "knee": 0.0, "share": 1.0, "rank_power": 0.0, "fused": 1.0, "exchange_launch": 0.0,
        "exchange_hop": 0.0, "exchange_low_share": 1.0, "exchange_knee": 0.0, "exchange_share": 1.0, "switch_latency": 1.0, "switch_share": 1.0, "switch_ranks": 1e9,
    }  # fmt: skip
    rings = [op for op in ("all_gather", "reduce_scatter") if np.any(table.op == op)]
    found |= _stage(base, fitted, tuple(rings) or ("all_reduce",), _RING, found, evaluations)
    if rings and np.any(table.op == "all_reduce"):
        found |= _all_reduce_stage(base, fitted, found, evaluations)
    if np.any(table.op == "all_to_all"):
        found |= _stage(base, fitted, ("all_to_all",), _EXCHANGE, found, evaluations)
    else:
        found |= {f"exchange_{k}": found[k] for k in ("launch", "hop", "low_share", "knee", "share")}
    residual = log_ratio(base, held, found)
    return Fitted(
        table.tier, "", found, points=len(table.bytes), held_out=len(held.bytes),
        error=float(np.median(np.abs(np.exp(-residual) - 1.0))), low=quantiles_80([residual])[0], high=quantiles_80([residual])[1],
        bias=float(np.std([np.median(log_ratio(base, held.where(held.op == o), found)) for o in np.unique(held.op)])),
    )  # fmt: skip


def _all_reduce_stage(
    base: Fabric, table: CollectiveTable, found: dict[str, float], evaluations: int
) -> dict[str, float]:
    """Ring only, or with the switch from each possible rank count: what fits best."""
    reduce = table.where(table.op == "all_reduce")
    best: tuple[float, dict[str, float]] | None = None
    for least in (1e9, *np.unique(reduce.ranks)[np.unique(reduce.ranks) > 2]):
        space = _ALL_REDUCE if least == 1e9 else _ALL_REDUCE | _SWITCH
        trial = found | {"switch_ranks": float(least)}
        trial |= _stage(base, reduce, ("all_reduce",), space, trial, evaluations)
        loss = float(np.abs(log_ratio(base, reduce, trial)).mean()) * (1.0 if least == 1e9 else 1.02)
        if best is None or loss < best[0]:
            best = loss, trial
    assert best is not None
    return best[1]


def _stage(
    base: Fabric, table: CollectiveTable, ops: Sequence[str], space: Mapping[str, Range], found: Mapping[str, float],
    evaluations: int,
) -> dict[str, float]:  # fmt: skip
    rows = table.where(np.isin(table.op, list(ops)))
    return search(lambda p: float(np.abs(log_ratio(base, rows, {**found, **p})).mean()), space, evaluations)


def with_parameters(base: Fabric, tier: str, parameters: Mapping[str, float]) -> Fabric:
    """The fabric with these parameters on one tier."""
    fit = TierFit(**dict(parameters))
    changed: Any = {tier: replace(getattr(base, tier), fit=fit)}
    return replace(base, **changed)


def log_ratio(base: Fabric, table: CollectiveTable, parameters: Mapping[str, float]) -> Array:
    """ln(measured / predicted) of the rows of a table under parameters."""
    fab = with_parameters(base, table.tier, parameters)
    out = np.empty(len(table.bytes))
    for op in np.unique(table.op):
        rows = table.op == op
        out[rows] = np.log(
            table.seconds[rows] / collective_time(fab, str(op), table.bytes[rows], table.ranks[rows], span="scale_up")
        )
    return out


def calibrate_fabrics(
    tables: Iterable[CollectiveTable], out: Path, as_of: date, report: Callable[[str], None] = print
) -> Path:
    """Fit every fabric with measurements and write ``fabrics.toml``."""
    drafts: list[CardDraft] = []
    for table in tables:
        fitted = fit_tier(table)
        report(f"{table.chip} {table.tier}: {fitted.points} points, held-out median error {fitted.error:.1%}")
        drafts.append(CardDraft(
            id=f"{table.chip}_{table.tier}", name=f"{get('chip', table.chip).name}: collectives, {table.tier.replace('_', '-')}",
            subject="fabric", target=table.chip, stack="nccl", result=fitted, sources=[table.source], as_of=as_of,
            default=True, note=f"{table.version}; error is the median over held-out sizes",
        ))  # fmt: skip
    return write(out, "fabrics", drafts, "Collectives by fabric; written by `w2t calibrate kernels`")
