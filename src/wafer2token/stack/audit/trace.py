"""A module traced on fake tensors and joined with what the NPU supports: coverage, dtypes, fallbacks, fused operators.

This is the one part of the audit that executes the audited code, and only when asked to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wafer2token.stack.audit import support
from wafer2token.stack.audit.target import Target

_DTYPES = {
    "float16": "fp16", "bfloat16": "bf16", "float32": "fp32", "float64": "fp64", "complex64": "complex64",
    "complex128": "complex128",
}  # fmt: skip
_RARE = {"fp64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2"}
_FLOAT_GAPS = {"fp16", "bf16", "fp32", "fp64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2"}


@dataclass(frozen=True)
class Call:
    """One operator call: what it computes and moves, for pricing.

    ``flops`` counts a multiply-add as two; ``bytes`` are read and written, 0 for a view; ``product`` is (batch, m, n, k)
    of a matrix product.
    """

    name: str
    flops: float
    bytes: float
    dtypes: tuple[str, ...]
    product: tuple[int, int, int, int] | None = None


Price = Callable[[Call], float]


@dataclass(frozen=True)
class Pattern:
    """A chain of small operators that one NPU operator replaces.

    Found where ``needs`` stand within ``reach`` calls of a ``trigger``; what the fused operator replaces are the calls of
    ``members`` in that window.
    """

    name: str
    trigger: str
    members: frozenset[str]
    needs: frozenset[str]
    reach: int
    fused: tuple[str, ...]


PATTERNS = (
    Pattern("RMSNorm", "rsqrt", frozenset({"pow", "mean", "add", "rsqrt", "mul", "_to_copy"}), frozenset({"pow", "mean", "mul"}), 4,
            ("npu_rms_norm", "npu_add_rms_norm")),
    Pattern("rotary embedding", "neg", frozenset({"neg", "cat", "mul", "add"}), frozenset({"cat", "mul", "add"}), 6,
            ("npu_rotary_mul", "npu_apply_rotary_pos_emb")),
    Pattern("SwiGLU", "silu", frozenset({"silu", "mul"}), frozenset({"mul"}), 8, ("npu_swiglu",)),
    Pattern("expert routing", "index_add", frozenset({"index_add", "index", "mul"}), frozenset(), 6,
            ("npu_moe_init_routing", "npu_moe_finalize_routing")),
    Pattern("grouped product", "_grouped_mm", frozenset({"_grouped_mm"}), frozenset(), 0, ("npu_grouped_matmul",)),
)  # fmt: skip


@dataclass(frozen=True)
class TracedOperator:
    """All calls of one operator in a step."""

    name: str
    calls: int
    support: str
    dtypes: tuple[str, ...]
    dtype_gap: tuple[str, ...]
    flops: float
    bytes: float
    seconds: float
    host_seconds: float

    @property
    def at_risk(self) -> bool:
        """Whether the operator runs on the host, is unknown, or meets a dtype that is rare on the NPU and not listed."""
        return self.support in {"CPU fallback", "other backend only", "unverified"} or bool(set(self.dtype_gap) & _RARE)

    @property
    def to_verify(self) -> bool:
        """Whether a dtype is missing from the documented list only; the lists are conservative and contradict another."""
        return bool(self.dtype_gap) and not self.at_risk


@dataclass(frozen=True)
class FusedGain:
    """A fused NPU operator that would replace chains of the trace, and the time it would save."""

    pattern: str
    fused: str
    chains: int
    first_wheel: str
    in_target: bool
    saved_seconds: float


@dataclass(frozen=True)
class Trace:
    """A step (forward, backward, optimizer) as the NPU would see it; ``problem`` says where tracing stopped."""

    what: str
    torch: str
    phases: tuple[str, ...]
    operators: tuple[TracedOperator, ...]
    fused: tuple[FusedGain, ...]
    step_seconds: float
    priced_by: str
    problem: str = ""

    @property
    def share_at_risk(self) -> float:
        """Share of the step's time, host fallbacks included, that hangs on operators at risk."""
        return self._share([o for o in self.operators if o.at_risk])

    @property
    def share_to_verify(self) -> float:
        """Share of the step's time in operators whose documented dtype list is to be verified on the device."""
        return self._share([o for o in self.operators if o.to_verify])

    def _share(self, some: Sequence[TracedOperator]) -> float:
        total = sum(o.seconds + o.host_seconds for o in self.operators)
        return sum(o.seconds + o.host_seconds for o in some) / total if total else 0.0

    def to_dict(self) -> dict[str, Any]:
        total = sum(o.seconds + o.host_seconds for o in self.operators) or 1.0
        rows = [
            {
                "operator": o.name, "calls": o.calls, "class": o.support, "dtypes": " ".join(o.dtypes),
                "gap": " ".join(o.dtype_gap), "flops": o.flops, "bytes": o.bytes, "seconds": o.seconds,
                "host_seconds": o.host_seconds, "share": (o.seconds + o.host_seconds) / total, "at_risk": o.at_risk, "to_verify": o.to_verify,
            }
            for o in self.operators
        ]  # fmt: skip
        classes = Counter(o.support for o in self.operators)
        return {
            "what": self.what, "torch": self.torch, "phases": list(self.phases), "problem": self.problem,
            "distinct_operators": len(self.operators), "by_class": dict(sorted(classes.items())),
            "step_seconds": self.step_seconds, "share_at_risk": self.share_at_risk,
            "share_to_verify": self.share_to_verify, "priced_by": self.priced_by,
            "fused": [vars(f) for f in self.fused], "operators": rows, "summary": self.summary(),
        }  # fmt: skip

    def summary(self) -> str:
        """One line: how much was traced, how it is supported, what is at risk and what could be fused."""
        if self.problem and not self.operators:
            return f"trace of {self.what} stopped: {self.problem}"
        classes = Counter(o.support for o in self.operators)
        shown = ", ".join(f"{n} {name}" for name, n in sorted(classes.items()))
        gains = ", ".join(f"{f.fused} x{f.chains}" for f in self.fused if f.in_target) or "none"
        stopped = f"; stopped after {', '.join(self.phases)}: {self.problem}" if self.problem else ""
        return (
            f"{len(self.operators)} distinct operators ({shown}); {self.share_at_risk:.1%} of the step's time at risk, "
            f"{self.share_to_verify:.1%} with dtypes to verify; fused operators to gain: {gains}{stopped}"
        )


def trace(
    what: str, root: str | Path, target: Target, price: Price | None = None, priced_by: str = "",
    batch: int = 1, seq_len: int = 512, train: bool = True,
) -> Trace:  # fmt: skip
    """Traces a step on fake tensors and joins its operators with the support of the target's wheel.

    Args:
        what: path of a Hugging Face config.json (or its folder), or ``module:factory`` below ``root``; the factory takes
            no argument and returns a module with its example inputs, ``(module, inputs)``.
        root: folder that ``what`` is relative to.
        target: chip and wheel.
        price: seconds of a call on the chip; by default the roofline of the chip's card.
        batch, seq_len: shape of the token batch of a config.json.
        train: whether to trace backward and optimizer too.

    A module that cannot be traced gives a result with ``problem`` set. Raises InputError where torch is not installed.
    """
    from wafer2token.stack.audit.recorder import record

    pricing = price or roofline(target)
    basis = priced_by or ("a price function" if price else "roofline of the chip's card")
    recorded = record(what, Path(root), batch, seq_len, train)
    rows = join(recorded.calls, target, pricing)
    return Trace(
        what=what,
        torch=recorded.torch,
        phases=recorded.phases,
        operators=tuple(rows),
        fused=tuple(fused_gains(recorded.calls, target, pricing)),
        step_seconds=sum(r.seconds + r.host_seconds for r in rows),
        priced_by=basis,
        problem=recorded.problem,
    )


def roofline(target: Target) -> Price:
    """The price of a call as the larger of compute and memory time at the card's peaks; 0 where the card lacks them."""
    from wafer2token.catalog import get

    card: Any = get("chip", card_id(target))
    peak = next((float(card.peak[t]) for t in ("bf16", "fp16") if t in card.peak), 0.0)
    bandwidth = float(card.memory.bandwidth) if card.memory.bandwidth is not None else 0.0

    def price(call: Call) -> float:
        compute = call.flops / peak if peak else 0.0
        memory = call.bytes / bandwidth if bandwidth else 0.0
        return max(compute, memory)

    return price


def card_id(target: Target) -> str:
    """The id of the chip card of a target; a generation's best known card where the target is not one chip."""
    from wafer2token.catalog import ids

    stand_in = {"A2": "ascend_910b2", "A3": "ascend_910c", "950": "ascend_950pr"}
    return target.chip if target.chip in ids("chip") else stand_in[target.generation]


def join(calls: Sequence[Call], target: Target, price: Price) -> list[TracedOperator]:
    """The operators of a trace with class, dtype gaps and time, the longest first.

    A host fallback costs the copy of its operands over the host link, there and back, and the host's memory traffic.
    """
    link, memory = target.limits["host_link"].value, target.limits["host_memory"].value
    groups: dict[str, list[Call]] = {}
    for call in calls:
        groups.setdefault(call.name, []).append(call)
    rows = []
    for name, mine in groups.items():
        operator = support.overload(name)
        kind = _class_of(operator, target)
        dtypes = tuple(sorted({d for c in mine for d in c.dtypes}))
        traffic = sum(c.bytes for c in mine)
        on_host = kind == "CPU fallback"
        host = 2 * traffic / link + traffic / memory if on_host else 0.0
        seconds = 0.0 if on_host else sum(n * price(c) for c, n in Counter(mine).items())
        gap = _dtype_gap(operator, dtypes)
        rows.append(
            TracedOperator(name, len(mine), kind, dtypes, gap, sum(c.flops for c in mine), traffic, seconds, host)
        )
    return sorted(rows, key=lambda r: (-(r.seconds + r.host_seconds), r.name))


def _class_of(operator: support.Operator | None, target: Target) -> str:
    if operator is None:
        return "unverified"
    letter = operator.classes[target.wheel.version]
    if letter in support.NATIVE:
        return "native"
    if letter in support.COMPOSITE:
        return "foreach loop" if letter == "f" else "composite"
    return {"C": "CPU fallback", "x": "other backend only"}.get(letter, "unverified")


def _dtype_gap(operator: support.Operator | None, dtypes: Sequence[str]) -> tuple[str, ...]:
    """Floating dtypes that the documented list of an operator lacks; none where no list is documented."""
    if operator is None or not operator.dtypes:
        return ()
    return tuple(d for d in (_DTYPES.get(d, d) for d in dtypes) if d in _FLOAT_GAPS and d not in operator.dtypes)


def fused_gains(calls: Sequence[Call], target: Target, price: Price) -> list[FusedGain]:
    """The fused operators whose patterns stand in a trace, with the time of the chain beyond one pass over its data."""
    found = []
    bases = [_base(c.name) for c in calls]
    for pattern in PATTERNS:
        chains = _chains(bases, pattern)
        if not chains:
            continue
        saved = sum(max(0.0, sum(price(calls[i]) for i in chain) - _one_pass(calls, chain, price)) for chain in chains)
        known = [support.fused()[name] for name in pattern.fused if name in support.fused()]
        there = [f for f in known if f.in_wheel(target.wheel.version)]
        best = (there or known)[0]
        found.append(FusedGain(pattern.name, best.name, len(chains), best.first_wheel, bool(there), saved))
    return found


def _base(name: str) -> str:
    """An operator's name without overload and in-place mark."""
    base = name.split(".")[0]
    return base if base.startswith("_") else base.rstrip("_")


def _chains(bases: Sequence[str], pattern: Pattern) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    taken = -1
    for index, base in enumerate(bases):
        if base != pattern.trigger or index <= taken:
            continue
        window = range(max(taken + 1, index - pattern.reach), min(len(bases), index + pattern.reach + 1))
        chain = tuple(i for i in window if bases[i] in pattern.members)
        if pattern.needs <= {bases[i] for i in chain}:
            found.append(chain)
            taken = chain[-1]
    return found


def _one_pass(calls: Sequence[Call], chain: Sequence[int], price: Price) -> float:
    """The price of moving once what the largest call of a chain moves."""
    largest = max((calls[i] for i in chain), key=lambda c: c.bytes)
    return price(Call("fused", 0.0, largest.bytes, largest.dtypes))
