"""Reading cards: TOML text to frozen objects, with every problem of a file found at once."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from wafer2token.catalog.card import Card
from wafer2token.catalog.registry import KINDS
from wafer2token.evidence.errors import InputError, Problem, nearest, unknown
from wafer2token.evidence.number import Number

_EXTERNAL_SOURCE = re.compile(r"^(https?://|doi:|.*\.txt$)")


def _data() -> Traversable:
    return resources.files("wafer2token.catalog") / "data"


def card_class(kind: str) -> type[Card]:
    """The class that reads cards of a kind."""
    if kind not in KINDS:
        raise InputError(unknown("kind of card", kind, sorted(KINDS)))
    module, name = KINDS[kind].split(":")
    return cast("type[Card]", getattr(import_module(module), name))


def ids(kind: str) -> list[str]:
    """The ids of a kind, sorted."""
    return sorted(all_cards(kind))


def get(kind: str, name: str) -> Any:
    """The card of a kind by id or alias; InputError with the nearest names when there is none."""
    cards = all_cards(kind)
    key = name if name in cards else _index(kind).get(_normal(name))
    if key is not None:
        return _overlaid(kind, cards[key])
    raise InputError(unknown(kind, name, sorted({*cards, *(a for c in cards.values() for a in c.aliases)})))


def find(name: str) -> list[tuple[str, Card]]:
    """Every card, of whatever kind, with this id or alias; InputError with the nearest names when there is none."""
    hits = [(kind, all_cards(kind)[index[_normal(name)]]) for kind in KINDS if _normal(name) in (index := _index(kind))]
    if not hits:
        raise InputError(unknown("card", name, sorted({i for kind in KINDS for i in _index(kind).values()} - {""})))
    return hits


_overlay: ContextVar[Mapping[str, Number]] = ContextVar("overlay", default={})  # noqa: B039 - never mutated


@contextmanager
def overlay(numbers: Mapping[str, Number]) -> Iterator[None]:
    """Inside the block, ``get`` returns cards with these numbers, by dotted name ``kind.id.path``, instead of their own."""
    token = _overlay.set({**_overlay.get(), **numbers})
    try:
        yield
    finally:
        _overlay.reset(token)


def _overlaid(kind: str, card: Card) -> Card:
    prefix = f"{kind}.{card.id}."
    for name, number in _overlay.get().items():
        if name.startswith(prefix):
            card = card.with_number(name.removeprefix(prefix), number)
    return card


def number(name: str) -> Number:
    """The number under a dotted name ``kind.id.path``; InputError with the nearest names when there is none."""
    kind, _, rest = name.partition(".")
    if kind not in KINDS:
        raise InputError(unknown("name", name, [f"{k}." for k in KINDS]))
    for card in all_cards(kind).values():
        if rest.startswith(f"{card.id}."):
            numbers = dict(_overlaid(kind, card).numbers())
            path = rest.removeprefix(f"{card.id}.")
            if path in numbers:
                return numbers[path]
            raise InputError(unknown("number", name, [f"{kind}.{card.id}.{p}" for p in numbers]))
    raise InputError(unknown(kind, rest.partition(".")[0], ids(kind)))


@cache
def _index(kind: str) -> dict[str, str]:
    cards = all_cards(kind)
    out = {_normal(alias): card.id for card in cards.values() for alias in (*card.aliases, card.name)}
    return out | {_normal(key): key for key in cards}


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())


@cache
def all_cards(kind: str) -> dict[str, Any]:
    """All bundled cards of a kind by id."""
    folder = _data() / kind
    out: dict[str, Card] = {}
    problems: list[Problem] = []
    files = sorted(folder.iterdir(), key=lambda f: f.name) if folder.is_dir() else []
    for file in files:
        if not file.name.endswith(".toml"):
            continue
        try:
            cards = parse(file.read_text(encoding="utf-8"), kind, f"{kind}/{file.name}", default_id=file.name[:-5])
        except InputError as error:
            problems += error.problems
            continue
        for card in cards:
            if card.id in out:
                problems.append(Problem("duplicate id", f"{kind}/{file.name}", card.id, remedy="give it another id"))
            out[card.id] = card
    if problems:
        raise InputError(problems)
    return out


def read_file(path: str | Path, kind: str) -> list[Any]:
    """The cards of a user's TOML file; every problem of the file at once."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(f"cannot read: {error}", str(path))) from None
    cards = parse(text, kind, file.name, default_id=file.stem)
    known = set(all_cards("source"))
    problems = [
        Problem("unknown source", f"{file.name} ${card.id}.{where}", source, remedy=_source_remedy(source, known))
        for card in cards
        for where, number in card.numbers()
        for source in number.all_sources
        if source not in known and not _EXTERNAL_SOURCE.match(source)
    ]
    if problems:
        raise InputError(problems)
    return cards


def source_resolves(source: str) -> bool:
    """Whether a source id is a bundled source card or an address, DOI or seed file by itself."""
    return source in all_cards("source") or bool(_EXTERNAL_SOURCE.match(source))


def _source_remedy(source: str, known: set[str]) -> str:
    close = nearest(source, known)
    return f"did you mean {', '.join(close)}?" if close else "add a source card, or give the address itself"


def load_toml(text: str, where: str) -> dict[str, Any]:
    """Parsed TOML; a syntax error becomes an InputError with its line."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        place = f"{where}:{match.group(1)}:{match.group(2)}" if match else where
        raise InputError(Problem(f"broken TOML: {re.sub(r' *[(]at .*', '', str(error))}", place)) from None


def parse(text: str, kind: str, where: str, default_id: str = "") -> list[Any]:
    """The cards in a TOML text: one card, or many as ``[[card]]`` tables."""
    raw = load_toml(text, where)
    many = set(raw) == {"card"} and isinstance(raw["card"], list)
    entries: list[dict[str, Any]] = raw["card"] if many else [{"id": default_id, **raw}]
    reader = card_class(kind)
    out: list[Card] = []
    problems: list[Problem] = []
    lines = KeyLines(text)
    for i, entry in enumerate(entries):
        prefix: tuple[str | int, ...] = ("card", i) if many else ()
        try:
            out.append(reader.model_validate(entry))
        except ValidationError as error:
            problems += validation_problems(error, where, lines, prefix, reader)
    if problems:
        raise InputError(problems)
    return out


def validation_problems(
    error: ValidationError, where: str, lines: KeyLines, prefix: tuple[str | int, ...], reader: type[BaseModel]
) -> list[Problem]:
    """Everything that pydantic found, as problems with file, line and dotted key."""
    return [p for e in error.errors() for p in _problems(e, where, lines, prefix, reader)]


def _problems(
    error: ErrorDetails, where: str, lines: KeyLines, prefix: tuple[str | int, ...], reader: type[BaseModel]
) -> list[Problem]:
    """One pydantic error as problems in the house's form."""
    location = (*prefix, *error["loc"])
    place = f"{where}:{lines.at(location)} {_dotted(location)}"
    nested = cast("tuple[Problem, ...]", (error.get("ctx") or {}).get("problems", ()))
    if nested:
        inner = [(p, (*location, *_steps(p.where))) for p in nested]
        return [
            Problem(p.what, f"{where}:{lines.at(at)} {_dotted(location)}{p.where}", p.got, p.allowed, p.remedy)
            for p, at in inner
        ]
    if error["type"] == "extra_forbidden":
        known = _fields(reader, error["loc"][:-1])
        close = nearest(str(error["loc"][-1]), known, n=1)
        remedy = f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(known)}"
        return [Problem("unknown key", place, error["loc"][-1], remedy=remedy)]
    got = None if error["type"] == "missing" else error["input"]
    return [Problem(error["msg"][0].lower() + error["msg"][1:], place, got)]


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


def _steps(where: str) -> tuple[str | int, ...]:
    """``.outcome[0].when`` as the steps of a location."""
    found = re.findall(r"\.([A-Za-z_][\w]*)|\[(\d+)\]", where)
    return tuple(int(index) if index else name for name, index in found)


def _dotted(location: tuple[str | int, ...]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)


class KeyLines:
    """On which line of a TOML text a key stands; for messages, so the nearest known parent will do."""

    _HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
    _KEY = re.compile(r"^\s*([A-Za-z0-9_\-.\"']+)\s*=")

    def __init__(self, text: str):
        self._lines: dict[tuple[str | int, ...], int] = {}
        counts: dict[tuple[str | int, ...], int] = {}
        table: tuple[str | int, ...] = ()
        for number, line in enumerate(text.splitlines(), 1):
            if header := self._HEADER.match(line):
                path: tuple[str | int, ...] = tuple(p.strip("\"' ") for p in header.group(2).split("."))
                if header.group(1) == "[[":
                    counts[path] = counts.get(path, -1) + 1
                    counts = {k: n for k, n in counts.items() if k == path or k[: len(path)] != path}
                table = self._indexed(path, counts)
                self._lines[table] = number
            elif key := self._KEY.match(line):
                self._lines[(*table, *(p.strip("\"'") for p in key.group(1).split(".")))] = number

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


def numbers_of(kind: str) -> list[tuple[str, Number]]:
    """Every number on every card of a kind, by its dotted name ``kind.id.path``."""
    return [
        (f"{kind}.{card.id}.{path}", number) for card in all_cards(kind).values() for path, number in card.numbers()
    ]


@cache
def fingerprint() -> str:
    """SHA-256 over all bundled data, as hex: two results with the same one stand on the same numbers."""
    digest = hashlib.sha256()
    for name, file in sorted(_files(_data(), "")):
        digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    out: list[tuple[str, Traversable]] = []
    for item in folder.iterdir():
        name = f"{prefix}/{item.name}"
        out += _files(item, name) if item.is_dir() else [(name, item)]
    return out
