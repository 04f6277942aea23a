"""The whole state of one serving simulation: arrays of records in one object.

Numba compiles the functions of this package over it; the same functions run as plain Python when it is told not to.
Times are seconds, lengths tokens, memory KV blocks. The first axis is the request (``load``, ``trip``), the replica
(``fleet``, ``slots``, ``lane``, ``phase``, ``cache``) or the step-time table.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float64]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
B1 = NDArray[np.int8]

PENDING, DONE, REJECTED, LOST = 0, 1, 2, 3
BOTH, PREFILL, DECODE = 0, 1, 2
IDLE, STEP, JUMP, DOWN, WAKING = 0, 1, 2, 3, 4
MIXED, SEPARATE, STATIC = 0, 1, 2
ROUND_ROBIN, LEAST_LOADED, PREFIX_AWARE = 0, 1, 2
RECOMPUTE, SWAP = 0, 1
ITL_BINS, ITL_FLOOR_S, ITL_RATIO = 1664, 1e-6, 1.0125

NEXT, INFLIGHT, ROBIN, WIRED, DONE_N, REJECTED_N, ORDER, EVICTED_N, EVENTS, FAILURE, GENERATED, PREFILLED, HIT = range(13)
COUNTERS = 13

LOAD = np.dtype([
    ("arrival", "f8"), ("isl", "i4"), ("osl", "i4"),
    ("steps", "i4"),  # decode steps after the first token
    ("level", "i4"),  # dense priority class, 0 is served first
    ("hash_start", "i8"), ("hashes", "i4"),  # where its prefix hashes lie, and how many
], align=True)  # fmt: skip

TRIP = np.dtype([
    ("issue", "f8"), ("start", "f8"), ("first", "f8"), ("finish", "f8"),
    ("context", "f8"),  # KV length when it joined the decoders
    ("join_step", "i8"), ("order", "i8"),  # decode step and number of its admission
    ("replica", "i4"), ("origin", "i4"),  # where it is; the prefill replica that holds its KV during a transfer, or -1
    ("computed", "i4"), ("target", "i4"),  # tokens whose KV exists, and must exist before decoding goes on
    ("left", "i4"),  # decode steps still to do
    ("held", "i4"), ("shared", "i4"),  # private KV blocks when it joined, prompt blocks kept in the prefix cache
    ("lead", "i4"),  # decode steps until its first further block
    ("promised", "i4"),  # blocks reserved at admission
    ("left_behind", "i4"), ("had", "i4"),  # private blocks freed at its preemption, tokens whose KV they and the shared ones held
    ("mark", "i8"),  # blocks that its replica must have taken before the first of them is overwritten
    ("hit", "i4"), ("evicted", "i4"),  # tokens found in the prefix cache at its last admission, times preempted
    ("after", "i4"),  # next in the waiting queue
    ("status", "i4"),
], align=True)  # fmt: skip

FLEET = np.dtype([
    ("clock", "f8"), ("wake", "f8"),  # start and end of the step or run under way, end inf when idle
    ("context", "f8"),  # KV tokens of the decoding requests
    ("jump_first", "f8"), ("jump_slope", "f8"),  # duration of the first step of the run, growth per step
    ("debt", "f8"), ("stall", "f8"),  # swapping to pay in the next step; wait of the decoders since their last token
    ("link_free", "f8"), ("host_s", "f8"),
    ("busy", "f8"), ("block_time", "f8"), ("batch_time", "f8"), ("decode_s", "f8"), ("prefill_s", "f8"),
    ("step", "i8"), ("steps_run", "i8"), ("jump_steps", "i8"),
    ("blocks", "i8"), ("used", "i8"), ("promised", "i8"), ("idle", "i8"),  # idle: cached, referenced by nobody
    ("taken", "i8"),  # blocks taken from the free list so far
    ("unstarted", "i8"),  # prompt tokens waiting or in prefill
    ("mode", "i4"), ("role", "i4"), ("table", "i4"), ("max_seqs", "i4"), ("max_tokens", "i4"),
    ("per_query", "i4"),  # tokens per decoding request and step: 1 + drafts
    ("batch", "i4"), ("padded", "i4"), ("filling", "i4"), ("waiting", "i4"),  # padded: batch a static engine pays for
], align=True)  # fmt: skip

SLOT = np.dtype([("heap_step", "i8"), ("heap_id", "i4"), ("fill_id", "i4"), ("fill_chunk", "i4")], align=True)
LANE = np.dtype([("head", "i4"), ("tail", "i4")], align=True)
CACHED = np.dtype([("present", "i4"), ("users", "i4"), ("newer", "i4"), ("older", "i4")], align=True)
CHANGE = np.dtype([("at", "f8"), ("replica", "i4"), ("up", "i4")], align=True)
WIRE = np.dtype([("at", "f8"), ("id", "i4")], align=True)


class Knobs(NamedTuple):
    """Rules that hold for the whole cluster."""

    block_size: int
    cycle: int  # decode steps that one block lasts
    gain: float  # tokens per decode step and request
    policy: int
    reserve: float  # share of the output reserved at admission
    router: int
    preemption: int
    keeps: int  # 1: blocks of a preempted request stay until they are overwritten
    response_s: float  # from the end of a request in the engine to the next request of its client
    max_waiting: int
    max_inflight: int
    hash_blocks: int  # KV blocks per prefix hash, 0 without a prefix cache
    swap_s_per_block: float
    transfer_s_per_token: float
    transfer_latency_s: float


class World(NamedTuple):
    """Everything. ``gemm`` and ``work`` are curves [table, 2, k], ``attend`` seconds [table, batch knot, kv knot]."""

    load: Any
    hashes: I4
    trip: Any
    fleet: Any
    slots: Any  # [replica, slot] heap of decoders by last step, and list of prefills
    lane: Any  # [replica, level] waiting queues
    phase: I4  # [replica, cycle] decoders that need a block at step = k mod cycle
    gemm: F
    work: F
    batch: F
    kv: F
    attend: F
    cache: Any  # [replica, hash] with an LRU list; the last column is its sentinel
    failure: Any
    wire: Any  # heap of KV transfers under way
    tally: I8
    now: F
    release: F  # [slot of the closed loop] when the request that ended there freed it
    gaps: F  # inter-token gaps, weighted by requests
    knobs: Knobs
