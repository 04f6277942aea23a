"""Writes cards as TOML that people can read and edit: evidence on one line each, groups as tables."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

_EVIDENCE = {"value", "low", "mid", "high", "claims"}
_WIDTH = 118


def is_evidence(value: object) -> bool:
    """Whether a dict is one number or one statement with its evidence (written inline)."""
    return isinstance(value, dict) and "grade" in value | {"grade": 0} and bool(_EVIDENCE & set(value))


def text(value: object) -> str:
    """A TOML basic string, number, boolean, date, array or inline table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key(k)} = {text(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        flat = "[" + ", ".join(text(v) for v in value) + "]"
        if len(flat) <= _WIDTH or not any(isinstance(v, (dict, str)) for v in value) or len(value) < 2:
            return flat
        return "[\n" + "".join(f"    {text(v)},\n" for v in value) + "]"
    return json.dumps(str(value), ensure_ascii=False)


def key(name: object) -> str:
    """A bare key where TOML allows one."""
    name = str(name)
    return name if name and all(c.isascii() and (c.isalnum() or c in "_-") for c in name) else text(name)


def _lines(card: dict[str, Any], prefix: str) -> list[str]:
    plain, tables = [], []
    for name, value in card.items():
        if isinstance(value, dict) and not is_evidence(value):
            tables.append((name, value))
        else:
            plain.append(f"{key(name)} = {text(value)}")
    for name, value in tables:
        head = f"{prefix}{key(name)}"
        inner = _lines(value, f"{head}.")
        plain += inner if inner and not inner[0] else ["", f"[{head}]", *inner]
    return plain


def one(card: dict[str, Any]) -> str:
    """A file with one card."""
    return "\n".join(_lines(card, "")) + "\n"


def many(cards: list[dict[str, Any]], heading: str = "") -> str:
    """A file with many cards as ``[[card]]`` tables."""
    parts = [f"# {heading}\n"] if heading else []
    parts += ["\n".join(["[[card]]", *_lines(card, "card.")]) + "\n" for card in cards]
    return "\n".join(parts)


def write(path: Path, content: str) -> None:
    """Write one file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
