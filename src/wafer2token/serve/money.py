"""What a chip costs per second in service, and what tokens then cost."""

from __future__ import annotations

from typing import Any

from wafer2token.catalog import all_cards, get
from wafer2token.evidence.number import Number


def cost_per_chip_s(chip_id: str, system_id: str = "", samples: int | None = None, seed: int = 0) -> Any:
    """Cost of owning and running one chip in service [USD/s]; nan where no price is known.

    (price / life + price x running cost + power x facility x electricity price); price and power are those of the
    whole system over its chips where its card has them, else the chip's times what server and network add.
    """
    chip, terms = get("chip", chip_id), _terms(chip_id)

    def value(number: Number, name: str) -> Any:
        if samples is None:
            return float(number)
        from wafer2token.evidence.sampling import draw

        return draw(number, name, samples, seed)

    def of(name: str) -> Any:
        return value(getattr(terms, name), f"reliability.{terms.id}.{name}")

    system: Any = get("system", system_id) if system_id else None
    count = float(system.count) if system is not None and system.count else 0.0
    if count and system.price:
        price = value(system.price, f"system.{system.id}.price") / count
    elif chip.price:
        price = value(chip.price, f"chip.{chip.id}.price") * of("host_cost")
    else:
        return float("nan")
    power = power_per_chip(chip_id, system_id, samples, seed)
    return price * (1 / of("life") + of("running_cost")) + power * of("overhead_power") * of("electricity")


def power_per_chip(chip_id: str, system_id: str = "", samples: int | None = None, seed: int = 0) -> Any:
    """Power of one chip with its share of host and network under load [W]; nan where unknown."""
    chip, terms = get("chip", chip_id), _terms(chip_id)

    def value(number: Number, name: str) -> Any:
        if samples is None:
            return float(number)
        from wafer2token.evidence.sampling import draw

        return draw(number, name, samples, seed)

    system: Any = get("system", system_id) if system_id else None
    count = float(system.count) if system is not None and system.count else 0.0
    if count and system.power:
        return value(system.power, f"system.{system.id}.power") / count
    if chip.tdp:
        return value(chip.tdp, f"chip.{chip.id}.tdp") * value(terms.host_power, f"reliability.{terms.id}.host_power")
    return float("nan")


def _terms(chip_id: str) -> Any:
    cards = all_cards("reliability").values()
    own = next((c for c in cards if any(chip_id.startswith(v) for v in c.vendors)), None)
    return own or next(c for c in cards if not c.vendors)


def usd_per_mtok(cost_per_s: Any, tokens_per_s: Any) -> Any:
    """Cost of a million tokens [USD] from a cost per second and a rate of tokens per second."""
    return 1e6 * cost_per_s / tokens_per_s
