"""The page of a serving search: the frontier of every system, what was chosen, and the command to try."""

import json
import re

import pytest
from click.testing import CliRunner

from wafer2token.cli.main import w2t
from wafer2token.report.serve_page import serve_page, wanted_speed
from wafer2token.serve import plan_serving


@pytest.fixture(scope="module")
def search():
    return plan_serving("llama_3_1_8b", "h100_sxm", rate=4.0, isl=512, osl=64, slo="tpot=40ms")


def test_the_frontier_is_drawn_with_the_wanted_speed(search):
    html = serve_page([search], [("h20", "no configuration meets tpot=1ms")])
    option = json.loads(re.search(r'id="w2t-data">(.*?)</script>', html, re.S).group(1))["frontier"]
    line = option["series"][0]
    assert len(line["data"]) == len(search.frontier)
    assert line["markLine"]["data"] == [{"xAxis": pytest.approx(25.0)}]
    assert wanted_speed(search) == pytest.approx(25.0)
    assert "no configuration meets" in html
    assert "vllm serve" in html
    assert serve_page([search], [("h20", "no configuration meets tpot=1ms")]) == html


def test_the_command_writes_it_and_refuses_it_without_a_search(tmp_path):
    file = tmp_path / "page.html"
    words = ["serve", "llama_3_1_8b", "--on", "h100_sxm", "--rate", "4", "--isl", "512", "--osl", "64", "--html", str(file)]
    done = CliRunner().invoke(w2t, [*words, "--plan", "--slo", "tpot=40ms"])
    assert done.exit_code == 0, done.output
    assert 'id="frontier"' in file.read_text("utf-8")
    assert CliRunner().invoke(w2t, words).exit_code == 2
