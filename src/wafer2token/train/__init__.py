"""Parallel plans, memory, step time, pipeline timeline, failures and goodput, days and cost of training."""

from importlib import import_module
from typing import Any

_NAMES = {
    "train": "run",
    "TrainResult": "run",
    "PlanResult": "run",
    "Plan": "plan",
    "PlanTable": "plan",
    "table": "plan",
    "parse_plan": "parse",
    "memory": "memory",
    "Memory": "memory",
    "StateBytes": "memory",
    "search": "search",
    "Space": "search",
    "simulate": "timeline",
    "machine": "machine",
    "step_time": "step",
    "parts_of_step": "step",
    "plan_step": "step",
}


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(f"wafer2token.train.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
