"""The software a run assumes: cards of kind `training` multiplied together for a vendor, chip family, precision and stack."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from wafer2token.catalog import all_cards, get
from wafer2token.train.step import Software

VENDORS = {"nvidia": "nvidia", "huawei": "huawei", "amd": "amd", "google": "google", "intel": "intel"}
CLASSES = {"fp8": "8bit", "mxfp8": "8bit", "nvfp4": "4bit", "fp4": "4bit", "mxfp4": "4bit"}
MULTIPLIERS = ("kernel", "attention", "expert", "vector", "scan", "data_slowdown")
SETTINGS = (
    "launch",
    "per_micro_batch",
    "per_step",
    "straggling",
    "tensor_hidden",
    "context_hidden",
    "expert_hidden",
    "data_hidden",
    "pipeline_hidden",
)


@dataclass(frozen=True)
class Calibrated:
    """Software with what is known of its error: `spread` is the standard deviation of ln(measured / predicted)."""

    software: Software
    stack: str
    spread: float
    points: int
    cards: tuple[str, ...]
    measured_family: bool
    unfused_attention: float = 1.0
    biased_attention: bool = True
    time: float = 1.0
    spread_card: str = ""


def planner(name: str) -> float:
    """A number of the card `training.planner` [SI]: what is taken where nothing is stated."""
    return float(getattr(get("training", "planner"), name))


def fitted_card(scope: str, target: str) -> Any:
    """The fitted card of a scope and target; None where there is none."""
    cards = all_cards("training").values()
    return next((c for c in cards if (c.scope, c.target, c.part) == (scope, target, "fit")), None)


def overlap_odds(traffic: str) -> float:
    """What a stated overlap of a traffic multiplies the odds of its hidden share by; 1 where none was fitted."""
    card = fitted_card("overlap", traffic)
    return float(card.tensor_overlap) if card is not None and card.tensor_overlap is not None else 1.0


def vendor_of(vendor: str) -> str:
    """Vendor word of a chip card's vendor line; "any" for those without measurements."""
    words = vendor.lower()
    return next((target for start, target in VENDORS.items() if start in words), "any")


def precision_class(precision: str) -> str:
    """16bit, 8bit or 4bit."""
    return CLASSES.get(precision, "16bit")


def family_of(chip_id: str) -> str:
    """Chip family of a chip id by the family cards' chips; the id itself when no card claims it."""
    best = ("", chip_id)
    for card in all_cards("training").values():
        if card.scope == "family":
            for start in card.chips:
                if chip_id.startswith(start) and len(start) > len(best[0]):
                    best = (start, card.target)
    return best[1]


def stack_of(framework: str, vendor: str, year: float = 0.0) -> str:
    """Stack whose card names a word of a framework text; the vendor's usual stack where none does.

    Where the year is known, the latest release that had begun by then takes the place of the line it belongs to.
    """
    words = framework.lower()
    hits = [
        (len(mark), card.target)
        for card in all_cards("training").values()
        if card.scope == "stack" and card.vendor in ("", vendor)
        for mark in card.frameworks
        if mark in words
    ]
    stack = str(max(hits)[1]) if hits else {"huawei": "mindspeed", "google": "jax"}.get(vendor, "megatron")
    begun = [
        (float(card.since), card.target)
        for card in all_cards("training").values()
        if card.parent == stack and 0 < card.since <= year
    ]
    return str(max(begun)[1]) if begun else stack


def parent_of(stack: str) -> str:
    """The line of stacks that a stack is a release of; itself where its card names none."""
    cards = all_cards("training").values()
    return next(
        (c.parent for c in cards if (c.scope, c.target, c.part) == ("stack", stack, "definition") and c.parent), stack
    )


def calibrated(chip_id: str, vendor_line: str, precision: str, stack: str) -> Calibrated:
    """Software for a chip, precision and stack, with its spread.

    A chip whose family has no card takes the vendor's multipliers and the wider spread of that card.
    """
    vendor, family = vendor_of(vendor_line), family_of(chip_id)
    found = {(c.scope, c.target): c for c in all_cards("training").values() if c.part == "fit"}
    wanted = (
        ("vendor", vendor),
        ("vendor", "any"),
        ("family", family),
        ("class", precision_class(precision)),
        ("precision", f"{family}.{precision_class(precision)}"),
        ("stack", parent_of(stack)),
        ("release", stack),
    )
    cards = [
        found[key] for key in wanted if key in found and not (key == ("vendor", "any") and ("vendor", vendor) in found)
    ]
    product = dict.fromkeys(MULTIPLIERS, 1.0)
    settings: dict[str, float] = {}
    for card in cards:
        for name in MULTIPLIERS:
            value = getattr(card, name)
            product[name] *= float(value) if value is not None else 1.0
        settings |= {name: float(getattr(card, name)) for name in SETTINGS if getattr(card, name) is not None}
    wide = [c for c in cards if c.spread is not None and c.scope in ("vendor", "family")]
    known = any(c.scope == "family" and c.points for c in cards)
    kinds = [c for c in all_cards("training").values() if (c.scope, c.target, c.part) == ("stack", stack, "definition")]
    unfused = [float(c.unfused_attention) for c in cards if c.unfused_attention is not None]
    fused = all(c.fused_attention for c in kinds)
    software = _software(product, settings, fused)
    stated = wide[-1] if known else found.get(("vendor", "any"))
    return Calibrated(
        software,
        stack,
        float(stated.spread or 1.0) if stated is not None else 1.0,
        sum(c.points for c in cards if c.scope == "family"),
        tuple(c.id for c in cards),
        known,
        math.prod(unfused),
        all(c.biased_attention for c in kinds),
        spread_card=stated.id if stated is not None else "",
    )


def _software(product: dict[str, float], settings: dict[str, Any], fused: bool) -> Software:
    kernel = product["kernel"]
    return Software(
        compute=kernel,
        expert=kernel * product["expert"],
        attention=kernel * product["attention"],
        vector=product["vector"],
        scan=product["scan"],
        launch_s=settings.get("launch", 0.0),
        tensor_hidden=settings.get("tensor_hidden", 0.0),
        context_hidden=settings.get("context_hidden", 0.0),
        expert_hidden=settings.get("expert_hidden", 0.0),
        data_hidden=settings.get("data_hidden", 1.0),
        data_slowdown=product["data_slowdown"],
        pipeline_hidden=settings.get("pipeline_hidden", 0.0),
        micro_batch_s=settings.get("per_micro_batch", 0.0),
        step_s=settings.get("per_step", 0.0),
        straggling=settings.get("straggling", 0.0),
        fused_attention=fused,
    )
