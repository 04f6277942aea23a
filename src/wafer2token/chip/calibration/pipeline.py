"""The whole calibration of the kernels: tables in, cards out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from wafer2token.catalog import get
from wafer2token.catalog.calibration_cards import CardDraft, Fitted, with_bias, write
from wafer2token.chip.calibration.fitting import fit_tables, log_ratio
from wafer2token.chip.calibration.tables import KernelTable
from wafer2token.chip.fits import platform
from wafer2token.chip.machine import accelerator

_DEFAULT_ORDER = ("vllm", "sglang", "trtllm", "torch", "cann")
Report = Callable[[str], None]


def calibrate_kernels(tables: Iterable[KernelTable], out: Path, as_of: date, report: Report = print) -> list[Path]:
    """Fit every chip, stack, family and data type, then the classes of chips; write the cards.

    Args:
        tables: measurements (see the importers beside this module).
        out: folder that gets ``kernels.toml`` and ``kernel_classes.toml``.
        as_of: date written on the cards.
        report: called with one line per fit.
    """
    grouped: dict[tuple[str, str, str, str], list[KernelTable]] = {}
    for table in tables:
        grouped.setdefault((table.chip, table.stack, table.family, table.dtype), []).append(table)
    drafts: list[CardDraft] = []
    for (chip, stack, family, dtype), members in sorted(grouped.items()):
        result = fit_tables(members)
        report(f"{chip} {stack} {family} {dtype}: {result.points} points, held-out error {result.error:.1%}")
        drafts.append(_chip_draft(chip, stack, result, members, as_of))
    drafts = _with_defaults(drafts)
    drafts = [with_bias(d, _between_stacks(d, drafts, grouped)) for d in drafts]
    classes = list(_classes(grouped, drafts, as_of, report))
    return [
        write(out, "kernels", drafts, "Kernel efficiencies by chip, stack, family and data type; written by `w2t calibrate kernels`"),
        write(out, "kernel_classes", classes, "Kernel efficiencies of classes of chips, for chips without measurements; written by `w2t calibrate kernels`"),
    ]  # fmt: skip


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
    from dataclasses import replace

    chosen: dict[tuple[str, str, str], str] = {}
    for draft in sorted(drafts, key=_rank):
        chosen.setdefault((draft.target, draft.result.family, draft.result.dtype), draft.stack)
    return [replace(d, default=chosen[d.target, d.result.family, d.result.dtype] == d.stack) for d in drafts]


def _rank(draft: CardDraft) -> int:
    return _DEFAULT_ORDER.index(draft.stack) if draft.stack in _DEFAULT_ORDER else len(_DEFAULT_ORDER)


def _between_stacks(
    draft: CardDraft, drafts: Sequence[CardDraft], grouped: dict[tuple[str, str, str, str], list[KernelTable]]
) -> float:
    """Standard deviation of the mean ln(measured / predicted) of this fit on the chip's other stacks."""
    means = [0.0]
    for other in drafts:
        if (other.target, other.result.family, other.result.dtype) == (draft.target, draft.result.family, draft.result.dtype) and other.stack != draft.stack:  # fmt: skip
            tables = grouped[other.target, other.stack, other.result.family, other.result.dtype]
            machine = accelerator(draft.target, per=tables[0].per)  # type: ignore[arg-type]
            means.append(float(np.median(log_ratio(machine, tables[0].thinned(2000), draft.result.parameters))))
    return float(np.sqrt(np.mean(np.square(means[1:])))) if len(means) > 1 else abs(draft.result.error) / 2.0


def _classes(
    grouped: dict[tuple[str, str, str, str], list[KernelTable]], drafts: Sequence[CardDraft], as_of: date, report: Report
) -> Iterable[CardDraft]:
    """One card per platform and family over its chips, and one over all chips; residuals by leaving one chip out."""
    kinds = sorted({(d.result.family, d.result.dtype) for d in drafts})
    for family, dtype in kinds:
        of_chip = {d.target: grouped[d.target, d.stack, family, dtype] for d in drafts if d.default and (d.result.family, d.result.dtype) == (family, dtype)}  # fmt: skip
        by_platform: dict[str, list[str]] = {}
        for chip in of_chip:
            by_platform.setdefault(platform(get("chip", chip).vendor), []).append(chip)
        for name, chips in (*by_platform.items(), ("any", list(of_chip))):
            result = class_fit([t for c in chips for t in of_chip[c]])
            sources = list(dict.fromkeys(t.source for c in chips for t in of_chip[c]))
            report(f"class {name} {family} {dtype}: {len(chips)} chips, error on a chip left out {result.error:.1%}")
            suffix = f"_{dtype}" if dtype else ""
            yield CardDraft(
                id=f"class_{name}_{family}{suffix}", name=f"Chips of class {name}: {family} {dtype}".strip(),
                subject="class", target=name, stack=name, result=result, sources=[*sources, "w2t"], as_of=as_of,
                default=True, note=f"over {', '.join(chips)}; residuals from leaving one chip out",
            )  # fmt: skip


def class_fit(tables: Sequence[KernelTable], rows: int = 1200, evaluations: int = 4000) -> Fitted:
    """One parameter set over several chips; error, range and bias are those of a chip that was left out."""
    from dataclasses import replace

    whole = fit_tables(tables, rows=rows, evaluations=evaluations)
    chips = list(dict.fromkeys(t.chip for t in tables))
    if len(chips) < 2:
        return replace(whole, low=2.0 * whole.low, high=2.0 * whole.high, bias=0.2)
    residuals = list(left_out(tables, rows, evaluations).values())
    errors = [float(np.abs(np.exp(-r) - 1.0).mean()) for r in residuals]
    medians = [float(np.median(r)) for r in residuals]
    even = np.concatenate([np.quantile(r, (np.arange(500) + 0.5) / 500) for r in residuals])
    return replace(
        whole,
        error=float(np.mean(errors)),
        low=float(np.quantile(even, 0.1)),
        high=float(np.quantile(even, 0.9)),
        bias=float(np.sqrt(np.mean(np.square(medians)))),
    )


def left_out(tables: Sequence[KernelTable], rows: int = 1200, evaluations: int = 4000) -> dict[str, np.ndarray]:
    """ln(measured / predicted) of every chip under parameters fitted to the other chips."""
    out: dict[str, np.ndarray] = {}
    for chip in dict.fromkeys(t.chip for t in tables):
        others = [t for t in tables if t.chip != chip]
        parameters = fit_tables(others, rows=rows, evaluations=evaluations).parameters
        out[chip] = np.concatenate(
            [log_ratio(accelerator(t.chip, per=t.per), t.thinned(4000), parameters) for t in tables if t.chip == chip]  # type: ignore[arg-type]
        )
    return out
