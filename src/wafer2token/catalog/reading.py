"""TOML text to cards, with every mistake of a file found at once and told in the house's words."""

from __future__ import annotations

import re
import tomllib
from functools import cached_property
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from wafer2token.catalog.card import Card
from wafer2token.catalog.registry import card_class
from wafer2token.evidence.errors import InputError, Problem, nearest


def load_toml(text: str, where: str) -> dict[str, Any]:
    """Parsed TOML; a syntax error becomes an InputError with its line."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        place = f"{where}:{match.group(1)}:{match.group(2)}" if match else where
        line = text.splitlines()[int(match.group(1)) - 1].strip() if match else None
        what = f"broken TOML: {re.sub(r' *[(]at .*', '', str(error)).lower()}"
        raise InputError(
            Problem(what, place, line, remedy="close what is open on this line or just before it")
        ) from None


def parse(text: str, kind: str, where: str, default_id: str = "") -> list[Any]:
    """The cards in a TOML text: one card, or many as ``[[card]]`` tables."""
    return read_cards(load_toml(text, where), text, kind, where, default_id)


def read_cards(raw: dict[str, Any], text: str, kind: str, where: str, default_id: str) -> list[Any]:
    """The cards of a parsed text; ``text`` serves to find the lines of mistakes."""
    many = is_list(raw)
    tables = entries(raw) if many else [{"id": default_id, **raw}]
    reader = card_class(kind)
    out: list[Card] = []
    problems: list[Problem] = []
    lines = KeyLines(text)
    first: dict[object, tuple[str | int, ...]] = {}
    for i, entry in enumerate(tables):
        prefix: tuple[str | int, ...] = ("card", i) if many else ()
        at = (*prefix, "id")
        if entry.get("id") in first:
            remedy = f"line {lines.at(first[entry['id']])} has it too: rename one"
            problems.append(Problem("duplicate id", f"{where}:{lines.at(at)} {dotted(at)}", entry["id"], remedy=remedy))
        first.setdefault(entry.get("id"), at)
        try:
            out.append(reader.model_validate(entry))
        except ValidationError as error:
            problems += validation_problems(error, where, lines, prefix, reader)
    if problems:
        raise InputError(sorted(problems, key=line_of))
    return out


def validation_problems(
    error: ValidationError, where: str, lines: KeyLines, prefix: tuple[str | int, ...], reader: type[BaseModel]
) -> list[Problem]:
    """Everything that pydantic found, as problems with file, line and dotted key."""
    return [p for e in error.errors() for p in _problems(e, where, lines, prefix, reader)]


def line_of(problem: Problem) -> int:
    """The line in a problem's place, 0 when it has none."""
    match = re.search(r":(\d+)", problem.where)
    return int(match.group(1)) if match else 0


def _problems(
    error: ErrorDetails, where: str, lines: KeyLines, prefix: tuple[str | int, ...], reader: type[BaseModel]
) -> list[Problem]:
    """One pydantic error as problems in the house's form."""
    location = (*prefix, *error["loc"])
    place = f"{where}:{lines.at(location)} {dotted(location)}"
    nested = cast("tuple[Problem, ...]", (error.get("ctx") or {}).get("problems", ()))
    if nested:
        places = [(*location, *steps(p.where)) for p in nested]
        return [
            Problem(p.what, f"{where}:{lines.at(at)} {dotted(at)}", p.got, p.allowed, p.remedy)
            for p, at in zip(nested, places, strict=True)
        ]
    if error["type"] == "extra_forbidden":
        known = _fields(reader, error["loc"][:-1])
        close = nearest(str(error["loc"][-1]), known, n=1)
        remedy = f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(known)}"
        return [Problem("unknown key", place, error["loc"][-1], remedy=remedy)]
    return [_plain_problem(error, place)]


def _plain_problem(error: ErrorDetails, place: str) -> Problem:
    """A pydantic error in the house's words."""
    got, kind = error["input"], error["type"]
    if kind == "missing":
        return Problem("a key is missing", place, remedy=f"add {error['loc'][-1]} = ...")
    if kind == "literal_error":
        allowed = [a.strip("' ") for a in re.split(r", | or ", str((error.get("ctx") or {}).get("expected", "")))]
        close = nearest(str(got), allowed, n=1)
        return Problem(
            "not one of the words allowed",
            place,
            got,
            ", ".join(allowed),
            f'did you mean "{close[0]}"?' if close else "",
        )
    if kind == "string_pattern_mismatch" and error["loc"][-1] == "id":
        return Problem("not an id", place, got, "small letters, digits and _")
    if kind == "value_error" and isinstance(got, dict):
        got = got.get("value")
    return Problem(re.sub("^value error, ", "", error["msg"][0].lower() + error["msg"][1:]), place, got)


def _fields(reader: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """The keys that a nested place of a card knows."""
    model: Any = reader
    for step in path:
        field = model.model_fields.get(step) if hasattr(model, "model_fields") else None
        annotation = getattr(field, "annotation", None)
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
        if model is None:
            return []
    return list(model.model_fields)


def dotted(location: tuple[str | int, ...]) -> str:
    """A place as ``$.card[1].memory.stacks``."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)


def steps(path: str) -> tuple[str | int, ...]:
    """The steps of a dotted path such as ``.claims[0].weight``."""
    return tuple(
        int(index) if index else name for name, index in re.findall(r"([^.\[\]]+)(?![^\[]*\])|\[(\d+)\]", path)
    )


class KeyLines:
    """On which line of a TOML text a key stands; for messages, so the nearest known parent will do."""

    _HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
    _KEY = re.compile(r"^\s*([A-Za-z0-9_\-.\"']+)\s*=")

    def __init__(self, text: str):
        self._text = text

    @cached_property
    def _lines(self) -> dict[tuple[str | int, ...], int]:
        out: dict[tuple[str | int, ...], int] = {}
        counts: dict[tuple[str | int, ...], int] = {}
        table: tuple[str | int, ...] = ()
        for number, line in enumerate(self._text.splitlines(), 1):
            if header := self._HEADER.match(line):
                path: tuple[str | int, ...] = tuple(p.strip("\"' ") for p in header.group(2).split("."))
                if header.group(1) == "[[":
                    counts[path] = counts.get(path, -1) + 1
                    counts = {k: n for k, n in counts.items() if k == path or k[: len(path)] != path}
                table = self._indexed(path, counts)
                out[table] = number
            elif key := self._KEY.match(line):
                written = key.group(1)
                names = [written.strip("\"'")] if written[0] in "\"'" else written.split(".")
                out[(*table, *(p.strip("\"'") for p in names))] = number
        return out

    @staticmethod
    def _indexed(path: tuple[str | int, ...], counts: dict[tuple[str | int, ...], int]) -> tuple[str | int, ...]:
        out: tuple[str | int, ...] = ()
        for i, step in enumerate(path):
            out = (*out, step)
            if path[: i + 1] in counts:
                out = (*out, counts[path[: i + 1]])
        return out

    def at(self, location: tuple[str | int, ...]) -> int:
        """The line of a key, or of its nearest parent that has one (1 when none has)."""
        for end in range(len(location), 0, -1):
            if location[:end] in self._lines:
                return self._lines[location[:end]]
        return 1


def entries(raw: dict[str, Any]) -> list[dict[str, Any]]:
    """The tables of a file, one per card."""
    return raw["card"] if is_list(raw) else [raw]


def is_list(raw: dict[str, Any]) -> bool:
    """Whether a file holds many cards as ``[[card]]`` tables."""
    return set(raw) == {"card"} and isinstance(raw["card"], list)
