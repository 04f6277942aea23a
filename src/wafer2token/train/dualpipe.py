"""DualPipe and DualPipeV played out: micro-batches enter a pipeline from both ends, a forward pass runs beside a backward.

The order of work is that of DeepSeek-V3 (arXiv 2412.19437, section 3.2.1 and figure 5): warm-up forwards, pairs of forwards,
backwards split into input and weight gradients while the pipe fills, the steady state of forward beside backward, and the
mirror image of it. DualPipeV folds that pipeline in half: one rank runs what two mirrored ranks of DualPipe run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Slot = tuple[tuple[str, int], ...]
"""Pieces that run together: (kind, phase); kind F, B (both gradients), I (input gradient alone) or W (the weight gradient owed)."""


@dataclass(frozen=True)
class Place:
    """Where one piece of a rank belongs: its stream of micro-batches and the position on that stream's way."""

    stream: int
    position: int


@dataclass(frozen=True)
class Piece:
    """One slot as played: kind F, B, W or FB; micro-batch of its forward (or only) pass, and of the backward beside it."""

    rank: int
    kind: str
    micro_batch: int
    beside: int
    phase: int
    start_s: float
    end_s: float


def order(half: int, inner: int, count: int) -> Iterator[Slot]:
    """The slots of one rank.

    Args:
        half: half the positions of a stream's way; inner: distance from the end of the pipe, 0 at the ends, half - 1 in the
            middle; count: micro-batches per phase, at least twice ``half``.
    """
    away = half - inner - 1
    yield from [(("F", 0),)] * (2 * away)
    for _ in range(inner + 1):
        yield (("F", 0),)
        yield (("F", 1),)
    for _ in range(away):
        yield (("I", 1),)
        yield (("W", 1),)
        yield (("F", 1),)
    for i in range(count - 2 * half + inner + 1):
        if i == 0 and away == 0:
            yield (("F", 0),)
            yield (("B", 1),)
        else:
            yield (("F", 0), ("B", 1))
        yield (("F", 1), ("B", 0))
    for _ in range(away):
        yield (("B", 1),)
        yield (("F", 1), ("B", 0))
    for i in range(2 * (inner + 1)):
        late = i >= 2 * ((inner + 1) // 2) + (inner % 2 == 0)
        yield (("I" if late else "B", 1 - i % 2),)
    for _ in range(away):
        yield (("W", 0),)
        yield (("I", 0),)
    yield from [(("W", 0),)] * (inner + 1)


def places(stages: int, rank: int, folded: bool) -> tuple[int, int, tuple[Place, Place]]:
    """Half the way, distance from the end, and the places of both phases of a rank."""
    if folded:
        return stages, rank, (Place(0, rank), Place(0, 2 * stages - 1 - rank))
    inner = min(rank, stages - 1 - rank)
    near = int(rank >= stages // 2)
    return stages // 2, inner, (Place(near, inner), Place(1 - near, stages - 1 - inner))


def play(
    stages: int, micro_batches: int, f: float, b: float, w: float, hop: float = 0.0, folded: bool = False
) -> list[Piece]:
    """Every slot started as early as its rank and its inputs allow.

    Args:
        f, b, w: seconds per micro-batch and rank of forward, input gradient and weight gradient.
        folded: DualPipeV, in which a rank runs two half stages.
    """
    count = micro_batches if folded else micro_batches // 2
    seconds = {"F": f, "B": b + w, "I": b, "W": w}
    if folded:
        seconds = {kind: s / 2 for kind, s in seconds.items()}
    ranks = [_Rank(r, *places(stages, r, folded), count) for r in range(stages)]
    ends: dict[tuple[str, int, int, int], float] = {}
    pieces: list[Piece] = []
    waiting = True
    while waiting:
        waiting = False
        for rank in ranks:
            while (piece := rank.next(ends, seconds, hop)) is not None:
                pieces.append(piece)
                waiting = True
    return pieces


class _Rank:
    """A rank at work: what it has done of its order."""

    def __init__(self, rank: int, half: int, inner: int, where: tuple[Place, Place], count: int) -> None:
        self.rank, self.where, self.last, self.count = rank, where, 2 * half - 1, count
        self.slots = list(order(half, inner, count))
        self.at, self.clock = 0, 0.0
        self.done = {(kind, phase): 0 for kind in "FB" for phase in (0, 1)}
        self.owed: list[int] = []

    def next(self, ends: dict[tuple[str, int, int, int], float], seconds: dict[str, float], hop: float) -> Piece | None:
        """Run the next slot if its inputs are known."""
        if self.at == len(self.slots):
            return None
        slot, ready = self.slots[self.at], self.clock
        for kind, phase in slot:
            needed = self._needs(kind, phase, ends, hop)
            if needed is None:
                return None
            ready = max(ready, needed)
        self.clock = ready + sum(seconds[kind] for kind, _ in slot)
        numbers = [self._finish(kind, phase, ends) for kind, phase in slot]
        self.at += 1
        kind = "".join("B" if k == "I" else k for k, _ in slot)
        return Piece(self.rank, kind, numbers[0], numbers[1] if len(numbers) > 1 else -1, slot[0][1], ready, self.clock)

    def _needs(self, kind: str, phase: int, ends: dict[tuple[str, int, int, int], float], hop: float) -> float | None:
        """When the input of a piece is there; None while it is not."""
        place = self.where[phase]
        if kind == "W":
            return self.clock
        number = self.done["F" if kind == "F" else "B", phase]
        if kind == "F":
            earlier = ends.get(("F", place.stream, number, place.position - 1))
            return 0.0 if place.position == 0 else None if earlier is None else earlier + self._hop(place, -1, hop)
        if place.position == self.last:
            return ends.get(("F", place.stream, number, place.position))
        later = ends.get(("B", place.stream, number, place.position + 1))
        return None if later is None else later + self._hop(place, 1, hop)

    def _hop(self, place: Place, way: int, hop: float) -> float:
        """Nothing between the two half stages that a folded rank holds in the middle."""
        folded = self.where[0].stream == self.where[1].stream
        return 0.0 if folded and place.position + way in (p.position for p in self.where) else hop

    def _finish(self, kind: str, phase: int, ends: dict[tuple[str, int, int, int], float]) -> int:
        """Note a piece as done; the number of its micro-batch."""
        place = self.where[phase]
        folded = self.where[0].stream == self.where[1].stream
        first = 0 if folded else place.stream * self.count
        if kind == "W":
            return self.owed.pop(0)
        name = "F" if kind == "F" else "B"
        number = self.done[name, phase]
        self.done[name, phase] += 1
        ends[name, place.stream, number, place.position] = self.clock
        if kind == "I":
            self.owed.append(first + number)
        return first + number
