"""Which PyTorch operators and interfaces run on the NPU, wheel by wheel, and which fused operators exist.

The tables come from the registries inside 22 torch_npu wheels and from the interface lists of its documentation
(CC BY 4.0); ``tools/pack_audit_tables.py`` packs them.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from wafer2token.evidence.errors import InputError, Problem

CLASSES = {
    "n": "native", "l": "native (legacy acl_op)", "w": "native (framework)", "o": "native (through its out variant)",
    "f": "loop over a foreach list", "i": "composite", "e": "composite", "C": "CPU fallback",
    "x": "for another backend only", "-": "not in this torch",
}  # fmt: skip
NATIVE = frozenset("nlwo")
COMPOSITE = frozenset("ief")
_TENSOR_METHODS = "torch.Tensor."


def table(name: str) -> Iterator[dict[str, str]]:
    """The rows of a packed table of this room."""
    packed = (files("wafer2token.stack.audit") / "data" / name).read_bytes()
    yield from csv.DictReader(io.StringIO(gzip.decompress(packed).decode("utf-8")))


@dataclass(frozen=True)
class Wheel:
    """One release of torch_npu."""

    version: str
    date: str
    runs_on_npu_percent: float
    custom_operators: int


@cache
def wheels() -> tuple[Wheel, ...]:
    """The torch_npu wheels whose registry was read, oldest version first."""
    rows = [
        Wheel(r["wheel"], r["date"], float(r["runs_on_npu_pct"]), int(r["custom_npu_ops"]))
        for r in table("wheels.csv.gz")
    ]
    return tuple(sorted(rows, key=lambda w: version_key(w.version)))


def version_key(version: str) -> tuple[int, ...]:
    """A version as integers, so that 2.10 follows 2.9 and 2.1.0.post6 follows 2.1.0."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def wheel(version: str | None) -> Wheel:
    """The wheel of a version ("2.13", "2.1.0.post6"), the latest one of that prefix; None gives the newest.

    Raises InputError, with the versions that are known, where there is none.
    """
    known = wheels()
    if version is None:
        return known[-1]
    wanted = version.removeprefix("v")
    fitting = [w for w in known if w.version == wanted or w.version.startswith(wanted + ".")]
    if not fitting:
        versions = ", ".join(w.version for w in known)
        raise InputError(Problem("no torch_npu wheel of this version was read", got=version, allowed=versions))
    exact = [w for w in fitting if w.version == wanted]
    return exact[0] if exact else fitting[-1]


@dataclass(frozen=True)
class Operator:
    """One aten overload: its class in each wheel, and what the documentation says of it."""

    name: str
    on_cuda: bool
    classes: dict[str, str]
    documented: dict[str, bool | None]
    dtypes: tuple[str, ...]
    may_fall_back: bool

    @property
    def base(self) -> str:
        return self.name.split(".")[0]


@cache
def operators() -> dict[str, Operator]:
    """All aten overloads by name ("add.Tensor")."""
    found: dict[str, Operator] = {}
    for row in table("operators.csv.gz"):
        versions = next(k for k in row if "|" in k)
        yes = {"y": True, "n": False}
        documented = {"A2": yes.get(row["A2"]), "A3": yes.get(row["A2"]), "950": yes.get(row["950"])}
        classes = dict(zip(versions.split("|"), row[versions], strict=True))
        dtypes = tuple(row["dtypes"].split())
        found[row["op"]] = Operator(
            row["op"], row["cuda"] == "1", classes, documented, dtypes, bool(row["may_fall_back"])
        )
    return found


@cache
def _by_base() -> dict[str, tuple[Operator, ...]]:
    bases: dict[str, list[Operator]] = {}
    for operator in operators().values():
        bases.setdefault(operator.base, []).append(operator)
    return {base: tuple(found) for base, found in bases.items()}


def overload(name: str) -> Operator | None:
    """The operator of a traced name ("aten.add.Tensor", "aten::relu", "relu.default"); None where it is unknown."""
    bare = name.replace("::", ".").removeprefix("aten.").removesuffix(".default")
    return operators().get(bare)


def base_class(base: str, version: str) -> str:
    """The class letter of an operator in one wheel, "" where unknown.

    The plain tensor overload speaks for the operator where CUDA has a kernel for it; otherwise the best supported
    overload does. Out variants do not count.
    """
    found = [o for o in _by_base().get(base, ()) if not o.name.endswith("out") and o.classes[version] != "-"]
    for name in ("", ".Tensor", ".Tensor_Tensor", ".self", ".dim"):
        for operator in found:
            if operator.on_cuda and operator.name == base + name:
                return operator.classes[version]
    return min((o.classes[version] for o in found), key="nowlfieCx".index, default="")


def aten_base(api: str) -> str:
    """The aten operator behind an interface name ("torch.linalg.eigh" -> "linalg_eigh"); "" where there is none."""
    known = _by_base()
    if api.startswith(_TENSOR_METHODS):
        candidates = [api[len(_TENSOR_METHODS) :]]
    elif api.startswith("torch.nn.functional."):
        candidates = [api.rsplit(".", 1)[1]]
    elif api.startswith("torch."):
        tail = api[len("torch.") :].replace(".", "_")
        candidates = [tail, "_" + tail]
    else:
        return ""
    return next((c for c in candidates if c in known), "")


# composite interfaces whose work is done by an operator of another name
_DONE_BY = {
    "linalg_eigh": "_linalg_eigh", "linalg_eigvalsh": "_linalg_eigh", "linalg_svd": "_linalg_svd", "svd": "_linalg_svd",
    "linalg_solve": "_linalg_solve_ex", "linalg_slogdet": "_linalg_slogdet", "linalg_det": "_linalg_det",
    "unique": "_unique2", "_unique": "_unique2", "linalg_inv": "linalg_inv_ex", "linalg_cholesky": "linalg_cholesky_ex",
}  # fmt: skip


@cache
def interface_class(api: str, version: str) -> str:
    """The class letter of a ``torch`` interface in one wheel, "" where the registry does not tell."""
    base = aten_base(api)
    return base_class(_DONE_BY.get(base, base), version) if base else ""


@dataclass(frozen=True)
class Interface:
    """What the documentation of torch_npu 2.13 says of one interface."""

    name: str
    on: dict[str, bool | None]
    dtypes: tuple[str, ...]
    may_fall_back: bool
    restricted: bool


@cache
def interfaces() -> dict[str, Interface]:
    """The documented interfaces by name. A name that is absent is unverified, not unsupported."""
    yes = {"y": True, "n": False}
    return {
        r["api"]: Interface(
            r["api"],
            {g: yes.get(r[g]) for g in ("A2", "A3", "950")},
            tuple(r["dtypes"].split()),
            bool(r["may_fall_back"]),
            bool(r["restricted"]),
        )
        for r in table("apis.csv.gz")
    }


@dataclass(frozen=True)
class Fused:
    """One operator that exists on the NPU only, usually fused, and the wheels that have it."""

    name: str
    category: str
    first_wheel: str
    first_date: str
    last_wheel: str

    def in_wheel(self, version: str) -> bool:
        return version_key(self.first_wheel) <= version_key(version) <= version_key(self.last_wheel)


@cache
def fused() -> dict[str, Fused]:
    """The NPU's own operators by name."""
    return {
        r["op"]: Fused(r["op"], r["category"], r["first_wheel"], r["first_date"], r["last_wheel"])
        for r in table("fused.csv.gz")
    }


@dataclass(frozen=True)
class Patched:
    """A symbol that an Ascend port library replaces at run time."""

    library: str
    symbol: str
    branches: tuple[str, ...]
    category: str


@cache
def patched() -> dict[str, tuple[Patched, ...]]:
    """Replaced symbols by dotted name."""
    found: dict[str, list[Patched]] = {}
    for r in table("patched.csv.gz"):
        entry = Patched(r["library"], r["symbol"], tuple(r["branches"].split()), r["category"])
        found.setdefault(r["symbol"], []).append(entry)
    return {symbol: tuple(entries) for symbol, entries in found.items()}
