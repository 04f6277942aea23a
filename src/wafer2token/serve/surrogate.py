"""The step-time table of an instance: the operators timed once on a grid, so that the engine can jump."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wafer2token.workload import COMMUNICATION, ModelShape, Op

from .engine.run import StepTable
from .plan import Plan
from .steptime import (
    ATTENTION,
    EXPERTS,
    Machine,
    _operators,
    decode_step_time,
    engine_seconds,
    host_floor,
)

F = NDArray[np.float64]
ABSORBED = frozenset({"q_absorb", "v_absorb"})
HEAD = frozenset({"final_norm", "lm_head", "softmax"})


def token_knots(most: int) -> F:
    """Token counts at which a step is timed: dense where few, then about four per octave."""
    few = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 640, 768, 1024]
    many = [float(2 ** (10 + k / 2)) for k in range(1, 40)]
    knots = np.array([x for x in [*few, *many] if x < most] + [max(most, 2)], float)
    return np.unique(np.rint(knots))


def step_table(shape: ModelShape, machine: Machine, plan: Plan, isl: float = 1024.0, longest: float = 0.0) -> StepTable:
    """Times of a step of the instance by tokens, by batch and context, and by attention work of prefill.

    Args:
        isl: usual prompt; a prompt sits on one of the ``dp`` ranks, so that few prompts do not fill all of them.
        longest: longest context to be expected [tokens].
    """
    queries = 1 + plan.drafts
    tokens = token_knots(max(plan.max_num_batched_tokens + plan.max_num_seqs * queries, 64))
    gemm = _gemm_seconds(shape, machine, plan, tokens, isl)
    over = machine.overhead
    batch = np.unique(np.concatenate([[0.0], token_knots(max(plan.max_num_seqs, 2))]))
    kv = np.concatenate([[0.0], 2.0 ** np.arange(7, 21)])
    kv = kv[: max(3, int(np.searchsorted(kv, max(longest, 4 * isl, 4096.0))) + 2)]
    whole = decode_step_time(shape, machine, plan, batch[1:, None], np.maximum(kv, 1.0)[None, :])
    share = _decode_device(whole) + float(over.sequence_s) / plan.dp * batch[1:, None]
    attend = share - _interpolate(tokens, gemm, batch[1:] * queries)[:, None]
    attend = np.concatenate([np.zeros((1, len(kv))), attend])
    attend[0] = attend[1]
    work, work_s = _work_seconds(shape, machine, plan, isl, max(longest, isl))
    host = float(host_floor(machine, plan, _launches(shape, plan)))
    return StepTable(tokens, gemm + float(over.step_s), batch, kv, attend, work, work_s + float(over.prefill_s),
                     host + float(over.step_s), queries)  # fmt: skip


def _decode_device(times: Any) -> F:
    return np.asarray(times.device, float)


def _interpolate(x: F, y: F, at: F) -> F:
    return np.asarray(np.interp(at, x, y))


def _launches(shape: ModelShape, plan: Plan) -> float:
    one = np.ones(1)
    ops = _operators(shape, plan, "decode", one, 1, one, one)
    return float(sum(np.max(op.count) * np.max(op.args.get("ops", 1)) for op in ops))


def _gemm_seconds(shape: ModelShape, machine: Machine, plan: Plan, tokens: F, isl: float) -> F:
    """Everything of a step that depends on the number of new tokens only [s], at each token count."""
    groups = plan.dp * plan.pp
    spread = np.maximum(tokens / groups, 1.0)
    own = np.maximum(spread, np.minimum(tokens, isl)) if plan.dp > 1 else spread
    decoding = tokens <= plan.max_num_seqs * (1 + plan.drafts)
    own = np.where(decoding, spread, own)
    dense = _operators(shape, plan, "decode", own, 1, np.ones_like(own), own)
    even = _operators(shape, plan, "decode", spread, 1, np.ones_like(own), spread)
    busy, talk = np.zeros_like(tokens), np.zeros_like(tokens)
    for one, other in zip(dense, even, strict=True):
        if one.family in COMMUNICATION:
            talk = talk + one.count * engine_seconds(machine, plan, one, own)
        elif not (one.family in ATTENTION or one.name in ABSORBED or one.name in HEAD):
            op = other if one.name in EXPERTS else one
            busy = busy + op.count * engine_seconds(machine, plan, op, own)
    over = machine.overhead
    hidden = plan.overlap * over.prefill_overlap * np.minimum(busy, talk)
    return np.asarray(float(over.device) * (busy + talk - hidden))


def _work_seconds(shape: ModelShape, machine: Machine, plan: Plan, isl: float, longest: float) -> tuple[F, F]:
    """Attention of prompt chunks [s] by query-key pairs.

    Pairs up to half the square of a chunk are a prompt from its start, more are a full chunk after a longer past.
    """
    chunk = float(min(plan.max_num_batched_tokens, max(isl, 64.0)))
    most = plan.dp * chunk * (max(longest, chunk) + chunk)
    pairs = np.unique(np.concatenate([[1.0], np.geomspace(64.0, max(most, 4096.0), 24)]))
    first = 0.5 * chunk * (chunk + 1)
    own = np.maximum(pairs / plan.dp, np.minimum(pairs, 0.5 * isl * (isl + 1)))  # on the fullest of the dp ranks
    q = np.where(own <= first, np.sqrt(2 * own), chunk)
    past = np.where(own <= first, 0.0, own / chunk - 0.5 * (chunk + 1))
    q = np.maximum(q, 1.0)
    one = np.ones_like(q)
    ops = _operators(shape, plan, "prefill", one, q, q + np.maximum(past, 0.0), q)
    seconds = np.zeros_like(q)
    for op in ops:
        if _prompt_only(op):
            seconds = seconds + op.count * engine_seconds(machine, plan, op, q)
    sharing = float(plan.pp)
    return np.concatenate([[0.0], pairs]), float(machine.overhead.device) * np.concatenate([seconds[:1], seconds]) / sharing


def _prompt_only(op: Op) -> bool:
    return op.family in ATTENTION or op.name in ("kv_up_proj", *ABSORBED, *HEAD)
