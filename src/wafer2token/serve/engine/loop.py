"""The event loop over all replicas: arrivals, ends of steps, KV transfers, failures."""

from __future__ import annotations

import math

from .cost import run_seconds, steps_until
from .jit import entry, kernel
from .memory import drop_filler, free_blocks, give_blocks, leave, private_blocks
from .queues import dequeue, enqueue, pop_wire, prefix_hits
from .state import (
    BOTH,
    DECODE,
    DONE_N,
    DOWN,
    FAILURE,
    IDLE,
    INFLIGHT,
    JUMP,
    LOST,
    NEXT,
    PENDING,
    PREFILL,
    PREFIX_AWARE,
    REJECTED,
    REJECTED_N,
    ROBIN,
    ROUND_ROBIN,
    STATIC,
    STEP,
    WAKING,
    WIRED,
    World,
)
from .step import advance, begin, end_decoders, finish


@kernel
def suits(w: World, r: int, role: int) -> bool:
    """Whether replica r takes requests for ``role`` (PREFILL or DECODE)."""
    return bool(w.fleet[r].role == BOTH or w.fleet[r].role == role)


@kernel
def burden(w: World, r: int, i: int) -> float:
    """What the router minimises: load, or prompt tokens ahead of request i and its own that are not cached."""
    if w.knobs.router == PREFIX_AWARE and w.trip[i].computed == 0:
        hit = prefix_hits(w, r, i) * w.knobs.hash_blocks * w.knobs.block_size
        return float(w.fleet[r].unstarted + w.load[i].isl - hit)
    return float(4 * w.fleet[r].waiting + w.fleet[r].batch + w.fleet[r].filling)


@kernel
def route(w: World, i: int, role: int) -> int:
    """Choose the replica for request i; a replica that is down only when no other takes the role."""
    n = int(w.fleet.shape[0])
    turn = int(w.tally[ROBIN])
    w.tally[ROBIN] += 1
    best, least, fallback = -1, math.inf, -1
    for k in range(n):
        r = (turn + k) % n
        if not suits(w, r, role):
            continue
        if w.fleet[r].mode == DOWN:
            fallback = r
            continue
        if w.knobs.router == ROUND_ROBIN:
            w.tally[ROBIN] = r + 1
            return int(r)
        load = burden(w, r, i)
        if load < least:
            best, least = r, load
    return best if best >= 0 else fallback


@kernel
def hand_over(w: World, r: int, i: int, at: float) -> None:
    """Request i reaches replica r: wake it if idle, else cut its run of decode steps at the next step."""
    first_in_line = w.fleet[r].waiting == 0
    w.trip[i].replica = r
    enqueue(w, r, i, False)
    if w.fleet[r].mode == IDLE:
        w.fleet[r].mode = WAKING
        w.fleet[r].wake = at
    elif w.fleet[r].mode == JUMP and w.knobs.policy != STATIC:
        if w.lane.shape[1] == 1 and not first_in_line:
            return
        if w.fleet[r].batch < w.fleet[r].max_seqs and private_blocks(w, i) <= free_blocks(w, r):
            steps = steps_until(w, r, at)
            w.fleet[r].jump_steps = steps
            w.fleet[r].wake = w.fleet[r].clock + run_seconds(w, r, steps)


@kernel
def arrive(w: World, at: float) -> None:
    """The next request is issued, routed, and queued or turned away."""
    i = int(w.tally[NEXT])
    w.tally[NEXT] += 1
    w.trip[i].issue = at
    if w.trip[i].status == REJECTED:
        w.tally[REJECTED_N] += 1
        return
    r = route(w, i, PREFILL)
    if w.fleet[r].waiting >= w.knobs.max_waiting:
        w.trip[i].status = REJECTED
        w.tally[REJECTED_N] += 1
        return
    w.tally[INFLIGHT] += 1
    hand_over(w, r, i, at)


@kernel
def land(w: World, at: float) -> None:
    """The KV of a request has arrived: free it where it was made, queue the request where it decodes."""
    i = pop_wire(w)
    origin = int(w.trip[i].origin)
    w.trip[i].origin = -1
    if origin < 0:
        hand_over(w, route(w, i, PREFILL), i, at)
        return
    give_blocks(w, origin, i, 0)
    hand_over(w, route(w, i, DECODE), i, at)
    if w.fleet[origin].mode == IDLE and w.fleet[origin].waiting > 0:
        begin(w, origin, at)


@kernel
def restart(w: World, i: int) -> None:
    """Forget what was computed for request i; the client starts it again."""
    w.trip[i].computed = 0
    w.trip[i].target = w.load[i].isl
    w.trip[i].left = w.load[i].steps
    w.trip[i].first = -1.0
    w.trip[i].left_behind = 0


@kernel
def fail(w: World, r: int, at: float) -> None:
    """Replica r goes down: what it held is lost, its requests start again elsewhere."""
    if w.fleet[r].mode == DOWN:
        return
    stop(w, r, at)
    w.fleet[r].mode = DOWN
    w.fleet[r].wake = math.inf
    w.fleet[r].padded = 0
    w.fleet[r].debt = 0.0
    w.fleet[r].stall = 0.0
    queued = w.fleet[r].waiting
    while w.fleet[r].batch > 0:
        moved(w, leave(w, r, 0), at)
    while w.fleet[r].filling > 0:
        i = drop_filler(w, r, 0)
        w.fleet[r].unstarted -= w.trip[i].target - w.trip[i].computed
        give_blocks(w, r, i, 0)
        moved(w, i, at)
    for _ in range(queued):
        moved(w, dequeue(w, r), at)
    for slot in range(w.tally[WIRED]):
        i = int(w.wire[slot].id)
        if w.trip[i].origin == r:
            give_blocks(w, r, i, 0)
            w.trip[i].origin = -1
            restart(w, i)
    forget_cache(w, r)


@kernel
def stop(w: World, r: int, at: float) -> None:
    """Book what replica r has done by time ``at`` of the step or run under way."""
    if w.fleet[r].mode == JUMP:
        steps = steps_until(w, r, at)
        if w.fleet[r].clock + run_seconds(w, r, steps) > at:
            steps -= 1
        advance(w, r, steps, at)
        end_decoders(w, r, at)
    elif w.fleet[r].mode == STEP:
        advance(w, r, 0, at)


@kernel
def forget_cache(w: World, r: int) -> None:
    """Empty the prefix cache of replica r."""
    if w.knobs.hash_blocks == 0:
        return
    for h in range(w.cache.shape[1]):
        entry = w.cache[r, h]
        entry.present = 0
        entry.newer = h
        entry.older = h
    w.fleet[r].idle = 0


@kernel
def moved(w: World, i: int, at: float) -> None:
    """Send a request of a failed replica elsewhere."""
    restart(w, i)
    hand_over(w, route(w, i, PREFILL), i, at)


@kernel
def change(w: World, at: float) -> None:
    """The next failure or recovery of the plan."""
    k = int(w.tally[FAILURE])
    w.tally[FAILURE] += 1
    r = int(w.failure[k].replica)
    if w.failure[k].up == 0:
        fail(w, r, at)
    elif w.fleet[r].mode == DOWN:
        w.fleet[r].mode = IDLE
        begin(w, r, at)


@kernel
def next_arrival(w: World) -> float:
    """When the next request is issued: at its time, or when a slot of the closed loop is free."""
    i = w.tally[NEXT]
    if i >= w.load.shape[0] or w.tally[INFLIGHT] >= w.knobs.max_inflight:
        return math.inf
    at = max(w.load[i].arrival, w.now[0])
    begun = w.tally[INFLIGHT] + w.tally[DONE_N]
    if begun >= w.knobs.max_inflight:
        at = max(at, w.release[begun % w.release.shape[0]] + w.knobs.response_s)
    return float(at)


@kernel
def soonest(w: World) -> int:
    """The replica whose step ends first."""
    best, least = 0, w.fleet[0].wake
    for r in range(1, w.fleet.shape[0]):
        if w.fleet[r].wake < least:
            best, least = r, w.fleet[r].wake
    return best


@entry
def run(w: World, until: float) -> None:
    """Play events in order of time until nothing is left or the time is ``until``."""
    while True:
        r = soonest(w)
        ends = w.fleet[r].wake
        comes = next_arrival(w)
        lands = w.wire[0].at if w.tally[WIRED] > 0 else math.inf
        k = w.tally[FAILURE]
        breaks = w.failure[k].at if k < w.failure.shape[0] else math.inf
        at = min(min(ends, comes), min(lands, breaks))
        if at == math.inf or at > until:
            break
        w.now[0] = at
        if breaks == at:
            change(w, at)
        elif lands == at:
            land(w, at)
        elif comes == at:
            arrive(w, at)
        else:
            if w.fleet[r].mode != WAKING:
                finish(w, r)
            begin(w, r, at)
    for i in range(w.load.shape[0]):
        if w.trip[i].status == PENDING and i < w.tally[NEXT]:
            w.trip[i].status = LOST if until == math.inf else PENDING
