import numpy as np
import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.evidence.number import Number
from wafer2token.evidence.sampling import draw
from wafer2token.study.graph import Graph


def number(low, high, grade="vendor", source="a"):
    return Number.parse({"low": f"{low} W", "high": f"{high} W", "grade": grade, "source": [source]}, "W")


def double(power):
    """Twice the power."""
    return 2 * power


def graph():
    g = Graph(500, 7)
    g.leaf("chip.x.tdp", number(10, 20))
    g.add("compare.x.twice", "W", double, power="chip.x.tdp")
    return g


def test_equation_uses_the_same_draw_as_its_leaf():
    g = graph()
    assert (g.values["compare.x.twice"] == 2 * g.values["chip.x.tdp"]).all()


def test_engine_inputs_are_what_it_drew():
    g = graph()
    y = number(1, 2, "press", "b")
    names = g.engine("train.m", lambda: {"time": (draw(y, "chip.y.tdp", 500, 7), "s")}, "an engine")
    assert names == ["train.m.time"]
    assert g.leaves_under("train.m.time") == ["chip.y.tdp"]
    assert (g.values["chip.y.tdp"] == g.values["train.m.time"]).all()
    assert g.grade("train.m.time") == "press"
    assert g.sources("train.m.time") == ("b",)


def test_explain_is_depth_first_and_carries_the_weakest_grade():
    g = graph()
    g.leaf("chip.z.tdp", number(1, 2, "assumed"))
    g.add("total", "W", lambda a, b: a + b, "sum", a="compare.x.twice", b="chip.z.tdp")
    lines = list(g.explain("total"))
    assert [(x.depth, x.name) for x in lines] == [
        (0, "total"),
        (1, "compare.x.twice"),
        (2, "chip.x.tdp"),
        (1, "chip.z.tdp"),
    ]
    assert [x.grade for x in lines] == ["assumed", "vendor", "vendor", "assumed"]
    assert lines[1].title == "Twice the power."
    assert list(g.order()).index("chip.x.tdp") < list(g.order()).index("total")


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="compare.x.twice"):
        list(graph().explain("compare.x.twise"))
    with pytest.raises(InputError, match="chip.x.tdp"):
        graph().add("bad", "W", double, power="chip.x.tpd")


def test_two_graphs_share_draws_by_name():
    a, b = Graph(100, 1), Graph(100, 1)
    b.leaf("other", number(1, 2))
    for g in (a, b):
        g.leaf("chip.x.tdp", number(10, 20))
    assert np.array_equal(a.values["chip.x.tdp"], b.values["chip.x.tdp"])


def test_what_if_draws_are_not_inputs():
    from wafer2token.evidence.sampling import recorded, unrecorded

    with recorded() as drawn:
        draw(number(1, 2), "a", 10, 0)
        with unrecorded():
            draw(number(5, 6), "a", 10, 0)
            draw(number(5, 6), "b", 10, 0)
    assert list(drawn) == ["a"]
    assert drawn["a"].high == 2
