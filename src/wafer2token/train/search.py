"""Every legal plan of a model on a machine, priced together, and the best of them.

Kernels and links inside a layer are priced once per distinct (tp, cp, ep, etp, micro-batch); the step and its memory are
arithmetic over grids of plans (`grid`), block by block, so that a million of them take a fraction of a second.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, fields, replace

import numpy as np

from wafer2token.evidence.errors import InfeasibleError
from wafer2token.train.calibration import planner
from wafer2token.train.feasible import Wanted, nearest_job, why_nothing_fits
from wafer2token.train.grid import Grid, Space, divisors, enumerate_plans, grids
from wafer2token.train.machine import Machine
from wafer2token.train.memory import MIXED, StateBytes, heaviest_bytes
from wafer2token.train.plan import PlanTable
from wafer2token.train.step import INSIDE, Inside, Software, StepTime, around_layers, inside_layers, step_time
from wafer2token.workload import ModelShape

Array = np.ndarray
LEAN = tuple(tenths / 10 for tenths in range(1, 10))
BLOCK = 1 << 16
"""Plans priced at a time: their arrays stay in the cache of a core."""


@dataclass(frozen=True)
class Found:
    """Plans in order of step time, with what they take; `tried` counts legal plans, `fitting` those that fit in memory.

    `frontier` holds the fastest plan, and the fastest within every tenth of the memory there is, while it needs less.
    """

    plans: PlanTable
    frontier: PlanTable
    seconds: Array
    bytes: Array
    tried: int
    fitting: int
    needed_bytes: float


def unique_rows(columns: Sequence[Array]) -> tuple[Array, Array]:
    """First index of every distinct combination, and for every row the number of its combination."""
    key = np.zeros(columns[0].size, np.int64)
    for column in columns:
        values, code = np.unique(column, return_inverse=True)
        key = key * len(values) + code
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return first, inverse


@dataclass(frozen=True)
class Question:
    """A model on a machine under a software: what a search asks of every plan."""

    shape: ModelShape
    machine: Machine
    seq_len: int
    how: Software
    imbalance: float = 1.0
    state: StateBytes = MIXED

    def inside(self, plans: PlanTable) -> tuple[Inside, Array]:
        """Layers of the distinct cuts of a table, and for every row the number of its cut."""
        first, inverse = unique_rows([getattr(plans, name) for name in INSIDE] + [plans.pp > 1])
        place, how = self.machine, self.how
        inside = inside_layers(
            self.shape,
            place.acc,
            place.fab,
            plans.take(first),
            self.seq_len,
            place.domain,
            how.fused_attention,
            self.imbalance,
        )
        return inside, inverse

    def time(self, inside: Inside, plans: PlanTable) -> StepTime:
        """Step times of plans whose layers are priced; fields of the plans broadcast."""
        place, how = self.machine, self.how
        parts = around_layers(
            inside,
            self.shape,
            place.acc,
            place.fab,
            plans,
            self.seq_len,
            place.domain,
            how.fused_attention,
            gradient_bytes=self.state.gradient,
            host_link=place.host_bytes_per_s,
            state=self.state,
        )
        return step_time(parts, plans, how)

    def need(self, plans: PlanTable) -> Array:
        """Bytes on the heaviest stage; fields of the plans broadcast."""
        return heaviest_bytes(self.shape, plans, self.seq_len, self.state, scores=not self.how.fused_attention)


def price(
    shape: ModelShape,
    machine: Machine,
    plans: PlanTable,
    seq_len: int,
    how: Software,
    imbalance: float = 1.0,
    state: StateBytes = MIXED,
) -> StepTime:
    """Step times of a table of plans, each distinct set of kernels and transfers priced once."""
    question = Question(shape, machine, seq_len, how, imbalance, state)
    inside, inverse = question.inside(plans)
    return question.time(inside.take(inverse), plans)


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
    workers: int | None = None,
) -> Found:
    """The best plans by step time among those that fit in memory.

    Args:
        reserve: share of memory left to the framework and to fragmentation; None for that of the planner's card.
        keep: plans returned.
        workers: threads; None for the cores there are. The answer is the same for any number.

    Raises:
        InfeasibleError: no legal plan, or none that fits, with what would.
    """
    space = space or Space()
    blocks = grids(shape, ranks, global_batch, seq_len, machine.domain, precision, space)
    if not blocks:
        raise InfeasibleError(*nearest_job(shape, machine, ranks, global_batch, seq_len, space))
    question = Question(shape, machine, seq_len, how, imbalance, state)
    room = machine.memory_bytes * (1 - (planner("memory_reserve") if reserve is None else reserve))
    best = [_best_of(question, grid, room, keep, workers or os.cpu_count() or 1) for grid in blocks]
    tried = sum(b.tried for b in best)
    fitting = sum(b.fitting for b in best)
    leanest = min(best, key=lambda b: b.needed_bytes)
    if not fitting:
        scores = not how.fused_attention
        wanted = Wanted(shape, machine, ranks, global_batch, seq_len, precision, space, room, state, scores)
        raise InfeasibleError(*why_nothing_fits(wanted, leanest.plans.row(0), tried))
    merged = _merged([b for b in best if b.fitting], keep, tried, fitting, leanest.needed_bytes)
    return replace(merged, frontier=_undominated(question, merged.frontier))


def _merged(best: list[Found], keep: int, tried: int, fitting: int, needed: float) -> Found:
    """The fastest of several findings, in order."""
    seconds, need = np.concatenate([b.seconds for b in best]), np.concatenate([b.bytes for b in best])
    order = np.argsort(seconds, kind="stable")[:keep]
    plans = _joined([b.plans for b in best]).take(order)
    return Found(plans, _joined([b.frontier for b in best]), seconds[order], need[order], tried, fitting, needed)


def _undominated(question: Question, plans: PlanTable) -> PlanTable:
    """Plans in order of time, each leaner than all before it."""
    inside, inverse = question.inside(plans)
    seconds = np.broadcast_to(question.time(inside.take(inverse), plans).total, (len(plans),))
    need = np.broadcast_to(question.need(plans), (len(plans),))
    order = np.lexsort((need, seconds))
    least = np.minimum.accumulate(np.concatenate([[np.inf], need[order][:-1]]))
    return plans.take(order[need[order] < least])


def _joined(tables: list[PlanTable]) -> PlanTable:
    names = [f.name for f in fields(PlanTable) if f.name != "precision"]
    columns = {n: np.concatenate([getattr(t, n) for t in tables]) for n in names}
    return PlanTable(**columns, precision=tables[0].precision)


@dataclass(frozen=True)
class _Block:
    """The best of one block: flat places in its grid, with what they take; the leanest plan, whether it fits or not."""

    places: Array
    seconds: Array
    bytes: Array
    tried: int
    fitting: int
    leanest: int
    needed_bytes: float


def _best_of(question: Question, grid: Grid, room: float, keep: int, workers: int) -> Found:
    """The best plans of one grid; where none fits, the leanest alone."""
    inside, inverse = question.inside(grid.layouts)
    size = max(BLOCK // int(np.prod(grid.shape[:3])), 1)
    starts = range(0, grid.shape[3], size)

    def one(start: int) -> _Block:
        rows = slice(start, min(start + size, grid.shape[3]))
        return _priced(question, grid, inside.take(inverse[rows]), rows, room, keep)

    if workers > 1 and len(starts) > 1:
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(lambda start: copy_context().run(one, start), starts))
    else:
        found = [one(start) for start in starts]
    tried, fitting = sum(b.tried for b in found), sum(b.fitting for b in found)
    lean = min(found, key=lambda b: b.needed_bytes)
    if not fitting:
        alone = grid.take(np.array([lean.leanest]))
        return Found(alone, alone, np.zeros(1), np.zeros(1), tried, 0, lean.needed_bytes)
    places, first = np.unique(np.concatenate([b.places for b in found]), return_index=True)
    seconds = np.concatenate([b.seconds for b in found])[first]
    need = np.concatenate([b.bytes for b in found])[first]
    order = np.lexsort((_order(grid, places), seconds))
    leaner = need[order] < np.minimum.accumulate(np.concatenate([[np.inf], need[order][:-1]]))
    frontier = grid.take(places[order[leaner]])
    order = order[:keep]
    return Found(grid.take(places[order]), frontier, seconds[order], need[order], tried, fitting, lean.needed_bytes)


def _order(grid: Grid, places: Array) -> Array:
    """Places in the order in which a person would list the plans: layout by layout; it settles ties."""
    o, z, r, row = np.unravel_index(places, grid.shape)
    return np.ravel_multi_index((row, z, r, o), (grid.shape[3], grid.shape[1], grid.shape[2], grid.shape[0]))


def _priced(question: Question, grid: Grid, inside: Inside, rows: slice, room: float, keep: int) -> _Block:
    """Memory and time of a block of layouts with all their options."""
    plans = grid.block(rows)
    shape = (*grid.shape[:3], rows.stop - rows.start)
    need = np.broadcast_to(question.need(plans), shape)
    legal = grid.legal(rows)
    tried = need.size
    if legal is not None:
        tried = int(np.broadcast_to(legal, shape).sum())
        need = np.where(legal, need, np.inf)
    fits = need <= room
    fitting = int(np.count_nonzero(fits))
    lean = int(np.argmin(need))
    if fitting:
        seconds = np.where(fits, question.time(inside, plans).total, np.inf).ravel()
        best = np.argpartition(seconds, keep)[:keep] if seconds.size > keep else np.arange(seconds.size)
        lean_best = _lean(seconds, need.ravel(), room)
        best = np.concatenate([best[np.isfinite(seconds[best])], lean_best])
    else:
        seconds, best = np.zeros(0), np.zeros(0, np.int64)
    return _Block(
        _placed(best, shape, grid, rows),
        seconds[best],
        need.ravel()[best],
        tried,
        fitting,
        int(_placed(np.array([lean]), shape, grid, rows)[0]),
        float(need.ravel()[lean]),
    )


def _lean(seconds: Array, need: Array, room: float) -> Array:
    """The fastest plan within every tenth of the room, where there is one: what the frontier of time and memory needs."""
    found = []
    for share in LEAN:
        within = np.where(need <= share * room, seconds, np.inf)
        place = int(np.argmin(within))
        found += [place] if np.isfinite(within[place]) else []
    return np.array(found, np.int64)


def _placed(places: Array, shape: tuple[int, int, int, int], grid: Grid, rows: slice) -> Array:
    """Flat places in a block as flat places in its grid."""
    o, z, r, row = np.unravel_index(places, shape)
    return np.ravel_multi_index((o, z, r, row + rows.start), grid.shape)


__all__ = ["Found", "Question", "Space", "divisors", "enumerate_plans", "price", "search", "unique_rows"]
