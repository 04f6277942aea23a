"""How often machines of a kind stop a training job, how long they take to come back, and what running them costs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wafer2token.catalog.card import Card, Ratio, Seconds, Unit
from wafer2token.evidence.number import Number

Rate = Annotated[Number, Unit("1/device/s")]


class ReliabilityCard(Card):
    """Failures of one kind of machine. ``vendors`` are first words of chip ids; empty speaks for all others.

    ``interruptions`` is per device (chip) and time; ``components`` are shares of it. ``restart`` runs from the stop to the
    first new step; ``checkpoint`` is the time a save holds training up; ``repair`` how long a node is away.
    """

    vendors: tuple[str, ...] = ()
    interruptions: Rate
    restart: Seconds
    checkpoint: Seconds
    repair: Seconds
    slow_nodes: Ratio
    slow_loss: Ratio
    components: dict[str, Ratio] = Field(default_factory=dict)
    electricity: Annotated[Number, Unit("USD/J")]
    overhead_power: Ratio
    host_power: Ratio
    host_cost: Ratio
    life: Seconds
    running_cost: Annotated[Number, Unit("1/s")]
