"""The folder that a run leaves: manifest, summary, series, graph, bibliography, report. Written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wafer2token.evidence.errors import InputError, Problem
from wafer2token.evidence.plain import plain

MANIFEST = "run.json"


def check_place(folder: str | Path) -> Path:
    """The folder as a path, if a run may be written there.

    Raises:
        InputError: it exists and is not the folder of a run, or stands under a file.
    """
    target = Path(folder)
    if target.exists() and not (target / MANIFEST).is_file() and any(target.iterdir() if target.is_dir() else [target]):
        raise InputError(
            Problem("will not overwrite what is not a run folder", str(target), remedy="give another --out")
        )
    above = next((p for p in target.absolute().parents if p.exists()), target)
    if not above.is_dir():
        raise InputError(Problem(f"cannot write the run folder: {above.name} is a file", str(target), remedy="give another --out"))
    return target


def write(folder: str | Path, files: Mapping[str, bytes]) -> Path:
    """Writes all files into a new folder and puts it in place of the old one at the end.

    Raises:
        InputError: the place exists and is not the folder of a run, or cannot be written.
    """
    target = check_place(folder)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        for name, content in files.items():
            (staging / name).write_bytes(content)
        staging.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        os.replace(staging, target)
    except OSError as error:
        raise InputError(Problem(f"cannot write the run folder: {error.strerror}", str(target))) from None
    return target


def json_bytes(document: Any) -> bytes:
    """Stable JSON: given key order, not-a-number as null."""
    return (json.dumps(plain(document), indent=1, ensure_ascii=False) + "\n").encode()


def csv_bytes(rows: list[dict[str, Any]]) -> bytes:
    """CSV with the keys of the first row as header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet_bytes(columns: Mapping[str, Any]) -> bytes:
    """A Parquet table of equally long columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(columns)), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def latest(root: str | Path = "runs") -> Path:
    """The run folder written last under ``root``; InputError when there is none."""
    found = sorted(Path(root).glob(f"*/{MANIFEST}"), key=lambda p: p.stat().st_mtime) if Path(root).is_dir() else []
    if not found:
        raise InputError(Problem("no run here yet", str(root), remedy="w2t run writes one, or give --run FOLDER"))
    return found[-1].parent


def read_json(folder: str | Path, name: str) -> Any:
    """One JSON file of a run folder."""
    path = Path(folder) / name
    again = "w2t run writes a sound one"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(Problem(f"not the folder of a run: it holds no {name}", str(folder), remedy=again)) from None
    except UnicodeDecodeError:
        raise InputError(Problem("not UTF-8 text", str(path), remedy=again)) from None
    except json.JSONDecodeError as error:
        raise InputError(Problem(f"broken JSON: {error.msg.lower()}", f"{path}:{error.lineno}", remedy=again)) from None
    if not isinstance(document, dict):
        raise InputError(Problem("not a table of keys", str(path), type(document).__name__, remedy=again))
    return document
