"""A pipeline schedule played out: when every stage runs which micro-batch, and the trace of it.

Orders of 1F1B, interleaved and GPipe are the published ones (arXiv 2104.04473, section 2.2); ZB-H1 (arXiv 2401.10241) runs
weight gradients where a stage would wait; DualPipe and DualPipeV stand in `dualpipe`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wafer2token.evidence.errors import InputError, Problem, unknown
from wafer2token.train import dualpipe
from wafer2token.train.plan import SCHEDULES, Plan

FROM_BOTH_ENDS = ("dualpipe", "dualpipev")
MICRO = 1e6  # trace time unit: microseconds
NAMES = {"F": "forward", "B": "backward", "W": "weight gradient", "FB": "forward"}
Op = tuple[str, int, int]  # kind F, B or W; micro-batch; chunk


@dataclass(frozen=True)
class Slice:
    """One piece of work of a stage; seconds from the start of the step.

    ``kind`` is F, B, W, or FB for a forward pass that runs beside the backward pass of micro-batch ``beside``.
    """

    stage: int
    kind: str
    micro_batch: int
    chunk: int
    start_s: float
    end_s: float
    beside: int = -1

    @property
    def label(self) -> str:
        """What runs, in words."""
        text = f"{NAMES[self.kind]} {self.micro_batch}"
        text += f" beside backward {self.beside}" if self.beside >= 0 else ""
        return text + (f" chunk {self.chunk}" if self.chunk else "")


@dataclass(frozen=True)
class Timeline:
    """A played schedule. `busy_s` is per stage; `bubble_s` the idle time of the busiest stage."""

    schedule: str
    slices: tuple[Slice, ...]
    makespan_s: float
    busy_s: tuple[float, ...]

    @property
    def bubble_s(self) -> float:
        """Idle seconds of the stage that works most."""
        return self.makespan_s - max(self.busy_s)

    def trace(self) -> dict[str, Any]:
        """The timeline in the Trace Event Format of Chrome and Perfetto: one track per stage, microseconds."""
        events: list[dict[str, Any]] = [
            {"ph": "M", "name": "thread_name", "pid": 0, "tid": s, "args": {"name": f"stage {s}"}}
            for s in range(len(self.busy_s))
        ]
        for s in self.slices:
            events.append(
                {
                    "ph": "X",
                    "name": s.label,
                    "cat": NAMES[s.kind],
                    "pid": 0,
                    "tid": s.stage,
                    "ts": s.start_s * MICRO,
                    "dur": (s.end_s - s.start_s) * MICRO,
                    "args": {"micro_batch": s.micro_batch, "chunk": s.chunk},
                }
            )
        return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"schedule": self.schedule}}

    def write_trace(self, path: str | Path) -> Path:
        """Write `trace()` as JSON."""
        target = Path(path)
        target.write_text(json.dumps(self.trace()), encoding="utf-8")
        return target


def simulate(
    schedule: str,
    stages: int,
    micro_batches: int,
    f: float | Sequence[float],
    b: float | Sequence[float],
    w: float | Sequence[float] = 0.0,
    chunks: int = 1,
    hop: float = 0.0,
) -> Timeline:
    """Play a schedule.

    Args:
        f, b, w: seconds per micro-batch and stage of forward, input gradient and weight gradient (all chunks together);
            schedules that do not split the backward pass run b + w as one. One number for all stages, or one for each.
        hop: seconds to hand a tensor to the next stage.
    """
    _check(schedule, stages, micro_batches, chunks)
    v = chunks if schedule == "interleaved" else 1
    fs, bs, ws = (_each(x, stages) for x in (f, b, w))
    if schedule == "zero_bubble":
        return _zero_bubble(stages, micro_batches, {"F": fs, "B": bs, "W": ws}, hop)
    if schedule in FROM_BOTH_ENDS:
        if len({*zip(fs, bs, ws, strict=True)}) > 1:
            raise InputError(Problem(f"{schedule} is played with equal stages alone", got=(fs, bs, ws)))
        return _from_both_ends(schedule, stages, micro_batches, fs[0], bs[0], ws[0], hop)
    orders = [list(_order(schedule, stages, s, micro_batches, v)) for s in range(stages)]
    seconds = {"F": [x / v for x in fs], "B": [(x + y) / v for x, y in zip(bs, ws, strict=True)]}
    return _play(schedule, orders, seconds, v, hop)


def _each(value: float | Sequence[float], stages: int) -> list[float]:
    """One number for every stage."""
    if isinstance(value, Sequence):
        if len(value) != stages:
            raise InputError(Problem("one time for all stages, or one for each", got=len(value), allowed=str(stages)))
        return [float(x) for x in value]
    return [float(value)] * stages


def _check(schedule: str, stages: int, micro_batches: int, chunks: int) -> None:
    if schedule not in SCHEDULES:
        raise InputError(unknown("schedule", schedule, list(SCHEDULES)))
    if min(stages, micro_batches, chunks) < 1:
        raise InputError(
            Problem("stages, micro-batches and chunks are at least 1", got=(stages, micro_batches, chunks))
        )
    if schedule == "interleaved" and micro_batches % stages:
        raise InputError(
            Problem(
                "interleaving needs micro-batches in multiples of the stages",
                got=micro_batches,
                remedy=f"take a multiple of {stages}",
            )
        )
    odd = schedule == "dualpipe" and (stages % 2 or micro_batches % 2)
    if schedule in FROM_BOTH_ENDS and (odd or micro_batches < 2 * stages):
        raise InputError(
            Problem(
                f"{schedule} needs twice as many micro-batches as stages"
                + (", and both even" if schedule == "dualpipe" else ""),
                got=(stages, micro_batches),
                remedy=f"take at least {2 * (stages + stages % 2)} micro-batches",
            )
        )


def _from_both_ends(schedule: str, stages: int, m: int, f: float, b: float, w: float, hop: float) -> Timeline:
    pieces = dualpipe.play(stages, m, f, b, w, hop, folded=schedule == "dualpipev")
    slices = [Slice(p.rank, p.kind, p.micro_batch, p.phase, p.start_s, p.end_s, p.beside) for p in pieces]
    return _timeline(schedule, slices, stages)


def _order(schedule: str, stages: int, stage: int, m: int, v: int) -> Iterator[Op]:
    """The order of work on one stage."""
    total = m * v
    if schedule == "gpipe":
        warm = total
    elif v == 1:
        warm = min(stages - stage - 1, total)
    else:
        warm = min((stages - stage - 1) * 2 + (v - 1) * stages, total)
    for i in range(warm):
        yield "F", *_piece(i, stages, v, False)
    for i in range(total - warm):
        yield "F", *_piece(i + warm, stages, v, False)
        yield "B", *_piece(i, stages, v, True)
    for i in range(total - warm, total):
        yield "B", *_piece(i, stages, v, True)


def _piece(i: int, stages: int, v: int, backward: bool) -> tuple[int, int]:
    """Micro-batch and chunk of the i-th piece of work of a stage: chunks change every `stages` pieces."""
    if v == 1:
        return i, 0
    group, inside = divmod(i, stages * v)
    chunk, micro = divmod(inside, stages)
    return group * stages + micro, v - 1 - chunk if backward else chunk


def _play(schedule: str, orders: list[list[Op]], seconds: dict[str, list[float]], v: int, hop: float) -> Timeline:
    """Start every piece as early as its stage and its inputs allow."""
    stages = len(orders)
    ends: dict[tuple[str, int, int], float] = {}
    clock, at, slices = [0.0] * stages, [0] * stages, []
    left = sum(len(o) for o in orders)
    while left:
        moved = False
        for s, order in enumerate(orders):
            while at[s] < len(order):
                kind, micro, chunk = order[at[s]]
                ready = _ready(kind, micro, chunk * stages + s, stages * v, ends, hop)
                if ready is None:
                    break
                start = max(clock[s], ready)
                clock[s] = start + seconds[kind][s]
                ends[kind, micro, chunk * stages + s] = clock[s]
                slices.append(Slice(s, kind, micro, chunk, start, clock[s]))
                at[s] += 1
                left -= 1
                moved = True
        if not moved:
            raise InputError(Problem(f"the order of {schedule} waits for itself"))
    return _timeline(schedule, slices, stages)


def _ready(
    kind: str, micro: int, position: int, positions: int, ends: dict[tuple[str, int, int], float], hop: float
) -> float | None:
    """When the inputs of a piece are there; None while they are not."""
    if kind == "F":
        return 0.0 if position == 0 else _after(ends.get(("F", micro, position - 1)), hop)
    if kind == "W":
        return _after(ends.get(("B", micro, position)), 0.0)
    if position == positions - 1:
        return _after(ends.get(("F", micro, position)), 0.0)
    return _after(ends.get(("B", micro, position + 1)), hop)


def _after(end: float | None, hop: float) -> float | None:
    return None if end is None else end + hop


def _timeline(schedule: str, slices: list[Slice], stages: int) -> Timeline:
    busy = [0.0] * stages
    for s in slices:
        busy[s.stage] += s.end_s - s.start_s
    return Timeline(schedule, tuple(slices), max(s.end_s for s in slices), tuple(busy))


def _zero_bubble(stages: int, m: int, seconds: dict[str, list[float]], hop: float) -> Timeline:
    """ZB-H1: the order of 1F1B for F and B; W fills the waits, and keeps the memory of 1F1B (p - s passes open)."""
    ends: dict[tuple[str, int, int], float] = {}
    clock, slices = [0.0] * stages, []
    orders = [list(_order("1f1b", stages, s, m, 1)) for s in range(stages)]
    at, owed = [0] * stages, [[] for _ in range(stages)]  # type: tuple[list[int], list[list[int]]]

    def run(s: int, kind: str, micro: int, start: float) -> None:
        clock[s] = start + seconds[kind][s]
        ends[kind, micro, s] = clock[s]
        slices.append(Slice(s, kind, micro, 0, start, clock[s]))

    while any(at[s] < len(orders[s]) or owed[s] for s in range(stages)):
        s, ready = _next_stage(orders, at, owed, ends, clock, stages, hop)
        if (
            at[s] < len(orders[s])
            and ready is not None
            and not (owed[s] and ready - clock[s] >= seconds["W"][s] * 0.999)
        ):
            kind, micro, _ = orders[s][at[s]]
            run(s, kind, micro, max(clock[s], ready))
            at[s] += 1
            if kind == "B":
                owed[s].append(micro)
                if len(owed[s]) > s + 1:
                    run(s, "W", owed[s].pop(0), clock[s])
        else:
            run(s, "W", owed[s].pop(0), clock[s])
    return _timeline("zero_bubble", slices, stages)


def _next_stage(
    orders: list[list[Op]],
    at: list[int],
    owed: list[list[int]],
    ends: dict[tuple[str, int, int], float],
    clock: list[float],
    stages: int,
    hop: float,
) -> tuple[int, float | None]:
    """The stage that can act earliest, and when its next F or B is ready (None: not yet known)."""
    best, best_time, best_ready = -1, float("inf"), None
    for s in range(stages):
        ready = None
        if at[s] < len(orders[s]):
            kind, micro, _ = orders[s][at[s]]
            ready = _ready(kind, micro, s, stages, ends, hop)
        when = clock[s] if owed[s] else float("inf")
        if ready is not None:
            when = min(when, max(clock[s], ready))
        if when < best_time:
            best, best_time, best_ready = s, when, ready
    return best, best_ready


def timeline_of(result: Any, micro_batches: int = 64) -> Timeline:
    """The pipeline of a priced plan played out with its own stage times, at most about so many micro-batches of it.

    Without a pipeline at most 16 are played: they are all alike.
    """
    plan, parts = result.plan, result.parts_s
    name = SCHEDULES[plan.schedule]
    least = 2 if name in FROM_BOTH_ENDS else 1
    most = max(micro_batches // plan.pp, least) * plan.pp if plan.pp > 1 else min(micro_batches, 16)
    micro = min(plan.micro_batches, most)
    weight = min(parts["compute"] / plan.micro_batches / 3, result.backward_s)
    return simulate(
        name, plan.pp, micro, result.forward_s, result.backward_s - weight, weight, plan.vpp, _hop(parts, plan)
    )


def _hop(parts: Mapping[str, float], plan: Plan) -> float:
    """Seconds to hand one tensor on: every micro-batch crosses a stage's boundary there and back, once per chunk."""
    return parts["pipeline"] / (plan.micro_batches * 2 * plan.vpp) if plan.pp > 1 else 0.0
