"""Fitted kernel parameters: which calibration card speaks for a chip, a stack, a kernel family and a data type."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache, lru_cache
from typing import Any

from wafer2token.catalog import all_cards
from wafer2token.chip.attention import DecodeFit, IndexFit, PrefillFit
from wafer2token.chip.matmul import MatmulFit
from wafer2token.chip.recurrent import RecurrentFit
from wafer2token.chip.streaming import BackwardFit, HostFit, StreamFit
from wafer2token.chip.transfer import REFERENCE, Traits, on_same_units, transferred, uncast
from wafer2token.evidence.errors import EvidenceError, InputError, unknown

FAMILIES: dict[str, type[Any]] = {
    "gemm": MatmulFit,
    "grouped_gemm": MatmulFit,
    "attention_prefill": PrefillFit,
    "attention_decode": DecodeFit,
    "attention_decode_vector": DecodeFit,
    "mla_prefill": PrefillFit,
    "mla_decode": DecodeFit,
    "attention_index": IndexFit,
    "attention_backward": BackwardFit,
    "linear_prefill": RecurrentFit,
    "linear_decode": StreamFit,
    "memory": StreamFit,
    "quantise": StreamFit,
    "host": HostFit,
}
"""Kernel family -> the class of its parameters."""

_STANDS_IN = {"grouped_gemm": "gemm", "mla_prefill": "attention_prefill", "mla_decode": "attention_decode", "attention_decode_vector": "attention_decode", "quantise": "memory", "memory": "quantise", "linear_decode": "memory"}  # fmt: skip
_DTYPE_STANDS_IN = {"fp16": "bf16", "tf32": "bf16", "fp32": "bf16", "fp8": "bf16", "int8": "bf16", "fp4": "fp8", "int4": "int8"}  # fmt: skip
_SIXTEEN = ("bf16", "fp16")
_PRODUCTS = frozenset({"gemm", "grouped_gemm"})
SMALLEST_TILE = 16.0
"""Rows of the smallest matrix instruction for 16-bit formats (mma.m16n8k16, the 16 x 16 x 16 cube)."""
_STATED = math.log(1.5)
"""Spread, as a logarithm, of parameters that were stated or derived and not fitted: a factor of 1.5 either way."""
_PLATFORM = {"NVIDIA": "cuda", "AMD": "rocm", "Huawei": "cann", "Huawei HiSilicon": "cann", "Intel": "oneapi", "Google": "xla"}  # fmt: skip


@dataclass(frozen=True)
class FamilyFit:
    """Parameters of one kernel family with their residuals.

    Attributes:
        values: an instance of the family's class in `FAMILIES`.
        low, high: 10th and 90th percentile of ln(measured / predicted) over points.
        bias: standard deviation of the family's systematic error, as a logarithm.
        card: id of the calibration card.
        basis: "calibrated" on this chip, or "inherited" from a class of chips.
        stack: the software that was measured.
        dtype: the data type that was measured.
        of: traits of the chip that parameters of a matrix product are stated for, None where it is the chip itself.
    """

    values: Any
    low: float
    high: float
    bias: float
    card: str
    basis: str
    stack: str
    dtype: str
    of: Traits | None = None


UNIT_KEYS = ("cube_aic", "cube_aic_per_die", "sm", "cu", "mxu", "tensor_core")
"""Names under which chip cards count their compute units, in order of preference."""


def compute_units(card: Any) -> float:
    """Compute units of a whole chip; by its rate and that of a usual unit where the card has none."""
    for key in UNIT_KEYS:
        if key in card.cores:
            dies = round(float(card.compute_dies)) if card.compute_dies else 1
            return float(card.cores[key]) * (dies if key.endswith("_per_die") else 1)
    rate = float(card.peak.get("bf16") or card.peak.get("fp16") or max(card.peak.values(), key=float))
    return max(1.0, round(rate / float(all_cards("calibration")["compute_unit"].ratios["rate"])))


def traits(card: Any, dtype: str) -> Traits:
    """What the parameters of matrix products go with, of a chip card; the usual clock where it has none."""
    units = compute_units(card)
    peak = card.peak.get(dtype) or max(card.peak.values(), key=float)
    bandwidth = float(card.memory.bandwidth or REFERENCE.bandwidth)
    return Traits(float(card.boost_clock or REFERENCE.clock), float(peak) / units, units, bandwidth)


@lru_cache(maxsize=1024)
def carried(fit: FamilyFit, to: Traits) -> FamilyFit:
    """The fit with its parameters carried to a chip of these traits."""
    if fit.of is None or not isinstance(fit.values, MatmulFit):
        return fit
    power = float(all_cards("calibration")["last_level_cache"].ratios["rate_power"])
    return replace(fit, values=transferred(fit.values, fit.of, to, power), of=None)


CAST = ("cast_floor", "cast", "cast_row")
OPTIONAL = (*CAST, "rows")
"""Parameters that calibration cards hold only where the measured calls show them."""
LIBRARY = "library"
"""Stack to ask for where products are those of a library, without what an engine does in the same call."""
ENGINES = frozenset({"vllm", "sglang", "trtllm"})
"""Stacks that cast activations in the call of a narrow product."""


def fitted_names(kind: type[Any]) -> tuple[str, ...]:
    """The parameters of a family that calibration cards hold: those without a default."""
    return tuple(f.name for f in fields(kind) if f.default is MISSING)


def parameter_values(kind: type[Any], given: Mapping[str, float]) -> Any:
    """An instance of a family's class from parameters by name; others are left aside."""
    known = {f.name for f in fields(kind)}
    optional = {name: given[name] for name in OPTIONAL if name in given and name in known}
    return kind(**{name: given[name] for name in fitted_names(kind)} | optional)


def platform(vendor: str) -> str:
    """The software platform of a vendor's chips: "cuda", "rocm", "cann", ... or "any"."""
    return _PLATFORM.get(vendor, "any")


def stacks(chip: str) -> list[str]:
    """The stacks on which a chip has been measured, the default first."""
    cards = [c for c in all_cards("calibration").values() if c.subject == "chip" and c.target == chip]
    return list(dict.fromkeys(c.stack for c in sorted(cards, key=lambda c: (not c.default, c.stack))))


@cache
def family_fit(chip: str, vendor: str, stack: str | None, family: str, dtype: str) -> FamilyFit:
    """The parameters to use, from the nearest measured thing.

    In this order: the family on the chip itself, on chips made of the same die, the family that stands in on the chip
    itself, the family over the class of the chip's platform or all chips, and the one that stands in likewise. Within
    each the named stack before the default one and the data type before the one that stands in for it. What does not
    come from the chip itself carries the spread of its class.

    Raises:
        InputError: unknown stack or family.
        EvidenceError: no calibration at all.
    """
    if family not in FAMILIES:
        raise InputError(unknown("kernel family", family, sorted(FAMILIES)))
    kind = platform(vendor)
    names = _known_stacks() | {kind, *_PLATFORM.values()}
    if stack is not None and stack not in names:
        raise InputError(unknown("stack", stack, sorted(names)))
    spare = _STANDS_IN.get(family, "")
    own, siblings = (chip,), same_die(chip)
    for subject, targets, fam in (
        ("chip", own, family), ("chip", siblings, family), ("chip", own, spare), ("class", (), family),
        ("chip", siblings, spare), ("class", (), spare),
    ):  # fmt: skip
        for d in _dtypes(dtype) if fam else ():
            card = _class_card(kind, fam, d, stack) if subject == "class" else _card("chip", targets, stack, fam, d)
            if card is not None and not (stack == LIBRARY and fam == "grouped_gemm" and card.stack in ENGINES):
                basis = "calibrated" if targets == own and fam == family else "inherited"
                spread = None if targets == own else _class_card(kind, fam, d)
                fit = _stated(_fit(card, fam, basis, spread), card, d)
                fit = _of_library(fit) if stack is not None and stack not in ENGINES else fit
                fit = fit if targets == own else _few_rows(fit)
                return _of_sibling(fit, chip, siblings, fam, d) if subject == "chip" and targets == siblings else fit
    raise EvidenceError(f"no calibration for {family} ({dtype}) on {chip}, nor for its class")


@cache
def same_die(chip: str) -> tuple[str, ...]:
    """Other chips whose compute dies have the same maker and area, hence the same design, whatever was fused off."""
    cards = all_cards("chip")
    own = cards.get(chip)
    if own is None:
        return ()
    return tuple(
        c.id
        for c in cards.values()
        if c.id != chip and c.vendor == own.vendor and _same_area(own, c)
    )  # fmt: skip


def _same_area(one: Any, other: Any) -> bool:
    """Whether two chips of a maker have compute dies of one area; by dies and units where a card says no area."""
    if one.die_area is not None and other.die_area is not None:
        return abs(float(one.die_area) / float(other.die_area) - 1.0) < 1e-3
    counts = [(float(c.compute_dies or 0), {k: float(v) for k, v in c.cores.items() if k in UNIT_KEYS}) for c in (one, other)]
    return bool(counts[0][0] and counts[0][1]) and counts[0] == counts[1]


@cache
def capped(fit: FamilyFit, share: float) -> FamilyFit:
    """The fit of a matrix product with compute shares no higher than ``share`` of peak, the best ever measured."""
    if not isinstance(fit.values, MatmulFit):
        return fit
    values = replace(fit.values, compute=min(fit.values.compute, share), sustained=min(fit.values.sustained, share))
    return replace(fit, values=values)


def _of_library(fit: FamilyFit) -> FamilyFit:
    return replace(fit, values=uncast(fit.values)) if isinstance(fit.values, MatmulFit) else fit


def _stated(fit: FamilyFit, card: Any, dtype: str) -> FamilyFit:
    """The fit with the traits that its parameters are stated for: of a class, or of the chip that was measured."""
    if card.subject == "class":
        return replace(fit, of=REFERENCE)
    return replace(fit, of=traits(all_cards("chip")[card.target], dtype))


def _of_sibling(fit: FamilyFit, chip: str, siblings: tuple[str, ...], family: str, dtype: str) -> FamilyFit:
    """The fit of a chip of the same die, for what is switched on of it and how fast its units compute."""
    fit = _power_limited(fit, chip, siblings, family, dtype)
    if not isinstance(fit.values, MatmulFit) or fit.of is None or dtype not in all_cards("chip")[chip].peak:
        return fit
    return replace(fit, values=on_same_units(fit.values, fit.of, traits(all_cards("chip")[chip], dtype)))


def _power_limited(fit: FamilyFit, chip: str, siblings: tuple[str, ...], family: str, dtype: str) -> FamilyFit:
    """The fit with its compute shares drawn half-way to those of the sibling nearest in peak rate, where lower.

    Chips of one die differ in how much of it is switched on: one with few units never reaches its power limit, and
    its high share of peak says little of one with all of them. One witness shares the software, the other the power
    regime; the geometric mean of both is taken.
    """
    rate = _rate(chip, dtype)
    cards = [c for t in siblings for c in _table().get(("chip", t, family, dtype), [])]
    if not isinstance(fit.values, MatmulFit) or not cards or rate is None:
        return fit
    distance = {c.id: abs(math.log((_rate(c.target, dtype) or rate) / rate)) for c in cards}
    closest = min(distance.values())
    if closest > distance[fit.card] - math.log(1.2):
        return fit
    near = [c for c in cards if distance[c.id] == closest]
    best = {k: max(float(c.ratios[k]) for c in near) for k in ("compute", "sustained")}
    own = {k: getattr(fit.values, k) for k in best}
    return replace(fit, values=replace(fit.values, **{k: math.sqrt(v * min(v, best[k])) for k, v in own.items()}))


def _few_rows(fit: FamilyFit) -> FamilyFit:
    """The fit of another chip's 16-bit products, with the small tiles that libraries have.

    Where arithmetic is plentiful, padding few rows to a tile of 64 hides behind the reading of the weights, so that
    such a chip does not say how small the tiles get; one with little arithmetic per byte would pay for the padding.
    """
    if not isinstance(fit.values, MatmulFit) or fit.dtype not in _SIXTEEN:
        return fit
    return replace(fit, values=replace(fit.values, rows=SMALLEST_TILE))


def _rate(chip: str, dtype: str) -> float | None:
    peak = all_cards("chip")[chip].peak.get(dtype)
    return float(peak) if peak is not None else None


def _class_card(kind: str, family: str, dtype: str, stack: str | None = None) -> Any:
    chosen = _card("class", (kind,), None, family, dtype)
    general = _card("class", ("any",), stack, family, dtype)
    return general if chosen is None or (stack == LIBRARY and general is not None and general.stack == LIBRARY) else chosen


def attention_format(dtype: str, cache: str) -> str:
    """The data type under which attention is calibrated: the arithmetic's, with the cache's where it is narrower."""
    return dtype if cache in (dtype, *_SIXTEEN) else f"{dtype}_{cache}"


def _dtypes(dtype: str) -> tuple[str, ...]:
    arithmetic, _, cache = dtype.partition("_")
    out = [dtype]
    if cache:
        out += [
            f"{other}_{narrow}"
            for narrow in dict.fromkeys((cache, "fp8"))
            for other in dict.fromkeys((arithmetic, "bf16"))
        ]
        out.append(arithmetic)
    while out[-1] in _DTYPE_STANDS_IN:
        out.append(_DTYPE_STANDS_IN[out[-1]])
    return (*out, "")


@cache
def _known_stacks() -> frozenset[str]:
    return frozenset(c.stack for c in all_cards("calibration").values())


@cache
def _table() -> dict[tuple[str, str, str, str], list[Any]]:
    out: dict[tuple[str, str, str, str], list[Any]] = {}
    for card in all_cards("calibration").values():
        out.setdefault((card.subject, card.target, card.family, card.dtype), []).append(card)
    return out


def _card(subject: str, targets: tuple[str, ...], stack: str | None, family: str, dtype: str) -> Any:
    cards = [c for t in targets for c in _table().get((subject, t, family, dtype), [])]
    named = [c for c in cards if c.stack == stack]
    if len(targets) > 1 and family not in _PRODUCTS:
        return next(iter(sorted(named or cards, key=lambda c: (not c.default, -c.fit.points if c.fit else 0))), None)
    return next(iter(named or sorted(cards, key=lambda c: (not c.default, c.stack))), None)


def _fit(card: Any, family: str, basis: str, spread: Any) -> FamilyFit:
    kind = FAMILIES[family]
    given = {k: float(v) for group in (card.times, card.rates, card.sizes, card.ratios) for k, v in group.items()}
    values = parameter_values(kind, given)
    fit = (spread or card).fit
    low, high, bias = (float(fit.low), float(fit.high), float(fit.bias)) if fit else (-_STATED, _STATED, _STATED)
    return FamilyFit(values, low, high, bias, card.id, basis, card.stack, card.dtype)
