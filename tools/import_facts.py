"""Write the catalogue's TOML cards from a folder of collected facts.

    PYTHONPATH=src python tools/import_facts.py FACTS [--out src/wafer2token/catalog/data]

FACTS holds ``hardware/{accelerators,systems}.yaml`` and ``supply/{fab,memory,production,claims}.yaml``. The cards are the
truth once they are written: they may be edited by hand, and this script documents where they came from. Needs PyYAML.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import yaml
from facts_import.chips import chip_cards
from facts_import.claims import claim_cards, document_sources
from facts_import.hardware_sources import hardware_sources
from facts_import.quantities import quantity_cards
from facts_import.supply_kinds import memory_cards, process_cards, tool_cards
from facts_import.supply_sources import Sources
from facts_import.systems import system_cards
from facts_import.toml import many, one, write

from wafer2token.catalog.registry import card_class


def load(path: Path) -> Any:
    """A YAML file; dates stay text, and ``1.0e6`` is a number."""
    loader = type("TextDates", (yaml.SafeLoader,), {})
    loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^\d+\.\d+e\d+$"), list("0123456789"))
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)


def ordered(card: dict[str, Any], kind: str) -> dict[str, Any]:
    """The card with its keys in the order of the kind's fields."""
    fields = list(card_class(kind).model_fields)
    return {key: card[key] for key in sorted(card, key=fields.index)}


def hardware(facts: Path, out: Path) -> None:
    """Chips, systems and their sources."""
    chips, systems = load(facts / "hardware/accelerators.yaml"), load(facts / "hardware/systems.yaml")
    for card in chip_cards(chips["accelerators"]):
        write(out / "chip" / f"{card['id']}.toml", one(ordered(card, "chip")))
    for card in system_cards(systems["systems"]):
        write(out / "system" / f"{card['id']}.toml", one(ordered(card, "system")))
    cards = hardware_sources(chips["sources"], systems["sources"])
    write(out / "source/hardware.toml", many(cards, "Sources of the chip and system cards"))


def supply(facts: Path, out: Path) -> None:
    """Processes, tools, memory, quantities, claims and their sources."""
    data = {name: load(facts / f"supply/{name}.yaml") for name in ("fab", "memory", "production", "claims")}
    sources = Sources()
    tools = data["fab"]["lithography_tools"] + data["fab"]["etch_deposition_and_process_control"]
    groups = {
        "process": process_cards(data["fab"]["nodes"], sources),
        "tool": tool_cards(tools, sources),
        "memory": memory_cards(data["memory"]["generations"], sources),
    }
    for kind, cards in groups.items():
        write(out / kind / f"{kind}.toml", many([ordered(c, kind) for c in cards]))
    for name, cards in quantity_cards(data, sources).items():
        write(out / "quantity" / f"{name}.toml", many([ordered(c, "quantity") for c in cards]))
    claims = claim_cards(data["claims"])
    for document in sorted({c["document"] for c in claims}):
        cards = [ordered(c, "claim") for c in claims if c["document"] == document]
        write(out / "claim" / f"{cards[0]['id'][:2]}.toml", many(cards, f"Statements of {document}, paraphrased"))
    listed = [c for key, c in sorted(sources.cards.items()) if key not in ("atlas350", "capmedia")]
    write(out / "source/supply.toml", many(listed, "Sources of the process, tool, memory and quantity cards"))
    write(
        out / "source/documents.toml", many(document_sources(), "The five documents whose statements are claim cards")
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("facts", type=Path, help="the folder of facts")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "src/wafer2token/catalog/data")
    arguments = parser.parse_args()
    hardware(arguments.facts, arguments.out)
    supply(arguments.facts, arguments.out)


if __name__ == "__main__":
    main()
