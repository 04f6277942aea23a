"""Fixtures that every room's tests share."""

import os
from pathlib import Path

import pytest

os.environ["PYTHONPATH"] = os.pathsep.join(
    p for p in (str(Path(__file__).parent.parent / "src"), os.environ.get("PYTHONPATH", "")) if p
)


@pytest.fixture
def broken() -> Path:
    """The folder of input files that must be refused, one per mistake."""
    return Path(__file__).parent / "data" / "broken"
