"""The heavy engines as jobs: each is a pure function of its arguments, so that any number of workers gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

from wafer2token.catalog import overlay
from wafer2token.evidence.errors import EvidenceError, InfeasibleError
from wafer2token.evidence.number import Number
from wafer2token.evidence.sampling import recorded


@dataclass(frozen=True)
class Job:
    """A call of an engine: results land in the graph under ``prefix``."""

    prefix: str
    title: str
    function: Callable[..., Mapping[str, Any]]
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a job gave: result name -> (samples, unit), the numbers it drew, plain details; or why it gave nothing."""

    prefix: str
    title: str
    results: Mapping[str, tuple[Any, str]]
    drawn: Mapping[str, Number]
    details: Mapping[str, Any]
    problem: str = ""


def perform(job: Job, overrides: Mapping[str, Number]) -> Outcome:
    """Runs one job; infeasible and too weakly evidenced jobs are outcomes, not failures."""
    with overlay(overrides), recorded() as drawn:
        try:
            given = job.function(**job.arguments)
        except (InfeasibleError, EvidenceError) as error:
            return Outcome(job.prefix, job.title, {}, {}, {}, problem=str(error))
    return Outcome(job.prefix, job.title, given["results"], drawn, given.get("details", {}))


def perform_all(
    jobs: Sequence[Job], overrides: Mapping[str, Number], workers: int, done: Callable[[str], None]
) -> list[Outcome]:
    """All outcomes, in the order of the jobs."""
    if workers <= 1 or len(jobs) < 2:
        outcomes = []
        for job in jobs:
            outcomes.append(perform(job, overrides))
            done(job.prefix)
        return outcomes
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(perform, job, overrides) for job in jobs]
        outcomes = []
        for job, future in zip(jobs, futures, strict=True):
            outcomes.append(future.result())
            done(job.prefix)
        return outcomes
