import numpy as np
import pytest

from wafer2token.catalog import get, number
from wafer2token.evidence.sampling import recorded
from wafer2token.train.failures import (
    DAY_S,
    availability,
    checkpoint_interval,
    goodput,
    short_of_nodes,
    simulate_goodput,
    simulate_spares,
    slow_node_loss,
    spare_nodes,
)


@pytest.mark.parametrize("per_day", [0.5, 3.0, 8.0])
def test_goodput_played_and_closed_form_agree(per_day):
    rate, save, restart = per_day / DAY_S, 20.0, 900.0
    interval = float(checkpoint_interval(rate, save))
    closed = float(goodput(rate, interval, save, restart))
    played = np.mean([simulate_goodput(rate, interval, save, restart, 2000 * DAY_S, seed) for seed in range(4)])
    assert played == pytest.approx(closed, abs=0.004)


def test_llama_3_in_54_days():
    """419 unexpected interruptions on 16,384 H100 in 54 days and more than 90% effective time (arXiv 2407.21783)."""
    up = availability(get("reliability", "gpu_clusters"), 16384, 1000, 0)
    low, high = np.percentile(up.rate_per_day * 54, [10, 90])
    assert low < 419 < high
    assert np.percentile(up.goodput, 90) > 0.90 > np.percentile(up.goodput, 10)
    central = availability(get("reliability", "gpu_clusters"), 16384, None, 0)
    assert float(central.goodput) == pytest.approx(0.90, abs=0.03)


def test_rates_that_were_not_used_lie_in_the_band():
    """Meta RSC-1 and RSC-2: 6.5 and 2.34 failures per 1000 node-days of 8 A100 (arXiv 2410.21680)."""
    card = get("reliability", "gpu_clusters")
    band = (card.interruptions.low * DAY_S * 8000, card.interruptions.high * DAY_S * 8000)
    assert band[0] < 2.34 < 6.5 < band[1] * 1.02


def test_young_interval_is_the_best():
    rate, save, restart = 5 / DAY_S, 30.0, 600.0
    best = float(checkpoint_interval(rate, save))
    trial = goodput(rate, best * np.array([0.5, 0.8, 1.0, 1.25, 2.0]), save, restart)
    assert int(np.argmax(trial)) == 2


def test_ascend_is_assumed_and_wide():
    ascend, gpu = get("reliability", "ascend_clusters").interruptions, get("reliability", "gpu_clusters").interruptions
    assert ascend.grade == "assumed"
    assert ascend.high / ascend.low > gpu.high / gpu.low


def test_spares_and_slow_nodes():
    assert spare_nodes(2048, 3.3e-3 / DAY_S, DAY_S) >= 7
    assert spare_nodes(np.array([100, 10_000]), 1e-3 / DAY_S, DAY_S).shape == (2,)
    assert slow_node_loss(1, 0.01, 0.1) == pytest.approx(0.001)
    assert slow_node_loss(10_000, 0.01, 0.1) == pytest.approx(0.1)


@pytest.mark.parametrize("spares", [2, 6, 9])
def test_waiting_for_nodes_played_and_closed_form_agree(spares):
    nodes, rate, repair = 2048, 3.0e-3 / DAY_S, DAY_S
    closed = float(short_of_nodes(nodes, spares, rate, repair))
    played = np.mean([simulate_spares(nodes, spares, rate, repair, 4000 * DAY_S, seed) for seed in range(4)])
    assert played == pytest.approx(closed, abs=0.01)


def test_spares_of_the_table_keep_the_job_whole():
    nodes, rate, repair = 2048, 3.0e-3 / DAY_S, DAY_S
    enough = int(spare_nodes(nodes, rate, repair))
    assert short_of_nodes(nodes, enough, rate, repair) <= 0.05 < short_of_nodes(nodes, enough - 1, rate, repair)


def test_slow_nodes_played_and_closed_form_agree():
    """Every node is slow with a small probability at any time, and one slow node slows all."""
    nodes, share, loss = 256, 0.002, 0.1
    slow = np.random.default_rng(0).random((20_000, nodes)) < share
    assert float(slow.any(axis=1).mean() * loss) == pytest.approx(float(slow_node_loss(nodes, share, loss)), rel=0.02)


def test_every_number_is_drawn_under_the_name_of_its_card():
    with recorded() as drawn:
        availability(get("reliability", "ascend_clusters"), 1000, 50, 0)
    assert set(drawn) == {
        f"reliability.ascend_clusters.{name}"
        for name in ("interruptions", "checkpoint", "restart", "repair", "slow_nodes", "slow_loss")
    }
    assert all(number(name) for name in drawn)
