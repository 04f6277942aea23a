"""``allow``: may this item go there, on that date, to that party, and why (not)?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from wafer2token.catalog.kinds.item import ItemCard
from wafer2token.catalog.kinds.rule import RuleCard
from wafer2token.catalog.rule_variables import TYPES, VARIABLES
from wafer2token.controls.items import Metrics, item_card, item_values, metrics, weakest_grade
from wafer2token.controls.judge import (
    VERDICT_OF_LEVEL,
    Joined,
    Judged,
    apply_replacements,
    join,
    judge,
    missing,
    missing_defaults,
)
from wafer2token.controls.logic import FALSE, MISSING, OPEN, SCALAR, TRUE
from wafer2token.controls.margins import Margin, is_near, margins, open_names, settled
from wafer2token.controls.places import Party, destination, in_group, party, party_values, place_values
from wafer2token.controls.rulebook import (
    AFTER_HORIZON,
    GRADE_OF_EVIDENCE,
    VIEWS,
    AfterHorizon,
    Rulebook,
    View,
    bundled,
    parameter_value,
    standing,
    weakest_evidence,
)
from wafer2token.evidence.errors import InputError, Problem, unknown
from wafer2token.evidence.number import Grade, weakest

DISCLAIMER = "Not legal advice: a model of published rules, with stated gaps. Ask counsel before shipping anything."
END_USES = ("advanced_node", "mature_node", "equipment_development", "supercomputer", "other")
_WORD = {FALSE: "no", OPEN: "open", TRUE: "yes"}


@dataclass(frozen=True)
class Leg:
    """A limb of a rule and whether the item meets it: yes, no or open."""

    id: str
    label: str
    formula: str
    met: str


@dataclass(frozen=True)
class Finding:
    """What one rule says of the transaction."""

    rule: str
    name: str
    jurisdiction: str
    authority: str
    standing: str
    binding: bool
    match: str  # yes, no, open, near
    verdict: str
    ceiling: str
    review: str
    exception: str
    condition: str
    duty: float | None
    legs: tuple[Leg, ...]
    excluded: str
    margins: tuple[Margin, ...]
    missing: tuple[str, ...]
    settled: str
    replaced_by: str
    declared_by: str
    citation: tuple[str, ...]
    sources: tuple[str, ...]
    evidence: str
    lane: str
    informal: bool
    in_scope: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        out = dict(vars(self))
        out["legs"] = [vars(leg) for leg in self.legs]
        out["margins"] = [m.to_dict() for m in self.margins]
        return out


@dataclass(frozen=True)
class Ruling:
    """The answer of ``allow``: verdict, the rules behind it, the near misses, what was assumed, how good the evidence is."""

    item: str
    name: str
    to: str
    origin: str
    on: date
    party: str
    view: str
    verdict: str
    at_least: str
    at_most: str
    exception: str
    condition: str
    review: str
    duty: float | None
    import_verdict: str
    findings: tuple[Finding, ...]
    metrics: Metrics
    missing: tuple[str, ...]
    assumptions: tuple[str, ...]
    notes: tuple[str, ...]
    weakest_evidence: str
    weakest_number: Grade | None
    disclaimer: str = DISCLAIMER

    @property
    def matched(self) -> tuple[Finding, ...]:
        """The rules that decide or might."""
        return tuple(f for f in self.findings if f.match in ("yes", "open"))

    @property
    def near(self) -> tuple[Finding, ...]:
        """The rules that the item misses narrowly."""
        return tuple(f for f in self.findings if f.match == "near")

    @property
    def considered(self) -> tuple[Finding, ...]:
        """The rules whose scope the transaction is in and that the item does not meet, nor nearly."""
        return tuple(f for f in self.findings if f.match == "no" and f.in_scope and f.margins)

    @property
    def weakest_grade(self) -> Grade:
        """The weakest grade on the path, rules and numbers together, on the scale of the numbers."""
        grades = [GRADE_OF_EVIDENCE[self.weakest_evidence], *([self.weakest_number] if self.weakest_number else [])]
        return weakest(grades)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``verdict`` is free, licence, denied, indeterminate or unknown."""
        out = {k: v for k, v in vars(self).items() if k not in ("findings", "metrics", "origin")}
        out["from"] = self.origin
        out["matched"] = [f.to_dict() for f in self.matched]
        out["near"] = [f.to_dict() for f in self.near]
        out["considered"] = [f.to_dict() for f in self.considered]
        out["metrics"] = dict(vars(self.metrics))
        out["weakest_grade"] = self.weakest_grade
        return out


@dataclass(frozen=True)
class Transaction:
    """What is asked: an item from one country to another on a date, for a party and a use."""

    card: ItemCard
    to: str
    origin: str
    on: date
    party: str | None = None
    hq: str | None = None
    end_use: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    def values(self) -> tuple[dict[str, Any], Party]:
        """Every variable as formulas read it, and the party."""
        dest, origin = destination(self.to), destination(self.origin)
        who = party(self.party, self.hq, dest)
        card = self.card
        known = {**item_values(card), **place_values(dest, origin, self.on), **party_values(who, self.on)}
        known["designer_d5m"] = _in_d5m(card.designer_hq, self.on)
        known["subject"] = True if origin.code == "US" or card.designer_hq == "US" else card.us_content
        known["end_use"] = self.end_use
        known |= {"chinese_value_share": (0.0, 0.0), "state_funded": False, **self.given}
        known["on"] = (float(self.on.toordinal()),) * 2
        return {**missing_defaults(), **{k: _read(v, k) for k, v in known.items()}}, who


def _in_d5m(code: str, on: date) -> bool | None:
    return None if not code else code == "MO" or in_group(destination(code), "D:5", on)


def _read(value: Any, name: str) -> Any:
    """A value in the form that formulas read; None is missing."""
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if isinstance(value, (int, float)):
        return (float(value), float(value))
    return missing(name) if value is None else value


def parse_given(assignments: Iterable[str]) -> dict[str, Any]:
    """``name=value`` texts as values of variables; InputError for an unknown name or a value of another type."""
    out: dict[str, Any] = {}
    problems: list[Problem] = []
    for text in assignments:
        name, _, value = (part.strip() for part in text.partition("="))
        kind = TYPES.get(name)
        if kind is None:
            problems.append(unknown("variable", name, list(TYPES), "--given"))
        elif kind == "truth" and value in ("yes", "no"):
            out[name] = value == "yes"
        elif kind == "text" and value:
            out[name] = value
        elif kind == "number" and _is_number(value):
            out[name] = float(value)
        else:
            allowed = {"truth": "yes or no", "number": f"a number in {VARIABLES[name][1]}"}.get(kind, "a text")
            problems.append(Problem(f"not a value of {name}", "--given", value, allowed))
    if problems:
        raise InputError(problems)
    return out


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def parse_date(given: date | str | None, horizon: date) -> date:
    """A date from ISO text; none means the last day of the facts. InputError for a day that does not exist."""
    if given is None:
        return horizon
    if isinstance(given, datetime):
        return given.date()
    if isinstance(given, date):
        return given
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise InputError(Problem(f"impossible date: {error}", "--on", given, "a day such as 2025-04-09")) from None


def allow(
    item: str | Path | ItemCard,
    to: str = "CN",
    on: date | str | None = None,
    party: str | None = None,
    from_: str = "US",
    *,
    hq: str | None = None,
    end_use: str | None = None,
    view: View = "enforced",
    after_horizon: AfterHorizon = "unknown",
    with_unverified: bool = False,
    settle: bool = False,
    near: float = 0.1,
    rules: Rulebook | None = None,
    given: Mapping[str, Any] | None = None,
) -> Ruling:
    """May this item go there, and why (not)? Not legal advice.

    Args:
        item: an item's id or alias, a chip or system, the path of a card file, or a card.
        to, from_: destination and origin, ISO code or name.
        on: date; none means the last day to which the facts reach.
        party: id or name of a party card; none means an unlisted party headquartered in ``hq``, else in ``to``.
        end_use: one of ``END_USES``; none is unknown, which matters for equipment.
        view: what is enforced, or what is codified.
        after_horizon: how to take time-limited rules beyond the facts: unknown, snap_back or extended.
        with_unverified: switch on rules that rest on memory alone.
        settle: let what is known settle a limb although something it names is missing.
        near: how close (relative) a limb must be to be called near.
        rules: another rulebook, such as an amended one.
        given: values of further variables by name.

    Raises:
        InputError: unknown item, destination, party; impossible date; malformed card file.
    """
    book = rules or bundled()
    problems: list[Problem] = []
    for name, value, allowed in (("view", view, VIEWS), ("after_horizon", after_horizon, AFTER_HORIZON), ("end_use", end_use, (None, *END_USES))):  # fmt: skip
        if value not in allowed:
            problems.append(Problem(f"unknown {name}", got=value, allowed=", ".join(str(a) for a in allowed if a)))
    problems += [unknown("variable", name, list(TYPES), "given") for name in given or {} if name not in TYPES]
    if problems:
        raise InputError(problems)
    deal = Transaction(item_card(item), to, from_, parse_date(on, book.horizon), party, hq, end_use, given or {})
    if deal.card.category == "computer":
        return _computer(deal, view, after_horizon, with_unverified, settle, near, book)
    values, who = deal.values()
    judged = _judge_all(deal, values, book, view, after_horizon, with_unverified, settle)
    return _ruling(deal, who, judged, book, view, near)


def _computer(
    deal: Transaction, view: View, after: AfterHorizon, unverified: bool, settle: bool, near: float, book: Rulebook
) -> Ruling:
    """A computer follows the strictest IC that it contains (4A090 and the .z entries)."""
    rulings = [
        allow(
            name, deal.to, deal.on, deal.party, deal.origin, hq=deal.hq, end_use=deal.end_use, view=view,
            after_horizon=after, with_unverified=unverified, settle=settle, near=near, rules=book, given=deal.given,
        )
        for name in deal.card.contains
    ]  # fmt: skip
    if not rulings:
        raise InputError(
            Problem("a computer needs what it contains", f"item {deal.card.id}", allowed='contains = ["h100_sxm"]')
        )
    order = ("free", "licence", "indeterminate", "unknown", "denied")
    worst = max(rulings, key=lambda r: order.index(r.verdict))
    note = f"judged by the strictest IC inside, {worst.name} (4A090, .z)"
    return replace(worst, item=deal.card.id, name=deal.card.name, notes=(*worst.notes, note))


def _judge_all(
    deal: Transaction,
    values: dict[str, Any],
    book: Rulebook,
    view: View,
    after: AfterHorizon,
    unverified: bool,
    settle: bool,
) -> list[Judged]:
    declared = {d.rule: d.controlled for d in deal.card.declared}

    def one(rule: RuleCard) -> Judged:
        where = standing(rule, deal.on, view, book.horizon, after, unverified)
        found = {n: parameter_value(p, deal.on) or MISSING for n, p in rule.parameter.items()}
        return judge(rule, where.code, values, found, SCALAR, settle, declared.get(rule.id))

    home = [r for r in book if is_home(r, deal.origin)]
    at_home = [one(r) for r in home]
    listed = join([j for j in at_home if j.rule.lane == "export"], SCALAR)
    values["home_lists"] = TRUE if listed.floor else OPEN if listed.ceiling else FALSE
    judged = at_home + [one(r) for r in book if r not in home]
    apply_replacements(judged, SCALAR)
    return judged


def is_home(rule: RuleCard, origin: str) -> bool:
    """Whether a rule is the law of a foreign country of origin: its own, the European Union's or a common list."""
    code = destination(origin).code
    return code != "US" and rule.jurisdiction in (code, "EU", "multilateral")


def _counts(j: Judged, lane: str) -> bool:
    return j.rule.lane == lane and (lane == "import" or j.rule.status != "reported_informal")


def verdict_of(joined: Joined) -> str:
    """Verdict of a floor and a ceiling."""
    floor, ceiling, known = (VERDICT_OF_LEVEL[x] for x in (joined.floor, joined.ceiling, joined.ceiling_known))
    if floor == ceiling:
        return floor
    return "unknown" if floor == known else "indeterminate"


def _ruling(deal: Transaction, who: Party, judged: list[Judged], book: Rulebook, view: View, near: float) -> Ruling:
    export = [j for j in judged if _counts(j, "export")]
    joined = join(export, SCALAR)
    verdict = verdict_of(joined)
    entry = verdict_of(join([j for j in judged if _counts(j, "import")], SCALAR))
    findings = tuple(sorted((_finding(j, deal, book, view, near) for j in judged), key=_rank))
    deciding = [f for f in findings if f.binding and f.lane == "export" and f.match in ("yes", "open")]
    top = next((f for f in deciding if f.match == "yes" and f.verdict == VERDICT_OF_LEVEL[joined.floor]), None)
    notes = _notes(deal, book, verdict, findings)
    if deal.on < book.begins:
        verdict = "unknown"
    return Ruling(
        item=deal.card.id, name=deal.card.name, to=destination(deal.to).code, origin=destination(deal.origin).code,
        on=deal.on, party=who.name, view=view, verdict=verdict,
        at_least=VERDICT_OF_LEVEL[joined.floor], at_most=VERDICT_OF_LEVEL[joined.ceiling],
        exception=top.exception if top and joined.ceiling == 1 else "", condition=top.condition if top else "",
        review=top.review if top else "", duty=next((f.duty for f in findings if f.duty and f.match == "yes"), None),
        import_verdict=entry, findings=findings, metrics=metrics(deal.card),
        missing=tuple(dict.fromkeys(m for f in deciding if f.match == "open" for m in f.missing)),
        assumptions=_assumptions(deal, who), notes=notes,
        weakest_evidence=weakest_evidence(f.evidence for f in findings if f.in_scope and f.binding and f.lane == "export"),
        weakest_number=_weakest_number(deal, judged),
    )  # fmt: skip


def _weakest_number(deal: Transaction, judged: list[Judged]) -> Grade | None:
    """The weakest grade among the item's numbers and the parameters of the rules that decide or might."""
    deciding = [j for j in judged if _counts(j, "export") and any(h > FALSE for h in j.hits)]
    grades = [n.grade for j in deciding for _, n in j.rule.numbers() if n.grade]
    own = weakest_grade(deal.card)
    grades += [own] if own else []
    return weakest(grades) if grades else None


def _rank(finding: Finding) -> tuple[int, int, str]:
    order = ("denied", "licence", "free")
    level = order.index(finding.verdict) if finding.verdict in order else 1
    return ("yes", "open", "near", "no").index(finding.match), level, finding.rule


def _notes(deal: Transaction, book: Rulebook, verdict: str, findings: Iterable[Finding]) -> tuple[str, ...]:
    out = []
    if deal.on > book.horizon:
        out.append(f"the facts reach {book.horizon}: rules without an end are taken as last known")
    if deal.on < book.begins:
        out.append(f"the facts begin on {book.begins}: nothing is known before")
    if metrics(deal.card).all_planar:
        out.append("all logic is planar: there is no applicable die area, so limbs that need a density are not met")
    if verdict == "free" and deal.card.designer_hq == "CN" and destination(deal.origin).code == "CN":
        out.append("a domestic sale: no export; the General Prohibition 10 guidance still warns users abroad")
    home = deal.card.designer_hq
    if home not in ("", "US") and destination(deal.origin).code == "US":
        out.append(f"asked from the United States; from {home}, its designer's country, ask with --from {home}")
    out += [f"classified under {f.rule} as declared: {f.declared_by}" for f in findings if f.declared_by and f.in_scope]
    return tuple(out)


def _assumptions(deal: Transaction, who: Party) -> tuple[str, ...]:
    out = []
    if who.card is None:
        out.append(f"unlisted party headquartered in {who.hq.name}, not owned by listed parties")
    if deal.end_use is None and deal.card.category != "tool":
        out.append("no prohibited end use")
    return tuple(out)


def _finding(j: Judged, deal: Transaction, book: Rulebook, view: View, near: float) -> Finding:
    rule = j.rule
    hit = next((o for o, h in zip(rule.outcome, j.hits, strict=True) if h == TRUE), None)
    maybe = [o for o, h in zip(rule.outcome, j.hits, strict=True) if h > FALSE]
    binds = min(j.standing, j.scope)
    match = "yes" if hit else "open" if maybe else "no"
    close = match == "no" and j.scope > FALSE and j.standing > FALSE and is_near(j, near)
    shown = hit or (maybe[0] if maybe else None)
    word = standing(rule, deal.on, view, book.horizon, "unknown", False).word
    stated = next((d.by for d in deal.card.declared if d.rule == rule.id), "")
    return Finding(
        rule=rule.id, name=rule.name, jurisdiction=rule.jurisdiction, authority=rule.authority, standing=word,
        binding=j.standing > FALSE and rule.status != "reported_informal", match="near" if close else match,
        verdict=VERDICT_OF_LEVEL[j.floor], ceiling=VERDICT_OF_LEVEL[j.ceiling],
        review=shown.review if shown else "", exception=shown.exception if shown else "",
        condition=shown.condition if shown else "", duty=float(shown.duty) if shown and shown.duty else None,
        legs=tuple(Leg(n, leg.label, leg.when.text, _WORD[j.legs[n]]) for n, leg in rule.leg.items()),
        excluded=next((x.label for x in rule.exclude.values()), "") if j.excluded == TRUE else "",
        margins=tuple(margins(j)) if binds else (),
        missing=open_names(j) if match == "open" else (), settled=settled(j), replaced_by=j.replaced_by, declared_by=stated,
        citation=rule.citation, sources=rule.source, evidence=rule.text_evidence, lane=rule.lane,
        informal=rule.status == "reported_informal",
        in_scope=binds > FALSE,
    )  # fmt: skip
