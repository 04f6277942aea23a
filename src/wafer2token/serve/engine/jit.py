"""Compiling the engine: Numba where it is wanted, the same functions as plain Python when ``NUMBA_DISABLE_JIT=1``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache

T = TypeVar("T", bound=Callable[..., Any])


def kernel(function: T) -> T:
    """Compile an inner function of the engine (it allocates nothing, so no reference is counted)."""
    compile_: Any = numba.njit
    compiled: T = compile_(function, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
    return compiled


def entry(function: T) -> T:
    """Compile the entry of the engine and keep it on disk until any source file of the engine changes."""
    compile_, keep, settings = cast("Any", numba.njit), cast("Any", FunctionCache), cast("Any", numba.config)
    compiled: Any = compile_(function, _nrt=False)
    if not settings.DISABLE_JIT:
        cache = keep(function)
        cache._cache_file._source_stamp = _sources()
        compiled._cache = cache
    result: T = compiled
    return result


def _sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
