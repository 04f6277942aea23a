"""Units at the edge: ``"3.2 TB/s"`` in, SI floats inside, ``"3.20 TB/s"`` out.

A unit is a product of symbols with integer powers (``FLOP/s/W``, ``USD/kWh``, ``1/cm^2``, ``wafer/month``).
GB is 1e9 bytes and GiB is 2**30; ``bit`` and ``B`` differ by 8. Things that are counted (wafer, die, stack, chip,
token ...) are dimensions of their own, so that dies never add to wafers.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

from wafer2token.evidence.errors import InputError, Problem, nearest

Dimension = tuple[tuple[str, int], ...]

_PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "c": 1e-2, "k": 1e3, "K": 1e3, "M": 1e6,
             "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18, "Z": 1e21}  # fmt: skip
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_COUNTED = ["wafer", "die", "stack", "package", "chip", "token", "layer", "exposure", "pass", "mask", "tool", "defect", "request", "person", "transistor", "device", "card", "node", "core", "sample", "h100e", "rack"]  # fmt: skip
_YEAR_S = 365.25 * 86400.0

# symbol -> (factor to SI, dimension, may take a decimal prefix)
_SYMBOLS: dict[str, tuple[float, dict[str, int], bool]] = {
    "s": (1.0, {"s": 1}, True),
    "min": (60.0, {"s": 1}, False),
    "h": (3600.0, {"s": 1}, False),
    "day": (86400.0, {"s": 1}, False),
    "week": (604800.0, {"s": 1}, False),
    "month": (_YEAR_S / 12, {"s": 1}, False),
    "quarter": (_YEAR_S / 4, {"s": 1}, False),
    "year": (_YEAR_S, {"s": 1}, False),
    "Hz": (1.0, {"s": -1}, True),
    "B": (1.0, {"B": 1}, True),
    "bit": (0.125, {"B": 1}, True),
    "FLOP": (1.0, {"FLOP": 1}, True),
    "OP": (1.0, {"FLOP": 1}, True),
    "J": (1.0, {"J": 1}, True),
    "W": (1.0, {"J": 1, "s": -1}, True),
    "Wh": (3600.0, {"J": 1}, True),
    "m": (1.0, {"m": 1}, True),
    "g": (1e-3, {"kg": 1}, True),
    "USD": (1.0, {"USD": 1}, True),
    "CNY": (1.0, {"CNY": 1}, True),
    "EUR": (1.0, {"EUR": 1}, True),
    "degC": (1.0, {"degC": 1}, False),
    "%": (0.01, {}, False),
    "1": (1.0, {}, False),
    **{word: (1.0, {word: 1}, True) for word in _COUNTED},
}
_ALIASES = {"sec": "s", "seconds": "s", "second": "s", "hr": "h", "hour": "h", "hours": "h", "d": "day", "days": "day",
            "yr": "year", "years": "year", "y": "year", "months": "month", "weeks": "week", "quarters": "quarter",
            "$": "USD", "RMB": "CNY", "FLOPS": "FLOP/s", "OPS": "OP/s", "bps": "bit/s", "dies": "die", "b": "bit"}  # fmt: skip
_SCALES = (*_PREFIXES.values(), 1.0, 60.0, 3600.0, 86400.0)
_QUANTITY = re.compile(r"^\s*([+-]?(?:\d[\d_,]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*$")
_FACTOR = re.compile(r"^(.+?)(?:\^|\*\*)?(-?\d+)?$")


@lru_cache(maxsize=4096)
def unit_scale(unit: str) -> tuple[float, Dimension]:
    """Factor to SI and dimension of a unit string; raises InputError for an unknown symbol."""
    factor, powers = 1.0, dict[str, int]()
    text = unit.strip().replace("·", "*").replace(" per ", "/").replace("²", "^2").replace("³", "^3") or "1"
    sign = 1
    for token in re.split(r"(\*(?!\*)|/|\s+)", text.replace("**", "^")):
        if token == "/":
            sign = -1
        elif token and token.strip() and token != "*":
            scale, dims, power = _symbol(token.strip(), unit)
            factor *= scale ** (sign * power)
            for name, exponent in dims.items():
                powers[name] = powers.get(name, 0) + sign * power * exponent
            sign = 1
    return factor, tuple(sorted((k, v) for k, v in powers.items() if v))


def _symbol(token: str, unit: str) -> tuple[float, dict[str, int], int]:
    match = _FACTOR.match(token)
    name, power = (match.group(1), int(match.group(2) or 1)) if match and token != "1" else (token, 1)
    singular = name[:-1] if len(name) > 3 and name.endswith("s") else name
    for candidate in (name, _ALIASES.get(name, name), singular):
        if candidate in _SYMBOLS:
            scale, dims, _ = _SYMBOLS[candidate]
            return scale, dims, power
        if "/" in candidate:
            scale, dimension = unit_scale(candidate)
            return scale, dict(dimension), power
    for prefix, scale in (*_BINARY.items(), *_PREFIXES.items()):
        rest = name.removeprefix(prefix)
        rest = _ALIASES.get(rest, rest)
        if rest == name:
            continue
        if "/" in rest:
            inner, dimension = unit_scale(rest)
            return scale * inner, dict(dimension), power
        if rest in _SYMBOLS and _SYMBOLS[rest][2] and (len(prefix) == 1 or rest in {"B", "bit"}):
            return scale * _SYMBOLS[rest][0], _SYMBOLS[rest][1], power
    close = nearest(name, [*_SYMBOLS, *_ALIASES])
    raise InputError(
        Problem(f"unknown unit {name!r} in {unit!r}", remedy=f"did you mean {', '.join(close)}?" if close else "")
    )


def split_quantity(text: str) -> tuple[float, str]:
    """``"3.2 TB/s"`` -> ``(3.2, "TB/s")``; raises InputError when it does not start with a number."""
    match = _QUANTITY.match(text)
    if not match:
        raise InputError(Problem("not a quantity", got=text, allowed='a number and a unit, such as "50 ms"'))
    return float(match.group(1).replace(",", "").replace("_", "")), match.group(2)


def parse_quantity(given: object, unit: str, where: str = "") -> float:
    """A user's quantity as an SI float.

    Args:
        given: text with number and unit (``"50 ms"``); a bare number only where ``unit`` is dimensionless.
        unit: the unit of the dimension wanted, e.g. ``"B/s"``.
        where: place shown in the error.

    Raises:
        InputError: no number, no unit where one is needed, unknown unit or wrong dimension.
    """
    _, wanted = unit_scale(unit)
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        raise InputError(Problem("not a quantity", where, given, f"a number with a unit of {unit}"))
    try:
        number, text = (float(given), "") if not isinstance(given, str) else split_quantity(given)
        factor, dimension = unit_scale(text)
    except InputError as error:
        raise InputError(
            [Problem(p.what, where, p.got, p.allowed or f"a unit of {unit}", p.remedy) for p in error.problems]
        ) from None
    if not math.isfinite(number):
        raise InputError(Problem("not a finite number", where, given))
    if not text and wanted:
        raise InputError(
            Problem("a unit is missing", where, given, remedy=f'write "{given} {unit}" if you mean {unit}')
        )
    if dimension != wanted:
        raise InputError(
            Problem(f"unit {text!r} does not measure what {unit!r} measures", where, given, f"a unit of {unit}")
        )
    return number * factor


@lru_cache(maxsize=1024)
def si_unit(unit: str) -> str:
    """The unit in which SI values of this dimension are counted: ``"wafer/month"`` -> ``"wafer/s"``, ``"GW"`` -> ``"W"``."""
    factor, dimension = unit_scale(unit)
    if factor == 1:
        return unit
    powers = dict(dimension)
    if powers.get("J") == 1 and powers.get("s", 0) < 0:
        powers = {"W": 1, **{k: v + (k == "s") for k, v in powers.items() if k != "J"}}
    above = [n if p == 1 else f"{n}^{p}" for n, p in powers.items() if p > 0]
    below = [n if p == -1 else f"{n}^{-p}" for n, p in powers.items() if p < 0]
    return "/".join(["*".join(above) or "1", *below])


def convert(value: float, unit: str) -> float:
    """An SI value expressed in ``unit``."""
    return value / unit_scale(unit)[0]


def format_quantity(value: float, unit: str, digits: int = 3) -> str:
    """An SI value in ``unit``, with a prefix that keeps it short: ``(3.2e12, "B/s")`` -> ``"3.2 TB/s"``."""
    if not math.isfinite(value):
        return f"{value} {unit}".strip()
    number = convert(value, unit)
    head = re.match(r"[^/*^ ]+", unit)
    name = head.group(0) if head else ""
    spec = _SYMBOLS.get(name)
    if unit == "USD" and abs(number) >= 1e6:
        return f"{_short(number / 1e6, digits)} M$"
    if name == "USD" or spec is None or not spec[2] or name in _COUNTED or unit.startswith(f"{name}^"):
        return f"{_short(number, digits)} {'' if unit == '1' else unit}".strip()
    if unit == "s" and abs(number) >= 120:
        return _long_time(number, digits)
    for prefix in ("E", "P", "T", "G", "M", "k", "", "m", "u", "n"):
        scale = _PREFIXES.get(prefix, 1.0)
        if abs(number) >= scale or prefix == "n":
            return f"{_short(number / scale, digits)} {prefix}{unit}" if number else f"0 {unit}"
    return f"{_short(number, digits)} {unit}"


def format_range(low: float, mid: float, high: float, unit: str, digits: int = 3) -> str:
    """A median with its range in one unit: ``(2.7e17, 2.72e17, 3.04e17, "FLOP/s")`` -> ``"272 (270-304) PFLOP/s"``."""
    text = format_quantity(mid, unit, digits)
    number, _, shown = text.partition(" ")
    if low == high or not math.isfinite(low + high) or not mid:
        return text
    scale = mid / float(number.replace(",", "")) if float(number.replace(",", "")) else 1.0
    exact = unit_scale(unit)[0] * min(_SCALES, key=lambda s: abs(math.log(s * unit_scale(unit)[0] / scale)))
    ends = (_short(low / exact, digits), _short(high / exact, digits))
    if ends == (number, number):
        return text
    return f"{number} ({ends[0]}-{ends[1]}) {shown}".rstrip()


def _long_time(seconds: float, digits: int) -> str:
    for unit, scale in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if abs(seconds) >= 2 * scale:
            return f"{_short(seconds / scale, digits)} {unit}"
    return f"{_short(seconds, digits)} s"


def _short(number: float, digits: int) -> str:
    if abs(number) < 1e-12:
        return "0"
    if number and (abs(number) >= 1e15 or abs(number) < 1e-4):
        return f"{number:.{digits}g}"
    magnitude = math.floor(math.log10(abs(number))) if number else 0
    decimals = max(0, digits - 1 - magnitude)
    text = f"{round(number, digits - 1 - magnitude):,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
