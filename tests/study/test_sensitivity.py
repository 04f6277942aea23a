import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from wafer2token.evidence.number import Number
from wafer2token.study.graph import Graph
from wafer2token.study.sensitivity import chance_correlation, explained, rank_correlation, tornado


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=40))
def test_rank_correlation_agrees_with_scipy(pairs):
    a, b = (np.array(x, dtype=float) for x in zip(*pairs, strict=True))
    if a.std() == 0 or b.std() == 0:
        assert rank_correlation(a, b) == 0
    else:
        assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)


def test_tornado_ranks_the_driver_first():
    g = Graph(2000, 0)
    for name, high in (("a", 2.0), ("b", 10.0)):
        g.leaf(name, Number.parse({"low": 1, "high": high, "grade": "press", "source": "s"}, "1"))
    g.leaf("fixed", Number.parse({"value": 3, "grade": "press", "source": "s"}, "1"))
    g.add("out", "1", lambda a, b, c: a + b + c, "sum", a="a", b="b", c="fixed")
    drivers = tornado(g, "out")
    assert [d.name for d in drivers] == ["b", "a"]
    assert drivers[0].low < drivers[0].high


def test_a_number_that_moves_nothing_is_no_driver():
    g = Graph(500, 1)
    for i in range(20):
        g.leaf(f"n{i}", Number.parse({"low": 1, "high": 2, "grade": "press", "source": "s"}, "1"))
    g.add("out", "1", lambda n0, **_: n0**3, "only the first matters", **{f"n{i}": f"n{i}" for i in range(20)})
    drivers = tornado(g, "out")
    assert [d.name for d in drivers] == ["n0"]
    assert explained(drivers) == pytest.approx(1)
    assert chance_correlation(500) == pytest.approx(3 / 499**0.5)
