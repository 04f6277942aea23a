"""Duration of a step, and of a run of decode steps, from the step-time tables."""

from __future__ import annotations

import math

from .jit import kernel
from .state import ITL_BINS, ITL_FLOOR_S, ITL_RATIO, F, World


@kernel
def cell(grid: F, x: float) -> int:
    """Index i with grid[i] <= x < grid[i + 1], clipped to the grid (the last cell extends beyond it)."""
    low, high = 0, grid.shape[0] - 1
    while high - low > 1:
        middle = (low + high) >> 1
        if grid[middle] <= x:
            low = middle
        else:
            high = middle
    return low


@kernel
def along(curve: F, x: float) -> float:
    """Linear interpolation on curve [2, k] of x and y; the last slope goes on, the first value holds below the grid."""
    grid, value = curve[0], curve[1]
    if x <= grid[0]:
        return float(value[0])
    i = cell(grid, x)
    return float(value[i] + (value[i + 1] - value[i]) * (x - grid[i]) / (grid[i + 1] - grid[i]))


@kernel
def attend(w: World, table: int, batch: float, mean_kv: float) -> tuple[float, float, float]:
    """Decode part of a step: (seconds, seconds per token of mean KV, mean KV where the slope changes)."""
    grid, kv, seconds = w.batch[table], w.kv[table], w.attend[table]
    i = cell(grid, batch)
    j = cell(kv, mean_kv)
    share = (batch - grid[i]) / (grid[i + 1] - grid[i])
    left = seconds[i, j] + (seconds[i + 1, j] - seconds[i, j]) * share
    right = seconds[i, j + 1] + (seconds[i + 1, j + 1] - seconds[i, j + 1]) * share
    slope = (right - left) / (kv[j + 1] - kv[j])
    edge = kv[j + 1] if j + 2 < kv.shape[0] else math.inf
    return max(left + slope * (mean_kv - kv[j]), 0.0), slope, edge


@kernel
def step_seconds(w: World, r: int, tokens: float, batch: float, mean_kv: float, work: float) -> float:
    """One step over ``tokens`` new tokens, of which ``batch`` sequences decode at ``mean_kv``, with prefill ``work``."""
    table = w.fleet[r].table
    seconds = along(w.gemm[table], tokens)
    if batch > 0:
        seconds += attend(w, table, batch, mean_kv)[0]
    if work > 0:
        seconds += along(w.work[table], work)
    return max(seconds, float(w.fleet[r].host_s))


@kernel
def plan_jump(w: World, r: int, limit: int) -> None:
    """Set a run of at most ``limit`` decode steps with unchanged batch on replica r: linear duration per step.

    The run ends where the slope of the tables changes, so that its sum is closed and equals the sum of its steps.
    """
    table = w.fleet[r].table
    batch = max(w.fleet[r].batch, w.fleet[r].padded)
    mean = w.fleet[r].context / w.fleet[r].batch
    tokens = batch * w.fleet[r].per_query
    fixed = along(w.gemm[table], tokens)
    kv_s, slope, edge = attend(w, table, batch, mean)
    gain = w.knobs.gain
    host = w.fleet[r].host_s
    steps = limit
    if edge < math.inf:
        steps = min(steps, max(1, math.ceil((edge - mean) / gain)))
    first, growth = fixed + kv_s, slope * gain
    if first < host:
        if growth > 0.0:
            steps = min(steps, max(1, math.ceil((host - first) / growth)))
        first, growth = host, 0.0
    w.fleet[r].jump_steps = steps
    w.fleet[r].jump_first = first
    w.fleet[r].jump_slope = growth


@kernel
def run_seconds(w: World, r: int, steps: int) -> float:
    """Duration of the first ``steps`` steps of the run set by plan_jump."""
    return float(steps * w.fleet[r].jump_first + w.fleet[r].jump_slope * (0.5 * steps * (steps - 1)))


@kernel
def steps_until(w: World, r: int, at: float) -> int:
    """Steps of the run after which its clock is at or past the time ``at``; at least one."""
    span = at - w.fleet[r].clock
    first, slope, most = w.fleet[r].jump_first, w.fleet[r].jump_slope, w.fleet[r].jump_steps
    half = 0.5 * slope
    if half > 1e-18:
        lead = first - half
        guess = (math.sqrt(lead * lead + 4.0 * half * max(span, 0.0)) - lead) / (2.0 * half)
    else:
        guess = span / first if first > 0.0 else 1.0
    steps = min(max(math.ceil(guess), 1), most)
    while steps > 1 and run_seconds(w, r, steps - 1) >= span:
        steps -= 1
    while steps < most and run_seconds(w, r, steps) < span:
        steps += 1
    return int(steps)


@kernel
def note_gap(w: World, seconds: float, weight: float) -> None:
    """Add ``weight`` inter-token gaps of ``seconds`` to the histogram (1.25% bins)."""
    if seconds <= ITL_FLOOR_S:
        slot = 0
    else:
        slot = min(int(math.log(seconds / ITL_FLOOR_S) / math.log(ITL_RATIO)), ITL_BINS - 1)
    w.gaps[slot] += weight
