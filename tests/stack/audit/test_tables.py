"""Operator support, versions, effort and efficiency: tables with sources, ranges from data."""

import math

import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.stack.audit import support, versions
from wafer2token.stack.audit.efficiency import expected_efficiency, pairs, quantile
from wafer2token.stack.audit.effort import lines_added, ports
from wafer2token.stack.audit.target import target


@pytest.mark.parametrize(
    ("api", "version", "letter"),
    [
        ("torch.isin", "2.1.0.post6", "C"),
        ("torch.isin", "2.1.0.post8", "n"),
        ("torch.linalg.eigh", "2.14.0", "C"),
        ("torch.matmul", "2.14.0", "n"),
        ("torch.lgamma", "2.14.0", "C"),
        ("torch.nn.functional.relu", "2.14.0", "n"),
        ("torch.nn.Linear", "2.14.0", ""),
    ],
)
def test_interfaces_resolve_to_operators(api, version, letter):
    assert support.interface_class(api, version) == letter


def test_traced_names_resolve():
    assert support.overload("aten.add.Tensor") is support.operators()["add.Tensor"]
    assert support.overload("aten::relu.default") is support.operators()["relu"]
    assert support.overload("aten.nothing") is None


def test_versions_are_found_by_their_beginning():
    assert support.wheel("2.1.0").version == "2.1.0"
    assert support.wheel("2.1").version == "2.1.0.post17"
    assert support.wheel(None).version == "2.14.0"
    with pytest.raises(InputError, match="2.14.0"):
        support.wheel("3.0")


def test_the_tables_have_the_counts_of_their_sources():
    assert len(support.wheels()) == 22
    assert len(support.interfaces()) == 3249
    assert sum(i.on["A2"] is True for i in support.interfaces().values()) == 3057
    assert sum(i.on["950"] is True for i in support.interfaces().values()) == 1484
    assert len(support.fused()) == 452


def test_generations_follow_the_chip():
    assert [target(c).generation for c in ("ascend_910b2", "910C", "CloudMatrix384", "950DT")] == [
        "A2",
        "A3",
        "A3",
        "950",
    ]
    for limit in target("ascend_950pr").limits.values():
        assert limit.grade
        assert limit.sources


@pytest.mark.parametrize(
    ("version", "pins", "met"),
    [
        ("2.4.0.post4", [("==", "2.4.0")], True),
        ("2.4.0", [("==", "2.4.*")], True),
        ("2.10.0", [(">=", "2.9")], True),
        ("2.10.0", [("<", "2.9")], False),
        ("2.5.1", [("~=", "2.5.0")], True),
        ("2.6.0", [("~=", "2.5.0")], False),
        ("2.6.0", [(">=", "2.1"), ("!=", "2.6.0")], False),
        ("2.6.0", [(">", "2.6.0")], False),
        ("2.6.0", [("<=", "2.6")], True),
    ],
)
def test_pins(version, pins, met):
    assert versions.satisfies(version, pins) is met


def test_a_version_that_ascend_lacks_comes_with_the_lag():
    reason = versions.unmet("torch", [("==", "2.99.0")], support.wheel(None))
    assert "43-181 days" in reason
    assert "median 97" in reason
    assert "2.7.1" in versions.unmet("torch", [("==", "2.7.1")], support.wheel("2.14"))
    assert versions.unmet("torch", [(">=", "2.0")], support.wheel(None)) == ""
    assert "vllm-ascend" in versions.unmet("vllm", [(">=", "0.99")], support.wheel(None))


def test_unmet_pins_are_findings(audited):
    report = audited({"requirements.txt": "torch==2.99.0\nvllm==0.8.4\n"})
    assert [(f.rule, f.line) for f in report.findings if f.rule == "F22"] == [("F22", 1)]
    assert [(r["package"], r["met"]) for r in report.versions["required"]] == [("torch", False), ("vllm", True)]


def test_ports_carry_sources_and_the_published_sizes():
    assert {p.lines_added for p in ports()} == {5, 32, 57, 165, 241, 529, 795, 3733}
    assert all(p.sources and p.grade for p in ports())


def test_the_effort_of_exact_points_has_no_width():
    known = [(n, round(10 * (1 + n))) for n in (1, 5, 20, 100)]
    low, mid, high = lines_added(50, known)
    assert low == pytest.approx(mid)
    assert mid == pytest.approx(510)
    assert high == pytest.approx(mid)


def test_the_prediction_interval_is_students():
    known = [(3, 5), (30, 57), (40, 32), (180, 529), (150, 165)]
    low, mid, high = lines_added(100, known)
    assert low < mid < high
    assert math.log(high / mid) == pytest.approx(math.log(mid / low))


def test_efficiency_is_a_range_of_sourced_pairs(audited):
    assert all(p["grade"] and p["sources"] for p in pairs())
    assert quantile([1.0, 2.0, 4.0], 0.5) == 2.0
    plain = expected_efficiency()
    assert plain["now"]["low"] <= plain["now"]["median"] <= plain["now"]["high"]
    kernels = audited({"k.cu": "__global__ void f() {}\n"}).efficiency
    assert kernels["now"]["high"] < plain["now"]["median"]
    assert kernels["in_six_months"]["low"] > kernels["now"]["high"]
    assert kernels["software_gain_on_a_fixed_chip"]["low"] < 1 < kernels["software_gain_on_a_fixed_chip"]["high"]


def test_efficiency_follows_the_progress_curves_of_the_room(audited):
    from wafer2token.stack import progress

    kernels = audited({"k.cu": "__global__ void f() {}\n"}).efficiency
    assert set(kernels["by_workload"]) == {"dense_training", "moe_training", "reinforcement_learning", "serving"}
    for workload, curve in kernels["by_workload"].items():
        central = progress("cann", workload)
        assert curve["now"]["low"] < central.start < curve["now"]["high"]
        assert curve["now"]["median"] < curve["in_six_months"]["median"] < curve["mature"]["high"]
    assert any(row["family"] == "gemm" for row in kernels["measured"])
    assert "assumption" not in kernels["sources"]


def test_a_target_outside_the_catalogue_has_no_measured_kernels():
    assert expected_efficiency(chip="atlas_900_a3")["measured"] == []
