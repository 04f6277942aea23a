"""The data cards and their typed readers.

``get("chip", "910C")`` is the card, ``ids("chip")`` the ids, ``find("910c")`` looks through every kind.
"""

from wafer2token.catalog.loader import all_cards, find, fingerprint, get, ids, number, overlay, read_file
from wafer2token.catalog.registry import KINDS

__all__ = ["KINDS", "all_cards", "find", "fingerprint", "get", "ids", "number", "overlay", "read_file"]
