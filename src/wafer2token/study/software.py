"""What the software of a date costs on a chip: the progress curve of its platform, from the chip's first shipment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from wafer2token.catalog import all_cards, get
from wafer2token.chip.fits import platform
from wafer2token.evidence.errors import EvidenceError
from wafer2token.stack.curve import maturity, progress_card


@dataclass(frozen=True)
class SoftwareOfADate:
    """Factor on kernel times between the software of a date and the software that the calibration speaks to.

    Attributes:
        chip, workload, on: what was asked.
        since: when the curve starts: first shipment of the chip, unless given.
        measured: date of the calibration; None where the chip was never measured and mature software is meant.
        card: of the curve.
        p10, p50, p90: of the factor over the curve's parameters and the noise of releases.
    """

    chip: str
    workload: str
    on: date
    since: date
    measured: date | None
    card: str
    p10: float
    p50: float
    p90: float


def software_of(
    chip: str, on: date, workload: str = "serving", since: date | None = None, samples: int = 2000, seed: int = 0
) -> SoftwareOfADate:
    """The factor of a date.

    Args:
        chip: id or alias of a chip.
        on: date of the software.
        workload: class of workload ("serving", "dense_training", "moe_training", "reinforcement_learning").
        since: when this class of workload first ran on this generation; None for the chip's first shipment.
        samples, seed: of the curve.

    Raises:
        InputError: a date before the start, an unknown chip or workload.
        EvidenceError: the card has no first shipment and none is given.
    """
    card = get("chip", chip)
    if since is None:
        if card.first_ship is None:
            raise EvidenceError(f"{card.name} ({card.id}) has no first shipment on its card: give --since")
        since = card.first_ship.span()[0]
    kind = platform(card.vendor)
    fitted = [c.as_of for c in all_cards("calibration").values() if c.subject == "chip" and c.target == card.id and c.as_of]
    measured = max(fitted) if fitted and max(fitted) >= since else None
    reached = np.asarray(maturity(kind, workload, on, since, samples, seed, releases=True))
    then = 1.0 if measured is None else np.asarray(maturity(kind, workload, measured, since, samples, seed))
    low, middle, high = (float(x) for x in np.quantile(then / reached, (0.1, 0.5, 0.9)))
    return SoftwareOfADate(card.id, workload, on, since, measured, progress_card(kind, workload).id, low, middle, high)
