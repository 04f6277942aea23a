"""Waiting queues, the heap of finishing decoders, and the prefix cache."""

from __future__ import annotations

from .jit import kernel
from .state import WIRED, World


@kernel
def enqueue(w: World, r: int, i: int, in_front: bool) -> None:
    """Put request i at the end (or the front) of the waiting queue of its priority level on replica r."""
    lane = w.lane[r, w.load[i].level]
    if lane.head < 0:
        lane.head = i
        lane.tail = i
        w.trip[i].after = -1
    elif in_front:
        w.trip[i].after = lane.head
        lane.head = i
    else:
        w.trip[lane.tail].after = i
        w.trip[i].after = -1
        lane.tail = i
    w.fleet[r].waiting += 1
    w.fleet[r].unstarted += max(w.trip[i].target - w.trip[i].computed, 0)


@kernel
def peek(w: World, r: int) -> int:
    """The request to admit next on replica r, -1 if none waits."""
    for level in range(w.lane.shape[1]):
        if w.lane[r, level].head >= 0:
            return int(w.lane[r, level].head)
    return -1


@kernel
def dequeue(w: World, r: int) -> int:
    """Take the request that peek shows."""
    i = peek(w, r)
    level = w.load[i].level
    w.lane[r, level].head = w.trip[i].after
    if w.lane[r, level].head < 0:
        w.lane[r, level].tail = -1
    w.fleet[r].waiting -= 1
    w.fleet[r].unstarted -= max(w.trip[i].target - w.trip[i].computed, 0)
    return i


@kernel
def swap(w: World, r: int, one: int, other: int) -> None:
    """Exchange two entries of the heap of decoders."""
    a, b = w.slots[r, one], w.slots[r, other]
    step, name = a.heap_step, a.heap_id
    a.heap_step, a.heap_id = b.heap_step, b.heap_id
    b.heap_step, b.heap_id = step, name


@kernel
def sift_up(w: World, r: int, slot: int) -> None:
    """Move the entry at ``slot`` up until its parent ends no later."""
    while slot > 0:
        up = (slot - 1) >> 1
        if w.slots[r, up].heap_step <= w.slots[r, slot].heap_step:
            return
        swap(w, r, up, slot)
        slot = up


@kernel
def sift_down(w: World, r: int, slot: int, size: int) -> None:
    """Move the entry at ``slot`` down until no child ends earlier."""
    while True:
        child = 2 * slot + 1
        if child >= size:
            return
        if child + 1 < size and w.slots[r, child + 1].heap_step < w.slots[r, child].heap_step:
            child += 1
        if w.slots[r, slot].heap_step <= w.slots[r, child].heap_step:
            return
        swap(w, r, child, slot)
        slot = child


@kernel
def drop_decoder(w: World, r: int, slot: int) -> int:
    """Remove and return the decoder at ``slot`` of the heap."""
    i = int(w.slots[r, slot].heap_id)
    last = w.fleet[r].batch - 1
    w.fleet[r].batch = last
    if slot < last:
        w.slots[r, slot].heap_step = w.slots[r, last].heap_step
        w.slots[r, slot].heap_id = w.slots[r, last].heap_id
        sift_down(w, r, slot, last)
        sift_up(w, r, slot)
    return i


@kernel
def swap_wire(w: World, one: int, other: int) -> None:
    """Exchange two entries of the heap of transfers."""
    a, b = w.wire[one], w.wire[other]
    at, name = a.at, a.id
    a.at, a.id = b.at, b.id
    b.at, b.id = at, name


@kernel
def push_wire(w: World, i: int, at: float) -> None:
    """Start a KV transfer of request i that lands at time ``at``."""
    slot = int(w.tally[WIRED])
    w.tally[WIRED] += 1
    w.wire[slot].at = at
    w.wire[slot].id = i
    while slot > 0:
        up = (slot - 1) >> 1
        if w.wire[up].at <= w.wire[slot].at:
            return
        swap_wire(w, up, slot)
        slot = up


@kernel
def pop_wire(w: World) -> int:
    """Take the transfer that lands first."""
    i = int(w.wire[0].id)
    w.tally[WIRED] -= 1
    size = int(w.tally[WIRED])
    swap_wire(w, 0, size)
    slot = 0
    while True:
        child = 2 * slot + 1
        if child >= size:
            return i
        if child + 1 < size and w.wire[child + 1].at < w.wire[child].at:
            child += 1
        if w.wire[slot].at <= w.wire[child].at:
            return i
        swap_wire(w, slot, child)
        slot = child


@kernel
def full_hashes(w: World, i: int) -> int:
    """Number of prefix hashes of request i whose blocks its prompt fills."""
    if w.knobs.hash_blocks == 0:
        return 0
    return int(min(w.load[i].hashes, w.load[i].isl // (w.knobs.hash_blocks * w.knobs.block_size)))


@kernel
def prefix_hits(w: World, r: int, i: int) -> int:
    """How many leading hashes of request i replica r holds."""
    start = w.load[i].hash_start
    full = full_hashes(w, i)
    for k in range(full):
        if w.cache[r, w.hashes[start + k]].present == 0:
            return k
    return full


@kernel
def unlink(w: World, r: int, h: int) -> None:
    """Take hash h out of the LRU list of replica r."""
    entry = w.cache[r, h]
    w.cache[r, entry.older].newer = entry.newer
    w.cache[r, entry.newer].older = entry.older


@kernel
def hold_prefix(w: World, r: int, i: int) -> None:
    """Reference the prompt's hashes on replica r, creating those that are absent."""
    size = w.knobs.hash_blocks
    start = w.load[i].hash_start
    for k in range(full_hashes(w, i)):
        h = w.hashes[start + k]
        if w.cache[r, h].users == 0:
            if w.cache[r, h].present == 1:
                unlink(w, r, h)
                w.fleet[r].idle -= size
            w.cache[r, h].present = 1
            w.fleet[r].used += size
            w.fleet[r].taken += size
        w.cache[r, h].users += 1


@kernel
def release_prefix(w: World, r: int, i: int) -> None:
    """Give the prompt's hashes back; those nobody uses stay cached, the tail of the prompt is forgotten first."""
    size = w.knobs.hash_blocks
    start = w.load[i].hash_start
    end = w.cache.shape[1] - 1
    for k in range(full_hashes(w, i) - 1, -1, -1):
        h = w.hashes[start + k]
        w.cache[r, h].users -= 1
        if w.cache[r, h].users == 0:
            w.fleet[r].used -= size
            w.fleet[r].idle += size
            last = w.cache[r, end].older
            w.cache[r, last].newer = h
            w.cache[r, h].older = last
            w.cache[r, h].newer = end
            w.cache[r, end].older = h


@kernel
def shrink_cache(w: World, r: int) -> None:
    """Forget the least recently used hashes until cached and used blocks fit."""
    if w.knobs.hash_blocks == 0:
        return
    end = w.cache.shape[1] - 1
    while w.fleet[r].used + w.fleet[r].idle > w.fleet[r].blocks and w.fleet[r].idle > 0:
        h = w.cache[r, end].newer
        unlink(w, r, h)
        w.cache[r, h].present = 0
        w.fleet[r].idle -= w.knobs.hash_blocks
