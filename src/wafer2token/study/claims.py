"""``claims``: what people say, tested. The executable ones are run; the rest are shown as they stand in their documents."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wafer2token import __version__, catalog
from wafer2token.evidence.errors import EvidenceError, InputError, Problem
from wafer2token.study import flagship, flagship_chain
from wafer2token.study.graph import Graph
from wafer2token.study.scenario import Scenario
from wafer2token.study.verdict import Verdict

EXECUTABLE = (*flagship_chain.TESTS, *flagship.TESTS)


def judge_claims(
    graph: Graph, scenario: Scenario, details: Mapping[str, Any], problems: MutableMapping[str, str]
) -> list[Verdict]:
    """Verdicts on the claims that a scenario asks for; a claim that cannot be tested in it says why."""
    named = () if isinstance(scenario.claims, str) else tuple(label(catalog.get("claim", c)) for c in scenario.claims)
    wanted = EXECUTABLE if scenario.claims == "flagship" else named
    not_executable = [c for c in wanted if c not in EXECUTABLE]
    if not_executable:
        raise InputError(
            [Problem("this claim has no executable test", got=c, allowed=", ".join(EXECUTABLE)) for c in not_executable]
        )
    verdicts: list[Verdict] = []
    for claim in (c for c in EXECUTABLE if c in wanted):
        try:
            if claim in flagship.TESTS:
                verdicts += flagship.TESTS[claim](graph)
            else:
                verdicts += flagship_chain.TESTS[claim](graph, details)
        except EvidenceError as error:
            problems[f"claims.{claim}"] = str(error)
    return verdicts


def label(card: Any) -> str:
    """The number of a claim as the documents' table writes it, S2-011."""
    return str(card.id).upper().replace("_", "-")


def document_errors() -> list[dict[str, str]]:
    """The errors of the documents and the conflicts between them, with the claims concerned."""
    found: dict[str, list[str]] = {}
    for card in catalog.all_cards("claim").values():
        for issue in card.document_errors:
            found.setdefault(issue, []).append(label(card))
    return [{"claims": ", ".join(numbers), "issue": issue} for issue, numbers in found.items()]


@dataclass(frozen=True)
class ClaimsResult:
    """Claims as they stand in their documents, and the verdicts on those that were run."""

    cards: tuple[Any, ...]
    verdicts: tuple[Verdict, ...]
    problems: Mapping[str, str]
    version: str
    fingerprint: str
    seed: int | None = None
    samples: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "version": self.version,
            "data_fingerprint": self.fingerprint,
            "seed": self.seed,
            "samples": self.samples,
            "claims": [c.model_dump(mode="json") for c in self.cards],
            "verdicts": [v.to_dict() for v in self.verdicts],
            "problems": dict(self.problems),
        }


def claims(ids: tuple[str, ...] = (), *, scenario: str | Path | None = None, samples: int | None = None, seed: int | None = None,
           test: bool = True) -> ClaimsResult:  # fmt: skip
    """Claims and how they fare.

    Args:
        ids: claim ids such as "S2-011"; all flagship claims when empty.
        scenario, samples, seed: as for ``run``; only what the claims need is computed.
        test: False shows the cards only.
    """
    from wafer2token.study.run import run
    from wafer2token.study.scenario import read

    wanted = tuple(label(catalog.get("claim", i)) for i in ids) if ids else EXECUTABLE
    cards = tuple(catalog.get("claim", i) for i in wanted)
    runnable = tuple(i for i in wanted if i in EXECUTABLE)
    if not test or not runnable:
        untested = {i: "no executable test" for i in wanted if i not in EXECUTABLE} if test else {}
        return ClaimsResult(cards, (), untested, __version__, catalog.fingerprint())
    asked = read(scenario, samples=samples, seed=seed)
    unused: dict[str, Any] = {"serving": (), "compare": (), "claims": with_requirements(runnable)}
    if not set(runnable) & flagship_chain.NEED_TRAINING:
        unused["training"] = ()
    if not set(runnable) & flagship_chain.NEED_SUPPLY:
        unused["supply"] = None
    needed = asked.model_copy(update=unused)
    result = run(needed)
    verdicts = tuple(v for v in result.verdicts if v.claim in runnable)
    untested = {i: "no executable test" for i in wanted if i not in runnable}
    problems = untested | {k: v for k, v in result.problems.items() if k.removeprefix("claims.") in runnable}
    return ClaimsResult(cards, verdicts, problems, result.version, result.fingerprint, needed.seed, needed.samples)


def with_requirements(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The claims with those whose quantities they use."""
    needs = {"S1-032": ("S1-030",), "S1-036": ("S1-033",)}
    return tuple(dict.fromkeys(r for c in wanted for r in (*needs.get(c, ()), c)))
