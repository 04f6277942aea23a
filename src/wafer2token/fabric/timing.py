"""Times of collectives and of expert exchange on a fabric."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wafer2token.evidence.errors import InfeasibleError, InputError, Problem, unknown
from wafer2token.fabric.collectives import all_reduce_body, exchange_body, ring_body
from wafer2token.fabric.experts import direct_seconds, distinct
from wafer2token.fabric.network import Fabric, Tier

Array = npt.NDArray[np.float64]
Floats = npt.ArrayLike
Span = Literal["scale_up", "scale_out"]

OPERATIONS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "p2p", "broadcast")
LOW_LATENCY_TOKENS = 256.0
"""Tokens per rank up to which engines exchange with direct kernels."""
_ALIASES = {"alltoall": "all_to_all", "send_recv": "p2p", "allreduce": "all_reduce", "allgather": "all_gather"}


def collective_time(
    fab: Fabric, op: str, bytes: Floats, ranks: Floats, span: Span | None = None, ranks_per_node: Floats | None = None,
    graph: bool = True,
) -> Array:  # fmt: skip
    """Time of a collective [s]; arguments broadcast, samples lead.

    Ranks that do not fit the scale-up domain (or that are placed ``ranks_per_node`` to a domain) run hierarchically:
    reduce-scatter inside, the operation between domains on the parts, all-gather inside, in a pipeline.

    Args:
        fab: the fabric.
        op: one of `OPERATIONS`.
        bytes: the whole message of a rank (nccl-tests convention) [B].
        ranks: ranks that take part, at least 1; one rank takes no time.
        span: force one tier; None: by rank count.
        ranks_per_node: ranks of the group inside one scale-up domain; None: as many as fit.
        graph: replayed from a captured graph; False adds the host's launch.

    Raises:
        InputError: unknown operation, negative size, fewer than one rank, more ranks than the system has.
        InfeasibleError: more ranks in one scale-up domain than it holds, or no scale-out network.
    """
    op = _ALIASES.get(op, op)
    if op not in OPERATIONS:
        raise InputError(unknown("collective", op, list(OPERATIONS)))
    message, n = _at_least("bytes", bytes, 0.0), _at_least("ranks", ranks, 1.0)
    _check_ranks(fab, n, span)
    inside = _inside(fab, n, span, ranks_per_node)
    ndim = max(np.ndim(message), np.ndim(n), np.ndim(inside))
    outside = n / inside
    time = _on_tiers(fab, op, message, inside, outside, ndim) + (0.0 if graph else fab.eager)
    return np.asarray(np.where(n > 1, time, 0.0) * _lead(fab.scale, ndim))


def _on_tiers(fab: Fabric, op: str, message: Any, inside: Any, outside: Any, ndim: int) -> Array:
    up, out = fab.tiers
    if np.all(outside <= 1):
        return _single(up, op, message, inside, _lead(up.bandwidth, ndim))
    if not np.all(np.asarray(out.bandwidth) > 0):
        raise InfeasibleError(
            f"{fab.name} has no known scale-out network: {float(np.max(inside * outside)):g} ranks do not fit its domain",
            f"up to {up.size:g} ranks",
        )
    wide = _lead(out.bandwidth, ndim) / out.oversubscription
    both = _hierarchical(up, out, op, message, inside, outside, _lead(up.bandwidth, ndim), wide)
    return np.where(outside > 1, both, _single(up, op, message, inside, _lead(up.bandwidth, ndim)))


def _single(tier: Tier, op: str, message: Any, ranks: Any, link: Any) -> Array:
    """A collective on one tier [s]."""
    fit = tier.fit
    if tier.mesh:
        joined = np.minimum((np.maximum(ranks, 2.0) - 1.0) / (tier.size - 1.0), 1.0)
        link = link * (1.0 / (tier.size - 1.0) if op == "p2p" else joined)
    if op == "all_reduce":
        return fit.launch + all_reduce_body(fit, message, ranks, link)
    if op in ("all_gather", "reduce_scatter"):
        return fit.launch + ring_body(fit, message, ranks, link)
    if op == "all_to_all":
        return fit.exchange_launch + exchange_body(fit, message, ranks, link)
    if op == "broadcast":
        return np.asarray(fit.launch + fit.hop * (ranks - 1.0) + message / (fit.share * link))
    return np.asarray(tier.latency + message / (fit.share * link) + 0.0 * ranks)


def _hierarchical(up: Tier, out: Tier, op: str, message: Any, inside: Any, outside: Any, link: Any, wide: Any) -> Array:
    """A collective over both tiers [s]: what crosses the domains is the part of one rank; the two run as a pipeline."""
    part = message / inside
    start = up.fit.launch + out.fit.launch
    if op == "all_reduce":
        inner = 2.0 * up.fit.fused * ring_body(up.fit, message, inside, link)
        return start + np.maximum(inner, all_reduce_body(out.fit, part, outside, wide))
    if op in ("all_gather", "reduce_scatter"):
        return start + np.maximum(ring_body(up.fit, message, inside, link), ring_body(out.fit, part, outside, wide))
    if op == "all_to_all":
        across = exchange_body(out.fit, message, outside, wide)
        within = exchange_body(up.fit, message / outside, inside, link)
        return up.fit.exchange_launch + out.fit.exchange_launch + np.maximum(across, within)
    if op == "broadcast":
        return np.asarray(start + message / (out.fit.share * wide) + message / (up.fit.share * link))
    return np.asarray(out.latency + message / (out.fit.share * wide) + 0.0 * outside)


def dispatch_time(
    fab: Fabric, tokens: Floats, hidden_size: Floats, top_k: Floats, ep: Floats, dtype_bytes: float = 1.0,
    imbalance: Floats = 1.0,
) -> Array:  # fmt: skip
    """Time to send each token of a rank to the ranks of its experts [s]; arguments broadcast.

    Args:
        fab: the fabric.
        tokens: tokens per rank.
        hidden_size: elements per token.
        top_k: experts per token.
        ep: ranks that share the experts.
        dtype_bytes: bytes per element sent.
        imbalance: load of the busiest rank over the mean.
    """
    return _exchange(fab, tokens, hidden_size, top_k, ep, dtype_bytes, imbalance, "dispatch")


def combine_time(
    fab: Fabric, tokens: Floats, hidden_size: Floats, top_k: Floats, ep: Floats, dtype_bytes: float = 2.0,
    imbalance: Floats = 1.0,
) -> Array:  # fmt: skip
    """Time to bring the experts' outputs back and add them [s]; arguments as in `dispatch_time`."""
    return _exchange(fab, tokens, hidden_size, top_k, ep, dtype_bytes, imbalance, "combine")


def _exchange(
    fab: Fabric, tokens: Floats, hidden_size: Floats, top_k: Floats, ep: Floats, dtype_bytes: float, imbalance: Floats,
    direction: str,
) -> Array:  # fmt: skip
    """Expert exchange by the direct kernel, with many tokens by the faster of the direct and the forwarding one [s]."""
    t, k, n = _at_least("tokens", tokens, 0.0), _at_least("top_k", top_k, 1.0), _at_least("ep", ep, 1.0)
    token = _at_least("hidden_size", hidden_size, 1.0) * dtype_bytes
    busiest = t * token * _at_least("imbalance", imbalance, 1.0)
    ndim = max(np.ndim(v) for v in (busiest, k, n))
    up, out = fab.tiers
    link = _lead(up.bandwidth, ndim)
    inside = np.minimum(n, up.size)
    time = _direct(up, direction, busiest * k, inside, link)
    if np.any(n > up.size):
        if not np.all(np.asarray(out.bandwidth) > 0):
            raise _too_many(fab, n)
        wide = _lead(out.bandwidth, ndim) / out.oversubscription
        domains = n / inside
        far = _direct(out, direction, busiest * k, n, wide)
        copies = distinct(domains, k) * (1.0 - 1.0 / domains)
        forwarded = np.maximum(  # a pipeline: chunks cross to the other domain while those before spread inside it
            _direct(out, direction, busiest * copies, domains, wide), _direct(up, direction, busiest * k, inside, link)
        )
        limit = _direct(out, direction, busiest * k * np.minimum(LOW_LATENCY_TOKENS / np.maximum(t, 1.0), 1.0), n, wide)
        time = np.where(
            n > up.size, np.where(t > LOW_LATENCY_TOKENS, np.maximum(np.minimum(far, forwarded), limit), far), time
        )
    return np.asarray(np.where(n > 1, time, 0.0) * _lead(fab.scale, ndim))


def _direct(tier: Tier, direction: str, sent: Any, ranks: Any, link: Any) -> Array:
    fit = tier.experts
    launch, share = getattr(fit, f"{direction}_launch"), getattr(fit, f"{direction}_share")
    return direct_seconds(launch, fit.doubling, share, sent, ranks, link)


def _inside(fab: Fabric, n: Any, span: Span | None, ranks_per_node: Floats | None) -> Any:
    if span == "scale_out":
        return np.minimum(1.0 if ranks_per_node is None else _at_least("ranks_per_node", ranks_per_node, 1.0), n)
    if ranks_per_node is not None:
        given = np.minimum(_at_least("ranks_per_node", ranks_per_node, 1.0), n)
        if np.any(given > fab.scale_up.size):
            raise _too_many(fab, given)
        return given
    return np.minimum(n, fab.scale_up.size)


def _check_ranks(fab: Fabric, n: Any, span: Span | None) -> None:
    if span not in (None, "scale_up", "scale_out"):
        raise InputError(unknown("span", str(span), ["scale_up", "scale_out"]))
    if span == "scale_up" and np.any(n > fab.scale_up.size):
        raise _too_many(fab, n)


def _too_many(fab: Fabric, n: Any) -> InfeasibleError:
    return InfeasibleError(
        f"{float(np.max(n)):g} ranks do not fit one scale-up domain of {fab.name}, which joins {fab.scale_up.size:g}",
        f"{fab.scale_up.size:g} ranks, or span scale_out",
    )


def _at_least(name: str, value: Floats, least: float) -> Any:
    array = np.asarray(value, dtype=float)
    if array.size and not array.min() >= least:
        raise InputError(Problem("too small", name, float(array.min()), f"{least:g} or more"))
    return array if array.ndim else float(array)


def _lead(value: Any, ndim: int) -> Any:
    if np.ndim(value) == 0:
        return value
    array = np.asarray(value)
    return array.reshape(array.shape + (1,) * ndim)
