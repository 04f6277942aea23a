"""Every legal plan of a space as a few grids: layouts along one axis, the choices that any layout may take along others.

A grid prices millions of plans with little arithmetic: the equations broadcast, so that a term which does not depend on a
choice is computed once for all its values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import numpy as np

from wafer2token.train.plan import RECOMPUTE, SCHEDULES, PlanTable
from wafer2token.workload import ModelShape

Array = np.ndarray


@dataclass(frozen=True)
class Space:
    """Which plans to try. Empty sequences mean "all that divide"; `share` is of layers under full recomputation.

    `shard` holds group sizes of hybrid sharding (0: the whole data-parallel group); `even` asks for as many layers on
    every stage and chunk.
    """

    tp: Sequence[int] = ()
    pp: Sequence[int] = ()
    cp: Sequence[int] = ()
    ep: Sequence[int] = ()
    vpp: Sequence[int] = (1, 2, 3, 4, 6, 8)
    micro_batch: Sequence[int] = (1, 2, 4, 8)
    recompute: Sequence[int] = (0, 1, 2)
    share: Sequence[float] = (1.0,)
    zero: Sequence[int] = (1, 3)
    shard: Sequence[int] = (0,)
    schedules: Sequence[int] = (0, 1)
    offload: Sequence[int] = (0,)
    etp: Sequence[int] = (1,)
    context: Sequence[int] = (0,)
    sequence_parallel: Sequence[bool] = (True,)
    max_tp: int = 64
    max_cp: int = 16
    even: bool = False


EVERYTHING = Space()
WIDE = Space(
    vpp=(1, 2, 3, 4, 6, 8, 12, 16),
    micro_batch=(1, 2, 4, 8, 16),
    share=(0.25, 0.5, 0.75, 1.0),
    zero=(0, 1, 2, 3),
    shard=(0, 8, 16, 32, 64),
    schedules=tuple(range(len(SCHEDULES))),
    offload=(0, 1, 4, 5),
    context=(0, 1),
    etp=(1, 2),
)
"""What few stacks offer, too: zero bubble and DualPipe, offload, groups of hybrid sharding, expert-tensor and all-to-all
context parallelism."""
OPTIONS = ("offload", "zero", "shard", "recompute", "recompute_share")
"""Fields of a plan that vary along the axes of a grid; all others vary along its layouts."""


@dataclass(frozen=True)
class Grid:
    """Plans as a block [offload, sharding, recomputation, layout].

    `layouts` has one row per layout; `plans` holds the same with its options spread over the leading axes, so that any
    equation over plans broadcasts to the block; `legal` masks it (None: all legal).
    """

    layouts: PlanTable
    offload: tuple[int, ...]
    sharding: tuple[tuple[int, int], ...]
    recompute: tuple[tuple[int, float], ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Sizes of the axes."""
        return len(self.offload), len(self.sharding), len(self.recompute), len(self.layouts)

    def block(self, rows: slice) -> PlanTable:
        """Some layouts with all their options, as fields that broadcast to the block."""
        values = {f.name: getattr(self.layouts, f.name)[rows] for f in fields(PlanTable) if f.name != "precision"}
        sharding, recompute = np.array(self.sharding, np.int64), np.array(self.recompute, float)
        values |= {
            "offload": np.array(self.offload, np.int64)[:, None, None, None],
            "zero": sharding[:, 0, None, None],
            "shard": sharding[:, 1, None, None],
            "recompute": recompute[:, 0, None].astype(int),
            "recompute_share": recompute[:, 1, None],
        }
        return PlanTable(**values, precision=self.layouts.precision)

    def legal(self, rows: slice) -> Array | None:
        """Which of a block's plans are legal [1, sharding, 1, layout]; None for all of them."""
        group = np.array([shard for _, shard in self.sharding])[:, None, None]
        if not group.any():
            return None
        ranks = (self.layouts.dp * self.layouts.cp)[rows]
        return np.asarray((group == 0) | ((group < ranks) & (ranks % np.maximum(group, 1) == 0)))[None]

    def take(self, places: Array) -> PlanTable:
        """The plans at flat places of the block of all layouts, as a table."""
        o, z, r, row = np.unravel_index(places, self.shape)
        values = {f.name: getattr(self.layouts, f.name)[row] for f in fields(PlanTable) if f.name != "precision"}
        sharding, recompute = np.array(self.sharding, np.int64), np.array(self.recompute, float)
        values |= {
            "offload": np.array(self.offload, np.int64)[o],
            "zero": sharding[z, 0],
            "shard": sharding[z, 1],
            "recompute": recompute[r, 0].astype(int),
            "recompute_share": recompute[r, 1],
        }
        return PlanTable(**values, precision=self.layouts.precision)


def divisors(n: int) -> list[int]:
    """All divisors, ascending."""
    small = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return sorted({*small, *(n // d for d in small)})


def grids(
    shape: ModelShape,
    ranks: int,
    global_batch: int,
    seq_len: int,
    domain: int,
    precision: str,
    space: Space = EVERYTHING,
) -> list[Grid]:
    """Every legal plan of the space.

    Legal: tp divides heads and hidden size and stays inside a scale-up domain; pp * vpp does not exceed the layers and
    leaves no stage empty; ep divides the experts and the ranks of a stage; dp * micro_batch divides the batch; interleaving
    needs micro-batches in multiples of the stages; ZeRO 3 goes without a pipeline, hybrid sharding with ZeRO; an all-to-all
    of context parallelism needs as many heads.
    """
    rows = _layouts(shape, ranks, global_batch, seq_len, domain, space)
    recompute = [(code, share) for code in space.recompute for share in _shares(code, space)]
    sharding = [(zero, group) for zero, group in product(space.zero, space.shard) if zero or not group]
    out = []
    for piped in (False, True):
        mine = _keep(rows, (rows["pp"] > 1) == piped)
        allowed = tuple((zero, group) for zero, group in sharding if zero < 3 or not piped)
        if len(mine["tp"]) and allowed:
            blank = {name: np.zeros(len(mine["tp"]), np.int64) for name in OPTIONS}
            out.append(
                Grid(PlanTable(**mine, **blank, precision=precision), tuple(space.offload), allowed, tuple(recompute))
            )
    return out


def _shares(code: int, space: Space) -> Sequence[float]:
    return space.share if code == RECOMPUTE.index("full") else (1.0,)


def _layouts(
    shape: ModelShape, ranks: int, global_batch: int, seq_len: int, domain: int, space: Space
) -> dict[str, Array]:
    """Everything of a plan but the options, as columns."""
    layers = shape.num_hidden_layers + shape.num_nextn_predict_layers
    rows = _cuts(shape, ranks, seq_len, domain, layers, space)
    rows = _cross(rows, micro_batch=space.micro_batch)
    rows = _keep(rows, global_batch % (rows["dp"] * rows["micro_batch"]) == 0)
    rows["micro_batches"] = global_batch // np.maximum(rows["dp"] * rows["micro_batch"], 1)
    rows = _cross(
        rows,
        ep=space.ep or (divisors(shape.n_routed_experts) if shape.is_moe else (1,)),
        etp=space.etp if shape.is_moe else (1,),
        context=space.context,
    )
    rows = _keep(rows, (ranks // rows["pp"]) % (rows["ep"] * rows["etp"]) == 0)
    swaps = rows["context"] > 0
    rows = _keep(rows, ~swaps | ((rows["cp"] > 1) & (shape.num_attention_heads % (rows["tp"] * rows["cp"]) == 0)))
    rows = _cross(rows, vpp=space.vpp, schedule=space.schedules)
    rows = _keep(rows, schedulable(rows, layers, space.even))
    rows = _cross(rows, sequence_parallel=space.sequence_parallel)
    rows = _keep(rows, rows["sequence_parallel"] | (rows["tp"] > 1) | (len(space.sequence_parallel) == 1))
    rows["sequence_parallel"] = rows["sequence_parallel"] & (rows["tp"] > 1)
    return rows


def _cuts(shape: ModelShape, ranks: int, seq_len: int, domain: int, layers: int, space: Space) -> dict[str, Array]:
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
    columns = np.array(found, np.int64).reshape(-1, 4).T
    return dict(zip(("tp", "cp", "pp", "dp"), columns, strict=True))


def _cross(rows: dict[str, Array], **options: Sequence[Any]) -> dict[str, Array]:
    """Every row with every combination of the options."""
    for name, values in options.items():
        given = np.asarray(values)
        n = len(rows["tp"])
        rows = {key: np.repeat(column, len(given)) for key, column in rows.items()}
        rows[name] = np.tile(given, n)
    return rows


def _keep(rows: dict[str, Array], mask: Array) -> dict[str, Array]:
    return rows if mask.all() else {key: column[mask] for key, column in rows.items()}


def schedulable(rows: dict[str, Array], layers: int, even: bool = False) -> Array:
    """Rows whose pipeline and schedule go together; no chunks without interleaving, no schedule without a pipeline."""
    pp, m, vpp, schedule = rows["pp"], rows["micro_batches"], rows["vpp"], rows["schedule"]
    slots = pp * vpp
    interleaved = (vpp > 1) & (pp > 1) & (m % pp == 0) & (slots <= layers)
    ok = np.where(schedule == SCHEDULES.index("interleaved"), interleaved, vpp == 1)
    ok &= (pp > 1) | (schedule == SCHEDULES.index("1f1b"))
    ok &= (schedule != SCHEDULES.index("dualpipe")) | ((pp % 2 == 0) & (m % 2 == 0) & (m >= 2 * pp))
    ok &= (schedule != SCHEDULES.index("dualpipev")) | ((2 * pp <= layers) & (m >= 2 * pp))
    if even:
        ok &= layers % slots == 0
    return np.asarray(ok & ((-(-layers // slots) * vpp) * (pp - 1) < layers))


def enumerate_plans(
    shape: ModelShape,
    ranks: int,
    global_batch: int,
    seq_len: int,
    domain: int,
    precision: str,
    space: Space = EVERYTHING,
) -> PlanTable:
    """Every legal plan of the space as one table (see `grids`)."""
    parts = []
    for grid in grids(shape, ranks, global_batch, seq_len, domain, precision, space):
        legal = grid.legal(slice(None))
        places = np.arange(int(np.prod(grid.shape)))
        if legal is not None:
            places = np.flatnonzero(np.broadcast_to(legal, grid.shape))
        parts.append(grid.take(places))
    names = [f.name for f in fields(PlanTable) if f.name != "precision"]
    if not parts:
        return PlanTable(**{n: np.zeros(0, np.int64) for n in names}, precision=precision)
    return PlanTable(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names}, precision=precision)


__all__ = ["EVERYTHING", "WIDE", "Grid", "Space", "divisors", "enumerate_plans", "grids", "schedulable"]
