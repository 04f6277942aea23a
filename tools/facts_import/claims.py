"""The 217 statements of the five documents as claim cards."""

from __future__ import annotations

import re
from typing import Any

from facts_import.evidence import reword

Fact = dict[str, Any]
DOCUMENTS = {
    "000_4e5742f0de02eedd.txt": ("s0", "Essay on Huawei's domestic chip supply chain (untitled web page)"),
    "001_3e1a0e905dcd28d9.txt": ("s1", "What Huawei Actually Built"),
    "002_08f78decf220ff8b.txt": ("s2", "How US Chip Sanctions Are Building a Fortress for Huawei"),
    "003_796505603e5fe08d.txt": ("s3", "Article on Huawei's chip breakthroughs and China's chip industry (untitled web page)"),
    "004_66587ec3c61d50c6.txt": (
        "s4", "China's racing to build its AI ecosystem as U.S. tech curbs bite. Here's how its supply chain stacks up"
    ),
}  # fmt: skip


def document_sources() -> list[dict[str, Any]]:
    """One source card per document."""
    return [{"id": key, "name": title, "locator": file} for file, (key, title) in DOCUMENTS.items()]


def claim_id(name: str) -> str:
    """``S1-030`` -> ``s1_030``."""
    return name.lower().replace("-", "_")


def claim_cards(facts: Fact) -> list[dict[str, Any]]:
    """All claims, with the document errors and the flagship tests that name them."""
    errors: dict[str, list[str]] = {}
    for item in facts["meta"]["seed_errors_and_conflicts"]:
        for name in item["claims"]:
            errors.setdefault(name, []).append(_neutral(item["issue"]))
    flagship = {item["claim"]: item for item in facts["meta"]["flagship_tests"]}
    return [_card(fact, errors.get(fact["id"], []), flagship.get(fact["id"])) for fact in facts["claims"]]


def _card(fact: Fact, errors: list[str], flagship: Fact | None) -> dict[str, Any]:
    modelled = fact.get("modelled", True)
    furniture = fact.get("noise", False)
    status = "computed" if flagship else "documented" if modelled and not furniture else "context"
    card: dict[str, Any] = {
        "id": claim_id(fact["id"]),
        "name": fact["subject"],
        "aliases": [fact["id"]],
        "document": fact["seed"],
        "line": int(fact["line"]),
        "statement": fact["claim"],
        "form": fact["kind"],
        "seed_grade": fact["seed_grade"],
        "status": status,
    }
    if "test" in fact:
        card["test"] = fact["test"]
    if "inputs" in fact:
        card["inputs"] = [part.strip() for part in fact["inputs"].split(";")]
    if "check" in fact:
        card["check"] = _neutral(reword(fact["check"]))
    if not modelled:
        card["modelled"] = False
    if furniture:
        card["furniture"] = True
    if errors:
        card["document_errors"] = errors
    if flagship:
        card["flagship"] = _flagship(flagship)
    return card


def _flagship(item: Fact) -> dict[str, Any]:
    out: dict[str, Any] = {"quantity": item["quantity"]}
    if "seed_range" in item:
        out["low"], out["high"] = item["seed_range"]
    if "note" in item:
        out["note"] = item["note"]
    return out


def _neutral(text: str) -> str:
    return re.sub(r"^SEED ERROR: ", "The document errs: ", text).replace("seed ", "document ")
