"""One small example of every chart, as plain data."""

from datetime import date

import pytest

from wafer2token import report

QUARTERS = ["2025Q1", "2025Q2", "2025Q3"]


def comparison():
    values = {"a": (0.9, 1.0, 1.2), "b": (2.0, 2.0, 2.0), "c": None}
    metric = {"name": "peak", "unit": "FLOP/s", "values": values, "better": "higher", "grade": "vendor", "source": "s"}
    return report.side_by_side(["a", "b", "c"], [metric, {**metric, "name": "price", "unit": "USD", "better": "lower"}])


def spans():
    return [
        {"item": "H20", "start": date(2023, 11, 16), "end": date(2025, 4, 9), "status": "free", "rule": "TPP"},
        {"item": "H20", "start": date(2025, 4, 9), "end": date(2026, 1, 1), "status": "licence", "rule": "letter"},
    ]


CHARTS = {
    "sankey": lambda: report.sankey(
        [{"name": "wafers", "text": "1 k wafers"}, {"name": "dies"}, {"name": "defects", "kind": "loss"}],
        [
            {"source": "wafers", "target": "dies", "value": 60.0},
            {"source": "wafers", "target": "defects", "value": 40.0},
        ],
        unit="dies",
    ),
    "bands": lambda: report.supply_bands(
        QUARTERS,
        [1, 2, float("nan")],
        [2, 3, 4],
        [3, 4, 5],
        ["dies", "HBM", "HBM"],
        name="chips",
        unit="chips",
        marks=[("2025Q2", "rule")],
    ),
    "binding": lambda: report.binding(QUARTERS, ["dies", "HBM"], [[1.0, 0.4, 0.0], [0.0, 0.6, 1.0]]),
    "compare": comparison,
    "tornado": lambda: report.tornado(
        [{"name": "x", "low": 8.0, "high": 13.0}, {"name": "y", "low": 6.0, "high": 4.0}],
        centre=10.0,
        name="chips",
        unit="chips",
    ),
    "frontier": lambda: report.frontier(
        [{"name": "a", "points": [{"x": 10, "y": 5, "low": 4, "high": 6}, {"x": 5, "y": 9, "low": 8, "high": 10}]}],
        target=8,
    ),
    "roofline": lambda: report.roofline(
        [{"name": "a", "flops": 1e15, "bandwidth": 3e12}],
        [{"name": "gemm", "machine": "a", "intensity": 2000, "rate": 7e14}],
    ),
    "validation": lambda: report.validation(
        [{"id": "p", "group": "g", "measured": 100.0, "predicted": 110.0, "p10": 90.0, "p90": 130.0}],
        name="rate",
        unit="tokens/s",
    ),
    "timeline": lambda: report.timeline(
        ["stage 0"], [{"track": "stage 0", "start": 0.0, "end": 2.0, "name": "F0", "kind": "forward"}], unit="ms"
    ),
    "status": lambda: report.status_timeline(["H20"], spans(), marks=[(date(2025, 4, 9), "letter")]),
    "graph": lambda: report.dependencies(
        [{"id": "a", "text": "1", "grade": "press"}, {"id": "b"}, {"id": "c"}], [("a", "b"), ("b", "c"), ("a", "c")]
    ),
}


@pytest.fixture(params=sorted(CHARTS))
def chart(request):
    return CHARTS[request.param]()


@pytest.fixture
def sections():
    out = [report.Section(name, name.title(), "Some *text* & `code`.", make()) for name, make in CHARTS.items()]
    verdict = {"finding": "undetermined", "holds": 0.7, "open": 0.2}
    claims = report.claims_table([{"claim": "x </script> y", "sense": "peak", **verdict, "grade": "press"}])
    return [*out, report.Section("claims", "Claims", table=claims)]
