"""Triton kernels held against the limits of an Ascend core: bytes alive in the unified buffer, programs in the grid."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from wafer2token.stack.audit.model import Site
from wafer2token.stack.audit.target import Target
from wafer2token.stack.audit.triton_shapes import KernelReader, KernelTiles, evaluate

_MAX_CONFIGS = 256


def kernel_sites(tree: ast.Module) -> list[Site]:
    """A ``tile`` site per kernel (bytes alive, low and high) and a ``launch`` site per launch with its grid."""
    kernels = {
        f.name: (f, KernelReader(f).tiles) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) and _is_kernel(f)
    }
    if not kernels:
        return []
    assigned = _assignments(tree)
    constants = _constants(assigned)
    launches = list(_launches(tree, set(kernels), assigned))
    sites = []
    for function, tiles in kernels.values():
        values = [
            *_configs(function, constants),
            *(_passed(call, tiles, constants) for name, call, _ in launches if name == tiles.name),
        ]
        site = _tile_site(tiles, values or [{}], constants)
        if site:
            sites.append(site)
    return sites + [_launch_site(name, call, grid, constants) for name, call, grid in launches]


def check_kernels(sites: Iterable[Site], target: Target) -> list[Site]:
    """The ``kernel`` sites of tiles and grids that pass, or may pass, the limits of a target."""
    buffer, grid = target.limits["unified_buffer"], target.limits["grid"]
    basis = (
        ""
        if buffer.generation == target.generation
        else f" (the {buffer.generation} figure; none was found for {target.generation})"
    )
    found = []
    for site in sites:
        facts = dict(site.arguments)
        if site.kind == "tile" and "unknown" in facts:
            found += _symbolic(site, facts, buffer.value)
        elif site.kind == "tile":
            low, high = int(facts["low"]), int(facts["high"])
            shown = f"{site.text}: {low:,} bytes alive with 2-byte loads, {high:,} with 4-byte loads at {facts['at']}; the buffer holds {buffer.value:,.0f}{basis}"
            if low > buffer.value:
                found.append(_kernel(site, "ub", shown))
            elif high > buffer.value:
                found.append(_kernel(site, "ub possible", shown))
        elif site.kind == "launch":
            programs = facts.get("programs")
            if programs and int(programs) > grid.value:
                found.append(
                    _kernel(site, "grid", f"{site.text}: {int(programs):,} programs; at most {grid.value:,.0f}")
                )
            elif not programs and facts["unbounded"]:
                found.append(
                    _kernel(
                        site,
                        "grid possible",
                        f"{site.text}: the grid grows with {facts['unbounded']}; at most {grid.value:,.0f} programs",
                    )
                )
    return found


def _symbolic(site: Site, facts: Mapping[str, str], limit: float) -> list[Site]:
    """The largest power of two that unknown block sizes may have, all alike, before the buffer is full."""
    sizes = {int(k): [int(b) for b in v.split()] for k, v in facts.items() if k.isdigit() and v}
    certain = [size for size, (low, _) in sizes.items() if low > limit]
    if not certain:
        return []
    fits = max((size for size, (_, high) in sizes.items() if high <= limit), default=0)
    detail = f"{site.text}: the buffer of {limit:,.0f} bytes holds its tiles up to {facts['unknown']} = {fits}, not at {min(certain)}"
    return [_kernel(site, "ub symbolic", detail)]


def _kernel(site: Site, text: str, detail: str) -> Site:
    return Site("kernel", text, site.line, site.column, site.context, site.guards, detail=detail)


def _is_kernel(function: ast.FunctionDef) -> bool:
    for decorator in function.decorator_list:
        node = decorator.func if isinstance(decorator, ast.Call) else decorator
        if ast.unparse(node) in {"triton.jit", "jit", "tl.jit", "triton.runtime.jit"}:
            return True
    return False


def _assignments(tree: ast.Module) -> dict[str, ast.expr]:
    """The last expression assigned to each name anywhere in the module; names assigned in parallel are left out."""
    return {
        target.id: node.value
        for node in ast.walk(tree) if isinstance(node, ast.Assign)
        for target in node.targets if isinstance(target, ast.Name)
    }  # fmt: skip


def _constants(assigned: Mapping[str, ast.expr]) -> dict[str, int]:
    """Names whose assignments come down to an integer, or to a bound on one."""
    found: dict[str, int] = {}
    for _ in range(3):
        for name, expression in assigned.items():
            value = evaluate(expression, found)
            if value is not None:
                found[name] = value
    return found


def _configs(function: ast.FunctionDef, constants: Mapping[str, int]) -> list[dict[str, int]]:
    """The block sizes of every ``triton.Config`` in the decorators of a kernel."""
    found = []
    for decorator in function.decorator_list:
        for node in ast.walk(decorator):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func).endswith("Config")
                and node.args
                and isinstance(node.args[0], ast.Dict)
            ):
                entries = zip(node.args[0].keys, node.args[0].values, strict=True)
                sizes = {k.value: evaluate(v, constants) for k, v in entries if isinstance(k, ast.Constant)}
                found.append({str(k): v for k, v in sizes.items() if v is not None})
    return found[:_MAX_CONFIGS]


def _launches(
    tree: ast.Module, kernels: set[str], assigned: Mapping[str, ast.expr]
) -> Iterator[tuple[str, ast.Call, ast.expr]]:
    """Every ``kernel[grid](...)`` of the module, with the grid expression (a name is followed to its assignment)."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Subscript)
            and isinstance(node.func.value, ast.Name)
        ):
            name = node.func.value.id
            if name in kernels:
                grid = node.func.slice
                if isinstance(grid, ast.Name):
                    grid = assigned.get(grid.id, grid)
                yield name, node, grid


def _passed(call: ast.Call, tiles: KernelTiles, constants: Mapping[str, int]) -> dict[str, int]:
    found = {name: evaluate(a, constants) for name, a in zip(tiles.parameters, call.args, strict=False)}
    found |= {k.arg: evaluate(k.value, constants) for k in call.keywords if k.arg}
    return {k: v for k, v in found.items() if v is not None}


def _tile_site(tiles: KernelTiles, values: list[dict[str, int]], constants: Mapping[str, int]) -> Site | None:
    """The largest live bytes over all known block sizes, or the largest power of two for sizes that are not known."""
    best: tuple[int, int, dict[str, int]] | None = None
    for sizes in values:
        live = tiles.live_bytes({**constants, **sizes})
        if live is not None and (best is None or live[1] > best[1]):
            best = (*live, sizes)
    names = tiles.names()
    if best is None:
        unknown = sorted(names - set(constants) - set(tiles.defaults))
        facts = tuple(
            (str(2**power), _both(tiles.live_bytes({**constants, **dict.fromkeys(unknown, 2**power)})))
            for power in range(4, 21)
        )
        return (
            Site("tile", tiles.name, tiles.line, arguments=(("unknown", " = ".join(unknown)), *facts))
            if unknown
            else None
        )
    at = ", ".join(f"{k}={v}" for k, v in sorted({**constants, **tiles.defaults, **best[2]}.items()) if k in names)
    facts = (("low", str(best[0])), ("high", str(best[1])), ("at", at or "fixed sizes"))
    return Site("tile", tiles.name, tiles.line, arguments=facts)


def _both(live: tuple[int, int] | None) -> str:
    return f"{live[0]} {live[1]}" if live else ""


def _launch_site(name: str, call: ast.Call, grid: ast.expr, constants: Mapping[str, int]) -> Site:
    body = grid.body if isinstance(grid, ast.Lambda) else grid
    axes = body.elts if isinstance(body, (ast.Tuple, ast.List)) else [body]
    programs: int | None = 1
    unbounded: list[str] = []
    for axis in axes:
        value = evaluate(axis, constants)
        if value is None:
            programs = None
            if isinstance(axis, (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp, ast.Call)):
                unbounded.append(ast.unparse(axis)[:60])
        elif programs is not None:
            programs *= value
    facts = (("programs", "" if programs is None else str(programs)), ("unbounded", " x ".join(unbounded)))
    return Site("launch", name, call.lineno, call.col_offset, arguments=facts)
