"""Known outcomes held against the engine: which agree, and whether they are documented or derived here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from wafer2token.catalog import all_cards
from wafer2token.catalog.kinds.item import Golden, ItemCard
from wafer2token.controls.rulebook import Rulebook, bundled
from wafer2token.controls.ruling import Finding, allow

_LITHOGRAPHY = ("us_sme_2023", "us_3b993_f1", "us_3b001_f5_f6")


@dataclass(frozen=True)
class Check:
    """One known outcome and what the engine says."""

    item: str
    name: str
    asked: str
    on: date
    expected: str
    got: str
    agrees: bool
    basis: str
    fact: str
    source: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dict(vars(self))


def check(items: Sequence[str] | None = None, rules: Rulebook | None = None) -> list[Check]:
    """Every known outcome of the item cards (or of some of them) against the engine."""
    cards: dict[str, ItemCard] = all_cards("item")
    book = rules or bundled()
    return [_check(c, g, book) for c in cards.values() if items is None or c.id in items for g in c.golden]


def _check(card: ItemCard, golden: Golden, book: Rulebook) -> Check:
    if golden.regime:
        on = golden.on or _date_of(golden.regime, book)
        got = _regime(card, golden, on, book)
        asked = golden.regime
    else:
        on = golden.on or book.horizon
        ruling = allow(card, golden.to, on, golden.party, golden.origin, end_use=golden.end_use, rules=book)
        got, asked = ruling.verdict, f"{golden.origin} to {golden.to}"
    return Check(
        card.id,
        card.name,
        asked,
        on,
        golden.expect,
        got,
        _agree(golden.expect, got),
        golden.basis,
        golden.fact,
        golden.source,
    )


def _agree(expected: str, got: str) -> bool:
    if expected == "licence_required":
        return got in ("licence", "denied")
    if expected in ("unknown", "indeterminate"):
        return got in ("unknown", "indeterminate")
    return expected in got.split("|")


def _date_of(regime: str, book: Rulebook) -> date:
    """A day on which a regime is the law: a month after it began to be enforced."""
    rule = {"nac": "us_3a090_2023", "hbm_exception": "us_hbm_2024", "us_lithography": "us_3b993_f1"}.get(regime, regime)
    start = book.rules[rule].compliance_from or book.rules[rule].effective_from or book.begins
    return date.fromordinal(start.toordinal() + 30)


def _regime(card: ItemCard, golden: Golden, on: date, book: Rulebook) -> str:
    ruling = allow(card, golden.to, on, golden.party, golden.origin, end_use=golden.end_use, rules=book)
    by_rule = {f.rule: f for f in ruling.findings}
    if golden.regime == "us_lithography":
        return _lithography([by_rule[r] for r in _LITHOGRAPHY])
    if golden.regime == "nac":
        return _nac(by_rule["us_3a090_2023"])
    if golden.regime == "hbm_exception":
        limit = float(book.rules["us_hbm_2024"].define["exception_density"].text.split("<")[1])
        density = ruling.metrics.mbd
        return str(bool(density and density[1] < limit)).lower()
    return _READERS[golden.regime](by_rule[golden.regime])


def _legs(finding: Finding, met: str) -> list[str]:
    return [leg.label for leg in finding.legs if leg.met == met]


def _nac(finding: Finding) -> str:
    if finding.match == "open":
        return "indeterminate"
    return str(finding.exception == "NAC").lower()


def _october_2022(finding: Finding) -> str:
    return "controlled" if _legs(finding, "yes") else "unknown" if _legs(finding, "open") else "not_controlled"


def _october_2023(finding: Finding) -> str:
    if finding.excluded:
        return "note2"
    met = _legs(finding, "yes")
    return met[0] if met else "indeterminate" if _legs(finding, "open") else "not_listed"


def _letter(finding: Finding) -> str:
    return "licence" if _legs(finding, "yes") else "unknown" if _legs(finding, "open") else "none"


def _lane(finding: Finding) -> str:
    return "case_by_case" if _legs(finding, "yes") else "denial"


def _tariff(finding: Finding) -> str:
    return next((leg.id for leg in finding.legs if leg.met == "yes"), "none")


def _memory(finding: Finding) -> str:
    return (_legs(finding, "yes") or ["none"])[0]


def _foundry(finding: Finding) -> str:
    if finding.excluded:
        return "not_applicable"
    return "presumed" if _legs(finding, "yes") else "indeterminate" if _legs(finding, "open") else "overcome"


def _lithography(findings: Sequence[Finding]) -> str:
    """Every entry that is met, joined by a bar; else whether one is open."""
    met = [label for f in findings for label in _legs(f, "yes")]
    return "|".join(met) or ("indeterminate" if any(_legs(f, "open") for f in findings) else "none")


_READERS = {
    "us_3a090_2022": _october_2022,
    "us_3a090_2023": _october_2023,
    "us_h20_isinformed_2025": _letter,
    "us_h200_2026": _lane,
    "us_tariff_2026": _tariff,
    "us_hbm_2024": _memory,
    "us_foundry_dd_2025": _foundry,
}
