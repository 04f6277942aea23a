"""From layers to exposures: what each patterning scheme asks of the scanner, the etcher and the deposition tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scheme:
    """Process steps of one patterned layer: immersion and EUV exposures, etches, depositions (counts, per layer)."""

    name: str
    immersion: float
    euv: float
    etch: float
    deposition: float


@dataclass(frozen=True)
class Layer:
    """A group of `count` identical layers at `pitch` [m] printed with one scheme."""

    name: str
    count: float
    pitch: float
    scheme: str


@dataclass(frozen=True)
class Steps:
    """Totals per wafer over a flow: masks, exposures by wavelength, etches, depositions."""

    immersion: float
    euv: float
    etch: float
    deposition: float

    @property
    def exposures(self) -> float:
        return self.immersion + self.euv


def choose_scheme(pitch: float, limits: Mapping[str, float], euv_limit: float | None = None) -> str:
    """Cheapest scheme that prints `pitch` [m]: limits map scheme -> smallest pitch, cheapest first.

    With `euv_limit`, a pitch that needs more than one immersion exposure and is at least that wide is printed with one
    EUV exposure. Raises ValueError where nothing reaches the pitch.
    """
    schemes = list(limits.items())
    if pitch >= schemes[0][1]:
        return schemes[0][0]
    if euv_limit is not None and pitch >= euv_limit:
        return "EUV"
    for name, smallest in schemes[1:]:
        if pitch >= smallest:
            return name
    raise ValueError(f"no scheme prints a pitch of {pitch * 1e9:.1f} nm; the smallest is {schemes[-1][1] * 1e9:.1f} nm")


def count_steps(layers: Sequence[Layer], schemes: Mapping[str, Scheme]) -> Steps:
    """Steps per wafer of a list of layers; every layer's scheme must be known (KeyError otherwise)."""
    chosen = [(layer.count, schemes[layer.scheme]) for layer in layers]
    return Steps(
        immersion=sum(count * scheme.immersion for count, scheme in chosen),
        euv=sum(count * scheme.euv for count, scheme in chosen),
        etch=sum(count * scheme.etch for count, scheme in chosen),
        deposition=sum(count * scheme.deposition for count, scheme in chosen),
    )


def with_euv(layers: Sequence[Layer], schemes: Mapping[str, Scheme], at_least: float) -> list[Layer]:
    """The same layers with every one that takes `at_least` immersion exposures printed in one EUV exposure instead.

    The counterfactual fab of the seeds: TSMC says that one EUV step replaces about four DUV steps.
    """
    return [
        Layer(layer.name, layer.count, layer.pitch, "EUV") if schemes[layer.scheme].immersion >= at_least else layer
        for layer in layers
    ]
