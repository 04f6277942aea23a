"""Time that failures take from a long job: interruptions, lost work, restarts, checkpoints, spare and slow nodes.

References: Young 1974 (doi 10.1145/361147.361115) and Daly 2006 (doi 10.1016/j.future.2004.11.016) for the interval between
checkpoints and the expected length of a job with exponential failures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import all_cards

Array = npt.NDArray[np.float64]
Floats = Any
DAY_S = 86400.0


def interruption_rate(devices: Floats, per_device: Floats) -> Array:
    """Interruptions per second of a job on `devices` that each stop it `per_device` times per second."""
    return np.asarray(np.asarray(devices, float) * np.asarray(per_device, float))


def checkpoint_interval(rate: Floats, save_s: Floats) -> Array:
    """Seconds of work between checkpoints that lose least: sqrt(2 save / rate) - save, at least one save (Young, Daly)."""
    rate, save = np.asarray(rate, float), np.asarray(save_s, float)
    return np.asarray(np.maximum(np.sqrt(2 * save / rate) - save, save))


def goodput(rate: Floats, interval_s: Floats, save_s: Floats, restart_s: Floats) -> Array:
    """Useful share of the wall clock with exponential failures (Daly 2006, equation 20).

    Expected wall time per interval of useful work tau is e^(R/M) M (e^((tau + save)/M) - 1), M = 1/rate.
    """
    rate, tau = np.asarray(rate, float), np.asarray(interval_s, float)
    save, restart = np.asarray(save_s, float), np.asarray(restart_s, float)
    wall = np.exp(rate * restart) * np.expm1(rate * (tau + save)) / np.maximum(rate, 1e-300)
    return np.asarray(np.where(rate > 0, tau / wall, tau / (tau + save)))


def simulate_goodput(
    rate: float, interval_s: float, save_s: float, restart_s: float, work_s: float, seed: int = 0
) -> float:
    """The same share from a played job: work until a failure, fall back to the last checkpoint, restart, go on.

    A failure while restarting starts the restart anew, as in Daly's model.
    """
    rng = np.random.default_rng(seed)
    done, wall = 0.0, 0.0
    until = rng.exponential(1 / rate)
    while done < work_s:
        need = interval_s + save_s
        if until >= need:
            whole = max(int(until // need), 1)
            whole = min(whole, int(np.ceil((work_s - done) / interval_s)))
            done, wall, until = done + whole * interval_s, wall + whole * need, until - whole * need
            continue
        wall += until
        until = rng.exponential(1 / rate)
        while until < restart_s:
            wall += until
            until = rng.exponential(1 / rate)
        wall, until = wall + restart_s, until - restart_s
    return done / wall


def spare_nodes(nodes: Floats, failures_per_node_s: Floats, repair_s: Floats, confidence: float = 0.95) -> Array:
    """Spare nodes so that, with this confidence at any moment, every node under repair has a stand-in.

    Nodes under repair are Poisson with mean nodes * rate * repair time (infinite-server queue); broadcasts.
    """
    from scipy.stats import poisson

    return np.asarray(poisson.ppf(confidence, _under_repair(nodes, failures_per_node_s, repair_s)))


def short_of_nodes(nodes: Floats, spares: Floats, failures_per_node_s: Floats, repair_s: Floats) -> Array:
    """Share of the time that a job waits because more nodes are under repair than there are spares; broadcasts."""
    from scipy.stats import poisson

    return np.asarray(poisson.sf(spares, _under_repair(nodes, failures_per_node_s, repair_s)))


def _under_repair(nodes: Floats, failures_per_node_s: Floats, repair_s: Floats) -> Array:
    return np.asarray(np.asarray(nodes, float) * np.asarray(failures_per_node_s, float) * np.asarray(repair_s, float))


def simulate_spares(
    nodes: int, spares: int, failures_per_node_s: float, repair_s: float, horizon_s: float, seed: int = 0
) -> float:
    """The share of `short_of_nodes` from a played cluster: nodes fail at random, each is away for `repair_s`."""
    rng = np.random.default_rng(seed)
    count = rng.poisson(nodes * failures_per_node_s * horizon_s)
    down = np.sort(rng.uniform(0.0, horizon_s, count))
    times = np.concatenate([down, down + repair_s])
    order = np.argsort(times, kind="stable")
    away = np.cumsum(np.repeat([1, -1], count)[order])
    spans = np.diff(np.append(times[order], times[order][-1]))
    return float(spans[away > spares].sum() / horizon_s)


def slow_node_loss(nodes: Floats, share: Floats, loss: Floats) -> Array:
    """Expected loss of a synchronous job in which each node is slow with probability `share` and one slow node slows all."""
    return np.asarray((1 - (1 - np.asarray(share, float)) ** np.asarray(nodes, float)) * np.asarray(loss, float))


@dataclass(frozen=True)
class Availability:
    """What failures leave of the time; arrays over samples.

    ``spare_nodes`` is what keeps the job whole 95% of the time, ``slow_loss`` what slow nodes cost while none is found.
    """

    rate_per_day: Array
    interval_s: Array
    goodput: Array
    spare_nodes: Array
    slow_loss: Array


def availability(card: Any, devices: float, samples: int | None, seed: int, per_node: int = 8) -> Availability:
    """Goodput of a job on `devices` chips under a reliability card; central case when `samples` is None.

    Args:
        per_node: chips that leave together when a node is repaired.
    """

    def of(name: str) -> Array:
        return drawn(getattr(card, name), f"reliability.{card.id}.{name}", samples, seed)

    rate, save, restart = of("interruptions"), of("checkpoint"), of("restart")
    total = interruption_rate(devices, rate)
    interval = checkpoint_interval(total, save)
    nodes = np.ceil(devices / per_node)
    return Availability(
        total * DAY_S,
        interval,
        goodput(total, interval, save, restart),
        spare_nodes(nodes, rate * per_node, of("repair")),
        slow_node_loss(nodes, of("slow_nodes"), of("slow_loss")),
    )


def drawn(number: Any, name: str, samples: int | None, seed: int) -> Array:
    """A card's number as samples under its dotted name, or its central value when `samples` is None."""
    if samples is None:
        return np.asarray(float(number))
    from wafer2token.evidence.sampling import draw

    return draw(number, name, samples, seed)


def reliability_card(chip: str) -> Any:
    """The reliability card of a chip: its vendor's, or that of all GPUs."""
    cards = all_cards("reliability").values()
    return next(
        (c for c in cards if any(chip.startswith(v) for v in c.vendors)), next(c for c in cards if not c.vendors)
    )
