"""The verb on the command line: formats, CI mode, exit codes."""

import json

import pytest
from click.testing import CliRunner

from wafer2token.cli.audit import FOUND_NEW, command

CODE = "import cupy\nx = y.is_cuda  # w2t: ignore[A04] a reason\nz = y.cuda()\n"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "a.py").write_text(CODE)

    def call(*arguments):
        return CliRunner().invoke(command, [str(tmp_path), *arguments], standalone_mode=False)

    return call


def test_the_terminal_shows_the_verdict_first(run):
    result = run()
    assert result.exception is None
    assert "verdict: blocked" in result.stdout
    assert "E13" in result.stdout


def test_json_and_csv(run):
    document = json.loads(run("--json").stdout)
    assert document["verdict"] == "blocked"
    assert {f["rule"] for f in document["findings"]} == {"E13", "A02"}
    assert document["ignored"][0]["reason"] == "a reason"
    assert run("--csv", "--severity", "info").stdout.splitlines()[0].startswith("rule,file,line")


def test_sarif_follows_the_standard(run):
    log = json.loads(run("--sarif").stdout)
    (one,) = log["runs"]
    assert log["version"] == "2.1.0"
    rules = [r["id"] for r in one["tool"]["driver"]["rules"]]
    assert rules == sorted(rules)
    for result in one["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note", "none"}
        assert result["locations"][0]["physicalLocation"]["region"]["startLine"] >= 1
    assert [r["suppressions"][0]["justification"] for r in one["results"] if "suppressions" in r] == ["a reason"]


def test_html_is_one_file_without_network(run, tmp_path):
    where = tmp_path / "out.html"
    assert run("--html", str(where)).exception is None
    page = where.read_text()
    assert page.startswith("<!doctype html>")
    assert "<link" not in page
    assert "src=" not in page
    assert "blocked" in page


def test_a_file_name_cannot_break_the_page(tmp_path):
    (tmp_path / "<script>x.py").write_text("y.cuda()  # </script><script>alert(1)</script>\n")
    page = CliRunner().invoke(command, [str(tmp_path), "--html"], standalone_mode=False).stdout
    assert page.count("<script") == 2
    assert page.count("</script>") == 2


def test_the_build_fails_on_new_findings_only(run, tmp_path):
    assert run("--fail-on-new", "critical").return_value == FOUND_NEW
    baseline = tmp_path.parent / f"{tmp_path.name}.json"
    baseline.write_text(run("--json").stdout)
    assert run("--baseline", str(baseline), "--fail-on-new", "critical").return_value == 0
    (tmp_path / "b.py").write_text("import cupy\n")
    result = run("--baseline", str(baseline), "--fail-on-new", "critical")
    assert result.return_value == FOUND_NEW
    assert "b.py:1" in result.stderr


def test_versions_side_by_side(run, tmp_path):
    (tmp_path / "c.py").write_text("import torch\ntorch.isin(a, b)\n")
    assert "2.1.0 -> 2.14.0" in run("--diff", "2.1.0", "2.14").stdout
    assert json.loads(run("--diff", "2.1.0", "2.14", "--json").stdout)["fixed"][0]["rule"] == "D01"
