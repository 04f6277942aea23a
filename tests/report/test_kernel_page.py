import json
import re

import pytest
from click.testing import CliRunner

from wafer2token.chip import kernel
from wafer2token.cli.main import w2t
from wafer2token.evidence.errors import InputError
from wafer2token.report.kernel_page import kernel_page

SIZES = {"m": 64, "n": 8192, "k": 8192}


def drawn(page):
    return json.loads(re.search(r'<script type="application/json" id="w2t-data">(.*?)</script>', page, re.DOTALL)[1])


def test_the_kernel_lies_under_the_roof_of_its_chip():
    result = kernel("gemm", "h20", "h100_sxm", **SIZES)
    series = drawn(kernel_page(result))["roofline"]["series"]
    roofs = {s["name"]: [p["value"] for p in s["data"]] for s in series if s["type"] == "line"}
    points = {s["name"]: s["data"][0]["value"] for s in series if s["type"] == "scatter"}
    assert set(roofs) == set(points) == {c.name for c in result.chips}
    for name, (intensity, rate) in points.items():
        (x, slope_end), (knee, peak), _ = roofs[name]
        assert rate <= min(peak, intensity * slope_end / x) * 1.001
        assert knee == peak / (slope_end / x)


def test_a_kernel_without_arithmetic_has_no_roofline():
    page = kernel_page(kernel("memory", "h20", bytes=1e9))
    assert not drawn(page)
    assert "Figures" in page


def test_the_command_writes_the_page_and_says_where_it_cannot(tmp_path):
    words = ["kernel", "gemm", "h20", "-m", "64", "-n", "8192", "-k", "8192", "--html"]
    assert CliRunner().invoke(w2t, [*words, str(tmp_path / "page.html")]).exit_code == 0
    assert "<!doctype html>" in (tmp_path / "page.html").read_text()
    with pytest.raises(InputError, match="cannot write the page"):
        CliRunner().invoke(w2t, [*words, str(tmp_path / "missing" / "page.html")], catch_exceptions=False)
