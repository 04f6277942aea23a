"""Number formats: how many bytes one element takes in memory, scales included. Definitions, not measurements."""

from __future__ import annotations

from wafer2token.evidence.errors import InputError, unknown

# bits per element + bits of the scale shared by a block of elements
_BITS: dict[str, float] = {
    "fp64": 64,
    "fp32": 32,
    "tf32": 32,
    "bf16": 16,
    "fp16": 16,
    "fp8": 8,
    "int8": 8,
    "hif8": 8,
    "mxfp8": 8 + 8 / 32,
    "fp6": 6,
    "fp4": 4,
    "int4": 4,
    "mxfp4": 4 + 8 / 32,
    "nvfp4": 4 + 8 / 16,
    "int4_g128": 4 + 16 / 128,
    "int4_g32": 4 + 16 / 32,
}
_ALIASES = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "float32": "fp32",
    "float": "fp32",
    "float8": "fp8",
    "float8_e4m3fn": "fp8",
    "e4m3": "fp8",
    "fp8_block": "fp8",
    "w8a8": "int8",
    "awq": "int4_g128",
    "gptq": "int4_g128",
    "w4a16": "int4_g128",
}

DTYPES = tuple(_BITS)


def canonical_dtype(name: str) -> str:
    """The house's name of a number format (``bfloat16`` -> ``bf16``); InputError when unknown."""
    low = name.lower().removeprefix("torch.")
    low = _ALIASES.get(low, low)
    if low not in _BITS:
        raise InputError(unknown("number format", name, [*DTYPES, *_ALIASES]))
    return low


def dtype_bytes(name: str) -> float:
    """Bytes per element [B], block scales included (MXFP4 4.25 bits, NVFP4 4.5 bits)."""
    return _BITS[canonical_dtype(name)] / 8
