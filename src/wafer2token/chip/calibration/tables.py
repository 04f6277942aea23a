"""Measured kernels as arrays, whatever file they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_KEYS = {
    "gemm": ("n", "k"),
    "grouped_gemm": ("experts", "n", "k"),
    "attention_prefill": ("heads", "kv_heads", "qk_dim"),
    "attention_decode": ("heads", "kv_heads", "qk_dim"),
    "attention_decode_vector": ("heads", "kv_heads", "qk_dim"),
    "mla_prefill": ("heads", "batch"),
    "mla_decode": ("heads", "batch"),
    "attention_index": ("batch", "q_len"),
    "linear_prefill": ("heads", "batch"),
    "linear_decode": ("heads", "batch"),
    "memory": ("bytes",),
    "quantise": ("elements",),
}
"""Columns by which a table is halved: points that share them are fitted together or held out together."""


@dataclass(frozen=True)
class KernelTable:
    """Measured times of one kernel family, one row per shape.

    Attributes:
        chip: chip id.
        per: whether a row is the whole chip or one die of it.
        stack: software stack.
        version: of the software.
        family: kernel family.
        dtype: data type of the arithmetic.
        columns: shapes by argument name, each [rows].
        seconds: measured time [rows].
        source: id of the source card.
        weight_dtype, kv_dtype: stored formats that differ from ``dtype``.
        causal: whether attention skips later keys.
        cast: whether the measured call also casts A to a narrow format.
    """

    chip: str
    stack: str
    version: str
    family: str
    dtype: str
    columns: Mapping[str, Array]
    seconds: Array
    source: str
    per: str = "chip"
    weight_dtype: str = ""
    kv_dtype: str = ""
    causal: bool = True
    cast: bool = False

    def __len__(self) -> int:
        return len(self.seconds)

    def where(self, keep: npt.NDArray[np.bool_]) -> KernelTable:
        """The rows of a mask."""
        return replace(self, columns={k: v[keep] for k, v in self.columns.items()}, seconds=self.seconds[keep])

    def halves(self) -> tuple[KernelTable, KernelTable]:
        """The rows to fit and the rows held out: whole groups of shapes, by a hash of their sizes."""
        rows = np.stack([self.columns[k] for k in _KEYS[self.family]], axis=1)
        groups, inverse = np.unique(rows, axis=0, return_inverse=True)
        fitted = np.array([hashlib.sha256(np.asarray(g, dtype="<f8").tobytes()).digest()[0] % 2 == 0 for g in groups])
        mask = fitted[inverse.reshape(-1)]
        return self.where(mask), self.where(~mask)

    def thinned(self, rows: int, seed: int = 0) -> KernelTable:
        """At most ``rows`` rows, drawn without replacement."""
        if len(self) <= rows:
            return self
        keep = np.zeros(len(self), dtype=bool)
        keep[np.random.default_rng(seed).permutation(len(self))[:rows]] = True
        return self.where(keep)
