"""Rows of replayed kernels whose data never left the last-level cache: they say nothing of reading memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import get
from wafer2token.chip.calibration.tables import KernelTable
from wafer2token.chip.formats import stored_bytes
from wafer2token.chip.machine import accelerator

Array = npt.NDArray[np.float64]

_SPARE = 1.25
"""A cache keeps some of what is a little larger than itself."""
_NOTICEABLE = 15e-6
"""Seconds below which reading memory hides behind the other times of an attention kernel."""
_NOTICEABLE_STREAM = 2e-6
"""The same of a kernel that does nothing else."""


def cold(table: KernelTable) -> KernelTable:
    """The rows of a replayed table that read memory, or so little that it does not matter where from.

    Rows are told apart by their size alone, not by their time: out go those that the last-level cache can hold although
    memory would need long for them.
    """
    size, chip = _footprint(table), get("chip", table.chip)
    cache = chip.llc or chip.l2
    if size is None or cache is None:
        return table
    hidden = _NOTICEABLE_STREAM if table.family == "quantise" else _NOTICEABLE
    seconds = size / float(np.asarray(accelerator(table.chip).hbm_bytes_per_s))
    return table.where((size > _SPARE * cache.high) | (seconds < hidden))


def _footprint(table: KernelTable) -> Array | None:
    """Bytes that a kernel reads again at every replay; None where arithmetic rules."""
    c = table.columns
    if table.family.endswith("decode") and "kv_len" in c:
        window = c.get("window", np.zeros(len(table)))
        seen = np.where(window > 0, np.minimum(c["kv_len"], window), c["kv_len"])
        width = c["qk_dim"] + (0.0 if table.family.startswith("mla") else c["v_dim"])
        return np.asarray(c["batch"] * c["kv_heads"] * seen * width * stored_bytes(table.kv_dtype or table.dtype))
    if table.family == "linear_decode":
        return np.asarray(c["batch"] * c["heads"] * c["qk_dim"] * c["v_dim"] * stored_bytes("fp32"))
    if table.family == "quantise":
        return np.asarray(c["elements"] * stored_bytes("bf16"))
    return None
