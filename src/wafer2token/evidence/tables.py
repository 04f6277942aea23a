"""Rows of a measurement table, whatever the file: CSV (also gzipped), JSON or YAML."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from wafer2token.evidence.errors import InputError, Problem


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """The rows of a table as text by column, in order; empty cells are empty text.

    Raises:
        InputError: unreadable, unknown format, or no rows.
    """
    file = Path(path)
    try:
        raw = file.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
        name = file.name.removesuffix(".gz")
        rows = _parsed(text, name)
    except (OSError, UnicodeDecodeError, ValueError, EOFError) as error:
        raise InputError(Problem(f"cannot read: {error}", str(path))) from None
    if not rows:
        raise InputError(Problem("no rows", str(path), remedy="a header line and at least one measurement"))
    return rows


def shipped_tables(package: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The measured tables in a room's ``data`` folder, by name: (stem, rows)."""
    folder = resources.files(package) / "data"
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith((".csv", ".csv.gz")):
            with resources.as_file(file) as path:
                yield file.name.split(".")[0], read_rows(path)


def _parsed(text: str, name: str) -> list[dict[str, str]]:
    if name.endswith((".json", ".yaml", ".yml")):
        document = json.loads(text) if name.endswith(".json") else _yaml(text)
        if isinstance(document, dict):
            document = next((v for v in document.values() if isinstance(v, list)), [])
        if not isinstance(document, list) or not all(isinstance(r, dict) for r in document):
            raise ValueError("not a list of rows")
        return [{str(k): _text(v) for k, v in row.items()} for row in document]
    reader = csv.DictReader(io.StringIO(text))
    if not reader.fieldnames:
        return []
    return [{k: (v or "").strip() for k, v in row.items() if k is not None} for row in reader]


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ValueError("YAML needs the package pyyaml; give CSV or JSON") from None
    return yaml.safe_load(text)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def read_entries(path: str | Path) -> list[dict[str, Any]]:
    """The list of records in a JSON or YAML file, values as they are: the document, or its first list of records."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
        document = json.loads(text) if file.name.endswith(".json") else _yaml(text)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(Problem(f"cannot read: {error}", str(path))) from None
    lists = (
        [document]
        if isinstance(document, list)
        else [v for v in document.values() if isinstance(v, list)]
        if isinstance(document, dict)
        else []
    )
    records = next((v for v in lists if v and all(isinstance(r, dict) for r in v)), None)
    if records is None:
        raise InputError(Problem("no list of records", str(path)))
    return records
