"""``calibrate``: fits of measurement tables and of single runs, written as cards."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from wafer2token.evidence.errors import InputError, Problem, unknown


@dataclass(frozen=True)
class Calibration:
    """What ``calibrate`` wrote: the files, and one line per fit; ``left_out``: chips under parameters of other dies."""

    kind: str
    files: tuple[str, ...]
    fits: tuple[str, ...]
    left_out: tuple[dict[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def calibrate(
    kind: str = "kernels", out: str = "calibration", aiconfigurator: str | None = None, points: Sequence[str] = (),
    vidur: Sequence[str] = (), msmodeling: str | None = None, nccl_tests: Sequence[str] = (), operators: str | None = None,
    collective_points: Sequence[str] = (), experts: bool = False, as_of: date | None = None, report: Callable[[str], None] | None = None,
    families: Sequence[str] = (), leave_out: bool = False,
) -> Calibration:  # fmt: skip
    """Fit kernel and fabric parameters from measurement tables; write calibration cards.

    Args:
        kind: "kernels".
        out: folder for the cards.
        aiconfigurator: folder of the package aiconfigurator-core; "" for the installed one, None to leave it out.
        points: tables of measured kernels (columns as in docs/points.md); flagged rows stay out.
        vidur: ``CHIP=FILE`` of Vidur profiles of matrix products (mlp.csv or parquet).
        msmodeling: folder of Huawei msmodeling operator tables.
        nccl_tests: ``CHIP:OP:RANKS=FILE`` of the text that nccl-tests prints.
        operators: YAML or JSON with points of expert dispatch and combine.
        collective_points: tables of collectives whose rows of block copies (``block_bytes``) are fitted.
        experts: also fit the fused mixtures of experts in the aiconfigurator tables.
        as_of: date on the cards; today when None.
        report: called with one line per fit.
        families: kernel families to fit; all when empty.
        leave_out: write nothing; leave every die out in turn and predict its chips from the others.

    Raises:
        InputError: unknown kind, nothing to read, an unreadable table.
    """
    from wafer2token.evidence.tables import read_rows

    if kind != "kernels":
        raise InputError(unknown("kind of calibration", kind, ["kernels"]))
    lines: list[str] = []

    def note(line: str) -> None:
        lines.append(line)
        if report is not None:
            report(line)

    today, folder = as_of or date.today(), Path(out)
    kernels = list(_kernel_tables(aiconfigurator, points, vidur, msmodeling, experts))
    collectives = list(_collective_tables(aiconfigurator, nccl_tests))
    exchange = list(_exchange_tables(aiconfigurator, operators))
    copies = [row for path in collective_points for row in read_rows(path)]
    if not (kernels or collectives or exchange or copies):
        raise InputError(
            Problem("nothing to calibrate from", remedy="name at least one table, such as --points gemm.csv")
        )
    files: list[Path] = []
    if leave_out:
        from wafer2token.chip.calibration import pipeline

        return Calibration(kind, (), (), tuple(asdict(row) for row in pipeline.leave_out(kernels, families)))
    if kernels:
        from wafer2token.chip.calibration.pipeline import calibrate_kernels

        files += calibrate_kernels(kernels, folder, today, note, families)
    if not families:
        files += _fabric_cards(collectives, exchange, copies, folder, today, note)
    return Calibration(kind, tuple(str(f) for f in files), tuple(lines))


def _fabric_cards(
    collectives: list[Any], exchange: list[Any], copies: list[Any], folder: Path, today: date, note: Callable[[str], None]
) -> list[Path]:
    files: list[Path] = []
    if collectives:
        from wafer2token.fabric.calibration import calibrate_fabrics

        files.append(calibrate_fabrics(collectives, folder, today, note))
    if exchange:
        from wafer2token.fabric.expert_calibration import calibrate_experts

        files.append(calibrate_experts(exchange, folder, today, note))
    if copies:
        from wafer2token.fabric.copy_calibration import calibrate_copies

        written = calibrate_copies(copies, folder, today, note)
        files += [written] if written else []
    return files


@dataclass(frozen=True)
class Anchored:
    """An engine card of one run: the file, measured values (seconds, tokens/s), errors before and after, and how to use it."""

    file: str
    measured: dict[str, float]
    before: dict[str, float]
    after: dict[str, float]
    use: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def calibrate_serving(
    run: str, model: str | None = None, on: str | None = None, plan: str | None = None, stack: str | None = None, out: str = "calibration", *,
    rate: float | None = None, concurrency: int | None = None,
) -> Anchored:  # fmt: skip
    """Anchor the serving engine to one measured run and write its card into the folder ``out``.

    Raises:
        InputError: a run, model or place that cannot be read. InfeasibleError: the plan does not fit.
    """
    from wafer2token.serve.calibrate import calibrate_run

    anchor = calibrate_run(run, model, on, plan, stack, rate, concurrency)
    name = f"engine_{anchor.chip}_{anchor.stack}".replace("-", "_")
    file = Path(out) / f"{name}.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(anchor.to_toml(name), "utf-8")
    seen = anchor.run
    split = f" --plan {shlex.quote(plan)}" if plan else ""
    load = f"--concurrency {seen.concurrency}" if seen.concurrency else "" if math.isinf(seen.rate) else f"--rate {seen.rate:g}"
    use = f"w2t serve {model or anchor.model} --on {on or anchor.chip}{split} --stack {anchor.stack} --calibration {file} {load or '--concurrency N'} --isl {seen.isl:.0f} --osl {seen.osl:.0f}"
    measured = {"ttft": seen.ttft_s, "tpot": seen.tpot_s, "output_tokens_per_s": seen.output_tokens_per_s}
    return Anchored(str(file), measured, dict(anchor.before), dict(anchor.after), use)


def _kernel_tables(
    package: str | None, points: Sequence[str], vidur: Sequence[str], msmodeling: str | None, experts: bool
) -> list[Any]:
    from wafer2token.chip.calibration import aiconfigurator as aic
    from wafer2token.chip.calibration.others import read_msmodeling, read_vidur, read_vidur_streams
    from wafer2token.chip.points import as_tables, rows_of
    from wafer2token.evidence.tables import read_rows

    tables = list(aic.read(aic.package_data(package or None), experts)) if package is not None else []
    for path in points:
        tables += as_tables(rows_of(read_rows(path)), source="kernel_measurements")
    for given in vidur:
        chip, path = _pair(given, "CHIP=FILE")
        streams = read_vidur_streams(Path(path), chip)
        tables += [read_vidur(Path(path), chip), *([streams] if streams else [])]
    if msmodeling is not None:
        tables += read_msmodeling(Path(msmodeling))
    return tables


def _collective_tables(package: str | None, texts: Sequence[str]) -> list[Any]:
    from wafer2token.chip.calibration import aiconfigurator as aic
    from wafer2token.fabric.calibration import read_aiconfigurator, read_nccl_tests

    tables = list(read_aiconfigurator(aic.package_data(package or None), aic.CHIPS)) if package is not None else []
    for given in texts:
        name, path = _pair(given, "CHIP:OP:RANKS=FILE")
        parts = name.split(":")
        if len(parts) != 3 or not parts[2].isdigit():
            raise InputError(Problem("not CHIP:OP:RANKS=FILE", got=given))
        tables.append(read_nccl_tests(Path(path), parts[1], int(parts[2]), parts[0]))
    return tables


def _exchange_tables(package: str | None, operators: str | None) -> list[Any]:
    from wafer2token.catalog import get
    from wafer2token.chip.calibration import aiconfigurator as aic
    from wafer2token.evidence.tables import read_entries
    from wafer2token.fabric.expert_calibration import read_aiconfigurator, read_operators

    tables: list[Any] = []
    if package is not None:
        links = {c: get("chip", c).scale_up_bandwidth for c in aic.CHIPS.values()}
        known = {c: float(v) for c, v in links.items() if v is not None}
        tables += read_aiconfigurator(
            aic.package_data(package or None), {k: v for k, v in aic.CHIPS.items() if v in known}, known
        )
    if operators is not None:
        tables += read_operators(read_entries(operators))
    return tables


def _pair(given: str, form: str) -> tuple[str, str]:
    name, _, path = given.partition("=")
    if not name or not path:
        raise InputError(Problem(f"not {form}", got=given))
    return name, path
