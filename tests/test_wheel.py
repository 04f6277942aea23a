"""The wheel holds all that the commands need."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    assert wheel.stat().st_size < 8e6
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def w2t(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, "-m", "wafer2token", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=installed,
        check=False,
    )


def test_every_file_of_the_package_is_in_the_wheel(installed):
    source = ROOT / "src"
    wanted = {
        p.relative_to(source)
        for p in (source / "wafer2token").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert {p for p in wanted if not (installed / p).is_file()} == set()


@pytest.mark.parametrize(
    "arguments",
    [("show", "ascend_910c"), ("list", "system"), ("compare", "h20", "910C", "--samples", "50")],
    ids=" ".join,
)
def test_the_wheel_alone_answers(installed, arguments):
    done = w2t(installed, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_bad_input_exits_with_two(installed):
    done = w2t(installed, "show", "ascend_910cc")
    assert done.returncode == 2
    assert "ascend_910c" in done.stderr
