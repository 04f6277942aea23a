"""Software stacks: measured efficiency over time, operator coverage, code audit."""

from importlib import import_module
from typing import Any

_CURVE = ("Efficiency", "Progress", "WORKLOADS", "efficiency", "maturity", "progress", "saturating", "slowdown")


def __getattr__(name: str) -> Any:
    if name in _CURVE:
        return getattr(import_module("wafer2token.stack.curve"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
