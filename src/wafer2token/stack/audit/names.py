"""Dotted names of Python expressions, with import aliases resolved."""

from __future__ import annotations

import ast

UNKNOWN = "?"


class Names:
    """Which dotted name each local name stands for, scope by scope.

    ``import torch as t; from torch import cuda`` makes ``t.cuda.x`` and ``cuda.x`` both ``torch.cuda.x``. A function
    parameter of the same name hides the import.
    """

    def __init__(self, package: str = ""):
        self._scopes: list[dict[str, str | None]] = [{}]
        self._package = package

    def push(self, hidden: list[str]) -> None:
        self._scopes.append(dict.fromkeys(hidden))

    def pop(self) -> None:
        self._scopes.pop()

    def bind(self, name: str, dotted: str | None) -> None:
        self._scopes[-1][name] = dotted

    def lookup(self, name: str) -> str | None:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return None

    def absolute(self, module: str | None, level: int) -> str:
        """The absolute dotted name of ``from <level dots><module> import``."""
        if not level:
            return module or ""
        parts = self._package.split(".") if self._package else []
        kept = parts[: len(parts) - level + 1] if level > 1 else parts
        return ".".join([*kept, *([module] if module else [])])

    def dotted(self, node: ast.expr) -> str | None:
        """The dotted name of an expression, aliases resolved; None where it has none.

        A call inside the chain is kept as ``()``; a chain that starts at a local variable starts with ``?.``.
        """
        tail: list[str] = []
        while True:
            if isinstance(node, ast.Attribute):
                tail.append(node.attr)
                node = node.value
            elif isinstance(node, ast.Call):
                reached = _getattr(node)
                if reached is not None:
                    node, attribute = reached
                    tail.append(attribute)
                    continue
                tail.append("()")
                node = node.func
            elif isinstance(node, ast.Name):
                root = self.lookup(node.id)
                if root is None:
                    root = f"{UNKNOWN}.{node.id}" if tail else None
                if root is None:
                    return None
                return ".".join([root, *reversed(tail)]).replace(".()", "()")
            else:
                return ".".join([UNKNOWN, *reversed(tail)]).replace(".()", "()") if tail else None


def _getattr(node: ast.Call) -> tuple[ast.expr, str] | None:
    """``getattr(x, "name")`` as the pair (x, name)."""
    if isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) >= 2:
        attribute = node.args[1]
        if isinstance(attribute, ast.Constant) and isinstance(attribute.value, str):
            return node.args[0], attribute.value
    return None
