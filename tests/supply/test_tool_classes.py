"""Tool classes in the run: wafers are the least of the claim and of the tools; more tools never fewer wafers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wafer2token.fab.capacity import ToolClass
from wafer2token.supply import Timeline, read_inputs, supply
from wafer2token.supply.engine import split_wafers
from wafer2token.supply.gates import verdicts
from wafer2token.supply.timeline import QUARTER_S
from wafer2token.supply.tools import CLASSES, COMPANIONS, LINES, claimed_wafers, companions, makers, tool_limits

LINE = Timeline.until("2028Q4")
CUTS = ("dutch_service", "american_service", "japanese_service", "tool_service")


def limits(samples=300, **changes):
    return tool_limits(read_inputs(LINE, samples, 0, changes))


def made(inputs):
    return sum(flow for use, flow in split_wafers(inputs).items() if use != "unmade")


@pytest.mark.parametrize("step", COMPANIONS.values())
def test_makers_of_a_class_add_up(step):
    parts = makers(step)
    assert sum(parts.values()) == pytest.approx(1.0)
    assert min(parts.values()) >= 0


def test_makers_follow_the_published_shares():
    assert makers("overlay_metrology")["US"] == pytest.approx(0.515)
    assert makers("overlay_metrology")["NL"] == pytest.approx(0.479)
    assert makers("dry_etch")["US"] == pytest.approx(0.411 + 0.174)
    assert makers("cmp")["US"] == makers("cmp")["JP"] == pytest.approx((1 - 0.126) / 2)


def test_claims_hold_in_the_middle_while_makers_serve():
    found = limits(2000)
    assert found.binds.mean(axis=0).max() < 0.1
    for name in COMPANIONS:
        assert found.share(name).max() == 0
        assert np.all(found.carried[name] >= found.claimed * (1 - 1e-9))


@pytest.mark.parametrize(
    ("cut", "classes"),
    [("dutch_service", {"deposition", "metrology"}), ("american_service", {"etch", "metrology", "cmp"}), ("japanese_service", {"track"})],
)
def test_a_cut_of_service_binds_through_the_tools_of_that_country(cut, classes):
    found = limits(1000, **{f"{cut}@2026-01": 0})
    history = LINE.history
    assert not np.any(found.binds[:, history : history + 7] & (found.least[:, history : history + 7] > 0))
    assert found.binds[:, -1].mean() > 0.5
    most = max(CLASSES, key=lambda name: float(found.share(name)[-1]))
    assert most in classes
    assert np.median(found.made[:, -1]) < 1


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(CUTS), st.floats(0, 1), st.floats(0.01, 0.5), st.floats(0, 1))
def test_wafers_are_conserved_and_the_least_of_claim_and_tools(seed, cut, level, share, home):
    changes = {f"{cut}@2025-05": level, "immersion_share": share, "domestic_tool_share": home}
    inputs = read_inputs(LINE, 30, seed, changes)
    found, flows = tool_limits(inputs), split_wafers(inputs)
    claimed = sum(inputs.all(name) for name in LINES) * QUARTER_S
    assert np.abs(sum(flows.values()) - claimed).max() < 1e-3
    assert min(flow.min() for flow in flows.values()) > -1e-9
    assert made(inputs) == pytest.approx(np.minimum(claimed, found.limit * 3), rel=1e-9, abs=1e-6)


MORE = ("immersion_fleet", "immersion_share", "domestic_immersion", "domestic_tool_share", "tool_resourcing", "headroom_track",
        "headroom_etch", "headroom_deposition", "headroom_cmp", "headroom_metrology", "dutch_service", "american_service")  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(MORE), st.floats(1, 3), st.sampled_from(CUTS))
def test_more_tools_never_make_fewer_wafers(seed, name, factor, cut):
    inputs = read_inputs(LINE, 20, seed, {f"{cut}@2025-05": 0.3, "immersion_share": 0.05})
    more = inputs.with_values({name: inputs.values[name] * factor})
    assert np.all(made(more) >= made(inputs) - 1e-6)


def test_scanners_arrive_as_far_as_rules_and_licences_let_them():
    plain, shut = limits(100), limits(100, **{"scanner_licence@2026-01": 0})
    history = LINE.history
    assert np.array_equal(shut.tools["lithography"][:, : history + 8], plain.tools["lithography"][:, : history + 8])
    assert np.all(shut.tools["lithography"][:, -1] < plain.tools["lithography"][:, -1])
    assert verdicts("nxt1980di", "NL")[-1].verdict == "licence"
    home = limits(100, **{"scanner_licence@2026-01": 0, "domestic_immersion": "0 tool/year"})
    assert np.ptp(home.tools["lithography"][:, history + 8 :], axis=1).max() == pytest.approx(0, abs=1e-9)


def test_tools_counted_carry_what_is_said():
    inputs = read_inputs(LINE, 50, 0, {"american_service@2026-01": 0})
    found = limits(50, **{"american_service@2026-01": 0})
    etch = companions(inputs, "etch", claimed_wafers(inputs))
    assert isinstance(etch, ToolClass)
    assert etch.wafers_per_month() == pytest.approx(found.carried["etch"])
    assert found.tools["etch"] == pytest.approx(etch.tools)


def test_a_run_says_which_class_holds_the_dies_back():
    result = supply("no_foreign_service", samples=400)
    held = sum(result.dies_held_by.values())
    assert np.all(held <= result.binding_share["dies"] + 1e-12)
    assert held[-1] > 0.1
    assert result["wafers.unmade"][:, -1].min() > 0
    assert set(result.to_dict()["dies_held_by"]) == set(CLASSES)
    assert np.array_equal(supply(samples=50)["wafers.unmade"][:, :4], np.zeros((50, 4)))
