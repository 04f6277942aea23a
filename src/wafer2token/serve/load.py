"""The load of a run: a trace, a rate, or a closed loop, with its lengths, prefixes and priorities."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wafer2token.evidence.errors import InputError, Problem
from wafer2token.evidence.units import parse_quantity

from .engine.run import Requests
from .requests import gamma_arrivals, lengths, make, on_off_arrivals, scaled, with_shared_prefix
from .traces import read_trace

BLOCK = 16


@dataclass(frozen=True)
class Load:
    """What is asked of the system.

    Attributes:
        isl, osl: mean tokens in and out, where no trace is given.
        rate: requests per second (rescales a trace); ``concurrency``: requests in flight, a closed loop without a rate.
        burstiness: shape of the gaps (1 Poisson); ``burst``: "3:10s:50s", three times the mean rate for 10 s, then a quiet 50 s.
        length_spread, length_distribution: relative spread of the lengths, "uniform", "normal" or "lognormal".
        prefix_tokens: leading tokens that all prompts share.
        priorities: share of the requests in each class, first served first.
    """

    isl: int = 1024
    osl: int = 256
    rate: float | None = None
    concurrency: int | None = None
    trace: str | Path | None = None
    num_prompts: int | None = None
    burstiness: float = 1.0
    burst: str | None = None
    length_spread: float = 0.0
    length_distribution: str = "uniform"
    prefix_tokens: int = 0
    priorities: Sequence[float] = ()
    seed: int = 0

    def requests(self) -> Requests:
        """The requests; InputError with all that is wrong."""
        self._check()
        made = self._plain()
        if self.prefix_tokens:
            share = self.prefix_tokens / float(np.mean(made.isl))
            made = with_shared_prefix(made, min(share, 1.0), 1, BLOCK, self.seed)
        if self.priorities:
            rng = np.random.default_rng([self.seed, 4])
            shares = np.asarray(self.priorities, float) / sum(self.priorities)
            made = replace(made, priority=rng.choice(len(shares), len(made), p=shares).astype(np.int32))
        return made

    def _plain(self) -> Requests:
        if self.trace is not None:
            return scaled(read_trace(self.trace, self.num_prompts), self.rate)
        n = self.num_prompts or (max(10 * self.concurrency, 200) if self.concurrency else 2000)
        kind = self.length_distribution if self.length_spread else "fixed"
        arrival = np.zeros(n)
        if self.rate is not None and self.burst:
            arrival = on_off_arrivals(self.rate, n, *parse_burst(self.burst), self.seed)
        elif self.rate is not None:
            arrival = gamma_arrivals(self.rate, n, self.burstiness, self.seed)
        isl, osl = (lengths(mean, n, self.length_spread, kind, self.seed, name) for mean, name in ((self.isl, "isl"), (self.osl, "osl")))
        return make(arrival, isl, osl)

    def _check(self) -> None:
        if self.rate is None and self.concurrency is None and self.trace is None:
            raise InputError(Problem("no load", remedy="give --rate, --concurrency or --trace"))
        above = ("isl", "osl", "rate", "concurrency", "num_prompts", "burstiness")
        wrong = [Problem(f"{n} must be above zero", _flag(n), v) for n in above if (v := getattr(self, n)) is not None and not v > 0]
        if not self.length_spread >= 0.0 or (self.length_distribution == "uniform" and self.length_spread > 1.0):
            wrong.append(Problem("the spread of lengths is out of range", "--random-range-ratio", self.length_spread, "0 to 1"))
        if self.prefix_tokens < 0 or (self.prefix_tokens and self.trace is not None):
            wrong.append(Problem("a shared prefix goes with generated prompts", "--random-prefix-len", self.prefix_tokens, "0 or more, without --trace"))
        if any(not p > 0 for p in self.priorities):
            wrong.append(Problem("shares of priorities must be above zero", "--priorities", list(self.priorities)))
        if self.burst and self.rate is None:
            wrong.append(Problem("bursts need a mean rate", "--burst", self.burst, remedy="give --rate"))
        if wrong:
            raise InputError(wrong)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def parse_burst(text: str) -> tuple[float, float, float]:
    """(rate in the busy state over the mean, seconds busy, seconds quiet) out of "3:10s:50s"."""
    parts = text.split(":")
    try:
        factor = float(parts[0])
    except ValueError:
        factor = 0.0
    if len(parts) != 3 or factor <= 0:
        raise InputError(Problem("not a burst", "--burst", text, "FACTOR:BUSY:QUIET such as 3:10s:50s"))
    busy, quiet = (parse_quantity(p, "s", "--burst") for p in parts[1:])
    return factor, busy, quiet


def parse_failure(text: str) -> tuple[int, float, float]:
    """(replica, start [s], end [s]) out of "0@60s+30s", or "0@60s" for good."""
    found = re.fullmatch(r"\s*(\d+)\s*@\s*([^+]+?)\s*(?:\+\s*(.+?)\s*)?", text)
    if not found:
        raise InputError(Problem("not a failure", "--fail", text, "REPLICA@START+LENGTH such as 0@60s+30s"))
    start = parse_quantity(found[2], "s", "--fail")
    return int(found[1]), start, start + parse_quantity(found[3], "s", "--fail") if found[3] else float("inf")
