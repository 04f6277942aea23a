"""Number formats as the kernels see them: the type computed in, and bytes per stored element, block scales included."""

from __future__ import annotations

from wafer2token.evidence.errors import InputError, unknown

# stored format -> (type that the matrix unit computes in, bits per element with its share of the block scale)
_FORMATS: dict[str, tuple[str, float]] = {
    "fp64": ("fp64", 64),
    "fp32": ("fp32", 32),
    "tf32": ("tf32", 32),
    "bf16": ("bf16", 16),
    "fp16": ("fp16", 16),
    "fp8": ("fp8", 8),
    "hif8": ("hif8", 8),
    "mxfp8": ("fp8", 8 + 8 / 32),
    "int8": ("int8", 8),
    "fp6": ("fp6", 6),
    "fp4": ("fp4", 4),
    "mxfp4": ("fp4", 4 + 8 / 32),
    "nvfp4": ("fp4", 4 + 8 / 16),
    "int4": ("int4", 4),
    "int4_g128": ("int4", 4 + 16 / 128),
    "int4_g32": ("int4", 4 + 16 / 32),
}

FORMATS = tuple(_FORMATS)


def stored_bytes(name: str) -> float:
    """Bytes per element of a stored format [B]; InputError when it is unknown."""
    return _entry(name)[1] / 8.0


def computed_in(name: str) -> str:
    """The data type whose peak speaks for arithmetic in a format (``nvfp4`` -> ``fp4``)."""
    return _entry(name)[0]


def _entry(name: str) -> tuple[str, float]:
    if name not in _FORMATS:
        raise InputError(unknown("number format", name, list(_FORMATS)))
    return _FORMATS[name]
