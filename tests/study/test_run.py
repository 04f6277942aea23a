"""A run without the heavy engines: supply, comparison and the claims that need no more."""

import json

import numpy as np
import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.report.save import save
from wafer2token.study.compare import compare
from wafer2token.study.explain import explain
from wafer2token.study.run import run
from wafer2token.study.scenario import Scenario

SMALL = Scenario.model_validate(
    {
        "name": "small",
        "samples": 200,
        "seed": 5,
        "compare": [["cloudmatrix384", "gb200_nvl72"], ["910C", "H20"]],
        "claims": ["S1-010", "S2-011", "S4-019", "S0-043", "S0-013", "S2-026", "S4-038", "S4-003"],
        "supply": {"until": "2027Q4"},
    }
)


@pytest.fixture(scope="module")
def result():
    return run(SMALL)


def test_every_claim_asked_for_has_a_verdict(result):
    assert {v.claim for v in result.verdicts} == set(SMALL.claims)
    assert not result.problems


def test_cloudmatrix_wins_at_peak_and_loses_per_watt_and_per_dollar(result):
    senses = {v.sense: v.finding for v in result.verdicts if v.claim == "S2-011"}
    assert senses["peak dense bf16, whole system"] == "supported"
    assert senses["memory, whole system"] == "supported"
    assert senses["peak bf16 per watt, whole system"] == "contradicted"
    assert senses["price per peak PFLOP/s, whole system"] == "contradicted"


def test_percentiles_are_ordered_and_graded(result):
    for r in result.rows:
        assert r.p5 <= r.p50 <= r.p95, r
        assert r.grade in ("measured", "teardown", "vendor", "analyst", "press", "assumed")


def test_same_seed_same_bytes_whatever_the_workers(result, tmp_path):
    one = save(result, tmp_path / "one")
    two = save(run(SMALL, workers=2), tmp_path / "two")
    assert {p.name for p in one.iterdir()} == {
        "run.json", "summary.json", "summary.csv", "series.parquet", "graph.json", "sources.bib", "report.html",
    }  # fmt: skip
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes(), path.name


def test_another_seed_gives_another_answer(result):
    other = run(SMALL.model_copy(update={"seed": 6, "compare": (), "claims": "none"}))
    assert not np.array_equal(other.graph.values["supply.units_2025"], result.graph.values["supply.units_2025"])


def test_the_folder_explains_its_results(result, tmp_path):
    folder = save(result, tmp_path / "r")
    tree = explain("compare.cloudmatrix384.usd_per_effective", str(folder))
    names = [line.name for line in tree.lines]
    assert names[0] == "compare.cloudmatrix384.usd_per_effective"
    assert "chip.ascend_910c.peak.bf16" in names
    assert "study.economics.energy_price" in names
    assert tree.sources
    with pytest.raises(InputError, match="compare.cloudmatrix384.price"):
        explain("compare.cloudmatrix384.prise", str(folder))
    assert "supply.units_2025" in explain(None, str(folder)).results


def test_manifest_identifies_the_run(result, tmp_path):
    manifest = json.loads((save(result, tmp_path / "r") / "run.json").read_text())
    assert manifest["seed"] == 5
    assert len(manifest["data_fingerprint"]) == 64
    assert Scenario.model_validate(manifest["scenario"]) == SMALL


def test_save_refuses_what_is_no_run_folder(result, tmp_path):
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(InputError, match="will not overwrite"):
        save(result, tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "x"


def test_an_override_moves_what_stands_on_it(result):
    half = run(SMALL.model_copy(update={"settings": {"chip.h20.tdp": "200 W"}, "supply": None, "claims": "none"}))
    before, after = (r.graph.values["compare.h20.power"] for r in (result, half))
    assert (after == 200).all()
    assert (before > 200).all()


def test_compare_is_reciprocal():
    there, back = compare("h20", "h100_sxm", samples=100), compare("h100_sxm", "h20", samples=100)
    for left, right in zip(there.sides, back.sides, strict=True):
        if left.ratio and right.ratio and left.ratio[1]:
            assert left.ratio[1] == pytest.approx(1 / right.ratio[1], rel=0.02)


def test_compare_names_the_nearest():
    with pytest.raises(InputError, match="ascend_910c"):
        compare("ascend_910cc", "h20")


def test_a_thing_is_not_compared_with_itself():
    with pytest.raises(InputError, match="with itself"):
        compare("910C", "ascend_910c")
