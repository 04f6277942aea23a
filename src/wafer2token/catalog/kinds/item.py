"""What an export rule judges: a chip as sold, a memory stack, a logic die at a foundry, a tool, a material."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from wafer2token.catalog.card import Area, ByteRate, Card, FlopRate, Ratio, Unit
from wafer2token.catalog.rule_variables import VARIABLES
from wafer2token.evidence.errors import Problem, nearest
from wafer2token.evidence.number import Number

Length = Annotated[Number, Unit("m")]
Expected = Literal["controlled", "not_controlled", "unknown", "free", "licence_required", "licence", "denied", "none",
                   "indeterminate", "case_by_case", "denial", "not_listed", "overcome", "presumed", "not_applicable"]  # fmt: skip


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Throughput(_Part):
    """One format: dense operations per second (a multiply-accumulate is two) and the longer input in bits.

    ``sparsity`` is the factor by which the value counts skipped zeros (2 for "with sparsity").
    """

    format: str
    bits: int = Field(ge=1, le=128)
    value: FlopRate
    sparsity: float = Field(default=1.0, ge=1.0)


class Die(_Part):
    """Dies of one sort inside the item. ``logic`` is false for memory, dummy silicon and interposers."""

    role: str
    count: int = Field(default=1, ge=1)
    area: Area
    logic: bool = True
    nonplanar: bool | None = True


class Declared(_Part):
    """A classification stated by the maker or an authority; it stands where the arithmetic lacks its inputs."""

    rule: str
    controlled: bool
    by: str
    source: tuple[str, ...]


class Golden(_Part):
    """An outcome that the engine must give, and whether it is documented somewhere or derived here from the text.

    ``regime`` names a rule and asks for its leg, exception or outcome; ``on`` asks for the verdict on a date.
    """

    expect: str
    regime: str = ""
    on: date | None = None
    to: str = "CN"
    origin: str = Field(default="US", alias="from")
    party: str | None = None
    end_use: str | None = None
    basis: Literal["documented", "derived"]
    fact: str = ""
    source: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _sourced(self) -> Golden:
        if self.basis == "documented" and not (self.fact and self.source):
            problem = Problem("a documented outcome needs its fact and a source", "")
            raise PydanticCustomError("golden", "{text}", {"problems": (problem,), "text": str(problem)})
        return self


class ItemCard(Card):
    """An item. A chip must say its ``dies`` (``"unknown"`` when nobody published them)."""

    columns: ClassVar[dict[str, str]] = {"category": "category", "vendor": "vendor", "datacenter": "datacenter"}

    category: Literal["chip", "hbm", "logic", "tool", "material", "computer"]
    vendor: str = ""
    designer_hq: str = Field(default="", pattern=r"^([A-Z]{2})?$")
    chip: str = ""
    contains: tuple[str, ...] = ()
    packages: int = Field(default=1, ge=1)
    datacenter: bool | Literal["ambiguous"] | None = None
    us_market: bool | None = None
    us_content: bool | None = None
    throughput: tuple[Throughput, ...] = ()
    declared_tpp: Ratio | None = None
    dies: tuple[Die, ...] | Literal["unknown"] | None = None
    io: ByteRate | None = None
    link: ByteRate | None = None
    dram_bandwidth: ByteRate | None = None
    bandwidth: ByteRate | None = None
    area: Area | None = None
    processing_dominant: bool | None = None
    transistors: Annotated[Number, Unit("transistor")] | None = None
    has_hbm: bool | None = None
    nonplanar: bool | None = None
    designer_approved: bool | None = None
    packaged_outside_d5m: bool | None = None
    lithography: Literal["optical", "imprint", ""] = ""
    wavelength: Length | None = None
    na: Ratio | None = None
    dco: Length | None = None
    overlay: Length | None = None
    material: str = ""
    properties: dict[str, float | bool | str] = Field(default_factory=dict)
    declared: tuple[Declared, ...] = ()
    golden: tuple[Golden, ...] = ()
    facts: tuple[str, ...] = ()
    source: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> ItemCard:
        problems: list[Problem] = []
        if self.category == "chip" and self.dies is None:
            remedy = 'list them, or write dies = "unknown": performance density then stays indeterminate'
            problems.append(Problem("missing die list: a chip needs its dies", ".dies", remedy=remedy))
        if self.category == "hbm" and (self.bandwidth is None or self.area is None):
            problems.append(Problem("a memory stack needs bandwidth and area", ".bandwidth"))
        if self.category == "tool" and not (self.lithography or self.properties):
            problems.append(Problem("a tool needs lithography or properties", ".lithography"))
        for name in self.properties:
            if name not in VARIABLES:
                close = ", ".join(nearest(name, VARIABLES))
                problems.append(Problem("unknown property", f".properties.{name}", name, remedy=f"did you mean {close}?" if close else ""))  # fmt: skip
        if problems:
            text = "; ".join(str(p) for p in problems)
            raise PydanticCustomError("item", "{text}", {"problems": tuple(problems), "text": text})
        return self
