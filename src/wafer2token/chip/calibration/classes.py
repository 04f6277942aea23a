"""Parameters for chips that nobody measured, and how well such parameters did on dies that were left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import get
from wafer2token.catalog.calibration_cards import CardDraft, Fitted
from wafer2token.chip.calibration.fitting import fit_tables, log_ratio, machine
from wafer2token.chip.calibration.tables import KernelTable
from wafer2token.chip.fits import LIBRARY, platform, same_die
from wafer2token.chip.transfer import REFERENCE
from wafer2token.evidence.fitting import quantiles_80

Array = npt.NDArray[np.float64]
Report = Callable[[str], None]
Grouped = dict[tuple[str, str, str, str], list[KernelTable]]
_ROWS, _EVALUATIONS = 200, 1800
"""Rows per table and evaluations of a search over many chips."""
_FEW_ROWS, _FEW_EVALUATIONS = 150, 900
"""The same for the families beside matrix products, of which one chip per die is looked at."""
_ANCHOR = "bf16"
"""The data type that most chips were measured in."""
_ONE_DIE = 0.2
"""Systematic error, as a logarithm, where only one die was measured and none could be left out."""
_CHECKED = 4000
"""Rows of each table on which a fit to other dies is checked."""
_WORSE = 1.5
"""Times the error of the anchor's class beyond which a data type has none of its own."""
_WIDTHS = np.linspace(1.0, 2.5, 31)
"""Factors on the spread over the other dies of which the first is taken that holds what it says."""
PRODUCTS = frozenset({"gemm", "grouped_gemm"})
"""Kernel families of matrix products, whose parameters are carried between chips by their traits."""


@dataclass(frozen=True)
class LeftOut:
    """How the parameters of the other dies describe a chip: one row of the report of `w2t calibrate --leave-out`.

    Attributes:
        chip, stack, family, dtype: what was left out, with all chips of its die.
        points: rows that were predicted.
        error: mean absolute error.
        language_models: the same over products of language-model shapes; nan where there are none.
        held: share of points within the 80% interval of the other dies.
    """

    chip: str
    stack: str
    family: str
    dtype: str
    points: int
    error: float
    language_models: float
    held: float


def class_cards(
    grouped: Grouped, drafts: Sequence[CardDraft], as_of: date, report: Report, families: Sequence[str] = ()
) -> Iterable[CardDraft]:
    """One card per platform and family, and one over all chips; residuals are those of a die that was left out.

    A platform with few measured dies says little about the next one: its parameters are drawn towards those of all
    chips with the weight dies / (dies + 1). A data type that one die was measured in is drawn half-way to bf16 over
    all chips, and carries its spread. Where a platform has one die in all, its few tables of all data types are fitted
    together, and its spread is that of its chips left out one by one.
    """
    anchors: dict[str, Fitted] = {}
    for family, dtype in sorted(
        {(d.result.family, d.result.dtype) for d in drafts}, key=lambda k: (k[0], k[1] != _ANCHOR, k[1])
    ):
        tables = class_tables(grouped, drafts, family, dtype)
        libraries = [t for t in tables if not t.cast] if any(t.cast for t in _of_family(grouped, drafts, family)) else []
        if family == "grouped_gemm" and libraries:
            yield _of_libraries(libraries, dtype, as_of, report)
            tables = [t for t in tables if t.cast] or tables
        whole = replace(_fit(tables), dtype=dtype)
        residuals = left_out(tables)
        everything = _with_left_out(whole, residuals, tables)
        anchor = anchors.get(family) if len(dies(tables)) < 2 else everything
        if family in anchors and everything.error > _WORSE * anchors[family].error:
            report(f"class {family} {dtype}: not used, {everything.error:.1%} on a die left out; {_ANCHOR} speaks for it")
            continue
        if anchor is None:
            anchor = everything
        elif anchor is not everything:
            drawn = {k: _between(anchor.parameters[k], v, 0.5) for k, v in whole.parameters.items()}
            everything = replace(
                whole, parameters=drawn, error=anchor.error, low=anchor.low, high=anchor.high, bias=anchor.bias
            )
        if dtype == _ANCHOR:
            anchors[family] = everything
        report(f"class any {family} {dtype}: {len(dies(tables))} dies, error on a die left out {everything.error:.1%}")
        yield _draft("any", everything, tables, as_of)
        for name in sorted({_platform(t) for t in tables} - {"any"}):
            kin = [t for t in _of_family(grouped, drafts, family) if _platform(t) == name]
            if family in PRODUCTS and len(dies(kin)) == 1 and len({t.chip for t in kin}) > 1:
                yield _of_one_die(name, anchor, kin, dtype, as_of, report)
            else:
                yield _of_platform(name, everything, anchor, tables, residuals, as_of, report)


def class_tables(grouped: Grouped, drafts: Sequence[CardDraft], family: str, dtype: str) -> list[KernelTable]:
    """The tables of the default stack of every chip."""
    chosen = [d for d in drafts if d.default and (d.result.family, d.result.dtype) == (family, dtype)]
    return [t for d in chosen for t in grouped[d.target, d.stack, family, dtype]]


def _of_libraries(tables: Sequence[KernelTable], dtype: str, as_of: date, report: Report) -> CardDraft:
    """The class of a library's grouped products, beside that of the experts of engines, which do more in one call."""
    fitted = _with_left_out(replace(_fit(tables), dtype=dtype), left_out(tables), tables)
    report(f"class any {fitted.family} {dtype} of libraries: error {fitted.error:.1%}")
    draft = _draft("any", fitted, tables, as_of)
    return replace(draft, id=f"{draft.id}_{LIBRARY}", stack=LIBRARY, default=False)


def _of_family(grouped: Grouped, drafts: Sequence[CardDraft], family: str) -> list[KernelTable]:
    dtypes = sorted({d.result.dtype for d in drafts if d.result.family == family})
    return [t for dtype in dtypes for t in class_tables(grouped, drafts, family, dtype)]


def _of_one_die(
    name: str, anchor: Fitted, kin: Sequence[KernelTable], dtype: str, as_of: date, report: Report
) -> CardDraft:
    """The class of a platform with one die: its tables of all data types together, half-way to all chips."""
    result = _fit(kin, anchor.parameters)
    drawn = {k: _between(anchor.parameters[k], result.parameters[k], 0.5) for k in result.parameters}
    parts: list[Array] = []
    for chip in dict.fromkeys(t.chip for t in kin):
        parameters = _fit([t for t in kin if t.chip != chip], anchor.parameters).parameters
        parts.append(np.concatenate([_residual(t, parameters) for t in kin if t.chip == chip]))
    low, high = quantiles_80(parts)
    fitted = replace(
        result, dtype=dtype, parameters=drawn, low=min(low, 0.0), high=max(high, 0.0),
        error=float(np.mean([np.abs(np.exp(-r) - 1.0).mean() for r in parts])),
        bias=max(_ONE_DIE, float(np.sqrt(np.mean([np.median(r) ** 2 for r in parts])))),
    )  # fmt: skip
    report(f"class {name} {result.family} {dtype}: one die, error on a chip left out {fitted.error:.1%}")
    return _draft(name, fitted, kin, as_of)


def _of_platform(
    name: str, everything: Fitted, anchor: Fitted, tables: Sequence[KernelTable], residuals: Sequence[Array],
    as_of: date, report: Report,
) -> CardDraft:  # fmt: skip
    own = [t for t in tables if _platform(t) == name]
    result = _fit(own, everything.parameters)
    weight = len(dies(own)) / (len(dies(own)) + 1.0)
    drawn = {k: _between(anchor.parameters[k], result.parameters[k], weight) for k in result.parameters}
    fitted = replace(everything, parameters=drawn)
    if len(dies(own)) > 1:
        without = residuals if len(own) == len(tables) else left_out(own)
        fitted = _with_left_out(replace(result, parameters=drawn, dtype=everything.dtype), without, own)
    report(
        f"class {name} {result.family} {everything.dtype}: {len(dies(own))} dies, error on a die left out {fitted.error:.1%}"
    )
    return _draft(name, fitted, own, as_of)


def _draft(name: str, result: Fitted, tables: Sequence[KernelTable], as_of: date) -> CardDraft:
    suffix = f"_{result.dtype}" if result.dtype else ""
    return CardDraft(
        id=f"class_{name}_{result.family}{suffix}", name=f"Chips of class {name}: {result.family} {result.dtype}".strip(),
        subject="class", target=name, stack=name, result=result,
        sources=[*dict.fromkeys(t.source for t in tables), "w2t"], as_of=as_of, default=True,
        note=f"over {', '.join(dict.fromkeys(t.chip for t in tables))}; residuals from leaving one die out",
    )  # fmt: skip


def _fit(tables: Sequence[KernelTable], others: Mapping[str, float] | None = None) -> Fitted:
    """One parameter set over several chips, each die with the same weight; of products for the reference chip."""
    groups = dies(tables)
    if tables[0].family not in PRODUCTS:
        first = {min(t.chip for t in tables if t.chip in die) for die in groups}
        chosen = [t for t in tables if t.chip in first]
        return fit_tables(chosen, rows=_FEW_ROWS, evaluations=_FEW_EVALUATIONS, others=others, screen=False)
    weights = [1.0 / sum(t.chip in die for t in tables) for t in tables for die in groups if t.chip in die]
    return fit_tables(tables, rows=_ROWS, evaluations=_EVALUATIONS, others=others, of=REFERENCE, weights=weights)


def _between(a: float, b: float, weight: float) -> float:
    return a ** (1.0 - weight) * b**weight if min(a, b) > 0 else (1.0 - weight) * a + weight * b


def _platform(table: KernelTable) -> str:
    return platform(get("chip", table.chip).vendor)


def dies(tables: Iterable[KernelTable]) -> list[frozenset[str]]:
    """The chips of some tables grouped by the die that they share."""
    chips = list(dict.fromkeys(t.chip for t in tables))
    return list(dict.fromkeys(frozenset({c, *(o for o in same_die(c) if o in chips)}) for c in chips))


def left_out(tables: Sequence[KernelTable]) -> list[Array]:
    """ln(measured / predicted) of every table under parameters fitted to chips of other dies; empty with one die."""
    groups = dies(tables)
    if len(groups) < 2:
        return []
    fitted = {die: _fit([t for t in tables if t.chip not in die]).parameters for die in groups}
    return [_residual(t.thinned(_CHECKED), fitted[_die(t, groups)]) for t in tables]


def _residual(table: KernelTable, parameters: Mapping[str, float]) -> Array:
    return log_ratio(machine(table), table, parameters, REFERENCE if table.family in PRODUCTS else None)


def _die(table: KernelTable, groups: Sequence[frozenset[str]]) -> frozenset[str]:
    return next(die for die in groups if table.chip in die)


def left_out_rows(tables: Sequence[KernelTable]) -> list[LeftOut]:
    """How parameters and interval of the other dies describe every table, in order."""
    groups, residuals = dies(tables), left_out(tables)
    if not residuals:
        return []
    by_die = _by_die(tables, residuals)
    rows = []
    for table, r in zip(tables, residuals, strict=True):
        own = _die(table, groups)
        low, high = interval_80([v for die, v in by_die.items() if die != own])
        miss, shaped = np.abs(np.exp(-r) - 1.0), language_model_shaped(table.thinned(_CHECKED))
        rows.append(LeftOut(
            table.chip, table.stack, table.family, table.dtype, len(r), float(miss.mean()),
            float(miss[shaped].mean()) if shaped.any() else float("nan"), _share_within(r, low, high),
        ))  # fmt: skip
    return rows


def language_model_shaped(table: KernelTable) -> npt.NDArray[np.bool_]:
    """Rows whose columns and inner size are those of language models, 1,024 to 32,768."""
    inside = [(table.columns[c] >= 1024) & (table.columns[c] <= 32768) for c in ("n", "k") if c in table.columns]
    return np.logical_and(*inside) if inside else np.ones(len(table), dtype=bool)


def _by_die(tables: Sequence[KernelTable], residuals: Sequence[Array]) -> dict[frozenset[str], Array]:
    """Residuals of each die, every table of it with the same weight."""
    groups = dies(tables)
    out: dict[frozenset[str], Array] = {}
    for die in groups:
        parts = [r for t, r in zip(tables, residuals, strict=True) if t.chip in die]
        size = max(len(r) for r in parts)
        out[die] = np.concatenate([np.quantile(r, (np.arange(size) + 0.5) / size) for r in parts])
    return out


def interval_80(residuals: Sequence[Array]) -> tuple[float, float]:
    """Range of ln(measured / predicted) that holds four in five points of a die that is not among them.

    The quantiles over all dies, widened by the least factor with which the quantiles of all but one hold 80% of the
    points of that one, on average over them.
    """
    for width in _WIDTHS if len(residuals) > 2 else _WIDTHS[:1]:
        shares = []
        for i, own in enumerate(residuals):
            low, high = quantiles_80([r for j, r in enumerate(residuals) if j != i] or [own])
            shares.append(_share_within(own, width * low, width * high))
        if np.mean(shares) >= 0.8:
            break
    low, high = quantiles_80(residuals)
    return min(width * low, 0.0), max(width * high, 0.0)


def _share_within(residual: Array, low: float, high: float) -> float:
    return float(np.mean((residual >= min(low, 0.0)) & (residual <= max(high, 0.0))))


def _with_left_out(result: Fitted, residuals: Sequence[Array], tables: Sequence[KernelTable]) -> Fitted:
    """The result with error, range and bias of dies that were left out; twice its own where there is only one die."""
    if not residuals:
        return replace(result, low=2.0 * result.low, high=2.0 * result.high, bias=max(_ONE_DIE, result.error))
    chosen = list(_by_die(tables, residuals).values())
    low, high = interval_80(chosen)
    return replace(
        result,
        error=float(np.mean([np.abs(np.exp(-r) - 1.0).mean() for r in chosen])),
        low=low,
        high=high,
        bias=float(np.sqrt(np.mean([float(np.median(r)) ** 2 for r in chosen]))),
    )
