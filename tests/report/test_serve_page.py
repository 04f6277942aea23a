"""The page of a serving search: the frontier of every system, what was chosen, and the command to try."""

import json
import re

import pytest
from click.testing import CliRunner

from wafer2token.cli.main import w2t
from wafer2token.report.serve_page import serve_page, wanted_speed
from wafer2token.report.serve_run_page import in_system, serve_run_page
from wafer2token.serve import plan_serving, serve


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


def test_the_command_writes_a_search_or_a_run(tmp_path):
    file = tmp_path / "page.html"
    words = ["serve", "llama_3_1_8b", "--on", "h100_sxm", "--rate", "4", "--isl", "512", "--osl", "64", "--html", str(file)]
    done = CliRunner().invoke(w2t, [*words, "--plan", "--slo", "tpot=40ms"])
    assert done.exit_code == 0, done.output
    assert 'id="frontier"' in file.read_text("utf-8")
    assert CliRunner().invoke(w2t, [*words, "--num-prompts", "100"]).exit_code == 0
    assert 'id="latency"' in file.read_text("utf-8")
    words[-1] = str(tmp_path / "none" / "page.html")
    assert CliRunner().invoke(w2t, words).exit_code != 0


def test_a_run_is_drawn_as_distributions_and_over_time():
    result = serve("llama_3_1_8b", "h100_sxm", rate=30.0, isl=512, osl=64, num_prompts=300, slo="ttft=1s", plan="max_num_seqs=16")
    html = serve_run_page(result)
    options = json.loads(re.search(r'id="w2t-data">(.*?)</script>', html, re.S).group(1))
    first = options["latency"]["series"][0]
    shares = [d["value"][1] for d in first["data"]]
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert [d["value"][0] for d in first["data"]] == sorted(d["value"][0] for d in first["data"])
    assert first["markLine"]["data"][0]["xAxis"] == 1000.0
    running, waiting = in_system(result)
    assert max(y for _, y in running["points"]) == 16
    assert waiting["points"][-1][1] == running["points"][-1][1] == 0
    assert serve_run_page(result) == html
