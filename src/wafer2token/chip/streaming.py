"""Kernels that only move bytes, and what the host adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StreamFit:
    """Parameters of `stream_seconds`: seconds per call, and the share of the memory bandwidth of a long stream."""

    floor: float
    memory: float


@dataclass(frozen=True)
class HostFit:
    """Host time [s]: per operator when the framework launches each (``eager``), and per replay of a graph (``replay``)."""

    eager: float
    replay: float


@dataclass(frozen=True)
class BackwardFit:
    """Time of the gradients of attention over the time of its forward pass."""

    ratio: float


def stream_seconds(fit: StreamFit, traffic: Array, calls: Array, bandwidth: Array) -> Array:
    """floor per call plus bytes over the reached bandwidth [s].

    Args:
        fit: the parameters.
        traffic: bytes read and written by all calls together [B].
        calls: kernels.
        bandwidth: memory bandwidth [B/s].
    """
    return np.asarray(fit.floor * calls + traffic / (fit.memory * bandwidth))
