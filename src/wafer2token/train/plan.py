"""A parallel plan: how one training step is spread over the chips, and whether that is legal.

Every field of `Plan` is a scalar; `PlanTable` holds the same fields as equally long arrays, so that each equation of
this room serves one plan and a million plans alike.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

RECOMPUTE = ("none", "selective", "full")
SCHEDULES = ("1f1b", "interleaved", "zero_bubble", "dualpipe", "gpipe")
OFFLOADS = ("none", "optimizer")


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
    offload: int = 0  # index into OFFLOADS
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
        row["offload"] = OFFLOADS[self.offload]
        return row

    def __str__(self) -> str:
        parts = [f"tp={self.tp}", f"pp={self.pp}", f"dp={self.dp}"]
        parts += [f"{name}={value}" for name in ("cp", "ep", "etp", "vpp") if (value := getattr(self, name)) > 1]
        parts += [f"mbs={self.micro_batch}", f"ga={self.micro_batches}", f"zero={self.zero}"]
        parts += [f"recompute={RECOMPUTE[self.recompute]}"] if self.recompute else []
        parts += [f"schedule={SCHEDULES[self.schedule]}"] if self.schedule else []
        parts += ["offload=optimizer"] if self.offload else []
        return ",".join(parts)


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
