"""What an engine adds to the device: host time per step, per sequence and per request, and how well it overlaps."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wafer2token.catalog import all_cards, get, read_file
from wafer2token.chip.fits import platform
from wafer2token.evidence.errors import EvidenceError, InputError, Problem

F = NDArray[np.float64]
Value = Any
_ALIASES = {
    "vllm": "vllm", "sglang": "sglang", "tensorrt-llm": "trtllm", "trtllm": "trtllm", "tensorrt": "trtllm",
    "vllm-ascend": "vllm-ascend", "mindie": "mindie", "chitu": "chitu", "lmdeploy": "lmdeploy",
    "cann-recipes-infer": "torchair", "deepseek": "deepseek", "xdeepserve": "xdeepserve",
}  # fmt: skip


@dataclass(frozen=True)
class Overhead:
    """Parameters of an engine on a platform; floats, or arrays [samples].

    Attributes:
        step_s: host time added to every step (scheduling, input preparation, sampling).
        sequence_s: further host time per sequence of a step.
        prefill_s: further host time of a step with prompt tokens.
        request_s: from the request's arrival to the queue, and from the first token back (tokenisation, HTTP).
        hidden_s: time of a kernel measured alone that disappears between its neighbours of a captured graph.
        device: device time over the sum of the kernels.
        compute, experts, attention: the same for products and streams, for routed experts, and for attention over a cache;
            1 where a card does not say.
        communication: time of a short all-reduce over that of the vendor's library (engines write into each other's
            memory in one kernel, and normalise in it).
        front_end: share of ``request_s`` in which the one process of the front end is busy; more requests at once queue for it.
        prefill: further factor on what prompts do in bulk (their attention, products and experts of many tokens).
        eager: share of the platform's eager launch time per operator that this engine pays.
        prefill_overlap, decode_overlap: share of the communication that two micro-batches hide.
        card: id of the calibration card, ``basis`` how near it is.
    """

    step_s: Value
    sequence_s: Value
    prefill_s: Value
    request_s: Value
    hidden_s: Value
    device: Value
    eager: Value
    prefill_overlap: Value
    decode_overlap: Value
    compute: Value = 1.0
    experts: Value = 1.0
    attention: Value = 1.0
    communication: Value = 1.0
    prefill: Value = 1.0
    front_end: Value = 1.0
    card: str = ""
    basis: str = ""
    spread: float = 0.25


FACTORS = ("compute", "experts", "attention", "communication", "prefill", "front_end")
PARAMETERS = tuple(f.name for f in fields(Overhead) if f.name not in ("card", "basis", "spread", *FACTORS))


def engine_stack(engine: str, vendor: str = "") -> str:
    """The stack of an engine's name as sources write it ("TensorRT-LLM (PyTorch backend)" -> "trtllm")."""
    low = engine.lower()
    for key in sorted(_ALIASES, key=len, reverse=True):
        if key in low:
            stack = _ALIASES[key]
            return f"{stack}-ascend" if stack in ("vllm", "sglang") and platform(vendor) == "cann" else stack
    return "vllm-ascend" if platform(vendor) == "cann" else "vllm"


def overhead(chip_id: str, stack: str, samples: int | None = None, seed: int = 0) -> Overhead:
    """The engine card of a chip and stack: of the chip, else of its platform, else of any; EvidenceError if none."""
    chip = get("chip", chip_id)
    card, basis = _card(chip.id, platform(chip.vendor), stack)
    own = _of(card, basis, samples, seed)
    for shared in _generation_cards(generation(chip.id), stack):
        own = replace(own, **{n: getattr(own, n) * float(shared.ratios[n]) for n in shared.ratios})
    return own


def generation(chip_id: str) -> str:
    """Chips of one platform that compute in the same formats: "cuda_fp4", "cuda_fp8", "cuda_fp16", likewise for others."""
    card = get("chip", chip_id)
    peaks = {name for name, value in dict(card.peak).items() if value is not None}
    return f"{platform(card.vendor)}_{next((f for f in ('fp4', 'fp8') if f in peaks), 'fp16')}"


@cache
def _generation_cards(target: str, stack: str) -> tuple[Any, ...]:
    """What all engines, and what this one, share on a generation of chips."""
    found = [c for c in all_cards("calibration").values() if c.family == "engine_generation" and c.target == target]
    return tuple(c for c in found if c.stack in ("any", stack))


def _of(card: Any, basis: str, samples: int | None = None, seed: int = 0) -> Overhead:
    values: dict[str, Any] = {}
    for name in (*PARAMETERS, *(f for f in FACTORS if f in card.ratios)):
        number = card.times[name[:-2]] if name.endswith("_s") else card.ratios[name]
        if samples is None:
            values[name] = float(number)
        else:
            from wafer2token.evidence.sampling import draw

            values[name] = draw(number, f"serve.engine.{card.id}.{name}", samples, seed)
    spread = float(card.fit.bias) if card.fit else 0.25
    return Overhead(**values, card=card.id, basis=basis, spread=spread)


@dataclass(frozen=True)
class OwnEngine:
    """An engine card of the user, as ``calibrate --from RUN`` writes it: the parameters, and for which chip and stack."""

    overhead: Overhead
    chip: str
    stack: str

    def check(self, chip: str, stack: str, where: str) -> None:
        """InputError where the card speaks of another chip or stack."""
        wrong = [Problem(f"the calibration is for another {what}", where, given, allowed=own, remedy="calibrate from a run there")
                 for what, given, own in (("chip", chip, self.chip), ("stack", stack, self.stack)) if given != own]  # fmt: skip
        if wrong:
            raise InputError(wrong)


def own_engine(path: str | Path) -> OwnEngine:
    """The one engine card of a TOML file; InputError if there is none, or several."""
    cards = [c for c in read_file(path, "calibration") if c.family == "engine"]
    if len(cards) != 1:
        raise InputError(Problem("not one engine card", str(path), len(cards), remedy="w2t calibrate --from RUN writes one"))
    missing = [n for n in PARAMETERS if n.removesuffix("_s") not in (cards[0].times if n.endswith("_s") else cards[0].ratios)]
    if missing:
        raise InputError(Problem(f"the engine card lacks {', '.join(missing)}", str(path)))
    return OwnEngine(_of(cards[0], "own run"), get("chip", cards[0].target).id, cards[0].stack)


@cache
def _card(chip: str, kind: str, stack: str) -> tuple[Any, str]:
    cards = [c for c in all_cards("calibration").values() if c.family == "engine"]
    for target, name, basis in (
        (chip, stack, "calibrated"), (kind, stack, "platform"), ("any", stack, "inherited"), (kind, None, "inherited"),
        ("any", None, "inherited"),
    ):  # fmt: skip
        found = [c for c in cards if c.target == target and (c.stack == name or (name is None and c.default))]
        if found:
            return found[0], basis
    raise EvidenceError(f"no engine card for {stack} on {chip}, nor for its platform")


def known_stacks() -> list[str]:
    """Stacks that have an engine card."""
    return sorted({c.stack for c in all_cards("calibration").values() if c.family == "engine"})
