"""The message while the serving engine is compiled, which happens once per installation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def compile_notice() -> Iterator[None]:
    """Say on stderr that the engine is being compiled, and on a terminal how far it is."""
    from wafer2token.serve.engine.notice import listening

    said = False

    def show(done: int, total: int) -> None:
        nonlocal said
        if not said:
            print("compiling the engine, once per installation (10 to 30 s)", file=sys.stderr, flush=True)
            said = True
        if sys.stderr.isatty():
            print(f"\r  {done} of {total} functions", end="\n" if done >= total else "", file=sys.stderr, flush=True)

    with listening(show):
        yield
