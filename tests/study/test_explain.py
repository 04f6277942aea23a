"""A run folder that is missing or broken is told in one message."""

import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.study.explain import explain

FOLDERS = {
    "no graph": ({"run.json": "{}"}, "holds no graph.json"),
    "broken graph": ({"run.json": "{}", "graph.json": "{bad"}, "graph.json:1"),
    "a list": ({"run.json": "{}", "graph.json": "[]"}, "not a table of keys"),
    "an empty manifest": ({"run.json": "{}", "graph.json": "{}"}, "no version, data_fingerprint, seed in the manifest"),
    "no manifest": ({"graph.json": "{}"}, "holds no run.json"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_broken_run_folders(tmp_path, name):
    files, message = FOLDERS[name]
    for file, content in files.items():
        (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        explain("compare.h20.power", str(tmp_path))
    assert len(str(caught.value).splitlines()) == 1


def test_no_run_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no run here yet"):
        explain()
