"""One accelerator as the kernels see it: rates, memory, compute units and fitted efficiencies."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import get
from wafer2token.chip.fits import FamilyFit, capped, carried, compute_units, family_fit, platform, traits
from wafer2token.chip.transfer import Traits
from wafer2token.evidence.errors import EvidenceError, InputError, Problem, nearest
from wafer2token.evidence.number import Number

Array = npt.NDArray[np.float64]
Value = float | Array
Per = Literal["chip", "die"]

@dataclass(frozen=True)
class Accelerator:
    """A chip (or one die of it) ready to be asked for kernel times.

    Rates and ``scale`` are floats, or arrays [samples] when drawn; every kernel function then returns
    [samples, ...].

    Attributes:
        id, name: of the chip card.
        vendor: of the chip card.
        stack: software stack asked for, None for the chip's default.
        date: date the figures speak to.
        per: "chip" or "die".
        peaks: dense FLOP/s (OP/s for integers) by data type.
        hbm_bytes_per_s, hbm_bytes: memory bandwidth and capacity.
        dies: compute dies in the chip.
        units: compute units (SMs, cube cores) that share the work.
        cache_bytes: capacity of the last-level cache, nan when unknown.
        tdp_w: power limit, nan when unknown.
        scale: kernel family -> factor on its time: the draw of its systematic error times ``slowdown``.
        slowdown: factor on all kernel times, for software that is not yet (or no longer) as good as the measured.
        samples: number of samples, None for the central case.
        traits: what inherited parameters of matrix products go with, by data type.
        achieved: best share of peak that was ever measured on the chip, by data type: inherited parameters are capped
            by it.
        fits: parameters that take the place of the cards', by kernel family.
    """

    id: str
    name: str
    vendor: str
    stack: str | None
    date: dt.date | None
    per: Per
    peaks: Mapping[str, Value]
    hbm_bytes_per_s: Value
    hbm_bytes: Value
    dies: int
    units: float
    cache_bytes: float
    tdp_w: float
    slowdown: Value = 1.0
    samples: int | None = None
    seed: int = 0
    traits: Mapping[str, Traits] = field(default_factory=dict, repr=False)
    achieved: Mapping[str, float] = field(default_factory=dict, repr=False)
    fits: Mapping[str, FamilyFit] = field(default_factory=dict, repr=False)
    scale: dict[str, Value] = field(default_factory=dict, repr=False, compare=False)

    def peak(self, dtype: str) -> Value:
        """Dense rate of a data type [FLOP/s]; InputError when the chip lacks it."""
        if dtype in self.peaks:
            return self.peaks[dtype]
        known = sorted(self.peaks)
        close = nearest(dtype, known)
        raise InputError(
            Problem(
                f"{self.name} has no {dtype}",
                got=dtype,
                allowed=", ".join(known) or "no peak is known of this chip",
                remedy=f"did you mean {', '.join(close)}?" if close else "",
            )
        )

    def fit(self, family: str, dtype: str = "") -> FamilyFit:
        """The fitted parameters of a kernel family on this chip and stack."""
        for key in (f"{family}:{dtype}", family):
            if key in self.fits:
                return self._carried(self.fits[key], dtype)
        found = self._carried(family_fit(self.id, self.vendor, self.stack, family, dtype), dtype)
        share = self.achieved.get(dtype.partition("_")[0], min(self.achieved.values(), default=1.0))
        return capped(found, share) if found.basis == "inherited" and share < 1.0 else found

    def _carried(self, fit: FamilyFit, dtype: str) -> FamilyFit:
        return carried(fit, self.traits[dtype]) if dtype in self.traits else fit

    def factor(self, family: str, dtype: str = "") -> Value:
        """What the family's time is multiplied by: its drawn systematic error times the slowdown."""
        if self.samples is None:
            return self.slowdown
        if family not in self.scale:
            fit = self.fit(family, dtype)
            self.scale[family] = _lognormal(fit.bias, f"chip.{self.id}.{family}", self.samples, self.seed)
        return np.asarray(self.scale[family] * self.slowdown)

    def with_fit(self, family: str, fit: FamilyFit, dtype: str = "") -> Accelerator:
        """The same chip with other parameters for one kernel family, in all data types or in one."""
        return replace(self, fits={**self.fits, f"{family}:{dtype}" if dtype else family: fit}, scale={})


def accelerator(
    chip_id: str, stack: str | None = None, date: dt.date | None = None, samples: int | None = None, seed: int = 0,
    per: Per = "chip", slowdown: Value = 1.0,
) -> Accelerator:  # fmt: skip
    """The accelerator of a chip card with the efficiencies of its calibration cards.

    Args:
        chip_id: id or alias of a chip card.
        stack: software stack ("vllm", "trtllm", "cann", ...); None for the chip's default.
        date: date that the software speaks to (recorded; see `wafer2token.stack` for progress between dates).
        samples: draw this many samples of uncertain rates and systematic errors; None for the central case.
        seed: of the samples; two chips with one seed share their common draws.
        per: "chip", or "die" for one compute die of it.
        slowdown: factor on all kernel times.

    Raises:
        InputError: unknown chip or stack.
        EvidenceError: the card has no peak or no memory bandwidth.
    """
    card = get("chip", chip_id)
    return from_card(card, stack, date, samples, seed, per, slowdown)


def from_card(
    card: Any, stack: str | None = None, date: dt.date | None = None, samples: int | None = None, seed: int = 0,
    per: Per = "chip", slowdown: Value = 1.0,
) -> Accelerator:  # fmt: skip
    """`accelerator` for a chip card in hand (one that a scenario changed, or a user's own)."""
    if card.memory.bandwidth is None or not card.peak:
        lacking = "memory bandwidth" if card.peak else "dense peak"
        raise EvidenceError(f"{card.name} ({card.id}) has no {lacking} on its card: no kernel can be timed")
    if per not in ("chip", "die"):
        raise InputError(Problem("per what?", got=per, allowed="chip, die"))
    dies = round(float(card.compute_dies)) if card.compute_dies else 1
    share = 1.0 / dies if per == "die" else 1.0

    def value(number: Number, path: str) -> Value:
        if samples is None:
            return float(number) * share
        from wafer2token.evidence.sampling import draw

        return draw(number, f"chip.{card.id}.{path}", samples, seed) * share

    return Accelerator(
        id=card.id,
        name=card.name if share == 1.0 else f"{card.name}, one die",
        vendor=card.vendor,
        stack=stack if stack != platform(card.vendor) else None,
        date=date,
        per=per,
        peaks={k: value(v, f"peak.{k}") for k, v in card.peak.items()},
        hbm_bytes_per_s=value(card.memory.bandwidth, "memory.bandwidth"),
        hbm_bytes=value(card.memory.capacity, "memory.capacity") if card.memory.capacity else float("nan"),
        dies=dies,
        units=compute_units(card) * share,
        cache_bytes=max((float(c) for c in (card.l2, card.llc) if c is not None), default=float("nan")) * share,
        tdp_w=float(card.tdp) * share if card.tdp else float("nan"),
        slowdown=slowdown,
        samples=samples,
        seed=seed,
        traits={k: _of_share(traits(card, k), share) for k in card.peak},
        achieved={k: float(v) / float(card.peak[k]) for k, v in card.achieved.items() if k in card.peak},
    )


def _of_share(whole: Traits, share: float) -> Traits:
    return replace(whole, units=whole.units * share, bandwidth=whole.bandwidth * share)


def _lognormal(sd: float, name: str, n: int, seed: int) -> Array:
    from scipy.special import ndtri

    from wafer2token.evidence.sampling import quantiles

    return np.asarray(np.exp(sd * ndtri(quantiles(f"{name}.bias", n, seed))))


def lead(value: Value, ndim: int) -> Any:
    """A float as it is; samples [s] as [s, 1, ...] with ``ndim`` trailing axes, to broadcast against shapes."""
    if np.ndim(value) == 0:
        return value
    array = np.asarray(value)
    return array.reshape(array.shape + (1,) * ndim)
