"""Lint and strict types hold over the whole source tree."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_ruff_finds_nothing():
    done = run("ruff", "check", "--no-cache", "src", "tests", "tools", "benchmarks")
    assert done.returncode == 0, done.stdout


def test_types_are_strict(tmp_path):
    done = run("mypy", "--cache-dir", str(tmp_path))
    assert done.returncode == 0, done.stdout
