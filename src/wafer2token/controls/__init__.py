"""Export rules by date: may this item go there, and why (not)? Not legal advice.

``allow`` judges one transaction and explains it, ``permits`` judges arrays of them, ``timeline`` follows an item over
the years, ``frontier`` finds the strongest chip that a regime lets through.
"""

from typing import Any

from wafer2token.controls.frontier import frontier
from wafer2token.controls.metrics import (
    memory_bandwidth_density,
    minimum_resolvable_feature,
    performance_density,
    tpp,
)
from wafer2token.controls.ruling import DISCLAIMER, Ruling, allow
from wafer2token.controls.timeline import timeline

__all__ = [
    "DISCLAIMER",
    "Ruling",
    "allow",
    "frontier",
    "memory_bandwidth_density",
    "minimum_resolvable_feature",
    "performance_density",
    "permits",
    "timeline",
    "tpp",
]


def __getattr__(name: str) -> Any:
    if name in ("permits", "Permits"):  # loads NumPy
        from wafer2token.controls import arrays

        return getattr(arrays, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
