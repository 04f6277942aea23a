"""What ids are called on paper: the names of their cards."""

from __future__ import annotations

import re

from wafer2token import catalog
from wafer2token.evidence.errors import InputError

_FLEET = re.compile(r"^(.*)_x(\d+)$")
_STAGES = {"hbm": "HBM stacks", "dies": "dies", "assembly": "assembly", "demand": "demand", "power": "power"}


def name_of(id: str) -> str:
    """The name of a chip, system or model without its bracketed remark; a fleet such as ``ascend_910c_x2048`` with its number of chips."""
    fleet = _FLEET.match(id)
    if fleet:
        return f"{name_of(fleet.group(1))} × {int(fleet.group(2)):,}"
    for kind in ("chip", "system", "model"):
        try:
            return str(catalog.get(kind, id).name).partition(" (")[0]
        except InputError:
            continue
    return id


def stage_of(id: str) -> str:
    """The name of a stage of the supply chain."""
    return _STAGES.get(id, id)
