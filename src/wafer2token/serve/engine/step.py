"""One replica: composing a step or a run of decode steps, and applying it when its time has come."""

from __future__ import annotations

import math

from .cost import note_gap, plan_jump, run_seconds, step_seconds
from .jit import kernel
from .memory import drop_filler, fits, give_blocks, growth, join, leave, make_room, next_order, roomy_steps, take_blocks
from .queues import dequeue, peek, push_wire, shrink_cache, sift_up
from .state import (
    DONE,
    DONE_N,
    EVENTS,
    GENERATED,
    IDLE,
    INFLIGHT,
    JUMP,
    MIXED,
    PREFILL,
    PREFILLED,
    STATIC,
    STEP,
    World,
)


@kernel
def complete(w: World, r: int, i: int, at: float) -> None:
    """Request i has all its tokens."""
    w.trip[i].finish = at
    w.trip[i].status = DONE
    w.release[w.tally[DONE_N] % w.release.shape[0]] = at
    w.tally[DONE_N] += 1
    w.tally[INFLIGHT] -= 1


@kernel
def start_decoding(w: World, r: int, i: int, at: float) -> None:
    """Request i joins the decoders; its first token counts from here if none was seen before."""
    if w.trip[i].first < 0.0:
        w.trip[i].first = at
        w.tally[GENERATED] += 1
    join(w, r, i)
    sift_up(w, r, int(w.fleet[r].batch) - 1)


@kernel
def admit(w: World, r: int, budget: int, at: float) -> int:
    """Take waiting requests while sequences, tokens and KV blocks last; returns the token budget that is left."""
    knobs = w.knobs
    if knobs.policy == STATIC and w.fleet[r].batch + w.fleet[r].filling > 0:
        return budget
    while w.fleet[r].batch + w.fleet[r].filling < w.fleet[r].max_seqs:
        i = peek(w, r)
        if i < 0:
            break
        ready = w.trip[i].computed >= w.trip[i].target
        if (not ready and budget <= 0 and knobs.policy != STATIC) or not fits(w, r, i):
            break
        dequeue(w, r)
        w.trip[i].order = next_order(w)
        take_blocks(w, r, i)
        if w.trip[i].start < 0.0:
            w.trip[i].start = at
        if ready:
            start_decoding(w, r, i, at)
            continue
        slot = w.fleet[r].filling
        chunk = max(min(w.trip[i].target - w.trip[i].computed, budget), 0)
        w.slots[r, slot].fill_id = i
        w.slots[r, slot].fill_chunk = chunk
        w.fleet[r].filling = slot + 1
        w.fleet[r].unstarted += w.trip[i].target - w.trip[i].computed
        budget -= chunk
    if knobs.policy == STATIC:
        w.fleet[r].padded = w.fleet[r].batch + w.fleet[r].filling
    return budget


@kernel
def begin(w: World, r: int, at: float) -> None:
    """Compose what replica r does from time ``at``: a step with prefill, a run of decode steps, or nothing."""
    knobs = w.knobs
    w.fleet[r].clock = at
    w.tally[EVENTS] += 1
    gone = make_room(w, r)
    per_query = w.fleet[r].per_query
    budget = w.fleet[r].max_tokens
    if knobs.policy == MIXED:
        budget -= w.fleet[r].batch * per_query
    for slot in range(w.fleet[r].filling):
        i = w.slots[r, slot].fill_id
        chunk = max(min(w.trip[i].target - w.trip[i].computed, budget), 0)
        w.slots[r, slot].fill_chunk = chunk
        budget -= chunk
    if not gone and w.fleet[r].waiting > 0:
        admit(w, r, budget, at)
    tokens, work = 0, 0.0
    for slot in range(w.fleet[r].filling):
        chunk = w.slots[r, slot].fill_chunk
        tokens += chunk
        work += chunk * (w.trip[w.slots[r, slot].fill_id].computed + 0.5 * (chunk + 1))
    if tokens > 0:
        begin_step(w, r, tokens, work)
    elif w.fleet[r].batch > 0:
        begin_jump(w, r, gone)
    else:
        w.fleet[r].mode = IDLE
        w.fleet[r].wake = math.inf


@kernel
def begin_step(w: World, r: int, tokens: int, work: float) -> None:
    """One step with ``tokens`` prompt tokens; the decoders take part unless the engine keeps the two apart."""
    batch, mean = 0, 0.0
    if w.fleet[r].batch > 0 and w.knobs.policy == MIXED:
        batch = w.fleet[r].batch
        mean = w.fleet[r].context / batch
    total = tokens + batch * w.fleet[r].per_query
    w.fleet[r].mode = STEP
    w.fleet[r].jump_steps = 1 if batch > 0 else 0
    seconds = step_seconds(w, r, total, batch, mean, work) + w.fleet[r].debt
    w.fleet[r].debt = 0.0
    w.fleet[r].jump_first = seconds
    w.fleet[r].jump_slope = 0.0
    w.fleet[r].wake = w.fleet[r].clock + seconds


@kernel
def begin_jump(w: World, r: int, gone: bool) -> None:
    """As many decode steps as nothing can change: until a request ends or the KV blocks run out.

    After a preemption (``gone``) nobody was admitted, so that the next step looks at the queue again.
    """
    limit = w.slots[r, 0].heap_step - w.fleet[r].step
    if w.fleet[r].debt > 0.0 or (gone and w.fleet[r].waiting > 0):
        limit = 1
    plan_jump(w, r, roomy_steps(w, r, limit))
    w.fleet[r].jump_first += w.fleet[r].debt
    w.fleet[r].debt = 0.0
    w.fleet[r].mode = JUMP
    w.fleet[r].wake = w.fleet[r].clock + run_seconds(w, r, w.fleet[r].jump_steps)


@kernel
def advance(w: World, r: int, steps: int, until: float) -> None:
    """Let the decoders of replica r do ``steps`` steps, and book the time since the clock."""
    span = until - w.fleet[r].clock
    w.fleet[r].busy += span
    w.fleet[r].batch_time += span * w.fleet[r].batch
    before = w.fleet[r].used
    if steps == 0 and w.fleet[r].batch > 0:
        w.fleet[r].stall += span
    elif w.fleet[r].batch > 0:
        gap = span / steps
        note_gap(w, gap + w.fleet[r].stall, float(w.fleet[r].batch))
        if steps > 1:
            note_gap(w, gap, float((steps - 1) * w.fleet[r].batch))
        w.fleet[r].stall = 0.0
        grown = growth(w, r, steps)
        w.fleet[r].used += grown
        w.fleet[r].taken += grown
        w.fleet[r].context += w.knobs.gain * steps * w.fleet[r].batch
        w.fleet[r].step += steps
        w.fleet[r].steps_run += steps
        shrink_cache(w, r)
    w.fleet[r].block_time += 0.5 * span * (before + w.fleet[r].used)
    if w.fleet[r].mode == STEP:
        w.fleet[r].prefill_s += span
    else:
        w.fleet[r].decode_s += span


@kernel
def end_decoders(w: World, r: int, at: float) -> None:
    """Let go of the requests whose last step is done."""
    while w.fleet[r].batch > 0 and w.slots[r, 0].heap_step <= w.fleet[r].step:
        i = leave(w, r, 0)
        w.tally[GENERATED] += w.load[i].osl - 1
        complete(w, r, i, at)
    if w.fleet[r].batch + w.fleet[r].filling == 0:
        w.fleet[r].padded = 0


@kernel
def end_fillers(w: World, r: int, at: float) -> None:
    """Book the prompt chunks of the step that ends, and move on the requests whose prompt is done."""
    slot = 0
    while slot < w.fleet[r].filling:
        i = int(w.slots[r, slot].fill_id)
        chunk = w.slots[r, slot].fill_chunk
        w.trip[i].computed += chunk
        w.fleet[r].unstarted -= chunk
        w.tally[PREFILLED] += chunk
        w.slots[r, slot].fill_chunk = 0
        if w.trip[i].computed < w.trip[i].target:
            slot += 1
            continue
        drop_filler(w, r, slot)
        end_prefill(w, r, i, at)


@kernel
def end_prefill(w: World, r: int, i: int, at: float) -> None:
    """The prompt of request i is computed: decode here, send its KV away, or finish."""
    if w.trip[i].first >= 0.0:  # a recomputation yields the next token as well
        w.trip[i].left -= 1
    if w.trip[i].left <= 0:
        if w.trip[i].first < 0.0:
            w.trip[i].first = at
            w.tally[GENERATED] += 1
        else:
            w.tally[GENERATED] += w.load[i].osl - 1
        give_blocks(w, r, i, 0)
        complete(w, r, i, at)
    elif w.fleet[r].role == PREFILL:
        begins = max(at, w.fleet[r].link_free)
        lands = begins + w.trip[i].target * w.knobs.transfer_s_per_token
        w.fleet[r].link_free = lands
        w.trip[i].origin = r
        push_wire(w, i, lands + w.knobs.transfer_latency_s)
    else:
        start_decoding(w, r, i, at)


@kernel
def finish(w: World, r: int) -> None:
    """The step or run of replica r ends now."""
    at = w.fleet[r].wake
    advance(w, r, int(w.fleet[r].jump_steps), at)
    w.fleet[r].clock = at
    end_decoders(w, r, at)
    if w.fleet[r].filling > 0:
        end_fillers(w, r, at)
