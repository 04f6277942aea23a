"""An AI accelerator as sold: one chip may hold several compute dies."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from wafer2token.catalog.card import Area, ByteRate, Bytes, Card, Dollars, FlopRate, Frequency, Ratio, Unit, Watts
from wafer2token.catalog.statement import Dated, Statement
from wafer2token.evidence.number import Number

Status = Literal["shipped", "announced", "rumoured"]


class Memory(BaseModel):
    """The memory of one chip."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    type: Statement | None = None
    stacks: Annotated[Number, Unit("stack")] | None = None
    capacity: Bytes | None = None
    bandwidth: ByteRate | None = None


class ChipCard(Card):
    """One accelerator. All figures are per chip (package) unless the field says per die or per core.

    ``peak`` holds dense rates by data type (integer types count operations); ``scale_up_bandwidth`` and
    ``scale_out_bandwidth`` are per direction, as is ``host_link`` to the memory of the host. Peaks and dates of a roadmap stand on a card with status
    "announced", those of the product on one with status "shipped"; ``announced`` and ``shipped`` join the two.
    """

    columns: ClassVar[dict[str, str]] = {
        "status": "status",
        "peak.bf16|peak.fp16|peak.fp8|peak_of_unstated_type": "peak",
        "memory.capacity": "memory",
        "memory.bandwidth": "bandwidth",
        "tdp": "power",
        "price": "price",
    }

    vendor: str
    designer_country: str
    status: Status
    announced: str = ""
    shipped: str = ""
    first_ship: Dated | None = None
    process: Statement | None = None
    node: str = ""
    die_area: Area | None = None
    silicon_area: Area | None = None
    compute_dies: Annotated[Number, Unit("die")] | None = None
    transistors: Annotated[Number, Unit("transistor")] | None = None
    architecture: Statement | None = None
    host: Statement | None = None
    pod: Statement | None = None
    cube_shape: Statement | None = None
    boost_clock: Frequency | None = None
    l2: Bytes | None = None
    llc: Bytes | None = None
    l1_per_core: Bytes | None = None
    on_chip_sram: Bytes | None = None
    scale_up_bandwidth: ByteRate | None = None
    scale_up_measured: ByteRate | None = None
    scale_out_bandwidth: ByteRate | None = None
    die_to_die_bandwidth: ByteRate | None = None
    host_link: ByteRate | None = None
    tdp: Watts | None = None
    price: Dollars | None = None
    achieved_memory_bandwidth: ByteRate | None = None
    peak_of_unstated_type: FlopRate | None = None
    memory: Memory = Memory()
    peak: dict[str, FlopRate] = Field(default_factory=dict)
    vector_peak: dict[str, FlopRate] = Field(default_factory=dict)
    peak_by_bin: dict[str, FlopRate] = Field(default_factory=dict)
    achieved: dict[str, FlopRate] = Field(default_factory=dict)
    achieved_utilisation: dict[str, Ratio] = Field(default_factory=dict)
    claimed_utilisation: dict[str, Ratio] = Field(default_factory=dict)
    cores: dict[str, Annotated[Number, Unit("core")]] = Field(default_factory=dict)
    core_sram: dict[str, Bytes] = Field(default_factory=dict)
    remarks: tuple[Statement, ...] = ()
    not_found: tuple[str, ...] = ()
