"""Workloads: when requests arrive and how long they are. All draws come from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wafer2token.evidence.errors import InputError, Problem

from .engine.run import Requests

F = NDArray[np.float64]


def poisson_arrivals(rate: float, n: int, seed: int = 0) -> F:
    """Arrival times [s] of a Poisson process of ``rate`` [requests/s], shape [n]."""
    return gamma_arrivals(rate, n, 1.0, seed)


def gamma_arrivals(rate: float, n: int, burstiness: float = 1.0, seed: int = 0) -> F:
    """Arrival times with gamma gaps of shape ``burstiness``, as ``vllm bench serve --burstiness``.

    The mean gap is 1/rate and its squared coefficient of variation 1/burstiness: 1 is Poisson, below 1 comes in bursts,
    infinity is evenly spaced. ``rate`` infinite: everything at time 0.
    """
    if rate <= 0 or burstiness <= 0:
        raise InputError(Problem("rate and burstiness must be above zero", got=(rate, burstiness)))
    if np.isinf(rate):
        return np.zeros(n)
    if np.isinf(burstiness):
        return np.arange(1, n + 1) / rate
    rng = np.random.default_rng([seed, 1])
    return np.cumsum(rng.gamma(burstiness, 1.0 / (rate * burstiness), n))


def on_off_arrivals(rate: float, n: int, burst_factor: float, on_s: float, off_s: float, seed: int = 0) -> F:
    """A Poisson process that alternates between two rates with mean ``rate`` (a two-state burst).

    Args:
        burst_factor: rate in the busy state over the mean rate; at most (on_s + off_s) / on_s.
        on_s, off_s: length of the busy and of the quiet state [s].
    """
    cycle = on_s + off_s
    if not 1.0 <= burst_factor <= cycle / on_s:
        raise InputError(Problem("burst_factor out of range", got=burst_factor, allowed=f"1 to {cycle / on_s:g}"))
    busy = rate * burst_factor
    quiet = (rate * cycle - busy * on_s) / off_s
    rng = np.random.default_rng([seed, 2])
    work = np.cumsum(rng.exponential(1.0, n))  # operational time: integral of the rate
    per_cycle = rate * cycle
    whole, rest = np.divmod(work, per_cycle)
    inside = np.where(rest < busy * on_s, rest / busy, on_s + (rest - busy * on_s) / max(quiet, 1e-300))
    return np.asarray(whole * cycle + inside)


def lengths(mean: float, n: int, spread: float = 0.0, kind: str = "uniform", seed: int = 0, name: str = "isl") -> NDArray[np.int32]:
    """Token counts of at least 1, shape [n].

    Args:
        kind: "fixed"; "uniform" on mean x [1 - spread, 1 + spread] (``--random-range-ratio`` of vLLM);
            "normal" with standard deviation spread x mean; "lognormal" with that coefficient of variation.
    """
    rng = np.random.default_rng([seed, sum(name.encode())])
    if kind == "fixed" or spread == 0.0:
        values = np.full(n, float(mean))
    elif kind == "uniform":
        values = rng.uniform(mean * (1 - spread), mean * (1 + spread), n)
    elif kind == "normal":
        values = rng.normal(mean, spread * mean, n)
    elif kind == "lognormal":
        sigma = np.sqrt(np.log1p(spread**2))
        values = mean * np.exp(rng.normal(-0.5 * sigma**2, sigma, n))
    else:
        raise InputError(Problem("unknown distribution of lengths", got=kind, allowed="fixed, uniform, normal, lognormal"))
    return np.asarray(np.maximum(np.rint(values), 1), dtype=np.int32)


def make(arrival_s: ArrayLike, isl: ArrayLike, osl: ArrayLike, name: str = "synthetic") -> Requests:
    """Requests from arrays; lengths are broadcast to the arrivals."""
    arrival = np.asarray(arrival_s, dtype=np.float64)
    if len(arrival) and np.any(np.diff(arrival) < 0):
        raise InputError(Problem("arrivals are not in order of time", where=name))
    shape = arrival.shape
    one, other = (np.ascontiguousarray(np.broadcast_to(np.asarray(x, dtype=np.int32), shape)) for x in (isl, osl))
    if len(one) and min(one.min(), other.min()) < 1:
        raise InputError(Problem("input and output lengths must be at least one token", where=name))
    return Requests(arrival, one, other, name=name)


def closed_loop(n: int, isl: ArrayLike, osl: ArrayLike, name: str = "closed loop") -> Requests:
    """``n`` requests that all want to start at once; the cluster's ``max_concurrency`` holds them back."""
    return make(np.zeros(n), isl, osl, name)


def scaled(requests: Requests, rate: float | None = None, repeat: int = 1) -> Requests:
    """The same requests at another mean ``rate`` [requests/s], and ``repeat`` times one after another."""
    n = len(requests)
    arrival = requests.arrival_s - (requests.arrival_s[0] if n else 0.0)
    span = arrival[-1] * n / max(n - 1, 1) if n > 1 else 1.0
    if rate is not None:
        factor = n / rate / span if span > 0 else 0.0
        arrival, span = arrival * factor, n / rate
    times = (arrival[None, :] + span * np.arange(repeat)[:, None]).ravel()

    def tiled(x: NDArray[np.int32] | None) -> NDArray[np.int32] | None:
        return None if x is None else np.tile(x, repeat)

    start = requests.hash_start
    if start is not None and repeat > 1:
        start = np.append((start[:-1][None, :] + start[-1] * np.arange(repeat)[:, None]).ravel(), start[-1] * repeat)
    return replace(requests, arrival_s=times, isl=np.tile(requests.isl, repeat), osl=np.tile(requests.osl, repeat),
                   priority=tiled(requests.priority), hashes=tiled(requests.hashes), hash_start=start)  # fmt: skip


def with_shared_prefix(requests: Requests, share: float, groups: int = 1, block_tokens: int = 16, seed: int = 0) -> Requests:
    """Give each prompt a prefix of ``share`` of its length that it has in common with its group.

    Hash ids are drawn so that prompts of one group agree on the leading blocks and on nothing else.
    """
    rng = np.random.default_rng([seed, 3])
    group = rng.integers(0, groups, len(requests))
    hashes: list[NDArray[np.int32]] = []
    longest = int(requests.isl.max() // block_tokens) + 1 if len(requests) else 1
    fresh = groups * longest
    for i, length in enumerate(requests.isl):
        blocks = int(length // block_tokens)
        common = int(length * share // block_tokens)
        own = np.arange(fresh, fresh + blocks - common)
        fresh += blocks - common
        hashes.append(np.concatenate([group[i] * longest + np.arange(common), own]).astype(np.int32))
    start = np.concatenate([[0], np.cumsum([len(h) for h in hashes])]).astype(np.int64)
    flat = np.concatenate(hashes) if hashes else np.zeros(0, np.int32)
    return replace(requests, hashes=flat, hash_start=start, hash_tokens=block_tokens)


def joined(parts: Sequence[Requests], name: str = "mix") -> Requests:
    """Several streams as one, in order of arrival; the stream is the priority (0 is served first)."""
    arrival = np.concatenate([p.arrival_s for p in parts])
    order = np.argsort(arrival, kind="stable")
    level = np.concatenate([np.full(len(p), k, np.int32) for k, p in enumerate(parts)])
    isl, osl = np.concatenate([p.isl for p in parts]), np.concatenate([p.osl for p in parts])
    return Requests(arrival[order], isl[order], osl[order], priority=level[order], name=name)
