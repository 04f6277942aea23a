"""Training and serving as jobs: the engines' answers as samples with units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_DAY_S = 86400.0


def training_job(
    model: str, on: str, chips: int, tokens: float, plan: str | None, dtype: str, samples: int, seed: int
) -> Mapping[str, Any]:
    """The best plan for a model on a fleet (or the plan given)."""
    from wafer2token.train import train

    made = train(model, on, chips, tokens, plan=plan, dtype=dtype, samples=samples, seed=seed)
    results: dict[str, tuple[Any, str]] = {
        "step_time": (made.step_time_s, "s"),
        "mfu": (made.mfu["megatron"], "1"),
        "tokens_per_s_per_chip": (made.tokens_per_s / chips, "token/s"),
        "goodput": (made.goodput, "1"),
        "time": (made.days * _DAY_S, "s"),
        "energy": (made.energy_j, "J"),
    }
    if np.isfinite(made.cost_usd).any():
        results["cost"] = (made.cost_usd, "USD")
    return {"results": results, "details": {"answer": made.to_dict()}}


def serving_job(model: str, on: str, isl: int, osl: int, tpot: float, samples: int, seed: int) -> Mapping[str, Any]:
    """Prefill and decode in the steady state at a time per output token."""
    from wafer2token.serve import steady_state

    made = steady_state(model, on, isl=isl, osl=osl, slo_tpot_s=tpot, samples=samples, seed=seed)
    results: dict[str, tuple[Any, str]] = {
        "prefill_per_chip": (made.prefill_tokens_per_s_per_chip, "token/s"),
        "decode_per_chip": (made.decode_tokens_per_s_per_chip, "token/s"),
    }
    if np.isfinite(made.cost_per_mtok_usd).any():
        results["cost_per_mtok"] = (made.cost_per_mtok_usd, "USD")
    return {"results": results, "details": {"answer": made.to_dict()}}
