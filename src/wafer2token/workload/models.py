"""Finding a model: a card id, a Hugging Face id, an alias, or a path to a ``config.json``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from wafer2token.catalog import get
from wafer2token.workload.config import from_config, read_config
from wafer2token.workload.shape import ModelShape


def model(id_or_path: str | Path | ModelShape) -> ModelShape:
    """The shape of a model. Raises InputError with the nearest names, or with every problem of a file."""
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
    card = get("model", name)
    return from_config(card.config, id=card.id, where=f"model/{card.id}.toml $.config")
