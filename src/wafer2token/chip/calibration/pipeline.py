"""The whole calibration of the kernels: tables in, cards out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import get
from wafer2token.catalog.calibration_cards import CardDraft, Fitted, with_bias, write
from wafer2token.chip.calibration.decode_kernels import MATRIX, SAME_FIT, beside_vector, by_kernel, groups_served
from wafer2token.chip.calibration.fitting import SMALL_TABLE, fit_tables, log_ratio, machine
from wafer2token.chip.calibration.tables import KernelTable
from wafer2token.chip.fits import attention_format, platform, same_die
from wafer2token.chip.kernels import VECTOR
from wafer2token.evidence.fitting import quantiles_80

_DEFAULT_ORDER = ("vllm", "sglang", "trtllm", "torch", "cann")
Array = npt.NDArray[np.float64]
Report = Callable[[str], None]
_ROWS, _EVALUATIONS = 250, 1500
"""Rows per table and evaluations of a search over many chips."""
_USELESS = 0.45
"""Error above which a fit is dropped and the class speaks for the chip."""
_ANCHOR = "bf16"
"""The data type that most chips were measured in."""
_ONE_DIE = 0.2
"""Systematic error, as a logarithm, where only one die was measured and none could be left out."""
PRODUCTS = frozenset({"gemm", "grouped_gemm"})
"""Kernel families whose cards lie in files of their own."""
Grouped = dict[tuple[str, str, str, str], list[KernelTable]]


def calibrate_kernels(tables: Iterable[KernelTable], out: Path, as_of: date, report: Report = print) -> list[Path]:
    """Fit every chip, stack, family and data type, then the classes of chips; write the cards.

    Args:
        tables: measurements (see the importers beside this module).
        out: folder that gets ``kernels.toml`` and ``kernel_classes.toml``, each with a ``_gemm`` file of matrix products.
        as_of: date written on the cards.
        report: called with one line per fit.
    """
    grouped: Grouped = {}
    for table in tables:
        arithmetic = SAME_FIT.get(table.dtype, table.dtype)
        dtype = attention_format(arithmetic, table.kv_dtype) if table.kv_dtype else arithmetic
        for part in by_kernel(table):
            grouped.setdefault((part.chip, part.stack, part.family, dtype), []).append(part)
    typical: dict[tuple[str, str], dict[str, float]] = {}
    drafts: list[CardDraft] = []
    for key in sorted(grouped, key=lambda k: (k[2] != VECTOR, -sum(len(t) for t in grouped[k]), k)):
        chip, stack, family, dtype = key
        members = grouped[key]
        served = groups_served(members) if family == MATRIX and (chip, stack, VECTOR, dtype) in grouped else {}
        fitted = fit_tables(
            _pooled(members, grouped, key), beside_vector(drafts), others=_typical(typical, family, dtype), fixed=served
        )
        result = replace(fitted, dtype=dtype)
        report(
            f"{chip} {stack} {family} {dtype}: {result.points} points, error {result.error:.1%} ({result.held_out} held out)"
        )
        if result.error > _USELESS:
            report(f"  not used: the form does not describe {chip} {stack} {family}")
            continue
        typical.setdefault((family, dtype), dict(result.parameters))
        drafts.append(_chip_draft(chip, stack, result, members, as_of))
    drafts = _with_defaults(drafts)
    drafts = [with_bias(d, _between_stacks(d, drafts, grouped)) for d in drafts]
    classes = list(_classes(grouped, drafts, as_of, report))
    return [file for drafted, name, of in ((drafts, "kernels", "by chip, stack, family and data type"), (classes, "kernel_classes", "of classes of chips, for chips without measurements"))
            for file in _written(out, name, of, drafted)]  # fmt: skip


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


def _typical(known: dict[tuple[str, str], dict[str, float]], family: str, dtype: str) -> dict[str, float] | None:
    """Parameters of the largest table of a family, by data type where there is one, for tables that are too small."""
    same = [v for (f, d), v in known.items() if f == family and d == dtype]
    return next(iter(same or [v for (f, _), v in known.items() if f == family]), None)


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
    for draft in sorted(drafts, key=_rank):
        chosen.setdefault((draft.target, draft.result.family, draft.result.dtype), draft.stack)
    return [replace(d, default=chosen[d.target, d.result.family, d.result.dtype] == d.stack) for d in drafts]


def _rank(draft: CardDraft) -> int:
    return _DEFAULT_ORDER.index(draft.stack) if draft.stack in _DEFAULT_ORDER else len(_DEFAULT_ORDER)


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


def _classes(grouped: Grouped, drafts: Sequence[CardDraft], as_of: date, report: Report) -> Iterable[CardDraft]:
    """One card per platform and family, and one over all chips; residuals are those of a die that was left out.

    A platform with few measured dies says little about the next one: its parameters are drawn towards those of all
    chips with the weight dies / (dies + 1). A data type that one die was measured in is drawn half-way to bf16 over
    all chips, and carries its spread.
    """
    anchors: dict[str, Fitted] = {}
    for family, dtype in sorted(
        {(d.result.family, d.result.dtype) for d in drafts}, key=lambda k: (k[0], k[1] != _ANCHOR, k[1])
    ):
        chosen = [d for d in drafts if d.default and (d.result.family, d.result.dtype) == (family, dtype)]
        tables = [t for d in chosen for t in grouped[d.target, d.stack, family, dtype]]
        residuals = left_out(tables)
        for chip in residuals:
            report(f"  left out {chip} {family} {dtype}: {left_out_score(residuals, chip, _dies(tables))}")
        whole = replace(fit_tables(tables, rows=_ROWS, evaluations=_EVALUATIONS), dtype=dtype)
        everything = _with_left_out(whole, residuals, list(residuals))
        anchor = anchors.get(family) if len(_dies(tables)) < 2 else everything
        if anchor is None:
            anchor = everything
        elif anchor is not everything:
            drawn = {k: _between(anchor.parameters[k], v, 0.5) for k, v in whole.parameters.items()}
            everything = replace(
                whole, parameters=drawn, error=anchor.error, low=anchor.low, high=anchor.high, bias=anchor.bias
            )
        if dtype == _ANCHOR:
            anchors[family] = everything
        report(f"class any {family} {dtype}: {len(_dies(tables))} dies, error on a die left out {everything.error:.1%}")
        yield _class_draft("any", everything, tables, as_of)
        for name in sorted({_platform(t) for t in tables} - {"any"}):
            own = [t for t in tables if _platform(t) == name]
            result = fit_tables(own, rows=_ROWS, evaluations=_EVALUATIONS, others=whole.parameters)
            weight = len(_dies(own)) / (len(_dies(own)) + 1.0)
            drawn = {k: _between(anchor.parameters[k], result.parameters[k], weight) for k in result.parameters}
            several = len(_dies(own)) > 1
            fitted = replace(everything, parameters=drawn)
            if several:
                fitted = _with_left_out(
                    replace(result, parameters=drawn, dtype=dtype), residuals, [t.chip for t in own]
                )
            report(f"class {name} {family} {dtype}: {len(_dies(own))} dies, error on a die left out {fitted.error:.1%}")
            yield _class_draft(name, fitted, own, as_of)


def _class_draft(name: str, result: Fitted, tables: Sequence[KernelTable], as_of: date) -> CardDraft:
    suffix = f"_{result.dtype}" if result.dtype else ""
    return CardDraft(
        id=f"class_{name}_{result.family}{suffix}", name=f"Chips of class {name}: {result.family} {result.dtype}".strip(),
        subject="class", target=name, stack=name, result=result,
        sources=[*dict.fromkeys(t.source for t in tables), "w2t"], as_of=as_of, default=True,
        note=f"over {', '.join(dict.fromkeys(t.chip for t in tables))}; residuals from leaving one die out",
    )  # fmt: skip


def _between(a: float, b: float, weight: float) -> float:
    return a ** (1.0 - weight) * b**weight if min(a, b) > 0 else (1.0 - weight) * a + weight * b


def _platform(table: KernelTable) -> str:
    return platform(get("chip", table.chip).vendor)


def _dies(tables: Iterable[KernelTable]) -> list[frozenset[str]]:
    """The chips of some tables grouped by the die that they share."""
    chips = list(dict.fromkeys(t.chip for t in tables))
    return list(dict.fromkeys(frozenset({c, *(o for o in same_die(c) if o in chips)}) for c in chips))


def _with_left_out(result: Fitted, residuals: Mapping[str, Array], chips: Sequence[str]) -> Fitted:
    """The result with error, range and bias of dies that were left out; twice its own where there is only one die."""
    chosen = [residuals[c] for c in dict.fromkeys(chips) if c in residuals]
    if len(chosen) < 2:
        return replace(result, low=2.0 * result.low, high=2.0 * result.high, bias=max(_ONE_DIE, result.error))
    medians = [float(np.median(r)) for r in chosen]
    return replace(
        result,
        error=float(np.mean([np.abs(np.exp(-r) - 1.0).mean() for r in chosen])),
        low=quantiles_80(chosen)[0],
        high=quantiles_80(chosen)[1],
        bias=float(np.sqrt(np.mean(np.square(medians)))),
    )


def left_out_score(residuals: Mapping[str, Array], chip: str, dies: Sequence[frozenset[str]]) -> str:
    """Error on a chip that was left out, and how many of its points the interval of the other dies holds."""
    own = next(die for die in dies if chip in die)
    others = [r for c, r in residuals.items() if c not in own]
    error = float(np.abs(np.exp(-residuals[chip]) - 1.0).mean())
    if not others:
        return f"error {error:.1%}"
    low, high = quantiles_80(others)
    held = float(np.mean((residuals[chip] >= min(low, 0.0)) & (residuals[chip] <= max(high, 0.0))))
    return f"error {error:.1%}, 80% interval of the other dies holds {held:.0%}"


def left_out(tables: Sequence[KernelTable]) -> dict[str, Array]:
    """ln(measured / predicted) of every chip under parameters fitted to the chips of other dies; empty with one die."""
    out: dict[str, Array] = {}
    dies = _dies(tables)
    for die in dies if len(dies) > 1 else []:
        others = [t for t in tables if t.chip not in die]
        parameters = fit_tables(others, rows=_ROWS, evaluations=_EVALUATIONS).parameters
        for chip in sorted(die):
            own = [t.thinned(4000) for t in tables if t.chip == chip]
            if own:
                out[chip] = np.concatenate([log_ratio(machine(t), t, parameters) for t in own])
    return out
