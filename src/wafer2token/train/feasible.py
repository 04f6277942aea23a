"""Why no plan is legal or fits, and the nearest change that was checked to help."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from wafer2token.train.grid import Space, grids
from wafer2token.train.machine import Machine
from wafer2token.train.memory import GIB, heaviest_bytes, memory
from wafer2token.train.plan import OFFLOADS, Plan
from wafer2token.workload import ModelShape

TIMES = (2, 3, *(n * 2**k for k in range(11) for n in (4, 5, 6, 7)))
"""Multiples of the chips asked for that are tried, ascending, until one fits."""


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


def why_nothing_fits(
    shape: ModelShape,
    machine: Machine,
    leanest: Plan,
    tried: int,
    room: float,
    global_batch: int,
    seq_len: int,
    space: Space,
) -> tuple[str, str]:
    """Why nothing fits into ``room`` [B], and changes that were checked to make a plan fit."""
    parts = memory(shape, leanest, seq_len)
    need = float(parts.total)
    largest = max((f.name for f in fields(parts)), key=lambda name: float(getattr(parts, name)))
    message = (
        f"the leanest of {tried:,} legal plans ({leanest}) needs {need / GIB:.1f} GiB of {room / GIB:.1f} GiB "
        f"({machine.memory_bytes / GIB:.1f} GiB less what the framework keeps) on its heaviest stage, "
        f"most of it {largest} ({float(getattr(parts, largest)) / GIB:.1f} GiB)"
    )
    return message, "; or ".join(_changes(shape, machine, leanest, room, global_batch, seq_len, space))


def _changes(
    shape: ModelShape, machine: Machine, leanest: Plan, room: float, batch: int, seq_len: int, space: Space
) -> list[str]:
    """Changes of one thing at a time, each found to fit by pricing the memory of every plan after it."""
    out = []
    ranks, precision = leanest.ranks, leanest.precision
    for code in range(1, 2 ** len(OFFLOADS)):
        plan = _lightest(shape, machine, ranks, batch, seq_len, precision, replace(space, offload=(code,)), room)
        if plan:
            out.append(f'offload to the host: --plan "{plan}"')
            break
    for times in TIMES:
        wider = batch if batch % (ranks * times) == 0 else -(-batch // (ranks * times)) * ranks * times
        if _lightest(shape, machine, ranks * times, wider, seq_len, precision, space, room):
            bigger = "" if wider == batch else f" with a global batch of {wider}"
            out.append(f"{ranks * times // machine.dies} chips{bigger}")
            break
    short = seq_len // 2
    while short >= 128:
        if _lightest(shape, machine, ranks, batch, short, precision, space, room):
            out.append(f"sequences of {short} tokens")
            break
        short //= 2
    return out or ["a smaller model, or chips with more memory"]


def _lightest(
    shape: ModelShape, machine: Machine, ranks: int, batch: int, seq_len: int, precision: str, space: Space, room: float
) -> Plan | None:
    """The leanest plan of a job where it fits."""
    best: tuple[float, Plan] | None = None
    for grid in grids(shape, ranks, batch, seq_len, machine.domain, precision, space):
        need = np.broadcast_to(heaviest_bytes(shape, grid.block(slice(None)), seq_len), grid.shape)
        place = int(np.argmin(need))
        if best is None or need.ravel()[place] < best[0]:
            best = float(need.ravel()[place]), grid.take(np.array([place])).row(0)
    return best[1] if best and best[0] <= room else None
