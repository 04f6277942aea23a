"""Requests through a batching engine: latency, throughput, capacity under an SLO, cost per token."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wafer2token.serve.plan import Plan
    from wafer2token.serve.search import PlanResult, compare_serving, plan_serving
    from wafer2token.serve.steady import SteadyState, steady_state
    from wafer2token.serve.steptime import Machine, StepTime, decode_step_time, prefill_step_time
    from wafer2token.serve.verb import ServeResult, serve

_NAMES = {
    "Plan": "plan",
    "SteadyState": "steady",
    "steady_state": "steady",
    "Machine": "steptime",
    "StepTime": "steptime",
    "decode_step_time": "steptime",
    "prefill_step_time": "steptime",
    "ServeResult": "verb",
    "serve": "verb",
    "PlanResult": "search",
    "compare_serving": "search",
    "plan_serving": "search",
}

__all__ = [
    "Machine", "Plan", "PlanResult", "ServeResult", "SteadyState", "StepTime", "compare_serving", "decode_step_time",
    "plan_serving", "prefill_step_time", "serve", "steady_state",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(f"wafer2token.serve.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
