"""The bundled cards by kind and name, overlays on them, and a user's own card files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from wafer2token.catalog.card import Card
from wafer2token.catalog.reading import KeyLines, dotted, entries, is_list, load_toml, parse, read_cards, steps
from wafer2token.catalog.registry import KINDS, check_kind
from wafer2token.evidence.errors import InputError, Problem, nearest, unknown
from wafer2token.evidence.number import Number

_NAMING = re.compile(r"^(?:id|name)\s*=.*$|^aliases\s*=\s*\[[^\]]*\]", re.MULTILINE)
_EXTERNAL_SOURCE = re.compile(r"^(https?://|doi:|.*\.txt$)")


def _data() -> Traversable:
    return resources.files("wafer2token.catalog") / "data"


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
    kinds = [kind for kind in KINDS if _may_name(kind, key) and key in _names(kind)]
    hits = [(kind, all_cards(kind)[_names(kind)[key]]) for kind in kinds]
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
    if rest in all_cards(kind):
        raise InputError(Problem("names a card, not a number on it", got=name, remedy=f"w2t show {rest} lists its numbers"))
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
def tables(kind: str) -> list[dict[str, Any]]:
    """The cards of a kind as the TOML says, unread: enough to name and count them, and quick."""
    return [{"id": default, **entry} for _, _, default, raw in _files_of(kind) for entry in entries(raw)]


@cache
def _names(kind: str) -> dict[str, str]:
    """The same as ``_index``, without reading the cards."""
    return _by_name([(t["id"], (*t.get("aliases", ()), t.get("name", t["id"]))) for t in tables(kind)])


def _by_name(cards: list[tuple[str, tuple[str, ...]]]) -> dict[str, str]:
    out = {_normal(alias): key for key, others in cards for alias in others}
    return out | {_normal(key): key for key, _ in cards}


def _may_name(kind: str, key: str) -> bool:
    """Whether some id, name or alias of the kind holds the key: quick, without parsing."""
    return any(key in _normal(" ".join([default, *_NAMING.findall(text)])) for _, text, default in _texts(kind))


@cache
def _texts(kind: str) -> list[tuple[str, str, str]]:
    """The bundled files of a kind: name for messages, text, default id."""
    folder = _data() / kind
    files = sorted(folder.iterdir(), key=lambda f: f.name) if folder.is_dir() else []
    texts = [(f.name, f.read_text(encoding="utf-8")) for f in files if f.name.endswith(".toml")]
    return [(f"{kind}/{name}", text, name[:-5]) for name, text in texts]


@cache
def _files_of(kind: str) -> list[tuple[str, str, str, dict[str, Any]]]:
    """The bundled files of a kind: name for messages, text, default id, parsed TOML."""
    return [(where, text, default, load_toml(text, where)) for where, text, default in _texts(kind)]


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())


@cache
def all_cards(kind: str) -> dict[str, Any]:
    """All bundled cards of a kind by id."""
    check_kind(kind)
    out: dict[str, Card] = {}
    stands_in: dict[str, str] = {}
    problems: list[Problem] = []
    for where, text, default, raw in _files_of(kind):
        try:
            cards = read_cards(raw, text, kind, where, default)
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
    lines, many = KeyLines(text), is_list(load_toml(text, file.name))
    problems: list[Problem] = []
    for i, card in enumerate(cards):
        cited = [(where, source) for where, item in card.evidence() for source in item.all_sources]
        own = [("source", source) for source in card.cited() if source not in {s for _, s in cited}]
        for where, source in (*cited, *own):
            if source not in known and not _EXTERNAL_SOURCE.match(source):
                at = (*(("card", i) if many else ()), *steps(where))
                place = f"{file.name}:{lines.at(at)} {dotted(at)}"
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


@cache
def fingerprint() -> str:
    """SHA-256 over all bundled data of every room, as hex: two results with the same one stand on the same numbers."""
    digest = hashlib.sha256()
    package = _files(resources.files("wafer2token"), "")
    for name, file in sorted((n, f) for n, f in package if "/data/" in n or "/scenarios/" in n):
        digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    out: list[tuple[str, Traversable]] = []
    for item in folder.iterdir():
        name = f"{prefix}/{item.name}"
        out += _files(item, name) if item.is_dir() else [(name, item)]
    return out
