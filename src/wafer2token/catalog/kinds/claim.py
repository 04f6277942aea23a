"""What a document says, with the test that would support or contradict it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from wafer2token.catalog.card import Card

SeedGrade = Literal["documented", "reported", "estimate", "marketing", "contested", "opinion"]


class Flagship(BaseModel):
    """The computed test of a claim: which quantity, the range the document gives, and what to know about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quantity: str
    low: float | None = None
    high: float | None = None
    note: str = ""


class ClaimCard(Card):
    """One checkable statement of a document, in our words. ``name`` is its subject.

    ``seed_grade`` is the document's own stance, not a verdict. ``status``: "computed" when a scenario answers it,
    "documented" when the evidence on cards does, "context" when there is nothing to compute. ``document_errors``
    are mistakes of the documents and conflicts between them.
    """

    columns: ClassVar[dict[str, str]] = {
        "status": "status",
        "seed_grade": "stance",
        "form": "form",
        "statement": "statement",
    }

    document: str
    line: int = Field(ge=1)
    statement: str = Field(min_length=1)
    form: Literal["status", "causal", "comparison", "quantity", "forecast", "advice"]
    seed_grade: SeedGrade
    status: Literal["computed", "documented", "context"]
    test: str = ""
    inputs: tuple[str, ...] = ()
    check: str = ""
    modelled: bool = True
    furniture: bool = False
    document_errors: tuple[str, ...] = ()
    flagship: Flagship | None = None
