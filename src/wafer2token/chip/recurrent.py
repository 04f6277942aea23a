"""How long linear attention takes: a state per sequence and head that tokens pass through one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wafer2token.chip.matmul import overlapped

Array = npt.NDArray[np.float64]

FULL_STATE = 128.0 * 128.0
"""Elements of the state of one head in the fits (128 key by 128 value columns)."""


@dataclass(frozen=True)
class RecurrentFit:
    """Parameters of `recurrent_seconds`.

    Attributes:
        floor: seconds that any call takes.
        token: seconds that a compute unit needs to take one token of one head through a state of 128 x 128.
        memory: share of the memory bandwidth.
        quantisation: share of the heads that run in whole waves over the units.
        overlap: exponent p of (t_units^p + t_memory^p)^(1/p).
    """

    floor: float
    token: float
    memory: float
    quantisation: float
    overlap: float


def recurrent_seconds(fit: RecurrentFit, tasks: Array, tokens: Array, state: Array, traffic: Array, bandwidth: Array, units: float) -> Array:  # fmt: skip
    """Time of a gated delta rule [s]: heads side by side over the units, tokens of a head one chunk after the other.

    Args:
        fit: the parameters.
        tasks: sequences times heads.
        tokens: per sequence.
        state: elements of the state of one head.
        traffic: bytes read and written [B].
        bandwidth, units: of the chip.
    """
    waves = tasks / units
    whole = np.maximum(waves + fit.quantisation * (np.ceil(waves) - waves), 1.0)
    busy = whole * tokens * fit.token * state / FULL_STATE
    return np.asarray(fit.floor + overlapped(busy, traffic / (fit.memory * bandwidth), fit.overlap))
