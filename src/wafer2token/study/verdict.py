"""A verdict on a claim: a probability in a stated sense, under stated inputs; never a slogan."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wafer2token.evidence.number import Grade
from wafer2token.evidence.sampling import summary
from wafer2token.study.graph import Graph

SUPPORTED_FROM = 0.8
CONTRADICTED_TO = 0.2

Finding = Literal["supported", "contradicted", "undetermined"]


@dataclass(frozen=True)
class Verdict:
    """How a claim fares in one sense.

    ``probability`` is the share of samples in which the claim holds in this sense; ``value`` is what was computed
    (p5, p50, p95 in ``unit``), ``grade`` the weakest evidence under it, ``conditions`` what the answer rests on.
    """

    claim: str
    sense: str
    claimed: str
    unit: str
    p5: float
    p50: float
    p95: float
    probability: float
    finding: Finding
    grade: Grade
    conditions: str
    quantity: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def finding(probability: float) -> Finding:
    """Supported from 80 % of the samples, contradicted to 20 %, undetermined between."""
    if probability >= SUPPORTED_FROM:
        return "supported"
    return "contradicted" if probability <= CONTRADICTED_TO else "undetermined"


def judge(
    graph: Graph,
    claim: str,
    sense: str,
    claimed: str,
    quantity: str,
    holds: npt.NDArray[np.bool_],
    conditions: str = "",
    grade: Grade | None = None,
) -> Verdict:
    """A verdict from the samples of a quantity and whether the claim holds in each of them.

    ``grade`` is given where the evidence does not stand in the graph, such as a date.
    """
    values = graph.values[quantity]
    p5, p50, p95 = summary(values)
    probability = float(np.mean(holds))
    return Verdict(claim, sense, claimed, graph.quantities[quantity].unit, p5, p50, p95, probability, finding(probability),
                   grade or graph.grade(quantity), conditions, quantity)  # fmt: skip


def within(graph: Graph, quantity: str, low: float, high: float) -> npt.NDArray[np.bool_]:
    """Whether each sample lies in [low, high]."""
    values = graph.values[quantity]
    return (values >= low) & (values <= high)
