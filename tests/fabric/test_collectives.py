"""Laws of collectives and of expert exchange."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wafer2token.evidence.errors import InfeasibleError, InputError
from wafer2token.fabric import collective, collective_time, combine_time, dispatch_time, fabric

SYSTEMS = ("dgx_a100", "dgx_h100", "dgx_b200", "gb200_nvl72", "cloudmatrix384", "atlas_800t_a2", "hgx_h20", "h800_sxm")
FABRICS = {name: fabric(name) for name in SYSTEMS}
systems = st.sampled_from(SYSTEMS)
ops = st.sampled_from(["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "p2p"])
laws = settings(max_examples=80, deadline=None)


@laws
@given(name=systems, op=ops, size=st.floats(0, 1e10), more=st.floats(0, 1e10), ranks=st.integers(1, 256))
def test_a_larger_message_is_never_faster(name, op, size, more, ranks):
    fab = FABRICS[name]
    assert collective_time(fab, op, size + more, ranks) >= collective_time(fab, op, size, ranks) * (1 - 1e-12)


@laws
@given(name=systems, size=st.floats(1, 1e10), ranks=st.integers(2, 8))
def test_an_all_reduce_is_a_reduce_scatter_and_an_all_gather_with_one_launch_less(name, size, ranks):
    """A ring costs exactly that where nothing is fused and the switch does not reduce, and never more."""
    fab = FABRICS[name]
    parts = collective_time(fab, "reduce_scatter", size, ranks) + collective_time(fab, "all_gather", size, ranks)
    whole = collective_time(fab, "all_reduce", size, ranks)
    launch = fab.scale_up.fit.launch
    assert whole <= parts - launch + 1e-12
    if fab.scale_up.fit.fused == 1.0 and ranks < fab.scale_up.fit.switch_ranks:
        assert float(whole) == pytest.approx(float(parts) - launch)


@laws
@given(name=systems, size=st.floats(1e3, 1e10), ranks=st.integers(2, 8))
def test_no_collective_beats_the_links(name, size, ranks):
    fab = FABRICS[name]
    for op in ("all_gather", "reduce_scatter", "all_to_all"):
        assert size * (ranks - 1) / ranks / collective_time(fab, op, size, ranks) <= fab.scale_up.bandwidth * (
            1 + 1e-12
        )
    assert size / collective_time(fab, "p2p", size, 2) <= fab.scale_up.bandwidth


@laws
@given(name=systems, tokens=st.floats(0, 4096), more=st.floats(0, 4096), ep=st.integers(1, 320), skew=st.floats(1, 4))
def test_expert_exchange_grows_with_tokens_and_imbalance(name, tokens, more, ep, skew):
    fab = FABRICS[name]
    for exchange in (dispatch_time, combine_time):
        base = exchange(fab, tokens, 7168, 8, ep)
        assert exchange(fab, tokens + more, 7168, 8, ep) >= base * (1 - 1e-12)
        assert exchange(fab, tokens, 7168, 8, ep, imbalance=skew) >= base * (1 - 1e-12)


def test_one_rank_needs_no_time():
    assert (collective_time(FABRICS["dgx_h100"], "all_reduce", [1.0, 1e9], 1) == 0).all()


def test_the_switch_beats_the_ring_on_large_messages():
    fab = FABRICS["dgx_h100"]
    ring = collective_time(fab, "reduce_scatter", 1e9, 8) + collective_time(fab, "all_gather", 1e9, 8)
    assert collective_time(fab, "all_reduce", 1e9, 8) < 0.85 * ring


def test_crossing_domains_costs_the_network():
    fab = FABRICS["dgx_h100"]
    inside, across = collective_time(fab, "all_reduce", 1e9, np.array([8, 16]))
    assert across > inside
    thin = fabric("dgx_h100", oversubscription=4.0)
    assert collective_time(thin, "all_reduce", 1e9, 16) > collective_time(fab, "all_reduce", 1e9, 16)
    supernode = FABRICS["cloudmatrix384"]
    assert collective_time(supernode, "all_to_all", 1e9, 256) < collective_time(fab, "all_to_all", 1e9, 256)


def test_concurrent_traffic_shares_the_links():
    fab = FABRICS["cloudmatrix384"]
    assert collective_time(fab.shared(2), "all_gather", 1e10, 64) == pytest.approx(
        2 * collective_time(fab, "all_gather", 1e10, 64), rel=0.01
    )


def test_a_die_has_its_share_of_the_links():
    chip, die = FABRICS["cloudmatrix384"], fabric("cloudmatrix384", per="die")
    assert die.scale_up.bandwidth == chip.scale_up.bandwidth / 2
    assert die.ranks == 2 * chip.ranks


def test_samples_lead():
    fab = fabric("cloudmatrix384", samples=100, seed=1)
    assert collective_time(fab, "all_reduce", [1e6, 1e9], 8).shape == (100, 2)


def test_published_exchange_latencies_come_back():
    """CloudMatrix 384 and DeepEP on H800, 128 tokens a rank (calibrated on them: a check of the plumbing)."""
    die = fabric("cloudmatrix384", per="die")
    assert float(dispatch_time(die, 128, 7168, 8, 256)) == pytest.approx(152e-6, rel=0.1)
    assert float(combine_time(die, 128, 7168, 8, 256)) == pytest.approx(149e-6, rel=0.1)
    assert float(dispatch_time(fabric("hgx_h800"), 128, 7168, 8, 64)) == pytest.approx(186e-6, rel=0.1)


def test_what_the_topology_cannot_hold():
    with pytest.raises(InfeasibleError, match="do not fit one scale-up domain"):
        collective_time(FABRICS["dgx_h100"], "all_reduce", 1e9, 16, span="scale_up")
    with pytest.raises(InfeasibleError, match="holds 8 ranks, not 64"):
        collective("all_reduce", "dgx_h100", 1e9, 64)
    assert collective("all_reduce", "dgx_h100", 1e9, 64, systems=8).systems[0].span == "scale_up + scale_out"


def test_bad_requests_are_said_plainly():
    fab = FABRICS["dgx_h100"]
    with pytest.raises(InputError, match="did you mean 'all_reduce'"):
        collective_time(fab, "all_reduse", 1e9, 8)
    with pytest.raises(InputError, match="ranks"):
        collective_time(fab, "all_reduce", 1e9, 0)
    with pytest.raises(InputError, match="bytes"):
        collective_time(fab, "all_reduce", -1.0, 8)
    with pytest.raises(InputError) as caught:
        collective("all_reduce", "dgx_h100", 0, 1, oversubscription=0.5)
    assert len(caught.value.problems) == 3
