"""Two pools of different chips as the stages of one pipeline: 910B with 910C, H20 with H800.

Both pools keep one tensor- and data-parallel size; the pipeline runs through the stages of the first pool and then of the
second, and the layers are dealt so that the slower chips hold fewer. 1F1B: (m - 1) * slowest + the sum of all stages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wafer2token.evidence.errors import InfeasibleError, InputError, Problem
from wafer2token.train.calibration import calibrated, stack_of, vendor_of
from wafer2token.train.machine import Machine, machine
from wafer2token.train.memory import memory
from wafer2token.train.plan import Plan, table
from wafer2token.train.search import divisors, price
from wafer2token.train.step import Software
from wafer2token.workload import ModelShape, with_layers
from wafer2token.workload import model as read_model


@dataclass(frozen=True)
class Pool:
    """What one pool does in the best plan: its stages, the layers of each, and seconds per micro-batch of one stage."""

    on: str
    chips: int
    stages: int
    layers_per_stage: int
    stage_s: float
    memory_bytes: float


@dataclass(frozen=True)
class MixedResult:
    """The best plan over two pools."""

    model: str
    plan: Plan
    pools: tuple[Pool, ...]
    step_time_s: float
    tokens_per_s: float
    tried: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "model": self.model,
            "plan": self.plan.to_dict(),
            "pools": [vars(p) for p in self.pools],
            "step_time_s": self.step_time_s,
            "tokens_per_s": self.tokens_per_s,
            "plans_tried": self.tried,
        }


def train_mixed(
    model: str | ModelShape,
    pools: Mapping[str, int],
    seq_len: int = 4096,
    global_batch: int = 4096,
    dtype: str = "bf16",
) -> MixedResult:
    """The fastest 1F1B plan that spans two pools.

    Args:
        pools: system or chip id -> chips, two of them, in the order of the pipeline.

    Raises:
        InputError: not two pools. InfeasibleError: no common size divides both, or nothing fits.
    """
    if len(pools) != 2 or min(pools.values()) < 1:
        raise InputError(
            Problem("a mixed pipeline spans two pools of at least one chip", "--on", dict(pools), "A+B with chips N+M")
        )
    shape = read_model(model)
    places = [machine(on) for on in pools]
    ranks = [chips * place.dies for chips, place in zip(pools.values(), places, strict=True)]
    how = [calibrated(p.chip, p.vendor, dtype, stack_of("", vendor_of(p.vendor))).software for p in places]
    best: tuple[float, Plan, tuple[Pool, ...]] | None = None
    tried = 0
    for tp in (1, 2, 4, 8, 16):
        for dp in divisors(math.gcd(*ranks)):
            stages = [r // (tp * dp) for r in ranks]
            fits = all(s * tp * dp == r and s for s, r in zip(stages, ranks, strict=True)) and tp <= min(
                p.domain for p in places
            )
            if not fits or sum(stages) > shape.num_hidden_layers or shape.num_attention_heads % tp or global_batch % dp:
                continue
            for candidate in _priced(
                shape, places, how, list(pools.items()), stages, tp, dp, seq_len, global_batch, dtype
            ):
                tried += 1
                if best is None or candidate[0] < best[0]:
                    best = candidate
    if best is None:
        raise InfeasibleError(
            f"no plan spans {' and '.join(f'{n} x {on}' for on, n in pools.items())}",
            "numbers of chips with a large common divisor",
        )
    seconds, plan, used = best
    return MixedResult(shape.id, plan, used, seconds, global_batch * seq_len / seconds, tried)


def _priced(
    shape: ModelShape, places: list[Machine], how: list[Software], pools: list[tuple[str, int]], stages: list[int], tp: int, dp: int,
    seq_len: int, batch: int, dtype: str,
) -> list[tuple[float, Plan, tuple[Pool, ...]]]:  # fmt: skip
    """Plans of one (tp, dp) that fit, over micro-batch, recomputation and the deal of layers."""
    depth = sum(stages)
    plans = [
        Plan(
            tp=tp,
            ep=e,
            pp=depth,
            dp=dp,
            micro_batch=b,
            micro_batches=batch // (dp * b),
            recompute=r,
            sequence_parallel=tp > 1,
            precision=dtype,
        )
        for e in (divisors(shape.n_routed_experts) if shape.is_moe else [1])
        for b in (1, 2, 4)
        for r in (0, 1, 2)
        if batch % (dp * b) == 0 and (tp * dp) % e == 0
    ]
    out = []
    for first in _deals(shape.num_hidden_layers, stages):
        each = (first, max(-(-(shape.num_hidden_layers - first * stages[0]) // stages[1]), 0))
        if min(each) < 1:
            continue
        rows = table(plans)
        scaled = [with_layers(shape, n * depth) for n in each]
        steps = [
            price(s, place, rows, seq_len, software) for s, place, software in zip(scaled, places, how, strict=True)
        ]
        need = [np.asarray(memory(s, rows, seq_len).total) for s in scaled]
        times = [np.asarray(step.forward + step.backward) for step in steps]
        data = np.maximum(*(np.asarray(step.data + step.optimizer) for step in steps))
        hops = sum(np.asarray(step.pipeline) for step in steps) / 2
        total = (
            (rows.micro_batches - 1) * np.maximum(*times)
            + sum(n * t for n, t in zip(stages, times, strict=True))
            + data
            + hops
        )
        room = (need[0] <= places[0].memory_bytes) & (need[1] <= places[1].memory_bytes)
        for i in np.flatnonzero(room):
            used = tuple(
                Pool(on, chips, s, n, float(t[i]), float(b[i]))
                for (on, chips), s, n, t, b in zip(pools, stages, each, times, need, strict=True)
            )
            out.append((float(total[i]), plans[i], used))
    return out


def _deals(layers: int, stages: list[int]) -> range:
    """Layers per stage of the first pool to try: from a quarter to three times an even deal."""
    even = layers / sum(stages)
    return range(max(1, int(even / 4)), min(int(3 * even) + 2, -(-layers // stages[0]) + 1))
