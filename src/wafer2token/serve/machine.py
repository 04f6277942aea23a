"""Where a model runs: a system or a chip by name, as the accelerator and fabric of one rank."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wafer2token.catalog import all_cards, get
from wafer2token.chip import Accelerator, accelerator
from wafer2token.chip.fits import FamilyFit, family_fit, platform, stacks
from wafer2token.chip.streaming import StreamFit
from wafer2token.evidence.errors import InputError
from wafer2token.fabric import fabric

from .overhead import known_stacks, overhead, own_engine
from .plan import rank_unit, ranks_per_chip
from .steptime import Machine

LIBRARY_EXPERTS = "trtllm"
"""The engine whose experts and dense products are kernels of one library (CUTLASS); others write their own for experts."""


@dataclass(frozen=True)
class Site:
    """A place to serve: the chip, how many ranks it counts, the system if one was named, and the stack."""

    machine: Machine
    chip: str
    system: str
    stack: str
    ranks_per_chip: int
    chips: float

    @property
    def hbm_bytes(self) -> Any:
        """Memory of one rank [B]."""
        return self.machine.acc.hbm_bytes


def site(on: str, stack: str | None = None, samples: int | None = None, seed: int = 0, fabric_of: str | None = None,
         calibration: str | Path | None = None) -> Site:  # fmt: skip
    """The accelerator, fabric and engine of a system or chip id (or alias).

    Args:
        stack: engine ("vllm", "sglang", "trtllm", "vllm-ascend", ...); None for the usual one of the platform.
        fabric_of: system or chip whose links join the ranks, where ``on`` is a chip.
        calibration: file with an engine card of the user's own run (``calibrate --from RUN``), in place of the bundled one.
    """
    system, chip = _found(on)
    unit: Literal["chip", "die"] = "die" if rank_unit(chip) == "die" else "chip"
    vendor = get("chip", chip).vendor
    own = own_engine(calibration) if calibration is not None else None
    stack = stack or (own.stack if own else "vllm-ascend" if platform(vendor) == "cann" else "vllm")
    if own:
        own.check(chip, stack, str(calibration))
    measured = stack if stack in stacks(chip) or stack in known_kernel_stacks() else None
    acc = streaming(accelerator(chip, measured, samples=samples, seed=seed, per=unit))
    fab = fabric(fabric_of or system or chip, samples=samples, seed=seed, per=unit)
    per = ranks_per_chip(chip)
    machine = Machine(acc, fab, own.overhead if own else overhead(chip, stack, samples, seed))
    return Site(machine, chip, system, stack, per, fab.ranks / per)


def streaming(acc: Accelerator) -> Accelerator:
    """The accelerator with the element-wise kernels of serving engines, which are fused and reach memory speed.

    Where none was measured on the chip, casting kernels would stand in for them, which are far slower. Where a
    chip's experts in 16 bits were measured in a training library alone, the class speaks for the fused kernels of engines;
    an engine that takes experts and dense products from one library, and has no experts of its own, takes its dense products.
    """
    card = stream_card(acc.vendor)
    values = StreamFit(float(card.times["floor"]), float(card.ratios["memory"]))
    low, high = (math.log(float(getattr(card.ratios["memory"], e)) / values.memory) for e in ("low", "high"))
    fit = FamilyFit(values, low, high, 0.5 * (high - low), card.id, "inherited", "any", "")
    acc = acc if acc.fit("memory").card.endswith("memory") else acc.with_fit("memory", fit)
    latent = acc.fit("mla_decode", "bf16")
    if "mla" not in latent.card:  # another kernel of this chip would stand in; latent attention of its platform is nearer
        near = latent_measured(acc.vendor)
        acc = acc.with_fit("mla_decode", family_fit(near, acc.vendor, None, "mla_decode", "bf16")) if near else acc
    for dtype in ("bf16", "fp16"):
        experts = acc.fit("grouped_gemm", dtype)
        if acc.stack == LIBRARY_EXPERTS != experts.stack and "grouped_gemm" in experts.card:
            acc = acc.with_fit("grouped_gemm", acc.fit("gemm", dtype), dtype)
        elif experts.stack == "torch":
            acc = acc.with_fit("grouped_gemm", family_fit("", acc.vendor, None, "grouped_gemm", dtype), dtype)
    return acc


def stream_card(vendor: str) -> Any:
    """Fused element-wise kernels on a vendor's platform, else on any."""
    own = (c for c in all_cards("calibration").values() if c.family == "engine_streams" and c.target == platform(vendor))
    return next(own, None) or get("calibration", "engine_streams")


def latent_measured(vendor: str) -> str:
    """The chip of a vendor on which latent attention was measured, "" if none."""
    chips = all_cards("chip")
    cards = sorted(all_cards("calibration").values(), key=lambda c: c.id)
    return next((c.target for c in cards if c.family == "mla_decode" and c.target in chips and chips[c.target].vendor == vendor), "")


def known_kernel_stacks() -> set[str]:
    """Stacks whose kernels were measured on some chip."""
    cards = all_cards("calibration").values()
    return {c.stack for c in cards if c.subject != "fabric" and c.family not in ("engine", "engine_memory")}


def chip_of(on: str) -> str:
    """The chip id of a system or chip."""
    return _found(on)[1]


def _found(on: str) -> tuple[str, str]:
    """(system id or "", chip id) of a name; InputError names the nearest of both kinds."""
    try:
        card = get("system", on)
    except InputError as no_system:
        try:
            return "", get("chip", on).id
        except InputError as no_chip:
            raise InputError([*no_chip.problems, *no_system.problems]) from None
    if not card.chip:
        raise InputError(f"{card.name} ({card.id}) mixes chips: name one of {', '.join(card.members)}")
    return card.id, card.chip


__all__ = ["Site", "known_stacks", "site"]
