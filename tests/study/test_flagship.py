"""The flagship claims: what a verdict counts, with the grade that it deserves."""

import numpy as np
import pytest

from wafer2token import catalog
from wafer2token.evidence.errors import EvidenceError
from wafer2token.study import flagship, flagship_chain
from wafer2token.study.claims import EXECUTABLE
from wafer2token.study.graph import Graph

YEAR_S = 365.25 * 86400


def test_every_flagship_card_is_executable_and_every_test_has_its_card():
    flagged = {c.id.upper().replace("_", "-") for c in catalog.all_cards("claim").values() if c.flagship is not None}
    assert set(EXECUTABLE) <= {c.id.upper().replace("_", "-") for c in catalog.all_cards("claim").values()}
    assert len(flagged & set(EXECUTABLE)) >= 10


def test_no_published_yield_is_confirmed_and_the_verdict_is_no_better_graded_than_its_cards():
    (verdict,) = flagship.graded_yields(Graph(50, 0))
    assert verdict.finding == "supported"
    assert verdict.p50 == 0
    assert verdict.grade == "assumed"


def test_power_per_operation_is_the_ratio_of_the_datasheets():
    graph = Graph(200, 0)
    size, direction = flagship.power_per_flop(graph)
    a, h = catalog.get("chip", "ascend_910b3"), catalog.get("chip", "h100_sxm")
    by_hand = (float(a.tdp) / float(a.peak["bf16"])) / (float(h.tdp) / float(h.peak["bf16"]))
    assert size.p50 == pytest.approx(by_hand, rel=0.1)
    assert direction.probability == 1


def test_gaps_are_years_in_seconds():
    for verdict in (*flagship.chip_gap(Graph(50, 0)), *flagship.node_gap(Graph(50, 0))):
        assert verdict.unit == "year"
        assert 0.5 < verdict.p50 / YEAR_S < 10
        assert verdict.conditions


def test_stages_that_bind_are_counted_in_each_sample():
    graph = Graph(4, 0)
    graph.engine("supply", lambda: {"stages_binding": (np.array([1.0, 2, 2, 3]), "1")}, "supply")
    details = {"supply": {"binding_share": {"assembly": [1.0, 0.25], "hbm": [0.0, 0.75]}}}
    (verdict,) = flagship_chain.what_binds(graph, details)
    assert verdict.probability == 0.75
    assert verdict.finding == "undetermined"
    assert "assembly 100%, hbm 75%" in verdict.conditions


def test_what_a_scenario_does_not_run_is_said():
    for test in flagship_chain.TESTS.values():
        with pytest.raises(EvidenceError):
            test(Graph(20, 0), {})
