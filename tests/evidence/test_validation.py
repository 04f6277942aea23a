import math

from wafer2token.evidence.validation import Point, Validation, group, summarise, weighted_median


def points():
    return [
        Point("a", "g", 100, 105, 90, 110, baseline=150),
        Point("b", "g", 100, 130, 120, 140, baseline=100),
        Point("c", "h", 100, skipped="no such chip"),
    ]


def test_group_statistics():
    g = summarise("all", points())
    assert (g.n, g.skipped) == (2, 1)
    assert math.isclose(g.median_ape, 0.175)
    assert (g.within_10, g.within_20, g.coverage_80) == (0.5, 0.5, 0.5)
    assert math.isclose(g.baseline_median_ape, 0.25)


def test_groups_and_document():
    groups = group(points())
    assert [g.name for g in groups] == ["all", "g", "h"]
    document = Validation("kernels", groups, tuple(points())).to_dict()
    assert [p["id"] for p in document["points"]] == ["a", "b"]
    assert document["skipped"] == [{"id": "c", "group": "h", "reason": "no such chip"}]


def test_weighted_median():
    assert weighted_median([1, 2, 3], [1, 1, 5]) == 3
