"""The rules, read from ``data/rules.toml``; a rule without a source does not load."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from wafer2token.evidence.errors import EvidenceError, InputError, unknown
from wafer2token.stack.audit.model import EFFORTS, RISKS, SEVERITIES, Matcher, Rule, Site


@dataclass
class _Entry:
    rule: Rule
    matcher: Matcher
    pattern: re.Pattern[str]
    value: re.Pattern[str] | None


@dataclass
class RuleBook:
    """All rules, with an index by kind of site. Matches are remembered by text, since names repeat."""

    rules: dict[str, Rule]
    harmless: re.Pattern[str]
    _by_kind: dict[str, list[_Entry]] = field(default_factory=dict, repr=False)
    _memory: dict[tuple[str, str], tuple[_Entry, ...]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for rule in self.rules.values():
            for matcher in rule.detect:
                value = re.compile(matcher.value) if matcher.value else None
                entry = _Entry(rule, matcher, re.compile(matcher.like), value)
                self._by_kind.setdefault(matcher.on, []).append(entry)

    def matching(self, site: Site) -> list[tuple[Rule, Matcher]]:
        """The rules that a site meets, in the order of their ids."""
        key = (site.kind, site.text)
        entries = self._memory.get(key)
        if entries is None:
            entries = tuple(e for e in self._by_kind.get(site.kind, ()) if e.pattern.search(site.text))
            self._memory[key] = entries
        return [(e.rule, e.matcher) for e in entries if _in_place(e, site)]

    def pattern(self, kind: str) -> re.Pattern[str] | None:
        """One expression that finds every line on which a rule of a kind may match, or None where no rule is."""
        parts = [f"(?:{e.matcher.like})" for e in self._by_kind.get(kind, ()) if not e.matcher.like.startswith("(?")]
        return re.compile("|".join(parts)) if parts else None

    def get(self, rule_id: str) -> Rule:
        """The rule of an id. Raises InputError with the nearest ids."""
        if rule_id not in self.rules:
            raise InputError(unknown("rule", rule_id, list(self.rules)))
        return self.rules[rule_id]


def _in_place(entry: _Entry, site: Site) -> bool:
    matcher = entry.matcher
    if matcher.context and site.context.partition(":")[0] not in matcher.context:
        return False
    if not matcher.keyword:
        return True
    for name, text in site.arguments:
        if name == matcher.keyword:
            return entry.value is None or bool(entry.value.search(text))
    return False


@cache
def load_rules() -> RuleBook:
    """The rules that ship with the package. Raises EvidenceError for a rule without a source or with an unknown word."""
    text = (files("wafer2token.stack.audit") / "data" / "rules.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    sources: dict[str, str] = document["sources"]
    rules = [_rule(table, sources) for table in document["rule"]]
    return RuleBook({rule.id: rule for rule in rules}, re.compile(document["words"]["harmless"]))


def _rule(table: dict[str, Any], sources: dict[str, str]) -> Rule:
    fields: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in table.items() if k not in {"detect", "sources"}
    }
    detect = tuple(_matcher(entry) for entry in table.get("detect", []))
    try:
        urls = tuple(sources[s] for s in table.get("sources", []))
    except KeyError as error:
        raise EvidenceError(f"rule {table.get('id')}: source {error} is not listed") from error
    rule = Rule(detect=detect, sources=urls, **fields)
    allowed = {"severity": SEVERITIES, "effort": EFFORTS, "risk": RISKS}
    wrong = [f"{name} {getattr(rule, name)!r}" for name, words in allowed.items() if getattr(rule, name) not in words]
    if wrong or not urls:
        raise EvidenceError(f"rule {rule.id}: {', '.join(wrong) or 'no source'}")
    return rule


def _matcher(entry: dict[str, Any]) -> Matcher:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    return Matcher(**fields)
