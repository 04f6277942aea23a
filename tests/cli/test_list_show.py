"""``w2t list`` and ``w2t show`` as a user meets them."""

import csv
import io
import json
import subprocess
import sys

import pytest


def w2t(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "wafer2token", *arguments], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize(
    "arguments",
    [("show", "910C"), ("show", "ascend_units_2025"), ("show", "S0-020"), ("show", "cloudmatrix384"), ("show", "catch"),
     ("list",), ("list", "chip"), ("list", "system"), ("list", "claim"), ("list", "--grep", "yield")],
    ids=" ".join,
)  # fmt: skip
def test_pages_fit_a_terminal(arguments):
    lines = w2t(*arguments).stdout.splitlines()
    long = [line for line in lines if len(line.rstrip()) > 100 and "://" not in line]
    assert lines
    assert long == []


def test_show_page():
    page = w2t("show", "910C").stdout
    for words in (
        "60%  707.8 TFLOP/s",
        "TechInsights teardown",
        "* from memory",
        "https://arxiv.org/abs/2506.12708",
        "[1] ",
    ):
        assert words in page


def test_show_for_programs():
    document = json.loads(w2t("show", "h100_sxm", "--json").stdout)
    peak = next(line for line in document["lines"] if line["path"] == "peak.bf16")
    assert (peak["mid"], peak["unit"], peak["grade"], peak["sources"]) == (989e12, "FLOP/s", "vendor", ["stas"])
    rows = list(csv.DictReader(io.StringIO(w2t("show", "h100_sxm", "--csv").stdout)))
    assert float(next(r for r in rows if r["path"] == "tdp")["mid"]) == 700
    assert w2t("show", "h100_sxm", "--bibtex").stdout.startswith("@misc{")


def test_list_for_programs():
    document = json.loads(w2t("list", "system", "--json").stdout)
    assert len(document["cards"]) == 30
    rows = list(csv.DictReader(io.StringIO(w2t("list", "chip", "--csv").stdout)))
    assert float(next(r for r in rows if r["id"] == "h20")["memory [B]"]) == 96e9


def test_wrong_names_are_usage_errors_on_stderr():
    done = w2t("show", "h100_smx", code=2)
    assert done.stdout == ""
    assert "h100_sxm" in done.stderr
    assert "chip" in w2t("list", "chipz", code=2).stderr


def test_show_and_list_load_nothing_heavy():
    script = (
        "import sys\nfrom wafer2token.cli.main import w2t\n"
        "w2t.main(['show', '910C'], standalone_mode=False)\nw2t.main(['list', '--json'], standalone_mode=False)\n"
        "print('MODULES', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rsplit("MODULES ", 1)[1].split())
    assert not loaded & {"numpy", "scipy", "numba", "pyarrow", "pandas", "rich.console"}
