"""Why no plan is legal or fits, and the nearest change that was checked to help."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from wafer2token.train.grid import Space, grids
from wafer2token.train.machine import Machine
from wafer2token.train.memory import GIB, StateBytes, heaviest_bytes, heaviest_stage, memory
from wafer2token.train.plan import OFFLOADS, Plan
from wafer2token.workload import ModelShape

TIMES = (2, 3, *(n * 2**k for k in range(11) for n in (4, 5, 6, 7)))
"""Multiples of the chips asked for that are tried, ascending, until one fits."""
SHORTEST = 128


def nearest_job(
    shape: ModelShape, machine: Machine, ranks: int, global_batch: int, seq_len: int, space: Space
) -> tuple[str, str]:
    """Why no plan is legal, and the nearest batch or number of chips with one."""
    dies = machine.dies
    chips = ranks // dies
    if not _legal(shape, machine, ranks, None, seq_len, space):
        near = sorted(range(max(1, chips // 2), 2 * chips + 8), key=lambda n: (abs(n - chips), n))
        found = next((n for n in near if _legal(shape, machine, n * dies, None, seq_len, space)), None)
        message = f"no plan cuts {shape.id} ({shape.num_hidden_layers} layers, {shape.num_attention_heads} heads) over {ranks} ranks"
        return message, f"{found} chips" if found else "another number of chips, or a wider space of plans"
    batch = _nearest_batch(shape, machine, ranks, global_batch, seq_len, space)
    return (
        f"no plan divides {ranks} ranks and a batch of {global_batch}",
        f"a global batch of {batch} sequences" if batch else "another global batch, or another number of chips",
    )


def _nearest_batch(
    shape: ModelShape, machine: Machine, ranks: int, wanted: int, seq_len: int, space: Space
) -> int | None:
    """The batch nearest to the wanted one that some legal plan divides."""
    sizes = {
        int(dp) * micro
        for grid in _all(shape, machine, ranks, None, seq_len, space)
        for dp in np.unique(grid.layouts.dp)
        for micro in space.micro_batch
    }
    near = {size * max(k, 1) for size in sizes for k in (wanted // size, wanted // size + 1)}
    ordered = sorted(near, key=lambda n: (abs(n - wanted), n))
    return next((n for n in ordered[:64] if _legal(shape, machine, ranks, n, seq_len, space)), None)


def _all(shape: ModelShape, machine: Machine, ranks: int, batch: int | None, seq_len: int, space: Space) -> list:  # type: ignore[type-arg]
    """Grids of a job; without a batch, of one that every plan divides."""
    largest = ranks * int(np.lcm.reduce(list(space.micro_batch)))
    return grids(shape, ranks, batch or largest, seq_len, machine.domain, "bf16", space)


def _legal(shape: ModelShape, machine: Machine, ranks: int, batch: int | None, seq_len: int, space: Space) -> bool:
    return bool(_all(shape, machine, ranks, batch, seq_len, space))


@dataclass(frozen=True)
class Wanted:
    """A job whose plans are checked for memory alone; ``room`` is what a rank may fill [B]."""

    shape: ModelShape
    machine: Machine
    ranks: int
    batch: int
    seq_len: int
    precision: str
    space: Space
    room: float
    state: StateBytes
    scores: bool

    def lightest(self) -> Plan | None:
        """The leanest plan of the job where it fits."""
        best: tuple[float, Plan] | None = None
        domain = self.machine.domain
        for grid in grids(self.shape, self.ranks, self.batch, self.seq_len, domain, self.precision, self.space):
            block = grid.block(slice(None))
            need = heaviest_bytes(self.shape, block, self.seq_len, self.state, scores=self.scores)
            need = np.broadcast_to(need, grid.shape)
            place = int(np.argmin(need))
            if best is None or need.ravel()[place] < best[0]:
                best = float(need.ravel()[place]), grid.take(np.array([place])).row(0)
        return best[1] if best and best[0] <= self.room else None


def why_nothing_fits(wanted: Wanted, leanest: Plan, tried: int) -> tuple[str, str]:
    """Why nothing fits, and changes that were checked to make a plan fit."""
    parts = memory(wanted.shape, leanest, wanted.seq_len, wanted.state, scores=wanted.scores)
    need = float(parts.total)
    largest = max((f.name for f in fields(parts)), key=lambda name: float(getattr(parts, name)))
    stage = heaviest_stage(wanted.shape, leanest, wanted.seq_len, wanted.state, wanted.scores)
    message = (
        f"the leanest of {tried:,} legal plans ({leanest}) needs {need / GIB:.1f} GiB of {wanted.room / GIB:.1f} GiB "
        f"({wanted.machine.memory_bytes / GIB:.1f} GiB less what the framework keeps) on stage {stage}, "
        f"most of it {largest} ({float(getattr(parts, largest)) / GIB:.1f} GiB)"
    )
    return message, "; or ".join(_changes(wanted)) or "a smaller model, or chips with more memory"


def _changes(wanted: Wanted) -> list[str]:
    """Changes of one thing at a time, each found to fit by pricing the memory of every plan after it."""
    away = (replace(wanted, space=replace(wanted.space, offload=(code,))) for code in range(1, 2 ** len(OFFLOADS)))
    plan = next((p for job in away if (p := job.lightest()) is not None), None)
    out = [f'offload to the host: --plan "{plan}"'] if plan else []
    for times in TIMES:
        ranks = wanted.ranks * times
        batch = wanted.batch if wanted.batch % ranks == 0 else -(-wanted.batch // ranks) * ranks
        if replace(wanted, ranks=ranks, batch=batch).lightest():
            bigger = "" if batch == wanted.batch else f" with a global batch of {batch}"
            out.append(f"{ranks // wanted.machine.dies} chips{bigger}")
            break
    lengths = (wanted.seq_len >> k for k in range(1, 12))
    short = next((n for n in lengths if n >= SHORTEST and replace(wanted, seq_len=n).lightest()), None)
    return out + ([f"sequences of {short} tokens"] if short else [])
