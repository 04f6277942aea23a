"""Requests through a batching engine: latency, throughput, capacity under an SLO, cost per token."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wafer2token.serve.plan import Plan
    from wafer2token.serve.steady import SteadyState, steady_state
    from wafer2token.serve.steptime import Machine, StepTime, decode_step_time, prefill_step_time

_NAMES = {
    "Plan": "plan",
    "SteadyState": "steady",
    "steady_state": "steady",
    "Machine": "steptime",
    "StepTime": "steptime",
    "decode_step_time": "steptime",
    "prefill_step_time": "steptime",
}

__all__ = ["Machine", "Plan", "SteadyState", "StepTime", "decode_step_time", "prefill_step_time", "steady_state"]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(f"wafer2token.serve.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
