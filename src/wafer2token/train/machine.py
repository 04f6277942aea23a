"""The machine a job runs on: the rank's accelerator, its links, its scale-up domain, and what a chip holds of ranks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from wafer2token import chip as kernels
from wafer2token import fabric as links
from wafer2token.catalog import find, get
from wafer2token.chip.fits import LIBRARY
from wafer2token.evidence.errors import EvidenceError, InputError, Problem

DIE_RANKS = ("ascend_910c", "ascend_910c_560t")
"""Chips whose dies are devices of their own to the software; all others are one rank per chip."""

LARGEST_DOMAIN = 2**20


@dataclass(frozen=True)
class Machine:
    """One rank's accelerator `acc`, the `fab`ric, `domain` ranks per scale-up domain, `dies` ranks per chip."""

    id: str
    chip: str
    system: str
    acc: Any
    fab: Any
    domain: int
    dies: int
    node: int

    @property
    def memory_bytes(self) -> float:
        """Memory of one rank."""
        return float(self.acc.hbm_bytes)

    @property
    def host_bytes_per_s(self) -> float:
        """Bytes/s between one rank and its host, one direction: of the chip's card, else of the planner's."""
        card = get("chip", self.chip)
        if card.host_link is not None:
            return float(card.host_link) / self.dies
        return float(get("training", "planner").host_link)

    @property
    def vendor(self) -> str:
        """Vendor of the chip card."""
        return str(get("chip", self.chip).vendor)


def machine(on: str, system: str | None = None, date: Any = None) -> Machine:
    """The machine of a system id or a chip id (then of the system that usually holds the chip).

    Raises InputError for an unknown id, EvidenceError where the cards lack a rate that a step needs.
    """
    kind, card = _find(on)
    if kind == "system":
        chip_id, system_id = card.chip, card.id
        if not chip_id:
            raise InputError(Problem(f"{card.id} mixes chips", remedy="name one of them: " + ", ".join(card.members)))
        chip_id = get("chip", chip_id).id
    else:
        chip_id, system_id = card.id, system or ""
    dies = 2 if chip_id in DIE_RANKS else 1
    acc = kernels.accelerator(chip_id, date=date, per="die" if dies > 1 else "chip")
    library = kernels.accelerator(chip_id, stack=LIBRARY, per=acc.per)  # not the fused experts of inference engines
    for dtype in ("bf16", "fp16", "fp8", "int8"):
        if dtype in acc.peaks:
            acc = acc.with_fit("grouped_gemm", library.fit("grouped_gemm", dtype), dtype)
    if not acc.hbm_bytes == acc.hbm_bytes:
        raise EvidenceError(f"{chip_id} has no memory capacity on its card: no plan can be checked against it")
    fab = links.fabric(system_id or chip_id, per="die" if dies > 1 else "chip")
    return Machine(
        on, chip_id, system_id or fab.id, acc, fab, int(min(fab.scale_up.size, LARGEST_DOMAIN)), dies, int(fab.node)
    )


def _find(on: str) -> tuple[str, Any]:
    """A system card if the name is one, else a chip card."""
    try:
        return "system", get("system", on)
    except InputError:
        pass
    try:
        return "chip", get("chip", on)
    except InputError:
        find(on)
        raise


def with_scale_out(place: Machine, bytes_per_s: float) -> Machine:
    """The machine with another bandwidth per rank between scale-up domains; unchanged where it is 0."""
    if not bytes_per_s:
        return place
    return replace(place, fab=replace(place.fab, scale_out=replace(place.fab.scale_out, bandwidth=bytes_per_s)))
