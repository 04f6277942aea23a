"""An item card as the values that rules measure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wafer2token.catalog import all_cards, get, read_file
from wafer2token.catalog.kinds.item import ItemCard
from wafer2token.controls.metrics import (
    applicable_die_area,
    memory_bandwidth_density,
    performance_density,
    tpp,
)
from wafer2token.evidence.errors import InputError, Problem, unknown
from wafer2token.evidence.number import Grade, Number, weakest
from wafer2token.evidence.units import convert

Interval = tuple[float, float]


@dataclass(frozen=True)
class Metrics:
    """What the rules measure of an item; None where the card lacks the inputs.

    ``pd`` is None both without a die list and on an all-planar chip; ``all_planar`` tells the two apart.
    """

    tpp: Interval | None
    tpp_format: str
    tpp_declared: bool
    area_mm2: Interval | None
    pd: Interval | None
    all_planar: bool
    mbd: Interval | None


def item_card(item: str | Path | ItemCard) -> ItemCard:
    """The card of an item: a card, a card file (``chips.toml#id`` picks one of many), an item, chip or system by name.

    Raises:
        InputError: no such item (nearest names shown), or every problem of the file.
    """
    if isinstance(item, ItemCard):
        return item
    text = str(item)
    path, _, name = text.partition("#")
    if path.endswith(".toml"):
        return _from_file(path, name)
    try:
        found: ItemCard = get("item", text)
    except InputError as error:
        linked = _by_chip(text)
        if linked is None:
            raise error from None
        return linked
    return found


def _from_file(path: str, name: str) -> ItemCard:
    cards: list[ItemCard] = read_file(path, "item")
    names = [card.id for card in cards]
    if name and name not in names:
        raise InputError(unknown("item", name, names, path))
    if not name and len(cards) != 1:
        remedy = f"write {path}#{names[0]}" if names else "write a card"
        raise InputError(Problem("one item is wanted", path, f"{len(cards)} cards", remedy=remedy))
    return next(card for card in cards if not name or card.id == name)


def _by_chip(name: str) -> ItemCard | None:
    """The item whose chip has this name, or which a system of this name is built from."""
    for kind in ("chip", "system"):
        try:
            card = get(kind, name)
        except InputError:
            continue
        chip = card.id if kind == "chip" else getattr(card, "chip", "")
        for item in all_cards("item").values():
            if chip and item.chip == chip:
                return item  # type: ignore[no-any-return]
    return None


def written(value: float, unit: str) -> float:
    """An SI value in ``unit``, as the decimal that the card wrote (fourteen digits undo the binary conversion)."""
    return float(f"{convert(value, unit):.14g}")


def interval(number: Number | None, unit: str, factor: float = 1.0) -> Interval | None:
    """The range of a number in ``unit``."""
    if number is None:
        return None
    return written(number.low, unit) * factor, written(number.high, unit) * factor


def metrics(card: ItemCard) -> Metrics:
    """TPP, area, densities of an item as sold, as ranges; a declared TPP stands above the arithmetic."""
    computed, name = _computed_tpp(card)
    total = interval(card.declared_tpp, "1") or computed
    dies = card.dies if isinstance(card.dies, tuple) else ()
    area = _area(card) if dies else None
    planar = bool(dies) and area == (0.0, 0.0)
    density = None
    if total and area and not planar:
        density = (performance_density(total[0], area[1]), performance_density(total[1], area[0]))
    stack = None
    bandwidth, size = interval(card.bandwidth, "GB/s"), interval(card.area, "mm^2")
    if bandwidth and size:
        stack = (memory_bandwidth_density(bandwidth[0], size[1]), memory_bandwidth_density(bandwidth[1], size[0]))
    return Metrics(total, name, card.declared_tpp is not None, None if planar else area, density, planar, stack)


def _computed_tpp(card: ItemCard) -> tuple[Interval | None, str]:
    """The largest TPP over the formats, and the format that gives its central value."""
    found: dict[str, tuple[float, float, float]] = {}
    for t in card.throughput:
        low, mid, high = (
            written(v, "TFLOP/s") / t.sparsity * card.packages for v in (t.value.low, t.value.mid, t.value.high)
        )
        found[t.format] = (tpp(low, t.bits), tpp(mid, t.bits), tpp(high, t.bits))
    if not found:
        return None, ""
    name = max(found, key=lambda f: found[f][1])
    return (max(v[0] for v in found.values()), max(v[2] for v in found.values())), name


def _area(card: ItemCard) -> Interval | None:
    """The applicable die area; open when a logic die does not say whether it is planar."""
    dies = [d for d in card.dies if d.logic] if isinstance(card.dies, tuple) else []
    low = [(written(d.area.low, "mm^2"), d.count, True, d.nonplanar is True) for d in dies]
    high = [(written(d.area.high, "mm^2"), d.count, True, d.nonplanar is not False) for d in dies]
    return applicable_die_area(low) * card.packages, applicable_die_area(high) * card.packages


def item_values(card: ItemCard) -> dict[str, Any]:
    """The item's variables for a formula: intervals, truths (None is open), texts."""
    found = metrics(card)
    density: Interval | None = (0.0, 0.0) if found.all_planar else found.pd
    planar_metric = density
    out: dict[str, Any] = {
        "item": card.id,
        "vendor": card.vendor,
        "category": card.category,
        "material": card.material,
        "designer_hq": card.designer_hq,
        "lithography": card.lithography,
        "equipment": "lithography" if card.lithography else None if card.category == "tool" else "",
        "tpp": found.tpp,
        "pd": planar_metric,
        "mbd": found.mbd,
        "io_gbs": interval(card.io, "GB/s", card.packages),
        "link_gbs": interval(card.link or card.io, "GB/s", card.packages),
        "dram_bw_gbs": interval(card.dram_bandwidth, "GB/s", card.packages),
        "xtor_b": interval(card.transistors, "Gtransistor"),
        "wavelength_nm": interval(card.wavelength, "nm"),
        "na": interval(card.na, "1"),
        "dco_nm": interval(card.dco, "nm"),
        "overlay_nm": interval(card.overlay, "nm"),
        "datacenter": None if card.datacenter == "ambiguous" else card.datacenter,
    }
    for name in ("has_hbm", "processing_dominant", "nonplanar", "designer_approved", "packaged_outside_d5m", "us_market", "us_content"):  # fmt: skip
        out[name] = getattr(card, name)
    return out | {k: (v, v) if isinstance(v, float) else v for k, v in _numbers(card.properties).items()}


def _numbers(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {k: float(v) if isinstance(v, int) and not isinstance(v, bool) else v for k, v in properties.items()}


def middle(value: Interval | None) -> float | None:
    """The middle of an interval; None stays None."""
    return None if value is None else (value[0] + value[1]) / 2


def show_interval(value: Interval | None) -> str:
    """An interval as text, exact enough to see a margin."""
    if value is None or math.isnan(value[0]):
        return "unknown"
    low, high = (f"{v:,.6g}" for v in value)
    return low if low == high else f"{low} to {high}"


def weakest_grade(card: ItemCard) -> Grade | None:
    """The weakest grade among the card's numbers that are not outside the metrics."""
    grades = [n.grade for path, n in card.numbers() if not path.startswith("declared")]
    return weakest(grades) if grades else None
