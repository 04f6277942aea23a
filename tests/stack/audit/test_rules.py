"""The rules as data: every one has a source, a grade and words that the report knows."""

import re
import tomllib
from importlib.resources import files

import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.stack.audit import load_rules

GRADES = {"measured", "teardown", "vendor", "analyst", "press", "assumed"}
KINDS = {"name", "call", "method", "attribute", "string", "env", "import", "define", "decorator", "native", "text",
         "requirement", "file", "json", "kernel", "version", "patched", "docs", "operator", "interface"}  # fmt: skip
BOOK = load_rules()


def test_there_are_at_least_a_hundred_rules():
    assert len(BOOK.rules) >= 100


@pytest.mark.parametrize("rule", BOOK.rules.values(), ids=list(BOOK.rules))
def test_a_rule_is_sourced_graded_and_actionable(rule):
    assert rule.sources
    assert all(url.startswith("https://") for url in rule.sources)
    assert rule.grade in GRADES
    assert rule.transfer_to_npu in {"yes", "no", "partly"}
    assert rule.title
    assert rule.replacement
    assert not rule.from_memory or rule.grade == "assumed"
    for matcher in rule.detect:
        assert matcher.on in KINDS
        re.compile(matcher.like)


def test_every_listed_source_is_used():
    document = tomllib.loads((files("wafer2token.stack.audit") / "data" / "rules.toml").read_text(encoding="utf-8"))
    used = {source for rule in document["rule"] for source in rule["sources"]}
    assert used == set(document["sources"])


def test_an_unknown_rule_names_the_nearest():
    with pytest.raises(InputError, match="did you mean"):
        BOOK.get("A0I")
