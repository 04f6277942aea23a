"""What a chip at the limit of the export rules would do on a model: the design's rates with a base chip's efficiencies."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from wafer2token.chip import accelerator, op_time
from wafer2token.chip.machine import Accelerator
from wafer2token.controls.frontier import Design
from wafer2token.evidence.errors import InfeasibleError
from wafer2token.evidence.units import format_quantity
from wafer2token.workload import kv_bytes, model, operators, parameters

_LARGEST_GROUP = 1024


@dataclass(frozen=True)
class Work:
    """Rates per chip of the design, which has the efficiencies of ``base``, and of another chip; kernels only, no fabric."""

    area_mm2: float
    model: str
    base: str
    against: str
    chips: int
    bf16_flops: float
    memory_bytes_per_s: float
    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    tpot_s: float
    against_prefill_tokens_per_s: float
    against_decode_tokens_per_s: float
    against_tpot_s: float
    isl: int
    batch: int

    @property
    def note(self) -> str:
        """What the figures leave out."""
        return (
            f"on {self.chips} chips in tensor and expert parallel, FP8 weights, {self.isl} tokens of context, batch "
            f"{self.batch}; kernel times, no fabric, no host; the design has the efficiencies and memory of {self.base}"
        )

    def title(self) -> str:
        """Heading of the table."""
        return f"{self.model} on the design of {self.area_mm2:g} mm2"

    def columns(self) -> Mapping[str, str]:
        """Columns of the table."""
        return {"what": "", "design": "design", "against": self.against, "ratio": "ratio"}

    def rows(self) -> list[dict[str, str]]:
        """Rows of the table."""
        rates = [
            ("prefill tokens/s per chip", self.prefill_tokens_per_s, self.against_prefill_tokens_per_s),
            ("decode tokens/s per chip", self.decode_tokens_per_s, self.against_decode_tokens_per_s),
        ]
        times = (format_quantity(self.tpot_s, "s"), format_quantity(self.against_tpot_s, "s"))
        ratio = f"{self.tpot_s / self.against_tpot_s:.0%}"
        return [
            *({"what": w, "design": _rate(d), "against": _rate(a), "ratio": f"{d / a:.0%}"} for w, d, a in rates),
            {"what": "time per output token", "design": times[0], "against": times[1], "ratio": ratio},
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**vars(self), "note": self.note}


def permitted(
    design: Design, model_id: str, base: str = "h20", against: str = "h100_sxm", isl: int = 4096, batch: int = 32
) -> Work:
    """The design of a frontier on a model, beside another chip.

    The base chip's peaks are scaled so that the largest of rate x bits equals the design's TPP, its compute units with
    them; its memory bandwidth is cut to the design's limit where there is one. A base close to the design (the H20 for
    the rules of 2023) keeps the inherited efficiencies honest. The group is the smallest power of two of the base whose
    memory holds the FP8 weights and the cache of the batch.

    Raises:
        InputError: unknown model or chip.
        EvidenceError: a chip has no peak, no memory bandwidth or no calibration.
        InfeasibleError: no group of chips up to 1,024 holds the model.
    """
    chip, other = accelerator(base), accelerator(against)
    limited = at_limit(chip, design)
    shape = model(model_id)
    need = float(parameters(shape).total) + batch * float(kv_bytes(shape, isl, 2))
    chips = 1
    while chips * min(float(chip.hbm_bytes), float(other.hbm_bytes)) < need:
        chips *= 2
        if chips > _LARGEST_GROUP:
            raise InfeasibleError(f"{model_id} does not fit on {_LARGEST_GROUP} x {base}")
    (fill, step), (other_fill, other_step) = (
        (_time(a, shape, "prefill", 1, isl, chips), _time(a, shape, "decode", batch, isl, chips))
        for a in (limited, other)
    )
    return Work(
        design.area_mm2, model_id, chip.id, other.id, chips, float(limited.peaks["bf16"]), float(limited.hbm_bytes_per_s),
        isl / fill / chips, batch / step / chips, step, isl / other_fill / chips, batch / other_step / chips, other_step,
        isl, batch,
    )  # fmt: skip


def at_limit(chip: Accelerator, design: Design) -> Accelerator:
    """A chip with its peaks, compute units and memory bandwidth brought to the limits of a design."""
    total = max(float(rate) * _bits(name) for name, rate in chip.peaks.items())
    factor = design.tpp.sure * 1e12 / total if math.isfinite(design.tpp.sure) else 1.0
    memory = min(float(chip.hbm_bytes_per_s), design.dram_bw_gbs.sure * 1e9)
    units = max(1.0, round(chip.units * factor))
    return replace(chip, peaks={k: v * factor for k, v in chip.peaks.items()}, units=units, hbm_bytes_per_s=memory)


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _bits(dtype: str) -> int:
    found = re.search(r"\d+", dtype)
    return int(found.group()) if found else 0


def _time(acc: Accelerator, shape: Any, phase: str, batch: int, context: int, chips: int) -> float:
    """Kernel time of one pass on one chip of the group [s]."""
    dtype = "fp8" if "fp8" in acc.peaks else "int8"
    heads = math.gcd(chips, int(shape.num_attention_heads))
    ops = operators(
        shape,
        phase,
        batch=batch,
        kv_len=context,
        tp=heads,
        ep=chips,
        weight_dtype=dtype,
        act_dtype=dtype,
        kv_dtype="bf16",
    )
    return float(sum(float(op.count) * float(op_time(acc, op)) for op in ops))
