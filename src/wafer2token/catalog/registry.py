"""Which kinds of card exist, and the class that reads each. Cards of a kind lie in ``data/<kind>/*.toml``."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from wafer2token.evidence.errors import InputError, unknown

if TYPE_CHECKING:
    from wafer2token.catalog.card import Card

KINDS: dict[str, str] = {
    "chip": "wafer2token.catalog.kinds.chip:ChipCard",
    "system": "wafer2token.catalog.kinds.system:SystemCard",
    "model": "wafer2token.catalog.kinds.model:ModelCard",
    "process": "wafer2token.catalog.kinds.process:ProcessCard",
    "tool": "wafer2token.catalog.kinds.tool:ToolCard",
    "memory": "wafer2token.catalog.kinds.memory:MemoryCard",
    "quantity": "wafer2token.catalog.kinds.quantity:QuantityCard",
    "supply": "wafer2token.catalog.kinds.supply:SupplyCard",
    "observation": "wafer2token.catalog.kinds.observation:ObservationCard",
    "step": "wafer2token.catalog.kinds.step:StepCard",
    "rule": "wafer2token.catalog.kinds.rule:RuleCard",
    "item": "wafer2token.catalog.kinds.item:ItemCard",
    "party": "wafer2token.catalog.kinds.party:PartyCard",
    "destination": "wafer2token.catalog.kinds.destination:DestinationCard",
    "calibration": "wafer2token.catalog.kinds.calibration:CalibrationCard",
    "study": "wafer2token.catalog.kinds.study:StudyCard",
    "claim": "wafer2token.catalog.kinds.claim:ClaimCard",
    "training": "wafer2token.catalog.kinds.training:TrainingCard",
    "reliability": "wafer2token.catalog.kinds.reliability:ReliabilityCard",
    "source": "wafer2token.catalog.kinds.source:SourceCard",
}


def card_class(kind: str) -> type[Card]:
    """The class that reads cards of a kind."""
    check_kind(kind)
    module, name = KINDS[kind].split(":")
    return cast("type[Card]", getattr(import_module(module), name))


def check_kind(kind: str) -> None:
    """Refuse a kind that does not exist, naming the nearest."""
    if kind not in KINDS:
        raise InputError(unknown("kind of card", kind, sorted(KINDS)))


def describe(kind: str) -> str:
    """What a kind of card is: the first line of its module, read without importing it."""
    check_kind(kind)
    spec = find_spec(KINDS[kind].split(":")[0])
    first = Path(spec.origin).read_text(encoding="utf-8").splitlines()[0] if spec and spec.origin else ""
    return first.strip('"').rstrip(".")
