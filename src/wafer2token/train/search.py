"""Every legal plan of a model on a machine, priced together, and the best of them.

Kernels and links are priced once per distinct (tp, cp, ep, etp, micro-batch) and gathered; the step and its memory are
plain arithmetic over all plans, so that a million of them take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from wafer2token.evidence.errors import InfeasibleError
from wafer2token.train.machine import Machine
from wafer2token.train.memory import GIB, MIXED, StateBytes, memory
from wafer2token.train.plan import SCHEDULES, PlanTable
from wafer2token.train.step import Parts, Software, StepTime, parts_of_step, step_time
from wafer2token.workload import ModelShape

Array = np.ndarray
CHUNK = 250_000


@dataclass(frozen=True)
class Space:
    """Which plans to try. Empty sequences mean "all that divide"."""

    tp: Sequence[int] = ()
    pp: Sequence[int] = ()
    cp: Sequence[int] = ()
    ep: Sequence[int] = ()
    vpp: Sequence[int] = (1, 2, 3, 4, 6, 8)
    micro_batch: Sequence[int] = (1, 2, 4, 8)
    recompute: Sequence[int] = (0, 1, 2)
    zero: Sequence[int] = (1, 3)
    schedules: Sequence[int] = (0, 1)
    offload: Sequence[int] = (0,)
    etp: Sequence[int] = (1,)
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


def enumerate_plans(shape: ModelShape, ranks: int, global_batch: int, seq_len: int, domain: int, precision: str, space: Space = EVERYTHING) -> PlanTable:
    """Every legal plan of the space as one table.

    Legal: tp divides heads and key heads (or is a multiple of them); pp * vpp does not exceed the layers and leaves no stage
    empty; ep divides the experts and the ranks of a stage; dp * micro_batch divides the batch; interleaving needs
    micro-batches in multiples of the stages; ZeRO 3 goes without a pipeline.
    """
    layers = shape.num_hidden_layers + shape.num_nextn_predict_layers
    blocks = []
    for tp in space.tp or [t for t in divisors(ranks) if t <= min(space.max_tp, domain)]:
        if shape.num_attention_heads % tp or ranks % tp or shape.hidden_size % tp:
            continue
        for cp in space.cp or [c for c in divisors(ranks // tp) if c <= space.max_cp and seq_len % (2 * c) == 0]:
            for pp in space.pp or [p for p in divisors(ranks // tp // cp) if p <= layers]:
                if ranks % (tp * cp * pp) == 0:
                    blocks.append((tp, cp, pp, ranks // (tp * cp * pp)))
    if not blocks:
        return _empty(precision)
    base = np.array(blocks)
    base = _cross(base, space.micro_batch)
    keep = (global_batch % (base[:, 3] * base[:, 4])) == 0
    base = base[keep]
    micro = global_batch // np.maximum(base[:, 3] * base[:, 4], 1)
    base = np.column_stack([base, micro])
    eps = space.ep or (divisors(shape.n_routed_experts) if shape.is_moe else [1])
    base = _cross(base, eps)
    base = _cross(base, space.etp if shape.is_moe else (1,))
    stage_ranks = ranks // base[:, 2]
    base = base[stage_ranks % (base[:, 6] * base[:, 7]) == 0]
    for options in (space.vpp, space.recompute, space.zero, space.schedules, space.offload):
        base = _cross(base, options)
    return _table(base[_legal(base, layers)], precision)


def _cross(rows: Array, options: Sequence[int]) -> Array:
    """Every row with every option as a further column."""
    return np.column_stack([np.repeat(rows, len(options), axis=0), np.tile(np.asarray(options), len(rows))])


def _legal(rows: Array, layers: int) -> Array:
    """Rows whose pipeline, schedule and sharding go together; duplicates (vpp without a pipeline) out."""
    pp, m, vpp, zero, schedule = rows[:, 2], rows[:, 5], rows[:, 8], rows[:, 10], rows[:, 11]
    interleaved = schedule == SCHEDULES.index("interleaved")
    ok = np.where(interleaved, (vpp > 1) & (pp > 1) & (m % pp == 0) & (pp * vpp <= layers), vpp == 1)
    ok &= (pp > 1) | (schedule == SCHEDULES.index("1f1b"))
    ok &= (schedule != SCHEDULES.index("dualpipe")) | ((pp % 2 == 0) & (m >= 2 * pp))
    slots = pp * vpp
    ok &= (np.ceil(layers / slots) * vpp) * (pp - 1) < layers
    return ok & ((zero < 3) | (pp == 1))


def _table(rows: Array, precision: str) -> PlanTable:
    tp, cp, pp, dp, mb, m, ep, etp, vpp, rec, zero, sched, offload = rows.T
    n = len(rows)
    return PlanTable(tp, pp, dp, cp, ep, etp, vpp, mb, m, zero, np.zeros(n, int), rec, np.ones(n), sched, tp > 1, offload, precision)


def _empty(precision: str) -> PlanTable:
    return _table(np.zeros((0, 13), int), precision)


def unique_rows(columns: Sequence[Array]) -> tuple[Array, Array]:
    """First index of every distinct combination, and for every row the number of its combination."""
    key = np.zeros(columns[0].size, np.int64)
    for column in columns:
        values, code = np.unique(column, return_inverse=True)
        key = key * len(values) + code
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return first, inverse


def price(shape: ModelShape, machine: Machine, plans: PlanTable, seq_len: int, how: Software, imbalance: float = 1.0) -> StepTime:
    """Step times of a table of plans, each distinct set of kernels and transfers priced once."""
    deep = plans.pp > 1
    keys = (plans.tp, plans.cp, plans.ep, plans.etp, plans.micro_batch, plans.pp, plans.vpp, plans.zero, plans.offload, plans.dp)
    first, inverse = unique_rows([*keys, deep])
    parts: Parts = parts_of_step(shape, machine.acc, machine.fab, plans.take(first), seq_len, machine.domain, how.fused_attention, imbalance)
    return step_time(parts.take(inverse), plans, how)


def search(shape: ModelShape, machine: Machine, ranks: int, global_batch: int, seq_len: int, how: Software, precision: str = "bf16",
           space: Space | None = None, keep: int = 100, state: StateBytes = MIXED, reserve: float = 0.06, imbalance: float = 1.0) -> Found:  # fmt: skip
    """The best plans by step time among those that fit in memory.

    Args:
        reserve: share of memory left to the framework and to fragmentation.
        keep: plans returned.

    Raises:
        InfeasibleError: no legal plan, or none that fits, with what would.
    """
    plans = enumerate_plans(shape, ranks, global_batch, seq_len, machine.domain, precision, space or Space())
    if not len(plans):
        raise InfeasibleError(f"no plan divides {ranks} ranks and a batch of {global_batch}", _nearest_batch(ranks, global_batch))
    need = np.concatenate([memory(shape, plans.take(rows), seq_len, state, scores=not how.fused_attention).total for rows in _chunks(len(plans))])
    room = machine.memory_bytes * (1 - reserve)
    fits = np.flatnonzero(need <= room)
    if not fits.size:
        raise InfeasibleError(*_too_big(shape, machine, plans, need, seq_len, state, ranks))
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


def _too_big(shape: ModelShape, machine: Machine, plans: PlanTable, need: Array, seq_len: int, state: StateBytes, ranks: int) -> tuple[str, str]:
    """Why nothing fits, and the nearest change that would."""
    row = int(np.argmin(need))
    plan = plans.row(row)
    parts = memory(shape, plan, seq_len, state)
    largest = max((f.name for f in fields(parts)), key=lambda name: float(getattr(parts, name)))
    message = (f"the leanest of {len(plans)} legal plans ({plan}) needs {need[row] / GIB:.1f} GiB of {machine.memory_bytes / GIB:.1f} GiB on its "
               f"heaviest stage, most of it {largest} ({float(getattr(parts, largest)) / GIB:.1f} GiB)")  # fmt: skip
    factor = need[row] / machine.memory_bytes
    chips = int(np.ceil(ranks * factor / machine.dies / 8) * 8)
    return message, f"about {chips} chips, or optimizer offload (--plan offload=optimizer), or a shorter sequence"


__all__ = ["Found", "Space", "enumerate_plans", "price", "search"]
