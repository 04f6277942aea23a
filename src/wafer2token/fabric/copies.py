"""Copies between two ranks by a transfer engine, block by block (KV caches, checkpoints)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import all_cards
from wafer2token.evidence.errors import EvidenceError, InputError, Problem, unknown
from wafer2token.fabric.network import Fabric

Array = npt.NDArray[np.float64]


def blocked_rate(block: Array, per_block: float, reached: Array, overlap: float) -> Array:
    """Rate of a stream of blocks: (per_block^p + (block / reached)^p)^(-1/p) blocks a second, in bytes [B/s].

    Args:
        block: bytes of a block.
        per_block: seconds that issuing one block takes.
        reached: rate of an endless block [B/s].
        overlap: exponent p; large means that issuing hides behind the transfer.
    """
    larger = np.maximum(per_block, block / reached)
    smaller = np.minimum(per_block, block / reached)
    return np.asarray(block / (larger * (1.0 + (smaller / larger) ** overlap) ** (1.0 / overlap)))


def copy_time(
    fab: Fabric, bytes: npt.ArrayLike, block_bytes: npt.ArrayLike, span: str = "scale_up", engine: str | None = None
) -> Array:
    """Time to copy ``bytes`` from one rank to another in blocks [s]; arguments broadcast.

    Args:
        fab: the fabric.
        bytes: to copy [B].
        block_bytes: of one block [B].
        span: "scale_up" or "scale_out".
        engine: transfer engine (a stack of the calibration cards of family ``copy_scale_up`` or ``copy_scale_out``);
            None for the default.

    Raises:
        InputError: sizes of zero or less, unknown span or engine.
        EvidenceError: no measured engine for the chip's class.
    """
    if span not in ("scale_up", "scale_out"):
        raise InputError(unknown("span", span, ["scale_up", "scale_out"]))
    size, block = np.asarray(bytes, dtype=float), np.asarray(block_bytes, dtype=float)
    if not (np.all(size > 0) and np.all(block > 0)):
        raise InputError(Problem("a size of zero or less", "bytes", allowed="above zero"))
    card = _engine(fab.chip, span, engine)
    link = fab.pair_bandwidth if span == "scale_up" else fab.scale_out.bandwidth
    reached = np.asarray(link) * float(card.ratios["share"])
    return np.asarray(
        size / blocked_rate(block, float(card.times["per_block"]), reached, float(card.ratios["overlap"]))
    )


def engines(chip: str, span: str) -> list[Any]:
    """Calibration cards of the engines measured on chips of the same die design, the default first."""
    area = all_cards("chip")[chip].die_area
    cards = [c for c in all_cards("calibration").values() if c.family == f"copy_{span}"]
    same = [c for c in cards if c.target == chip] or [
        c for c in cards if area is not None and (other := all_cards("chip")[c.target].die_area) is not None
        and float(other) == float(area)
    ]  # fmt: skip
    return sorted(same, key=lambda c: (not c.default, c.stack))


def _engine(chip: str, span: str, engine: str | None) -> Any:
    known = engines(chip, span)
    if not known:
        raise EvidenceError(f"no transfer engine was measured on {chip} ({span})")
    if engine is None:
        return known[0]
    for card in known:
        if card.stack == engine:
            return card
    raise InputError(unknown("transfer engine", engine, sorted({c.stack for c in known})))
