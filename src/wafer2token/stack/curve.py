"""How software catches up with a chip: a saturating curve that starts again with every new class of workload and
every new generation of chips, with noise from release to release."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import all_cards, get
from wafer2token.evidence.errors import EvidenceError, InputError, Problem, unknown
from wafer2token.evidence.number import Number

Array = npt.NDArray[np.float64]
Value = float | Array

WORKLOADS = ("dense_training", "moe_training", "reinforcement_learning", "serving")
_DAY = 86400.0


@dataclass(frozen=True)
class Progress:
    """A software progress curve.

    Attributes:
        start: share of the mature efficiency on the first day.
        final: share that it approaches.
        tau: time constant [s].
        noise: standard deviation of the logarithm between releases.
    """

    start: Value
    final: Value
    tau: Value
    noise: float


def saturating(elapsed: Value, start: Value, final: Value, tau: Value) -> Value:
    """final - (final - start) exp(-elapsed / tau), and ``start`` before the first day.

    Args:
        elapsed: time since the workload first ran on the chip [s].
        start, final: shares of the mature efficiency.
        tau: time constant [s].
    """
    return final - (final - start) * np.exp(-np.maximum(elapsed, 0.0) / tau)


def progress(platform: str, workload: str, samples: int | None = None, seed: int = 0) -> Progress:
    """The curve of a platform ("cuda", "cann", ...) on a class of workload; of any platform where none was observed.

    Args:
        platform: of the chip's vendor.
        workload: one of `WORKLOADS`.
        samples: draw this many samples of each parameter; None for the central case.
        seed: of the samples.

    Raises:
        InputError: unknown workload.
    """
    if workload not in WORKLOADS:
        raise InputError(unknown("class of workload", workload, list(WORKLOADS)))
    card = progress_card(platform, workload)

    def value(number: Number, name: str) -> Value:
        if samples is None:
            return float(number)
        from wafer2token.evidence.sampling import draw

        return draw(number, f"stack.{card.id}.{name}", samples, seed)

    return Progress(
        value(card.ratios["start"], "start"), value(card.ratios["final"], "final"), value(card.times["tau"], "tau"),
        float(card.ratios["noise"]),
    )  # fmt: skip


def progress_card(platform: str, workload: str) -> Any:
    """The calibration card behind a curve: the closest to the platform and the class of workload.

    Raises EvidenceError where no card fits.
    """
    cards = [c for c in all_cards("calibration").values() if c.family == "progress"]
    for target, stack in ((platform, workload), (platform, "any"), ("any", workload), ("any", "any")):
        for card in cards:
            if (card.target, card.stack) == (target, stack):
                return card
    raise EvidenceError(f"no progress curve for {workload} on {platform}")


def maturity(
    platform: str,
    workload: str,
    on: date,
    since: date,
    samples: int | None = None,
    seed: int = 0,
    releases: bool = False,
) -> Value:
    """Share of its mature efficiency that software reaches on a date, 0 to 1 (with release noise it can pass 1).

    Args:
        platform, workload: as in `progress`.
        on: the date.
        since: when this class of workload first ran on this generation of chips: the curve starts again there.
        samples, seed: as in `progress`.
        releases: add the noise of one release (needs samples).

    Raises:
        InputError: a date before the start.
    """
    if on < since:
        raise InputError(
            Problem("before the workload first ran on the chip", "on", on.isoformat(), f"from {since.isoformat()}")
        )
    curve = progress(platform, workload, samples, seed)
    share = saturating((on - since).days * _DAY, curve.start, curve.final, curve.tau)
    if not releases or samples is None:
        return share
    from scipy.special import ndtri

    from wafer2token.evidence.sampling import quantiles

    draws = ndtri(quantiles(f"stack.{platform}.{workload}.{on.isoformat()}.release", samples, seed))
    return np.asarray(share * np.exp(curve.noise * draws))


def slowdown(
    platform: str,
    workload: str,
    on: date,
    since: date,
    measured: date | None = None,
    samples: int | None = None,
    seed: int = 0,
) -> Value:
    """Factor on kernel times between software of a date and the software that was measured.

    Args:
        platform, workload, on, since, samples, seed: as in `maturity`.
        measured: date of the software behind the calibration; None for mature software.
    """
    then = 1.0 if measured is None else maturity(platform, workload, measured, since, samples, seed)
    return (
        np.asarray(then / maturity(platform, workload, on, since, samples, seed))
        if samples
        else float(np.asarray(then / maturity(platform, workload, on, since)))
    )


@dataclass(frozen=True)
class Efficiency:
    """What software reaches on a chip: shares of peak by kernel family, with the spread of what was measured.

    ``basis`` is "calibrated" on the chip or "class" (the spread over other chips); ``low`` and ``high`` bound 80%.
    """

    chip: str
    stack: str
    family: str
    dtype: str
    compute: float | None
    memory: float | None
    floor_s: float | None
    low: float
    high: float
    error: float | None
    points: int
    as_of: str
    basis: str
    card: str


def efficiency(chip: str, family: str | None = None) -> list[Efficiency]:
    """Measured efficiencies of a chip by stack, kernel family and data type; of its class where nothing was measured.

    Args:
        chip: id or alias of a chip.
        family: one kernel family; None for all.
    """
    card = get("chip", chip)
    every = [c for c in all_cards("calibration").values() if c.fit is not None and c.subject in ("chip", "class")]
    own = [c for c in every if c.subject == "chip" and c.target == card.id]
    known = {(c.family, c.dtype) for c in own}
    rest = [c for c in every if c.subject == "class" and c.target == "any" and (c.family, c.dtype) not in known]
    chosen = [c for c in (*own, *rest) if family is None or c.family == family]
    return [_efficiency(card.id, c) for c in chosen]


def _efficiency(chip: str, card: Any) -> Efficiency:
    share = {k: float(v) for k, v in card.ratios.items()}
    floor = card.times.get("floor")
    return Efficiency(
        chip, card.stack, card.family, card.dtype, share.get("compute"), share.get("memory"), float(floor) if floor else None,
        math.exp(-float(card.fit.high)), math.exp(-float(card.fit.low)), float(card.fit.error), card.fit.points,
        card.as_of.isoformat() if card.as_of else "", "calibrated" if card.subject == "chip" else "class", card.id,
    )  # fmt: skip
