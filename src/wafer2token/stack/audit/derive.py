"""Sites that follow from the tables: interfaces without an NPU kernel, symbols that a port library replaces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from wafer2token.stack.audit import support
from wafer2token.stack.audit.model import FileScan, Site
from wafer2token.stack.audit.scan import module_name
from wafer2token.stack.audit.target import Target
from wafer2token.stack.audit.triton_checks import check_kernels
from wafer2token.stack.audit.versions import pin_sites

_NOT_OPERATORS = ("torch.cuda.", "torch.distributed.", "torch.backends.", "torch.utils.", "torch.jit.", "torch.ops.",
                  "torch.nn.parallel", "torch.profiler", "torch.accelerator.")  # fmt: skip


def with_derived(scan: FileScan, target: Target, graph_sizes: int | None = None) -> FileScan:
    """The scan with the sites that the tables for a target add to it."""
    extra = [*_operators(scan.sites, target), *_replaced(scan), *pin_sites(scan, target.wheel)]
    extra += [*_streams(scan.sites, target, graph_sizes), *check_kernels(scan.sites, target)]
    return replace(scan, sites=(*scan.sites, *extra)) if extra else scan


def _operators(sites: Iterable[Site], target: Target) -> list[Site]:
    found: list[Site] = []
    for site in sites:
        if site.kind != "call" or not site.text.startswith("torch.") or site.text.startswith(_NOT_OPERATORS):
            continue
        letter = support.interface_class(site.text, target.wheel.version)
        if letter == "C":
            detail = f"{site.text}: no NPU kernel in torch_npu {target.wheel.version}, runs on the host"
            found.append(replace(site, kind="operator", detail=detail))
            continue
        entry = support.interfaces().get(site.text)
        if entry is None:
            continue
        if entry.on[target.generation] is False:
            detail = f"{site.text}: not validated on {target.generation} in the documentation of torch_npu 2.13"
            found.append(replace(site, kind="interface", detail=detail))
        elif entry.may_fall_back:
            detail = f"{site.text}: documented as possibly running on the host"
            found.append(replace(site, kind="interface", detail=detail))
    return found


def _streams(sites: Iterable[Site], target: Target, graph_sizes: int | None) -> list[Site]:
    """A site where capturing one graph per size takes more streams than the device leaves (layers x sizes)."""
    usable = target.limits["streams_usable"].value
    found = []
    for site in sites:
        if site.kind == "layers" and graph_sizes and int(site.text) * graph_sizes > usable:
            detail = f"{site.text} layers x {graph_sizes} captured sizes = {int(site.text) * graph_sizes} streams; about {usable:.0f} can be used"
            found.append(replace(site, kind="kernel", text="streams", detail=detail))
    return found


@cache
def _patched_roots() -> frozenset[str]:
    return frozenset(symbol.partition(".")[0] for symbol in support.patched())


@cache
def _patched_modules() -> dict[str, tuple[tuple[str, str], ...]]:
    """Module -> (name in it, library) of replaced symbols, under every split of the dotted name."""
    found: dict[str, list[tuple[str, str]]] = {}
    for symbol, entries in support.patched().items():
        parts = symbol.split(".")
        for cut in range(1, len(parts)):
            found.setdefault(".".join(parts[:cut]), []).append((".".join(parts[cut:]), entries[0].library))
    return {module: tuple(names) for module, names in found.items()}


def _replaced(scan: FileScan) -> list[Site]:
    """Uses of replaced symbols by name, and their definitions where the audited code is the library itself."""
    roots = _patched_roots()
    found: list[Site] = []
    for site in scan.sites:
        if site.kind in {"name", "import"} and site.text.partition(".")[0] in roots:
            symbol = site.text.replace("()", "")
            for entry in support.patched().get(symbol, ()):
                detail = f"{symbol} is replaced by {entry.library}"
                found.append(replace(site, kind="patched", text=symbol, detail=detail))
    module = module_name(scan.file)[0] if scan.file.endswith(".py") else ""
    defined = _patched_modules().get(module, ())
    if defined:
        lines = {site.text: site for site in scan.sites if site.kind == "define"}
        for name, library in defined:
            last = name.rpartition(".")[2]
            if last in lines:
                detail = f"{module}.{name} is replaced by {library}"
                found.append(replace(lines[last], kind="patched", text=f"{module}.{name}", detail=detail))
    return found
