"""KV blocks: what a request needs, how the decoders grow, who gives way when they no longer fit."""

from __future__ import annotations

from .jit import kernel
from .queues import drop_decoder, enqueue, full_hashes, hold_prefix, prefix_hits, release_prefix, shrink_cache
from .state import EVICTED_N, HIT, ORDER, SWAP, World


@kernel
def free_blocks(w: World, r: int) -> int:
    """Blocks of replica r that nobody references (cached ones can be forgotten)."""
    return int(w.fleet[r].blocks - w.fleet[r].used)


@kernel
def private_blocks(w: World, i: int) -> int:
    """Blocks for the KV of request i up to its target, beyond those shared through the prefix cache."""
    size = w.knobs.block_size
    return int((w.trip[i].target + size - 1) // size - full_hashes(w, i) * w.knobs.hash_blocks)


@kernel
def fits(w: World, r: int, i: int) -> bool:
    """Whether replica r can admit request i now, beside what its decoders need for their next step."""
    need = private_blocks(w, i)
    if w.trip[i].computed >= w.trip[i].target:
        need += 1  # it decodes at once, and its first step may need a block
    start = w.load[i].hash_start
    for k in range(full_hashes(w, i)):
        if w.cache[r, w.hashes[start + k]].users == 0:
            need += w.knobs.hash_blocks
    grows = w.phase[r, w.fleet[r].step % w.knobs.cycle]
    if need + grows > free_blocks(w, r):
        return False
    if w.knobs.reserve > 0.0:
        return bool(w.fleet[r].promised + promise(w, i) <= w.fleet[r].blocks)
    return True


@kernel
def promise(w: World, i: int) -> int:
    """Blocks that an engine with output reservation sets aside for request i."""
    size = w.knobs.block_size
    return int((w.load[i].isl + int(w.knobs.reserve * w.load[i].osl) + size - 1) // size)


@kernel
def take_blocks(w: World, r: int, i: int) -> None:
    """Admit request i to the memory of replica r; what the prefix cache holds need not be computed."""
    if w.knobs.hash_blocks > 0:
        hit = prefix_hits(w, r, i) * w.knobs.hash_blocks * w.knobs.block_size
        if w.trip[i].computed < w.trip[i].target:
            w.trip[i].computed = min(hit, w.trip[i].target - 1)
            w.trip[i].hit = w.trip[i].computed
            w.tally[HIT] += w.trip[i].computed
        hold_prefix(w, r, i)
    w.trip[i].shared = full_hashes(w, i) * w.knobs.hash_blocks
    w.trip[i].held = private_blocks(w, i)
    w.fleet[r].used += w.trip[i].held
    w.fleet[r].taken += w.trip[i].held - reuse(w, r, i)
    if w.knobs.reserve > 0.0:
        w.trip[i].promised = promise(w, i)
        w.fleet[r].promised += w.trip[i].promised
    shrink_cache(w, r)


@kernel
def reuse(w: World, r: int, i: int) -> int:
    """Blocks that request i left behind at its preemption and that nobody has overwritten; their KV counts again.

    Freed blocks are overwritten in the order in which they were freed, the end of a sequence first.
    """
    size = w.knobs.block_size
    taken = w.fleet[r].taken + w.phase[r, w.fleet[r].step % w.knobs.cycle]  # decoders take theirs first
    lost = min(max(taken - w.trip[i].mark, 0), w.trip[i].left_behind)
    blocks = min(w.trip[i].left_behind - lost, w.trip[i].had // size - w.trip[i].shared)
    w.trip[i].left_behind = 0
    if blocks <= 0 or w.trip[i].computed < min(w.trip[i].shared * size, w.trip[i].target - 1):
        return 0
    w.trip[i].computed = max(w.trip[i].computed, min((w.trip[i].shared + blocks) * size, w.trip[i].target - 1))
    return int(blocks)


@kernel
def leave_behind(w: World, r: int, i: int, blocks: int, tokens: int) -> None:
    """Request i is preempted and frees ``blocks``; with the shared ones they hold the KV of ``tokens``."""
    if w.knobs.keeps == 0:
        return
    w.trip[i].left_behind = blocks
    w.trip[i].mark = w.fleet[r].taken + free_blocks(w, r)
    w.trip[i].had = tokens


@kernel
def give_blocks(w: World, r: int, i: int, grown: int) -> None:
    """Free everything request i holds on replica r, ``grown`` blocks of it since it joined the decoders."""
    w.fleet[r].used -= w.trip[i].held + grown
    w.fleet[r].promised -= w.trip[i].promised
    w.trip[i].held = 0
    w.trip[i].promised = 0
    if w.knobs.hash_blocks > 0:
        release_prefix(w, r, i)


@kernel
def grown_blocks(w: World, r: int, i: int) -> int:
    """Blocks request i took since it joined the decoders."""
    done = w.fleet[r].step - w.trip[i].join_step - w.trip[i].lead
    return int((done - 1) // w.knobs.cycle + 1) if done > 0 else 0


@kernel
def growth(w: World, r: int, steps: int) -> int:
    """Blocks the decoders of replica r need for the next ``steps`` steps."""
    cycle = w.knobs.cycle
    blocks = (steps // cycle) * w.fleet[r].batch
    start = w.fleet[r].step
    for k in range(steps % cycle):
        blocks += w.phase[r, (start + k) % cycle]
    return int(blocks)


@kernel
def roomy_steps(w: World, r: int, limit: int) -> int:
    """How many of the next ``limit`` steps fit into the free blocks; at least one (make_room saw to that)."""
    cycle, batch = w.knobs.cycle, w.fleet[r].batch
    free = free_blocks(w, r)
    full = free // batch
    if full * cycle >= limit:
        return limit
    steps = full * cycle
    free -= full * batch
    start = w.fleet[r].step
    for k in range(cycle):
        free -= w.phase[r, (start + k) % cycle]
        if free < 0 or steps >= limit:
            break
        steps += 1
    return int(max(steps, 1))


@kernel
def join(w: World, r: int, i: int) -> None:
    """Request i starts to decode on replica r; its KV up to the target is there."""
    cycle = w.knobs.cycle
    slack = (w.trip[i].held + w.trip[i].shared) * w.knobs.block_size - w.trip[i].target
    w.trip[i].lead = min(int(slack / w.knobs.gain), cycle - 1)
    w.trip[i].join_step = w.fleet[r].step
    w.trip[i].context = w.trip[i].target
    w.phase[r, (w.fleet[r].step + w.trip[i].lead) % cycle] += 1
    w.fleet[r].context += w.trip[i].context
    slot = w.fleet[r].batch
    w.slots[r, slot].heap_step = w.fleet[r].step + w.trip[i].left
    w.slots[r, slot].heap_id = i
    w.fleet[r].batch = slot + 1


@kernel
def leave(w: World, r: int, slot: int) -> int:
    """Take the decoder at ``slot`` out of replica r, its blocks with it; returns the request."""
    i = drop_decoder(w, r, slot)
    done = w.fleet[r].step - w.trip[i].join_step
    w.fleet[r].context -= w.trip[i].context + w.knobs.gain * done
    if w.fleet[r].batch == 0:
        w.fleet[r].context = 0.0
    w.phase[r, (w.trip[i].join_step + w.trip[i].lead) % w.knobs.cycle] -= 1
    grown = grown_blocks(w, r, i)
    w.trip[i].left -= done
    give_blocks(w, r, i, grown)
    return i


@kernel
def youngest(w: World, r: int) -> tuple[int, int]:
    """(decoder slot, filler slot) of the request admitted last, -1 for the other kind."""
    best, decoder, filler = -1, -1, -1
    for slot in range(w.fleet[r].batch):
        order = w.trip[w.slots[r, slot].heap_id].order
        if order > best:
            best, decoder = order, slot
    for slot in range(w.fleet[r].filling):
        order = w.trip[w.slots[r, slot].fill_id].order
        if order > best:
            best, decoder, filler = order, -1, slot
    return decoder, filler


@kernel
def drop_filler(w: World, r: int, slot: int) -> int:
    """Take the request at ``slot`` out of the prefill list, its order kept."""
    i = int(w.slots[r, slot].fill_id)
    for k in range(slot, w.fleet[r].filling - 1):
        w.slots[r, k].fill_id = w.slots[r, k + 1].fill_id
        w.slots[r, k].fill_chunk = w.slots[r, k + 1].fill_chunk
    w.fleet[r].filling -= 1
    return i


@kernel
def known_tokens(w: World, i: int) -> int:
    """Prompt and output tokens of request i so far."""
    if w.trip[i].first < 0.0:
        return int(w.load[i].isl)
    done = w.load[i].steps - w.trip[i].left
    return int(w.load[i].isl + min(w.load[i].osl, 1 + int(w.knobs.gain * done)))


@kernel
def evict(w: World, r: int) -> None:
    """Preempt the youngest request of replica r: recompute later, or swap its KV to the host."""
    decoder, filler = youngest(w, r)
    if decoder >= 0:
        i = int(w.slots[r, decoder].heap_id)
        held = w.trip[i].held + grown_blocks(w, r, i)
        done = w.fleet[r].step - w.trip[i].join_step
        leave_behind(w, r, i, held, int(w.trip[i].context + w.knobs.gain * done))
        leave(w, r, decoder)
        if w.knobs.preemption == SWAP:
            w.fleet[r].debt += 2.0 * held * w.knobs.swap_s_per_block
            w.trip[i].target = known_tokens(w, i) - 1
            w.trip[i].computed = w.trip[i].target
        else:
            w.trip[i].target = known_tokens(w, i)
            w.trip[i].computed = 0
    else:
        i = drop_filler(w, r, filler)
        w.fleet[r].unstarted -= w.trip[i].target - w.trip[i].computed
        leave_behind(w, r, i, w.trip[i].held, w.trip[i].computed)
        give_blocks(w, r, i, 0)
        w.trip[i].computed = 0
    w.trip[i].evicted += 1
    w.tally[EVICTED_N] += 1
    enqueue(w, r, i, True)


@kernel
def make_room(w: World, r: int) -> bool:
    """Preempt until every decoder of replica r can do one more step; True when somebody had to go."""
    any_gone = False
    while w.fleet[r].batch > 0:
        if w.phase[r, w.fleet[r].step % w.knobs.cycle] <= free_blocks(w, r):
            break
        evict(w, r)
        any_gone = True
    return any_gone


@kernel
def next_order(w: World) -> int:
    """Number of the next admission."""
    w.tally[ORDER] += 1
    return int(w.tally[ORDER])
