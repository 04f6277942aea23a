"""Which Python files of a project nothing reaches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from wafer2token.stack.audit import guards
from wafer2token.stack.audit.model import FileScan
from wafer2token.stack.audit.scan import module_name

_AVOIDABLE = {
    guards.OPTIONAL,
    guards.LAZY,
    guards.TYPING,
    guards.CUDA_ONLY,
    guards.NPU_BRANCH,
    guards.OTHER_ACCELERATOR,
}
_MODULE_TEXT = re.compile(r"^[A-Za-z_][\w.]*(:[\w.]+)?$")


def unreachable(scans: Sequence[FileScan], entry: str | None = None) -> frozenset[str]:
    """The product files that no other file imports or names, directly or through others.

    Without ``entry`` the search starts from everything that can be run or imported from outside: scripts, packages,
    tests, examples, and modules that a string names (entry points, registries, lazy imports). With ``entry``, a path in
    the project, it starts from that file only.
    """
    modules = {module_name(s.file)[0]: s for s in scans if s.file.endswith((".py", ".pyi"))}
    index = _by_suffix(modules)
    named = _named_in_strings(scans)
    if entry is None:
        start = [m for m, s in modules.items() if _is_root(s, m, named)]
    else:
        start = [m for m, s in modules.items() if s.file == entry]
    reached: set[str] = set()
    waiting = list(start)
    while waiting:
        module = waiting.pop()
        if module in reached:
            continue
        reached.add(module)
        for name in modules[module].imports:
            waiting += [m for m in _targets(name, index) if m not in reached]
        parent = module.rpartition(".")[0]
        if parent in modules and parent not in reached:
            waiting.append(parent)
    return frozenset(s.file for m, s in modules.items() if m not in reached and s.place == "product")


def run_on_import(scans: Sequence[FileScan], entry: str | None = None) -> frozenset[str]:
    """The files that run whenever the project is imported or its entry point is started.

    They are reached from the outermost packages, files outside any package, or ``entry``, by imports that stand at the
    top level of a module and may not fail.
    """
    modules = {module_name(s.file)[0]: s for s in scans if s.file.endswith(".py") and s.place == "product"}
    index = _by_suffix(modules)
    if entry is not None:
        waiting = [m for m, s in modules.items() if s.file == entry]
    else:
        packages = {m for m, s in modules.items() if s.file.endswith("__init__.py")}
        inside = {m for m in modules if any(m.startswith(p + ".") for p in packages)}
        waiting = [m for m in modules if m not in inside]
    reached: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in reached:
            continue
        reached.add(module)
        for site in modules[module].sites:
            if site.kind == "import" and not site.guards & _AVOIDABLE:
                waiting += [m for m in _targets(site.text, index) if m not in reached]
    return frozenset(modules[m].file for m in reached)


def _is_root(scan: FileScan, module: str, named: frozenset[str]) -> bool:
    if scan.place != "product" or scan.file.endswith("__init__.py") or scan.is_script:
        return True
    return "/" not in scan.file or module.rpartition(".")[2] in named


def _named_in_strings(scans: Iterable[FileScan]) -> frozenset[str]:
    """Last parts of strings that could name a module ("pkg.cli:main" gives "cli")."""
    found: set[str] = set()
    for scan in scans:
        for site in scan.sites:
            if site.kind == "string" and _MODULE_TEXT.match(site.text):
                found.add(site.text.partition(":")[0].rpartition(".")[2])
    return frozenset(found)


def _by_suffix(modules: Iterable[str]) -> dict[str, list[str]]:
    """Every module under each tail of its dotted name, since the root folder of imports is not known."""
    index: dict[str, list[str]] = {}
    for module in modules:
        parts = module.split(".")
        for start in range(len(parts)):
            index.setdefault(".".join(parts[start:]), []).append(module)
    return index


def _targets(name: str, index: dict[str, list[str]]) -> list[str]:
    """The modules that an imported dotted name may mean: itself, or the module that holds it."""
    for candidate in (name, name.rpartition(".")[0]):
        found = index.get(candidate)
        if found and (len(found) == 1 or "." in candidate):
            return found
    return []
