"""The examples of docs/controls.md give what they show."""

import doctest
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from wafer2token.cli.main import w2t

PAGE = (Path(__file__).parents[2] / "docs" / "controls.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"```console\n\$ w2t (.*?)\n(.*?)```", PAGE, re.S)


@pytest.fixture
def files(tmp_path, monkeypatch):
    for text in re.findall(r"```toml\n(.*?)```", PAGE, re.S):
        name = re.match(r"# (\S+)\n", text).group(1)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def plain(text):
    return [line.rstrip() for line in text.strip().splitlines()]


@pytest.mark.parametrize(("command", "shown"), CONSOLE, ids=[c for c, _ in CONSOLE])
@pytest.mark.usefixtures("files")
def test_console(command, shown):
    done = CliRunner().invoke(w2t, shlex.split(command))
    assert done.exit_code == 0, done.output
    assert plain(done.output) == plain(shown)


@pytest.mark.parametrize("block", re.findall(r"```pycon\n(.*?)```", PAGE, re.S), ids=lambda b: b.split("\n")[0])
def test_python(block):
    example = doctest.DocTestParser().get_doctest(block, {}, "docs/controls.md", None, None)
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(example)
    assert runner.failures == 0
