"""A system of accelerators: server, rack, supernode, pod or cluster."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from wafer2token.catalog.card import Area, ByteRate, Bytes, Card, Dollars, FlopRate, Ratio, Seconds, Unit, Watts
from wafer2token.catalog.statement import Dated, Statement
from wafer2token.evidence.number import Number

Count = Annotated[Number, Unit("chip")]


class SystemCard(Card):
    """Many accelerators sold or run as one. Bandwidths are per direction; ``peak`` is dense and of the whole system.

    ``scale_up_domain`` is how many chips one scale-up fabric joins; ``chips_per_node`` how many share a host.
    ``chip`` is the id of the chip card; a mixed cluster has ``members`` (chips by make) instead.
    """

    columns: ClassVar[dict[str, str]] = {
        "chip": "chip",
        "status": "status",
        "count": "count",
        "peak.bf16|peak.fp8|peak_of_unstated_type": "peak",
        "power": "power",
    }

    vendor: str
    country: str
    status: Literal["shipped", "announced", "rumoured", "paper"]
    chip: str = ""
    chip_alternatives: tuple[str, ...] = ()
    first_ship: Dated | None = None
    count: Count | None = None
    chips_per_node: Count | None = None
    scale_up_domain: Count | None = None
    dies: Annotated[Number, Unit("die")] | None = None
    nodes: Annotated[Number, Unit("node")] | None = None
    memory_capacity: Bytes | None = None
    memory_bandwidth: ByteRate | None = None
    topology: Statement | None = None
    max_grid: Statement | None = None
    optics: Statement | None = None
    transceivers: Ratio | None = None
    transceivers_per_chip: Ratio | None = None
    floor_area: Area | None = None
    scale_up_bandwidth: ByteRate | None = None
    scale_up_per_die: ByteRate | None = None
    scale_up_aggregate: ByteRate | None = None
    scale_up_loss: Ratio | None = None
    die_to_die_bandwidth: ByteRate | None = None
    scale_out_bandwidth: ByteRate | None = None
    scale_out_per_node: ByteRate | None = None
    vpc_per_node: ByteRate | None = None
    power: Watts | None = None
    price: Dollars | None = None
    interconnect_cost_per_chip: Annotated[Number, Unit("USD/chip")] | None = None
    interconnect_power_per_chip: Annotated[Number, Unit("W/chip")] | None = None
    peak_of_unstated_type: FlopRate | None = None
    members: dict[str, Count] = Field(default_factory=dict)
    host_cpus: dict[str, Ratio] = Field(default_factory=dict)
    racks: dict[str, Annotated[Number, Unit("rack")]] = Field(default_factory=dict)
    trays: dict[str, Ratio] = Field(default_factory=dict)
    peak: dict[str, FlopRate] = Field(default_factory=dict)
    peak_by_member: dict[str, FlopRate] = Field(default_factory=dict)
    latency: dict[str, Seconds] = Field(default_factory=dict)
    scale_up_measured: dict[str, ByteRate] = Field(default_factory=dict)
    measured_latency: dict[str, Seconds] = Field(default_factory=dict)
    measured_throughput: dict[str, Annotated[Number, Unit("token/s")]] = Field(default_factory=dict)
    rental: dict[str, Annotated[Number, Unit("CNY/chip/h")]] = Field(default_factory=dict)
    comparison: dict[str, Ratio] = Field(default_factory=dict)
    claimed_utilisation: dict[str, Ratio] = Field(default_factory=dict)
    model_defaults: dict[str, Ratio] = Field(default_factory=dict)
    remarks: tuple[Statement, ...] = ()
    not_found: tuple[str, ...] = ()
