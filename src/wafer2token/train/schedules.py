"""Pipeline bubbles in closed form. Times are seconds per micro-batch and stage: f forward, b input gradient, w weight gradient.

References: 1F1B and interleaved, Narayanan et al. 2021 (arXiv 2104.04473, section 2.2); zero bubble, Qi et al. 2023
(arXiv 2401.10241, table 2); DualPipe, DeepSeek-V3 report (arXiv 2412.19437, table 2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from wafer2token.train.plan import SCHEDULES

Array = np.ndarray


def bubble_fraction(stages: ArrayLike, micro_batches: ArrayLike, chunks: ArrayLike = 1) -> Array:
    """Idle share of the step: (p - 1) / (v m + p - 1); 1F1B and GPipe at v = 1, interleaved above."""
    p, m, v = np.asarray(stages, float), np.asarray(micro_batches, float), np.asarray(chunks, float)
    return np.asarray((p - 1) / (v * m + p - 1))


def bubble_1f1b(stages: ArrayLike, f: ArrayLike, b: ArrayLike, w: ArrayLike) -> Array:
    """Idle seconds of a stage under 1F1B or GPipe: (p - 1)(f + b + w)."""
    return np.asarray((np.asarray(stages, float) - 1) * (np.asarray(f) + np.asarray(b) + np.asarray(w)))


def bubble_interleaved(stages: ArrayLike, chunks: ArrayLike, f: ArrayLike, b: ArrayLike, w: ArrayLike) -> Array:
    """Idle seconds under interleaved 1F1B with v chunks: (p - 1)(f + b + w) / v."""
    return np.asarray(bubble_1f1b(stages, f, b, w) / np.asarray(chunks, float))


def bubble_zero(stages: ArrayLike, f: ArrayLike, b: ArrayLike, w: ArrayLike) -> Array:
    """Idle seconds under ZB-H1, memory of 1F1B: (p - 1)(f + b - w), never negative."""
    idle = (np.asarray(stages, float) - 1) * (np.asarray(f) + np.asarray(b) - np.asarray(w))
    return np.asarray(np.maximum(idle, 0.0))


def bubble_dualpipe(stages: ArrayLike, f: ArrayLike, b: ArrayLike, w: ArrayLike) -> Array:
    """Idle seconds under DualPipe: (p/2 - 1)(F&B + B - 3W), where B = b + w and F&B = f + B run overlapped."""
    full_b = np.asarray(b) + np.asarray(w)
    idle = (np.asarray(stages, float) / 2 - 1) * (np.asarray(f) + full_b + full_b - 3 * np.asarray(w))
    return np.asarray(np.maximum(idle, 0.0))


def bubble_dualpipev(stages: ArrayLike, f: ArrayLike, b: ArrayLike, w: ArrayLike) -> Array:
    """Idle seconds under DualPipeV on p ranks: DualPipe's form on 2p half stages, (p - 1)(F&B + B - 3W)/2."""
    return np.asarray(bubble_dualpipe(2 * np.asarray(stages, float), f, b, w) / 2)


def bubble_seconds(
    schedule: ArrayLike, stages: ArrayLike, chunks: ArrayLike, f: ArrayLike, b: ArrayLike, w: ArrayLike
) -> Array:
    """Idle seconds by schedule code (index into `SCHEDULES`); broadcasts."""
    code = np.asarray(schedule)
    idle = bubble_interleaved(stages, np.where(code == SCHEDULES.index("interleaved"), chunks, 1), f, b, w)
    idle = np.where(code == SCHEDULES.index("zero_bubble"), bubble_zero(stages, f, b, w), idle)
    idle = np.where(code == SCHEDULES.index("dualpipe"), bubble_dualpipe(stages, f, b, w), idle)
    idle = np.where(code == SCHEDULES.index("dualpipev"), bubble_dualpipev(stages, f, b, w), idle)
    return np.where(np.asarray(stages) > 1, idle, 0.0)


def unequal_seconds(
    schedule: ArrayLike,
    micro_batches: ArrayLike,
    chunks: ArrayLike,
    whole: ArrayLike,
    slowest: ArrayLike,
    hidden: ArrayLike,
) -> Array:
    """Seconds of all micro-batches where stages differ: m * slowest + (whole - slowest - hidden) / v; broadcasts.

    Args:
        whole: seconds of one micro-batch through all stages, forward and backward; slowest: of the slowest stage.
        hidden: what zero bubble fills of the waits: twice the weight gradients of all stages but the slowest.
    """
    code = np.asarray(schedule)
    v = np.where(code == SCHEDULES.index("interleaved"), chunks, 1)
    filled = np.where(code == SCHEDULES.index("zero_bubble"), hidden, 0.0)
    wait = np.maximum(np.asarray(whole) - np.asarray(slowest) - filled, 0.0)
    return np.asarray(np.asarray(micro_batches, float) * slowest + wait / v)


def in_flight(schedule: ArrayLike, stages: ArrayLike, chunks: ArrayLike, micro_batches: ArrayLike) -> Array:
    """Micro-batches' worth of activations of a whole stage that the first stage keeps at its peak.

    1F1B min(p, m); GPipe m; interleaved p (1 + (p - 1)/(p v)) (Korthikanti et al. 2022, arXiv 2205.05198, section 4.2.3);
    ZB-H1 as 1F1B; DualPipe p + 1 (DeepSeek-V3, table 2); DualPipeV 2p + 1 half stages.
    """
    code = np.asarray(schedule)
    p, v, m = np.asarray(stages, float), np.asarray(chunks, float), np.asarray(micro_batches, float)
    keep = np.minimum(p, m)
    wave = np.minimum(p * (1 + (p - 1) / (p * v)), m)
    keep = np.where((code == SCHEDULES.index("interleaved")) & (v > 1), wave, keep)
    keep = np.where(code == SCHEDULES.index("dualpipe"), np.minimum(p + 1, m), keep)
    keep = np.where(code == SCHEDULES.index("dualpipev"), np.minimum(p + 0.5, m), keep)
    return np.where(code == SCHEDULES.index("gpipe"), m, keep)
