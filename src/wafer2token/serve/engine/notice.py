"""Telling whoever waits that the engine is being compiled: it happens once, and takes a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int], None]
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call ``listener(compiled, functions)`` for each function compiled inside the block."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(compiled: int, functions: int) -> None:
    """``compiled`` of ``functions`` are done."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(compiled, functions)
