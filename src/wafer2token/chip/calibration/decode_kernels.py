"""Stacks that decode with two kernels: one on matrix units for some groups of heads, one without for the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from wafer2token.catalog.calibration_cards import CardDraft
from wafer2token.chip.calibration.fitting import fit_tables, machine, using
from wafer2token.chip.calibration.tables import KernelTable
from wafer2token.chip.fits import attention_format
from wafer2token.chip.kernels import VECTOR
from wafer2token.chip.machine import Accelerator

MATRIX = "attention_decode"
TWO_KERNELS = frozenset({"trtllm"})
"""TensorRT-LLM: its XQA kernels, or generated ones, beside masked multi-head attention."""
WIDEST_GROUP = 32.0
"""Query heads per key head of its matrix kernels at most."""
SAME_FIT = {"fp16": "bf16"}
"""Data types that one fit serves: the peaks may differ, the kernels are the same."""
_ROWS, _EVALUATIONS = 400, 900


def by_kernel(table: KernelTable) -> list[KernelTable]:
    """A table as it is, or that of a stack with two decode kernels in two parts, one per kernel.

    Which of them serves key heads with one query head each is told by the rows: both ways are fitted, and the better
    one is taken.
    """
    if table.stack not in TWO_KERNELS or table.family != MATRIX:
        return [table]
    group = table.columns["heads"] / table.columns["kv_heads"]
    if not (group > WIDEST_GROUP).any():
        return [table]
    ways = [_parts(table, to_vector) for to_vector in (group > WIDEST_GROUP, (group > WIDEST_GROUP) | (group == 1.0))]
    return min(ways, key=_error)


def _parts(table: KernelTable, to_vector: npt.NDArray[np.bool_]) -> list[KernelTable]:
    return [table.where(~to_vector), replace(table.where(to_vector), family=VECTOR)]


def _error(parts: Sequence[KernelTable]) -> float:
    fits = [fit_tables([p], rows=_ROWS, evaluations=_EVALUATIONS, hold_out=False) for p in parts]
    return sum(len(p) * f.error for p, f in zip(parts, fits, strict=True))


def groups_served(members: Sequence[KernelTable]) -> dict[str, float]:
    """Least and most query heads per key head in the rows of a kernel."""
    groups = np.concatenate([t.columns["heads"] / t.columns["kv_heads"] for t in members])
    return {"group_least": float(groups.min()), "group_most": float(groups.max())}


def beside_vector(drafts: Sequence[CardDraft]) -> Callable[[KernelTable], Accelerator]:
    """The accelerator of a table, with the fit of its stack's vector kernel where there is one."""
    found = {(d.target, d.stack, d.result.dtype): d.result.parameters for d in drafts if d.result.family == VECTOR}

    def of(table: KernelTable) -> Accelerator:
        kind = attention_format(SAME_FIT.get(table.dtype, table.dtype), table.kv_dtype or table.dtype)
        fit = found.get((table.chip, table.stack, kind)) if table.family == MATRIX else None
        return machine(table) if fit is None else using(machine(table), VECTOR, table.dtype, fit)

    return of
