"""Compiling the engine: Numba where it is wanted, the same functions as plain Python when ``NUMBA_DISABLE_JIT=1``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache

T = TypeVar("T", bound=Callable[..., Any])


def kernel(function: T) -> T:
    """Compile an inner function of the engine (it allocates nothing, so no reference is counted)."""
    compiled: T = numba.njit(function, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
    return compiled


def entry(function: T) -> T:
    """Compile the entry of the engine and keep it on disk until any source file of the engine changes."""
    compiled: Any = numba.njit(function, _nrt=False)
    if not numba.config.DISABLE_JIT:
        cache = FunctionCache(function)
        cache._cache_file._source_stamp = _sources()
        compiled._cache = cache
    result: T = compiled
    return result


def _sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
