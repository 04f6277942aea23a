"""The dependency graph: cut sets against brute force, the known single points of failure, circles refused."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wafer2token.catalog.kinds.step import StepCard, Supplier
from wafer2token.evidence.errors import InputError
from wafer2token.supply.dependency import Network


def step(name, suppliers=(), all_of=(), any_of=()):
    return StepCard(
        id=name, name=name, grade="assumed", source=("x",), all_of=all_of, any_of=any_of,
        suppliers=tuple(Supplier(name=s, country=c, status="in use") for s, c in suppliers),
    )  # fmt: skip


SUPPLIERS = [(f"firm {i}", country) for i, country in enumerate(("NL", "JP", "US", "CN", "KR"))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.sampled_from(SUPPLIERS), min_size=1, max_size=4), min_size=1, max_size=4), st.booleans())
def test_cut_sets_are_the_minimal_losses_that_stop_production(choices, alternative):
    steps = {f"s{i}": step(f"s{i}", sorted(suppliers)) for i, suppliers in enumerate(choices)}
    needs = {"all_of": tuple(steps)} if not alternative else {"any_of": tuple(steps)}
    network = Network(steps | {"top": step("top", **needs)}, "top")
    names = sorted({s for suppliers in choices for s, _ in suppliers})
    stopping = [frozenset(c) for n in range(1, 5) for c in combinations(names, n) if not network.works("top", frozenset(c))]
    smallest = {c for c in stopping if not any(other < c for other in stopping)}
    assert set(network.cut_sets("supplier")) == smallest


@pytest.fixture(scope="module")
def network():
    return Network()


def test_known_chokepoints(network):
    outside = network.cut_sets("country", keep=["CN"])
    assert frozenset(["NL", "stock"]) in outside
    assert frozenset(["JP"]) in outside
    assert not network.works("smic_line", frozenset(["NL"]))
    assert network.lose(["NL"]).chips
    assert not network.lose(["NL", "stock"]).chips


def test_every_cut_stops_and_nothing_smaller_does(network):
    for by in ("country", "supplier"):
        for cut in network.cut_sets(by):
            assert not network.works("ascend_chips", cut), cut
            for spared in cut:
                assert network.works("ascend_chips", cut - {spared}), cut


def test_substitutes_come_with_time(network):
    chance = network.restored(["NL", "stock"], np.array([0.0, 2.0, 5.0, 10.0, 30.0]))
    assert chance[0] == 0
    assert np.all(np.diff(chance) > 0)
    assert chance[-1] > 0.98
    assert np.all(network.restored([], np.array([1.0])) == 1)


def test_unknown_names_and_circles_are_refused(network):
    with pytest.raises(InputError, match="did you mean"):
        network.lose(["ASM"])
    with pytest.raises(InputError, match="circle"):
        Network({"a": step("a", all_of=("b",)), "b": step("b", all_of=("a",))}, "a")
    with pytest.raises(InputError, match="unknown step"):
        Network({"a": step("a", all_of=("c",))}, "a")


def test_graph_goes_from_countries_to_chips(network):
    drawn = network.to_dict()
    assert {n["kind"] for n in drawn["nodes"]} == {"country", "supplier", "step"}
    asml = next(e for e in drawn["edges"] if e["from"] == "ASML" and e["to"] == "immersion_lithography")
    assert asml["share"] == pytest.approx(0.993)
