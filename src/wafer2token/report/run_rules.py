"""Export rules on paper: what of a run's chips may go to China, and since when."""

from __future__ import annotations

from datetime import date, timedelta

from wafer2token import catalog
from wafer2token.controls import DISCLAIMER, timeline
from wafer2token.controls.timeline import Span
from wafer2token.evidence.errors import InputError
from wafer2token.report.blocks import Section
from wafer2token.report.charts import status_timeline
from wafer2token.report.names import name_of
from wafer2token.study.result import RunResult
from wafer2token.study.scenario import entity

SINCE = date(2022, 1, 1)


def export_section(result: RunResult) -> Section | None:
    """The status over time of every chip of the run that is designed in the United States; None without any."""
    chips = [chip for chip in chips_of(result) if catalog.get("chip", chip).designer_country == "US"]
    spans = []
    for chip in chips:
        try:
            found = timeline(chip, since=SINCE)
        except InputError:
            continue
        spans += [
            {
                "item": name_of(chip),
                "start": span.start,
                "end": span.end + timedelta(days=1),
                "status": span.verdict,
                "rule": _reason(span),
            }
            for span in found.spans
        ]
    if not spans:
        return None
    items = list(dict.fromkeys(str(span["item"]) for span in spans))
    text = f"From the United States to an unlisted party in China, by date; the rule that decides stands on the bar. {DISCLAIMER}"
    return Section("rules", "Export rules by date", text, status_timeline(items, spans))


def chips_of(result: RunResult) -> list[str]:
    """Ids of the chips that a run compares, trains on or serves with, in order of first use."""
    scenario = result.scenario
    used = [name for pair in result.pairs() for name in pair]
    used += [fleet.on for training in scenario.training for fleet in training.fleets]
    used += [name for service in scenario.serving for name in service.on]
    cards = [entity(name) for name in used]
    chips = (card.chip if kind == "system" else card.id for kind, card in cards)
    return [chip for chip in dict.fromkeys(chips) if chip]


def _reason(span: Span) -> str:
    """The rules that decide a span, by name, and what is missing where the verdict stays open."""
    names = ", ".join(str(catalog.get("rule", rule).name) for rule in span.rules) or "no rule applies"
    return f"{names}; not known: {', '.join(span.missing)}" if span.missing else names
