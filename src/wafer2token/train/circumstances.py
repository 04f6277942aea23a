"""What is unknown or different about a measurement beside its software: how much longer it takes, how much wider the interval.

The fit reads steady pre-training whose plan is stated. A plan that had to be borrowed or searched, a figure over a whole
run, fine-tuning: each is a circumstance with a card of its own, fitted on the points of all sources that share it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from wafer2token.evidence.validation import Z80
from wafer2token.train.points import Case

Array = npt.NDArray[np.float64]
SHRINK = 3.0
"""Sources' worth of evidence that a circumstance costs no time."""


def few_choices(case: Case) -> bool:
    """Whether a plan that is not stated hardly matters: the number of accumulated micro-batches was logged, and the plan
    is that of a like submission or has to fit one node."""
    return case.accumulation > 0 and ("borrowed" in case.stated or case.devices <= case.node)


def circumstances(case: Case) -> tuple[str, ...]:
    """Which of them hold of a case; none of steady pre-training with a stated plan."""
    out = (
        []
        if case.kind == "pretrain_steady_state"
        else ["fine_tuning" if case.kind in ("finetune", "sft") else case.kind]
    )
    if few_choices(case):
        return tuple(out)
    if case.plan is None:
        out.append("searched_plan")
    elif "borrowed" in case.stated:
        out.append("borrowed_plan")
    return tuple(out)


def spread_of(errors: Array, weight: Array, share: float = 0.8) -> float:
    """Standard deviation of ln errors by their 80th weighted percentile of the absolute value, which outliers do not move."""
    order = np.argsort(np.abs(errors))
    heavy = np.cumsum(weight[order]) / weight.sum()
    return float(np.abs(errors)[order][min(int(np.searchsorted(heavy, share)), len(order) - 1)] / Z80)


def weighted_middle(errors: Array, weight: Array) -> float:
    """Weighted median."""
    order = np.argsort(errors)
    heavy = np.cumsum(weight[order]) / weight.sum()
    return float(errors[order][min(int(np.searchsorted(heavy, 0.5)), len(order) - 1)])


def fit_circumstances(
    cases: Sequence[Case], errors: Array, spreads: Array, weight: Array
) -> list[Mapping[str, float | int | str]]:
    """Cards of the circumstances, one after the other: the time they take, and the spread they add in quadrature.

    Args:
        errors: ln(predicted / measured) seconds under the fit alone; spreads: what the fit's cards state for each point.
    """
    left, variance = np.array(errors), np.square(spreads)
    held = [circumstances(case) for case in cases]
    rows: list[Mapping[str, float | int | str]] = []
    for name in dict.fromkeys(word for words in sorted(held, key=len) for word in words):
        mine = np.array([name in words for words in held])
        sources = len({case.family.split("/")[0] for case, take in zip(cases, mine, strict=True) if take})
        late = -weighted_middle(left[mine], weight[mine]) * sources / (sources + SHRINK)
        left[mine] += late
        wide = spread_of(left[mine], weight[mine])
        added = np.sqrt(max(wide**2 - np.average(variance[mine], weights=weight[mine]), 0.0))
        variance[mine] += added**2
        rows.append(
            {
                "id": f"fit_circumstance_{name}",
                "scope": "circumstance",
                "target": name,
                "points": int(mine.sum()),
                "sources": sources,
                "time": float(np.exp(late)),
                "spread": float(added),
            }
        )
    return rows
