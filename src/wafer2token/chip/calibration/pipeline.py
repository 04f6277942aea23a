"""The whole calibration of the kernels: tables in, cards out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import get
from wafer2token.catalog.calibration_cards import CardDraft, Fitted, with_bias, write
from wafer2token.chip.calibration.classes import PRODUCTS, Grouped, LeftOut, Report, class_cards, left_out_rows
from wafer2token.chip.calibration.decode_kernels import MATRIX, SAME_FIT, beside_vector, by_kernel, groups_served
from wafer2token.chip.calibration.fitting import SMALL_TABLE, fit_tables, log_ratio
from wafer2token.chip.calibration.tables import KernelTable
from wafer2token.chip.fits import attention_format, parameter_values, same_die, traits
from wafer2token.chip.kernels import VECTOR
from wafer2token.chip.matmul import MatmulFit
from wafer2token.chip.transfer import REFERENCE, Traits, transferred

_DEFAULT_ORDER = ("vllm", "sglang", "trtllm", "torch", "cann")
Array = npt.NDArray[np.float64]
_USELESS = 0.45
"""Error above which a fit is dropped and the class speaks for the chip."""
_OTHER_ROWS, _OTHER_EVALUATIONS = 1200, 2500
"""Rows and evaluations of the other families: there are many tables, and their fits settle early."""
Typical = dict[tuple[str, str, bool], dict[str, float]]
"""Parameters by family, data type and whether the calls cast A."""
_ROWS = {"grouped_gemm": 700}
"""Rows that a search looks at, where fewer than usual tell enough."""


def calibrate_kernels(
    tables: Iterable[KernelTable], out: Path, as_of: date, report: Report = print, families: Collection[str] = ()
) -> list[Path]:
    """Fit every chip, stack, family and data type, then the classes of chips; write the cards.

    Args:
        tables: measurements (see the importers beside this module).
        out: folder that gets ``kernels.toml`` and ``kernel_classes.toml``, each with a ``_gemm`` file of matrix products.
        as_of: date written on the cards.
        report: called with one line per fit.
        families: kernel families to fit; all when empty.
    """
    grouped = _grouped(tables, families)
    typical: Typical = {}
    drafts: list[CardDraft] = []
    for key in sorted(grouped, key=lambda k: (k[2] != VECTOR, -sum(len(t) for t in grouped[k]), k)):
        chip, stack, family, dtype = key
        members = grouped[key]
        served = groups_served(members) if family == MATRIX and (chip, stack, VECTOR, dtype) in grouped else {}
        usual = _typical(typical, family, dtype, members[0].cast)
        result = replace(
            _fitted(_pooled(members, grouped, key), drafts, usual, served), dtype=dtype
        )
        report(
            f"{chip} {stack} {family} {dtype}: {result.points} points, error {result.error:.1%} ({result.held_out} held out)"
        )
        if result.error > _USELESS:
            report(f"  not used: the form does not describe {chip} {stack} {family}")
            continue
        known = result.parameters
        typical.setdefault(
            (family, dtype, members[0].cast),
            _restated(known, _traits(members[0]), REFERENCE) if family in PRODUCTS else dict(known),
        )
        drafts.append(_chip_draft(chip, stack, result, members, as_of))
    drafts = _with_defaults(drafts)
    drafts = [with_bias(d, _between_stacks(d, drafts, grouped)) for d in drafts]
    classes = list(class_cards(grouped, drafts, as_of, report))
    return [file for drafted, name, of in ((drafts, "kernels", "by chip, stack, family and data type"), (classes, "kernel_classes", "of classes of chips, for chips without measurements"))
            for file in _written(out, name, of, drafted)]  # fmt: skip


def _fitted(
    tables: Sequence[KernelTable],
    drafts: Sequence[CardDraft],
    typical: dict[str, float] | None,
    served: Mapping[str, float],
) -> Fitted:
    """Parameters of one chip; what a small table of products cannot tell apart is carried over by the chip's traits."""
    if tables[0].family not in PRODUCTS:
        return fit_tables(tables, beside_vector(drafts), _OTHER_ROWS, _OTHER_EVALUATIONS, typical, fixed=served)
    if typical is None or sum(len(t) for t in tables) >= SMALL_TABLE:
        return fit_tables(tables, others=typical, rows=_ROWS.get(tables[0].family, 2000))
    own = _traits(tables[0])
    return fit_tables(tables, others=_restated(typical, REFERENCE, own))


def _traits(table: KernelTable) -> Traits:
    return traits(get("chip", table.chip), table.dtype)


def _restated(parameters: Mapping[str, float], of: Traits, to: Traits) -> dict[str, float]:
    values = parameter_values(MatmulFit, parameters)
    power = float(get("calibration", "last_level_cache").ratios["rate_power"])
    moved = transferred(values, of, to, power)
    return {name: getattr(moved, name) for name in parameters}


def leave_out(tables: Iterable[KernelTable], families: Collection[str] = ()) -> list[LeftOut]:
    """How parameters of the other dies describe every chip that has its die left out; nothing is written."""
    grouped = _grouped(tables, families)
    out: list[LeftOut] = []
    for family, dtype in sorted({(f, d) for _, _, f, d in grouped}):
        chips = {chip for chip, _, f, d in grouped if (f, d) == (family, dtype)}
        chosen = [min((s for c, s, f, d in grouped if (c, f, d) == (chip, family, dtype)), key=_rank) for chip in sorted(chips)]  # fmt: skip
        members = [
            t for chip, stack in zip(sorted(chips), chosen, strict=True) for t in grouped[chip, stack, family, dtype]
        ]
        out += left_out_rows(members)
    return out


def _grouped(tables: Iterable[KernelTable], families: Collection[str]) -> Grouped:
    grouped: Grouped = {}
    for table in tables:
        if families and table.family not in families:
            continue
        arithmetic = SAME_FIT.get(table.dtype, table.dtype)
        dtype = attention_format(arithmetic, table.kv_dtype) if table.kv_dtype else arithmetic
        for part in by_kernel(table):
            grouped.setdefault((part.chip, part.stack, part.family, dtype), []).append(part)
    return grouped


def _written(out: Path, name: str, of: str, drafts: Sequence[CardDraft]) -> list[Path]:
    """Cards of matrix products and cards of everything else, a file each; no file where there are none."""
    comment = f"Kernel efficiencies {of}%s; written by `w2t calibrate kernels`"
    products = [d for d in drafts if d.result.family in PRODUCTS]
    others = [d for d in drafts if d.result.family not in PRODUCTS]
    return [
        write(out, file, members, comment % what)
        for file, members, what in ((f"{name}_gemm", products, ": matrix products"), (name, others, ""))
        if members
    ]


def _typical(known: Typical, family: str, dtype: str, cast: bool) -> dict[str, float] | None:
    """Parameters of the largest table of a family, for tables that are too small.

    Of the same data type where there is one; of products, those whose calls cast A like these where there are any.
    """
    of_family = {k: v for k, v in known.items() if k[0] == family}
    alike = {k: v for k, v in of_family.items() if k[2] == cast} or of_family
    return next(iter([v for k, v in alike.items() if k[1] == dtype] or alike.values()), None)


def _pooled(members: list[KernelTable], grouped: Grouped, key: tuple[str, str, str, str]) -> list[KernelTable]:
    """A small table together with those of chips of the same die, stack, family and data type."""
    if sum(len(t) for t in members) >= SMALL_TABLE:
        return members
    chip, stack, family, dtype = key
    return members + [t for other in same_die(chip) for t in grouped.get((other, stack, family, dtype), [])]


def _chip_draft(chip: str, stack: str, result: Fitted, members: Sequence[KernelTable], as_of: date) -> CardDraft:
    versions = ", ".join(dict.fromkeys(t.version for t in members if t.version))
    suffix = f"_{result.dtype}" if result.dtype else ""
    return CardDraft(
        id=f"{chip}_{stack}_{result.family}{suffix}",
        name=f"{get('chip', chip).name}: {result.family} {result.dtype} on {stack}".replace("  ", " "),
        subject="chip", target=chip, stack=stack, result=result,
        sources=list(dict.fromkeys(t.source for t in members)), as_of=as_of,
        note=f"software {versions}" if versions else "",
    )  # fmt: skip


def _with_defaults(drafts: list[CardDraft]) -> list[CardDraft]:
    """The stack that speaks for a chip when none is named: the first of the usual order that was measured."""
    chosen: dict[tuple[str, str, str], str] = {}
    for draft in sorted(drafts, key=lambda d: _rank(d.stack)):
        chosen.setdefault((draft.target, draft.result.family, draft.result.dtype), draft.stack)
    return [replace(d, default=chosen[d.target, d.result.family, d.result.dtype] == d.stack) for d in drafts]


def _rank(stack: str) -> int:
    return _DEFAULT_ORDER.index(stack) if stack in _DEFAULT_ORDER else len(_DEFAULT_ORDER)


def _between_stacks(draft: CardDraft, drafts: Sequence[CardDraft], grouped: Grouped) -> float:
    """Standard deviation of the mean ln(measured / predicted) of this fit on the chip's other stacks."""
    means = [0.0]
    for other in drafts:
        if (other.target, other.result.family, other.result.dtype) == (draft.target, draft.result.family, draft.result.dtype) and other.stack != draft.stack:  # fmt: skip
            tables = grouped[other.target, other.stack, other.result.family, other.result.dtype]
            rows = tables[0].thinned(2000)
            acc = beside_vector(drafts)(replace(rows, stack=draft.stack))
            means.append(float(np.median(log_ratio(acc, rows, draft.result.parameters))))
    return float(np.sqrt(np.mean(np.square(means[1:])))) if len(means) > 1 else abs(draft.result.error) / 2.0
