"""Reading cards: TOML text to frozen objects, with every problem of a file found at once."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, cached_property
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
    _check_kind(kind)
    module, name = KINDS[kind].split(":")
    return cast("type[Card]", getattr(import_module(module), name))


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise InputError(unknown("kind of card", kind, sorted(KINDS)))


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
    key = _normal(name)
    hits = [(kind, all_cards(kind)[names[key]]) for kind in KINDS if key in (names := _names(kind))]
    if not hits:
        every = [card for kind in KINDS for card in all_cards(kind).values()]
        raise InputError(unknown("card", name, sorted({n for card in every for n in (card.id, *card.aliases)})))
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
    return _by_name([(card.id, (*card.aliases, card.name)) for card in all_cards(kind).values()])


@cache
def _names(kind: str) -> dict[str, str]:
    """The same as ``_index``, from the text of the cards alone, so that no card of the kind need be valid or read."""
    entries = [(default, entry) for _, _, default, raw in _files_of(kind) for entry in _entries(raw)]
    return _by_name([(e.get("id", default), (*e.get("aliases", ()), e.get("name", default))) for default, e in entries])


def _by_name(cards: list[tuple[str, tuple[str, ...]]]) -> dict[str, str]:
    out = {_normal(alias): key for key, others in cards for alias in others}
    return out | {_normal(key): key for key, _ in cards}


@cache
def _files_of(kind: str) -> list[tuple[str, str, str, dict[str, Any]]]:
    """The bundled files of a kind: name for messages, text, default id, parsed TOML."""
    folder = _data() / kind
    files = sorted(folder.iterdir(), key=lambda f: f.name) if folder.is_dir() else []
    texts = [(f.name, f.read_text(encoding="utf-8")) for f in files if f.name.endswith(".toml")]
    return [(f"{kind}/{name}", text, name[:-5], load_toml(text, f"{kind}/{name}")) for name, text in texts]


def _entries(raw: dict[str, Any]) -> list[dict[str, Any]]:
    return raw["card"] if _is_list(raw) else [raw]


def _is_list(raw: dict[str, Any]) -> bool:
    return set(raw) == {"card"} and isinstance(raw["card"], list)


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())


@cache
def all_cards(kind: str) -> dict[str, Any]:
    """All bundled cards of a kind by id."""
    _check_kind(kind)
    out: dict[str, Card] = {}
    stands_in: dict[str, str] = {}
    problems: list[Problem] = []
    for where, text, default, raw in _files_of(kind):
        try:
            cards = _read(raw, text, kind, where, default)
        except InputError as error:
            problems += error.problems
            continue
        for card in cards:
            if card.id in out:
                remedy = f"{stands_in[card.id]} has it too: drop or rename one"
                problems.append(Problem("duplicate id", where, card.id, remedy=remedy))
            out[card.id], stands_in[card.id] = card, where
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
    lines, many = KeyLines(text), _is_list(load_toml(text, file.name))
    problems: list[Problem] = []
    for i, card in enumerate(cards):
        cited = [(dotted, source) for dotted, item in card.evidence() for source in item.all_sources]
        own = [("source", source) for source in card.cited() if source not in {s for _, s in cited}]
        for dotted, source in (*cited, *own):
            if source not in known and not _EXTERNAL_SOURCE.match(source):
                at = (*(("card", i) if many else ()), *_steps(dotted))
                place = f"{file.name}:{lines.at(at)} {_dotted(at)}"
                problems.append(Problem("unknown source", place, source, remedy=_source_remedy(source, known)))
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
        line = text.splitlines()[int(match.group(1)) - 1].strip() if match else None
        what = f"broken TOML: {re.sub(r' *[(]at .*', '', str(error)).lower()}"
        raise InputError(
            Problem(what, place, line, remedy="close what is open on this line or just before it")
        ) from None


def parse(text: str, kind: str, where: str, default_id: str = "") -> list[Any]:
    """The cards in a TOML text: one card, or many as ``[[card]]`` tables."""
    return _read(load_toml(text, where), text, kind, where, default_id)


def _read(raw: dict[str, Any], text: str, kind: str, where: str, default_id: str) -> list[Any]:
    many = _is_list(raw)
    entries = _entries(raw) if many else [{"id": default_id, **raw}]
    reader = card_class(kind)
    out: list[Card] = []
    problems: list[Problem] = []
    lines = KeyLines(text)
    first: dict[object, tuple[str | int, ...]] = {}
    for i, entry in enumerate(entries):
        prefix: tuple[str | int, ...] = ("card", i) if many else ()
        at = (*prefix, "id")
        if entry.get("id") in first:
            remedy = f"line {lines.at(first[entry['id']])} has it too: rename one"
            problems.append(
                Problem("duplicate id", f"{where}:{lines.at(at)} {_dotted(at)}", entry["id"], remedy=remedy)
            )
        first.setdefault(entry.get("id"), at)
        try:
            out.append(reader.model_validate(entry))
        except ValidationError as error:
            problems += validation_problems(error, where, lines, prefix, reader)
    if problems:
        raise InputError(sorted(problems, key=_line))
    return out


def validation_problems(
    error: ValidationError, where: str, lines: KeyLines, prefix: tuple[str | int, ...], reader: type[BaseModel]
) -> list[Problem]:
    """Everything that pydantic found, as problems with file, line and dotted key."""
    return [p for e in error.errors() for p in _problems(e, where, lines, prefix, reader)]


def _line(problem: Problem) -> int:
    match = re.search(r":(\d+)", problem.where)
    return int(match.group(1)) if match else 0


def _problems(
    error: ErrorDetails, where: str, lines: KeyLines, prefix: tuple[str | int, ...], reader: type[BaseModel]
) -> list[Problem]:
    """One pydantic error as problems in the house's form."""
    location = (*prefix, *error["loc"])
    place = f"{where}:{lines.at(location)} {_dotted(location)}"
    nested = cast("tuple[Problem, ...]", (error.get("ctx") or {}).get("problems", ()))
    if nested:
        places = [(*location, *_steps(p.where)) for p in nested]
        return [
            Problem(p.what, f"{where}:{lines.at(at)} {_dotted(at)}", p.got, p.allowed, p.remedy)
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


def _dotted(location: tuple[str | int, ...]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)


def _steps(path: str) -> tuple[str | int, ...]:
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
                out[(*table, *(p.strip("\"'") for p in key.group(1).split(".")))] = number
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
