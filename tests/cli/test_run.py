"""The commands of the study as a user types them, on a scenario without the heavy engines."""

import json
import os
import subprocess
import sys

import pytest

SCENARIO = """
name = "tiny"
samples = 60
seed = 3
compare = [["ascend_910c", "h20"]]
claims = ["S1-010", "S4-003"]

[supply]
until = "2026Q4"
"""


def w2t(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "wafer2token", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "my.toml").write_text(SCENARIO)
    code, out, err = w2t("run", "my.toml", cwd=folder)
    assert code == 0, err
    (folder / "out.txt").write_text(out)
    (folder / "err.txt").write_text(err)
    return folder


def test_run_prints_tables_that_fit_and_leaves_a_folder(place):
    out = (place / "out.txt").read_text()
    assert max(map(len, out.splitlines())) <= 100
    assert "2026Q4" in out
    assert "ascend_910c against h20" in out
    assert "runs/tiny/report.html" in (place / "err.txt").read_text()
    assert (place / "runs" / "tiny" / "report.html").is_file()


def test_json_is_the_summary(place):
    code, out, _ = w2t("run", "my.toml", "--json", cwd=place)
    assert code == 0
    assert json.loads(out) == json.loads((place / "runs" / "tiny" / "summary.json").read_text())


def test_explain_reads_the_latest_run(place):
    code, out, _ = w2t("explain", "compare.h20.flops_per_watt", cwd=place)
    assert code == 0
    assert "chip.h20.tdp" in out
    code, out, _ = w2t("explain", "compare.h20.flops_per_watt", "--bib", cwd=place)
    assert code == 0
    assert out.startswith("@")


def test_settings_win_over_the_file(place):
    code, out, _ = w2t("run", "my.toml", "--set", "chip.h20.tdp=500 W", "--samples", "50", "--print-config", cwd=place)
    assert code == 0
    config = json.loads(out)
    assert config["samples"] == 50
    assert config["set"] == {"chip.h20.tdp": "500 W"}


def test_every_mistake_at_once_and_nothing_written(place):
    (place / "bad.toml").write_text('name = "bad"\ncolour = 1\ncompare = [["h2o", "h20"]]\n')
    code, out, err = w2t("run", "bad.toml", cwd=place)
    assert code == 2
    assert out == ""
    assert "bad.toml:2 $.colour" in err
    assert not (place / "runs" / "bad").exists()


def test_a_place_that_holds_something_else_is_refused_before_the_work(place):
    (place / "taken").write_text("mine")
    (place / "full").mkdir()
    (place / "full" / "mine").write_text("mine")
    for out_place in ("taken", "full", "taken/below"):
        code, out, err = w2t("run", "my.toml", "--out", out_place, cwd=place)
        assert code == 2
        assert out == ""
        assert out_place in err
        assert "give another --out" in err
    assert (place / "taken").read_text() == "mine"
    assert [p.name for p in (place / "full").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", "h20", "910C", "--samples", "50", "--json"),
        ("explain", "compare.h20.flops_per_watt", "--json"),
        ("claims", "S1-010", "--samples", "50", "--json"),
        ("allow", "h20", "--to", "CN", "--on", "2025-04-15", "--json"),
        ("show", "h20", "--json"),
    ],
    ids=lambda a: a[0],
)
def test_every_answer_names_the_data_it_stands_on(place, arguments):
    from wafer2token import __version__, catalog

    code, out, err = w2t(*arguments, cwd=place)
    assert code == 0, err
    document = json.loads(out)
    assert (document["version"], document["data_fingerprint"]) == (__version__, catalog.fingerprint())


def test_claims_show_the_documents_and_their_errors(place):
    code, out, _ = w2t("claims", "--all", "--json", cwd=place)
    assert code == 0
    assert len(json.loads(out)) == 217
    code, out, _ = w2t("claims", "--errors", cwd=place)
    assert code == 0
    assert "A800/H800" in out


def test_claims_with_a_verdict(place):
    code, out, _ = w2t("claims", "S2-011", "--samples", "50", "--json", cwd=place)
    assert code == 0
    assert {v["claim"] for v in json.loads(out)["verdicts"]} == {"S2-011"}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("claims", "S9-999"), "unknown claim"),
        (("compar", "a", "b"), "Did you mean compare"),
        (("compare", "h20"), "B"),
    ],
)
def test_usage_errors_exit_with_two(place, arguments, part):
    code, _, err = w2t(*arguments, cwd=place)
    assert code == 2
    assert part in err
