"""What a setup.py always asks for, and what only its optional extras do, read from its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import replace

from wafer2token.stack.audit import guards
from wafer2token.stack.audit.model import Site
from wafer2token.stack.audit.text_scan import normal, requirement

_ALWAYS = {"install_requires", "setup_requires"}
_LISTED = {"container", "key", "arg"}


def setup_requirements(tree: ast.Module, sites: Iterable[Site]) -> list[Site]:
    """The requirements among the strings of a setup.py; those that only an extra asks for are marked.

    A string is always asked for where it stands in ``install_requires``, in a value that this is built from, or in a
    table from which it is looked up by name. Where no ``install_requires`` can be read, every string is.
    """
    spans, names = _always(tree)
    found: list[Site] = []
    for site in sites:
        if site.kind != "string" or site.context not in _LISTED:
            continue
        for asked in requirement(site.text, site.line):
            inside = any(first <= site.line <= last for first, last in spans)
            optional = bool(spans) and not inside and asked.text not in names
            found.append(replace(asked, guards=frozenset({guards.EXTRA})) if optional else asked)
    return found


def _always(tree: ast.Module) -> tuple[list[tuple[int, int]], set[str]]:
    """Line spans of the values behind ``install_requires``, and the distribution names looked up in tables."""
    values: dict[str, list[ast.expr]] = {}
    waiting: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    values.setdefault(target.id, []).append(node.value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            values.setdefault(node.target.id, []).append(node.value)
        elif isinstance(node, ast.Call):
            waiting += [k.value for k in node.keywords if k.arg in _ALWAYS]
            _note_growth(node, values)
    waiting += [v for name in _ALWAYS for v in values.get(name, ())]
    spans: list[tuple[int, int]] = []
    names: set[str] = set()
    seen: set[str] = set()
    while waiting:
        value = waiting.pop()
        spans.append((value.lineno, value.end_lineno or value.lineno))
        tables = {
            n.value for n in ast.walk(value) if isinstance(n, ast.Subscript) and isinstance(n.slice, ast.Constant)
        }
        for node in ast.walk(value):
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                names.add(normal(str(node.slice.value)))
            elif isinstance(node, ast.Name) and node not in tables and node.id not in seen:
                seen.add(node.id)
                waiting += values.get(node.id, [])
    return spans, names


def _note_growth(call: ast.Call, values: dict[str, list[ast.expr]]) -> None:
    """Adds to the values of a list what ``name.append(...)`` and ``name.extend(...)`` put into it."""
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in {"append", "extend"}:
        return
    if isinstance(function.value, ast.Name):
        values.setdefault(function.value.id, []).extend(call.args)
