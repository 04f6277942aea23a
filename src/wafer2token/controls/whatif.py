"""What an amended rule would change: verdicts before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from wafer2token.catalog import all_cards
from wafer2token.catalog.kinds.item import ItemCard
from wafer2token.controls.items import item_card
from wafer2token.controls.rulebook import Rulebook, amended, bundled
from wafer2token.controls.ruling import DISCLAIMER, Ruling, allow


@dataclass(frozen=True)
class Change:
    """One item before and after the amendment."""

    before: Ruling
    after: Ruling

    @property
    def changed(self) -> bool:
        """Whether the verdict or the exception differs."""
        return (self.before.verdict, self.before.exception) != (self.after.verdict, self.after.exception)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "item": self.before.item, "name": self.before.name, "before": self.before.verdict,
            "after": self.after.verdict, "changed": self.changed,
            "before_rules": [f.rule for f in self.before.matched], "after_rules": [f.rule for f in self.after.matched],
        }  # fmt: skip


@dataclass(frozen=True)
class WhatIf:
    """The amendment and what it does to each item."""

    file: str
    rules: tuple[str, ...]
    to: str
    on: date
    changes: tuple[Change, ...]
    book: Rulebook
    disclaimer: str = DISCLAIMER

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        out = {k: v for k, v in vars(self).items() if k not in ("changes", "book")}
        return {**out, "changes": [c.to_dict() for c in self.changes]}


def what_if(
    file: str | Path,
    items: Sequence[str | Path | ItemCard] = (),
    to: str = "CN",
    on: date | str | None = None,
    **options: Any,
) -> WhatIf:
    """The verdicts of ``allow`` with the rules of a file beside those of the bundled rules.

    Args:
        file: TOML with rules; ``amends = "id"`` changes the keys it names, another id adds a rule.
        items: what to judge; none means every chip of the catalogue.
        options: as for ``allow``.

    Raises:
        InputError: malformed file (every problem with file and line), or as for ``allow``.
    """
    book, changed = amended(bundled(), file)
    chosen = list(items) or [c for c in all_cards("item").values() if c.category == "chip"]
    pairs = []
    for item in chosen:
        card = item_card(item)
        pairs.append(Change(allow(card, to, on, **options), allow(card, to, on, rules=book, **options)))
    day = pairs[0].before.on
    return WhatIf(Path(file).name, tuple(changed), pairs[0].before.to, day, tuple(pairs), book)
