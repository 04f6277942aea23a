"""Finding a model: a card id, a Hugging Face id, an alias, or a path to a ``config.json``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from wafer2token.catalog import get
from wafer2token.catalog.kinds.model import ModelCard
from wafer2token.evidence.errors import InputError
from wafer2token.workload.config import from_config, read_config
from wafer2token.workload.shape import ModelShape

# endings that name a tuning or a number format of a release and leave its shape as it is
_VARIANT = re.compile(
    r"[-_ .:](?:instruct|chat|base|thinking|preview|hf|it|pt|lora|fa|\d{4}|v\d+(?:\.\d+)+|(?-i:v)\d+"
    r"|fp8|bf16|fp4|nvfp4|mxfp4|int8|int4|w8a8|w4a8|w4a16|w4a4|w8a16|kv8|c8|4bit|8bit"
    r"|awq|gptq|gguf|bnb|quark|quarot|dynamic|static|pertensor|block|mtp)$",
    re.IGNORECASE,
)


def model(id_or_path: str | Path | ModelShape) -> ModelShape:
    """The shape of a model. Raises InputError with the nearest names, or with every problem of a file.

    A name that no card has is tried again without endings such as ``-Instruct``, ``-2507``, ``-v0.1``, ``-FP8`` or
    ``-w8a8-mtp``.
    """
    if isinstance(id_or_path, ModelShape):
        return id_or_path
    text = str(id_or_path)
    if isinstance(id_or_path, Path) or text.endswith(".json") or text.startswith((".", "/", "~")):
        return read_config(Path(text).expanduser())
    if Path(text).is_dir():
        return read_config(text)
    return _card_shape(text)


@cache
def _card_shape(name: str) -> ModelShape:
    found = next((card for card in map(_card_or_none, _names(name)) if card is not None), None)
    card = get("model", name) if found is None else found
    return from_config(card.config, id=card.id, where=f"model/{card.id}.toml $.config")


def _names(name: str) -> Iterator[str]:
    """The name, then without what stands in brackets at its end, then without one variant ending after the other."""
    yield name
    if bare := re.sub(r"\s*\([^()]*\)$", "", name):
        name = bare
        yield name
    while (shorter := _VARIANT.sub("", name)) != name:
        name = shorter
        yield name


def _card_or_none(name: str) -> ModelCard | None:
    try:
        card: ModelCard = get("model", name)
    except InputError:
        return None
    return card
