"""What takes so long here takes how long there, and through which factors: chip, network, software, availability.

Engineering days before the run are the user's to state. The factors multiply to the ratio of days. They come from pricing a ladder of machines: the first as it is, then with the
other's kernels at peak-proportional speed, then with its links, its software, its failures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wafer2token.evidence.errors import InputError, Problem
from wafer2token.train.run import Array, TrainResult, train


@dataclass(frozen=True)
class Factor:
    """One factor of the slowdown, as quantiles over samples."""

    factor: str
    p5: float
    p50: float
    p95: float
    note: str


@dataclass(frozen=True)
class Comparison:
    """Days here and there, and the factors between."""

    title: str
    factors: tuple[Factor, ...]
    here: TrainResult
    there: TrainResult
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "title": self.title,
            "factors": [vars(f) for f in self.factors],
            "here": self.here.to_dict(),
            "there": self.there.to_dict(),
            "note": self.note,
        }


def compare(
    model: str, on: str, other: str, chips: int, tokens: float, engineering_days: float = 0.0, **options: Any
) -> Comparison:
    """The same job on two machines with as many chips, common random numbers on both sides.

    Args:
        engineering_days: days of porting and tuning on ``on`` before its first step, beyond those on ``other``; they are
            the user's to state, since nothing published counts them.
        options: those of `train`; a plan is searched on each side.
    """
    if engineering_days < 0:
        raise InputError(Problem("days of engineering are not negative", "--engineering", engineering_days))
    options = {k: v for k, v in options.items() if k != "plan"}
    here = train(model, on, chips, tokens, **options)
    there = train(model, other, chips, tokens, **options)
    waiting = 1 + engineering_days / here.days
    days = here.days / there.days * waiting
    peak = _peak_ratio(here, there)
    busy, lost = _split(here), _split(there)
    software = busy[0] / lost[0] / peak
    network = (busy[1] / busy[0]) / (lost[1] / lost[0])
    uncertain = (here.step_time_s / there.step_time_s) / (here.best[0].step_time_s / there.best[0].step_time_s)
    available = there.goodput / here.goodput
    factors = (
        _factor(
            "chip: dense peak",
            peak,
            f"{here.chip} against {there.chip}, {here.precision}",
        ),
        _factor(
            "software: share of the peak reached in kernels",
            software * uncertain,
            "kernels, recomputation and fixed costs; carries the error of the step times",
        ),
        _factor(
            "network and pipeline: time not spent in kernels",
            np.full_like(days, network),
            "exposed communication and bubbles of the best plan on each side",
        ),
        _factor("availability: failures and restarts", available, "useful share of the wall clock"),
        _factor("engineering: days before the first step", waiting, _engineering(engineering_days)),
        _factor(
            "days: the product",
            days,
            f"{np.median(here.days) + engineering_days:.0f} days against {np.median(there.days):.0f}",
        ),
    )
    title = f"{model}: {chips} x {here.chip} ({on}) against {chips} x {there.chip} ({other})"
    note = "" if engineering_days else "State days of engineering with --engineering: none are assumed."
    return Comparison(title, factors, here, there, note)


def _engineering(days: float) -> str:
    return f"{days:g} days as stated" if days else "none stated"


def _factor(name: str, values: Any, note: str) -> Factor:
    p5, p50, p95 = (float(x) for x in np.percentile(values, [5, 50, 95]))
    return Factor(name, p5, p50, p95, note)


def _peak_ratio(here: TrainResult, there: TrainResult) -> Array:
    """Peak of the other job over that of this one, sample by sample, from rate and utilisation."""
    return np.asarray((there.tokens_per_s / there.mfu["6n"]) / (here.tokens_per_s / here.mfu["6n"]))


def _split(result: TrainResult) -> tuple[float, float]:
    """Seconds in kernels and in all of the best plan's step."""
    parts = result.best[0].parts_s
    return sum(parts[name] for name in ("compute", "recompute", "optimizer", "other")), result.best[0].step_time_s
