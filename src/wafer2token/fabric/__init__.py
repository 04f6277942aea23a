"""Many chips: links, topologies, collectives."""

from importlib import import_module
from typing import Any

_NAMES = {
    "Fabric": "network",
    "Tier": "network",
    "fabric": "network",
    "from_cards": "network",
    "OPERATIONS": "timing",
    "collective_time": "timing",
    "combine_time": "timing",
    "dispatch_time": "timing",
    "collective": "verb",
    "copy_time": "copies",
}


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(f"wafer2token.fabric.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
