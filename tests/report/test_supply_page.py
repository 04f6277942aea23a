"""The page of a supply run: every chart is there, nothing is fetched, the same run gives the same bytes."""

import json
import re

import pytest

from wafer2token.report.supply_page import netted, supply_page
from wafer2token.supply import supply
from wafer2token.supply.flows import silicon


@pytest.fixture(scope="module")
def run():
    return supply(samples=300)


@pytest.fixture(scope="module")
def html(run):
    return supply_page(run)


def test_every_part_is_there(html):
    for anchor in ("chips", "binds", "flow-2025-dies", "drivers-2028", "statements", "losses", "suppliers", "fleet-owner", "inputs"):
        assert f'id="{anchor}"' in html, anchor
    charts = json.loads(re.search(r'id="w2t-data">(.*?)</script>', html, re.S).group(1))
    kinds = {series["type"] for option in charts.values() for series in option["series"]}
    assert {"sankey", "heatmap", "graph", "custom"} <= kinds


def test_it_says_what_it_is_and_what_it_rests_on(html):
    assert "prior predictive" in html
    assert "rests on assumed assembly_starts" in html
    assert "http://" not in re.sub(r"https?://[^\s\"'<)]+", "", html)


def test_same_run_same_bytes(run, html):
    assert supply_page(run) == html


def test_nothing_runs_in_a_circle(run):
    links = netted(silicon(run, 2026))
    assert not {"won back"} & {n for link in links for n in (link.source, link.target)}
    into = sum(link.value for link in links if link.target == "packaging")
    out = sum(link.value for link in links if link.source == "packaging")
    assert into == pytest.approx(out, abs=2)


def test_a_short_run_and_a_posterior_have_a_page_too():
    assert "posterior given" in supply_page(supply(samples=400, until="2026Q4", given=("cloudmatrix_300",)))
    assert "Dependencies" in supply_page(supply(samples=50, until="2024Q4"))
