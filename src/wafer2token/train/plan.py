"""A parallel plan: how one training step is spread over the chips, and whether that is legal.

Every field of `Plan` is a scalar; `PlanTable` holds the same fields as equally long arrays, so that each equation of
this room serves one plan and a million plans alike.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

RECOMPUTE = ("none", "selective", "full")
SCHEDULES = ("1f1b", "interleaved", "zero_bubble", "dualpipe", "gpipe", "dualpipev")
OFFLOADS = ("optimizer", "weights", "activations")
CONTEXT_KINDS = ("ring", "all_to_all")


@dataclass(frozen=True)
class Plan:
    """One parallel plan. Sizes are ranks; `vpp` is model chunks per pipeline rank; `zero` the sharding stage 0-3."""

    tp: int = 1
    pp: int = 1
    dp: int = 1
    cp: int = 1
    ep: int = 1
    etp: int = 1
    vpp: int = 1
    micro_batch: int = 1
    micro_batches: int = 1
    zero: int = 1
    shard: int = 0  # ranks over which ZeRO/FSDP shards; 0 = the whole data-parallel group
    recompute: int = 0  # index into RECOMPUTE
    recompute_share: float = 1.0  # share of the layers that recompute
    schedule: int = 0  # index into SCHEDULES
    sequence_parallel: bool = True
    offload: int = 0  # one bit for each of OFFLOADS
    context: int = 0  # index into CONTEXT_KINDS
    precision: str = "bf16"

    @property
    def ranks(self) -> int:
        """Chips (or dies) used."""
        return self.tp * self.pp * self.dp * self.cp

    @property
    def global_batch(self) -> int:
        """Sequences per optimizer step."""
        return self.dp * self.micro_batch * self.micro_batches

    def to_dict(self) -> dict[str, Any]:
        """Fields as plain values, with words in place of codes."""
        row = asdict(self)
        row["recompute"] = RECOMPUTE[self.recompute]
        row["schedule"] = SCHEDULES[self.schedule]
        row["offload"] = offload_words(self.offload)
        row["context"] = CONTEXT_KINDS[self.context] if self.cp > 1 else "none"
        return row

    def __str__(self) -> str:
        parts = [f"tp={self.tp}", f"pp={self.pp}", f"dp={self.dp}"]
        parts += [f"{name}={value}" for name in ("cp", "ep", "etp", "vpp") if (value := getattr(self, name)) > 1]
        parts += [f"mbs={self.micro_batch}", f"ga={self.micro_batches}", f"zero={self.zero}"]
        parts += [f"shard={self.shard}"] if self.shard else []
        parts += [f"recompute={RECOMPUTE[self.recompute]}"] if self.recompute else []
        parts += [f"recompute_share={self.recompute_share:g}"] if self.recompute_share < 1 else []
        parts += [f"schedule={SCHEDULES[self.schedule]}"] if self.schedule else []
        parts += [f"context={CONTEXT_KINDS[self.context]}"] if self.context and self.cp > 1 else []
        parts += ["sp=0"] if self.tp > 1 and not self.sequence_parallel else []
        parts += [f"offload={offload_words(self.offload)}"] if self.offload else []
        return ",".join(parts)


def offload_words(code: int) -> str:
    """What a code of offloads moves to the host, joined by ``+``; ``none`` for 0."""
    return "+".join(name for bit, name in enumerate(OFFLOADS) if code >> bit & 1) or "none"


def offloaded(code: Any, part: str) -> np.ndarray:
    """Whether a code of offloads (scalar or array) moves ``part`` (one of `OFFLOADS`) to the host."""
    return np.asarray(np.asarray(code) >> OFFLOADS.index(part) & 1, bool)


@dataclass(frozen=True)
class PlanTable:
    """Many plans as arrays of one length, field by field as in `Plan`."""

    tp: np.ndarray
    pp: np.ndarray
    dp: np.ndarray
    cp: np.ndarray
    ep: np.ndarray
    etp: np.ndarray
    vpp: np.ndarray
    micro_batch: np.ndarray
    micro_batches: np.ndarray
    zero: np.ndarray
    shard: np.ndarray
    recompute: np.ndarray
    recompute_share: np.ndarray
    schedule: np.ndarray
    sequence_parallel: np.ndarray
    offload: np.ndarray
    context: np.ndarray
    precision: str = "bf16"

    def __len__(self) -> int:
        return int(self.tp.size)

    def take(self, rows: np.ndarray) -> PlanTable:
        """The plans at the given rows (indices or mask)."""
        return PlanTable(**{f.name: getattr(self, f.name)[rows] for f in _ARRAYS}, precision=self.precision)

    def row(self, index: int) -> Plan:
        """One row as a `Plan`."""
        values: dict[str, Any] = {f.name: getattr(self, f.name)[index].item() for f in _ARRAYS}
        return Plan(**values, precision=self.precision)


_ARRAYS = [f for f in fields(PlanTable) if f.name != "precision"]


def table(plans: list[Plan]) -> PlanTable:
    """Plans of one precision as a table."""
    return PlanTable(
        **{f.name: np.array([getattr(p, f.name) for p in plans]) for f in _ARRAYS}, precision=plans[0].precision
    )
