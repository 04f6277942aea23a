"""The data cards and their typed readers.

``get("chip", "910C")`` is the card, ``ids("chip")`` the ids, ``find("910c")`` looks through every kind;
``show`` lays a card out with its evidence, ``bibliography`` turns source ids into BibTeX.
"""

from wafer2token.catalog.bibliography import bibliography, references
from wafer2token.catalog.layout import show
from wafer2token.catalog.listing import list_cards
from wafer2token.catalog.loader import all_cards, find, fingerprint, get, ids, number, overlay, read_file
from wafer2token.catalog.registry import KINDS, card_class

__all__ = [
    "KINDS",
    "all_cards",
    "bibliography",
    "card_class",
    "find",
    "fingerprint",
    "get",
    "ids",
    "list_cards",
    "number",
    "overlay",
    "read_file",
    "references",
    "show",
]
