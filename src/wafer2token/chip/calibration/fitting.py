"""Fitting the parameters of a kernel family to measured times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from wafer2token.catalog.calibration_cards import Fitted
from wafer2token.chip.attention import ANY_GROUP
from wafer2token.chip.calibration.tables import KernelTable
from wafer2token.chip.fits import CAST, FAMILIES, OPTIONAL, FamilyFit, fitted_names, parameter_values
from wafer2token.chip.kernels import (
    VECTOR,
    attention_decode_time,
    attention_index_time,
    attention_prefill_time,
    experts_time,
    linear_attention_time,
    matmul_time,
    memory_time,
    quantise_time,
)
from wafer2token.chip.machine import Accelerator, accelerator
from wafer2token.chip.recurrent import RecurrentFit
from wafer2token.chip.streaming import StreamFit
from wafer2token.chip.transfer import Traits
from wafer2token.evidence.fitting import Range, quantiles_80, search

Array = npt.NDArray[np.float64]
_MATMUL: dict[str, Range] = {
    "floor": (0.0, 3e-6, 1e-4),
    "compute": (0.05, 0.8, 1.0),
    "memory": (0.05, 0.85, 1.0),
    "stream_power": (0.0, 0.03, 0.5),
    "full_width": (128.0, 5000.0, 65536.0),
    "narrow_power": (0.0, 0.15, 0.9),
    "prologue": (0.0, 128.0, 4096.0),
    "quantisation": (0.0, 0.3, 1.0),
    "overlap": (1.0, 3.0, 20.0),
    "tile_step": (0.3, 0.97, 1.0),
    "small_tile_step": (0.3, 0.95, 1.0),
    "split_depth": (64.0, 2000.0, 65536.0),
    "sustained": (0.05, 0.9, 1.0),
    "cache": (5e9, 4e10, 5e11),
}
_CAST: dict[str, Range] = {
    "cast_floor": (0.0, 1e-6, 1e-4),
    "cast": (0.02, 0.7, 10.0),
    "cast_row": (1.0, 1000.0, 16384.0),
}
_PREFILL: dict[str, Range] = {
    "floor": (0.0, 1e-5, 1e-3),
    "start": (0.0, 3e-6, 1e-4),
    "compute": (0.02, 0.6, 1.0),
    "memory": (0.05, 0.6, 1.0),
    "imbalance": (0.0, 0.3, 1.0),
    "overlap": (1.0, 1.5, 20.0),
    "head_power": (0.0, 0.5, 2.0),
    "wide_power": (-1.0, 0.2, 1.0),
    "edge": (0.0, 64.0, 512.0),
}
_DECODE: dict[str, Range] = {
    "floor": (0.0, 1e-5, 1e-3),
    "start": (0.0, 2e-6, 1e-4),
    "reduction": (0.0, 2e-6, 1e-4),
    "regroup": (0.0, 1e-6, 1e-4),
    "beat": (0.0, 1e-7, 1e-5),
    "compute": (0.3, 0.6, 1.0),
    "memory": (0.05, 0.85, 1.0),
    "share": (0.1, 1.5, 10.0),
    "overlap": (1.0, 3.0, 20.0),
    "quantisation": (0.0, 0.3, 1.0),
    "spread": (1.0, 1.5, 16.0),
    "splits": (1.0, 30.0, 512.0),
}
_IDENTIFIED = {
    "gemm": ("floor", "compute", "memory", "prologue"),
    "grouped_gemm": ("floor", "compute", "memory", "prologue"),
    "attention_prefill": ("floor", "start", "compute"),
    "mla_prefill": ("floor", "start", "compute"),
    "attention_decode": ("floor", "start", "memory", "compute"),
    "attention_decode_vector": ("floor", "start", "memory", "compute"),
    "mla_decode": ("floor", "start", "memory", "compute"),
    "attention_index": ("floor", "compute", "memory"),
    "linear_prefill": ("floor", "token", "memory"),
    "linear_decode": ("floor", "memory"),
    "memory": ("floor", "memory"),
    "quantise": ("floor", "memory"),
}
"""Parameters that a small table can tell apart; the others then stay at the class's values."""
_ANY = {"group_least": 1.0, "group_most": ANY_GROUP}
_TILED = tuple(_ANY | {"rows": r, "step": s} for r in (16.0, 64.0) for s in (64.0, 128.0))
_ALTERNATIVES: dict[str, tuple[dict[str, float], ...]] = {
    "grouped_gemm": ({"rows": 16.0},),
    "attention_prefill": ({"packing": 0.0}, {"packing": 1.0}),
    "mla_prefill": ({"packing": 0.0},),
    "attention_decode": _TILED,
    "attention_decode_vector": tuple(_ANY | {"rows": 1.0, "step": s} for s in (1.0, 16.0)),
    "mla_decode": _TILED,
}
"""Parameters that take one of a few values: each is tried."""
_SCREENING = 5
"""Alternatives are told apart by a search of so many times fewer evaluations."""
_PLAIN = "bf16"
"""The data type of rows whose family is not told apart by it."""
SMALL_TABLE = 150
SEARCH: dict[str, dict[str, Range]] = {
    "gemm": _MATMUL,
    "grouped_gemm": _MATMUL,
    "attention_prefill": _PREFILL,
    "mla_prefill": _PREFILL,
    "attention_decode": _DECODE,
    "attention_decode_vector": _DECODE,
    "mla_decode": _DECODE,
    "attention_index": {
        "floor": (0.0, 4e-6, 1e-4),
        "compute": (0.02, 0.45, 1.0),
        "memory": (0.05, 0.8, 1.0),
        "overlap": (1.0, 2.0, 20.0),
    },
    "linear_prefill": {
        "floor": (0.0, 1e-5, 1e-3),
        "token": (1e-9, 5e-8, 1e-5),
        "memory": (0.05, 0.8, 1.0),
        "quantisation": (0.0, 0.8, 1.0),
        "overlap": (1.0, 3.0, 20.0),
    },
    "linear_decode": {"floor": (0.0, 4e-6, 1e-4), "memory": (0.05, 0.8, 1.0)},
    "memory": {"floor": (0.0, 3e-6, 1e-4), "memory": (0.05, 0.8, 1.0)},
    "quantise": {"floor": (0.0, 3e-6, 1e-4), "memory": (0.05, 0.8, 1.0)},
}
"""Kernel family -> parameter -> lower bound, start and upper bound of the search; definitions of the fit, not results."""


def machine(table: KernelTable) -> Accelerator:
    """The accelerator that a table was measured on."""
    return accelerator(table.chip, per="die" if table.per == "die" else "chip")


def predict(acc: Accelerator, table: KernelTable) -> Array:
    """Predicted times of the rows of a table [s]."""
    c = table.columns
    weight = table.weight_dtype or None
    if table.family == "gemm":
        return matmul_time(
            acc, c["m"], c["n"], c["k"], table.dtype, c.get("groups", 1.0), weight, copies=c.get("copies")
        )
    if table.family == "grouped_gemm":
        return experts_time(acc, c, table.dtype, weight)
    if table.family == "memory":
        return memory_time(acc, c["bytes"])
    if table.family == "quantise":
        return quantise_time(acc, c["elements"])
    if table.family == "attention_index":
        return attention_index_time(
            acc, c["batch"], c["q_len"], c["kv_len"], c["heads"], c["qk_dim"], table.dtype, ratio=c.get("ratio", 1.0)
        )
    if table.family.startswith("linear"):
        return linear_attention_time(
            acc, c["batch"], c["q_len"], c["heads"], c["qk_dim"], c["v_dim"], table.dtype or _PLAIN
        )
    window = np.where(c["window"] > 0, c["window"], np.inf) if "window" in c else None
    cache = table.kv_dtype or table.dtype
    mla = table.family.startswith("mla")
    if table.family.endswith("prefill"):
        return attention_prefill_time(
            acc, c["batch"], c["q_len"], c["kv_len"], c["heads"], c["kv_heads"], c["qk_dim"], c["v_dim"],
            causal=table.causal, window=window, dtype=table.dtype, kv_dtype=cache, mla=mla,
        )  # fmt: skip
    return attention_decode_time(
        acc, c["batch"], c["kv_len"], c["heads"], c["kv_heads"], c["qk_dim"], c["v_dim"], kv_dtype=cache, mla=mla,
        window=window, dtype=table.dtype, q_len=c.get("q_len", 1.0),
    )  # fmt: skip


def fit_tables(
    tables: Sequence[KernelTable], chips: Callable[[KernelTable], Accelerator] | None = None, rows: int = 2000,
    evaluations: int = 4000, others: Mapping[str, float] | None = None, hold_out: bool = True,
    fixed: Mapping[str, float] | None = None, screen: bool = True,
    of: Traits | None = None, weights: Sequence[float] | None = None,
) -> Fitted:  # fmt: skip
    """One parameter set for some tables of one family.

    Half of the shapes of every table is held out (see KernelTable.halves); the loss is the mean |ln ratio|.

    Args:
        tables: measurements of one family and data type.
        chips: the accelerator of a table; by its chip id when None.
        rows: rows of each table that the search looks at.
        evaluations: of the loss.
        others: parameters to keep where the tables are too small to tell them apart.
        hold_out: hold half of the shapes out; False fits every row.
        fixed: parameters that are known and not searched.
        screen: try every value of parameters that take one of a few; False takes the first.
        of: traits that parameters of matrix products are stated for, where the tables are of several chips.
        weights: of the tables; equal when None.
    """
    family, dtype = tables[0].family, tables[0].dtype
    chip = chips or machine
    small = sum(len(t) for t in tables) < SMALL_TABLE
    halves = [(t, t.where(np.zeros(len(t), dtype=bool))) if small or not hold_out else t.halves() for t in tables]
    shares = weights or [1.0] * len(tables)
    pairs = [(w, chip(t), a.thinned(rows)) for w, t, (a, _) in zip(shares, tables, halves, strict=True) if len(a)]
    total = sum(w for w, _, _ in pairs)

    def loss(parameters: Mapping[str, float]) -> float:
        return sum(w * float(np.abs(log_ratio(acc, t, parameters, of)).mean()) for w, acc, t in pairs) / total

    space, kept = SEARCH[family], dict[str, float]()
    if any(t.cast for t in tables):
        space = space | _CAST
    if others is not None and small:
        space = {k: space[k] for k in _IDENTIFIED[family]}
        kept = {k: v for k, v in others.items() if k not in space}
    alternatives = [kept | a | dict(fixed or {}) for a in _ALTERNATIVES.get(family, ({},))][: None if screen else 1]

    def found(given: Mapping[str, float], budget: int) -> dict[str, float]:
        return {**given, **search(lambda p: loss({**given, **p}), space, budget)}

    if len(alternatives) > 1:
        trials = [(loss(found(a, evaluations // _SCREENING)), i) for i, a in enumerate(alternatives)]
        alternatives = [alternatives[min(trials)[1]]]
    best = found(alternatives[0], evaluations)
    checked = [(chip(t), b if len(b) else a) for t, (a, b) in zip(tables, halves, strict=True)]
    residuals = [log_ratio(acc, table, best, of) for acc, table in checked]
    return Fitted(
        family, dtype, {k: v for k, v in best.items() if k in (*fitted_names(FAMILIES[family]), *OPTIONAL)},
        points=sum(len(t) for t in tables),
        held_out=sum(len(b) for _, b in halves),
        error=float(np.mean([np.abs(np.exp(-r) - 1.0).mean() for r in residuals])),
        low=quantiles_80(residuals)[0],
        high=quantiles_80(residuals)[1],
    )  # fmt: skip


def log_ratio(acc: Accelerator, table: KernelTable, parameters: Mapping[str, float], of: Traits | None = None) -> Array:
    """ln(measured / predicted) of the rows of a table under parameters, stated for a chip of the traits ``of``."""
    if not table.cast:
        parameters = {k: v for k, v in parameters.items() if k not in CAST}
    return np.asarray(np.log(table.seconds / predict(using(acc, table.family, table.dtype, parameters, of), table)))


_NEVER = 1e6
_OUT_OF_THE_WAY = {
    "linear_prefill": ("linear_decode", FamilyFit(StreamFit(_NEVER, 1.0), 0.0, 0.0, 0.0, "", "calibrated", "", "")),
    "linear_decode": (
        "linear_prefill",
        FamilyFit(RecurrentFit(_NEVER, 0.0, 1.0, 0.0, 1.0), 0.0, 0.0, 0.0, "", "calibrated", "", ""),
    ),
}
"""Linear attention takes the faster of two kernels: while one is fitted, the other takes for ever."""


def using(
    acc: Accelerator, family: str, dtype: str, parameters: Mapping[str, float], of: Traits | None = None
) -> Accelerator:
    """The accelerator with these parameters for one family."""
    values = parameter_values(FAMILIES[family], parameters)
    fit = FamilyFit(values, 0.0, 0.0, 0.0, "", "calibrated", "", dtype, of)
    if family.startswith("linear"):
        return acc.with_fit(family, fit).with_fit(*_OUT_OF_THE_WAY[family])
    if family != VECTOR:
        return acc.with_fit(family, fit)
    serves_none = replace(fit, values=replace(values, group_least=2.0 * ANY_GROUP, group_most=0.0))
    return acc.with_fit(VECTOR, fit).with_fit("attention_decode", serves_none)
