"""Every legal plan of a model on a machine, priced together, and the best of them.

Kernels and links are priced once per distinct (tp, cp, ep, etp, micro-batch) and gathered; the step and its memory are
plain arithmetic over all plans, so that a million of them take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from wafer2token.evidence.errors import InfeasibleError
from wafer2token.train.calibration import planner
from wafer2token.train.machine import Machine
from wafer2token.train.memory import GIB, MIXED, StateBytes, memory
from wafer2token.train.plan import RECOMPUTE, SCHEDULES, PlanTable
from wafer2token.train.step import Parts, Software, StepTime, parts_of_step, step_time
from wafer2token.workload import ModelShape

Array = np.ndarray
CHUNK = 250_000


@dataclass(frozen=True)
class Space:
    """Which plans to try. Empty sequences mean "all that divide"; `share` is of layers under full recomputation."""

    tp: Sequence[int] = ()
    pp: Sequence[int] = ()
    cp: Sequence[int] = ()
    ep: Sequence[int] = ()
    vpp: Sequence[int] = (1, 2, 3, 4, 6, 8)
    micro_batch: Sequence[int] = (1, 2, 4, 8)
    recompute: Sequence[int] = (0, 1, 2)
    share: Sequence[float] = (1.0,)
    zero: Sequence[int] = (1, 3)
    schedules: Sequence[int] = (0, 1)
    offload: Sequence[int] = (0,)
    etp: Sequence[int] = (1,)
    sequence_parallel: Sequence[bool] = (True,)
    max_tp: int = 64
    max_cp: int = 16


EVERYTHING = Space()


@dataclass(frozen=True)
class Found:
    """Plans in order of step time, with what they take; `tried` counts legal plans, `fitting` those that fit in memory."""

    plans: PlanTable
    seconds: Array
    bytes: Array
    tried: int
    fitting: int
    needed_bytes: float


def divisors(n: int) -> list[int]:
    """All divisors, ascending."""
    small = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return sorted({*small, *(n // d for d in small)})


def enumerate_plans(
    shape: ModelShape,
    ranks: int,
    global_batch: int,
    seq_len: int,
    domain: int,
    precision: str,
    space: Space = EVERYTHING,
) -> PlanTable:
    """Every legal plan of the space as one table.

    Legal: tp divides heads and hidden size and stays inside a scale-up domain; pp * vpp does not exceed the layers and
    leaves no stage empty; ep divides the experts and the ranks of a stage; dp * micro_batch divides the batch; interleaving
    needs micro-batches in multiples of the stages; ZeRO 3 goes without a pipeline.
    """
    layers = shape.num_hidden_layers + shape.num_nextn_predict_layers
    rows = _layouts(shape, ranks, seq_len, domain, layers, space)
    rows = _cross(rows, micro_batch=space.micro_batch)
    rows = _keep(rows, global_batch % (rows["dp"] * rows["micro_batch"]) == 0)
    rows["micro_batches"] = global_batch // np.maximum(rows["dp"] * rows["micro_batch"], 1)
    rows = _cross(
        rows,
        ep=space.ep or (divisors(shape.n_routed_experts) if shape.is_moe else (1,)),
        etp=space.etp if shape.is_moe else (1,),
    )
    rows = _keep(rows, (ranks // rows["pp"]) % (rows["ep"] * rows["etp"]) == 0)
    rows = _cross(rows, vpp=space.vpp, schedule=space.schedules)
    rows = _keep(rows, _schedulable(rows, layers))
    rows = _cross(rows, zero=space.zero, sequence_parallel=space.sequence_parallel)
    rows = _keep(
        rows,
        ((rows["zero"] < 3) | (rows["pp"] == 1))
        & (rows["sequence_parallel"] | (rows["tp"] > 1) | (len(space.sequence_parallel) == 1)),
    )
    rows = _cross(rows, recompute=space.recompute, recompute_share=space.share, offload=space.offload)
    rows = _keep(rows, (rows["recompute"] == RECOMPUTE.index("full")) | (rows["recompute_share"] == max(space.share)))
    rows["sequence_parallel"] = rows["sequence_parallel"] & (rows["tp"] > 1)
    return PlanTable(**rows, shard=np.zeros_like(rows["tp"]), precision=precision)


def _layouts(shape: ModelShape, ranks: int, seq_len: int, domain: int, layers: int, space: Space) -> dict[str, Array]:
    """(tp, cp, pp, dp) whose product is the ranks."""
    found = []
    for tp in space.tp or [t for t in divisors(ranks) if t <= min(space.max_tp, domain)]:
        if shape.num_attention_heads % tp or ranks % tp or shape.hidden_size % tp:
            continue
        for cp in space.cp or [c for c in divisors(ranks // tp) if c <= space.max_cp and seq_len % (2 * c) == 0]:
            if (ranks // tp) % cp == 0:
                stages = [
                    p for p in (space.pp or divisors(ranks // tp // cp)) if p <= layers and ranks % (tp * cp * p) == 0
                ]
                found += [(tp, cp, pp, ranks // (tp * cp * pp)) for pp in stages]
    columns = np.array(found, np.int32).reshape(-1, 4).T
    return dict(zip(("tp", "cp", "pp", "dp"), columns, strict=True))


def _cross(rows: dict[str, Array], **options: Sequence[Any]) -> dict[str, Array]:
    """Every row with every combination of the options."""
    for name, values in options.items():
        given = np.asarray(values, None if isinstance(values[0], (bool, float)) else np.int32)
        n = len(rows["tp"])
        rows = {key: np.repeat(column, len(given)) for key, column in rows.items()}
        rows[name] = np.tile(given, n)
    return rows


def _keep(rows: dict[str, Array], mask: Array) -> dict[str, Array]:
    return rows if mask.all() else {key: column[mask] for key, column in rows.items()}


def _schedulable(rows: dict[str, Array], layers: int) -> Array:
    """Rows whose pipeline and schedule go together; no chunks without interleaving, no schedule without a pipeline."""
    pp, m, vpp, schedule = rows["pp"], rows["micro_batches"], rows["vpp"], rows["schedule"]
    slots = pp * vpp
    interleaved = (vpp > 1) & (pp > 1) & (m % pp == 0) & (slots <= layers)
    ok = np.where(schedule == SCHEDULES.index("interleaved"), interleaved, vpp == 1)
    ok &= (pp > 1) | (schedule == SCHEDULES.index("1f1b"))
    ok &= (schedule != SCHEDULES.index("dualpipe")) | ((pp % 2 == 0) & (m >= 2 * pp))
    return np.asarray(ok & ((-(-layers // slots) * vpp) * (pp - 1) < layers))


def unique_rows(columns: Sequence[Array]) -> tuple[Array, Array]:
    """First index of every distinct combination, and for every row the number of its combination."""
    key = np.zeros(columns[0].size, np.int64)
    for column in columns:
        values, code = np.unique(column, return_inverse=True)
        key = key * len(values) + code
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return first, inverse


def price(
    shape: ModelShape, machine: Machine, plans: PlanTable, seq_len: int, how: Software, imbalance: float = 1.0
) -> StepTime:
    """Step times of a table of plans, each distinct set of kernels and transfers priced once."""
    keys = (
        plans.tp,
        plans.cp,
        plans.ep,
        plans.etp,
        plans.micro_batch,
        plans.pp,
        plans.vpp,
        plans.zero,
        plans.offload,
        plans.dp,
        plans.sequence_parallel,
    )
    first, inverse = unique_rows(keys)
    parts: Parts = parts_of_step(
        shape, machine.acc, machine.fab, plans.take(first), seq_len, machine.domain, how.fused_attention, imbalance
    )
    return step_time(parts.take(inverse), plans, how)


def search(
    shape: ModelShape,
    machine: Machine,
    ranks: int,
    global_batch: int,
    seq_len: int,
    how: Software,
    precision: str = "bf16",
    space: Space | None = None,
    keep: int = 100,
    state: StateBytes = MIXED,
    reserve: float | None = None,
    imbalance: float = 1.0,
) -> Found:
    """The best plans by step time among those that fit in memory.

    Args:
        reserve: share of memory left to the framework and to fragmentation; None for that of the planner's card.
        keep: plans returned.

    Raises:
        InfeasibleError: no legal plan, or none that fits, with what would.
    """
    plans = enumerate_plans(shape, ranks, global_batch, seq_len, machine.domain, precision, space or Space())
    if not len(plans):
        raise InfeasibleError(
            f"no plan divides {ranks} ranks and a batch of {global_batch}", _nearest_batch(ranks, global_batch)
        )
    need = np.concatenate(
        [
            memory(shape, plans.take(rows), seq_len, state, scores=not how.fused_attention).total
            for rows in _chunks(len(plans))
        ]
    )
    room = machine.memory_bytes * (1 - (planner("memory_reserve") if reserve is None else reserve))
    fits = np.flatnonzero(need <= room)
    if not fits.size:
        raise InfeasibleError(*_too_big(shape, machine, plans, need, room, seq_len, state, ranks))
    best_rows, best_seconds = np.zeros(0, int), np.zeros(0)
    for rows in _chunks(fits.size):
        chosen = fits[rows]
        seconds = price(shape, machine, plans.take(chosen), seq_len, how, imbalance).total
        best_rows, best_seconds = np.concatenate([best_rows, chosen]), np.concatenate([best_seconds, seconds])
        order = np.argsort(best_seconds, kind="stable")[:keep]
        best_rows, best_seconds = best_rows[order], best_seconds[order]
    return Found(plans.take(best_rows), best_seconds, need[best_rows], len(plans), int(fits.size), float(need.min()))


def _chunks(n: int) -> list[Array]:
    return [np.arange(i, min(i + CHUNK, n)) for i in range(0, n, CHUNK)]


def _nearest_batch(ranks: int, batch: int) -> str:
    up = -(-batch // ranks) * ranks
    return f"a global batch of {up} sequences, or a number of chips that divides {batch}"


def _too_big(
    shape: ModelShape,
    machine: Machine,
    plans: PlanTable,
    need: Array,
    room: float,
    seq_len: int,
    state: StateBytes,
    ranks: int,
) -> tuple[str, str]:
    """Why nothing fits into ``room`` [B], and the nearest change that would."""
    row = int(np.argmin(need))
    plan = plans.row(row)
    parts = memory(shape, plan, seq_len, state)
    largest = max((f.name for f in fields(parts)), key=lambda name: float(getattr(parts, name)))
    message = (
        f"the leanest of {len(plans)} legal plans ({plan}) needs {need[row] / GIB:.1f} GiB of {room / GIB:.1f} GiB "
        f"({machine.memory_bytes / GIB:.1f} GiB less what the framework keeps) on its heaviest stage, most of it {largest} ({float(getattr(parts, largest)) / GIB:.1f} GiB)"
    )
    chips = (int(ranks * need[row] / room / machine.dies) // 8 + 1) * 8
    return message, f"about {chips} chips, or optimizer offload (--plan offload=optimizer), or a shorter sequence"


__all__ = ["Found", "Space", "enumerate_plans", "price", "search"]
