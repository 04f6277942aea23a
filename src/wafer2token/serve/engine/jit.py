"""Compiling the engine: Numba where it is wanted, the same functions as plain Python when ``NUMBA_DISABLE_JIT=1``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import types
from numba.core.caching import FunctionCache

from .notice import tell

T = TypeVar("T", bound=Callable[..., Any])
_KERNELS: list[Any] = []


def kernel(function: T) -> T:
    """Compile an inner function of the engine (it allocates nothing, so no reference is counted)."""
    compile_: Any = numba.njit
    compiled: Any = compile_(function, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
    if not _plain():
        _KERNELS.append(compiled)
        template = compiled.get_call_template

        def once(args: Any, kws: Any) -> Any:
            fresh = not compiled.signatures
            found = template(tuple(_wide(a) for a in args), kws)
            if fresh and compiled.signatures:
                tell(sum(bool(k.signatures) for k in _KERNELS), len(_KERNELS))
            return found

        compiled.get_call_template = once
    result: T = compiled
    return result


def entry(function: T) -> T:
    """Compile the entry of the engine and keep it on disk until any source file of the engine changes."""
    compile_, keep = cast("Any", numba.njit), cast("Any", FunctionCache)
    compiled: Any = compile_(function, _nrt=False)
    if not _plain():
        with suppress(RuntimeError):  # no folder can be written: compiled anew by every process
            cache = keep(function)
            cache._cache_file._source_stamp = _sources()
            compiled._cache = cache
    result: T = compiled
    return result


def _plain() -> bool:
    settings = cast("Any", numba.config)
    return bool(settings.DISABLE_JIT)


def _wide(kind: Any) -> Any:
    """One type for all integers and literals, so that a function is compiled once."""
    if isinstance(kind, types.Boolean | types.BooleanLiteral):
        return types.boolean
    return types.int64 if isinstance(kind, types.Integer) else kind


def _sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
