"""The documents say what the program does."""

import re
import runpy
from pathlib import Path

import pytest

from wafer2token.cli.main import VERBS

ROOT = Path(__file__).parent.parent.parent


def test_the_command_reference_is_current():
    reference = runpy.run_path(str(ROOT / "tools" / "cli_reference.py"))["reference"]
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == reference(), "python tools/cli_reference.py"


def test_ci_runs_the_test_command_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"```sh\n(.*?)```", readme, re.S)[0].strip().splitlines()
    run = next(line for line in commands if "pytest" in line)
    assert run in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_links_inside_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_verb_stands_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [v for v in VERBS if f"w2t {v}" not in readme] == []


def test_no_place_of_a_machine_stands_in_the_repository():
    tracked = [
        p
        for d in ("src", "docs", "tools", "tests", "benchmarks")
        for p in (ROOT / d).rglob("*")
        if p.suffix in {".py", ".md", ".toml", ".txt"}
    ]
    forbidden = ("/" + "work/", "/" + "root/", "index-" + "url")
    assert [
        str(p) for p in tracked if any(f in p.read_text(encoding="utf-8", errors="ignore") for f in forbidden)
    ] == []
