"""One accelerator: how long a kernel takes."""

from importlib import import_module
from typing import Any

_NAMES = {
    "Accelerator": "machine",
    "accelerator": "machine",
    "from_card": "machine",
    "attention_decode_time": "kernels",
    "attention_prefill_time": "kernels",
    "grouped_matmul_time": "kernels",
    "host_overhead": "kernels",
    "matmul_time": "kernels",
    "memory_time": "kernels",
    "op_time": "operators",
    "quantise_time": "kernels",
    "roofline_time": "kernels",
    "stacks": "fits",
    "kernel": "verb",
}


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(f"wafer2token.chip.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
